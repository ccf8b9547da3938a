/* arena.c - many small blocks with one lifetime.
 *
 * Blocks are bumped out of chunks that double up to a limit; a request too large for a fresh chunk
 * gets a chunk of its own, placed behind the current one so that the room there is not lost.
 * There is no way to free a single block: that is the point. */
#include "base/alloc.h"
#include <string.h>

enum { ALIGN = 16, FIRST_CHUNK = 2 << 10, LARGEST_CHUNK = 256 << 10 };

struct kw_arena_block {
    struct kw_arena_block *next;
    size_t used, cap; /* of the bytes behind this header */
};

enum { HEADER = (sizeof(struct kw_arena_block) + ALIGN - 1) / ALIGN * ALIGN };

static struct kw_arena_block *new_chunk(kw_arena *a, size_t cap)
{
    size_t total;
    if (!kw_add_size(cap, HEADER, &total)) total = SIZE_MAX; /* refused below, by size */
    struct kw_arena_block *b = kw_calloc(1, total, a->payer);
    if (b) b->cap = cap;
    return b;
}

static void *bump(struct kw_arena_block *b, size_t n)
{
    char *p = (char *)b + HEADER + b->used;
    b->used += n;
    return p;
}

static void *alloc_alone(kw_arena *a, size_t n)
{
    struct kw_arena_block *b = new_chunk(a, n);
    if (!b) return NULL;
    if (a->blocks) {
        b->next = a->blocks->next;
        a->blocks->next = b;
    } else {
        a->blocks = b;
    }
    return bump(b, n);
}

void *kw_arena_alloc(kw_arena *a, size_t count, size_t size)
{
    size_t n;
    if (!kw_mul_size(count, size, &n) || n > SIZE_MAX - ALIGN) n = SIZE_MAX - ALIGN;
    n = n ? (n + ALIGN - 1) / ALIGN * ALIGN : ALIGN;
    struct kw_arena_block *b = a->blocks;
    if (b && n <= b->cap - b->used) return bump(b, n);
    size_t cap = b ? 2 * b->cap : FIRST_CHUNK;
    if (cap > LARGEST_CHUNK) cap = LARGEST_CHUNK;
    if (n > cap / 4) return alloc_alone(a, n);
    b = new_chunk(a, cap);
    if (!b) return NULL;
    b->next = a->blocks;
    a->blocks = b;
    return bump(b, n);
}

char *kw_arena_strdup(kw_arena *a, const char *text, size_t len)
{
    if (len == SIZE_MAX) len--; /* refused by kw_arena_alloc */
    char *copy = kw_arena_alloc(a, len + 1, 1);
    if (copy && len) memcpy(copy, text, len);
    return copy;
}

void kw_arena_free(kw_arena *a)
{
    while (a->blocks) {
        struct kw_arena_block *next = a->blocks->next;
        kw_free(a->blocks);
        a->blocks = next;
    }
}
