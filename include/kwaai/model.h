/* model.h - a model's files, opened and understood.
 *
 * Weights stay in the mapped file. A model is shared: any number of sessions, on any threads, may use it; it is
 * reference counted and lives until the last release. */
#ifndef KWAAI_MODEL_H
#define KWAAI_MODEL_H

#include "kwaai/engine.h"
#include "kwaai/text.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct kw_model kw_model;

/* path: a GGUF, safetensors, PyTorch or llama2.c file, an index of shards, or a Hugging Face style folder.
 * Errors: KW_ENOTFOUND (no such file), KW_EFORMAT (malformed, with offset and sizes; or a missing tensor, with the nearest
 * name), KW_ESHAPE (names tensor, wanted and found), KW_EUNSUPPORTED (lists the known architectures),
 * KW_ENOMEM, KW_EIO. */
KW_API kw_status kw_model_load(kw_engine *e, const char *path, const kw_model_options *o,
                               kw_model **out);
/* Adapters (o->adapters) become part of the weights: W + scale * alpha / r * B A, computed in f32 and rounded to the type of
 * the weight, so that they cost nothing later. The tensors that they change are copied into memory; of quantized weights these
 * copies are f16, 2 bytes a value. Weights with adapters are packed in memory, never in a file. A PEFT adapter fits a model of
 * either naming, and so does a GGUF one. Errors beside those above: KW_ESHAPE (the adapter is for another model; both
 * are named), KW_EUNSUPPORTED (DoRA, tensors that are no LoRA; named). */
/* Opens files without asking whether this build can compute with them: for programs that show what is inside. Of the answers
 * only tensors, metadata and the file's facts are there (family is "" when it is not known, sizes are 0); a session, batch or
 * plan of it is refused (KW_EINVAL). Needs no engine. */
KW_API kw_status kw_model_inspect(const char *path, const kw_model_options *o, kw_model **out);
KW_API kw_model *kw_model_retain(kw_model *m); /* returns m */
KW_API void kw_model_release(kw_model *m);     /* NULL is fine */

/* The model's tokenizer, borrowed; NULL when it has none (ids still work). */
KW_API const kw_tokenizer *kw_model_tokenizer(const kw_model *m);

typedef struct kw_model_info {
    const char *family; /* "llama" */
    const char *arch;   /* as the file says: "LlamaForCausalLM", "llama"; "" when it does not */
    const char *name;   /* general.name or the folder's name */
    const char *format; /* "GGUF v3" */
    const char *dtype;  /* the dtype of most weight bytes: "Q4_1" */
    uint64_t file_bytes;
    uint64_t n_params;
    int n_encoder_layers; /* beside n_layers, of an encoder-decoder; else 0 */
    int n_layers, dim, n_heads, n_kv_heads, head_dim, ffn_dim, n_vocab;
    int ctx_train; /* tokens the model was trained for */
    size_t n_tensors, n_meta;
    /* Weights in the layout of the device's kernels: "file", "memory", or "none"; where and how much. */
    const char *packed;
    const char *pack_path; /* "" unless in a file */
    uint64_t pack_bytes;
} kw_model_info;
KW_API kw_model_info kw_model_describe(const kw_model *m);

typedef struct kw_tensor_info {
    const char *name;
    size_t name_len;
    const char *dtype;
    int rank;
    int64_t shape[4]; /* outermost first */
    uint64_t bytes;
} kw_tensor_info;
KW_API bool kw_model_tensor(const kw_model *m, size_t i,
                            kw_tensor_info *out); /* false past the last */

/* One metadata line of the file as text: key and value (arrays shortened), at most cap bytes of value. */
KW_API bool kw_model_meta(const kw_model *m, size_t i, const char **key, size_t *key_len,
                          char *value, size_t cap);

/* Ids that end a text or a turn (generation_config.json, GGUF): borrowed until the model is released. */
KW_API const int32_t *kw_model_end_ids(const kw_model *m, size_t *n);

/* The prompt for a conversation: messages_json is an array of {"role","content"}. chat_template: a built-in's name,
 * template text, or NULL for the model's own (a built-in fallback when it has none). Writes at most cap bytes, *len =
 * needed (KW_ELIMIT when too small). */
KW_API kw_status kw_model_render_chat(const kw_model *m, const char *chat_template,
                                      const char *messages_json, size_t messages_len,
                                      bool add_generation_prompt, char *text, size_t cap,
                                      size_t *len);

/* The plan for `rows` rows as text, handed out in pieces. */
typedef void (*kw_write_fn)(void *user, const char *text, size_t len);
KW_API kw_status kw_model_print_plan(const kw_model *m, const kw_session_options *o, int rows,
                                     kw_write_fn write, void *user);

/* Named tensors in, named tensors out: see docs/howto/infer.md. */
typedef struct kw_infer_options {
    kw_session_options session;
    const char *const *want; /* names; n_want 0: everything but hidden states */
    size_t n_want;
    int generate;      /* new ids, 0 for none; exactly this many, an end id does not stop it */
    kw_beam_args beam; /* .beams 0: no search; its max_tokens is `generate` */
} kw_infer_options;
/* KW_EINVAL: an unknown name in want (the message lists the names); KW_EFORMAT: a missing or malformed input, named. */
KW_API kw_status kw_infer(kw_model *m, const char *in_path, const char *out_path,
                          const kw_infer_options *o);

#ifdef __cplusplus
}
#endif
#endif
