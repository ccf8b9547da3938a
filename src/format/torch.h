/* torch.h - what the two files that read PyTorch's formats share (format/ only). */
#ifndef KW_FORMAT_TORCH_H
#define KW_FORMAT_TORCH_H

#include "format/pickle.h"

/* The names that a pickle of PyTorch may use, by what they are. */
typedef enum kw_torch_kind {
    KW_TORCH_DICT,
    KW_TORCH_STORAGE,   /* value: its dtype */
    KW_TORCH_DTYPE,     /* value: it */
    KW_TORCH_TENSOR,    /* value: whether the seventh argument is a dtype */
    KW_TORCH_PARAMETER, /* of a tensor, its first argument */
    KW_TORCH_SHAPE,     /* of a tuple */
    KW_TORCH_IGNORED
} kw_torch_kind;
extern const kw_pickle_global kw_torch_names[];
bool kw_torch_is_call(const kw_pickle_value *v, kw_torch_kind k);

/* ("storage", type, key, location, number of values[, view]) */
typedef struct kw_torch_reference {
    kw_str key;
    kw_dtype dtype;
    size_t bytes, view_at; /* bytes of the storage; where a view of it begins */
} kw_torch_reference;
kw_status kw_torch_read_reference(const kw_pickle_value *v, kw_torch_reference *out);

typedef struct kw_torch_storage {
    const unsigned char *data;
    size_t bytes;
} kw_torch_storage;

/* Where tensors find their storages, and the memory of those that do not lie in order. */
typedef struct kw_torch_home {
    kw_status (*find)(void *who, const kw_torch_reference *ref, kw_torch_storage *out);
    void *who;
    kw_arena *arena;
    size_t copied, most_copied; /* bytes */
} kw_torch_home;

/* The tensor that a call (KW_TORCH_TENSOR) makes: its bytes in its storage, or a copy of them in order. */
kw_status kw_torch_read_tensor(kw_torch_home *h, const kw_pickle_value *call, kw_tensor *out);

#endif
