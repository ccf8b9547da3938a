/* lora.c - adds a low-rank adapter to weights: W + s B A, row by row, all threads.
 *
 * Each value is W + s * (the sum over k, in order, of B[i][k] * A[k][j]) in f32, then rounded to the weight's own type, so that
 * the result depends on no machine and no number of threads. Quantized weights are decoded; the sum is kept as f16.
 *
 * Names of the two worlds are translated by the family's table, and the rows of B take the order that the target's have in
 * the model's file (row_order.c). */
#include "run/lora.h"
#include <math.h>
#include <string.h>

typedef struct factors {
    float *left, *right; /* [rows][r], [r][cols] */
    size_t rows, cols, r;
} factors;

/* ---- which tensor ---- */

/* The row of a stack of layers that has the name, and what the other world calls it; NULL when it has none. */
static const kw_weight_row *translate_of(const kw_model *m, const kw_family *f, kw_str name,
                                         bool from_gguf, char out[KW_NAME_MAX])
{
    int n_layers = kw_model_layers(m, f);
    char each[KW_NAME_MAX];
    for (const kw_weight_row *row = f->weights[0]; row; row = kw_weight_after(f, row)) {
        const char *to = from_gguf ? row->hf : row->gguf;
        if (!to || row->flags & (KW_W_EXPERTS | KW_W_F32)) continue;
        for (int il = 0; il < (row->flags & KW_W_LAYER ? n_layers : 1); il++)
            for (const char *p = from_gguf ? row->gguf : row->hf; p; p = kw_weight_next(p)) {
                kw_weight_name(each, p, il, 0);
                if (!kw_str_is(name, each)) continue;
                for (; to; to = kw_weight_next(to)) {
                    kw_weight_name(out, to, il, 0);
                    if (kw_checkpoint_find(m->ck, out)) return row;
                }
                return NULL;
            }
    }
    return NULL;
}

static const kw_weight_row *translate(const kw_model *m, kw_str name, bool from_gguf,
                                      char out[KW_NAME_MAX])
{
    const kw_weight_row *row = NULL;
    for (const kw_family *f = m->family; f && !row; f = f->encoder)
        row = translate_of(m, f, name, from_gguf, out);
    return row;
}

/* Trainers wrap models, so that the first part of a name may be missing on either side. */
static const kw_named_tensor *find_wrapped(const kw_model *m, const char *name)
{
    static const char *const parts[] = { "model.", "transformer." };
    char longer[KW_NAME_MAX + 16];
    const kw_named_tensor *found = kw_checkpoint_find(m->ck, name);
    for (size_t i = 0; i < 2 && !found; i++) {
        size_t n = strlen(parts[i]), len = strlen(name);
        if (!strncmp(name, parts[i], n)) found = kw_checkpoint_find(m->ck, name + n);
        if (found || n + len >= sizeof longer) continue;
        memcpy(longer, parts[i], n);
        memcpy(longer + n, name, len + 1);
        found = kw_checkpoint_find(m->ck, longer);
    }
    return found;
}

/* The reason of what is then said to be wrong. */
static kw_status other_model(const kw_model *m, const kw_lora *l)
{
    kw_status st =
        kw_fail(KW_ESHAPE, "the adapter is for another model: it says \"%.*s\", this is %s (%.*s)",
                (int)(l->config.base.n < 200 ? l->config.base.n : 200), l->config.base.p,
                m->name ? m->name : "a model", (int)m->arch.n, m->arch.p);
    return kw_try(st, "the model that the adapter was trained on");
}

static kw_status find_target(kw_lora_change *c)
{
    bool is_gguf = kw_checkpoint_naming(c->m->ck) == KW_NAMING_GGUF;
    kw_str wanted = c->pair->target;
    char name[KW_NAME_MAX] = "";
    if (is_gguf != c->l->is_gguf) c->row = translate(c->m, wanted, c->l->is_gguf, name);
    else c->target = find_wrapped(c->m, wanted.p);
    if (c->row) c->target = find_wrapped(c->m, name);
    if (c->target) return KW_OK;
    return kw_because(other_model(c->m, c->l), "it changes \"%.*s\", which the model does not have",
                      (int)(wanted.n < 100 ? wanted.n : 100), wanted.p);
}

/* Whether the target lies as [in, out], and the pair does not. */
static bool is_turned(const kw_lora_change *c)
{
    if (kw_checkpoint_naming(c->m->ck) == KW_NAMING_GGUF) return false;
    return c->l->is_gguf ? c->row && c->row->flags & KW_W_TURNED : c->l->config.turned;
}

static kw_status check_target(const kw_lora_change *c)
{
    const kw_lora_pair *p = c->pair;
    bool rows_of_a = is_turned(c) || p->is_embedding; /* A has the target's rows, B its columns */
    int64_t a = p->a->shape[p->is_embedding && c->l->is_gguf ? 0 : 1], b = p->b->shape[0];
    const kw_tensor *w = &c->target->tensor;
    kw_str name = c->target->name;
    char sa[96], sb[96], sw[96];
    if (w->rank == 2 && w->shape[0] == (rows_of_a ? a : b) && w->shape[1] == (rows_of_a ? b : a) &&
        kw_dtype_get(w->dtype)->decode)
        return KW_OK;
    return kw_because(other_model(c->m, c->l), "A %s and B %s do not fit \"%.*s\" %s",
                      kw_tensor_shape_text(p->a, sa), kw_tensor_shape_text(p->b, sb),
                      (int)(name.n < 100 ? name.n : 100), name.p, kw_tensor_shape_text(w, sw));
}

/* PEFT would put the copy into the target's place: it has to be the same. */
static kw_status check_base(const kw_lora_change *c)
{
    const kw_tensor *base = c->pair->base, *w = &c->target->tensor;
    if (!base) return KW_OK;
    bool fits = base->rank == 2 && base->shape[0] == w->shape[0] && base->shape[1] == w->shape[1];
    if (fits && base->dtype != w->dtype) return KW_OK; /* the same values in other bits */
    if (fits && !memcmp(base->data, w->data, kw_tensor_size(w))) return KW_OK;
    return kw_because(other_model(c->m, c->l), "it was trained with another \"%.*s\"",
                      (int)(c->target->name.n < 100 ? c->target->name.n : 100), c->target->name.p);
}

static kw_status find_scale(kw_lora_change *c, double asked)
{
    const kw_lora_config *config = &c->l->config;
    double r = (double)c->pair->b->shape[1], by = config->by_root ? sqrt(r) : r;
    double alpha = c->l->is_gguf && config->alpha == 0 ? r : config->alpha;
    c->scale = (float)(asked * alpha / by);
    if (isfinite(c->scale)) return KW_OK;
    return kw_fail(KW_EINVAL,
                   "a scale of %g with alpha %g and rank %g\nwhy: they make %g, which no weight "
                   "can be multiplied with",
                   asked, alpha, r, (double)c->scale);
}

/* ---- the two matrices in f32 ---- */

/* All values of t; turned: its transpose. */
static float *decode(kw_arena *arena, const kw_tensor *t, bool turned)
{
    size_t rows = (size_t)kw_tensor_rows(t), cols = (size_t)kw_tensor_cols(t);
    float *plain = kw_arena_alloc(arena, rows * cols + 1, sizeof *plain);
    float *out = turned && plain ? kw_arena_alloc(arena, rows * cols + 1, sizeof *out) : plain;
    if (!out) return NULL;
    for (size_t i = 0; i < rows; i++)
        kw_dtype_get(t->dtype)->decode(kw_tensor_row(t, (int64_t)i), plain + i * cols, cols);
    for (size_t i = 0; turned && i < rows; i++)
        for (size_t j = 0; j < cols; j++) out[j * rows + i] = plain[i * cols + j];
    return out;
}

static kw_status make_factors(const kw_lora_change *c, kw_arena *arena, factors *f)
{
    const kw_lora_pair *p = c->pair;
    bool rows_of_a = is_turned(c) || p->is_embedding, flat_a = p->is_embedding && c->l->is_gguf;
    const kw_tensor *left = rows_of_a ? p->a : p->b, *right = rows_of_a ? p->b : p->a;
    f->r = (size_t)p->b->shape[1];
    f->left = decode(arena, left, rows_of_a && !flat_a);
    f->right = decode(arena, right, rows_of_a);
    f->rows = (size_t)c->target->tensor.shape[0];
    f->cols = (size_t)c->target->tensor.shape[1];
    return f->left && f->right ? KW_OK : KW_ENOMEM;
}

/* The rows in the order of the model's file. */
static kw_status reorder(const kw_lora_change *c, kw_arena *arena, factors *f)
{
    const kw_arch *arch = &c->m->family->archs[c->m->member];
    bool to_gguf = kw_checkpoint_naming(c->m->ck) == KW_NAMING_GGUF;
    kw_row_order order =
        c->row ? kw_row_order_of(c->row, arch->gguf_interleaved, to_gguf) : KW_ROWS_SAME;
    if (order == KW_ROWS_SAME || order == KW_ROWS_TURNED) return KW_OK;
    kw_head_counts h = kw_model_heads(c->m);
    bool is_sound = h.dim > 0 && h.dim % 2 == 0 && f->rows % (size_t)h.dim == 0;
    if (!is_sound || h.n < h.n_kv || h.n % h.n_kv)
        return kw_fail(KW_ESHAPE, "%zu rows are not of %d and %d heads of %d", f->rows, h.n, h.n_kv,
                       h.dim);
    float *sorted = kw_arena_alloc(arena, f->rows * f->r + 1, sizeof *sorted);
    if (!sorted) return KW_ENOMEM;
    for (size_t i = 0; i < f->rows; i++) {
        size_t from = (size_t)kw_row_source(order, h, (int64_t)i);
        if (from >= f->rows) return kw_fail(KW_ESHAPE, "row %zu of %zu", from, f->rows);
        memcpy(sorted + i * f->r, f->left + from * f->r, f->r * sizeof *sorted);
    }
    f->left = sorted;
    return KW_OK;
}

/* ---- the sum ---- */

typedef struct job {
    const factors *f;
    const kw_tensor *w;
    kw_dtype dtype;
    unsigned char *dst; /* may be where w lies */
    float *room;        /* [workers][2][cols] */
    float scale, most;  /* larger ones would be infinite */
    kw_counter next;
    _Atomic int n_lost; /* rows with values that were numbers and are none any more */
} job;

static void add_row(job *j, size_t row, float *delta, float *x)
{
    size_t cols = j->f->cols, r = j->f->r;
    const kw_dtype_info *type = kw_dtype_get(j->dtype);
    memset(delta, 0, cols * sizeof *delta);
    for (size_t k = 0; k < r; k++) {
        float left = j->f->left[row * r + k];
        const float *right = j->f->right + k * cols;
        for (size_t c = 0; c < cols; c++) delta[c] += left * right[c];
    }
    kw_dtype_get(j->w->dtype)->decode(kw_tensor_row(j->w, (int64_t)row), x, cols);
    int lost = 0;
    for (size_t c = 0; c < cols; c++) {
        float before = x[c];
        x[c] = before + j->scale * delta[c];
        lost += isfinite(before) && !(fabsf(x[c]) < j->most);
    }
    if (lost) atomic_fetch_add(&j->n_lost, 1);
    type->encode(x, j->dst + row * cols * type->bytes, cols);
}

static void work(void *ctx, int worker)
{
    enum { CHUNK = 8 };
    job *j = ctx;
    float *room = j->room + (size_t)worker * 2 * j->f->cols;
    int64_t n = (int64_t)j->f->rows, at;
    while ((at = kw_counter_take(&j->next, CHUNK)) < n)
        for (int64_t i = at; i < at + CHUNK && i < n; i++)
            add_row(j, (size_t)i, room, room + j->f->cols);
}

kw_dtype kw_lora_dtype(kw_dtype weight)
{
    if (weight == KW_F64) return KW_F32;
    return weight == KW_F32 || weight == KW_BF16 ? weight : KW_F16;
}

/* From where on a type's values are infinite. */
static float limit_of(kw_dtype t)
{
    if (t == KW_F16) return 65520.0f;
    return t == KW_BF16 ? 0x1.ffp127f : INFINITY;
}

static kw_status sum(const kw_lora_change *c, const factors *f, kw_arena *arena, job *j)
{
    kw_pool *pool = c->m->engine ? c->m->engine->pool : NULL;
    size_t n = pool ? (size_t)kw_pool_size(pool) : 1;
    j->f = f;
    j->most = limit_of(j->dtype);
    j->room = kw_arena_alloc(arena, n * 2 * f->cols + 1, sizeof *j->room);
    if (!j->room) return KW_ENOMEM;
    if (pool) kw_pool_run(pool, work, j);
    else work(j, 0);
    if (!j->n_lost) return KW_OK;
    return kw_fail(KW_EUNSUPPORTED,
                   "\"%.*s\" with the adapter does not fit %s\nwhy: values that were numbers would "
                   "be infinite or none",
                   (int)c->target->name.n, c->target->name.p, kw_dtype_get(j->dtype)->name);
}

kw_status kw_lora_add(const kw_lora_change *c, const kw_tensor *from, void *to)
{
    kw_arena arena = KW_ARENA(KW_PAY_SCRATCH);
    factors f = { 0 };
    job j = { .w = from, .dtype = kw_lora_dtype(from->dtype), .dst = to, .scale = c->scale };
    kw_status st = make_factors(c, &arena, &f);
    if (!st) st = reorder(c, &arena, &f);
    if (!st) st = sum(c, &f, &arena, &j);
    kw_arena_free(&arena);
    return st;
}

/* ---- all of an adapter ---- */

static kw_status check_arch(const kw_model *m, const kw_lora *l)
{
    if (!l->is_gguf || !m->family) return KW_OK;
    const char *own = m->family->archs[m->member].gguf;
    if (own && kw_str_is(l->config.base, own)) return KW_OK;
    return kw_because(other_model(m, l), "it does not fit the model's architecture");
}

kw_status kw_lora_changes(const kw_model *m, const kw_lora *l, double scale, kw_lora_change *out)
{
    kw_status st = check_arch(m, l);
    for (size_t i = 0; i < l->n && !st; i++) {
        kw_lora_change *c = &out[i];
        *c = (kw_lora_change){ .m = m, .l = l, .pair = &l->pairs[i] };
        st = find_target(c);
        if (!st) st = check_target(c);
        if (!st) st = check_base(c);
        if (!st) st = find_scale(c, scale);
    }
    return st;
}

/* W + s B A in the tensor's place. */
static kw_status merge(kw_model *m, const kw_lora_change *c)
{
    kw_dtype dtype = kw_lora_dtype(c->target->tensor.dtype);
    void *dst = kw_checkpoint_edit(m->ck, c->target, dtype);
    kw_status st = dst ? kw_lora_add(c, &c->target->tensor, dst) : KW_ENOMEM;
    if (st) return st;
    kw_checkpoint_forget(m->ck, c->target);
    kw_checkpoint_set(m->ck, c->target, dtype, dst);
    return KW_OK;
}

static kw_status merge_all(kw_model *m, const kw_lora *l, double scale)
{
    uint64_t bytes = 0;
    kw_lora_change *all = kw_calloc(l->n, sizeof *all, KW_PAY_SCRATCH);
    kw_status st = all ? kw_lora_changes(m, l, scale, all) : KW_ENOMEM;
    for (size_t i = 0; i < l->n && !st; i++) {
        st = merge(m, &all[i]);
        bytes += kw_tensor_size(&all[i].target->tensor);
    }
    kw_free(all);
    if (!st)
        kw_log(KW_LOG_INFO, "%s: added to %zu tensor%s, %.1f MB of memory", l->path, l->n,
               kw_s(l->n), (double)bytes / 1e6);
    return st;
}

kw_status kw_lora_apply(kw_model *m, const kw_adapter *a)
{
    kw_lora l = { 0 };
    kw_status st = kw_lora_open(a->path, &l);
    if (!st) st = merge_all(m, &l, (double)a->scale);
    kw_lora_close(&l);
    return st ? kw_note(st, "adapter %s", a->path) : KW_OK;
}
