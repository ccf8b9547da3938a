/* alloc.h - the only malloc in the library: it counts, names who pays, and fails on demand.
 *
 * Blocks are aligned to 64 bytes when they hold 1 KiB or more, else to 16. Counters are
 * process-wide (atomic): they are an account, not a state that code depends on. */
#ifndef KW_BASE_ALLOC_H
#define KW_BASE_ALLOC_H

#include "base/status.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum kw_payer {
    KW_PAY_MISC,
    KW_PAY_FILE,
    KW_PAY_MODEL,
    KW_PAY_TEXT,
    KW_PAY_PLAN,
    KW_PAY_SCRATCH,
    KW_PAY_KV,
    KW_PAY_COUNT
} kw_payer;

/* NULL on failure, the reason recorded (KW_ENOMEM, payer, size). Size 0 gives a valid block. */
void *kw_malloc(size_t size, kw_payer payer);
void *kw_calloc(size_t count, size_t size, kw_payer payer); /* zeroed, overflow-checked */
void *kw_realloc(void *block, size_t size, kw_payer payer); /* on failure the old block stays */
void kw_free(void *block);                                  /* NULL is fine */

/* *out = a * b, or false when that overflows size_t. */
bool kw_mul_size(size_t a, size_t b, size_t *out);
bool kw_add_size(size_t a, size_t b, size_t *out);

size_t kw_alloc_live(kw_payer payer); /* bytes held now; KW_PAY_COUNT: all payers together */
size_t kw_alloc_peak(void);           /* highest total so far */
uint64_t kw_alloc_count(void);        /* allocations so far */
const char *kw_payer_name(kw_payer payer);

/* For tests: the n-th allocation from now (1: the next) fails, and only that one; 0: none does. */
void kw_alloc_fail_nth(uint64_t n);

/* An arena: many small blocks, one lifetime, freed at once. Owned by one thread at a time. */
typedef struct kw_arena {
    struct kw_arena_block *blocks; /* newest first */
    kw_payer payer;
} kw_arena;

#define KW_ARENA(payer_) ((kw_arena){ .payer = (payer_) })
/* count * size bytes, zeroed, 16-byte aligned; NULL on failure. */
void *kw_arena_alloc(kw_arena *a, size_t count, size_t size);
char *kw_arena_strdup(kw_arena *a, const char *text, size_t len); /* adds the final NUL */
void kw_arena_free(kw_arena *a); /* frees every block; the arena can be used again */

#endif
