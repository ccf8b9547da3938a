/* relaxed.h - what the files of relaxed SIMD share. */
#ifndef KW_CPU_RELAXED_H
#define KW_CPU_RELAXED_H

#include "cpu/kernels.h"

/* Formats whose codes are below 128, and the others. */
/* clang-format off */
#define BYTE_SHAPES(X) X(Q4_0) X(Q4_1) X(Q5_0) X(Q5_1) X(Q2_K) X(Q3_K) X(Q4_K) X(Q5_K) X(Q6_K)
#define WORD_SHAPES(X) X(Q8_0) X(IQ4_NL) X(IQ4_XS)
/* clang-format on */

extern const kw_kernels kw_packed_wasm128, kw_kernels_relaxed, kw_relaxed_words;

/* relaxed_test.c: whether this machine and its compiler of WebAssembly get the row right; false where it is absent. */
bool kw_relaxed_works(void);

#endif
