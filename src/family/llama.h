/* llama.h - what LLaMA lends its many relatives: tables, and the functions of its layer. A relative lists those that fit, beside
 * its own. */
#ifndef KW_FAMILY_LLAMA_H
#define KW_FAMILY_LLAMA_H

#include "family/blocks.h"

/* clang-format off */
#define L(m, flags, hf, gguf, d0, d1) LAYER(m, flags, "model.layers.%d." hf, "blk.%d." gguf, d0, d1)
#define EXPERTS(m, hf, gguf, d0, d1) \
    { offsetof(kw_layer, m), { C(d0), C(d1), C(n_experts) }, KW_W_LAYER | KW_W_EXPERTS, "model.layers.%d." hf ".weight", \
      "blk.%d." gguf "_exps.weight|blk.%d." gguf ".%d.weight" }
/* A number of rope's flavour, in the newer configs and the older ones. */
#define SCALING(key) "rope_parameters." key "|rope_scaling." key
/* clang-format on */

/* ---- llama.c: tables ---- */
extern const kw_field kw_llama_sizes[],
    kw_llama_rest[];                            /* those with other defaults elsewhere; rope */
extern const kw_weight_row kw_llama_matrices[]; /* the embedding, the head and q, k, v, o */
extern const kw_weight_row kw_llama_norms[];    /* and GGUF's divisors of rope */
extern const kw_weight_row kw_llama_biases[];   /* of q, k, v, o; optional */
extern const kw_weight_row kw_llama_gated[];

/* ---- llama.c ---- */
kw_status kw_llama_check(kw_config *c);
/* A layer's attention: its heads, and how they turn. */
typedef struct kw_llama_heads {
    kw_attend_args attend;
    kw_rope_args rope;
    kw_val table, rows;
} kw_llama_heads;
kw_llama_heads kw_llama_heads_of(const kw_config *c, int il, kw_val table,
                                 const kw_decoder_inputs *in);
/* The halves of a layer return the stream x with their result added, which is normed before where there is such a norm. */
kw_val kw_llama_attention(kw_plan *p, const kw_config *c, const kw_layer *w, kw_val x,
                          kw_llama_heads heads);
typedef kw_val (*kw_gate)(kw_plan *p, kw_val gate, kw_val up); /* kw_swiglu, kw_geglu */
kw_val kw_llama_ffn(kw_plan *p, const kw_config *c, const kw_layer *w, kw_val x, kw_gate act);
kw_val kw_llama_block(kw_plan *p, const kw_config *c, const kw_layer *w, int il, kw_val x,
                      kw_val table, const kw_decoder_inputs *in);

/* ---- mixtral.c ---- */
extern const kw_weight_row kw_mixtral_dense[]; /* the usual network, where there is no router */
kw_status kw_mixtral_check_experts(kw_config *c);
kw_val kw_mixtral_block(kw_plan *p, const kw_config *c, const kw_layer *w, int il, kw_val x,
                        kw_val table, const kw_decoder_inputs *in);

/* ---- qwen2.c: windows with a switch; qwen3.c: norms of heads ---- */
extern const kw_field kw_qwen2_windows[];
extern const kw_weight_row kw_qwen3_norms[];
kw_status kw_qwen2_check(kw_config *c);

#endif
