/* inspect.h - what is odd about a model's files: for programs that look after files rather than run them. */
#ifndef KWAAI_INSPECT_H
#define KWAAI_INSPECT_H

#include "kwaai/model.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One of the files behind a model; false past the last. The path is borrowed from the model. */
typedef struct kw_file_info {
    const char *path;
    uint64_t bytes;
} kw_file_info;
KW_API bool kw_model_file(const kw_model *m, size_t i, kw_file_info *out);

/* SHA-256 of file i, in lower-case hexadecimal. KW_EIO: the file changed since it was opened; KW_EINVAL: its weights were
 * packed where they lay, load the model with packing off. */
KW_API kw_status kw_model_sha256(const kw_model *m, size_t i, char hex[65],
                                 kw_progress_fn on_progress, void *user);

typedef struct kw_finding {
    /* nan, infinite, zeros, constant, duplicate, unused, missing, config, crooked, gap, trailing, header */
    const char *kind;
    const char *text; /* a sentence with names and numbers; both are borrowed for the call */
    bool is_bad; /* the file is damaged or of no use to its family; else it is only worth knowing */
} kw_finding;
typedef void (*kw_finding_fn)(void *user, const kw_finding *f);

/* Reads every value of every tensor, and asks the family, if this build knows it, which tensors it would use. The model may be
 * one of kw_model_inspect. Fails only when that is not possible: KW_ENOMEM, KW_EIO; KW_EINVAL: weights were packed where they lay, load
 * the model with packing off. */
KW_API kw_status kw_model_examine(kw_model *m, kw_finding_fn fn, void *user,
                                  kw_progress_fn on_progress, void *progress_user);

#ifdef __cplusplus
}
#endif
#endif
