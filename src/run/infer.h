/* infer.h - what infer.c, infer_texts.c and infer_beam.c share. */
#ifndef KW_RUN_INFER_H
#define KW_RUN_INFER_H

#include "run/pooling.h"
#include "run/session.h"

typedef enum want_kind {
    WANT_HIDDEN,
    WANT_ENCODER, /* a state of the encoder beside a decoder */
    WANT_LOGITS,
    WANT_IDS,
    WANT_GREEDY_LOGITS,
    WANT_BEAM_IDS,
    WANT_BEAM_SCORES,
    WANT_POOLED, /* these four of encoders: one row a text */
    WANT_SCORES,
    WANT_SENTENCE,
    WANT_CLS
} want_kind;

typedef struct want {
    const char *name;
    want_kind kind;
    int layer;  /* WANT_HIDDEN, WANT_ENCODER: 0..L, L + 1 is hidden.final */
    void *data; /* in the request's arena */
    kw_named_tensor out;
} want;

/* Rows of ids, and the one in work without its padding. */
typedef struct infer_text {
    const char *name;
    size_t n;                       /* columns */
    int64_t *ids, *mask, *types;    /* [b][n]; mask may be NULL; types: of encoders, may be NULL */
    int32_t *real_ids, *real_types; /* of the row in work */
    size_t *real_at, n_real;        /* columns where they stand */
} infer_text;

typedef struct infer {
    kw_model *m;
    kw_session *s;
    kw_arena arena;
    want *want;
    size_t n_want;
    int generate;
    kw_beam_args beam;       /* beams 0: no search */
    size_t b;                /* rows of input_ids */
    infer_text text, forced; /* input_ids, decoder_input_ids */
    kw_beams *found;         /* [b] of whole texts */
    kw_eval eval;            /* of encoders, in place of a session */
    kw_pooling pooling;
    double *sums; /* [dim] */
} infer;

/* ---- infer_texts.c: the same of encoders ---- */
kw_status kw_infer_want_of_text(const infer *f, want *w);
const char *const *kw_infer_text_names(const kw_model *m, size_t *n); /* what is given unasked */
kw_status kw_infer_open_texts(infer *f, const kw_infer_options *o);
kw_status kw_infer_text(infer *f, size_t row); /* the row in work: computed and put into place */
/* infer.c for it. "<stack>hidden.2" of a stack of n layers; hidden.final is *il = n_layers + 1. */
bool kw_infer_is_hidden(kw_str name, const char *stack, int n_layers, int *il);
/* All real tokens of the row in work to their places. */
void kw_infer_scatter(const infer *f, const want *w, size_t row, const float *src);

/* ---- infer_beam.c ---- */
kw_status kw_infer_check_beams(infer *f);
/* Searches from the row in work. */
kw_status kw_infer_search(infer *f, size_t row);
/* Makes the outputs when all rows have been searched. */
kw_status kw_infer_put_beams(infer *f);

#endif
