/* quantize.h - the members of a quantization, for quant_plan.c, which decides, and quantize.c, which codes. */
#ifndef KW_CONVERT_QUANTIZE_H
#define KW_CONVERT_QUANTIZE_H

#include "convert/convert.h"
#include "convert/quant_mix.h"

/* What one tensor becomes. */
typedef struct kw_quant_item {
    const kw_convert_item *from; /* its dtype there: what it is where it is not quantized */
    kw_dtype to;
    const kw_imatrix_row *importance;
    bool is_fallback;
} kw_quant_item;

typedef struct kw_quant_job {
    kw_engine *engine;
    const kw_quantize_options *o;
    kw_convert_job input; /* as it would become GGUF */
    kw_imatrix *imatrix;
    const kw_recipe *mix;
    kw_recipe_facts facts;
    kw_quant_item *items; /* [input.n] */
    kw_gguf_keys keys;
    kw_tensor_writer *writer;
    uint64_t done, total; /* bytes of the input */
    size_t n_fallbacks;
} kw_quant_job;

uint64_t kw_quant_bytes(const kw_quant_item *it); /* of the tensor, as it will be */
/* Opens the input and chooses everything: formats, importances, metadata; says what speaks against it. */
kw_status kw_quant_decide(kw_quant_job *j, const char *in, const char *out);

#endif
