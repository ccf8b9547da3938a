/* bpe.c - byte-pair encoding with ranked merges, over bytes (GPT-2) or characters (SentencePiece vocabularies in
 * tokenizer.json): what there is to merge, and the ranks. merge.c merges.
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

kw_pair kw_bpe_pair(const kw_tokenizer *t, int32_t left, int32_t right, kw_str both)
{
    const kw_merge *m = find_merge(t, left, right);
    (void)both;
    return m ? (kw_pair){ .rank = m->rank, .id = m->id } : (kw_pair){ .rank = KW_NO_RANK };
}

/* What a piece consists of before the first merge. */
typedef struct symbols {
    kw_encoder *e;
    bool after_unknown;
} symbols;

static kw_status put(symbols *s, int32_t id)
{
    s->after_unknown = false;
    return kw_merge_put(s->e, id, 0);
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

/* One byte or character; the last of a piece may have another name. */
static kw_status put_symbol(symbols *s, kw_str c, bool is_last)
{
    const kw_tokenizer *t = s->e->t;
    int32_t id;
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
    id = kw_char_id(t, name);
    if (id >= 0) return put(s, id);
    if (!kw_has_bytes(t, c)) return put_unknown(s);
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

kw_status kw_bpe_encode(kw_encoder *e, kw_str piece, kw_ids *out)
{
    int64_t whole;
    if (piece.n >= UINT32_MAX) return kw_fail(KW_ELIMIT, "a text of %zu bytes", piece.n);
    if (e->t->ignore_merges && kw_map_get(&e->t->by_bytes, piece, &whole))
        return kw_ids_push(out, (int32_t)whole);
    symbols s = { .e = e };
    e->n_nodes = 0;
    kw_status st = put_symbols(&s, piece);
    return st ? st : kw_merge_all(e, piece, out);
}
