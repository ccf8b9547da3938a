/* spm.c - SentencePiece's byte-pair encoding: characters merge to the piece of the highest score, leftmost first.
 *
 * What is no piece at the end is written byte by byte. */
#include "text/internal.h"
#include <string.h>

#define NONE UINT32_MAX

typedef struct symbol {
    uint32_t at, len; /* len 0: merged away */
    uint32_t prev, next;
} symbol;

typedef struct work {
    const kw_tokenizer *t;
    const char *text;
    symbol *symbols;
    kw_heap heap;
} work;

/* A float's order as an unsigned number, highest score first. */
static uint64_t key_of(float score)
{
    uint32_t u;
    memcpy(&u, &score, sizeof u);
    u = u & 0x80000000u ? ~u : u | 0x80000000u;
    return (uint64_t)~u;
}

static kw_status offer(work *w, uint32_t left, uint32_t right)
{
    int64_t id;
    if (left == NONE || right == NONE) return KW_OK;
    uint32_t len = w->symbols[left].len + w->symbols[right].len;
    if (!kw_map_get(&w->t->by_bytes, (kw_str){ w->text + w->symbols[left].at, len }, &id))
        return KW_OK;
    return kw_heap_push(&w->heap,
                        (kw_candidate){ key_of(w->t->tokens[id].score), left, right, len });
}

static kw_status merge_all(work *w)
{
    kw_candidate c;
    while (kw_heap_pop(&w->heap, &c)) {
        symbol *l = &w->symbols[c.left], *r = &w->symbols[c.right];
        if (l->len == 0 || r->len == 0 || l->next != c.right || l->len + r->len != c.len) continue;
        l->len = c.len;
        l->next = r->next;
        r->len = 0;
        if (l->next != NONE) w->symbols[l->next].prev = c.left;
        kw_status st = offer(w, l->prev, c.left);
        if (!st) st = offer(w, c.left, l->next);
        if (st) return st;
    }
    return KW_OK;
}

static kw_status put_bytes(const kw_tokenizer *t, const char *p, uint32_t n, kw_ids *out)
{
    bool has_bytes = true;
    for (uint32_t i = 0; i < n; i++) has_bytes = has_bytes && t->byte_id[(unsigned char)p[i]] >= 0;
    if (!has_bytes) return t->special.unk < 0 ? KW_OK : kw_ids_push(out, t->special.unk);
    kw_status st = KW_OK;
    for (uint32_t i = 0; i < n && !st; i++) st = kw_ids_push(out, t->byte_id[(unsigned char)p[i]]);
    return st;
}

static kw_status put_symbols(const work *w, kw_ids *out)
{
    kw_status st = KW_OK;
    for (uint32_t i = 0; i != NONE && !st; i = w->symbols[i].next) {
        const symbol *s = &w->symbols[i];
        int64_t id;
        if (kw_map_get(&w->t->by_bytes, (kw_str){ w->text + s->at, s->len }, &id))
            st = kw_ids_push(out, (int32_t)id);
        else st = put_bytes(w->t, w->text + s->at, s->len, out);
    }
    return st;
}

static kw_status merge_text(work *w, kw_str text, kw_ids *out)
{
    uint32_t n = 0;
    w->symbols = kw_malloc(text.n * sizeof *w->symbols, KW_PAY_TEXT);
    if (!w->symbols) return KW_ENOMEM;
    for (size_t at = 0; at < text.n; n++) {
        uint32_t cp, len = (uint32_t)kw_utf8_decode(text.p + at, text.n - at, &cp, NULL);
        w->symbols[n] = (symbol){ (uint32_t)at, len, n ? n - 1 : NONE, NONE };
        if (n) w->symbols[n - 1].next = n;
        at += len;
    }
    kw_status st = KW_OK;
    for (uint32_t i = 0; i + 1 < n && !st; i++) st = offer(w, i, i + 1);
    if (!st) st = merge_all(w);
    return st ? st : put_symbols(w, out);
}

kw_status kw_spm_encode(kw_encoder *e, kw_str text, kw_ids *out)
{
    if (text.n >= NONE / 4) return kw_fail(KW_ELIMIT, "a text of %zu bytes", text.n);
    work w = { .t = e->t, .text = text.p };
    kw_status st = merge_text(&w, text, out);
    kw_free(w.symbols);
    kw_free(w.heap.items);
    return st;
}
