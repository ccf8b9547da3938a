/* kv_layout.c - where the numbers of a cache page lie.
 *
 * One row per dtype of the cache; nothing else in the engine computes these sizes. An int8 matrix keeps its scales behind
 * the rows, so that a row is found in the same way in all of them:
 *
 *     f32, f16, bf16   [page_rows][head_dim]
 *     int8             [page_rows][head_dim] int8, then [page_rows / 16] f32, to a multiple of 64 bytes */
#include "plan/plan.h"

static size_t rows_bytes(const kw_kv_layout *l, size_t n_rows)
{
    return n_rows * (size_t)l->head_dim * kw_dtype_get(l->dtype)->bytes;
}

static bool has_scales(const kw_kv_layout *l) { return l->dtype == KW_I8; }

size_t kw_kv_scales_at(const kw_kv_layout *l) { return rows_bytes(l, (size_t)l->page_rows); }

static size_t scales_bytes(size_t n_rows)
{
    return (n_rows + KW_KV_SCALE_ROWS - 1) / KW_KV_SCALE_ROWS * sizeof(float);
}

size_t kw_kv_head_bytes(const kw_kv_layout *l)
{
    size_t rows = rows_bytes(l, (size_t)l->page_rows);
    if (!has_scales(l)) return rows;
    return (rows + scales_bytes((size_t)l->page_rows) + 63) & ~(size_t)63;
}

size_t kw_kv_page_bytes(const kw_kv_layout *l) { return kw_kv_offset(l, l->n_layers, 0, false); }

size_t kw_kv_offset(const kw_kv_layout *l, int layer, int head, bool is_v)
{
    size_t heads = ((size_t)layer * 2 + (is_v ? 1 : 0)) * (size_t)l->n_kv_heads + (size_t)head;
    return heads * kw_kv_head_bytes(l);
}

int kw_kv_spans(const kw_kv_layout *l, int n_rows, kw_kv_span span[2])
{
    span[0] = (kw_kv_span){ 0, rows_bytes(l, (size_t)n_rows) };
    span[1] = (kw_kv_span){ kw_kv_scales_at(l), scales_bytes((size_t)n_rows) };
    return has_scales(l) ? 2 : 1;
}
