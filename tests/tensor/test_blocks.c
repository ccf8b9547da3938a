/* test_blocks.c - packed formats against what gguf-py made of the same bytes: bit for bit, both ways. */
#include "base/base.h"
#include "format/format.h"
#include "tensor/tensor.h"
#include "test.h"

static const char *const types[] = {
    "Q4_0",  "Q4_1",   "Q5_0",   "Q5_1",  "Q8_0",  "Q2_K",    "Q3_K",   "Q4_K",  "Q5_K",
    "Q6_K",  "IQ4_NL", "IQ4_XS", "IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS",
    "IQ3_S", "TQ1_0",  "TQ2_0",  "MXFP4", "NVFP4", "F16",     "BF16",
};

static kw_tensor_file *open_golden(void)
{
    kw_source *s = NULL;
    kw_tensor_file *f = NULL;
    const char *path = test_data("golden/gguf-blocks/golden.safetensors");
    if (!path) return NULL;
    assert_int_equal(kw_source_file(path, (kw_file_options){ 0 }, &s), KW_OK);
    assert_int_equal(kw_tensors_open(s, &f), KW_OK);
    return f;
}

static const kw_tensor *find(const kw_tensor_file *f, const char *type, const char *part)
{
    char name[64];
    snprintf(name, sizeof name, "%s.%s", type, part);
    const kw_named_tensor *t = kw_safetensors_find(f, name);
    return t ? &t->tensor : NULL;
}

static const kw_dtype_info *dtype_named(const char *name)
{
    for (int t = 0; t < KW_DTYPE_COUNT; t++)
        if (!strcmp(kw_dtype_get((kw_dtype)t)->name, name)) return kw_dtype_get((kw_dtype)t);
    fail_msg("no dtype %s", name);
    return NULL;
}

static size_t count(const kw_tensor *t) { return (size_t)(kw_tensor_rows(t) * kw_tensor_cols(t)); }

/* The f32 entry of a type that is neither its input nor its requantized values. */
static const kw_tensor *decoded(const kw_tensor_file *f, const char *type)
{
    static const char *const names[] = { "values", "f32", "dequantized", "out", "dequant" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (find(f, type, names[i])) return find(f, type, names[i]);
    fail_msg("no decoded values of %s", type);
    return NULL;
}

static size_t differences(const float *got, const float *want, size_t n)
{
    size_t bad = 0;
    for (size_t i = 0; i < n; i++) {
        bool both_nan = got[i] != got[i] && want[i] != want[i];
        bad += !both_nan && memcmp(&got[i], &want[i], sizeof *got) != 0;
    }
    return bad;
}

TEST(every_packed_format_decodes_to_the_reference_bits)
{
    kw_tensor_file *f = open_golden();
    if (!f) SKIP("golden/gguf-blocks is not below KWAAI_TEST_DATA");
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        const kw_tensor *blocks = find(f, types[i], "blocks"), *want = decoded(f, types[i]);
        size_t n = count(want);
        float *got = kw_malloc(n * sizeof *got, KW_PAY_MISC);
        assert_non_null(blocks);
        dtype_named(types[i])->decode(blocks->data, got, n);
        size_t bad = differences(got, want->data, n);
        printf("%-7s %zu values, %zu differ\n", types[i], n, bad);
        assert_int_equal(bad, 0);
        kw_free(got);
    }
    kw_safetensors_close(f);
}

TEST(the_encoders_write_the_reference_bytes)
{
    static const char *const encoded[] = { "Q4_0", "Q8_0" };
    kw_tensor_file *f = open_golden();
    if (!f) SKIP("golden/gguf-blocks is not below KWAAI_TEST_DATA");
    for (size_t i = 0; i < sizeof encoded / sizeof *encoded; i++) {
        const kw_tensor *x = find(f, encoded[i], "quant_in"),
                        *want = find(f, encoded[i], "quant_blocks");
        if (!want) want = find(f, encoded[i], "quant_out");
        assert_non_null(want);
        unsigned char *got = kw_malloc(count(want), KW_PAY_MISC);
        dtype_named(encoded[i])->encode(x->data, got, count(x));
        assert_memory_equal(got, want->data, count(want));
        kw_free(got);
    }
    kw_safetensors_close(f);
}

TEST(every_f16_survives_the_way_through_f32)
{
    for (uint32_t h = 0; h < 0x10000; h++) {
        float x = kw_f16_to_f32((uint16_t)h);
        if (x == x) assert_int_equal(kw_f32_to_f16(x), h);
        else assert_true(kw_f16_to_f32(kw_f32_to_f16(x)) != x);
    }
}

TEST(halfway_values_round_to_even)
{
    assert_int_equal(kw_f32_to_f16(1.0f + 1.0f / 2048), 0x3c00);
    assert_int_equal(kw_f32_to_f16(1.0f + 3.0f / 2048), 0x3c02);
    assert_int_equal(kw_f32_to_f16(65520.0f), 0x7c00);
    assert_int_equal(kw_f32_to_f16(65519.0f), 0x7bff);
    assert_int_equal(kw_f32_to_bf16(1.0f + 1.0f / 256), 0x3f80);
    assert_int_equal(kw_f32_to_bf16(1.0f + 3.0f / 256), 0x3f82);
}

TEST(sizes_that_are_no_whole_blocks_or_overflow_are_refused)
{
    size_t bytes;
    assert_true(kw_dtype_size(KW_Q4_0, 64, &bytes));
    assert_int_equal(bytes, 36);
    assert_false(kw_dtype_size(KW_Q4_0, 33, &bytes));
    assert_false(kw_dtype_size(KW_F32, SIZE_MAX / 2, &bytes));
}
