/* infer.c - named tensors in, named tensors out: the engine without the text layer.
 *
 * Each row of the batch is one session: its real tokens (attention_mask 1) are computed through the same plans and the
 * same cache as in generation, and the results are put back where the real tokens stand; rows of padding stay zero.
 *
 *   input_ids [b,n], attention_mask [b,n]?  ->  hidden.0 .. hidden.L, hidden.final, logits, greedy_ids, greedy_logits
 *
 * Encoders: infer_texts.c. With an encoder beside the decoder, input_ids are what it reads, decoder_input_ids [b,m] what the
 * decoder is made to say, and the hidden states are encoder.hidden.* and decoder.hidden.*. */
#include "run/infer.h"
#include <stdio.h>
#include <string.h>

/* ---- what may be asked for ---- */

/* What follows a beginning; false when it is not there. */
static bool skip(kw_str *s, const char *prefix)
{
    if (!kw_str_starts(*s, prefix)) return false;
    *s = (kw_str){ s->p + strlen(prefix), s->n - strlen(prefix) };
    return true;
}

bool kw_infer_is_hidden(kw_str name, const char *stack, int n_layers, int *il)
{
    int64_t n;
    if (!skip(&name, stack) || !skip(&name, "hidden.")) return false;
    *il = n_layers + 1;
    if (kw_str_is(name, "final")) return true;
    if (!kw_str_i64(name, &n) || n < 0 || n > n_layers) return false;
    *il = (int)n;
    return true;
}

static bool has_encoder(const infer *f) { return f->m->family->encoder; }

static kw_status unknown_want(const infer *f, const char *name)
{
    const char *stack = has_encoder(f) ? "decoder." : "";
    char encoder[96] = "";
    if (has_encoder(f))
        snprintf(encoder, sizeof encoder,
                 "encoder.hidden.0 to encoder.hidden.%d, encoder.hidden.final, ",
                 f->m->shape.n_encoder_layers);
    return kw_fail(KW_EINVAL,
                   "unknown name \"%.64s\" in want\nwhy: known are %s%shidden.0 to %shidden.%d, "
                   "%shidden.final, logits, and with generate greedy_ids, greedy_logits, and with "
                   "beams beam_ids, beam_scores",
                   name, encoder, stack, stack, f->m->shape.n_layers, stack);
}

enum { N_NAMES = 5 };
static const char *const names[N_NAMES] = { "logits", "greedy_ids", "greedy_logits", "beam_ids",
                                            "beam_scores" };
static const want_kind kinds[N_NAMES] = { WANT_LOGITS, WANT_IDS, WANT_GREEDY_LOGITS, WANT_BEAM_IDS,
                                          WANT_BEAM_SCORES };

/* How many of the names there is an answer to. */
static size_t n_known(const infer *f) { return f->beam.beams ? N_NAMES : f->generate ? 3 : 1; }

static kw_status add_want(infer *f, const char *name)
{
    kw_str s = kw_str_of(name);
    want w = { .name = name };
    size_t i = 0, n = n_known(f);
    if (f->m->family->is_encoder) {
        kw_status st = kw_infer_want_of_text(f, &w);
        if (!st) f->want[f->n_want++] = w;
        return st;
    }
    bool decoder =
        kw_infer_is_hidden(s, has_encoder(f) ? "decoder." : "", f->m->shape.n_layers, &w.layer);
    if (!decoder && has_encoder(f) &&
        kw_infer_is_hidden(s, "encoder.", f->m->shape.n_encoder_layers, &w.layer))
        w.kind = WANT_ENCODER;
    else if (!decoder) {
        while (i < n && !kw_str_is(s, names[i])) i++;
        if (i == n) return unknown_want(f, name);
        w.kind = kinds[i];
    }
    f->want[f->n_want++] = w;
    return KW_OK;
}

static kw_status read_want(infer *f, const kw_infer_options *o)
{
    const char *const *all = names;
    size_t n = n_known(f);
    if (f->m->family->is_encoder) all = kw_infer_text_names(f->m, &n);
    if (o->n_want) n = o->n_want;
    f->want = kw_arena_alloc(&f->arena, n, sizeof *f->want);
    if (!f->want) return KW_ENOMEM;
    kw_status st = KW_OK;
    for (size_t i = 0; i < n && !st; i++) st = add_want(f, o->n_want ? o->want[i] : all[i]);
    return st;
}

/* Without a list of names, there are no logits of a text that was not given. */
static void drop_logits(infer *f)
{
    size_t kept = 0;
    for (size_t i = 0; i < f->n_want; i++)
        if (f->want[i].kind != WANT_LOGITS) f->want[kept++] = f->want[i];
    f->n_want = kept;
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

/* [n] or [b,n]; the first one says what n and b are. */
static kw_status read_matrix(infer *f, infer_text *x, const kw_tensor_file *in, const char *name,
                             int64_t **out)
{
    const kw_named_tensor *t = kw_safetensors_find(in, name);
    if (!t) return kw_fail(KW_EFORMAT, "the input \"%s\" is missing", name);
    size_t n = f->b * x->n;
    if (t->tensor.rank < 1 || t->tensor.rank > 2)
        return kw_fail(KW_EFORMAT, "input \"%s\" has rank %d, expected [n] or [b, n]", name,
                       t->tensor.rank);
    if (n == 0) {
        if (x == &f->text) f->b = (size_t)kw_tensor_rows(&t->tensor);
        x->n = (size_t)kw_tensor_cols(&t->tensor);
        n = f->b * x->n;
        if (n == 0) return kw_fail(KW_EFORMAT, "input \"%s\" is empty", name);
    }
    if ((size_t)kw_tensor_rows(&t->tensor) != f->b || (size_t)kw_tensor_cols(&t->tensor) != x->n)
        return kw_fail(
            KW_EFORMAT,
            "input \"%s\" does not have the shape [%zu, %zu]: a row for each of input_ids", name,
            f->b, x->n);
    *out = kw_arena_alloc(&f->arena, n, sizeof **out);
    return *out ? read_ints(t, *out, n) : KW_ENOMEM;
}

/* The real tokens of row i, and where they stand. */
static kw_status take_row(const infer *f, infer_text *x, size_t i)
{
    x->n_real = 0;
    for (size_t j = 0; j < x->n; j++) {
        int64_t id = x->ids[i * x->n + j], mask = x->mask ? x->mask[i * x->n + j] : 1;
        if (mask == 0) continue;
        if (mask != 1)
            return kw_fail(KW_EFORMAT, "attention_mask holds %lld, expected 0 or 1",
                           (long long)mask);
        if (id < 0 || id >= f->m->shape.n_vocab)
            return kw_fail(KW_EFORMAT, "%s[%zu][%zu] is %lld, the vocabulary has %d", x->name, i, j,
                           (long long)id, f->m->shape.n_vocab);
        int64_t type = x->types ? x->types[i * x->n + j] : 0, most = f->m->shape.n_types;
        if (type < 0 || type >= (most ? most : 1))
            return kw_fail(KW_EFORMAT,
                           "token_type_ids[%zu][%zu] is %lld, the model has %lld kind%s", i, j,
                           (long long)type, (long long)(most ? most : 1),
                           kw_s((uint64_t)(most ? most : 1)));
        x->real_types[x->n_real] = (int32_t)type;
        x->real_ids[x->n_real] = (int32_t)id;
        x->real_at[x->n_real++] = j;
    }
    return x->n_real ? KW_OK : kw_fail(KW_EFORMAT, "row %zu of %s is all padding", i, x->name);
}

/* What the hidden states and logits of the (last) stack belong to. */
static infer_text *decoded(infer *f) { return has_encoder(f) ? &f->forced : &f->text; }

/* ---- outputs ---- */

static kw_status make_out(infer *f, want *w)
{
    bool of_vocab = w->kind == WANT_LOGITS || w->kind == WANT_GREEDY_LOGITS;
    int64_t width = of_vocab                 ? f->m->shape.n_vocab
                    : w->kind == WANT_SCORES ? f->m->shape.n_labels
                                             : f->m->shape.dim;
    int64_t b = (int64_t)f->b, g = f->generate;
    int64_t n = (int64_t)(w->kind == WANT_ENCODER ? &f->text : decoded(f))->n;
    w->out.name = kw_str_of(w->name);
    if (w->kind == WANT_BEAM_IDS || w->kind == WANT_BEAM_SCORES) return KW_OK; /* made later */
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
    w->out.tensor = t;
    return KW_OK;
}

/* Rows of the real tokens of a row in work, as they leave the plan. */
typedef struct span {
    const infer_text *of;
    size_t row, from, n;
} span;

/* To their places in the output. */
static void scatter(const want *w, span x, const float *src)
{
    size_t width = (size_t)kw_tensor_cols(&w->out.tensor);
    for (size_t i = 0; i < x.n; i++)
        memcpy((float *)w->data + (x.row * x.of->n + x.of->real_at[x.from + i]) * width,
               src + i * width, width * sizeof(float));
}

void kw_infer_scatter(const infer *f, const want *w, size_t row, const float *src)
{
    scatter(w, (span){ &f->text, row, 0, f->text.n_real }, src);
}

static kw_status take_logits(infer *f, const want *w, span x, const float *final)
{
    size_t n = x.n, from = x.from;
    for (size_t at = 0; at < n; at += KW_HEAD_ROWS) {
        size_t rows = n - at < KW_HEAD_ROWS ? n - at : KW_HEAD_ROWS;
        const float *logits;
        kw_status st =
            kw_eval_head(&f->s->eval, final + at * (size_t)f->m->shape.dim, rows, &logits);
        if (st) return st;
        x.from = from + at;
        x.n = rows;
        scatter(w, x, logits);
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

static kw_status forward_chunk(infer *f, size_t row)
{
    bool trace = wants(f, WANT_HIDDEN);
    kw_eval_mode mode = trace ? KW_EVAL_TRACE : KW_EVAL_ALL;
    span x = { decoded(f), row, f->s->n_done, 0 };
    float *const *out = NULL;
    kw_status st = kw_session_hidden(f->s, mode, &x.n, &out);
    for (size_t i = 0; i < f->n_want && !st; i++) {
        const want *w = &f->want[i];
        if (w->kind == WANT_HIDDEN) scatter(w, x, out[w->layer]);
        if (w->kind == WANT_LOGITS)
            st = take_logits(f, w, x, out[trace ? f->m->shape.n_layers + 1 : 0]);
    }
    if (!st) f->s->n_done += x.n;
    return st;
}

static kw_status forward(infer *f, size_t row)
{
    const infer_text *x = decoded(f);
    if (!wants(f, WANT_HIDDEN) && !wants(f, WANT_LOGITS)) return KW_OK;
    kw_status st = kw_session_replace(f->s, f->text.real_ids, f->text.n_real);
    if (!st && has_encoder(f)) st = kw_session_replace_text(f->s, x->real_ids, x->n_real);
    f->s->n_done = 0;
    while (!st && f->s->n_done < x->n_real) st = forward_chunk(f, row);
    f->s->n_done = 0;
    return st;
}

static kw_status encode(infer *f, size_t row)
{
    float *const *out = NULL;
    span x = { &f->text, row, 0, f->text.n_real };
    if (!wants(f, WANT_ENCODER)) return KW_OK;
    kw_status st = kw_session_replace(f->s, f->text.real_ids, f->text.n_real);
    if (!st) st = kw_encode_states(&f->s->eval, f->text.real_ids, f->text.n_real, &out);
    for (size_t i = 0; i < f->n_want && !st; i++)
        if (f->want[i].kind == WANT_ENCODER) scatter(&f->want[i], x, out[f->want[i].layer]);
    return st;
}

static kw_status generate(infer *f, size_t row)
{
    if (!f->generate) return KW_OK;
    kw_status st = kw_session_sync(f->s, f->text.real_ids, f->text.n_real);
    for (size_t k = 0; k < (size_t)f->generate && !st; k++) {
        int32_t id;
        size_t width, at = row * (size_t)f->generate + k;
        st = kw_session_step(f->s, &id);
        if (st == KW_DONE)
            return kw_fail(KW_ELIMIT, "%zu tokens and %d more do not fit into a context of %d",
                           f->s->ids.n - k, f->generate, f->s->options.ctx);
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

static kw_status room_for_row(infer *f, infer_text *x)
{
    x->real_ids = kw_arena_alloc(&f->arena, x->n, sizeof *x->real_ids);
    x->real_at = kw_arena_alloc(&f->arena, x->n, sizeof *x->real_at);
    x->real_types = kw_arena_alloc(&f->arena, x->n, sizeof *x->real_types);
    return x->real_ids && x->real_at && x->real_types ? KW_OK : KW_ENOMEM;
}

static kw_status read_texts(infer *f, const kw_tensor_file *in, bool are_named)
{
    kw_status st = read_matrix(f, &f->text, in, "input_ids", &f->text.ids);
    if (!st && kw_safetensors_find(in, "attention_mask"))
        st = read_matrix(f, &f->text, in, "attention_mask", &f->text.mask);
    if (!st && f->m->family->is_encoder && kw_safetensors_find(in, "token_type_ids"))
        st = read_matrix(f, &f->text, in, "token_type_ids", &f->text.types);
    bool has_forced = kw_safetensors_find(in, "decoder_input_ids");
    if (!are_named && has_encoder(f) && !has_forced) drop_logits(f);
    bool forced = has_encoder(f) && (wants(f, WANT_LOGITS) || wants(f, WANT_HIDDEN));
    if (!st && forced) st = read_matrix(f, &f->forced, in, "decoder_input_ids", &f->forced.ids);
    if (!st) st = room_for_row(f, &f->text);
    return st ? st : room_for_row(f, &f->forced);
}

static kw_status read_inputs(infer *f, const char *in_path, bool are_named)
{
    kw_source *source = NULL;
    kw_tensor_file *in = NULL;
    f->text.name = "input_ids";
    f->forced.name = "decoder_input_ids";
    kw_status st = kw_source_file(in_path, (kw_file_options){ 0 }, &source);
    if (!st) st = kw_tensors_open(source, &in);
    if (!st) st = read_texts(f, in, are_named);
    kw_safetensors_close(in);
    return st ? kw_note(st, "%s", in_path) : KW_OK;
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
    if (!st) st = read_inputs(f, in_path, o->n_want);
    if (!st) st = kw_infer_check_beams(f);
    if (!st) st = open_session(f, o);
    for (size_t i = 0; i < f->n_want && !st; i++) st = make_out(f, &f->want[i]);
    for (size_t row = 0; row < f->b && !st; row++) {
        st = take_row(f, &f->text, row);
        if (!st && f->forced.n) st = take_row(f, &f->forced, row);
        if (!st) st = encode(f, row);
        if (!st) st = f->m->family->is_encoder ? kw_infer_text(f, row) : forward(f, row);
        if (!st) st = generate(f, row);
        if (!st) st = kw_infer_search(f, row);
    }
    if (!st) st = kw_infer_put_beams(f);
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
    infer f = {
        .m = m, .generate = o->generate, .beam = o->beam, .arena = KW_ARENA(KW_PAY_SCRATCH)
    };
    st = perform(&f, in_path, out_path, o);
    kw_session_close(f.s);
    kw_eval_close(&f.eval);
    kw_arena_free(&f.arena);
    return st;
}
