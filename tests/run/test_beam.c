/* test_beam.c - beam search against all texts there are: wide enough beams lose none of them. */
#include "run/beam.h"
#include "fixture.h"
#include "run/session.h"
#include <math.h>

enum { WORDS = 3, END = 1, LENGTH = 4, ALL = 31, WIDE = 40 };

/* A language of three words: what may follow depends on the word before and on the place. */
static const float *logits_at(uint32_t place, int32_t before)
{
    static float table[LENGTH][WORDS + 1][WORDS];
    kw_rng rng;
    kw_rng_seed(&rng, 7);
    for (int i = 0; i < LENGTH * (WORDS + 1) * WORDS; i++)
        (&table[0][0][0])[i] = (float)(kw_rng_f64(&rng) * 4);
    return table[place][before + 1];
}

typedef struct text {
    int32_t ids[LENGTH];
    uint32_t n;
    double score;
} text;

/* Whether `id` may follow: no end too soon, no row of ids twice. */
static bool may_follow(const text *t, int32_t id, const kw_beam_args *rules)
{
    uint32_t size = (uint32_t)rules->no_repeat_ngram;
    if (id == END && t->n < (uint32_t)rules->min_tokens) return false;
    for (uint32_t at = 0; size && at + size <= t->n; at++) {
        bool is_same = t->ids[at + size - 1] == id;
        for (uint32_t k = 0; k + 1 < size; k++)
            is_same = is_same && t->ids[at + k] == t->ids[t->n - size + 1 + k];
        if (is_same) return false;
    }
    return true;
}

/* Every text that ends with END or is LENGTH words long, after the words of t. */
static void enumerate(text t, double logprob, const kw_beam_args *rules, text *all, size_t *n_all)
{
    const float *logits = logits_at(t.n, t.n ? t.ids[t.n - 1] : -1);
    for (int32_t id = 0; id < WORDS; id++) {
        text longer = t;
        if (!may_follow(&t, id, rules)) continue;
        double p = logprob + kw_logprob_of(logits, WORDS, id);
        longer.ids[longer.n++] = id;
        longer.score = p / pow(longer.n, (double)rules->length_penalty);
        if (id == END || longer.n == LENGTH) all[(*n_all)++] = longer;
        else enumerate(longer, p, rules, all, n_all);
    }
}

static int better(const void *a_, const void *b_)
{
    const text *a = a_, *b = b_;
    return (a->score < b->score) - (a->score > b->score);
}

static void run(kw_beam_search *b, const kw_beam_args *rules)
{
    kw_status st = KW_OK;
    must(kw_beam_open(rules, b));
    while (st == KW_OK) {
        for (size_t i = 0; i < b->n_live; i++)
            must(kw_beam_offer(b, i, logits_at(b->n, b->n ? b->live[i].id : -1), WORDS));
        must(st = kw_beam_step(b));
    }
    assert_int_equal(st, KW_DONE);
}

/* How many texts there are, and the worst error of a score. */
static size_t compare(kw_beam_args rules, double *worst)
{
    static const int32_t end = END;
    text all[ALL + 1], none = { .n = 0 };
    size_t n_all = 0;
    rules.beams = WIDE;
    rules.max_tokens = LENGTH;
    rules.end_ids = &end;
    rules.n_end_ids = 1;
    enumerate(none, 0, &rules, all, &n_all);
    qsort(all, n_all, sizeof *all, better);
    kw_beam_search b;
    run(&b, &rules);
    assert_int_equal(b.n_finished, n_all);
    for (size_t i = 0; i < n_all; i++) {
        int32_t ids[LENGTH];
        double error = fabs(b.finished[i].score - all[i].score);
        kw_beam_ids(&b, &b.finished[i], ids);
        assert_int_equal(b.finished[i].n, all[i].n);
        assert_memory_equal(ids, all[i].ids, all[i].n * sizeof *ids);
        *worst = error > *worst ? error : *worst;
    }
    kw_beam_close(&b);
    return n_all;
}

TEST(wide_beams_find_every_text_in_the_order_of_its_score)
{
    static const float penalties[] = { 0, 1, 0.5f, 2, -1 };
    double worst = 0;
    for (size_t p = 0; p < sizeof penalties / sizeof *penalties; p++)
        assert_int_equal(compare((kw_beam_args){ .length_penalty = penalties[p] }, &worst), ALL);
    printf("worst error of a score: %.1e\n", worst);
    assert_true(worst < 1e-12);
}

TEST(forbidden_ids_are_left_out_and_the_scores_of_the_others_stay)
{
    double worst = 0;
    size_t least = ALL;
    for (int shortest = 0; shortest <= LENGTH; shortest++)
        for (int ngram = 0; ngram <= 3; ngram++) {
            kw_beam_args rules = { .length_penalty = 1,
                                   .min_tokens = shortest,
                                   .no_repeat_ngram = ngram };
            if (ngram == 1 && shortest > 2) continue; /* there is no third word */
            size_t n = compare(rules, &worst);
            assert_true(n > 0 && (n < ALL || (!shortest && !ngram)));
            least = n < least ? n : least;
        }
    printf("worst error of a score: %.1e, at least %zu texts\n", worst, least);
    assert_true(worst < 1e-12 && least < 8);
}

TEST(what_the_session_has_said_counts_as_said)
{
    static const int32_t before[] = { 2, 0, 1, 2 }; /* 2 0 may not come again */
    kw_beam_search b;
    float logits[WORDS] = { 5, 1, 2 };
    must(kw_beam_open(&(kw_beam_args){ .beams = 1, .max_tokens = 1, .no_repeat_ngram = 2 }, &b));
    b.before = before;
    b.n_before = 4;
    must(kw_beam_offer(&b, 0, logits, WORDS));
    assert_int_equal(kw_beam_step(&b), KW_DONE);
    assert_int_equal(b.node[b.finished[0].last].id, 2);
    kw_beam_close(&b);
}

TEST(when_every_id_is_forbidden_the_search_says_so)
{
    static const int32_t before[] = { 0, 1, 2 };
    kw_beam_search b;
    float logits[WORDS] = { 5, 1, 2 };
    must(kw_beam_open(&(kw_beam_args){ .beams = 1, .max_tokens = 1, .no_repeat_ngram = 1 }, &b));
    b.before = before;
    b.n_before = 3;
    must(kw_beam_offer(&b, 0, logits, WORDS));
    assert_int_equal(kw_beam_step(&b), KW_ELIMIT);
    kw_beam_close(&b);
}

TEST(early_stopping_ends_with_the_first_full_list)
{
    static const int32_t end = END;
    kw_beam_search early, late;
    kw_beam_args rules = {
        .beams = 2, .length_penalty = 2, .max_tokens = LENGTH, .end_ids = &end, .n_end_ids = 1
    };
    run(&late, &rules);
    rules.early_stopping = true;
    run(&early, &rules);
    assert_true(early.n <= late.n && early.n_finished == 2 && late.n_finished == 2);
    assert_true(early.finished[0].score <= late.finished[0].score);
    kw_beam_close(&early);
    kw_beam_close(&late);
}

TEST(logits_that_are_no_numbers_are_an_error)
{
    kw_beam_search b;
    float logits[WORDS] = { 0, NAN, 1 };
    must(kw_beam_open(&(kw_beam_args){ .beams = 1, .max_tokens = 1 }, &b));
    assert_int_equal(kw_beam_offer(&b, 0, logits, WORDS), KW_EINVAL);
    kw_beam_close(&b);
}

/* ---- on a model ---- */

enum { MOST = 128 }; /* words of its vocabulary, or more */

static kw_session *begun(const fixture *f, int batch)
{
    int32_t ids[10];
    kw_session *s = open_session(f, true, batch, 0);
    fill(ids, 10);
    must(kw_session_replace(s, ids, 10));
    return s;
}

static kw_beams *search(kw_session *s, int beams, int n, float penalty)
{
    kw_beams *b = NULL;
    kw_beam_args a = kw_beam_defaults();
    a.beams = beams;
    a.max_tokens = n;
    a.length_penalty = penalty;
    must(kw_session_search(s, &a, &b));
    return b;
}

TEST(one_beam_is_greedy_and_leaves_the_session_alone)
{
    enum { STEPS = 70 }; /* past a page */
    fixture f = open_fixture("golden/llama2-mha");
    kw_session *s = begun(&f, 64);
    kw_beams *b = search(s, 1, STEPS, 0);
    double total = 0;
    assert_int_equal(b->n, 1);
    assert_int_equal(b->at[0].n, STEPS);
    for (int i = 0; i < STEPS; i++) {
        int32_t id;
        size_t n;
        must(kw_session_step(s, &id));
        assert_int_equal(id, b->at[0].ids[i]);
        const float *logits = kw_session_logits(s, &n);
        total += kw_logprob_of(logits, n, id);
    }
    assert_true(fabs(total - b->at[0].score) < 1e-9);
    kw_beams_free(b);
    kw_session_close(s);
    close_fixture(&f);
}

TEST(beams_are_the_same_however_many_rows_a_run_has)
{
    static const int batches[] = { 1, 3, 64 };
    fixture f = open_fixture("golden/llama2-mha");
    kw_beams *first = NULL;
    for (size_t k = 0; k < 3; k++) {
        kw_session *s = begun(&f, batches[k]);
        kw_beams *b = search(s, 5, 80, 1);
        assert_int_equal(b->n, 5);
        for (size_t i = 0; first && i < b->n; i++) {
            assert_int_equal(b->at[i].n, first->at[i].n);
            assert_memory_equal(b->at[i].ids, first->at[i].ids, b->at[i].n * sizeof(int32_t));
            assert_true(b->at[i].score == first->at[i].score);
        }
        if (first) kw_beams_free(b);
        else first = b;
        kw_session_close(s);
    }
    kw_beams_free(first);
    close_fixture(&f);
}

/* All texts of two words whose first is one of the beams' many likeliest. */
static size_t all_pairs(kw_session *s, text *all)
{
    kw_logprob first[KW_BEAMS_MAX], second[MOST];
    int n = 0, m = 0;
    size_t n_all = 0;
    must(kw_session_advance(s, 0));
    must(kw_session_top(s, KW_BEAMS_MAX, first, &n));
    for (int i = 0; i < n; i++) {
        int32_t ids[11];
        fill(ids, 10);
        ids[10] = first[i].id;
        must(kw_session_sync(s, ids, 11));
        must(kw_session_top(s, MOST, second, &m));
        for (int j = 0; j < m; j++) {
            double p = (double)first[i].logprob + (double)second[j].logprob;
            all[n_all++] = (text){ .ids = { first[i].id, second[j].id }, .n = 2, .score = p };
        }
    }
    return n_all;
}

TEST(beams_find_the_best_of_all_pairs_of_words)
{
    static text all[KW_BEAMS_MAX * MOST];
    fixture f = open_fixture("golden/llama2-mha");
    kw_session *s = begun(&f, 64);
    kw_beams *b = search(s, KW_BEAMS_MAX, 2, 0);
    size_t n = all_pairs(s, all);
    double worst = 0;
    qsort(all, n, sizeof *all, better);
    assert_int_equal(b->n, KW_BEAMS_MAX);
    for (size_t i = 0; i < b->n; i++) {
        double error = fabs(b->at[i].score - all[i].score);
        worst = error > worst ? error : worst;
    }
    printf("worst error of a score: %.1e\n", worst);
    assert_true(worst < 1e-5); /* logprobs of `top` are f32 */
    assert_memory_equal(b->at[0].ids, all[0].ids, 2 * sizeof(int32_t));
    kw_beams_free(b);
    kw_session_close(s);
    close_fixture(&f);
}

TEST(a_search_that_cannot_be_is_refused_by_name)
{
    static const int32_t outside = 5000;
    static const struct {
        kw_beam_args args;
        const char *says;
    } wrong[] = {
        { { .beams = 0, .max_tokens = 4 }, "0 beams" },
        { { .beams = 1000000, .max_tokens = 4 }, "1000000 beams" },
        { { .beams = 2, .max_tokens = 0 }, "0 new ids" },
        { { .beams = 2, .max_tokens = 4, .length_penalty = NAN }, "length penalty" },
        { { .beams = 2, .max_tokens = 4, .end_ids = &outside, .n_end_ids = 1 }, "end id 5000" },
        { { .beams = 2, .max_tokens = 4, .n_end_ids = 1 }, "1 end ids" },
    };
    fixture f = open_fixture("golden/llama2-mha");
    kw_session *s = begun(&f, 64), *empty = open_session(&f, true, 64, 0);
    kw_beams *b = NULL;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(kw_session_search(s, &wrong[i].args, &b), KW_EINVAL);
        if (!strstr(kw_error_message(), wrong[i].says)) fail_msg("%s", kw_error_message());
    }
    assert_int_equal(kw_session_search(empty, &(kw_beam_args){ .beams = 2, .max_tokens = 1 }, &b),
                     KW_EINVAL);
    kw_session_cancel(s);
    assert_int_equal(kw_session_search(s, &(kw_beam_args){ .beams = 2, .max_tokens = 1 }, &b),
                     KW_ECANCELED);
    assert_null(b);
    kw_session_close(empty);
    kw_session_close(s);
    close_fixture(&f);
}
