/* features_arm.c - the rows of a 64-bit Arm build, and what this processor can run: Linux says so in the process's
 * auxiliary vector (HWCAP bits; their values are fixed by the kernel's interface). */
#include "cpu/generic/generic.h"
#include <sys/auxv.h>

extern const kw_kernels kw_kernels_neon, kw_kernels_dotprod, kw_kernels_i8mm;

static const kw_kernels *const rows[] = {
    &kw_kernels_generic,
    &kw_kernels_neon,
    &kw_kernels_dotprod,
    &kw_kernels_i8mm,
};

const kw_kernels *const *kw_kernel_rows(size_t *n)
{
    *n = sizeof rows / sizeof *rows;
    return rows;
}

static const kw_cpu_feature names[] = {
    { "neon", KW_CPU_NEON },
    { "dotprod", KW_CPU_DOTPROD },
    { "i8mm", KW_CPU_I8MM },
};

const kw_cpu_feature *kw_cpu_feature_names(size_t *n)
{
    *n = sizeof names / sizeof *names;
    return names;
}

uint64_t kw_cpu_features(void)
{
    enum { ASIMD = 1, ASIMDDP = 20, I8MM = 13 }; /* bits of HWCAP, HWCAP, HWCAP2 */
    unsigned long cap = getauxval(AT_HWCAP), cap2 = getauxval(AT_HWCAP2);
    uint64_t f = 0;
    f |= cap >> ASIMD & 1 ? KW_CPU_NEON : 0;
    f |= cap >> ASIMDDP & 1 ? KW_CPU_DOTPROD : 0;
    f |= cap2 >> I8MM & 1 ? KW_CPU_I8MM : 0;
    return f;
}
