/* features_x86.c - the rows of an x86 build, and what this processor can run.
 *
 * CPUID says what the processor has, XGETBV what the system saves on a context switch: both must agree before a
 * wide register is touched. The compiler's builtin asks both. */
#include "cpu/generic/generic.h"
#include <cpuid.h>

extern const kw_kernels kw_kernels_sse2, kw_kernels_avx2, kw_kernels_avx512, kw_kernels_avx512vnni,
    kw_kernels_amx;

/* clang-format off */
static const kw_kernels *const rows[] = {
    &kw_kernels_generic,
    &kw_kernels_sse2,
    &kw_kernels_avx2,
    &kw_kernels_avx512,
    &kw_kernels_avx512vnni,
    &kw_kernels_amx,
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
    { "avx512bf16", KW_CPU_AVX512BF16 },
    { "amx_bf16", KW_CPU_AMX_BF16 },
};
/* clang-format on */

const kw_cpu_feature *kw_cpu_feature_names(size_t *n)
{
    *n = sizeof names / sizeof *names;
    return names;
}

/* CPUID leaf 7: AMX-BF16 and AMX-TILE. gcc 12's builtin does not know them. */
static bool has_tiles(void)
{
    unsigned a, b, c, d;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
    return (d >> 22 & 1) && (d >> 24 & 1);
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
    f |= __builtin_cpu_supports("avx512bf16") ? KW_CPU_AVX512BF16 : 0;
    f |= has_tiles() && kw_allow_tiles() ? KW_CPU_AMX_BF16 : 0;
    return f;
}
