/* eval.c - plans, recorded when a shape class is first needed and run with other bindings ever after.
 *
 * A run has rows of one sequence or of many: each row carries its sequence and its position, so a prefill chunk, the next
 * rows of several texts and a mixture of both are the same plan. Classes are 1, 8, 64 and the prefill chunk: 37 rows run
 * in the plan for 64 with 37 rows alive. The modes differ in what leaves the plan: logits of picked rows, or every row's
 * final state, from which the head makes logits in slices, so that scoring a long text never holds rows x vocabulary
 * floats. */
#include "run/run.h"
#include <string.h>

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

/* Rows of logits that a plan of this mode may give; 0: it gives states. */
static int64_t most_out(kw_eval_mode mode)
{
    static const int64_t most[KW_EVAL_MODES] = {
        [KW_EVAL_ONE] = 1, [KW_EVAL_FEW] = KW_FEW_ROWS, [KW_EVAL_MANY] = KW_MANY_ROWS
    };
    return most[mode];
}

static bool is_encoder(kw_eval_mode mode)
{
    return mode == KW_EVAL_MEMORY || mode == KW_EVAL_ENCODER;
}

/* The logits of all modes share one memory. */
static kw_output_set *outputs_of(kw_eval *e, kw_eval_mode mode)
{
    return &e->out[most_out(mode) ? KW_EVAL_ONE : mode];
}

/* ---- recording ---- */

/* The inputs' slots, in this order; behind them what a decoder with an encoder sees: whose memory, its rows, k and v. */
enum { N_INPUTS = 4, N_MEMORY_INPUTS = 2, MEMORY_MOST = 1 << 30 };
typedef struct decoder_values {
    kw_decoder_inputs in;
    kw_val out_rows;
} decoder_values;

static decoder_values record_inputs(const kw_eval *e, kw_eval_mode mode, kw_plan *p, int64_t rows,
                                    float rope_scale)
{
    int64_t picked = most_out(mode) && most_out(mode) < rows ? most_out(mode) : rows;
    kw_decoder_inputs in = {
        .ids = kw_input(p, "ids", KW_I32, KW_DIM_ROWS, rows, 1),
        .rows = kw_input(p, "rows", KW_I32, KW_DIM_ROWS, rows, 2),
        .freq = kw_input(p, "freq", KW_F32, KW_DIM_FIXED, 1, e->m->shape.n_rope),
        .rope_scale = rope_scale,
    };
    decoder_values v = { in, kw_input(p, "out_rows", KW_I32, KW_DIM_OUT, picked, 1) };
    if (!e->m->family->encoder) return v;
    v.in.memory_of = kw_input(p, "memory_of", KW_I32, KW_DIM_ROWS, rows, 2);
    v.in.memory_rows = kw_input(p, "memory_rows", KW_I32, KW_DIM_OTHER, MEMORY_MOST, 2);
    return v;
}

static void record_memory(const kw_model *m, kw_plan *p, kw_val kv[2])
{
    int64_t width = (int64_t)m->shape.n_kv_heads * m->shape.head_dim;
    kv[0] = kw_input(p, "memory.k", KW_F32, KW_DIM_OTHER, MEMORY_MOST, width);
    kv[1] = kw_input(p, "memory.v", KW_F32, KW_DIM_OTHER, MEMORY_MOST, width);
}

kw_val kw_record_stack(const kw_model *m, const kw_family *f, kw_plan *p, kw_decoder_inputs *in,
                       bool trace)
{
    kw_val x = f->enter(p, m->config, m->weights, in), table = KW_NONE;
    if (m->config->n_rope) table = kw_rope_table(p, in->rows, in->freq, in->rope_scale);
    for (int il = 0; il < kw_model_layers(m, f); il++) {
        if (trace) kw_output(p, x, "hidden");
        if (f->encoder) record_memory(m, p, in->memory);
        x = f->block(p, m->config, kw_model_layer(m, f, il), il, x, table, in);
    }
    if (trace) kw_output(p, x, "hidden");
    return x;
}

static void record_body(const kw_eval *e, kw_eval_mode mode, kw_plan *p, int64_t rows,
                        float rope_scale)
{
    const kw_model *m = e->m;
    const kw_family *f = m->family;
    decoder_values v = record_inputs(e, mode, p, rows, rope_scale);
    kw_val x = kw_record_stack(m, f, p, &v.in, mode == KW_EVAL_TRACE);
    if (most_out(mode)) x = kw_rows(p, x, v.out_rows);
    x = f->leave(p, m->config, m->weights, x);
    if (most_out(mode)) x = f->head(p, m->config, m->weights, x);
    kw_output(p, x, most_out(mode) ? "logits" : "hidden.final");
}

static void record_head(const kw_eval *e, kw_plan *p, int64_t rows)
{
    kw_val x = kw_input(p, "final", KW_F32, KW_DIM_ROWS, rows, e->m->shape.dim);
    kw_output(p, e->m->family->head(p, e->m->config, e->m->weights, x), "logits");
}

static kw_status record(kw_eval *e, kw_eval_mode mode, int64_t rows, float rope_scale,
                        kw_plan **out)
{
    kw_engine *engine = e->m->engine;
    kw_status st = kw_plan_new(&(kw_plan_options){ engine->backend->has, engine->device,
                                                   e->watch.see != NULL },
                               out);
    if (st) return st;
    if (mode == KW_EVAL_HEAD) record_head(e, *out, rows);
    else if (mode == KW_EVAL_TEXTS || mode == KW_EVAL_TEXTS_TRACE)
        kw_texts_record(e->m, mode == KW_EVAL_TEXTS_TRACE, *out, rows);
    else if (is_encoder(mode)) kw_encode_record(e->m, mode, *out, rows);
    else record_body(e, mode, *out, rows, rope_scale);
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

static void free_outputs(kw_output_set *o)
{
    for (size_t i = 0; i < o->n; i++) kw_free(o->at[i]);
    kw_free(o->at);
    kw_free(o->cells);
    *o = (kw_output_set){ 0 };
}

static kw_status reach_outputs(kw_output_set *o, const kw_plan *p)
{
    if (!o->n) {
        free_outputs(o);
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

static void drop(kw_eval *e, kw_recorded *r)
{
    if (r->program) e->m->engine->backend->drop(r->program);
    kw_plan_free(r->plan);
    *r = (kw_recorded){ 0 };
}

static kw_status prepare(kw_eval *e, kw_eval_mode mode, kw_recorded *r, float rope_scale)
{
    kw_engine *engine = e->m->engine;
    kw_status st = record(e, mode, r->rows, rope_scale, &r->plan);
    if (!st) st = engine->backend->prepare(engine->device, r->plan, e->options.exact, &r->program);
    if (st) drop(e, r);
    return st;
}

kw_status kw_eval_ready(kw_eval *e, kw_eval_mode mode, int64_t n, float rope_scale,
                        kw_recorded **out)
{
    int i = is_encoder(mode) ? 0 : class_of(e, mode, n);
    int64_t rows = is_encoder(mode) ? kw_encode_rows((size_t)n) : class_rows(e, mode, i);
    kw_recorded *r = *out = &e->recorded[mode][i];
    if (r->program && r->rows != rows) drop(e, r);
    r->rows = rows;
    kw_status st = r->program ? KW_OK : prepare(e, mode, r, rope_scale);
    if (!st) st = reach_scratch(e, r->program->scratch_bytes);
    return st || mode == KW_EVAL_MEMORY ? st : reach_outputs(outputs_of(e, mode), r->plan);
}

kw_status kw_eval_open(kw_model *m, const kw_session_options *o, kw_eval *e)
{
    *e = (kw_eval){ .m = m, .options = *o };
    size_t n = (size_t)o->batch;
    e->ids = kw_calloc(n, sizeof *e->ids, KW_PAY_SCRATCH);
    e->rows = kw_calloc(n, 2 * sizeof *e->rows, KW_PAY_SCRATCH);
    e->out_rows = kw_calloc(n, sizeof *e->out_rows, KW_PAY_SCRATCH);
    e->sequences = kw_calloc(n, sizeof *e->sequences, KW_PAY_SCRATCH);
    e->types = kw_calloc(m->family->is_encoder ? n : 1, sizeof *e->types, KW_PAY_SCRATCH);
    size_t n_inputs = N_INPUTS + N_MEMORY_INPUTS + 2 * (size_t)m->shape.n_layers;
    e->inputs = kw_calloc(n_inputs, sizeof *e->inputs, KW_PAY_SCRATCH);
    e->memory_of = kw_calloc(n, 2 * sizeof *e->memory_of, KW_PAY_SCRATCH);
    bool has_all =
        e->ids && e->rows && e->out_rows && e->sequences && e->types && e->inputs && e->memory_of;
    return has_all ? KW_OK : KW_ENOMEM;
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
    kw_free(e->sequences);
    kw_free(e->types);
    kw_free(e->inputs);
    kw_free(e->memory_of);
    *e = (kw_eval){ 0 };
}

/* ---- running ---- */

kw_status kw_eval_run(kw_eval *e, kw_recorded *r, kw_binding *b)
{
    const kw_backend *backend = e->m->engine->backend;
    kw_status st = kw_checkpoint_check(e->m->ck);
    if (!st) st = kw_file_check_size(&e->m->packed.file);
    if (st) return st;
    b->scratch = e->scratch;
    b->check = e->options.eager;
    st = backend->submit(r->program, b);
    if (!st) st = backend->poll(r->program);
    while (st == KW_PENDING && e->watch.see) {
        kw_request *q = &r->program->request;
        memcpy(q->answer, q->question, (size_t)(q->rows * q->cols) * sizeof(float));
        st = e->watch.see(e->watch.user, r->plan, q);
        q->answered = true;
        if (!st) st = backend->poll(r->program);
    }
    return st;
}

typedef struct row_counts {
    size_t rows, out;
} row_counts;

static row_counts count_rows(const kw_eval_part *part, size_t n_parts)
{
    row_counts c = { 0, 0 };
    for (size_t s = 0; s < n_parts; s++) {
        c.rows += part[s].n;
        c.out += part[s].n_out;
    }
    return c;
}

/* The inputs of a run: ids, sequence and position of each row, and which rows are picked. */
static void fill_rows(kw_eval *e, const kw_eval_part *part, size_t n_parts)
{
    size_t row = 0, out = 0;
    for (size_t s = 0; s < n_parts; s++) {
        const kw_eval_part *p = &part[s];
        e->sequences[s] = p->pages->memory;
        for (size_t i = 0; i < p->n; i++, row++) {
            e->ids[row] = p->ids[i];
            e->rows[2 * row] = (int32_t)s;
            e->rows[2 * row + 1] = (int32_t)(p->from + i);
            if (i + p->n_out >= p->n) e->out_rows[out++] = (int32_t)row;
        }
    }
}

static void fill_inputs(kw_eval *e, const kw_eval_part *part)
{
    const kw_encoded *x = part->memory;
    size_t n = 0;
    e->inputs[n++] = e->ids;
    e->inputs[n++] = e->rows;
    e->inputs[n++] = part->angles->freq;
    e->inputs[n++] = e->out_rows;
    e->inputs[n++] = e->memory_of;
    if (x) e->inputs[n++] = x->rows;
    for (size_t i = 0; x && i < 2 * (size_t)e->m->shape.n_layers; i++) e->inputs[n++] = x->at[i];
}

static kw_status run_parts(kw_eval *e, kw_eval_mode mode, const kw_eval_part *part, size_t n_parts)
{
    row_counts n = count_rows(part, n_parts);
    kw_recorded *r = NULL;
    if (e->m->family->encoder && !part->memory)
        return kw_fail(KW_EINVAL, "a decoder's rows without what its encoder made of a text");
    kw_status st = kw_eval_ready(e, mode, (int64_t)n.rows, part->angles->scale, &r);
    if (st) return st;
    fill_rows(e, part, n_parts);
    fill_inputs(e, part);
    kw_kv_binding kv = { .layout = part->pages->layout,
                         .pages = e->sequences,
                         .n_sequences = n_parts };
    kw_binding b = { .inputs = e->inputs,
                     .outputs = (void *const *)outputs_of(e, mode)->at,
                     .kv = &kv };
    b.live[KW_DIM_ROWS] = (int64_t)n.rows;
    b.live[KW_DIM_OUT] = (int64_t)n.out;
    b.live[KW_DIM_OTHER] = part->memory ? (int64_t)part->memory->n : 0;
    return kw_eval_run(e, r, &b);
}

kw_status kw_eval_logits(kw_eval *e, const kw_eval_part *part, size_t n_parts, const float **logits)
{
    size_t n_out = count_rows(part, n_parts).out;
    kw_eval_mode mode = n_out <= 1             ? KW_EVAL_ONE
                        : n_out <= KW_FEW_ROWS ? KW_EVAL_FEW
                                               : KW_EVAL_MANY;
    kw_status st = run_parts(e, mode, part, n_parts);
    if (!st) *logits = outputs_of(e, mode)->at[0];
    return st;
}

kw_status kw_eval_hidden(kw_eval *e, kw_eval_mode mode, const kw_eval_part *part, size_t n_parts,
                         float *const **out)
{
    kw_status st = run_parts(e, mode, part, n_parts);
    *out = e->out[mode].at;
    return st;
}

kw_status kw_eval_head(kw_eval *e, const float *final, size_t n, const float **logits)
{
    kw_recorded *r = NULL;
    kw_status st = kw_eval_ready(e, KW_EVAL_HEAD, (int64_t)n, 1, &r);
    if (st) return st;
    const void *inputs[] = { final };
    kw_binding b = { .inputs = inputs, .outputs = (void *const *)e->out[KW_EVAL_HEAD].at };
    b.live[KW_DIM_ROWS] = (int64_t)n;
    *logits = e->out[KW_EVAL_HEAD].at[0];
    return kw_eval_run(e, r, &b);
}

static kw_status print_mode(kw_eval *e, kw_eval_mode mode, int rows, kw_buf *text)
{
    kw_plan *p = NULL;
    kw_status st = record(e, mode, rows, 1, &p);
    if (!st) kw_plan_print(p, text);
    kw_plan_free(p);
    return st ? st : text->status;
}

kw_status kw_model_print_plan(const kw_model *m, const kw_session_options *o, int rows,
                              kw_write_fn write, void *user)
{
    kw_session_options all = o ? *o : kw_session_defaults();
    kw_status st = kw_model_check_engine(m);
    if (st) return st;
    if (rows < 1 || rows > 65536)
        return kw_fail(KW_EINVAL, "a plan for %d rows: expected 1 to 65536", rows);
    all.batch = rows;
    kw_eval e = { .m = (kw_model *)(uintptr_t)m, .options = all };
    kw_buf text = KW_BUF((size_t)64 << 20, KW_PAY_PLAN);
    if (m->family->encoder) st = print_mode(&e, KW_EVAL_MEMORY, rows, &text);
    if (!st) st = print_mode(&e, m->family->is_encoder ? KW_EVAL_TEXTS : KW_EVAL_ONE, rows, &text);
    if (!st) write(user, text.data, text.len);
    kw_buf_free(&text);
    return st;
}
