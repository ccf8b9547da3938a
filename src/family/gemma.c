/* gemma.c - Gemma 1, and the outline of those that followed.
 *
 * A llama, but: the embedding is multiplied by sqrt(width), norms multiply by 1 + w (Hugging Face files store w, GGUF files the
 * sum), the gate is gelu by tanh, and the head is the embedding. Constants are taken in f32: the embedding's factor is
 * sqrt(width) itself, not its bf16 neighbour.
 *
 * Sources: arXiv 2403.08295; transformers modeling_gemma for the order of operations. */
#include "family/gemma.h"

/* clang-format off */
/* Gemma 3 has one rope for layers that see everything, the others have one for all. */
#define ROPE(key) "rope_parameters.full_attention." key "|" SCALING(key)
const kw_field kw_gemma_fields[] = {
    F(head_dim,    INT,   false, 256,  "head_dim",                     "attention.key_length"),
    F(ctx_train,   INT,   false, 8192, "max_position_embeddings",      "context_length"),
    F(activation,  WORD,  false, 0,    "hidden_activation|hidden_act", NULL),
    F(rope.base,   FLOAT, false, 0,    ROPE("rope_theta") "|rope_theta",       "rope.freq_base"),
    F(rope.type,   WORD,  false, 0,    ROPE("rope_type") "|rope_scaling.type", "rope.scaling.type"),
    F(rope.factor, FLOAT, false, 1,    ROPE("factor"),                         "rope.scaling.factor"),
    OWN(has_bias,  BOOL,  false, 0,    "attention_bias",               NULL),
    OWN(is_bidirectional, BOOL, false, 0, "use_bidirectional_attention", NULL),
    END,
};

const kw_weight_row kw_gemma_norms[] = {
    T(norm,      NORM, "model.norm.weight",               "output_norm.weight", one, dim),
    L(attn_norm, NORM, "input_layernorm.weight",          "attn_norm.weight",   one, dim),
    END,
};

static const kw_weight_row rows[] = {
    L(ffn_norm,  NORM, "post_attention_layernorm.weight", "ffn_norm.weight",    one, dim),
    END,
};

static const kw_arch archs[] = {
    { "gemma", "gemma", "GemmaForCausalLM", false, NULL },
    { 0 },
};
/* clang-format on */

kw_status kw_gemma_check(kw_config *c, const char *activations)
{
    const config *own = (const config *)c;
    if (own->has_bias || own->is_bidirectional)
        return kw_fail(KW_EUNSUPPORTED, "a gemma with %s: not supported",
                       own->has_bias ? "biases in attention" : "attention in both directions");
    if (c->rope.base == 0) c->rope.base = 1e4;
    c->rope.share = 1;
    kw_status st = kw_check_sizes(&(kw_size){ "kv heads", c->n_kv_heads, 65536 }, 1);
    if (!st) st = kw_check_config(c);
    if (!st) st = kw_check_word("activation", c->activation, activations);
    return st ? st : kw_check_rope(c, "default, none, linear");
}

static kw_status check(kw_config *c)
{
    config *own = (config *)c;
    own->scalar = c->head_dim;
    own->score_cap = own->logit_cap = INFINITY;
    return kw_gemma_check(c, "gelu_pytorch_tanh, gelu");
}

kw_val kw_gemma_enter(kw_plan *p, const kw_config *c, const kw_weights *w,
                      const kw_decoder_inputs *in)
{
    return kw_scale(p, kw_enter_ids(p, c, w, in), sqrtf((float)c->dim));
}

kw_llama_heads kw_gemma_heads(const kw_config *c, int il, kw_val table, const kw_decoder_inputs *in)
{
    const config *own = (const config *)c;
    kw_llama_heads heads = kw_llama_heads_of(c, il, table, in);
    heads.attend.scale = (float)(1 / sqrt(own->scalar));
    heads.attend.softcap = isfinite(own->score_cap) ? (float)own->score_cap : 0;
    heads.rope.n = c->head_dim / 2;
    return heads;
}

kw_val kw_gemma_block(kw_plan *p, const kw_config *c, const kw_layer *w, int il, kw_val x,
                      kw_val table, const kw_decoder_inputs *in)
{
    x = kw_llama_attention(p, c, w, x, kw_gemma_heads(c, il, table, in));
    return kw_llama_ffn(p, c, w, x, kw_geglu);
}

const kw_family kw_family_gemma = {
    .name = "gemma",
    .archs = archs,
    KW_SIZES(config, kw_layer, kw_weights),
    .fields = { kw_llama_sizes, kw_gemma_fields },
    .weights = { kw_llama_matrices, kw_gemma_norms, rows, kw_llama_gated },
    .check = check,
    .frequencies = kw_frequencies,
    .enter = kw_gemma_enter,
    .block = kw_gemma_block,
    .leave = kw_leave_rms,
    .head = kw_head,
};
