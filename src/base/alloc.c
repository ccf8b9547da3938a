/* alloc.c - the only malloc in the library: it counts, names who pays, and fails on demand.
 *
 * Every block carries a 16-byte header just below the address the caller gets, so that freeing
 * needs no table and the account is exact:
 *
 *   system's block
 *   [ padding to the alignment | size, offset, payer | caller's bytes ... ]
 *   <-------------------- offset -------------------->
 *
 * The counters are relaxed atomics: an account of what happened, never a state that code waits on.
 * Large blocks get a hint for huge pages. Left out: pools and caches (the system's allocator has
 * them; what is small and many belongs in an arena). */
#include "base/alloc.h"
#include "base/port.h"
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { HEADER_BYTES = 16, ALIGN_SMALL = 16, ALIGN_LARGE = 64, LARGE = 1024, HUGE_BYTES = 4 << 20 };

typedef struct header {
    size_t size;     /* as the caller asked */
    uint32_t offset; /* from the start of the system's block to the caller's bytes */
    uint32_t payer;
} header;

_Static_assert(sizeof(header) <= HEADER_BYTES, "the header fits below the block");

static const char *const payer_names[KW_PAY_COUNT] = {
    [KW_PAY_MISC] = "small things", [KW_PAY_FILE] = "file contents",
    [KW_PAY_MODEL] = "the model",   [KW_PAY_TEXT] = "the tokenizer",
    [KW_PAY_PLAN] = "plans",        [KW_PAY_SCRATCH] = "scratch memory",
    [KW_PAY_KV] = "the KV cache",
};

static _Atomic size_t live[KW_PAY_COUNT];
static _Atomic size_t live_total, peak;
static _Atomic uint64_t n_allocations, fail_countdown;

const char *kw_payer_name(kw_payer payer)
{
    return (unsigned)payer < KW_PAY_COUNT ? payer_names[payer] : "all";
}

bool kw_mul_size(size_t a, size_t b, size_t *out)
{
    if (b && a > SIZE_MAX / b) return false;
    *out = a * b;
    return true;
}

bool kw_add_size(size_t a, size_t b, size_t *out)
{
    if (a > SIZE_MAX - b) return false;
    *out = a + b;
    return true;
}

size_t kw_alloc_live(kw_payer payer)
{
    _Atomic size_t *n = (unsigned)payer < KW_PAY_COUNT ? &live[payer] : &live_total;
    return atomic_load_explicit(n, memory_order_relaxed);
}

size_t kw_alloc_peak(void) { return atomic_load_explicit(&peak, memory_order_relaxed); }

uint64_t kw_alloc_count(void) { return atomic_load_explicit(&n_allocations, memory_order_relaxed); }

void kw_alloc_fail_nth(uint64_t n)
{
    atomic_store_explicit(&fail_countdown, n, memory_order_relaxed);
}

/* Counts this allocation; true when it is the one that a test wants to fail. */
static bool must_fail(void)
{
    atomic_fetch_add_explicit(&n_allocations, 1, memory_order_relaxed);
    uint64_t left = atomic_load_explicit(&fail_countdown, memory_order_relaxed);
    while (left &&
           !atomic_compare_exchange_weak_explicit(&fail_countdown, &left, left - 1,
                                                  memory_order_relaxed, memory_order_relaxed))
        ;
    return left == 1;
}

static void charge(kw_payer payer, size_t size)
{
    atomic_fetch_add_explicit(&live[payer], size, memory_order_relaxed);
    size_t now = size + atomic_fetch_add_explicit(&live_total, size, memory_order_relaxed);
    size_t top = atomic_load_explicit(&peak, memory_order_relaxed);
    while (now > top &&
           !atomic_compare_exchange_weak_explicit(&peak, &top, now, memory_order_relaxed,
                                                  memory_order_relaxed))
        ;
}

static void discharge(const header *h)
{
    atomic_fetch_sub_explicit(&live[h->payer], h->size, memory_order_relaxed);
    atomic_fetch_sub_explicit(&live_total, h->size, memory_order_relaxed);
}

static header *header_of(void *block) { return (header *)(void *)((char *)block - HEADER_BYTES); }

static size_t alignment(size_t size) { return size >= LARGE ? ALIGN_LARGE : ALIGN_SMALL; }

/* Bytes to ask of the system: the header, the block, and room to align it. 0: too many. */
static size_t gross_size(size_t size)
{
    size_t align = alignment(size), given = _Alignof(max_align_t), gross;
    size_t slack = align > given ? align - given : 0;
    return kw_add_size(size, HEADER_BYTES + slack, &gross) && gross <= PTRDIFF_MAX ? gross : 0;
}

static uint32_t offset_in(const char *base, size_t size)
{
    uintptr_t first = (uintptr_t)base + HEADER_BYTES, align = alignment(size);
    return (uint32_t)(((first + align - 1) & ~(align - 1)) - (uintptr_t)base);
}

static void *dress(char *base, size_t size, kw_payer payer)
{
    uint32_t offset = offset_in(base, size);
    char *block = base + offset;
    *header_of(block) = (header){ .size = size, .offset = offset, .payer = (uint32_t)payer };
    charge(payer, size);
    if (size >= HUGE_BYTES) kw_port_want_huge_pages(block, size);
    return block;
}

static void *refuse(size_t size, kw_payer payer)
{
    kw_fail(KW_ENOMEM, "out of memory: %zu bytes for %s", size, kw_payer_name(payer));
    return NULL;
}

void *kw_malloc(size_t size, kw_payer payer)
{
    size_t gross = gross_size(size);
    char *base = gross && !must_fail() ? malloc(gross) : NULL;
    return base ? dress(base, size, payer) : refuse(size, payer);
}

void *kw_calloc(size_t count, size_t size, kw_payer payer)
{
    size_t net;
    if (!kw_mul_size(count, size, &net)) return refuse(SIZE_MAX, payer);
    size_t gross = gross_size(net);
    char *base = gross && !must_fail() ? calloc(1, gross) : NULL;
    return base ? dress(base, net, payer) : refuse(net, payer);
}

void *kw_realloc(void *block, size_t size, kw_payer payer)
{
    if (!block) return kw_malloc(size, payer);
    header old = *header_of(block);
    size_t kept = size < old.size ? size : old.size, gross = gross_size(size);
    if (gross && gross < old.offset + kept) gross = old.offset + kept; /* large becomes small */
    char *base = gross && !must_fail() ? realloc((char *)block - old.offset, gross) : NULL;
    if (!base) return refuse(size, payer);
    uint32_t offset = offset_in(base, size);
    if (offset != old.offset) memmove(base + offset, base + old.offset, kept);
    discharge(&old);
    return dress(base, size, payer);
}

void kw_free(void *block)
{
    if (!block) return;
    header *h = header_of(block);
    discharge(h);
    free((char *)block - h->offset);
}
