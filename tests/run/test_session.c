/* test_session.c - a text in motion: whatever way it is computed, the bits are the same; limits are errors. */
#include "base/thread.h"
#include "run/fixture.h"

TEST(a_prompt_at_once_equals_token_by_token_in_exact_mode)
{
    int32_t ids[N];
    fill(ids, N);
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        fixture f = open_fixture(models[i]);
        kw_session *whole = open_session(&f, true, 512, N), *single = open_session(&f, true, 1, N);
        must(kw_session_sync(whole, ids, N));
        for (size_t n = 1; n <= N; n++) must(kw_session_sync(single, ids, n));
        same_logits(whole, single);
        kw_session_close(whole);
        kw_session_close(single);
        close_fixture(&f);
    }
}

TEST(what_two_prompts_share_is_kept_and_the_rest_is_as_if_computed_anew)
{
    int32_t ids[N];
    fixture f = open_fixture(models[0]);
    kw_session *a = open_session(&f, true, 16, N), *b = open_session(&f, true, 16, N);
    fill(ids, N);
    must(kw_session_sync(a, ids, 100));
    ids[70] = (ids[70] + 1) % VOCAB;
    must(kw_session_sync(a, ids, 90));
    must(kw_session_sync(b, ids, 90));
    same_logits(a, b);
    must(kw_session_sync(a, ids, 20)); /* a prefix of the text */
    must(kw_session_sync(b, ids, 20));
    same_logits(a, b);
    kw_session_close(a);
    kw_session_close(b);
    close_fixture(&f);
}

TEST(a_fork_goes_its_own_way_and_leaves_the_first_untouched)
{
    int32_t ids[N], id, want[8];
    fixture f = open_fixture(models[1]);
    kw_session *a = open_session(&f, true, 64, N), *b = NULL, *c = open_session(&f, true, 64, N);
    fill(ids, N);
    must(kw_session_sync(c, ids, 70));
    for (int i = 0; i < 8; i++) must(kw_session_step(c, &want[i]));
    must(kw_session_sync(a, ids, 70));
    must(kw_session_fork(a, &b));
    ids[70] = 5;
    must(kw_session_sync(b, ids, 118));
    for (int i = 0; i < 8; i++) {
        must(kw_session_step(a, &id));
        assert_int_equal(id, want[i]);
    }
    kw_session_close(a);
    must(kw_session_step(b, &id)); /* pages outlive the session that made them */
    kw_session_close(b);
    kw_session_close(c);
    close_fixture(&f);
}

typedef struct talker {
    kw_session *session[2];
    int32_t id[2][24];
} talker;

static void talk(void *ctx, int worker)
{
    talker *t = ctx;
    int32_t ids[40];
    fill(ids, 40);
    for (int round = 0; round < 4; round++) {
        must(kw_session_sync(t->session[worker], ids, 30 + (size_t)worker));
        for (int i = 0; i < 24; i++) must(kw_session_step(t->session[worker], &t->id[worker][i]));
    }
}

TEST(sessions_of_two_threads_take_turns_and_say_what_they_say_alone)
{
    fixture f = open_fixture(models[1]);
    talker alone = { { open_session(&f, false, 64, N), open_session(&f, false, 64, N) },
                     { { 0 } } };
    talker both = { { open_session(&f, false, 64, N), open_session(&f, false, 64, N) }, { { 0 } } };
    kw_pool *callers = NULL;
    must(kw_pool_open(2, &callers));
    for (int worker = 0; worker < 2; worker++) talk(&alone, worker);
    kw_pool_run(callers, talk, &both);
    for (int worker = 0; worker < kw_pool_size(callers);
         worker++) /* one where there are no threads */
        assert_memory_equal(alone.id[worker], both.id[worker], sizeof alone.id[worker]);
    kw_pool_close(callers);
    for (int i = 0; i < 2; i++) {
        kw_session_close(alone.session[i]);
        kw_session_close(both.session[i]);
    }
    close_fixture(&f);
}

TEST(a_fork_shares_its_pages_until_it_writes_and_copies_one)
{
    int32_t ids[N];
    fixture f = open_fixture(models[1]);
    kw_session *a = open_session(&f, true, 64, N), *b = NULL;
    fill(ids, N);
    must(kw_session_sync(a, ids, 70));
    size_t two_pages = kw_session_cache(a).bytes;
    must(kw_session_fork(a, &b));
    assert_int_equal(kw_session_cache(b).shared_bytes, two_pages);
    must(kw_session_sync(b, ids, 75)); /* writes behind position 69: the second page */
    assert_int_equal(kw_session_cache(b).bytes, two_pages);
    assert_int_equal(kw_session_cache(b).shared_bytes, two_pages / 2);
    kw_session_close(b);
    assert_int_equal(kw_session_cache(a).shared_bytes, 0);
    kw_session_close(a);
    close_fixture(&f);
}

TEST(cache_types_are_checked)
{
    static const struct {
        const char *type;
        bool exact;
        kw_status status;
    } cases[] = {
        { "", true, KW_OK },      { "f32", true, KW_OK },      { "f16", true, KW_EINVAL },
        { "f16", false, KW_OK },  { "bf16", false, KW_OK },    { "f32", false, KW_OK },
        { "int8", false, KW_OK }, { "int8", true, KW_EINVAL }, { "q4", false, KW_EINVAL }
    };
    int32_t ids[N], id;
    fixture f = open_fixture(models[0]);
    fill(ids, N);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        kw_session_options o = kw_session_defaults();
        kw_session *s = NULL;
        o.kv_type = cases[i].type;
        o.exact = cases[i].exact;
        bool is_int8 = strcmp(cases[i].type, "int8") == 0 && !cases[i].exact;
        kw_status want = is_int8 && !has_int8_cache(f.model) ? KW_EUNSUPPORTED : cases[i].status;
        assert_int_equal(kw_session_open(f.model, &o, &s), want);
        if (!s) continue;
        must(kw_session_sync(s, ids, 70));
        must(kw_session_step(s, &id));
        kw_session_close(s);
    }
    close_fixture(&f);
}

TEST(the_end_of_the_context_is_length_and_a_longer_prompt_an_error_with_both_numbers)
{
    int32_t ids[N], id;
    fixture f = open_fixture(models[0]);
    kw_session *s = open_session(&f, false, 64, 20);
    fill(ids, N);
    assert_int_equal(kw_session_sync(s, ids, 21), KW_ELIMIT);
    assert_non_null(strstr(kw_error_message(), "21"));
    assert_non_null(strstr(kw_error_message(), "20"));
    must(kw_session_sync(s, ids, 18));
    assert_int_equal(kw_session_step(s, &id), KW_OK);
    assert_int_equal(kw_session_step(s, &id), KW_OK);
    assert_int_equal(kw_session_step(s, &id), KW_DONE);
    assert_int_equal(id, -1);
    assert_int_equal(kw_session_finish(s), KW_FINISH_LENGTH);
    kw_session_close(s);
    close_fixture(&f);
}

TEST(a_cancelled_session_says_so_once_and_goes_on)
{
    int32_t ids[N], id;
    fixture f = open_fixture(models[0]);
    kw_session *s = open_session(&f, true, 64, N), *t = open_session(&f, true, 64, N);
    fill(ids, N);
    must(kw_session_sync(s, ids, 10));
    kw_session_cancel(s);
    assert_int_equal(kw_session_step(s, &id), KW_ECANCELED);
    must(kw_session_step(s, &id));
    must(kw_session_sync(t, ids, 10));
    int32_t want;
    must(kw_session_step(t, &want));
    assert_int_equal(id, want);
    kw_session_close(s);
    kw_session_close(t);
    close_fixture(&f);
}

TEST(ids_outside_the_vocabulary_and_empty_prompts_are_refused)
{
    int32_t ids[2] = { 1, 1 << 20 };
    fixture f = open_fixture(models[0]);
    kw_session *s = open_session(&f, false, 64, 20);
    assert_int_equal(kw_session_sync(s, ids, 2), KW_EINVAL);
    assert_non_null(strstr(kw_error_message(), "1048576"));
    assert_int_equal(kw_session_sync(s, ids, 0), KW_EINVAL);
    must(kw_session_sync(s, ids, 1));
    kw_session_close(s);
    close_fixture(&f);
}

TEST(scores_are_the_logarithms_of_probabilities)
{
    int32_t ids[40];
    double logprob[39];
    kw_logprob top[512];
    fixture f = open_fixture(models[0]);
    kw_session *s = open_session(&f, true, 7, 64);
    fill(ids, 40);
    must(kw_session_score(s, ids, 40, logprob));
    for (size_t i = 1; i < 40; i += 13) {
        int n = 0, hit = -1;
        must(kw_session_sync(s, ids, i));
        must(kw_session_top(s, 512, top, &n));
        for (int k = 0; k < n; k++)
            if (top[k].id == ids[i]) hit = k;
        assert_true(hit >= 0);
        double error = logprob[i - 1] - (double)top[hit].logprob;
        assert_true(error < 1e-5 && error > -1e-5);
        for (int k = 1; k < n; k++) assert_true(top[k].logprob <= top[k - 1].logprob);
    }
    kw_session_close(s);
    close_fixture(&f);
}

/* ---- text: the GGUF model has letters for tokens ---- */

typedef struct heard {
    char text[512];
    size_t len;
    int pieces, stop_after;
} heard;

static bool listen(void *user, const char *text, size_t len)
{
    heard *h = user;
    assert_true(h->len + len < sizeof h->text);
    memcpy(h->text + h->len, text, len);
    h->len += len;
    return ++h->pieces != h->stop_after;
}

static kw_generate_result say(kw_session *s, heard *h, const char *stop)
{
    int32_t ids[3] = { 1, 2, 3 };
    kw_generate_result r;
    kw_generate_args args = {
        .max_tokens = 24, .stop = &stop, .n_stop = stop ? 1 : 0, .on_text = listen, .user = h
    };
    must(kw_session_sync(s, ids, 3));
    must(kw_session_generate(s, &args, &r));
    return r;
}

TEST(a_stop_string_ends_the_text_and_is_not_given_out)
{
    fixture f = open_fixture(models[2]);
    kw_session *s = open_session(&f, true, 64, 64);
    heard all = { .len = 0 }, cut = { .len = 0 };
    assert_int_equal(say(s, &all, NULL).finish, KW_FINISH_LENGTH);
    size_t at = all.len / 2;
    while (at + 2 < all.len &&
           (all.text[at] & 0x80 || all.text[at + 1] & 0x80 || all.text[at + 2] & 0x80))
        at++;
    char stop[4] = { 0 };
    memcpy(stop, all.text + at, all.len - at < 3 ? all.len - at : 3);
    const char *first = strstr(all.text, stop);
    assert_int_equal(say(s, &cut, stop).finish, KW_FINISH_STOP);
    assert_int_equal(cut.len, (size_t)(first - all.text));
    assert_memory_equal(cut.text, all.text, cut.len);
    kw_session_close(s);
    close_fixture(&f);
}

TEST(a_listener_that_has_heard_enough_cancels)
{
    fixture f = open_fixture(models[2]);
    kw_session *s = open_session(&f, true, 64, 64);
    heard h = { .stop_after = 2 };
    assert_int_equal(say(s, &h, NULL).finish, KW_FINISH_CANCELED);
    assert_int_equal(h.pieces, 2);
    kw_session_close(s);
    close_fixture(&f);
}

TEST(a_model_opened_to_look_at_it_is_listed_and_refuses_to_run)
{
    kw_model *m = NULL;
    kw_session *s = NULL;
    kw_batch *b = NULL;
    kw_tensor_info t;
    must(kw_model_inspect(test_local(models[0]), NULL, &m));
    kw_model_info info = kw_model_describe(m);
    assert_string_equal(info.family, "llama");
    assert_true(info.n_tensors > 0 && kw_model_tensor(m, info.n_tensors - 1, &t));
    assert_int_equal(kw_session_open(m, NULL, &s), KW_EINVAL);
    assert_int_equal(kw_batch_open(m, NULL, &b), KW_EINVAL);
    assert_int_equal(kw_infer(m, "in", "out", &(kw_infer_options){ .n_want = 0 }), KW_EINVAL);
    assert_int_equal(kw_model_print_plan(m, NULL, 1, NULL, NULL), KW_EINVAL);
    kw_model_release(m);
}
