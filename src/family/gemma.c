/* gemma.c - Gemma 1, 2 and 3, the text models.
 *
 * A llama in outline. What differs, and in which of them:
 *   all   the embedding is multiplied by sqrt(width), norms multiply by 1 + w (Hugging Face files store w, GGUF files the
 *         sum), the gate is gelu by tanh, the head is the embedding
 *   2, 3  a norm after attention and feed-forward too, scores divided by a number of their own, layers with a window
 *         between layers that see everything
 *   2     soft-caps on scores and logits
 *   3     q and k normed head by head; layers with a window turn by another rope base, the others may be stretched
 *
 * Rope frequencies of Gemma 3 are two sets side by side, for layers with a window and for the others:
 *
 *     freq  [ local: head_dim / 2 | global: head_dim / 2 ]
 *
 * Constants are taken in f32: the embedding's factor is sqrt(width) itself, not its bf16 neighbour.
 * Sources: arXiv 2403.08295, 2408.00118, 2503.19786; transformers modeling_gemma, _gemma2, _gemma3 for the order of
 * operations. */
#include "family/tables.h"
#include <math.h>
#include <string.h>

enum { GEMMA, GEMMA2, GEMMA3 }; /* rows of archs */

typedef struct config {
    int dim, ffn, n_layers, n_heads, n_kv_heads, head_dim, n_vocab, ctx;
    int member, q_dim, kv_dim, one; /* derived */
    double eps, scalar, score_cap, logit_cap, local_base;
    bool has_bias, is_bidirectional;
    kw_rope_config rope; /* of layers that see everything */
    kw_windows windows;
    char activation[KW_WORD_MAX];
} config;

typedef struct layer {
    kw_weight_ref attn_norm, q, k, v, o, q_norm, k_norm, attn_post, ffn_norm, gate, up, down,
        ffn_post;
} layer;

typedef struct weights {
    kw_weight_ref embed, norm, head;
    layer *layers;
} weights;

/* clang-format off */
#define ROPE(key) "rope_parameters.full_attention." key "|rope_parameters." key "|rope_scaling." key
static const kw_field fields[] = {
    F(member,     MEMBER, false, 0,   NULL,                      NULL),
    F(dim,        INT,   true,  0,    "hidden_size",             "embedding_length"),
    F(ffn,        INT,   true,  0,    "intermediate_size",       "feed_forward_length"),
    F(n_layers,   INT,   true,  0,    "num_hidden_layers",       "block_count"),
    F(n_heads,    INT,   true,  0,    "num_attention_heads",     "attention.head_count"),
    F(n_kv_heads, INT,   true,  0,    "num_key_value_heads",     "attention.head_count_kv"),
    F(head_dim,   INT,   false, 256,  "head_dim",                "attention.key_length"),
    F(n_vocab,    INT,   false, 0,    "vocab_size",              "vocab_size"),
    F(ctx,        INT,   false, 8192, "max_position_embeddings", "context_length"),
    F(eps,        FLOAT, false, 1e-6, "rms_norm_eps",            "attention.layer_norm_rms_epsilon"),
    F(scalar,     FLOAT, false, 0,    "query_pre_attn_scalar",   "attention.query_pre_attn_scalar"),
    F(score_cap,  FLOAT, false, INFINITY, "attn_logit_softcapping",  "attn_logit_softcapping"),
    F(logit_cap,  FLOAT, false, INFINITY, "final_logit_softcapping", "final_logit_softcapping"),
    F(activation, WORD,  false, 0,    "hidden_activation|hidden_act", NULL),
    F(has_bias,   BOOL,  false, 0,    "attention_bias",          NULL),
    F(is_bidirectional, BOOL, false, 0, "use_bidirectional_attention", NULL),
    F(windows.size,    INT,    false, 0, "sliding_window",       "attention.sliding_window"),
    F(windows.types,   WORDS,  false, 0, "layer_types",          NULL),
    F(windows.pattern, FLOATS, false, 0, "sliding_window_pattern|_sliding_window_pattern", "attention.sliding_window_pattern"),
    F(rope.base,   FLOAT, false, 0,   ROPE("rope_theta") "|rope_theta",   "rope.freq_base"),
    F(rope.type,   WORD,  false, 0,   ROPE("rope_type") "|rope_scaling.type", "rope.scaling.type"),
    F(rope.factor, FLOAT, false, 1,   ROPE("factor"),            "rope.scaling.factor"),
    F(local_base,  FLOAT, false, 10000, "rope_parameters.sliding_attention.rope_theta|rope_local_base_freq", "rope.freq_base_swa"),
    { .at = KW_TABLE_END },
};

#define L(m, flags, hf, gguf, d0, d1) \
    { offsetof(layer, m), (flags) | KW_W_LAYER, "model.layers.%d." hf, "blk.%d." gguf, { C(d0), C(d1) } }
#define NORM (KW_W_F32 | KW_W_ONE_LESS)
#define FIRST KW_W_ONLY(GEMMA)
#define LATER (KW_W_ONLY(GEMMA2) | KW_W_ONLY(GEMMA3))
#define THIRD KW_W_ONLY(GEMMA3)
static const kw_weight_row rows[] = {
    T(embed,     KW_W_TABLE,   "model.embed_tokens.weight",          "token_embd.weight",          n_vocab, dim),
    T(norm,      NORM,         "model.norm.weight",                  "output_norm.weight",         one,     dim),
    T(head,      KW_W_TIED,    "lm_head.weight",                     "output.weight",              n_vocab, dim),
    L(attn_norm, NORM,         "input_layernorm.weight",             "attn_norm.weight",           one,     dim),
    L(q,         0,            "self_attn.q_proj.weight",            "attn_q.weight",              q_dim,   dim),
    L(k,         0,            "self_attn.k_proj.weight",            "attn_k.weight",              kv_dim,  dim),
    L(v,         0,            "self_attn.v_proj.weight",            "attn_v.weight",              kv_dim,  dim),
    L(o,         0,            "self_attn.o_proj.weight",            "attn_output.weight",         dim,     q_dim),
    L(q_norm,    NORM | THIRD, "self_attn.q_norm.weight",            "attn_q_norm.weight",         one,     head_dim),
    L(k_norm,    NORM | THIRD, "self_attn.k_norm.weight",            "attn_k_norm.weight",         one,     head_dim),
    L(attn_post, NORM | LATER, "post_attention_layernorm.weight",    "post_attention_norm.weight", one,     dim),
    L(ffn_norm,  NORM | FIRST, "post_attention_layernorm.weight",    "ffn_norm.weight",            one,     dim),
    L(ffn_norm,  NORM | LATER, "pre_feedforward_layernorm.weight",   "ffn_norm.weight",            one,     dim),
    L(gate,      0,            "mlp.gate_proj.weight",               "ffn_gate.weight",            ffn,     dim),
    L(up,        0,            "mlp.up_proj.weight",                 "ffn_up.weight",              ffn,     dim),
    L(down,      0,            "mlp.down_proj.weight",               "ffn_down.weight",            dim,     ffn),
    L(ffn_post,  NORM | LATER, "post_feedforward_layernorm.weight",  "post_ffw_norm.weight",       one,     dim),
    { .at = KW_TABLE_END },
};

static const kw_arch archs[] = {
    [GEMMA]  = { "gemma",       "gemma",  "GemmaForCausalLM",  false },
    [GEMMA2] = { "gemma2",      "gemma2", "Gemma2ForCausalLM", false },
    [GEMMA3] = { "gemma3_text", "gemma3", "Gemma3ForCausalLM", false },
    { NULL, NULL, NULL, false },
};
/* clang-format on */

/* What the files may leave out. The 27B models divide scores by the root of width / heads, and GGUF files say so by their
 * number of layers alone. */
static void derive(config *c)
{
    static const float every_second = 2, every_sixth = 6;
    kw_windows *w = &c->windows;
    bool is_27b =
        (c->member == GEMMA2 && c->n_layers == 46) || (c->member == GEMMA3 && c->n_layers == 62);
    if (c->member == GEMMA) c->scalar = c->head_dim;
    if (c->scalar == 0) c->scalar = is_27b ? (double)c->dim / c->n_heads : c->head_dim;
    if (c->rope.base == 0) c->rope.base = c->member == GEMMA3 ? 1e6 : 1e4;
    if (c->member == GEMMA) *w = (kw_windows){ 0 };
    if (c->member == GEMMA2 && w->size == 0) w->size = 4096;
    if (!w->types.n && !w->pattern.n)
        w->pattern = (kw_floats){ c->member == GEMMA3 ? &every_sixth : &every_second, 1 };
    c->q_dim = c->n_heads * c->head_dim;
    c->kv_dim = c->n_kv_heads * c->head_dim;
    c->one = 1;
    c->rope.head_dim = c->head_dim;
    c->rope.ctx = c->rope.original_ctx = c->ctx;
}

static kw_status check_sizes(const config *c)
{
    enum { MOST = 1 << 20 };
    const kw_size sizes[] = {
        { "width", c->dim, MOST },
        { "feed-forward width", c->ffn, MOST },
        { "layers", c->n_layers, 4096 },
        { "heads", c->n_heads, 65536 },
        { "context", c->ctx, 1 << 30 },
        { "kv heads", c->n_kv_heads, c->n_heads },
        { "head width", c->head_dim, 65536 / 4 },
    };
    kw_status st = kw_check_sizes(sizes, sizeof sizes / sizeof *sizes);
    if (st) return st;
    if (c->n_heads % c->n_kv_heads)
        return kw_fail(KW_EFORMAT, "%d heads over %d kv heads", c->n_heads, c->n_kv_heads);
    return KW_OK;
}

static kw_status check_numbers(const config *c)
{
    const double least = 1e-3;
    const char *act = c->activation, *rope = c->rope.type;
    if (c->has_bias || c->is_bidirectional)
        return kw_fail(KW_EUNSUPPORTED, "a gemma with %s: not supported",
                       c->has_bias ? "biases in attention" : "attention in both directions");
    if (*act && strcmp(act, "gelu_pytorch_tanh") && (c->member != GEMMA || strcmp(act, "gelu")))
        return kw_fail(KW_EUNSUPPORTED, "activation \"%s\" in a gemma: known is gelu_pytorch_tanh",
                       act);
    if (*rope && strcmp(rope, "default") && strcmp(rope, "none") && strcmp(rope, "linear"))
        return kw_fail(KW_EUNSUPPORTED, "rope scaling type \"%s\" in a gemma: known is linear",
                       rope);
    if (!(c->score_cap >= least) || !(c->logit_cap >= least))
        return kw_fail(KW_EFORMAT,
                       "soft-caps of %g (scores) and %g (logits): expected more than 0, or null "
                       "for none",
                       c->score_cap, c->logit_cap);
    if (!(c->scalar > 0)) return kw_fail(KW_EFORMAT, "query_pre_attn_scalar is %g", c->scalar);
    if (!(c->local_base > 1)) return kw_fail(KW_EFORMAT, "local rope base %g", c->local_base);
    if (!(c->eps >= 0)) return kw_fail(KW_EFORMAT, "epsilon of the norms is %g", c->eps);
    if (c->member == GEMMA3 && c->windows.size == 0)
        return kw_fail(KW_EFORMAT, "the size of the sliding window is missing");
    return KW_OK;
}

static kw_status check(void *config_, bool interleaved)
{
    config *c = config_;
    (void)interleaved;
    kw_status st = check_sizes(c);
    if (st) return st;
    derive(c);
    st = check_numbers(c);
    if (!st) st = kw_windows_check(&c->windows, c->n_layers);
    return st ? st : kw_rope_check(&c->rope);
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
        .n_rope = c->member == GEMMA3 ? c->head_dim : c->head_dim / 2,
        .window = kw_window_of_all(&c->windows, c->n_layers),
    };
}

static void frequencies(const void *config_, const void *weights_, int64_t length, float *freq,
                        float *scale)
{
    const config *c = config_;
    kw_rope_config local = { .head_dim = c->head_dim, .base = c->local_base, .factor = 1 };
    (void)weights_;
    if (c->member == GEMMA3) {
        kw_rope_frequencies(&local, length, NULL, freq, scale);
        freq += c->head_dim / 2;
    }
    kw_rope_frequencies(&c->rope, length, NULL, freq, scale);
}

static kw_val enter(kw_plan *p, const void *config_, const void *weights_,
                    const kw_decoder_inputs *in)
{
    const config *c = config_;
    const weights *w = weights_;
    return kw_scale(p, kw_embed(p, in->ids, kw_bind(p, w->embed)), sqrtf((float)c->dim));
}

/* Gemma 3's norm of each head; the others have no such weight. */
static kw_val head_norm(kw_plan *p, const config *c, kw_val x, kw_weight_ref w)
{
    return w.t ? kw_head_norm(p, x, kw_bind(p, w), (float)c->eps) : x;
}

/* The stream x plus h times w, which Gemma 2 and 3 norm first. */
static kw_val add_to(kw_plan *p, const config *c, kw_val x, kw_val h, kw_weight_ref w,
                     kw_weight_ref post)
{
    if (!post.t) return kw_linear_onto(p, h, kw_bind(p, w), KW_NONE, x);
    h = kw_linear(p, h, kw_bind(p, w), KW_NONE);
    return kw_add(p, x, kw_rms_norm(p, h, kw_bind(p, post), (float)c->eps));
}

/* Each half of a layer returns the stream x with its result added. */
static kw_val attention(kw_plan *p, const config *c, const layer *w, int il, kw_val x, kw_val table,
                        kw_val rows_in)
{
    int window = kw_window_of(&c->windows, il), half = c->head_dim / 2;
    kw_rope_args rope = {
        .head_dim = c->head_dim,
        .first = c->member == GEMMA3 && !window ? half : 0,
        .n = half,
    };
    kw_attend_args attend = {
        .layer = il,
        .n_heads = c->n_heads,
        .n_kv_heads = c->n_kv_heads,
        .head_dim = c->head_dim,
        .window = window,
        .scale = (float)(1 / sqrt(c->scalar)),
        .softcap = isfinite(c->score_cap) ? (float)c->score_cap : 0,
    };
    kw_val h = kw_rms_norm(p, x, kw_bind(p, w->attn_norm), (float)c->eps);
    kw_val q = kw_linear(p, h, kw_bind(p, w->q), KW_NONE);
    kw_val k = kw_linear(p, h, kw_bind(p, w->k), KW_NONE);
    kw_val v = kw_linear(p, h, kw_bind(p, w->v), KW_NONE);
    k = kw_rope(p, head_norm(p, c, k, w->k_norm), table, rope);
    q = kw_rope(p, head_norm(p, c, q, w->q_norm), table, rope);
    return add_to(p, c, x, kw_attend(p, q, k, v, rows_in, attend), w->o, w->attn_post);
}

static kw_val mlp(kw_plan *p, const config *c, const layer *w, kw_val x)
{
    kw_val h = kw_rms_norm(p, x, kw_bind(p, w->ffn_norm), (float)c->eps);
    kw_val gate = kw_linear(p, h, kw_bind(p, w->gate), KW_NONE);
    kw_val up = kw_linear(p, h, kw_bind(p, w->up), KW_NONE);
    return add_to(p, c, x, kw_geglu(p, gate, up), w->down, w->ffn_post);
}

static kw_val block(kw_plan *p, const void *config_, const void *layer_, int il, kw_val x,
                    kw_val table, const kw_decoder_inputs *in)
{
    const config *c = config_;
    const layer *w = layer_;
    return mlp(p, c, w, attention(p, c, w, il, x, table, in->rows));
}

static kw_val leave(kw_plan *p, const void *config_, const void *weights_, kw_val x)
{
    const config *c = config_;
    const weights *w = weights_;
    return kw_rms_norm(p, x, kw_bind(p, w->norm), (float)c->eps);
}

static kw_val head(kw_plan *p, const void *config_, const void *weights_, kw_val x)
{
    const config *c = config_;
    const weights *w = weights_;
    kw_val logits = kw_linear(p, x, kw_bind(p, w->head), KW_NONE);
    return isfinite(c->logit_cap) ? kw_softcap(p, logits, (float)c->logit_cap) : logits;
}

const kw_family kw_family_gemma = {
    .name = "gemma",
    .archs = archs,
    KW_LAYOUT(layers, n_layers),
    .fields = fields,
    .weights = rows,
    .check = check,
    .shape = shape,
    .frequencies = frequencies,
    .enter = enter,
    .begin = kw_begin_rope,
    .block = block,
    .leave = leave,
    .head = head,
};
