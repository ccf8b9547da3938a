/* rows.c - streams the rows of converted tensors, a few megabytes at a time.
 *
 * Rows of an unchanged dtype are copied as they are, and decoded only to look for NaN; others go through f32. */
#include "convert/convert.h"
#include <math.h>
#include <string.h>

enum { BLOCK_BYTES = 2 << 20, TURN_STEP = 256 };

typedef struct stream {
    const kw_convert_job *j;
    const kw_convert_item *item;
    kw_tensor_writer *out;
    int64_t rows, cols; /* of the output; a vector whose values are moved has one column */
    float *values;      /* [at most `step` rows] */
    unsigned char *coded;
    float *line; /* turned: TURN_STEP or `step` values of a source row */
    int64_t step;
} stream;

/* ---- where a row comes from ---- */

static const void *row_at(const stream *s, int64_t row)
{
    const kw_convert_item *it = s->item;
    int64_t each = s->rows / it->n_in, from = kw_row_source(it->order, s->j->heads, row);
    const kw_tensor *t = it->in[from / each];
    size_t bytes = 0;
    kw_dtype_size(t->dtype, (size_t)s->cols, &bytes);
    return (const char *)t->data + (size_t)(from % each) * bytes;
}

static bool is_moved_vector(const kw_convert_item *it)
{
    return it->out.tensor.rank < 2 && it->order != KW_ROWS_SAME;
}

/* A vector whose values are moved has rows of one value. */
static stream open_item(const kw_convert_job *j, const kw_convert_item *it)
{
    const kw_tensor *t = &it->out.tensor;
    stream s = { .j = j, .item = it, .rows = kw_tensor_rows(t), .cols = kw_tensor_cols(t) };
    if (!is_moved_vector(it)) return s;
    s.rows = s.cols;
    s.cols = 1;
    return s;
}

/* ---- any piece, for quantize.c ---- */

const void *kw_convert_row(const kw_convert_job *j, const kw_convert_item *it, int64_t row)
{
    stream s = open_item(j, it);
    bool is_there = it->order != KW_ROWS_TURNED && !is_moved_vector(it) && it->plus == 0;
    return is_there ? row_at(&s, row) : NULL;
}

void kw_convert_read(const kw_convert_job *j, const kw_convert_item *it, const int64_t at[2],
                     size_t n, float *x)
{
    stream s = open_item(j, it);
    const kw_dtype_info *d = kw_dtype_get(it->in[0]->dtype);
    const bool is_turned = it->order == KW_ROWS_TURNED, is_moved = is_moved_vector(it);
    if (!is_turned && !is_moved)
        d->decode((const char *)row_at(&s, at[0]) + (size_t)at[1] / d->block * d->bytes, x, n);
    for (size_t i = 0; i < n && (is_turned || is_moved); i++) {
        int64_t col = at[1] + (int64_t)i;
        const char *p = is_moved ? row_at(&s, col)
                                 : (const char *)kw_tensor_row(it->in[0], col) +
                                       (size_t)at[0] * d->bytes; /* whose blocks are values */
        d->decode(p, x + i, 1);
    }
    for (size_t i = 0; i < n && it->plus != 0; i++) x[i] += it->plus;
}

/* ---- values ---- */

/* Rows first.. of the output are columns of the source. */
static void turn(const stream *s, int64_t first, int64_t n)
{
    const kw_tensor *t = s->item->in[0];
    const kw_dtype_info *d = kw_dtype_get(t->dtype);
    for (int64_t c = 0; c < s->cols; c++) {
        const char *row = kw_tensor_row(t, c);
        d->decode(row + (size_t)first / d->block * d->bytes, s->line, (size_t)n);
        for (int64_t r = 0; r < n; r++) s->values[r * s->cols + c] = s->line[r];
    }
}

static void read_rows(const stream *s, int64_t first, int64_t n)
{
    const kw_dtype_info *d = kw_dtype_get(s->item->in[0]->dtype);
    if (s->item->order == KW_ROWS_TURNED) {
        turn(s, first, n);
        return;
    }
    for (int64_t r = 0; r < n; r++)
        d->decode(row_at(s, first + r), s->values + r * s->cols, (size_t)s->cols);
}

static bool is_copied(const stream *s)
{
    const kw_convert_item *it = s->item;
    return it->in[0]->dtype == it->out.tensor.dtype && it->plus == 0 && it->order != KW_ROWS_TURNED;
}

static kw_status check_values(const stream *s, int64_t first, int64_t n)
{
    const kw_dtype_info *to = kw_dtype_get(s->item->out.tensor.dtype);
    bool has_f16 = s->item->out.tensor.dtype == KW_F16 || to->block > 1; /* scales of blocks are */
    float most = has_f16 && !is_copied(s) ? 65520.0f : INFINITY;
    const kw_named_tensor *t = &s->item->out;
    if (s->j->o->allow_nan) return KW_OK;
    for (int64_t i = 0; i < n * s->cols; i++) {
        float v = s->values[i];
        if (fabsf(v) < most) continue;
        return isfinite(v)
                   ? kw_try(kw_fail(KW_EVERIFY,
                                    "tensor \"%.*s\": %g in row %lld is too large for %s",
                                    (int)t->name.n, t->name.p, (double)v,
                                    (long long)(first + i / s->cols), to->name),
                            "--dtype bf16, or --allow-nan to write it as infinite")
                   : kw_try(kw_fail(KW_EVERIFY, "tensor \"%.*s\" has the value %g in row %lld",
                                    (int)t->name.n, t->name.p, (double)v,
                                    (long long)(first + i / s->cols)),
                            "fetch the model again, or --allow-nan to write it as it is");
    }
    return KW_OK;
}

static kw_status write_block(const stream *s, int64_t first, int64_t n)
{
    const kw_dtype_info *d = kw_dtype_get(s->item->out.tensor.dtype);
    size_t bytes = 0, cells = (size_t)(n * s->cols);
    read_rows(s, first, n);
    kw_status st = check_values(s, first, n);
    if (st) return st;
    kw_dtype_size(s->item->out.tensor.dtype, (size_t)s->cols, &bytes);
    for (size_t i = 0; s->item->plus != 0 && i < cells; i++) s->values[i] += s->item->plus;
    if (is_copied(s))
        for (int64_t r = 0; r < n; r++)
            memcpy(s->coded + (size_t)r * bytes, row_at(s, first + r), bytes);
    else d->encode(s->values, s->coded, cells);
    return kw_tensors_append(s->out, s->coded, bytes * (size_t)n);
}

static kw_status room_for(stream *s)
{
    size_t line = (size_t)s->cols * sizeof(float), most = (size_t)s->rows;
    s->step = (int64_t)(BLOCK_BYTES / line);
    if (s->item->order == KW_ROWS_TURNED) s->step = (s->step + TURN_STEP) / TURN_STEP * TURN_STEP;
    if (s->step < 1) s->step = 1;
    if ((size_t)s->step > most) s->step = (int64_t)most;
    s->values = kw_malloc((size_t)s->step * line, KW_PAY_FILE);
    s->coded = kw_malloc((size_t)s->step * line, KW_PAY_FILE);
    s->line = kw_malloc((size_t)(s->step + TURN_STEP) * sizeof(float), KW_PAY_FILE);
    return s->values && s->coded && s->line ? KW_OK : KW_ENOMEM;
}

static void progress(kw_convert_job *j, uint64_t more)
{
    j->done += more;
    if (j->o->on_progress) j->o->on_progress(j->o->progress_user, "converting", j->done, j->total);
}

void kw_convert_forget(const kw_convert_job *j, const kw_convert_item *it)
{
    for (int i = 0; i < it->n_in; i++)
        kw_checkpoint_forget(j->m->ck, &(kw_named_tensor){ .tensor = *it->in[i] });
}

/* Integers are no weights: copied, never looked at. */
static kw_status copy_whole(kw_convert_job *j, const stream *s)
{
    const kw_tensor *t = s->item->in[0];
    size_t bytes = (size_t)kw_tensor_rows(t) * kw_tensor_row_bytes(t);
    progress(j, (uint64_t)(s->rows * s->cols));
    return kw_tensors_append(s->out, t->data, bytes);
}

static kw_status write_item(kw_convert_job *j, kw_convert_item *it, kw_tensor_writer *w)
{
    stream s = open_item(j, it);
    s.out = w;
    if (s.rows * s.cols == 0) return KW_OK;
    if (!kw_dtype_get(it->in[0]->dtype)->decode) return copy_whole(j, &s);
    kw_status st = room_for(&s);
    for (int64_t at = 0, n; at < s.rows && !st; at += n) {
        n = s.rows - at < s.step ? s.rows - at : s.step;
        st = write_block(&s, at, n);
        progress(j, (uint64_t)(n * s.cols));
    }
    kw_free(s.values);
    kw_free(s.coded);
    kw_free(s.line);
    kw_convert_forget(j, it);
    return st;
}

kw_status kw_convert_rows(kw_convert_job *j, kw_tensor_writer *w)
{
    kw_status st = KW_OK;
    for (size_t i = 0; i < j->n; i++)
        j->total += (uint64_t)(kw_tensor_rows(&j->items[i].out.tensor) *
                               kw_tensor_cols(&j->items[i].out.tensor));
    for (size_t i = 0; i < j->n && !st; i++) {
        kw_arena room = KW_ARENA(KW_PAY_FILE);
        st = kw_convert_merge(j, &j->items[i], &room);
        if (!st) st = write_item(j, &j->items[i], w);
        kw_arena_free(&room);
    }
    return st ? st : kw_checkpoint_check(j->m->ck); /* written is what was opened */
}
