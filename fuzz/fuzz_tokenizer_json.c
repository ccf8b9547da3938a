/* fuzz_tokenizer_json.c - any bytes as a tokenizer.json. */
#include "vocabulary.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return read_and_use(kw_parse_tokenizer_json, data, size);
}
