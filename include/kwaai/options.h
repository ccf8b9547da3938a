/* options.h - the option structs, expanded from options.def; zero-cost defaults by kw_*_defaults(). */
#ifndef KWAAI_OPTIONS_H
#define KWAAI_OPTIONS_H

#include "kwaai/status.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define KW_TYPE_INT int
#define KW_TYPE_FLOAT float
#define KW_TYPE_U64 uint64_t
#define KW_TYPE_FLAG bool
#define KW_TYPE_TEXT const char *
#define KW_MEMBER(type, name, ...) KW_TYPE_##type name;

/* What all models of a process share: threads and kernels. */
typedef struct kw_engine_options {
#define KW_ENGINE_OPT(...) KW_MEMBER(__VA_ARGS__)
#include "kwaai/options.def"
} kw_engine_options;

/* How far a long piece of work is, in bytes; done == total comes once, at its end. */
typedef void (*kw_progress_fn)(void *user, const char *what, uint64_t done, uint64_t total);

/* A low-rank adapter (LoRA): a folder or file of PEFT, or a GGUF file. Its weights are added scale times. */
typedef struct kw_adapter {
    const char *path;
    float scale;
} kw_adapter;

/* How a model's files are opened. */
typedef struct kw_model_options {
#define KW_MODEL_OPT(...) KW_MEMBER(__VA_ARGS__)
#include "kwaai/options.def"
    /* Called while something takes long ("packing"), on the calling thread; NULL is fine. */
    kw_progress_fn on_progress;
    void *progress_user; /* first argument of on_progress */
    /* Merged into the weights as they are loaded, in this order; borrowed for the call. See kw_model_load. */
    const kw_adapter *adapters;
    size_t n_adapters;
} kw_model_options;

/* One conversation or text in motion. */
typedef struct kw_session_options {
#define KW_SESSION_OPT(...) KW_MEMBER(__VA_ARGS__)
#include "kwaai/options.def"
} kw_session_options;

typedef struct kw_logit_bias {
    int32_t id;
    float bias; /* added to the logit; -INFINITY forbids the token */
} kw_logit_bias;

/* How the next token is chosen from the logits. */
typedef struct kw_sampling {
#define KW_SAMPLING_OPT(...) KW_MEMBER(__VA_ARGS__)
#include "kwaai/options.def"
    const kw_logit_bias *logit_bias; /* borrowed for the call that takes the struct */
    size_t n_logit_bias;
} kw_sampling;

enum { KW_BEAMS_MAX = 64 };
/* Beam search (beam.h). */
typedef struct kw_beam_args {
#define KW_BEAM_OPT(...) KW_MEMBER(__VA_ARGS__)
#include "kwaai/options.def"
    int max_tokens;         /* new ids at most; < 0: until the context is full */
    const int32_t *end_ids; /* [n_end_ids]; NULL: the model's */
    size_t n_end_ids;
} kw_beam_args;
#undef KW_MEMBER

/* The defaults of options.def. NULL wherever a function takes options means these. */
KW_API kw_engine_options kw_engine_defaults(void);
KW_API kw_model_options kw_model_defaults(void);
KW_API kw_session_options kw_session_defaults(void);
KW_API kw_sampling kw_sampling_defaults(void);
KW_API kw_beam_args kw_beam_defaults(void);

#ifdef __cplusplus
}
#endif
#endif
