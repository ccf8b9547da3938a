/* phi3.c - Phi-3, 3.5 and 4 of the mini and medium sizes: a llama whose files hold q, k and v in one tensor, gate and up in
 * another, with a window in some.
 *
 * Heads may turn in part (Phi-4-mini). The long-context versions have longrope, called su first: two lists of divisors, which
 * GGUF has as tensors, without a word for the type; that the original context is the shorter one says it there.
 *
 * Sources: arXiv 2404.14219, 2402.13753; transformers modeling_phi3 for the order of operations. */
#include "family/llama.h"
#include <string.h>

/* clang-format off */
static const kw_weight_row rows[] = {
    T(embed,      KW_W_TABLE,  "model.embed_tokens.weight", "token_embd.weight",  n_vocab, dim),
    T(head,       KW_W_TIED,   "lm_head.weight",            "output.weight",      n_vocab, dim),
    L(q,          KW_W_PART,   "self_attn.qkv_proj.weight", "attn_qkv.weight",    q_dim,   dim),
    L(k,          KW_W_PART,   "self_attn.qkv_proj.weight", "attn_qkv.weight",    kv_dim,  dim),
    L(v,          KW_W_PART,   "self_attn.qkv_proj.weight", "attn_qkv.weight",    kv_dim,  dim),
    L(o,          0,           "self_attn.o_proj.weight",   "attn_output.weight", dim,     q_dim),
    L(gate,       KW_W_PART,   "mlp.gate_up_proj.weight",   "ffn_up.weight",      ffn_dim, dim),
    L(up,         KW_W_PART,   "mlp.gate_up_proj.weight",   "ffn_up.weight",      ffn_dim, dim),
    L(down,       0,           "mlp.down_proj.weight",      "ffn_down.weight",    dim,     ffn_dim),
    END,
};

static const kw_arch archs[] = {
    { "phi3", "phi3", "Phi3ForCausalLM", false, NULL },
    { 0 },
};
/* clang-format on */

static kw_status check(kw_config *c)
{
    kw_rope_config *r = &c->rope;
    bool has_longer = r->original_ctx > 0 && r->original_ctx < c->ctx_train;
    if (c->from_gguf && !r->type[0] && !r->hf_type[0] && has_longer)
        memcpy(r->type, "longrope", sizeof "longrope");
    kw_status st = kw_check_config(c);
    if (!st) st = kw_check_word("activation", c->activation, "silu, swish");
    if (!st) st = kw_check_windows(c);
    return st ? st : kw_check_rope(c, KW_ROPE_TYPES);
}

const kw_family kw_family_phi3 = {
    .name = "phi3",
    .archs = archs,
    KW_SIZES(kw_config, kw_layer, kw_weights),
    .fields = { kw_llama_sizes, kw_llama_rest, kw_window_fields },
    .weights = { rows, kw_llama_norms },
    .check = check,
    .derive = kw_check_divisors,
    .frequencies = kw_frequencies,
    .enter = kw_enter_ids,
    .block = kw_llama_block,
    .leave = kw_leave_rms,
    .head = kw_head,
};
