/* examine.c - looks for what is odd in a model's files: values, names, and how they lie.
 *
 * A value is looked at once, as it is decoded row by row; tensors are compared by a hash of their bytes, then byte by byte.
 * Which tensors a family uses is read from its table, so nothing is loaded. Every finding is a sentence that names its tensor. */
#include "kwaai/inspect.h"
#include "run/run.h"
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

typedef struct examiner {
    kw_model *m;
    kw_finding_fn fn;
    void *user;
    kw_progress_fn on_progress;
    void *progress_user;
    kw_arena arena;
    float *row;
    bool *used; /* [tensors] */
    uint64_t done, total;
} examiner;

KW_PRINTF(4, 5)
static void report(const examiner *x, const char *kind, bool is_bad, const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    x->fn(x->user, &(kw_finding){ kind, text, is_bad });
}

static int shown(kw_str name) { return name.n < 160 ? (int)name.n : 160; }

/* ---- values ---- */

typedef struct counts {
    uint64_t n_nan, n_inf, n_zero, n_constant;
    int64_t first_bad, first_constant;
} counts;

static void look_at_row(const float *x, size_t n, int64_t row, counts *c)
{
    uint64_t n_nan = 0, n_inf = 0, n_zero = 0, n_same = 0;
    for (size_t i = 0; i < n; i++) {
        n_nan += isnan(x[i]) != 0;
        n_inf += isinf(x[i]) != 0;
        n_zero += x[i] == 0;
        n_same += x[i] == x[0];
    }
    if ((n_nan || n_inf) && !c->n_nan && !c->n_inf) c->first_bad = row;
    if (n > 1 && n_same == n && c->n_constant++ == 0) c->first_constant = row;
    c->n_nan += n_nan;
    c->n_inf += n_inf;
    c->n_zero += n_zero;
}

static void look_at_values(const examiner *x, const kw_named_tensor *t)
{
    counts c = { 0 };
    size_t cols = (size_t)kw_tensor_cols(&t->tensor);
    int64_t rows = kw_tensor_rows(&t->tensor);
    kw_decode_fn decode = kw_dtype_get(t->tensor.dtype)->decode;
    int n = shown(t->name);
    if (!decode || !rows || !cols) return;
    for (int64_t i = 0; i < rows; i++) {
        decode(kw_tensor_row(&t->tensor, i), x->row, cols);
        look_at_row(x->row, cols, i, &c);
    }
    const struct {
        const char *kind, *what;
        uint64_t n;
    } bad[] = { { "nan", "values that are no number", c.n_nan },
                { "infinite", "infinite values", c.n_inf } };
    for (int i = 0; i < 2; i++)
        if (bad[i].n)
            report(x, bad[i].kind, true, "\"%.*s\" has %llu %s, the first in row %lld", n,
                   t->name.p, (unsigned long long)bad[i].n, bad[i].what, (long long)c.first_bad);
    if (c.n_zero == (uint64_t)rows * cols)
        report(x, "zeros", false, "\"%.*s\" is all zeros", n, t->name.p);
    else if (c.n_constant && t->tensor.rank > 1)
        report(x, "constant", false,
               "\"%.*s\" has %llu of %lld rows of one value, the first is row %lld", n, t->name.p,
               (unsigned long long)c.n_constant, (long long)rows, (long long)c.first_constant);
}

static kw_status look_for_twin(examiner *x, kw_map *seen, size_t i)
{
    enum { LEAST = 64 }; /* bytes: tiny tensors are often equal */
    const kw_named_tensor *t = kw_checkpoint_at(x->m->ck, i), *twin;
    size_t bytes = kw_tensor_size(&t->tensor);
    int64_t at;
    if (bytes < LEAST || t->tensor.rank < 2) return KW_OK;
    uint64_t *hash = kw_arena_alloc(&x->arena, 1, sizeof *hash);
    if (!hash) return KW_ENOMEM;
    *hash = kw_hash64(t->tensor.data, bytes, bytes);
    kw_str key = { (const char *)hash, sizeof *hash };
    if (!kw_map_get(seen, key, &at)) return kw_map_put(seen, key, (int64_t)i);
    twin = kw_checkpoint_at(x->m->ck, (size_t)at);
    if (kw_tensor_size(&twin->tensor) == bytes && !memcmp(twin->tensor.data, t->tensor.data, bytes))
        report(x, "duplicate", false, "\"%.*s\" has the %zu bytes of \"%.*s\"", shown(t->name),
               t->name.p, bytes, shown(twin->name), twin->name.p);
    return KW_OK;
}

static kw_status look_at_tensors(examiner *x)
{
    kw_map seen = KW_MAP(KW_PAY_MISC);
    size_t n = kw_checkpoint_count(x->m->ck), widest = 1;
    kw_status st = KW_OK;
    for (size_t i = 0; i < n; i++) {
        const kw_tensor *t = &kw_checkpoint_at(x->m->ck, i)->tensor;
        size_t cols = (size_t)kw_tensor_cols(t);
        if (kw_tensor_size(t) && kw_dtype_get(t->dtype)->decode && cols > widest) widest = cols;
        x->total += kw_tensor_size(t);
    }
    x->row = kw_arena_alloc(&x->arena, widest, sizeof *x->row);
    if (!x->row) st = KW_ENOMEM;
    for (size_t i = 0; i < n && !st; i++) {
        const kw_named_tensor *t = kw_checkpoint_at(x->m->ck, i);
        look_at_values(x, t);
        st = look_for_twin(x, &seen, i);
        kw_checkpoint_forget(x->m->ck, t);
        x->done += kw_tensor_size(&t->tensor);
        if (x->on_progress && x->done < x->total)
            x->on_progress(x->progress_user, "reading", x->done, x->total);
    }
    if (x->on_progress) x->on_progress(x->progress_user, "reading", 1, 1);
    kw_map_free(&seen);
    return st;
}

/* ---- names ---- */

static bool is_routed(const examiner *x, const kw_family *f, int il)
{
    char name[KW_NAME_MAX];
    for (const kw_weight_row *row = f->weights[0]; row; row = kw_weight_after(f, row))
        if (row->flags & KW_W_ROUTER && kw_weight_find(x->m, row, il, 0, name)) return true;
    return false;
}

/* May a file leave this out? */
static bool is_optional(const examiner *x, const kw_family *f, const kw_weight_row *row, int il)
{
    if (row->flags & (KW_W_OPTIONAL | KW_W_ROUTER | KW_W_TIED)) return true;
    if (row->flags & KW_W_EXPERTS) return !is_routed(x, f, il);
    return row->flags & KW_W_DENSE && is_routed(x, f, il);
}

static void look_at_weight(const examiner *x, const kw_family *f, const kw_weight_row *row, int il)
{
    char name[KW_NAME_MAX] = "";
    int n = row->flags & KW_W_EXPERTS ? kw_model_number(x->m, row->dim[2]) : 1;
    for (int expert = 0; expert < n; expert++) {
        const kw_named_tensor *t = kw_weight_find(x->m, row, il, expert, name);
        if (t) x->used[t - kw_checkpoint_at(x->m->ck, 0)] = true;
        else if (!is_optional(x, f, row, il))
            report(x, "missing", true, "\"%s\" is missing: %s models have it", name,
                   x->m->family->name);
    }
}

static kw_status read_config(const examiner *x)
{
    kw_model *m = x->m;
    kw_status st = m->config ? KW_OK : kw_load_config(m);
    if (!st) return KW_OK;
    m->config = NULL;
    if (st != KW_ENOMEM) report(x, "config", true, "%s", kw_error_message());
    return st == KW_ENOMEM ? st : KW_OK;
}

/* The layers of f, which is the model's family or its encoder's. */
static void look_at_stack(const examiner *x, const kw_family *f)
{
    int n_layers = kw_model_layers(x->m, f);
    for (const kw_weight_row *row = f->weights[0]; row; row = kw_weight_after(f, row)) {
        for (int il = 0; il < (row->flags & KW_W_LAYER ? n_layers : 1); il++)
            look_at_weight(x, f, row, il);
    }
}

static kw_status look_at_names(examiner *x)
{
    kw_model *m = x->m;
    size_t n = kw_checkpoint_count(m->ck);
    kw_status st = m->family ? read_config(x) : KW_OK;
    if (st || !m->config) return st;
    x->used = kw_arena_alloc(&x->arena, n + 1, sizeof *x->used);
    if (!x->used) return KW_ENOMEM;
    for (const kw_family *f = m->family; f; f = f->encoder) look_at_stack(x, f);
    for (size_t i = 0; i < n; i++)
        if (!x->used[i])
            report(x, "unused", false, "\"%.*s\" is not used by %s models",
                   shown(kw_checkpoint_at(m->ck, i)->name), kw_checkpoint_at(m->ck, i)->name.p,
                   m->family->name);
    return KW_OK;
}

/* ---- places ---- */

static void look_at_place(void *user, const char *kind, const kw_source *s, size_t tensor,
                          size_t bytes)
{
    const examiner *x = user;
    kw_str name = kw_checkpoint_at(x->m->ck, tensor)->name;
    const char *text = !strcmp(kind, "trailing") ? "bytes behind the last tensor"
                       : !strcmp(kind, "gap")    ? "bytes that are no tensor's follow"
                       : !strcmp(kind, "header")
                           ? "bytes of header, not padded to 8 and followed by"
                           : "bytes lie where they cannot be read in place:";
    report(x, kind, !strcmp(kind, "trailing"), "%s: %zu %s \"%.*s\"", s->name, bytes, text,
           shown(name), name.p);
}

kw_status kw_model_examine(kw_model *m, kw_finding_fn fn, void *user, kw_progress_fn on_progress,
                           void *progress_user)
{
    examiner x = { .m = m,
                   .fn = fn,
                   .user = user,
                   .on_progress = on_progress,
                   .progress_user = progress_user,
                   .arena = KW_ARENA(KW_PAY_SCRATCH) };
    kw_status st = kw_model_check_source(m);
    if (!st) st = kw_checkpoint_layout(m->ck, &(kw_layout_sink){ look_at_place, &x });
    if (!st) st = look_at_names(&x);
    if (!st) st = look_at_tensors(&x);
    if (!st) st = kw_checkpoint_check(m->ck);
    kw_arena_free(&x.arena);
    return st;
}

bool kw_model_file(const kw_model *m, size_t i, kw_file_info *out)
{
    const kw_source *s = kw_checkpoint_source(m->ck, i);
    if (s) *out = (kw_file_info){ s->name, s->size };
    return s;
}

kw_status kw_model_sha256(const kw_model *m, size_t i, char hex[65], kw_progress_fn on_progress,
                          void *user)
{
    enum { STEP = 16 << 20 };
    const kw_source *s = kw_checkpoint_source(m->ck, i);
    kw_sha256 sum;
    if (!s) return kw_fail(KW_EINVAL, "there is no file %zu", i);
    bool is_mapped = kw_checkpoint_is_mapped(m->ck); /* what was packed in place were copies */
    kw_status st = is_mapped ? KW_OK : kw_model_check_source(m);
    if (st) return st;
    kw_sha256_open(&sum);
    for (uint64_t at = 0; at < s->size; at += STEP) {
        size_t n = s->size - at < STEP ? (size_t)(s->size - at) : STEP;
        kw_sha256_add(&sum, s->map + at, n);
        if (on_progress && at + n < s->size) on_progress(user, "hashing", at + n, s->size);
    }
    if (on_progress) on_progress(user, "hashing", 1, 1);
    kw_sha256_close(&sum, hex);
    return kw_checkpoint_check(m->ck);
}
