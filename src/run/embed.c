/* embed.c - texts to vectors and scores.
 *
 * Texts become ids one after the other and wait until a run is full; then all of them go through the encoder together. A pair
 * of query and text is one text of two kinds of parts. Decoders compute one text at a time, through a session. */
#include "kwaai/embed.h"
#include "run/pooling.h"
#include "run/session.h"
#include <math.h>
#include <string.h>

enum { MOST_TEXTS = 1024 }; /* of a run */

struct kw_embedder {
    kw_model *m;
    kw_session_options options;
    kw_pooling pooling;
    size_t max_tokens;
    kw_eval eval;        /* of an encoder, opened when a run needs it */
    kw_session *session; /* of a decoder */
    kw_ids ids, types, one,
        two; /* of the texts that wait; of the text in work and its second part */
    kw_text_part part[MOST_TEXTS];
    size_t n_parts;
    double *sums; /* [dim] */
};

/* Where results go. */
typedef struct job {
    float *out;
    size_t done;
    bool scores; /* of the classifier, not vectors */
} job;

kw_embed_options kw_embed_defaults(void)
{
    return (kw_embed_options){ .session = kw_session_defaults() };
}

static kw_status fill(kw_embedder *e, kw_model *m, const kw_embed_options *o)
{
    e->m = kw_model_retain(m);
    e->options = o->session;
    kw_status st = kw_model_check_tokenizer(m);
    if (st) return st;
    if (o->session.ctx < 0 || o->session.batch < 1 || o->session.batch > 65536)
        return kw_fail(KW_EINVAL, "texts of %d tokens, runs of %d", o->session.ctx,
                       o->session.batch);
    st = kw_pooling_load(m, &e->pooling);
    if (!st && o->pooling && *o->pooling) st = kw_pooling_named(o->pooling, &e->pooling.kind);
    if (o->keep_length) e->pooling.normalise = false;
    size_t most = (size_t)m->shape.ctx_train, said = (size_t)e->pooling.max_tokens,
           asked = (size_t)o->session.ctx;
    if (said && said < most) most = said;
    e->max_tokens = asked && asked < most ? asked : most;
    e->sums = kw_calloc((size_t)m->shape.dim, sizeof *e->sums, KW_PAY_SCRATCH);
    if (!st && !e->sums) st = KW_ENOMEM;
    if (!st && !m->family->is_encoder) st = kw_session_open(m, &o->session, &e->session);
    return st;
}

kw_status kw_embedder_open(kw_model *m, const kw_embed_options *o, kw_embedder **out)
{
    kw_embed_options all = o ? *o : kw_embed_defaults();
    kw_status st = kw_model_check_engine(m);
    if (st) return st;
    kw_embedder *e = kw_calloc(1, sizeof *e, KW_PAY_SCRATCH);
    if (!e) return KW_ENOMEM;
    st = fill(e, m, &all);
    if (st) kw_embedder_close(e);
    else *out = e;
    return st;
}

void kw_embedder_close(kw_embedder *e)
{
    if (!e) return;
    kw_eval_close(&e->eval);
    kw_session_close(e->session);
    kw_ids_free(&e->ids);
    kw_ids_free(&e->types);
    kw_ids_free(&e->one);
    kw_ids_free(&e->two);
    kw_free(e->sums);
    kw_model_release(e->m);
    kw_free(e);
}

kw_embedder_info kw_embedder_describe(const kw_embedder *e)
{
    return (kw_embedder_info){ .dim = e->m->shape.dim,
                               .max_tokens = (int)e->max_tokens,
                               .pooling = kw_pooling_name(e->pooling.kind),
                               .normalises = e->pooling.normalise,
                               .n_labels = e->m->shape.n_labels };
}

/* ---- runs ---- */

static kw_status reach(kw_embedder *e, size_t rows)
{
    if (e->eval.m && (size_t)e->eval.options.batch >= rows) return KW_OK;
    kw_session_options o = e->options;
    if ((size_t)o.batch < rows) o.batch = (int)rows;
    kw_eval_close(&e->eval);
    return kw_eval_open(e->m, &o, &e->eval);
}

static void take(kw_embedder *e, job *j, const kw_text_states *s)
{
    kw_pool_sum sum = { .sums = e->sums, .dim = (size_t)e->m->shape.dim };
    const float *rows = s->hidden[0];
    for (size_t i = 0; i < e->n_parts; i++, j->done++) {
        size_t n = e->part[i].n;
        sum.n = 0;
        if (j->scores) j->out[j->done] = s->scores[i];
        else kw_pool_add(&sum, e->pooling.kind, rows, n);
        if (!j->scores) kw_pool_finish(&sum, &e->pooling, j->out + j->done * sum.dim);
        rows += n * sum.dim;
    }
}

static kw_status run(kw_embedder *e, job *j)
{
    kw_text_states s;
    size_t at = 0;
    if (e->n_parts == 0) return KW_OK;
    kw_status st = reach(e, e->ids.n);
    for (size_t i = 0; i < e->n_parts; at += e->part[i++].n) {
        e->part[i].ids = e->ids.ids + at;
        e->part[i].types = e->types.ids + at;
    }
    if (!st) st = kw_eval_texts(&e->eval, false, e->part, e->n_parts, &s);
    if (st) return st;
    if (j->scores && !s.scores)
        return kw_fail(KW_EUNSUPPORTED, "the classifier of %s has a form that is not known",
                       e->m->name);
    take(e, j, &s);
    e->n_parts = e->ids.n = e->types.n = 0;
    return KW_OK;
}

/* The text in e->one waits with the others; its tokens from `second` on are of the second kind. */
static kw_status add(kw_embedder *e, job *j, size_t second)
{
    kw_status st = KW_OK;
    if (e->n_parts == MOST_TEXTS || e->ids.n + e->one.n > (size_t)e->options.batch) st = run(e, j);
    for (size_t i = 0; i < e->one.n && !st; i++) {
        st = kw_ids_push(&e->ids, e->one.ids[i]);
        if (!st) st = kw_ids_push(&e->types, i >= second && e->m->shape.n_types > 1);
    }
    if (!st) e->part[e->n_parts++].n = e->one.n;
    return st;
}

/* ---- ids ---- */

static kw_status push_all(kw_ids *to, const int32_t *ids, size_t n)
{
    kw_status st = KW_OK;
    for (size_t i = 0; i < n && !st; i++) st = kw_ids_push(to, ids[i]);
    return st;
}

static kw_status encode(const kw_embedder *e, kw_text text, kw_ids *out)
{
    out->n = 0;
    return kw_tokenizer_encode(e->m->tokenizer, (kw_str){ text.text, text.len },
                               KW_TEXT_PARSE_SPECIAL, out);
}

/* Room for a text's own tokens beside n special ones: at least one. */
static kw_status room(const kw_embedder *e, size_t n, size_t *out)
{
    if (e->max_tokens <= n)
        return kw_fail(KW_EINVAL,
                       "texts of at most %zu tokens: the special ones around them are %zu, which "
                       "leaves no room",
                       e->max_tokens, n);
    *out = e->max_tokens - n;
    return KW_OK;
}

/* e->one: the text between its special tokens. number: among the texts, from 1; 0: it is the query. */
static kw_status encode_one(kw_embedder *e, kw_text text, size_t number)
{
    kw_around a = kw_tokenizer_around(e->m->tokenizer);
    size_t most = 0;
    kw_status st = room(e, a.n_before + a.n_after, &most);
    if (!st) st = encode(e, text, &e->two);
    size_t n = e->two.n < most ? e->two.n : most;
    e->one.n = 0;
    if (!st) st = push_all(&e->one, a.before, a.n_before);
    if (!st) st = push_all(&e->one, e->two.ids, n);
    if (!st) st = push_all(&e->one, a.after, a.n_after);
    if (st || e->one.n) return st;
    return number
               ? kw_fail(KW_EINVAL,
                         "text %zu is empty: this model's tokenizer makes no token of it", number)
               : kw_fail(KW_EINVAL,
                         "the query is empty: this model's tokenizer makes no token of it");
}

/* Cuts a pair to `most` tokens: the longer text first, then both to halves. */
static void cut_pair(size_t most, size_t *a, size_t *b)
{
    size_t *less = *a > *b ? b : a, *more = *a > *b ? a : b;
    if (*less + *more <= most) return;
    *more = most > 2 * *less ? most - *less : *less;
    if (*less + *more <= most) return;
    *less = most / 2;
    *more = most - most / 2;
}

/* e->one: query and text, with the separator between them; *second: where the text begins. */
static kw_status encode_pair(kw_embedder *e, const kw_ids *query, kw_text text, size_t *second)
{
    kw_around a = kw_tokenizer_around(e->m->tokenizer);
    size_t between = (size_t)e->m->shape.n_between;
    size_t most = 0;
    kw_status st = room(e, a.n_before + a.n_after * (1 + between), &most);
    if (!st) st = encode(e, text, &e->two);
    size_t n[2] = { query->n, e->two.n };
    cut_pair(most, &n[0], &n[1]);
    e->one.n = 0;
    if (!st) st = push_all(&e->one, a.before, a.n_before);
    if (!st) st = push_all(&e->one, query->ids, n[0]);
    for (size_t i = 0; i < between && !st; i++) st = push_all(&e->one, a.after, a.n_after);
    *second = e->one.n;
    if (!st) st = push_all(&e->one, e->two.ids, n[1]);
    return st ? st : push_all(&e->one, a.after, a.n_after);
}

/* ---- vectors ---- */

/* The text in e->one through the encoder beside a decoder. */
static kw_status embed_by_encoder(kw_embedder *e, float *out)
{
    kw_pool_sum sum = { .sums = e->sums, .dim = (size_t)e->m->shape.dim };
    float *const *states = NULL;
    kw_status st = kw_encode_states(&e->session->eval, e->one.ids, e->one.n, &states);
    if (st) return st;
    kw_pool_add(&sum, e->pooling.kind, states[e->m->shape.n_encoder_layers + 1], e->one.n);
    kw_pool_finish(&sum, &e->pooling, out);
    return KW_OK;
}

/* Through a decoder. */
static kw_status embed_by_decoder(kw_embedder *e, float *out)
{
    kw_session *s = e->session;
    kw_pool_sum sum = { .sums = e->sums, .dim = (size_t)e->m->shape.dim };
    if (e->m->family->encoder) return embed_by_encoder(e, out);
    s->n_done = 0;
    kw_status st = kw_session_replace(s, e->one.ids, e->one.n);
    while (!st && s->n_done < e->one.n) {
        size_t n;
        float *const *states;
        st = kw_session_hidden(s, KW_EVAL_ALL, &n, &states);
        if (!st) kw_pool_add(&sum, e->pooling.kind, states[0], n);
        if (!st) s->n_done += n;
    }
    if (!st) kw_pool_finish(&sum, &e->pooling, out);
    return st;
}

static kw_status embed(kw_embedder *e, const kw_text *texts, size_t n, size_t first, float *out)
{
    job j = { .out = out };
    kw_status st = KW_OK;
    e->n_parts = e->ids.n = e->types.n = 0;
    for (size_t i = 0; i < n && !st; i++) {
        st = encode_one(e, texts[i], first + i);
        if (st) break;
        st = e->session ? embed_by_decoder(e, out + i * (size_t)e->m->shape.dim)
                        : add(e, &j, SIZE_MAX);
    }
    return st ? st : run(e, &j);
}

kw_status kw_embed_texts(kw_embedder *e, const kw_text *texts, size_t n, float *out)
{
    return embed(e, texts, n, 1, out);
}

/* ---- scores ---- */

static double cosine(const float *a, const float *b, size_t n)
{
    double ab = 0, aa = 0, bb = 0;
    for (size_t i = 0; i < n; i++) {
        ab += (double)a[i] * (double)b[i];
        aa += (double)a[i] * (double)a[i];
        bb += (double)b[i] * (double)b[i];
    }
    return aa > 0 && bb > 0 ? ab / sqrt(aa * bb) : 0;
}

static kw_status by_cosine(kw_embedder *e, kw_text query, const kw_text *texts, size_t n,
                           float *scores)
{
    size_t dim = (size_t)e->m->shape.dim, cells;
    if (!kw_mul_size(dim, n + 1, &cells) || cells > SIZE_MAX / sizeof(float))
        return kw_fail(KW_ELIMIT, "vectors of %zu texts do not fit in memory", n);
    float *v = kw_malloc(cells * sizeof *v, KW_PAY_SCRATCH);
    if (!v) return KW_ENOMEM;
    kw_status st = embed(e, &query, 1, 0, v);
    if (!st) st = embed(e, texts, n, 1, v + dim);
    for (size_t i = 0; i < n && !st; i++) scores[i] = (float)cosine(v, v + (i + 1) * dim, dim);
    kw_free(v);
    return st;
}

static kw_status by_classifier(kw_embedder *e, kw_text query, const kw_text *texts, size_t n,
                               float *scores)
{
    job j = { .out = scores, .scores = true };
    kw_ids q = { 0 };
    kw_status st = encode(e, query, &q);
    e->n_parts = e->ids.n = e->types.n = 0;
    for (size_t i = 0; i < n && !st; i++) {
        size_t second;
        st = encode_pair(e, &q, texts[i], &second);
        if (!st) st = add(e, &j, second);
    }
    if (!st) st = run(e, &j);
    kw_ids_free(&q);
    return st;
}

kw_status kw_rerank_texts(kw_embedder *e, kw_text query, const kw_text *texts, size_t n,
                          float *scores)
{
    int labels = e->m->shape.n_labels;
    if (query.len == 0) return kw_fail(KW_EINVAL, "the query is empty: nothing fits it");
    if (labels == 0) return by_cosine(e, query, texts, n, scores);
    if (labels == 1) return by_classifier(e, query, texts, n, scores);
    return kw_fail(KW_EUNSUPPORTED,
                   "the classifier of %s has %d labels\nwhy: reranking takes one, which says how "
                   "well a text fits",
                   e->m->name, labels);
}
