/* fma_wasm128.h - a * b + c in SIMD128, which has no fused one: two roundings, everywhere the same. */
#ifndef KW_CPU_SIMD_FMA_WASM128_H
#define KW_CPU_SIMD_FMA_WASM128_H

#include "cpu/simd/wasm128.h"

static inline H h_fma(H a, H b, H c) { return wasm_f32x4_add(wasm_f32x4_mul(a, b), c); }

#endif
