/* infer.h - the types of infer.c. */
#ifndef KW_RUN_INFER_H
#define KW_RUN_INFER_H

#include "run/pooling.h"
#include "run/session.h"

typedef enum want_kind {
    WANT_HIDDEN,
    WANT_LOGITS,
    WANT_IDS,
    WANT_GREEDY_LOGITS,
    WANT_POOLED, /* these four of encoders: one row a text */
    WANT_SCORES,
    WANT_SENTENCE,
    WANT_CLS
} want_kind;

typedef struct want {
    const char *name;
    want_kind kind;
    int layer;  /* WANT_HIDDEN: 0..L, L + 1 is hidden.final */
    void *data; /* in the request's arena */
    kw_named_tensor out;
} want;

typedef struct infer {
    kw_model *m;
    kw_session *s;
    kw_arena arena;
    want *want;
    size_t n_want;
    int generate;
    size_t b, n;         /* rows and columns of input_ids */
    int64_t *ids, *mask; /* [b][n]; mask may be NULL */
    int64_t *types;      /* the same, of encoders; may be NULL */
    int32_t *real_ids;   /* of the row in work */
    int32_t *real_types;
    kw_eval eval; /* of encoders, in place of a session */
    kw_pooling pooling;
    double *sums;            /* [dim] */
    size_t *real_at, n_real; /* columns where they stand */
} infer;

/* ---- infer_texts.c: the same of encoders ---- */
kw_status kw_infer_want_of_text(const infer *f, want *w);
const char *const *kw_infer_text_names(const kw_model *m, size_t *n); /* what is given unasked */
kw_status kw_infer_open_texts(infer *f, const kw_infer_options *o);
kw_status kw_infer_text(infer *f, size_t row); /* the row in work: computed and put into place */
/* infer.c for it: the n rows from `from` on of the real tokens to their places. */
void kw_infer_scatter(const infer *f, const want *w, size_t row, const float *src);

#endif
