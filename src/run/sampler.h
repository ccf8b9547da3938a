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
} kw_sample_scratch;
void kw_sample_scratch_free(kw_sample_scratch *s);

/* KW_EINVAL names the option that is out of its range. */
kw_status kw_sampling_check(const kw_sampling *p, int n_vocab);
/* The order of stages: bias, penalties, then at temperature 0 the likeliest (lowest id on
 * ties), else top-k, top-p, min-p, temperature, draw. KW_EINVAL names the id whose logit is not a number. */
typedef struct kw_sample_args {
    const kw_sampling *p;
    const float *logits; /* [n_vocab] */
    size_t n_vocab;
    const int32_t *recent; /* [n_recent] */
    size_t n_recent;
    kw_rng *rng;
} kw_sample_args;
kw_status kw_sample(const kw_sample_args *a, kw_sample_scratch *s, int32_t *id);
/* The k likeliest, best first; *n <= k. */
kw_status kw_top_logprobs(const float *logits, size_t n_vocab, int k, kw_logprob *out, int *n);

#endif
