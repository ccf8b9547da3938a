/* text.h - the door of text/: bytes to ids and back, and conversations to prompts.
 *
 * A kw_tokenizer is shared (immutable after open). Encoding is linear in the text apart from the merge
 * heap's logarithm, also on hostile input. */
#ifndef KW_TEXT_H
#define KW_TEXT_H

#include "base/base.h"
#include "format/format.h"
#include "kwaai/text.h" /* kw_tokenizer, kw_special_ids and the public functions, implemented here */

/* A growable list of ids. */
typedef struct kw_ids {
    int32_t *ids;
    size_t n, cap;
} kw_ids;
kw_status kw_ids_push(kw_ids *l, int32_t id);
void kw_ids_free(kw_ids *l);

/* The tokenizer that belongs to a checkpoint: GGUF metadata, or tokenizer.json / tokenizer.model beside a
 * Hugging Face checkpoint. *out = NULL with KW_OK when the model has none. Keeps borrowing from ck's map. */
kw_status kw_tokenizer_of_checkpoint(const kw_checkpoint *ck, kw_tokenizer **out);

/* ---- writing a tokenizer into other files (save_*.c). KW_EUNSUPPORTED: the form cannot say what this one does. ---- */
/* tokenizer.ggml.*, and the chat template; n_vocab: rows of the embedding, for which tokens are made up. */
kw_status kw_tokenizer_save_gguf(const kw_tokenizer *t, int32_t n_vocab, kw_gguf_keys *k);
kw_status kw_tokenizer_save_json(const kw_tokenizer *t, kw_buf *out);   /* tokenizer.json */
kw_status kw_tokenizer_save_config(const kw_tokenizer *t, kw_buf *out); /* tokenizer_config.json */

/* Appends to `out`. flags: KW_TEXT_* of kwaai/text.h. Invalid UTF-8 is encoded byte by byte where the
 * vocabulary can, and is U+FFFD where it cannot. */
kw_status kw_tokenizer_encode(const kw_tokenizer *t, kw_str text, unsigned flags, kw_ids *out);
/* What KW_TEXT_ADD_SPECIAL puts around a text; borrowed. */
typedef struct kw_around {
    const int32_t *before, *after;
    size_t n_before, n_after;
} kw_around;
kw_around kw_tokenizer_around(const kw_tokenizer *t);
/* Appends the bytes of the ids. Special tokens are written unless KW_TEXT_NO_SPECIAL. */
kw_status kw_tokenizer_decode(const kw_tokenizer *t, const int32_t *ids, size_t n, unsigned flags,
                              kw_buf *out);

/* Streaming: push ids one at a time; `out` receives only whole UTF-8 characters, so that the concatenation of all
 * pieces equals kw_tokenizer_decode of all ids (bytes that never become a character are given out at flush). */
typedef struct kw_detok {
    const kw_tokenizer *t;
    unsigned flags;
    bool started;             /* the first piece of a SentencePiece text loses its leading space */
    unsigned char pending[8]; /* an incomplete character */
    int n_pending;
} kw_detok;
/* Text that continues after `last` (-1: nothing stands before): behind an ordinary token its first space is kept. */
kw_detok kw_detok_after(const kw_tokenizer *t, unsigned flags, int32_t last);
kw_detok kw_detok_new(const kw_tokenizer *t, unsigned flags);
kw_status kw_detok_push(kw_detok *d, int32_t id, kw_buf *out);
kw_status kw_detok_flush(kw_detok *d, kw_buf *out);

/* ---- chat templates: Jinja, as far as one file goes (chat_*.c) ---- */
typedef struct kw_chat_input {
    const kw_json *messages; /* array of {role, content, ...} */
    const kw_json *tools;    /* or NULL */
    const kw_json *extra;    /* object of further variables, or NULL */
    kw_str bos_token, eos_token;
    bool add_generation_prompt;
    size_t max_steps; /* 0: KW_CHAT_STEPS */
} kw_chat_input;

/* A conversation as JSON: a bare array of messages, or an object {messages, add_generation_prompt, tools, ...} whose
 * members override what *in already says. Everything lives in `arena`. */
kw_status kw_chat_read(kw_str json, kw_arena *arena, kw_chat_input *in);

/* Renders with trim_blocks and lstrip_blocks on, as transformers does. raise_exception('text') gives KW_EINVAL with
 * exactly that text as the message; other failures name the line. Limits: chat.h; output `out->max`. */
kw_status kw_chat_render(kw_str template_text, const kw_chat_input *in, kw_buf *out);
/* A built-in template by name (chatml, llama2, llama3, zephyr, mistral-v1, plain), or {NULL, 0}. */
kw_str kw_chat_builtin(const char *name);

#endif
