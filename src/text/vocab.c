/* vocab.c - filling a tokenizer's tables, whatever file they come from. */
#include "text/internal.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void set_empty(kw_tokenizer *t)
{
    *t = (kw_tokenizer){ .arena = KW_ARENA(KW_PAY_TEXT),
                         .by_bytes = KW_MAP(KW_PAY_TEXT),
                         .by_text = KW_MAP(KW_PAY_TEXT),
                         .special = { -1, -1, -1, -1, false, false },
                         .space = "\xe2\x96\x81" };
}

kw_tokenizer *kw_tokenizer_new(void)
{
    kw_tokenizer *t = kw_calloc(1, sizeof *t, KW_PAY_TEXT);
    if (t) set_empty(t);
    return t;
}

kw_status kw_tokenizer_reserve(kw_tokenizer *t, size_t n)
{
    if (n == 0 || n > 0x7ffffff) return kw_fail(KW_EFORMAT, "a vocabulary of %zu tokens", n);
    t->tokens = kw_arena_alloc(&t->arena, n, sizeof *t->tokens);
    if (!t->tokens) return KW_ENOMEM;
    t->n = (int32_t)n;
    for (size_t i = 0; i < n; i++) t->tokens[i].type = KW_TOKEN_NORMAL;
    kw_status st = kw_map_reserve(&t->by_bytes, n);
    return st ? st : kw_map_reserve(&t->by_text, n);
}

void kw_tokenizer_clear(kw_tokenizer *t)
{
    kw_map_free(&t->by_bytes);
    kw_map_free(&t->by_text);
    kw_trie_free(&t->added);
    kw_trie_free(&t->added_normalized);
    kw_trie_free(&t->pieces);
    kw_checkpoint_close(t->owned);
    for (int i = 0; i < t->n_cuts; i++) kw_pattern_free(t->cuts[i].pattern);
    for (int i = 0; i < t->n_norms; i++) kw_pattern_free(t->norms[i].pattern);
    kw_arena_free(&t->arena);
    set_empty(t);
}

void kw_tokenizer_close(kw_tokenizer *t)
{
    if (t) kw_tokenizer_clear(t);
    kw_free(t);
}

/* "<0x0A>" -> 10, or -1. */
static int byte_token(kw_str s)
{
    unsigned v = 0;
    if (s.n != 6 || memcmp(s.p, "<0x", 3) != 0 || s.p[5] != '>') return -1;
    for (size_t i = 3; i < 5; i++) {
        char c = s.p[i];
        if (c >= '0' && c <= '9') v = v * 16 + (unsigned)(c - '0');
        else if (c >= 'A' && c <= 'F') v = v * 16 + (unsigned)(c - 'A' + 10);
        else return -1;
    }
    return (int)v;
}

static bool is_special(const kw_token *t)
{
    return t->type == KW_TOKEN_CONTROL || t->type == KW_TOKEN_USER || t->type == KW_TOKEN_UNKNOWN;
}

static bool has_spaces(const kw_tokenizer *t)
{
    return t->model == KW_VOCAB_SPM || t->model == KW_VOCAB_UNIGRAM ||
           (t->model == KW_VOCAB_BPE && !t->byte_level);
}

static bool has_byte_tokens(const kw_tokenizer *t)
{
    return t->model == KW_VOCAB_SPM || (has_spaces(t) && t->byte_fallback);
}

/* What a token of a SentencePiece vocabulary stands for: one byte, or its text with spaces. */
static kw_status spell(kw_tokenizer *t, kw_token *k, int byte)
{
    char *out = kw_arena_alloc(&t->arena, k->text.n + 1, 1);
    size_t n = 0, width = strlen(t->space);
    if (!out) return KW_ENOMEM;
    for (size_t i = 0; i < k->text.n && byte < 0; n++) {
        bool space = width && k->text.n - i >= width && memcmp(k->text.p + i, t->space, width) == 0;
        out[n] = space ? ' ' : k->text.p[i];
        i += space ? width : 1;
    }
    if (byte >= 0) out[n++] = (char)byte;
    k->bytes = (kw_str){ out, n };
    return KW_OK;
}

/* A token on its way into the maps. */
typedef struct entry {
    kw_str name; /* key of by_bytes; empty: it is not there */
    uint64_t text_hash, name_hash;
    int byte; /* that it stands for, or -1 */
} entry;

/* Settles what the token stands for, and asks memory for its slots. */
static kw_status prepare(kw_tokenizer *t, int32_t id, entry *e)
{
    kw_token *k = &t->tokens[id];
    bool in_bytes = t->model == KW_VOCAB_BPE && t->byte_level;
    e->byte = has_byte_tokens(t) && !k->is_added ? byte_token(k->text) : -1;
    if (e->byte >= 0) k->type = KW_TOKEN_BYTE;
    if (is_special(k)) k->is_added = true;
    e->name = k->text;
    kw_status st = KW_OK;
    if (k->bytes.p == NULL) k->bytes = k->text;
    if (in_bytes && (k->is_piece || !is_special(k) || t->specials_are_text)) {
        st = kw_bpe_unmap(t, k->text, &e->name);
        if (!is_special(k) || t->specials_are_text) k->bytes = e->name;
    } else if (has_spaces(t) && k->type != KW_TOKEN_CONTROL && k->type != KW_TOKEN_UNKNOWN)
        st = spell(t, k, e->byte);
    bool plain =
        k->is_piece || k->type == KW_TOKEN_NORMAL || (k->type == KW_TOKEN_USER && !in_bytes);
    if (!plain) e->name.n = 0;
    e->text_hash = kw_map_ahead(&t->by_text, k->text);
    if (e->name.n) e->name_hash = kw_map_ahead(&t->by_bytes, e->name);
    return st;
}

static kw_status index_token(kw_tokenizer *t, int32_t id, const entry *e)
{
    const kw_token *k = &t->tokens[id];
    bool in_bytes = t->model == KW_VOCAB_BPE && t->byte_level;
    kw_status st = kw_map_add_hashed(&t->by_text, k->text, e->text_hash, id);
    if (st) return st;
    if (e->byte >= 0) t->byte_id[e->byte] = id;
    if (e->name.n == 0) return KW_OK;
    if (in_bytes && e->name.n == 1) t->byte_id[(unsigned char)e->name.p[0]] = id;
    return kw_map_add_hashed(&t->by_bytes, e->name, e->name_hash,
                             t->model == KW_VOCAB_SPM ? kw_spm_value(k->score, id) : id);
}

/* The maps of a vocabulary are larger than the caches: several tokens wait for memory together. */
static kw_status index_tokens(kw_tokenizer *t)
{
    enum { AHEAD = 16 };
    entry coming[AHEAD];
    kw_status st = KW_OK;
    for (int32_t i = 0; i - AHEAD < t->n && !st; i++) {
        if (i >= AHEAD) st = index_token(t, i - AHEAD, &coming[i % AHEAD]);
        if (i < t->n && !st) st = prepare(t, i, &coming[i % AHEAD]);
    }
    return st;
}

int32_t kw_char_id(const kw_tokenizer *t, kw_str c)
{
    int64_t id;
    if (c.n == 1 && (unsigned char)c.p[0] < 128) return t->ascii_id[(unsigned char)c.p[0]];
    if (c.n == 3 && memcmp(c.p, "\xe2\x96\x81", 3) == 0) return t->blank_id;
    return kw_map_get(&t->by_bytes, c, &id) ? kw_value_id(id) : -1;
}

static void index_chars(kw_tokenizer *t)
{
    int64_t id;
    for (int i = 0; i < 128; i++) {
        char c = (char)i;
        t->ascii_id[i] = kw_map_get(&t->by_bytes, (kw_str){ &c, 1 }, &id) ? kw_value_id(id) : -1;
    }
    t->blank_id = kw_map_get(&t->by_bytes, KW_STR("\xe2\x96\x81"), &id) ? kw_value_id(id) : -1;
}

static void settle_specials(kw_tokenizer *t)
{
    int32_t *ids[] = { &t->special.bos, &t->special.eos, &t->special.pad, &t->special.unk };
    for (size_t i = 0; i < 4; i++)
        if (*ids[i] < 0 || *ids[i] >= t->n) *ids[i] = -1;
    t->special.adds_bos = t->special.adds_bos && t->special.bos >= 0;
    t->special.adds_eos = t->special.adds_eos && t->special.eos >= 0;
    if (t->special.adds_bos) t->before[t->n_before++] = t->special.bos;
    if (t->special.adds_eos) t->after[t->n_after++] = t->special.eos;
}

kw_status kw_tokenizer_finish(kw_tokenizer *t)
{
    for (int i = 0; i < 256; i++) t->byte_id[i] = -1;
    kw_status st = index_tokens(t);
    if (!st) index_chars(t);
    if (!st) st = kw_index_added(t);
    if (!st && t->model == KW_VOCAB_UNIGRAM) st = kw_unigram_prepare(t);
    if (!st && t->model == KW_VOCAB_WORDPIECE) st = kw_wordpiece_prepare(t);
    if (!st) kw_words_prepare(t);
    settle_specials(t);
    return st;
}
