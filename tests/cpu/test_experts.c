/* test_experts.c - a mixture of experts as a plan, against plain loops in double: every row to the experts with its best
 * scores, whatever the number of rows, the format of the matrices, and whether they lie together; crowded experts and idle ones.
 * Over packed matrices a row has the bits that LINEAR gives it with the others of its expert. */
#include "cpu/cpu.h"
#include "cpu/kernels.h"
#include "test.h"
#include <math.h>

enum { EXPERTS = 6, USED = 2, WIDTH = 64, FFN = 96, MOST_ROWS = 70 };
static const kw_route_args args = { EXPERTS, USED, true };

static void must(kw_status st)
{
    if (st) fail_msg("%s", kw_error_message());
}

/* The weights: as a file has them, and what they mean. */
typedef struct stack {
    kw_tensor t;
    _Alignas(64) unsigned char bytes[EXPERTS * FFN * WIDTH * 4];
    float means[EXPERTS * FFN * WIDTH];
    const void *parts[EXPERTS];
    _Alignas(64) unsigned char packed[EXPERTS * FFN * WIDTH * 2];
} stack;

static void make(stack *s, kw_dtype dtype, int rows, int cols, bool apart)
{
    const kw_dtype_info *info = kw_dtype_get(dtype);
    size_t n = (size_t)EXPERTS * (size_t)(rows * cols),
           each = n / EXPERTS / info->block * info->bytes;
    kw_rng rng;
    kw_rng_seed(&rng, (uint64_t)(rows * 100 + cols));
    for (size_t i = 0; i < n / info->block * info->bytes; i++)
        s->bytes[i] = (unsigned char)(0x20 | (kw_rng_u64(&rng) &
                                              0x8f)); /* sane halves, codes of both signs */
    if (dtype == KW_F32)
        for (size_t i = 0; i < n; i++)
            ((float *)(void *)s->bytes)[i] = (float)kw_rng_f64(&rng) - 0.5f;
    s->t = (kw_tensor){ .dtype = dtype, .rank = 3, .shape = { EXPERTS, rows, cols, 1 } };
    s->t.data = s->bytes;
    if (apart) { /* in another order: expert e is what lies at place 5 - e */
        for (size_t e = 0; e < EXPERTS; e++) s->parts[e] = s->bytes + (EXPERTS - 1 - e) * each;
        s->t.parts = s->parts;
    }
    for (size_t e = 0; e < EXPERTS; e++)
        info->decode(apart ? s->parts[e] : s->bytes + e * each, s->means + e * n / EXPERTS,
                     n / EXPERTS);
}

typedef struct machine {
    kw_pool *pool;
    kw_device *device;
    stack up, down;
    float scores[MOST_ROWS * EXPERTS], x[MOST_ROWS * WIDTH], got[MOST_ROWS * WIDTH];
} machine;

static kw_plan *plan_of(const machine *m)
{
    kw_plan *p = NULL;
    must(kw_plan_new(&(kw_plan_options){ .has = kw_backend_cpu.has, .device = m->device }, &p));
    return p;
}

/* Runs a plan once, n rows alive, and frees it. */
static void execute(machine *m, kw_plan *p, bool exact, kw_binding b, int n)
{
    const kw_backend *cpu = &kw_backend_cpu;
    kw_program *program = NULL;
    must(kw_plan_seal(p));
    must(cpu->prepare(m->device, p, exact, &program));
    must(cpu->alloc(m->device, program->scratch_bytes, KW_PAY_SCRATCH, &b.scratch));
    b.live[KW_DIM_ROWS] = n;
    must(cpu->submit(program, &b));
    must(cpu->poll(program));
    cpu->free(m->device, b.scratch);
    cpu->drop(program);
    kw_plan_free(p);
}

/* Rows of scores and x, n of them alive of `recorded`: up, then down, then mixed. */
static void run(machine *m, bool exact, int recorded, int n)
{
    kw_plan *p = plan_of(m);
    kw_val scores = kw_input(p, "scores", KW_F32, KW_DIM_ROWS, recorded, EXPERTS);
    kw_val x = kw_input(p, "x", KW_F32, KW_DIM_ROWS, recorded, WIDTH);
    kw_val route = kw_route(p, scores, args), groups = kw_group(p, route, args);
    kw_val h = kw_experts(p, x, kw_weight(p, "up", &m->up.t), groups, args);
    h = kw_experts(p, h, kw_weight(p, "down", &m->down.t), groups, args);
    kw_output(p, kw_mix(p, h, route), "y");
    const void *inputs[] = { m->scores, m->x };
    void *outputs[] = { m->got };
    execute(m, p, exact, (kw_binding){ .inputs = inputs, .outputs = outputs, .check = true }, n);
}

static void times(const stack *s, int e, const double *x, double *out)
{
    int rows = (int)s->t.shape[1], cols = (int)s->t.shape[2];
    for (int i = 0; i < rows; i++) {
        out[i] = 0;
        for (int j = 0; j < cols; j++) out[i] += (double)s->means[(e * rows + i) * cols + j] * x[j];
    }
}

/* The largest difference to what it should be, of the largest result. */
static double worst_error(const machine *m, int n)
{
    double worst = 0, largest = 0;
    for (int row = 0; row < n; row++) {
        const float *s = m->scores + row * EXPERTS;
        double x[WIDTH], h[FFN], y[WIDTH], want[WIDTH] = { 0 };
        int best = 0, next = -1;
        for (int e = 1; e < EXPERTS; e++) best = s[e] > s[best] ? e : best;
        for (int e = 0; e < EXPERTS; e++)
            if (e != best && (next < 0 || s[e] > s[next])) next = e;
        double share = 1 / (1 + exp((double)s[next] - (double)s[best]));
        for (int j = 0; j < WIDTH; j++) x[j] = (double)m->x[row * WIDTH + j];
        for (int i = 0; i < USED; i++) {
            times(&m->up, i ? next : best, x, h);
            times(&m->down, i ? next : best, h, y);
            for (int j = 0; j < WIDTH; j++) want[j] += y[j] * (i ? 1 - share : share);
        }
        for (int j = 0; j < WIDTH; j++) {
            double off = fabs(want[j] - (double)m->got[row * WIDTH + j]);
            if (!(off <= worst)) worst = off;
            if (fabs(want[j]) > largest) largest = fabs(want[j]);
        }
    }
    return worst / largest;
}

/* crowd: all rows want expert 3 first and 1 second. */
static void fill(machine *m, bool crowd)
{
    kw_rng rng;
    kw_rng_seed(&rng, 5);
    for (int i = 0; i < MOST_ROWS * WIDTH; i++) m->x[i] = (float)(kw_rng_f64(&rng) * 2 - 1);
    for (int i = 0; i < MOST_ROWS * EXPERTS; i++) {
        m->scores[i] = (float)(kw_rng_f64(&rng) * 4 - 2);
        if (crowd && i % EXPERTS == 3) m->scores[i] += 9;
        if (crowd && i % EXPERTS == 1) m->scores[i] += 5;
    }
}

static machine *open_machine(const char *isa)
{
    static machine m;
    must(kw_pool_open(3, &m.pool));
    must(kw_backend_cpu.open(0, &(kw_device_options){ .pool = m.pool, .isa = isa }, &m.device));
    return &m;
}

static void close_machine(machine *m)
{
    kw_backend_cpu.close(m->device);
    kw_pool_close(m->pool);
}

TEST(rows_are_the_weighted_sum_of_their_best_experts)
{
    static const kw_dtype dtypes[] = { KW_F32, KW_F16, KW_BF16, KW_Q8_0, KW_Q4_0 };
    static const int rows[] = { 1, 2, 17, MOST_ROWS };
    double worst[2] = { 0, 0 };
    machine *m = open_machine("");
    for (size_t t = 0; t < sizeof dtypes / sizeof *dtypes; t++)
        for (int form = 0; form < 4; form++) {
            make(&m->up, dtypes[t], FFN, WIDTH, form & 1);
            make(&m->down, dtypes[t], WIDTH, FFN, form & 1);
            fill(m, form & 2);
            for (size_t r = 0; r < 4; r++)
                for (int exact = 0; exact < 2; exact++) {
                    run(m, exact, MOST_ROWS, rows[r]);
                    worst[exact] = fmax(worst[exact], worst_error(m, rows[r]));
                }
        }
    printf("worst error of the largest: fast %.2e, exact %.2e\n", worst[0], worst[1]);
    assert_true(worst[0] < 1e-4 && worst[1] < 2e-6);
    close_machine(m);
}

TEST(a_row_has_the_same_bits_in_any_company_and_on_every_row_of_kernels)
{
    static float want[MOST_ROWS * WIDTH];
    size_t n;
    const kw_kernels *const *kernels = kw_kernel_rows(&n);
    for (size_t i = 0; i < n; i++) {
        if ((kernels[i]->needs & kw_cpu_features()) != kernels[i]->needs) continue;
        machine *m = open_machine(kernels[i]->name);
        make(&m->up, KW_Q8_0, FFN, WIDTH, false);
        make(&m->down, KW_Q8_0, WIDTH, FFN, false);
        fill(m, false);
        run(m, true, MOST_ROWS, MOST_ROWS);
        if (i == 0) memcpy(want, m->got, sizeof want);
        assert_memory_equal(m->got, want, sizeof want);
        for (int fast = 0; fast < 2; fast++) {
            static float all[MOST_ROWS * WIDTH];
            run(m, !fast, MOST_ROWS, MOST_ROWS);
            memcpy(all, m->got, sizeof all);
            run(m, !fast, 1, 1);
            assert_memory_equal(m->got, all, WIDTH * sizeof *all);
        }
        close_machine(m);
    }
}

TEST(scores_that_are_no_numbers_still_choose_experts_that_exist)
{
    machine *m = open_machine("");
    make(&m->up, KW_F32, FFN, WIDTH, false);
    make(&m->down, KW_F32, WIDTH, FFN, false);
    fill(m, false);
    static const float odd[] = { NAN, INFINITY, -INFINITY, NAN, 0, NAN, 3e38f };
    for (int i = 0; i < MOST_ROWS * EXPERTS; i++) m->scores[i] = i < 60 ? NAN : odd[i % 7];
    kw_plan *p = plan_of(m);
    static float out[MOST_ROWS * 2 * USED];
    kw_val scores = kw_input(p, "scores", KW_F32, KW_DIM_ROWS, MOST_ROWS, EXPERTS);
    kw_output(p, kw_route(p, scores, args), "route");
    const void *inputs[] = { m->scores };
    void *outputs[] = { out };
    execute(m, p, true, (kw_binding){ .inputs = inputs, .outputs = outputs }, MOST_ROWS);
    for (int i = 0; i < MOST_ROWS; i++) {
        const float *e = out + (size_t)i * 2 * USED;
        int first = (int)e[0], second = (int)e[1];
        assert_true(first >= 0 && first < EXPERTS && second >= 0 && second < EXPERTS &&
                    first != second);
    }
    close_machine(m);
}

/* ---- packed ---- */

static bool pack(machine *m, stack *s)
{
    if (!kw_cpu_packs(m->device, &s->t)) return false;
    size_t panels = kw_cpu_panels(&s->t);
    assert_true(panels * kw_cpu_panel_bytes(&s->t) <= sizeof s->packed);
    kw_cpu_pack(m->device, &s->t, 0, panels / 2,
                s->packed); /* in two parts, as a file is written */
    kw_cpu_pack(m->device, &s->t, panels / 2, panels - panels / 2,
                s->packed + panels / 2 * kw_cpu_panel_bytes(&s->t));
    s->t.packed = s->packed;
    return true;
}

/* out[n][rows] = x[n][cols] times expert e's matrix, by LINEAR. */
static void linear(machine *m, const stack *s, int e, const float *x, int n, float *out)
{
    kw_tensor t = { .dtype = s->t.dtype,
                    .rank = 2,
                    .shape = { s->t.shape[1], s->t.shape[2], 1, 1 } };
    t.data = kw_tensor_row(&s->t, e * s->t.shape[1]);
    t.packed = s->packed + (size_t)e * kw_cpu_panels(&t) * kw_cpu_panel_bytes(&t);
    kw_plan *p = plan_of(m);
    kw_val in = kw_input(p, "x", KW_F32, KW_DIM_ROWS, n, t.shape[1]);
    kw_output(p, kw_linear(p, in, kw_weight(p, "w", &t), KW_NONE), "y");
    const void *inputs[] = { x };
    void *outputs[] = { out };
    execute(m, p, false, (kw_binding){ .inputs = inputs, .outputs = outputs }, n);
}

typedef struct traced {
    float route[MOST_ROWS][2 * USED], up[MOST_ROWS * USED * FFN], down[MOST_ROWS * USED * WIDTH];
} traced;

static void trace(machine *m, int n, traced *out)
{
    kw_plan *p = plan_of(m);
    kw_val scores = kw_input(p, "scores", KW_F32, KW_DIM_ROWS, n, EXPERTS);
    kw_val x = kw_input(p, "x", KW_F32, KW_DIM_ROWS, n, WIDTH);
    kw_val route = kw_route(p, scores, args), groups = kw_group(p, route, args);
    kw_val up = kw_experts(p, x, kw_weight(p, "up", &m->up.t), groups, args);
    kw_output(p, route, "route");
    kw_output(p, up, "up");
    kw_output(p, kw_experts(p, up, kw_weight(p, "down", &m->down.t), groups, args), "down");
    const void *inputs[] = { m->scores, m->x };
    void *outputs[] = { out->route, out->up, out->down };
    execute(m, p, false, (kw_binding){ .inputs = inputs, .outputs = outputs }, n);
}

/* Every row that expert e has, through LINEAR: the same bits as EXPERTS left in `got`. */
static int compare(machine *m, const stack *s, int e, int n, const traced *t, bool is_down)
{
    static float x[MOST_ROWS * USED * FFN], want[MOST_ROWS * USED * FFN];
    int rows = (int)s->t.shape[1], cols = (int)s->t.shape[2], has = 0, pair[MOST_ROWS * USED];
    const float *from = is_down ? t->up : m->x, *got = is_down ? t->down : t->up;
    for (int i = 0; i < n * USED; i++)
        if ((int)t->route[i / USED][i % USED] == e) {
            memcpy(x + has * cols, from + (is_down ? i : i / USED) * cols,
                   (size_t)cols * sizeof *x);
            pair[has++] = i;
        }
    if (has) linear(m, s, e, x, has, want);
    for (int i = 0; i < has; i++)
        assert_memory_equal(got + pair[i] * rows, want + i * rows, (size_t)rows * sizeof *want);
    return has;
}

static void compare_all(machine *m, int n, bool crowd)
{
    static traced t;
    int pairs = 0;
    fill(m, crowd);
    trace(m, n, &t);
    for (int e = 0; e < EXPERTS; e++) {
        pairs += compare(m, &m->up, e, n, &t, false);
        compare(m, &m->down, e, n, &t, true);
    }
    assert_int_equal(pairs, n * USED);
}

TEST(packed_experts_give_a_row_the_bits_of_linear)
{
    static const kw_dtype dtypes[] = { KW_Q4_0, KW_Q4_1, KW_Q8_0, KW_F16, KW_BF16 };
    static const int rows[] = { 1, 5, 8, 31, MOST_ROWS };
    size_t n;
    const kw_kernels *const *kernels = kw_kernel_rows(&n);
    for (size_t i = 0; i < n; i++) {
        if ((kernels[i]->needs & kw_cpu_features()) != kernels[i]->needs) continue;
        machine *m = open_machine(kernels[i]->name);
        for (size_t t = 0; t < 2 * sizeof dtypes / sizeof *dtypes; t++) {
            make(&m->up, dtypes[t / 2], FFN, WIDTH, t & 1);
            make(&m->down, dtypes[t / 2], WIDTH, FFN, t & 1);
            if (!pack(m, &m->up) || !pack(m, &m->down)) continue;
            for (size_t r = 0; r < 2 * sizeof rows / sizeof *rows; r++)
                compare_all(m, rows[r / 2], r & 1);
            run(m, false, 8, 8);
            double off = worst_error(m, 8);
            assert_true(off < 1e-4);
        }
        close_machine(m);
    }
}

TEST(experts_whose_rows_are_no_whole_panels_are_not_packed)
{
    machine *m = open_machine("");
    kw_tensor t = { .dtype = KW_Q8_0, .rank = 3, .shape = { 4, 24, 64, 1 } };
    assert_false(kw_cpu_packs(m->device, &t));
    close_machine(m);
}
