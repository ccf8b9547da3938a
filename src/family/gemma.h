/* gemma.h - what the Gemmas share. Those of them are decoders in llama.h's outline. */
#ifndef KW_FAMILY_GEMMA_H
#define KW_FAMILY_GEMMA_H

#include "family/llama.h"
#include <math.h>

typedef struct config {
    kw_config base;
    double scalar;               /* scores are divided by its root */
    double score_cap, logit_cap; /* INFINITY: none */
    double local_base;           /* of Gemma 3's rope in layers with a window */
    bool has_bias, is_bidirectional;
} config;

/* Norms multiply by 1 + w. */
#define NORM (VECTOR | KW_W_ONE_LESS)

/* ---- gemma.c ---- */
extern const kw_field kw_gemma_fields[];
extern const kw_weight_row kw_gemma_norms[];
kw_status kw_gemma_check(kw_config *c, const char *activations);
kw_val kw_gemma_enter(kw_plan *p, const kw_config *c, const kw_weights *w,
                      const kw_decoder_inputs *in);
kw_llama_heads kw_gemma_heads(const kw_config *c, int il, kw_val table,
                              const kw_decoder_inputs *in);
kw_val kw_gemma_block(kw_plan *p, const kw_config *c, const kw_layer *w, int il, kw_val x,
                      kw_val table, const kw_decoder_inputs *in);
/* ---- gemma2.c ---- */
extern const kw_field kw_gemma2_scores[];
extern const kw_weight_row kw_gemma2_norms[];
/* The 27B models divide scores by another number; every `period`-th layer sees all. */
kw_status kw_gemma2_check(kw_config *c, bool is_27b, const float *period);
kw_val kw_gemma2_head(kw_plan *p, const kw_config *c, const kw_weights *w, kw_val x);

#endif
