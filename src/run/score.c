/* score.c - how likely a text is: every row's final state, and the head over it in slices. */
#include "run/session.h"
#include <math.h>

double kw_log_total(const float *logits, size_t n)
{
    double sum = 0, max = -INFINITY;
    for (size_t i = 0; i < n; i++) max = logits[i] > max ? logits[i] : max;
    for (size_t i = 0; i < n; i++) sum += kw_exp(logits[i] - max);
    return max + kw_log_e(sum);
}

double kw_logprob_of(const float *logits, size_t n, int32_t id)
{
    return logits[id] - kw_log_total(logits, n);
}

kw_status kw_model_check_scores(const kw_model *m)
{
    if (!m->family->encoder) return KW_OK;
    return kw_fail(
        KW_EUNSUPPORTED,
        "scores of a text by \"%s\"\nwhy: it has an encoder, which reads a whole text at "
        "once and predicts none of it",
        m->name);
}

/* Scores the n rows behind n_done, whose final states were just computed. */
static kw_status score_rows(kw_session *s, const float *final, size_t n, void *logprob_)
{
    double *logprob = logprob_;
    size_t dim = (size_t)s->m->shape.dim, n_vocab = (size_t)s->m->shape.n_vocab;
    for (size_t at = 0; at < n; at += KW_HEAD_ROWS) {
        size_t rows = n - at < KW_HEAD_ROWS ? n - at : KW_HEAD_ROWS, from = s->n_done + at;
        const float *logits;
        kw_status st = kw_eval_head(&s->eval, final + at * dim, rows, &logits);
        if (st) return st;
        for (size_t i = 0; i < rows && from + i + 1 < s->ids.n; i++)
            logprob[from + i] =
                kw_logprob_of(logits + i * n_vocab, n_vocab, s->ids.ids[from + i + 1]);
    }
    return KW_OK;
}

kw_status kw_session_read(kw_session *s, const int32_t *ids, size_t n, kw_rows_fn see, void *user)
{
    s->n_done = 0;
    kw_status st = kw_session_replace(s, ids, n);
    while (!st && s->n_done < n) {
        float *const *states = NULL;
        size_t rows;
        st = kw_session_take_cancel(s);
        if (!st) st = kw_session_hidden(s, KW_EVAL_ALL, &rows, &states);
        if (!st && see) st = see(s, states[0], rows, user);
        if (!st) s->n_done += rows;
    }
    return st;
}

kw_status kw_session_score(kw_session *s, const int32_t *ids, size_t n, double *logprob)
{
    if (n < 2) return kw_fail(KW_EINVAL, "scoring needs at least 2 tokens, not %zu", n);
    kw_status st = kw_model_check_scores(s->m);
    if (st) return st;
    st = kw_session_read(s, ids, n, score_rows, logprob);
    if (s->n_done) s->n_done--; /* a later step computes the last row again, for its logits */
    return st;
}
