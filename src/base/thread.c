/* thread.c - a pool of workers that is woken once for a whole plan.
 *
 * Two words of shared memory do everything. `run` counts the jobs handed out: a worker waits until
 * it moves. `phase` counts the barriers passed: the last worker to arrive moves it.
 *
 *     worker 0   run++ . job ..... barrier ..... barrier(end) . returns
 *     worker 1   wait .. job ..... barrier ..... barrier(end) . wait
 *
 * Waiting spins first and sleeps on the word (a futex) after that. Sleeping and being woken costs
 * about 50 us, so spinning for less than that throws away what it wants to save: with a worker 8 us
 * behind the others, a barrier costs 45 us when it spins for 2 us and 0.4 us when it spins for 100.
 * With more threads than cores the one that is waited for may need the very core that spins: there
 * each turn gives the core away (4 threads on 2 cores: 2.3 us a barrier, 38 us by sleeping at
 * once).
 *
 * Whoever moves a word wakes the sleepers only if there are any: both sides use sequentially
 * consistent accesses, so either the mover sees the sleeper or the sleeper sees the move. */
#include "base/thread.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/port.h"
#include <assert.h>

enum { MAX_THREADS = 1024, SPIN_NS = 100000, YIELDS = 64, LINE_BYTES = 64 };

/* A counter that some wait for and others move, apart from what else is written. */
typedef struct signal_word {
    _Atomic uint32_t value;
    _Atomic uint32_t n_sleepers;
    char apart[LINE_BYTES];
} signal_word;

typedef struct member {
    kw_pool *pool;
    int index;
    kw_port_thread *thread;
} member;

struct kw_pool {
    signal_word run, phase, busy; /* busy: 1 while somebody runs a job */
    _Atomic uint32_t n_arrived;
    char apart[LINE_BYTES];
    kw_job job; /* NULL: the pool is closing */
    void *ctx;
    int n_workers; /* the caller included */
    int n_turns;   /* of waiting awake */
    void (*turn)(void);
    member *members;
};

/* Returns when the word is no longer `old`. */
static void wait_for(const kw_pool *pool, signal_word *w, uint32_t old)
{
    for (int i = 0; i < pool->n_turns; i++) {
        if (atomic_load_explicit(&w->value, memory_order_acquire) != old) return;
        pool->turn();
    }
    atomic_fetch_add(&w->n_sleepers, 1);
    while (atomic_load(&w->value) == old) kw_port_sleep_on(&w->value, old);
    atomic_fetch_sub_explicit(&w->n_sleepers, 1, memory_order_relaxed);
}

static void move(signal_word *w)
{
    atomic_fetch_add(&w->value, 1);
    if (atomic_load(&w->n_sleepers)) kw_port_wake_all(&w->value);
}

void kw_pool_barrier(kw_pool *pool, int worker)
{
    (void)worker;
    if (pool->n_workers == 1) return;
    /* cannot move before this worker arrives, so any order will do */
    uint32_t old = atomic_load_explicit(&pool->phase.value, memory_order_relaxed);
    uint32_t before = atomic_fetch_add_explicit(&pool->n_arrived, 1, memory_order_acq_rel);
    if (before + 1 < (uint32_t)pool->n_workers) {
        wait_for(pool, &pool->phase, old);
        return;
    }
    atomic_store_explicit(&pool->n_arrived, 0, memory_order_relaxed);
    move(&pool->phase);
}

static void work(void *arg)
{
    member *self = arg;
    kw_pool *pool = self->pool;
    for (uint32_t seen = 0;; seen++) {
        wait_for(pool, &pool->run, seen);
        if (!pool->job) return;
        pool->job(pool->ctx, self->index);
        kw_pool_barrier(pool, self->index);
    }
}

static void take_turn(kw_pool *pool)
{
    uint32_t is_free = 0;
    while (!atomic_compare_exchange_strong(&pool->busy.value, &is_free, 1)) {
        wait_for(pool, &pool->busy, 1);
        is_free = 0;
    }
}

static void end_turn(kw_pool *pool)
{
    atomic_store(&pool->busy.value, 0);
    if (atomic_load(&pool->busy.n_sleepers)) kw_port_wake_all(&pool->busy.value);
}

void kw_pool_run(kw_pool *pool, kw_job job, void *ctx)
{
    assert(job);
    take_turn(pool);
    if (pool->n_workers > 1) {
        pool->job = job;
        pool->ctx = ctx;
        move(&pool->run);
    }
    job(ctx, 0);
    kw_pool_barrier(pool, 0);
    end_turn(pool);
}

/* How many pauses take SPIN_NS: one lasts 5 to 150 cycles, depending on the machine. The fastest of
 * a few samples counts, the others were interrupted. */
static int measure_pauses(void)
{
    enum { PAUSES = 64, SAMPLES = 8 };
    uint64_t best = UINT64_MAX;
    for (int sample = 0; sample < SAMPLES; sample++) {
        uint64_t start = kw_now_ns();
        for (int i = 0; i < PAUSES; i++) kw_port_pause();
        uint64_t ns = kw_now_ns() - start;
        if (ns && ns < best) best = ns;
    }
    uint64_t n = (uint64_t)PAUSES * SPIN_NS / best;
    return n < 100 ? 100 : n > 100000 ? 100000 : (int)n;
}

static void choose_waiting(kw_pool *pool, bool is_crowded)
{
    pool->turn = is_crowded ? kw_port_yield : kw_port_pause;
    pool->n_turns = is_crowded ? YIELDS : measure_pauses();
}

static kw_status fail_start(int index, int n_threads, int error)
{
    char scratch[128];
    return kw_fail(kw_port_is_no_memory(error) ? KW_ENOMEM : KW_EIO,
                   "thread %d of %d could not be started\nwhy: %s", index, n_threads,
                   kw_port_reason(error, scratch, sizeof scratch));
}

static kw_status start_workers(kw_pool *pool, int n_threads)
{
    pool->members = kw_calloc((size_t)n_threads, sizeof *pool->members, KW_PAY_MISC);
    if (!pool->members) return KW_ENOMEM;
    for (; pool->n_workers < n_threads; pool->n_workers++) {
        member *m = &pool->members[pool->n_workers];
        *m = (member){ .pool = pool, .index = pool->n_workers };
        int error;
        if (!kw_port_start(work, m, &m->thread, &error))
            return fail_start(pool->n_workers + 1, n_threads, error);
    }
    return KW_OK;
}

kw_status kw_pool_open(int n_threads, kw_pool **out)
{
    *out = NULL;
    if (n_threads < 0 || n_threads > MAX_THREADS)
        return kw_fail(KW_EINVAL, "%d threads asked for, 1 to %d are possible", n_threads,
                       MAX_THREADS);
    int n_cores = kw_default_threads(), most = kw_port_max_threads();
    if (!n_threads) n_threads = n_cores;
    if (n_threads > most) n_threads = most;
    kw_pool *pool = kw_calloc(1, sizeof *pool, KW_PAY_MISC);
    if (!pool) return KW_ENOMEM;
    pool->n_workers = 1;
    if (n_threads > 1) choose_waiting(pool, n_threads > n_cores);
    kw_status st = start_workers(pool, n_threads);
    if (st) {
        kw_pool_close(pool);
        return st;
    }
    *out = pool;
    return KW_OK;
}

void kw_pool_close(kw_pool *pool)
{
    if (!pool) return;
    pool->job = NULL;
    move(&pool->run);
    for (int i = 1; i < pool->n_workers; i++) kw_port_join(pool->members[i].thread);
    kw_free(pool->members);
    kw_free(pool);
}

int kw_pool_size(const kw_pool *pool) { return pool->n_workers; }

int64_t kw_counter_take(kw_counter *c, int64_t n)
{
    return atomic_fetch_add_explicit(&c->next, n, memory_order_relaxed);
}

void kw_counter_reset(kw_counter *c) { atomic_store_explicit(&c->next, 0, memory_order_relaxed); }
