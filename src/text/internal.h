/* internal.h - a tokenizer's members, for the files of text/. */
#ifndef KW_TEXT_INTERNAL_H
#define KW_TEXT_INTERNAL_H

#include "text/text.h"

/* GGUF's token types; the other formats are translated to them. */
typedef enum kw_token_type {
    KW_TOKEN_NORMAL = 1,
    KW_TOKEN_UNKNOWN,
    KW_TOKEN_CONTROL,
    KW_TOKEN_USER,
    KW_TOKEN_UNUSED,
    KW_TOKEN_BYTE
} kw_token_type;

typedef struct kw_token {
    kw_str text;  /* as stored: "Ġthe", "▁the", "<|im_end|>" */
    kw_str bytes; /* what it stands for */
    float score;
    uint8_t type;                 /* kw_token_type */
    bool strip_left, strip_right; /* a special token that swallows spaces beside it */
} kw_token;

/* How text is cut before merging (pretok.c). */
typedef struct kw_pretok kw_pretok;
const kw_pretok *kw_pretok_named(kw_str gguf_name); /* NULL: unknown */
const kw_pretok *kw_pretok_of_pattern(
    kw_str regex); /* a known pattern of tokenizer.json, or NULL */
/* The first piece of text[at..n): its end. */
size_t kw_pretok_next(const kw_pretok *p, kw_str text, size_t at);
const char *kw_pretok_name(const kw_pretok *p);

/* (left id, right id) -> rank and merged id. */
typedef struct kw_merge {
    uint64_t pair; /* left << 32 | right; KW_NO_PAIR: empty slot */
    uint32_t rank;
    int32_t id;
} kw_merge;
#define KW_NO_PAIR UINT64_MAX

enum { KW_MAX_PRETOKS = 4 };

struct kw_tokenizer {
    kw_arena arena;
    kw_checkpoint *owned; /* a checkpoint opened for its vocabulary alone, or NULL */
    enum { KW_VOCAB_BPE, KW_VOCAB_SPM } model;
    char kind[64];
    kw_token *tokens;
    int32_t n;
    kw_map by_bytes; /* normal tokens by what they stand for */
    kw_map by_text;  /* all tokens as stored */
    kw_special_ids special;
    kw_str chat_template;

    int32_t *specials; /* ids recognised in text, longest first */
    size_t n_specials;
    bool special_first[256]; /* bytes that begin one */

    const kw_pretok *pretoks[KW_MAX_PRETOKS]; /* BPE: applied one after the other */
    int n_pretoks;
    kw_merge *merges; /* BPE: open addressing, a power of two */
    size_t n_merge_slots;
    bool nfc;              /* BPE: text is brought to Unicode's form C first */
    bool ignore_merges;    /* a piece that is a token is taken whole */
    bool add_prefix_space; /* SPM: the text begins with a space that is not there; BPE: the same */
    int32_t byte_id[256];  /* the token of a single byte, or -1 */
    const char *space;     /* SPM: what stands for a space: "▁", or " " in llama2.c files */
};

kw_tokenizer *kw_tokenizer_new(void);
void kw_tokenizer_clear(kw_tokenizer *t); /* as new again */
/* Room for n tokens; at most as many as the file can hold, which the caller has checked. */
kw_status kw_tokenizer_reserve(kw_tokenizer *t, size_t n);
/* Tokens are filled in: builds the maps, byte ids and the list of specials. */
kw_status kw_tokenizer_finish(kw_tokenizer *t);
/* BPE: the bytes that a stored text stands for (GPT-2's printable stand-ins undone); a text with other letters as is. */
kw_status kw_bpe_unmap(kw_tokenizer *t, kw_str stored, kw_str *bytes);
kw_status kw_bpe_reserve_merges(kw_tokenizer *t, size_t n);
kw_status kw_bpe_add_merge(kw_tokenizer *t, kw_str left, kw_str right, uint32_t rank);

kw_status kw_load_gguf_vocab(kw_tokenizer *t, const kw_checkpoint *ck);
kw_status kw_parse_tokenizer_json(kw_tokenizer *t, const char *text, size_t len);
kw_status kw_load_tokenizer_json(kw_tokenizer *t, const char *path);
kw_status kw_load_sentencepiece(kw_tokenizer *t, const char *path);
/* vocab_path ends in "vocab.json"; merges.txt lies beside it under the same prefix. */
kw_status kw_load_vocab_merges(kw_tokenizer *t, const char *vocab_path);
kw_status kw_load_llama2c_vocab(kw_tokenizer *t, const char *path);
/* chat_template, bos and eos of tokenizer_config.json beside it. */
kw_status kw_load_tokenizer_config(kw_tokenizer *t, const char *path);
kw_status kw_load_template_file(kw_tokenizer *t, const char *path); /* chat_template.jinja */

kw_status kw_bpe_encode(const kw_tokenizer *t, kw_str text, kw_ids *out);
kw_status kw_spm_encode(const kw_tokenizer *t, kw_str text, bool is_first, kw_ids *out);

/* The bytes of one token, appended. */
kw_status kw_token_bytes(const kw_tokenizer *t, int32_t id, unsigned flags, kw_buf *out);

/* A binary heap of candidates, smallest key first, then leftmost. */
typedef struct kw_candidate {
    uint64_t key;
    uint32_t left, right, len; /* nodes, and the bytes they had together */
} kw_candidate;
typedef struct kw_heap {
    kw_candidate *items;
    size_t n, cap;
} kw_heap;
kw_status kw_heap_push(kw_heap *h, kw_candidate c);
bool kw_heap_pop(kw_heap *h, kw_candidate *c);

#endif
