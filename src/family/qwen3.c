/* qwen3.c - Qwen3, the dense sizes: a Qwen2 that norms each head of q and k before it turns, and has no biases but those that
 * a file brings.
 *
 * Sources: arXiv 2505.09388; transformers modeling_qwen3 for the order of operations. */
#include "family/llama.h"

/* clang-format off */
const kw_weight_row kw_qwen3_norms[] = {
    L(q_norm, VECTOR, "self_attn.q_norm.weight", "attn_q_norm.weight", one, head_dim),
    L(k_norm, VECTOR, "self_attn.k_norm.weight", "attn_k_norm.weight", one, head_dim),
    END,
};

static const kw_arch archs[] = {
    { "qwen3", "qwen3", "Qwen3ForCausalLM", false, NULL },
    { 0 },
};
/* clang-format on */

const kw_family kw_family_qwen3 = {
    .name = "qwen3",
    .archs = archs,
    KW_SIZES(kw_config, kw_layer, kw_weights),
    .fields = { kw_llama_sizes, kw_llama_rest, kw_window_fields, kw_qwen2_windows },
    .weights = { kw_llama_matrices, kw_llama_norms, kw_llama_biases, kw_llama_gated,
                 kw_qwen3_norms },
    .check = kw_qwen2_check,
    .derive = kw_check_divisors,
    .frequencies = kw_frequencies,
    .enter = kw_enter_ids,
    .block = kw_llama_block,
    .leave = kw_leave_rms,
    .head = kw_head,
};
