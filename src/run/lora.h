/* lora.h - low-rank adapters: read from their files, added to a checkpoint's tensors. */
#ifndef KW_RUN_LORA_H
#define KW_RUN_LORA_H

#include "run/run.h"

/* What adapter_config.json says. */
typedef struct kw_lora_config {
    double alpha;
    bool by_root; /* alpha / sqrt(r) instead of alpha / r */
    bool turned;  /* targets are stored [in, out] (fan_in_fan_out) */
    kw_str base;  /* base_model_name_or_path; "" when it is not said */
} kw_lora_config;
/* Texts are borrowed from `text` or the arena. KW_EUNSUPPORTED names what is not applied. */
kw_status kw_lora_read_config(kw_str text, kw_arena *arena, kw_lora_config *out);

/* One pair of an adapter: target += alpha / r * B A. */
typedef struct kw_lora_pair {
    kw_str target; /* the tensor's name, as the adapter's side names it */
    const kw_tensor *a, *b;
    const kw_tensor
        *base; /* what PEFT keeps of an embedding beside its pair: the target as it was; or NULL */
    bool is_embedding; /* PEFT: A is [r, rows], B [cols, r]; GGUF: A is [rows, r], B [cols, r] */
} kw_lora_pair;

typedef struct kw_lora {
    kw_checkpoint *ck;
    kw_arena arena;
    kw_lora_config config;
    bool is_gguf;
    kw_lora_pair *pairs;
    size_t n;
    const char *path;
} kw_lora;

/* A folder or file of PEFT (adapter_config.json beside it), or a GGUF file. */
kw_status kw_lora_open(const char *path, kw_lora *out);
void kw_lora_close(kw_lora *l); /* a zeroed one is fine */

/* What a pair does to a tensor of a model. Of the model only ck, family, config, member, arch and name are used, of its engine
 * (which may be NULL) the threads: for conversions as well as for loading. */
typedef struct kw_lora_change {
    const kw_model *m;
    const kw_lora *l;
    const kw_lora_pair *pair;
    const kw_named_tensor *target;
    const kw_weight_row *row; /* NULL: both sides name it alike */
    float scale;              /* alpha / r and what was asked for */
} kw_lora_change;
/* l->n changes. KW_ESHAPE: the adapter is for another model. KW_EINVAL: no weight would be a number afterwards. */
kw_status kw_lora_changes(const kw_model *m, const kw_lora *l, double scale, kw_lora_change *out);
/* The type that the sum is kept in: the weight's own where that has 16 bits or more, otherwise f16. */
kw_dtype kw_lora_dtype(kw_dtype weight);
/* from + s B A as kw_lora_dtype says, to where `from` lies (when its type stays) or somewhere else. */
kw_status kw_lora_add(const kw_lora_change *c, const kw_tensor *from, void *to);

/* Opens, merges and closes. */
kw_status kw_lora_apply(kw_model *m, const kw_adapter *a);

#endif
