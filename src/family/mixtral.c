/* mixtral.c - Mixtral 8x7B and 8x22B: a Mistral whose layers have experts in place of the one feed-forward network.
 *
 * A router gives each row a score for each expert; the best two compute, and their results are added by shares of the
 * softmax over the two. Whole tables of experts are one tensor [experts, rows, columns] or a matrix each. A layer without a
 * router has the usual network. GGUF has no name of its own for it: there it is a llama with a number of experts.
 *
 * Sources: arXiv 2401.04088; transformers modeling_mixtral for the order of operations. */
#include "family/llama.h"

/* clang-format off */
static const kw_field fields[] = {
    F(n_experts, INT, false, 0, "num_local_experts",   "expert_count"),
    F(n_used,    INT, false, 0, "num_experts_per_tok", "expert_used_count"),
    END,
};

static const kw_weight_row rows[] = {
    L(router, KW_W_ROUTER, "block_sparse_moe.gate.weight", "ffn_gate_inp.weight", n_experts, dim),
    EXPERTS(gates, "block_sparse_moe.experts.%d.w1", "ffn_gate", ffn_expert, dim),
    EXPERTS(ups,   "block_sparse_moe.experts.%d.w3", "ffn_up",   ffn_expert, dim),
    EXPERTS(downs, "block_sparse_moe.experts.%d.w2", "ffn_down", dim, ffn_expert),
    END,
};

const kw_weight_row kw_mixtral_dense[] = {
    L(gate, KW_W_DENSE, "mlp.gate_proj.weight", "ffn_gate.weight", ffn_dim, dim),
    L(up,   KW_W_DENSE, "mlp.up_proj.weight",   "ffn_up.weight",   ffn_dim, dim),
    L(down, KW_W_DENSE, "mlp.down_proj.weight", "ffn_down.weight", dim,     ffn_dim),
    END,
};

static const kw_arch archs[] = {
    { "mixtral", "llama", "MixtralForCausalLM", true, "expert_count" },
    { 0 },
};
/* clang-format on */

kw_status kw_mixtral_check_experts(kw_config *c)
{
    if (c->n_experts < 1 || c->n_experts > KW_EXPERTS_MAX || c->n_used < 1 ||
        c->n_used > c->n_experts)
        return kw_fail(KW_EFORMAT,
                       "a mixture of %d experts, %d for each row\nwhy: there may be 1 to %d, "
                       "and a row may have 1 to all of them",
                       c->n_experts, c->n_used, KW_EXPERTS_MAX);
    if (c->ffn_expert == 0) c->ffn_expert = c->ffn_dim;
    return kw_check_sizes(&(kw_size){ "feed-forward width of an expert", c->ffn_expert, 1 << 20 },
                          1);
}

static kw_status check(kw_config *c)
{
    c->normalise = true;
    kw_status st = kw_llama_check(c);
    return st ? st : kw_mixtral_check_experts(c);
}

/* The rows' experts in place of one network. */
static kw_val mixture(kw_plan *p, const kw_config *c, const kw_layer *w, kw_val x)
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

kw_val kw_mixtral_block(kw_plan *p, const kw_config *c, const kw_layer *w, int il, kw_val x,
                        kw_val table, const kw_decoder_inputs *in)
{
    x = kw_llama_attention(p, c, w, x, kw_llama_heads_of(c, il, table, in));
    return w->router.t ? mixture(p, c, w, x) : kw_llama_ffn(p, c, w, x, kw_swiglu);
}

const kw_family kw_family_mixtral = {
    .name = "mixtral",
    .archs = archs,
    KW_SIZES(kw_config, kw_layer, kw_weights),
    .fields = { kw_llama_sizes, kw_llama_rest, kw_window_fields, fields },
    .weights = { kw_llama_matrices, kw_llama_norms, kw_llama_biases, rows, kw_mixtral_dense },
    .check = check,
    .derive = kw_check_divisors,
    .frequencies = kw_frequencies,
    .enter = kw_enter_ids,
    .block = kw_mixtral_block,
    .leave = kw_leave_rms,
    .head = kw_head,
};
