/* internal.h - a checkpoint's members, for the readers that fill them. */
#ifndef KW_FORMAT_INTERNAL_H
#define KW_FORMAT_INTERNAL_H

#include "format/format.h"

enum { KW_MAX_SHARDS = 4096 };

struct kw_checkpoint {
    kw_arena arena; /* names, metadata, copies of misaligned tensors */
    kw_source **sources;
    size_t n_sources, cap_sources;
    kw_named_tensor *tensors;
    size_t n_tensors, cap_tensors;
    kw_map by_name; /* name -> index of tensors */
    kw_meta *metas;
    size_t n_metas;
    kw_map by_key;
    const kw_json *config, *generation_config;
    kw_naming naming;
    const char *format; /* in the arena or a constant */
    char *folder;
};

/* Readers: each adds the tensors (and metadata) of one source that the checkpoint already owns. */
kw_status kw_gguf_read(kw_checkpoint *ck, kw_source *s, kw_file_options o); /* and its parts */
kw_status kw_llama2c_read(kw_checkpoint *ck, kw_source *s);
kw_status kw_ggml_read(kw_checkpoint *ck, kw_source *s); /* of before GGUF */
bool kw_ggml_fits(const void *head, size_t len);
kw_status kw_npy_read(kw_checkpoint *ck, kw_source *s);
bool kw_npy_fits(const void *head, size_t len);
bool kw_llama2c_fits(const void *head, size_t len, uint64_t file_size);
kw_status kw_safetensors_read(kw_checkpoint *ck, kw_source *s);
kw_status kw_torch_read(kw_checkpoint *ck, kw_source *s); /* zip or legacy, by its first byte */
/* An index names the shards (safetensors or PyTorch) that its tensors are in. */
kw_status kw_index_read(kw_checkpoint *ck, kw_source *index, kw_file_options o);
/* Reads a file of named tensors, safetensors or PyTorch, whole or one of several: none has metadata. */
kw_status kw_checkpoint_read_part(kw_checkpoint *ck, kw_source *s);

/* Takes s, also on failure. */
kw_status kw_checkpoint_own(kw_checkpoint *ck, kw_source *s);
/* Adds a tensor whose bytes are data[0..bytes) of a source; a second one of the same name is an error. */
kw_status kw_checkpoint_add(kw_checkpoint *ck, kw_str name, const kw_tensor *t);
kw_status kw_checkpoint_add_meta(kw_checkpoint *ck, const kw_meta *m, size_t cap);
/* Keys that a file of another form would have in GGUF: numbers (U32 or F32) and words; cap as above. */
typedef struct kw_own_number {
    const char *key;
    double value;
    bool is_float;
} kw_own_number;
kw_status kw_checkpoint_add_numbers(kw_checkpoint *ck, const kw_own_number *all, size_t n,
                                    size_t cap);
kw_status kw_checkpoint_add_word(kw_checkpoint *ck, const char *key, const char *word, size_t cap);
/* No two tensors of one source may share bytes. */
kw_status kw_checkpoint_check_overlap(const kw_checkpoint *ck, size_t first);
/* Tensors from `first` on that lie where their values cannot be read are copied. */
kw_status kw_checkpoint_align(kw_checkpoint *ck, size_t first);
bool kw_source_holds(const kw_source *s, const void *data); /* is this in its map? */
/* Total bytes of a tensor; false on overflow or a row that is not made of whole blocks. */
bool kw_tensor_bytes(const kw_tensor *t, size_t *bytes);

size_t kw_gguf_width(kw_gguf_type type); /* bytes of a number; 0: it is none */

/* ---- writing: what differs between the formats (tensor_write.c has the rest) ---- */
typedef struct kw_write_part {
    const kw_named_tensor *tensors; /* those of this file */
    size_t n, index, n_parts,
        n_all; /* index: which of n_parts files; n_all: tensors in all of them */
    const void *user;
} kw_write_part;

typedef struct kw_write_format {
    const char *ending; /* of names; a split's numbers go before it */
    uint64_t alignment; /* of the header's end and of every tensor's begin */
    /* Everything before the first tensor, without the padding to alignment. */
    kw_status (*header)(const kw_write_part *p, kw_buf *out);
    const char *index; /* ending of the file that says where tensors are, or NULL */
} kw_write_format;

/* all: tensors, n and user. */
kw_status kw_tensors_create(const char *path, const kw_write_format *format, kw_write_part all,
                            uint64_t split_bytes, kw_tensor_writer **out);

#endif
