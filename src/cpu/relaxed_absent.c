/* relaxed_absent.c - a build without relaxed SIMD: its row is named, and no machine can use it. */
#include "cpu/relaxed.h"

const kw_kernels kw_kernels_relaxed = { .name = "relaxed", .needs = KW_CPU_RELAXED };

bool kw_relaxed_works(void) { return false; }
