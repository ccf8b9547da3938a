/* dtype.c - dtype.def as a table, and what a tensor's shape answers. */
#include "tensor/decode.h"
#include <stdio.h>
#include <string.h>

static const kw_dtype_info dtypes[KW_DTYPE_COUNT] = {
#define KW_DTYPE(name, text, block, bytes, ggml, safetensors, decode, encode)                      \
    [KW_##name] = { text, block, bytes, ggml, safetensors, decode, encode },
#include "tensor/dtype.def"
#undef KW_DTYPE
};

const kw_dtype_info *kw_dtype_get(kw_dtype t) { return &dtypes[t]; }

bool kw_dtype_from_ggml(uint32_t ggml_type, kw_dtype *out)
{
    for (int i = 0; i < KW_DTYPE_COUNT; i++)
        if (dtypes[i].ggml_type >= 0 && (uint32_t)dtypes[i].ggml_type == ggml_type) {
            *out = (kw_dtype)i;
            return true;
        }
    return false;
}

bool kw_dtype_from_safetensors(kw_str name, kw_dtype *out)
{
    for (int i = 0; i < KW_DTYPE_COUNT; i++)
        if (dtypes[i].safetensors && kw_str_is(name, dtypes[i].safetensors)) {
            *out = (kw_dtype)i;
            return true;
        }
    return false;
}

bool kw_dtype_size(kw_dtype t, size_t n, size_t *bytes)
{
    return n % dtypes[t].block == 0 && kw_mul_size(n / dtypes[t].block, dtypes[t].bytes, bytes);
}

int64_t kw_tensor_cols(const kw_tensor *t) { return t->rank ? t->shape[t->rank - 1] : 1; }

int64_t kw_tensor_rows(const kw_tensor *t)
{
    int64_t rows = 1;
    for (int i = 0; i + 1 < t->rank; i++) rows *= t->shape[i];
    return rows;
}

size_t kw_tensor_row_bytes(const kw_tensor *t)
{
    return (size_t)kw_tensor_cols(t) / dtypes[t->dtype].block * dtypes[t->dtype].bytes;
}

size_t kw_tensor_size(const kw_tensor *t)
{
    return (size_t)kw_tensor_rows(t) * kw_tensor_row_bytes(t);
}

const void *kw_tensor_row(const kw_tensor *t, int64_t row)
{
    size_t bytes = kw_tensor_row_bytes(t);
    if (t->parts)
        return (const unsigned char *)t->parts[row / t->shape[1]] +
               (size_t)(row % t->shape[1]) * bytes;
    return (const unsigned char *)t->data + (size_t)row * bytes;
}

const char *kw_tensor_shape_text(const kw_tensor *t, char out[96])
{
    size_t at = 0;
    out[at++] = '[';
    for (int i = 0; i < t->rank; i++)
        at += (size_t)snprintf(out + at, 96 - at, i ? ", %lld" : "%lld", (long long)t->shape[i]);
    snprintf(out + at, 96 - at, "]");
    return out;
}
