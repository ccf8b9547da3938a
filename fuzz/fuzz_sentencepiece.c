/* fuzz_sentencepiece.c - any bytes as a SentencePiece tokenizer.model. */
#include "vocabulary.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return read_and_use(kw_parse_sentencepiece, data, size);
}
