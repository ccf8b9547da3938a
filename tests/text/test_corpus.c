/* test_corpus.c - tokenizers against the ids that the reference libraries gave for one hard corpus: 100 %, both ways. */
#include "base/base.h"
#include "test.h"
#include "text/text.h"

typedef struct corpus {
    kw_arena arena;
    char *texts, *answers;
    const kw_json *lines, *wanted; /* arrays */
} corpus;

/* One JSON value a line, as an array. */
static const kw_json *read_lines(const char *path, kw_arena *arena)
{
    kw_buf all = KW_BUF((size_t)64 << 20, KW_PAY_MISC);
    char *text = NULL;
    size_t len = 0;
    kw_json *root = NULL;
    assert_int_equal(kw_file_read(path, (size_t)32 << 20, &text, &len), KW_OK);
    kw_buf_byte(&all, '[');
    for (size_t i = 0; i < len; i++)
        kw_buf_byte(&all, text[i] == '\n' && i + 1 < len ? ',' : text[i]);
    kw_buf_byte(&all, ']');
    char *kept = kw_arena_strdup(arena, all.data, all.len);
    assert_int_equal(kw_json_parse(kept, all.len, arena, &root), KW_OK);
    kw_buf_free(&all);
    kw_free(text);
    return root;
}

static const kw_json *text_of(const corpus *c, int64_t i)
{
    for (const kw_json *line = c->lines->child; line; line = line->next)
        if (kw_json_get(line, "i")->integer == i) return kw_json_get(line, "s");
    return NULL;
}

static bool same_ids(const kw_ids *got, const kw_json *want)
{
    size_t i = 0;
    for (const kw_json *e = want->child; e; e = e->next, i++)
        if (i >= got->n || got->ids[i] != e->integer) return false;
    return i == got->n;
}

static int encodes(const kw_tokenizer *t, kw_str text, unsigned flags, const kw_json *want)
{
    kw_ids got = { NULL, 0, 0 };
    assert_int_equal(kw_tokenizer_encode(t, text, flags, &got), KW_OK);
    bool ok = same_ids(&got, want);
    if (!ok) {
        printf("\"%.*s\":", (int)(text.n < 60 ? text.n : 60), text.p);
        for (size_t i = 0; i < got.n && i < 24; i++) printf(" %d", (int)got.ids[i]);
        printf("\n   not");
        for (const kw_json *e = want->child; e; e = e->next) printf(" %d", (int)e->integer);
        printf("\n");
    }
    kw_ids_free(&got);
    return !ok;
}

static int decodes(const kw_tokenizer *t, const kw_json *ids, kw_str want)
{
    kw_ids all = { NULL, 0, 0 };
    kw_buf out = KW_BUF((size_t)1 << 24, KW_PAY_MISC),
           streamed = KW_BUF((size_t)1 << 24, KW_PAY_MISC);
    kw_detok d = kw_detok_new(t, 0);
    for (const kw_json *e = ids->child; e; e = e->next) {
        kw_ids_push(&all, (int32_t)e->integer);
        assert_int_equal(kw_detok_push(&d, (int32_t)e->integer, &streamed), KW_OK);
    }
    assert_int_equal(kw_detok_flush(&d, &streamed), KW_OK);
    assert_int_equal(kw_tokenizer_decode(t, all.ids, all.n, 0, &out), KW_OK);
    bool ok = out.len == want.n && (want.n == 0 || memcmp(out.data, want.p, want.n) == 0);
    if (!ok)
        printf("decoded \"%.*s\", not \"%.*s\"\n", (int)out.len, kw_buf_text(&out), (int)want.n,
               want.p);
    assert_int_equal(streamed.len, out.len);
    if (out.len) assert_memory_equal(streamed.data, out.data, out.len);
    kw_ids_free(&all);
    kw_buf_free(&out);
    kw_buf_free(&streamed);
    return !ok;
}

/* `special` is added to the flags where ids with special tokens are wanted. */
static void check_with(const char *name, const char *file, unsigned flags, unsigned special)
{
    char answers[256];
    corpus c = { .arena = KW_ARENA(KW_PAY_MISC) };
    kw_tokenizer *t = NULL;
    int bad = 0, n = 0;
    snprintf(answers, sizeof answers, "golden/tokenizers/%s.jsonl", name);
    const char *corpus_path = test_data("golden/tokenizers/corpus.jsonl"),
               *answers_path = test_data(answers);
    if (!file || !corpus_path || !answers_path)
        SKIP("its tokenizer or corpus is not below KWAAI_TEST_DATA");
    c.lines = read_lines(corpus_path, &c.arena);
    c.wanted = read_lines(answers_path, &c.arena);
    if (kw_tokenizer_open(file, &t)) fail_msg("%s", kw_error_message());
    for (const kw_json *w = c.wanted->child; w; w = w->next, n++) {
        const kw_json *text = text_of(&c, kw_json_get(w, "i")->integer),
                      *decoded = kw_json_get(w, "text");
        const kw_json *ids = kw_json_get(w, "ids"), *with_special = kw_json_get(w, "ids_special");
        bad += encodes(t, text->string, flags, ids);
        bad += encodes(t, text->string, flags | special, with_special ? with_special : ids);
        bad += decodes(t, ids, decoded ? decoded->string : text->string);
    }
    printf("%s: %d strings, %d differences\n", name, n, bad);
    assert_true(n > 300);
    assert_int_equal(bad, 0);
    kw_tokenizer_close(t);
    kw_arena_free(&c.arena);
}

static void check(const char *name, const char *file, unsigned flags)
{
    check_with(name, file, flags, KW_TEXT_ADD_SPECIAL);
}

static const char *smollm2(void)
{
    static char path[1024];
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    const char *file = "kwaai/models/SmolLM2-135M-Instruct.Q4_1.gguf";
    if (cache && *cache) snprintf(path, sizeof path, "%s/%s", cache, file);
    else snprintf(path, sizeof path, "%s/.cache/%s", home ? home : "", file);
    return kw_path_exists(path) ? path : NULL;
}

TEST(smollm2_gguf) { check("smollm2", smollm2(), KW_TEXT_PARSE_SPECIAL); }
TEST(gpt2_gguf)
{
    check("gpt2", test_data("tokenizers/llama.cpp-vocab/ggml-vocab-gpt-2.gguf"),
          KW_TEXT_PARSE_SPECIAL);
}
TEST(gpt2_pair_of_files)
{
    check("gpt2", test_data("tokenizers/gpt2-vocab.json"), KW_TEXT_PARSE_SPECIAL);
}
TEST(llama3_json)
{
    check("llama3", test_data("tokenizers/llama3-tokenizer.json"), KW_TEXT_PARSE_SPECIAL);
}
TEST(qwen3_json)
{
    check("qwen3", test_data("tokenizers/qwen3-tokenizer.json"), KW_TEXT_PARSE_SPECIAL);
}
/* The reference library never takes text for a control token. */
TEST(llama2_sentencepiece)
{
    check("llama2-sp", test_data("tokenizers/llama2-tokenizer.model"), 0);
}
/* tiktoken recognises a special token only when it is allowed to. */
TEST(whisper_tiktoken)
{
    check_with("whisper-gpt2-tiktoken", test_data("tokenizers/whisper-gpt2.tiktoken"), 0,
               KW_TEXT_PARSE_SPECIAL);
}
TEST(whisper_multilingual_tiktoken)
{
    check_with("whisper-multilingual-tiktoken",
               test_data("tokenizers/whisper-multilingual.tiktoken"), 0, KW_TEXT_PARSE_SPECIAL);
}
TEST(gpt_neox_json)
{
    check("gpt-neox-20B", test_data("tokenizers/gpt-neox-20B_tokenizer.json"),
          KW_TEXT_PARSE_SPECIAL);
}
TEST(mistral1_json)
{
    check("mistral1", test_data("tokenizers/mistral1-tokenizer.json"), KW_TEXT_PARSE_SPECIAL);
}
TEST(gemma3_json)
{
    check("gemma3", test_data("tokenizers/gemma3-tokenizer.json"), KW_TEXT_PARSE_SPECIAL);
}
TEST(t5_small_json)
{
    check("t5-small", test_data("tokenizers/t5-small-tokenizer.json"), KW_TEXT_PARSE_SPECIAL);
}
TEST(t5_v1_1_json)
{
    check("t5v1_1", test_data("tokenizers/t5v1_1-tokenizer.json"), KW_TEXT_PARSE_SPECIAL);
}
TEST(t5_sentencepiece) { check("t5-sp", test_data("tokenizers/t5-spiece.model"), 0); }
TEST(falcon_gguf)
{
    check("falcon", test_data("tokenizers/llama.cpp-vocab/ggml-vocab-falcon.gguf"),
          KW_TEXT_PARSE_SPECIAL);
}
TEST(bert_gguf)
{
    check("bert-uncased", test_data("tokenizers/llama.cpp-vocab/ggml-vocab-bert-bge.gguf"),
          KW_TEXT_PARSE_SPECIAL);
}
