/* test_embed_posix.c - an embedder over a tiny cross-encoder made here: the n-th allocation fails, for every n, and a text has
 * its vector and score in whatever company and run. */
#include "base/base.h"
#include "format/format.h"
#include "kwaai/kwaai.h"
#include "test.h"
#include <stdio.h>

enum { DIM = 16, FFN = 32, VOCABULARY = 12, POSITIONS = 40, MOST_TENSORS = 32 };

static void must(kw_status st)
{
    if (st) fail_msg("%s", kw_error_message());
}

static void write_text(const char *name, const char *text)
{
    kw_file_writer *w = NULL;
    must(kw_file_create(test_tmp(name), &w));
    must(kw_file_append(w, text, strlen(text)));
    must(kw_file_commit(w));
}

static const struct {
    const char *name;
    int rows, cols; /* rows 0: a vector */
} shapes[] = {
    { "bert.embeddings.word_embeddings.weight", VOCABULARY, DIM },
    { "bert.embeddings.position_embeddings.weight", POSITIONS, DIM },
    { "bert.embeddings.token_type_embeddings.weight", 2, DIM },
    { "bert.embeddings.LayerNorm.weight", 0, DIM },
    { "bert.embeddings.LayerNorm.bias", 0, DIM },
    { "bert.encoder.layer.0.attention.self.query.weight", DIM, DIM },
    { "bert.encoder.layer.0.attention.self.query.bias", 0, DIM },
    { "bert.encoder.layer.0.attention.self.key.weight", DIM, DIM },
    { "bert.encoder.layer.0.attention.self.key.bias", 0, DIM },
    { "bert.encoder.layer.0.attention.self.value.weight", DIM, DIM },
    { "bert.encoder.layer.0.attention.self.value.bias", 0, DIM },
    { "bert.encoder.layer.0.attention.output.dense.weight", DIM, DIM },
    { "bert.encoder.layer.0.attention.output.dense.bias", 0, DIM },
    { "bert.encoder.layer.0.attention.output.LayerNorm.weight", 0, DIM },
    { "bert.encoder.layer.0.attention.output.LayerNorm.bias", 0, DIM },
    { "bert.encoder.layer.0.intermediate.dense.weight", FFN, DIM },
    { "bert.encoder.layer.0.intermediate.dense.bias", 0, FFN },
    { "bert.encoder.layer.0.output.dense.weight", DIM, FFN },
    { "bert.encoder.layer.0.output.dense.bias", 0, DIM },
    { "bert.encoder.layer.0.output.LayerNorm.weight", 0, DIM },
    { "bert.encoder.layer.0.output.LayerNorm.bias", 0, DIM },
    { "bert.pooler.dense.weight", DIM, DIM },
    { "bert.pooler.dense.bias", 0, DIM },
    { "classifier.weight", 1, DIM },
    { "classifier.bias", 0, 1 },
};
enum { N_TENSORS = sizeof shapes / sizeof *shapes };

/* The model's files in the test's folder; once. */
static const char *model_file(void)
{
    static float values[POSITIONS * DIM * N_TENSORS];
    static bool is_made;
    kw_named_tensor t[N_TENSORS];
    kw_rng rng;
    if (is_made) return test_tmp("model.safetensors");
    kw_rng_seed(&rng, 5);
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) values[i] = kw_rng_normal(&rng) / 2;
    for (size_t i = 0; i < N_TENSORS; i++) {
        t[i] = (kw_named_tensor){ .name = kw_str_of(shapes[i].name) };
        t[i].tensor = (kw_tensor){ .dtype = KW_F32, .rank = shapes[i].rows ? 2 : 1 };
        t[i].tensor.shape[0] = shapes[i].rows ? shapes[i].rows : shapes[i].cols;
        t[i].tensor.shape[1] = shapes[i].rows ? shapes[i].cols : 1;
        t[i].tensor.shape[2] = t[i].tensor.shape[3] = 1;
        t[i].tensor.data = values + i * POSITIONS * DIM;
    }
    must(kw_safetensors_write(test_tmp("model.safetensors"), t, N_TENSORS));
    write_text("config.json",
               "{\"model_type\":\"bert\",\"hidden_size\":16,\"intermediate_size\":32,"
               "\"num_hidden_layers\":1,\"num_attention_heads\":2,\"vocab_size\":12,"
               "\"max_position_embeddings\":40,\"type_vocab_size\":2}");
    write_text("vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nb\nc\nd\ne\nf\ng\n");
    is_made = true;
    return test_tmp("model.safetensors");
}

static const kw_text texts[] = { { "a b c", 5 }, { "", 0 }, { "g", 1 }, { "a a b b c c d d", 15 } };
enum { N_TEXTS = sizeof texts / sizeof *texts };

typedef struct answer {
    float vectors[N_TEXTS][DIM], scores[N_TEXTS];
} answer;

/* each: a call a text, else one call; batch: tokens of a run. */
static kw_status ask(kw_engine *engine, bool each, int batch, answer *out)
{
    kw_model *m = NULL;
    kw_embedder *e = NULL;
    kw_embed_options o = kw_embed_defaults();
    o.session.exact = true;
    o.session.batch = batch;
    kw_status st = kw_model_load(engine, model_file(), NULL, &m);
    if (!st) st = kw_embedder_open(m, &o, &e);
    for (size_t i = 0; i < (each ? N_TEXTS : 1) && !st; i++) {
        size_t n = each ? 1 : N_TEXTS;
        st = kw_embed_texts(e, texts + i, n, out->vectors[i]);
        if (!st) st = kw_rerank_texts(e, texts[0], texts + i, n, out->scores + i);
    }
    kw_embedder_close(e);
    kw_model_release(m);
    return st;
}

static kw_engine *open_engine(void)
{
    kw_engine *e = NULL;
    kw_engine_options o = kw_engine_defaults();
    o.threads = 1;
    must(kw_engine_open(&o, &e));
    return e;
}

TEST(a_text_has_its_vector_and_score_in_any_company)
{
    kw_engine *e = open_engine();
    answer want, got;
    must(ask(e, false, 512, &want));
    for (int batch = 1; batch < 40; batch += 9) {
        must(ask(e, batch % 2, batch, &got));
        assert_memory_equal(&got, &want, sizeof want);
    }
    kw_engine_close(e);
}

TEST(every_allocation_of_an_embedder_may_fail)
{
    kw_engine *e = open_engine();
    answer out;
    model_file();
    must(ask(e, false, 8, &out));
    size_t before = kw_alloc_live(KW_PAY_COUNT);
    uint64_t start = kw_alloc_count();
    must(ask(e, false, 8, &out));
    uint64_t total = kw_alloc_count() - start;
    for (uint64_t n = 1; n <= total; n++) {
        kw_alloc_fail_nth(n);
        kw_status st = ask(e, false, 8, &out);
        kw_alloc_fail_nth(0);
        if (st && st != KW_ENOMEM) fail_msg("allocation %d: %s", (int)n, kw_error_message());
        if (kw_alloc_live(KW_PAY_COUNT) != before) fail_msg("allocation %d: a leak", (int)n);
    }
    printf("%d allocations, each failed once\n", (int)total);
    kw_engine_close(e);
}

TEST(sessions_and_batches_of_an_encoder_are_refused_with_what_fits)
{
    kw_engine *e = open_engine();
    kw_model *m = NULL;
    kw_session *s = NULL;
    kw_batch *b = NULL;
    must(kw_model_load(e, model_file(), NULL, &m));
    assert_int_equal(kw_session_open(m, NULL, &s), KW_EINVAL);
    assert_non_null(strstr(kw_error_message(), "kwaai rerank"));
    assert_int_equal(kw_batch_open(m, NULL, &b), KW_EINVAL);
    assert_int_equal(kw_score_texts(m, NULL, texts, 1, &(kw_score){ 0 }), KW_EINVAL);
    kw_model_release(m);
    kw_engine_close(e);
}
