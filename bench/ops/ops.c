/* ops.c - bench-ops: how long each op of a plan takes, alone.
 *
 * The list of ops is ops.def itself: an op without a make_NAME in make.c does not link. Every case runs through the plan
 * and the backend as a model would, on all threads; one run warms up, then runs repeat for a fixed time and the median
 * counts. GB/s counts what must be read and written once, GFLOP/s the arithmetic of the definition.
 *
 *     bench-ops [--op NAME] [--dtype NAME] [--rows N] [--shape OUTxIN] [-t N] [--isa NAME] [--exact] [--ms N] [--json] */
#include "bench.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_RUNS = 1000, MIN_RUNS = 3 };

typedef struct options {
    const char *op, *dtype, *isa;
    long long rows, out, in, threads, ms;
    bool exact, json;
} options;

typedef struct bench {
    options o;
    kw_pool *pool;
    kw_device *device;
    const char *isa;
    int n_printed;
} bench;

typedef struct timing {
    double median, least, most; /* seconds of one copy */
    int n;
} timing;

static const struct {
    const char *name;
    make_fn make;
} ops[] = {
#define KW_OP(name, n_src, required, doc) { #name, make_##name },
#include "plan/ops.def"
#undef KW_OP
};

/* ---- one case ---- */

typedef struct ready {
    maker m;
    kw_program *program;
    kw_memory *scratch;
    kw_memory **pages;
    size_t n_pages;
    kw_memory *const *sequence;
    kw_kv_binding kv;
    kw_binding binding;
} ready;

static kw_status open_cache(bench *b, ready *r, int64_t positions)
{
    kw_status st = KW_OK;
    size_t n = (size_t)((positions + r->m.kv.page_rows - 1) / r->m.kv.page_rows);
    r->pages = kw_arena_alloc(&r->m.memory, n, sizeof *r->pages);
    if (!r->pages) return KW_ENOMEM;
    for (; r->n_pages < n && !st; r->n_pages += !st) {
        kw_memory **page = &r->pages[r->n_pages];
        st = kw_backend_cpu.alloc(b->device, kw_kv_page_bytes(&r->m.kv), KW_PAY_KV, page);
        if (!st) bench_fill((*page)->host, (*page)->bytes, r->n_pages);
    }
    r->sequence = r->pages;
    r->kv = (kw_kv_binding){ .layout = r->m.kv, .pages = &r->sequence, .n_sequences = 1 };
    r->binding.kv = &r->kv;
    return st;
}

static kw_status get_ready(bench *b, make_fn make, const shape *s, ready *r)
{
    const kw_backend *cpu = &kw_backend_cpu;
    maker *m = &r->m;
    m->memory = KW_ARENA(KW_PAY_MODEL);
    m->device = b->device;
    m->exact = b->o.exact;
    kw_status st =
        kw_plan_new(&(kw_plan_options){ .has = cpu->has, .device = b->device }, &m->plan);
    if (st) return st;
    make(m, s);
    st = m->status ? m->status : kw_plan_seal(m->plan);
    if (!st) st = cpu->prepare(b->device, m->plan, b->o.exact, &r->program);
    if (!st) st = cpu->alloc(b->device, r->program->scratch_bytes, KW_PAY_SCRATCH, &r->scratch);
    r->binding = (kw_binding){ .inputs = m->inputs, .outputs = m->outputs, .scratch = r->scratch };
    r->binding.live[KW_DIM_ROWS] = r->binding.live[KW_DIM_OUT] = s->rows;
    if (!st && m->kv.n_layers) st = open_cache(b, r, s->at + s->rows);
    return st;
}

static void put_away(bench *b, ready *r)
{
    for (size_t i = 0; i < r->n_pages; i++) kw_backend_cpu.free(b->device, r->pages[i]);
    if (r->scratch) kw_backend_cpu.free(b->device, r->scratch);
    if (r->program) kw_backend_cpu.drop(r->program);
    kw_plan_free(r->m.plan);
    kw_arena_free(&r->m.memory);
}

/* A cut is answered with its own question. */
static kw_status run_once(ready *r)
{
    kw_status st = kw_backend_cpu.submit(r->program, &r->binding);
    while (st == KW_OK || st == KW_PENDING) {
        st = kw_backend_cpu.poll(r->program);
        if (st != KW_PENDING) break;
        kw_request *q = &r->program->request;
        if (q->answered) continue;
        memcpy(q->answer, q->question, (size_t)(q->rows * q->cols) * sizeof(float));
        q->answered = true;
    }
    return st;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static kw_status measure(const bench *b, ready *r, timing *t)
{
    static double runs[MAX_RUNS];
    kw_status st = run_once(r);
    double spent = 0;
    int n = 0;
    while (!st && n < MAX_RUNS && (n < MIN_RUNS || spent < (double)b->o.ms / 1000)) {
        uint64_t start = kw_now_ns();
        st = run_once(r);
        double seconds = (double)(kw_now_ns() - start) / 1e9;
        spent += seconds;
        runs[n++] = seconds / r->m.n_copies;
    }
    if (st) return st;
    qsort(runs, (size_t)n, sizeof *runs, by_value);
    *t = (timing){ .median = runs[n / 2], .least = runs[0], .most = runs[n - 1], .n = n };
    return KW_OK;
}

static void print(bench *b, const char *op, const shape *s, const maker *m, const timing *t)
{
    double gb_s = m->bytes / t->median / 1e9, gflop_s = m->flops / t->median / 1e9;
    if (b->o.json)
        printf("%s{\"op\":\"%s\",\"case\":\"%s\",\"dtype\":\"%s\",\"rows\":%lld,\"isa\":\"%s\","
               "\"threads\":%d,"
               "\"exact\":%s,\"runs\":%d,\"us\":%.3f,\"min_us\":%.3f,\"max_us\":%.3f,\"gb_s\":%.3f,"
               "\"gflop_s\":%.3f}",
               b->n_printed ? ",\n " : "[", op, m->label, kw_dtype_get(s->dtype)->name,
               (long long)s->rows, b->isa, kw_pool_size(b->pool), b->o.exact ? "true" : "false",
               t->n, t->median * 1e6, t->least * 1e6, t->most * 1e6, gb_s, gflop_s);
    else
        printf("%s| %s | %s | %lld | %.1f | %.1f..%.1f | %.2f | %.2f |\n",
               b->n_printed ? ""
                            : "| op | case | rows | us | min..max | GB/s | GFLOP/s |\n"
                              "|---|---|---|---|---|---|---|\n",
               op, m->label, (long long)s->rows, t->median * 1e6, t->least * 1e6, t->most * 1e6,
               gb_s, gflop_s);
    b->n_printed++;
    fflush(stdout);
}

static kw_status one_case(bench *b, size_t op, const shape *s)
{
    ready r = { .program = NULL };
    timing t;
    kw_status st = get_ready(b, ops[op].make, s, &r);
    if (!st) st = measure(b, &r, &t);
    if (st) kw_note(st, "%s, %lld rows", ops[op].name, (long long)s->rows);
    else print(b, ops[op].name, s, &r.m, &t);
    put_away(b, &r);
    return st;
}

/* ---- which cases ---- */

static const kw_dtype linear_dtypes[] = { KW_F32,  KW_F16,  KW_BF16, KW_Q8_0, KW_Q4_0,
                                          KW_Q4_1, KW_Q4_K, KW_Q5_K, KW_Q6_K };
static const int64_t linear_rows[] = { 1, 2, 4, 8, 16, 512 }, other_rows[] = { 1, 512 };

static bool dtype_wanted(const options *o, kw_dtype t)
{
    return !o->dtype || !strcmp(o->dtype, kw_dtype_get(t)->name);
}

static kw_status each_rows(bench *b, size_t op, shape s, const int64_t *rows, size_t n)
{
    kw_status st = KW_OK;
    for (size_t i = 0; i < n && !st; i++) {
        if (b->o.rows && b->o.rows != rows[i] && i > 0)
            continue; /* once, with the rows asked for */
        s.rows = b->o.rows ? b->o.rows : rows[i];
        s.at = s.rows < 32 ? 4096 - s.rows : 0;
        st = one_case(b, op, &s);
        if (b->o.rows) break;
    }
    return st;
}

static kw_status all_cases(bench *b)
{
    kw_status st = KW_OK;
    shape s = { .out = b->o.out, .in = b->o.in, .dtype = KW_F16 };
    for (size_t op = 0; op < sizeof ops / sizeof *ops && !st; op++) {
        if (b->o.op && strcmp(b->o.op, ops[op].name)) continue;
        if (op != KW_OP_LINEAR) {
            s.dtype = KW_F16;
            st = each_rows(b, op, s, other_rows, sizeof other_rows / sizeof *other_rows);
            continue;
        }
        for (size_t i = 0; i < sizeof linear_dtypes / sizeof *linear_dtypes && !st; i++) {
            s.dtype = linear_dtypes[i];
            if (dtype_wanted(&b->o, s.dtype))
                st = each_rows(b, op, s, linear_rows, sizeof linear_rows / sizeof *linear_rows);
        }
    }
    return st;
}

/* ---- the command line ---- */

static bool number(const char *text, long long most, long long *out)
{
    char *end;
    *out = strtoll(text, &end, 10);
    return end != text && *end == 0 && *out > 0 && *out <= most;
}

static bool parse_shape(const char *text, options *o)
{
    char *end;
    o->out = strtoll(text, &end, 10);
    return *end == 'x' && o->out > 0 && o->out < 1 << 20 && number(end + 1, 1 << 20, &o->in);
}

static bool with_value(options *o, const char *name, const char *value)
{
    if (!strcmp(name, "--op")) return o->op = value, true;
    if (!strcmp(name, "--dtype")) return o->dtype = value, true;
    if (!strcmp(name, "--isa")) return o->isa = value, true;
    if (!strcmp(name, "--shape")) return parse_shape(value, o);
    if (!strcmp(name, "--rows")) return number(value, 4096, &o->rows);
    if (!strcmp(name, "--ms")) return number(value, 60000, &o->ms);
    return !strcmp(name, "-t") && number(value, 1024, &o->threads);
}

static bool parse(int argc, char **argv, options *o)
{
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--json")) o->json = true;
        else if (!strcmp(argv[i], "--exact")) o->exact = true;
        else if (i + 1 == argc || !with_value(o, argv[i], argv[i + 1])) return false;
        else i++;
    }
    return true;
}

int main(int argc, char **argv)
{
    bench b = { .o = { .out = 8192, .in = 2048, .ms = 300, .isa = "" } };
    if (!parse(argc, argv, &b.o)) {
        fprintf(stderr, "usage: bench-ops [--op NAME] [--dtype NAME] [--rows N] [--shape OUTxIN] "
                        "[-t N] [--isa NAME] [--exact] [--ms N] [--json]\n");
        return 64;
    }
    kw_status st = kw_pool_open((int)b.o.threads, &b.pool);
    kw_device_options d = { .pool = b.pool, .isa = b.o.isa };
    if (!st) st = kw_backend_cpu.open(0, &d, &b.device);
    if (!st) b.isa = kw_cpu_isa(b.device);
    if (!st) st = all_cases(&b);
    if (!st && b.n_printed == 0) st = kw_fail(KW_EINVAL, "no such op or dtype");
    if (b.o.json && b.n_printed) printf("]\n");
    if (st) fprintf(stderr, "bench-ops: %s\n", kw_error_message());
    if (b.device) kw_backend_cpu.close(b.device);
    kw_pool_close(b.pool);
    return st ? 1 : 0;
}
