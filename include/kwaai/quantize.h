/* quantize.h - a model's file with its weights in fewer bits, and how much each column of them matters. */
#ifndef KWAAI_QUANTIZE_H
#define KWAAI_QUANTIZE_H

#include "kwaai/model.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What became of one tensor. */
typedef struct kw_quantized_tensor {
    const char *name;
    size_t name_len;
    const char *from, *to; /* dtypes */
    uint64_t bytes;
    bool has_importance,
        is_fallback; /* its rows do not consist of blocks of the type that was meant */
    double rms, max; /* with measure: error relative to the values' rms; largest error of a value */
} kw_quantized_tensor;

typedef struct kw_quantize_options {
    const char *type; /* "Q4_K_M"; NULL or "" with fit_bytes */
    const char *const
        *overrides; /* "PATTERN=TYPE": tensors whose name fits (* and ?); the first that fits */
    size_t n_overrides;
    const char *imatrix; /* file of importances, or NULL */
    /* take the best type whose file is not larger, of those with no more bits than the input; 0: type says */
    uint64_t fit_bytes;
    bool requantize; /* the input may be quantized already */
    bool force;      /* replace what is at out */
    bool allow_nan;  /* NaN and infinities become 0 in blocks, and stay in floats */
    bool measure;
    void (*on_tensor)(void *user, const kw_quantized_tensor *t);
    kw_progress_fn on_progress;
    void *user; /* of both */
} kw_quantize_options;

typedef struct kw_quantize_result {
    const char *type;
    uint64_t bytes_before, bytes;
    size_t n_tensors, n_fallbacks;
} kw_quantize_result;

/* The i-th type that kw_quantize knows, smallest last; NULL past the end. */
KW_API const char *kw_quantize_type(int i);

/* in: whatever kw_model_load takes. Writes a GGUF file: all or nothing. KW_EINVAL: an unknown type (the message lists them), the output is the
 * input, or there already without force, a quantized input without requantize. KW_EFORMAT names a tensor with values that are not finite. KW_ELIMIT: no type
 * fits. KW_EWRITE: the output cannot be written. */
KW_API kw_status kw_quantize(kw_engine *e, const char *in, const char *out,
                             const kw_quantize_options *o, kw_quantize_result *result);

/* Reads a text with a model and writes how large the inputs of each matrix's columns were, under GGUF's names whatever the model's
 * files are, as GGUF, or in the older form where out ends in ".dat". session.ctx: tokens of a window, 0: 512, BOS among them where the tokenizer puts it; at most
 * max_chunks windows, 0: all. */
typedef struct kw_imatrix_options {
    kw_session_options session;
    int max_chunks;
    const char *dataset; /* the text's name, for the file */
    kw_progress_fn on_progress;
    void *user;
} kw_imatrix_options;
KW_API kw_status kw_imatrix_make(kw_model *m, const int32_t *ids, size_t n, const char *out,
                                 const kw_imatrix_options *o);

#ifdef __cplusplus
}
#endif
#endif
