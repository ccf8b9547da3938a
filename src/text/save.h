/* save.h - what the writers of tokenizer.json share: save_hf.c has the file and BPE, save_pieces.c the other two models. */
#ifndef KW_TEXT_SAVE_H
#define KW_TEXT_SAVE_H

#include "text/internal.h"

/* An object of a type, which the caller fills and ends; members. */
void kw_save_begin(kw_json_writer *w, const char *type);
void kw_save_text(kw_json_writer *w, const char *key, const char *text);
void kw_save_flag(kw_json_writer *w, const char *key, bool v);
/* "vocab": token to id. */
void kw_save_vocabulary(const kw_tokenizer *t, kw_json_writer *w);

/* Normalizer, pre_tokenizer and decoder; the model. KW_EUNSUPPORTED: the tokenizer has other steps than its kind. */
kw_status kw_save_unigram_steps(const kw_tokenizer *t, kw_json_writer *w);
kw_status kw_save_unigram_model(const kw_tokenizer *t, kw_json_writer *w);
kw_status kw_save_wordpiece_steps(const kw_tokenizer *t, kw_json_writer *w);
kw_status kw_save_wordpiece_model(const kw_tokenizer *t, kw_json_writer *w);

#endif
