/* drive_packed_experts.c - EXPERTS over packed weights: the panels of LINEAR (drive_packed.c), one expert's behind another's.
 *
 * A chunk is a stretch of one expert's panels with all rows that the expert has. It encodes them itself: an expert has few of a
 * batch's rows and a stretch has many panels, so that costs less than a step and a barrier of their own. Up to 8 rows run as
 * LINEAR's few and have its bits, in any company; more run as its wide ones. Which of the two counts each expert's rows alone: rows
 * are never padded, neither to a capacity nor to the most that any expert has.
 *
 *     worker's memory:  rows of x, encoded | sums [rows][panels of a pass * 16] | scratch of the wide kernels */
#include "cpu/internal.h"
#include "cpu/panel.h"
#include <string.h>

enum {
    STREAMS = KW_FEW_PANELS,
    CHUNKS_A_WORKER = 8,
    MOST_PANELS = 64, /* of a chunk */
    ROWS = 128,       /* of wide kernels at once */
    SUMS = ROWS * KW_WIDE_PANELS * KW_PANEL_ROWS,
};
_Static_assert(KW_FEW_ROWS *MOST_PANELS *KW_PANEL_ROWS <= SUMS, "sums of few rows do not fit");

static const kw_tensor *weight_of(const kw_cpu_program *g, const kw_op *op)
{
    return &kw_plan_value(g->plan, op->src[1])->t;
}

bool kw_experts_packed(const kw_cpu_program *g, const kw_op *op)
{
    return !g->exact && weight_of(g, op)->packed;
}

static bool is_plain(const kw_tensor *t) { return kw_dtype_get(t->dtype)->block == 1; }

/* Of a row of x as the wide kernel for this dtype reads it. */
static size_t wide_bytes(const kw_cpu_program *g, const kw_tensor *t)
{
    size_t k = (size_t)t->shape[2];
    return g->kernels.bytes[t->dtype] ? kw_wide8_row_bytes(k) : kw_wide_row_bytes(k);
}

static size_t x_bytes(const kw_cpu_program *g, const kw_tensor *t)
{
    size_t k = (size_t)t->shape[2], wide = ROWS * wide_bytes(g, t);
    size_t few =
        KW_FEW_ROWS * (is_plain(t) ? k * sizeof(float) : k / KW_GROUP * sizeof(kw_group_x));
    return few > wide ? few : wide;
}

size_t kw_experts_packed_bytes(const kw_cpu_program *g, const kw_op *op)
{
    return x_bytes(g, weight_of(g, op)) + SUMS * sizeof(float) + KW_WIDE_SCRATCH;
}

/* Panels of a chunk: enough chunks for all workers, and enough panels that encoding is worth it. */
static int64_t stretch_of(const kw_run *r)
{
    int64_t panels = weight_of(r->g, r->step->op)->shape[1] / KW_PANEL_ROWS;
    int64_t experts = *kw_groups_at(r, r->step->op->src[2]).n;
    int64_t chunks = CHUNKS_A_WORKER * kw_pool_size(r->g->device->pool);
    int64_t each = panels * experts / chunks;
    return each < STREAMS ? STREAMS : each > MOST_PANELS ? MOST_PANELS : each;
}

static int64_t stretches(const kw_run *r)
{
    int64_t panels = weight_of(r->g, r->step->op)->shape[1] / KW_PANEL_ROWS, each = stretch_of(r);
    return (panels + each - 1) / each;
}

static int64_t packed_chunks(const kw_run *r)
{
    return *kw_groups_at(r, r->step->op->src[2]).n * stretches(r);
}

/* A chunk: panels first..first+n of an expert's matrix, and its rows. */
typedef struct work {
    const kw_run *r;
    const kw_tensor *t;
    const unsigned char *w; /* the first panel */
    size_t panel_bytes, first, n, m, k;
    const int32_t *pair;
    size_t n_pairs;
    unsigned char *x;
    float *sums;
} work;

static work begin(const kw_run *r, int64_t chunk)
{
    const kw_op *op = r->step->op;
    const kw_tensor *t = weight_of(r->g, op);
    kw_groups g = kw_groups_at(r, op->src[2]);
    int32_t e = g.expert[chunk / stretches(r)];
    work w = { .r = r, .t = t, .m = (size_t)t->shape[1], .k = (size_t)t->shape[2] };
    size_t panels = w.m / KW_PANEL_ROWS, each = (size_t)stretch_of(r);
    w.first = (size_t)(chunk % stretches(r)) * each;
    w.n = panels - w.first < each ? panels - w.first : each;
    w.panel_bytes = kw_panel_bytes(t->dtype, w.k);
    w.w = kw_panel_at(t, (size_t)e * panels + w.first);
    w.pair = g.pair + g.start[e];
    w.n_pairs = (size_t)(g.start[e + 1] - g.start[e]);
    w.x = kw_worker_memory(r);
    w.sums = (float *)(void *)(w.x + x_bytes(r->g, t));
    return w;
}

/* Where the results of a pair begin. */
static float *result(const work *w, int32_t pair)
{
    float *dst = kw_place(w->r, w->r->step->op->dst);
    return dst + (size_t)pair * w->m + w->first * KW_PANEL_ROWS;
}

static void encode_few(const work *w)
{
    kw_group_x *x = (kw_group_x *)(void *)w->x;
    for (size_t i = 0; i < w->n_pairs; i++) {
        const float *from = kw_experts_source(w->r, w->pair[i]);
        if (is_plain(w->t)) memcpy((float *)(void *)w->x + i * w->k, from, w->k * sizeof *from);
        else
            for (size_t at = 0; at < w->k; at += KW_GROUP)
                w->r->g->kernels.encode_group(from + at, x + at / KW_GROUP * w->n_pairs + i);
    }
}

/* One row's results go where they belong, those of more are moved there. */
static void few(const work *w)
{
    bool alone = w->n_pairs == 1;
    float *dst = alone ? result(w, *w->pair) : w->sums;
    size_t cols = w->n * KW_PANEL_ROWS, stream = (w->n + STREAMS - 1) / STREAMS;
    kw_few d = { .x = (const kw_group_x *)(const void *)w->x,
                 .plain = (const float *)(const void *)w->x,
                 .plain_stride = w->k,
                 .dst_stride = cols,
                 .n_x = w->n_pairs,
                 .groups = w->k / KW_GROUP };
    encode_few(w);
    for (size_t at = 0; at < stream; at++) {
        d.n_panels = 0;
        for (size_t panel = at; panel < w->n; panel += stream) {
            d.w[d.n_panels] = w->w + panel * w->panel_bytes;
            d.dst[d.n_panels++] = dst + panel * KW_PANEL_ROWS;
        }
        w->r->g->kernels.few[w->t->dtype](&d);
    }
    for (size_t i = 0; i < w->n_pairs && !alone; i++)
        memcpy(result(w, w->pair[i]), dst + i * cols, cols * sizeof *dst);
}

/* Rows from..from+n of the expert with all its panels. */
static void wide(const work *w, size_t from, size_t n)
{
    const kw_kernels *k = &w->r->g->kernels;
    bool bytes = k->bytes[w->t->dtype];
    kw_wide d = { .panel_bytes = w->panel_bytes,
                  .x = w->x,
                  .x_stride = wide_bytes(w->r->g, w->t),
                  .n_x = n,
                  .k = w->k,
                  .tile = bytes ? k->bytes[w->t->dtype] : k->tile[w->t->dtype],
                  .halves = kw_panel_format_of(w->t->dtype)->scales == KW_SCALE_BYTE16,
                  .out = w->sums,
                  .scratch = w->sums + SUMS };
    for (size_t i = 0; i < n; i++)
        (bytes ? k->encode_wide8 : k->encode_wide)(kw_experts_source(w->r, w->pair[from + i]), w->x,
                                                   i, w->k);
    for (size_t panel = 0; panel < w->n; panel += d.n_panels) {
        d.n_panels = w->n - panel < KW_WIDE_PANELS ? w->n - panel : KW_WIDE_PANELS;
        d.w = w->w + panel * w->panel_bytes;
        (bytes ? k->wide8 : k->wide)(&d);
        size_t cols = d.n_panels * KW_PANEL_ROWS;
        for (size_t i = 0; i < n; i++)
            memcpy(result(w, w->pair[from + i]) + panel * KW_PANEL_ROWS, w->sums + i * cols,
                   cols * sizeof *w->sums);
    }
}

static void packed_experts(const kw_run *r, int64_t chunk)
{
    work w = begin(r, chunk);
    if (w.n_pairs <= KW_FEW_ROWS) few(&w);
    for (size_t at = 0; w.n_pairs > KW_FEW_ROWS && at < w.n_pairs; at += ROWS)
        wide(&w, at, w.n_pairs - at < ROWS ? w.n_pairs - at : ROWS);
}

const kw_op_driver kw_drive_packed_experts = { .chunks = packed_chunks, .run = packed_experts };
