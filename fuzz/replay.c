/* replay.c - runs a target over files, without a fuzzer: the corpus stays fixed in every build. */
#include "fuzz.h"
#include <stdio.h>

int main(int argc, char **argv)
{
    int n = 0;
    for (int i = 1; i < argc; i++) {
        char *data = NULL;
        size_t len = 0;
        if (kw_file_read(argv[i], (size_t)16 << 20, &data, &len)) {
            fprintf(stderr, "%s: %s\n", argv[i], kw_error_message());
            return 1;
        }
        uint8_t *copy = kw_malloc(len, KW_PAY_MISC); /* of its own size: a read behind it is seen */
        for (size_t k = 0; k < len; k++) copy[k] = (uint8_t)data[k];
        kw_free(data);
        LLVMFuzzerTestOneInput(copy, len);
        kw_free(copy);
        n++;
    }
    printf("%d files replayed\n", n);
    return n ? 0 : 1;
}
