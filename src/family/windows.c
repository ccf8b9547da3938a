/* windows.c - which layers look at a window of the last positions only: the file names each layer's type, or a pattern, or all
 * layers from one on have it. */
#include "family/blocks.h"

/* clang-format off */
const kw_field kw_window_fields[] = {
    F(windows.size,  INT,   false, 0, "sliding_window", "attention.sliding_window"),
    F(windows.types, WORDS, false, 0, "layer_types",    NULL),
    END,
};
/* clang-format on */

static bool is_sliding(kw_str type) { return kw_str_is(type, "sliding_attention"); }

int kw_window_of(const kw_windows *w, int il)
{
    if (w->types.n) return is_sliding(w->types.at[il]) ? w->size : 0;
    if (w->pattern.n == 1) return (il + 1) % (int)w->pattern.at[0] ? w->size : 0;
    if (w->pattern.n) return w->pattern.at[il] != 0 ? w->size : 0;
    return il >= w->from ? w->size : 0;
}

/* 0 when one layer sees all. */
static int window_of_all(const kw_windows *w, int n_layers)
{
    for (int il = 0; il < n_layers; il++)
        if (kw_window_of(w, il) == 0) return 0;
    return w->size;
}

static kw_status check_type(const kw_windows *w, int il)
{
    kw_str t = w->types.at[il];
    if (!is_sliding(t) && !kw_str_is(t, "full_attention"))
        return kw_fail(KW_EUNSUPPORTED,
                       "layer %d has type \"%.*s\"\nwhy: known are full_attention and "
                       "sliding_attention",
                       il, (int)(t.n < 64 ? t.n : 64), t.p);
    if (is_sliding(t) && w->size == 0)
        return kw_fail(KW_EFORMAT, "layer %d has a sliding window, but its size is not given", il);
    return KW_OK;
}

kw_status kw_check_windows(kw_config *c)
{
    const kw_windows *w = &c->windows;
    int n_layers = c->n_layers;
    if (w->size < 0) return kw_fail(KW_EFORMAT, "a sliding window of %d positions", w->size);
    if (w->types.n && w->types.n != n_layers)
        return kw_fail(KW_EFORMAT, "types of %d layer%s (layer_types), the model has %d",
                       w->types.n, kw_s((uint64_t)w->types.n), n_layers);
    if (w->pattern.n > 1 && w->pattern.n != n_layers)
        return kw_fail(KW_EFORMAT, "a window pattern of %d layers, the model has %d", w->pattern.n,
                       n_layers);
    if (w->pattern.n == 1 && !(w->pattern.at[0] >= 1 && w->pattern.at[0] <= 65536))
        return kw_fail(KW_EFORMAT, "every %g-th layer is to be without a window",
                       (double)w->pattern.at[0]);
    for (int il = 0; il < w->types.n; il++) {
        kw_status st = check_type(w, il);
        if (st) return st;
    }
    c->window = window_of_all(w, n_layers);
    return KW_OK;
}
