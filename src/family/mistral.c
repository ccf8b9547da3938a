/* mistral.c - Mistral 7B and its successors with a window: a llama in which a row sees the last positions only.
 *
 * All layers have the window, or those that layer_types names. Later versions have none, and are llamas by another name.
 * GGUF has no name of its own for it: there it is a llama with the key of a window.
 *
 * Sources: arXiv 2310.06825; transformers modeling_mistral for the order of operations and for what a window counts. */
#include "family/llama.h"

static const kw_arch archs[] = {
    { "mistral", "llama", "MistralForCausalLM", true, "attention.sliding_window" },
    { 0 },
};

const kw_family kw_family_mistral = {
    .name = "mistral",
    .archs = archs,
    KW_SIZES(kw_config, kw_layer, kw_weights),
    .fields = { kw_llama_sizes, kw_llama_rest, kw_window_fields },
    .weights = { kw_llama_matrices, kw_llama_norms, kw_llama_biases, kw_llama_gated },
    .check = kw_llama_check,
    .derive = kw_check_divisors,
    .frequencies = kw_frequencies,
    .enter = kw_enter_ids,
    .block = kw_llama_block,
    .leave = kw_leave_rms,
    .head = kw_head,
};
