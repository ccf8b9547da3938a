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
#include "family/tables.h"
#include <math.h>
#include <string.h>

typedef struct config {
    int dim, ffn, n_layers, n_heads, head_dim, n_vocab, ctx;
    int qkv_dim, one;
    double eps;
    bool scale, scale_by_layer;
    char activation[KW_WORD_MAX];
} config;

typedef struct layer {
    kw_weight_ref attn_norm, b_attn_norm, qkv, b_qkv, o, bo, ffn_norm, b_ffn_norm, up, b_up, down,
        b_down;
} layer;

typedef struct weights {
    kw_weight_ref embed, positions, norm, b_norm, head;
    layer *layers;
} weights;

/* clang-format off */
static const kw_field fields[] = {
    F(dim,            INT,   true,  0,    "n_embd|hidden_size",           "embedding_length"),
    F(ffn,            INT,   false, 0,    "n_inner",                      "feed_forward_length"),
    F(n_layers,       INT,   true,  0,    "n_layer|num_hidden_layers",    "block_count"),
    F(n_heads,        INT,   true,  0,    "n_head|num_attention_heads",   "attention.head_count"),
    F(n_vocab,        INT,   false, 0,    "vocab_size",                   "vocab_size"),
    F(ctx,            INT,   false, 1024, "n_positions|n_ctx|max_position_embeddings", "context_length"),
    F(eps,            FLOAT, false, 1e-5, "layer_norm_epsilon",           "attention.layer_norm_epsilon"),
    F(scale,          BOOL,  false, 1,    "scale_attn_weights",           NULL),
    F(scale_by_layer, BOOL,  false, 0,    "scale_attn_by_inverse_layer_idx", NULL),
    F(activation,     WORD,  false, 0,    "activation_function",          NULL),
    { .at = KW_TABLE_END },
};

/* With or without the name of the model in front. */
#define E(m, flags, hf, gguf, d0, d1) T(m, flags, hf "|transformer." hf, gguf, d0, d1)
#define L(m, flags, hf, gguf, d0, d1) \
    { offsetof(layer, m), (flags) | KW_W_LAYER, "h.%d." hf "|transformer.h.%d." hf, "blk.%d." gguf, { C(d0), C(d1) } }
#define VECTOR KW_W_F32
static const kw_weight_row rows[] = {
    E(embed,       KW_W_TABLE,  "wte.weight",         "token_embd.weight",    n_vocab, dim),
    E(positions,   KW_W_TABLE,  "wpe.weight",         "position_embd.weight", ctx,     dim),
    E(norm,        VECTOR,      "ln_f.weight",        "output_norm.weight",   one,     dim),
    E(b_norm,      VECTOR,      "ln_f.bias",          "output_norm.bias",     one,     dim),
    T(head,        KW_W_TIED,   "lm_head.weight",     "output.weight",        n_vocab, dim),
    L(attn_norm,   VECTOR,      "ln_1.weight",        "attn_norm.weight",     one,     dim),
    L(b_attn_norm, VECTOR,      "ln_1.bias",          "attn_norm.bias",       one,     dim),
    L(qkv,         KW_W_TURNED, "attn.c_attn.weight", "attn_qkv.weight",      qkv_dim, dim),
    L(b_qkv,       VECTOR,      "attn.c_attn.bias",   "attn_qkv.bias",        one,     qkv_dim),
    L(o,           KW_W_TURNED, "attn.c_proj.weight", "attn_output.weight",   dim,     dim),
    L(bo,          VECTOR,      "attn.c_proj.bias",   "attn_output.bias",     one,     dim),
    L(ffn_norm,    VECTOR,      "ln_2.weight",        "ffn_norm.weight",      one,     dim),
    L(b_ffn_norm,  VECTOR,      "ln_2.bias",          "ffn_norm.bias",        one,     dim),
    L(up,          KW_W_TURNED, "mlp.c_fc.weight",    "ffn_up.weight",        ffn,     dim),
    L(b_up,        VECTOR,      "mlp.c_fc.bias",      "ffn_up.bias",          one,     ffn),
    L(down,        KW_W_TURNED, "mlp.c_proj.weight",  "ffn_down.weight",      dim,     ffn),
    L(b_down,      VECTOR,      "mlp.c_proj.bias",    "ffn_down.bias",        one,     dim),
    { .at = KW_TABLE_END },
};

static const kw_arch archs[] = {
    { "gpt2", "gpt2", "GPT2LMHeadModel", false },
    { NULL, NULL, NULL, false },
};
/* clang-format on */

static kw_status check(void *config_, bool interleaved)
{
    config *c = config_;
    const char *act = c->activation;
    (void)interleaved;
    if (c->ffn == 0 && c->dim > 0 && c->dim <= 1 << 20) c->ffn = 4 * c->dim;
    const kw_size sizes[] = {
        { "width", c->dim, 1 << 20 },     { "feed-forward width", c->ffn, 1 << 22 },
        { "layers", c->n_layers, 4096 },  { "heads", c->n_heads, 65536 },
        { "positions", c->ctx, 1 << 24 },
    };
    kw_status st = kw_check_sizes(sizes, sizeof sizes / sizeof *sizes);
    if (st) return st;
    if (c->dim % c->n_heads)
        return kw_fail(KW_EFORMAT, "%d heads do not divide width %d", c->n_heads, c->dim);
    if (*act && strcmp(act, "gelu_new") && strcmp(act, "gelu_pytorch_tanh"))
        return kw_fail(KW_EUNSUPPORTED, "activation \"%s\" in a GPT-2: known is gelu_new", act);
    if (!(c->eps >= 0)) return kw_fail(KW_EFORMAT, "epsilon of the norms is %g", c->eps);
    c->head_dim = c->dim / c->n_heads;
    c->qkv_dim = 3 * c->dim;
    c->one = 1;
    return KW_OK;
}

static kw_decoder_shape shape(const void *config_)
{
    const config *c = config_;
    return (kw_decoder_shape){
        .n_layers = c->n_layers,
        .dim = c->dim,
        .n_heads = c->n_heads,
        .n_kv_heads = c->n_heads,
        .head_dim = c->head_dim,
        .ffn_dim = c->ffn,
        .n_vocab = c->n_vocab,
        .ctx_train = c->ctx,
        .ctx_is_fixed = true,
    };
}

static kw_val enter(kw_plan *p, const void *config_, const void *weights_,
                    const kw_decoder_inputs *in)
{
    (void)config_;
    const weights *w = weights_;
    kw_val x = kw_embed(p, in->ids, kw_bind(p, w->embed));
    return kw_add(p, x, kw_embed(p, in->rows, kw_bind(p, w->positions)));
}

static float scale_of(const config *c, int il)
{
    float scale = c->scale ? 1.0f / sqrtf((float)c->head_dim) : 1.0f;
    return c->scale_by_layer ? scale / (float)(il + 1) : scale;
}

/* The stream x with the attention of h added. */
static kw_val attention(kw_plan *p, const config *c, const layer *w, int il, kw_val h, kw_val x,
                        kw_val rows_in)
{
    kw_attend_args attend = {
        .layer = il,
        .n_heads = c->n_heads,
        .n_kv_heads = c->n_heads,
        .head_dim = c->head_dim,
        .scale = scale_of(c, il),
    };
    kw_val qkv = kw_linear(p, h, kw_bind(p, w->qkv), kw_bind(p, w->b_qkv)), part[3];
    for (int i = 0; i < 3; i++)
        part[i] = kw_columns(p, qkv, (kw_columns_args){ i * c->dim, c->dim, c->dim, 1 });
    kw_val o = kw_attend(p, part[0], part[1], part[2], rows_in, attend);
    return kw_linear_onto(p, o, kw_bind(p, w->o), kw_bind(p, w->bo), x);
}

static kw_val norm(kw_plan *p, const config *c, kw_val x, kw_weight_ref w, kw_weight_ref bias)
{
    return kw_layer_norm(p, x, kw_bind(p, w), kw_bind(p, bias), (float)c->eps);
}

static kw_val block(kw_plan *p, const void *config_, const void *layer_, int il, kw_val x,
                    kw_val shared, const kw_decoder_inputs *in)
{
    const config *c = config_;
    const layer *w = layer_;
    (void)shared;
    kw_val h = norm(p, c, x, w->attn_norm, w->b_attn_norm);
    x = attention(p, c, w, il, h, x, in->rows);
    h = norm(p, c, x, w->ffn_norm, w->b_ffn_norm);
    h = kw_gelu_tanh(p, kw_linear(p, h, kw_bind(p, w->up), kw_bind(p, w->b_up)));
    return kw_linear_onto(p, h, kw_bind(p, w->down), kw_bind(p, w->b_down), x);
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

const kw_family kw_family_gpt2 = {
    .name = "gpt2",
    .archs = archs,
    KW_LAYOUT(layers, n_layers),
    .fields = fields,
    .weights = rows,
    .check = check,
    .shape = shape,
    .enter = enter,
    .begin = kw_begin_nothing,
    .block = block,
    .leave = leave,
    .head = head,
};
