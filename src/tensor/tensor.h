/* tensor.h - the door of tensor/: what numbers are and how they are packed.
 *
 * A tensor is row-major with its outermost dimension first, and it never owns its bytes. Rows (the last
 * dimension) are made of whole blocks, so a row of any dtype can be addressed and decoded by itself. */
#ifndef KW_TENSOR_H
#define KW_TENSOR_H

#include "base/base.h"

/* One line of dtype.def per dtype:
 *     KW_DTYPE(name, "text name", block, bytes, ggml, safetensors, decode, encode)
 * block: values per block; bytes: bytes per block; ggml: type number in GGUF files or -1;
 * safetensors: its name there or NULL; decode / encode: functions below or NULL. */
typedef enum kw_dtype {
#define KW_DTYPE(name, text, block, bytes, ggml, safetensors, decode, encode) KW_##name,
#include "tensor/dtype.def"
#undef KW_DTYPE
    KW_DTYPE_COUNT
} kw_dtype;

/* n values, a multiple of the block; src has no alignment (files are packed), dst is aligned for float.
 * Decoding is exact as defined by the format: every product and sum rounded once, in the order of the
 * reference implementation (gguf-py), so its bits are those of the golden files. */
typedef void (*kw_decode_fn)(const void *src, float *dst, size_t n);
typedef void (*kw_encode_fn)(const float *src, void *dst, size_t n);

typedef struct kw_dtype_info {
    const char *name;
    uint32_t block, bytes;
    int ggml_type;
    const char *safetensors;
    kw_decode_fn decode; /* NULL: not a floating type (integers) */
    kw_encode_fn encode; /* NULL: no encoder yet */
} kw_dtype_info;

const kw_dtype_info *kw_dtype_get(kw_dtype t);
/* fit.c: n values, one row of a matrix, to blocks; t is one of those that kw_can_encode. Values must be finite.
 * importance: [n] how much an error of each column counts (0: not at all), or NULL; formats of one rounding ignore it. */
bool kw_can_encode(kw_dtype t);
void kw_encode_row(kw_dtype t, const float *x, const float *importance, size_t n, void *dst);
bool kw_dtype_from_ggml(uint32_t ggml_type, kw_dtype *out);
bool kw_dtype_from_safetensors(kw_str name, kw_dtype *out);
/* Bytes of n values; false when n is not a multiple of the block or the size overflows. */
bool kw_dtype_size(kw_dtype t, size_t n, size_t *bytes);

enum { KW_MAX_RANK = 4 };

typedef struct kw_tensor {
    kw_dtype dtype;
    int rank;                   /* 0 (one value) to KW_MAX_RANK */
    int64_t shape[KW_MAX_RANK]; /* outermost first; unused entries are 1 */
    const void *data;           /* borrowed */
    const void *const *
        parts; /* rank 3: where each [shape[1], shape[2]] lies; NULL: one behind the other at data */
    const void *packed; /* the same values in a backend's own layout, or NULL; borrowed */
    /* Packed where the rows lay, which are there no more: so many panels at `packed`, those behind them at `rest`. 0: rows are
     * at `data`, and all panels at `packed`. Who reads rows asks the backend (kw_cpu_row). */
    size_t n_in_place;
    const void *rest;
} kw_tensor;

int64_t kw_tensor_cols(const kw_tensor *t); /* the last dimension; 1 for rank 0 */
int64_t kw_tensor_rows(const kw_tensor *t); /* the product of all others */
size_t kw_tensor_row_bytes(const kw_tensor *t);
size_t kw_tensor_size(const kw_tensor *t); /* bytes of all rows */
const void *kw_tensor_row(const kw_tensor *t, int64_t row);
/* "[32, 64]" */
const char *kw_tensor_shape_text(const kw_tensor *t, char out[96]);

/* half.c: round to nearest even; NaN stays NaN; subnormals exact. */
float kw_f16_to_f32(uint16_t h);
uint16_t kw_f32_to_f16(float x);
float kw_bf16_to_f32(uint16_t h);
uint16_t kw_f32_to_bf16(float x);

#endif
