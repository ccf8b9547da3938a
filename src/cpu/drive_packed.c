/* drive_packed.c - LINEAR over packed weights (panel.h).
 *
 *   few    up to 8 rows, each with the bits that it has alone. Memory decides: the panels of a matrix are dealt to four streams,
 *          far apart, and a chunk takes the same stretch of each:
 *              panels   | a a a a b b b b ... | a a a a b ... | a a a a ... | a a a a ... |    chunks a, b, ...
 *   wide   more rows. Arithmetic decides: a chunk is a few panels, expanded once for a block of rows whose sums stay in the
 *          L2 cache until they are done, and then leave in one pass (bias and all). Weights of few bits meet activations of
 *          eight (wide8.inc), the others of fourteen (wide16.inc).
 */
#include "cpu/internal.h"
#include "cpu/panel.h"
#include <string.h>

enum {
    STREAMS = KW_FEW_PANELS,
    CHUNKS_A_WORKER = 8,     /* enough that a disturbed core does not stall the op */
    STRETCH_COLS = 2048,     /* of a row encoded at once: whole groups */
    CHUNK_BYTES = 320 << 10, /* of rows of x that meet words */
    ROWS_AT_ONCE = 48,       /* whole tiles of every row of kernels */
    MOST_ROWS = 256,         /* rows of x in work at once: sums of 256 x 64 floats are 64 KiB */
};

static size_t size_of(int64_t n) { return (size_t)n; }

const unsigned char *kw_panel_at(const kw_tensor *w, size_t panel)
{
    size_t bytes = kw_cpu_panel_bytes(w), n = w->n_in_place;
    if (n && panel >= n) return (const unsigned char *)w->rest + (panel - n) * bytes;
    return (const unsigned char *)w->packed + panel * bytes;
}

/* How many of n panels lie one behind the other. */
static int64_t in_a_row(const kw_tensor *w, int64_t panel, int64_t n)
{
    int64_t in_place = (int64_t)w->n_in_place;
    return panel < in_place ? kw_least(n, in_place - panel) : n;
}

static int64_t panels_of(const kw_run *r)
{
    return (kw_tensor_rows(kw_linear_weight(r)) + KW_PANEL_ROWS - 1) / KW_PANEL_ROWS;
}

/* ---- few rows ---- */

static size_t few_row_bytes(size_t k) { return k / KW_GROUP * sizeof(kw_group_x); }

/* A chunk is a row, or a stretch of one. */
static size_t stretch_cols(const kw_run *r)
{
    return kw_twin_splits(r) ? STRETCH_COLS : kw_twin_cols(r);
}

static int64_t encode_chunks(const kw_run *r)
{
    size_t each = stretch_cols(r);
    return kw_twin_rows(r) * (int64_t)((kw_twin_cols(r) + each - 1) / each);
}

static void encode_few(const kw_run *r, int64_t chunk)
{
    size_t k = kw_twin_cols(r), rows = size_of(kw_twin_rows(r)), each = stretch_cols(r);
    size_t row = size_of(chunk) % rows, from = size_of(chunk) / rows * each;
    size_t n = k - from < each ? k - from : each;
    const float *x = kw_twin_source(r, (int64_t)row, from, n);
    kw_group_x *g = (kw_group_x *)(void *)kw_twin(r) + from / KW_GROUP * rows + row;
    for (size_t at = 0; at < n; at += KW_GROUP, g += rows) r->g->kernels.encode_group(x + at, g);
}

/* Panels of one stream; those of a chunk in each. */
static int64_t stream_panels(const kw_run *r) { return (panels_of(r) + STREAMS - 1) / STREAMS; }

static int64_t stretch_of(const kw_run *r)
{
    int64_t n = stream_panels(r) / (CHUNKS_A_WORKER * kw_pool_size(r->g->device->pool));
    return n < 1 ? 1 : n;
}

static int64_t few_chunks(const kw_run *r)
{
    return (stream_panels(r) + stretch_of(r) - 1) / stretch_of(r);
}

/* Panel number `at` of each stream. A last panel with fewer rows is computed beside the result and copied. */
static void few_step(const kw_run *r, int64_t at, kw_few *d)
{
    const kw_tensor *w = kw_linear_weight(r);
    int64_t m = kw_tensor_rows(w), ragged = -1;
    float *dst = kw_place(r, r->step->op->dst), *beside = kw_worker_memory(r);
    d->n_panels = 0;
    d->dst_stride = size_of(m);
    for (int64_t s = 0; s < STREAMS; s++) {
        int64_t panel = s * stream_panels(r) + at;
        if (panel >= panels_of(r)) continue;
        d->w[d->n_panels] = kw_panel_at(w, size_of(panel));
        d->dst[d->n_panels++] = dst + panel * KW_PANEL_ROWS;
        if ((panel + 1) * KW_PANEL_ROWS > m) ragged = panel;
    }
    if (ragged >= 0) d->n_panels--;
    r->g->kernels.few[w->dtype](d);
    if (ragged < 0) return;
    kw_few last = *d;
    last.w[0] = d->w[d->n_panels];
    last.dst[0] = beside;
    last.dst_stride = KW_PANEL_ROWS;
    last.n_panels = 1;
    r->g->kernels.few[w->dtype](&last);
    for (size_t i = 0; i < d->n_x; i++)
        memcpy(dst + i * size_of(m) + size_of(ragged * KW_PANEL_ROWS), beside + i * KW_PANEL_ROWS,
               size_of(m - ragged * KW_PANEL_ROWS) * sizeof *dst);
}

static void linear_few(const kw_run *r, int64_t chunk)
{
    const kw_op *op = r->step->op;
    int64_t k = kw_cols(r, op->src[0]), from = chunk * stretch_of(r);
    int64_t to = kw_least(from + stretch_of(r), stream_panels(r));
    kw_few d = { .x = (const kw_group_x *)(const void *)kw_twin(r),
                 .plain = kw_place(r, op->src[0]),
                 .plain_stride = size_of(k),
                 .n_x = size_of(kw_live_rows(r, op->src[0])),
                 .groups = size_of(k / KW_GROUP) };
    for (int64_t at = from; at < to; at++) few_step(r, at, &d);
    for (int64_t s = 0; s < STREAMS; s++) {
        int64_t first = (s * stream_panels(r) + from) * KW_PANEL_ROWS;
        int64_t end = kw_least((s * stream_panels(r) + to) * KW_PANEL_ROWS,
                               kw_tensor_rows(kw_linear_weight(r)));
        if (first < end) kw_linear_finish(r, first, end - first);
    }
}

static size_t few_worker_bytes(const kw_cpu_program *g, const kw_op *op)
{
    (void)g;
    (void)op;
    return KW_FEW_ROWS * KW_PANEL_ROWS * sizeof(float);
}

/* ---- many rows ---- */

/* Even rows go first: a row of kernels may keep two of them side by side, and two workers would write the same lines. */
static void encode_wide8(const kw_run *r, int64_t chunk)
{
    int64_t even = (kw_twin_rows(r) + 1) / 2;
    int64_t row = chunk < even ? 2 * chunk : 2 * (chunk - even) + 1;
    size_t k = kw_twin_cols(r);
    r->g->kernels.encode_wide8(kw_twin_source(r, row, 0, k), kw_twin(r), size_of(row), k);
}

static void encode_wide(const kw_run *r, int64_t row)
{
    size_t k = kw_twin_cols(r);
    r->g->kernels.encode_wide(kw_twin_source(r, row, 0, k), kw_twin(r), size_of(row), k);
}

static int64_t most_panels(const kw_cpu_program *g)
{
    return g->kernels.wide_panels ? (int64_t)g->kernels.wide_panels : KW_WIDE_PANELS;
}

static int64_t wide_panels(const kw_run *r)
{
    int64_t each = panels_of(r) / (CHUNKS_A_WORKER * kw_pool_size(r->g->device->pool));
    int64_t most = most_panels(r->g);
    if (r->g->kernels.wide_panels) each = each < 2 ? 2 : each & ~1;
    return each < 1 ? 1 : kw_least(each, most);
}

static int64_t panel_chunks(const kw_run *r)
{
    return (panels_of(r) + wide_panels(r) - 1) / wide_panels(r);
}

static bool is_words(const kw_run *r)
{
    return kw_panel_format_of(kw_linear_weight(r)->dtype)->scales == KW_SCALE_SLICE;
}

/* Rows of a chunk. Words are not expanded, so that nothing is lost by coming back to them: rows of x stay in the L2 cache while
 * all panels pass, chunk after chunk. */
static int64_t rows_a_chunk(const kw_run *r)
{
    int64_t rows =
        CHUNK_BYTES / (int64_t)kw_wide_row_bytes(size_of(kw_tensor_cols(kw_linear_weight(r))));
    if (!r->g->kernels.wide_direct || !is_words(r)) return INT64_MAX;
    return rows < ROWS_AT_ONCE ? ROWS_AT_ONCE
                               : kw_least(rows / ROWS_AT_ONCE * ROWS_AT_ONCE, MOST_ROWS);
}

static int64_t wide_chunks(const kw_run *r)
{
    int64_t live = kw_live_rows(r, r->step->op->src[0]), each = kw_least(rows_a_chunk(r), live);
    return panel_chunks(r) * ((live + each - 1) / each);
}

/* The sums of d's rows become rows of the result from number `row` and column `from` on, with bias and residual. */
static void leave_rows(const kw_run *r, const kw_wide *d, int64_t row, int64_t from)
{
    const kw_op *op = r->step->op;
    const float *bias = kw_place(r, op->src[2]), *onto = kw_place(r, op->src[3]), *sums = d->out;
    size_t m = size_of(kw_cols(r, op->dst)), stride = d->n_panels * KW_PANEL_ROWS;
    size_t at = size_of(row) * m + size_of(from);
    size_t n = m - size_of(from) < stride ? m - size_of(from) : stride;
    float *dst = kw_place(r, op->dst);
    for (size_t i = 0; i < d->n_x; i++, at += m, sums += stride) {
        if (bias) r->g->kernels.add(dst + at, sums, bias + from, n);
        else memcpy(dst + at, sums, n * sizeof *dst);
        if (onto) r->g->kernels.add(dst + at, dst + at, onto + at, n);
    }
}

/* The results of rows from `row` and of columns from `from` on, where the kernel brings them there itself. */
static kw_leave leave_at(const kw_run *r, int64_t row, int64_t from)
{
    const kw_op *op = r->step->op;
    const float *bias = kw_place(r, op->src[2]), *onto = kw_place(r, op->src[3]);
    size_t m = size_of(kw_cols(r, op->dst)), at = size_of(row) * m + size_of(from);
    return (kw_leave){ .dst = (float *)kw_place(r, op->dst) + at,
                       .bias = bias ? bias + from : NULL,
                       .onto = onto ? onto + at : NULL,
                       .stride = m };
}

/* Panels from `panel` on that lie one behind the other, with the chunk's rows. */
static void multiply_panels(const kw_run *r, int64_t chunk, int64_t panel, kw_wide d,
                            void (*kernel)(const kw_wide *))
{
    const kw_tensor *w = kw_linear_weight(r);
    int64_t live = kw_live_rows(r, r->step->op->src[0]), each = kw_least(rows_a_chunk(r), live);
    int64_t first = chunk / panel_chunks(r) * each, last = kw_least(first + each, live);
    int64_t from = panel * KW_PANEL_ROWS, end = from + (int64_t)d.n_panels * KW_PANEL_ROWS;
    bool leaves = r->g->kernels.wide_direct && end <= kw_cols(r, r->step->op->dst);
    float *sums = kw_worker_memory(r);
    d.w = kw_panel_at(w, size_of(panel));
    d.panel_bytes = kw_cpu_panel_bytes(w);
    d.k = size_of(kw_tensor_cols(w));
    d.out = sums;
    d.scratch = sums + MOST_ROWS * most_panels(r->g) * KW_PANEL_ROWS;
    for (int64_t i = first; i < last; i += MOST_ROWS) {
        d.n_x = size_of(kw_least(MOST_ROWS, last - i));
        d.x = kw_twin(r) + size_of(i) * d.x_stride;
        if (leaves) d.leave = leave_at(r, i, from);
        kernel(&d);
        if (!leaves) leave_rows(r, &d, i, from);
    }
}

/* d: what the two kinds of many rows differ in. */
static void multiply_wide(const kw_run *r, int64_t chunk, kw_wide d,
                          void (*kernel)(const kw_wide *))
{
    int64_t panel = chunk % panel_chunks(r) * wide_panels(r);
    int64_t end = kw_least(panel + wide_panels(r), panels_of(r));
    for (; panel < end; panel += (int64_t)d.n_panels) {
        d.n_panels = size_of(in_a_row(kw_linear_weight(r), panel, end - panel));
        multiply_panels(r, chunk, panel, d, kernel);
    }
}

static void linear_wide(const kw_run *r, int64_t chunk)
{
    const kw_tensor *w = kw_linear_weight(r);
    kw_wide d = { .tile = r->g->kernels.tile[w->dtype],
                  .is_words = is_words(r),
                  .x_stride = kw_wide_row_bytes(size_of(kw_tensor_cols(w))) };
    multiply_wide(r, chunk, d, r->g->kernels.wide);
}

static void linear_wide8(const kw_run *r, int64_t chunk)
{
    const kw_tensor *w = kw_linear_weight(r);
    kw_wide d = { .tile = r->g->kernels.bytes[w->dtype],
                  .x_stride = kw_wide8_row_bytes(size_of(kw_tensor_cols(w))),
                  .halves = kw_panel_format_of(w->dtype)->scales == KW_SCALE_BYTE16 };
    multiply_wide(r, chunk, d, r->g->kernels.wide8);
}

static size_t wide_worker_bytes(const kw_cpu_program *g, const kw_op *op)
{
    (void)op;
    return MOST_ROWS * size_of(most_panels(g)) * KW_PANEL_ROWS * sizeof(float) + KW_WIDE_SCRATCH;
}

static const kw_op_driver
    drive_encode_few = { .chunks = encode_chunks, .run = encode_few, .helps = true },
    drive_few = { .chunks = few_chunks, .run = linear_few },
    drive_encode_wide = { .chunks = kw_twin_rows, .run = encode_wide, .helps = true },
    drive_wide = { .chunks = wide_chunks, .run = linear_wide },
    drive_encode_wide8 = { .chunks = kw_twin_rows, .run = encode_wide8, .helps = true },
    drive_wide8 = { .chunks = wide_chunks, .run = linear_wide8 };
const kw_linear_way kw_linear_few = { &drive_few, &drive_encode_few, few_row_bytes,
                                      few_worker_bytes };
const kw_linear_way kw_linear_few_plain = { &drive_few, .worker_bytes = few_worker_bytes };
const kw_linear_way kw_linear_wide = { &drive_wide, &drive_encode_wide, kw_wide_row_bytes,
                                       wide_worker_bytes };
const kw_linear_way kw_linear_wide8 = { &drive_wide8, &drive_encode_wide8, kw_wide8_row_bytes,
                                        wide_worker_bytes };

/* ---- packing ---- */

/* What words cannot stand for stays f32, and so do experts. */
static bool holds(const kw_tensor *t)
{
    size_t n = size_of(kw_tensor_rows(t)) * size_of(kw_tensor_cols(t));
    return t->dtype != KW_F32 || (t->rank == 2 && kw_panel_holds(t->data, n));
}

bool kw_cpu_packs(const kw_device *d, const kw_tensor *t)
{
    bool whole = t->rank == 3 && t->shape[1] % KW_PANEL_ROWS == 0; /* experts: a panel is of one */
    bool few = t->dtype == KW_F32 || d->kernels.few[t->dtype]; /* few rows dot f32 as they are */
    return (t->rank == 2 || whole) && few && d->kernels.wide && d->kernels.tile[t->dtype] &&
           kw_panel_fits(t->dtype, size_of(kw_tensor_cols(t))) && holds(t);
}

size_t kw_cpu_panels(const kw_tensor *t)
{
    return (size_of(kw_tensor_rows(t)) + KW_PANEL_ROWS - 1) / KW_PANEL_ROWS;
}

size_t kw_cpu_panel_bytes(const kw_tensor *t)
{
    return kw_panel_bytes(t->dtype, size_of(kw_tensor_cols(t)));
}

typedef struct packing {
    const kw_tensor *t;
    unsigned char *out;
    size_t from, n;
    kw_counter next;
} packing;

static void pack_panels(void *ctx, int worker)
{
    packing *p = ctx;
    size_t rows = size_of(kw_tensor_rows(p->t)), k = size_of(kw_tensor_cols(p->t));
    size_t bytes = kw_cpu_panel_bytes(p->t);
    (void)worker;
    for (;;) {
        size_t i = (size_t)kw_counter_take(&p->next, 1), row = (p->from + i) * KW_PANEL_ROWS;
        if (i >= p->n) return;
        kw_panel_source s = { .dtype = p->t->dtype,
                              .rows = kw_tensor_row(p->t, (int64_t)row),
                              .row_bytes = kw_tensor_row_bytes(p->t),
                              .n = rows - row < KW_PANEL_ROWS ? rows - row : KW_PANEL_ROWS,
                              .k = k };
        kw_panel_pack(&s, p->out + i * bytes);
    }
}

void kw_cpu_pack(kw_device *d, const kw_tensor *t, size_t from, size_t n, void *out)
{
    packing p = { .t = t, .out = out, .from = from, .n = n };
    kw_counter_reset(&p.next);
    kw_pool_run(d->pool, pack_panels, &p);
}

bool kw_cpu_keeps(const kw_tensor *t) { return kw_panel_keeps(t->dtype); }

const void *kw_cpu_row(const kw_tensor *t, int64_t row, void *room)
{
    size_t panel = size_of(row) / KW_PANEL_ROWS;
    if (!t->n_in_place) return kw_tensor_row(t, row);
    kw_panel_row(t->dtype, kw_panel_at(t, panel), size_of(row) % KW_PANEL_ROWS,
                 size_of(kw_tensor_cols(t)), room);
    return room;
}

size_t kw_cpu_row_room(const kw_tensor *t)
{
    return t->n_in_place ? (kw_tensor_row_bytes(t) + 63) & ~(size_t)63 : 0;
}

uint32_t kw_cpu_layout_version(void) { return KW_PANEL_VERSION; }

uint64_t kw_cpu_layouts(void)
{
    uint64_t h = kw_hash64(kw_panel_order, sizeof kw_panel_order, 0);
    for (int t = 0; t < KW_DTYPE_COUNT; t++) {
        const char *name = kw_dtype_get((kw_dtype)t)->name;
        h = kw_hash64(name, strlen(name), h);
        h = kw_panel_hash((kw_dtype)t, h);
    }
    return h;
}
