/* family.h - the door of family/: a model family is data and a few short functions.
 *
 * Everything that a loader, `show`, a quantizer or a shard planner needs is in tables: the numbers of the config with
 * both their names, the weights with both their names and shapes. What is left to write is the mathematics, as calls
 * that record a plan. A decoder is entered (ids to x), passed block by block, left (the last norm) and read (head), so
 * any range of layers can run elsewhere and every layer's output can be looked at.
 *
 * The numbers and weights that most families have stand here in structs of their own, kw_config, kw_weights and kw_layer; a
 * family that has more begins its struct with one of these.
 *
 * Adding a model: docs/howto/add-model.md. One file here, one line in families.def. */
#ifndef KW_FAMILY_H
#define KW_FAMILY_H

#include "plan/plan.h"

/* ---- config: one row per number ---- */
typedef enum kw_field_type {
    KW_FIELD_INT,    /* int */
    KW_FIELD_FLOAT,  /* double */
    KW_FIELD_BOOL,   /* bool */
    KW_FIELD_WORD,   /* char[KW_WORD_MAX] */
    KW_FIELD_FLOATS, /* kw_floats: a list, or one number */
    KW_FIELD_WORDS,  /* kw_words: a list; config.json only */
} kw_field_type;
enum { KW_WORD_MAX = 32, KW_LIST_MAX = 65536 };

/* Lists live as long as the model; n 0: absent. */
typedef struct kw_floats {
    const float *at;
    int n;
} kw_floats;
typedef struct kw_words {
    const kw_str *at;
    int n;
} kw_words;

typedef struct kw_field {
    uint16_t
        at; /* offset in the family's config struct; an absent optional field keeps its default */
    uint8_t type; /* kw_field_type */
    bool required;
    double dflt;
    const char *json; /* path in config.json, alternatives separated by '|'; NULL: not there */
    const char *gguf; /* key without the architecture's prefix; NULL: not there */
} kw_field;

/* ---- weights: one row per tensor (or per layer and tensor) ---- */
enum {
    KW_W_LAYER = 1,    /* once per layer: %d in the names */
    KW_W_OPTIONAL = 2, /* NULL when absent */
    KW_W_TIED = 4,     /* absent: the embedding (row 0 of the table) takes its place */
    KW_W_F32 = 8,      /* a vector that kernels read as f32: converted at load */
    KW_W_TABLE =
        16, /* rows are looked up, nothing is multiplied: never packed on its own account */
    KW_W_ONE_LESS = 32, /* with F32: Hugging Face stores w - 1, GGUF w; the model gets w */
    KW_W_PART =
        64, /* a matrix inside a tensor that holds several, one below the other: all rows of the table with this name,
                           in order */
    KW_W_TURNED = 128, /* Hugging Face files hold it as [columns, rows]: turned at load */
    KW_W_ROUTER = 256, /* the layers that have it have experts; optional */
    KW_W_EXPERTS =
        512, /* layers with a router: a matrix for each expert, one tensor or many (second %d) */
    KW_W_DENSE = 1024, /* layers without a router */
    KW_W_ROPED = 2048, /* rows turn with rope: in halves or pairs, see gguf_interleaved */
    KW_W_GROUPED =
        4096, /* q, k and v of each kv head in Hugging Face's files; all q, all k, all v in GGUF */
    KW_W_TWIN = 8192, /* has its second name where the row two below is in the file */
};

typedef struct kw_weight_row {
    uint16_t at; /* offset of a kw_weight_ref in the weights (or layer) struct */
    uint16_t dim
        [3]; /* offsets of the config's int members: rows (0: a vector), columns; of EXPERTS how many */
    unsigned flags;
    const char *hf, *gguf; /* names, alternatives by '|'; NULL: not there */
} kw_weight_row;

/* A bound weight. */
typedef struct kw_weight_ref {
    const kw_tensor *t; /* NULL: absent */
    const char *name;
} kw_weight_ref;

/* ---- positions ---- */
typedef struct kw_rope_config {
    int head_dim; /* the rotated width */
    int n_rotary; /* the same as the file says it, or as a share of the head; 0: the share counts */
    double share;
    double base;
    char type[KW_WORD_MAX];    /* "", default, none, linear, dynamic, llama3, yarn, longrope */
    char hf_type[KW_WORD_MAX]; /* llama3, dynamic: GGUF has no word for them, divisors lose bits */
    double factor, hf_factor, low, high, beta_fast, beta_slow, attention_factor;
    double mscale, mscale_all_dim; /* yarn: what attention_factor is made of; 0: not told */
    double yarn_scale;             /* yarn: of cos and sin, settled from these */
    bool truncate;                 /* yarn: the ramp begins and ends at whole indices */
    int original_ctx, ctx;
    kw_floats short_factor, long_factor; /* longrope's divisors */
} kw_rope_config;

/* Which layers look at a window of the last positions only. The file names each layer's type, or a pattern (a period: every
 * n-th layer sees all; or a flag for each layer), or all layers from one on have the window. */
typedef struct kw_windows {
    int size;   /* positions that a row sees with its own; 0: all */
    int from;   /* the first layer with a window, where neither types nor pattern say it */
    bool is_on; /* where the file has a switch */
    kw_words types;
    kw_floats pattern;
} kw_windows;

/* What every family's config begins with: the fields fill it, the family's check completes it, and who runs the model reads it.
 * What a family does not have is 0. */
typedef struct kw_config {
    int n_layers, dim, n_heads, n_kv_heads, head_dim, ffn_dim, n_vocab, ctx_train;
    int q_dim, kv_dim, qkv_dim, one; /* sizes of weights, derived; a vector is one row */
    double eps;                      /* of the norms */
    char activation[KW_WORD_MAX];
    bool from_gguf;   /* the file's names and conventions are GGUF's */
    bool interleaved; /* the file's rows of q and k lie in pairs, see kw_arch */
    /* Of layers with a router: how many experts there are and a row has, how wide they are, and whether their shares add up
     * to 1. */
    int n_experts, n_used, ffn_expert;
    bool normalise;
    kw_rope_config rope;
    int n_rope;          /* rope frequencies: half the rotated width; 0: no rope */
    bool rope_by_length; /* past ctx_train every length has frequencies of its own (dynamic) */
    int rope_switch; /* texts longer than this have other frequencies (longrope); 0: none have */
    kw_windows windows;
    int window; /* no layer looks further back than that many positions; 0: some layer does */
    bool ctx_is_fixed; /* positions are learned: there are none behind ctx_train */
    int n_buckets;     /* of distances that add to scores */
    /* Of encoders: kinds of parts of a text (0: not told apart), scores of a text (0: none), and how often the separator stands
     * between two texts. */
    int n_types, n_labels, n_between;
    /* With an encoder: its layers, what the decoder's text begins with, and what fills up rows of ids. */
    int n_encoder_layers, start_id, pad_id;
} kw_config;

/* What a model has once, and what each layer has. What a family's table does not list stays absent. */
typedef struct kw_weights {
    void *layers;
    kw_weight_ref embed, positions, types, norm, b_norm, head;
    kw_weight_ref rope_freqs, rope_short, rope_long; /* GGUF's divisors of rope frequencies */
    kw_weight_ref pool, b_pool, labels, b_labels;    /* of encoders: see pool and head below */
} kw_weights;

typedef struct kw_layer {
    kw_weight_ref norm, b_norm; /* where one norm is not of attention or the network alone */
    kw_weight_ref attn_norm, b_attn_norm, q, b_q, k, b_k, v, b_v, qkv, b_qkv, o, b_o, q_norm,
        k_norm, attn_post;
    kw_weight_ref ffn_norm, b_ffn_norm, gate, b_gate, up, b_up, down, b_down, ffn_post;
    kw_weight_ref router, gates, ups, downs; /* of a mixture of experts */
    /* What is added to scores: a number for each bucket of distances, and the table of distances made of them. */
    kw_weight_ref buckets, distances;
} kw_layer;

/* ---- the architectures a file may name ---- */
typedef struct kw_arch {
    const char *hf, *gguf; /* model_type of config.json; general.architecture. NULL: not there */
    const char *hf_class;  /* in "architectures", for configs without model_type */
    bool
        gguf_interleaved; /* GGUF stores rows of q and k in pairs (2j, 2j+1); Hugging Face never does */
    /* Of several families with one name in GGUF: the key, not 0, that a file of this one has; NULL: of the one that is left. */
    const char *gguf_key;
} kw_arch;

/* The inputs of a decoder's plan, made by whoever records it. */
typedef struct kw_decoder_inputs {
    kw_val ids;       /* [n,1] i32 */
    kw_val rows;      /* [n,2] i32: sequence and position */
    kw_val freq;      /* [1,h] f32: rope frequencies for this length */
    float rope_scale; /* multiplies cos and sin */
    kw_val types;     /* [n,1] i32: the part of its text that a row belongs to; of encoders */
    /* Of a decoder with an encoder: whose memory a row reads, where the memory's rows stand, and its k and v for the layer
     * in work. */
    kw_val memory_of;   /* [n,2] i32 */
    kw_val memory_rows; /* [m,2] i32 */
    kw_val memory[2];   /* [m, kv heads * width] */
} kw_decoder_inputs;

enum { KW_TABLES_MAX = 8, KW_TABLE_END = 0xffff };
typedef struct kw_family {
    const char *name;
    bool
        is_encoder; /* reads whole texts, each row all of its own, and writes none: there is no cache; leave may be NULL */
    const kw_arch *archs; /* ends with a row of NULLs */
    size_t config_size, layer_size,
        weights_size; /* of structs that begin with kw_config and so on */
    size_t layers_at,
        n_layers_at; /* offsets in weights of a pointer to the layers, in config of an int */
    /* NULL, or who reads the text that this decoder looks at: a family of its own, of the same config and weights structs,
     * with other layers in them. */
    const struct kw_family *encoder;
    /* Tables, of its own and of its relatives; each ends with at = KW_TABLE_END, and the list, which is never full, with NULL.
     * The first weight is the embedding. */
    const kw_field *fields[KW_TABLES_MAX];
    const kw_weight_row *weights[KW_TABLES_MAX];
    kw_status (*check)(kw_config *c); /* derives and validates */
    /* Makes weights of its own of those that were bound; NULL: there are none. Not called for an encoder's sake. */
    kw_status (*derive)(const kw_config *c, kw_weights *w, kw_arena *arena);
    kw_val (*enter)(kw_plan *p, const kw_config *c, const kw_weights *w,
                    const kw_decoder_inputs *in);
    /* One layer. The rope table, KW_NONE without rope, is shared by all of them. */
    kw_val (*block)(kw_plan *p, const kw_config *c, const kw_layer *w, int il, kw_val x,
                    kw_val table, const kw_decoder_inputs *in);
    kw_val (*leave)(kw_plan *p, const kw_config *c, const kw_weights *w, kw_val x);
    kw_val (*head)(kw_plan *p, const kw_config *c, const kw_weights *w, kw_val x);
    /* Of an encoder: what it makes of whole texts, whose first rows are x's `first` [t,1] -> [t,dim]; KW_NONE when the file has
     * nothing for it. head then scores that, or is KW_NONE too. */
    kw_val (*pool)(kw_plan *p, const kw_config *c, const kw_weights *w, kw_val x, kw_val first);
    /* k and v of a layer for what the encoder made of a text: [m, dim] to twice [m, kv heads * width]. */
    void (*memory)(kw_plan *p, const kw_layer *w, kw_val encoded, kw_val kv[2]);
    /* Rope frequencies [n_rope] for a text of `length` tokens, and the factor of cos and sin. NULL: no rope. */
    void (*frequencies)(const kw_config *c, const kw_weights *w, int64_t length, float *freq,
                        float *scale);
} kw_family;

/* The row behind this one, in its table or the next; NULL: it was the last. */
const kw_field *kw_field_after(const kw_family *f, const kw_field *row);
const kw_weight_row *kw_weight_after(const kw_family *f, const kw_weight_row *row);

/* The families of families.def, in its order; ends with NULL. */
const kw_family *const *kw_families(void);
/* The family that knows this architecture, and its row; NULL when none does. has: whether the file has a key, and not 0; NULL:
 * it has none. */
typedef bool (*kw_has_key)(const void *file, const char *key);
const kw_family *kw_family_find(kw_str arch, bool is_gguf, kw_has_key has, const void *file,
                                const kw_arch **row);
/* "llama, LlamaForCausalLM, qwen2..." for messages. */
void kw_family_list(kw_buf *out);

/* ---- rope.c and windows.c: what a converter asks too ---- */

/* How far yarn lets cos and sin grow for a context that is stretched by that factor; weight: mscale, usually 1. */
double kw_yarn_growth(double factor, double weight);
/* The frequencies of every rope flavour, rounded to f32 where the reference implementation rounds. divisors: [d/2] from
 * the file (GGUF's rope_freqs, longrope's factors for this length), or NULL. */
void kw_rope_frequencies(const kw_rope_config *c, int64_t length, const float *divisors,
                         float *freq, float *scale);
/* The window of layer il; 0: it sees all. */
int kw_window_of(const kw_windows *w, int il);

/* T5's bucket for a distance >= 0 of n: half of them for one distance each, the others by its logarithm, up to `most`. */
int kw_distance_bucket(int distance, int n, int most);

static inline kw_val kw_bind(kw_plan *p, kw_weight_ref w) { return kw_weight(p, w.name, w.t); }

#endif
