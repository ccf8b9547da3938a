/* wordpiece.c - BERT's word pieces: the longest piece that a word begins with, then the longest "##" piece, and so on.
 *
 * A word that cannot be cut so, or is longer than 100 characters, is unknown as a whole. */
#include "text/internal.h"

static size_t n_chars(kw_str s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) n += ((unsigned char)s.p[i] & 0xC0) != 0x80;
    return n;
}

/* The longest piece below `node` that text begins with, and its length; -1: none. */
static int32_t longest(const kw_trie *pieces, uint32_t node, kw_str text, size_t *len)
{
    int32_t found = -1;
    for (size_t i = 0; i < text.n; i++) {
        node = kw_trie_step(pieces, node, text.p[i]);
        if (!node) break;
        bool is_whole = i + 1 == text.n || ((unsigned char)text.p[i + 1] & 0xC0) != 0x80;
        if (pieces->ids[node] < 0 || !is_whole) continue;
        found = pieces->ids[node];
        *len = i + 1;
    }
    return found;
}

kw_status kw_wordpiece_encode(kw_encoder *e, kw_str word, kw_ids *out)
{
    const kw_tokenizer *t = e->t;
    size_t n_before = out->n, at = 0, len = 0;
    kw_status st = KW_OK;
    bool is_known = n_chars(word) <= (size_t)t->max_word;
    while (is_known && at < word.n && !st) {
        kw_str rest = { word.p + at, word.n - at };
        bool dead = at > 0 && t->continuing == 0;
        int32_t id = dead ? -1 : longest(&t->pieces, at ? t->continuing : 0, rest, &len);
        is_known = id >= 0;
        if (is_known) st = kw_ids_push(out, id);
        at += len;
    }
    if (is_known || st) return st;
    out->n = n_before;
    return t->special.unk < 0 ? KW_OK : kw_ids_push(out, t->special.unk);
}

kw_status kw_wordpiece_prepare(kw_tokenizer *t)
{
    kw_status st = KW_OK;
    for (int32_t i = 0; i < t->n && !st; i++)
        if (t->tokens[i].text.n && !t->tokens[i].is_added)
            st = kw_trie_add(&t->pieces, t->tokens[i].text, i);
    uint32_t node = t->prefix.n && !st ? 0 : UINT32_MAX;
    for (size_t i = 0; i < t->prefix.n && !st; i++) {
        node = kw_trie_step(&t->pieces, node, t->prefix.p[i]);
        if (!node) break;
    }
    t->continuing = node == UINT32_MAX ? 0 : node;
    return st;
}
