/* convert.h - the door of convert/: a model's tensors and facts under the names of another form of file.
 *
 * The families' tables have both names of every number and tensor, so this code knows no family. A job opens the input, pairs
 * its tensors with those of the output (pair.c), puts the facts into the output's form (keys.c, config.c), and streams the
 * rows (rows.c), with adapters added (merge.c). A quantization (quantize.c) is a job whose rows are coded anew, by all
 * threads. */
#ifndef KW_CONVERT_H
#define KW_CONVERT_H

#include "run/lora.h"

typedef struct kw_convert_item {
    kw_named_tensor out; /* name, dtype, shape */
    const kw_tensor **in;
    int n_in; /* one below the other */
    kw_row_order order;
    float plus; /* added to every value: 0, 1 or -1 */
} kw_convert_item;

typedef struct kw_convert_job {
    const kw_convert_options *o;
    kw_model *m; /* opened to look at it; family and config are there where the names change */
    bool to_gguf, renames;
    bool is_quantized;   /* by quantize.c, which says itself of what type the file is */
    kw_dtype dtype;      /* KW_DTYPE_COUNT: as they are */
    const kw_arch *arch; /* the output's row of the family's */
    kw_head_counts heads;
    kw_arena arena;
    kw_convert_item *items;
    size_t n, cap;
    bool has_head; /* the model has a head of its own */
    kw_lora *adapters;
    kw_lora_change *changes; /* of all adapters, one after the other */
    size_t n_adapters, n_changes;
    uint64_t done, total;
} kw_convert_job;

/* convert.c: what is known of the opened model, and its items. */
kw_status kw_convert_plan(kw_convert_job *j);
/* pair.c: fills items. */
kw_status kw_convert_pair(kw_convert_job *j);
/* An empty item at the end of the list, or NULL. */
kw_convert_item *kw_convert_add(kw_convert_job *j);
/* rows.c: one tensor after the other. */
kw_status kw_convert_rows(kw_convert_job *j, kw_tensor_writer *w);
/* Where the bytes of an item's row lie, in its source's dtype; NULL: in no one place, or they are not its values. */
const void *kw_convert_row(const kw_convert_job *j, const kw_convert_item *it, int64_t row);
/* n values of an item from this row and column on. */
void kw_convert_read(const kw_convert_job *j, const kw_convert_item *it, const int64_t at[2],
                     size_t n, float *x);
void kw_convert_forget(const kw_convert_job *j, const kw_convert_item *it); /* read to the end */
/* merge.c: adapters are opened; what they change is found and checked, once the items are there; what a tensor of an item is
 * with them takes its place. room: until the item is written. */
kw_status kw_convert_open_adapters(kw_convert_job *j);
void kw_convert_close_adapters(kw_convert_job *j);
kw_status kw_convert_find_changes(kw_convert_job *j);
kw_status kw_convert_merge(const kw_convert_job *j, kw_convert_item *it, kw_arena *room);
/* keys.c */
kw_status kw_convert_keys(kw_convert_job *j, kw_gguf_keys *k);
kw_status kw_convert_try_folder(kw_status st); /* what helps where GGUF has no word for something */
/* GGUF's tensors that come from the configuration (divisors of rope), added to the items. */
kw_status kw_convert_divisors(kw_convert_job *j);
/* What Llama 3's scaling divides frequencies by, [head_dim / 2]; divisors has twice the room. */
void kw_convert_llama3(const kw_rope_config *rope, float *divisors);
/* config.c: config.json, generation_config.json and the tokenizer's files, into a folder. */
kw_status kw_convert_folder(kw_convert_job *j, const char *folder);
/* sentence.c: how a sentence encoder pools, into a folder. */
kw_status kw_convert_pooling(kw_convert_job *j, const char *folder);
/* A file beside the input, where there is one. */
kw_status kw_convert_copy(const kw_convert_job *j, const char *folder, const char *name);
/* fields.c: what the family's config says, whatever file it came from. */
const kw_field *kw_convert_field(const kw_convert_job *j, const char *json, const char *gguf);
const void *kw_convert_value(const kw_convert_job *j, const kw_field *f);
const kw_rope_config *kw_convert_rope(const kw_convert_job *j); /* NULL: the family has none */
const char *kw_convert_rope_type(const kw_convert_job *j);      /* "" for none */
const kw_windows *kw_convert_windows(const kw_convert_job *j);  /* NULL: the family has none */

#endif
