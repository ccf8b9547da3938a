/* bpe.c - byte-level byte-pair encoding.
 *
 * A piece of text starts as one token per byte; the neighbouring pair of lowest rank is merged until no pair has a
 * rank. Pairs wait in a heap and tokens are a linked list, so a megabyte of one letter costs n log n.
 *
 * Vocabularies store bytes as printable stand-ins (GPT-2: 0x20 is "Ġ"); that is undone at load, so everything here
 * works on real bytes. */
#include "text/internal.h"
#include <string.h>

/* ---- the stand-ins ---- */

static bool is_printable(int b)
{
    return (b >= '!' && b <= '~') || (b >= 0xa1 && b <= 0xac) || (b >= 0xae && b <= 0xff);
}

/* The byte that a code point stands for, or -1: printable ones for themselves, the others from U+0100 on in order. */
static int byte_of(uint32_t cp)
{
    if (cp < 0x100) return is_printable((int)cp) ? (int)cp : -1;
    if (cp >= 0x144) return -1;
    if (cp < 0x121) return (int)(cp - 0x100);
    if (cp < 0x143) return (int)(cp - 0x121) + 0x7f;
    return 0xad;
}

kw_status kw_bpe_unmap(kw_tokenizer *t, kw_str stored, kw_str *bytes)
{
    char *out = kw_arena_alloc(&t->arena, stored.n + 1, 1);
    size_t n = 0;
    if (!out) return KW_ENOMEM;
    for (size_t at = 0; at < stored.n;) {
        uint32_t cp;
        at += kw_utf8_decode(stored.p + at, stored.n - at, &cp, NULL);
        int b = byte_of(cp);
        if (b < 0) {
            *bytes = stored;
            return KW_OK;
        }
        out[n++] = (char)b;
    }
    *bytes = (kw_str){ out, n };
    return KW_OK;
}

/* ---- merges ---- */

static size_t slot_of(const kw_tokenizer *t, uint64_t pair)
{
    uint64_t h = pair * 0x9e3779b97f4a7c15u;
    return (size_t)(h ^ h >> 32) & (t->n_merge_slots - 1);
}

kw_status kw_bpe_reserve_merges(kw_tokenizer *t, size_t n)
{
    size_t slots = 64;
    while (slots < 2 * n) slots *= 2;
    t->merges = kw_arena_alloc(&t->arena, slots, sizeof *t->merges);
    if (!t->merges) return KW_ENOMEM;
    t->n_merge_slots = slots;
    for (size_t i = 0; i < slots; i++) t->merges[i].pair = KW_NO_PAIR;
    return KW_OK;
}

static const kw_merge *find_merge(const kw_tokenizer *t, int32_t left, int32_t right)
{
    if (t->n_merge_slots == 0) return NULL;
    uint64_t pair = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    for (size_t i = slot_of(t, pair);; i = (i + 1) & (t->n_merge_slots - 1)) {
        if (t->merges[i].pair == pair) return &t->merges[i];
        if (t->merges[i].pair == KW_NO_PAIR) return NULL;
    }
}

kw_status kw_bpe_add_merge(kw_tokenizer *t, kw_str left, kw_str right, uint32_t rank)
{
    kw_str l, r;
    int64_t a, b, ab;
    kw_status st = kw_bpe_unmap(t, left, &l);
    if (!st) st = kw_bpe_unmap(t, right, &r);
    if (st) return st;
    char joined[512];
    if (l.n + r.n > sizeof joined)
        return kw_fail(KW_EFORMAT, "merge %u: pieces of %zu and %zu bytes", rank, l.n, r.n);
    memcpy(joined, l.p, l.n);
    memcpy(joined + l.n, r.p, r.n);
    if (!kw_map_get(&t->by_bytes, l, &a) || !kw_map_get(&t->by_bytes, r, &b) ||
        !kw_map_get(&t->by_bytes, (kw_str){ joined, l.n + r.n }, &ab))
        return kw_fail(KW_EFORMAT, "merge %u: \"%.*s\" + \"%.*s\" is not made of tokens", rank,
                       (int)left.n, left.p, (int)right.n, right.p);
    uint64_t pair = (uint64_t)a << 32 | (uint64_t)b;
    size_t i = slot_of(t, pair);
    while (t->merges[i].pair != KW_NO_PAIR && t->merges[i].pair != pair)
        i = (i + 1) & (t->n_merge_slots - 1);
    if (t->merges[i].pair != pair) t->merges[i] = (kw_merge){ pair, rank, (int32_t)ab };
    return KW_OK;
}

/* ---- encoding ---- */

typedef struct node {
    int32_t id;          /* -1: merged away, or a byte that is no token */
    uint32_t prev, next; /* NONE at the ends */
} node;
#define NONE UINT32_MAX

typedef struct work {
    const kw_tokenizer *t;
    node *nodes;
    size_t cap;
    kw_heap heap;
} work;

static kw_status offer(work *w, uint32_t left, uint32_t right)
{
    if (left == NONE || right == NONE) return KW_OK;
    const kw_merge *m = find_merge(w->t, w->nodes[left].id, w->nodes[right].id);
    return m ? kw_heap_push(&w->heap, (kw_candidate){ .key = (uint64_t)m->rank,
                                                      .left = left,
                                                      .right = right,
                                                      .len = (uint32_t)m->id })
             : KW_OK;
}

static kw_status merge_all(work *w)
{
    kw_candidate c;
    while (kw_heap_pop(&w->heap, &c)) {
        node *l = &w->nodes[c.left], *r = &w->nodes[c.right];
        if (l->id < 0 || l->next != c.right || r->id < 0) continue;
        const kw_merge *m =
            find_merge(w->t, l->id, r->id); /* the pair may have become another one */
        if (!m || m->rank != c.key) continue;
        l->id = m->id;
        l->next = r->next;
        r->id = -1;
        if (l->next != NONE) w->nodes[l->next].prev = c.left;
        kw_status st = offer(w, l->prev, c.left);
        if (!st) st = offer(w, c.left, l->next);
        if (st) return st;
    }
    return KW_OK;
}

static kw_status reach(work *w, size_t n)
{
    if (n <= w->cap) return KW_OK;
    size_t cap = n < 256 ? 256 : 2 * n;
    node *nodes = kw_realloc(w->nodes, cap * sizeof *nodes, KW_PAY_TEXT);
    if (!nodes) return KW_ENOMEM;
    w->nodes = nodes;
    w->cap = cap;
    return KW_OK;
}

/* A byte that no token stands for: the unknown token, or nothing. */
static kw_status put_id(const kw_tokenizer *t, int32_t id, kw_ids *out)
{
    if (id < 0) id = t->special.unk;
    return id < 0 ? KW_OK : kw_ids_push(out, id);
}

static kw_status encode_piece(work *w, kw_str piece, kw_ids *out)
{
    int64_t whole;
    if (w->t->ignore_merges && kw_map_get(&w->t->by_bytes, piece, &whole))
        return kw_ids_push(out, (int32_t)whole);
    kw_status st = reach(w, piece.n);
    if (st) return st;
    uint32_t n = (uint32_t)piece.n;
    for (uint32_t i = 0; i < n; i++)
        w->nodes[i] = (node){ w->t->byte_id[(unsigned char)piece.p[i]], i ? i - 1 : NONE,
                              i + 1 < n ? i + 1 : NONE };
    for (uint32_t i = 0; i + 1 < n && !st; i++) st = offer(w, i, i + 1);
    if (!st) st = merge_all(w);
    for (uint32_t i = 0; i != NONE && n && !st; i = w->nodes[i].next)
        st = put_id(w->t, w->nodes[i].id, out);
    return st;
}

/* Cuts with pre-tokenizer number `step` and hands each piece to the next; behind the last one pieces are encoded. */
static kw_status cut(work *w, int step, kw_str text, kw_ids *out)
{
    if (step == w->t->n_pretoks) return encode_piece(w, text, out);
    kw_status st = KW_OK;
    for (size_t at = 0; at < text.n && !st;) {
        size_t end = kw_pretok_next(w->t->pretoks[step], text, at);
        st = cut(w, step + 1, (kw_str){ text.p + at, end - at }, out);
        at = end;
    }
    return st;
}

kw_status kw_bpe_encode(const kw_tokenizer *t, kw_str text, kw_ids *out)
{
    if (text.n >= NONE) return kw_fail(KW_ELIMIT, "a text of %zu bytes", text.n);
    work w = { .t = t };
    kw_status st = cut(&w, 0, text, out);
    kw_free(w.nodes);
    kw_free(w.heap.items);
    return st;
}
