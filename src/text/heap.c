/* heap.c - the candidates of a merge, best first; and lists of ids. */
#include "text/internal.h"

static bool before(const kw_candidate *a, const kw_candidate *b)
{
    return a->rank != b->rank ? a->rank < b->rank : a->left < b->left;
}

static bool room(void **items, size_t *cap, size_t n, size_t bytes)
{
    if (n < *cap) return true;
    size_t more = *cap ? *cap * 2 : 32;
    void *bigger = more > SIZE_MAX / bytes ? NULL : kw_realloc(*items, more * bytes, KW_PAY_TEXT);
    if (!bigger) return false;
    *items = bigger;
    *cap = more;
    return true;
}

kw_status kw_heap_push(kw_heap *h, kw_candidate c)
{
    void *items = h->items;
    bool ok = room(&items, &h->cap, h->n, sizeof c);
    h->items = items;
    if (!ok) return KW_ENOMEM;
    size_t i = h->n++;
    for (; i && before(&c, &h->items[(i - 1) / 2]); i = (i - 1) / 2)
        h->items[i] = h->items[(i - 1) / 2];
    h->items[i] = c;
    return KW_OK;
}

bool kw_heap_pop(kw_heap *h, kw_candidate *c)
{
    if (h->n == 0) return false;
    *c = h->items[0];
    kw_candidate last = h->items[--h->n];
    size_t i = 0;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= h->n) break;
        if (child + 1 < h->n && before(&h->items[child + 1], &h->items[child])) child++;
        if (!before(&h->items[child], &last)) break;
        h->items[i] = h->items[child];
        i = child;
    }
    if (h->n) h->items[i] = last;
    return true;
}

kw_status kw_ids_push(kw_ids *l, int32_t id)
{
    void *items = l->ids;
    bool ok = room(&items, &l->cap, l->n, sizeof id);
    l->ids = items;
    if (!ok) return KW_ENOMEM;
    l->ids[l->n++] = id;
    return KW_OK;
}

void kw_ids_free(kw_ids *l)
{
    kw_free(l->ids);
    *l = (kw_ids){ 0 };
}
