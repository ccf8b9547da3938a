/* eval.c - a session's plans: recorded when a shape class is first needed, run with other bindings ever after.
 *
 * Classes are 1, 8, 64 and the prefill chunk: a chunk of 37 rows runs in the plan for 64 with 37 rows alive. The modes
 * differ in what leaves the plan: the last row's logits, or every row's final state, from which the head makes logits
 * in slices, so that scoring a long text never holds rows x vocabulary floats. */
#include "run/run.h"

static int64_t class_rows(const kw_eval *e, kw_eval_mode mode, int i)
{
    const int64_t sizes[KW_CLASSES] = { 1, 8, 64, e->options.batch };
    int64_t rows = mode == KW_EVAL_HEAD && i == KW_CLASSES - 1 ? KW_HEAD_ROWS : sizes[i];
    int64_t most = mode == KW_EVAL_HEAD ? KW_HEAD_ROWS : e->options.batch;
    return rows < most ? rows : most;
}

static int class_of(const kw_eval *e, kw_eval_mode mode, int64_t n)
{
    int i = 0;
    while (i < KW_CLASSES - 1 && class_rows(e, mode, i) < n) i++;
    return i;
}

/* ---- recording ---- */

static void record_body(const kw_eval *e, kw_eval_mode mode, kw_plan *p, int64_t rows)
{
    const kw_model *m = e->m;
    const kw_family *f = m->family;
    kw_decoder_inputs in = {
        .ids = kw_input(p, "ids", KW_I32, KW_DIM_ROWS, rows, 1),
        .rows = kw_input(p, "rows", KW_I32, KW_DIM_ROWS, rows, 2),
        .freq = kw_input(p, "freq", KW_F32, KW_DIM_FIXED, 1, m->shape.n_rope),
        .rope_scale = e->rope_scale,
    };
    kw_val out_rows =
        kw_input(p, "out_rows", KW_I32, KW_DIM_OUT, mode == KW_EVAL_LAST ? 1 : rows, 1);
    kw_val x = f->enter(p, m->config, m->weights, &in), shared = f->begin(p, m->config, &in);
    for (int il = 0; il < m->shape.n_layers; il++) {
        if (mode == KW_EVAL_TRACE) kw_output(p, x, "hidden");
        x = f->block(p, m->config, kw_model_layer(m, il), il, x, shared, &in);
    }
    if (mode == KW_EVAL_TRACE) kw_output(p, x, "hidden");
    if (mode == KW_EVAL_LAST) x = kw_rows(p, x, out_rows);
    x = f->leave(p, m->config, m->weights, x);
    if (mode == KW_EVAL_LAST) x = f->head(p, m->config, m->weights, x);
    kw_output(p, x, mode == KW_EVAL_LAST ? "logits" : "hidden.final");
}

static void record_head(const kw_eval *e, kw_plan *p, int64_t rows)
{
    kw_val x = kw_input(p, "final", KW_F32, KW_DIM_ROWS, rows, e->m->shape.dim);
    kw_output(p, e->m->family->head(p, e->m->config, e->m->weights, x), "logits");
}

static kw_status record(kw_eval *e, kw_eval_mode mode, int64_t rows, kw_plan **out)
{
    kw_engine *engine = e->m->engine;
    kw_status st = kw_plan_new(&(kw_plan_options){ engine->backend->has, engine->device }, out);
    if (st) return st;
    if (mode == KW_EVAL_HEAD) record_head(e, *out, rows);
    else record_body(e, mode, *out, rows);
    return kw_plan_seal(*out);
}

/* ---- memory ---- */

static kw_status reach_scratch(kw_eval *e, size_t bytes)
{
    kw_engine *engine = e->m->engine;
    if (e->scratch && e->scratch->bytes >= bytes) return KW_OK;
    engine->backend->free(engine->device, e->scratch);
    e->scratch = NULL;
    return engine->backend->alloc(engine->device, bytes, KW_PAY_SCRATCH, &e->scratch);
}

/* Host memory for every output of the plan; it only grows. */
static kw_status reach_output(kw_output_set *o, const kw_value *v)
{
    size_t cells;
    if (!kw_mul_size((size_t)kw_tensor_rows(&v->t), (size_t)kw_tensor_cols(&v->t), &cells) ||
        cells > SIZE_MAX / 4)
        return kw_fail(KW_ELIMIT, "output %s does not fit in memory", v->name);
    if (o->cells[v->slot] >= cells) return KW_OK;
    kw_free(o->at[v->slot]);
    o->cells[v->slot] = 0;
    o->at[v->slot] = kw_malloc(cells * sizeof(float), KW_PAY_SCRATCH);
    if (!o->at[v->slot]) return KW_ENOMEM;
    o->cells[v->slot] = cells;
    return KW_OK;
}

static kw_status reach_outputs(kw_output_set *o, const kw_plan *p)
{
    if (!o->at) {
        o->at = kw_calloc(p->n_outputs, sizeof *o->at, KW_PAY_SCRATCH);
        o->cells = kw_calloc(p->n_outputs, sizeof *o->cells, KW_PAY_SCRATCH);
        if (!o->at || !o->cells) return KW_ENOMEM;
        o->n = p->n_outputs;
    }
    kw_status st = KW_OK;
    for (uint32_t i = 1; i < p->n_values && !st; i++)
        if (p->value[i].kind == KW_OUTPUT) st = reach_output(o, &p->value[i]);
    return st;
}

static void free_outputs(kw_output_set *o)
{
    for (size_t i = 0; i < o->n; i++) kw_free(o->at[i]);
    kw_free(o->at);
    kw_free(o->cells);
}

static void drop(kw_eval *e, kw_recorded *r)
{
    if (r->program) e->m->engine->backend->drop(r->program);
    kw_plan_free(r->plan);
    *r = (kw_recorded){ 0 };
}

static kw_status ready(kw_eval *e, kw_eval_mode mode, int64_t n, kw_recorded **out)
{
    int i = class_of(e, mode, n);
    kw_recorded *r = &e->recorded[mode][i];
    kw_engine *engine = e->m->engine;
    if (!r->program) {
        r->rows = class_rows(e, mode, i);
        kw_status st = record(e, mode, r->rows, &r->plan);
        if (!st)
            st = engine->backend->prepare(engine->device, r->plan, e->options.exact, &r->program);
        if (st) {
            drop(e, r);
            return st;
        }
    }
    *out = r;
    kw_status st = reach_scratch(e, r->program->scratch_bytes);
    return st ? st : reach_outputs(&e->out[mode], r->plan);
}

kw_status kw_eval_open(kw_model *m, const kw_session_options *o, kw_eval *e)
{
    *e = (kw_eval){ .m = m, .options = *o, .length = -1 };
    size_t n = (size_t)o->batch;
    e->ids = kw_calloc(n, sizeof *e->ids, KW_PAY_SCRATCH);
    e->rows = kw_calloc(n, 2 * sizeof *e->rows, KW_PAY_SCRATCH);
    e->out_rows = kw_calloc(n, sizeof *e->out_rows, KW_PAY_SCRATCH);
    e->freq = kw_calloc((size_t)m->shape.n_rope, sizeof *e->freq, KW_PAY_SCRATCH);
    if (!e->ids || !e->rows || !e->out_rows || !e->freq) return KW_ENOMEM;
    kw_eval_set_length(e, 0);
    return KW_OK;
}

void kw_eval_close(kw_eval *e)
{
    if (!e->m) return;
    for (int mode = 0; mode < KW_EVAL_MODES; mode++) {
        for (int i = 0; i < KW_CLASSES; i++) drop(e, &e->recorded[mode][i]);
        free_outputs(&e->out[mode]);
    }
    e->m->engine->backend->free(e->m->engine->device, e->scratch);
    kw_free(e->ids);
    kw_free(e->rows);
    kw_free(e->out_rows);
    kw_free(e->freq);
    *e = (kw_eval){ 0 };
}

bool kw_eval_set_length(kw_eval *e, int64_t length)
{
    int64_t effective = e->m->shape.rope_by_length && length > e->m->shape.ctx_train ? length : 0;
    if (e->length == effective) return false;
    bool first = e->length < 0;
    e->length = effective;
    e->m->family->frequencies(e->m->config, e->m->weights, effective, e->freq, &e->rope_scale);
    return !first;
}

/* ---- running ---- */

static kw_status run(kw_eval *e, kw_eval_mode mode, kw_recorded *r, kw_binding *b)
{
    const kw_backend *backend = e->m->engine->backend;
    kw_status st = kw_checkpoint_check(e->m->ck);
    if (!st) st = kw_file_check_size(&e->m->packed.file);
    if (st) return st;
    b->scratch = e->scratch;
    b->outputs = (void *const *)e->out[mode].at;
    b->check = e->options.eager;
    st = backend->submit(r->program, b);
    return st ? st : backend->poll(r->program);
}

kw_status kw_eval_chunk(kw_eval *e, kw_eval_mode mode, kw_pages *pages, const int32_t *ids,
                        size_t from, size_t n)
{
    kw_recorded *r = NULL;
    kw_status st = ready(e, mode, (int64_t)n, &r);
    if (!st) st = kw_pages_reach(pages, from, from + n);
    if (st) return st;
    for (size_t i = 0; i < n; i++) {
        e->ids[i] = ids[from + i];
        e->rows[2 * i] = 0;
        e->rows[2 * i + 1] = (int32_t)(from + i);
    }
    e->out_rows[0] = (int32_t)n - 1;
    const void *inputs[] = { e->ids, e->rows, e->freq, e->out_rows };
    kw_memory *const *sequences[] = { pages->memory };
    kw_kv_binding kv = { .layout = pages->layout, .pages = sequences };
    kw_binding b = { .inputs = inputs, .kv = &kv };
    b.live[KW_DIM_ROWS] = (int64_t)n;
    b.live[KW_DIM_OUT] = 1;
    return run(e, mode, r, &b);
}

kw_status kw_eval_head(kw_eval *e, const float *final, size_t n, const float **logits)
{
    kw_recorded *r = NULL;
    kw_status st = ready(e, KW_EVAL_HEAD, (int64_t)n, &r);
    if (st) return st;
    const void *inputs[] = { final };
    kw_binding b = { .inputs = inputs };
    b.live[KW_DIM_ROWS] = (int64_t)n;
    *logits = e->out[KW_EVAL_HEAD].at[0];
    return run(e, KW_EVAL_HEAD, r, &b);
}

kw_status kw_model_print_plan(const kw_model *m, const kw_session_options *o, int rows,
                              kw_write_fn write, void *user)
{
    kw_session_options all = o ? *o : kw_session_defaults();
    if (rows < 1 || rows > 65536)
        return kw_fail(KW_EINVAL, "a plan for %d rows: expected 1 to 65536", rows);
    all.batch = rows;
    kw_eval e = { .m = (kw_model *)(uintptr_t)m, .options = all, .rope_scale = 1 };
    kw_plan *p = NULL;
    kw_buf text = KW_BUF((size_t)64 << 20, KW_PAY_PLAN);
    kw_status st = record(&e, KW_EVAL_LAST, rows, &p);
    if (!st) kw_plan_print(p, &text);
    if (!st) st = text.status;
    if (!st) write(user, text.data, text.len);
    kw_buf_free(&text);
    kw_plan_free(p);
    return st;
}
