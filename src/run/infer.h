/* infer.h - the types of infer.c. */
#ifndef KW_RUN_INFER_H
#define KW_RUN_INFER_H

#include "run/session.h"

typedef enum want_kind { WANT_HIDDEN, WANT_LOGITS, WANT_IDS, WANT_GREEDY_LOGITS } want_kind;

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
    size_t b, n;             /* rows and columns of input_ids */
    int64_t *ids, *mask;     /* [b][n]; mask may be NULL */
    int32_t *real_ids;       /* of the row in work */
    size_t *real_at, n_real; /* columns where they stand */
} infer;

#endif
