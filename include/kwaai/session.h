/* session.h - one text in motion: ids in, ids out, with the cache in between.
 *
 * The caller hands over the whole prompt every time; the session keeps the longest common prefix with what it
 * already computed. Nothing is ever cut silently: a prompt longer than the context is KW_ELIMIT and names both
 * numbers.
 *
 *     kw_session_sync(s, ids, n);
 *     while ((st = kw_session_step(s, &id)) == KW_OK) print(id);      KW_DONE: kw_session_finish says why
 *
 * Many texts at once: batch.h. Several ids a run: speculate.h.
 *
 * Thread word: a session is owned by one thread at a time; kw_session_cancel alone may come from any thread. */
#ifndef KWAAI_SESSION_H
#define KWAAI_SESSION_H

#include "kwaai/model.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct kw_session kw_session;

/* Retains the model. More context than the model was trained for is a warning. KW_EINVAL for a bad option. */
KW_API kw_status kw_session_open(kw_model *m, const kw_session_options *o, kw_session **out);
KW_API void kw_session_close(kw_session *s); /* NULL is fine */
/* A second session that continues from the same text; cache pages are shared until one of them writes. */
KW_API kw_status kw_session_fork(kw_session *s, kw_session **out);

/* The sampling of the following steps; NULL restores the defaults. Copies what it needs. Reseeds. */
KW_API kw_status kw_session_set_sampling(kw_session *s, const kw_sampling *p);

/* Makes the text of the session equal to ids[0..n) and computes what is new. n >= 1. Where all layers of a model look at a window only
 * (Mistral's first version, Phi-3), the cache holds that window and some positions more: going back by fewer than 257 tokens costs
 * nothing, going back further computes the whole text again, with the same result.
 * KW_ELIMIT: n is more than the context. KW_EINVAL: an id outside the vocabulary (named). KW_ECANCELED between chunks:
 * what was computed stays. */
KW_API kw_status kw_session_sync(kw_session *s, const int32_t *ids, size_t n);
/* The same, but computes nothing yet: the next step does, or the batch that the session is in. Errors as sync's. */
KW_API kw_status kw_session_replace(kw_session *s, const int32_t *ids, size_t n);
/* Chooses the next id and appends it. KW_OK: *id is the next id. KW_DONE: the text ended (*id is the end id, not appended)
 * or the context is full (*id = -1). KW_PENDING: a remote part is outstanding; call kw_session_poll until it is not. */
KW_API kw_status kw_session_step(kw_session *s, int32_t *id);
KW_API kw_status kw_session_poll(kw_session *s);
/* The next step or prefill chunk returns KW_ECANCELED (once). Any thread. */
KW_API void kw_session_cancel(kw_session *s);

typedef enum kw_finish {
    KW_FINISH_NONE,
    KW_FINISH_STOP,
    KW_FINISH_LENGTH,
    KW_FINISH_CANCELED
} kw_finish;
KW_API kw_finish kw_session_finish(const kw_session *s);
KW_API const char *kw_finish_name(kw_finish f); /* "stop", "length"... */

/* The text so far, borrowed until the next sync or step. */
KW_API const int32_t *kw_session_ids(const kw_session *s, size_t *n);
KW_API size_t kw_session_context(const kw_session *s); /* tokens it can hold */

/* Memory of the session's cache pages (bounded where all layers have a window); shared: of those that a fork holds too. */
typedef struct kw_cache_use {
    size_t bytes, shared_bytes;
} kw_cache_use;
KW_API kw_cache_use kw_session_cache(const kw_session *s);

/* The logits that chose (or will choose) the newest id: [n_vocab] f32, borrowed until the next sync or step. NULL before
 * the first sync. */
KW_API const float *kw_session_logits(kw_session *s, size_t *n_vocab);

typedef struct kw_logprob {
    int32_t id;
    float logprob; /* natural logarithm of the probability at temperature 1, without penalties */
} kw_logprob;
/* The k likeliest ids of kw_session_logits, best first; *n <= k. */
KW_API kw_status kw_session_top(kw_session *s, int k, kw_logprob *out, int *n);

/* Log-likelihood: logprob[i] of ids[i + 1] given ids[0..i], for i in 0..n-2. Replaces the session's text. n >= 2. */
KW_API kw_status kw_session_score(kw_session *s, const int32_t *ids, size_t n, double *logprob);

/* ---- text in, text out, in one call: detokenizing, stop strings and streaming ---- */
typedef struct kw_generate_args {
    int max_tokens;          /* < 0: until the text ends or the context is full */
    const char *const *stop; /* strings that end the text; they are not given out */
    size_t n_stop;
    bool print_special; /* give out control tokens as text too */
    /* Called with each whole piece of text as it is certain (never half a UTF-8 character, never part of a stop string).
     * Returning false ends the generation with KW_FINISH_CANCELED. NULL is fine. */
    bool (*on_text)(void *user, const char *text, size_t len);
    /* Called once an id, after it was chosen and before on_text; NULL is fine. The logits calls above work inside. */
    void (*on_id)(void *user, int32_t id);
    void *user;
} kw_generate_args;

typedef struct kw_generate_result {
    int n_ids;      /* ids chosen, with the end id if there was one */
    int32_t end_id; /* the id that ended the text, or -1 */
    kw_finish finish;
    double first_ms; /* until the first id, from the call */
    double total_ms;
    int n_runs, n_drafted, n_accepted; /* as kw_session_guesses counts them (speculate.h) */
} kw_generate_result;
/* Continues the session after kw_session_sync. The model may have no tokenizer: then on_text is never called. */
KW_API kw_status kw_session_generate(kw_session *s, const kw_generate_args *args,
                                     kw_generate_result *out);

#ifdef __cplusplus
}
#endif
#endif
