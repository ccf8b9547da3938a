/* gpt2.c - GPT-2 in its sizes, distilgpt2 and what was fine-tuned from them.
 *
 * A pre-norm decoder of 2019: learned positions are added to the embedding (there are n_positions of them and no others),
 * LayerNorm with a bias, one projection for q, k and v, as many kv heads as heads, a feed-forward network with the tanh form
 * of GELU, biases everywhere, and the embedding as the head.
 *
 * Hugging Face files hold the four projections of a layer as [in, out] ("Conv1D"); the table says so and they are turned at
 * load. The attention's is square, so that its shape would not tell. Files of OpenAI's models have no prefix, what was saved
 * after fine-tuning begins with "transformer.". Left-over buffers (attn.bias, attn.masked_bias) are masks, not biases.
 *
 * Source: transformers modeling_gpt2 for the order of operations. */
#include "family/blocks.h"

typedef struct config {
    kw_config base;
    bool scale, scale_by_layer;
} config;

/* clang-format off */
static const kw_field fields[] = {
    F(dim,        INT,   true,  0,    "n_embd|hidden_size",         "embedding_length"),
    F(ffn_dim,    INT,   false, 0,    "n_inner",                    "feed_forward_length"),
    F(n_layers,   INT,   true,  0,    "n_layer|num_hidden_layers",  "block_count"),
    F(n_heads,    INT,   true,  0,    "n_head|num_attention_heads", "attention.head_count"),
    F(n_vocab,    INT,   false, 0,    "vocab_size",                 "vocab_size"),
    F(ctx_train,  INT,   false, 1024, "n_positions|n_ctx|max_position_embeddings", "context_length"),
    F(eps,        FLOAT, false, 1e-5, "layer_norm_epsilon",         "attention.layer_norm_epsilon"),
    F(activation, WORD,  false, 0,    "activation_function",        NULL),
    OWN(scale,          BOOL, false, 1, "scale_attn_weights",       NULL),
    OWN(scale_by_layer, BOOL, false, 0, "scale_attn_by_inverse_layer_idx", NULL),
    END,
};

/* With or without the name of the model in front. */
#define E(m, flags, hf, gguf, d0, d1) T(m, flags, hf "|transformer." hf, gguf, d0, d1)
#define L(m, flags, hf, gguf, d0, d1) LAYER(m, flags, "h.%d." hf "|transformer.h.%d." hf, "blk.%d." gguf, d0, d1)
static const kw_weight_row rows[] = {
    E(embed,       KW_W_TABLE,  "wte.weight",         "token_embd.weight",    n_vocab,   dim),
    E(positions,   KW_W_TABLE,  "wpe.weight",         "position_embd.weight", ctx_train, dim),
    E(norm,        VECTOR,      "ln_f.weight",        "output_norm.weight",   one,       dim),
    E(b_norm,      VECTOR,      "ln_f.bias",          "output_norm.bias",     one,       dim),
    T(head,        KW_W_TIED,   "lm_head.weight",     "output.weight",        n_vocab,   dim),
    L(attn_norm,   VECTOR,      "ln_1.weight",        "attn_norm.weight",     one,       dim),
    L(b_attn_norm, VECTOR,      "ln_1.bias",          "attn_norm.bias",       one,       dim),
    L(qkv,         KW_W_TURNED, "attn.c_attn.weight", "attn_qkv.weight",      qkv_dim,   dim),
    L(b_qkv,       VECTOR,      "attn.c_attn.bias",   "attn_qkv.bias",        one,       qkv_dim),
    L(o,           KW_W_TURNED, "attn.c_proj.weight", "attn_output.weight",   dim,       dim),
    L(b_o,          VECTOR,      "attn.c_proj.bias",   "attn_output.bias",     one,       dim),
    L(ffn_norm,    VECTOR,      "ln_2.weight",        "ffn_norm.weight",      one,       dim),
    L(b_ffn_norm,  VECTOR,      "ln_2.bias",          "ffn_norm.bias",        one,       dim),
    L(up,          KW_W_TURNED, "mlp.c_fc.weight",    "ffn_up.weight",        ffn_dim,   dim),
    L(b_up,        VECTOR,      "mlp.c_fc.bias",      "ffn_up.bias",          one,       ffn_dim),
    L(down,        KW_W_TURNED, "mlp.c_proj.weight",  "ffn_down.weight",      dim,       ffn_dim),
    L(b_down,      VECTOR,      "mlp.c_proj.bias",    "ffn_down.bias",        one,       dim),
    END,
};

static const kw_arch archs[] = {
    { "gpt2", "gpt2", "GPT2LMHeadModel", false, NULL },
    { 0 },
};
/* clang-format on */

static kw_status check(kw_config *c)
{
    c->ctx_is_fixed = true;
    if (c->ffn_dim == 0 && c->dim > 0 && c->dim <= 1 << 20) c->ffn_dim = 4 * c->dim;
    kw_status st = kw_check_config(c);
    return st ? st : kw_check_word("activation", c->activation, "gelu_new, gelu_pytorch_tanh");
}

static kw_val enter(kw_plan *p, const kw_config *c, const kw_weights *w,
                    const kw_decoder_inputs *in)
{
    kw_val x = kw_enter_ids(p, c, w, in);
    return kw_add(p, x, kw_embed(p, in->rows, kw_bind(p, w->positions)));
}

/* The stream x with the attention of h added. */
static kw_val attention(kw_plan *p, const kw_config *c, const kw_layer *w, int il, kw_val h,
                        kw_val x, kw_val places)
{
    const config *own = (const config *)c;
    kw_attend_args heads = kw_heads(c, il);
    if (!own->scale) heads.scale = 1;
    if (own->scale_by_layer) heads.scale /= (float)(il + 1);
    kw_val qkv = kw_linear(p, h, kw_bind(p, w->qkv), kw_bind(p, w->b_qkv)), part[3];
    for (int i = 0; i < 3; i++)
        part[i] = kw_columns(p, qkv, (kw_columns_args){ i * c->dim, c->dim, c->dim, 1 });
    kw_val o = kw_attend(p, part[0], part[1], part[2], places, heads);
    return kw_linear_onto(p, o, kw_bind(p, w->o), kw_bind(p, w->b_o), x);
}

static kw_val block(kw_plan *p, const kw_config *c, const kw_layer *w, int il, kw_val x,
                    kw_val table, const kw_decoder_inputs *in)
{
    (void)table;
    kw_val h = kw_norm(p, c, x, w->attn_norm, w->b_attn_norm);
    x = attention(p, c, w, il, h, x, in->rows);
    h = kw_norm(p, c, x, w->ffn_norm, w->b_ffn_norm);
    h = kw_gelu_tanh(p, kw_linear(p, h, kw_bind(p, w->up), kw_bind(p, w->b_up)));
    return kw_linear_onto(p, h, kw_bind(p, w->down), kw_bind(p, w->b_down), x);
}

const kw_family kw_family_gpt2 = {
    .name = "gpt2",
    .archs = archs,
    KW_SIZES(config, kw_layer, kw_weights),
    .fields = { fields },
    .weights = { rows },
    .check = check,
    .enter = enter,
    .block = block,
    .leave = kw_leave_norm,
    .head = kw_head,
};
