/* avx512vnni.c - int8 dot products in one instruction, on 256-bit registers. */
#include "cpu/generic/generic.h"
#include "cpu/simd/avx2.h"

#define HAS_DPBUSD 1
#include "cpu/q8.inc"

const kw_kernels kw_kernels_avx512vnni = {
    .name = "avx512vnni",
    .needs = KW_CPU_AVX2 | KW_CPU_FMA | KW_CPU_F16C | KW_CPU_AVX512F | KW_CPU_AVX512BW |
             KW_CPU_AVX512VL | KW_CPU_AVX512DQ | KW_CPU_AVX512VNNI,
    .dots_q8 = { [KW_Q4_0] = dots_q4_0,
                 [KW_Q4_1] = dots_q4_1,
                 [KW_Q8_0] = dots_q8_0,
                 [KW_Q6_K] = dots_q6_k,
                 [KW_Q4_K] = dots_q4_k },
};
