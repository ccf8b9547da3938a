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
    kw_checkpoint_close(t->owned);
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

static kw_status index_token(kw_tokenizer *t, int32_t id)
{
    kw_token *k = &t->tokens[id];
    int byte = t->model == KW_VOCAB_SPM ? byte_token(k->text) : -1;
    if (byte >= 0) k->type = KW_TOKEN_BYTE;
    k->bytes = k->text;
    kw_status st = KW_OK;
    if (t->model == KW_VOCAB_BPE && !is_special(k)) st = kw_bpe_unmap(t, k->text, &k->bytes);
    if (!st) st = kw_map_add(&t->by_text, k->text, id);
    if (st) return st;
    if (byte >= 0) t->byte_id[byte] = id;
    bool plain =
        k->type == KW_TOKEN_NORMAL || (k->type == KW_TOKEN_USER && t->model == KW_VOCAB_SPM);
    if (!plain || k->bytes.n == 0) return KW_OK;
    st = kw_map_add(&t->by_bytes, k->bytes, id);
    if (t->model == KW_VOCAB_BPE && k->bytes.n == 1) t->byte_id[(unsigned char)k->bytes.p[0]] = id;
    return st;
}

static kw_status list_specials(kw_tokenizer *t)
{
    size_t n = 0;
    for (int32_t i = 0; i < t->n; i++) n += is_special(&t->tokens[i]) && t->tokens[i].text.n;
    t->specials = kw_arena_alloc(&t->arena, n + 1, sizeof *t->specials);
    if (!t->specials) return KW_ENOMEM;
    for (int32_t i = 0; i < t->n; i++) {
        const kw_token *k = &t->tokens[i];
        if (!is_special(k) || k->text.n == 0) continue;
        t->special_first[(unsigned char)k->text.p[0]] = true;
        t->specials[t->n_specials++] = i;
    }
    return KW_OK;
}

/* Longest first; a stable insertion by length buckets keeps this linear enough for a few thousand specials. */
static void sort_specials(kw_tokenizer *t)
{
    for (size_t i = 1; i < t->n_specials; i++) {
        int32_t id = t->specials[i];
        size_t j = i;
        for (; j && t->tokens[t->specials[j - 1]].text.n < t->tokens[id].text.n; j--)
            t->specials[j] = t->specials[j - 1];
        t->specials[j] = id;
    }
}

kw_status kw_tokenizer_finish(kw_tokenizer *t)
{
    for (int i = 0; i < 256; i++) t->byte_id[i] = -1;
    kw_status st = KW_OK;
    for (int32_t i = 0; i < t->n && !st; i++) st = index_token(t, i);
    if (!st) st = list_specials(t);
    if (!st) sort_specials(t);
    int32_t *ids[] = { &t->special.bos, &t->special.eos, &t->special.pad, &t->special.unk };
    for (size_t i = 0; i < 4; i++)
        if (*ids[i] < 0 || *ids[i] >= t->n) *ids[i] = -1;
    t->special.adds_bos = t->special.adds_bos && t->special.bos >= 0;
    t->special.adds_eos = t->special.adds_eos && t->special.eos >= 0;
    return st;
}
