/* test_quantize_posix.c - which tensor becomes what, that experts are told apart, and that every allocation may fail. */
#include "base/base.h"
#include "fixture.h"
#include "format/format.h"
#include "convert/quant_mix.h"

TEST(patterns_fit_whole_names)
{
    static const struct {
        const char *pattern, *name;
        bool fits;
    } cases[] = {
        { "a", "a", true },
        { "a", "ab", false },
        { "", "", true },
        { "*", "", true },
        { "*", "blk.0", true },
        { "blk.*.w", "blk.10.w", true },
        { "blk.?.w", "blk.10.w", false },
        { "*.w*w", "a.wxw", true },
        { "*ab", "aab", true },
        { "*ab", "aba", false },
        { "a*b*c", "axxbyyc", true },
        { "a*b*c", "axxcyyb", false },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(kw_glob(cases[i].pattern, kw_str_of(cases[i].name)), cases[i].fits);
}

static const char *becomes(const char *mix, kw_recipe_facts f, const char *name, int64_t cols)
{
    kw_named_tensor t = { .name = kw_str_of(name), .tensor = { .dtype = KW_F16, .rank = 2 } };
    bool is_fallback;
    t.tensor.shape[0] = 64;
    t.tensor.shape[1] = cols;
    t.tensor.shape[2] = t.tensor.shape[3] = 1;
    return kw_dtype_get(kw_recipe_choose(kw_recipe_find(mix), &f, &t, &is_fallback))->name;
}

/* Each line is what llama-quantize chose for such a tensor. */
TEST(mixes_choose_what_llama_quantize_chooses)
{
    const kw_recipe_facts llama = { 16, 32, 8, 0, true, false, false },
                          tied = { 16, 32, 8, 0, false, false, false },
                          mixtral = { 32, 32, 8, 8, true, false, false },
                          falcon = { 32, 71, 1, 0, true, true, false };
    assert_string_equal(becomes("Q4_K_M", llama, "output.weight", 2048), "Q6_K");
    assert_string_equal(becomes("Q4_K_M", llama, "token_embd.weight", 2048), "Q4_K");
    assert_string_equal(becomes("Q4_K_M", tied, "token_embd.weight", 2048), "Q6_K");
    assert_string_equal(becomes("Q8_0", llama, "output.weight", 2048), "Q8_0");
    assert_string_equal(becomes("Q4_K_M", llama, "output.weight", 576), "Q8_0");
    assert_string_equal(becomes("Q4_K_M", llama, "blk.0.attn_v.weight", 2048), "Q6_K");
    assert_string_equal(becomes("Q4_K_M", llama, "blk.2.attn_v.weight", 2048), "Q4_K");
    assert_string_equal(becomes("Q4_K_M", llama, "blk.4.ffn_down.weight", 8192), "Q6_K");
    assert_string_equal(becomes("Q3_K_M", llama, "blk.1.attn_v.weight", 2048), "Q5_K");
    assert_string_equal(becomes("Q3_K_M", llama, "blk.0.ffn_down.weight", 8192), "Q5_K");
    assert_string_equal(becomes("Q3_K_M", llama, "blk.1.ffn_down.weight", 8192), "Q4_K");
    assert_string_equal(becomes("Q2_K", llama, "blk.9.attn_v.weight", 2048), "Q4_K");
    assert_string_equal(becomes("Q2_K", llama, "blk.9.attn_output.weight", 2048), "Q3_K");
    assert_string_equal(becomes("Q4_K_M", mixtral, "blk.9.attn_v.weight", 4096), "Q8_0");
    assert_string_equal(becomes("Q4_K_M", mixtral, "blk.9.attn_k.weight", 4096), "Q8_0");
    assert_string_equal(becomes("Q4_K_M", mixtral, "blk.9.attn_output.weight", 4096), "Q5_K");
    assert_string_equal(becomes("Q4_K_M", falcon, "output.weight", 4608), "Q8_0");
    assert_string_equal(becomes("Q4_K_M", falcon, "blk.6.ffn_down.weight", 4608), "Q5_K");
    assert_string_equal(becomes("Q6_K", llama, "blk.0.attn_q.weight", 576), "Q8_0");
    assert_string_equal(becomes("Q4_K_S", llama, "blk.9.attn_q.weight", 576), "Q5_0");
    assert_string_equal(becomes("IQ4_XS", llama, "blk.9.attn_q.weight", 100), "F16");
    assert_string_equal(becomes("Q4_0", llama, "blk.9.attn_norm.weight", 2048), "F16");
    assert_string_equal(becomes("Q4_0", llama, "blk.9.ffn_gate_inp.weight", 2048), "F16");
}

/* The paths of in, importances and out. */
typedef struct paths {
    char in[4096], im[4096], out[4096];
} paths;

static kw_status quantize_with_importance(kw_engine *e, const paths *at)
{
    int32_t ids[40];
    kw_model *m = NULL;
    kw_imatrix_options io = { .session = kw_session_defaults(), .dataset = "ids" };
    const char *override = "blk.1.*=IQ4_NL";
    kw_quantize_options o = { .type = "Q4_0",
                              .imatrix = at->im,
                              .overrides = &override,
                              .n_overrides = 1,
                              .measure = true,
                              .force = true };
    for (int i = 0; i < 40; i++) ids[i] = 3 + i % 30;
    io.session.ctx = 32;
    kw_status st = kw_model_load(e, at->in, NULL, &m);
    if (!st) st = kw_imatrix_make(m, ids, 40, at->im, &io);
    if (!st) st = kw_quantize(e, at->in, at->out, &o, NULL);
    kw_model_release(m);
    return st;
}

TEST(every_allocation_of_quantizing_may_fail)
{
    paths at;
    snprintf(at.in, sizeof at.in, "%s", test_local("golden/gguf-tiny-llama/f16.gguf"));
    snprintf(at.im, sizeof at.im, "%s", test_tmp("im.gguf"));
    snprintf(at.out, sizeof at.out, "%s", test_tmp("q.gguf"));
    kw_engine *e = NULL;
    kw_engine_options eo = kw_engine_defaults();
    eo.threads = 1;
    must(kw_engine_open(&eo, &e));
    size_t before = kw_alloc_live(KW_PAY_COUNT), failures = 0;
    uint64_t start = kw_alloc_count();
    must(quantize_with_importance(e, &at));
    uint64_t n = kw_alloc_count() - start;
    assert_int_equal(kw_alloc_live(KW_PAY_COUNT), before);
    for (uint64_t i = 1; i <= n; i++) {
        kw_alloc_fail_nth(i);
        kw_status st = quantize_with_importance(e, &at);
        kw_alloc_fail_nth(0);
        if (st != KW_OK && st != KW_ENOMEM)
            fail_msg("allocation %d: %s", (int)i, kw_error_message());
        failures += st != KW_OK;
        assert_int_equal(kw_alloc_live(KW_PAY_COUNT), before);
    }
    printf("%d allocations, %d failures\n", (int)n, (int)failures);
    assert_true(failures > 0);
    kw_engine_close(e);
}

/* Experts of one matrix have lines of their own, and counts that add up to the rows times the experts of each. */
TEST(rows_are_counted_for_the_expert_they_go_to)
{
    const float sum2[6] = { 4, 8, 0, 0, 2, 2 }, count[3] = { 4, 0, 2 };
    kw_imatrix_sums row = { KW_STR("blk.0.ffn_up_exps.weight"), 2, 3, sum2, count };
    kw_imatrix_facts facts = { KW_STR("words"), 2, 3 };
    static const float want[6] = { 1, 2, 1, 1, 1, 1 };
    static const char *const names[] = { "e.gguf", "e.dat" };
    for (int i = 0; i < 2; i++) {
        kw_imatrix *m = NULL;
        must(kw_imatrix_write(test_tmp(names[i]), &row, 1, &facts));
        must(kw_imatrix_open(test_tmp(names[i]), &m));
        const kw_imatrix_row *r = kw_imatrix_find(m, row.name);
        assert_non_null(r);
        assert_int_equal(r->cols * r->mats, 6);
        assert_int_equal(m->n_chunks, 2);
        assert_memory_equal(r->mean, want, sizeof want);
        kw_imatrix_close(m);
    }
}
