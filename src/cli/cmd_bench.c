/* cmd_bench.c - kwaai bench: tokens a second, and what share of the memory's bandwidth that is.
 *
 * ppN computes a prompt of N tokens, tgN decodes N; with --batch B it decodes N of each of B texts at once, and the figure
 * is the total of all. One run warms up, the rest count; the median is the result. Decoding
 * reads every weight once a token, so its yardstick is the read bandwidth, measured in the same process. */
#include "cli/cli.h"
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

typedef struct result {
    char test[32];
    double median, min, max, deviation; /* tokens a second */
    double gb_s, share;                 /* of weights read while decoding; 0 for prefill */
} result;

typedef struct bench {
    cli *c;
    kw_session **sessions;
    int n_sessions;
    kw_batch *batch; /* of all sessions, when they are more than one */
    int32_t *ids;    /* any ids will do: depth, then the prompt */
    int n_vocab;
    double *runs;
    double bandwidth, load_ms, peak_mb; /* the peak leaves the bandwidth's own buffers out */
} bench;

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void summarize(bench *b, result *r)
{
    int n = b->c->repeat;
    double sum = 0, squares = 0;
    qsort(b->runs, (size_t)n, sizeof *b->runs, by_value);
    r->median = n % 2 ? b->runs[n / 2] : (b->runs[n / 2 - 1] + b->runs[n / 2]) / 2;
    r->min = b->runs[0];
    r->max = b->runs[n - 1];
    for (int i = 0; i < n; i++) sum += b->runs[i];
    for (int i = 0; i < n; i++) squares += (b->runs[i] - sum / n) * (b->runs[i] - sum / n);
    double variance = n > 1 ? squares / (n - 1) : 0, root = variance > 1 ? variance : 1;
    for (int i = 0; i < 60; i++) root = (root + variance / root) / 2;
    r->deviation = variance > 0 ? root : 0;
}

/* Back to the context of `depth` tokens (one at least: decoding needs something to continue). */
static kw_status rewind_session(bench *b, kw_session *s, int depth)
{
    b->ids[depth] =
        (b->ids[depth] + 1) % b->n_vocab; /* what was computed behind the depth is not kept */
    return depth > 0 ? kw_session_sync(s, b->ids, (size_t)depth) : KW_OK;
}

static kw_status prefill_once(bench *b, double *tok_s)
{
    int depth = b->c->depth, n = b->c->pp;
    kw_status st = rewind_session(b, b->sessions[0], depth);
    double start = cli_now_ms();
    if (!st) st = kw_session_sync(b->sessions[0], b->ids, (size_t)(depth + n));
    *tok_s = n * 1000.0 / (cli_now_ms() - start);
    return st;
}

/* The next id of every session. */
static kw_status step_all(bench *b)
{
    const kw_batch_result *r;
    size_t n;
    int32_t id;
    if (!b->batch) return kw_session_step(b->sessions[0], &id);
    kw_status st = kw_batch_step(b->batch, &r, &n);
    for (size_t i = 0; !st && i < n; i++) st = r[i].status;
    return st;
}

static kw_status decode_once(bench *b, double *tok_s)
{
    int depth = b->c->depth > 0 ? b->c->depth : 1;
    kw_status st = KW_OK;
    for (int i = 0; !st && i < b->n_sessions; i++) st = rewind_session(b, b->sessions[i], depth);
    double start = cli_now_ms();
    for (int n = 0; !st && n < b->c->tg; n++) st = step_all(b);
    *tok_s = (double)b->c->tg * b->n_sessions * 1000.0 / (cli_now_ms() - start);
    return st;
}

static kw_status measure(bench *b, kw_status (*once)(bench *, double *), result *r)
{
    double warm_up;
    kw_status st = once(b, &warm_up);
    for (int i = 0; !st && i < b->c->repeat; i++) st = once(b, &b->runs[i]);
    if (!st) summarize(b, r);
    return st;
}

static double peak_mb(void)
{
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    return (double)use.ru_maxrss / 1024.0;
}

static void print_md(const bench *b, const kw_model_info *m, const result *r, int n)
{
    kw_engine_info e = kw_engine_describe(b->c->open_engine);
    printf(
        "| model | type | size | kernels | threads | test | tok/s | min..max | GB/s | share |\n");
    printf("|---|---|---|---|---|---|---|---|---|---|\n");
    for (int i = 0; i < n; i++) {
        char times[16] = "";
        if (b->batch && r[i].gb_s > 0) snprintf(times, sizeof times, " x%d", b->n_sessions);
        printf("| %s | %s | %.1f MB | %s%s | %d | %s%s | %.2f ± %.2f | %.2f..%.2f |", m->name,
               m->dtype, (double)m->file_bytes / 1e6, e.isa, b->c->session.exact ? ", exact" : "",
               e.threads, r[i].test, times, r[i].median, r[i].deviation, r[i].min, r[i].max);
        if (r[i].gb_s > 0) printf(" %.2f | %.0f %% |\n", r[i].gb_s, r[i].share * 100);
        else printf(" | |\n");
    }
    printf("\nload %.0f ms, peak memory %.0f MB, read bandwidth %.2f GB/s\n", b->load_ms,
           b->peak_mb, b->bandwidth / 1e9);
}

static void print_json(const bench *b, const kw_model_info *m, const result *r, int n)
{
    kw_engine_info e = kw_engine_describe(b->c->open_engine);
    printf("[");
    for (int i = 0; i < n; i++) {
        printf("%s{\"model\":", i ? ",\n " : "");
        out_json_string(m->name, strlen(m->name));
        printf(",\"dtype\":\"%s\",\"file_bytes\":%llu,\"n_params\":%llu,\"isa\":\"%s\",\"threads\":"
               "%d,\"exact\":%s,",
               m->dtype, (unsigned long long)m->file_bytes, (unsigned long long)m->n_params, e.isa,
               e.threads, b->c->session.exact ? "true" : "false");
        printf("\"test\":\"%s\",\"depth\":%d,\"batch\":%d,\"runs\":%d,\"tok_s\":%.4f,\"min\":%.4f,"
               "\"max\":%.4f,\"sd\":%.4f,",
               r[i].test, b->c->depth, b->n_sessions, b->c->repeat, r[i].median, r[i].min, r[i].max,
               r[i].deviation);
        printf("\"gb_s\":%.4f,\"share\":%.4f,\"bandwidth_gb_s\":%.3f,\"peak_mb\":%.1f,\"load_ms\":%"
               ".2f,\"version\":\"%s\"}",
               r[i].gb_s, r[i].share, b->bandwidth / 1e9, b->peak_mb, b->load_ms, kw_version());
    }
    printf("]\n");
}

static void print_csv(const bench *b, const kw_model_info *m, const result *r, int n)
{
    kw_engine_info e = kw_engine_describe(b->c->open_engine);
    printf("model,dtype,file_bytes,isa,threads,test,depth,batch,tok_s,min,max,sd,gb_s,share,peak_"
           "mb,load_ms\n");
    for (int i = 0; i < n; i++)
        printf("\"%s\",%s,%llu,%s,%d,%s,%d,%d,%.4f,%.4f,%.4f,%.4f,%.4f,%.4f,%.1f,%.2f\n", m->name,
               m->dtype, (unsigned long long)m->file_bytes, e.isa, e.threads, r[i].test,
               b->c->depth, b->n_sessions, r[i].median, r[i].min, r[i].max, r[i].deviation,
               r[i].gb_s, r[i].share, b->peak_mb, b->load_ms);
}

static const struct {
    const char *name;
    void (*print)(const bench *b, const kw_model_info *m, const result *r, int n);
} forms[] = { { "md", print_md }, { "json", print_json }, { "csv", print_csv } };

static kw_status open_sessions(bench *b)
{
    cli *c = b->c;
    kw_sampling greedy = kw_sampling_defaults();
    int need = c->depth + (c->pp > c->tg + 1 ? c->pp : c->tg + 1) + 1;
    if (c->session.ctx == 0) c->session.ctx = need;
    greedy.temperature = 0;
    greedy.ignore_eos = true;
    b->ids = malloc(((size_t)need + 2) * sizeof *b->ids);
    b->sessions = calloc((size_t)c->sequences, sizeof *b->sessions);
    b->runs = calloc((size_t)c->repeat, sizeof *b->runs);
    if (!b->ids || !b->sessions || !b->runs) return KW_ENOMEM;
    for (int i = 0; i < need + 2; i++)
        b->ids[i] = (int32_t)(((long long)i * 7919 + 13) % b->n_vocab);
    for (; b->n_sessions < c->sequences; b->n_sessions++) {
        kw_status st = kw_session_open(c->open_model, &c->session, &b->sessions[b->n_sessions]);
        if (!st) st = kw_session_set_sampling(b->sessions[b->n_sessions], &greedy);
        if (st) return st;
    }
    return KW_OK;
}

/* All of them, when there are more than one; each has a text already. */
static kw_status open_batch(bench *b)
{
    if (b->n_sessions == 1) return KW_OK;
    kw_status st = kw_batch_open(b->c->open_model, &b->c->session, &b->batch);
    for (int i = 0; !st && i < b->n_sessions; i++) {
        st = kw_session_replace(b->sessions[i], b->ids, 1);
        if (!st) st = kw_batch_add(b->batch, b->sessions[i]);
    }
    return st;
}

static kw_status run_tests(bench *b, const kw_model_info *m, result *r, int *n)
{
    kw_status st = open_sessions(b);
    if (!st && b->c->pp > 0) {
        snprintf(r[*n].test, sizeof r[*n].test, "pp%d", b->c->pp);
        st = measure(b, prefill_once, &r[(*n)++]);
    }
    if (!st && b->c->tg > 0) {
        result *t = &r[*n];
        snprintf(t->test, sizeof t->test, "tg%d", b->c->tg);
        st = open_batch(b);
        if (!st) st = measure(b, decode_once, t);
        t->gb_s = t->median / b->n_sessions * (double)m->file_bytes / 1e9;
        (*n)++;
    }
    b->peak_mb = peak_mb();
    if (!st) st = kw_engine_bandwidth(b->c->open_engine, 5, &b->bandwidth);
    for (int i = 0; !st && i < *n && b->bandwidth > 0; i++)
        r[i].share = r[i].gb_s * 1e9 / b->bandwidth;
    return st;
}

int cmd_bench(cli *c)
{
    bench b = { .c = c };
    result r[2] = { { .test = "" } };
    int n = 0, form = -1;
    const char *wanted = c->json ? "json" : c->output;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        if (!strcmp(wanted, forms[i].name)) form = (int)i;
    if (form < 0)
        return out_fail(EXIT_USAGE, "-o is \"%s\"\nwhy: it must be md, json or csv", wanted);
    double start = cli_now_ms();
    int code = cli_open_model(c);
    if (code) return code;
    b.load_ms = cli_now_ms() - start;
    kw_model_info m = kw_model_describe(c->open_model);
    b.n_vocab = m.n_vocab;
    kw_status st = run_tests(&b, &m, r, &n);
    if (st) code = out_status(st, NULL);
    else forms[form].print(&b, &m, r, n);
    kw_batch_close(b.batch);
    for (int i = 0; i < c->sequences && b.sessions; i++) kw_session_close(b.sessions[i]);
    free(b.sessions);
    free(b.ids);
    free(b.runs);
    return code;
}
