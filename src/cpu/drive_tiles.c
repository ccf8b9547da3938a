/* drive_tiles.c - attention of fast mode, over the tiled cache (plan/backend.h).
 *
 * Three steps. The new rows' k and v go to their tiles. Then a chunk takes one kv head, up to 16 rows with all query heads
 * that share it, and a span of the context; queries that look at the same page go through the kernel together. Few rows
 * (decoding) would leave workers idle, so their context is cut into SPANS spans by each row's own length, whatever the number
 * of threads, and a third step joins the parts; many rows have one span and are done in the second. Where the kernels have an
 * attend_many, it takes them, and a chunk is as many rows as make up MANY queries: a page is laid out once for all of them. */
#include "cpu/internal.h"
#include <math.h>
#include <string.h>

enum { ROWS = 16, SPANS = 4, FEW = 8, TILE = 16, MANY = 128, MOST_ROWS = 64 };

static int group_of(const kw_attend_args *a) { return a->n_heads / a->n_kv_heads; }

static size_t padded(int head_dim) { return ((size_t)head_dim + TILE - 1) / TILE * TILE; }

static bool is_few(const kw_plan *p, const kw_op *op)
{
    return kw_tensor_rows(&kw_plan_value(p, op->dst)->t) <= FEW;
}

/* A query's state as floats: its sums, the largest score, the sum of weights. */
static size_t state_floats(const kw_attend_args *a) { return padded(a->head_dim) + 2; }

static bool is_many(const kw_cpu_program *g, const kw_op *op)
{
    return g->kernels.attend_many && !is_few(g->plan, op);
}

/* Rows of a chunk. */
static int64_t rows_of(const kw_cpu_program *g, const kw_op *op)
{
    if (!is_many(g, op)) return ROWS;
    int64_t rows = MANY / group_of(&op->p.attend);
    return rows < ROWS ? ROWS : kw_least(rows, MOST_ROWS);
}

size_t kw_tiles_part_bytes(const kw_plan *p, const kw_op *op)
{
    if (!is_few(p, op)) return 0;
    size_t rows = (size_t)kw_tensor_rows(&kw_plan_value(p, op->dst)->t);
    return rows * (size_t)op->p.attend.n_heads * SPANS * state_floats(&op->p.attend) *
           sizeof(float);
}

/* Turns x by a Hadamard matrix (its own inverse), in blocks of the largest power of two that divides n. Some channels of k
 * are many times larger than the rest and would leave int8 few steps for the others; turned, all are alike, and q . k stays
 * what it is when q is turned too (arXiv 2404.00456). Weighted sums of turned v are turned back at the end. */
static void turn(float *x, size_t n)
{
    size_t block = n & (~n + 1);
    for (size_t half = 1; half < block; half *= 2)
        for (size_t i = 0; i < n; i++)
            if (!(i & half)) {
                float a = x[i], b = x[i + half];
                x[i] = a + b;
                x[i + half] = a - b;
            }
    float scale = 1.0f / sqrtf((float)block);
    for (size_t i = 0; i < n; i++) x[i] *= scale;
}

static bool is_turned(const kw_run *r) { return r->b->kv->layout.dtype == KW_I8; }

/* ---- storing ---- */

static int64_t store_chunks(const kw_run *r) { return kw_live_rows(r, r->step->op->src[1]); }

/* One head's row as numbers of the cache's dtype (out has room for two rows of f32); the scale of int8. */
static float numbers_of(const float *x, kw_dtype dtype, size_t n, void *out)
{
    if (dtype != KW_I8) {
        kw_dtype_get(dtype)->encode(x, out, n);
        return 1;
    }
    float max = 0, *turned = (float *)(void *)((unsigned char *)out + 4 * n);
    memcpy(turned, x, n * sizeof *x);
    turn(turned, n);
    for (size_t i = 0; i < n; i++) max = fabsf(turned[i]) > max ? fabsf(turned[i]) : max;
    float inverse = max > KW_GROUP_LEAST ? 127.0f / max : 0;
    for (size_t i = 0; i < n; i++) ((int8_t *)out)[i] = (int8_t)lrintf(turned[i] * inverse);
    return max / 127.0f;
}

/* Value i of a row goes to number at + i * step of K, or to its tile of V. */
static void spread_row(const kw_kv_layout *l, const unsigned char *row, int position, bool is_v,
                       unsigned char *matrix)
{
    size_t bytes = kw_dtype_get(l->dtype)->bytes, n = (size_t)l->head_dim, at = (size_t)position;
    for (size_t i = 0; i < n; i++) {
        size_t number = is_v ? (i / TILE * (size_t)l->page_rows + at) * TILE + i % TILE
                             : (at / TILE * n + i) * TILE + at % TILE;
        memcpy(matrix + number * bytes, row + i * bytes, bytes);
    }
}

/* A row of k or v; k is rotated beside the numbers' place where that was left to the store. */
static const float *new_row(const kw_run *r, int64_t row, bool is_v)
{
    const kw_op *op = r->step->op;
    size_t cols = (size_t)kw_cols(r, op->src[1]);
    if (is_v || !r->step->rope)
        return (const float *)kw_place(r, op->src[is_v ? 2 : 1]) + (size_t)row * cols;
    float *out = (float *)kw_worker_memory(r) + 2 * (size_t)op->p.attend.head_dim;
    kw_rotate_row(r, r->step->rope, row, out);
    return out;
}

static void store_half(const kw_run *r, int64_t row, bool is_v)
{
    const kw_op *op = r->step->op;
    const kw_kv_layout *l = &r->b->kv->layout;
    const int32_t *at = (const int32_t *)kw_place(r, op->src[3]) + 2 * row;
    const float *x = new_row(r, row, is_v);
    unsigned char *page = r->b->kv->pages[at[0]][at[1] / l->page_rows]->host;
    unsigned char *numbers = kw_worker_memory(r);
    int position = at[1] % l->page_rows;
    for (int h = 0; h < l->n_kv_heads; h++, x += l->head_dim) {
        unsigned char *matrix = page + kw_kv_offset(l, op->p.attend.layer, h, is_v);
        float scale = numbers_of(x, l->dtype, (size_t)l->head_dim, numbers);
        spread_row(l, numbers, position, is_v, matrix);
        if (l->dtype == KW_I8)
            memcpy(matrix + kw_kv_scales_at(l) + 4 * (size_t)position, &scale, sizeof scale);
    }
}

static void store(const kw_run *r, int64_t row)
{
    store_half(r, row, false);
    store_half(r, row, true);
}

/* ---- attending ---- */

/* A chunk: rows first..first+n of one kv head, span number `span`; and the worker's memory for it. */
typedef struct walk {
    const kw_run *r;
    const kw_attend_args *a;
    const int32_t *at; /* sequence and position of every row */
    int kv_head, group, span, n_spans;
    int64_t first, n;
    float *q, *acc, *max, *sum, *w, *bias;
    unsigned char *parts, *scratch; /* attend_many: queries in their parts; NULL: q */
    int *from, *to;
} walk;

/* Floats of a chunk's queries: as they are, or in their parts. */
static size_t query_floats(const kw_cpu_program *g, const kw_op *op, size_t queries)
{
    size_t hd = (size_t)op->p.attend.head_dim;
    if (!is_many(g, op)) return queries * hd;
    return (queries + KW_ATTEND_MORE) * kw_attend_parts_bytes(hd) / sizeof(float);
}

size_t kw_tiles_worker_bytes(const kw_cpu_program *g, const kw_op *op)
{
    const kw_attend_args *a = &op->p.attend;
    size_t queries = (size_t)(rows_of(g, op) * group_of(a)), hd = (size_t)a->head_dim;
    size_t attend = queries * (padded(a->head_dim) + 2 + KW_ATTEND_BLOCK + 2) + 64;
    attend += query_floats(g, op, queries);
    attend += (op->src[4].id ? queries : (size_t)group_of(a)) * KW_ATTEND_BLOCK; /* bias */
    if (is_many(g, op))
        attend += KW_ATTEND_MORE * KW_ATTEND_BLOCK + kw_attend_scratch_bytes(hd) / sizeof(float);
    size_t store = (2 + (size_t)a->n_kv_heads) * hd, join = (size_t)a->n_heads * hd;
    size_t most = store > join ? store : join;
    return (attend > most ? attend : most) * sizeof(float);
}

static int spans_of(const kw_run *r) { return is_few(r->g->plan, r->step->op) ? SPANS : 1; }

static int64_t attend_chunks(const kw_run *r)
{
    int64_t rows = rows_of(r->g, r->step->op);
    int64_t groups = (kw_live_rows(r, r->step->op->dst) + rows - 1) / rows;
    return groups * r->step->op->p.attend.n_kv_heads * spans_of(r);
}

static walk begin(const kw_run *r, int64_t chunk)
{
    const kw_op *op = r->step->op;
    const kw_attend_args *a = &op->p.attend;
    walk w = { .r = r, .a = a, .at = kw_place(r, op->src[3]), .group = group_of(a) };
    int64_t rows = rows_of(r->g, op);
    size_t queries = (size_t)(rows * w.group), hd = (size_t)a->head_dim;
    bool many = is_many(r->g, op);
    w.n_spans = spans_of(r);
    w.span = (int)(chunk % w.n_spans);
    w.kv_head = (int)(chunk / w.n_spans % a->n_kv_heads);
    w.first = chunk / w.n_spans / a->n_kv_heads * rows;
    w.n = kw_least(rows, kw_live_rows(r, op->dst) - w.first);
    float *at = kw_worker_memory(r);
    if (many) {
        w.scratch = (unsigned char *)at;
        at += kw_attend_scratch_bytes(hd) / sizeof *at;
    }
    w.acc = at;
    w.w = w.acc + queries * padded(a->head_dim);
    w.q = w.w + (queries + (many ? KW_ATTEND_MORE : 0)) * KW_ATTEND_BLOCK;
    w.parts = many ? (unsigned char *)w.q : NULL;
    w.max = w.q + query_floats(r->g, op, queries);
    w.sum = w.max + queries;
    w.from = (int *)(void *)(w.sum + queries);
    w.to = w.from + queries;
    w.bias = (float *)(void *)(w.to + queries);
    return w;
}

/* A head's query, scaled and turned: at number `at` of the chunk's, as it is or in its parts. */
static void put_query(const walk *w, const float *q, size_t at)
{
    size_t hd = (size_t)w->a->head_dim;
    float *to = w->parts ? (float *)(void *)w->scratch : w->q + at * hd;
    for (size_t j = 0; j < hd; j++) to[j] = q[j] * w->a->scale;
    if (is_turned(w->r)) turn(to, hd);
    if (w->parts) w->r->g->kernels.split_query(to, w->parts + at * kw_attend_parts_bytes(hd), hd);
}

/* The chunk's queries, scaled, one after the other; empty states. */
static void gather(const walk *w)
{
    const kw_op *op = w->r->step->op;
    size_t hd = (size_t)w->a->head_dim, heads = (size_t)w->group;
    int64_t cols = kw_cols(w->r, op->dst);
    for (int64_t i = 0; i < w->n; i++) {
        const float *q = (const float *)kw_place(w->r, op->src[0]) + (w->first + i) * cols;
        q += (size_t)w->kv_head * heads * hd;
        for (size_t h = 0; h < heads; h++) put_query(w, q + h * hd, (size_t)i * heads + h);
    }
    size_t queries = (size_t)w->n * heads;
    memset(w->acc, 0, queries * padded(w->a->head_dim) * sizeof *w->acc);
    for (size_t i = 0; i < queries; i++) {
        w->max[i] = -INFINITY;
        w->sum[i] = 0;
    }
}

/* Blocks that row i of the chunk looks at in this span: by its own position alone. */
static void blocks_of(const walk *w, int64_t i, int32_t *from, int32_t *to)
{
    int32_t position = w->at[2 * (w->first + i) + 1];
    int32_t start = w->a->window ? position - w->a->window + 1 : 0;
    int32_t first = start > 0 ? start / KW_ATTEND_BLOCK : 0;
    int32_t n = position / KW_ATTEND_BLOCK + 1 - first;
    *from = first + n * w->span / w->n_spans;
    *to = first + n * (w->span + 1) / w->n_spans;
}

/* What is added to the scores of rows i..j of a block; how many queries have numbers of their own: those of one row by
 * alibi, all by distance; 0: nothing is added. */
static int add_bias(const walk *w, int64_t i, int64_t j, int32_t block)
{
    bool distances = w->r->step->op->src[4].id;
    for (int64_t row = i; row < j && distances; row++) {
        kw_attend_query at = { w->kv_head, w->at[2 * (w->first + row) + 1], block };
        kw_attend_distances(w->r, at, 1, w->bias + (row - i) * w->group * KW_ATTEND_BLOCK);
    }
    if (distances) return (int)(j - i) * w->group;
    if (w->a->alibi == 0) return 0;
    kw_attend_alibi(w->a, w->kv_head, block, w->a->scale, w->bias);
    return w->group;
}

/* Rows i..j of the chunk against their common page. */
static void attend_page(const walk *w, int64_t i, int64_t j, int32_t block)
{
    const kw_kv_layout *l = &w->r->b->kv->layout;
    const int32_t *at = w->at + 2 * (w->first + i);
    const unsigned char *page = w->r->b->kv->pages[at[0]][block]->host;
    const unsigned char *k = page + kw_kv_offset(l, w->a->layer, w->kv_head, false);
    const unsigned char *v = page + kw_kv_offset(l, w->a->layer, w->kv_head, true);
    size_t query = (size_t)(i * w->group);
    for (int64_t row = i; row < j; row++) {
        int32_t position = w->at[2 * (w->first + row) + 1], start = block * KW_ATTEND_BLOCK;
        int32_t seen = w->a->window ? position - w->a->window + 1 : 0;
        for (int64_t h = row * w->group; h < (row + 1) * w->group; h++) {
            w->from[h] = seen > start ? seen - start : 0;
            w->to[h] = (int)kw_least(KW_ATTEND_BLOCK, position - start + 1);
        }
    }
    bool scaled = l->dtype == KW_I8;
    int biased = add_bias(w, i, j, block);
    const kw_kernels *kernels = &w->r->g->kernels;
    (w->parts ? kernels->attend_many : kernels->attend_tiles)(&(kw_attend_tiles){
        .dtype = l->dtype,
        .softcap = w->a->softcap,
        .k = k,
        .v = v,
        .k_scale = scaled ? (const float *)(const void *)(k + kw_kv_scales_at(l)) : NULL,
        .v_scale = scaled ? (const float *)(const void *)(v + kw_kv_scales_at(l)) : NULL,
        .q = w->parts ? NULL : w->q + query * (size_t)w->a->head_dim,
        .parts = w->parts ? w->parts + query * kw_attend_parts_bytes((size_t)w->a->head_dim) : NULL,
        .scratch = w->scratch,
        .acc = w->acc + query * padded(w->a->head_dim),
        .max = w->max + query,
        .sum = w->sum + query,
        .w = w->w + query * KW_ATTEND_BLOCK,
        .from = w->from + query,
        .n = w->to + query,
        .n_q = (int)((j - i) * w->group),
        .head_dim = w->a->head_dim,
        .heads = biased,
        .bias = biased ? w->bias : NULL,
    });
}

static const kw_memory *page_of(const walk *w, int64_t i, int32_t block)
{
    int32_t from, to;
    blocks_of(w, i, &from, &to);
    if (block < from || block >= to) return NULL;
    return w->r->b->kv->pages[w->at[2 * (w->first + i)]][block];
}

static void attend_all(const walk *w)
{
    int32_t first = INT32_MAX, last = 0;
    for (int64_t i = 0; i < w->n; i++) {
        int32_t from, to;
        blocks_of(w, i, &from, &to);
        first = from < first ? from : first;
        last = to > last ? to : last;
    }
    for (int32_t block = first; block < last; block++)
        for (int64_t i = 0, j; i < w->n; i = j) {
            const kw_memory *page = page_of(w, i, block);
            for (j = i + 1; j < w->n && page_of(w, j, block) == page;) j++;
            if (page) attend_page(w, i, j, block);
        }
}

static float *part_of(const kw_run *r, int64_t row, int64_t head, int span)
{
    const kw_attend_args *a = &r->step->op->p.attend;
    unsigned char *scratch = r->b->scratch->host;
    size_t number = (size_t)((row * a->n_heads + head) * SPANS + span);
    return (float *)(void *)(scratch + r->g->part_at) + number * state_floats(a);
}

/* The state of query h of row i: into its part, or as the result. */
static void leave(const walk *w, int64_t i, int64_t h)
{
    size_t query = (size_t)(i * w->group + h), hd = (size_t)w->a->head_dim;
    int64_t head = w->kv_head * w->group + h;
    const float *acc = w->acc + query * padded(w->a->head_dim);
    if (w->n_spans > 1) {
        float *part = part_of(w->r, w->first + i, head, w->span);
        part[0] = w->max[query];
        part[1] = w->sum[query];
        memcpy(part + 2, acc, hd * sizeof *acc);
        return;
    }
    const kw_op *op = w->r->step->op;
    float *dst = (float *)kw_place(w->r, op->dst) + (w->first + i) * kw_cols(w->r, op->dst);
    dst += (size_t)head * hd;
    float inverse = 1.0f / w->sum[query];
    for (size_t j = 0; j < hd; j++) dst[j] = acc[j] * inverse;
    if (is_turned(w->r)) turn(dst, hd);
}

static void attend(const kw_run *r, int64_t chunk)
{
    walk w = begin(r, chunk);
    gather(&w);
    attend_all(&w);
    for (int64_t i = 0; i < w.n; i++)
        for (int64_t h = 0; h < w.group; h++) leave(&w, i, h);
}

/* ---- joining the spans of few rows ---- */

static int64_t join_chunks(const kw_run *r) { return kw_live_rows(r, r->step->op->dst); }

static void join_head(const kw_run *r, int64_t row, int64_t head, float *dst)
{
    const kw_attend_args *a = &r->step->op->p.attend;
    size_t hd = (size_t)a->head_dim;
    float max = -INFINITY, sum = 0;
    for (int s = 0; s < SPANS; s++) max = fmaxf(max, part_of(r, row, head, s)[0]);
    memset(dst, 0, hd * sizeof *dst);
    for (int s = 0; s < SPANS; s++) {
        const float *part = part_of(r, row, head, s);
        if (part[0] == -INFINITY) continue; /* an empty span */
        float worth = kw_expf(part[0] - max);
        sum += part[1] * worth;
        for (size_t j = 0; j < hd; j++) dst[j] += part[2 + j] * worth;
    }
    float inverse = 1.0f / sum;
    for (size_t j = 0; j < hd; j++) dst[j] *= inverse;
    if (is_turned(r)) turn(dst, hd);
}

void kw_tiles_join_row(const kw_run *r, int64_t row, float *out)
{
    const kw_attend_args *a = &r->step->op->p.attend;
    for (int64_t head = 0; head < a->n_heads; head++)
        join_head(r, row, head, out + head * a->head_dim);
}

static void join(const kw_run *r, int64_t row)
{
    const kw_op *op = r->step->op;
    kw_tiles_join_row(r, row, (float *)kw_place(r, op->dst) + row * kw_cols(r, op->dst));
}

const kw_op_driver kw_drive_tiles_store = { .chunks = store_chunks, .run = store, .helps = true };
const kw_op_driver kw_drive_tiles_attend = { .chunks = attend_chunks, .run = attend };
const kw_op_driver kw_drive_tiles_part = { .chunks = attend_chunks, .run = attend, .helps = true };
const kw_op_driver kw_drive_tiles_join = { .chunks = join_chunks, .run = join };
