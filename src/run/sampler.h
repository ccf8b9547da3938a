/* sampler.h - logits to the next id: a pure function over an array of stages. */
#ifndef KW_RUN_SAMPLER_H
#define KW_RUN_SAMPLER_H

#include "base/base.h"
#include "kwaai/session.h"

typedef struct kw_choice {
    int32_t id;
    float logit, p;
} kw_choice;

/* Memory that is kept between calls; owned by one thread. Zeroed is empty. */
typedef struct kw_sample_scratch {
    kw_choice *choices;
    size_t cap, n;
    float *dense; /* [n_dense] zeros between calls */
    size_t n_dense;
} kw_sample_scratch;
void kw_sample_scratch_free(kw_sample_scratch *s);

/* KW_EINVAL names the option that is out of its range. */
kw_status kw_sampling_check(const kw_sampling *p, int n_vocab);
/* The order of stages: bias, penalties, then at temperature 0 the likeliest (lowest id on
 * ties), else top-k, top-p, min-p, temperature; then the draw. KW_EINVAL names the id whose logit is not a number. */
typedef struct kw_sample_args {
    const kw_sampling *p;
    const float *logits; /* [n_vocab] */
    size_t n_vocab;
    const int32_t *recent; /* [n_recent] */
    size_t n_recent;
    kw_rng *rng;
} kw_sample_args;
kw_status kw_sample(const kw_sample_args *a, kw_sample_scratch *s, int32_t *id);

/* The two halves of kw_sample: the candidates that are left, with their probabilities, in s->choices[0 .. s->n); and one
 * of them drawn. */
kw_status kw_sample_weigh(const kw_sample_args *a, kw_sample_scratch *s);
int32_t kw_sample_draw(const kw_sample_scratch *s, kw_rng *rng);

/* An id that somebody guessed, and the distribution q it was drawn from; n 0: it was not drawn by chance. */
typedef struct kw_guess {
    int32_t id;
    kw_choice *q;
    size_t n, cap;
} kw_guess;
/* Keeps what kw_sample_weigh left in s as the guess's distribution. */
kw_status kw_guess_keep(kw_guess *g, const kw_sample_scratch *s);
/* The next id, distributed as kw_sample's p, and equal to the guess as often as that allows. A guess x drawn from q is
 * kept with probability min(1, p(x) / q(x)); else the id is drawn from max(0, p - q), made to sum to 1. Beside a guess that
 * was not drawn, this is kw_sample. */
kw_status kw_sample_or_keep(const kw_sample_args *a, kw_sample_scratch *s, const kw_guess *g,
                            int32_t *id);
/* The k likeliest, best first; *n <= k. */
kw_status kw_top_logprobs(const float *logits, size_t n_vocab, int k, kw_logprob *out, int *n);

#endif
