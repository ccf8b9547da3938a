/* beam.h - beam search as a pure machine: logits in, and which texts go on; what computes the logits is elsewhere. */
#ifndef KW_RUN_BEAM_H
#define KW_RUN_BEAM_H

#include "base/base.h"
#include "kwaai/beam.h"

/* An id, and the one before it: texts share their beginnings. */
typedef struct kw_beam_node {
    int32_t id;
    uint32_t before; /* 0: it is the first */
} kw_beam_node;

/* A text that goes on, one that is finished, or one that may become either. */
typedef struct kw_beam_text {
    double
        score; /* the sum of its ids' log-probabilities; of a finished one divided by length ^ penalty */
    uint32_t last; /* its newest node; 0: it has none yet */
    uint32_t n;    /* ids */
    int32_t id;    /* of a candidate: the id to come */
    int parent;    /* which of the texts that went on it continues */
} kw_beam_text;

typedef struct kw_beam_search {
    kw_beam_args rules; /* with max_tokens >= 1 and end_ids; borrowed */
    kw_beam_node *node; /* [n_nodes]; 0 is none */
    uint32_t n_nodes, cap_nodes;
    kw_beam_text *live, *finished, *candidate;     /* best first */
    size_t n_live, n_finished, n_candidates, keep; /* keep: candidates at most */
    uint32_t n;                                    /* ids in every living text */
    const int32_t *before; /* [n_before] the ids that all texts continue; borrowed */
    size_t n_before;
    int32_t *text;        /* all ids of one text */
    unsigned char *taboo; /* [n_vocab] the ids that may not follow it */
} kw_beam_search;

/* Begins with one text without ids. b->before may be set then. */
kw_status kw_beam_open(const kw_beam_args *rules, kw_beam_search *b);
void kw_beam_close(kw_beam_search *b);
/* The logits behind living text i; to be called for each of them, in order, before a step. */
kw_status kw_beam_offer(kw_beam_search *b, size_t i, const float *logits, size_t n_vocab);
/* Chooses which texts live on: live[0 .. n_live), each with its parent's number among those before the step. KW_DONE: the
 * search is over. KW_ELIMIT: every id was forbidden. */
kw_status kw_beam_step(kw_beam_search *b);
/* The ids of a text, first to last: [t->n]. */
void kw_beam_ids(const kw_beam_search *b, const kw_beam_text *t, int32_t *ids);

#endif
