/* load_hf.h - what load_hf.c asks of load_hf_steps.c. */
#ifndef KW_TEXT_LOAD_HF_H
#define KW_TEXT_LOAD_HF_H

#include "text/internal.h"

/* Each takes its part of tokenizer.json, or NULL or null. The first two before the tokens are indexed, the third after. */
kw_status kw_hf_use_normalizer(kw_tokenizer *t, const kw_json *v);
kw_status kw_hf_use_pretokenizer(kw_tokenizer *t, const kw_json *v);
kw_status kw_hf_use_processor(kw_tokenizer *t, const kw_json *v);
kw_status kw_hf_use_decoder(kw_tokenizer *t, const kw_json *v);

#endif
