/* test_encoder_decoder.c - sessions of a T5: the prompt goes to the encoder, and what it makes of it belongs to the text. */
#include "fixture.h"
#include "run/session.h"

static bool open_t5(fixture *f)
{
    const char *path = test_data("golden/t5-v1.1");
    if (path) *f = open_fixture_at(path, 2);
    return path;
}

static void prompt(int32_t *ids, int n, int seed)
{
    for (int i = 0; i < n; i++) ids[i] = 3 + (i * 41 + seed * 17) % 130;
}

static kw_session *begun(const fixture *f, int seed)
{
    int32_t ids[30];
    kw_session *s = open_session(f, true, 64, 0);
    prompt(ids, 30, seed);
    must(kw_session_replace(s, ids, 30));
    return s;
}

enum { STEPS = 12 };

static void say(kw_session *s, int32_t *out)
{
    for (int i = 0; i < STEPS; i++) must(kw_session_step(s, &out[i]));
}

TEST(the_text_begins_with_the_start_id)
{
    fixture f;
    size_t n;
    if (!open_t5(&f)) SKIP("no golden/t5-v1.1 below KWAAI_TEST_DATA");
    kw_session *s = begun(&f, 1);
    assert_int_equal(kw_session_ids(s, &n)[0], 0);
    assert_int_equal(n, 1);
    kw_session_close(s);
    close_fixture(&f);
}

TEST(a_prompt_said_again_gives_the_same_text_and_another_one_gives_another)
{
    fixture f;
    int32_t first[STEPS], again[STEPS], other[STEPS], ids[30];
    if (!open_t5(&f)) SKIP("no golden/t5-v1.1 below KWAAI_TEST_DATA");
    kw_session *s = begun(&f, 1);
    say(s, first);
    const kw_encoded *memory = s->memory;
    prompt(ids, 30, 1);
    must(kw_session_sync(s, ids, 30));
    assert_ptr_equal(s->memory, memory);
    say(s, again);
    assert_memory_equal(first, again, sizeof first);
    prompt(ids, 30, 2);
    must(kw_session_sync(s, ids, 30));
    say(s, other);
    kw_session *fresh = begun(&f, 2);
    say(fresh, again);
    assert_memory_equal(other, again, sizeof other);
    kw_session_close(fresh);
    kw_session_close(s);
    close_fixture(&f);
}

TEST(forks_share_the_memory_and_outlive_each_other)
{
    fixture f;
    int32_t mine[STEPS], theirs[STEPS], id;
    if (!open_t5(&f)) SKIP("no golden/t5-v1.1 below KWAAI_TEST_DATA");
    kw_session *s = begun(&f, 3), *fork = NULL;
    must(kw_session_step(s, &id));
    must(kw_session_fork(s, &fork));
    assert_ptr_equal(s->memory, fork->memory);
    say(s, mine);
    kw_session_close(s);
    say(fork, theirs);
    assert_memory_equal(mine, theirs, sizeof mine);
    kw_session_close(fork);
    close_fixture(&f);
}

TEST(texts_of_a_batch_read_their_own_prompts)
{
    enum { N_TEXTS = 3 };
    fixture f;
    kw_batch *b = NULL;
    kw_session *s[N_TEXTS];
    int32_t alone[N_TEXTS][STEPS], together[N_TEXTS][STEPS];
    if (!open_t5(&f)) SKIP("no golden/t5-v1.1 below KWAAI_TEST_DATA");
    for (int i = 0; i < N_TEXTS; i++) {
        s[i] = begun(&f, i / 2 + 1); /* two of them read the same text, but not the same memory */
        say(s[i], alone[i]);
        kw_session_close(s[i]);
        s[i] = begun(&f, i / 2 + 1);
    }
    must(kw_batch_open(f.model, &s[0]->options, &b));
    for (int i = 0; i < N_TEXTS; i++) must(kw_batch_add(b, s[i]));
    for (int step = 0; step < STEPS; step++) {
        const kw_batch_result *r;
        size_t n;
        must(kw_batch_step(b, &r, &n));
        assert_int_equal(n, N_TEXTS);
        for (int i = 0; i < N_TEXTS; i++) {
            if (r[i].status) fail_msg("%s", r[i].message);
            together[i][step] = r[i].id;
        }
    }
    assert_memory_equal(alone, together, sizeof alone);
    kw_batch_close(b);
    for (int i = 0; i < N_TEXTS; i++) kw_session_close(s[i]);
    close_fixture(&f);
}

TEST(what_an_encoder_model_does_not_do_is_refused_by_name)
{
    fixture f;
    int32_t ids[4] = { 5, 6, 7, 8 };
    double logprob[4];
    if (!open_t5(&f)) SKIP("no golden/t5-v1.1 below KWAAI_TEST_DATA");
    kw_session *s = begun(&f, 1);
    assert_int_equal(kw_session_score(s, ids, 4, logprob), KW_EUNSUPPORTED);
    assert_int_equal(kw_session_set_draft(s, f.model), KW_EUNSUPPORTED);
    ids[2] = 235;
    assert_int_equal(kw_session_replace(s, ids, 4), KW_EINVAL);
    assert_non_null(strstr(kw_error_message(), "235"));
    kw_session_close(s);
    close_fixture(&f);
}
