/* select.c - picks the widest rows this machine can run; holes inherit from the rows below. */
#include "cpu/cpu.h"
#include "cpu/kernels.h"
#include <string.h>

/* What a row has goes over what is chosen. */
static void take(const kw_kernels *row, kw_kernels *chosen)
{
    if (row->gemm) chosen->panel = row->panel;
    if (row->wide) {
        memset(chosen->bytes, 0, sizeof chosen->bytes); /* its own, or none: wide is faster */
        chosen->wide_panels = row->wide_panels;
        chosen->wide_direct = row->wide_direct;
    }
#define KW_TAKE(kernel, args, doc)                                                                 \
    if (row->kernel) chosen->kernel = row->kernel;
    KW_KERNELS(KW_TAKE)
#undef KW_TAKE
    for (int t = 0; t < KW_DTYPE_COUNT; t++) {
        if (row->decode[t]) chosen->decode[t] = row->decode[t];
        if (row->dots_q8[t]) chosen->dots_q8[t] = row->dots_q8[t];
        if (row->few[t]) chosen->few[t] = row->few[t];
        if (row->tile[t]) chosen->tile[t] = row->tile[t];
        if (row->bytes[t]) chosen->bytes[t] = row->bytes[t];
    }
}

kw_status kw_kernels_select(uint64_t features, const char *cap, kw_kernels *chosen)
{
    size_t n;
    const kw_kernels *const *rows = kw_kernel_rows(&n);
    bool capped = cap && cap[0];
    for (size_t i = 0; capped && i < n; i++)
        if (strcmp(cap, rows[i]->name) == 0) n = i + 1, capped = false;
    if (capped) {
        kw_buf list = KW_BUF(1024, KW_PAY_MISC);
        kw_cpu_list_rows(&list);
        kw_status st = kw_fail(KW_EINVAL, "no kernel row is called \"%s\"\nwhy: this build has %s",
                               cap, kw_buf_text(&list));
        kw_buf_free(&list);
        return st;
    }
    *chosen = (kw_kernels){ 0 };
    for (int t = 0; t < KW_DTYPE_COUNT; t++) chosen->decode[t] = kw_dtype_get((kw_dtype)t)->decode;
    for (size_t i = 0; i < n; i++) {
        if ((rows[i]->needs & features) != rows[i]->needs) continue;
        chosen->name = rows[i]->name;
        chosen->needs = rows[i]->needs;
        for (const kw_kernels *part = rows[i]; part; part = part->also) take(part, chosen);
    }
    return KW_OK;
}

void kw_cpu_list_rows(kw_buf *out)
{
    size_t n;
    const kw_kernels *const *rows = kw_kernel_rows(&n);
    uint64_t features = kw_cpu_features();
    for (size_t i = 0; i < n; i++) {
        bool usable = (rows[i]->needs & features) == rows[i]->needs;
        kw_buf_printf(out, usable ? "%s%s" : "%s[%s]", i ? " " : "", rows[i]->name);
    }
}

void kw_cpu_list_features(kw_buf *out)
{
    size_t n;
    const kw_cpu_feature *f = kw_cpu_feature_names(&n);
    const char *space = "";
    uint64_t features = kw_cpu_features();
    for (size_t i = 0; i < n; i++) {
        if (!(features & f[i].bit)) continue;
        kw_buf_printf(out, "%s%s", space, f[i].name);
        space = " ";
    }
}
