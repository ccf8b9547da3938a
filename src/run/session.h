/* session.h - a session's members, for the files of run/ that work on one. */
#ifndef KW_RUN_SESSION_H
#define KW_RUN_SESSION_H

#include "run/run.h"
#include "run/sampler.h"
#include <stdatomic.h>

struct kw_session {
    kw_model *m;
    kw_session_options options; /* with ctx and batch resolved */
    kw_ids ids;                 /* the text */
    size_t n_done;              /* how much of it is in the cache */
    kw_pages pages;
    kw_eval eval;
    kw_sampling sampling;
    kw_logit_bias *bias; /* sampling.logit_bias, owned */
    kw_sample_scratch scratch;
    kw_rng rng;
    _Atomic bool canceled;
    kw_finish finish;
};

/* Makes the text equal to ids and keeps what the cache holds of it; computes nothing. */
kw_status kw_session_replace(kw_session *s, const int32_t *ids, size_t n);

#endif
