/* embed.h - texts to vectors whose angles say how alike they are, and to scores of how well they fit a question.
 *
 *     kw_embedder_open(model, NULL, &e);
 *     float *v = malloc(n * kw_embedder_describe(e).dim * sizeof *v);
 *     kw_embed_texts(e, texts, n, v);                                        v[i]: the vector of texts[i]
 *
 * Encoders (BERT and its kin) take any number of texts in few runs, side by side and without padding; of decoders the states
 * behind the last norm are pooled, a text at a time. A text longer than the model takes is cut, as sentence-transformers does:
 * its first tokens stay, between the special ones.
 *
 * Thread word: an embedder is owned by one thread at a time. */
#ifndef KWAAI_EMBED_H
#define KWAAI_EMBED_H

#include "kwaai/model.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct kw_embedder kw_embedder;

typedef struct kw_embed_options {
    kw_session_options
        session; /* ctx: fewer tokens a text than the model takes; batch: tokens of a run */
    const char *
        pooling; /* "mean", "cls", "last", "max"; NULL or "": as the model's files say, else the mean */
    bool
        keep_length; /* vectors keep the length that pooling gives them, whatever the model's files say */
} kw_embed_options;
KW_API kw_embed_options kw_embed_defaults(void);

/* Retains the model. o NULL: the defaults. KW_EUNSUPPORTED: no tokenizer, or the files ask for a module that is not known
 * (named). KW_EINVAL: a bad option. KW_EFORMAT, KW_ENOTFOUND: the model's modules.json or what it names. */
KW_API kw_status kw_embedder_open(kw_model *m, const kw_embed_options *o, kw_embedder **out);
KW_API void kw_embedder_close(kw_embedder *e); /* NULL is fine */

typedef struct kw_embedder_info {
    int dim;
    int max_tokens;      /* of a text, special ones included */
    const char *pooling; /* "mean" ... */
    bool normalises;     /* vectors have length 1 */
    int n_labels;        /* scores that its classifier gives; 0: it has none */
} kw_embedder_info;
KW_API kw_embedder_info kw_embedder_describe(const kw_embedder *e);

typedef struct kw_text {
    const char *text; /* UTF-8, or any bytes */
    size_t len;
} kw_text;

/* out: [n][dim], in the order of the texts. KW_EINVAL: a text without a single token (numbered from 1). */
KW_API kw_status kw_embed_texts(kw_embedder *e, const kw_text *texts, size_t n, float *out);

/* How well each text answers the query: scores[n], higher is better. A cross-encoder with one label reads both together and
 * gives its logit; a model without a classifier gives the cosine of both vectors. KW_EUNSUPPORTED: several labels. */
KW_API kw_status kw_rerank_texts(kw_embedder *e, kw_text query, const kw_text *texts, size_t n,
                                 float *scores);

/* How likely a decoder finds a text: the sum of the logarithms of its tokens' probabilities, each given those before it. The
 * first token, BOS where the tokenizer has one, is given. */
typedef struct kw_score {
    double logprob;
    size_t n_tokens; /* that were predicted; 0: the text has no second one */
} kw_score;
/* out: [n], in the order of the texts; short ones share runs. KW_ELIMIT: a text longer than the context (numbered from 1). */
KW_API kw_status kw_score_texts(kw_model *m, const kw_session_options *o, const kw_text *texts,
                                size_t n, kw_score *out);

#ifdef __cplusplus
}
#endif
#endif
