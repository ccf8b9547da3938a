/* test_faults.c - the n-th allocation fails, for every n, while a model is loaded and says two tokens: alone, with a draft
 * model and looked-up guesses, and as two forks in a batch.
 *
 * Each time the answer is KW_ENOMEM or success, nothing crashes, and afterwards nothing is held. */
#include "base/base.h"
#include "kwaai/kwaai.h"
#include "run/session.h"
#include "test.h"

typedef kw_status (*scenario)(kw_model *m, kw_session *s);

static const int32_t text[6] = { 3, 4, 3, 4, 3, 4 };

static kw_status two_steps(kw_model *m, kw_session *s)
{
    int32_t id;
    (void)m;
    kw_status st = kw_session_sync(s, text, 6);
    for (int i = 0; !st && i < 2; i++) st = kw_session_step(s, &id);
    return st;
}

static kw_status with_guesses(kw_model *m, kw_session *s)
{
    kw_session *fork = NULL;
    kw_status st = kw_session_set_draft(s, m);
    s->speculation.is_timed = false;
    s->speculation.row_cost = -0.2f;
    s->speculation.draft_cost = 0;
    if (!st) st = two_steps(m, s); /* drafted */
    s->speculation.looks_up = true;
    if (!st) st = kw_session_fork(s, &fork);
    if (!st) st = two_steps(m, fork);
    kw_session_close(fork);
    return st;
}

/* The failure of a session counts as the step's. */
static kw_status step_all(kw_batch *b)
{
    const kw_batch_result *r;
    size_t n;
    kw_status st = kw_batch_step(b, &r, &n);
    for (size_t i = 0; !st && i < n; i++)
        if (r[i].status < 0) st = kw_fail(r[i].status, "session %d: %s", (int)i, r[i].message);
    return st;
}

static kw_status as_a_batch(kw_model *m, kw_session *s)
{
    kw_batch *b = NULL;
    kw_session *fork = NULL;
    kw_status st = kw_batch_open(m, NULL, &b);
    if (!st) st = kw_session_sync(s, text, 6);
    if (!st) st = kw_session_fork(s, &fork);
    if (!st) st = kw_batch_add(b, s);
    if (!st) st = kw_batch_add(b, fork);
    for (int i = 0; !st && i < 2; i++) st = step_all(b);
    kw_session_close(fork);
    kw_batch_close(b);
    return st;
}

static kw_status in_beams(kw_model *m, kw_session *s)
{
    kw_beams *b = NULL;
    kw_beam_args a = kw_beam_defaults();
    (void)m;
    a.beams = 3;
    a.max_tokens = 3;
    kw_status st = kw_session_sync(s, text, 6);
    if (!st) st = kw_session_search(s, &a, &b);
    kw_beams_free(b);
    return st;
}

/* The memory of a prompt, a fork that shares it, and another prompt. */
static kw_status two_prompts(kw_model *m, kw_session *s)
{
    kw_session *fork = NULL;
    kw_status st = in_beams(m, s);
    if (!st) st = kw_session_fork(s, &fork);
    if (!st) st = kw_session_sync(s, text, 5);
    kw_session_close(fork);
    return st;
}

static kw_status load_and_say(const char *path, scenario say)
{
    kw_engine *e = NULL;
    kw_model *m = NULL;
    kw_session *s = NULL;
    kw_engine_options o = kw_engine_defaults();
    kw_session_options so = kw_session_defaults();
    so.ctx = 64;
    o.threads = 1;
    kw_status st = kw_engine_open(&o, &e);
    if (!st) st = kw_model_load(e, path, NULL, &m);
    if (!st) st = kw_session_open(m, &so, &s);
    if (!st) st = say(m, s);
    kw_session_close(s);
    kw_model_release(m);
    kw_engine_close(e);
    return st;
}

static void check_at(const char *rel, scenario say)
{
    char path[1024];
    snprintf(path, sizeof path, "%s", rel);
    size_t before = kw_alloc_live(KW_PAY_COUNT);
    uint64_t start = kw_alloc_count();
    assert_int_equal(load_and_say(path, say), KW_OK);
    uint64_t total = kw_alloc_count() - start;
    assert_int_equal(kw_alloc_live(KW_PAY_COUNT), before);
    for (uint64_t n = 1; n <= total; n++) {
        kw_alloc_fail_nth(n);
        kw_status st = load_and_say(path, say);
        kw_alloc_fail_nth(0);
        if (st && st != KW_ENOMEM) fail_msg("allocation %d: %s", (int)n, kw_error_message());
        if (kw_alloc_live(KW_PAY_COUNT) != before)
            fail_msg("allocation %d: something leaked", (int)n);
    }
    printf("%d allocations, each failed once\n", (int)total);
}

static void check(const char *rel, scenario say) { check_at(test_local(rel), say); }

TEST(every_allocation_of_a_gguf_load_may_fail)
{
    check("golden/gguf-tiny-llama/q4_0.gguf", two_steps);
}
TEST(every_allocation_of_a_safetensors_load_may_fail) { check("golden/llama2-mha", two_steps); }
TEST(every_allocation_of_a_speculation_may_fail) { check("golden/llama3-gqa-tied", with_guesses); }
TEST(every_allocation_of_a_batch_may_fail) { check("golden/llama3-gqa-tied", as_a_batch); }
TEST(every_allocation_of_a_beam_search_may_fail) { check("golden/llama3-gqa-tied", in_beams); }
TEST(every_allocation_of_an_encoder_and_its_decoder_may_fail)
{
    const char *path = test_data("golden/t5-v1.1");
    if (!path) SKIP("no golden/t5-v1.1 below KWAAI_TEST_DATA");
    check_at(path, two_prompts);
}
