/* kv_layout.c - where the numbers of a cache page lie; nothing else in the engine computes these sizes.
 *
 * A tiled matrix is as wide as whole tiles of 16 values need. Scales of int8 stand behind the numbers, one a position: a
 * position arrives alone, and finer scales cost 4 bytes where a row of K has 64 or more. */
#include "plan/plan.h"

static size_t width(const kw_kv_layout *l)
{
    return l->tiled ? ((size_t)l->head_dim + 15) / 16 * 16 : (size_t)l->head_dim;
}

static size_t rows_bytes(const kw_kv_layout *l, size_t n_rows)
{
    return n_rows * width(l) * kw_dtype_get(l->dtype)->bytes;
}

static bool has_scales(const kw_kv_layout *l) { return l->dtype == KW_I8; }

size_t kw_kv_scales_at(const kw_kv_layout *l) { return rows_bytes(l, (size_t)l->page_rows); }

size_t kw_kv_head_bytes(const kw_kv_layout *l)
{
    size_t rows = rows_bytes(l, (size_t)l->page_rows);
    if (!has_scales(l)) return rows;
    return (rows + (size_t)l->page_rows * sizeof(float) + 63) & ~(size_t)63;
}

size_t kw_kv_page_bytes(const kw_kv_layout *l) { return kw_kv_offset(l, l->n_layers, 0, false); }

size_t kw_kv_offset(const kw_kv_layout *l, int layer, int head, bool is_v)
{
    size_t heads = ((size_t)layer * 2 + (is_v ? 1 : 0)) * (size_t)l->n_kv_heads + (size_t)head;
    return heads * kw_kv_head_bytes(l);
}

int kw_kv_spans(const kw_kv_layout *l, int n_rows, kw_kv_span span[2])
{
    bool whole = l->tiled && n_rows > 0; /* a tiled matrix's positions are everywhere in it */
    span[0] = (kw_kv_span){ 0, rows_bytes(l, (size_t)(whole ? l->page_rows : n_rows)) };
    span[1] = (kw_kv_span){ kw_kv_scales_at(l), (size_t)n_rows * sizeof(float) };
    return has_scales(l) ? 2 : 1;
}
