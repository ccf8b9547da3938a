/* features_other.c - a processor that no file here knows: the generic row. */
#include "cpu/generic/generic.h"

static const kw_kernels *const rows[] = { &kw_kernels_generic };

const kw_kernels *const *kw_kernel_rows(size_t *n)
{
    *n = sizeof rows / sizeof *rows;
    return rows;
}

const kw_cpu_feature *kw_cpu_feature_names(size_t *n)
{
    *n = 0;
    return NULL;
}

uint64_t kw_cpu_features(void) { return 0; }
