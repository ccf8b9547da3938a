/* score_texts.c - how likely many texts are: those of a few tokens share a run, each in pages of its own.
 *
 * A text that fills a run by itself goes through kw_session_score, and so do all where rope frequencies depend on a text's
 * length. */
#include "kwaai/embed.h"
#include "run/session.h"

enum { MOST_TEXTS = 64 }; /* of a run */

typedef struct scorer {
    kw_session *s; /* its plans, cache layout and frequencies serve all */
    kw_ids ids[MOST_TEXTS];
    kw_pages pages[MOST_TEXTS];
    size_t number[MOST_TEXTS], n, rows; /* the texts that wait, and their tokens */
    int32_t *next; /* [batch] the id behind a row; -1: the row is a text's last */
    size_t *owner; /* [batch] the text of a row */
    kw_score *out;
} scorer;

static kw_status open_scorer(kw_model *m, const kw_session_options *o, scorer *c)
{
    kw_status st = kw_model_check_scores(m);
    if (!st) st = kw_session_open(m, o, &c->s);
    if (!st) st = kw_model_check_tokenizer(m);
    if (st) return st;
    size_t rows = (size_t)c->s->options.batch;
    c->next = kw_calloc(rows, sizeof *c->next, KW_PAY_SCRATCH);
    c->owner = kw_calloc(rows, sizeof *c->owner, KW_PAY_SCRATCH);
    for (size_t i = 0; i < MOST_TEXTS; i++)
        c->pages[i] = (kw_pages){ .engine = m->engine, .layout = c->s->pages.layout };
    return c->next && c->owner ? KW_OK : KW_ENOMEM;
}

static void close_scorer(scorer *c)
{
    for (size_t i = 0; i < MOST_TEXTS; i++) {
        kw_pages_cut(&c->pages[i], 0);
        kw_ids_free(&c->ids[i]);
    }
    kw_free(c->next);
    kw_free(c->owner);
    kw_session_close(c->s);
}

/* The rows' states are there: the head, a slice at a time. */
static kw_status judge(scorer *c, const float *final)
{
    size_t dim = (size_t)c->s->m->shape.dim, n_vocab = (size_t)c->s->m->shape.n_vocab;
    for (size_t at = 0; at < c->rows; at += KW_HEAD_ROWS) {
        size_t rows = c->rows - at < KW_HEAD_ROWS ? c->rows - at : KW_HEAD_ROWS;
        const float *logits;
        kw_status st = kw_eval_head(&c->s->eval, final + at * dim, rows, &logits);
        if (st) return st;
        for (size_t i = 0; i < rows; i++) {
            kw_score *score = &c->out[c->owner[at + i]];
            if (c->next[at + i] < 0) continue;
            score->logprob += kw_logprob_of(logits + i * n_vocab, n_vocab, c->next[at + i]);
            score->n_tokens++;
        }
    }
    return KW_OK;
}

static kw_status run(scorer *c)
{
    kw_eval_part part[MOST_TEXTS];
    float *const *states;
    size_t row = 0;
    kw_status st = KW_OK;
    for (size_t i = 0; i < c->n && !st; i++) {
        const kw_ids *ids = &c->ids[i];
        part[i] = (kw_eval_part){
            .pages = &c->pages[i], .angles = &c->s->angles, .ids = ids->ids, .n = ids->n
        };
        st = kw_pages_reach(&c->pages[i], 0, ids->n);
        for (size_t t = 0; t < ids->n; t++, row++) {
            c->next[row] = t + 1 < ids->n ? ids->ids[t + 1] : -1;
            c->owner[row] = c->number[i];
        }
    }
    if (!st && c->n) st = kw_eval_hidden(&c->s->eval, KW_EVAL_ALL, part, c->n, &states);
    if (!st && c->n) st = judge(c, states[0]);
    c->n = c->rows = 0;
    return st;
}

static kw_status alone(scorer *c, const kw_ids *ids, size_t number)
{
    double *logprob = kw_malloc(ids->n * sizeof *logprob, KW_PAY_SCRATCH);
    if (!logprob) return KW_ENOMEM;
    kw_status st = kw_session_score(c->s, ids->ids, ids->n, logprob);
    for (size_t i = 0; i + 1 < ids->n && !st; i++) c->out[number].logprob += logprob[i];
    c->out[number].n_tokens = ids->n - 1;
    kw_free(logprob);
    return st;
}

static kw_status add(scorer *c, kw_text text, size_t number)
{
    const kw_config *shape = &c->s->m->shape;
    size_t most = (size_t)c->s->options.batch;
    kw_ids ids = { 0 };
    kw_status st = kw_tokenizer_encode(c->s->m->tokenizer, (kw_str){ text.text, text.len },
                                       KW_TEXT_ADD_SPECIAL | KW_TEXT_PARSE_SPECIAL, &ids);
    if (!st && ids.n > (size_t)c->s->options.ctx)
        st = kw_try(kw_fail(KW_ELIMIT, "text %zu has %zu token%s, the context is %d", number + 1,
                            ids.n, kw_s(ids.n), c->s->options.ctx),
                    "shorter texts, or a larger context with -c (the model was trained for %d)",
                    shape->ctx_train);
    bool joins = ids.n <= most && !shape->rope_by_length && !shape->rope_switch;
    if (!st && ids.n >= 2 && !joins) st = alone(c, &ids, number);
    if (!st && joins && (c->n == MOST_TEXTS || c->rows + ids.n > most)) st = run(c);
    if (st || ids.n < 2 || !joins) {
        kw_ids_free(&ids);
        return st;
    }
    kw_ids_free(&c->ids[c->n]);
    c->ids[c->n] = ids;
    c->number[c->n++] = number;
    c->rows += ids.n;
    return KW_OK;
}

kw_status kw_score_texts(kw_model *m, const kw_session_options *o, const kw_text *texts, size_t n,
                         kw_score *out)
{
    scorer c = { .out = out };
    kw_session_options all = o ? *o : kw_session_defaults();
    kw_status st = open_scorer(m, &all, &c);
    for (size_t i = 0; i < n && !st; i++) {
        out[i] = (kw_score){ 0 };
        st = add(&c, texts[i], i);
    }
    if (!st) st = run(&c);
    close_scorer(&c);
    return st;
}
