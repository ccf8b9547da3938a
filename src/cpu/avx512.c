/* avx512.c - the AVX-512 row: sixteen lanes where the width of a sum is not part of its meaning. Exact dot products
 * keep eight sums and stay with AVX2's kernels. */
#include "cpu/generic/generic.h"
#include "cpu/simd/avx512.h"

#define TILE_X 8
#define PANEL_V 3 /* 8 x 3 accumulators, 3 weights of 32 registers */
#include "cpu/vec.inc"

const kw_kernels kw_kernels_avx512 = {
    .name = "avx512",
    .needs = KW_CPU_AVX2 | KW_CPU_FMA | KW_CPU_F16C | KW_CPU_AVX512F | KW_CPU_AVX512BW |
             KW_CPU_AVX512VL | KW_CPU_AVX512DQ,
    .add = add,
    .mul = mul,
    .silu = silu,
    .swiglu = swiglu,
    .panel = PANEL,
    .gemm = gemm,
};
