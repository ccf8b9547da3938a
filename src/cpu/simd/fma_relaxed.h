/* fma_relaxed.h - a * b + c in relaxed SIMD: one rounding or two, as the machine likes. */
#ifndef KW_CPU_SIMD_FMA_RELAXED_H
#define KW_CPU_SIMD_FMA_RELAXED_H

#include "cpu/simd/wasm128.h"

static inline H h_fma(H a, H b, H c) { return wasm_f32x4_relaxed_madd(a, b, c); }

#endif
