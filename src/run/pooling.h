/* pooling.h - how the states of a text become one vector. */
#ifndef KW_RUN_POOLING_H
#define KW_RUN_POOLING_H

#include "run/run.h"

typedef enum kw_pooling_kind {
    KW_POOL_MEAN, /* over all tokens */
    KW_POOL_CLS,  /* the first token */
    KW_POOL_LAST,
    KW_POOL_MAX, /* the largest of each column */
    KW_POOL_KINDS
} kw_pooling_kind;

typedef struct kw_pooling {
    kw_pooling_kind kind;
    bool normalise; /* to length 1 */
    int max_tokens; /* longer texts are cut; 0: at the model's context */
} kw_pooling;

/* What the files beside the model say: modules.json and what it names, sentence_bert_config.json, or GGUF metadata.
 * Without: the mean, of length 1. KW_EUNSUPPORTED names a module that is not known. */
kw_status kw_pooling_load(const kw_model *m, kw_pooling *out);
/* "mean", "cls", "last", "max". */
kw_status kw_pooling_named(const char *name, kw_pooling_kind *out);
const char *kw_pooling_name(kw_pooling_kind kind);

/* A text's rows, in order, in any number of pieces: sums has room for dim doubles; n counts the rows so far. */
typedef struct kw_pool_sum {
    double *sums;
    size_t dim, n;
} kw_pool_sum;
void kw_pool_add(kw_pool_sum *s, kw_pooling_kind kind, const float *rows, size_t n);
void kw_pool_finish(const kw_pool_sum *s, const kw_pooling *how, float *out);

#endif
