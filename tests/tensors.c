/* tensors.c - writes a checkpoint's tensors, whatever its format, as a safetensors file: tests compare them. */
#include "format/format.h"
#include <stdio.h>

int main(int argc, char **argv)
{
    kw_checkpoint *ck = NULL;
    kw_status st = argc == 3 ? kw_checkpoint_open(argv[1], (kw_file_options){ 0 }, &ck) : KW_EINVAL;
    if (!st) st = kw_safetensors_write(argv[2], kw_checkpoint_at(ck, 0), kw_checkpoint_count(ck));
    if (st)
        fprintf(stderr, "%s\n", argc == 3 ? kw_error_message() : "tensors MODEL OUT.safetensors");
    kw_checkpoint_close(ck);
    return st ? 1 : 0;
}
