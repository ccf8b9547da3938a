/* test_batch.c - texts in a batch say what they say alone, whatever happens to the others. */
#include "base/base.h"
#include "run/fixture.h"
#include "run/session.h"
#include <math.h>

enum { MOST = 80 };

/* Sessions in a batch, and what each says alone. */
typedef struct crowd {
    fixture f;
    kw_batch *batch;
    kw_session *together[MOST], *alone[MOST];
    int n;
} crowd;

static crowd crowd_of(fixture f, bool exact, int rows)
{
    crowd c = { .f = f };
    kw_session_options o = kw_session_defaults();
    o.exact = exact;
    o.batch = rows;
    must(kw_batch_open(c.f.model, &o, &c.batch));
    return c;
}

static crowd open_crowd(const char *model, bool exact, int rows)
{
    return crowd_of(open_fixture(model), exact, rows);
}

static void close_crowd(crowd *c)
{
    kw_batch_close(c->batch);
    for (int i = 0; i < c->n; i++) {
        kw_session_close(c->together[i]);
        kw_session_close(c->alone[i]);
    }
    close_fixture(&c->f);
}

/* A text of its own for every number. */
static void prompt(int32_t *ids, int n, int which)
{
    for (int i = 0; i < n; i++) ids[i] = (i * 37 + 11 + which * 5 + i * which) % VOCAB;
}

/* is_computed: its prompt is, before it joins. */
static void join(crowd *c, int n_prompt, bool exact, bool is_computed)
{
    int32_t ids[N];
    kw_session *a = open_session(&c->f, exact, 512, N), *b = open_session(&c->f, exact, 512, N);
    prompt(ids, n_prompt, c->n);
    must(kw_session_sync(a, ids, (size_t)n_prompt));
    if (is_computed) must(kw_session_sync(b, ids, (size_t)n_prompt));
    else must(kw_session_replace(b, ids, (size_t)n_prompt));
    must(kw_batch_add(c->batch, b));
    c->alone[c->n] = a;
    c->together[c->n++] = b;
}

static int index_of(const crowd *c, const kw_session *s)
{
    for (int i = 0; i < c->n; i++)
        if (c->together[i] == s) return i;
    fail_msg("a result of nobody");
    return -1;
}

/* One step of all; who got an id got the one it says alone, with the same logits. Returns how many did. */
static int step(crowd *c, kw_status expect_other)
{
    const kw_batch_result *r;
    size_t n;
    int n_ids = 0;
    must(kw_batch_step(c->batch, &r, &n));
    for (size_t k = 0; k < n; k++) {
        int i = index_of(c, r[k].session);
        if (r[k].status != KW_OK) {
            assert_int_equal(r[k].id, -1);
            assert_int_equal(r[k].status, expect_other);
            continue;
        }
        int32_t id;
        must(kw_session_step(c->alone[i], &id));
        assert_int_equal(r[k].id, id);
        same_logits(c->alone[i], c->together[i]);
        n_ids++;
    }
    return n_ids;
}

TEST(in_exact_mode_every_session_has_the_logits_it_has_alone)
{
    static const int prompts[] = { 3, 70, 17, 1, 100, 64, 63, 65, 2 };
    for (size_t m = 0; m < sizeof models / sizeof *models; m++) {
        crowd c = open_crowd(models[m], true, 512);
        for (size_t i = 0; i < sizeof prompts / sizeof *prompts; i++)
            join(&c, prompts[i], true, i % 2);
        for (int k = 0; k < 16; k++) assert_int_equal(step(&c, KW_OK), c.n);
        close_crowd(&c);
    }
}

TEST(in_fast_mode_up_to_8_sessions_have_the_bits_of_one)
{
    for (size_t m = 0; m < sizeof models / sizeof *models; m++)
        for (int n = 1; n <= 8; n++) {
            crowd c = open_crowd(models[m], false, 512);
            for (int i = 0; i < n; i++) join(&c, 1 + 13 * i, false, true);
            for (int k = 0; k < 12; k++) assert_int_equal(step(&c, KW_OK), n);
            close_crowd(&c);
        }
}

/* Far behind each other in long texts: however attention cuts a context, its cut is not the neighbours' business. */
TEST(in_fast_mode_depths_do_not_mix)
{
    static const char *const types[] = { "f16", "int8" };
    for (int t = 0; t < 2; t++) {
        crowd c = open_crowd(models[1], false, 512);
        if (t == 1 && !has_int8_cache(c.f.model)) {
            close_crowd(&c);
            return;
        }
        kw_session_options o = kw_session_defaults();
        kw_sampling greedy = kw_sampling_defaults();
        o.kv_type = types[t];
        greedy.temperature = 0;
        greedy.ignore_eos = true;
        for (; c.n < 6; c.n++) {
            int32_t ids[512];
            kw_session **s[2] = { &c.alone[c.n], &c.together[c.n] };
            prompt(ids, 512, c.n);
            for (int i = 0; i < 2; i++) {
                must(kw_session_open(c.f.model, &o, s[i]));
                must(kw_session_set_sampling(*s[i], &greedy));
                must(kw_session_sync(*s[i], ids, (size_t)(3 + 97 * c.n)));
            }
            must(kw_batch_add(c.batch, c.together[c.n]));
        }
        for (int k = 0; k < 12; k++) assert_int_equal(step(&c, KW_OK), 6);
        close_crowd(&c);
    }
}

TEST(a_long_prompt_is_computed_in_pieces_beside_the_others)
{
    crowd c = open_crowd(models[1], true, 16);
    int n_pending = 0;
    for (int i = 0; i < 3; i++) join(&c, 5 + i, true, true);
    must(step(&c, KW_OK) == 3 ? KW_OK : KW_EINVAL);
    join(&c, 100, true, false);
    join(&c, 30, true, false);
    for (int k = 0; k < 14; k++) {
        int n = step(&c, KW_PENDING);
        assert_true(n >= 3); /* nobody waits for the prompts */
        n_pending += n == 3;
    }
    assert_true(n_pending >= 7 && n_pending <= 9); /* 100 rows, 13 a step beside 3 texts */
    assert_int_equal(step(&c, KW_OK), 5);
    close_crowd(&c);
}

TEST(more_sessions_than_a_run_has_rows_or_logits_all_advance_in_every_step)
{
    for (int rows = 4; rows <= 512; rows *= 128) {
        crowd c = open_crowd(models[1], true, rows);
        for (int i = 0; i < 70; i++) join(&c, 1 + i % 9, true, true);
        for (int k = 0; k < 3; k++) assert_int_equal(step(&c, KW_OK), 70);
        join(&c, 20, true, false);
        int waited = 0;
        while (step(&c, KW_PENDING) < 71) assert_true(++waited < 6); /* a prompt gets on, too */
        close_crowd(&c);
    }
}

TEST(a_canceled_session_leaves_and_the_others_go_on)
{
    crowd c = open_crowd(models[0], true, 64);
    for (int i = 0; i < 4; i++) join(&c, 10 + i, true, true);
    assert_int_equal(step(&c, KW_OK), 4);
    kw_session_cancel(c.together[1]);
    assert_int_equal(step(&c, KW_ECANCELED), 3);
    assert_int_equal(kw_batch_size(c.batch), 3);
    assert_int_equal(kw_session_finish(c.together[1]), KW_FINISH_CANCELED);
    assert_int_equal(step(&c, KW_OK), 3);
    must(kw_batch_add(c.batch, c.together[1])); /* and may come back */
    assert_int_equal(step(&c, KW_OK), 4);
    close_crowd(&c);
}

TEST(a_full_context_ends_its_session_alone)
{
    crowd c = open_crowd(models[0], true, 64);
    for (int i = 0; i < 3; i++) join(&c, i == 1 ? N - 2 : 10, true, true);
    for (int k = 0; k < 2; k++) assert_int_equal(step(&c, KW_OK), 3);
    const kw_batch_result *r;
    size_t n;
    must(kw_batch_step(c.batch, &r, &n));
    assert_int_equal(n, 3);
    assert_int_equal(r[1].status, KW_DONE);
    assert_int_equal(r[1].finish, KW_FINISH_LENGTH);
    assert_int_equal(r[1].id, -1);
    assert_int_equal(r[0].status, KW_OK);
    assert_int_equal(kw_batch_size(c.batch), 2);
    close_crowd(&c);
}

/* The page that both write into next is copied, the rest stays one. */
TEST(forks_share_their_pages_and_say_what_they_say_alone)
{
    enum { PROMPT = 70, STEPS = 12 };
    int32_t ids[N], want[STEPS], id;
    kw_session *fork[3] = { NULL };
    crowd c = open_crowd(models[1], true, 64);
    kw_session *a = open_session(&c.f, true, 64, N), *s = open_session(&c.f, true, 64, N);
    prompt(ids, PROMPT, 0);
    must(kw_session_sync(a, ids, PROMPT));
    for (int i = 0; i < STEPS; i++) must(kw_session_step(a, &want[i]));
    must(kw_session_sync(s, ids, PROMPT));
    for (int i = 0; i < 3; i++) must(kw_session_fork(s, &fork[i]));
    kw_cache_use before = kw_session_cache(s);
    assert_int_equal(before.shared_bytes, before.bytes);
    for (int i = 0; i < 3; i++) must(kw_batch_add(c.batch, fork[i]));
    for (int k = 0; k < STEPS; k++) {
        const kw_batch_result *r;
        size_t n;
        must(kw_batch_step(c.batch, &r, &n));
        assert_int_equal(n, 3);
        for (size_t i = 0; i < n; i++) assert_int_equal(r[i].id, want[k]);
    }
    for (int i = 0; i < 3; i++) {
        kw_cache_use use = kw_session_cache(fork[i]);
        assert_int_equal(use.bytes, before.bytes);
        assert_int_equal(use.shared_bytes, use.bytes / 2);
        assert_ptr_equal(fork[i]->pages.memory[0], s->pages.memory[0]);
    }
    must(kw_session_step(s, &id)); /* the first one's rows are untouched */
    assert_int_equal(id, want[0]);
    for (int i = 0; i < 3; i++) kw_session_close(fork[i]); /* closing is leaving */
    assert_int_equal(kw_batch_size(c.batch), 0);
    kw_session_close(a);
    kw_session_close(s);
    close_crowd(&c);
}

/* Beyond 24 positions this model's frequencies depend on the length of the text: such texts need a run of their own. */
TEST(texts_with_other_rope_frequencies_are_computed_apart)
{
    const char *path = test_data("golden/llama-rope-dynamic");
    if (!path) SKIP("golden/llama-rope-dynamic is not below KWAAI_TEST_DATA");
    crowd c = crowd_of(open_fixture_at(path, 2), true, 512);
    for (int i = 0; i < 6; i++) join(&c, i % 2 ? 70 + i % 4 : 10 + i, true, i < 4);
    assert_int_equal(c.together[1]->angles.length, 71);
    for (int k = 0; k < 10; k++) assert_int_equal(step(&c, KW_OK), 6);
    close_crowd(&c);
}

TEST(sessions_that_do_not_belong_are_refused)
{
    int32_t ids[3] = { 1, 2, 3 };
    crowd c = open_crowd(models[0], true, 64), other = open_crowd(models[1], true, 64);
    kw_session *fast = open_session(&c.f, false, 64, N), *s = open_session(&c.f, true, 64, N);
    assert_int_equal(kw_batch_add(c.batch, s), KW_EINVAL);
    assert_non_null(strstr(kw_error_message(), "no text"));
    must(kw_session_replace(s, ids, 3));
    must(kw_session_replace(fast, ids, 3));
    assert_int_equal(kw_batch_add(other.batch, s), KW_EINVAL);
    assert_int_equal(kw_batch_add(c.batch, fast), KW_EINVAL);
    assert_non_null(strstr(kw_error_message(), "fast"));
    must(kw_batch_add(c.batch, s));
    assert_int_equal(kw_batch_add(c.batch, s), KW_EINVAL);
    kw_batch_remove(c.batch, fast); /* not in it: fine */
    kw_batch_remove(c.batch, s);
    const kw_batch_result *r;
    size_t n;
    assert_int_equal(kw_batch_step(c.batch, &r, &n), KW_DONE);
    kw_session_close(fast);
    kw_session_close(s);
    close_crowd(&other);
    close_crowd(&c);
}

TEST(guesses_in_a_batch_change_nothing)
{
    crowd c = open_crowd(models[1], true, 64);
    for (int i = 0; i < 3; i++) {
        join(&c, 20, true, true);
        c.together[i]->speculation.looks_up = i != 1;
    }
    for (int k = 0; k < 60; k++) assert_int_equal(step(&c, KW_OK), 3);
    kw_guess_counts n = kw_session_guesses(c.together[0]);
    printf("%d of %d guesses right, %d runs for 60 ids\n", (int)n.accepted, (int)n.drafted,
           (int)n.runs);
    assert_true(n.drafted > 0);
    assert_int_equal(kw_session_guesses(c.together[1]).drafted, 0);
    close_crowd(&c);
}

/* ---- canceling from another thread ---- */

typedef struct race {
    crowd c;
    _Atomic bool over;
} race;

static void race_job(void *ctx, int worker)
{
    race *r = ctx;
    for (int k = 0; worker == 0 && k < 30; k++) {
        const kw_batch_result *results;
        size_t n;
        if (kw_batch_step(r->c.batch, &results, &n) == KW_DONE) break;
        for (size_t i = 0; i < n; i++)
            if (results[i].status == KW_ECANCELED) kw_batch_add(r->c.batch, results[i].session);
    }
    if (worker == 0) atomic_store(&r->over, true);
    for (int i = 0; worker == 1 && !atomic_load(&r->over); i++)
        kw_session_cancel(r->c.together[i % r->c.n]);
}

TEST(any_thread_may_cancel)
{
    race r = { .c = open_crowd(models[1], true, 64) };
    kw_pool *pool = NULL;
    for (int i = 0; i < 3; i++) join(&r.c, 10, true, true);
    must(kw_pool_open(2, &pool));
    kw_pool_run(pool, race_job, &r);
    kw_pool_close(pool);
    for (int i = 0; i < 3; i++) {
        size_t n;
        kw_session_ids(r.c.together[i], &n);
        assert_true(n >= 10 && n <= 40);
    }
    close_crowd(&r.c);
}

/* ---- an allocation fails in one step: whom it hits leaves, nobody says anything else ---- */

static int steps_with_failure(crowd *c, uint64_t nth)
{
    int n_left = 0;
    for (int k = 0; k < 4; k++) {
        const kw_batch_result *r;
        size_t n;
        if (k == 1) kw_alloc_fail_nth(nth);
        assert_int_equal(kw_batch_step(c->batch, &r, &n), KW_OK);
        kw_alloc_fail_nth(0);
        assert_int_equal(n, c->n);
        for (size_t i = 0; i < n; i++) {
            if (r[i].status == KW_OK) continue;
            assert_int_equal(r[i].status, KW_ENOMEM);
            assert_true(r[i].message[0] != 0);
            n_left++;
        }
        for (int i = 0; i < c->n; i++)
            if (!c->together[i]->batch) must(kw_batch_add(c->batch, c->together[i]));
    }
    return n_left;
}

/* The second step needs a new page for two of the three, and the class of 8 rows. */
TEST(an_allocation_that_fails_hits_at_most_the_sessions_that_needed_it)
{
    int n_hit = 0, n = 1;
    for (bool is_over = false; !is_over; n++) {
        crowd c = open_crowd(models[1], true, 64);
        for (int i = 0; i < 3; i++) join(&c, i == 2 ? 10 : 64, true, true);
        uint64_t before = kw_alloc_count();
        n_hit += steps_with_failure(&c, (uint64_t)n);
        is_over = kw_alloc_count() - before < (uint64_t)n || n > 400;
        for (int i = 0; i < c.n; i++) {
            size_t have;
            const int32_t *ids = kw_session_ids(c.together[i], &have);
            assert_true(have >= (i == 2 ? 13u : 67u));
            for (size_t k = i == 2 ? 10 : 64; k < have; k++) {
                int32_t id;
                must(kw_session_step(c.alone[i], &id));
                assert_int_equal(ids[k], id);
            }
        }
        close_crowd(&c);
    }
    printf("%d allocations, each failed once: %d sessions hit\n", n - 1, n_hit);
    assert_true(n_hit > 2);
}
