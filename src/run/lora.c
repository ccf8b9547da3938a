/* lora.c - adds a low-rank adapter to weights: W + s B A, row by row, all threads.
 *
 * Each value is W + s * (the sum over k, in order, of B[i][k] * A[k][j]) in f32, then rounded to the weight's own type, so that
 * the result depends on no machine and no number of threads. Quantized weights are decoded; the sum is kept as f16.
 *
 * Names of the two worlds are translated by the family's table, and where GGUF keeps rows of q and k in pairs the rows of B
 * take the same order:   HF row h*d + c*d/2 + j  =  GGUF row h*d + 2j + c. */
#include "run/lora.h"
#include <math.h>
#include <string.h>

typedef struct factors {
    float *left, *right; /* [rows][r], [r][cols] */
    size_t rows, cols, r;
} factors;

/* ---- which tensor ---- */

/* The other world's name of a tensor of a stack of layers, by its table; false when it has none. */
static bool translate_of(const kw_model *m, const kw_family *f, kw_str name, bool from_gguf,
                         char out[KW_NAME_MAX])
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
                    if (kw_checkpoint_find(m->ck, out)) return true;
                }
                return false;
            }
    }
    return false;
}

static bool translate(const kw_model *m, kw_str name, bool from_gguf, char out[KW_NAME_MAX])
{
    for (const kw_family *f = m->family; f; f = f->encoder)
        if (translate_of(m, f, name, from_gguf, out)) return true;
    return false;
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

static kw_status find_target(const kw_model *m, const kw_lora *l, const kw_lora_pair *p,
                             const kw_named_tensor **out)
{
    bool is_gguf = kw_checkpoint_naming(m->ck) == KW_NAMING_GGUF;
    char name[KW_NAME_MAX] = "";
    if (is_gguf == l->is_gguf) *out = find_wrapped(m, p->target.p);
    else *out = translate(m, p->target, l->is_gguf, name) ? find_wrapped(m, name) : NULL;
    if (*out) return KW_OK;
    return kw_because(other_model(m, l), "it changes \"%.*s\", which the model does not have",
                      (int)(p->target.n < 100 ? p->target.n : 100), p->target.p);
}

static kw_status check_target(const kw_model *m, const kw_lora *l, const kw_lora_pair *p,
                              const kw_named_tensor *t, bool turned)
{
    bool rows_of_a = turned || p->is_embedding; /* A has the target's rows, B its columns */
    int64_t a = p->a->shape[p->is_embedding && l->is_gguf ? 0 : 1], b = p->b->shape[0];
    const kw_tensor *w = &t->tensor;
    char sa[96], sb[96], sw[96];
    if (w->rank == 2 && w->shape[0] == (rows_of_a ? a : b) && w->shape[1] == (rows_of_a ? b : a) &&
        kw_dtype_get(w->dtype)->decode)
        return KW_OK;
    return kw_because(other_model(m, l), "A %s and B %s do not fit \"%.*s\" %s",
                      kw_tensor_shape_text(p->a, sa), kw_tensor_shape_text(p->b, sb),
                      (int)(t->name.n < 100 ? t->name.n : 100), t->name.p,
                      kw_tensor_shape_text(w, sw));
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

static kw_status make_factors(const kw_lora *l, const kw_lora_pair *p, bool turned, kw_arena *arena,
                              factors *f)
{
    bool rows_of_a = turned || p->is_embedding, flat_a = p->is_embedding && l->is_gguf;
    const kw_tensor *left = rows_of_a ? p->a : p->b, *right = rows_of_a ? p->b : p->a;
    f->r = (size_t)p->b->shape[1];
    f->left = decode(arena, left, rows_of_a && !flat_a);
    f->right = decode(arena, right, rows_of_a);
    f->rows = (size_t)(left->shape[0] == (int64_t)f->r && rows_of_a && !flat_a ? left->shape[1]
                                                                               : left->shape[0]);
    f->cols = (size_t)(rows_of_a ? right->shape[0] : right->shape[1]);
    return f->left && f->right ? KW_OK : KW_ENOMEM;
}

/* The rows of q and k in the order of the model's file. */
static kw_status reorder(const kw_model *m, const kw_lora *l, kw_str name, kw_arena *arena,
                         factors *f)
{
    bool is_gguf = kw_checkpoint_naming(m->ck) == KW_NAMING_GGUF;
    bool is_qk = is_gguf
                     ? kw_str_ends(name, ".attn_q.weight") || kw_str_ends(name, ".attn_k.weight")
                     : kw_str_ends(name, ".q_proj.weight") || kw_str_ends(name, ".k_proj.weight");
    const kw_arch *arch = m->family ? &m->family->archs[m->member] : NULL;
    if (is_gguf == l->is_gguf || !is_qk || !arch || !arch->gguf_interleaved) return KW_OK;
    size_t d = (size_t)m->config->head_dim;
    if (d == 0 || d % 2 || f->rows % d) return kw_fail(KW_ESHAPE, "heads of %zu rows", d);
    float *sorted = kw_arena_alloc(arena, f->rows * f->r + 1, sizeof *sorted);
    if (!sorted) return KW_ENOMEM;
    for (size_t i = 0; i < f->rows; i++) {
        size_t hf = i / d * d + i % 2 * (d / 2) + i % d / 2;
        memcpy(sorted + (is_gguf ? i : hf) * f->r, f->left + (is_gguf ? hf : i) * f->r,
               f->r * sizeof *sorted);
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
    float scale;
    kw_counter next;
    _Atomic int n_inf; /* values that were finite and do not fit the type */
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
    int too_large = 0;
    for (size_t c = 0; c < cols; c++) {
        float before = x[c];
        x[c] = before + j->scale * delta[c];
        too_large += j->dtype == KW_F16 && isfinite(before) && !(fabsf(x[c]) < 65520.0f);
    }
    if (too_large) atomic_fetch_add(&j->n_inf, 1);
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

/* W + s B A in the tensor's place. */
static kw_status add(kw_model *m, const kw_named_tensor *t, const factors *f, kw_arena *arena,
                     job *j)
{
    bool is_plain = t->tensor.dtype == KW_F32 || t->tensor.dtype == KW_BF16;
    int n = m->engine ? kw_pool_size(m->engine->pool) : 1;
    j->f = f;
    j->w = &t->tensor;
    j->dtype = is_plain ? t->tensor.dtype : KW_F16;
    j->room = kw_arena_alloc(arena, (size_t)n * 2 * f->cols, sizeof *j->room);
    j->dst = j->room ? kw_checkpoint_edit(m->ck, t, j->dtype) : NULL;
    if (!j->dst) return KW_ENOMEM;
    if (m->engine) kw_pool_run(m->engine->pool, work, j);
    else work(j, 0);
    if (j->n_inf)
        return kw_fail(KW_EUNSUPPORTED, "\"%.*s\" with the adapter does not fit f16",
                       (int)t->name.n, t->name.p);
    kw_checkpoint_forget(m->ck, t);
    kw_checkpoint_set(m->ck, t, j->dtype, j->dst);
    return KW_OK;
}

/* bytes: counts what the changed tensors take in memory. */
static kw_status merge_pair(kw_model *m, const kw_lora *l, const kw_lora_pair *p, float scale,
                            uint64_t *bytes)
{
    kw_arena arena = KW_ARENA(KW_PAY_SCRATCH);
    const kw_named_tensor *t = NULL;
    factors f = { 0 };
    kw_status st = find_target(m, l, p, &t);
    bool turned = l->config.turned && kw_checkpoint_naming(m->ck) == KW_NAMING_HF;
    double r = (double)p->b->shape[1], by = l->config.by_root ? sqrt(r) : r;
    double alpha = l->is_gguf && l->config.alpha == 0 ? r : l->config.alpha;
    job j = { .scale = (float)((double)scale * alpha / by) };
    if (!st) st = check_target(m, l, p, t, turned);
    if (!st) st = make_factors(l, p, turned, &arena, &f);
    if (!st) st = reorder(m, l, t->name, &arena, &f);
    if (!st) st = add(m, t, &f, &arena, &j);
    if (!st) *bytes += f.rows * f.cols * kw_dtype_get(j.dtype)->bytes;
    kw_arena_free(&arena);
    return st;
}

static kw_status check_arch(const kw_model *m, const kw_lora *l)
{
    if (!l->is_gguf || !m->family) return KW_OK;
    const char *own = m->family->archs[m->member].gguf;
    if (own && kw_str_is(l->config.base, own)) return KW_OK;
    return kw_because(other_model(m, l), "it does not fit the model's architecture");
}

kw_status kw_lora_merge(kw_model *m, const kw_lora *l, float scale)
{
    uint64_t bytes = 0;
    kw_status st = check_arch(m, l);
    for (size_t i = 0; i < l->n && !st; i++) st = merge_pair(m, l, &l->pairs[i], scale, &bytes);
    if (!st)
        kw_log(KW_LOG_INFO, "%s: added to %zu tensors, %.1f MB of memory", l->path, l->n,
               (double)bytes / 1e6);
    return st;
}

kw_status kw_lora_apply(kw_model *m, const kw_adapter *a)
{
    kw_lora l = { 0 };
    kw_status st = isfinite(a->scale) ? kw_lora_open(a->path, &l)
                                      : kw_fail(KW_EINVAL, "a scale of %g", (double)a->scale);
    if (!st) st = kw_lora_merge(m, &l, a->scale);
    kw_lora_close(&l);
    return st ? kw_note(st, "adapter %s", a->path) : KW_OK;
}
