/* kv.c - the cache as pages: a sequence is a table of them, so forks share what they have in common.
 *
 * A page holds 64 positions of one sequence for all layers and is reference counted. Before a session writes into a page
 * that another one also holds, it takes a page of its own and copies the positions that it keeps, no more; a session that
 * goes back in its text gives the pages behind it away. Pages are allocated when the text reaches them, so a long context
 * costs nothing until it is used.
 *
 * Where no layer looks further back than a window, pages that all rows to come have behind them are given away too; their
 * places in the table stay, empty, so that positions are where they were. A few pages before the window are kept: who goes back
 * by less than that finds all its rows, who goes further begins anew. Where one layer sees everything nothing goes, for a page
 * is of all layers. */
#include "run/run.h"
#include <stdatomic.h>
#include <string.h>

enum { PAGES_BEFORE_WINDOW = 4 };

struct kw_page {
    kw_memory *memory;
    _Atomic int refs;
};

static void release(kw_engine *e, struct kw_page *page)
{
    if (!page || atomic_fetch_sub_explicit(&page->refs, 1, memory_order_acq_rel) != 1) return;
    e->backend->free(e->device, page->memory);
    kw_free(page);
}

static kw_status new_page(const kw_pages *p, struct kw_page **out)
{
    struct kw_page *page = kw_calloc(1, sizeof *page, KW_PAY_KV);
    if (!page) return KW_ENOMEM;
    kw_status st = p->engine->backend->alloc(p->engine->device, kw_kv_page_bytes(&p->layout),
                                             KW_PAY_KV, &page->memory);
    if (st) {
        kw_free(page);
        return st;
    }
    atomic_store(&page->refs, 1);
    *out = page;
    return KW_OK;
}

/* The first n_rows positions of a page, in every layer and head. */
static kw_status copy_rows(const kw_pages *p, kw_memory *dst, const kw_memory *src, int n_rows)
{
    const kw_kv_layout *l = &p->layout;
    kw_kv_span span[2];
    int n_spans = kw_kv_spans(l, n_rows, span), n = l->n_layers * 2 * l->n_kv_heads;
    kw_status st = KW_OK;
    for (int i = 0; i < n * n_spans && !st; i++) {
        size_t at = (size_t)(i / n_spans) * kw_kv_head_bytes(l) + span[i % n_spans].at;
        st = p->engine->backend->copy(p->engine->device, dst, at, src, at, span[i % n_spans].bytes);
    }
    return st;
}

static bool is_shared(const struct kw_page *page)
{
    return atomic_load_explicit(&page->refs, memory_order_acquire) != 1;
}

/* Makes page i writable, with its first n_rows positions kept. */
static kw_status own(kw_pages *p, size_t i, size_t n_rows)
{
    if (!is_shared(p->page[i])) return KW_OK;
    struct kw_page *copy = NULL;
    kw_status st = new_page(p, &copy);
    if (st) return st;
    st = copy_rows(p, copy->memory, p->memory[i], (int)n_rows);
    if (st) {
        release(p->engine, copy);
        return st;
    }
    release(p->engine, p->page[i]);
    p->page[i] = copy;
    p->memory[i] = copy->memory;
    return KW_OK;
}

static kw_status room(kw_pages *p, size_t n)
{
    if (n <= p->cap) return KW_OK;
    size_t cap = p->cap ? p->cap * 2 : 8;
    cap = cap < n ? n : cap;
    struct kw_page **page = kw_realloc(p->page, cap * sizeof *page, KW_PAY_KV);
    if (!page) return KW_ENOMEM;
    p->page = page;
    kw_memory **memory = kw_realloc(p->memory, cap * sizeof(kw_memory *), KW_PAY_KV);
    if (!memory) return KW_ENOMEM;
    p->memory = memory;
    p->cap = cap;
    return KW_OK;
}

/* The first page that a row at this position looks at. */
static size_t first_seen(const kw_pages *p, size_t from)
{
    size_t window = (size_t)p->window;
    return window == 0 || from < window ? 0 : (from + 1 - window) / KW_PAGE_ROWS;
}

bool kw_pages_hold(const kw_pages *p, size_t from) { return first_seen(p, from) >= p->first; }

/* Gives back what rows from `from` on do not see. */
static void roll(kw_pages *p, size_t from)
{
    for (; p->first + PAGES_BEFORE_WINDOW < first_seen(p, from); p->first++) {
        release(p->engine, p->page[p->first]);
        p->page[p->first] = NULL;
        p->memory[p->first] = NULL;
    }
}

/* A fresh page in place i. */
static kw_status put(kw_pages *p, size_t i)
{
    p->page[i] = NULL;
    kw_status st = new_page(p, &p->page[i]);
    if (!st) p->memory[i] = p->page[i]->memory;
    return st;
}

kw_status kw_pages_reach(kw_pages *p, size_t from, size_t length)
{
    size_t want = (length + KW_PAGE_ROWS - 1) / KW_PAGE_ROWS, at = from / KW_PAGE_ROWS;
    kw_status st = room(p, want);
    if (at < p->first) p->first = at; /* a text begins anew */
    for (size_t i = at; i < p->n && i < want && !st; i++)
        st = p->page[i] ? own(p, i, i == at ? from % KW_PAGE_ROWS : 0) : put(p, i);
    while (!st && p->n < want) {
        st = put(p, p->n);
        if (!st) p->n++;
    }
    if (!st) roll(p, from);
    return st;
}

kw_status kw_pages_fork(const kw_pages *p, kw_pages *out)
{
    *out = (kw_pages){
        .engine = p->engine, .layout = p->layout, .window = p->window, .first = p->first
    };
    if (p->n == 0) return KW_OK;
    kw_status st = room(out, p->n);
    if (st) return st;
    for (size_t i = 0; i < p->n; i++) {
        if (p->page[i]) atomic_fetch_add_explicit(&p->page[i]->refs, 1, memory_order_relaxed);
        out->page[i] = p->page[i];
        out->memory[i] = p->memory[i];
    }
    out->n = p->n;
    return KW_OK;
}

void kw_pages_cut(kw_pages *p, size_t length)
{
    size_t keep = (length + KW_PAGE_ROWS - 1) / KW_PAGE_ROWS;
    while (p->n > keep) release(p->engine, p->page[--p->n]);
    if (p->first > p->n) p->first = p->n;
    if (p->n) return;
    kw_free(p->page);
    kw_free(p->memory);
    p->page = NULL;
    p->memory = NULL;
    p->cap = 0;
}

kw_cache_use kw_pages_use(const kw_pages *p)
{
    size_t each = kw_kv_page_bytes(&p->layout);
    kw_cache_use use = { 0 };
    for (size_t i = p->first; i < p->n; i++) {
        use.bytes += each;
        use.shared_bytes += is_shared(p->page[i]) ? each : 0;
    }
    return use;
}
