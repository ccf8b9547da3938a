/* test_sampler.c - the stages of sampling, on distributions small enough to know the answer. */
#include "run/chi.h"
#include "run/sampler.h"
#include "test.h"
#include <math.h>

/* Probabilities 0.5, 0.25, 0.15, 0.1 in the order 2, 0, 3, 1. */
static const float logits[4] = { -1.3862944f, -2.3025851f, -0.6931472f, -1.8971200f };

static kw_sampling plain(void)
{
    kw_sampling p = kw_sampling_defaults();
    p.temperature = 1;
    p.top_k = 0;
    p.top_p = 1;
    p.min_p = 0;
    return p;
}

static void draw(const kw_sampling *p, const float *x, const int32_t *recent, size_t n_recent,
                 int n, int counts[4])
{
    kw_sample_scratch scratch = { .n = 0 };
    kw_rng rng;
    kw_rng_seed(&rng, 11);
    memset(counts, 0, 4 * sizeof *counts);
    for (int i = 0; i < n; i++) {
        int32_t id = -1;
        kw_sample_args a = {
            .p = p, .logits = x, .n_vocab = 4, .recent = recent, .n_recent = n_recent, .rng = &rng
        };
        assert_int_equal(kw_sample(&a, &scratch, &id), KW_OK);
        assert_true(id >= 0 && id < 4);
        counts[id]++;
    }
    kw_sample_scratch_free(&scratch);
}

/* Within five standard deviations of what the probabilities say. */
static void expect_shares(const int counts[4], int n, const double share[4])
{
    for (int i = 0; i < 4; i++) {
        double want = share[i] * n, deviation = sqrt(n * share[i] * (1 - share[i]));
        if (fabs(counts[i] - want) > 5 * deviation + 1e-9)
            fail_msg("id %d: %d of %d, expected %.0f", i, counts[i], n, want);
    }
}

enum { RUNS = 100000 };

TEST(draws_follow_the_probabilities)
{
    int counts[4];
    kw_sampling p = plain();
    draw(&p, logits, NULL, 0, RUNS, counts);
    expect_shares(counts, RUNS, (double[]){ 0.25, 0.1, 0.5, 0.15 });
}

TEST(temperature_divides_the_logits)
{
    int counts[4];
    kw_sampling p = plain();
    p.temperature = 0.5f; /* squares: .25 .0625 .0225 .01 over .345 */
    draw(&p, logits, NULL, 0, RUNS, counts);
    expect_shares(counts, RUNS,
                  (double[]){ 0.0625 / 0.345, 0.01 / 0.345, 0.25 / 0.345, 0.0225 / 0.345 });
}

TEST(top_k_keeps_k)
{
    int counts[4];
    kw_sampling p = plain();
    p.top_k = 2;
    draw(&p, logits, NULL, 0, RUNS, counts);
    expect_shares(counts, RUNS, (double[]){ 1.0 / 3, 0, 2.0 / 3, 0 });
}

TEST(top_p_keeps_the_smallest_set_that_reaches_p)
{
    int counts[4];
    kw_sampling p = plain();
    p.top_p = 0.7f;
    draw(&p, logits, NULL, 0, RUNS, counts);
    expect_shares(counts, RUNS, (double[]){ 1.0 / 3, 0, 2.0 / 3, 0 });
    p.top_p = 0.0f;
    draw(&p, logits, NULL, 0, 100, counts);
    assert_int_equal(counts[2], 100);
}

TEST(min_p_drops_what_is_below_its_share_of_the_likeliest)
{
    int counts[4];
    kw_sampling p = plain();
    p.min_p = 0.29f; /* 0.29 * 0.5 = 0.145: only 0.1 goes */
    draw(&p, logits, NULL, 0, RUNS, counts);
    expect_shares(counts, RUNS, (double[]){ 0.25 / 0.9, 0, 0.5 / 0.9, 0.15 / 0.9 });
}

TEST(temperature_0_takes_the_likeliest_and_of_equals_the_lowest_id)
{
    int counts[4];
    kw_sampling p = plain();
    static const float tie[4] = { 1, 3, 3, 2 };
    p.temperature = 0;
    draw(&p, tie, NULL, 0, 10, counts);
    assert_int_equal(counts[1], 10);
}

TEST(penalties_and_bias_move_the_greedy_choice)
{
    int counts[4];
    static const float x[4] = { 2.0f, 1.9f, -1.0f, 0.5f };
    static const int32_t recent[3] = { 0, 0, 1 };
    static const kw_logit_bias bias[2] = { { 3, 5.0f }, { 0, -INFINITY } };
    kw_sampling p = plain();
    p.temperature = 0;
    p.repeat_penalty = 1.1f; /* 2 / 1.1 = 1.82, 1.9 / 1.1 = 1.73 */
    draw(&p, x, recent, 3, 1, counts);
    assert_int_equal(counts[0], 1);
    p.frequency_penalty = 0.2f; /* 1.82 - 0.4 < 1.73 - 0.2 */
    draw(&p, x, recent, 3, 1, counts);
    assert_int_equal(counts[1], 1);
    p.presence_penalty = 2.0f; /* both below 0.5 */
    draw(&p, x, recent, 3, 1, counts);
    assert_int_equal(counts[3], 1);
    p = plain();
    p.temperature = 0;
    p.logit_bias = bias;
    p.n_logit_bias = 2;
    draw(&p, x, NULL, 0, 1, counts);
    assert_int_equal(counts[3], 1);
}

TEST(a_logit_that_is_no_number_is_an_error_with_its_id)
{
    kw_sample_scratch scratch = { .n = 0 };
    kw_rng rng;
    int32_t id;
    static const float x[4] = { 1, 2, NAN, 3 };
    kw_sampling p = plain();
    kw_rng_seed(&rng, 1);
    kw_sample_args a = { .p = &p, .logits = x, .n_vocab = 4, .rng = &rng };
    assert_int_equal(kw_sample(&a, &scratch, &id), KW_EFORMAT);
    assert_non_null(strstr(kw_error_message(), "2"));
    kw_sample_scratch_free(&scratch);
}

TEST(top_logprobs_are_sorted_and_sum_to_one)
{
    kw_logprob top[4];
    int n = 0;
    double sum = 0;
    assert_int_equal(kw_top_logprobs(logits, 4, 4, top, &n), KW_OK);
    assert_int_equal(n, 4);
    for (int i = 0; i < 4; i++) sum += exp((double)top[i].logprob);
    assert_true(fabs(sum - 1) < 1e-6);
    assert_int_equal(top[0].id, 2);
    assert_int_equal(top[3].id, 1);
    assert_true(fabs((double)top[0].logprob - log(0.5)) < 1e-6);
}

/* ---- beside a guess: the id is distributed as without one ---- */

enum { IDS = 24, DRAWS = 20000 };

static void random_logits(kw_rng *r, float *x, float spread)
{
    for (int i = 0; i < IDS; i++) x[i] = spread * kw_rng_normal(r);
}

static kw_sample_args args_of(const kw_sampling *p, const float *x, kw_rng *rng)
{
    static const int32_t recent[4] = { 3, 5, 5, 7 };
    return (kw_sample_args){
        .p = p, .logits = x, .n_vocab = IDS, .recent = recent, .n_recent = 4, .rng = rng
    };
}

static void target_of(const kw_sample_args *a, double *p)
{
    kw_sample_scratch s = { .n = 0 };
    assert_int_equal(kw_sample_weigh(a, &s), KW_OK);
    for (int i = 0; i < IDS; i++) p[i] = 0;
    for (size_t i = 0; i < s.n; i++) p[s.choices[i].id] = (double)s.choices[i].p;
    kw_sample_scratch_free(&s);
}

typedef struct guessing {
    int count[IDS], n_kept;
    int drafted[IDS]; /* the guesses themselves */
} guessing;

/* DRAWS ids that are sampled beside guesses from other logits (NULL: beside the same looked-up id). */
static guessing sample_beside(const kw_sample_args *a, const float *draft)
{
    guessing g = { .n_kept = 0 };
    kw_sample_scratch s = { .n = 0 };
    kw_guess guess = { .id = 3 };
    kw_rng own;
    kw_sample_args d = *a;
    kw_rng_seed(&own, 99);
    d.logits = draft;
    for (int i = 0; i < DRAWS; i++) {
        int32_t id;
        if (draft) {
            assert_int_equal(kw_sample_weigh(&d, &s), KW_OK);
            assert_int_equal(kw_guess_keep(&guess, &s), KW_OK);
            guess.id = kw_sample_draw(&s, &own);
        }
        assert_int_equal(kw_sample_or_keep(a, &s, &guess, &id), KW_OK);
        g.count[id]++;
        g.drafted[guess.id]++;
        g.n_kept += id == guess.id;
    }
    kw_free(guess.q);
    kw_sample_scratch_free(&s);
    return g;
}

static const struct {
    float temperature, top_p, min_p, repeat, presence, spread, draft_spread;
    int top_k;
} mixes[] = {
    { 1.0f, 1.0f, 0.0f, 1.0f, 0.0f, 1.0f, 1.0f, 0 },
    { 0.7f, 0.9f, 0.0f, 1.0f, 0.0f, 2.0f, 1.0f, 0 },
    { 1.3f, 1.0f, 0.1f, 1.2f, 0.5f, 1.0f, 2.0f, 0 },
    { 0.8f, 0.95f, 0.05f, 1.0f, 0.0f, 1.5f, 1.5f, 6 },
    { 1.0f, 1.0f, 0.0f, 1.0f, 0.0f, 0.5f, 1.00f, 3 },
};

TEST(beside_a_guess_the_distribution_is_the_samplers_own)
{
    kw_rng rng;
    kw_rng_seed(&rng, 2024);
    for (size_t i = 0; i < sizeof mixes / sizeof *mixes; i++) {
        float x[IDS], draft[IDS];
        double want[IDS];
        int freedom;
        kw_sampling p = plain();
        p.temperature = mixes[i].temperature;
        p.top_p = mixes[i].top_p;
        p.min_p = mixes[i].min_p;
        p.top_k = mixes[i].top_k;
        p.repeat_penalty = mixes[i].repeat;
        p.presence_penalty = mixes[i].presence;
        random_logits(&rng, x, mixes[i].spread);
        random_logits(&rng, draft, mixes[i].draft_spread);
        for (int k = 0; k < IDS; k++) draft[k] = 0.6f * x[k] + draft[k]; /* they agree somewhat */
        kw_sample_args a = args_of(&p, x, &rng);
        target_of(&a, want);
        for (int looked_up = 0; looked_up < 2; looked_up++) {
            guessing g = sample_beside(&a, looked_up ? NULL : draft);
            double chi = chi_square(g.count, want, IDS, DRAWS, &freedom);
            printf("chi-square %.1f of %d, bound %.1f; %d of %d kept\n", chi, freedom,
                   chi_bound(freedom), g.n_kept, DRAWS);
            assert_true(chi < chi_bound(freedom));
            if (looked_up) continue;
            double off = chi_square(g.drafted, want, IDS, DRAWS, &freedom);
            assert_true(off > 3 * chi_bound(freedom)); /* the guesses alone would be found out */
        }
    }
}

TEST(guesses_are_kept_as_often_as_the_distributions_overlap)
{
    float x[IDS], draft[IDS];
    double p[IDS], q[IDS], overlap = 0;
    kw_rng rng;
    kw_sampling options = plain();
    kw_rng_seed(&rng, 5);
    random_logits(&rng, x, 1);
    random_logits(&rng, draft, 1);
    kw_sample_args a = args_of(&options, x, &rng), d = args_of(&options, draft, &rng);
    target_of(&a, p);
    target_of(&d, q);
    for (int i = 0; i < IDS; i++) overlap += fmin(p[i], q[i]);
    guessing g = sample_beside(&a, draft);
    double deviation = sqrt((double)DRAWS * overlap * (1 - overlap));
    assert_true(fabs(g.n_kept - (double)DRAWS * overlap) < 4 * deviation);
    g = sample_beside(&a, x); /* the same distribution: all are */
    assert_int_equal(g.n_kept, DRAWS);
}

TEST(at_temperature_0_a_guess_is_kept_only_when_it_is_the_likeliest)
{
    kw_sample_scratch s = { .n = 0 };
    kw_rng rng;
    kw_sampling p = plain();
    p.temperature = 0;
    kw_rng_seed(&rng, 1);
    for (int32_t guessed = 0; guessed < 4; guessed++)
        for (int drawn = 0; drawn < 2; drawn++) {
            int32_t id = -1;
            kw_choice q[1] = { { guessed, 0, 1 } };
            kw_guess g = { .id = guessed, .q = q, .n = (size_t)drawn };
            kw_sample_args a = { .p = &p, .logits = logits, .n_vocab = 4, .rng = &rng };
            assert_int_equal(kw_sample_or_keep(&a, &s, &g, &id), KW_OK);
            assert_int_equal(id, 2);
        }
    kw_sample_scratch_free(&s);
}
