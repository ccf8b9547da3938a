/* heap.c - the candidates of a merge, best first; and lists of ids.
 *
 * The lowest rank comes first, and of equal ranks the leftmost place. Text that repeats itself has many places and few ranks, and
 * the places of a rank are mostly found from left to right: so they stand in rows, and only rows wait in the heap.
 *
 *   heap:  [rank 7, left 0]  [rank 9, left 4]         rows:  7: 0 -> 2 -> 6       9: 4 -> 8
 *
 * A megabyte of one letter has a few rows at a time and takes linear time; a text without repeats has rows of one, and a heap's
 * logarithm. Rows and places are numbered from 1 and used again. */
#include "text/internal.h"

static bool before(const kw_candidate *a, const kw_candidate *b)
{
    return a->rank != b->rank ? a->rank < b->rank : a->left < b->left;
}

/* items, or a larger copy of them, with room for one more; NULL: there is no memory, and they stay. */
static void *with_room(void *items, size_t *cap, size_t n, size_t bytes)
{
    if (n < *cap) return items;
    size_t more = *cap ? *cap * 2 : 32;
    void *bigger = more > SIZE_MAX / bytes ? NULL : kw_realloc(items, more * bytes, KW_PAY_TEXT);
    if (bigger) *cap = more;
    return bigger;
}

/* Number of a place or a row; 0: there is no memory. */
static uint32_t new_place(kw_heap *h, uint32_t left)
{
    uint32_t place = h->free_place;
    if (place) h->free_place = h->places[place - 1].next;
    else {
        kw_place *places = with_room(h->places, &h->cap_places, h->n_places, sizeof *places);
        if (!places) return 0;
        h->places = places;
        place = (uint32_t)++h->n_places;
    }
    h->places[place - 1] = (kw_place){ .left = left };
    return place;
}

static uint32_t new_row(kw_heap *h)
{
    uint32_t row = h->free_row;
    if (row) {
        h->free_row = h->rows[row - 1].last;
        return row;
    }
    kw_row *rows = with_room(h->rows, &h->cap_rows, h->n_rows, sizeof *rows);
    if (!rows) return 0;
    h->rows = rows;
    return (uint32_t)++h->n_rows;
}

static kw_status push_row(kw_heap *h, kw_candidate c)
{
    kw_candidate *items = with_room(h->items, &h->cap, h->n, sizeof *items);
    if (!items) return KW_ENOMEM;
    h->items = items;
    size_t i = h->n++;
    for (; i && before(&c, &items[(i - 1) / 2]); i = (i - 1) / 2) items[i] = items[(i - 1) / 2];
    items[i] = c;
    return KW_OK;
}

kw_status kw_heap_push(kw_heap *h, uint32_t rank, uint32_t left)
{
    uint32_t *open = &h->open[rank * 0x9e3779b1u >> 24], place = new_place(h, left);
    if (!place) return KW_ENOMEM;
    kw_row *r = *open ? &h->rows[*open - 1] : NULL;
    if (r && r->first && r->rank == rank && h->places[r->last - 1].left <= left) {
        h->places[r->last - 1].next = place;
        r->last = place;
        return KW_OK;
    }
    *open = new_row(h);
    if (!*open) return KW_ENOMEM;
    h->rows[*open - 1] = (kw_row){ rank, place, place };
    return push_row(h, (kw_candidate){ rank, left, *open });
}

/* The candidate at the top is another one now: moves it down to where it belongs. */
static void sink(kw_heap *h, kw_candidate c)
{
    size_t i = 0;
    for (size_t child; (child = 2 * i + 1) < h->n; i = child) {
        if (child + 1 < h->n && before(&h->items[child + 1], &h->items[child])) child++;
        if (!before(&h->items[child], &c)) break;
        h->items[i] = h->items[child];
    }
    h->items[i] = c;
}

bool kw_heap_pop(kw_heap *h, kw_candidate *c)
{
    if (h->n == 0) return false;
    *c = h->items[0];
    kw_row *r = &h->rows[c->row - 1];
    uint32_t place = r->first;
    r->first = h->places[place - 1].next;
    h->places[place - 1].next = h->free_place;
    h->free_place = place;
    if (r->first) {
        sink(h, (kw_candidate){ c->rank, h->places[r->first - 1].left, c->row });
        return true;
    }
    r->last = h->free_row;
    h->free_row = c->row;
    h->n--;
    if (h->n) sink(h, h->items[h->n]);
    return true;
}

void kw_heap_free(kw_heap *h)
{
    kw_free(h->items);
    kw_free(h->rows);
    kw_free(h->places);
}

kw_status kw_ids_push(kw_ids *l, int32_t id)
{
    int32_t *ids = with_room(l->ids, &l->cap, l->n, sizeof *ids);
    if (!ids) return KW_ENOMEM;
    l->ids = ids;
    ids[l->n++] = id;
    return KW_OK;
}

void kw_ids_free(kw_ids *l)
{
    kw_free(l->ids);
    *l = (kw_ids){ 0 };
}
