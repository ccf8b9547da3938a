/* row_order.c - how the rows of a matrix lie in Hugging Face's files, and how in GGUF. */
#include "run/run.h"

kw_head_counts kw_model_heads(const kw_model *m)
{
    const kw_config *c = m->config;
    return (kw_head_counts){ c->head_dim, c->n_heads, c->n_kv_heads ? c->n_kv_heads : 1 };
}

kw_row_order kw_row_order_of(const kw_weight_row *row, bool is_interleaved, bool to_gguf)
{
    if (row->flags & KW_W_TURNED) return KW_ROWS_TURNED;
    if (row->flags & KW_W_GROUPED) return to_gguf ? KW_ROWS_PLAIN : KW_ROWS_GROUPED;
    if (row->flags & KW_W_ROPED && is_interleaved) return to_gguf ? KW_ROWS_PAIRS : KW_ROWS_HALVES;
    return KW_ROWS_SAME;
}

static int64_t pair_source(int64_t row, int64_t width, bool to_pairs)
{
    int64_t head = row / width, i = row % width, half = width / 2;
    int64_t from = to_pairs ? i % 2 * half + i / 2 : i % half * 2 + i / half;
    return head * width + from;
}

static int64_t grouped_of(kw_head_counts h, int64_t row)
{
    int64_t d = h.dim, kv = h.n_kv, each = h.n / kv;
    int64_t head = row / d, rest = row % d, n_q = h.n;
    int64_t group = head < n_q ? head / each : (head - n_q) % kv;
    int64_t place = head < n_q ? head % each : each + (head - n_q) / kv;
    return (group * (each + 2) + place) * d + rest;
}

static int64_t plain_of(kw_head_counts h, int64_t row)
{
    int64_t d = h.dim, kv = h.n_kv, each = h.n / kv;
    int64_t head = row / d, rest = row % d;
    int64_t group = head / (each + 2), place = head % (each + 2);
    int64_t at = place < each ? group * each + place : h.n + (place - each) * kv + group;
    return at * d + rest;
}

int64_t kw_row_source(kw_row_order order, kw_head_counts heads, int64_t row)
{
    switch (order) {
    case KW_ROWS_PAIRS: return pair_source(row, heads.dim, true);
    case KW_ROWS_HALVES: return pair_source(row, heads.dim, false);
    case KW_ROWS_PLAIN: return grouped_of(heads, row);
    case KW_ROWS_GROUPED: return plain_of(heads, row);
    default: return row;
    }
}
