/* gemma2.c - Gemma 2: a Gemma with a norm after attention and feed-forward too, soft-caps on scores and logits, scores divided
 * by the root of a number of the file's own, and a window in every second layer.
 *
 * Sources: arXiv 2408.00118; transformers modeling_gemma2 for the order of operations. */
#include "family/gemma.h"

/* clang-format off */
const kw_field kw_gemma2_scores[] = {
    OWN(scalar,    FLOAT, false, 0,        "query_pre_attn_scalar",   "attention.query_pre_attn_scalar"),
    OWN(score_cap, FLOAT, false, INFINITY, "attn_logit_softcapping",  "attn_logit_softcapping"),
    OWN(logit_cap, FLOAT, false, INFINITY, "final_logit_softcapping", "final_logit_softcapping"),
    F(windows.pattern, FLOATS, false, 0, "sliding_window_pattern|_sliding_window_pattern", "attention.sliding_window_pattern"),
    END,
};

const kw_weight_row kw_gemma2_norms[] = {
    L(attn_post, NORM, "post_attention_layernorm.weight",   "post_attention_norm.weight", one, dim),
    L(ffn_norm,  NORM, "pre_feedforward_layernorm.weight",  "ffn_norm.weight",            one, dim),
    L(ffn_post,  NORM, "post_feedforward_layernorm.weight", "post_ffw_norm.weight",       one, dim),
    END,
};

static const kw_arch archs[] = {
    { "gemma2", "gemma2", "Gemma2ForCausalLM", false, NULL },
    { 0 },
};
/* clang-format on */

/* The 27B models divide scores by the root of width / heads, and GGUF files say so by their number of layers alone. */
kw_status kw_gemma2_check(kw_config *c, bool is_27b, const float *period)
{
    config *own = (config *)c;
    const double least = 1e-3;
    kw_status st = kw_gemma_check(c, "gelu_pytorch_tanh");
    if (st) return st;
    if (own->scalar == 0) own->scalar = is_27b ? (double)c->dim / c->n_heads : c->head_dim;
    if (!(own->scalar > 0)) return kw_fail(KW_EFORMAT, "query_pre_attn_scalar is %g", own->scalar);
    if (!(own->score_cap >= least) || !(own->logit_cap >= least))
        return kw_fail(KW_EFORMAT,
                       "soft-caps of %g (scores) and %g (logits): expected more than 0, or null "
                       "for none",
                       own->score_cap, own->logit_cap);
    if (!c->windows.types.n && !c->windows.pattern.n) c->windows.pattern = (kw_floats){ period, 1 };
    return kw_check_windows(c);
}

static kw_status check(kw_config *c)
{
    static const float every_second = 2;
    if (c->windows.size == 0) c->windows.size = 4096;
    return kw_gemma2_check(c, c->n_layers == 46, &every_second);
}

kw_val kw_gemma2_head(kw_plan *p, const kw_config *c, const kw_weights *w, kw_val x)
{
    const config *own = (const config *)c;
    kw_val logits = kw_head(p, c, w, x);
    return isfinite(own->logit_cap) ? kw_softcap(p, logits, (float)own->logit_cap) : logits;
}

const kw_family kw_family_gemma2 = {
    .name = "gemma2",
    .archs = archs,
    KW_SIZES(config, kw_layer, kw_weights),
    .fields = { kw_llama_sizes, kw_gemma_fields, kw_gemma2_scores, kw_window_fields },
    .weights = { kw_llama_matrices, kw_gemma_norms, kw_gemma2_norms, kw_llama_gated },
    .check = check,
    .frequencies = kw_frequencies,
    .enter = kw_gemma_enter,
    .block = kw_gemma_block,
    .leave = kw_leave_rms,
    .head = kw_gemma2_head,
};
