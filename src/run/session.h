/* session.h - a session's members, for the files of run/ that work on one.
 *
 * Every way to advance a text goes through the same four functions, alone or in a batch:
 *
 *     kw_session_offer    which rows it wants computed next (none, when their logits are known already)
 *     kw_eval_logits      computes them, with those of others or without
 *     kw_session_take     they are in the cache now, and these are their logits
 *     kw_session_choose   samples the next id from them */
#ifndef KW_RUN_SESSION_H
#define KW_RUN_SESSION_H

#include "run/run.h"
#include "run/sampler.h"
#include "run/speculate.h"
#include <stdatomic.h>

/* Rows whose logits are known: of the last id, and of the ids guessed behind it. */
typedef struct kw_window {
    const float *logits; /* [n][n_vocab] */
    size_t first, n;     /* position of row 0 */
    float *own;          /* in a batch: a copy, because the next run may be without this session */
    size_t own_cells;
} kw_window;

struct kw_session {
    kw_model *m;
    kw_session_options options; /* with ctx and batch resolved */
    kw_ids ids;                 /* the text; with an encoder, the decoder's */
    kw_ids source;              /* the text for the encoder */
    kw_encoded *memory;         /* what it made of it; NULL: nothing yet */
    size_t n_done;              /* how much of it is in the cache */
    kw_pages pages;
    kw_angles angles;
    kw_eval eval; /* unused while the session is in a batch */
    kw_window window;
    kw_speculation speculation;
    const float *logits; /* of the row that chose the newest id, or will; NULL: not known */
    kw_sampling sampling;
    kw_logit_bias *bias; /* sampling.logit_bias, owned */
    kw_sample_scratch scratch;
    kw_rng rng;
    uint64_t n_runs; /* that gave it logits */
    _Atomic bool canceled;
    kw_finish finish;
    struct kw_batch *batch; /* that it is in, or NULL */
};

/* ---- session.c ---- */
bool kw_session_ends_with(const kw_session *s, int32_t id); /* whether this id ends the text */

/* kw_session_replace without an encoder; with one it sets the decoder's text, behind kw_session_replace. */
kw_status kw_session_replace_text(kw_session *s, const int32_t *ids, size_t n);

/* ---- step.c ---- */
/* The encoder has read the source, if there is one. */
kw_status kw_session_encode(kw_session *s);
kw_status kw_session_take_cancel(kw_session *s);
/* At most `most` rows; `most_guesses` of them may be guesses. part->n = 0: nothing is missing. */
kw_status kw_session_offer(kw_session *s, size_t most, size_t most_guesses, kw_eval_part *part);
/* is_borrowed: the logits stay where they are until this session's next run; else they are copied. */
kw_status kw_session_take(kw_session *s, const kw_eval_part *part, const float *logits,
                          bool is_borrowed);
/* Whether the last id's logits are known. */
bool kw_session_is_ready(const kw_session *s);
kw_status kw_session_choose(kw_session *s, int32_t *id);
/* Alone: runs until it is ready. */
kw_status kw_session_advance(kw_session *s, size_t most_guesses);
void kw_session_forget(kw_session *s); /* the window and its logits */
/* The next rows through a plan that gives states: *n of them, those that are missing or as many as a run takes; n_done stays. */
kw_status kw_session_hidden(kw_session *s, kw_eval_mode mode, size_t *n, float *const **out);
/* score.c: reads a text from its beginning, in runs of rows; `see` (or NULL) gets the final states of each run's. */
typedef kw_status (*kw_rows_fn)(kw_session *s, const float *final, size_t n, void *user);
kw_status kw_session_read(kw_session *s, const int32_t *ids, size_t n, kw_rows_fn see, void *user);

#endif
