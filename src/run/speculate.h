/* speculate.h - ids guessed ahead of a text, so that one run may settle several.
 *
 * A guess is looked up in the text itself, or drawn from a draft model. The run that computes the last id's row computes
 * the guesses' rows too; choosing then goes through them one by one and stops at the first that is not what the model
 * says. The text (at temperature 0) and its distribution (above) are those of the model alone: see kw_sample_or_keep. */
#ifndef KW_RUN_SPECULATE_H
#define KW_RUN_SPECULATE_H

#include "run/run.h"
#include "run/sampler.h"

enum {
    KW_GUESSES =
        KW_FEW_ROWS - 1, /* with the last id they are as many rows as cost little more than one */
    KW_LOOKUP_IDS = 4,   /* the longest end of the text that is looked up */
};

typedef struct kw_speculation {
    bool looks_up;
    struct kw_session *draft;      /* owned; NULL: none */
    kw_guess guess[KW_GUESSES];    /* behind the window's first row */
    size_t n;                      /* of them in the window */
    int source;                    /* how they were found: matched ids, 0 for the draft model */
    int32_t ids[KW_FEW_ROWS];      /* the last id and the guesses: a run's input */
    float rate[KW_LOOKUP_IDS + 1]; /* by source: how likely a guess is right; a moving average */
    float draft_cost;              /* of drafting one guess, in runs */
    float row_cost;                /* of one more row in a run, in runs; measured */
    double single_ns;              /* a run of one row; 0: not measured yet */
    bool is_timed;
    kw_rng rng;                     /* of the draft model's draws */
    uint64_t n_drafted, n_accepted; /* since the session was opened */
} kw_speculation;

void kw_speculation_open(kw_speculation *p, bool looks_up);
void kw_speculation_close(kw_speculation *p);
void kw_speculation_resume(kw_speculation *p, const kw_speculation *from); /* what was learned */
/* Guesses behind s->ids, at most `most`: into speculation.guess and .n, with .ids filled. */
kw_status kw_speculate(struct kw_session *s, size_t most);
/* How long a run of n rows took. */
void kw_speculation_time(kw_speculation *p, size_t n_rows, uint64_t ns);
/* What became of a guess. */
void kw_speculation_learn(kw_speculation *p, bool was_right);

#endif
