/* trie.c - byte strings to ids, walked a byte at a time: pieces that begin here, the longest, or all of them.
 *
 * Edges are one hash table from (node, byte) to node, so that a node costs what its children cost, and a
 * step is one look. The root is node 0, which no edge leads to: 0 is also "there is no such edge". */
#include "text/internal.h"

static size_t slot_of(const kw_trie *t, uint64_t key)
{
    uint64_t h = key * 0x9e3779b97f4a7c15u;
    return (size_t)(h ^ h >> 32) & (t->n_slots - 1);
}

static kw_edge *find(const kw_trie *t, uint64_t key)
{
    size_t i = slot_of(t, key);
    while (t->edges[i].key && t->edges[i].key != key) i = (i + 1) & (t->n_slots - 1);
    return &t->edges[i];
}

uint32_t kw_trie_step(const kw_trie *t, uint32_t node, char byte)
{
    if (t->n_slots == 0) return 0;
    return find(t, ((uint64_t)node << 8 | (unsigned char)byte) + 1)->node;
}

static kw_status grow_edges(kw_trie *t)
{
    kw_trie old = *t;
    t->n_slots = old.n_slots ? 2 * old.n_slots : 64;
    t->edges = kw_calloc(t->n_slots, sizeof *t->edges, KW_PAY_TEXT);
    if (!t->edges) {
        *t = old;
        return KW_ENOMEM;
    }
    for (size_t i = 0; i < old.n_slots; i++)
        if (old.edges[i].key) *find(t, old.edges[i].key) = old.edges[i];
    kw_free(old.edges);
    return KW_OK;
}

static kw_status grow_ids(kw_trie *t)
{
    size_t cap = t->cap ? 2 * t->cap : 64;
    int32_t *ids = kw_realloc(t->ids, cap * sizeof *ids, KW_PAY_TEXT);
    if (!ids) return KW_ENOMEM;
    t->ids = ids;
    t->cap = cap;
    return KW_OK;
}

static kw_status add_node(kw_trie *t)
{
    if (t->n_nodes == UINT32_MAX) return kw_fail(KW_ELIMIT, "a vocabulary of %u nodes", UINT32_MAX);
    kw_status st = t->n_nodes == t->cap ? grow_ids(t) : KW_OK;
    if (!st) t->ids[t->n_nodes++] = -1;
    return st;
}

kw_status kw_trie_add(kw_trie *t, kw_str key, int32_t id)
{
    kw_status st = t->n_nodes ? KW_OK : add_node(t);
    uint32_t node = 0;
    for (size_t i = 0; i < key.n && !st; i++) {
        if (2 * t->n_nodes >= t->n_slots) st = grow_edges(t);
        if (st) return st;
        uint64_t wanted = ((uint64_t)node << 8 | (unsigned char)key.p[i]) + 1;
        kw_edge *e = find(t, wanted);
        if (e->key == 0) {
            uint32_t fresh = (uint32_t)t->n_nodes;
            st = add_node(t);
            if (!st) *e = (kw_edge){ wanted, fresh };
        }
        node = e->node;
    }
    if (!st && t->ids[node] < 0) t->ids[node] = id;
    return st;
}

void kw_trie_free(kw_trie *t)
{
    kw_free(t->edges);
    kw_free(t->ids);
    *t = (kw_trie){ 0 };
}
