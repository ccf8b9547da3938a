/* texts.c - whole texts through an encoder, side by side in one run.
 *
 * A row carries its text's number and its place in it; each text sees itself alone, and nothing is padded, so short and long
 * texts share a run without waste. Where the model has weights for it, the first row of each text becomes what stands for the
 * whole, and that becomes scores. */
#include "run/run.h"

void kw_texts_record(const kw_model *m, bool trace, kw_plan *p, int64_t rows)
{
    const kw_family *f = m->family;
    kw_decoder_inputs in = { .ids = kw_input(p, "ids", KW_I32, KW_DIM_ROWS, rows, 1),
                             .rows = kw_input(p, "rows", KW_I32, KW_DIM_ROWS, rows, 2),
                             .types = kw_input(p, "types", KW_I32, KW_DIM_ROWS, rows, 1) };
    kw_val first = kw_input(p, "first", KW_I32, KW_DIM_OUT, rows, 1);
    kw_val x = kw_record_stack(m, f, p, &in, trace);
    if (!trace && !f->leave) kw_output(p, x, "hidden");
    if (f->leave) x = f->leave(p, m->config, m->weights, x);
    if (f->leave) kw_output(p, x, "hidden.final");
    kw_val pooled = f->pool ? f->pool(p, m->config, m->weights, x, first) : KW_NONE;
    if (!pooled.id) return;
    kw_output(p, pooled, "pooled");
    kw_val scores = f->head(p, m->config, m->weights, pooled);
    if (scores.id) kw_output(p, scores, "scores");
}

/* The inputs of a run; how many rows. */
static size_t fill(kw_eval *e, const kw_text_part *text, size_t n)
{
    size_t row = 0;
    for (size_t s = 0; s < n; s++) {
        e->out_rows[s] = (int32_t)row;
        for (size_t i = 0; i < text[s].n; i++, row++) {
            e->ids[row] = text[s].ids[i];
            e->types[row] = text[s].types ? text[s].types[i] : 0;
            e->rows[2 * row] = (int32_t)s;
            e->rows[2 * row + 1] = (int32_t)i;
        }
    }
    return row;
}

kw_status kw_eval_texts(kw_eval *e, bool trace, const kw_text_part *text, size_t n,
                        kw_text_states *out)
{
    kw_eval_mode mode = trace ? KW_EVAL_TEXTS_TRACE : KW_EVAL_TEXTS;
    kw_recorded *r = NULL;
    size_t rows = fill(e, text, n);
    kw_status st = kw_eval_ready(e, mode, (int64_t)rows, 1, &r);
    if (st) return st;
    const void *inputs[] = { e->ids, e->rows, e->types, e->out_rows };
    float *const *at = e->out[mode].at;
    kw_binding b = { .inputs = inputs, .outputs = (void *const *)at };
    b.live[KW_DIM_ROWS] = (int64_t)rows;
    b.live[KW_DIM_OUT] = (int64_t)n;
    size_t n_layers = (size_t)e->m->shape.n_layers, n_out = r->plan->n_outputs;
    size_t n_hidden = trace ? n_layers + 1 + (e->m->family->leave != NULL) : 1;
    *out = (kw_text_states){ .hidden = at,
                             .n_hidden = n_hidden,
                             .pooled = n_out > n_hidden ? at[n_hidden] : NULL,
                             .scores = n_out > n_hidden + 1 ? at[n_hidden + 1] : NULL };
    return kw_eval_run(e, r, &b);
}

kw_status kw_model_check_writes(const kw_model *m)
{
    if (!m->family->is_encoder) return KW_OK;
    return kw_try(
        kw_fail(KW_EINVAL,
                "%s is an encoder (%s): it reads a text and writes none\nwhy: every token "
                "sees the whole text, so there is no next one to predict",
                m->name, m->arch_name),
        m->shape.n_labels ? "kwaai rerank scores texts with it"
                          : "kwaai embed makes vectors of texts with it");
}
