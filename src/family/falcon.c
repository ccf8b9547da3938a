/* falcon.c - Falcon 7B, 40B, 180B, Falcon2 11B and Falcon-RW. (Falcon 3 is a llama.)
 *
 * A decoder with LayerNorm, exact GELU, the embedding as head, and one projection for q, k and v: for each kv head its query
 * heads, one k and one v. With one kv head (7B) that is all q, k, v; with as many as heads (RW) it is q, k, v of each head.
 * GGUF files hold all q, then all k, then all v. What else differs:
 *
 *              norms of a layer       attention and feed-forward     positions
 *   7B, 11B    one for both           side by side                   rope
 *   40B, 180B  one for each           side by side                   rope
 *   RW         one for each           one after the other            alibi, scaled like q . k
 *
 * Which norms and biases there are is seen from the file. Source: transformers modeling_falcon. */
#include "family/blocks.h"

/* Alibi is added once, as these models were trained and as transformers computes by default. Its eager attention adds it
 * twice: in the mask and to the scores. */
enum { ALIBI_TIMES = 1 };

typedef struct config {
    kw_config base;
    bool multi_query, parallel, grouped, alibi, post_norm;
    char layout[KW_WORD_MAX]; /* of the fused projection; GGUF's */
} config;

/* clang-format off */
static const kw_field fields[] = {
    F(dim,         INT,   true,  0,     "hidden_size",                  "embedding_length"),
    F(ffn_dim,     INT,   false, 0,     "ffn_hidden_size",              "feed_forward_length"),
    F(n_layers,    INT,   true,  0,     "num_hidden_layers|n_layer",    "block_count"),
    F(n_heads,     INT,   true,  0,     "num_attention_heads|n_head",   "attention.head_count"),
    F(n_kv_heads,  INT,   false, 0,     "num_kv_heads|n_head_kv",       "attention.head_count_kv"),
    F(n_vocab,     INT,   false, 0,     "vocab_size",                   "vocab_size"),
    F(ctx_train,   INT,   false, 2048,  "max_position_embeddings",      "context_length"),
    F(eps,         FLOAT, false, 1e-5,  "layer_norm_epsilon",           "attention.layer_norm_epsilon"),
    F(activation,  WORD,  false, 0,     "activation",                   NULL),
    F(rope.base,   FLOAT, false, 10000, "rope_parameters.rope_theta|rope_theta", "rope.freq_base"),
    F(rope.type,   WORD,  false, 0,     "rope_parameters.rope_type|rope_scaling.rope_type|rope_scaling.type", "rope.scaling.type"),
    F(rope.factor, FLOAT, false, 1,     "rope_parameters.factor|rope_scaling.factor", "rope.scaling.factor"),
    OWN(multi_query, BOOL, false, 1,    "multi_query",                  NULL),
    OWN(parallel,    BOOL, false, 1,    "parallel_attn",                NULL),
    OWN(grouped,     BOOL, false, 0,    "new_decoder_architecture",     NULL),
    OWN(alibi,       BOOL, false, 0,    "alibi",                        NULL),
    OWN(post_norm,   BOOL, false, 0,    "apply_residual_connection_post_layernorm", NULL),
    OWN(layout,      WORD, false, 0,    NULL,                           "tensor_data_layout"),
    END,
};

#define H "transformer.h.%d."
#define L(m, flags, hf, gguf, d0, d1) LAYER(m, flags, H hf, gguf, d0, d1)
#define TWIN (VECTOR | KW_W_TWIN)
#define NONE (VECTOR | MAYBE)
static const kw_weight_row rows[] = {
    T(embed,       KW_W_TABLE, "transformer.word_embeddings.weight",     "token_embd.weight",         n_vocab, dim),
    T(norm,        VECTOR,     "transformer.ln_f.weight",                "output_norm.weight",        one,     dim),
    T(b_norm,      VECTOR,     "transformer.ln_f.bias",                  "output_norm.bias",          one,     dim),
    T(head,        KW_W_TIED,  "lm_head.weight",                         "output.weight",             n_vocab, dim),
    /* the one for both, or that of the feed-forward network beside attention */
    L(norm,        TWIN,       "input_layernorm.weight|" H "ln_mlp.weight", "blk.%d.attn_norm.weight", one,    dim),
    L(b_norm,      TWIN,       "input_layernorm.bias|" H "ln_mlp.bias",  "blk.%d.attn_norm.bias",     one,     dim),
    L(attn_norm,   NONE,       "ln_attn.weight",                         "blk.%d.attn_norm_2.weight", one,     dim),
    L(b_attn_norm, NONE,       "ln_attn.bias",                           "blk.%d.attn_norm_2.bias",   one,     dim),
    L(ffn_norm,    NONE,       "post_attention_layernorm.weight",        NULL,                        one,     dim),
    L(b_ffn_norm,  NONE,       "post_attention_layernorm.bias",          NULL,                        one,     dim),
    L(qkv,         KW_W_GROUPED,        "self_attention.query_key_value.weight", "blk.%d.attn_qkv.weight", qkv_dim, dim),
    L(b_qkv,       NONE | KW_W_GROUPED, "self_attention.query_key_value.bias",   NULL,           one,     qkv_dim),
    L(o,           0,          "self_attention.dense.weight",            "blk.%d.attn_output.weight", dim,     dim),
    L(b_o,          NONE,       "self_attention.dense.bias",              NULL,                        one,     dim),
    L(up,          0,          "mlp.dense_h_to_4h.weight",               "blk.%d.ffn_up.weight",      ffn_dim, dim),
    L(b_up,        NONE,       "mlp.dense_h_to_4h.bias",                 NULL,                        one,     ffn_dim),
    L(down,        0,          "mlp.dense_4h_to_h.weight",               "blk.%d.ffn_down.weight",    dim,     ffn_dim),
    L(b_down,      NONE,       "mlp.dense_4h_to_h.bias",                 NULL,                        one,     dim),
    END,
};

static const kw_arch archs[] = {
    { "falcon", "falcon", "FalconForCausalLM", false, NULL },
    { 0 },
};
/* clang-format on */

static const config *own_of(const kw_config *c) { return (const config *)c; }

/* GGUF counts kv heads, Hugging Face names the ways to group them. */
static void group(kw_config *c, config *own)
{
    if (c->n_kv_heads == 0) c->n_kv_heads = c->n_heads;
    if (own->layout[0]) {
        own->multi_query = c->n_kv_heads == 1;
        own->grouped = c->n_kv_heads > 1;
    } else if (!own->grouped) {
        c->n_kv_heads = own->multi_query ? 1 : c->n_heads;
    }
    own->parallel = own->parallel || own->grouped;
}

static kw_status check(kw_config *c)
{
    config *own = (config *)c;
    if (c->ffn_dim == 0 && c->dim > 0 && c->dim <= 1 << 20) c->ffn_dim = 4 * c->dim;
    group(c, own);
    c->rope.share = 1;
    if (own->post_norm)
        return kw_fail(KW_EUNSUPPORTED, "a Falcon whose residual is the result of a norm "
                                        "(apply_residual_connection_post_layernorm)");
    kw_status st = kw_check_config(c);
    if (!st) st = kw_check_word("activation", c->activation, "gelu");
    return st || own->alibi ? st : kw_check_rope(c, "default, linear, dynamic");
}

/* The columns of q (part 0), k (1) or v (2) in the result of the fused projection. */
static kw_columns_args part_of(const kw_config *c, int part)
{
    int q = c->n_heads / c->n_kv_heads * c->head_dim, kv = c->head_dim, n = c->n_kv_heads;
    int group = q + 2 * kv; /* of a kv head */
    if (own_of(c)->layout[0]) {
        q *= n, kv *= n, group *= n;
        n = 1;
    }
    return (kw_columns_args){ part ? q + (part - 1) * kv : 0, part ? kv : q, group, n };
}

static kw_val attention(kw_plan *p, const kw_config *c, const kw_layer *w, int il, kw_val x,
                        kw_val table, kw_val places)
{
    bool alibi = own_of(c)->alibi;
    kw_attend_args heads = kw_heads(c, il);
    kw_rope_args rope = { .head_dim = c->head_dim };
    kw_val qkv = kw_linear(p, x, kw_bind(p, w->qkv), kw_bind(p, w->b_qkv));
    kw_val q = kw_columns(p, qkv, part_of(c, 0)), k = kw_columns(p, qkv, part_of(c, 1)),
           v = kw_columns(p, qkv, part_of(c, 2));
    if (alibi) heads.alibi = ALIBI_TIMES;
    else q = kw_rope(p, q, table, rope), k = kw_rope(p, k, table, rope);
    kw_val o = kw_attend(p, q, k, v, places, heads);
    return kw_linear(p, o, kw_bind(p, w->o), kw_bind(p, w->b_o));
}

static kw_val ffn(kw_plan *p, const kw_layer *w, kw_val x, kw_val onto)
{
    x = kw_gelu(p, kw_linear(p, x, kw_bind(p, w->up), kw_bind(p, w->b_up)));
    return kw_linear_onto(p, x, kw_bind(p, w->down), kw_bind(p, w->b_down), onto);
}

static kw_val block(kw_plan *p, const kw_config *c, const kw_layer *w, int il, kw_val x,
                    kw_val table, const kw_decoder_inputs *in)
{
    kw_val h = kw_norm(p, c, x, w->norm, w->b_norm);
    kw_val to_attn = w->attn_norm.t ? kw_norm(p, c, x, w->attn_norm, w->b_attn_norm) : h;
    kw_val a = attention(p, c, w, il, to_attn, table, in->rows);
    if (own_of(c)->parallel) return kw_add(p, ffn(p, w, h, a), x);
    x = kw_add(p, x, a);
    return ffn(p, w, kw_norm(p, c, x, w->ffn_norm, w->b_ffn_norm), x);
}

const kw_family kw_family_falcon = {
    .name = "falcon",
    .archs = archs,
    KW_SIZES(config, kw_layer, kw_weights),
    .fields = { fields },
    .weights = { rows },
    .check = check,
    .frequencies = kw_frequencies,
    .enter = kw_enter_ids,
    .block = block,
    .leave = kw_leave_norm,
    .head = kw_head,
};
