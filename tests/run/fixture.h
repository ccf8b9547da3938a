/* fixture.h - what the tests of run/ share: an engine with a tiny model, and greedy sessions of it. */
#ifndef KW_TEST_RUN_FIXTURE_H
#define KW_TEST_RUN_FIXTURE_H

#include "kwaai/kwaai.h"
#include "test.h"

typedef struct fixture {
    kw_engine *engine;
    kw_model *model;
} fixture;

static inline void must(kw_status st)
{
    if (st < 0) fail_msg("%s", kw_error_message());
}

/* int8 cache rows want kernels for a tiled cache; rows of kernels without them refuse by name. */
static inline bool has_int8_cache(kw_model *m)
{
    kw_session_options o = kw_session_defaults();
    kw_session *s = NULL;
    o.kv_type = "int8";
    kw_status st = kw_session_open(m, &o, &s);
    kw_session_close(s);
    if (st) assert_int_equal(st, KW_EUNSUPPORTED);
    return st == KW_OK;
}

static inline fixture open_fixture_at(const char *path, int threads)
{
    fixture f = { NULL, NULL };
    kw_engine_options o = kw_engine_defaults();
    o.threads = threads;
    must(kw_engine_open(&o, &f.engine));
    must(kw_model_load(f.engine, path, NULL, &f.model));
    return f;
}

static inline fixture open_fixture(const char *rel) { return open_fixture_at(test_local(rel), 2); }

static inline void close_fixture(fixture *f)
{
    kw_model_release(f->model);
    kw_engine_close(f->engine);
}

static inline kw_session *open_session(const fixture *f, bool exact, int batch, int ctx)
{
    kw_session *s = NULL;
    kw_session_options o = kw_session_defaults();
    kw_sampling greedy = kw_sampling_defaults();
    o.exact = exact;
    o.batch = batch;
    o.ctx = ctx;
    greedy.temperature = 0;
    greedy.ignore_eos = true;
    must(kw_session_open(f->model, &o, &s));
    must(kw_session_set_sampling(s, &greedy));
    return s;
}

enum { N = 120, VOCAB = 90 };

static inline void fill(int32_t *ids, int n)
{
    for (int i = 0; i < n; i++) ids[i] = (i * 37 + 11) % VOCAB;
}

static inline void same_logits(kw_session *a, kw_session *b)
{
    size_t n = 0, m = 0;
    const float *x = kw_session_logits(a, &n), *y = kw_session_logits(b, &m);
    assert_int_equal(n, m);
    assert_memory_equal(x, y, n * sizeof *x);
}

static const char *const models[]
    __attribute__((unused)) = { "golden/llama2-mha", "golden/llama3-gqa-tied",
                                "golden/gguf-tiny-llama/q4_0.gguf" };

#endif
