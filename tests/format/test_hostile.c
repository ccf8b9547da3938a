/* test_hostile.c - files that lie: cut short at every byte, with flipped bits, with counts near 2^64.
 *
 * A reader may refuse or accept, but it answers: no crash, no long allocation, nothing leaked. Run under the sanitizers,
 * an out-of-bounds read is a failure too. */
#include "base/base.h"
#include "format/format.h"
#include "test.h"

static char *read_local(const char *rel, size_t *len)
{
    char *text = NULL;
    assert_int_equal(kw_file_read(test_local(rel), (size_t)8 << 20, &text, len), KW_OK);
    return text;
}

/* Opens the bytes as a checkpoint and touches every tensor's first and last byte. */
static kw_status open_bytes(const void *data, size_t len)
{
    kw_source *s = NULL;
    kw_checkpoint *ck = NULL;
    kw_status st = kw_source_memory(data, len, "memory", &s);
    if (!st) st = kw_checkpoint_from_source(s, KW_STR("{\"model_type\":\"llama\"}"), &ck);
    volatile unsigned sum = 0;
    for (size_t i = 0; !st && i < kw_checkpoint_count(ck); i++) {
        const kw_tensor *t = &kw_checkpoint_at(ck, i)->tensor;
        const unsigned char *bytes = t->data;
        size_t n = (size_t)kw_tensor_rows(t) * kw_tensor_row_bytes(t);
        if (n) sum += bytes[0] + bytes[n - 1];
    }
    kw_checkpoint_close(ck);
    return st;
}

/* A copy in a block of its own size, so that a read behind the end is seen. */
static kw_status open_prefix(const char *data, size_t len)
{
    char *copy = kw_malloc(len, KW_PAY_MISC);
    if (len) memcpy(copy, data, len);
    kw_status st = open_bytes(copy, len);
    kw_free(copy);
    return st;
}

static void check_truncation(const char *rel, size_t header)
{
    size_t len;
    char *data = read_local(rel, &len);
    assert_int_equal(open_bytes(data, len), KW_OK);
    size_t before = kw_alloc_live(KW_PAY_COUNT);
    for (size_t n = 0; n < len; n += n < header ? 1 : 997) {
        assert_true(open_prefix(data, n) < 0);
        assert_true(kw_error_message()[0] != 0);
    }
    assert_int_equal(kw_alloc_live(KW_PAY_COUNT), before);
    kw_free(data);
}

TEST(a_gguf_cut_at_any_byte_is_refused)
{
    check_truncation("golden/gguf-tiny-llama/q4_0.gguf", 4200);
}
TEST(a_safetensors_cut_at_any_byte_is_refused)
{
    check_truncation("golden/llama2-mha/model.safetensors", 3000);
}

TEST(a_zip_of_pytorch_cut_at_any_byte_is_refused)
{
    check_truncation("torch/views-zip-4.pt", 8000);
}
TEST(an_old_file_of_pytorch_cut_at_any_byte_is_refused)
{
    check_truncation("torch/views-legacy-2.pt", 8000);
}

/* Flips 1 to 4 bits of the header, opens, flips them back. */
static void check_mutations(const char *rel, size_t header, int n)
{
    size_t len, opened = 0, before = kw_alloc_live(KW_PAY_COUNT);
    char *data = read_local(rel, &len);
    kw_rng rng;
    kw_rng_seed(&rng, 42);
    for (int i = 0; i < n; i++) {
        size_t at[4];
        char bit[4];
        int flips = 1 + (int)kw_rng_below(&rng, 4);
        for (int k = 0; k < flips; k++) {
            at[k] = (size_t)kw_rng_below(&rng, header);
            bit[k] = (char)(1u << kw_rng_below(&rng, 8));
            data[at[k]] ^= bit[k];
        }
        opened += open_bytes(data, len) == KW_OK;
        for (int k = 0; k < flips; k++) data[at[k]] ^= bit[k];
    }
    printf("%d mutations, %zu still open\n", n, opened);
    assert_int_equal(open_bytes(data, len), KW_OK);
    kw_free(data);
    assert_int_equal(kw_alloc_live(KW_PAY_COUNT), before);
}

TEST(flipped_bits_in_a_gguf_are_survived)
{
    check_mutations("golden/gguf-tiny-llama/q4_0.gguf", 4200, 50000);
}
TEST(flipped_bits_in_a_safetensors_are_survived)
{
    check_mutations("golden/llama2-mha/model.safetensors", 3000, 50000);
}

TEST(flipped_bits_in_a_zip_of_pytorch_are_survived)
{
    check_mutations("torch/views-zip-4.pt", 1900, 50000);
}
TEST(flipped_bits_in_an_old_file_of_pytorch_are_survived)
{
    check_mutations("torch/views-legacy-2.pt", 800, 50000);
}

/* The n-th allocation fails, for every n that there is. */
static void check_faults(const char *rel)
{
    size_t len, before = kw_alloc_live(KW_PAY_COUNT);
    char *data = read_local(rel, &len);
    kw_status st = KW_ENOMEM;
    for (uint64_t n = 1; st; n++) {
        kw_alloc_fail_nth(n);
        st = open_bytes(data, len);
        kw_alloc_fail_nth(0);
        assert_true(st == KW_OK || st == KW_ENOMEM);
    }
    kw_free(data);
    assert_int_equal(kw_alloc_live(KW_PAY_COUNT), before);
}

TEST(no_memory_for_a_file_of_pytorch_is_an_error)
{
    check_faults("torch/views-zip-4.pt");
    check_faults("torch/views-legacy-2.pt");
}

TEST(flipped_bits_and_no_memory_in_old_ggml_and_in_numpys_arrays)
{
    static const char *const paths[] = { "../../fuzz/corpus/ggml/ggjt1",
                                         "../../fuzz/corpus/ggml/ggml",
                                         "../../fuzz/corpus/npy/1.npy",
                                         "../../fuzz/corpus/npy/two.npz" };
    static const size_t headers[] = { 400, 400, 176, 474 };
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        check_mutations(paths[i], headers[i], 20000);
        check_faults(paths[i]);
    }
}

/* ---- headers written to lie ---- */

typedef struct bytes {
    unsigned char data[256];
    size_t n;
} bytes;

static void put(bytes *b, const void *p, size_t n)
{
    memcpy(b->data + b->n, p, n);
    b->n += n;
}

static void put_u32(bytes *b, uint32_t v) { put(b, &v, sizeof v); }
static void put_u64(bytes *b, uint64_t v) { put(b, &v, sizeof v); }

static void put_text(bytes *b, const char *text)
{
    put_u64(b, strlen(text));
    put(b, text, strlen(text));
}

static bytes header(uint32_t version, uint64_t n_tensors, uint64_t n_keys)
{
    bytes b = { .n = 0 };
    put(&b, "GGUF", 4);
    put_u32(&b, version);
    put_u64(&b, n_tensors);
    put_u64(&b, n_keys);
    return b;
}

static void refused(const bytes *b, const char *part)
{
    kw_status st = open_bytes(b->data, b->n);
    if (st >= 0 || !strstr(kw_error_message(), part))
        fail_msg("%d: %s (wanted \"%s\")", st, kw_error_message(), part);
}

TEST(counts_near_2_to_the_64_allocate_nothing)
{
    static const uint64_t huge[] = { UINT64_MAX, UINT64_MAX - 1, (uint64_t)1 << 63,
                                     (uint64_t)1 << 40 };
    for (size_t i = 0; i < sizeof huge / sizeof *huge; i++) {
        size_t peak = kw_alloc_peak();
        bytes a = header(3, huge[i], 0), b = header(3, 0, huge[i]), c = header(3, 0, 1),
              d = header(3, 0, 1);
        put_u64(&c, huge[i]); /* the key's length */
        put_text(&d, "tokens");
        put_u32(&d, 9); /* an array */
        put_u32(&d, 8); /* of strings */
        put_u64(&d, huge[i]);
        refused(&a, "");
        refused(&b, "");
        refused(&c, "");
        refused(&d, "");
        assert_true(kw_alloc_peak() - peak < (1 << 20));
    }
}

TEST(other_byte_orders_and_versions_are_named)
{
    bytes big = { .n = 0 };
    put(&big, "GGUF\0\0\0\3", 8);
    put_u64(&big, 0);
    put_u64(&big, 0);
    refused(&big, "big-endian");
    bytes newer = header(9, 0, 0);
    refused(&newer, "9");
}

static bytes one_tensor(uint64_t rows, uint64_t cols, uint32_t type, uint64_t offset)
{
    bytes b = header(3, 1, 0);
    put_text(&b, "w");
    put_u32(&b, 2);
    put_u64(&b, cols);
    put_u64(&b, rows);
    put_u32(&b, type);
    put_u64(&b, offset);
    while (b.n % 32) b.data[b.n++] = 0;
    b.n += 32;
    return b;
}

TEST(tensors_outside_the_file_or_off_its_alignment_are_refused)
{
    bytes fits = one_tensor(2, 4, 0, 0);
    assert_int_equal(open_bytes(fits.data, fits.n), KW_OK);
    bytes outside = one_tensor(2, 5, 0, 0), far_off = one_tensor(2, 4, 0, UINT64_MAX - 31);
    refused(&outside, "w");
    refused(&far_off, "w");
    bytes crooked = one_tensor(1, 1, 0, 4),
          overflow = one_tensor((uint64_t)1 << 62, (uint64_t)1 << 62, 0, 0);
    refused(&crooked, "multiple of 32");
    refused(&overflow, "w");
    bytes part_of_a_block = one_tensor(1, 31, 2, 0), unknown_type = one_tensor(1, 4, 4242, 0);
    refused(&part_of_a_block, "w");
    refused(&unknown_type, "4242");
}

static void refused_safetensors(const char *json, const char *part)
{
    char file[1024] = { 0 };
    size_t len = strlen(json);
    uint64_t n = len;
    memcpy(file, &n, 8);
    memcpy(file + 8, json, len);
    kw_status st = open_bytes(file, 8 + len + 16);
    if (st >= 0 || !strstr(kw_error_message(), part))
        fail_msg("%d: %s (wanted \"%s\")", st, kw_error_message(), part);
}

TEST(safetensors_headers_that_lie_are_refused)
{
    refused_safetensors("{\"w\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,12]}}", "w");
    refused_safetensors("{\"w\":{\"dtype\":\"F32\",\"shape\":[5],\"data_offsets\":[0,20]}}", "w");
    refused_safetensors("{\"w\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[16,0]}}", "w");
    refused_safetensors("{\"w\":{\"dtype\":\"X9\",\"shape\":[4],\"data_offsets\":[0,16]}}", "X9");
    refused_safetensors("{\"w\":{\"dtype\":\"F32\",\"shape\":[-4],\"data_offsets\":[0,16]}}", "w");
    refused_safetensors(
        "{\"w\":{\"dtype\":\"F32\",\"shape\":[9223372036854775807,8],\"data_offsets\":[0,16]}}",
        "w");
    refused_safetensors("{\"a\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]},"
                        "\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,16]}}",
                        "share bytes");
    refused_safetensors("[1,2]", "");
    refused_safetensors("{\"w\":", "");
}
