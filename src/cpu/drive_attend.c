/* drive_attend.c - the cache: storing rows, and attention over its pages.
 *
 * ATTEND is two steps. The first copies the new rows' k and v into their pages; the second lets each query row walk
 * the pages of its own sequence, block by block at fixed absolute positions, with a running softmax. A chunk is one
 * kv head and up to ROWS query rows, so a page is read (and, when it holds f16, decoded) once for all of them and for
 * all query heads that share it.
 *
 *   page t/64 of a sequence:   K [kv head][64][head_dim] | V [kv head][64][head_dim]   for each layer */
#include "cpu/internal.h"
#include <math.h>
#include <string.h>

enum { ROWS = 16 }; /* query rows of a chunk */

/* ---- storing ---- */

static int64_t store_chunks(const kw_run *r) { return kw_live_rows(r, r->step->op->src[1]); }

static void store_half(const kw_run *r, int64_t row, bool is_v)
{
    const kw_op *op = r->step->op;
    const kw_kv_binding *kv = r->b->kv;
    const int32_t *at = (const int32_t *)kw_place(r, op->src[3]) + 2 * row;
    const float *src =
        (const float *)kw_place(r, op->src[is_v ? 2 : 1]) + row * kw_cols(r, op->src[1]);
    unsigned char *page = kv->pages[at[0]][at[1] / kv->layout.page_rows]->host;
    size_t hd = (size_t)kv->layout.head_dim, slot = (size_t)(at[1] % kv->layout.page_rows) * hd;
    const kw_dtype_info *type = kw_dtype_get(kv->layout.dtype);
    for (int h = 0; h < kv->layout.n_kv_heads; h++) {
        unsigned char *base = page + kw_kv_offset(&kv->layout, op->p.attend.layer, h, is_v);
        type->encode(src + (size_t)h * hd, base + slot * type->bytes, hd);
    }
}

static void store(const kw_run *r, int64_t row)
{
    store_half(r, row, false);
    store_half(r, row, true);
}

/* ---- alibi ----
 * Slopes fall from head to head: 2^(-8/n) to the power of 1, 2, .. for the n heads below the largest power of two, and the
 * odd powers of its root for the rest (arXiv 2108.12409). Slope, position and their product are rounded to bf16, as in the code
 * that the models come with. */

static float bf16(float x) { return kw_bf16_to_f32(kw_f32_to_bf16(x)); }

static float slope_of(int n_heads, int head)
{
    int n = 1;
    while (2 * n <= n_heads) n *= 2;
    float base = (float)kw_pow(2, (head < n ? -8.0 : -4.0) / n);
    return (float)kw_pow((double)base, head < n ? head + 1 : 2 * (head - n) + 1);
}

void kw_attend_alibi(const kw_attend_args *a, int kv_head, int block, float scale, float *bias)
{
    int group = a->n_heads / a->n_kv_heads;
    for (int h = 0; h < group; h++) {
        float slope = bf16(slope_of(a->n_heads, kv_head * group + h));
        for (int t = 0; t < KW_ATTEND_BLOCK; t++)
            bias[h * KW_ATTEND_BLOCK + t] =
                bf16(slope * bf16((float)(block * KW_ATTEND_BLOCK + t))) * a->alibi * scale;
    }
}

/* ---- distances: a table of what each adds to the scores ---- */

void kw_attend_distances(const kw_run *r, kw_attend_query at, float scale, float *bias)
{
    const kw_op *op = r->step->op;
    int64_t most = kw_cols(r, op->src[4]);
    int group = op->p.attend.n_heads / op->p.attend.n_kv_heads;
    const float *table = (const float *)kw_place(r, op->src[4]) + at.kv_head * group * most;
    for (int h = 0; h < group; h++, table += most)
        for (int t = 0; t < KW_ATTEND_BLOCK; t++) {
            int64_t back = (int64_t)at.position - at.block * KW_ATTEND_BLOCK - t;
            back = back < 0 ? 0 : kw_least(back, most - 1);
            *bias++ = table[back] * scale;
        }
}

/* ---- attending ---- */

typedef struct walk {
    const kw_run *r;
    const kw_attend_args *a;
    int kv_head;
    int64_t from, n;        /* query rows */
    float *acc, *max, *sum; /* [ROWS][group][head_dim], [ROWS][group] */
    float *k, *v;           /* a decoded block, when the cache is not f32 */
    float *bias;         /* [group][KW_ATTEND_BLOCK]: alibi of the block, or distances from a row */
    const void *decoded; /* the page that k and v hold */
} walk;

static int group_of(const kw_attend_args *a) { return a->n_heads / a->n_kv_heads; }

size_t kw_attend_worker_bytes(const kw_op *op)
{
    const kw_attend_args *a = &op->p.attend;
    size_t states = (size_t)ROWS * (size_t)group_of(a), hd = (size_t)a->head_dim;
    size_t bias = (size_t)group_of(a) * KW_ATTEND_BLOCK;
    return (states * (hd + 2) + 2 * KW_ATTEND_BLOCK * hd + bias) * sizeof(float);
}

static int64_t attend_chunks(const kw_run *r)
{
    return (kw_live_rows(r, r->step->op->dst) + ROWS - 1) / ROWS * r->step->op->p.attend.n_kv_heads;
}

static walk begin(const kw_run *r, int64_t chunk)
{
    const kw_attend_args *a = &r->step->op->p.attend;
    size_t states = (size_t)ROWS * (size_t)group_of(a), hd = (size_t)a->head_dim;
    walk w = { .r = r,
               .a = a,
               .kv_head = (int)(chunk % a->n_kv_heads),
               .from = chunk / a->n_kv_heads * ROWS };
    w.n = kw_least(ROWS, kw_live_rows(r, r->step->op->dst) - w.from);
    w.acc = kw_worker_memory(r);
    w.max = w.acc + states * hd;
    w.sum = w.max + states;
    w.k = w.sum + states;
    w.v = w.k + KW_ATTEND_BLOCK * hd;
    w.bias = w.v + KW_ATTEND_BLOCK * hd;
    memset(w.acc, 0, states * hd * sizeof(float));
    for (size_t i = 0; i < states; i++) {
        w.max[i] = -INFINITY;
        w.sum[i] = 0;
    }
    return w;
}

/* The block's K or V as f32: in the page itself, or decoded once for all rows of the chunk. */
static void load_block(walk *w, const kw_memory *page, const float **k, const float **v)
{
    const kw_kv_layout *l = &w->r->b->kv->layout;
    const unsigned char *host = page->host;
    const void *pk = host + kw_kv_offset(l, w->a->layer, w->kv_head, false);
    const void *pv = host + kw_kv_offset(l, w->a->layer, w->kv_head, true);
    if (l->dtype == KW_F32) {
        *k = pk;
        *v = pv;
        return;
    }
    if (w->decoded != host) {
        size_t n = (size_t)KW_ATTEND_BLOCK * (size_t)l->head_dim;
        w->r->g->kernels.decode[l->dtype](pk, w->k, n);
        w->r->g->kernels.decode[l->dtype](pv, w->v, n);
        w->decoded = host;
    }
    *k = w->k;
    *v = w->v;
}

/* One query row against one block, when it sees any of it. */
static void attend_block(walk *w, int64_t row, int32_t block)
{
    const kw_op *op = w->r->step->op;
    const int32_t *at = (const int32_t *)kw_place(w->r, op->src[3]) + 2 * (w->from + row);
    int32_t start = block * KW_ATTEND_BLOCK, first = w->a->window ? at[1] - w->a->window + 1 : 0;
    if (at[1] < start || first >= start + KW_ATTEND_BLOCK) return;
    int group = group_of(w->a);
    size_t hd = (size_t)w->a->head_dim, state = (size_t)row * (size_t)group;
    if (op->src[4].id)
        kw_attend_distances(w->r, (kw_attend_query){ w->kv_head, at[1], block }, 1 / w->a->scale,
                            w->bias);
    const float *q =
        (const float *)kw_place(w->r, op->src[0]) + (w->from + row) * kw_cols(w->r, op->dst);
    kw_attend_block b = {
        .q = q + (size_t)w->kv_head * (size_t)group * hd,
        .q_stride = hd,
        .acc = w->acc + state * hd,
        .max = w->max + state,
        .sum = w->sum + state,
        .heads = group,
        .head_dim = w->a->head_dim,
        .from = first > start ? first - start : 0,
        .n = (int)kw_least(KW_ATTEND_BLOCK, at[1] - start + 1),
        .scale = w->a->scale,
        .softcap = w->a->softcap,
        .bias = w->a->alibi != 0 || op->src[4].id ? w->bias : NULL,
    };
    load_block(w, w->r->b->kv->pages[at[0]][block], &b.k, &b.v);
    w->r->g->kernels.attend(&b);
}

static void finish(const walk *w, int64_t row)
{
    const kw_op *op = w->r->step->op;
    int group = group_of(w->a);
    size_t hd = (size_t)w->a->head_dim;
    float *dst = (float *)kw_place(w->r, op->dst) + (w->from + row) * kw_cols(w->r, op->dst);
    for (int h = 0; h < group; h++) {
        size_t state = (size_t)row * (size_t)group + (size_t)h;
        float *out = dst + ((size_t)w->kv_head * (size_t)group + (size_t)h) * hd;
        for (size_t j = 0; j < hd; j++) out[j] = w->acc[state * hd + j] / w->sum[state];
    }
}

static void attend(const kw_run *r, int64_t chunk)
{
    walk w = begin(r, chunk);
    const int32_t *at = (const int32_t *)kw_place(r, r->step->op->src[3]) + 2 * w.from;
    int32_t last = 0;
    for (int64_t i = 0; i < w.n; i++) last = at[2 * i + 1] > last ? at[2 * i + 1] : last;
    for (int32_t block = 0; block <= last / KW_ATTEND_BLOCK; block++) {
        if (w.a->alibi != 0) kw_attend_alibi(w.a, w.kv_head, block, 1, w.bias);
        for (int64_t i = 0; i < w.n; i++) attend_block(&w, i, block);
    }
    for (int64_t i = 0; i < w.n; i++) finish(&w, i);
}

const kw_op_driver kw_drive_store = { .chunks = store_chunks, .run = store, .helps = true };
const kw_op_driver kw_drive_attend = { .chunks = attend_chunks, .run = attend };
