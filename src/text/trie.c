/* trie.c - byte strings to ids, walked a byte at a time: pieces that begin here, the longest, or all of them.
 *
 * Edges are one hash table from (node, byte) to node, eight bytes an edge, so that a node costs what its children cost, and a
 * step is one look. The root is node 0, whose edges lie in a table of their own: most walks end on them. No edge leads to it,
 * so 0 is also "there is no such edge". */
#include "text/internal.h"

enum { NODE_BITS = 28 };

static uint64_t key_of(uint32_t node, unsigned char byte) { return (uint64_t)node << 8 | byte; }

/* The slot of the edge of this key, or the empty one where it would go. */
static uint64_t *find(const kw_trie *t, uint64_t key)
{
    uint64_t h = key * 0x9e3779b97f4a7c15u;
    size_t i = (size_t)(h ^ h >> 32) & (t->n_slots - 1);
    while (t->edges[i] && t->edges[i] >> NODE_BITS != key) i = (i + 1) & (t->n_slots - 1);
    return &t->edges[i];
}

static uint32_t end_of(uint64_t edge) { return (uint32_t)(edge & ((1u << NODE_BITS) - 1)); }

uint32_t kw_trie_far_step(const kw_trie *t, uint32_t node, unsigned char byte)
{
    return t->n_slots ? end_of(*find(t, key_of(node, byte))) : 0;
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
        if (old.edges[i]) *find(t, old.edges[i] >> NODE_BITS) = old.edges[i];
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
    if (t->n_nodes >> NODE_BITS)
        return kw_fail(KW_ELIMIT, "a vocabulary of more than %u nodes", 1u << NODE_BITS);
    kw_status st = t->n_nodes == t->cap ? grow_ids(t) : KW_OK;
    if (!st) t->ids[t->n_nodes++] = -1;
    return st;
}

static kw_status add_edge(kw_trie *t, uint32_t node, unsigned char byte)
{
    uint32_t fresh = (uint32_t)t->n_nodes;
    kw_status st = node && 3 * t->n_edges >= 2 * t->n_slots ? grow_edges(t) : KW_OK;
    if (!st) st = add_node(t);
    if (st) return st;
    if (!node) t->root[byte] = fresh;
    else *find(t, key_of(node, byte)) = key_of(node, byte) << NODE_BITS | fresh;
    t->n_edges += node != 0;
    return KW_OK;
}

kw_status kw_trie_add(kw_trie *t, kw_str key, int32_t id)
{
    kw_status st = t->n_nodes ? KW_OK : add_node(t);
    uint32_t node = 0, next;
    for (size_t i = 0; i < key.n && !st; i++, node = next) {
        next = kw_trie_step(t, node, key.p[i]);
        if (next) continue;
        next = (uint32_t)t->n_nodes;
        st = add_edge(t, node, (unsigned char)key.p[i]);
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
