/* test_faults.c - the n-th allocation fails, for every n, while a model is loaded and says two tokens.
 *
 * Each time the answer is KW_ENOMEM or success, nothing crashes, and afterwards nothing is held. */
#include "base/base.h"
#include "kwaai/kwaai.h"
#include "test.h"

static kw_status load_and_step(const char *path)
{
    kw_engine *e = NULL;
    kw_model *m = NULL;
    kw_session *s = NULL;
    int32_t ids[5] = { 1, 2, 3, 4, 5 }, id;
    kw_engine_options o = kw_engine_defaults();
    kw_session_options so = kw_session_defaults();
    so.ctx = 64;
    o.threads = 1;
    kw_status st = kw_engine_open(&o, &e);
    if (!st) st = kw_model_load(e, path, NULL, &m);
    if (!st) st = kw_session_open(m, &so, &s);
    if (!st) st = kw_session_sync(s, ids, 5);
    for (int i = 0; !st && i < 2; i++) st = kw_session_step(s, &id);
    kw_session_close(s);
    kw_model_release(m);
    kw_engine_close(e);
    return st;
}

static void check(const char *rel)
{
    char path[1024];
    snprintf(path, sizeof path, "%s", test_local(rel));
    size_t before = kw_alloc_live(KW_PAY_COUNT);
    uint64_t start = kw_alloc_count();
    assert_int_equal(load_and_step(path), KW_OK);
    uint64_t total = kw_alloc_count() - start;
    assert_int_equal(kw_alloc_live(KW_PAY_COUNT), before);
    for (uint64_t n = 1; n <= total; n++) {
        kw_alloc_fail_nth(n);
        kw_status st = load_and_step(path);
        kw_alloc_fail_nth(0);
        if (st && st != KW_ENOMEM) fail_msg("allocation %d: %s", (int)n, kw_error_message());
        if (kw_alloc_live(KW_PAY_COUNT) != before)
            fail_msg("allocation %d: something leaked", (int)n);
    }
    printf("%d allocations, each failed once\n", (int)total);
}

TEST(every_allocation_of_a_gguf_load_may_fail) { check("golden/gguf-tiny-llama/q4_0.gguf"); }
TEST(every_allocation_of_a_safetensors_load_may_fail) { check("golden/llama2-mha"); }
