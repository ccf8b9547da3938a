/* features_x86.c - the rows of an x86 build, and what this processor can run.
 *
 * CPUID says what the processor has, XGETBV what the system saves on a context switch: both must agree before a
 * wide register is touched. The compiler's builtin asks both. */
#include "cpu/generic/generic.h"

extern const kw_kernels kw_kernels_sse2, kw_kernels_avx2, kw_kernels_avx512, kw_kernels_avx512vnni;

/* clang-format off */
static const kw_kernels *const rows[] = {
    &kw_kernels_generic,
    &kw_kernels_sse2,
    &kw_kernels_avx2,
    &kw_kernels_avx512,
    &kw_kernels_avx512vnni,
};
/* clang-format on */

const kw_kernels *const *kw_kernel_rows(size_t *n)
{
    *n = sizeof rows / sizeof *rows;
    return rows;
}

/* clang-format off */
static const kw_cpu_feature names[] = {
    { "sse2", KW_CPU_SSE2 },
    { "sse4.2", KW_CPU_SSE42 },
    { "avx2", KW_CPU_AVX2 },
    { "fma", KW_CPU_FMA },
    { "f16c", KW_CPU_F16C },
    { "avx512f", KW_CPU_AVX512F },
    { "avx512bw", KW_CPU_AVX512BW },
    { "avx512vl", KW_CPU_AVX512VL },
    { "avx512dq", KW_CPU_AVX512DQ },
    { "avx512vnni", KW_CPU_AVX512VNNI },
};
/* clang-format on */

const kw_cpu_feature *kw_cpu_feature_names(size_t *n)
{
    *n = sizeof names / sizeof *names;
    return names;
}

uint64_t kw_cpu_features(void)
{
    __builtin_cpu_init();
    uint64_t f = 0;
    f |= __builtin_cpu_supports("sse2") ? KW_CPU_SSE2 : 0;
    f |= __builtin_cpu_supports("sse4.2") ? KW_CPU_SSE42 : 0;
    f |= __builtin_cpu_supports("avx2") ? KW_CPU_AVX2 : 0;
    f |= __builtin_cpu_supports("fma") ? KW_CPU_FMA : 0;
    f |= __builtin_cpu_supports("f16c") ? KW_CPU_F16C : 0;
    f |= __builtin_cpu_supports("avx512f") ? KW_CPU_AVX512F : 0;
    f |= __builtin_cpu_supports("avx512bw") ? KW_CPU_AVX512BW : 0;
    f |= __builtin_cpu_supports("avx512vl") ? KW_CPU_AVX512VL : 0;
    f |= __builtin_cpu_supports("avx512dq") ? KW_CPU_AVX512DQ : 0;
    f |= __builtin_cpu_supports("avx512vnni") ? KW_CPU_AVX512VNNI : 0;
    return f;
}
