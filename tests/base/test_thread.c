/* test_thread.c - every worker runs a job once, a barrier lets nobody through early, and more
 * threads than cores are slow at worst. */
#include "base/base.h"
#include "test.h"
#include <stdatomic.h>

static const int sizes[] = { 1, 2, 4, 9 };
enum { N_SIZES = sizeof sizes / sizeof sizes[0], MOST = 9 };

/* A pool of exactly n workers, or NULL where the platform has no threads. */
static kw_pool *open_pool(int n)
{
    kw_pool *pool = NULL;
    assert_int_equal(kw_pool_open(n, &pool), KW_OK);
    if (kw_pool_size(pool) == n) return pool;
    assert_int_equal(kw_pool_size(pool), 1);
    kw_pool_close(pool);
    return NULL;
}

static void count_run(void *ctx, int worker)
{
    ((int *)ctx)[worker]++; /* not atomic: each worker has its own */
}

TEST(every_worker_runs_every_job_exactly_once)
{
    for (int i = 0; i < N_SIZES; i++) {
        int runs[MOST] = { 0 };
        kw_pool *pool = open_pool(sizes[i]);
        if (!pool) continue;
        for (int round = 0; round < 2000; round++) kw_pool_run(pool, count_run, runs);
        for (int w = 0; w < MOST; w++) assert_int_equal(runs[w], w < sizes[i] ? 2000 : 0);
        kw_pool_close(pool);
    }
}

typedef struct relay {
    kw_pool *pool;
    int n, rounds, wrong;
    int steps[MOST]; /* plain memory: the barrier alone publishes it */
} relay;

/* Each round everybody writes its own step, then reads everybody else's. */
static void run_relay(void *ctx, int worker)
{
    relay *r = ctx;
    for (int round = 1; round <= r->rounds; round++) {
        r->steps[worker] = round;
        kw_pool_barrier(r->pool, worker);
        int wrong = 0;
        for (int w = 0; w < r->n; w++) wrong += r->steps[w] != round;
        if (wrong && worker == 0) r->wrong++;
        kw_pool_barrier(r->pool, worker);
    }
}

TEST(a_barrier_publishes_what_every_worker_wrote_before_it)
{
    for (int i = 0; i < N_SIZES; i++) {
        relay r = { .n = sizes[i], .rounds = sizes[i] > 4 ? 5000 : 50000 }; /* two barriers each */
        r.pool = open_pool(sizes[i]);
        if (!r.pool) continue;
        kw_pool_run(r.pool, run_relay, &r);
        assert_int_equal(r.wrong, 0);
        for (int w = 0; w < r.n; w++) assert_int_equal(r.steps[w], r.rounds);
        kw_pool_close(r.pool);
    }
}

typedef struct chunks {
    kw_counter counter;
    unsigned char taken[10007];
} chunks;

static void take_chunks(void *ctx, int worker)
{
    chunks *c = ctx;
    const int64_t n = (int64_t)sizeof c->taken;
    (void)worker;
    for (int64_t first; (first = kw_counter_take(&c->counter, 10)) < n;)
        for (int64_t i = first; i < first + 10 && i < n; i++) c->taken[i]++;
}

TEST(chunks_of_a_counter_are_handed_out_once_each)
{
    for (int i = 0; i < N_SIZES; i++) {
        static chunks c;
        kw_pool *pool = open_pool(sizes[i]);
        if (!pool) continue;
        for (int round = 0; round < 20; round++) {
            memset(c.taken, 0, sizeof c.taken);
            kw_counter_reset(&c.counter);
            kw_pool_run(pool, take_chunks, &c);
            for (size_t k = 0; k < sizeof c.taken; k++)
                if (c.taken[k] != 1) fail_msg("index %zu was taken %d times", k, c.taken[k]);
        }
        kw_pool_close(pool);
    }
}

static void doze(void *ctx, int worker)
{
    uint64_t until = kw_now_ns() + (worker == 1 ? 3000000u : 0u); /* the others fall asleep */
    while (kw_now_ns() < until)
        ;
    count_run(ctx, worker);
}

TEST(workers_that_fell_asleep_are_woken)
{
    int runs[4] = { 0 };
    kw_pool *pool = open_pool(4);
    if (!pool) SKIP("no threads on this platform");
    for (int round = 0; round < 50; round++) kw_pool_run(pool, doze, runs);
    for (int w = 0; w < 4; w++) assert_int_equal(runs[w], 50);
    kw_pool_close(pool);
}

TEST(two_pools_do_not_disturb_each_other)
{
    int a_runs[2] = { 0 }, b_runs[3] = { 0 };
    kw_pool *a = open_pool(2), *b = open_pool(3);
    if (!a || !b) SKIP("no threads on this platform");
    for (int round = 0; round < 500; round++) {
        kw_pool_run(a, count_run, a_runs);
        kw_pool_run(b, count_run, b_runs);
    }
    assert_int_equal(a_runs[1], 500);
    assert_int_equal(b_runs[2], 500);
    kw_pool_close(a);
    kw_pool_close(b);
}

typedef struct guests {
    kw_pool *pool;
    int inside, most, runs[2]; /* plain memory: turns alone guard it */
} guests;

static void visit(void *ctx, int worker)
{
    guests *g = ctx;
    if (worker) return;
    g->inside++;
    g->most = g->inside > g->most ? g->inside : g->most;
    g->inside--;
}

static void call_often(void *ctx, int worker)
{
    guests *g = ctx;
    for (int i = 0; i < 2000; i++, g->runs[worker]++) kw_pool_run(g->pool, visit, g);
}

TEST(two_threads_that_share_a_pool_take_turns)
{
    kw_pool *callers = open_pool(2);
    if (!callers) return;
    guests g = { .pool = open_pool(3) };
    assert_non_null(g.pool);
    kw_pool_run(callers, call_often, &g);
    assert_int_equal(g.most, 1);
    assert_int_equal(g.runs[0], 2000);
    assert_int_equal(g.runs[1], 2000);
    kw_pool_close(g.pool);
    kw_pool_close(callers);
}

TEST(a_pool_can_be_opened_and_closed_without_a_job)
{
    for (int i = 0; i < 50; i++) {
        kw_pool *pool = NULL;
        assert_int_equal(kw_pool_open(4, &pool), KW_OK);
        kw_pool_close(pool);
    }
    kw_pool_close(NULL);
    assert_int_equal(kw_alloc_live(KW_PAY_MISC), 0);
}

TEST(impossible_sizes_are_refused_and_zero_takes_the_default)
{
    kw_pool *pool = NULL;
    assert_int_equal(kw_pool_open(-1, &pool), KW_EINVAL);
    assert_int_equal(kw_pool_open(1025, &pool), KW_EINVAL);
    assert_null(pool);
    assert_int_equal(kw_pool_open(0, &pool), KW_OK);
    assert_int_equal(kw_pool_size(pool), kw_default_threads());
    kw_pool_close(pool);
}

TEST(any_failed_allocation_while_opening_leaves_nothing_behind)
{
    size_t live = kw_alloc_live(KW_PAY_COUNT);
    kw_status st = KW_ENOMEM;
    for (uint64_t n = 1; st; n++) {
        kw_pool *pool = NULL;
        kw_alloc_fail_nth(n);
        st = kw_pool_open(3, &pool);
        kw_alloc_fail_nth(0);
        assert_true(st == KW_OK || st == KW_ENOMEM);
        assert_int_equal(pool == NULL, st != KW_OK);
        kw_pool_close(pool);
        assert_int_equal(kw_alloc_live(KW_PAY_COUNT), live);
        assert_true(n < 20);
    }
}
