/* thread.h - a pool of workers for running plans.
 *
 * One wake per plan, then barriers between ops. Waiting spins for about 100 us (a sleeping thread
 * takes half as long to come back) and sleeps on a futex after that; with more threads than cores
 * it yields instead of spinning. So a crowded machine is slow but right, never stuck.
 *
 * Thread word: a pool is synced: threads that call kw_pool_run take turns. */
#ifndef KW_BASE_THREAD_H
#define KW_BASE_THREAD_H

#include "base/status.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct kw_pool kw_pool;
typedef void (*kw_job)(void *ctx, int worker); /* worker 0 is the calling thread */

/* n_threads counts the caller; 0 takes kw_default_threads(). At most 1024. */
kw_status kw_pool_open(int n_threads, kw_pool **out);
void kw_pool_close(kw_pool *pool); /* NULL is fine; joins the workers */
int kw_pool_size(const kw_pool *pool);
/* Every worker runs the job once; returns after the last, when all they wrote is visible. */
void kw_pool_run(kw_pool *pool, kw_job job, void *ctx);
/* Inside a job: returns when every worker of the pool has called it. Acquire and release. */
void kw_pool_barrier(kw_pool *pool, int worker);

/* Cores this process may really use: by affinity and the control group's quota, at least 1. */
int kw_default_threads(void);

/* Asks the system to let this process use matrix tiles (x86 AMX), which it must before the first; true when it does. */
bool kw_allow_tiles(void);

/* Dynamic chunks: the next unclaimed index of a shared counter, starting at 0. Relaxed order: the
 * barrier publishes the results. */
typedef struct kw_counter {
    _Atomic int64_t next; /* only through the two functions */
} kw_counter;
int64_t kw_counter_take(kw_counter *c, int64_t n); /* returns the first of n claimed indices */
void kw_counter_reset(kw_counter *c);

#endif
