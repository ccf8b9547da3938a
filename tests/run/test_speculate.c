/* test_speculate.c - guesses change no text and no distribution, whatever they are worth. */
#include "base/base.h"
#include "run/chi.h"
#include "run/fixture.h"
#include "run/session.h"

static const char *const target = "golden/gguf-tiny-llama/q8_0.gguf",
                         *const draft = "golden/gguf-tiny-llama/q4_0.gguf";

/* One thread: thousands of runs of a tiny model would mostly wait for a second one on a busy machine. */
static fixture open_alone(const char *rel) { return open_fixture_at(test_local(rel), 1); }

/* As if rows and drafts cost nothing: the tiny models are all of a size. */
static void be_eager(kw_session *s)
{
    s->speculation.is_timed = false;
    s->speculation.row_cost = -0.2f;
    s->speculation.draft_cost = 0;
}

/* A text with repetitions in it, so that something is found. */
static void refrain(int32_t *ids, int n, int which)
{
    for (int i = 0; i < n; i++) ids[i] = 3 + (i % (7 + which)) * 11 + (i % 5 == 4 ? which : 0);
}

static kw_session *guessing(const fixture *f, bool exact, int ctx, kw_model *small)
{
    kw_session *s = open_session(f, exact, 64, ctx);
    s->speculation.looks_up = !small;
    if (small) must(kw_session_set_draft(s, small));
    be_eager(s);
    return s;
}

static void say_the_same(kw_session *a, kw_session *b, int n)
{
    for (int i = 0; i < n; i++) {
        int32_t x, y;
        kw_status st = kw_session_step(a, &x), st_b = kw_session_step(b, &y);
        must(st);
        assert_int_equal(st, st_b);
        assert_int_equal(x, y);
        if (st == KW_DONE) assert_int_equal(kw_session_finish(a), kw_session_finish(b));
        if (st == KW_DONE) return;
        same_logits(a, b);
    }
}

static void report(const kw_session *s, const char *what)
{
    kw_guess_counts n = kw_session_guesses(s);
    printf("%s: %d of %d guesses right, %d runs\n", what, (int)n.accepted, (int)n.drafted,
           (int)n.runs);
}

/* Greedy, over the end of the context. */
static kw_guess_counts compare(const fixture *f, bool exact, int which, kw_model *small)
{
    int32_t ids[40];
    kw_session *plain = open_session(f, exact, 64, 120), *s = guessing(f, exact, 120, small);
    refrain(ids, 40, which);
    must(kw_session_sync(plain, ids, 40));
    must(kw_session_sync(s, ids, 40));
    say_the_same(plain, s, 90);
    report(s, small ? "drafted" : "looked up");
    kw_guess_counts n = kw_session_guesses(s);
    kw_session_close(plain);
    kw_session_close(s);
    return n;
}

TEST(greedy_texts_and_logits_are_those_without_guesses)
{
    fixture f = open_alone(target), small = open_alone(draft);
    for (int exact = 0; exact < 2; exact++)
        for (int which = 0; which < 4; which++) {
            compare(&f, exact, which, NULL);
            kw_guess_counts n = compare(&f, exact, which, small.model);
            assert_true(n.accepted > 20 && n.runs < 60);
        }
    close_fixture(&f);
    close_fixture(&small);
}

TEST(a_seed_gives_the_same_text_with_and_without_looked_up_guesses)
{
    fixture f = open_alone(target);
    for (int which = 0; which < 4; which++) {
        int32_t ids[40];
        kw_session *plain = open_session(&f, true, 64, 120), *looks = guessing(&f, true, 120, NULL);
        kw_sampling p = kw_sampling_defaults();
        p.seed = 7 + (uint64_t)which;
        p.ignore_eos = true;
        p.temperature = 0.7f;
        p.repeat_penalty = 1.1f;
        must(kw_session_set_sampling(plain, &p));
        must(kw_session_set_sampling(looks, &p));
        refrain(ids, 40, which);
        must(kw_session_sync(plain, ids, 40));
        must(kw_session_sync(looks, ids, 40));
        say_the_same(plain, looks, 70);
        assert_true(kw_session_guesses(looks).drafted > 0);
        kw_session_close(plain);
        kw_session_close(looks);
    }
    close_fixture(&f);
}

/* ---- the distribution of three ids in a row, against the tree of all of them ---- */

enum { FIRST = 12, KEPT = 3, OUTCOMES = KEPT * KEPT * KEPT, TEXTS = 4000 };

typedef struct tree {
    kw_session *s;
    int32_t text[FIRST + 3];
    double p[OUTCOMES];
    int32_t path[OUTCOMES][3];
    int n;
} tree;

/* Probabilities straight from the plain sampler's candidates at every node. */
static void grow(tree *t, int depth, double p)
{
    kw_sample_scratch scratch = { .n = 0 };
    if (depth == 3) {
        memcpy(t->path[t->n], t->text + FIRST, sizeof t->path[0]);
        t->p[t->n++] = p;
        return;
    }
    must(kw_session_sync(t->s, t->text, (size_t)(FIRST + depth)));
    kw_sample_args a = { .p = &t->s->sampling,
                         .logits = t->s->logits,
                         .n_vocab = (size_t)t->s->m->shape.n_vocab,
                         .recent = t->text,
                         .n_recent = (size_t)(FIRST + depth) };
    must(kw_sample_weigh(&a, &scratch));
    for (size_t i = 0; i < scratch.n; i++) {
        t->text[FIRST + depth] = scratch.choices[i].id;
        grow(t, depth + 1, p * (double)scratch.choices[i].p);
    }
    kw_sample_scratch_free(&scratch);
}

static int outcome(const tree *t, const int32_t *ids)
{
    for (int i = 0; i < t->n; i++)
        if (!memcmp(t->path[i], ids, sizeof t->path[0])) return i;
    fail_msg("three ids that the sampler never says");
    return -1;
}

static void draw_texts(kw_session *s, const tree *t, int *count)
{
    memset(count, 0, OUTCOMES * sizeof *count);
    for (int k = 0; k < TEXTS; k++) {
        int32_t said[3];
        must(kw_session_sync(s, t->text, FIRST));
        for (int i = 0; i < 3; i++) must(kw_session_step(s, &said[i]));
        count[outcome(t, said)]++;
    }
}

static void expect_tree(kw_session *s, const tree *t, const char *what)
{
    int count[OUTCOMES], freedom;
    draw_texts(s, t, count);
    double chi = chi_square(count, t->p, t->n, TEXTS, &freedom);
    printf("%s: chi-square %.1f of %d, bound %.1f\n", what, chi, freedom, chi_bound(freedom));
    report(s, what);
    assert_true(chi < chi_bound(freedom));
}

TEST(sampled_texts_have_the_distribution_of_the_model_alone)
{
    static const kw_logit_bias bias[4] = {
        { 3, 12.0f }, { 14, 12.5f }, { 25, 11.5f }, { 41, -INFINITY }
    }; /* ids of the prompt, so that something is found there */
    fixture f = open_alone(target), small = open_alone(draft);
    tree t = { .s = open_session(&f, true, 64, 64) };
    kw_session *plain = open_session(&f, true, 64, 64), *looks = guessing(&f, true, 64, NULL),
               *drafts = guessing(&f, true, 64, small.model);
    kw_sampling p = kw_sampling_defaults();
    p.top_k = KEPT;
    p.top_p = 1;
    p.min_p = 0.01f;
    p.temperature = 1.5f;
    p.repeat_penalty = 1.3f;
    p.ignore_eos = true;
    p.seed = 31;
    p.logit_bias = bias;
    p.n_logit_bias = 4;
    must(kw_session_set_sampling(t.s, &p));
    must(kw_session_set_sampling(plain, &p));
    must(kw_session_set_sampling(looks, &p));
    must(kw_session_set_sampling(drafts, &p));
    for (int i = 0; i < FIRST; i++) t.text[i] = bias[(i * i + i / 3) % 3].id;
    grow(&t, 0, 1);
    expect_tree(plain, &t, "alone");
    expect_tree(looks, &t, "looked up");
    expect_tree(drafts, &t, "drafted");
    kw_session *const both[2] = { looks, drafts };
    for (int i = 0; i < 2; i++) { /* guesses were kept, and refused */
        kw_guess_counts n = kw_session_guesses(both[i]);
        assert_true(n.accepted > 1000 && n.drafted - n.accepted > 1000);
    }
    kw_session_close(t.s);
    kw_session_close(plain);
    kw_session_close(looks);
    kw_session_close(drafts);
    close_fixture(&f);
    close_fixture(&small);
}

/* ---- limits ---- */

TEST(a_draft_model_with_another_vocabulary_is_refused_with_both_sizes)
{
    fixture f = open_alone(models[0]), other = open_alone(models[1]);
    kw_session *s = open_session(&f, true, 64, 64);
    assert_int_equal(kw_session_set_draft(s, other.model), KW_EINVAL);
    assert_non_null(strstr(kw_error_message(), "307"));
    assert_non_null(strstr(kw_error_message(), "263"));
    must(kw_session_set_draft(s, f.model));
    must(kw_session_set_draft(s, NULL));
    kw_session_close(s);
    close_fixture(&f);
    close_fixture(&other);
}

TEST(guesses_that_are_always_wrong_are_hardly_made)
{
    int32_t ids[64];
    fixture f = open_alone(target);
    kw_session *s = open_session(&f, true, 64, 120);
    kw_speculation *p = &s->speculation;
    p->looks_up = true;
    refrain(ids, 64, 0);
    must(kw_session_replace(s, ids, 64));
    int n_guesses = 0;
    for (int run = 0; run < 400; run++) {
        must(kw_speculate(s, KW_GUESSES));
        n_guesses += (int)p->n;
        if (p->n) kw_speculation_learn(p, false);
    }
    printf("%d guesses in 400 runs, all wrong\n", n_guesses);
    assert_true(n_guesses < 80);
    for (int run = 0; run < 200; run++) {
        must(kw_speculate(s, KW_GUESSES));
        for (size_t i = 0; i < p->n; i++) kw_speculation_learn(p, true);
    }
    assert_int_equal(p->n, KW_GUESSES); /* and come back when they are right */
    kw_session_close(s);
    close_fixture(&f);
}

TEST(rows_that_cost_time_are_weighed_and_a_disturbed_run_counts_little)
{
    fixture f = open_alone(target);
    kw_session *s = open_session(&f, true, 64, 120);
    kw_speculation *p = &s->speculation;
    for (int i = 0; i < 60; i++) {
        kw_speculation_time(p, 1, 1000000);
        kw_speculation_time(p, 5, i % 10 == 9 ? 9000000 : 1400000);
    }
    assert_true(p->row_cost > 0.09f && p->row_cost < 0.25f); /* 0.1 a row */
    for (int i = 0; i < 60; i++) kw_speculation_time(p, 8, 15000000);
    assert_true(p->row_cost > 0.9f);
    int32_t ids[64];
    refrain(ids, 64, 0);
    must(kw_session_replace(s, ids, 64));
    p->looks_up = true;
    must(kw_speculate(s, KW_GUESSES));
    assert_int_equal(p->n, 0); /* a row for a run each: no guess can gain */
    kw_session_close(s);
    close_fixture(&f);
}

TEST(a_draft_model_as_large_as_its_model_is_never_asked)
{
    int32_t ids[20], id;
    fixture f = open_alone(target);
    kw_session *s = open_session(&f, true, 64, 120);
    must(kw_session_set_draft(s, f.model));
    fill(ids, 20);
    must(kw_session_sync(s, ids, 20));
    for (int i = 0; i < 20; i++) must(kw_session_step(s, &id));
    assert_int_equal(kw_session_guesses(s).drafted, 0);
    kw_session_close(s);
    close_fixture(&f);
}

TEST(a_fork_guesses_on_and_a_new_prompt_forgets)
{
    int32_t ids[60], id;
    fixture f = open_alone(target), small = open_alone(draft);
    kw_session *plain = open_session(&f, true, 64, 120), *fork = NULL;
    kw_session *s = guessing(&f, true, 120, small.model);
    refrain(ids, 60, 1);
    must(kw_session_sync(plain, ids, 30));
    must(kw_session_sync(s, ids, 30));
    for (int i = 0; i < 5; i++) { /* somewhere inside a window */
        must(kw_session_step(s, &id));
        must(kw_session_step(plain, &id));
    }
    must(kw_session_fork(s, &fork));
    say_the_same(plain, fork, 40);
    assert_true(kw_session_guesses(fork).accepted > 0);
    refrain(ids, 60, 2);
    must(kw_session_sync(plain, ids, 55));
    must(kw_session_sync(s, ids, 55));
    same_logits(plain, s);
    say_the_same(plain, s, 40);
    kw_session_close(plain);
    kw_session_close(s);
    kw_session_close(fork);
    close_fixture(&f);
    close_fixture(&small);
}

TEST(a_text_that_is_cancelled_among_guesses_goes_on)
{
    int32_t ids[30], id;
    fixture f = open_alone(target), small = open_alone(draft);
    kw_session *plain = open_session(&f, true, 64, 120);
    kw_session *s = guessing(&f, true, 120, small.model);
    refrain(ids, 30, 1);
    must(kw_session_sync(plain, ids, 30));
    must(kw_session_sync(s, ids, 30));
    for (int i = 0; i < 30; i++) {
        if (i % 3 == 0) {
            kw_session_cancel(s);
            assert_int_equal(kw_session_step(s, &id), KW_ECANCELED);
        }
        say_the_same(plain, s, 1);
    }
    kw_session_close(plain);
    kw_session_close(s);
    close_fixture(&f);
    close_fixture(&small);
}

TEST(a_chunk_of_one_row_leaves_no_room_for_guesses)
{
    int32_t ids[20], id;
    fixture f = open_alone(target);
    kw_session *s = open_session(&f, true, 1, 64);
    s->speculation.looks_up = true;
    refrain(ids, 20, 0);
    must(kw_session_sync(s, ids, 20));
    for (int i = 0; i < 20; i++) must(kw_session_step(s, &id));
    assert_int_equal(kw_session_guesses(s).drafted, 0);
    kw_session_close(s);
    close_fixture(&f);
}
