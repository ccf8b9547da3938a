/* torch_view.c - a tensor of PyTorch is a view: (storage, offset, shape, strides).
 *
 * Several may share a storage, and strides may be any. A view whose values lie in order stays where it is; others are copied in
 * order, within a limit, because a few bytes of pickle can claim views of any size. */
#include "format/torch.h"
#include "format/internal.h"
#include <string.h>

/* clang-format off */
const kw_pickle_global kw_torch_names[] = {
    { "collections", "OrderedDict", KW_TORCH_DICT, 0, true },
    { "torch._utils", "_rebuild_tensor", KW_TORCH_TENSOR, 0, false },
    { "torch._utils", "_rebuild_tensor_v2", KW_TORCH_TENSOR, 0, false },
    { "torch._utils", "_rebuild_tensor_v3", KW_TORCH_TENSOR, 1, false },     /* the seventh argument is a dtype */
    { "torch._utils", "_rebuild_parameter", KW_TORCH_PARAMETER, 0, false },
    { "torch._utils", "_rebuild_parameter_with_state", KW_TORCH_PARAMETER, 0, false },
    { "torch", "Size", KW_TORCH_SHAPE, 0, false },
    { "torch", "device", KW_TORCH_IGNORED, 0, false },
    { "_codecs", "encode", KW_TORCH_IGNORED, 0, false },                     /* bytes, as protocol 2 writes them */
    { "torch", "FloatStorage", KW_TORCH_STORAGE, KW_F32, false },
    { "torch", "HalfStorage", KW_TORCH_STORAGE, KW_F16, false },
    { "torch", "BFloat16Storage", KW_TORCH_STORAGE, KW_BF16, false },
    { "torch", "DoubleStorage", KW_TORCH_STORAGE, KW_F64, false },
    { "torch", "LongStorage", KW_TORCH_STORAGE, KW_I64, false },
    { "torch", "IntStorage", KW_TORCH_STORAGE, KW_I32, false },
    { "torch", "ShortStorage", KW_TORCH_STORAGE, KW_I16, false },
    { "torch", "CharStorage", KW_TORCH_STORAGE, KW_I8, false },
    { "torch", "ByteStorage", KW_TORCH_STORAGE, KW_U8, false },
    { "torch", "BoolStorage", KW_TORCH_STORAGE, KW_BOOL, false },
    { "torch.storage", "UntypedStorage", KW_TORCH_STORAGE, KW_U8, false },
    { "torch", "float32", KW_TORCH_DTYPE, KW_F32, false },
    { "torch", "float16", KW_TORCH_DTYPE, KW_F16, false },
    { "torch", "bfloat16", KW_TORCH_DTYPE, KW_BF16, false },
    { "torch", "float64", KW_TORCH_DTYPE, KW_F64, false },
    { "torch", "int64", KW_TORCH_DTYPE, KW_I64, false },
    { "torch", "int32", KW_TORCH_DTYPE, KW_I32, false },
    { "torch", "int16", KW_TORCH_DTYPE, KW_I16, false },
    { "torch", "int8", KW_TORCH_DTYPE, KW_I8, false },
    { "torch", "uint8", KW_TORCH_DTYPE, KW_U8, false },
    { "torch", "bool", KW_TORCH_DTYPE, KW_BOOL, false },
    { "torch", "float8_e4m3fn", KW_TORCH_DTYPE, KW_F8_E4M3, false },
    { "torch", "float8_e5m2", KW_TORCH_DTYPE, KW_F8_E5M2, false },
    { 0 }
};
/* clang-format on */

typedef kw_pickle_value value;

/* ---- what values mean ---- */

static bool is_sequence(const value *v)
{
    return v->type == KW_PICKLE_TUPLE || v->type == KW_PICKLE_LIST;
}

bool kw_torch_is_call(const value *v, kw_torch_kind k)
{
    return v->type == KW_PICKLE_CALL && v->global->kind == (int)k;
}

static bool is_named(const value *v, kw_torch_kind k)
{
    return v->type == KW_PICKLE_GLOBAL && v->global->kind == (int)k;
}

static bool is_count(const value *v) { return v->type == KW_PICKLE_INT && v->integer >= 0; }

/* A shape or strides: up to four numbers, in a tuple or a torch.Size of one. */
static bool read_counts(const value *v, int64_t out[KW_MAX_RANK], uint32_t *n)
{
    if (kw_torch_is_call(v, KW_TORCH_SHAPE) && v->n == 1) v = v->items[0];
    if (!is_sequence(v) || v->n > KW_MAX_RANK) return false;
    for (uint32_t i = 0; i < v->n; i++) {
        if (!is_count(v->items[i])) return false;
        out[i] = v->items[i]->integer;
    }
    *n = v->n;
    return true;
}

static kw_status read_view(const value *v, size_t size, kw_torch_reference *out)
{
    size_t end;
    if (!is_sequence(v) || v->n != 3 || !is_count(v->items[1]) || !is_count(v->items[2]) ||
        !kw_mul_size((size_t)v->items[1]->integer, size, &out->view_at) ||
        !kw_mul_size((size_t)v->items[2]->integer, size, &end) ||
        !kw_add_size(end, out->view_at, &end) || end > out->bytes)
        return kw_fail(KW_EFORMAT, "a view outside of its storage \"%.*s\"", (int)out->key.n,
                       out->key.p);
    return KW_OK;
}

kw_status kw_torch_read_reference(const value *v, kw_torch_reference *out)
{
    bool fits = v->type == KW_PICKLE_OUTSIDE && v->n >= 5 &&
                v->items[0]->type == KW_PICKLE_STRING &&
                kw_str_is(v->items[0]->string, "storage") &&
                is_named(v->items[1], KW_TORCH_STORAGE) && v->items[2]->type == KW_PICKLE_STRING &&
                v->items[2]->string.n < 64 && is_count(v->items[4]);
    if (!fits)
        return kw_fail(KW_EFORMAT, "a reference to outside of the pickle that is no storage");
    *out = (kw_torch_reference){ .key = v->items[2]->string,
                                 .dtype = (kw_dtype)v->items[1]->global->value };
    size_t size = kw_dtype_get(out->dtype)->bytes;
    if (!kw_mul_size((size_t)v->items[4]->integer, size, &out->bytes))
        return kw_fail(KW_EFORMAT, "storage \"%.*s\" of %lld values", (int)out->key.n, out->key.p,
                       (long long)v->items[4]->integer);
    bool is_view = v->n > 5 && v->items[5]->type != KW_PICKLE_NONE;
    return is_view ? read_view(v->items[5], size, out) : KW_OK;
}

/* ---- tensors ---- */

typedef struct view {
    kw_tensor t;
    int64_t strides[KW_MAX_RANK], offset;
    const unsigned char *storage;
    size_t n_values; /* of the storage */
} view;

static bool is_in_order(const view *v)
{
    int64_t step = 1;
    for (int i = v->t.rank; i-- > 0; step *= v->t.shape[i])
        if (v->t.shape[i] != 1 && v->strides[i] != step) return false;
    return true;
}

/* The last value that a view may reach lies in its storage. */
static bool is_inside(const view *v, size_t bytes)
{
    size_t last = (size_t)v->offset, step;
    if (bytes == 0) return last <= v->n_values;
    for (int i = 0; i < v->t.rank; i++)
        if (!kw_mul_size((size_t)v->t.shape[i] - 1, (size_t)v->strides[i], &step) ||
            !kw_add_size(last, step, &last))
            return false;
    return last < v->n_values;
}

static unsigned char *gather(const view *v, int axis, size_t from, unsigned char *dst)
{
    size_t size = kw_dtype_get(v->t.dtype)->bytes;
    if (axis == v->t.rank) {
        memcpy(dst, v->storage + from * size, size);
        return dst + size;
    }
    size_t n = (size_t)v->t.shape[axis], stride = (size_t)v->strides[axis];
    if (axis + 1 == v->t.rank && stride == 1) {
        memcpy(dst, v->storage + from * size, n * size);
        return dst + n * size;
    }
    for (size_t i = 0; i < n; i++) dst = gather(v, axis + 1, from + i * stride, dst);
    return dst;
}

static kw_status place(kw_torch_home *h, view *v, size_t bytes)
{
    size_t size = kw_dtype_get(v->t.dtype)->bytes;
    v->t.data = v->storage + (size_t)v->offset * size;
    if (bytes == 0 || (is_in_order(v) && (uintptr_t)v->t.data % size == 0)) return KW_OK;
    if (bytes > h->most_copied - h->copied)
        return kw_fail(KW_ELIMIT,
                       "a copy of %zu bytes, when %zu of at most %zu were copied\nwhy: only "
                       "damaged files claim views of so much more than they hold",
                       bytes, h->copied, h->most_copied);
    h->copied += bytes;
    unsigned char *copy = kw_arena_alloc(h->arena, bytes, 1);
    if (!copy) return KW_ENOMEM;
    gather(v, 0, (size_t)v->offset, copy);
    v->t.data = copy;
    return KW_OK;
}

/* (storage, offset, shape, strides, ...) and perhaps a dtype; the storage is found later. */
static kw_status read_view_of(const value *call, view *v)
{
    uint32_t rank, n_strides;
    bool has_dtype = call->global->value;
    if (call->n < 4 || !is_count(call->items[1]) ||
        !read_counts(call->items[2], v->t.shape, &rank) ||
        !read_counts(call->items[3], v->strides, &n_strides) || rank != n_strides)
        return kw_fail(KW_EFORMAT, "its shape and strides are not up to %d counts each",
                       KW_MAX_RANK);
    for (uint32_t i = rank; i < KW_MAX_RANK; i++) v->t.shape[i] = 1;
    v->t.rank = (int)rank;
    v->offset = call->items[1]->integer;
    if (!has_dtype) return KW_OK;
    if (call->n < 7 || !is_named(call->items[6], KW_TORCH_DTYPE))
        return kw_fail(KW_EFORMAT, "it has no dtype");
    v->t.dtype = (kw_dtype)call->items[6]->global->value;
    return KW_OK;
}

kw_status kw_torch_read_tensor(kw_torch_home *h, const value *call, kw_tensor *out)
{
    kw_torch_reference ref = { 0 };
    kw_torch_storage home = { 0 };
    view v = { 0 };
    size_t bytes;
    char shape[96];
    kw_status st = read_view_of(call, &v);
    if (!st) st = kw_torch_read_reference(call->items[0], &ref);
    if (!st) st = h->find(h->who, &ref, &home);
    if (st) return st;
    if (!call->global->value) v.t.dtype = ref.dtype;
    v.storage = home.data + ref.view_at;
    v.n_values = (ref.bytes - ref.view_at) / kw_dtype_get(v.t.dtype)->bytes;
    if (!kw_tensor_bytes(&v.t, &bytes) || !is_inside(&v, bytes))
        return kw_fail(KW_EFORMAT, "%s from value %lld on is not inside of its storage of %zu",
                       kw_tensor_shape_text(&v.t, shape), (long long)v.offset, v.n_values);
    st = place(h, &v, bytes);
    *out = v.t;
    return st;
}
