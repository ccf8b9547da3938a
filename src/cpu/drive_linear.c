/* drive_linear.c - x times w transposed, the op in which the time goes.
 *
 * Ways to do it, chosen when a program is prepared; packed weights (drive_packed.c) go first, these take the rest:
 *   exact   a panel of weight rows is decoded to f32 and dotted with every row of x by eight running sums; in fast mode too where
 *           few rows meet weights that are f32 already;
 *   q8      few rows in fast mode: x is int8 (one ENCODE step, shared by all LINEARs of the same x) and the packed
 *           weights are multiplied as they lie in the file. A row gives the same bits whether it comes alone or with
 *           others, so that a batch or a guess changes no text;
 *   f32     many rows in fast mode, and dtypes without an int8 kernel: panels decoded and interleaved 256 values at a
 *           time, so that one load of weights serves a vector of rows and no sum crosses lanes.
 *
 * A chunk is a panel of weight rows: it is decoded once for all rows of x and stays in the L2 cache. */
#include "cpu/internal.h"

enum {
    Q8_ROWS = 8,              /* at most this many rows of x take the int8 way */
    PANEL_BYTES = 128 * 1024, /* f32 bytes of a decoded panel */
    MIN_PANEL = 4,
    MAX_PANEL = 64,
    PART_K = 256, /* values of k packed at once: whole blocks of every dtype */
    MOST_PANELS = 4,
    ROWS_AT_ONCE = 24,   /* x: 24 rows of 256 values lie in the L1 cache */
    CHUNKS_A_WORKER = 6, /* enough that a disturbed core does not stall the op */
};

const kw_tensor *kw_linear_weight(const kw_run *r)
{
    return &kw_plan_value(r->g->plan, r->step->op->src[1])->t;
}

static int64_t panel_of(int64_t k)
{
    int64_t rows = PANEL_BYTES / (4 * k);
    rows = rows < MIN_PANEL ? MIN_PANEL : rows;
    return (rows > MAX_PANEL ? MAX_PANEL : rows) & ~3;
}

static int64_t panels(const kw_run *r)
{
    int64_t panel = panel_of(kw_tensor_cols(kw_linear_weight(r)));
    return (kw_tensor_rows(kw_linear_weight(r)) + panel - 1) / panel;
}

void kw_linear_finish(const kw_run *r, int64_t from, int64_t n)
{
    const kw_op *op = r->step->op;
    const float *bias = kw_place(r, op->src[2]), *onto = kw_place(r, op->src[3]);
    int64_t m = kw_cols(r, op->dst), live = kw_live_rows(r, op->dst);
    float *dst = (float *)kw_place(r, op->dst) + from;
    for (int64_t i = 0; i < live && (bias || onto); i++, dst += m) {
        if (bias) r->g->kernels.add(dst, dst, bias + from, (size_t)n);
        if (onto) r->g->kernels.add(dst, dst, onto + i * m + from, (size_t)n);
    }
}

/* The weight rows from..from+n as f32: where they lie, or decoded into the worker's memory. */
static const float *decoded(const kw_run *r, int64_t from, int64_t n)
{
    const kw_tensor *w = kw_linear_weight(r);
    if (w->dtype == KW_F32) return kw_tensor_row(w, from);
    int64_t k = kw_tensor_cols(w);
    float *panel = kw_worker_memory(r), *room = panel + panel_of(k) * k;
    for (int64_t j = 0; j < n; j++)
        r->g->kernels.decode[w->dtype](kw_cpu_row(w, from + j, room), panel + j * k, (size_t)k);
    return panel;
}

static void linear_exact(const kw_run *r, int64_t chunk)
{
    const kw_op *op = r->step->op;
    int64_t k = kw_tensor_cols(kw_linear_weight(r)), m = kw_tensor_rows(kw_linear_weight(r)),
            panel = panel_of(k);
    int64_t from = chunk * panel, n = kw_least(panel, m - from);
    float *dst = kw_place(r, op->dst);
    kw_dots d = {
        .dst = dst + from,
        .w = decoded(r, from, n),
        .x = kw_place(r, op->src[0]),
        .dst_stride = (size_t)m,
        .w_stride = (size_t)k,
        .x_stride = (size_t)k,
        .n_w = (size_t)n,
        .n_x = (size_t)kw_live_rows(r, op->src[0]),
        .k = (size_t)k,
    };
    r->g->kernels.dots_exact(&d);
    kw_linear_finish(r, from, n);
}

/* ---- f32: panels packed a part of k at a time ---- */

/* Panels of a chunk: more share each load of x, fewer spread better over the workers. */
static int64_t panels_a_chunk(const kw_run *r)
{
    int64_t panels = kw_tensor_rows(kw_linear_weight(r)) / (int64_t)r->g->kernels.panel;
    int64_t each = panels / (CHUNKS_A_WORKER * kw_pool_size(r->g->device->pool));
    return each < 1 ? 1 : each > MOST_PANELS ? MOST_PANELS : each;
}

static int64_t gemm_chunks(const kw_run *r)
{
    int64_t rows = (int64_t)r->g->kernels.panel * panels_a_chunk(r);
    return (kw_tensor_rows(kw_linear_weight(r)) + rows - 1) / rows;
}

/* Values at..at+k of n weight rows, decoded and packed; the worker's memory holds rows, then packed panels. */
static void pack_panel(const kw_run *r, int64_t from, int64_t n, int64_t at, int64_t k,
                       float *packed)
{
    const kw_tensor *w = kw_linear_weight(r);
    const kw_dtype_info *type = kw_dtype_get(w->dtype);
    float *rows = kw_worker_memory(r);
    size_t skip = (size_t)at / type->block * type->bytes;
    for (int64_t j = 0; j < n; j++)
        r->g->kernels.decode[w->dtype]((const char *)kw_tensor_row(w, from + j) + skip,
                                       rows + j * PART_K, (size_t)k);
    kw_pack p = { .rows = rows,
                  .packed = packed,
                  .row_stride = PART_K,
                  .n_rows = (size_t)n,
                  .k = (size_t)k,
                  .panel = r->g->kernels.panel };
    r->g->kernels.pack(&p);
}

/* All rows of x, a few at a time so that they stay in the L1 cache, times the packed panels of a chunk. */
static void multiply_part(const kw_run *r, int64_t from, int64_t n, int64_t at, int64_t k)
{
    const kw_op *op = r->step->op;
    int64_t panel = (int64_t)r->g->kernels.panel, live = kw_live_rows(r, op->src[0]);
    int64_t x_stride = kw_cols(r, op->src[0]), m = kw_cols(r, op->dst);
    const float *x = kw_place(r, op->src[0]),
                *packed = (const float *)kw_worker_memory(r) + panel * PART_K;
    float *dst = kw_place(r, op->dst);
    for (int64_t i = 0; i < live; i += ROWS_AT_ONCE)
        for (int64_t j = 0; j < n; j += panel) {
            kw_gemm g = {
                .dst = dst + i * m + from + j,
                .packed = packed + j * PART_K,
                .x = x + i * x_stride + at,
                .dst_stride = (size_t)m,
                .x_stride = (size_t)x_stride,
                .n_w = (size_t)kw_least(panel, n - j),
                .n_x = (size_t)kw_least(ROWS_AT_ONCE, live - i),
                .k = (size_t)k,
                .panel = (size_t)panel,
                .add = at > 0,
            };
            r->g->kernels.gemm(&g);
        }
}

static void linear_f32(const kw_run *r, int64_t chunk)
{
    int64_t k = kw_tensor_cols(kw_linear_weight(r)), m = kw_tensor_rows(kw_linear_weight(r)),
            panel = (int64_t)r->g->kernels.panel;
    int64_t rows = panel * panels_a_chunk(r), from = chunk * rows, n = kw_least(rows, m - from);
    for (int64_t at = 0; at < k; at += PART_K) {
        int64_t part = kw_least(PART_K, k - at);
        for (int64_t j = 0; j < n; j += panel)
            pack_panel(r, from + j, kw_least(panel, n - j), at, part,
                       (float *)kw_worker_memory(r) + panel * PART_K + j * PART_K);
        multiply_part(r, from, n, at, part);
    }
    kw_linear_finish(r, from, n);
}

/* Rows of a chunk in the int8 way: a multiple of 4, so that every chunk is made of whole tiles. */
static int64_t q8_panel(const kw_run *r)
{
    int64_t m = kw_tensor_rows(kw_linear_weight(r));
    int64_t rows = m / (CHUNKS_A_WORKER * kw_pool_size(r->g->device->pool));
    return rows < 16 ? 16 : (rows + 3) & ~3;
}

static int64_t q8_chunks(const kw_run *r)
{
    int64_t panel = q8_panel(r);
    return (kw_tensor_rows(kw_linear_weight(r)) + panel - 1) / panel;
}

static void linear_q8(const kw_run *r, int64_t chunk)
{
    const kw_op *op = r->step->op;
    const kw_tensor *w = kw_linear_weight(r);
    int64_t k = kw_tensor_cols(w), m = kw_tensor_rows(w), panel = q8_panel(r);
    int64_t from = chunk * panel, n = kw_least(panel, m - from);
    float *dst = kw_place(r, op->dst);
    kw_dots_q8 d = {
        .dst = dst + from,
        .w = kw_tensor_row(w, from),
        .x = kw_twin(r),
        .dst_stride = (size_t)m,
        .w_stride = kw_tensor_row_bytes(w),
        .x_stride = kw_q8_row_bytes((size_t)k),
        .n_w = (size_t)n,
        .n_x = (size_t)kw_live_rows(r, op->src[0]),
        .k = (size_t)k,
    };
    r->g->kernels.dots_q8[w->dtype](&d);
    kw_linear_finish(r, from, n);
}

static void encode_q8(const kw_run *r, int64_t row)
{
    size_t k = kw_twin_cols(r);
    unsigned char *twin = kw_twin(r) + (size_t)row * kw_q8_row_bytes(k);
    r->g->kernels.encode_q8(kw_twin_source(r, row, 0, k), twin, k);
}

/* ---- the ways ---- */

static size_t panel_bytes(const kw_cpu_program *g, const kw_op *op)
{
    (void)g;
    const kw_tensor *w = &kw_plan_value(g->plan, op->src[1])->t;
    int64_t k = kw_tensor_cols(w);
    return w->dtype == KW_F32 ? 0 : (size_t)(panel_of(k) * k) * sizeof(float) + kw_cpu_row_room(w);
}

static size_t gemm_bytes(const kw_cpu_program *g, const kw_op *op)
{
    (void)op;
    return (1 + MOST_PANELS) * PART_K * g->kernels.panel * sizeof(float);
}

static size_t no_bytes(const kw_cpu_program *g, const kw_op *op)
{
    (void)g;
    (void)op;
    return 0;
}

static const kw_op_driver drive_exact = { .chunks = panels, .run = linear_exact },
                          drive_f32 = { .chunks = gemm_chunks, .run = linear_f32 },
                          drive_q8 = { .chunks = q8_chunks, .run = linear_q8 },
                          drive_encode_q8 = { .chunks = kw_twin_rows,
                                              .run = encode_q8,
                                              .helps = true };
static const kw_linear_way exact = { &drive_exact, .worker_bytes = panel_bytes };
static const kw_linear_way f32 = { &drive_f32, .worker_bytes = gemm_bytes };
static const kw_linear_way q8 = { &drive_q8, &drive_encode_q8, kw_q8_row_bytes, no_bytes };

const kw_linear_way *kw_linear_way_of(const kw_cpu_program *g, const kw_op *op)
{
    const kw_tensor *w = &kw_plan_value(g->plan, op->src[1])->t;
    int64_t rows = kw_tensor_rows(&kw_plan_value(g->plan, op->src[0])->t);
    if (g->exact || (rows <= Q8_ROWS && w->dtype == KW_F32)) return &exact;
    if (w->packed && rows > KW_FEW_ROWS)
        return g->kernels.bytes[w->dtype] ? &kw_linear_wide8 : &kw_linear_wide;
    if (w->packed)
        return kw_dtype_get(w->dtype)->block == 1 ? &kw_linear_few_plain : &kw_linear_few;
    return rows <= Q8_ROWS && g->kernels.dots_q8[w->dtype] ? &q8 : &f32;
}
