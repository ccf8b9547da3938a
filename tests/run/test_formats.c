/* test_formats.c - a model in every block format gives what the same values in f32 give: the same bits in exact mode, and
 * nearly the same logits in fast mode, whether the format has packed kernels or not. */
#include "base/base.h"
#include "run/fixture.h"
#include "tensor/tensor.h"
#include <math.h>

enum { DIM = 256, TOKENS = 64, POOL = 64, LENGTH = 40 };

/* A file under construction: the pool holds blocks of 256 values, from which all weights are drawn. */
typedef struct maker {
    kw_buf out;
    kw_dtype dtype;
    bool as_f32;
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

static size_t bytes_of(const maker *m, size_t i)
{
    size_t row = m->as_f32 || !weights[i].rows ? DIM * sizeof(float) : block_bytes(m);
    return row * (weights[i].rows ? weights[i].rows : 1);
}

static void put_info(maker *m, size_t i, uint64_t at)
{
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
    put_u64(&m->out, N_WEIGHTS);
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

static void logits_of(const char *path, bool exact, float out[TOKENS])
{
    int32_t ids[LENGTH];
    size_t n = 0;
    fixture f = open_fixture_at(path, 2);
    kw_session *s = open_session(&f, exact, 32, LENGTH);
    for (int i = 0; i < LENGTH; i++) ids[i] = (i * 37 + 11) % TOKENS;
    must(kw_session_sync(s, ids, LENGTH));
    const float *x = kw_session_logits(s, &n);
    assert_int_equal(n, TOKENS);
    memcpy(out, x, TOKENS * sizeof *out);
    kw_session_close(s);
    close_fixture(&f);
}

static double check_format(maker *m)
{
    char packed[512], plain[512];
    float got[TOKENS], want[TOKENS], fast[TOKENS];
    double worst = 0, most = 0;
    snprintf(packed, sizeof packed, "%s", test_tmp("packed.gguf"));
    snprintf(plain, sizeof plain, "%s", test_tmp("plain.gguf"));
    write_model(m, false, packed);
    write_model(m, true, plain);
    logits_of(packed, true, got);
    logits_of(plain, true, want);
    assert_memory_equal(got, want, sizeof got);
    logits_of(packed, false, fast);
    for (int i = 0; i < TOKENS; i++) {
        double error = fabs((double)fast[i] - (double)want[i]);
        worst = error > worst ? error : worst;
        most = fabs((double)want[i]) > most ? fabs((double)want[i]) : most;
    }
    assert_true(isfinite(most) && most > 0);
    return worst / most;
}

TEST(every_block_format_computes_what_its_values_do)
{
    static maker m;
    for (int t = 0; t < KW_DTYPE_COUNT; t++) {
        const kw_dtype_info *type = kw_dtype_get((kw_dtype)t);
        if (type->block == 1) continue;
        kw_rng rng;
        kw_rng_seed(&rng, (uint64_t)t);
        m.dtype = (kw_dtype)t;
        fill_pool(&m, &rng);
        double worst = check_format(&m);
        printf("%-7s exact: equal, fast: %.1e of the largest logit\n", type->name, worst);
        assert_true(worst <
                    1e-2); /* bf16 tiles or int8 activations, where a machine has no better */
    }
}
