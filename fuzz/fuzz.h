/* fuzz.h - what the targets share: a check that is not compiled away. */
#ifndef KW_FUZZ_H
#define KW_FUZZ_H

#include "base/base.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline void expect(bool ok)
{
    if (!ok) abort();
}

#endif
