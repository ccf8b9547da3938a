/* quant_mix.h - which tensor gets which format (quant_mix.c), for quantize.c. */
#ifndef KW_CONVERT_QUANT_MIX_H
#define KW_CONVERT_QUANT_MIX_H

#include "convert/convert.h"

typedef struct kw_recipe {
    const char *name;
    kw_dtype dtype; /* of most matrices */
    int file_type;  /* general.file_type */
    bool fits;      /* a candidate where a size is asked for */
} kw_recipe;

/* What the rules ask of a model. */
typedef struct kw_recipe_facts {
    int n_layers, n_heads, n_kv_heads, n_experts;
    bool has_output; /* a head of its own */
    bool is_falcon, has_importance;
} kw_recipe_facts;

const kw_recipe *kw_recipe_at(int i); /* NULL past the last */
const kw_recipe *kw_recipe_find(const char *name);
/* A candidate for weights that are `of` now: nothing is gained by more bits, and something lost by other ones of 16. */
bool kw_recipe_suits(const kw_recipe *mix, kw_dtype of);
kw_status kw_recipe_unknown(const char *name); /* KW_EINVAL; lists all */
void kw_recipe_ask(const kw_convert_job *input, kw_recipe_facts *facts);

/* The format of a tensor; its own where it is never quantized. *is_fallback: its rows are not made of the blocks meant. */
kw_dtype kw_recipe_choose(const kw_recipe *mix, const kw_recipe_facts *facts,
                          const kw_named_tensor *t, bool *is_fallback);
/* The nearest format whose blocks make up rows of this many columns. */
kw_dtype kw_recipe_fit(kw_dtype t, int64_t cols);
bool kw_glob(const char *pattern, kw_str name); /* * and ? */

#endif
