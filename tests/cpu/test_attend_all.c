/* test_attend_all.c - attention without a cache against softmax in double: sequences of all lengths side by side, over their
 * own rows and over another text's, with and without what distances add; and the same addition in attention over the cache. */
#include "cpu/cpu.h"
#include "cpu/kernels.h"
#include "test.h"
#include <math.h>

enum { MOST = 400, HEADS = 4, MOST_HD = 40, FAR = 5, CAUSAL = 9, MAX_SEQUENCES = 8 };

static void must(kw_status st)
{
    if (st) fail_msg("%s", kw_error_message());
}

/* Texts of these lengths; a text may have no keys at all. */
static const int lengths[][MAX_SEQUENCES] = { { 1 }, { 3, 64, 65, 1, 130, 63 }, { 200, 7 } };
static const int others[][MAX_SEQUENCES] = { { 5 }, { 70, 0, 1, 64, 129, 2 }, { 3, 190 } };

typedef struct data {
    float q[MOST * HEADS * MOST_HD], k[MOST * HEADS * MOST_HD], v[MOST * HEADS * MOST_HD];
    float bias[HEADS * (2 * FAR + 1)], causal[HEADS * CAUSAL];
    int32_t q_at[MOST * 2], k_at[MOST * 2];
    int n_q, n_k;
    float got[MOST * HEADS * MOST_HD];
} data;

typedef struct form {
    int hd, kv_heads;
    bool cross, biased, exact, cached;
    const char *isa;
} form;

static int rows_of(const int *length, int32_t *at)
{
    int n = 0;
    for (int s = 0; s < MAX_SEQUENCES; s++)
        for (int i = 0; i < length[s]; i++, n++) at[2 * n] = s, at[2 * n + 1] = i;
    return n;
}

static void fill(float *x, size_t n, uint64_t seed)
{
    kw_rng rng;
    kw_rng_seed(&rng, seed);
    for (size_t i = 0; i < n; i++) x[i] = (float)(kw_rng_f64(&rng) * 2 - 1);
}

static data *make(size_t which, const form *f)
{
    static data d;
    d.n_q = rows_of(lengths[which], d.q_at);
    d.n_k = rows_of(f->cross ? others[which] : lengths[which], d.k_at);
    fill(d.q, sizeof d.q / 4, 1);
    fill(d.k, sizeof d.k / 4, 2);
    fill(d.v, sizeof d.v / 4, 3);
    fill(d.bias, sizeof d.bias / 4, 4);
    fill(d.causal, sizeof d.causal / 4, 5);
    return &d;
}

/* ---- through the engine ---- */

typedef struct machine {
    kw_pool *pool;
    kw_device *device;
    kw_plan *plan;
    kw_program *program;
    kw_memory *scratch, *pages[MAX_SEQUENCES][4];
} machine;

static void open_pages(machine *m, const kw_kv_layout *l, kw_memory *const **table)
{
    for (int s = 0; s < MAX_SEQUENCES; s++) {
        table[s] = m->pages[s];
        for (int i = 0; i < 4; i++)
            must(kw_backend_cpu.alloc(m->device, kw_kv_page_bytes(l), KW_PAY_KV, &m->pages[s][i]));
    }
}

static void record(machine *m, const data *d, const form *f)
{
    int64_t q_cols = HEADS * f->hd, k_cols = f->kv_heads * f->hd;
    kw_tensor bias = { .dtype = KW_F32, .rank = 2, .shape = { HEADS, 2 * FAR + 1, 1, 1 } };
    bias.data = d->bias;
    if (f->cached) bias.shape[1] = CAUSAL, bias.data = d->causal;
    kw_plan *p;
    must(kw_plan_new(&(kw_plan_options){ .has = kw_backend_cpu.has, .device = m->device }, &p));
    kw_dim dim = f->cross ? KW_DIM_OTHER : KW_DIM_ROWS;
    int64_t k_most = f->cross ? MOST : MOST - 1;
    kw_val q = kw_input(p, "q", KW_F32, KW_DIM_ROWS, MOST - 1, q_cols);
    kw_val k = kw_input(p, "k", KW_F32, dim, k_most, k_cols);
    kw_val v = kw_input(p, "v", KW_F32, dim, k_most, k_cols);
    kw_val at = kw_input(p, "rows", KW_I32, KW_DIM_ROWS, MOST - 1, 2);
    kw_attend_args a = { .n_heads = HEADS, .n_kv_heads = f->kv_heads, .head_dim = f->hd };
    a.scale = 0.3f;
    if (f->biased) a.bias = kw_weight(p, "bias", &bias);
    if (f->cross) a.k_rows = kw_input(p, "k_rows", KW_I32, dim, k_most, 2);
    kw_output(p, f->cached ? kw_attend(p, q, k, v, at, a) : kw_attend_all(p, q, k, v, at, a), "y");
    must(kw_plan_seal(p));
    must(kw_backend_cpu.prepare(m->device, p, f->exact, &m->program));
    must(kw_backend_cpu.alloc(m->device, m->program->scratch_bytes, KW_PAY_SCRATCH, &m->scratch));
    m->plan = p;
}

static void run(data *d, const form *f)
{
    const kw_backend *cpu = &kw_backend_cpu;
    machine m = { 0 };
    must(kw_pool_open(3, &m.pool));
    must(cpu->open(0, &(kw_device_options){ .pool = m.pool, .isa = f->isa }, &m.device));
    record(&m, d, f);
    kw_memory *const *table[MAX_SEQUENCES];
    kw_kv_layout layout = { .dtype = KW_F32,
                            .n_layers = 1,
                            .n_kv_heads = f->kv_heads,
                            .head_dim = f->hd,
                            .page_rows = 64,
                            .tiled = !f->exact && kw_cpu_tiles_cache(m.device) };
    kw_kv_binding kv = { .layout = layout, .pages = table, .n_sequences = MAX_SEQUENCES };
    if (f->cached) open_pages(&m, &layout, table);
    const void *inputs[] = { d->q, d->k, d->v, d->q_at, d->k_at };
    void *outputs[] = { d->got };
    kw_binding b = { .inputs = inputs, .outputs = outputs, .scratch = m.scratch, .check = true };
    if (f->cached) b.kv = &kv;
    b.live[KW_DIM_ROWS] = d->n_q;
    b.live[KW_DIM_OTHER] = d->n_k;
    must(cpu->submit(m.program, &b));
    must(cpu->poll(m.program));
    for (int s = 0; s < MAX_SEQUENCES; s++)
        for (int i = 0; i < 4; i++) cpu->free(m.device, m.pages[s][i]);
    cpu->free(m.device, m.scratch);
    cpu->drop(m.program);
    kw_plan_free(m.plan);
    cpu->close(m.device);
    kw_pool_close(m.pool);
}

/* ---- as it should be ---- */

static double added(const data *d, const form *f, int head, int q, int k)
{
    int ahead = d->k_at[2 * k + 1] - d->q_at[2 * q + 1];
    if (!f->biased) return 0;
    if (f->cached)
        return (double)d->causal[head * CAUSAL + (-ahead < CAUSAL ? -ahead : CAUSAL - 1)];
    ahead = ahead < -FAR ? -FAR : ahead > FAR ? FAR : ahead;
    return (double)d->bias[head * (2 * FAR + 1) + FAR + ahead];
}

static bool sees(const data *d, const form *f, int q, int k)
{
    return d->k_at[2 * k] == d->q_at[2 * q] &&
           (!f->cached || d->k_at[2 * k + 1] <= d->q_at[2 * q + 1]);
}

static double worst_of_head(const data *d, const form *f, int q, int head)
{
    static double w[MOST];
    int hd = f->hd, kv = head / (HEADS / f->kv_heads);
    double sum = 0, worst = 0;
    for (int k = 0; k < d->n_k; k++) {
        double s = 0;
        for (int j = 0; j < hd; j++)
            s += (double)d->q[(q * HEADS + head) * hd + j] *
                 (double)d->k[(k * f->kv_heads + kv) * hd + j];
        w[k] = sees(d, f, q, k) ? exp(s * (double)0.3f + added(d, f, head, q, k)) : 0;
        sum += w[k];
    }
    for (int j = 0; j < hd; j++) {
        double want = 0;
        for (int k = 0; k < d->n_k && sum > 0; k++)
            want += w[k] / sum * (double)d->v[(k * f->kv_heads + kv) * hd + j];
        worst = fmax(worst, fabs(want - (double)d->got[(q * HEADS + head) * hd + j]));
    }
    return worst;
}

static double worst_of(const data *d, const form *f)
{
    double worst = 0;
    for (int q = 0; q < d->n_q; q++)
        for (int head = 0; head < HEADS; head++) worst = fmax(worst, worst_of_head(d, f, q, head));
    return worst;
}

/* ---- the rules ---- */

static const form forms[] = {
    { .hd = 32, .kv_heads = HEADS },
    { .hd = 32, .kv_heads = HEADS, .biased = true },
    { .hd = 20, .kv_heads = 2, .biased = true },
    { .hd = 40, .kv_heads = HEADS, .cross = true },
    { .hd = 16, .kv_heads = 1, .cross = true, .biased = true },
    { .hd = 32, .kv_heads = HEADS, .biased = true, .cached = true },
    { .hd = 20, .kv_heads = 2, .biased = true, .cached = true },
};

TEST(attention_is_softmax_over_the_whole_sequence_on_every_row_of_kernels)
{
    static float exact[MOST * HEADS * MOST_HD];
    size_t n;
    double worst[2] = { 0, 0 };
    const kw_kernels *const *rows = kw_kernel_rows(&n);
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        for (size_t which = 0; which < 3; which++)
            for (size_t r = 0; r < n; r++)
                for (int is_exact = 0; is_exact < 2; is_exact++) {
                    form f = forms[i];
                    if ((rows[r]->needs & kw_cpu_features()) != rows[r]->needs) continue;
                    f.isa = rows[r]->name, f.exact = is_exact;
                    data *d = make(which, &f);
                    run(d, &f);
                    size_t bytes = (size_t)(d->n_q * HEADS * f.hd) * sizeof(float);
                    worst[is_exact] = fmax(worst[is_exact], worst_of(d, &f));
                    if (is_exact && r == 0) memcpy(exact, d->got, bytes);
                    if (is_exact) assert_memory_equal(d->got, exact, bytes);
                }
    printf("worst error of values up to 1: fast %.2e, exact %.2e\n", worst[0], worst[1]);
    assert_true(worst[0] < 2e-6 && worst[1] < 2e-6);
}

/* The second text of three, then the same text by itself. */
TEST(a_text_has_the_same_bits_alone_as_among_others)
{
    static float all[MOST * HEADS * MOST_HD];
    for (int exact = 0; exact < 2; exact++) {
        form f = { .hd = 32, .kv_heads = HEADS, .biased = true, .exact = exact };
        data *d = make(1, &f);
        run(d, &f);
        memcpy(all, d->got, sizeof all);
        size_t row = HEADS * 32, from = 3 + 64;
        memmove(d->q, d->q + from * row, 65 * row * sizeof *d->q);
        memmove(d->k, d->k + from * row, 65 * row * sizeof *d->k);
        memmove(d->v, d->v + from * row, 65 * row * sizeof *d->v);
        d->n_q = d->n_k = rows_of((const int[MAX_SEQUENCES]){ 65 }, d->q_at);
        rows_of((const int[MAX_SEQUENCES]){ 65 }, d->k_at);
        run(d, &f);
        assert_memory_equal(d->got, all + from * row, 65 * row * sizeof *all);
    }
}

TEST(shapes_that_do_not_fit_are_named)
{
    kw_plan *p;
    must(kw_plan_new(NULL, &p));
    kw_attend_args a = { .n_heads = 2, .n_kv_heads = 2, .head_dim = 8, .scale = 1 };
    kw_val q = kw_input(p, "q", KW_F32, KW_DIM_ROWS, 4, 16);
    kw_val k = kw_input(p, "k", KW_F32, KW_DIM_OTHER, 9, 16);
    kw_val at = kw_input(p, "rows", KW_I32, KW_DIM_ROWS, 4, 2);
    assert_int_equal(kw_attend_all(p, q, k, k, at, a).id, 0); /* k stands on other rows */
    assert_int_equal(kw_plan_seal(p), KW_ESHAPE);
    assert_non_null(strstr(kw_error_message(), "ATTEND_ALL"));
    kw_plan_free(p);
}
