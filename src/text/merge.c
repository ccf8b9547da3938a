/* merge.c - neighbouring tokens become one, the best pair first and the leftmost of equal ones: what byte-pair encoding by ranks
 * (bpe.c) and by scores (spm.c) have in common.
 *
 * A piece of text starts as one token per byte or character; the neighbouring pair of lowest rank is merged until no pair has a
 * rank. In a long piece pairs wait in a heap (of rows: a megabyte of one letter takes linear time) and tokens are a linked list; in
 * a short one the best pair is simply looked for. What a pair makes is asked again and again, and the tables that know are larger
 * than the caches: a small table in front remembers the last answers. */
#include "text/internal.h"

typedef struct kw_node {
    int32_t id;          /* MERGED, or -1: characters that are no token */
    uint32_t at;         /* where its text begins */
    uint32_t prev, next; /* NONE at the ends */
} node;
#define NONE UINT32_MAX
enum { MERGED = -2 };

static kw_pair pair_of(kw_encoder *e, int32_t left, int32_t right, kw_str both)
{
    kw_pair (*find)(const kw_tokenizer *, int32_t, int32_t, kw_str) =
        e->t->model == KW_VOCAB_SPM ? kw_spm_pair : kw_bpe_pair;
    if (left < 0 || right < 0 || !e->pairs) return find(e->t, left, right, both);
    uint64_t ids = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    uint64_t h = ids * 0x9e3779b97f4a7c15u;
    kw_pair *p = &e->pairs[(h ^ h >> 32) & (e->n_pairs - 1)];
    if (p->not_ids == ~ids) return *p;
    *p = find(e->t, left, right, both);
    p->not_ids = ~ids;
    return *p;
}

kw_status kw_merge_put(kw_encoder *e, int32_t id, size_t at)
{
    if (e->n_nodes == e->cap) {
        size_t cap = e->cap ? 2 * e->cap : 256;
        node *nodes = kw_realloc(e->nodes, cap * sizeof *nodes, KW_PAY_TEXT);
        if (!nodes) return KW_ENOMEM;
        e->nodes = nodes;
        e->cap = cap;
    }
    e->nodes[e->n_nodes++] = (node){ .id = id, .at = (uint32_t)at };
    return KW_OK;
}

bool kw_has_bytes(const kw_tokenizer *t, kw_str text)
{
    bool has = t->byte_fallback || t->model == KW_VOCAB_SPM;
    for (size_t i = 0; i < text.n && has; i++) has = t->byte_id[(unsigned char)text.p[i]] >= 0;
    return has;
}

kw_status kw_put_token(const kw_tokenizer *t, int32_t id, kw_str text, kw_ids *out)
{
    if (id >= 0) return kw_ids_push(out, id);
    if (!kw_has_bytes(t, text))
        return t->special.unk < 0 ? KW_OK : kw_ids_push(out, t->special.unk);
    kw_status st = KW_OK;
    for (size_t i = 0; i < text.n && !st; i++)
        st = kw_ids_push(out, t->byte_id[(unsigned char)text.p[i]]);
    return st;
}

/* ---- many ---- */

typedef struct work {
    kw_encoder *e;
    kw_str text;
} work;

static kw_pair pair_at(const work *w, uint32_t left, uint32_t right)
{
    const node *l = &w->e->nodes[left], *r = &w->e->nodes[right];
    size_t end = r->next == NONE ? w->text.n : w->e->nodes[r->next].at;
    return pair_of(w->e, l->id, r->id, (kw_str){ w->text.p + l->at, end - l->at });
}

static kw_status offer(const work *w, uint32_t left, uint32_t right)
{
    if (left == NONE || right == NONE) return KW_OK;
    uint32_t rank = pair_at(w, left, right).rank;
    return rank == KW_NO_RANK ? KW_OK : kw_heap_push(&w->e->heap, rank, left);
}

static kw_status merge_heap(const work *w)
{
    kw_candidate c;
    while (kw_heap_pop(&w->e->heap, &c)) {
        node *l = &w->e->nodes[c.left];
        if (l->id == MERGED || l->next == NONE) continue;
        kw_pair p = pair_at(w, c.left, l->next); /* the pair may have become another one */
        if (p.rank != c.rank) continue;
        node *r = &w->e->nodes[l->next];
        l->id = p.id;
        l->next = r->next;
        r->id = MERGED;
        if (l->next != NONE) w->e->nodes[l->next].prev = c.left;
        kw_status st = offer(w, l->prev, c.left);
        if (!st) st = offer(w, c.left, l->next);
        if (st) return st;
    }
    return KW_OK;
}

static kw_status merge_long(const work *w, kw_ids *out)
{
    node *nodes = w->e->nodes;
    uint32_t n = (uint32_t)w->e->n_nodes;
    kw_status st = KW_OK;
    for (uint32_t i = 0; i < n; i++) {
        nodes[i].prev = i ? i - 1 : NONE;
        nodes[i].next = i + 1 < n ? i + 1 : NONE;
    }
    for (uint32_t i = 0; i + 1 < n && !st; i++) st = offer(w, i, i + 1);
    if (!st) st = merge_heap(w);
    for (uint32_t i = 0; i != NONE && !st; i = nodes[i].next) {
        size_t end = nodes[i].next == NONE ? w->text.n : nodes[nodes[i].next].at;
        st = kw_put_token(w->e->t, nodes[i].id,
                          (kw_str){ w->text.p + nodes[i].at, end - nodes[i].at }, out);
    }
    return st;
}

/* ---- few ---- */

enum { SHORT = 32 };

typedef struct part {
    int32_t id;
    uint32_t at;
    uint32_t rank; /* of the pair with the next one */
    int32_t joined;
} part;

static void rate(const work *w, part *p)
{
    kw_str both = { w->text.p + p->at, p[2].at - p->at };
    kw_pair pair = pair_of(w->e, p->id, p[1].id, both);
    p->rank = pair.rank;
    p->joined = pair.id;
}

static kw_status merge_short(const work *w, kw_ids *out)
{
    part parts[SHORT + 1]; /* the last one is the end */
    uint32_t n = (uint32_t)w->e->n_nodes;
    kw_status st = KW_OK;
    for (uint32_t i = 0; i < n; i++)
        parts[i] = (part){ w->e->nodes[i].id, w->e->nodes[i].at, KW_NO_RANK, 0 };
    parts[n] = (part){ .at = (uint32_t)w->text.n, .rank = KW_NO_RANK };
    for (uint32_t i = 0; i + 1 < n; i++) rate(w, &parts[i]);
    for (;;) {
        uint32_t best = 0;
        for (uint32_t i = 1; i < n; i++)
            if (parts[i].rank < parts[best].rank) best = i;
        if (parts[best].rank == KW_NO_RANK) break;
        parts[best].id = parts[best].joined;
        parts[best].rank = KW_NO_RANK;
        n--;
        for (uint32_t i = best + 1; i <= n; i++) parts[i] = parts[i + 1];
        if (best + 1 < n) rate(w, &parts[best]);
        if (best) rate(w, &parts[best - 1]);
    }
    for (uint32_t i = 0; i < n && !st; i++)
        st = kw_put_token(w->e->t, parts[i].id,
                          (kw_str){ w->text.p + parts[i].at, parts[i + 1].at - parts[i].at }, out);
    return st;
}

kw_status kw_merge_all(kw_encoder *e, kw_str text, kw_ids *out)
{
    work w = { e, text };
    if (e->n_nodes == 0) return KW_OK;
    return e->n_nodes <= SHORT ? merge_short(&w, out) : merge_long(&w, out);
}
