/* fuzz_split.c - any bytes as the two parts of a split GGUF, opened by the second. */
#define _GNU_SOURCE
#include "checkpoint.h"
#include "files.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t cut = fuzz_cut(&data, &size), before = kw_alloc_live(KW_PAY_COUNT);
    kw_checkpoint *ck = NULL;
    fuzz_file("m-00001-of-00002.gguf", data, cut);
    const char *second = fuzz_file("m-00002-of-00002.gguf", data + cut, size - cut);
    if (kw_checkpoint_open(second, (kw_file_options){ .no_mmap = true }, &ck) == KW_OK)
        fuzz_touch(ck);
    kw_checkpoint_close(ck);
    expect(kw_alloc_live(KW_PAY_COUNT) == before);
    return 0;
}
