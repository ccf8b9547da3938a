/* test_window.c - a cache that holds a window: pages that no row sees any more are given back, and no bit of any logits changes.
 *
 * The model is golden/llama2-mha told that it is a Mistral with a window of 100 positions; a session whose pages are told that
 * there is no window keeps them all and is what the others must equal. */
#include "run/fixture.h"
#include "run/session.h"
#include <stdio.h>
#include <string.h>

enum { WINDOW = 100, LENGTH = 700, MOST_PAGES = 1 + 2 + 4 + 2 };

static const char *const config =
    "{\"architectures\":[\"MistralForCausalLM\"],\"model_type\":\"mistral\",\"head_dim\":16,"
    "\"hidden_size\":80,\"intermediate_size\":136,\"max_position_embeddings\":2048,"
    "\"num_attention_heads\":5,\"num_hidden_layers\":2,\"num_key_value_heads\":5,"
    "\"rms_norm_eps\":1e-05,\"vocab_size\":307,\"rope_theta\":10000.0,\"sliding_window\":100,"
    "\"bos_token_id\":1,\"eos_token_id\":2,\"tie_word_embeddings\":false}";

static void copy_weights(const char *from, const char *to)
{
    static unsigned char bytes[1 << 20];
    FILE *f = fopen(from, "rb");
    assert_non_null(f);
    size_t n = fread(bytes, 1, sizeof bytes, f);
    fclose(f);
    assert_true(n > 0 && n < sizeof bytes);
    f = fopen(to, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    fclose(f);
}

static fixture open_mistral(void)
{
    char path[512];
    snprintf(path, sizeof path, "%s", test_tmp("config.json"));
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    fputs(config, f);
    fclose(f);
    *strrchr(path, '/') = 0;
    copy_weights(test_local("golden/llama2-mha/model.safetensors"), test_tmp("model.safetensors"));
    fixture m = open_fixture_at(path, 2);
    assert_int_equal(m.model->shape.window, WINDOW);
    return m;
}

static size_t pages_of(const kw_session *s)
{
    size_t n = 0;
    for (size_t i = 0; i < s->pages.n; i++) n += s->pages.page[i] != NULL;
    assert_int_equal(kw_session_cache(s).bytes, n * kw_kv_page_bytes(&s->pages.layout));
    return n;
}

/* The text of both after n tokens more, equal token by token and bit by bit. */
static void step_both(kw_session *a, kw_session *b, int n)
{
    for (int i = 0; i < n; i++) {
        int32_t x = -1, y = -2;
        must(kw_session_step(a, &x));
        must(kw_session_step(b, &y));
        assert_int_equal(x, y);
        same_logits(a, b);
        assert_true(pages_of(a) <= MOST_PAGES);
    }
}

/* exact, batch: of both sessions; b keeps every page. */
static void open_both(const fixture *f, bool exact, int batch, kw_session **a, kw_session **b)
{
    *a = open_session(f, exact, batch, 1024);
    *b = open_session(f, exact, batch, 1024);
    (*b)->pages.window = 0;
}

TEST(a_text_of_seven_windows_has_the_same_logits_and_the_memory_of_one)
{
    fixture f = open_mistral();
    for (int exact = 0; exact < 2; exact++) {
        int32_t ids[LENGTH];
        kw_session *a = NULL, *b = NULL;
        fill(ids, LENGTH);
        open_both(&f, exact, 64, &a, &b);
        must(kw_session_sync(a, ids, 5));
        must(kw_session_sync(b, ids, 5));
        step_both(a, b, 400);
        must(kw_session_sync(a, ids, LENGTH)); /* another text, in chunks */
        must(kw_session_sync(b, ids, LENGTH));
        same_logits(a, b);
        step_both(a, b, 20);
        assert_true(pages_of(b) == (LENGTH + 20 + 63) / 64);
        kw_session_close(a);
        kw_session_close(b);
    }
    close_fixture(&f);
}

TEST(who_goes_back_finds_the_same_logits_near_or_far)
{
    static const int lengths[] = { 650, 600, 390, 300, 50, 640 };
    fixture f = open_mistral();
    int32_t ids[LENGTH];
    kw_session *a = NULL, *b = NULL;
    fill(ids, LENGTH);
    open_both(&f, true, 64, &a, &b);
    must(kw_session_sync(a, ids, LENGTH));
    must(kw_session_sync(b, ids, LENGTH));
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        must(kw_session_sync(a, ids, (size_t)lengths[i]));
        must(kw_session_sync(b, ids, (size_t)lengths[i]));
        same_logits(a, b);
        step_both(a, b, 3);
    }
    must(kw_session_sync(a, ids, LENGTH));
    must(kw_session_replace(a, ids, LENGTH - 250)); /* near: its rows are there */
    assert_int_equal(a->n_done, LENGTH - 251);
    must(kw_session_sync(a, ids, LENGTH));
    must(kw_session_replace(a, ids, LENGTH - 450)); /* far: from the beginning */
    assert_int_equal(a->n_done, 0);
    kw_session_close(a);
    kw_session_close(b);
    close_fixture(&f);
}

TEST(forks_share_the_window_and_scores_do_not_change)
{
    fixture f = open_mistral();
    int32_t ids[LENGTH];
    static double x[LENGTH], y[LENGTH];
    kw_session *a = NULL, *b = NULL, *c = NULL;
    fill(ids, LENGTH);
    open_both(&f, true, 48, &a, &b);
    must(kw_session_sync(a, ids, LENGTH));
    must(kw_session_sync(b, ids, LENGTH));
    must(kw_session_fork(a, &c));
    assert_int_equal(pages_of(c), pages_of(a));
    kw_session_close(a);
    step_both(c, b, 150);
    must(kw_session_score(c, ids, LENGTH, x));
    must(kw_session_score(b, ids, LENGTH, y));
    assert_memory_equal(x, y, (LENGTH - 1) * sizeof *x);
    assert_true(pages_of(c) <= MOST_PAGES);
    step_both(c, b, 2);
    kw_session_close(b);
    kw_session_close(c);
    close_fixture(&f);
}
