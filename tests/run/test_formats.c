/* test_formats.c - a model in every block format gives what the same values in f32 give: the same bits in exact mode, and
 * nearly the same logits in fast mode, whether the format has packed kernels or not. A file that is read into memory is packed in
 * its own place, and gives the bits of one that is mapped. */
#include "base/base.h"
#include "kwaai/inspect.h"
#include "run/fixture.h"
#include "tensor/tensor.h"
#include <math.h>

enum { DIM = 256, TOKENS = 70, POOL = 64, LENGTH = 40 }; /* 70: no whole panels */

/* A file under construction: the pool holds blocks of 256 values, from which all weights are drawn. */
typedef struct maker {
    kw_buf out;
    kw_dtype dtype;
    bool as_f32, is_tied; /* tied: the head is the embedding */
    unsigned char pool[POOL][1024];
    float values[POOL][256];
} maker;

static void put_u32(kw_buf *b, uint32_t v) { kw_buf_bytes(b, &v, sizeof v); }
static void put_u64(kw_buf *b, uint64_t v) { kw_buf_bytes(b, &v, sizeof v); }

static void put_text(kw_buf *b, const char *text)
{
    put_u64(b, strlen(text));
    kw_buf_str(b, text);
}

static void put_int(kw_buf *b, const char *key, uint32_t v)
{
    put_text(b, key);
    put_u32(b, 4);
    put_u32(b, v);
}

static size_t block_bytes(const maker *m)
{
    size_t bytes = 0;
    assert_true(kw_dtype_size(m->dtype, 256, &bytes));
    return bytes;
}

static bool is_sane(const float *x)
{
    float most = 0;
    for (int i = 0; i < 256; i++) {
        if (!isfinite(x[i])) return false;
        most = fabsf(x[i]) > most ? fabsf(x[i]) : most;
    }
    return most > 0.02f && most < 0.2f;
}

/* Random bytes, until their values are of a size that weights have. */
static void fill_pool(maker *m, kw_rng *rng)
{
    const kw_dtype_info *type = kw_dtype_get(m->dtype);
    for (int i = 0; i < POOL; i++)
        for (size_t part = 0; part < 256; part += type->block) {
            unsigned char *b = m->pool[i] + part / type->block * type->bytes;
            float all[256] = { 0 };
            do {
                for (size_t k = 0; k < type->bytes; k++) b[k] = (unsigned char)kw_rng_u64(rng);
                type->decode(b, all, type->block);
            } while (!is_sane(all));
            memcpy(m->values[i] + part, all, type->block * sizeof *all);
        }
}

static const struct {
    const char *name;
    uint32_t rows;
} weights[] = {
    { "token_embd.weight", TOKENS },  { "output.weight", TOKENS },
    { "blk.0.attn_q.weight", DIM },   { "blk.0.attn_k.weight", DIM },
    { "blk.0.attn_v.weight", DIM },   { "blk.0.attn_output.weight", DIM },
    { "blk.0.ffn_gate.weight", DIM }, { "blk.0.ffn_up.weight", DIM },
    { "blk.0.ffn_down.weight", DIM }, { "output_norm.weight", 0 },
    { "blk.0.attn_norm.weight", 0 },  { "blk.0.ffn_norm.weight", 0 },
};
enum { N_WEIGHTS = sizeof weights / sizeof *weights };

static bool has(const maker *m, size_t i) { return !m->is_tied || i != 1; }

static size_t bytes_of(const maker *m, size_t i)
{
    if (!has(m, i)) return 0;
    size_t row = m->as_f32 || !weights[i].rows ? DIM * sizeof(float) : block_bytes(m);
    return row * (weights[i].rows ? weights[i].rows : 1);
}

static void put_info(maker *m, size_t i, uint64_t at)
{
    if (!has(m, i)) return;
    put_text(&m->out, weights[i].name);
    put_u32(&m->out, weights[i].rows ? 2 : 1);
    put_u64(&m->out, DIM);
    if (weights[i].rows) put_u64(&m->out, weights[i].rows);
    bool is_f32 = m->as_f32 || !weights[i].rows;
    put_u32(&m->out, is_f32 ? 0 : (uint32_t)kw_dtype_get(m->dtype)->ggml_type);
    put_u64(&m->out, at);
}

static void put_data(maker *m, size_t i, kw_rng *rng)
{
    static const float one = 1.0f;
    if (!has(m, i)) return;
    for (int k = 0; !weights[i].rows && k < DIM; k++) kw_buf_bytes(&m->out, &one, sizeof one);
    for (uint32_t row = 0; row < weights[i].rows; row++) {
        uint64_t at = kw_rng_below(rng, POOL);
        if (m->as_f32) kw_buf_bytes(&m->out, m->values[at], sizeof m->values[at]);
        else kw_buf_bytes(&m->out, m->pool[at], block_bytes(m));
    }
    while (m->out.len % 32) kw_buf_byte(&m->out, 0);
}

static void put_header(maker *m)
{
    kw_buf_bytes(&m->out, "GGUF", 4);
    put_u32(&m->out, 3);
    put_u64(&m->out, N_WEIGHTS - m->is_tied);
    put_u64(&m->out, 8);
    put_text(&m->out, "general.architecture");
    put_u32(&m->out, 8);
    put_text(&m->out, "llama");
    put_int(&m->out, "llama.block_count", 1);
    put_int(&m->out, "llama.embedding_length", DIM);
    put_int(&m->out, "llama.feed_forward_length", DIM);
    put_int(&m->out, "llama.attention.head_count", 4);
    put_int(&m->out, "llama.context_length", 128);
    put_int(&m->out, "llama.vocab_size", TOKENS);
    put_text(&m->out, "llama.attention.layer_norm_rms_epsilon");
    put_u32(&m->out, 6);
    kw_buf_bytes(&m->out, &(float){ 1e-5f }, sizeof(float));
}

static void write_model(maker *m, bool as_f32, const char *path)
{
    kw_file_writer *f = NULL;
    kw_rng rng;
    uint64_t at = 0;
    m->as_f32 = as_f32;
    m->out = KW_BUF((size_t)64 << 20, KW_PAY_MISC);
    put_header(m);
    for (size_t i = 0; i < N_WEIGHTS; i++) {
        put_info(m, i, at);
        at += (bytes_of(m, i) + 31) / 32 * 32;
    }
    while (m->out.len % 32) kw_buf_byte(&m->out, 0);
    kw_rng_seed(&rng, 7);
    for (size_t i = 0; i < N_WEIGHTS; i++) put_data(m, i, &rng);
    must(m->out.status);
    must(kw_file_create(path, &f));
    must(kw_file_append(f, m->out.data, m->out.len));
    must(kw_file_commit(f));
    kw_buf_free(&m->out);
}

/* As a model is loaded by default, which maps the file, or read into memory and packed there. */
static fixture open_model(const char *path, bool in_place)
{
    kw_model_options o = kw_model_defaults();
    fixture f = open_fixture_at(path, 2);
    if (!in_place) return f;
    kw_model_release(f.model);
    size_t before = kw_alloc_live(KW_PAY_COUNT);
    o.no_mmap = true;
    must(kw_model_load(f.engine, path, &o, &f.model));
    uint64_t file = kw_model_describe(f.model).file_bytes;
    assert_true(kw_alloc_live(KW_PAY_COUNT) - before < file + file / 8 + (64 << 10));
    return f;
}

static void ask(const fixture *f, bool exact, float out[TOKENS])
{
    int32_t ids[LENGTH];
    size_t n = 0;
    kw_session *s = open_session(f, exact, 32, LENGTH);
    for (int i = 0; i < LENGTH; i++) ids[i] = (i * 37 + 11) % TOKENS;
    must(kw_session_sync(s, ids, LENGTH));
    const float *x = kw_session_logits(s, &n);
    assert_int_equal(n, TOKENS);
    memcpy(out, x, TOKENS * sizeof *out);
    kw_session_close(s);
}

static void logits_of(const char *path, bool exact, bool in_place, float out[TOKENS])
{
    fixture f = open_model(path, in_place);
    ask(&f, exact, out);
    close_fixture(&f);
}

/* In a file of blocks, wherever they lie: exact results are those of the same values in f32. */
static void check_bits(maker *m, float want[TOKENS], float fast[TOKENS])
{
    char packed[512], plain[512];
    float got[TOKENS];
    snprintf(packed, sizeof packed, "%s", test_tmp("packed.gguf"));
    snprintf(plain, sizeof plain, "%s", test_tmp("plain.gguf"));
    write_model(m, false, packed);
    write_model(m, true, plain);
    logits_of(plain, true, false, want);
    for (int in_place = 0; in_place < 2; in_place++) {
        logits_of(packed, true, in_place, got);
        assert_memory_equal(got, want, sizeof got);
    }
    logits_of(packed, false, false, fast);
    logits_of(packed, false, true, got);
    assert_memory_equal(got, fast, sizeof got);
}

static double check_format(maker *m)
{
    float want[TOKENS], fast[TOKENS];
    double worst = 0, most = 0;
    check_bits(m, want, fast);
    for (int i = 0; i < TOKENS; i++) {
        double error = fabs((double)fast[i] - (double)want[i]);
        worst = error > worst ? error : worst;
        most = fabs((double)want[i]) > most ? fabs((double)want[i]) : most;
    }
    assert_true(isfinite(most) && most > 0);
    return worst / most;
}

static void fill_format(maker *m, kw_dtype t)
{
    kw_rng rng;
    kw_rng_seed(&rng, (uint64_t)t);
    m->dtype = t;
    fill_pool(m, &rng);
}

TEST(every_block_format_computes_what_its_values_do)
{
    static maker m;
    for (int t = 0; t < KW_DTYPE_COUNT; t++) {
        const kw_dtype_info *type = kw_dtype_get((kw_dtype)t);
        if (type->block == 1) continue;
        fill_format(&m, (kw_dtype)t);
        double worst = check_format(&m);
        printf("%-7s exact: equal, fast: %.1e of the largest logit\n", type->name, worst);
        assert_true(worst <
                    1e-2); /* bf16 tiles or int8 activations, where a machine has no better */
    }
}

/* Its rows are embeddings and its panels the head. */
TEST(an_embedding_that_is_the_head_may_be_packed_in_its_place)
{
    static const kw_dtype types[] = { KW_Q4_0, KW_Q8_0, KW_Q6_K };
    static maker m = { .is_tied = true };
    float want[TOKENS], fast[TOKENS];
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        fill_format(&m, types[i]);
        check_bits(&m, want, fast);
    }
}

static void say_nothing(void *user, const kw_finding *f) { (void)user, (void)f; }

TEST(weights_that_were_packed_in_their_place_are_not_shown_as_the_files)
{
    static maker m;
    fill_format(&m, KW_Q4_0);
    write_model(&m, false, test_tmp("place.gguf"));
    fixture f = open_model(test_tmp("place.gguf"), true);
    if (strcmp(kw_model_describe(f.model).packed, "none") == 0)
        printf("this machine's kernels pack nothing\n");
    else assert_int_equal(kw_model_examine(f.model, say_nothing, NULL, NULL, NULL), KW_EINVAL);
    close_fixture(&f);
}

/* Whatever finds no memory: an error, or the same answers. */
TEST(packing_in_place_without_memory_leaves_what_it_finds)
{
    enum { MOST = 2000 };
    static maker m;
    float want[TOKENS], got[TOKENS];
    size_t n = 0;
    int n_loaded = 0;
    kw_model_options o = kw_model_defaults();
    o.no_mmap = true;
    fill_format(&m, KW_Q6_K);
    write_model(&m, false, test_tmp("faults.gguf"));
    fixture f = open_model(test_tmp("faults.gguf"), true);
    ask(&f, true, want);
    for (bool failed = true; failed && n < MOST; n++) {
        kw_model_release(f.model);
        f.model = NULL;
        uint64_t before = kw_alloc_count();
        kw_alloc_fail_nth(n + 1);
        kw_status st = kw_model_load(f.engine, test_tmp("faults.gguf"), &o, &f.model);
        kw_alloc_fail_nth(0);
        failed = kw_alloc_count() - before > n;
        if (st) continue;
        ask(&f, true, got);
        assert_memory_equal(got, want, sizeof got);
        n_loaded++;
    }
    assert_true(n < MOST && n_loaded > 1); /* of which one failed nowhere */
    close_fixture(&f);
}
