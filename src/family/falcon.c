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
#include "family/tables.h"
#include <math.h>
#include <string.h>

/* Alibi is added once, as these models were trained and as transformers computes by default. Its eager attention adds it
 * twice: in the mask and to the scores. */
enum { ALIBI_TIMES = 1 };

typedef struct config {
    int dim, ffn, n_layers, n_heads, n_kv_heads, head_dim, n_vocab, ctx;
    int qkv_dim, one;
    double eps;
    kw_rope_config rope;
    bool multi_query, parallel, grouped, alibi, post_norm;
    char activation[KW_WORD_MAX], layout[KW_WORD_MAX];
} config;

typedef struct layer {
    kw_weight_ref norm, b_norm, attn_norm, b_attn_norm, ffn_norm, b_ffn_norm, qkv, b_qkv, o, bo, up,
        b_up, down, b_down;
} layer;

typedef struct weights {
    kw_weight_ref embed, norm, b_norm, head;
    layer *layers;
} weights;

/* clang-format off */
static const kw_field fields[] = {
    F(dim,         INT,   true,  0,     "hidden_size",                  "embedding_length"),
    F(ffn,         INT,   false, 0,     "ffn_hidden_size",              "feed_forward_length"),
    F(n_layers,    INT,   true,  0,     "num_hidden_layers|n_layer",    "block_count"),
    F(n_heads,     INT,   true,  0,     "num_attention_heads|n_head",   "attention.head_count"),
    F(n_kv_heads,  INT,   false, 0,     "num_kv_heads|n_head_kv",       "attention.head_count_kv"),
    F(n_vocab,     INT,   false, 0,     "vocab_size",                   "vocab_size"),
    F(ctx,         INT,   false, 2048,  "max_position_embeddings",      "context_length"),
    F(eps,         FLOAT, false, 1e-5,  "layer_norm_epsilon",           "attention.layer_norm_epsilon"),
    F(multi_query, BOOL,  false, 1,     "multi_query",                  NULL),
    F(parallel,    BOOL,  false, 1,     "parallel_attn",                NULL),
    F(grouped,     BOOL,  false, 0,     "new_decoder_architecture",     NULL),
    F(alibi,       BOOL,  false, 0,     "alibi",                        NULL),
    F(post_norm,   BOOL,  false, 0,     "apply_residual_connection_post_layernorm", NULL),
    F(activation,  WORD,  false, 0,     "activation",                   NULL),
    F(layout,      WORD,  false, 0,     NULL,                           "tensor_data_layout"),
    F(rope.base,   FLOAT, false, 10000, "rope_parameters.rope_theta|rope_theta", "rope.freq_base"),
    F(rope.type,   WORD,  false, 0,     "rope_parameters.rope_type|rope_scaling.rope_type|rope_scaling.type", "rope.scaling.type"),
    F(rope.factor, FLOAT, false, 1,     "rope_parameters.factor|rope_scaling.factor", "rope.scaling.factor"),
    { .at = KW_TABLE_END },
};

#define L(m, flags, hf, gguf, d0, d1) \
    { offsetof(layer, m), (flags) | KW_W_LAYER, "transformer.h.%d." hf, gguf, { C(d0), C(d1) } }
#define VECTOR KW_W_F32
#define MAYBE (KW_W_F32 | KW_W_OPTIONAL)
#define TWIN (KW_W_F32 | KW_W_TWIN)
static const kw_weight_row rows[] = {
    T(embed,       KW_W_TABLE, "transformer.word_embeddings.weight",   "token_embd.weight",         n_vocab, dim),
    T(norm,        VECTOR,     "transformer.ln_f.weight",              "output_norm.weight",        one,     dim),
    T(b_norm,      VECTOR,     "transformer.ln_f.bias",                "output_norm.bias",          one,     dim),
    T(head,        KW_W_TIED,  "lm_head.weight",                       "output.weight",             n_vocab, dim),
    L(norm,        TWIN,       "input_layernorm.weight|transformer.h.%d.ln_mlp.weight", "blk.%d.attn_norm.weight", one, dim),
    L(b_norm,      TWIN,       "input_layernorm.bias|transformer.h.%d.ln_mlp.bias",     "blk.%d.attn_norm.bias",   one, dim),
    L(attn_norm,   MAYBE,      "ln_attn.weight",                       "blk.%d.attn_norm_2.weight", one,     dim),
    L(b_attn_norm, MAYBE,      "ln_attn.bias",                         "blk.%d.attn_norm_2.bias",   one,     dim),
    L(ffn_norm,    MAYBE,      "post_attention_layernorm.weight",      NULL,                        one,     dim),
    L(b_ffn_norm,  MAYBE,      "post_attention_layernorm.bias",        NULL,                        one,     dim),
    L(qkv,         KW_W_GROUPED, "self_attention.query_key_value.weight","blk.%d.attn_qkv.weight",    qkv_dim, dim),
    L(b_qkv,       MAYBE | KW_W_GROUPED, "self_attention.query_key_value.bias",  NULL,                        one,     qkv_dim),
    L(o,           0,          "self_attention.dense.weight",          "blk.%d.attn_output.weight", dim,     dim),
    L(bo,          MAYBE,      "self_attention.dense.bias",            NULL,                        one,     dim),
    L(up,          0,          "mlp.dense_h_to_4h.weight",             "blk.%d.ffn_up.weight",      ffn,     dim),
    L(b_up,        MAYBE,      "mlp.dense_h_to_4h.bias",               NULL,                        one,     ffn),
    L(down,        0,          "mlp.dense_4h_to_h.weight",             "blk.%d.ffn_down.weight",    dim,     ffn),
    L(b_down,      MAYBE,      "mlp.dense_4h_to_h.bias",               NULL,                        one,     dim),
    { .at = KW_TABLE_END },
};

static const kw_arch archs[] = {
    { "falcon", "falcon", "FalconForCausalLM", false },
    { NULL, NULL, NULL, false },
};
/* clang-format on */

static kw_status derive(config *c)
{
    bool is_plain = c->layout[0]; /* GGUF: n_kv_heads is what it says */
    if (!is_plain && !c->grouped) c->n_kv_heads = c->multi_query ? 1 : c->n_heads;
    if (c->n_kv_heads == 0) c->n_kv_heads = c->n_heads;
    if (c->n_kv_heads < 1 || c->dim % c->n_heads || c->n_heads % c->n_kv_heads)
        return kw_fail(KW_EFORMAT, "%d heads over %d kv heads in a width of %d", c->n_heads,
                       c->n_kv_heads, c->dim);
    c->parallel = c->parallel || c->grouped;
    c->head_dim = c->dim / c->n_heads;
    c->qkv_dim = (c->n_heads + 2 * c->n_kv_heads) * c->head_dim;
    c->one = 1;
    c->rope.head_dim = c->head_dim;
    c->rope.ctx = c->rope.original_ctx = c->ctx;
    const char *rope = c->rope.type;
    if (*rope && strcmp(rope, "default") && strcmp(rope, "linear") && strcmp(rope, "dynamic"))
        return kw_fail(KW_EUNSUPPORTED,
                       "rope type \"%s\" in a Falcon: known are linear and dynamic", rope);
    return c->alibi ? KW_OK : kw_rope_check(&c->rope);
}

static kw_status check(void *config_, bool interleaved)
{
    config *c = config_;
    (void)interleaved;
    if (c->ffn == 0 && c->dim > 0 && c->dim <= 1 << 20) c->ffn = 4 * c->dim;
    const kw_size sizes[] = {
        { "width", c->dim, 1 << 20 },    { "feed-forward width", c->ffn, 1 << 22 },
        { "layers", c->n_layers, 4096 }, { "heads", c->n_heads, 65536 },
        { "context", c->ctx, 1 << 30 },
    };
    kw_status st = kw_check_sizes(sizes, sizeof sizes / sizeof *sizes);
    if (st) return st;
    if (c->activation[0] && strcmp(c->activation, "gelu"))
        return kw_fail(KW_EUNSUPPORTED, "activation \"%s\" in a Falcon: known is gelu",
                       c->activation);
    if (c->post_norm)
        return kw_fail(KW_EUNSUPPORTED, "a Falcon whose residual is the result of a norm "
                                        "(apply_residual_connection_post_layernorm)");
    if (!(c->eps >= 0)) return kw_fail(KW_EFORMAT, "epsilon of the norms is %g", c->eps);
    return derive(c);
}

/* GGUF counts kv heads, Hugging Face names the ways to group them. */
static int hf_member(void *config_)
{
    config *c = config_;
    c->multi_query = c->n_kv_heads == 1;
    c->grouped = c->n_kv_heads > 1;
    return 0;
}

static kw_decoder_shape shape(const void *config_)
{
    const config *c = config_;
    return (kw_decoder_shape){
        .n_layers = c->n_layers,
        .dim = c->dim,
        .n_heads = c->n_heads,
        .n_kv_heads = c->n_kv_heads,
        .head_dim = c->head_dim,
        .ffn_dim = c->ffn,
        .n_vocab = c->n_vocab,
        .ctx_train = c->ctx,
        .n_rope = c->alibi ? 0 : c->head_dim / 2,
        .rope_by_length = !c->alibi && strcmp(c->rope.type, "dynamic") == 0,
    };
}

static void frequencies(const void *config_, const void *weights_, int64_t length, float *freq,
                        float *scale)
{
    const config *c = config_;
    (void)weights_;
    if (!c->alibi) kw_rope_frequencies(&c->rope, length, NULL, freq, scale);
}

static kw_val enter(kw_plan *p, const void *config_, const void *weights_,
                    const kw_decoder_inputs *in)
{
    (void)config_;
    const weights *w = weights_;
    return kw_embed(p, in->ids, kw_bind(p, w->embed));
}

static kw_val begin(kw_plan *p, const void *config_, const kw_decoder_inputs *in)
{
    const config *c = config_;
    return c->alibi ? KW_NONE : kw_rope_table(p, in->rows, in->freq, in->rope_scale);
}

/* The columns of q (part 0), k (1) or v (2) in the result of the fused projection. */
static kw_columns_args part_of(const config *c, int part)
{
    int q = c->n_heads / c->n_kv_heads * c->head_dim, kv = c->head_dim, n = c->n_kv_heads;
    int group = q + 2 * kv; /* of a kv head */
    if (c->layout[0]) {
        q *= n, kv *= n, group *= n;
        n = 1;
    }
    return (kw_columns_args){ part ? q + (part - 1) * kv : 0, part ? kv : q, group, n };
}

static kw_val attention(kw_plan *p, const config *c, const layer *w, kw_attend_args attend,
                        kw_val x, kw_val table, kw_val rows_in)
{
    kw_rope_args rope = { .head_dim = c->head_dim };
    kw_val qkv = kw_linear(p, x, kw_bind(p, w->qkv), kw_bind(p, w->b_qkv));
    kw_val q = kw_columns(p, qkv, part_of(c, 0)), k = kw_columns(p, qkv, part_of(c, 1)),
           v = kw_columns(p, qkv, part_of(c, 2));
    if (!c->alibi) {
        q = kw_rope(p, q, table, rope);
        k = kw_rope(p, k, table, rope);
    }
    kw_val o = kw_attend(p, q, k, v, rows_in, attend);
    return kw_linear(p, o, kw_bind(p, w->o), kw_bind(p, w->bo));
}

static kw_val mlp(kw_plan *p, const layer *w, kw_val x, kw_val onto)
{
    x = kw_gelu(p, kw_linear(p, x, kw_bind(p, w->up), kw_bind(p, w->b_up)));
    return kw_linear_onto(p, x, kw_bind(p, w->down), kw_bind(p, w->b_down), onto);
}

static kw_val norm(kw_plan *p, const config *c, kw_val x, kw_weight_ref w, kw_weight_ref bias)
{
    return kw_layer_norm(p, x, kw_bind(p, w), kw_bind(p, bias), (float)c->eps);
}

static kw_val block(kw_plan *p, const void *config_, const void *layer_, int il, kw_val x,
                    kw_val table, const kw_decoder_inputs *in)
{
    const config *c = config_;
    const layer *w = layer_;
    kw_attend_args attend = {
        .layer = il,
        .n_heads = c->n_heads,
        .n_kv_heads = c->n_kv_heads,
        .head_dim = c->head_dim,
        .scale = 1.0f / sqrtf((float)c->head_dim),
        .alibi = c->alibi ? ALIBI_TIMES : 0,
    };
    kw_val h = norm(p, c, x, w->norm, w->b_norm);
    kw_val to_attn = w->attn_norm.t ? norm(p, c, x, w->attn_norm, w->b_attn_norm) : h;
    kw_val a = attention(p, c, w, attend, to_attn, table, in->rows);
    if (c->parallel) return kw_add(p, mlp(p, w, h, a), x);
    x = kw_add(p, x, a);
    return mlp(p, w, norm(p, c, x, w->ffn_norm, w->b_ffn_norm), x);
}

static kw_val leave(kw_plan *p, const void *config_, const void *weights_, kw_val x)
{
    const weights *w = weights_;
    return norm(p, config_, x, w->norm, w->b_norm);
}

static kw_val head(kw_plan *p, const void *config_, const void *weights_, kw_val x)
{
    (void)config_;
    const weights *w = weights_;
    return kw_linear(p, x, kw_bind(p, w->head), KW_NONE);
}

const kw_family kw_family_falcon = {
    .name = "falcon",
    .archs = archs,
    KW_LAYOUT(layers, n_layers),
    .fields = fields,
    .weights = rows,
    .check = check,
    .hf_member = hf_member,
    .shape = shape,
    .frequencies = frequencies,
    .enter = enter,
    .begin = begin,
    .block = block,
    .leave = leave,
    .head = head,
};
