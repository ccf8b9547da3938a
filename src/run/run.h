/* run.h - the door of run/: a model in motion. The public headers are its face; this adds what its files share. */
#ifndef KW_RUN_H
#define KW_RUN_H

#include "cpu/cpu.h"
#include "family/family.h"
#include "format/format.h"
#include "kwaai/kwaai.h"
#include "plan/plan.h"
#include "text/text.h"

struct kw_engine {
    kw_pool *pool;
    const kw_backend *backend;
    kw_device *device;
    kw_buf features, rows; /* texts of kw_engine_describe */
};

/* pack.c: the matrices that the device has a layout of its own for, and where they lie in it. */
typedef struct kw_matrix {
    const char *name;
    kw_tensor *t;
} kw_matrix;
typedef struct kw_packed {
    kw_matrix *matrices; /* in the order of the family's table */
    size_t n;
    kw_file file;       /* the pack, or no data */
    kw_memory **memory; /* [n] where there is no file; NULL: none was found, or none needed */
    size_t n_replaced;  /* that lie where their rows lay (pack_place.c) */
    const char *path;   /* of the file */
    uint64_t bytes;
} kw_packed;

struct kw_model {
    kw_engine *engine;
    _Atomic int refs;
    kw_arena arena; /* config, weights, names: everything with the model's lifetime */
    kw_checkpoint *ck;
    const kw_family *family;
    int member;            /* the row of the family's archs that the file names */
    kw_str arch;           /* as the file names it */
    const char *arch_name; /* the same, NUL-terminated */
    const char *name;
    kw_config *config; /* the family's, and its weights: they begin with these */
    kw_weights *weights;
    kw_config shape; /* the config's numbers, those included that the weights told */
    kw_tokenizer *tokenizer;
    int32_t *end_ids;
    size_t n_end_ids;
    size_t n_adapters; /* merged into the weights: they are not the file's any more */
    kw_packed packed;
};

/* A layer's weights struct, of the model's family or its encoder's. */
static inline const void *kw_model_layer(const kw_model *m, const kw_family *f, int il)
{
    const char *const *layers =
        (const char *const *)(const void *)((const char *)m->weights + f->layers_at);
    return *layers + (size_t)il * f->layer_size;
}
/* The int member of the config at this offset. */
static inline int kw_model_number(const kw_model *m, size_t at)
{
    return *(const int *)(const void *)((const char *)m->config + at);
}
/* A size that the config does not know (0) is that of the first tensor that has it. */
static inline void kw_model_learn(const kw_model *m, size_t at, const kw_tensor *t)
{
    int *size = (int *)(void *)((char *)m->config + at);
    if (*size == 0 && t->rank == 2 && t->shape[0] <= 0x7fffffff) *size = (int)t->shape[0];
}
static inline int kw_model_layers(const kw_model *m, const kw_family *f)
{
    return kw_model_number(m, f->n_layers_at);
}

/* weight_names.c: what a row of the family's table is called in files. */
enum { KW_NAME_MAX = 160 };
/* The first of a pattern's alternatives, with the layer's and the expert's number in place of %d; the next one, or NULL. */
void kw_weight_name(char out[KW_NAME_MAX], const char *pattern, int il, int expert);
const char *kw_weight_next(const char *pattern);
/* The first of a row's names that the file has; `name` becomes it, or the last one that was looked for. */
const kw_named_tensor *kw_weight_find(const kw_model *m, const kw_weight_row *row, int il,
                                      int expert, char name[KW_NAME_MAX]);

/* row_order.c: how a tensor's rows come about from those of the same tensor in the other form of file. */
typedef enum kw_row_order {
    KW_ROWS_SAME,
    KW_ROWS_PAIRS,   /* of each head: halves (Hugging Face) become pairs (GGUF) */
    KW_ROWS_HALVES,  /* and back */
    KW_ROWS_PLAIN,   /* q, k and v of each kv head become all q, all k, all v */
    KW_ROWS_GROUPED, /* and back */
    KW_ROWS_TURNED,  /* columns become rows */
} kw_row_order;
typedef struct kw_head_counts {
    int dim, n, n_kv;
} kw_head_counts;
kw_head_counts kw_model_heads(const kw_model *m); /* n_kv is at least 1 */
kw_row_order kw_row_order_of(const kw_weight_row *row, bool is_interleaved, bool to_gguf);
/* Where the row is found on the other side; itself for those that stay and those that turn. */
int64_t kw_row_source(kw_row_order order, kw_head_counts heads, int64_t row);

/* KW_EINVAL for a model that was only opened to be shown. */
kw_status kw_model_check_engine(const kw_model *m);
/* KW_EINVAL when the weights are not as the file has them any more. */
kw_status kw_model_check_source(const kw_model *m);
/* KW_EUNSUPPORTED without a tokenizer. */
kw_status kw_model_check_tokenizer(const kw_model *m);

/* The family that the checkpoint's architecture belongs to, and its config. */
kw_status kw_model_identify(kw_model *m);

/* load_config.c: the metadata "<arch>.<key>" of a GGUF file; NULL: there is none. */
const kw_meta *kw_meta_of_arch(const kw_checkpoint *ck, kw_str arch, const char *key);
/* load_config.c, load_weights.c, end_ids.c: the three things a checkpoint is asked for. */
kw_status kw_load_config(kw_model *m);
bool kw_config_has(const void *model, const char *key); /* a GGUF file's key, and not 0 */
kw_status kw_load_weights(kw_model *m);
kw_status kw_load_end_ids(kw_model *m);

/* ---- kv.c: pages of the cache ---- */
enum { KW_PAGE_ROWS = 64 };
typedef struct kw_pages {
    kw_engine *engine;
    kw_kv_layout layout;
    struct kw_page **page; /* [n] counted */
    kw_memory **memory;    /* [n] the same pages as the backend sees them */
    size_t n, cap;
    int window;   /* no row looks further back; 0: to the beginning */
    size_t first; /* pages before it were given back */
} kw_pages;
/* Pages for the positions that rows from.. to length-1 see, those of from.. writable by this owner alone (copied when shared). */
kw_status kw_pages_reach(kw_pages *p, size_t from, size_t length);
bool kw_pages_hold(const kw_pages *p, size_t from); /* what a row at `from` sees before it */
kw_status kw_pages_fork(const kw_pages *p, kw_pages *out);
void kw_pages_cut(kw_pages *p, size_t length); /* gives back the pages behind `length` positions */
kw_cache_use kw_pages_use(const kw_pages *p);

/* ---- angles.c: the rope frequencies of a text ---- */
typedef struct kw_angles {
    float *freq; /* [n_rope] */
    float scale;
    int64_t length; /* that they depend on; 0: on none */
} kw_angles;
kw_status kw_angles_open(const kw_model *m, kw_angles *a);
void kw_angles_close(kw_angles *a);
/* For a text of this length; true when they changed, so that cached keys are stale. */
bool kw_angles_set(const kw_model *m, kw_angles *a, int64_t length);

/* ---- eval.c: plans by shape class, for the rows of one sequence or of many ---- */
typedef enum kw_eval_mode {
    KW_EVAL_ONE,   /* logits of one row */
    KW_EVAL_FEW,   /* of up to KW_FEW_ROWS picked ones */
    KW_EVAL_MANY,  /* of up to KW_MANY_ROWS */
    KW_EVAL_ALL,   /* hidden.final of every row; kw_eval_head makes logits of it */
    KW_EVAL_TRACE, /* hidden.0 .. hidden.L and hidden.final of every row */
    KW_EVAL_HEAD,
    KW_EVAL_TEXTS,       /* an encoder: the last hidden states, and what whole texts become */
    KW_EVAL_TEXTS_TRACE, /* all hidden states */
    KW_EVAL_MEMORY,      /* an encoder: k and v of every layer of its decoder */
    KW_EVAL_ENCODER,     /* an encoder: as TRACE */
    KW_EVAL_MODES
} kw_eval_mode;
enum { KW_CLASSES = 4, KW_HEAD_ROWS = 32, KW_FEW_ROWS = 8, KW_MANY_ROWS = 64 };

typedef struct kw_recorded {
    kw_plan *plan;
    kw_program *program;
    int64_t rows;
} kw_recorded;

/* Host memory for a plan's outputs, by slot. */
typedef struct kw_output_set {
    float **at;
    size_t *cells, n;
} kw_output_set;

/* ---- encode.c: what an encoder made of a text; counted, so that forks and beams share it ---- */
typedef struct kw_encoded {
    _Atomic int refs;
    size_t n;      /* rows: ids of the text */
    int32_t *ids;  /* [n] */
    int32_t *rows; /* [n][2] sequence 0 and position */
    float *kv,
        **at; /* k and v of each decoder layer: at[2 * n_layers], each [n][kv heads * width] */
} kw_encoded;
kw_encoded *kw_encoded_retain(kw_encoded *x); /* returns x; NULL is fine */
void kw_encoded_release(kw_encoded *x);       /* NULL is fine */

/* Sees the inputs of every product; NULL: nobody does, and plans have nothing of it. Set before the first run. */
typedef struct kw_watch {
    kw_status (*see)(void *user, const kw_plan *p, const kw_request *q);
    void *user;
} kw_watch;

typedef struct kw_eval {
    kw_model *m;
    kw_session_options options;
    kw_watch watch;
    kw_recorded recorded[KW_EVAL_MODES][KW_CLASSES];
    kw_memory *scratch;
    int32_t *ids, *rows, *out_rows; /* inputs of a run, for options.batch rows */
    int32_t *types;                 /* the same, of encoders */
    int32_t *memory_of;  /* the same for a decoder with an encoder: zeros, all read one memory */
    const void **inputs; /* by slot */
    kw_memory *const **sequences; /* [options.batch] */
    kw_output_set out[KW_EVAL_MODES];
} kw_eval;

/* The rows of one sequence in a run. Its pages reach them already. */
typedef struct kw_eval_part {
    const kw_pages *pages;
    const kw_angles *angles;  /* the same length in all parts of a run */
    const kw_encoded *memory; /* the same in all parts of a run; NULL: the model has no encoder */
    const int32_t *ids;       /* [n], at positions from .. from + n - 1 */
    size_t from, n;
    size_t n_out; /* logits are wanted of this many of its last rows */
} kw_eval_part;

kw_status kw_eval_open(kw_model *m, const kw_session_options *o, kw_eval *e);
void kw_eval_close(kw_eval *e);
/* Computes the parts' rows into their caches, options.batch rows and KW_MANY_ROWS logits at most in all.
 * *logits: [sum of n_out][n_vocab], in order, valid until the next call. */
kw_status kw_eval_logits(kw_eval *e, const kw_eval_part *part, size_t n_parts,
                         const float **logits);
/* KW_EVAL_ALL or _TRACE: *out by slot, each [rows of all parts][dim]. */
kw_status kw_eval_hidden(kw_eval *e, kw_eval_mode mode, const kw_eval_part *part, size_t n_parts,
                         float *const **out);
/* Logits of n <= KW_HEAD_ROWS final rows: [n][n_vocab], valid until the next call. */
kw_status kw_eval_head(kw_eval *e, const float *final, size_t n, const float **logits);
/* The program of a mode for n rows, with its memory and outputs, and a run of it: for texts.c and encode.c. */
kw_status kw_eval_ready(kw_eval *e, kw_eval_mode mode, int64_t n, float rope_scale,
                        kw_recorded **out);
kw_status kw_eval_run(kw_eval *e, kw_recorded *r, kw_binding *b); /* b.outputs: by the caller */
/* The layers of f, which is the model's family or its encoder's, in a plan; trace: hidden.0 .. hidden.L leave it. */
kw_val kw_record_stack(const kw_model *m, const kw_family *f, kw_plan *p, kw_decoder_inputs *in,
                       bool trace);

/* ---- texts.c: whole texts through an encoder, side by side ---- */
typedef struct kw_text_part {
    const int32_t *ids, *types; /* [n]; types NULL: all are of kind 0 */
    size_t n;
} kw_text_part;
typedef struct kw_text_states {
    float *const *
        hidden; /* [n_hidden] of [rows][dim]: the last is the last layer's, or behind the last norm */
    size_t n_hidden;
    const float *pooled,
        *scores; /* [n texts][dim], [n texts][n_labels]; NULL: the model has none */
} kw_text_states;
/* All texts together have options.batch rows at most; *out is valid until the next call. */
kw_status kw_eval_texts(kw_eval *e, bool trace, const kw_text_part *text, size_t n,
                        kw_text_states *out);
void kw_texts_record(const kw_model *m, bool trace, kw_plan *p, int64_t rows); /* for eval.c */
/* KW_EINVAL for an encoder, which writes nothing; says what fits. */
kw_status kw_model_check_writes(const kw_model *m);

/* ---- encode.c, for a decoder with an encoder ---- */
/* The text's memory. KW_ENOMEM. */
kw_status kw_encode(kw_eval *e, const int32_t *ids, size_t n, kw_encoded **out);
/* Its states: *out by slot, hidden.0 .. hidden.L and hidden.final, each [n][dim], valid until the next call. */
kw_status kw_encode_states(kw_eval *e, const int32_t *ids, size_t n, float *const **out);
void kw_encode_record(const kw_model *m, kw_eval_mode mode, kw_plan *p,
                      int64_t rows); /* for eval.c */
int64_t kw_encode_rows(size_t n);    /* the rows of the class for n */

/* The logarithm of the sum of the logits' exponentials, in double; NaN where one is no number. */
double kw_log_total(const float *logits, size_t n);

/* KW_EUNSUPPORTED for a model with an encoder, which does not predict the text that it reads. */
kw_status kw_model_check_scores(const kw_model *m);
/* Natural logarithms of the softmax at `id`, in double. */
double kw_logprob_of(const float *logits, size_t n, int32_t id);

#endif
