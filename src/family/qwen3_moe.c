/* qwen3_moe.c - the mixtures of Qwen3 (30B-A3B, 235B-A22B): a Qwen3 with Mixtral's layer.
 *
 * Experts are narrower than the network of a layer without them, and norm_topk_prob says whether the shares of the chosen ones
 * add up to 1; absent it is false, as the reference has it. GGUF has no key for that; there they do.
 *
 * Sources: arXiv 2505.09388; transformers modeling_qwen3_moe for the order of operations. */
#include "family/llama.h"

/* clang-format off */
static const kw_field fields[] = {
    F(n_experts,  INT,  false, 0, "num_local_experts|num_experts", "expert_count"),
    F(n_used,     INT,  false, 0, "num_experts_per_tok",   "expert_used_count"),
    F(ffn_expert, INT,  false, 0, "moe_intermediate_size", "expert_feed_forward_length"),
    F(normalise,  BOOL, false, 0, "norm_topk_prob",        NULL),
    END,
};

static const kw_weight_row rows[] = {
    L(router, KW_W_ROUTER, "mlp.gate.weight", "ffn_gate_inp.weight", n_experts, dim),
    EXPERTS(gates, "mlp.experts.%d.gate_proj", "ffn_gate", ffn_expert, dim),
    EXPERTS(ups,   "mlp.experts.%d.up_proj",   "ffn_up",   ffn_expert, dim),
    EXPERTS(downs, "mlp.experts.%d.down_proj", "ffn_down", dim, ffn_expert),
    END,
};

static const kw_arch archs[] = {
    { "qwen3_moe", "qwen3moe", "Qwen3MoeForCausalLM", false, NULL },
    { 0 },
};
/* clang-format on */

static kw_status check(kw_config *c)
{
    c->normalise = c->normalise || c->from_gguf;
    kw_status st = kw_qwen2_check(c);
    return st ? st : kw_mixtral_check_experts(c);
}

const kw_family kw_family_qwen3_moe = {
    .name = "qwen3_moe",
    .archs = archs,
    KW_SIZES(kw_config, kw_layer, kw_weights),
    .fields = { kw_llama_sizes, kw_llama_rest, kw_window_fields, kw_qwen2_windows, fields },
    .weights = { kw_llama_matrices, kw_llama_norms, kw_llama_biases, kw_qwen3_norms, rows,
                 kw_mixtral_dense },
    .check = check,
    .derive = kw_check_divisors,
    .frequencies = kw_frequencies,
    .enter = kw_enter_ids,
    .block = kw_mixtral_block,
    .leave = kw_leave_rms,
    .head = kw_head,
};
