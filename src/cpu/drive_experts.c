/* drive_experts.c - mixtures of experts: who computes which row, and the products.
 *
 * ROUTE chooses experts row by row. GROUP sorts the pairs (row, expert) by expert, once for the three products that follow, so
 * that an expert's matrix is read once for all rows it has, and an expert without rows costs nothing. There is no capacity that
 * rows could exceed and no padding up to one.
 *
 *   groups:  n | expert[e] of the n that have rows | start[e + 1] in pairs, by expert | pair[n_rows * k] = row * k + slot
 *
 * Packed weights go to drive_packed_experts.c. Of others a chunk is a stretch of one expert's matrix; the rows pass in blocks.
 * Exact mode decodes the stretch to f32, fast mode multiplies int8 activations with the file's own blocks where there is a
 * kernel. Either gives a row the same bits in any company. */
#include "cpu/internal.h"
#include <string.h>

enum {
    ROWS = 16,                  /* of a block */
    STRETCH_BYTES = 128 * 1024, /* f32 bytes of a decoded stretch */
    LEAST_ROWS = 8,
    MOST_ROWS = 128, /* weight rows of a stretch */
};

/* ---- routing ---- */

static int64_t rows_of(const kw_run *r) { return kw_live_rows(r, r->step->op->dst); }

/* The numbers of the k best scores, best first; of equals the first. They are valid whatever the scores are. */
static void choose(const float *scores, const kw_route_args *a, float *chosen)
{
    for (int e = 0; e < a->n_experts; e++) {
        int at = e < a->n_used ? e : a->n_used - 1;
        if (at < e && !(scores[e] > scores[(int)chosen[at]])) continue;
        for (; at > 0 && scores[e] > scores[(int)chosen[at - 1]]; at--) chosen[at] = chosen[at - 1];
        chosen[at] = (float)e;
    }
}

static void route(const kw_run *r, int64_t row)
{
    const kw_route_args *a = &r->step->op->p.route;
    const float *scores = (const float *)kw_place(r, r->step->op->src[0]) + row * a->n_experts;
    float *out = (float *)kw_place(r, r->step->op->dst) + row * 2 * a->n_used, sum = 0;
    float *share = out + a->n_used;
    choose(scores, a, out);
    float max = scores[(int)out[0]];
    for (int i = 0; i < a->n_used; i++) share[i] = kw_expf(scores[(int)out[i]] - max);
    int n = a->normalise ? a->n_used : a->n_experts;
    for (int i = 0; i < n; i++) sum += a->normalise ? share[i] : kw_expf(scores[i] - max);
    for (int i = 0; i < a->n_used; i++) share[i] /= sum;
}

kw_groups kw_groups_at(const kw_run *r, kw_val v)
{
    int32_t *at = kw_place(r, v), e = r->step->op->p.route.n_experts;
    return (kw_groups){ at, at + 1, at + 1 + e, at + 2 + 2 * e };
}

static int64_t one_chunk(const kw_run *r)
{
    (void)r;
    return 1;
}

/* Counts, sums, and deals: start[e] runs ahead while pairs are dealt and is set back at the end. */
static void group(const kw_run *r, int64_t chunk)
{
    const kw_op *op = r->step->op;
    const kw_route_args *a = &op->p.route;
    const float *chosen = kw_place(r, op->src[0]);
    kw_groups g = kw_groups_at(r, op->dst);
    int64_t n = kw_live_rows(r, op->src[0]);
    (void)chunk;
    *g.n = 0;
    memset(g.start, 0, ((size_t)a->n_experts + 1) * sizeof *g.start);
    for (int64_t i = 0; i < n; i++)
        for (int s = 0; s < a->n_used; s++) g.start[(int)chosen[i * 2 * a->n_used + s] + 1]++;
    for (int e = 0; e < a->n_experts; e++) {
        if (g.start[e + 1]) g.expert[(*g.n)++] = e;
        g.start[e + 1] += g.start[e];
    }
    for (int64_t i = 0; i < n; i++)
        for (int s = 0; s < a->n_used; s++)
            g.pair[g.start[(int)chosen[i * 2 * a->n_used + s]]++] = (int32_t)(i * a->n_used + s);
    for (int e = a->n_experts; e > 0; e--) g.start[e] = g.start[e - 1];
    g.start[0] = 0;
}

/* ---- products ---- */

static const kw_tensor *weight_of(const kw_cpu_program *g, const kw_op *op)
{
    return &kw_plan_value(g->plan, op->src[1])->t;
}

static kw_dots_q8_fn q8_of(const kw_cpu_program *g, const kw_op *op)
{
    return g->exact ? NULL : g->kernels.dots_q8[weight_of(g, op)->dtype];
}

static int64_t stretch_of(const kw_cpu_program *g, const kw_op *op)
{
    int64_t rows = STRETCH_BYTES / (4 * weight_of(g, op)->shape[2]);
    if (q8_of(g, op)) return MOST_ROWS;
    return rows < LEAST_ROWS ? LEAST_ROWS : rows > MOST_ROWS ? MOST_ROWS : rows;
}

/* A worker's memory: a block of rows of x, as f32 or encoded | their products | the stretch as f32. */
size_t kw_experts_worker_bytes(const kw_cpu_program *g, const kw_op *op)
{
    size_t k = (size_t)weight_of(g, op)->shape[2], stretch = (size_t)stretch_of(g, op);
    size_t products = ROWS * stretch * sizeof(float);
    if (kw_experts_packed(g, op)) return kw_experts_packed_bytes(g, op);
    if (q8_of(g, op)) return ROWS * kw_q8_row_bytes(k) + products;
    return (ROWS + stretch) * k * sizeof(float) + products + kw_cpu_row_room(weight_of(g, op));
}

static int64_t stretches(const kw_run *r)
{
    int64_t each = stretch_of(r->g, r->step->op), m = weight_of(r->g, r->step->op)->shape[1];
    return (m + each - 1) / each;
}

static int64_t experts_chunks(const kw_run *r)
{
    return *kw_groups_at(r, r->step->op->src[2]).n * stretches(r);
}

/* A chunk: rows from..from+n of an expert's matrix, and the pairs it has. */
typedef struct work {
    const kw_run *r;
    const unsigned char *w; /* the stretch, as the file has it */
    int64_t from, n, m, k;
    int32_t e;
    const int32_t *pair;
    int32_t n_pairs;
    float *stretch, *out;
    unsigned char *x;
    size_t x_bytes; /* of a row in x */
} work;

static work begin(const kw_run *r, int64_t chunk)
{
    const kw_op *op = r->step->op;
    const kw_tensor *t = weight_of(r->g, op);
    kw_groups g = kw_groups_at(r, op->src[2]);
    int32_t e = g.expert[chunk / stretches(r)];
    size_t row_bytes = kw_tensor_row_bytes(t);
    work w = { .r = r, .m = t->shape[1], .k = t->shape[2], .e = e };
    w.from = chunk % stretches(r) * stretch_of(r->g, op);
    w.n = kw_least(stretch_of(r->g, op), w.m - w.from);
    w.w = t->parts ? t->parts[e] : (const unsigned char *)t->data + (size_t)(e * w.m) * row_bytes;
    w.w += (size_t)w.from * row_bytes;
    w.pair = g.pair + g.start[e];
    w.n_pairs = g.start[e + 1] - g.start[e];
    w.x_bytes = q8_of(r->g, op) ? kw_q8_row_bytes((size_t)w.k) : (size_t)w.k * sizeof(float);
    w.x = kw_worker_memory(r);
    w.out = (float *)(void *)(w.x + ROWS * w.x_bytes);
    w.stretch = w.out + ROWS * stretch_of(r->g, op);
    return w;
}

const float *kw_experts_source(const kw_run *r, int32_t pair)
{
    const kw_op *op = r->step->op;
    int64_t cols = kw_cols(r, op->src[0]), k = weight_of(r->g, op)->shape[2];
    const float *x = kw_place(r, op->src[0]);
    return cols == k ? x + pair / op->p.route.n_used * cols : x + pair * k;
}

static void gather(const work *w, const int32_t *pair, int64_t n)
{
    bool encoded = q8_of(w->r->g, w->r->step->op);
    for (int64_t i = 0; i < n; i++) {
        unsigned char *to = w->x + (size_t)i * w->x_bytes;
        if (encoded) w->r->g->kernels.encode_q8(kw_experts_source(w->r, pair[i]), to, (size_t)w->k);
        else memcpy(to, kw_experts_source(w->r, pair[i]), w->x_bytes);
    }
}

static void multiply(const work *w, const float *stretch, int64_t n)
{
    const kw_op *op = w->r->step->op;
    if (q8_of(w->r->g, op)) {
        q8_of(w->r->g, op)(&(kw_dots_q8){ .dst = w->out,
                                          .w = w->w,
                                          .x = w->x,
                                          .dst_stride = (size_t)w->n,
                                          .w_stride = kw_tensor_row_bytes(weight_of(w->r->g, op)),
                                          .x_stride = w->x_bytes,
                                          .n_w = (size_t)w->n,
                                          .n_x = (size_t)n,
                                          .k = (size_t)w->k });
        return;
    }
    w->r->g->kernels.dots_exact(&(kw_dots){ .dst = w->out,
                                            .w = stretch,
                                            .x = (const float *)(const void *)w->x,
                                            .dst_stride = (size_t)w->n,
                                            .w_stride = (size_t)w->k,
                                            .x_stride = (size_t)w->k,
                                            .n_w = (size_t)w->n,
                                            .n_x = (size_t)n,
                                            .k = (size_t)w->k });
}

/* The stretch as f32: where it lies, or decoded. */
static const float *decoded(const work *w)
{
    const kw_tensor *t = weight_of(w->r->g, w->r->step->op);
    if (q8_of(w->r->g, w->r->step->op)) return NULL;
    if (t->dtype == KW_F32) return (const float *)(const void *)w->w;
    int64_t first = w->e * w->m + w->from;
    void *room = w->stretch + stretch_of(w->r->g, w->r->step->op) * w->k;
    for (int64_t j = 0; j < w->n; j++)
        w->r->g->kernels.decode[t->dtype](kw_cpu_row(t, first + j, room), w->stretch + j * w->k,
                                          (size_t)w->k);
    return w->stretch;
}

static void experts(const kw_run *r, int64_t chunk)
{
    work w = begin(r, chunk);
    const float *stretch = decoded(&w);
    float *dst = kw_place(r, r->step->op->dst);
    for (int32_t at = 0; at < w.n_pairs; at += ROWS) {
        int64_t n = kw_least(ROWS, w.n_pairs - at);
        gather(&w, w.pair + at, n);
        multiply(&w, stretch, n);
        for (int64_t i = 0; i < n; i++)
            memcpy(dst + w.pair[at + i] * w.m + w.from, w.out + i * w.n, (size_t)w.n * sizeof *dst);
    }
}

/* ---- mixing ---- */

static void mix(const kw_run *r, int64_t row)
{
    const kw_op *op = r->step->op;
    int64_t d = kw_cols(r, op->dst), used = kw_cols(r, op->src[1]) / 2;
    const float *x = (const float *)kw_place(r, op->src[0]) + row * used * d;
    const float *share = (const float *)kw_place(r, op->src[1]) + row * 2 * used + used;
    float *dst = (float *)kw_place(r, op->dst) + row * d;
    for (int64_t j = 0; j < d; j++) dst[j] = x[j] * share[0];
    for (int64_t s = 1; s < used; s++)
        for (int64_t j = 0; j < d; j++) dst[j] += x[s * d + j] * share[s];
}

const kw_op_driver kw_drive_route = { .chunks = rows_of, .run = route };
const kw_op_driver kw_drive_group = { .chunks = one_chunk, .run = group, .helps = true };
static const kw_op_driver drive_experts = { .chunks = experts_chunks, .run = experts };
const kw_op_driver *kw_experts_driver(const kw_cpu_program *g, const kw_op *op)
{
    return kw_experts_packed(g, op) ? &kw_drive_packed_experts : &drive_experts;
}

const kw_op_driver kw_drive_mix = { .chunks = rows_of, .run = mix };
