/* bpe.c - byte-pair encoding with ranked merges, over bytes (GPT-2) or characters (SentencePiece vocabularies in
 * tokenizer.json).
 *
 * A piece of text starts as one token per byte or character; the neighbouring pair of lowest rank is merged until no
 * pair has a rank. In a long piece pairs wait in a heap and tokens are a linked list, so a megabyte of one letter costs
 * n log n; in a short one the best pair is simply looked for. Most words were met before: a table remembers their ids.
 *
 * Byte-level vocabularies store bytes as printable stand-ins (GPT-2: 0x20 is "Ġ"); that is undone at load, so everything here
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

uint32_t kw_bpe_name_of(unsigned char byte)
{
    if (is_printable(byte)) return byte;
    if (byte <= 0x20) return 0x100u + byte;
    return byte == 0xad ? 0x143 : 0x121u + (byte - 0x7fu);
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

void kw_bpe_put_merge(kw_tokenizer *t, int32_t left, int32_t right, kw_merge m)
{
    m.pair = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    size_t i = slot_of(t, m.pair);
    while (t->merges[i].pair != KW_NO_PAIR && t->merges[i].pair != m.pair)
        i = (i + 1) & (t->n_merge_slots - 1);
    if (t->merges[i].pair != m.pair) t->merges[i] = m;
}

static kw_status real_bytes(kw_tokenizer *t, kw_str stored, kw_str *bytes)
{
    *bytes = stored;
    return t->byte_level ? kw_bpe_unmap(t, stored, bytes) : KW_OK;
}

/* The token of these bytes. Vocabularies list what merges make in the order of the merges: the next one is tried first, and found
 * without a walk through memory. */
static bool find_joined(kw_tokenizer *t, kw_str joined, int64_t *id)
{
    int32_t next = t->next_merged;
    bool is_next = next < t->n && t->tokens[next].type == KW_TOKEN_NORMAL &&
                   kw_str_eq(t->tokens[next].bytes, joined);
    if (is_next) *id = next;
    else if (!kw_map_get(&t->by_bytes, joined, id)) return false;
    t->next_merged = (int32_t)*id + 1;
    return true;
}

kw_status kw_bpe_add_merge(kw_tokenizer *t, kw_str left, kw_str right, uint32_t rank)
{
    kw_str l, r;
    int64_t a, b, ab;
    kw_status st = real_bytes(t, left, &l);
    if (!st) st = real_bytes(t, right, &r);
    if (st) return st;
    uint64_t l_hash = kw_map_ahead(&t->by_bytes, l), r_hash = kw_map_ahead(&t->by_bytes, r);
    char joined[512];
    if (l.n + r.n > sizeof joined)
        return kw_fail(KW_EFORMAT, "merge %u: pieces of %zu and %zu bytes", rank, l.n, r.n);
    memcpy(joined, l.p, l.n);
    memcpy(joined + l.n, r.p, r.n);
    if (!kw_map_get_hashed(&t->by_bytes, l, l_hash, &a) ||
        !kw_map_get_hashed(&t->by_bytes, r, r_hash, &b) ||
        !find_joined(t, (kw_str){ joined, l.n + r.n }, &ab))
        return kw_fail(KW_EFORMAT, "merge %u: \"%.*s\" + \"%.*s\" is not made of tokens", rank,
                       (int)left.n, left.p, (int)right.n, right.p);
    kw_bpe_put_merge(t, (int32_t)a, (int32_t)b, (kw_merge){ .rank = rank, .id = (int32_t)ab });
    return KW_OK;
}

/* ---- encoding ---- */

typedef struct kw_node {
    int32_t id;          /* -1: merged away, or a byte that is no token */
    uint32_t prev, next; /* NONE at the ends */
} node;
#define NONE UINT32_MAX

static kw_status offer(kw_encoder *e, uint32_t left, uint32_t right)
{
    if (left == NONE || right == NONE) return KW_OK;
    const kw_merge *m = find_merge(e->t, e->nodes[left].id, e->nodes[right].id);
    return m ? kw_heap_push(&e->heap, (kw_candidate){ .key = (uint64_t)m->rank,
                                                      .left = left,
                                                      .right = right,
                                                      .len = (uint32_t)m->id })
             : KW_OK;
}

static kw_status merge_all(kw_encoder *e)
{
    kw_candidate c;
    while (kw_heap_pop(&e->heap, &c)) {
        node *l = &e->nodes[c.left], *r = &e->nodes[c.right];
        if (l->id < 0 || l->next != c.right || r->id < 0) continue;
        const kw_merge *m =
            find_merge(e->t, l->id, r->id); /* the pair may have become another one */
        if (!m || m->rank != c.key) continue;
        l->id = m->id;
        l->next = r->next;
        r->id = -1;
        if (l->next != NONE) e->nodes[l->next].prev = c.left;
        kw_status st = offer(e, l->prev, c.left);
        if (!st) st = offer(e, c.left, l->next);
        if (st) return st;
    }
    return KW_OK;
}

/* What a piece consists of before the first merge. */
typedef struct symbols {
    kw_encoder *e;
    uint32_t n;
    bool after_unknown;
} symbols;

static kw_status put(symbols *s, int32_t id)
{
    if (s->n == s->e->cap) {
        size_t cap = s->e->cap ? 2 * s->e->cap : 256;
        node *nodes = kw_realloc(s->e->nodes, cap * sizeof *nodes, KW_PAY_TEXT);
        if (!nodes) return KW_ENOMEM;
        s->e->nodes = nodes;
        s->e->cap = cap;
    }
    s->e->nodes[s->n++].id = id;
    s->after_unknown = false;
    return KW_OK;
}

/* A byte or character that no token stands for: the unknown token, once for a run of them if so wanted, or nothing. */
static kw_status put_unknown(symbols *s)
{
    const kw_tokenizer *t = s->e->t;
    kw_status st = KW_OK;
    if (t->special.unk >= 0 && !(s->after_unknown && t->fuse_unk)) st = put(s, t->special.unk);
    s->after_unknown = true;
    return st;
}

static bool has_bytes(const kw_tokenizer *t, kw_str c)
{
    if (!t->byte_fallback) return false;
    for (size_t i = 0; i < c.n; i++)
        if (t->byte_id[(unsigned char)c.p[i]] < 0) return false;
    return true;
}

/* One byte or character; the last of a piece may have another name. */
static kw_status put_symbol(symbols *s, kw_str c, bool is_last)
{
    const kw_tokenizer *t = s->e->t;
    int64_t id;
    char joined[64];
    size_t n = is_last && c.n + t->suffix.n <= sizeof joined ? t->suffix.n : 0;
    if (c.n == 1 && t->byte_level && !n) {
        int32_t byte = t->byte_id[(unsigned char)c.p[0]];
        return byte < 0 ? put_unknown(s) : put(s, byte);
    }
    kw_str name = c;
    if (n) {
        memcpy(joined, c.p, c.n);
        memcpy(joined + c.n, t->suffix.p, n);
        name = (kw_str){ joined, c.n + n };
    }
    if (kw_map_get(&t->by_bytes, name, &id)) return put(s, (int32_t)id);
    if (!has_bytes(t, c)) return put_unknown(s);
    kw_status st = KW_OK;
    for (size_t i = 0; i < c.n && !st; i++) st = put(s, t->byte_id[(unsigned char)c.p[i]]);
    return st;
}

static kw_status put_symbols(symbols *s, kw_str piece)
{
    kw_status st = KW_OK;
    for (size_t at = 0, len; at < piece.n && !st; at += len) {
        uint32_t cp;
        len = s->e->t->byte_level ? 1 : kw_utf8_decode(piece.p + at, piece.n - at, &cp, NULL);
        st = put_symbol(s, (kw_str){ piece.p + at, len }, at + len == piece.n);
    }
    return st;
}

static kw_status merge_long(kw_encoder *e, uint32_t n, kw_ids *out)
{
    kw_status st = KW_OK;
    for (uint32_t i = 0; i < n; i++) {
        e->nodes[i].prev = i ? i - 1 : NONE;
        e->nodes[i].next = i + 1 < n ? i + 1 : NONE;
    }
    for (uint32_t i = 0; i + 1 < n && !st; i++) st = offer(e, i, i + 1);
    if (!st) st = merge_all(e);
    for (uint32_t i = 0; i != NONE && n && !st; i = e->nodes[i].next)
        st = kw_ids_push(out, e->nodes[i].id);
    return st;
}

enum { SHORT = 32 };

static const kw_merge *merge_of(const kw_encoder *e, const int32_t *ids, uint32_t i, uint32_t n)
{
    return i + 1 < n ? find_merge(e->t, ids[i], ids[i + 1]) : NULL;
}

static kw_status merge_short(kw_encoder *e, uint32_t n, kw_ids *out)
{
    int32_t ids[SHORT];
    const kw_merge *with_next[SHORT];
    for (uint32_t i = 0; i < n; i++) ids[i] = e->nodes[i].id;
    for (uint32_t i = 0; i < n; i++) with_next[i] = merge_of(e, ids, i, n);
    for (;;) {
        uint32_t best = n;
        for (uint32_t i = 0; i < n; i++)
            if (with_next[i] && (best == n || with_next[i]->rank < with_next[best]->rank)) best = i;
        if (best == n) break;
        ids[best] = with_next[best]->id;
        n--;
        memmove(ids + best + 1, ids + best + 2, (n - best - 1) * sizeof *ids);
        memmove(with_next + best + 1, with_next + best + 2, (n - best - 1) * sizeof *with_next);
        with_next[best] = merge_of(e, ids, best, n);
        if (best) with_next[best - 1] = merge_of(e, ids, best - 1, n);
    }
    kw_status st = KW_OK;
    for (uint32_t i = 0; i < n && !st; i++) st = kw_ids_push(out, ids[i]);
    return st;
}

kw_status kw_bpe_encode(kw_encoder *e, kw_str piece, kw_ids *out)
{
    int64_t whole;
    if (piece.n >= NONE) return kw_fail(KW_ELIMIT, "a text of %zu bytes", piece.n);
    if (e->t->ignore_merges && kw_map_get(&e->t->by_bytes, piece, &whole))
        return kw_ids_push(out, (int32_t)whole);
    symbols s = { .e = e };
    kw_status st = put_symbols(&s, piece);
    if (st) return st;
    return s.n <= SHORT ? merge_short(e, s.n, out) : merge_long(e, s.n, out);
}
