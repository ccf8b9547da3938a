/* format.h - the door of format/: files and streams become named tensors and metadata.
 *
 * A kw_source is anything with a size and read_at (a file, memory, later a peer or an HTTP range); the file
 * map comes first, so weights are used where they lie. A kw_checkpoint is a model's files behind one face,
 * whatever their format: named tensors, and a configuration that is asked by the name each side uses.
 * Everything read here is untrusted and goes through kw_cursor. */
#ifndef KW_FORMAT_H
#define KW_FORMAT_H

#include "base/base.h"
#include "tensor/tensor.h"

/* ---- source ---- */
typedef struct kw_source {
    uint64_t size;
    const unsigned char *map; /* all bytes, or NULL: then only read_at works */
    kw_status (*read_at)(struct kw_source *s, uint64_t at, void *dst, size_t len);
    kw_status (*check)(struct kw_source *s); /* still what was opened? (KW_EIO when not) */
    void (*forget)(struct kw_source *s, uint64_t at,
                   uint64_t len); /* hint: not needed soon; may be NULL */
    void (*close)(struct kw_source *s);
    char *name;     /* for messages: path or "memory" */
    bool is_mapped; /* unused bytes take no memory */
    bool is_own;    /* read into memory that is the source's: it may be written over */
    uint64_t stamp; /* of the file's size, times and inode; 0: there is none to rely on */
} kw_source;

kw_status kw_source_file(const char *path, kw_file_options o, kw_source **out);
kw_status kw_source_memory(const void *data, size_t len, const char *name,
                           kw_source **out); /* data is borrowed */
kw_status kw_source_read(kw_source *s, uint64_t at, void *dst,
                         size_t len); /* bounds-checked read_at */
void kw_source_close(kw_source *s);   /* NULL is fine */

/* ---- cursor: the one bounded reader. Little endian. A failed read returns false and sticks. ---- */
typedef struct kw_cursor {
    const unsigned char *at, *end, *start;
    const char *what; /* "GGUF header": named in failures */
    bool failed;
} kw_cursor;

kw_cursor kw_cursor_of(const void *data, size_t len, const char *what);
size_t kw_cursor_left(const kw_cursor *c);
size_t kw_cursor_pos(const kw_cursor *c);
bool kw_cursor_u8(kw_cursor *c, uint8_t *out);
bool kw_cursor_u16(kw_cursor *c, uint16_t *out);
bool kw_cursor_u32(kw_cursor *c, uint32_t *out);
bool kw_cursor_u64(kw_cursor *c, uint64_t *out);
bool kw_cursor_f32(kw_cursor *c, float *out);
bool kw_cursor_f64(kw_cursor *c, double *out);
bool kw_cursor_bytes(kw_cursor *c, uint64_t len, kw_str *out); /* borrowed */
bool kw_cursor_skip(kw_cursor *c, uint64_t len);
kw_status kw_cursor_fail(const kw_cursor *c); /* "GGUF header ends at byte 40 of 40: truncated?" */

/* ---- metadata (GGUF key/values; llama2.c's header appears in the same form) ---- */
typedef enum kw_meta_type {
    KW_META_INT,
    KW_META_FLOAT,
    KW_META_BOOL,
    KW_META_STRING,
    KW_META_ARRAY
} kw_meta_type;

/* GGUF's types of values, by its numbers. */
typedef enum kw_gguf_type {
    KW_GGUF_U8,
    KW_GGUF_I8,
    KW_GGUF_U16,
    KW_GGUF_I16,
    KW_GGUF_U32,
    KW_GGUF_I32,
    KW_GGUF_F32,
    KW_GGUF_BOOL,
    KW_GGUF_STRING,
    KW_GGUF_ARRAY,
    KW_GGUF_U64,
    KW_GGUF_I64,
    KW_GGUF_F64,
    KW_GGUF_TYPES
} kw_gguf_type;

typedef struct kw_meta {
    kw_str key;
    kw_meta_type type;
    int64_t integer;        /* INT, BOOL; u64 above 2^63-1 is refused */
    double number;          /* INT, FLOAT */
    kw_str string;          /* borrowed from the file */
    kw_meta_type item_type; /* ARRAY: of what (an array of arrays is refused) */
    uint32_t ggml;          /* a kw_gguf_type: the value's, as it stands in the file */
    uint32_t item_ggml; /* ARRAY: the items'; 0x100 more in version 1, with its narrow lengths */
    uint64_t n_items;
    kw_str items; /* ARRAY: the raw packed items, already checked to be complete */
} kw_meta;

/* Walks an array's items: numbers as double and integer, strings as slices. false at the end. */
typedef struct kw_meta_walk {
    kw_cursor c;
    uint64_t left;
    uint32_t ggml;
} kw_meta_walk;
kw_meta_walk kw_meta_items(const kw_meta *m);
bool kw_meta_next_string(kw_meta_walk *w, kw_str *out);
bool kw_meta_next_number(kw_meta_walk *w, double *number, int64_t *integer); /* outs may be NULL */

/* ---- checkpoint ---- */
typedef struct kw_named_tensor {
    kw_str name;      /* borrowed from the checkpoint */
    kw_tensor tensor; /* data points into the map */
} kw_named_tensor;

/* Which of the two families of names a checkpoint speaks. llama2.c files appear with GGUF names. */
typedef enum kw_naming { KW_NAMING_HF, KW_NAMING_GGUF } kw_naming;

typedef struct kw_checkpoint kw_checkpoint;

/* path: a GGUF (or any part of one), old GGML, safetensors, PyTorch or llama2.c file, an index.json of shards, or a
 * Hugging Face style folder (model.safetensors or pytorch_model.bin or an index of them, config.json,
 * generation_config.json). For a single safetensors or PyTorch file config.json is read beside it. Formats are sniffed
 * from the bytes, never from the file's name. Errors: KW_ENOTFOUND, KW_EFORMAT, KW_EUNSUPPORTED (big-endian GGUF,
 * pickles that call something, experts...), KW_EIO. */
kw_status kw_checkpoint_open(const char *path, kw_file_options o, kw_checkpoint **out);
/* The same from an open source (taken, also on failure) and the texts of config files (may be empty). */
kw_status kw_checkpoint_from_source(kw_source *weights, kw_str config_json, kw_checkpoint **out);
void kw_checkpoint_close(kw_checkpoint *ck);

kw_naming kw_checkpoint_naming(const kw_checkpoint *ck);
const char *kw_checkpoint_format(
    const kw_checkpoint *ck); /* "GGUF v3", "safetensors", "llama2.c" */
const char *kw_checkpoint_folder(
    const kw_checkpoint *ck); /* where tokenizer files lie; "" when in memory */
uint64_t kw_checkpoint_bytes(const kw_checkpoint *ck); /* all weight files together */
/* Would writing this path, by way of PATH.tmp, overwrite one of its files? Links are followed. */
bool kw_checkpoint_is_at(const kw_checkpoint *ck, const char *path);
size_t kw_checkpoint_count(const kw_checkpoint *ck);
const kw_named_tensor *kw_checkpoint_at(const kw_checkpoint *ck, size_t i);
const kw_named_tensor *kw_checkpoint_find(const kw_checkpoint *ck,
                                          const char *name); /* NULL when absent */
const char *kw_checkpoint_nearest(const kw_checkpoint *ck,
                                  const char *name); /* NULL when nothing is near */
const kw_meta *kw_checkpoint_meta(const kw_checkpoint *ck,
                                  const char *key); /* GGUF naming; NULL when absent */
size_t kw_checkpoint_meta_count(const kw_checkpoint *ck);
const kw_meta *kw_checkpoint_meta_at(const kw_checkpoint *ck, size_t i);
const kw_json *kw_checkpoint_config(const kw_checkpoint *ck);            /* config.json, or NULL */
const kw_json *kw_checkpoint_generation_config(const kw_checkpoint *ck); /* or NULL */
/* KW_EIO when a weights file shrank or changed on disk since it was opened. Cheap: one fstat a file. */
kw_status kw_checkpoint_check(const kw_checkpoint *ck);
/* What tells one set of weights from another, wherever the files lie: names, types, shapes, sizes, and a sample of every
 * tensor. Two files with one identity are likely, but not certainly, the same. */
typedef struct kw_identity {
    uint64_t word[2];
} kw_identity;
kw_identity kw_checkpoint_identity(const kw_checkpoint *ck);
/* The state of the files themselves: any write, and any copy, gives another stamp. 0: there is none to rely on, for a file
 * changed so recently that a further change would not show. */
uint64_t kw_checkpoint_stamp(const kw_checkpoint *ck);
bool kw_checkpoint_is_mapped(const kw_checkpoint *ck); /* all of its files */
/* May these bytes of a tensor be written over? Not those of a map, nor borrowed ones. */
bool kw_checkpoint_owns(const kw_checkpoint *ck, const void *data);
/* Hint that a tensor's bytes were copied and will not be read in the map again. */
void kw_checkpoint_forget(const kw_checkpoint *ck, const kw_named_tensor *t);

/* The i-th file behind it, or NULL. */
const kw_source *kw_checkpoint_source(const kw_checkpoint *ck, size_t i);
/* How tensors lie in files: kind is gap or trailing (bytes behind this tensor that are none's), header (of this length, not as
 * the format wants it), crooked (the tensor was copied because its values cannot be read where they lie). */
typedef struct kw_layout_sink {
    void (*fn)(void *user, const char *kind, const kw_source *s, size_t tensor, size_t bytes);
    void *user;
} kw_layout_sink;
kw_status kw_checkpoint_layout(const kw_checkpoint *ck, const kw_layout_sink *sink);

/* A tensor's values may be changed, in a type that need not be the file's: edit gives room for them (where they lie, when it is
 * the checkpoint's own memory already; NULL: no memory), set puts them in the tensor's place. The file stays as it is. */
void *kw_checkpoint_edit(kw_checkpoint *ck, const kw_named_tensor *t, kw_dtype dtype);
void kw_checkpoint_set(kw_checkpoint *ck, const kw_named_tensor *t, kw_dtype dtype,
                       const void *data);

/* What a file is, from its first bytes (and size): for commands that take any file. */
typedef enum kw_file_kind {
    KW_FILE_UNKNOWN,
    KW_FILE_GGUF,
    KW_FILE_SAFETENSORS,
    KW_FILE_SAFETENSORS_INDEX,
    KW_FILE_LLAMA2C,
    KW_FILE_PICKLE,
    KW_FILE_ZIP,
    KW_FILE_JSON,
    KW_FILE_SENTENCEPIECE,
    KW_FILE_LLAMA2C_TOKENIZER,
    KW_FILE_TAR,
    KW_FILE_GGML,
    KW_FILE_NPY
} kw_file_kind;
kw_file_kind kw_file_sniff(const void *head, size_t head_len, uint64_t file_size);
const char *kw_file_kind_name(kw_file_kind k);

/* ---- a bag of tensors: infer's input (safetensors, NumPy's .npy and .npz, PyTorch) and output (safetensors) ---- */
typedef struct kw_tensor_file kw_tensor_file; /* tensors with names, from one source */
kw_status kw_tensors_open(kw_source *s, kw_tensor_file **out); /* takes s, also on failure */
void kw_safetensors_close(kw_tensor_file *f);
size_t kw_safetensors_count(const kw_tensor_file *f);
const kw_named_tensor *kw_safetensors_at(const kw_tensor_file *f, size_t i);
const kw_named_tensor *kw_safetensors_find(const kw_tensor_file *f, const char *name);
/* Writes the file atomically. Tensors in the given order, header padded to 8 bytes. */
kw_status kw_safetensors_write(const char *path, const kw_named_tensor *tensors, size_t n);

/* ---- writing a file of tensors piece by piece ----
 *
 *     keys, names and shapes -> create: all files are there as NAME.tmp, with their headers and all their space
 *     the bytes of the first tensor, of the second... -> append, in pieces of any size
 *     commit: synced and renamed. Killed before: nothing changed, and the next run takes over the temporaries. */

/* GGUF's metadata, in the making. The first failure sticks in bytes.status. */
typedef struct kw_gguf_keys {
    kw_buf bytes;
    uint64_t n;
} kw_gguf_keys;
#define KW_GGUF_KEYS ((kw_gguf_keys){ .bytes = KW_BUF((size_t)1 << 30, KW_PAY_FILE) })
void kw_gguf_put_int(kw_gguf_keys *k, const char *key, kw_gguf_type type, int64_t v); /* or BOOL */
void kw_gguf_put_float(kw_gguf_keys *k, const char *key, kw_gguf_type type, double v);
void kw_gguf_put_string(kw_gguf_keys *k, const char *key, kw_str v);
/* Exactly n items must follow. */
void kw_gguf_begin_array(kw_gguf_keys *k, const char *key, kw_gguf_type item, uint64_t n);
void kw_gguf_item_int(kw_gguf_keys *k, kw_gguf_type type, int64_t v);
void kw_gguf_item_float(kw_gguf_keys *k, kw_gguf_type type, double v);
void kw_gguf_item_string(kw_gguf_keys *k, kw_str v);
/* All of a GGUF file's keys except those named (NULL ends the list; may be NULL) and those that belong to the file, not the
 * model: general.alignment and split.*. */
void kw_gguf_copy_keys(kw_gguf_keys *k, const kw_checkpoint *ck, const char *const *except);
void kw_gguf_keys_free(kw_gguf_keys *k);

typedef struct kw_tensor_writer kw_tensor_writer; /* owned */
/* Tensors in the given order; of each, name, dtype, rank and shape are read and copied, data is not. split_bytes: begin
 * another file where a file's tensors would be larger (NAME-00001-of-0000N.gguf); 0: never. KW_EWRITE: another process
 * writes this file, the disk has too little space... */
kw_status kw_gguf_create(const char *path, const kw_gguf_keys *keys, const kw_named_tensor *tensors,
                         size_t n, uint64_t split_bytes, kw_tensor_writer **out);
/* The same as safetensors, with {"format": "pt"}; files of a split get NAME.safetensors.index.json. */
kw_status kw_safetensors_create(const char *path, const kw_named_tensor *tensors, size_t n,
                                uint64_t split_bytes, kw_tensor_writer **out);
/* The next bytes of the current tensor; when it has all of its own, the next one is current. */
kw_status kw_tensors_append(kw_tensor_writer *w, const void *data, size_t len);
uint64_t kw_tensors_bytes(const kw_tensor_writer *w); /* all files, as they will be */
/* The path of a file that will be written, of an index last; NULL past them. */
const char *kw_tensors_file(const kw_tensor_writer *w, size_t i);
/* A whole split stands under these names. Its files cannot be replaced at one moment: a commit that is killed would lose it. */
bool kw_tensors_is_taken(const kw_tensor_writer *w);
/* Renames every file to its name, the first of a split last. Frees w, also on failure. */
kw_status kw_tensors_commit(kw_tensor_writer *w);
void kw_tensors_abort(kw_tensor_writer *w); /* NULL is fine */

/* ---- imatrix.c: how much the columns of a model's matrices matter ---- */
typedef struct kw_imatrix_row {
    kw_str name;       /* of the matrix, as in GGUF */
    size_t cols, mats; /* legacy files do not tell experts apart: all values are one line */
    float *mean;       /* [mats][cols] of the squares of what it is multiplied with */
} kw_imatrix_row;

typedef struct kw_imatrix {
    kw_arena arena;
    kw_imatrix_row *rows;
    size_t n;
    kw_map by_name;
    int64_t n_chunks; /* of text that it was made of; 0: unknown */
} kw_imatrix;

kw_status kw_imatrix_open(const char *path, kw_imatrix **out);
kw_status kw_imatrix_read(kw_source *s, kw_imatrix **out); /* takes s, also on failure */
void kw_imatrix_close(kw_imatrix *m);                      /* NULL is fine */
const kw_imatrix_row *kw_imatrix_find(const kw_imatrix *m, kw_str name); /* NULL when absent */

typedef struct kw_imatrix_sums {
    kw_str name;
    size_t cols, mats;
    const float *sum2, *count; /* [mats][cols], [mats] */
} kw_imatrix_sums;
typedef struct kw_imatrix_facts {
    kw_str dataset;
    int64_t n_chunks, chunk; /* chunks of the text, and tokens in one */
} kw_imatrix_facts;
/* GGUF; the legacy form where the path ends in ".dat". All or nothing. */
kw_status kw_imatrix_write(const char *path, const kw_imatrix_sums *rows, size_t n,
                           const kw_imatrix_facts *facts);

#endif
