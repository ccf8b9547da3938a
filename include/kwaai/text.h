/* text.h - tokenizers and chat templates: text to ids, ids to text, conversations to prompts.
 *
 * Thread word: a kw_tokenizer is shared (immutable after it was opened). */
#ifndef KWAAI_TEXT_H
#define KWAAI_TEXT_H

#include "kwaai/status.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct kw_tokenizer kw_tokenizer;

enum {
    KW_TEXT_ADD_SPECIAL = 1, /* encode: add BOS (and EOS) as the model's tokenizer does */
    KW_TEXT_PARSE_SPECIAL =
        2, /* encode: "<|im_end|>" in the text becomes that token, not its letters */
    KW_TEXT_NO_SPECIAL = 4, /* decode: leave control tokens out of the text */
};

/* Opens a tokenizer by itself: a tokenizer.json, a SentencePiece tokenizer.model, a vocab.json (with merges.txt beside
 * it), a vocab.txt, a .tiktoken file of GPT-2 or Whisper, a llama2.c tokenizer, a GGUF file (with or without weights)
 * or a folder that holds one. vocab_size: for llama2.c files, whose header does not say it;
 * 0 takes all pieces. Errors: KW_ENOTFOUND, KW_EFORMAT, KW_EUNSUPPORTED (names what is not understood). */
KW_API kw_status kw_tokenizer_open(const char *path, kw_tokenizer **out);
KW_API void kw_tokenizer_close(
    kw_tokenizer *t); /* NULL is fine; only for tokenizers from kw_tokenizer_open */

/* Text to ids. Writes at most `cap` ids and always sets *n to the number needed; KW_ELIMIT when cap was too small
 * (call again with *n). len counts bytes; the text may hold NUL bytes and need not be valid UTF-8. */
KW_API kw_status kw_tokenize(const kw_tokenizer *t, const char *text, size_t len, unsigned flags,
                             int32_t *ids, size_t cap, size_t *n);
/* Ids to bytes, the same way: at most `cap` bytes, *len the number needed, no final NUL.
 * An id outside the vocabulary is KW_EINVAL and named. */
KW_API kw_status kw_detokenize(const kw_tokenizer *t, const int32_t *ids, size_t n, unsigned flags,
                               char *text, size_t cap, size_t *len);

/* Ids with a meaning; -1 where the vocabulary has none. */
typedef struct kw_special_ids {
    int32_t bos, eos, pad, unk;
    bool adds_bos, adds_eos; /* what KW_TEXT_ADD_SPECIAL will do */
} kw_special_ids;
KW_API kw_special_ids kw_tokenizer_special(const kw_tokenizer *t);
KW_API int32_t kw_tokenizer_size(const kw_tokenizer *t);
/* "BPE (smollm)", "SentencePiece BPE", ... */
KW_API const char *kw_tokenizer_kind(const kw_tokenizer *t);
/* The id of a whole token text, or -1. */
KW_API int32_t kw_tokenizer_find(const kw_tokenizer *t, const char *piece, size_t len);
/* The token's own text as stored ("Ġthe", "<|im_end|>"), borrowed until close; NULL outside the vocabulary. */
KW_API const char *kw_tokenizer_piece(const kw_tokenizer *t, int32_t id, size_t *len);
/* The chat template that came with the tokenizer, borrowed; NULL when there is none. */
KW_API const char *kw_tokenizer_chat_template(const kw_tokenizer *t, size_t *len);

/* The chat template and special texts of a tokenizer_config.json, of a file that is a template itself, or of anything
 * kw_tokenizer_open takes. Errors as there. */
typedef struct kw_template kw_template;
typedef struct kw_template_parts {
    const char *text;      /* NULL: there is no template */
    const char *bos, *eos; /* "" where nothing is said */
} kw_template_parts;
KW_API kw_status kw_template_open(const char *path, kw_template **out);
KW_API void kw_template_close(kw_template *t);                       /* NULL is fine */
KW_API kw_template_parts kw_template_describe(const kw_template *t); /* borrowed until close */

/* The names of the built-in templates: *n of them, constant. */
KW_API const char *const *kw_template_names(int *n);

/* A conversation, or any JSON array of messages ({"role": "user", "content": "..."}), rendered with a template: a
 * built-in's name ("chatml", "llama2", "llama3", "zephyr", "mistral-v1") or the template text itself. bos / eos are the
 * token texts the template may print. Writes at most cap bytes, *len = needed (KW_ELIMIT when too small).
 * A template's raise_exception(text) is KW_EINVAL with that text as the message. */
typedef struct kw_template_args {
    const char *template_text; /* or a built-in's name; NULL: chatml */
    const char *messages_json;
    size_t messages_len;
    const char *bos, *eos; /* NULL: "" */
    bool add_generation_prompt;
} kw_template_args;
KW_API kw_status kw_template_render(const kw_template_args *args, char *text, size_t cap,
                                    size_t *len);

#ifdef __cplusplus
}
#endif
#endif
