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

/* Adds the adapter to the tensors of m->ck. Of m only ck, family, config, member, arch and name are used, of its
 * engine (which may be NULL) the threads: for conversions as well as for loading. */
kw_status kw_lora_merge(kw_model *m, const kw_lora *l, float scale);
/* Opens, merges and closes. */
kw_status kw_lora_apply(kw_model *m, const kw_adapter *a);

#endif
