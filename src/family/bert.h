/* bert.h - what BERT and its relatives have in common: their numbers, the rows of their tables, and the functions of bert.c. */
#ifndef KW_FAMILY_BERT_H
#define KW_FAMILY_BERT_H

#include "family/blocks.h"

typedef struct config {
    kw_config base;
    int n_positions, skipped; /* rows of the table of positions; those that no text has */
    bool is_decoder, has_cross;
    char positions[KW_WORD_MAX];
} config;

/* clang-format off */
/* A matrix and its bias, and a norm's two vectors. hf: with the names that it goes by, for EACH, which puts the model in front. */
#define LINEAR(m, hf, gguf, d0, d1) \
    LAYER(m,     0,      EACH(hf ".weight"), "blk.%d." gguf ".weight", d0, d1), \
    LAYER(b_##m, VECTOR, EACH(hf ".bias"),   "blk.%d." gguf ".bias",   one, d0)
#define LAYER_NORM(m, hf, gguf) \
    LAYER(m,     VECTOR, EACH(hf ".weight"), "blk.%d." gguf ".weight", one, dim), \
    LAYER(b_##m, VECTOR, EACH(hf ".bias"),   "blk.%d." gguf ".bias",   one, dim)
#define EMBEDDINGS \
    T(embed,  KW_W_TABLE, EACH("embeddings.word_embeddings.weight"), "token_embd.weight",      n_vocab, dim), \
    { offsetof(kw_weights, positions), { offsetof(config, n_positions), C(dim) }, KW_W_TABLE, \
      EACH("embeddings.position_embeddings.weight"), "position_embd.weight" }, \
    T(norm,   VECTOR,     EACH("embeddings.LayerNorm.weight"),       "token_embd_norm.weight", one,     dim), \
    T(b_norm, VECTOR,     EACH("embeddings.LayerNorm.bias"),         "token_embd_norm.bias",   one,     dim)
#define SEGMENTS \
    T(types,  KW_W_TABLE | MAYBE, EACH("embeddings.token_type_embeddings.weight"), "token_types.weight", n_types, dim)
/* The first position's projection, and scores of that. */
#define POOL(hf) \
    T(pool,     MAYBE,          hf("weight"), "cls.weight",        dim,      dim), \
    T(b_pool,   MAYBE | VECTOR, hf("bias"),   "cls.bias",          one,      dim)
#define LABELS(hf) \
    T(labels,   MAYBE,          hf ".weight", "cls.output.weight", n_labels, dim), \
    T(b_labels, MAYBE | VECTOR, hf ".bias",   "cls.output.bias",   one,      n_labels)
#define BERT_LAYERS \
    LINEAR(q, "encoder.layer.%d.attention.self.query",   "attn_q",      dim, dim), \
    LINEAR(k, "encoder.layer.%d.attention.self.key",     "attn_k",      dim, dim), \
    LINEAR(v, "encoder.layer.%d.attention.self.value",   "attn_v",      dim, dim), \
    LINEAR(o, "encoder.layer.%d.attention.output.dense", "attn_output", dim, dim), \
    LAYER_NORM(attn_norm, "encoder.layer.%d.attention.output.LayerNorm", "attn_output_norm"), \
    LINEAR(up,   "encoder.layer.%d.intermediate.dense", "ffn_up",   ffn_dim, dim), \
    LINEAR(down, "encoder.layer.%d.output.dense",       "ffn_down", dim, ffn_dim), \
    LAYER_NORM(norm, "encoder.layer.%d.output.LayerNorm", "layer_output_norm")
/* clang-format on */

/* ---- bert.c ---- */
extern const kw_field kw_bert_fields[];
kw_status kw_bert_check(kw_config *c);
kw_status kw_roberta_check(kw_config *c); /* roberta.c: skips positions */
kw_val kw_bert_enter(kw_plan *p, const kw_config *c, const kw_weights *w,
                     const kw_decoder_inputs *in);
kw_val kw_bert_block(kw_plan *p, const kw_config *c, const kw_layer *w, int il, kw_val x,
                     kw_val table, const kw_decoder_inputs *in);
kw_val kw_bert_pool(kw_plan *p, const kw_config *c, const kw_weights *w, kw_val x, kw_val first);
kw_val kw_bert_head(kw_plan *p, const kw_config *c, const kw_weights *w, kw_val pooled);

#endif
