/* test_buf.c - a buffer grows up to its maximum and remembers its first failure. */
#include "base/base.h"
#include "test.h"

TEST(appended_bytes_follow_each_other_and_end_with_nul)
{
    kw_buf b = KW_BUF(1000, KW_PAY_TEXT);
    assert_string_equal(kw_buf_text(&b), "");
    kw_buf_str(&b, "ab");
    kw_buf_byte(&b, 'c');
    kw_buf_bytes(&b, "de", 2);
    kw_buf_codepoint(&b, 0x20AC);
    kw_buf_printf(&b, "%d%s", 42, "!");
    assert_string_equal(kw_buf_text(&b), "abcde\xE2\x82\xAC"
                                         "42!");
    assert_int_equal(b.len, 11);
    assert_int_equal(b.data[b.len], 0);
    kw_buf_free(&b);
    assert_int_equal(kw_alloc_live(KW_PAY_TEXT), 0);
}

TEST(the_maximum_can_be_reached_but_not_passed)
{
    for (size_t max = 0; max < 300; max += 37) {
        kw_buf b = KW_BUF(max, KW_PAY_TEXT);
        for (size_t i = 0; i < max; i++) kw_buf_byte(&b, 'x');
        assert_int_equal(b.status, KW_OK);
        kw_buf_byte(&b, 'y');
        assert_int_equal(b.status, KW_ELIMIT);
        assert_int_equal(b.len, max);
        assert_true(b.cap <= max + 1);
        kw_buf_free(&b);
    }
}

TEST(after_the_first_failure_appends_do_nothing)
{
    kw_buf b = KW_BUF(8, KW_PAY_TEXT);
    kw_buf_str(&b, "12345");
    kw_buf_str(&b, "6789");
    kw_buf_byte(&b, 'x');
    kw_buf_printf(&b, "%d", 1);
    assert_null(kw_buf_reserve(&b, 1));
    assert_null(kw_buf_take(&b, NULL));
    assert_int_equal(b.status, KW_ELIMIT);
    assert_string_equal(kw_buf_text(&b), "12345");
    kw_buf_clear(&b);
    kw_buf_str(&b, "12345678");
    assert_int_equal(b.status, KW_OK);
    kw_buf_free(&b);
}

TEST(lengths_near_the_end_of_the_address_space_are_refused)
{
    kw_buf b = KW_BUF(SIZE_MAX, KW_PAY_TEXT);
    kw_buf_byte(&b, 'x');
    assert_null(kw_buf_reserve(&b, SIZE_MAX - 1));
    assert_int_equal(b.status, KW_ELIMIT);
    kw_buf_clear(&b);
    assert_null(kw_buf_reserve(&b, SIZE_MAX / 2));
    assert_int_equal(b.status, KW_ENOMEM);
    kw_buf_free(&b);
}

TEST(reserved_room_is_filled_by_the_caller)
{
    kw_buf b = KW_BUF(100, KW_PAY_TEXT);
    char *room = kw_buf_reserve(&b, 3);
    memcpy(room, "abc", 3);
    b.len += 3;
    assert_string_equal(kw_buf_text(&b), "abc");
    kw_buf_free(&b);
}

TEST(taken_bytes_belong_to_the_caller_and_the_buffer_starts_anew)
{
    kw_buf b = KW_BUF(100, KW_PAY_TEXT);
    size_t n = 99;
    char *empty = kw_buf_take(&b, &n);
    assert_string_equal(empty, "");
    assert_int_equal(n, 0);
    kw_free(empty);
    kw_buf_str(&b, "text");
    char *text = kw_buf_take(&b, &n);
    assert_string_equal(text, "text");
    assert_int_equal(n, 4);
    kw_buf_str(&b, "new");
    assert_string_equal(kw_buf_text(&b), "new");
    assert_string_equal(text, "text");
    kw_free(text);
    kw_buf_free(&b);
}

TEST(a_failed_allocation_sticks_and_keeps_what_was_there)
{
    kw_buf b = KW_BUF(1000, KW_PAY_TEXT);
    kw_buf_str(&b, "kept");
    kw_alloc_fail_nth(1);
    kw_buf_printf(&b, "%200d", 1);
    assert_int_equal(b.status, KW_ENOMEM);
    assert_string_equal(kw_buf_text(&b), "kept");
    kw_buf_free(&b);
}
