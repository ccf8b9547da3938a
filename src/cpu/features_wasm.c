/* features_wasm.c - the rows of a WebAssembly build. An engine without SIMD128 refuses the whole module, so a module that
 * runs has it. Relaxed SIMD is another module (wasm_relaxed.c), and counts where it computes what it should. */
#include "cpu/generic/generic.h"
#include "cpu/relaxed.h"

extern const kw_kernels kw_kernels_wasm128;

static const kw_kernels *const rows[] = { &kw_kernels_generic, &kw_kernels_wasm128,
                                          &kw_kernels_relaxed };

const kw_kernels *const *kw_kernel_rows(size_t *n)
{
    *n = sizeof rows / sizeof *rows;
    return rows;
}

static const kw_cpu_feature names[] = { { "simd128", KW_CPU_SIMD128 },
                                        { "relaxed", KW_CPU_RELAXED } };

const kw_cpu_feature *kw_cpu_feature_names(size_t *n)
{
    *n = sizeof names / sizeof *names;
    return names;
}

uint64_t kw_cpu_features(void)
{
    return KW_CPU_SIMD128 | (kw_relaxed_works() ? KW_CPU_RELAXED : 0);
}
