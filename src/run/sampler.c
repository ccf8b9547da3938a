/* sampler.c - choosing the next id.
 *
 * The candidates pass an array of stages; each narrows or reweighs them. Candidates are sorted only when a stage needs
 * the order, and top-k selects before it sorts, so a vocabulary of 128k costs one pass in the usual case. */
#include "run/sampler.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

void kw_sample_scratch_free(kw_sample_scratch *s)
{
    kw_free(s->choices);
    kw_free(s->dense);
    *s = (kw_sample_scratch){ 0 };
}

kw_status kw_sampling_check(const kw_sampling *p, int n_vocab)
{
    const struct {
        const char *name;
        double value, low, high;
    } ranges[] = {
        { "temperature", (double)p->temperature, 0, 100 },
        { "top_p", (double)p->top_p, 0, 1 },
        { "min_p", (double)p->min_p, 0, 1 },
        { "repeat_penalty", (double)p->repeat_penalty, 0.01, 100 },
        { "top_k", p->top_k, 0, 1 << 30 },
        { "repeat_last_n", p->repeat_last_n, 0, 1 << 30 },
        { "presence_penalty", (double)p->presence_penalty, -100, 100 },
        { "frequency_penalty", (double)p->frequency_penalty, -100, 100 },
    };
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        if (!(ranges[i].value >= ranges[i].low && ranges[i].value <= ranges[i].high))
            return kw_fail(KW_EINVAL, "%s is %g, expected %g to %g", ranges[i].name,
                           ranges[i].value, ranges[i].low, ranges[i].high);
    for (size_t i = 0; i < p->n_logit_bias; i++)
        if (p->logit_bias[i].id < 0 || p->logit_bias[i].id >= n_vocab ||
            isnan(p->logit_bias[i].bias))
            return kw_fail(KW_EINVAL, "logit bias %g for id %d: the vocabulary has %d",
                           (double)p->logit_bias[i].bias, p->logit_bias[i].id, n_vocab);
    return KW_OK;
}

/* ---- stages: each works on s->choices[0..s->n) ---- */

static void bias(const kw_sample_args *a, kw_sample_scratch *s)
{
    for (size_t i = 0; i < a->p->n_logit_bias; i++)
        if ((size_t)a->p->logit_bias[i].id < s->n) /* a draft model may know fewer ids */
            s->choices[a->p->logit_bias[i].id].logit += a->p->logit_bias[i].bias;
}

/* Candidates still stand at their ids. The count of an id is gathered in p. */
static void penalties(const kw_sample_args *a, kw_sample_scratch *s)
{
    const kw_sampling *p = a->p;
    size_t n = a->n_recent < (size_t)p->repeat_last_n ? a->n_recent : (size_t)p->repeat_last_n;
    if (p->repeat_penalty == 1 && p->presence_penalty == 0 && p->frequency_penalty == 0) return;
    for (size_t i = a->n_recent - n; i < a->n_recent; i++) s->choices[a->recent[i]].p += 1;
    for (size_t i = a->n_recent - n; i < a->n_recent; i++) {
        kw_choice *c = &s->choices[a->recent[i]];
        if (c->p == 0) continue;
        c->logit = c->logit > 0 ? c->logit / p->repeat_penalty : c->logit * p->repeat_penalty;
        c->logit -= p->presence_penalty + p->frequency_penalty * c->p;
        c->p = 0;
    }
}

static void greedy(const kw_sample_args *a, kw_sample_scratch *s)
{
    size_t best = 0;
    if (a->p->temperature > 0) return;
    for (size_t i = 1; i < s->n; i++)
        if (s->choices[i].logit > s->choices[best].logit) best = i;
    s->choices[0] = s->choices[best];
    s->n = 1;
}

static int likelier(const void *a_, const void *b_)
{
    const kw_choice *a = a_, *b = b_;
    if (a->logit != b->logit) return a->logit < b->logit ? 1 : -1;
    return a->id - b->id;
}

static void sift(kw_choice *heap, size_t n, size_t i)
{
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= n) return;
        if (child + 1 < n && likelier(&heap[child + 1], &heap[child]) > 0) child++;
        if (likelier(&heap[child], &heap[i]) <= 0) return;
        kw_choice swap = heap[i];
        heap[i] = heap[child];
        heap[child] = swap;
        i = child;
    }
}

/* The k likeliest to the front, sorted: a heap whose root is the least likely of those kept. */
static void keep_best(kw_sample_scratch *s, size_t k)
{
    if (k == 0 || k > s->n) k = s->n;
    for (size_t i = k / 2; i-- > 0;) sift(s->choices, k, i);
    for (size_t i = k; i < s->n; i++) {
        if (likelier(&s->choices[i], &s->choices[0]) >= 0) continue;
        s->choices[0] = s->choices[i];
        sift(s->choices, k, 0);
    }
    s->n = k;
    qsort(s->choices, s->n, sizeof *s->choices, likelier);
}

static void top_k(const kw_sample_args *a, kw_sample_scratch *s)
{
    if (s->n > 1) keep_best(s, (size_t)a->p->top_k);
}

static void softmax(kw_sample_scratch *s, double temperature)
{
    double sum = 0, max = (double)s->choices[0].logit; /* sorted */
    for (size_t i = 0; i < s->n; i++)
        sum += kw_exp(((double)s->choices[i].logit - max) / temperature);
    for (size_t i = 0; i < s->n; i++)
        s->choices[i].p = (float)(kw_exp(((double)s->choices[i].logit - max) / temperature) / sum);
}

static void top_p(const kw_sample_args *a, kw_sample_scratch *s)
{
    double sum = 0;
    if (a->p->top_p >= 1 || s->n < 2) return;
    softmax(s, 1);
    for (size_t i = 0; i < s->n; i++) {
        sum += (double)s->choices[i].p;
        if (sum < (double)a->p->top_p) continue;
        s->n = i + 1;
        return;
    }
}

static void min_p(const kw_sample_args *a, kw_sample_scratch *s)
{
    if (a->p->min_p <= 0 || s->n < 2) return;
    softmax(s, 1);
    float least = a->p->min_p * s->choices[0].p;
    while (s->n > 1 && s->choices[s->n - 1].p < least) s->n--;
}

/* A single candidate is certain: no chance is spent on it. */
static void weigh(const kw_sample_args *a, kw_sample_scratch *s)
{
    if (s->n < 2) s->choices[0].p = 1;
    else softmax(s, (double)a->p->temperature);
}

static void (*const stages[])(const kw_sample_args *, kw_sample_scratch *) = {
    bias, penalties, greedy, top_k, top_p, min_p, weigh,
};

static kw_status take(const kw_sample_args *a, kw_sample_scratch *s)
{
    if (s->cap < a->n_vocab) {
        kw_choice *bigger = kw_realloc(s->choices, a->n_vocab * sizeof *bigger, KW_PAY_SCRATCH);
        if (!bigger) return KW_ENOMEM;
        s->choices = bigger;
        s->cap = a->n_vocab;
    }
    for (size_t i = 0; i < a->n_vocab; i++) {
        if (isnan(a->logits[i]))
            return kw_fail(KW_EFORMAT,
                           "the logit of id %zu is not a number\nwhy: a weight is damaged, or a "
                           "sum overflows\ntry: --eager, which names the operation",
                           i);
        s->choices[i] = (kw_choice){ (int32_t)i, a->logits[i], 0 };
    }
    s->n = a->n_vocab;
    return KW_OK;
}

kw_status kw_sample_weigh(const kw_sample_args *a, kw_sample_scratch *s)
{
    if (a->n_vocab == 0) return kw_fail(KW_EINVAL, "no logits to choose from");
    kw_status st = take(a, s);
    if (st) return st;
    for (size_t i = 0; i < sizeof stages / sizeof *stages; i++) stages[i](a, s);
    return KW_OK;
}

int32_t kw_sample_draw(const kw_sample_scratch *s, kw_rng *rng)
{
    if (s->n < 2) return s->choices[0].id;
    double u = kw_rng_f64(rng), sum = 0;
    size_t last = 0; /* what rounding leaves above the sum of all is its, not an impossible id's */
    for (size_t i = 0; i < s->n && u >= sum; i++) {
        sum += (double)s->choices[i].p;
        if (s->choices[i].p > 0) last = i;
    }
    return s->choices[last].id;
}

kw_status kw_sample(const kw_sample_args *a, kw_sample_scratch *s, int32_t *id)
{
    kw_status st = kw_sample_weigh(a, s);
    if (!st) *id = kw_sample_draw(s, a->rng);
    return st;
}

/* ---- beside a guess ---- */

kw_status kw_guess_keep(kw_guess *g, const kw_sample_scratch *s)
{
    if (g->cap < s->n) {
        kw_choice *bigger = kw_realloc(g->q, s->n * sizeof *bigger, KW_PAY_SCRATCH);
        if (!bigger) return KW_ENOMEM;
        g->q = bigger;
        g->cap = s->n;
    }
    memcpy(g->q, s->choices, s->n * sizeof *g->q);
    g->n = s->n;
    return KW_OK;
}

static kw_status reach_dense(kw_sample_scratch *s, size_t n)
{
    if (s->n_dense >= n) return KW_OK;
    kw_free(s->dense);
    s->n_dense = 0;
    s->dense = kw_calloc(n, sizeof *s->dense, KW_PAY_SCRATCH);
    if (!s->dense) return KW_ENOMEM;
    s->n_dense = n;
    return KW_OK;
}

/* The candidates' p becomes max(0, p - q), made to sum to 1. Where p and q are the same up to rounding nothing is left of
 * it, but then no guess is refused either, up to rounding: p stays. */
static void subtract(kw_sample_scratch *s, const float *q)
{
    double left = 0;
    for (size_t i = 0; i < s->n; i++)
        left += fmax((double)s->choices[i].p - (double)q[s->choices[i].id], 0);
    for (size_t i = 0; i < s->n && left > 0; i++)
        s->choices[i].p =
            (float)(fmax((double)s->choices[i].p - (double)q[s->choices[i].id], 0) / left);
}

static float p_of(const kw_sample_scratch *s, int32_t id)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->choices[i].id == id) return s->choices[i].p;
    return 0;
}

kw_status kw_sample_or_keep(const kw_sample_args *a, kw_sample_scratch *s, const kw_guess *g,
                            int32_t *id)
{
    if (g->n == 0) return kw_sample(a, s, id);
    kw_status st = kw_sample_weigh(a, s);
    if (!st) st = reach_dense(s, a->n_vocab);
    if (st) return st;
    for (size_t i = 0; i < g->n; i++) s->dense[g->q[i].id] = g->q[i].p;
    float p = p_of(s, g->id), q = s->dense[g->id];
    bool is_kept = p >= q || kw_rng_f64(a->rng) * (double)q < (double)p;
    if (!is_kept) subtract(s, s->dense);
    *id = is_kept ? g->id : kw_sample_draw(s, a->rng);
    for (size_t i = 0; i < g->n; i++) s->dense[g->q[i].id] = 0;
    return KW_OK;
}

kw_status kw_top_logprobs(const float *logits, size_t n_vocab, int k, kw_logprob *out, int *n)
{
    kw_sample_scratch s = { 0 };
    double sum = 0;
    *n = 0;
    if (k <= 0) return KW_OK;
    kw_status st = take(&(kw_sample_args){ .logits = logits, .n_vocab = n_vocab }, &s);
    if (!st) {
        keep_best(&s, (size_t)k);
        double max = (double)s.choices[0].logit;
        for (size_t i = 0; i < n_vocab; i++) sum += kw_exp((double)logits[i] - max);
        for (; (size_t)*n < s.n; ++*n)
            out[*n] = (kw_logprob){ s.choices[*n].id,
                                    (float)((double)s.choices[*n].logit - max - kw_log_e(sum)) };
    }
    kw_sample_scratch_free(&s);
    return st;
}
