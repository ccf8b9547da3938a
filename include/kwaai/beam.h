/* beam.h - beam search: the best of many continuations instead of the likeliest next id.
 *
 * Some number of texts is kept beside each other. Each step continues all of them by all ids and keeps the best; those that
 * an end id finishes are put aside with their score. For translations and summaries, where the likeliest word is not always
 * the beginning of the likeliest sentence. Deterministic: the session's sampling does not count.
 *
 *     kw_session_sync(s, ids, n);
 *     kw_session_search(s, &args, &beams);
 *     ... beams->at[0].ids is the best ...
 *     kw_beams_free(beams);
 *
 * The rules are those of transformers' generate(num_beams, length_penalty, early_stopping, min_new_tokens,
 * no_repeat_ngram_size): ids that may not follow are left out, and the probabilities of the others stay as they were. */
#ifndef KWAAI_BEAM_H
#define KWAAI_BEAM_H

#include "kwaai/session.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A finished text: its new ids, with the end id if it has one. */
typedef struct kw_hypothesis {
    const int32_t *ids;
    size_t n;
    double score;
} kw_hypothesis;

typedef struct kw_beams {
    const kw_hypothesis *at; /* [n], best first; as many as there were beams */
    size_t n;
} kw_beams;

/* Searches from the session's text on, which stays as it is; the texts share the cache of what they have in common.
 * KW_EINVAL: no text, a session in a batch, or an argument out of its range (named); KW_ELIMIT: the context is full, or no id
 * may follow;
 * KW_ECANCELED. */
KW_API kw_status kw_session_search(kw_session *s, const kw_beam_args *args, kw_beams **out);
KW_API void kw_beams_free(kw_beams *b); /* NULL is fine */

#ifdef __cplusplus
}
#endif
#endif
