/* gemma3.c - Gemma 3, the text models: a Gemma 2 that norms each head of q and k, whose layers with a window, five of six, turn
 * by another rope base than the others, which may be stretched.
 *
 * Rope frequencies are two sets side by side, for layers with a window and for the others:
 *
 *     freq  [ local: head_dim / 2 | global: head_dim / 2 ]
 *
 * Sources: arXiv 2503.19786; transformers modeling_gemma3 for the order of operations. */
#include "family/gemma.h"

/* clang-format off */
static const kw_field fields[] = {
    OWN(local_base, FLOAT, false, 10000, "rope_parameters.sliding_attention.rope_theta|rope_local_base_freq", "rope.freq_base_swa"),
    END,
};

static const kw_weight_row rows[] = {
    L(q_norm, NORM, "self_attn.q_norm.weight", "attn_q_norm.weight", one, head_dim),
    L(k_norm, NORM, "self_attn.k_norm.weight", "attn_k_norm.weight", one, head_dim),
    END,
};

static const kw_arch archs[] = {
    { "gemma3_text", "gemma3", "Gemma3ForCausalLM", false, NULL },
    { 0 },
};
/* clang-format on */

static kw_status check(kw_config *c)
{
    static const float every_sixth = 6;
    const config *own = (const config *)c;
    if (c->windows.size == 0)
        return kw_fail(KW_EFORMAT, "the size of the sliding window is missing");
    if (c->rope.base == 0) c->rope.base = 1e6;
    kw_status st = kw_gemma2_check(c, c->n_layers == 62, &every_sixth);
    if (st) return st;
    if (!(own->local_base > 1)) return kw_fail(KW_EFORMAT, "local rope base %g", own->local_base);
    c->n_rope = c->head_dim;
    return KW_OK;
}

static void frequencies(const kw_config *c, const kw_weights *w, int64_t length, float *freq,
                        float *scale)
{
    const config *own = (const config *)c;
    kw_rope_config local = { .head_dim = c->head_dim, .base = own->local_base, .factor = 1 };
    kw_rope_frequencies(&local, length, NULL, freq, scale);
    kw_frequencies(c, w, length, freq + c->head_dim / 2, scale);
}

static kw_val block(kw_plan *p, const kw_config *c, const kw_layer *w, int il, kw_val x,
                    kw_val table, const kw_decoder_inputs *in)
{
    kw_llama_heads heads = kw_gemma_heads(c, il, table, in);
    heads.rope.first = heads.attend.window ? 0 : c->head_dim / 2;
    return kw_llama_ffn(p, c, w, kw_llama_attention(p, c, w, x, heads), kw_geglu);
}

const kw_family kw_family_gemma3 = {
    .name = "gemma3",
    .archs = archs,
    KW_SIZES(config, kw_layer, kw_weights),
    .fields = { kw_llama_sizes, kw_gemma_fields, kw_gemma2_scores, kw_window_fields, fields },
    .weights = { kw_llama_matrices, kw_gemma_norms, kw_gemma2_norms, kw_llama_gated, rows },
    .check = check,
    .frequencies = frequencies,
    .enter = kw_gemma_enter,
    .block = block,
    .leave = kw_leave_rms,
    .head = kw_gemma2_head,
};
