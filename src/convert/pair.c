/* pair.c - which tensor of the output comes from which of the input.
 *
 * Where names stay, each from its namesake. Where they change, the family's table is walked: a row, layer by layer and expert
 * by expert, has the names of both sides; its flags say how the values differ between them. */
#include "convert/convert.h"
#include <string.h>

typedef struct walk {
    kw_convert_job *j;
    const kw_weight_row *row;
    int il;
    char name[KW_NAME_MAX]; /* the one found, or the one wanted */
} walk;

kw_convert_item *kw_convert_add(kw_convert_job *j)
{
    if (j->n == j->cap) {
        size_t more = j->cap ? 2 * j->cap : 256;
        void *bigger = kw_realloc(j->items, more * sizeof *j->items, KW_PAY_FILE);
        if (!bigger) return NULL;
        j->items = bigger;
        j->cap = more;
    }
    j->items[j->n] = (kw_convert_item){ 0 };
    return &j->items[j->n++];
}

/* ---- dtypes ---- */

static bool can_hold(const kw_convert_job *j, kw_dtype t)
{
    const kw_dtype_info *d = kw_dtype_get(t);
    return j->to_gguf ? d->ggml_type >= 0 : d->safetensors != NULL;
}

/* flags: of the table's row, or 0. */
static kw_dtype dtype_for(const kw_convert_job *j, const kw_tensor *in, const kw_tensor *out,
                          unsigned flags)
{
    bool is_matrix = out->rank >= 2 && !(flags & KW_W_F32),
         is_float = kw_dtype_get(in->dtype)->decode;
    bool is_small = flags & (KW_W_F32 | KW_W_ROUTER) || (flags & KW_W_TABLE && j->n > 0);
    if (!is_float) return in->dtype;
    if (j->renames && j->to_gguf && is_small) return KW_F32;
    if (flags & KW_W_ONE_LESS && j->dtype == KW_DTYPE_COUNT) return KW_F32;
    bool wanted = j->dtype != KW_DTYPE_COUNT && (is_matrix || !j->to_gguf);
    if (wanted && kw_tensor_cols(out) % kw_dtype_get(j->dtype)->block == 0) return j->dtype;
    if (wanted) return KW_F16; /* rows that are not whole blocks */
    if (!can_hold(j, in->dtype) || in->dtype == KW_F64) return KW_F32;
    bool has_to_turn = flags & KW_W_TURNED && j->renames && !kw_dtype_get(in->dtype)->encode;
    return has_to_turn ? KW_F32 : in->dtype;
}

/* ---- the same names ---- */

static kw_status pair_same(kw_convert_job *j)
{
    for (size_t i = 0; i < kw_checkpoint_count(j->m->ck); i++) {
        const kw_named_tensor *t = kw_checkpoint_at(j->m->ck, i);
        kw_convert_item *it = kw_convert_add(j);
        const kw_tensor **in = kw_arena_alloc(&j->arena, 1, sizeof *in);
        if (!it || !in) return KW_ENOMEM;
        *in = &t->tensor;
        it->out = *t;
        it->in = in;
        it->n_in = 1;
        it->out.tensor.dtype = dtype_for(j, &t->tensor, &t->tensor, 0);
    }
    return KW_OK;
}

/* ---- other names ---- */

static int dimension(const walk *w, int i) { return kw_model_number(w->j->m, w->row->dim[i]); }

static const kw_named_tensor *find(walk *w, int expert)
{
    return kw_weight_find(w->j->m, w->row, w->il, expert, w->name);
}

/* The output's name: the row's first, or its second where the next optional row is in the file too. */
static kw_status name_output(walk *w, int expert, kw_str *out)
{
    const char *pattern = w->j->to_gguf ? w->row->gguf : w->row->hf;
    if (!pattern) {
        kw_status st = kw_fail(KW_EUNSUPPORTED,
                               "tensor \"%s\" has no name in %s\nwhy: this model cannot be written "
                               "in that form",
                               w->name, w->j->to_gguf ? "GGUF" : "Hugging Face's files");
        return w->j->to_gguf ? kw_convert_try_folder(st) : st;
    }
    if (w->row->flags & KW_W_TWIN && !w->j->to_gguf) {
        walk twin = { .j = w->j, .row = w->row + 2, .il = w->il };
        if (find(&twin, 0) && kw_weight_next(pattern)) pattern = kw_weight_next(pattern);
    }
    kw_weight_name(w->name, pattern, w->il, expert);
    *out = (kw_str){ kw_arena_strdup(&w->j->arena, w->name, strlen(w->name)), strlen(w->name) };
    return out->p ? KW_OK : KW_ENOMEM;
}

static bool has_item(const kw_convert_job *j, kw_str name)
{
    size_t first = j->n > 16 ? j->n - 16 : 0; /* parts of one tensor stand side by side */
    for (size_t i = first; i < j->n; i++)
        if (kw_str_eq(j->items[i].out.name, name)) return true;
    return false;
}

static kw_row_order order_of(const walk *w)
{
    bool to_gguf = w->j->to_gguf;
    const kw_arch *of_gguf = to_gguf ? w->j->arch : &w->j->m->family->archs[w->j->m->member];
    return kw_row_order_of(w->row, of_gguf->gguf_interleaved, to_gguf);
}

/* One tensor from n_in of the input. shape: of the output, its dtype still that of the input. */
static kw_status add(walk *w, kw_str name, kw_tensor shape, const kw_tensor **in, int n_in)
{
    kw_convert_job *j = w->j;
    if (has_item(j, name)) return KW_OK;
    shape.dtype = dtype_for(j, in[0], &shape, w->row->flags);
    kw_convert_item *it = kw_convert_add(j);
    if (!it) return KW_ENOMEM;
    *it = (kw_convert_item){ .out = { name, shape }, .in = in, .n_in = n_in, .order = order_of(w) };
    if (w->row->flags & KW_W_ONE_LESS) it->plus = j->to_gguf ? 1 : -1;
    return KW_OK;
}

/* GGUF's table of positions has those that texts have: the first ones of some models stand for padding. */
static kw_status cut_positions(const walk *w, const kw_tensor **in)
{
    const kw_field *ctx = kw_convert_field(w->j, NULL, "context_length");
    int64_t first =
        ctx && ctx->at == w->row->dim[0] ? dimension(w, 0) - w->j->m->shape.ctx_train : 0;
    if (!w->j->to_gguf || first <= 0 || w->row->flags & KW_W_F32) return KW_OK;
    kw_tensor *rest = kw_arena_alloc(&w->j->arena, 1, sizeof *rest);
    if (!rest) return KW_ENOMEM;
    *rest = **in;
    rest->shape[0] -= first;
    rest->data = kw_tensor_row(*in, first);
    *in = rest;
    return KW_OK;
}

static kw_status add_one(walk *w, const kw_named_tensor *found)
{
    const kw_tensor **in = kw_arena_alloc(&w->j->arena, 1, sizeof *in);
    kw_str name;
    if (!in) return KW_ENOMEM;
    *in = &found->tensor;
    kw_status st = cut_positions(w, in);
    if (st) return st;
    kw_tensor shape = **in;
    if (w->row->flags & KW_W_TURNED && shape.rank == 2) {
        shape.shape[0] = found->tensor.shape[1];
        shape.shape[1] = found->tensor.shape[0];
    }
    if (w->row->flags & KW_W_F32) { /* some files keep vectors as [1, n] */
        shape.rank = 1;
        shape.shape[0] = kw_tensor_cols(&found->tensor);
        shape.shape[1] = 1;
    }
    st = name_output(w, 0, &name);
    return st ? st : add(w, name, shape, in, 1);
}

/* A table of the whole model that this one does without, and others of its family do not: of zeros, which change nothing. */
static kw_status add_zeros(walk *w)
{
    enum { ROWS = 2 };
    kw_tensor t = { .dtype = KW_F32, .rank = 2, .shape = { ROWS, dimension(w, 1), 1, 1 } };
    float *zeros = kw_arena_alloc(&w->j->arena, (size_t)(ROWS * t.shape[1]), sizeof *zeros);
    kw_named_tensor *made = kw_arena_alloc(&w->j->arena, 1, sizeof *made);
    if (!zeros || !made) return KW_ENOMEM;
    t.data = memset(zeros, 0, (size_t)(ROWS * t.shape[1]) * sizeof *zeros);
    *made = (kw_named_tensor){ .tensor = t };
    return add_one(w, made);
}

/* Experts: one tensor for all in GGUF, one each in the other form. Either may come in either way. */
static kw_status gather(walk *w, const kw_tensor **in, int n)
{
    const kw_named_tensor *first = find(w, 0);
    bool is_stack = first && first->tensor.rank == 3;
    kw_tensor *views = kw_arena_alloc(&w->j->arena, (size_t)n, sizeof *views);
    if (!views) return KW_ENOMEM;
    for (int e = 0; e < n; e++) {
        const kw_named_tensor *found = is_stack ? first : find(w, e);
        if (!found)
            return kw_fail(KW_EFORMAT, "tensor \"%s\" is missing, of %d experts", w->name, n);
        kw_tensor *v = &views[e];
        *v = found->tensor;
        if (is_stack && v->shape[0] != n)
            return kw_fail(KW_ESHAPE, "tensor \"%s\" holds %lld experts, not %d", w->name,
                           (long long)v->shape[0], n);
        v->rank = 2;
        v->shape[0] = is_stack ? first->tensor.shape[1] : v->shape[0];
        v->shape[1] = is_stack ? first->tensor.shape[2] : v->shape[1];
        v->shape[2] = 1;
        v->data = (const char *)v->data +
                  (is_stack ? (size_t)e * (size_t)v->shape[0] * kw_tensor_row_bytes(v) : 0);
        in[e] = is_stack || found->tensor.rank != 2 ? v : &found->tensor;
        if (v->dtype != in[0]->dtype || v->shape[0] != in[0]->shape[0] ||
            v->shape[1] != in[0]->shape[1])
            return kw_fail(KW_ESHAPE, "tensor \"%s\" is not like that of expert 0", w->name);
    }
    return KW_OK;
}

static kw_status add_experts(walk *w)
{
    int n = dimension(w, 2);
    const kw_tensor **in = kw_arena_alloc(&w->j->arena, (size_t)n, sizeof *in);
    kw_status st = in ? gather(w, in, n) : KW_ENOMEM;
    kw_str name;
    if (!st && w->j->to_gguf) {
        kw_tensor shape = *in[0];
        shape.rank = 3;
        shape.shape[2] = shape.shape[1];
        shape.shape[1] = shape.shape[0];
        shape.shape[0] = n;
        st = name_output(w, 0, &name);
        return st ? st : add(w, name, shape, in, n);
    }
    for (int e = 0; e < n && !st; e++) {
        st = name_output(w, e, &name);
        if (!st) st = add(w, name, *in[e], &in[e], 1);
    }
    return st;
}

/* Whether this layer of the input has a router. */
static bool is_routed(const walk *w)
{
    for (const kw_weight_row *row = w->j->m->family->weights[0]; row;
         row = kw_weight_after(w->j->m->family, row)) {
        walk r = { .j = w->j, .row = row, .il = w->il };
        if (row->flags & KW_W_ROUTER) return find(&r, 0) != NULL;
    }
    return false;
}

static kw_status check_shape(const walk *w, const kw_tensor *t)
{
    kw_model_learn(w->j->m, w->row->dim[0], t);
    int64_t n = kw_tensor_rows(t) * kw_tensor_cols(t);
    int64_t rows = w->row->flags & KW_W_F32 ? 1 : dimension(w, 0), cols = dimension(w, 1);
    char text[96];
    if (w->row->flags & KW_W_PART || rows == 0 || n == rows * cols) return KW_OK;
    return kw_fail(KW_ESHAPE, "tensor \"%s\" is %s, wanted %lld x %lld", w->name,
                   kw_tensor_shape_text(t, text), (long long)rows, (long long)cols);
}

static kw_status pair_one(walk *w)
{
    unsigned flags = w->row->flags;
    if (flags & KW_W_EXPERTS) return is_routed(w) ? add_experts(w) : KW_OK;
    if (flags & KW_W_DENSE && is_routed(w)) return KW_OK;
    const kw_named_tensor *found = find(w, 0);
    if (flags & KW_W_TIED) w->j->has_head = found;
    bool is_table = flags & KW_W_TABLE && !(flags & KW_W_LAYER);
    if (!found && flags & KW_W_OPTIONAL && is_table) return add_zeros(w);
    if (!found && (flags & (KW_W_OPTIONAL | KW_W_ROUTER | KW_W_TIED))) return KW_OK;
    if (!found) return kw_fail(KW_EFORMAT, "tensor \"%s\" is missing", w->name);
    kw_status st = check_shape(w, &found->tensor);
    if (st || (!w->j->to_gguf && !w->row->hf)) return st; /* a number of the configuration there */
    return add_one(w, found);
}

static kw_status pair_row(kw_convert_job *j, const kw_weight_row *row, int il)
{
    walk w = { .j = j, .row = row, .il = il };
    bool is_there = j->to_gguf ? row->hf != NULL : row->gguf != NULL;
    return is_there ? pair_one(&w) : KW_OK;
}

/* Blocks of another type would add their errors to those that are there. */
static kw_status check_blocks(const kw_convert_job *j)
{
    for (size_t i = 0; i < j->n; i++) {
        const kw_convert_item *it = &j->items[i];
        const kw_dtype_info *from = kw_dtype_get(it->in[0]->dtype),
                            *to = kw_dtype_get(it->out.tensor.dtype);
        if (from == to || from->block == 1 || to->block == 1) continue;
        return kw_try(kw_fail(KW_EINVAL,
                              "tensor \"%.*s\" is %s already\nwhy: as %s its errors would be kept "
                              "and new ones added",
                              (int)it->out.name.n, it->out.name.p, from->name, to->name),
                      "the unquantized model, or kwaai quantize --requantize");
    }
    return KW_OK;
}

/* What stands once, then layer by layer. A table that both stacks name is the first one's. */
static kw_status pair_stack(kw_convert_job *j, const kw_family *f)
{
    kw_status st = KW_OK;
    for (int il = -1; il < kw_model_layers(j->m, f); il++)
        for (const kw_weight_row *row = f->weights[0]; row && !st; row = kw_weight_after(f, row)) {
            bool is_shared = f != j->m->family && row->at == j->m->family->weights[0]->at &&
                             !(row->flags & KW_W_LAYER);
            if ((il >= 0) == (bool)(row->flags & KW_W_LAYER) && !is_shared)
                st = pair_row(j, row, il);
        }
    return st;
}

static kw_status pair_all(kw_convert_job *j)
{
    kw_status st = KW_OK;
    if (!j->renames) return pair_same(j);
    for (const kw_family *f = j->m->family; f && !st; f = f->encoder) st = pair_stack(j, f);
    return st;
}

kw_status kw_convert_pair(kw_convert_job *j)
{
    kw_status st = pair_all(j);
    return st ? st : check_blocks(j);
}
