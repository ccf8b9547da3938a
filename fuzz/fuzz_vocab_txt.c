/* fuzz_vocab_txt.c - any bytes as BERT's vocab.txt. */
#include "vocabulary.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return read_and_use(kw_parse_vocab_txt, data, size);
}
