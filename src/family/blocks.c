/* blocks.c - what three or more families share: the checks of what a file says of its sizes, and the parts of the
 * mathematics that are the same in them. Rope has rope.c, windows have windows.c, T5's
 * distances distances.c. */
#include "family/blocks.h"
#include <math.h>
#include <string.h>

/* ---- checks ---- */

kw_status kw_check_sizes(const kw_size *sizes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (sizes[i].value < 1 || sizes[i].value > sizes[i].max)
            return kw_fail(KW_EFORMAT, "%s is %d, expected 1 to %d", sizes[i].name, sizes[i].value,
                           sizes[i].max);
    return KW_OK;
}

kw_status kw_check_word(const char *what, const char *word, const char *known)
{
    size_t n = strlen(word);
    bool found = n == 0;
    for (const char *at = known; *at && !found; at += strspn(at, ", ")) {
        size_t length = strcspn(at, ",");
        found = length == n && memcmp(at, word, n) == 0;
        at += length;
    }
    return found ? KW_OK
                 : kw_fail(KW_EUNSUPPORTED, "%s \"%s\"\nwhy: known of this family: %s", what, word,
                           known);
}

kw_status kw_check_config(kw_config *c)
{
    const kw_size sizes[] = {
        { "width", c->dim, 1 << 20 },
        { "feed-forward width", c->ffn_dim, 1 << 22 },
        { "layers", c->n_layers, 4096 },
        { "heads", c->n_heads, 65536 },
        { c->ctx_is_fixed ? "positions" : "context", c->ctx_train,
          c->ctx_is_fixed ? 1 << 24 : 1 << 30 },
    };
    kw_status st = kw_check_sizes(sizes, sizeof sizes / sizeof *sizes);
    if (st) return st;
    if (c->head_dim == 0 && c->dim % c->n_heads)
        return kw_fail(KW_EFORMAT, "%d heads do not divide width %d", c->n_heads, c->dim);
    if (c->head_dim == 0) c->head_dim = c->dim / c->n_heads;
    if (c->n_kv_heads == 0) c->n_kv_heads = c->n_heads;
    if (c->n_kv_heads < 1 || c->n_heads % c->n_kv_heads || c->head_dim < 1 || c->head_dim > 16384)
        return kw_fail(KW_EFORMAT, "%d heads over %d kv heads, of width %d", c->n_heads,
                       c->n_kv_heads, c->head_dim);
    if (!(c->eps >= 0)) return kw_fail(KW_EFORMAT, "epsilon of the norms is %g", c->eps);
    c->q_dim = c->n_heads * c->head_dim;
    c->kv_dim = c->n_kv_heads * c->head_dim;
    if (c->q_dim <= 1 << 28) c->qkv_dim = c->q_dim + 2 * c->kv_dim;
    return kw_check_sizes(&(kw_size){ "width of all heads", c->q_dim, 1 << 28 }, 1);
}

/* ---- mathematics ---- */

kw_val kw_enter_ids(kw_plan *p, const kw_config *c, const kw_weights *w,
                    const kw_decoder_inputs *in)
{
    (void)c;
    return kw_embed(p, in->ids, kw_bind(p, w->embed));
}

kw_val kw_leave_rms(kw_plan *p, const kw_config *c, const kw_weights *w, kw_val x)
{
    return kw_rms_norm(p, x, kw_bind(p, w->norm), (float)c->eps);
}

kw_val kw_norm(kw_plan *p, const kw_config *c, kw_val x, kw_weight_ref w, kw_weight_ref b)
{
    return kw_layer_norm(p, x, kw_bind(p, w), kw_bind(p, b), (float)c->eps);
}

kw_val kw_leave_norm(kw_plan *p, const kw_config *c, const kw_weights *w, kw_val x)
{
    return kw_norm(p, c, x, w->norm, w->b_norm);
}

kw_val kw_head(kw_plan *p, const kw_config *c, const kw_weights *w, kw_val x)
{
    (void)c;
    return kw_linear(p, x, kw_bind(p, w->head), KW_NONE);
}

kw_attend_args kw_heads(const kw_config *c, int il)
{
    return (kw_attend_args){
        .layer = il,
        .n_heads = c->n_heads,
        .n_kv_heads = c->n_kv_heads,
        .head_dim = c->head_dim,
        .window = kw_window_of(&c->windows, il),
        .scale = 1.0f / sqrtf((float)c->head_dim),
    };
}
