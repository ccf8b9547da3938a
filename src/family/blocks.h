/* blocks.h - what the families share, beyond the door: the words of their tables, the checks of what a file says, and the
 * mathematics that three or more of them have in common. */
#ifndef KW_FAMILY_BLOCKS_H
#define KW_FAMILY_BLOCKS_H

#include "family/family.h"

/* ---- tables ---- */
/* clang-format off */
/* A number that all configs have (kw_config), and one of the family's own (its struct is called config). */
#define F(m, type, required, dflt, json, gguf) { offsetof(kw_config, m), KW_FIELD_##type, required, dflt, json, gguf }
#define OWN(m, type, required, dflt, json, gguf) { offsetof(config, m), KW_FIELD_##type, required, dflt, json, gguf }
/* A size that a weight has. */
#define C(m) offsetof(kw_config, m)
/* A tensor that is there once, and one of each layer, with that many rows and columns. */
#define T(m, flags, hf, gguf, d0, d1) { offsetof(kw_weights, m), { C(d0), C(d1) }, flags, hf, gguf }
#define LAYER(m, flags, hf, gguf, d0, d1) { offsetof(kw_layer, m), { C(d0), C(d1) }, (flags) | KW_W_LAYER, hf, gguf }
#define END { .at = KW_TABLE_END }
/* The structs' sizes, for kw_family. */
#define KW_SIZES(config, layer, weights) \
    .config_size = sizeof(config), .layer_size = sizeof(layer), .weights_size = sizeof(weights)
/* A vector that kernels read, and one that may be absent. */
#define VECTOR KW_W_F32
#define MAYBE KW_W_OPTIONAL
/* clang-format on */

/* ---- blocks.c: checks ---- */
typedef struct kw_size {
    const char *name;
    int value, max;
} kw_size;
enum { KW_EXPERTS_MAX = 1024 };
/* KW_EFORMAT names the first that is not 1 to max. */
kw_status kw_check_sizes(const kw_size *sizes, size_t n);
/* KW_EUNSUPPORTED where the word is neither empty nor one of "these, known, words". */
kw_status kw_check_word(const char *what, const char *word, const char *known);
/* The sizes that all have. Fills what the file leaves out (kv heads, the width of a head) and the sizes of weights. */
kw_status kw_check_config(kw_config *c);
/* rope.c: the rotated width, original context and type, which is one of "these, known, types". */
kw_status kw_check_rope(kw_config *c, const char *types);
#define KW_ROPE_TYPES "default, none, linear, dynamic, llama3, yarn, longrope"
kw_status kw_check_windows(kw_config *c); /* windows.c */
extern const kw_field kw_window_fields[]; /* of all layers, or of those that a list names */

/* ---- distances.c ---- */
typedef struct kw_distances {
    int n_buckets, most;
    bool both_ways; /* of an encoder */
} kw_distances;
kw_status kw_check_distances(kw_distances d);
/* The layer's table of distances, of its buckets or those of the layer before it. */
kw_status kw_derive_distances(kw_distances d, kw_layer *layer, const kw_layer *before,
                              kw_arena *arena);

/* ---- blocks.c: mathematics ---- */
/* `enter` where it is the embedding alone; `leave` with an RMS norm, and with a LayerNorm; `head` where it is one matrix. */
kw_val kw_enter_ids(kw_plan *p, const kw_config *c, const kw_weights *w,
                    const kw_decoder_inputs *in);
kw_val kw_leave_rms(kw_plan *p, const kw_config *c, const kw_weights *w, kw_val x);
kw_val kw_leave_norm(kw_plan *p, const kw_config *c, const kw_weights *w, kw_val x);
kw_val kw_head(kw_plan *p, const kw_config *c, const kw_weights *w, kw_val x);
/* A LayerNorm; b: its bias. */
kw_val kw_norm(kw_plan *p, const kw_config *c, kw_val x, kw_weight_ref w, kw_weight_ref b);
/* The heads of a layer, scores divided by the root of their width. */
kw_attend_args kw_heads(const kw_config *c, int il);
/* rope.c: `derive` of a family whose GGUF files may have divisors: they are there where the type wants them, and else not. */
kw_status kw_check_divisors(const kw_config *c, kw_weights *w, kw_arena *arena);
/* rope.c: `frequencies` of config.rope, with the divisors that the file has. */
void kw_frequencies(const kw_config *c, const kw_weights *w, int64_t length, float *freq,
                    float *scale);

#endif
