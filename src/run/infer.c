/* infer.c - named tensors in, named tensors out: the engine without the text layer.
 *
 * Each row of the batch is one session: its real tokens (attention_mask 1) are computed through the same plans and the
 * same cache as in generation, and the results are put back where the real tokens stand; rows of padding stay zero.
 *
 *   input_ids [b,n], attention_mask [b,n]?  ->  hidden.0 .. hidden.L, hidden.final, logits, greedy_ids, greedy_logits
 *
 * Encoders: infer_texts.c. */
#include "run/infer.h"
#include <stdio.h>
#include <string.h>

/* ---- what may be asked for ---- */

static bool is_hidden(const kw_model *m, kw_str name, int *il)
{
    int64_t n;
    if (!kw_str_starts(name, "hidden.")) return false;
    kw_str rest = { name.p + 7, name.n - 7 };
    *il = m->shape.n_layers + 1;
    if (kw_str_is(rest, "final")) return true;
    if (!kw_str_i64(rest, &n) || n < 0 || n > m->shape.n_layers) return false;
    *il = (int)n;
    return true;
}

static kw_status unknown_want(const kw_model *m, const char *name)
{
    return kw_fail(KW_EINVAL,
                   "unknown name \"%.64s\" in want\nwhy: known are hidden.0 to hidden.%d, "
                   "hidden.final, logits, "
                   "and with generate greedy_ids, greedy_logits",
                   name, m->shape.n_layers);
}

static kw_status add_want(infer *f, const char *name)
{
    kw_str s = kw_str_of(name);
    int il = 0;
    want w = { .name = name, .kind = WANT_HIDDEN };
    if (f->m->family->is_encoder) {
        kw_status st = kw_infer_want_of_text(f, &w);
        if (!st) f->want[f->n_want++] = w;
        return st;
    }
    if (is_hidden(f->m, s, &il)) w.layer = il;
    else if (kw_str_is(s, "logits")) w.kind = WANT_LOGITS;
    else if (f->generate && kw_str_is(s, "greedy_ids")) w.kind = WANT_IDS;
    else if (f->generate && kw_str_is(s, "greedy_logits")) w.kind = WANT_GREEDY_LOGITS;
    else return unknown_want(f->m, name);
    f->want[f->n_want++] = w;
    return KW_OK;
}

static kw_status read_want(infer *f, const kw_infer_options *o)
{
    static const char *const of_decoder[] = { "logits", "greedy_ids", "greedy_logits" };
    const char *const *all = of_decoder;
    size_t n = f->generate ? 3 : 1;
    if (f->m->family->is_encoder) all = kw_infer_text_names(f->m, &n);
    if (o->n_want) n = o->n_want;
    f->want = kw_arena_alloc(&f->arena, n, sizeof *f->want);
    if (!f->want) return KW_ENOMEM;
    kw_status st = KW_OK;
    for (size_t i = 0; i < n && !st; i++) st = add_want(f, o->n_want ? o->want[i] : all[i]);
    return st;
}

/* ---- inputs ---- */

static kw_status read_ints(const kw_named_tensor *t, int64_t *out, size_t n)
{
    const unsigned char *src = t->tensor.data;
    for (size_t i = 0; i < n; i++) {
        int32_t narrow;
        if (t->tensor.dtype == KW_I64) memcpy(&out[i], src + i * 8, 8);
        else if (t->tensor.dtype == KW_I32) {
            memcpy(&narrow, src + i * 4, 4);
            out[i] = narrow;
        } else
            return kw_fail(KW_EFORMAT, "input \"%.*s\" is %s, expected I32 or I64", (int)t->name.n,
                           t->name.p, kw_dtype_get(t->tensor.dtype)->name);
    }
    return KW_OK;
}

/* [n] or [b,n] */
static kw_status read_matrix(infer *f, const kw_tensor_file *in, const char *name, int64_t **out)
{
    const kw_named_tensor *t = kw_safetensors_find(in, name);
    if (!t) return kw_fail(KW_EFORMAT, "the input \"%s\" is missing", name);
    size_t n = f->b * f->n;
    if (t->tensor.rank < 1 || t->tensor.rank > 2)
        return kw_fail(KW_EFORMAT, "input \"%s\" has rank %d, expected [n] or [b, n]", name,
                       t->tensor.rank);
    if (n == 0) {
        f->b = t->tensor.rank == 2 ? (size_t)t->tensor.shape[0] : 1;
        f->n = (size_t)kw_tensor_cols(&t->tensor);
        n = f->b * f->n;
        if (n == 0) return kw_fail(KW_EFORMAT, "input \"%s\" is empty", name);
    }
    if ((size_t)kw_tensor_rows(&t->tensor) * (size_t)kw_tensor_cols(&t->tensor) != n)
        return kw_fail(KW_EFORMAT, "input \"%s\" does not have the %zu values of input_ids", name,
                       n);
    *out = kw_arena_alloc(&f->arena, n, sizeof **out);
    return *out ? read_ints(t, *out, n) : KW_ENOMEM;
}

/* The real tokens of row i, and where they stand. */
static kw_status take_row(infer *f, size_t i)
{
    f->n_real = 0;
    for (size_t j = 0; j < f->n; j++) {
        int64_t id = f->ids[i * f->n + j], mask = f->mask ? f->mask[i * f->n + j] : 1;
        if (mask == 0) continue;
        if (mask != 1)
            return kw_fail(KW_EFORMAT, "attention_mask holds %lld, expected 0 or 1",
                           (long long)mask);
        if (id < 0 || id >= f->m->shape.n_vocab)
            return kw_fail(KW_EFORMAT, "input_ids[%zu][%zu] is %lld, the vocabulary has %d", i, j,
                           (long long)id, f->m->shape.n_vocab);
        int64_t type = f->types ? f->types[i * f->n + j] : 0, most = f->m->shape.n_types;
        if (type < 0 || type >= (most ? most : 1))
            return kw_fail(KW_EFORMAT, "token_type_ids[%zu][%zu] is %lld, the model has %lld kinds",
                           i, j, (long long)type, (long long)most);
        f->real_types[f->n_real] = (int32_t)type;
        f->real_ids[f->n_real] = (int32_t)id;
        f->real_at[f->n_real++] = j;
    }
    return f->n_real ? KW_OK : kw_fail(KW_EFORMAT, "row %zu of input_ids is all padding", i);
}

/* ---- outputs ---- */

static kw_status make_out(infer *f, want *w)
{
    int64_t b = (int64_t)f->b, n = (int64_t)f->n, g = f->generate;
    bool of_vocab = w->kind == WANT_LOGITS || w->kind == WANT_GREEDY_LOGITS;
    int64_t width = of_vocab                 ? f->m->shape.n_vocab
                    : w->kind == WANT_SCORES ? f->m->shape.n_labels
                                             : f->m->shape.dim;
    kw_tensor t = { .dtype = KW_F32, .rank = 3, .shape = { b, n, width, 1 } };
    if (w->kind >= WANT_POOLED)
        t = (kw_tensor){ .dtype = KW_F32, .rank = 2, .shape = { b, width, 1, 1 } };
    if (w->kind == WANT_IDS) t = (kw_tensor){ .dtype = KW_I64, .rank = 2, .shape = { b, g, 1, 1 } };
    if (w->kind == WANT_GREEDY_LOGITS) t.shape[1] = g;
    if (b == 1 && w->kind == WANT_IDS)
        t = (kw_tensor){ .dtype = KW_I64, .rank = 1, .shape = { g, 1, 1, 1 } };
    if (b == 1 && w->kind == WANT_GREEDY_LOGITS)
        t = (kw_tensor){ .dtype = KW_F32, .rank = 2, .shape = { g, width, 1, 1 } };
    size_t rows = (size_t)kw_tensor_rows(&t), cols = (size_t)kw_tensor_cols(&t), cells;
    if (!kw_mul_size(rows, cols, &cells) || cells > SIZE_MAX / 8)
        return kw_fail(KW_ELIMIT, "output %s is too large", w->name);
    w->data = kw_arena_alloc(&f->arena, cells, kw_dtype_get(t.dtype)->bytes);
    if (!w->data) return KW_ENOMEM;
    t.data = w->data;
    w->out = (kw_named_tensor){ .name = kw_str_of(w->name), .tensor = t };
    return KW_OK;
}

/* Rows from..from+n of the real tokens, as they leave the plan, to their places in the output. */
static void scatter(const infer *f, const want *w, size_t row, size_t from, const float *src,
                    size_t n)
{
    size_t width = (size_t)kw_tensor_cols(&w->out.tensor);
    for (size_t i = 0; i < n; i++)
        memcpy((float *)w->data + (row * f->n + f->real_at[from + i]) * width, src + i * width,
               width * sizeof(float));
}

void kw_infer_scatter(const infer *f, const want *w, size_t row, const float *src)
{
    scatter(f, w, row, 0, src, f->n_real);
}

static kw_status take_logits(infer *f, const want *w, size_t row, size_t from, const float *final,
                             size_t n)
{
    for (size_t at = 0; at < n; at += KW_HEAD_ROWS) {
        size_t rows = n - at < KW_HEAD_ROWS ? n - at : KW_HEAD_ROWS;
        const float *logits;
        kw_status st =
            kw_eval_head(&f->s->eval, final + at * (size_t)f->m->shape.dim, rows, &logits);
        if (st) return st;
        scatter(f, w, row, from + at, logits, rows);
    }
    return KW_OK;
}

/* ---- the forward pass and greedy decoding ---- */

static bool wants(const infer *f, want_kind kind)
{
    for (size_t i = 0; i < f->n_want; i++)
        if (f->want[i].kind == kind) return true;
    return false;
}

static kw_status forward_chunk(infer *f, size_t row, size_t n)
{
    bool trace = wants(f, WANT_HIDDEN);
    kw_eval_mode mode = trace ? KW_EVAL_TRACE : KW_EVAL_ALL;
    size_t from = f->s->n_done;
    float *const *out = NULL;
    kw_status st = kw_session_hidden(f->s, mode, n, &out);
    for (size_t i = 0; i < f->n_want && !st; i++) {
        const want *w = &f->want[i];
        if (w->kind == WANT_HIDDEN) scatter(f, w, row, from, out[w->layer], n);
        if (w->kind == WANT_LOGITS)
            st = take_logits(f, w, row, from, out[trace ? f->m->shape.n_layers + 1 : 0], n);
    }
    if (!st) f->s->n_done += n;
    return st;
}

static kw_status forward(infer *f, size_t row)
{
    if (!wants(f, WANT_HIDDEN) && !wants(f, WANT_LOGITS)) return KW_OK;
    kw_status st = kw_session_replace(f->s, f->real_ids, f->n_real);
    f->s->n_done = 0;
    while (!st && f->s->n_done < f->n_real) {
        size_t left = f->n_real - f->s->n_done, batch = (size_t)f->s->options.batch;
        st = forward_chunk(f, row, left < batch ? left : batch);
    }
    f->s->n_done = 0;
    return st;
}

static kw_status generate(infer *f, size_t row)
{
    if (!f->generate) return KW_OK;
    kw_status st = kw_session_sync(f->s, f->real_ids, f->n_real);
    for (size_t k = 0; k < (size_t)f->generate && !st; k++) {
        int32_t id;
        size_t width, at = row * (size_t)f->generate + k;
        st = kw_session_step(f->s, &id);
        if (st == KW_DONE)
            return kw_fail(KW_ELIMIT, "%zu tokens and %d more do not fit into a context of %d",
                           f->n_real, f->generate, f->s->options.ctx);
        if (st) return st;
        const float *logits = kw_session_logits(f->s, &width);
        for (size_t i = 0; i < f->n_want; i++) {
            if (f->want[i].kind == WANT_IDS) ((int64_t *)f->want[i].data)[at] = id;
            if (f->want[i].kind == WANT_GREEDY_LOGITS)
                memcpy((float *)f->want[i].data + at * width, logits, width * sizeof *logits);
        }
    }
    return st;
}

/* ---- files ---- */

static kw_status read_inputs(infer *f, const char *in_path)
{
    kw_source *source = NULL;
    kw_tensor_file *in = NULL;
    kw_status st = kw_source_file(in_path, (kw_file_options){ 0 }, &source);
    if (!st) st = kw_tensors_open(source, &in);
    if (!st) st = read_matrix(f, in, "input_ids", &f->ids);
    if (!st && kw_safetensors_find(in, "attention_mask"))
        st = read_matrix(f, in, "attention_mask", &f->mask);
    if (!st && f->m->family->is_encoder && kw_safetensors_find(in, "token_type_ids"))
        st = read_matrix(f, in, "token_type_ids", &f->types);
    kw_safetensors_close(in);
    if (st) return kw_note(st, "%s", in_path);
    f->real_types = kw_arena_alloc(&f->arena, f->n, sizeof *f->real_types);
    f->real_ids = kw_arena_alloc(&f->arena, f->n, sizeof *f->real_ids);
    f->real_at = kw_arena_alloc(&f->arena, f->n, sizeof *f->real_at);
    return f->real_ids && f->real_at && f->real_types ? KW_OK : KW_ENOMEM;
}

static kw_status write_outputs(infer *f, const char *out_path)
{
    kw_named_tensor *out = kw_arena_alloc(&f->arena, f->n_want, sizeof *out);
    if (!out) return KW_ENOMEM;
    for (size_t i = 0; i < f->n_want; i++) out[i] = f->want[i].out;
    return kw_safetensors_write(out_path, out, f->n_want);
}

static kw_status open_session(infer *f, const kw_infer_options *o)
{
    kw_sampling greedy = kw_sampling_defaults();
    greedy.temperature = 0;
    greedy.ignore_eos = true;
    if (f->m->family->is_encoder) return kw_infer_open_texts(f, o);
    kw_status st = kw_session_open(f->m, &o->session, &f->s);
    return st ? st : kw_session_set_sampling(f->s, &greedy);
}

static kw_status perform(infer *f, const char *in_path, const char *out_path,
                         const kw_infer_options *o)
{
    kw_status st = read_want(f, o);
    if (!st) st = read_inputs(f, in_path);
    if (!st) st = open_session(f, o);
    for (size_t i = 0; i < f->n_want && !st; i++) st = make_out(f, &f->want[i]);
    for (size_t row = 0; row < f->b && !st; row++) {
        st = take_row(f, row);
        if (!st) st = f->m->family->is_encoder ? kw_infer_text(f, row) : forward(f, row);
        if (!st) st = generate(f, row);
    }
    return st ? st : write_outputs(f, out_path);
}

kw_status kw_infer(kw_model *m, const char *in_path, const char *out_path,
                   const kw_infer_options *o)
{
    enum { MOST = 1 << 20 };
    kw_status st = kw_model_check_engine(m);
    if (st) return st;
    if (o->generate < 0 || o->generate > MOST)
        return kw_fail(KW_EINVAL, "generate %d ids: expected 0 to %d", o->generate, MOST);
    infer f = { .m = m, .generate = o->generate, .arena = KW_ARENA(KW_PAY_SCRATCH) };
    st = perform(&f, in_path, out_path, o);
    kw_session_close(f.s);
    kw_eval_close(&f.eval);
    kw_arena_free(&f.arena);
    return st;
}
