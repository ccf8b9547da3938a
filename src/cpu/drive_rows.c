/* drive_rows.c - ops that treat every row alone: embeddings, norms, sums, rotations.
 *
 * A chunk is a handful of rows, or for a single row (decoding) a stretch of its columns where the op allows it. */
#include "cpu/internal.h"
#include <string.h>

enum { ROWS_A_CHUNK = 4, CELLS_A_CHUNK = 4096 };

static int64_t row_chunks(const kw_run *r)
{
    return (kw_live_rows(r, r->step->op->dst) + ROWS_A_CHUNK - 1) / ROWS_A_CHUNK;
}

static int64_t first_row(int64_t chunk) { return chunk * ROWS_A_CHUNK; }

static int64_t last_row(const kw_run *r, int64_t chunk)
{
    return kw_least((chunk + 1) * ROWS_A_CHUNK, kw_live_rows(r, r->step->op->dst));
}

static void embed(const kw_run *r, int64_t chunk)
{
    const kw_op *op = r->step->op;
    const kw_value *table = kw_plan_value(r->g->plan, op->src[1]);
    const int32_t *ids = kw_place(r, op->src[0]);
    float *dst = kw_place(r, op->dst);
    int64_t d = kw_cols(r, op->dst), n = kw_cols(r, op->src[0]);
    for (int64_t i = first_row(chunk); i < last_row(r, chunk); i++)
        r->g->kernels.decode[table->t.dtype](kw_cpu_row(&table->t, ids[i * n + n - 1],
                                                        kw_worker_memory(r)),
                                             dst + i * d, (size_t)d);
}

static void rms_norm(const kw_run *r, int64_t chunk)
{
    const kw_op *op = r->step->op;
    const float *x = kw_place(r, op->src[0]), *w = kw_place(r, op->src[1]);
    float *dst = kw_place(r, op->dst);
    int64_t d = kw_cols(r, op->src[1]), heads = kw_cols(r, op->dst) / d;
    for (int64_t i = first_row(chunk) * heads; i < last_row(r, chunk) * heads; i++)
        r->g->kernels.rms_norm(dst + i * d, x + i * d, w, (size_t)d, op->p.eps);
}

static void layer_norm(const kw_run *r, int64_t chunk)
{
    const kw_op *op = r->step->op;
    const float *x = kw_place(r, op->src[0]);
    float *dst = kw_place(r, op->dst);
    int64_t d = kw_cols(r, op->dst);
    kw_layer_norm_args a = { .w = kw_place(r, op->src[1]),
                             .bias = kw_place(r, op->src[2]),
                             .n = (size_t)d,
                             .eps = op->p.eps };
    for (int64_t i = first_row(chunk); i < last_row(r, chunk); i++)
        r->g->kernels.layer_norm(dst + i * d, x + i * d, &a);
}

/* Element by element: rows do not matter, a chunk is a stretch of cells. */
static int64_t cell_chunks(const kw_run *r)
{
    const kw_op *op = r->step->op;
    return (kw_live_rows(r, op->dst) * kw_cols(r, op->dst) + CELLS_A_CHUNK - 1) / CELLS_A_CHUNK;
}

static size_t cells(const kw_run *r, int64_t chunk)
{
    const kw_op *op = r->step->op;
    int64_t all = kw_live_rows(r, op->dst) * kw_cols(r, op->dst);
    return (size_t)(kw_least((chunk + 1) * CELLS_A_CHUNK, all) - chunk * CELLS_A_CHUNK);
}

static void binary(const kw_run *r, int64_t chunk,
                   void (*kernel)(float *, const float *, const float *, size_t))
{
    const kw_op *op = r->step->op;
    const float *a = kw_place(r, op->src[0]), *b = kw_place(r, op->src[1]);
    float *dst = kw_place(r, op->dst);
    int64_t at = chunk * CELLS_A_CHUNK;
    kernel(dst + at, a + at, b + at, cells(r, chunk));
}

static void add(const kw_run *r, int64_t chunk) { binary(r, chunk, r->g->kernels.add); }

static void mul(const kw_run *r, int64_t chunk) { binary(r, chunk, r->g->kernels.mul); }

static void swiglu(const kw_run *r, int64_t chunk) { binary(r, chunk, r->g->kernels.swiglu); }

static void geglu(const kw_run *r, int64_t chunk) { binary(r, chunk, r->g->kernels.geglu); }

/* A chunk's cells of an op with one source. */
static const float *source(const kw_run *r, int64_t chunk)
{
    return (const float *)kw_place(r, r->step->op->src[0]) + chunk * CELLS_A_CHUNK;
}

static float *result(const kw_run *r, int64_t chunk)
{
    return (float *)kw_place(r, r->step->op->dst) + chunk * CELLS_A_CHUNK;
}

static void silu(const kw_run *r, int64_t chunk)
{
    r->g->kernels.silu(result(r, chunk), source(r, chunk), cells(r, chunk));
}

static void gelu(const kw_run *r, int64_t chunk)
{
    r->g->kernels.gelu(result(r, chunk), source(r, chunk), cells(r, chunk));
}

static void gelu_tanh(const kw_run *r, int64_t chunk)
{
    r->g->kernels.gelu_tanh(result(r, chunk), source(r, chunk), cells(r, chunk));
}

static void softcap(const kw_run *r, int64_t chunk)
{
    float cap = r->step->op->p.scale;
    r->g->kernels.softcap(result(r, chunk), source(r, chunk), cells(r, chunk), cap);
}

static void scale(const kw_run *r, int64_t chunk)
{
    const float *x = source(r, chunk), by = r->step->op->p.scale;
    float *dst = result(r, chunk);
    for (size_t i = 0; i < cells(r, chunk); i++) dst[i] = x[i] * by;
}

static void relu(const kw_run *r, int64_t chunk)
{
    const float *x = source(r, chunk);
    float *dst = result(r, chunk);
    size_t n = cells(r, chunk);
    for (size_t i = 0; i < n; i++) dst[i] = x[i] < 0 ? 0 : x[i]; /* NaN stays */
}

/* Angles are rounded to f32 as PyTorch computes them; sine and cosine are taken in double and rounded once. */
static void rope_table(const kw_run *r, int64_t chunk)
{
    const kw_op *op = r->step->op;
    const int32_t *rows = kw_place(r, op->src[0]);
    const float *freq = kw_place(r, op->src[1]);
    float *dst = kw_place(r, op->dst);
    int64_t half = kw_cols(r, op->src[1]);
    for (int64_t i = first_row(chunk); i < last_row(r, chunk); i++)
        for (int64_t j = 0; j < half; j++) {
            float angle = (float)rows[2 * i + 1] * freq[j];
            dst[2 * i * half + j] = (float)kw_cos((double)angle) * op->p.scale;
            dst[(2 * i + 1) * half + j] = (float)kw_sin((double)angle) * op->p.scale;
        }
}

void kw_rotate_row(const kw_run *r, const kw_op *rope, int64_t row, float *out)
{
    const float *x = kw_place(r, rope->src[0]), *table = kw_place(r, rope->src[1]);
    int64_t d = kw_cols(r, rope->dst), t = kw_cols(r, rope->src[1]);
    table += row * t + rope->p.rope.first;
    r->g->kernels.rope(&(kw_rope_row){ .x = x + row * d,
                                       .cos = table,
                                       .sin = table + t / 2,
                                       .dst = out,
                                       .n_heads = (int)(d / rope->p.rope.head_dim),
                                       .head_dim = rope->p.rope.head_dim,
                                       .half = rope->p.rope.n,
                                       .interleaved = rope->p.rope.interleaved });
}

static void rope(const kw_run *r, int64_t chunk)
{
    const kw_op *op = r->step->op;
    float *dst = kw_place(r, op->dst);
    for (int64_t i = first_row(chunk); i < last_row(r, chunk); i++)
        kw_rotate_row(r, op, i, dst + i * kw_cols(r, op->dst));
}

static void pick_rows(const kw_run *r, int64_t chunk)
{
    const kw_op *op = r->step->op;
    const float *x = kw_place(r, op->src[0]);
    const int32_t *index = kw_place(r, op->src[1]);
    float *dst = kw_place(r, op->dst);
    int64_t d = kw_cols(r, op->dst);
    for (int64_t i = first_row(chunk); i < last_row(r, chunk); i++)
        memcpy(dst + i * d, x + index[i] * d, (size_t)d * sizeof *dst);
}

static void columns(const kw_run *r, int64_t chunk)
{
    const kw_op *op = r->step->op;
    const kw_columns_args *a = &op->p.columns;
    int64_t d = kw_cols(r, op->src[0]), width = a->width;
    for (int64_t i = first_row(chunk); i < last_row(r, chunk); i++) {
        const float *x = (const float *)kw_place(r, op->src[0]) + i * d + a->first;
        float *dst = (float *)kw_place(r, op->dst) + i * width * a->count;
        for (int64_t j = 0; j < a->count; j++)
            memcpy(dst + j * width, x + j * a->stride, (size_t)width * sizeof *dst);
    }
}

const kw_op_driver kw_drive_embed = { .chunks = row_chunks, .run = embed };
const kw_op_driver kw_drive_rms_norm = { .chunks = row_chunks, .run = rms_norm };
const kw_op_driver kw_drive_layer_norm = { .chunks = row_chunks, .run = layer_norm };
const kw_op_driver kw_drive_gelu = { .chunks = cell_chunks, .run = gelu };
const kw_op_driver kw_drive_add = { .chunks = cell_chunks, .run = add };
const kw_op_driver kw_drive_mul = { .chunks = cell_chunks, .run = mul };
const kw_op_driver kw_drive_silu = { .chunks = cell_chunks, .run = silu };
const kw_op_driver kw_drive_swiglu = { .chunks = cell_chunks, .run = swiglu };
const kw_op_driver kw_drive_gelu_tanh = { .chunks = cell_chunks, .run = gelu_tanh };
const kw_op_driver kw_drive_geglu = { .chunks = cell_chunks, .run = geglu };
const kw_op_driver kw_drive_scale = { .chunks = cell_chunks, .run = scale };
const kw_op_driver kw_drive_relu = { .chunks = cell_chunks, .run = relu };
const kw_op_driver kw_drive_softcap = { .chunks = cell_chunks, .run = softcap };
const kw_op_driver kw_drive_rope_table = { .chunks = row_chunks, .run = rope_table };
const kw_op_driver kw_drive_rope = { .chunks = row_chunks, .run = rope };
const kw_op_driver kw_drive_columns = { .chunks = row_chunks, .run = columns };
const kw_op_driver kw_drive_rows = { .chunks = row_chunks, .run = pick_rows };
