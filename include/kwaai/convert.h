/* convert.h - a model from one form of files to another: GGUF, safetensors, Hugging Face folders, PyTorch. */
#ifndef KWAAI_CONVERT_H
#define KWAAI_CONVERT_H

#include "kwaai/options.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct kw_convert_options {
    const char *to; /* "gguf", "safetensors"; NULL or "": what out's name says */
    const char
        *dtype; /* of matrices: "F32", "F16", "BF16", "Q8_0", "Q4_0"; NULL or "": as they are */
    const char *tokenizer;      /* a file or folder with it; NULL or "": the model's own */
    uint64_t split_bytes;       /* begin another file where one would be larger; 0: never */
    bool force;                 /* replace what is at out */
    bool allow_nan;             /* write NaN and infinite weights instead of refusing them */
    kw_progress_fn on_progress; /* NULL is fine */
    void *progress_user;
    /* Merged into the weights, in this order; borrowed for the call. The output is what kw_model_load computes with. */
    const kw_adapter *adapters;
    size_t n_adapters;
} kw_convert_options;

/* in: whatever kw_model_load takes. out: NAME.gguf, NAME.safetensors (tensors alone), or a folder, which gets safetensors, the
 * configuration and the tokenizer. The result computes the same: in exact mode to the bit, unless dtype says otherwise.
 * Nothing is at out before all of it is; what was there stays until then. A tensor is held in pieces, never whole.
 *
 * Errors: KW_EINVAL (out is in, exists, an unknown dtype), KW_ENOTFOUND (no such file, no config.json), KW_EUNSUPPORTED (an
 * architecture, or something of it that the other form cannot say), KW_EVERIFY (names a tensor with NaN or infinite values),
 * KW_EWRITE (the disk is full...), KW_EFORMAT. */
KW_API kw_status kw_convert(const char *in, const char *out, const kw_convert_options *o);

#ifdef __cplusplus
}
#endif
#endif
