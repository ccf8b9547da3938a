/* quantize.c - a model becomes a GGUF file with fewer bits a weight.
 *
 * Once everything is decided (quant_plan.c), tensors are read where they lie in the map, coded by all threads, and written
 * while the next piece is coded:
 *
 *     tensor = units of at most 16384 values of a row      a wave: units worth some MB, taken by threads from a counter
 *     worker 0     write wave 1 | units of wave 2 | write wave 2 | ...
 *
 * Memory is two waves and a few rows, whatever the model's size; what was read is given back to the system. */
#include "convert/quantize.h"
#include <float.h>
#include <math.h>
#include <string.h>

enum { UNIT = 16384, WAVE_BYTES = 8 << 20 };
enum { MOST_TAKINGS = WAVE_BYTES / 2048 }; /* the least is half a unit at 2.6 bits a value */

/* What a thread saw in the units it took at once. */
typedef struct seen {
    double error, square;
    float most_error;
    int64_t bad_row, bad_col; /* the first value that is not finite, or too large; -1 */
    float bad;
} seen;

typedef struct tensor_work {
    const kw_quant_job *j;
    const kw_quant_item *it;
    int64_t rows, cols, pieces, units; /* a row is so many pieces */
    int64_t take, from, to;            /* units taken at once; of this wave */
    size_t unit_bytes, row_bytes;      /* of a whole piece, and of a row, coded */
    kw_counter next;
    seen *seen;                   /* [of each taking of the wave] */
    unsigned char *out;           /* of this wave */
    const unsigned char *written; /* of the wave before, or NULL */
    size_t n_written;
    kw_status status; /* of writing: kept with its message by worker 0, the caller */
    float *x, *back;  /* [workers][UNIT] */
} tensor_work;

static size_t place_of(const tensor_work *w, int64_t unit)
{
    return (size_t)(unit / w->pieces) * w->row_bytes + (size_t)(unit % w->pieces) * w->unit_bytes;
}

static const float *importance_of(const tensor_work *w, int64_t row)
{
    const kw_imatrix_row *r = w->it->importance;
    if (!r) return NULL;
    size_t n = r->cols * r->mats, cols = (size_t)w->cols;
    if (n == cols) return r->mean;
    return r->mean + (size_t)(row / w->it->from->out.tensor.shape[1]) * cols;
}

/* Values that the format cannot hold: noted, or replaced. */
static void look(const tensor_work *w, float *x, size_t n, seen *s, int64_t at[2])
{
    const kw_dtype_info *to = kw_dtype_get(w->it->to);
    bool is_wide = w->it->to == KW_F32 || w->it->to == KW_BF16 || w->it->to == KW_F64;
    float limit = is_wide ? FLT_MAX : 65504.0f;
    size_t bad = n;
    for (size_t i = 0; i < n; i++) bad = !(fabsf(x[i]) <= limit) && bad == n ? i : bad;
    if (bad == n) return;
    bool is_odd = !(fabsf(x[bad]) <= FLT_MAX);
    if (!(w->j->o->allow_nan && is_odd) && s->bad_row < 0) {
        s->bad_row = at[0];
        s->bad_col = at[1] + (int64_t)bad;
        s->bad = x[bad];
    }
    for (size_t i = bad; i < n && to->block > 1; i++) x[i] = fabsf(x[i]) <= limit ? x[i] : 0;
}

static void measure(const tensor_work *w, const float *x, size_t n, const void *coded, float *back,
                    seen *s)
{
    kw_dtype_get(w->it->to)->decode(coded, back, n);
    for (size_t i = 0; i < n; i++) {
        float e = fabsf(x[i] - back[i]);
        s->error += (double)e * (double)e;
        s->square += (double)x[i] * (double)x[i];
        s->most_error = e > s->most_error ? e : s->most_error;
    }
}

static void code_unit(const tensor_work *w, int64_t unit, int worker, seen *s)
{
    const kw_convert_item *it = w->it->from;
    const kw_dtype_info *from = kw_dtype_get(it->in[0]->dtype);
    int64_t row = unit / w->pieces, col = unit % w->pieces * UNIT;
    size_t n = (size_t)(w->cols - col < UNIT ? w->cols - col : UNIT);
    unsigned char *dst = w->out + place_of(w, unit) - place_of(w, w->from);
    const unsigned char *src = NULL;
    if (w->it->to == it->in[0]->dtype) src = kw_convert_row(&w->j->input, it, row);
    if (src)
        memcpy(dst, src + (size_t)col / from->block * from->bytes, n / from->block * from->bytes);
    if (src && (from->block > 1 || !from->decode)) return;
    float *x = w->x + (size_t)worker * UNIT;
    kw_convert_read(&w->j->input, it, (int64_t[2]){ row, col }, n, x);
    look(w, x, n, s, (int64_t[2]){ row, col });
    if (src) return;
    const float *importance = importance_of(w, row);
    kw_encode_row(w->it->to, x, importance ? importance + col : NULL, n, dst);
    if (w->j->o->measure) measure(w, x, n, dst, w->back + (size_t)worker * UNIT, s);
}

static void work(void *ctx, int worker)
{
    tensor_work *w = ctx;
    if (worker == 0 && w->written && !w->status)
        w->status = kw_tensors_append(w->j->writer, w->written, w->n_written);
    int64_t n = w->to - w->from;
    for (int64_t i = kw_counter_take(&w->next, w->take); i < n;
         i = kw_counter_take(&w->next, w->take)) {
        seen *s = &w->seen[i / w->take];
        *s = (seen){ .bad_row = -1 };
        for (int64_t u = i; u < n && u < i + w->take; u++) code_unit(w, w->from + u, worker, s);
    }
}

static kw_status complain(const tensor_work *w, const seen *s)
{
    kw_str name = w->it->from->out.name;
    bool is_odd = !(fabsf(s->bad) <= FLT_MAX);
    kw_status st =
        kw_fail(KW_EFORMAT, "tensor \"%.*s\": row %lld, column %lld is %g%s%s", (int)name.n, name.p,
                (long long)s->bad_row, (long long)s->bad_col, (double)s->bad,
                is_odd ? "" : ", too large for ", is_odd ? "" : kw_dtype_get(w->it->to)->name);
    return kw_try(st, is_odd ? "--allow-nan, which puts 0 in its place" : "BF16, or F32");
}

/* A wave's worth of what was seen, in order, so that sums do not depend on threads. */
static kw_status gather(const tensor_work *w, seen *all)
{
    for (int64_t i = 0; i < w->to - w->from; i += w->take) {
        const seen *s = &w->seen[i / w->take];
        if (s->bad_row >= 0) return complain(w, s);
        all->error += s->error;
        all->square += s->square;
        all->most_error = s->most_error > all->most_error ? s->most_error : all->most_error;
    }
    return KW_OK;
}

static void plan_waves(tensor_work *w, const kw_quant_item *it, int64_t *wave)
{
    const kw_dtype_info *to = kw_dtype_get(it->to);
    w->it = it;
    w->rows = kw_tensor_rows(&it->from->out.tensor);
    w->cols = kw_tensor_cols(&it->from->out.tensor);
    w->pieces = (w->cols + UNIT - 1) / UNIT;
    w->units = w->rows * w->pieces;
    w->unit_bytes = UNIT / to->block * to->bytes;
    w->row_bytes = (size_t)w->cols / to->block * to->bytes;
    w->take = w->cols < UNIT ? UNIT / w->cols : 1;
    size_t unit = w->row_bytes < w->unit_bytes ? w->row_bytes : w->unit_bytes;
    *wave = (int64_t)(WAVE_BYTES / (unit ? unit : 1));
    *wave = *wave > w->take ? *wave / w->take * w->take : w->take;
}

static kw_status code_waves(tensor_work *w, unsigned char *out[2], int64_t wave, seen *all)
{
    kw_pool *pool = w->j->engine->pool;
    w->written = NULL;
    kw_status st = KW_OK;
    for (int64_t at = 0, i = 0; at < w->units && !st; at += wave, i++) {
        w->from = at;
        w->to = at + wave < w->units ? at + wave : w->units;
        w->out = out[i & 1];
        kw_counter_reset(&w->next);
        kw_pool_run(pool, work, w);
        st = w->status ? w->status : gather(w, all);
        w->written = w->out;
        w->n_written = place_of(w, w->to) - place_of(w, w->from);
    }
    if (!st && w->written) st = kw_tensors_append(w->j->writer, w->written, w->n_written);
    return st;
}

static void tell(const kw_quant_job *j, const kw_quant_item *it, const seen *all)
{
    kw_str name = it->from->out.name;
    kw_quantized_tensor told = {
        .name = name.p,
        .name_len = name.n,
        .from = kw_dtype_get(it->from->in[0]->dtype)->name,
        .to = kw_dtype_get(it->to)->name,
        .bytes = kw_quant_bytes(it),
        .has_importance = it->importance != NULL,
        .is_fallback = it->is_fallback,
        .rms = all->square > 0 ? sqrt(all->error / all->square) : 0,
        .max = (double)all->most_error,
    };
    if (j->o->on_tensor) j->o->on_tensor(j->o->user, &told);
}

static kw_status code_tensor(kw_quant_job *j, tensor_work *w, const kw_quant_item *it,
                             unsigned char *out[2])
{
    int64_t wave;
    seen all = { 0 };
    plan_waves(w, it, &wave);
    kw_status st = code_waves(w, out, wave, &all);
    if (st) return st;
    kw_convert_forget(&j->input, it->from);
    j->done += kw_tensor_size(&it->from->out.tensor);
    tell(j, it, &all);
    if (j->o->on_progress && j->done < j->total)
        j->o->on_progress(j->o->user, "quantizing", j->done, j->total);
    return KW_OK;
}

static kw_status code_all(kw_quant_job *j)
{
    size_t n = (size_t)kw_pool_size(j->engine->pool);
    tensor_work w = { .j = j };
    unsigned char *out[2] = { kw_malloc(WAVE_BYTES, KW_PAY_FILE),
                              kw_malloc(WAVE_BYTES, KW_PAY_FILE) };
    w.x = kw_malloc(n * UNIT * sizeof *w.x, KW_PAY_FILE);
    w.back = kw_malloc(n * UNIT * sizeof *w.back, KW_PAY_FILE);
    w.seen = kw_malloc(MOST_TAKINGS * sizeof *w.seen, KW_PAY_FILE);
    kw_status st = out[0] && out[1] && w.x && w.back && w.seen ? KW_OK : KW_ENOMEM;
    for (size_t i = 0; i < j->input.n && !st; i++) {
        st = kw_checkpoint_check(j->input.m->ck);
        if (!st) st = code_tensor(j, &w, &j->items[i], out);
    }
    if (j->o->on_progress) j->o->on_progress(j->o->user, "quantizing", j->total, j->total);
    kw_free(out[0]);
    kw_free(out[1]);
    kw_free(w.x);
    kw_free(w.back);
    kw_free(w.seen);
    return st;
}

static kw_status begin_output(kw_quant_job *j, const char *out)
{
    kw_named_tensor *t = kw_calloc(j->input.n + 1, sizeof *t, KW_PAY_FILE);
    if (!t) return KW_ENOMEM;
    for (size_t i = 0; i < j->input.n; i++) {
        t[i] = j->items[i].from->out;
        t[i].tensor.dtype = j->items[i].to;
        t[i].tensor.data = NULL;
    }
    kw_status st = kw_gguf_create(out, &j->keys, t, j->input.n, 0, &j->writer);
    kw_free(t);
    return st;
}

static kw_status run(kw_quant_job *j, const char *in, const char *out, kw_quantize_result *r)
{
    kw_status st = kw_quant_decide(j, in, out);
    if (!st) st = begin_output(j, out);
    if (st) return st;
    *r = (kw_quantize_result){ .type = j->mix->name,
                               .bytes_before = kw_checkpoint_bytes(j->input.m->ck),
                               .bytes = kw_tensors_bytes(j->writer),
                               .n_tensors = j->input.n,
                               .n_fallbacks = j->n_fallbacks };
    st = code_all(j);
    if (st) kw_tensors_abort(j->writer);
    else st = kw_tensors_commit(j->writer);
    return st;
}

const char *kw_quantize_type(int i) { return kw_recipe_at(i) ? kw_recipe_at(i)->name : NULL; }

kw_status kw_quantize(kw_engine *e, const char *in, const char *out, const kw_quantize_options *o,
                      kw_quantize_result *result)
{
    kw_convert_options none = { 0 };
    kw_quant_job j = { .engine = e,
                       .o = o,
                       .input = { .o = &none, .arena = KW_ARENA(KW_PAY_FILE) },
                       .keys = KW_GGUF_KEYS };
    kw_quantize_result unused;
    kw_status st = run(&j, in, out, result ? result : &unused);
    kw_gguf_keys_free(&j.keys);
    kw_imatrix_close(j.imatrix);
    kw_model_release(j.input.m);
    kw_arena_free(&j.input.arena);
    kw_free(j.input.items);
    kw_free(j.items);
    return st;
}
