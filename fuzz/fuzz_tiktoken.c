/* fuzz_tiktoken.c - any bytes as a tiktoken file. */
#include "vocabulary.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return read_and_use(kw_parse_tiktoken, data, size);
}
