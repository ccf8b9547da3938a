/* test_alloc.c - memory is aligned, counted, paid for by name, and fails when a test says so. */
#include "base/base.h"
#include "test.h"

static const size_t sizes[] = { 0, 1, 15, 16, 17, 1023, 1024, 1025, 4096, 100000, 5 << 20 };
enum { N_SIZES = sizeof sizes / sizeof sizes[0] };

static void fill(void *block, size_t n)
{
    unsigned char *p = block;
    for (size_t i = 0; i < n; i++) p[i] = (unsigned char)(i * 7 + i / 251);
}

static void expect_filled(const void *block, size_t n)
{
    const unsigned char *p = block;
    for (size_t i = 0; i < n; i++)
        if (p[i] != (unsigned char)(i * 7 + i / 251)) fail_msg("byte %zu of %zu is lost", i, n);
}

TEST(blocks_of_one_kib_are_aligned_to_64_bytes_and_smaller_ones_to_16)
{
    for (size_t i = 0; i < N_SIZES; i++) {
        char *p = kw_malloc(sizes[i], KW_PAY_MISC);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % (sizes[i] >= 1024 ? 64 : 16), 0);
        fill(p, sizes[i]);
        expect_filled(p, sizes[i]);
        kw_free(p);
    }
}

TEST(every_byte_is_counted_for_its_payer_until_it_is_freed)
{
    size_t kv = kw_alloc_live(KW_PAY_KV), text = kw_alloc_live(KW_PAY_TEXT);
    size_t all = kw_alloc_live(KW_PAY_COUNT);
    uint64_t count = kw_alloc_count();
    void *a = kw_malloc(1000, KW_PAY_KV), *b = kw_calloc(3, 100, KW_PAY_TEXT);
    assert_int_equal(kw_alloc_live(KW_PAY_KV) - kv, 1000);
    assert_int_equal(kw_alloc_live(KW_PAY_TEXT) - text, 300);
    assert_int_equal(kw_alloc_live(KW_PAY_COUNT) - all, 1300);
    assert_int_equal(kw_alloc_count() - count, 2);
    a = kw_realloc(a, 5000, KW_PAY_TEXT); /* who grows a block takes it over */
    assert_int_equal(kw_alloc_live(KW_PAY_KV), kv);
    assert_int_equal(kw_alloc_live(KW_PAY_TEXT) - text, 5300);
    kw_free(a);
    kw_free(b);
    kw_free(NULL);
    assert_int_equal(kw_alloc_live(KW_PAY_COUNT), all);
}

TEST(the_peak_is_the_highest_total_and_never_falls)
{
    size_t live = kw_alloc_live(KW_PAY_COUNT);
    void *p = kw_malloc(64 << 20, KW_PAY_MISC);
    assert_true(kw_alloc_peak() >= live + (64 << 20));
    size_t peak = kw_alloc_peak();
    kw_free(p);
    assert_int_equal(kw_alloc_peak(), peak);
}

TEST(calloc_gives_zeros_and_refuses_products_that_overflow)
{
    char *p = kw_calloc(1000, 3, KW_PAY_MISC);
    for (size_t i = 0; i < 3000; i++) assert_int_equal(p[i], 0);
    kw_free(p);
    assert_null(kw_calloc(SIZE_MAX / 2, 3, KW_PAY_PLAN));
    assert_non_null(strstr(kw_error_message(), "plans"));
}

TEST(a_size_that_cannot_be_is_refused_with_its_payer)
{
    assert_null(kw_malloc(SIZE_MAX, KW_PAY_KV));
    assert_non_null(strstr(kw_error_message(), kw_payer_name(KW_PAY_KV)));
    assert_null(kw_malloc(SIZE_MAX - 70, KW_PAY_KV));
    assert_null(kw_malloc(SIZE_MAX / 2, KW_PAY_KV));
}

TEST(realloc_keeps_the_bytes_from_every_size_to_every_size)
{
    for (size_t i = 0; i < N_SIZES; i++)
        for (size_t j = 0; j < N_SIZES; j++) {
            char *p = kw_malloc(sizes[i], KW_PAY_MISC);
            fill(p, sizes[i]);
            p = kw_realloc(p, sizes[j], KW_PAY_MISC);
            assert_non_null(p);
            assert_int_equal((uintptr_t)p % (sizes[j] >= 1024 ? 64 : 16), 0);
            expect_filled(p, sizes[i] < sizes[j] ? sizes[i] : sizes[j]);
            kw_free(p);
        }
}

TEST(a_failed_realloc_leaves_the_block_as_it_was)
{
    char *p = kw_malloc(100, KW_PAY_MISC);
    fill(p, 100);
    assert_null(kw_realloc(p, SIZE_MAX / 2, KW_PAY_MISC));
    kw_alloc_fail_nth(1);
    assert_null(kw_realloc(p, 200, KW_PAY_MISC));
    expect_filled(p, 100);
    kw_free(p);
}

TEST(the_nth_allocation_fails_and_only_that_one)
{
    for (int n = 1; n <= 5; n++) {
        kw_alloc_fail_nth((uint64_t)n);
        for (int i = 1; i <= 6; i++) {
            void *p = i % 2 ? kw_malloc(8, KW_PAY_MISC) : kw_calloc(1, 8, KW_PAY_MISC);
            assert_int_equal(p == NULL, i == n);
            kw_free(p);
        }
    }
    kw_alloc_fail_nth(1);
    kw_alloc_fail_nth(0);
    void *p = kw_malloc(8, KW_PAY_MISC);
    assert_non_null(p);
    kw_free(p);
}

TEST(checked_sums_and_products_say_when_they_overflow)
{
    size_t out = 0;
    assert_true(kw_mul_size(SIZE_MAX, 1, &out) && out == SIZE_MAX);
    assert_true(kw_mul_size(SIZE_MAX, 0, &out) && out == 0);
    assert_true(kw_mul_size(0, SIZE_MAX, &out) && out == 0);
    assert_false(kw_mul_size(SIZE_MAX / 2 + 1, 2, &out));
    assert_true(kw_add_size(SIZE_MAX - 1, 1, &out) && out == SIZE_MAX);
    assert_false(kw_add_size(SIZE_MAX, 1, &out));
}

TEST(an_arena_gives_zeroed_aligned_blocks_that_do_not_touch)
{
    enum { N = 5000 };
    static unsigned char *blocks[N];
    size_t live = kw_alloc_live(KW_PAY_TEXT);
    kw_arena a = KW_ARENA(KW_PAY_TEXT);
    for (size_t i = 0; i < N; i++) {
        size_t n = i % 500 == 499 ? 70000 : i % 97;
        blocks[i] = kw_arena_alloc(&a, n, 1);
        assert_non_null(blocks[i]);
        assert_int_equal((uintptr_t)blocks[i] % 16, 0);
        for (size_t k = 0; k < n; k++) assert_int_equal(blocks[i][k], 0);
        memset(blocks[i], (int)(i & 0xFF), n);
    }
    for (size_t i = 0; i < N; i++)
        for (size_t k = 0; k < (i % 500 == 499 ? 70000 : i % 97); k++)
            if (blocks[i][k] != (i & 0xFF)) fail_msg("block %zu was overwritten", i);
    kw_arena_free(&a);
    assert_int_equal(kw_alloc_live(KW_PAY_TEXT), live);
}

TEST(an_arena_can_be_used_again_after_it_was_freed)
{
    kw_arena a = KW_ARENA(KW_PAY_MISC);
    for (int round = 0; round < 3; round++) {
        char *text = kw_arena_strdup(&a, "h\xC3\xA9llo and more", 6);
        assert_string_equal(text, "h\xC3\xA9llo");
        assert_string_equal(kw_arena_strdup(&a, NULL, 0), "");
        kw_arena_free(&a);
    }
}

TEST(an_arena_refuses_what_overflows_or_does_not_fit)
{
    kw_arena a = KW_ARENA(KW_PAY_MISC);
    assert_null(kw_arena_alloc(&a, SIZE_MAX / 2, 4));
    assert_null(kw_arena_alloc(&a, SIZE_MAX, 1));
    assert_null(kw_arena_alloc(&a, SIZE_MAX - 20, 1));
    kw_alloc_fail_nth(1);
    assert_null(kw_arena_alloc(&a, 1, 1));
    assert_non_null(kw_arena_alloc(&a, 1, 1));
    kw_arena_free(&a);
}
