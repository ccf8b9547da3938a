/* llama.c - LLaMA 1 to 3.x, and everything that is one but for its numbers: SmolLM2, TinyLlama, Code Llama, Falcon 3, the
 * distillations of DeepSeek.
 *
 * A pre-norm decoder: grouped-query attention with rotary positions, then a gated feed-forward network, each added to
 * the stream. Biases are optional rows, a missing head is the embedding, the rope flavour is a word. GGUF and llama2.c files
 * hold the rows of q and k in pairs; GGUF's Llama 3.1 has the result of its rope flavour as divisors.
 *
 * Most decoders of today are relatives of this one: their files say what differs, and take the layer from here.
 *
 * Sources: arXiv 2302.13971, 2307.09288, 2407.21783; transformers modeling_llama for the order of operations. */
#include "family/llama.h"

/* clang-format off */
const kw_field kw_llama_sizes[] = {
    F(dim,        INT,   true,  0,     "hidden_size",             "embedding_length"),
    F(ffn_dim,    INT,   true,  0,     "intermediate_size",       "feed_forward_length"),
    F(n_layers,   INT,   true,  0,     "num_hidden_layers",       "block_count"),
    F(n_heads,    INT,   true,  0,     "num_attention_heads",     "attention.head_count"),
    F(n_kv_heads, INT,   false, 0,     "num_key_value_heads",     "attention.head_count_kv"),
    F(n_vocab,    INT,   false, 0,     "vocab_size",              "vocab_size"),
    F(eps,        FLOAT, false, 1e-6,  "rms_norm_eps",            "attention.layer_norm_rms_epsilon"),
    END,
};

const kw_field kw_llama_rest[] = {
    F(head_dim,   INT,   false, 0,     "head_dim",                "attention.key_length"),
    F(ctx_train,  INT,   false, 2048,  "max_position_embeddings", "context_length"),
    F(activation, WORD,  false, 0,     "hidden_act",              NULL),
    F(rope.n_rotary,  INT,   false, 0,     NULL,                      "rope.dimension_count"),
    F(rope.share,     FLOAT, false, 1,     "rope_parameters.partial_rotary_factor|partial_rotary_factor", NULL),
    F(rope.base,      FLOAT, false, 10000, "rope_parameters.rope_theta|rope_theta", "rope.freq_base"),
    F(rope.type,      WORD,  false, 0,     SCALING("rope_type") "|rope_scaling.type", "rope.scaling.type"),
    F(rope.factor,    FLOAT, false, 1,     SCALING("factor"),           "rope.scaling.factor"),
    F(rope.low,       FLOAT, false, 1,     SCALING("low_freq_factor"),  "rope.scaling.low_freq_factor"),
    F(rope.high,      FLOAT, false, 4,     SCALING("high_freq_factor"), "rope.scaling.high_freq_factor"),
    F(rope.hf_type,   WORD,  false, 0,     NULL,                        "rope.scaling.hf_type"),
    F(rope.hf_factor, FLOAT, false, 1,     NULL,                        "rope.scaling.hf_factor"),
    F(rope.beta_fast, FLOAT, false, 32,    SCALING("beta_fast"),        "rope.scaling.yarn_beta_fast"),
    F(rope.beta_slow, FLOAT, false, 1,     SCALING("beta_slow"),        "rope.scaling.yarn_beta_slow"),
    F(rope.attention_factor, FLOAT, false, 0, SCALING("attention_factor"), "rope.scaling.attn_factor"),
    F(rope.mscale,    FLOAT, false, 0,     SCALING("mscale"),           NULL),
    F(rope.mscale_all_dim, FLOAT, false, 0, SCALING("mscale_all_dim"),  NULL),
    F(rope.truncate,  BOOL,  false, 1,     SCALING("truncate"),         NULL),
    F(rope.short_factor, FLOATS, false, 0, SCALING("short_factor"),     NULL),
    F(rope.long_factor,  FLOATS, false, 0, SCALING("long_factor"),      NULL),
    F(rope.original_ctx, INT, false, 0,
      SCALING("original_max_position_embeddings") "|original_max_position_embeddings", "rope.scaling.original_context_length"),
    END,
};

const kw_weight_row kw_llama_matrices[] = {
    T(embed,      KW_W_TABLE, "model.embed_tokens.weight",       "token_embd.weight",  n_vocab, dim),
    T(head,       KW_W_TIED,  "lm_head.weight",                  "output.weight",      n_vocab, dim),
    L(q,          KW_W_ROPED, "self_attn.q_proj.weight",         "attn_q.weight",      q_dim,   dim),
    L(k,          KW_W_ROPED, "self_attn.k_proj.weight",         "attn_k.weight",      kv_dim,  dim),
    L(v,          0,          "self_attn.v_proj.weight",         "attn_v.weight",      kv_dim,  dim),
    L(o,          0,          "self_attn.o_proj.weight",         "attn_output.weight", dim,     q_dim),
    END,
};

const kw_weight_row kw_llama_norms[] = {
    T(rope_freqs, VECTOR | MAYBE, NULL,                  "rope_freqs.weight",          one,     n_rope),
    T(rope_short, VECTOR | MAYBE, NULL,                  "rope_factors_short.weight",  one,     n_rope),
    T(rope_long,  VECTOR | MAYBE, NULL,                  "rope_factors_long.weight",   one,     n_rope),
    T(norm,       VECTOR,     "model.norm.weight",               "output_norm.weight", one,     dim),
    L(attn_norm,  VECTOR,     "input_layernorm.weight",          "attn_norm.weight",   one,     dim),
    L(ffn_norm,   VECTOR,     "post_attention_layernorm.weight", "ffn_norm.weight",    one,     dim),
    END,
};

const kw_weight_row kw_llama_biases[] = {
    L(b_q,        VECTOR | MAYBE | KW_W_ROPED, "self_attn.q_proj.bias", "attn_q.bias", one,     q_dim),
    L(b_k,        VECTOR | MAYBE | KW_W_ROPED, "self_attn.k_proj.bias", "attn_k.bias", one,     kv_dim),
    L(b_v,        VECTOR | MAYBE, "self_attn.v_proj.bias",       "attn_v.bias",        one,     kv_dim),
    L(b_o,        VECTOR | MAYBE, "self_attn.o_proj.bias",       "attn_output.bias",   one,     dim),
    END,
};

const kw_weight_row kw_llama_gated[] = {
    L(gate,       0,          "mlp.gate_proj.weight",            "ffn_gate.weight",    ffn_dim, dim),
    L(up,         0,          "mlp.up_proj.weight",              "ffn_up.weight",      ffn_dim, dim),
    L(down,       0,          "mlp.down_proj.weight",            "ffn_down.weight",    dim,     ffn_dim),
    END,
};

static const kw_weight_row ffn_biases[] = {
    L(b_gate,     VECTOR | MAYBE, "mlp.gate_proj.bias",          "ffn_gate.bias",      one,     ffn_dim),
    L(b_up,       VECTOR | MAYBE, "mlp.up_proj.bias",            "ffn_up.bias",        one,     ffn_dim),
    L(b_down,     VECTOR | MAYBE, "mlp.down_proj.bias",          "ffn_down.bias",      one,     dim),
    END,
};

static const kw_arch archs[] = {
    { "llama", "llama", "LlamaForCausalLM", true, NULL },
    { 0 },
};
/* clang-format on */

/* What other shapes have and this one has not is refused: computing on would give wrong words. */
kw_status kw_llama_check(kw_config *c)
{
    kw_status st = kw_check_config(c);
    if (!st) st = kw_check_word("activation", c->activation, "silu, swish");
    if (!st) st = kw_check_windows(c);
    if (!st) st = kw_check_rope(c, KW_ROPE_TYPES);
    if (!st && c->rope.head_dim != c->head_dim)
        return kw_fail(KW_EUNSUPPORTED, "rotary width %d of %d: not supported yet",
                       c->rope.head_dim, c->head_dim);
    return st;
}

/* ---- a layer ---- */

kw_llama_heads kw_llama_heads_of(const kw_config *c, int il, kw_val table,
                                 const kw_decoder_inputs *in)
{
    return (kw_llama_heads){
        .attend = kw_heads(c, il),
        .rope = { .head_dim = c->head_dim, .interleaved = c->interleaved },
        .table = table,
        .rows = in->rows,
    };
}

/* The norm of each head that some relatives have. */
static kw_val head_norm(kw_plan *p, const kw_config *c, kw_val x, kw_weight_ref w)
{
    return w.t ? kw_head_norm(p, x, kw_bind(p, w), (float)c->eps) : x;
}

/* The stream x plus h times w, which Gemma 2 and 3 norm first. */
static kw_val add_to(kw_plan *p, const kw_config *c, kw_val x, kw_val h, kw_val w, kw_val b,
                     kw_weight_ref post)
{
    if (!post.t) return kw_linear_onto(p, h, w, b, x);
    return kw_add(p, x, kw_rms_norm(p, kw_linear(p, h, w, b), kw_bind(p, post), (float)c->eps));
}

kw_val kw_llama_attention(kw_plan *p, const kw_config *c, const kw_layer *w, kw_val x,
                          kw_llama_heads heads)
{
    kw_val h = kw_rms_norm(p, x, kw_bind(p, w->attn_norm), (float)c->eps);
    kw_val q = kw_linear(p, h, kw_bind(p, w->q), kw_bind(p, w->b_q));
    kw_val k = kw_linear(p, h, kw_bind(p, w->k), kw_bind(p, w->b_k));
    kw_val v = kw_linear(p, h, kw_bind(p, w->v), kw_bind(p, w->b_v));
    k = kw_rope(p, head_norm(p, c, k, w->k_norm), heads.table, heads.rope);
    q = kw_rope(p, head_norm(p, c, q, w->q_norm), heads.table, heads.rope);
    h = kw_attend(p, q, k, v, heads.rows, heads.attend);
    return add_to(p, c, x, h, kw_bind(p, w->o), kw_bind(p, w->b_o), w->attn_post);
}

kw_val kw_llama_ffn(kw_plan *p, const kw_config *c, const kw_layer *w, kw_val x, kw_gate act)
{
    kw_val h = kw_rms_norm(p, x, kw_bind(p, w->ffn_norm), (float)c->eps);
    kw_val gate = kw_linear(p, h, kw_bind(p, w->gate), kw_bind(p, w->b_gate));
    kw_val up = kw_linear(p, h, kw_bind(p, w->up), kw_bind(p, w->b_up));
    h = act(p, gate, up);
    return add_to(p, c, x, h, kw_bind(p, w->down), kw_bind(p, w->b_down), w->ffn_post);
}

kw_val kw_llama_block(kw_plan *p, const kw_config *c, const kw_layer *w, int il, kw_val x,
                      kw_val table, const kw_decoder_inputs *in)
{
    x = kw_llama_attention(p, c, w, x, kw_llama_heads_of(c, il, table, in));
    return kw_llama_ffn(p, c, w, x, kw_swiglu);
}

const kw_family kw_family_llama = {
    .name = "llama",
    .archs = archs,
    KW_SIZES(kw_config, kw_layer, kw_weights),
    .fields = { kw_llama_sizes, kw_llama_rest },
    .weights = { kw_llama_matrices, kw_llama_norms, kw_llama_biases, kw_llama_gated, ffn_biases },
    .check = kw_llama_check,
    .derive = kw_check_divisors,
    .frequencies = kw_frequencies,
    .enter = kw_enter_ids,
    .block = kw_llama_block,
    .leave = kw_leave_rms,
    .head = kw_head,
};
