/* qwen2.c - Qwen2 and Qwen2.5: a llama with biases on q, k and v.
 *
 * A file may have a window and a switch for it, which is off in all that were published; on, the layers from
 * max_window_layers on have it. GGUF knows neither.
 *
 * Sources: arXiv 2407.10671; transformers modeling_qwen2 for the order of operations. */
#include "family/llama.h"

/* clang-format off */
const kw_field kw_qwen2_windows[] = {
    F(windows.is_on, BOOL, false, 0,  "use_sliding_window", NULL),
    F(windows.from,  INT,  false, 28, "max_window_layers",  NULL),
    END,
};

static const kw_arch archs[] = {
    { "qwen2", "qwen2", "Qwen2ForCausalLM", false, NULL },
    { 0 },
};
/* clang-format on */

kw_status kw_qwen2_check(kw_config *c)
{
    if (!c->windows.is_on) c->windows.size = 0;
    return kw_llama_check(c);
}

const kw_family kw_family_qwen2 = {
    .name = "qwen2",
    .archs = archs,
    KW_SIZES(kw_config, kw_layer, kw_weights),
    .fields = { kw_llama_sizes, kw_llama_rest, kw_window_fields, kw_qwen2_windows },
    .weights = { kw_llama_matrices, kw_llama_norms, kw_llama_biases, kw_llama_gated },
    .check = kw_qwen2_check,
    .derive = kw_check_divisors,
    .frequencies = kw_frequencies,
    .enter = kw_enter_ids,
    .block = kw_llama_block,
    .leave = kw_leave_rms,
    .head = kw_head,
};
