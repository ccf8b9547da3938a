/* batch.h - many texts at once: one run computes the next rows of all of them, so the weights are read once for all.
 *
 *     kw_batch_open(model, &options, &b);
 *     kw_session_replace(s, ids, n);  kw_batch_add(b, s);             any number, at any time
 *     while (kw_batch_step(b, &r, &n) == KW_OK)
 *         for (i = 0; i < n; i++) ... r[i].session, r[i].id ...
 *
 * Sessions stay what they are: each has its own text, sampling, guesses and end; forks share the pages of their common
 * beginning. A step gives every text that is ready its next id, and computes a chunk of those prompts that are not. What a
 * session says is what it says alone: bit for bit in exact mode; in fast mode as long as a run has up to 8 rows, and up to
 * the rounding of longer prefill chunks beyond that.
 *
 * Thread word: a batch and the sessions in it are owned by one thread at a time; kw_session_cancel may come from any. */
#ifndef KWAAI_BATCH_H
#define KWAAI_BATCH_H

#include "kwaai/session.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct kw_batch kw_batch;

/* Retains the model. options: those the sessions are opened with; `batch` is how many rows a run may have. */
KW_API kw_status kw_batch_open(kw_model *m, const kw_session_options *o, kw_batch **out);
/* The sessions in it leave and live on. NULL is fine. */
KW_API void kw_batch_close(kw_batch *b);

/* Borrows the session until it leaves: by kw_batch_remove, by kw_session_close, or with a result that is neither KW_OK nor
 * KW_PENDING. KW_EINVAL: it has no text, is of another model or mode, or is in a batch already. */
KW_API kw_status kw_batch_add(kw_batch *b, kw_session *s);
KW_API void kw_batch_remove(kw_batch *b, kw_session *s); /* one that is not in it is fine */
KW_API size_t kw_batch_size(const kw_batch *b);

typedef struct kw_batch_result {
    kw_session *session;
    /* KW_OK: id is the next id, appended to its text. KW_PENDING: its prompt is not done yet. KW_DONE: the text ended (id is
     * the end id, not appended) or the context is full (id is -1). KW_ECANCELED and other failures: its text is as before
     * the step, and `message` says why. */
    kw_status status;
    int32_t id;          /* or -1 */
    kw_finish finish;    /* with KW_DONE and KW_ECANCELED */
    const char *message; /* of a failure, else "" */
} kw_batch_result;

/* One step for every session in the batch, in the order they were added: *results[0 .. *n), borrowed until the next call.
 * KW_DONE: no session is left. What fails in one session is its result and no other's. */
KW_API kw_status kw_batch_step(kw_batch *b, const kw_batch_result **results, size_t *n);

#ifdef __cplusplus
}
#endif
#endif
