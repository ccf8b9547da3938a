/* make.c - each op of ops.def recorded at a shape, with what it must read and compute.
 *
 * Weights and caches are recorded several times over, each copy with its own memory, until together they are larger than
 * a processor's caches: a decoder reads every weight once a token, so a weight that stays in a cache would flatter. */
#include "bench.h"
#include <stdio.h>

enum { WIDTH = 2048, FFN = 8192, HEADS = 32, KV_HEADS = 8, HEAD_DIM = 64, VOCABULARY = 32000 };
enum { KV_LAYERS = 16 };
static const double beyond_caches = 512e6;

void bench_fill(void *dst, size_t bytes, uint64_t seed)
{
    enum { DRAWN = 1 << 20 };
    unsigned char *p = dst;
    kw_rng rng;
    kw_rng_seed(&rng, seed);
    for (size_t i = 0; i < bytes && i < DRAWN;) {
        uint64_t r = kw_rng_u64(&rng);
        for (int j = 0; j < 16 && i < bytes; j++, i++)
            p[i] = (unsigned char)(0x20 | (r >> (4 * j) & 15));
    }
    for (size_t i = DRAWN; i < bytes; i++) p[i] = p[i - DRAWN];
}

/* ---- leaves ---- */

static void *room(maker *m, size_t bytes)
{
    void *p = m->status ? NULL : kw_arena_alloc(&m->memory, bytes, 1);
    if (!p && !m->status) m->status = KW_ENOMEM;
    return p;
}

static kw_val input(maker *m, kw_dtype dtype, kw_dim dim, int64_t rows, int64_t cols, void *data)
{
    if (m->n_inputs == BENCH_MAX_SLOTS)
        m->status = kw_fail(KW_ELIMIT, "more than %d inputs", m->n_inputs);
    if (m->status) return KW_NONE;
    m->inputs[m->n_inputs++] = data;
    return kw_input(m->plan, "in", dtype, dim, rows, cols);
}

static kw_val numbers(maker *m, int64_t rows, int64_t cols)
{
    float *x = room(m, (size_t)(rows * cols) * sizeof *x);
    kw_rng rng;
    kw_rng_seed(&rng, (uint64_t)m->n_inputs);
    for (int64_t i = 0; x && i < rows * cols; i++) x[i] = kw_rng_normal(&rng);
    return input(m, KW_F32, KW_DIM_ROWS, rows, cols, x);
}

/* ids[rows]: scattered over 0..n-1, or in order when n is 0. */
static kw_val ids(maker *m, kw_dim dim, int64_t rows, int64_t n)
{
    int32_t *x = room(m, (size_t)rows * sizeof *x);
    for (int64_t i = 0; x && i < rows; i++) x[i] = (int32_t)(n ? i * 7919 % n : i);
    return input(m, KW_I32, dim, rows, 1, x);
}

/* rows[n,2]: sequence 0, positions from `at` on. */
static kw_val positions(maker *m, int64_t rows, int64_t at)
{
    int32_t *x = room(m, (size_t)rows * 2 * sizeof *x);
    for (int64_t i = 0; x && i < rows; i++) x[2 * i] = 0, x[2 * i + 1] = (int32_t)(at + i);
    return input(m, KW_I32, KW_DIM_ROWS, rows, 2, x);
}

static kw_val weight(maker *m, kw_dtype dtype, int64_t rows, int64_t cols)
{
    kw_tensor t = { .dtype = dtype, .rank = 2, .shape = { rows, cols, 1, 1 } };
    size_t bytes;
    if (!kw_dtype_size(dtype, (size_t)cols, &bytes) || !kw_mul_size(bytes, (size_t)rows, &bytes)) {
        m->status = kw_fail(KW_EINVAL, "%lld columns are not whole blocks of %s", (long long)cols,
                            kw_dtype_get(dtype)->name);
        return KW_NONE;
    }
    void *data = room(m, bytes);
    if (!data) return KW_NONE;
    bench_fill(data, bytes, (uint64_t)rows);
    if (rows == 1) {
        t.rank = 1;
        t.shape[0] = cols;
        t.shape[1] = 1;
    }
    t.data = data;
    return kw_weight(m->plan, NULL, &t);
}

/* The weight of a LINEAR as a loaded model has it: in fast mode in the device's own layout, where it has one. */
static kw_val matrix(maker *m, kw_dtype dtype, int64_t rows, int64_t cols)
{
    kw_val v = weight(m, dtype, rows, cols);
    if (m->status || m->exact || v.id == 0) return v;
    kw_tensor *t = &m->plan->value[v.id].t;
    if (!kw_cpu_packs(m->device, t)) return v;
    size_t panels = kw_cpu_panels(t);
    void *packed = room(m, panels * kw_cpu_panel_bytes(t));
    if (packed) kw_cpu_pack(m->device, t, 0, panels, packed);
    t->packed = packed;
    return v;
}

static void output(maker *m, kw_val v)
{
    const kw_value *x = kw_plan_value(m->plan, v);
    if (m->n_outputs == BENCH_MAX_SLOTS)
        m->status = kw_fail(KW_ELIMIT, "more than %d outputs", m->n_outputs);
    if (m->status || v.id == 0) return; /* 0: the plan has recorded why */
    size_t n = (size_t)(kw_tensor_rows(&x->t) * kw_tensor_cols(&x->t));
    m->outputs[m->n_outputs++] = room(m, n * sizeof(float));
    kw_output(m->plan, v, "out");
    m->n_copies++;
}

static double floats(int64_t n) { return (double)n * sizeof(float); }

/* ---- ops ---- */

void make_LINEAR(maker *m, const shape *s)
{
    kw_tensor t = { .dtype = s->dtype, .rank = 2, .shape = { s->out, s->in, 1, 1 } };
    double weight_bytes = (double)s->out * (double)kw_tensor_row_bytes(&t);
    int copies = s->rows > 32 ? 1 : (int)(beyond_caches / weight_bytes) + 1;
    copies = copies > BENCH_MAX_SLOTS ? BENCH_MAX_SLOTS : copies; /* tiny ones stay in the caches */
    kw_val x = numbers(m, s->rows, s->in);
    for (int i = 0; i < copies && !m->status; i++) {
        kw_val w = matrix(m, s->dtype, s->out, s->in);
        if (!m->status) output(m, kw_linear(m->plan, x, w, KW_NONE));
    }
    m->bytes = weight_bytes + floats(s->rows * (s->in + s->out));
    m->flops = 2.0 * (double)s->rows * (double)s->out * (double)s->in;
    snprintf(m->label, sizeof m->label, "%s %lldx%lld", kw_dtype_get(s->dtype)->name,
             (long long)s->out, (long long)s->in);
}

void make_EMBED(maker *m, const shape *s)
{
    output(m, kw_embed(m->plan, ids(m, KW_DIM_ROWS, s->rows, VOCABULARY),
                       weight(m, s->dtype, VOCABULARY, WIDTH)));
    m->bytes = floats(s->rows * WIDTH);
    m->flops = (double)s->rows * WIDTH;
    snprintf(m->label, sizeof m->label, "%s %dx%d", kw_dtype_get(s->dtype)->name, VOCABULARY,
             WIDTH);
}

static void elementwise(maker *m, const shape *s, int64_t cols, int operands, double flops)
{
    m->bytes = floats(s->rows * cols * (operands + 1));
    m->flops = flops * (double)(s->rows * cols);
    snprintf(m->label, sizeof m->label, "%lld", (long long)cols);
}

void make_RMS_NORM(maker *m, const shape *s)
{
    output(m, kw_rms_norm(m->plan, numbers(m, s->rows, WIDTH), weight(m, KW_F32, 1, WIDTH), 1e-5f));
    elementwise(m, s, WIDTH, 1, 4);
}

void make_LAYER_NORM(maker *m, const shape *s)
{
    output(m, kw_layer_norm(m->plan, numbers(m, s->rows, WIDTH), weight(m, KW_F32, 1, WIDTH),
                            weight(m, KW_F32, 1, WIDTH), 1e-5f));
    elementwise(m, s, WIDTH, 1, 7);
}

void make_ADD(maker *m, const shape *s)
{
    output(m, kw_add(m->plan, numbers(m, s->rows, WIDTH), numbers(m, s->rows, WIDTH)));
    elementwise(m, s, WIDTH, 2, 1);
}

void make_MUL(maker *m, const shape *s)
{
    output(m, kw_mul(m->plan, numbers(m, s->rows, FFN), numbers(m, s->rows, FFN)));
    elementwise(m, s, FFN, 2, 1);
}

void make_SILU(maker *m, const shape *s)
{
    output(m, kw_silu(m->plan, numbers(m, s->rows, FFN)));
    elementwise(m, s, FFN, 1, 4);
}

void make_GELU(maker *m, const shape *s)
{
    output(m, kw_gelu(m->plan, numbers(m, s->rows, FFN)));
    elementwise(m, s, FFN, 1, 30);
}

void make_SWIGLU(maker *m, const shape *s)
{
    output(m, kw_swiglu(m->plan, numbers(m, s->rows, FFN), numbers(m, s->rows, FFN)));
    elementwise(m, s, FFN, 2, 5);
}

void make_GELU_TANH(maker *m, const shape *s)
{
    output(m, kw_gelu_tanh(m->plan, numbers(m, s->rows, FFN)));
    elementwise(m, s, FFN, 1, 8);
}

void make_GEGLU(maker *m, const shape *s)
{
    output(m, kw_geglu(m->plan, numbers(m, s->rows, FFN), numbers(m, s->rows, FFN)));
    elementwise(m, s, FFN, 2, 9);
}

void make_SCALE(maker *m, const shape *s)
{
    output(m, kw_scale(m->plan, numbers(m, s->rows, WIDTH), 45.25f));
    elementwise(m, s, WIDTH, 1, 1);
}

void make_RELU(maker *m, const shape *s)
{
    output(m, kw_relu(m->plan, numbers(m, s->rows, FFN)));
    elementwise(m, s, FFN, 1, 1);
}

void make_SOFTCAP(maker *m, const shape *s)
{
    output(m, kw_softcap(m->plan, numbers(m, s->rows, FFN), 30.0f));
    elementwise(m, s, FFN, 1, 10);
}

static kw_val frequencies(maker *m) { return weight(m, KW_F32, 1, HEAD_DIM / 2); }

void make_ROPE_TABLE(maker *m, const shape *s)
{
    output(m, kw_rope_table(m->plan, positions(m, s->rows, s->at), frequencies(m), 1.0f));
    elementwise(m, s, HEAD_DIM, 0, 2);
}

void make_ROPE(maker *m, const shape *s)
{
    output(m, kw_rope(m->plan, numbers(m, s->rows, HEADS * HEAD_DIM), numbers(m, s->rows, HEAD_DIM),
                      (kw_rope_args){ .head_dim = HEAD_DIM }));
    elementwise(m, s, HEADS * HEAD_DIM, 1, 3);
}

/* One layer a copy. A row reads the keys and values of all positions before it. */
void make_ATTEND(maker *m, const shape *s)
{
    kw_val q = numbers(m, s->rows, HEADS * HEAD_DIM), k = numbers(m, s->rows, KV_HEADS * HEAD_DIM),
           v = numbers(m, s->rows, KV_HEADS * HEAD_DIM), rows = positions(m, s->rows, s->at);
    for (int layer = 0; layer < KV_LAYERS && !m->status; layer++)
        output(m, kw_attend(m->plan, q, k, v, rows,
                            (kw_attend_args){ .layer = layer,
                                              .n_heads = HEADS,
                                              .n_kv_heads = KV_HEADS,
                                              .head_dim = HEAD_DIM,
                                              .scale = 0.125f }));
    m->kv = (kw_kv_layout){ .dtype = m->exact ? KW_F32 : KW_F16,
                            .n_layers = KV_LAYERS,
                            .n_kv_heads = KV_HEADS,
                            .head_dim = HEAD_DIM,
                            .page_rows = 64,
                            .tiled = !m->exact && kw_cpu_tiles_cache(m->device) };
    double seen = (double)s->rows * ((double)s->at + (double)(s->rows + 1) / 2);
    m->bytes = (double)(s->at + s->rows) * KV_HEADS * HEAD_DIM * 4;
    m->flops = 4 * seen * HEADS * HEAD_DIM;
    snprintf(m->label, sizeof m->label, "%d/%d heads, %s cache, from %lld", HEADS, KV_HEADS,
             kw_dtype_get(m->kv.dtype)->name, (long long)s->at);
}

/* One sequence, as an encoder has it. */
void make_ATTEND_ALL(maker *m, const shape *s)
{
    kw_val q = numbers(m, s->rows, HEADS * HEAD_DIM), k = numbers(m, s->rows, HEADS * HEAD_DIM),
           v = numbers(m, s->rows, HEADS * HEAD_DIM);
    output(m, kw_attend_all(m->plan, q, k, v, positions(m, s->rows, 0),
                            (kw_attend_args){ .n_heads = HEADS,
                                              .n_kv_heads = HEADS,
                                              .head_dim = HEAD_DIM,
                                              .scale = 0.125f }));
    m->bytes = floats(4 * s->rows * HEADS * HEAD_DIM);
    m->flops = 4 * (double)s->rows * (double)s->rows * HEADS * HEAD_DIM;
    snprintf(m->label, sizeof m->label, "%d heads, one sequence", HEADS);
}

void make_ROWS(maker *m, const shape *s)
{
    output(m, kw_rows(m->plan, numbers(m, s->rows, WIDTH), ids(m, KW_DIM_OUT, s->rows, 0)));
    elementwise(m, s, WIDTH, 1, 0);
}

/* v of a projection that holds q, k and v of every group of heads. */
void make_COLUMNS(maker *m, const shape *s)
{
    enum { GROUP = (HEADS / KV_HEADS + 2) * HEAD_DIM };
    output(m, kw_columns(m->plan, numbers(m, s->rows, KV_HEADS * GROUP),
                         (kw_columns_args){ GROUP - HEAD_DIM, HEAD_DIM, GROUP, KV_HEADS }));
    elementwise(m, s, KV_HEADS * HEAD_DIM, 1, 0);
}

/* ---- a mixture: 8 experts of an eighth of the network's width, 2 for each row ---- */

static const kw_route_args mixture = { 8, 2, true };

void make_ROUTE(maker *m, const shape *s)
{
    output(m, kw_route(m->plan, numbers(m, s->rows, mixture.n_experts), mixture));
    elementwise(m, s, mixture.n_experts, 1, 10);
}

static kw_val groups(maker *m, const shape *s)
{
    return kw_group(m->plan, kw_route(m->plan, numbers(m, s->rows, mixture.n_experts), mixture),
                    mixture);
}

void make_GROUP(maker *m, const shape *s)
{
    output(m, groups(m, s));
    elementwise(m, s, 2 * mixture.n_used, 1, 2);
}

void make_EXPERTS(maker *m, const shape *s)
{
    kw_tensor t = { .dtype = KW_F16,
                    .rank = 3,
                    .shape = { mixture.n_experts, FFN / mixture.n_experts, WIDTH, 1 } };
    size_t bytes = (size_t)kw_tensor_rows(&t) * kw_tensor_row_bytes(&t);
    void *data = room(m, bytes);
    kw_val x = numbers(m, s->rows, WIDTH), by = groups(m, s);
    if (!data) return;
    bench_fill(data, bytes, 1);
    t.data = data;
    output(m, kw_experts(m->plan, x, kw_weight(m->plan, NULL, &t), by, mixture));
    m->bytes = (double)bytes + floats(s->rows * (WIDTH + 2 * FFN / mixture.n_experts));
    m->flops = 2.0 * (double)s->rows * WIDTH * 2 * FFN / mixture.n_experts;
    snprintf(m->label, sizeof m->label, "F16 %d of %dx%d, 2 a row", mixture.n_experts,
             FFN / mixture.n_experts, WIDTH);
}

void make_MIX(maker *m, const shape *s)
{
    output(m, kw_mix(m->plan, numbers(m, s->rows, WIDTH * mixture.n_used),
                     numbers(m, s->rows, 2 * mixture.n_used)));
    elementwise(m, s, WIDTH, mixture.n_used, 3);
}

/* What stopping, being answered and going on costs. */
void make_CUT(maker *m, const shape *s)
{
    output(m, kw_cut(m->plan, numbers(m, s->rows, WIDTH), 1));
    elementwise(m, s, WIDTH, 1, 0);
}
