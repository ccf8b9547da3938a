/* pack.h - packed weights in files: where those of a model lie, what a file is, and whether it is intact.
 *
 * Loading a model with kw_model_options.pack makes and uses such files by itself; these calls are for looking after them. A pack
 * can be removed at any time: it is made again when it is missed. */
#ifndef KWAAI_PACK_H
#define KWAAI_PACK_H

#include "kwaai/model.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The file of this model in the folder `dir`, whether it is there or not; "" when the engine's kernels use none.
 * KW_ELIMIT when cap is too small; KW_EINVAL: its weights were packed where they lay, load it with packing off. */
KW_API kw_status kw_model_pack_path(const kw_model *m, const char *dir, char *path, size_t cap);

typedef struct kw_pack_info {
    uint64_t bytes;
    size_t n_tensors;
    bool is_current;   /* this build would use it */
    char source[4096]; /* the model it was made of, as a path from the root; "" where unknown */
} kw_pack_info;
/* Reads header and index. KW_ENOTFOUND, KW_EIO; KW_EFORMAT: no pack, or a damaged one. */
KW_API kw_status kw_pack_describe(const char *path, kw_pack_info *out);

/* Reads every byte of a pack and compares it with the checksums written with it; with a model (NULL is fine), its weights too.
 * KW_EVERIFY names the first tensor that differs; KW_EFORMAT: the pack is damaged, or of another build or model; KW_EINVAL as above. */
KW_API kw_status kw_pack_verify(kw_engine *e, const char *path, kw_model *m,
                                kw_progress_fn on_progress, void *user);

#ifdef __cplusplus
}
#endif
#endif
