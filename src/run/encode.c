/* encode.c - an encoder's pass over a text, and what a decoder keeps of it.
 *
 * Every row looks at all others, so a text is one run, whatever its length; its class is the next power of two, and a plan is
 * recorded again when the class changes. A decoder with an encoder needs only the keys and values that each of its layers
 * makes of the last states: they are written where they stay, once for a text. */
#include "run/run.h"
#include <stdatomic.h>
#include <string.h>

kw_encoded *kw_encoded_retain(kw_encoded *x)
{
    if (x) atomic_fetch_add_explicit(&x->refs, 1, memory_order_relaxed);
    return x;
}

void kw_encoded_release(kw_encoded *x)
{
    if (!x || atomic_fetch_sub_explicit(&x->refs, 1, memory_order_acq_rel) != 1) return;
    kw_free(x->ids);
    kw_free(x->rows);
    kw_free(x->kv);
    kw_free(x->at);
    kw_free(x);
}

int64_t kw_encode_rows(size_t n)
{
    int64_t rows = 16;
    while (rows < (int64_t)n) rows *= 2;
    return rows;
}

/* Room for the text, and for as many keys and values as the plan of its class may write. */
static kw_status new_encoded(const kw_model *m, const int32_t *ids, size_t n, kw_encoded **out)
{
    size_t n_kv = 2 * (size_t)m->shape.n_layers, cells;
    size_t width = (size_t)m->shape.n_kv_heads * (size_t)m->shape.head_dim;
    if (!m->family->encoder) n_kv = 0;
    if (!kw_mul_size((size_t)kw_encode_rows(n), width, &cells) ||
        !kw_mul_size(cells, n_kv * sizeof(float), &(size_t){ 0 }))
        return kw_fail(KW_ELIMIT, "the memory of a text of %zu tokens", n);
    kw_encoded *x = kw_calloc(1, sizeof *x, KW_PAY_KV);
    if (!x) return KW_ENOMEM;
    atomic_store(&x->refs, 1);
    x->n = n;
    x->ids = kw_calloc(n, sizeof *x->ids, KW_PAY_KV);
    x->rows = kw_calloc(n, 2 * sizeof *x->rows, KW_PAY_KV);
    x->at = kw_calloc(n_kv, sizeof *x->at, KW_PAY_KV);
    x->kv = kw_malloc(cells * n_kv * sizeof *x->kv, KW_PAY_KV);
    if (!x->ids || !x->rows || !x->at || !x->kv) {
        kw_encoded_release(x);
        return KW_ENOMEM;
    }
    memcpy(x->ids, ids, n * sizeof *ids);
    for (size_t i = 0; i < n; i++) x->rows[2 * i + 1] = (int32_t)i;
    for (size_t i = 0; i < n_kv; i++) x->at[i] = x->kv + i * cells;
    *out = x;
    return KW_OK;
}

void kw_encode_record(const kw_model *m, kw_eval_mode mode, kw_plan *p, int64_t rows)
{
    const kw_family *f = m->family->encoder ? m->family->encoder : m->family;
    bool states = mode == KW_EVAL_ENCODER;
    kw_decoder_inputs in = { .ids = kw_input(p, "ids", KW_I32, KW_DIM_ROWS, rows, 1),
                             .rows = kw_input(p, "rows", KW_I32, KW_DIM_ROWS, rows, 2) };
    kw_val x = kw_record_stack(m, f, p, &in, states), kv[2];
    x = f->leave(p, m->config, m->weights, x);
    if (states) kw_output(p, x, "hidden.final");
    for (int il = 0; il < m->shape.n_layers && !states; il++) {
        m->family->memory(p, kw_model_layer(m, m->family, il), x, kv);
        kw_output(p, kv[0], "memory.k");
        kw_output(p, kv[1], "memory.v");
    }
}

static kw_status run(kw_eval *e, kw_eval_mode mode, kw_encoded *x)
{
    kw_recorded *r = NULL;
    kw_status st = kw_eval_ready(e, mode, (int64_t)x->n, 1, &r);
    const void *inputs[] = { x->ids, x->rows };
    kw_binding b = { .inputs = inputs };
    if (mode == KW_EVAL_MEMORY) b.outputs = (void *const *)x->at;
    else b.outputs = (void *const *)e->out[mode].at;
    b.live[KW_DIM_ROWS] = (int64_t)x->n;
    return st ? st : kw_eval_run(e, r, &b);
}

kw_status kw_encode(kw_eval *e, const int32_t *ids, size_t n, kw_encoded **out)
{
    kw_encoded *x = NULL;
    kw_status st = new_encoded(e->m, ids, n, &x);
    if (!st) st = run(e, KW_EVAL_MEMORY, x);
    if (st) kw_encoded_release(x);
    else *out = x;
    return st;
}

kw_status kw_encode_states(kw_eval *e, const int32_t *ids, size_t n, float *const **out)
{
    kw_encoded *x = NULL;
    kw_status st = new_encoded(e->m, ids, n, &x);
    if (!st) st = run(e, KW_EVAL_ENCODER, x);
    *out = e->out[KW_EVAL_ENCODER].at;
    kw_encoded_release(x);
    return st;
}
