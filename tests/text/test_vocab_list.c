/* test_vocab_list.c - vocabularies in GGUF against the ids that their makers' libraries gave for 47 short texts each:
 * one vocabulary a way of cutting text (tokenizer.ggml.pre). */
#include "base/base.h"
#include "test.h"
#include "text/text.h"

static const char border[] = "\n__ggml_vocab_test__\n";

static kw_str read_all(const char *path)
{
    kw_str all = { NULL, 0 };
    char *text = NULL;
    assert_int_equal(kw_file_read(path, (size_t)1 << 20, &text, &all.n), KW_OK);
    all.p = text;
    return all;
}

/* What stands before the next border, which is taken away. */
static kw_str next_part(kw_str *rest, const char *end)
{
    size_t n = strlen(end);
    for (size_t i = 0; i + n <= rest->n; i++) {
        if (memcmp(rest->p + i, end, n) != 0) continue;
        kw_str part = { rest->p, i };
        *rest = (kw_str){ rest->p + i + n, rest->n - i - n };
        return part;
    }
    kw_str part = *rest;
    rest->n = 0;
    return part;
}

static int differs(const kw_tokenizer *t, kw_str text, kw_str line)
{
    kw_ids got = { NULL, 0, 0 };
    size_t n = 0;
    bool ok = true;
    assert_int_equal(kw_tokenizer_encode(t, text, 0, &got), KW_OK);
    while (line.n) {
        kw_str word = next_part(&line, " ");
        int64_t id;
        if (word.n == 0) continue;
        assert_true(kw_str_i64(word, &id));
        ok = ok && n < got.n && got.ids[n] == id;
        n++;
    }
    ok = ok && n == got.n;
    if (!ok) printf("\"%.*s\"\n", (int)text.n, text.p);
    kw_ids_free(&got);
    return !ok;
}

static void check(const char *name)
{
    char file[128], texts_file[256], ids_file[256];
    kw_tokenizer *t = NULL;
    int n = 0, bad = 0;
    snprintf(file, sizeof file, "tokenizers/llama.cpp-vocab/ggml-vocab-%s.gguf", name);
    snprintf(texts_file, sizeof texts_file, "%s.inp", file);
    snprintf(ids_file, sizeof ids_file, "%s.out", file);
    const char *path = test_data(file), *texts_path = test_data(texts_file),
               *ids_path = test_data(ids_file);
    if (!path || !texts_path || !ids_path) SKIP("the vocabulary is not below KWAAI_TEST_DATA");
    if (kw_tokenizer_open(path, &t)) fail_msg("%s", kw_error_message());
    kw_str texts = read_all(texts_path), ids = read_all(ids_path), rest = texts, lines = ids;
    for (; lines.n; n++) bad += differs(t, next_part(&rest, border), next_part(&lines, "\n"));
    printf("%s: %d texts, %d differences\n", name, n, bad);
    assert_true(n > 40);
    assert_int_equal(bad, 0);
    kw_free((char *)(uintptr_t)texts.p);
    kw_free((char *)(uintptr_t)ids.p);
    kw_tokenizer_close(t);
}

TEST(bert_bge) { check("bert-bge"); }
TEST(deepseek_coder) { check("deepseek-coder"); }
TEST(deepseek_llm) { check("deepseek-llm"); }
TEST(falcon) { check("falcon"); }
TEST(gpt_2) { check("gpt-2"); }
TEST(llama_spm) { check("llama-spm"); }
TEST(mpt) { check("mpt"); }
TEST(phi_3) { check("phi-3"); }
TEST(refact) { check("refact"); }
TEST(starcoder) { check("starcoder"); }
