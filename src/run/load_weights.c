/* load_weights.c - binds a family's table of weights to the tensors of a checkpoint.
 *
 * Weights stay where they lie in the map. Copied are only vectors that kernels read as f32 (norms, biases) and that
 * the file holds in another dtype, and matrices that it holds turned. A size that the config does not know (0) is
 * learned from the first tensor that has it: GGUF files may leave the vocabulary's size out. */
#include "run/run.h"
#include <stdio.h>
#include <string.h>

typedef struct binding_of {
    kw_model *m;
    const kw_family *f; /* m's, or its encoder's */
    const kw_weight_row *row;
    int il, expert;
    char name[KW_NAME_MAX];
} binding_of;

static kw_status missing(const binding_of *b)
{
    const char *near = kw_checkpoint_nearest(b->m->ck, b->name);
    kw_status st =
        kw_fail(KW_EFORMAT, "tensor \"%s\" is missing%s%s%s", b->name,
                near ? "\nwhy: the nearest name is \"" : "", near ? near : "", near ? "\"" : "");
    return st;
}

static int *dimension(const binding_of *b, int i)
{
    return (int *)(void *)((char *)b->m->config + b->row->dim[i]);
}

/* Where a part begins in its tensor, and how many rows all parts have together. */
static int64_t find_part(const binding_of *b, int64_t *start)
{
    int64_t total = 0;
    for (const kw_weight_row *row = b->f->weights[0]; row; row = kw_weight_after(b->f, row)) {
        if (!(row->flags & KW_W_PART) || strcmp(row->hf, b->row->hf) != 0) continue;
        if (row == b->row) *start = total;
        total += kw_model_number(b->m, row->dim[0]);
    }
    return total;
}

static kw_status check_shape(const binding_of *b, const kw_tensor *t)
{
    int *rows = dimension(b, 0), *cols = dimension(b, 1);
    kw_model_learn(b->m, b->row->dim[0], t);
    bool is_vector = b->row->flags & KW_W_F32;
    int64_t start, want = is_vector ? 1 : b->row->flags & KW_W_PART ? find_part(b, &start) : *rows;
    bool rank_fits = is_vector ? t->rank >= 1 : t->rank == 2;
    if (rank_fits && kw_tensor_rows(t) == want && kw_tensor_cols(t) == *cols) return KW_OK;
    char found[96], wanted[64];
    if (is_vector) snprintf(wanted, sizeof wanted, "[%d]", *cols);
    else snprintf(wanted, sizeof wanted, "[%lld, %d]", (long long)want, *cols);
    return kw_fail(KW_ESHAPE, "tensor \"%s\" is %s, wanted %s", b->name,
                   kw_tensor_shape_text(t, found), wanted);
}

static bool is_turned(const binding_of *b)
{
    return b->row->flags & KW_W_TURNED && kw_checkpoint_naming(b->m->ck) != KW_NAMING_GGUF;
}

static kw_status check_dtype(const binding_of *b, const kw_tensor *t)
{
    const kw_dtype_info *type = kw_dtype_get(t->dtype);
    if (is_turned(b) && type->block != 1)
        return kw_fail(KW_EFORMAT, "tensor \"%s\" is %s and must be turned: wanted a floating type",
                       b->name, type->name);
    if (type->decode && t->dtype != KW_F64) return KW_OK;
    return kw_fail(KW_EFORMAT, "tensor \"%s\" is %s, wanted a floating or quantized type", b->name,
                   type->name);
}

/* The transposed tensor, in the model's arena. */
static const kw_tensor *turned(const binding_of *b, const kw_tensor *t)
{
    size_t rows = (size_t)t->shape[1], cols = (size_t)t->shape[0];
    size_t bytes = kw_dtype_get(t->dtype)->bytes;
    kw_tensor *copy = kw_arena_alloc(&b->m->arena, 1, sizeof *copy);
    unsigned char *values = kw_arena_alloc(&b->m->arena, rows * cols, bytes);
    if (!copy || !values) return NULL;
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < cols; j++)
            memcpy(values + (i * cols + j) * bytes,
                   (const unsigned char *)t->data + (j * rows + i) * bytes, bytes);
    *copy = *t;
    copy->shape[0] = (int64_t)rows;
    copy->shape[1] = (int64_t)cols;
    copy->data = values;
    return copy;
}

/* Some writers keep one more scale for a tensor beside it. Values without it would be wrong, so such a file is refused. */
static kw_status check_scale(const binding_of *b)
{
    static const char *const endings[] = { "_scale", "_scale_inv", ".scale" };
    char name[sizeof b->name + 16];
    kw_str stem = kw_str_of(b->name);
    if (kw_str_ends(stem, ".weight")) stem.n -= strlen(".weight");
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        bool is_short = endings[i][0] == '.';
        snprintf(name, sizeof name, "%.*s%s", is_short ? (int)stem.n : (int)strlen(b->name),
                 b->name, endings[i]);
        if (kw_checkpoint_find(b->m->ck, name))
            return kw_fail(KW_EUNSUPPORTED,
                           "tensor \"%s\" has a scale of its own, \"%s\"\nwhy: scales beside "
                           "tensors are not applied yet",
                           b->name, name);
    }
    return KW_OK;
}

/* The tensor itself, or its values as f32 in the model's arena. */
static const kw_tensor *as_f32(const binding_of *b, const kw_tensor *t)
{
    bool one_less =
        b->row->flags & KW_W_ONE_LESS && kw_checkpoint_naming(b->m->ck) != KW_NAMING_GGUF;
    if (t->dtype == KW_F32 && !one_less) return t;
    kw_tensor *copy = kw_arena_alloc(&b->m->arena, 1, sizeof *copy);
    size_t n = (size_t)kw_tensor_cols(t);
    float *values = kw_arena_alloc(&b->m->arena, n, sizeof *values);
    if (!copy || !values) return NULL;
    kw_dtype_get(t->dtype)->decode(t->data, values, n);
    for (size_t i = 0; one_less && i < n; i++) values[i] += 1.0f;
    *copy = *t;
    copy->dtype = KW_F32;
    copy->data = values;
    return copy;
}

/* The part's rows as a tensor of their own, in the same memory; it takes the rows as its name's end. */
static const kw_tensor *view_of(binding_of *b, const kw_tensor *t)
{
    int64_t start = 0, rows = *dimension(b, 0);
    find_part(b, &start);
    kw_tensor *view = kw_arena_alloc(&b->m->arena, 1, sizeof *view);
    if (!view) return NULL;
    *view = *t;
    view->shape[0] = rows;
    view->data = (const char *)t->data + (size_t)start * kw_tensor_row_bytes(t);
    size_t n = strlen(b->name);
    snprintf(b->name + n, sizeof b->name - n, "[%lld:%lld]", (long long)start,
             (long long)(start + rows));
    return view;
}

static const kw_named_tensor *find(binding_of *b)
{
    return kw_weight_find(b->m, b->row, b->il, b->expert, b->name);
}

/* ---- experts: one tensor [experts, rows, columns], or one [rows, columns] each ---- */

static kw_status check_stack(const binding_of *b, const kw_tensor *t)
{
    const int n = *dimension(b, 2), rows = *dimension(b, 0), cols = *dimension(b, 1);
    char found[96];
    if (t->rank != 3) return check_shape(b, t);
    if (t->shape[0] == n && t->shape[1] == rows && t->shape[2] == cols) return KW_OK;
    return kw_fail(KW_ESHAPE, "tensor \"%s\" is %s, wanted [%d, %d, %d]", b->name,
                   kw_tensor_shape_text(t, found), n, rows, cols);
}

static kw_status gather_parts(binding_of *b, const void **parts, kw_dtype dtype)
{
    const kw_named_tensor *first = NULL;
    for (b->expert = 0; b->expert < *dimension(b, 2); b->expert++) {
        const kw_named_tensor *found = find(b);
        if (!found) return missing(b);
        if (found == first)
            return kw_fail(KW_ESHAPE,
                           "tensor \"%s\" is one matrix, wanted one for each of %d experts",
                           b->name, *dimension(b, 2));
        if (!first) first = found;
        kw_status st = check_shape(b, &found->tensor);
        if (st) return st;
        if (found->tensor.dtype != dtype)
            return kw_fail(KW_EFORMAT, "tensor \"%s\" is %s, expert 0 has %s", b->name,
                           kw_dtype_get(found->tensor.dtype)->name, kw_dtype_get(dtype)->name);
        parts[b->expert] = found->tensor.data;
    }
    return KW_OK;
}

static kw_status bind_experts(binding_of *b, kw_weight_ref *ref)
{
    const kw_named_tensor *found = find(b);
    if (!found) return missing(b);
    kw_status st = check_dtype(b, &found->tensor);
    if (!st) st = check_stack(b, &found->tensor);
    if (!st) st = check_scale(b);
    if (st) return st;
    ref->t = &found->tensor;
    ref->name = kw_arena_strdup(&b->m->arena, b->name, strlen(b->name));
    if (!ref->name || found->tensor.rank == 3) return ref->name ? KW_OK : KW_ENOMEM;
    int n = *dimension(b, 2);
    kw_tensor *stack = kw_arena_alloc(&b->m->arena, 1, sizeof *stack);
    const void **parts = kw_arena_alloc(&b->m->arena, (size_t)n, sizeof *parts);
    if (!stack || !parts) return KW_ENOMEM;
    *stack = found->tensor;
    stack->rank = 3;
    stack->shape[2] = found->tensor.shape[1];
    stack->shape[1] = found->tensor.shape[0];
    stack->shape[0] = n;
    stack->parts = parts;
    ref->t = stack;
    return gather_parts(b, parts, stack->dtype);
}

/* Whether the layer, as far as it is bound, has a router. */
static bool is_routed(const kw_family *f, const char *layer)
{
    for (const kw_weight_row *row = f->weights[0]; row; row = kw_weight_after(f, row))
        if (row->flags & KW_W_ROUTER)
            return ((const kw_weight_ref *)(const void *)(layer + row->at))->t;
    return false;
}

/* Rows that this layer has no use for. */
static bool is_idle(const binding_of *b, const char *home)
{
    if (b->row->flags & KW_W_ROUTER) return *dimension(b, 0) == 0;
    if (b->row->flags & KW_W_EXPERTS) return !is_routed(b->f, home);
    return b->row->flags & KW_W_DENSE && is_routed(b->f, home);
}

static kw_status bind_one(binding_of *b, kw_weight_ref *ref)
{
    const kw_named_tensor *found = find(b);
    if (!found && (b->row->flags & (KW_W_OPTIONAL | KW_W_ROUTER))) return KW_OK;
    if (!found && (b->row->flags & KW_W_TIED)) {
        *ref = *(const kw_weight_ref *)(const void *)((const char *)b->m->weights +
                                                      b->f->weights[0]->at);
        return KW_OK;
    }
    if (!found) return missing(b);
    kw_tensor seen = found->tensor;
    if (is_turned(b)) {
        seen.shape[0] = found->tensor.shape[1];
        seen.shape[1] = found->tensor.shape[0];
    }
    kw_status st = check_dtype(b, &seen);
    if (!st) st = check_shape(b, &seen);
    if (!st) st = check_scale(b);
    if (st) return st;
    ref->t = b->row->flags & KW_W_F32    ? as_f32(b, &found->tensor)
             : b->row->flags & KW_W_PART ? view_of(b, &found->tensor)
             : is_turned(b)              ? turned(b, &found->tensor)
                                         : &found->tensor;
    if (is_turned(b)) kw_checkpoint_forget(b->m->ck, found); /* the copy is what is used */
    ref->name = kw_arena_strdup(&b->m->arena, b->name, strlen(b->name));
    return ref->name && ref->t ? KW_OK : KW_ENOMEM;
}

static kw_status bind_row(kw_model *m, const kw_family *f, const kw_weight_row *row, char *layers)
{
    bool per_layer = row->flags & KW_W_LAYER;
    for (int il = 0; il < (per_layer ? kw_model_layers(m, f) : 1); il++) {
        binding_of b = { .m = m, .f = f, .row = row, .il = il };
        char *home = per_layer ? layers + (size_t)il * f->layer_size : (char *)m->weights;
        kw_weight_ref *ref = (kw_weight_ref *)(void *)(home + row->at);
        if (is_idle(&b, home)) continue;
        kw_status st = row->flags & KW_W_EXPERTS ? bind_experts(&b, ref) : bind_one(&b, ref);
        if (st) return st;
    }
    return KW_OK;
}

/* The layers of f, which is the model's family or its encoder's. */
static kw_status bind_stack(kw_model *m, const kw_family *f)
{
    char *layers = kw_arena_alloc(&m->arena, (size_t)kw_model_layers(m, f), f->layer_size);
    if (!layers) return KW_ENOMEM;
    memcpy((char *)m->weights + f->layers_at, &layers, sizeof layers);
    for (const kw_weight_row *row = f->weights[0]; row; row = kw_weight_after(f, row)) {
        kw_status st = bind_row(m, f, row, layers);
        if (st) return st;
    }
    return KW_OK;
}

kw_status kw_load_weights(kw_model *m)
{
    kw_status st = KW_OK;
    m->weights = kw_arena_alloc(&m->arena, 1, m->family->weights_size);
    if (!m->weights) return KW_ENOMEM;
    for (const kw_family *f = m->family; f && !st; f = f->encoder) st = bind_stack(m, f);
    if (!st && m->family->derive) st = m->family->derive(m->config, m->weights, &m->arena);
    return st;
}
