/* llama.c - LLaMA 1 to 3.x and everything that shares its shape: Mistral, Mixtral, Qwen2, Qwen3 and its mixture, Phi-3, SmolLM2,
 * TinyLlama, Code Llama, DeepSeek distillations.
 *
 * A pre-norm decoder: grouped-query attention with rotary positions, then a gated feed-forward network, each added to
 * the stream. What differs between its members is data: biases are optional rows, a missing head is the embedding, a
 * layer with a router has experts in place of the network, the rope flavour is a word, some layers may see a window only,
 * Qwen3 norms each head of q and k, Phi-3's files hold q, k and v in one tensor and its heads may be turned in part, and the
 * row order of q and k (interleaved in GGUF and llama2.c files) is a fact of the architecture's row.
 *
 * Sources: arXiv 2302.13971, 2307.09288, 2407.21783, 2310.06825, 2404.14219; transformers modeling_llama, modeling_mistral,
 * modeling_qwen2, modeling_qwen3 and modeling_phi3 for the order of operations. */
#include "family/tables.h"
#include <math.h>
#include <string.h>

enum { LLAMA, MISTRAL, MIXTRAL, QWEN2, QWEN3, QWEN3_MOE, PHI3 }; /* rows of archs */

typedef struct config {
    int dim, ffn, n_layers, n_heads, n_kv_heads, head_dim, n_vocab, ctx;
    int n_experts, n_used, ffn_expert; /* of layers with a router */
    bool normalise;
    int q_dim, kv_dim, one, n_rope; /* sizes of weights, derived */
    double eps;
    kw_rope_config rope;
    int member;
    bool interleaved, use_window;
    kw_windows windows;
    int n_rotary;                        /* 0: all of a head */
    double rotary;                       /* the same as a share of the head */
    kw_floats short_factor, long_factor; /* longrope's divisors */
    char activation[KW_WORD_MAX];
    char hf_type[KW_WORD_MAX]; /* llama3, dynamic: GGUF has no word for them, divisors lose bits */
    double hf_factor;
} config;

typedef struct layer {
    kw_weight_ref attn_norm, q, k, v, o, bq, bk, bv, bo, q_norm, k_norm, ffn_norm, gate, up, down,
        b_gate, b_up, b_down, router, gates, ups, downs;
} layer;

typedef struct weights {
    kw_weight_ref embed, norm, head, rope_freqs, rope_short, rope_long;
    layer *layers;
} weights;

/* clang-format off */
#define ROPE(key) "rope_parameters." key "|rope_scaling." key
static const kw_field fields[] = {
    F(dim,        INT,   true,  0,     "hidden_size",             "embedding_length"),
    F(ffn,        INT,   true,  0,     "intermediate_size",       "feed_forward_length"),
    F(n_layers,   INT,   true,  0,     "num_hidden_layers",       "block_count"),
    F(n_heads,    INT,   true,  0,     "num_attention_heads",     "attention.head_count"),
    F(n_kv_heads, INT,   false, 0,     "num_key_value_heads",     "attention.head_count_kv"),
    F(head_dim,   INT,   false, 0,     "head_dim",                "attention.key_length"),
    F(n_vocab,    INT,   false, 0,     "vocab_size",              "vocab_size"),
    F(ctx,        INT,   false, 2048,  "max_position_embeddings", "context_length"),
    F(n_experts,  INT,   false, 0,     "num_local_experts|num_experts", "expert_count"),
    F(n_used,     INT,   false, 0,     "num_experts_per_tok",     "expert_used_count"),
    F(ffn_expert, INT,   false, 0,     "moe_intermediate_size",   "expert_feed_forward_length"),
    F(normalise,  BOOL,  false, 1,     "norm_topk_prob",          NULL),
    F(eps,        FLOAT, false, 1e-6,  "rms_norm_eps",            "attention.layer_norm_rms_epsilon"),
    F(member,     MEMBER, false, 0,    NULL,                      NULL),
    F(use_window, BOOL,  false, 0,     "use_sliding_window",      NULL),
    F(windows.size,  INT,   false, 0,  "sliding_window",          "attention.sliding_window"),
    F(windows.from,  INT,   false, 28, "max_window_layers",       NULL),
    F(windows.types, WORDS, false, 0,  "layer_types",             NULL),
    F(n_rotary,   INT,   false, 0,     NULL,                      "rope.dimension_count"),
    F(rotary,     FLOAT, false, 1,     "rope_parameters.partial_rotary_factor|partial_rotary_factor", NULL),
    F(short_factor, FLOATS, false, 0,  ROPE("short_factor"),      NULL),
    F(long_factor,  FLOATS, false, 0,  ROPE("long_factor"),       NULL),
    F(activation, WORD,  false, 0,     "hidden_act",              NULL),
    F(rope.base,  FLOAT, false, 10000, "rope_parameters.rope_theta|rope_theta", "rope.freq_base"),
    F(rope.type,  WORD,  false, 0,     ROPE("rope_type") "|rope_scaling.type",  "rope.scaling.type"),
    F(rope.factor,    FLOAT, false, 1,  ROPE("factor"),           "rope.scaling.factor"),
    F(rope.low,       FLOAT, false, 1,  ROPE("low_freq_factor"),  "rope.scaling.low_freq_factor"),
    F(rope.high,      FLOAT, false, 4,  ROPE("high_freq_factor"), "rope.scaling.high_freq_factor"),
    F(hf_type,    WORD,  false, 0,      NULL,                     "rope.scaling.hf_type"),
    F(hf_factor,  FLOAT, false, 1,      NULL,                     "rope.scaling.hf_factor"),
    F(rope.beta_fast, FLOAT, false, 32, ROPE("beta_fast"),        "rope.scaling.yarn_beta_fast"),
    F(rope.beta_slow, FLOAT, false, 1,  ROPE("beta_slow"),        "rope.scaling.yarn_beta_slow"),
    F(rope.attention_factor, FLOAT, false, 0, ROPE("attention_factor"), "rope.scaling.attn_factor"),
    F(rope.original_ctx, INT, false, 0, ROPE("original_max_position_embeddings") "|original_max_position_embeddings",
                                        "rope.scaling.original_context_length"),
    { .at = KW_TABLE_END },
};

#define L(m, flags, hf, gguf, d0, d1) \
    { offsetof(layer, m), (flags) | KW_W_LAYER, "model.layers.%d." hf, "blk.%d." gguf, { C(d0), C(d1) } }
#define VECTOR KW_W_F32
#define BIAS (KW_W_F32 | KW_W_OPTIONAL)
#define HEAD_NORM (KW_W_F32 | KW_W_ONLY(QWEN3) | KW_W_ONLY(QWEN3_MOE))
#define E(m, only, hf, gguf, d0, d1) \
    { offsetof(layer, m), KW_W_LAYER | KW_W_EXPERTS | (only), "model.layers.%d." hf ".weight", \
      "blk.%d." gguf "_exps.weight|blk.%d." gguf ".%d.weight", { C(d0), C(d1), C(n_experts) } }
#define QWEN KW_W_ONLY(QWEN3_MOE)
#define OTHERS (0xffffu << 16 & ~QWEN)
#define FACTORS (KW_W_F32 | KW_W_OPTIONAL | KW_W_ONLY(PHI3))
#define FUSED (KW_W_PART | KW_W_ONLY(PHI3))
#define SPLIT (0xffffu << 16 & ~KW_W_ONLY(PHI3))
static const kw_weight_row rows[] = {
    T(embed,      KW_W_TABLE,         "model.embed_tokens.weight",       "token_embd.weight",  n_vocab, dim),
    T(norm,       VECTOR,    "model.norm.weight",               "output_norm.weight", one,     dim),
    T(head,       KW_W_TIED, "lm_head.weight",                  "output.weight",      n_vocab, dim),
    T(rope_freqs, BIAS,      NULL,                              "rope_freqs.weight",  one,     n_rope),
    T(rope_short, FACTORS,   NULL,                              "rope_factors_short.weight", one, n_rope),
    T(rope_long,  FACTORS,   NULL,                              "rope_factors_long.weight",  one, n_rope),
    L(attn_norm,  VECTOR,    "input_layernorm.weight",          "attn_norm.weight",   one,     dim),
    L(q,          SPLIT | KW_W_ROPED, "self_attn.q_proj.weight",         "attn_q.weight",      q_dim,   dim),
    L(k,          SPLIT | KW_W_ROPED, "self_attn.k_proj.weight",         "attn_k.weight",      kv_dim,  dim),
    L(v,          SPLIT,     "self_attn.v_proj.weight",         "attn_v.weight",      kv_dim,  dim),
    L(q,          FUSED,     "self_attn.qkv_proj.weight",       "attn_qkv.weight",    q_dim,   dim),
    L(k,          FUSED,     "self_attn.qkv_proj.weight",       "attn_qkv.weight",    kv_dim,  dim),
    L(v,          FUSED,     "self_attn.qkv_proj.weight",       "attn_qkv.weight",    kv_dim,  dim),
    L(o,          0,         "self_attn.o_proj.weight",         "attn_output.weight", dim,     q_dim),
    L(bq,         BIAS | KW_W_ROPED, "self_attn.q_proj.bias",           "attn_q.bias",        one,     q_dim),
    L(bk,         BIAS | KW_W_ROPED, "self_attn.k_proj.bias",           "attn_k.bias",        one,     kv_dim),
    L(bv,         BIAS,      "self_attn.v_proj.bias",           "attn_v.bias",        one,     kv_dim),
    L(bo,         BIAS,      "self_attn.o_proj.bias",           "attn_output.bias",   one,     dim),
    L(q_norm,     HEAD_NORM, "self_attn.q_norm.weight",         "attn_q_norm.weight", one,     head_dim),
    L(k_norm,     HEAD_NORM, "self_attn.k_norm.weight",         "attn_k_norm.weight", one,     head_dim),
    L(ffn_norm,   VECTOR,    "post_attention_layernorm.weight", "ffn_norm.weight",    one,     dim),
    L(router, KW_W_ROUTER | OTHERS, "block_sparse_moe.gate.weight", "ffn_gate_inp.weight", n_experts, dim),
    L(router, KW_W_ROUTER | QWEN, "mlp.gate.weight",            "ffn_gate_inp.weight", n_experts, dim),
    E(gates,      OTHERS, "block_sparse_moe.experts.%d.w1",     "ffn_gate",           ffn_expert, dim),
    E(ups,        OTHERS, "block_sparse_moe.experts.%d.w3",     "ffn_up",             ffn_expert, dim),
    E(downs,      OTHERS, "block_sparse_moe.experts.%d.w2",     "ffn_down",           dim,     ffn_expert),
    E(gates,      QWEN,   "mlp.experts.%d.gate_proj",           "ffn_gate",           ffn_expert, dim),
    E(ups,        QWEN,   "mlp.experts.%d.up_proj",             "ffn_up",             ffn_expert, dim),
    E(downs,      QWEN,   "mlp.experts.%d.down_proj",           "ffn_down",           dim,     ffn_expert),
    L(gate,       SPLIT | KW_W_DENSE, "mlp.gate_proj.weight",           "ffn_gate.weight",    ffn,     dim),
    L(up,         SPLIT | KW_W_DENSE, "mlp.up_proj.weight",             "ffn_up.weight",      ffn,     dim),
    L(gate,       FUSED,     "mlp.gate_up_proj.weight",         "ffn_up.weight",      ffn,     dim),
    L(up,         FUSED,     "mlp.gate_up_proj.weight",         "ffn_up.weight",      ffn,     dim),
    L(down,       KW_W_DENSE, "mlp.down_proj.weight",           "ffn_down.weight",    dim,     ffn),
    L(b_gate,     BIAS,      "mlp.gate_proj.bias",              "ffn_gate.bias",      one,     ffn),
    L(b_up,       BIAS,      "mlp.up_proj.bias",                "ffn_up.bias",        one,     ffn),
    L(b_down,     BIAS,      "mlp.down_proj.bias",              "ffn_down.bias",      one,     dim),
    { .at = KW_TABLE_END },
};

static const kw_arch archs[] = {
    [LLAMA]   = { "llama",   "llama", "LlamaForCausalLM",   true },
    [MISTRAL] = { "mistral", NULL,    "MistralForCausalLM", false },
    [MIXTRAL] = { "mixtral", NULL,    "MixtralForCausalLM", false },
    [QWEN2]   = { "qwen2",   "qwen2", "Qwen2ForCausalLM",   false },
    [QWEN3]   = { "qwen3",   "qwen3", "Qwen3ForCausalLM",   false },
    [QWEN3_MOE] = { "qwen3_moe", "qwen3moe", "Qwen3MoeForCausalLM", false },
    [PHI3]    = { "phi3",    "phi3",  "Phi3ForCausalLM",    false },
    { NULL, NULL, NULL, false },
};
/* clang-format on */

static bool is_longrope(const config *c) { return strcmp(c->rope.type, "longrope") == 0; }

/* longrope was called su first; GGUF files do not name it, but say what the original context was. */
static kw_status check_longrope(config *c)
{
    const kw_floats *lists[] = { &c->short_factor, &c->long_factor };
    bool is_gguf = c->n_rotary > 0, has_longer = c->rope.original_ctx < c->ctx;
    bool unnamed = c->member == PHI3 && is_gguf && !c->rope.type[0] && has_longer;
    if (strcmp(c->rope.type, "su") == 0 || unnamed)
        memcpy(c->rope.type, "longrope", sizeof "longrope");
    if (is_longrope(c) && c->rope.original_ctx < 2)
        return kw_fail(KW_EFORMAT, "longrope: an original context of %d", c->rope.original_ctx);
    for (int i = 0; i < 2 && is_longrope(c) && !is_gguf; i++) {
        if (lists[i]->n != c->n_rope)
            return kw_fail(KW_EFORMAT, "longrope: %d numbers in %s, wanted %d", lists[i]->n,
                           i ? "long_factor" : "short_factor", c->n_rope);
        for (int j = 0; j < c->n_rope; j++)
            if (!(lists[i]->at[j] > 0))
                return kw_fail(KW_EFORMAT, "longrope: divisor %d of %s is %g", j,
                               i ? "long_factor" : "short_factor", (double)lists[i]->at[j]);
    }
    return KW_OK;
}

static int rotary_width(const config *c)
{
    int head_dim = c->head_dim ? c->head_dim : c->dim / c->n_heads;
    return c->n_rotary ? c->n_rotary : (int)(c->rotary * head_dim);
}

static kw_status derive(config *c)
{
    if (c->n_kv_heads == 0) c->n_kv_heads = c->n_heads;
    if (c->head_dim == 0 && c->n_heads > 0) c->head_dim = c->dim / c->n_heads;
    c->q_dim = c->n_heads * c->head_dim;
    c->kv_dim = c->n_kv_heads * c->head_dim;
    c->one = 1;
    c->rope.head_dim = rotary_width(c);
    c->n_rope = c->rope.head_dim / 2;
    c->rope.ctx = c->ctx;
    if (c->rope.original_ctx == 0) c->rope.original_ctx = c->ctx;
    if (c->hf_type[0] && !c->rope.type[0]) {
        memcpy(c->rope.type, c->hf_type, sizeof c->rope.type);
        c->rope.factor = c->hf_factor;
    }
    kw_status st = check_longrope(c);
    return st ? st : kw_rope_check(&c->rope);
}

/* What other shapes have and this one has not: computing on would give wrong words. */
static kw_status check_variant(const config *c)
{
    int head_dim = c->head_dim ? c->head_dim : c->dim / c->n_heads;
    const char *act = c->activation;
    if (*act && strcmp(act, "silu") && strcmp(act, "swish"))
        return kw_fail(KW_EUNSUPPORTED, "activation \"%s\" in a llama: known is silu", act);
    if (!(c->rotary > 0 && c->rotary <= 1) || c->n_rotary < 0 || c->n_rotary > head_dim)
        return kw_fail(KW_EFORMAT, "rotary width %d (or %g) of %d", c->n_rotary, c->rotary,
                       head_dim);
    if (rotary_width(c) != head_dim && c->member != PHI3)
        return kw_fail(KW_EUNSUPPORTED, "rotary width %d of %d: not supported yet", rotary_width(c),
                       head_dim);
    if (!(c->eps >= 0)) return kw_fail(KW_EFORMAT, "epsilon of the norms is %g", c->eps);
    return KW_OK;
}

/* Files without experts say nothing or 0. */
static kw_status check_experts(config *c)
{
    if (c->n_experts == 0 && c->member != MIXTRAL && c->member != QWEN3_MOE) return KW_OK;
    if (c->n_experts < 1 || c->n_experts > KW_EXPERTS_MAX || c->n_used < 1 ||
        c->n_used > c->n_experts)
        return kw_fail(KW_EFORMAT,
                       "a mixture of %d experts, %d for each row\nwhy: there may be 1 to %d, "
                       "and a row may have 1 to all of them",
                       c->n_experts, c->n_used, KW_EXPERTS_MAX);
    if (c->ffn_expert == 0) c->ffn_expert = c->ffn;
    return kw_check_sizes(&(kw_size){ "feed-forward width of an expert", c->ffn_expert, 1 << 20 },
                          1);
}

/* The windows of Mistral, Mixtral and Phi-3 count wherever they are written (Mistral's GGUF files call themselves llama),
 * Qwen's when they are switched on. */
static kw_status check_windows(config *c)
{
    kw_windows *w = &c->windows;
    bool always = c->member == MISTRAL || c->member == MIXTRAL || c->member == PHI3 ||
                  (c->member == LLAMA && c->interleaved);
    if (c->member == LLAMA && !c->interleaved) *w = (kw_windows){ 0 };
    if (!always && !c->use_window) w->size = 0;
    if (always) w->from = 0;
    return kw_windows_check(w, c->n_layers);
}

static kw_status check(void *config_, bool interleaved)
{
    config *c = config_;
    enum { MOST = 1 << 20 };
    const kw_size sizes[] = {
        { "width", c->dim, MOST },       { "feed-forward width", c->ffn, MOST },
        { "layers", c->n_layers, 4096 }, { "heads", c->n_heads, 65536 },
        { "context", c->ctx, 1 << 30 },
    };
    kw_status st = kw_check_sizes(sizes, sizeof sizes / sizeof *sizes);
    if (st) return st;
    if (c->head_dim == 0 && c->dim % c->n_heads)
        return kw_fail(KW_EFORMAT, "%d heads do not divide width %d", c->n_heads, c->dim);
    if (c->n_kv_heads < 0 || c->head_dim < 0 || c->head_dim > 16384 ||
        (c->n_kv_heads > 0 && c->n_heads % c->n_kv_heads))
        return kw_fail(KW_EFORMAT, "%d heads of width %d over %d kv heads", c->n_heads, c->head_dim,
                       c->n_kv_heads);
    c->interleaved = interleaved;
    st = check_variant(c);
    if (!st) st = check_experts(c);
    if (!st) st = check_windows(c);
    return st ? st : derive(c);
}

static int hf_member(void *config_)
{
    const config *c = config_;
    if (c->member != LLAMA) return c->member;
    return c->n_experts ? MIXTRAL : c->windows.size ? MISTRAL : LLAMA;
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
        .n_rope = c->n_rope,
        .rope_by_length = strcmp(c->rope.type, "dynamic") == 0,
        .rope_switch = is_longrope(c) ? c->rope.original_ctx : 0,
        .window = kw_window_of_all(&c->windows, c->n_layers),
    };
}

/* What the file divides frequencies by: Llama 3.1's one list (GGUF), longrope's two; NULL: nothing. */
static const float *divisors(const config *c, const weights *w, int64_t length)
{
    bool is_long = length > c->rope.original_ctx;
    if (c->hf_type[0]) return NULL;
    kw_weight_ref t = !is_longrope(c) ? w->rope_freqs : is_long ? w->rope_long : w->rope_short;
    if (t.t) return t.t->data;
    return !is_longrope(c) ? NULL : is_long ? c->long_factor.at : c->short_factor.at;
}

static void frequencies(const void *config_, const void *weights_, int64_t length, float *freq,
                        float *scale)
{
    const config *c = config_;
    kw_rope_frequencies(&c->rope, length, divisors(c, weights_, length), freq, scale);
}

static kw_val enter(kw_plan *p, const void *config_, const void *weights_,
                    const kw_decoder_inputs *in)
{
    (void)config_;
    const weights *w = weights_;
    return kw_embed(p, in->ids, kw_bind(p, w->embed));
}

/* Qwen3's norm of each head; the others have no such weight. */
static kw_val head_norm(kw_plan *p, const config *c, kw_val x, kw_weight_ref w)
{
    return w.t ? kw_head_norm(p, x, kw_bind(p, w), (float)c->eps) : x;
}

/* Each half of a layer returns the stream x with its result added. */
static kw_val attention(kw_plan *p, const config *c, const layer *w, int il, kw_val x, kw_val table,
                        kw_val rows_in)
{
    kw_val h = kw_rms_norm(p, x, kw_bind(p, w->attn_norm), (float)c->eps);
    kw_rope_args rope = { .head_dim = c->head_dim, .interleaved = c->interleaved };
    kw_attend_args attend = {
        .layer = il,
        .n_heads = c->n_heads,
        .n_kv_heads = c->n_kv_heads,
        .head_dim = c->head_dim,
        .window = kw_window_of(&c->windows, il),
        .scale = 1.0f / sqrtf((float)c->head_dim),
    };
    kw_val q = kw_linear(p, h, kw_bind(p, w->q), kw_bind(p, w->bq));
    kw_val k = kw_linear(p, h, kw_bind(p, w->k), kw_bind(p, w->bk));
    kw_val v = kw_linear(p, h, kw_bind(p, w->v), kw_bind(p, w->bv));
    k = kw_rope(p, head_norm(p, c, k, w->k_norm), table, rope);
    q = kw_rope(p, head_norm(p, c, q, w->q_norm), table, rope);
    kw_val o = kw_attend(p, q, k, v, rows_in, attend);
    return kw_linear_onto(p, o, kw_bind(p, w->o), kw_bind(p, w->bo), x);
}

static kw_val mlp(kw_plan *p, const config *c, const layer *w, kw_val x)
{
    kw_val h = kw_rms_norm(p, x, kw_bind(p, w->ffn_norm), (float)c->eps);
    kw_val gate = kw_linear(p, h, kw_bind(p, w->gate), kw_bind(p, w->b_gate));
    kw_val up = kw_linear(p, h, kw_bind(p, w->up), kw_bind(p, w->b_up));
    return kw_linear_onto(p, kw_swiglu(p, gate, up), kw_bind(p, w->down), kw_bind(p, w->b_down), x);
}

/* The rows' experts in place of one network. */
static kw_val mixture(kw_plan *p, const config *c, const layer *w, kw_val x)
{
    kw_route_args a = { c->n_experts, c->n_used, c->normalise };
    kw_val h = kw_rms_norm(p, x, kw_bind(p, w->ffn_norm), (float)c->eps);
    kw_val route = kw_route(p, kw_linear(p, h, kw_bind(p, w->router), KW_NONE), a); /* [n, 2k] */
    kw_val groups = kw_group(p, route, a);
    kw_val gate = kw_experts(p, h, kw_bind(p, w->gates), groups, a); /* [n, k * ffn] */
    kw_val up = kw_experts(p, h, kw_bind(p, w->ups), groups, a);
    kw_val down = kw_experts(p, kw_swiglu(p, gate, up), kw_bind(p, w->downs), groups, a);
    return kw_add(p, x, kw_mix(p, down, route));
}

static kw_val block(kw_plan *p, const void *config_, const void *layer_, int il, kw_val x,
                    kw_val table, const kw_decoder_inputs *in)
{
    const config *c = config_;
    const layer *w = layer_;
    x = attention(p, c, w, il, x, table, in->rows);
    return w->router.t ? mixture(p, c, w, x) : mlp(p, c, w, x);
}

static kw_val leave(kw_plan *p, const void *config_, const void *weights_, kw_val x)
{
    const config *c = config_;
    const weights *w = weights_;
    return kw_rms_norm(p, x, kw_bind(p, w->norm), (float)c->eps);
}

static kw_val head(kw_plan *p, const void *config_, const void *weights_, kw_val x)
{
    (void)config_;
    const weights *w = weights_;
    return kw_linear(p, x, kw_bind(p, w->head), KW_NONE);
}

const kw_family kw_family_llama = {
    .name = "llama",
    .archs = archs,
    KW_LAYOUT(layers, n_layers),
    .fields = fields,
    .weights = rows,
    .check = check,
    .hf_member = hf_member,
    .shape = shape,
    .frequencies = frequencies,
    .enter = enter,
    .begin = kw_begin_rope,
    .block = block,
    .leave = leave,
    .head = head,
};
