/* fuzz_npy.c - see checkpoint.h; the corpus makes it NumPy's arrays, alone and in archives. */
#include "checkpoint.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) { return fuzz_checkpoint(data, size); }
