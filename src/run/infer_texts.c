/* infer_texts.c - what an encoder makes of named tensors; infer.c does the rest.
 *
 *   input_ids [b,n], attention_mask [b,n]?, token_type_ids [b,n]?  ->  hidden.0 .. hidden.L, last_hidden_state, pooler_output,
 *   logits, sentence_embedding, cls_embedding */
#include "run/infer.h"
#include <string.h>

/* Names beside hidden.N; the second and third only where the model has what they are made of. */
static const struct {
    const char *name;
    want_kind kind;
} names[] = {
    { "last_hidden_state", WANT_HIDDEN },
    { "pooler_output", WANT_POOLED },
    { "logits", WANT_SCORES },
    { "sentence_embedding", WANT_SENTENCE },
    { "cls_embedding", WANT_CLS },
};
enum { N_NAMES = sizeof names / sizeof *names };

kw_status kw_infer_want_of_text(const infer *f, want *w)
{
    const int n_layers = f->m->shape.n_layers;
    kw_str name = kw_str_of(w->name);
    int il;
    if (f->generate || f->beam.beams) return kw_model_check_writes(f->m);
    w->layer = n_layers + (f->m->family->leave != NULL);
    if (kw_str_starts(name, "encoder.")) name = (kw_str){ name.p + 8, name.n - 8 };
    for (size_t i = 0; i < N_NAMES; i++)
        if (kw_str_is(name, names[i].name)) {
            w->kind = names[i].kind;
            return KW_OK;
        }
    if (kw_infer_is_hidden(name, "", n_layers, &il)) {
        if (il <= n_layers) w->layer = il;
        return KW_OK;
    }
    return kw_fail(KW_EINVAL,
                   "unknown name \"%.64s\" in want\nwhy: known are hidden.0 to hidden.%d, "
                   "last_hidden_state, pooler_output, logits, sentence_embedding and cls_embedding",
                   w->name, n_layers);
}

const char *const *kw_infer_text_names(const kw_model *m, size_t *n)
{
    static const char *const all[] = { "last_hidden_state", "sentence_embedding", "cls_embedding",
                                       "logits" };
    *n = m->shape.n_labels ? 4 : 3;
    return all;
}

kw_status kw_infer_open_texts(infer *f, const kw_infer_options *o)
{
    kw_session_options all = o->session;
    size_t most = (size_t)f->m->shape.ctx_train;
    if (f->text.n < most || !f->m->shape.ctx_is_fixed) most = f->text.n;
    all.batch = (int)most;
    f->sums = kw_arena_alloc(&f->arena, (size_t)f->m->shape.dim, sizeof *f->sums);
    if (!f->sums) return KW_ENOMEM;
    kw_status st = kw_pooling_load(f->m, &f->pooling);
    f->pooling.normalise = true;
    return st ? st : kw_eval_open(f->m, &all, &f->eval);
}

static void pool(infer *f, const want *w, size_t row, const float *last)
{
    kw_pooling how = f->pooling;
    kw_pool_sum sum = { .sums = f->sums, .dim = (size_t)f->m->shape.dim };
    if (w->kind == WANT_CLS) how.kind = KW_POOL_CLS;
    kw_pool_add(&sum, how.kind, last, f->text.n_real);
    kw_pool_finish(&sum, &how, (float *)w->data + row * sum.dim);
}

static kw_status put(infer *f, const want *w, size_t row, const kw_text_states *s)
{
    size_t width = (size_t)kw_tensor_cols(&w->out.tensor);
    const float *whole = w->kind == WANT_POOLED ? s->pooled : s->scores;
    if (w->kind == WANT_HIDDEN) kw_infer_scatter(f, w, row, s->hidden[w->layer]);
    else if (w->kind == WANT_SENTENCE || w->kind == WANT_CLS)
        pool(f, w, row, s->hidden[s->n_hidden - 1]);
    else if (!whole)
        return kw_fail(KW_EINVAL, "%s is not there: the model's files have no %s%s", w->name,
                       w->kind == WANT_POOLED ? "pooler" : "classifier",
                       f->m->shape.n_labels ? " of whole texts" : "");
    else memcpy((float *)w->data + row * width, whole, width * sizeof *whole);
    return KW_OK;
}

kw_status kw_infer_text(infer *f, size_t row)
{
    kw_text_states s;
    if (f->text.n_real > (size_t)f->m->shape.ctx_train && f->m->shape.ctx_is_fixed)
        return kw_fail(KW_ELIMIT, "row %zu has %zu tokens, the model %d positions", row,
                       f->text.n_real, f->m->shape.ctx_train);
    kw_text_part text = { .ids = f->text.real_ids,
                          .types = f->text.real_types,
                          .n = f->text.n_real };
    kw_status st = kw_eval_texts(&f->eval, true, &text, 1, &s);
    for (size_t i = 0; i < f->n_want && !st; i++) st = put(f, &f->want[i], row, &s);
    return st;
}
