/* speculate.h - several ids from one run: guesses that the model checks all at once.
 *
 * The options' `lookup` guesses from the text itself; kw_session_set_draft lets a small model go ahead. Guesses never change
 * what is said: at temperature 0 the text is the same as without them, above it every id has the same distribution (beside
 * looked-up guesses even the same seed gives the same text). Fast mode keeps this too, because up to 8 rows have the bits
 * of one. They pay where reading the weights is what takes the time: a large model on few cores, and a text that repeats
 * itself (lookup: summaries, edits, code) or a draft model at most a fifth of the size. Where guesses turn out wrong they
 * are made less often, down to hardly ever.
 *
 * Thread word: as the session's. */
#ifndef KWAAI_SPECULATE_H
#define KWAAI_SPECULATE_H

#include "kwaai/session.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Retains the draft model and keeps a cache for it; NULL: guess without one. KW_EINVAL when its vocabulary is another one
 * (both sizes are named). It may belong to the same engine. Forks inherit it. */
KW_API kw_status kw_session_set_draft(kw_session *s, kw_model *draft);

/* Since the session was opened. accepted / drafted is the share of right guesses, ids chosen / runs what they bring. */
typedef struct kw_guess_counts {
    uint64_t runs;     /* that ended in a choice: one an id without guesses, fewer with them */
    uint64_t drafted;  /* ids guessed and computed */
    uint64_t accepted; /* of them, those that became text */
} kw_guess_counts;
KW_API kw_guess_counts kw_session_guesses(const kw_session *s);

#ifdef __cplusplus
}
#endif
#endif
