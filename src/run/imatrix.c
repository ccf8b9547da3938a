/* imatrix.c - how large the inputs of each matrix are, column by column, while a text is read.
 *
 * The plan is recorded with a CUT before every product (kw_plan_options.watch): the run stops there and asks, and the
 * answer is what it asked about. So what a product reads is seen as it is, on any backend, and plans that are not watched
 * have nothing of this. A router's choice is cut too: it says which expert a row of EXPERTS belongs to.
 *
 * Importances go by GGUF's names: of a GGUF file its own, of another what the family's table says, as a file made of it would
 * have. Columns are the same in all forms. The head is left out, as a quantizer keeps it fine anyway. */
#include "run/session.h"
#include <math.h>
#include <string.h>

typedef struct entry {
    kw_str name;
    const void *data; /* tells a weight from others */
    size_t cols, mats;
    double *sum2; /* [mats][cols] */
    float *count; /* [mats] rows */
} entry;

typedef struct watcher {
    kw_arena arena;
    const kw_model *m;
    entry *entries;
    size_t n, cap;
    float *route; /* of the layer that is being run: [rows][2 used] */
    size_t n_route, n_used;
} watcher;

/* ---- names ---- */

static kw_status name_of_file(const watcher *w, const void *data, kw_str *name)
{
    const kw_checkpoint *ck = w->m->ck;
    for (size_t i = 0; i < kw_checkpoint_count(ck); i++)
        if (kw_checkpoint_at(ck, i)->tensor.data == data) *name = kw_checkpoint_at(ck, i)->name;
    return KW_OK;
}

/* The row of a stack of layers whose weight this is; of a fused matrix the first part, where the whole begins. */
static const kw_weight_row *row_at(const kw_model *m, const kw_family *f, const void *data, int *il)
{
    for (const kw_weight_row *row = f->weights[0]; row; row = kw_weight_after(f, row)) {
        int n = row->flags & KW_W_LAYER ? kw_model_layers(m, f) : 1;
        for (*il = 0; *il < n; ++*il) {
            const char *home = row->flags & KW_W_LAYER ? kw_model_layer(m, f, *il) : m->weights;
            const kw_weight_ref *ref = (const kw_weight_ref *)(const void *)(home + row->at);
            if (row->gguf && ref->t && ref->t->data == data) return row;
        }
    }
    return NULL;
}

static kw_status name_of_row(watcher *w, const void *data, kw_str *name)
{
    char text[KW_NAME_MAX];
    const kw_weight_row *row = NULL;
    int il = 0;
    for (const kw_family *f = w->m->family; f && !row; f = f->encoder)
        row = row_at(w->m, f, data, &il);
    if (!row) return KW_OK;
    kw_weight_name(text, row->gguf, il, 0);
    for (size_t i = 0; i < w->n; i++)
        if (kw_str_is(w->entries[i].name, text)) return KW_OK; /* another part reads the same */
    *name = (kw_str){ kw_arena_strdup(&w->arena, text, strlen(text)), strlen(text) };
    return name->p ? KW_OK : KW_ENOMEM;
}

/* ---- sums ---- */

/* NULL without a reason: the weight has no name, or is part of one that is watched. */
static kw_status entry_of(watcher *w, const kw_tensor *t, entry **out)
{
    kw_str name = { 0 };
    bool is_gguf = kw_checkpoint_naming(w->m->ck) == KW_NAMING_GGUF;
    *out = NULL;
    for (size_t i = 0; i < w->n; i++)
        if (w->entries[i].data == t->data) return *out = &w->entries[i], KW_OK;
    kw_status st = is_gguf ? name_of_file(w, t->data, &name) : name_of_row(w, t->data, &name);
    if (st || !name.n || w->n == w->cap) return st;
    entry *e = &w->entries[w->n];
    *e = (entry){ .name = name, .data = t->data, .cols = (size_t)kw_tensor_cols(t) };
    e->mats = t->rank == 3 ? (size_t)t->shape[0] : 1;
    e->sum2 = kw_arena_alloc(&w->arena, e->cols * e->mats, sizeof *e->sum2);
    e->count = kw_arena_alloc(&w->arena, e->mats, sizeof *e->count);
    if (!e->sum2 || !e->count) return KW_ENOMEM;
    w->n++;
    *out = e;
    return KW_OK;
}

static void add_row(entry *e, size_t mat, const float *x)
{
    double *sum = e->sum2 + mat * e->cols;
    for (size_t j = 0; j < e->cols; j++) sum[j] += (double)(x[j] * x[j]);
    e->count[mat] += 1;
}

static kw_status keep_route(watcher *w, const kw_request *q)
{
    size_t n = (size_t)(q->rows * q->cols);
    float *bigger =
        n > w->n_route ? kw_realloc(w->route, n * sizeof *bigger, KW_PAY_SCRATCH) : w->route;
    if (!bigger) return KW_ENOMEM;
    w->route = bigger;
    w->n_route = n > w->n_route ? n : w->n_route;
    w->n_used = (size_t)q->cols / 2;
    memcpy(w->route, q->question, n * sizeof *bigger);
    return KW_OK;
}

static void add_experts(const watcher *w, entry *e, const kw_request *q)
{
    size_t cols = (size_t)q->cols,
           own = cols / e->cols; /* a row for each of its experts, or one for all */
    for (size_t row = 0; row < (size_t)q->rows; row++)
        for (size_t k = 0; k < w->n_used; k++) {
            float number = w->route[row * 2 * w->n_used + k];
            const float *x = (const float *)q->question + row * cols + (own > 1 ? k * e->cols : 0);
            if (number >= 0 && number < (float)e->mats) add_row(e, (size_t)number, x);
        }
}

static kw_status see(void *user, const kw_plan *p, const kw_request *q)
{
    watcher *w = user;
    entry *e = NULL;
    if (!q->tag) return keep_route(w, q);
    const kw_tensor *t = &kw_plan_value(p, (kw_val){ (uint32_t)q->tag })->t;
    kw_status st = entry_of(w, t, &e);
    if (st || !e) return st;
    if (e->mats > 1) add_experts(w, e, q);
    for (size_t row = 0; row < (size_t)q->rows && e->mats == 1; row++)
        add_row(e, 0, (const float *)q->question + row * e->cols);
    return KW_OK;
}

/* ---- reading the text ---- */

/* Windows begin as texts do: with BOS where the tokenizer puts it. */
typedef struct windows {
    int32_t *ids; /* of one */
    size_t n, n_start, count;
} windows;

static kw_status plan_windows(watcher *w, const kw_model *m, size_t n, const kw_imatrix_options *o,
                              windows *win)
{
    kw_special_ids special = { .bos = -1 };
    if (m->tokenizer) special = kw_tokenizer_special(m->tokenizer);
    win->n = o->session.ctx > 0 ? (size_t)o->session.ctx : 512;
    win->n_start = special.adds_bos && special.bos >= 0 && win->n > 1 ? 1 : 0;
    if (n < win->n - win->n_start) win->n = n + win->n_start;
    win->count = n / (win->n - win->n_start);
    if (o->max_chunks > 0 && win->count > (size_t)o->max_chunks) win->count = (size_t)o->max_chunks;
    win->ids = kw_arena_alloc(&w->arena, win->n, sizeof *win->ids);
    if (!win->ids) return KW_ENOMEM;
    win->ids[0] = special.bos;
    return KW_OK;
}

static kw_status read_text(watcher *w, kw_model *m, const int32_t *ids, size_t n,
                           const kw_imatrix_options *o, kw_imatrix_facts *facts)
{
    kw_session_options options = o->session;
    kw_session *s = NULL;
    windows win;
    kw_status st = plan_windows(w, m, n, o, &win);
    if (st) return st;
    size_t step = win.n - win.n_start;
    options.ctx = (int)win.n;
    facts->n_chunks = (int64_t)win.count;
    facts->chunk = (int64_t)win.n;
    st = kw_session_open(m, &options, &s);
    if (st) return st;
    s->eval.watch = (kw_watch){ see, w };
    for (size_t i = 0; i < win.count && !st; i++) {
        memcpy(win.ids + win.n_start, ids + i * step, step * sizeof *ids);
        st = kw_session_read(s, win.ids, win.n, NULL, NULL);
        if (o->on_progress) o->on_progress(o->user, "watching", i + 1, win.count);
    }
    kw_session_close(s);
    return st;
}

/* The sums as f32, in the order of names' first use; none may have overflowed. */
static kw_status finish(watcher *w, const char *out, const kw_imatrix_facts *facts)
{
    kw_imatrix_sums *rows = kw_arena_alloc(&w->arena, w->n + 1, sizeof *rows);
    if (!rows) return KW_ENOMEM;
    for (size_t i = 0; i < w->n; i++) {
        const entry *e = &w->entries[i];
        float *sum2 = kw_arena_alloc(&w->arena, e->cols * e->mats, sizeof *sum2);
        if (!sum2) return KW_ENOMEM;
        for (size_t j = 0; j < e->cols * e->mats; j++) {
            sum2[j] = (float)e->sum2[j];
            if (!isfinite(sum2[j]))
                return kw_fail(KW_EFORMAT, "the input of %.*s is not finite in column %zu",
                               (int)e->name.n, e->name.p, j % e->cols);
        }
        rows[i] = (kw_imatrix_sums){ e->name, e->cols, e->mats, sum2, e->count };
    }
    return kw_imatrix_write(out, rows, w->n, facts);
}

kw_status kw_imatrix_make(kw_model *m, const int32_t *ids, size_t n, const char *out,
                          const kw_imatrix_options *o)
{
    watcher w = { .arena = KW_ARENA(KW_PAY_MODEL), .m = m };
    kw_imatrix_facts facts = { .dataset = kw_str_of(o->dataset ? o->dataset : "") };
    kw_status st = kw_model_check_engine(m);
    if (!st &&
        (kw_checkpoint_is_at(m->ck, out) || (o->dataset && kw_path_is_same(o->dataset, out))))
        st = kw_try(kw_fail(KW_EINVAL, "%s is the %s itself", out,
                            kw_checkpoint_is_at(m->ck, out) ? "model" : "text"),
                    "another name for the output");
    if (!st && n == 0) st = kw_fail(KW_EINVAL, "a text without tokens");
    w.cap = kw_checkpoint_count(m->ck);
    if (!st && !(w.entries = kw_arena_alloc(&w.arena, w.cap + 1, sizeof *w.entries)))
        st = KW_ENOMEM;
    if (!st) st = read_text(&w, m, ids, n, o, &facts);
    if (!st) st = finish(&w, out, &facts);
    kw_free(w.route);
    kw_arena_free(&w.arena);
    return st;
}
