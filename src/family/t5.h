/* t5.h - what the two stacks of a T5 share: the numbers and weights of both, and the functions of t5_encoder.c. */
#ifndef KW_FAMILY_T5_H
#define KW_FAMILY_T5_H

#include "family/blocks.h"

typedef struct config {
    kw_config base;
    int n_encoder, most;
    double rms_eps; /* eps, by its other name in GGUF */
    bool scales;    /* what the head sees by d^-0.5; older files say so by a tied head */
    char type[KW_WORD_MAX];
} config;

typedef struct layer {
    kw_layer base;
    kw_weight_ref cross_norm, cross_q, cross_k, cross_v, cross_o; /* of decoders */
} layer;

typedef struct weights {
    kw_weights base; /* the decoder's, and the embedding */
    layer *encoder;
    kw_weight_ref encoder_norm;
} weights;

/* clang-format off */
#define T5_EMBED \
    T(embed, KW_W_TABLE, "shared.weight|encoder.embed_tokens.weight|decoder.embed_tokens.weight", "token_embd.weight", n_vocab, dim)
/* s, g: what the stack's layer, and its part, are called. */
#define T5_ATTENTION(s, g) \
    LAYER(buckets, KW_W_TABLE | MAYBE, s ".SelfAttention.relative_attention_bias.weight", g ".attn_rel_b.weight", \
          n_buckets, n_heads), \
    LAYER(attn_norm, VECTOR, s ".layer_norm.weight",      g ".attn_norm.weight", one, dim), \
    LAYER(q, 0,              s ".SelfAttention.q.weight", g ".attn_q.weight", q_dim, dim), \
    LAYER(k, 0,              s ".SelfAttention.k.weight", g ".attn_k.weight", q_dim, dim), \
    LAYER(v, 0,              s ".SelfAttention.v.weight", g ".attn_v.weight", q_dim, dim), \
    LAYER(o, 0,              s ".SelfAttention.o.weight", g ".attn_o.weight", dim, q_dim)
#define T5_FFN(s, g) \
    LAYER(ffn_norm, VECTOR,  s ".layer_norm.weight",          g ".ffn_norm.weight", one, dim), \
    LAYER(up, KW_W_TWIN,     s ".DenseReluDense.wi.weight|" s ".DenseReluDense.wi_1.weight", g ".ffn_up.weight", ffn_dim, dim), \
    LAYER(down, 0,           s ".DenseReluDense.wo.weight",   g ".ffn_down.weight", dim, ffn_dim), \
    LAYER(gate, MAYBE,       s ".DenseReluDense.wi_0.weight", g ".ffn_gate.weight", ffn_dim, dim)
/* clang-format on */

/* ---- t5_encoder.c ---- */
extern const kw_field kw_t5_fields[];
kw_status kw_t5_check(kw_config *c);
/* Every layer has a gate, or none has one, as the activation wants it; and a table of distances. */
kw_status kw_t5_derive_stack(const kw_config *c, layer *layers, bool is_encoder, kw_arena *arena);
kw_status kw_t5_derive_encoder(const kw_config *c, kw_weights *w, kw_arena *arena);
kw_attend_args kw_t5_heads(const kw_config *c, int il); /* scores are not divided */
/* The parts of a layer return the stream x with their result added. */
kw_val kw_t5_attention(kw_plan *p, const kw_config *c, const layer *w, int il, kw_val x,
                       kw_val places);
kw_val kw_t5_ffn(kw_plan *p, const kw_config *c, const kw_layer *w, kw_val x);
extern const kw_family kw_family_t5_encoder;

#endif
