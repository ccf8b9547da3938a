/* fuzz_ggml.c - see checkpoint.h; the corpus makes it GGML of before GGUF. */
#include "checkpoint.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) { return fuzz_checkpoint(data, size); }
