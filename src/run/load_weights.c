/* load_weights.c - binds a family's table of weights to the tensors of a checkpoint.
 *
 * Weights stay where they lie in the map. Copied are only vectors that kernels read as f32 (norms, biases) and that
 * the file holds in another dtype. A size that the config does not know (0) is learned from the first tensor that has
 * it: GGUF files may leave the vocabulary's size out. */
#include "run/run.h"
#include <stdio.h>
#include <string.h>

typedef struct binding_of {
    kw_model *m;
    const kw_weight_row *row;
    int il;
    char name[160];
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

static kw_status check_shape(const binding_of *b, const kw_tensor *t)
{
    int *rows = dimension(b, 0), *cols = dimension(b, 1);
    if (*rows == 0 && t->rank == 2 && t->shape[0] <= 0x7fffffff) *rows = (int)t->shape[0];
    bool is_vector = b->row->flags & KW_W_F32;
    int64_t want = is_vector ? 1 : *rows;
    bool rank_fits = is_vector ? t->rank >= 1 : t->rank == 2;
    if (rank_fits && kw_tensor_rows(t) == want && kw_tensor_cols(t) == *cols) return KW_OK;
    char found[96], wanted[64];
    if (is_vector) snprintf(wanted, sizeof wanted, "[%d]", *cols);
    else snprintf(wanted, sizeof wanted, "[%d, %d]", *rows, *cols);
    return kw_fail(KW_ESHAPE, "tensor \"%s\" is %s, wanted %s", b->name,
                   kw_tensor_shape_text(t, found), wanted);
}

static kw_status check_dtype(const binding_of *b, const kw_tensor *t)
{
    const kw_dtype_info *type = kw_dtype_get(t->dtype);
    if (type->decode && t->dtype != KW_F64) return KW_OK;
    return kw_fail(KW_EFORMAT, "tensor \"%s\" is %s, wanted a floating or quantized type", b->name,
                   type->name);
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
    if (t->dtype == KW_F32) return t;
    kw_tensor *copy = kw_arena_alloc(&b->m->arena, 1, sizeof *copy);
    size_t n = (size_t)kw_tensor_cols(t);
    float *values = kw_arena_alloc(&b->m->arena, n, sizeof *values);
    if (!copy || !values) return NULL;
    kw_dtype_get(t->dtype)->decode(t->data, values, n);
    *copy = *t;
    copy->dtype = KW_F32;
    copy->data = values;
    return copy;
}

static kw_status bind_one(const binding_of *b, kw_weight_ref *ref)
{
    const kw_named_tensor *found = b->name[0] ? kw_checkpoint_find(b->m->ck, b->name) : NULL;
    if (!found && (b->row->flags & KW_W_OPTIONAL)) return KW_OK;
    if (!found && (b->row->flags & KW_W_TIED)) {
        *ref = *(const kw_weight_ref *)(const void *)((const char *)b->m->weights +
                                                      b->m->family->weights[0].at);
        return KW_OK;
    }
    if (!found) return missing(b);
    kw_status st = check_dtype(b, &found->tensor);
    if (!st) st = check_shape(b, &found->tensor);
    if (!st) st = check_scale(b);
    if (st) return st;
    ref->name = kw_arena_strdup(&b->m->arena, b->name, strlen(b->name));
    ref->t = b->row->flags & KW_W_F32 ? as_f32(b, &found->tensor) : &found->tensor;
    return ref->name && ref->t ? KW_OK : KW_ENOMEM;
}

static void name_tensor(binding_of *b)
{
    bool is_gguf = kw_checkpoint_naming(b->m->ck) == KW_NAMING_GGUF;
    const char *pattern = is_gguf ? b->row->gguf : b->row->hf;
    const char *at = pattern ? strstr(pattern, "%d") : NULL;
    if (at)
        snprintf(b->name, sizeof b->name, "%.*s%d%s", (int)(at - pattern), pattern, b->il, at + 2);
    else snprintf(b->name, sizeof b->name, "%s", pattern ? pattern : "");
}

static kw_status bind_row(kw_model *m, const kw_weight_row *row, char *layers, int n_layers)
{
    bool per_layer = row->flags & KW_W_LAYER;
    for (int il = 0; il < (per_layer ? n_layers : 1); il++) {
        binding_of b = { .m = m, .row = row, .il = il };
        name_tensor(&b);
        char *home = per_layer ? layers + (size_t)il * m->family->layer_size : m->weights;
        kw_status st = bind_one(&b, (kw_weight_ref *)(void *)(home + row->at));
        if (st) return st;
    }
    return KW_OK;
}

kw_status kw_load_weights(kw_model *m)
{
    const kw_family *f = m->family;
    int n_layers = *(const int *)(const void *)((const char *)m->config + f->n_layers_at);
    m->weights = kw_arena_alloc(&m->arena, 1, f->weights_size);
    char *layers = kw_arena_alloc(&m->arena, (size_t)n_layers, f->layer_size);
    if (!m->weights || !layers) return KW_ENOMEM;
    memcpy((char *)m->weights + f->layers_at, &layers, sizeof layers);
    for (const kw_weight_row *row = f->weights; row->at != KW_TABLE_END; row++) {
        kw_status st = bind_row(m, row, layers, n_layers);
        if (st) return st;
    }
    return KW_OK;
}
