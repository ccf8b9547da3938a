/* bandwidth.c - how fast this machine reads memory: the yardstick for decoding.
 *
 * Every thread sums its own memory in four streams, which is what one core needs to keep enough reads in flight; the
 * best pass counts, because anything else that runs can only slow it down. */
#include "cpu/cpu.h"
#include <string.h>

enum { STREAMS = 4, WORDS_A_LINE = 8 };
static const size_t bytes_a_thread = (size_t)256 << 20;

typedef struct pass {
    const uint64_t *memory;
    size_t words;        /* of one stream */
    uint64_t sums[1024]; /* kept, so that the reads cannot be left out */
} pass;

static void read_all(void *ctx, int worker)
{
    pass *p = ctx;
    const uint64_t *s = p->memory + (size_t)worker * STREAMS * p->words;
    uint64_t sum[WORDS_A_LINE] = { 0 };
    for (size_t i = 0; i < p->words; i += WORDS_A_LINE)
        for (size_t j = 0; j < WORDS_A_LINE; j++)
            sum[j] +=
                s[i + j] ^ s[i + j + p->words] ^ s[i + j + 2 * p->words] ^ s[i + j + 3 * p->words];
    for (size_t j = 0; j < WORDS_A_LINE; j++) p->sums[worker] += sum[j];
}

kw_status kw_cpu_bandwidth(kw_pool *pool, int runs, double *bytes_per_second)
{
    size_t all, threads = (size_t)kw_pool_size(pool);
    if (!kw_mul_size(bytes_a_thread, threads, &all))
        return kw_fail(KW_ELIMIT, "%zu threads", threads);
    uint64_t *memory = kw_malloc(all, KW_PAY_SCRATCH);
    pass *p = kw_calloc(1, sizeof *p, KW_PAY_SCRATCH);
    kw_status st = memory && p ? KW_OK : KW_ENOMEM;
    *bytes_per_second = 0;
    if (!st) {
        memset(memory, 1, all);
        *p = (pass){ .memory = memory, .words = bytes_a_thread / STREAMS / sizeof *memory };
    }
    for (int i = 0; i < runs && !st; i++) {
        uint64_t start = kw_now_ns();
        kw_pool_run(pool, read_all, p);
        double rate = (double)all * 1e9 / (double)(kw_now_ns() - start + 1);
        *bytes_per_second = rate > *bytes_per_second ? rate : *bytes_per_second;
    }
    kw_free(p);
    kw_free(memory);
    return st;
}
