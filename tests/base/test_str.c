/* test_str.c - questions asked of slices, and numbers read from them strictly. */
#include "base/base.h"
#include "test.h"

TEST(slices_are_equal_when_their_bytes_are)
{
    assert_true(kw_str_eq(KW_STR("abc"), kw_str_of("abc")));
    assert_false(kw_str_eq(KW_STR("abc"), KW_STR("abd")));
    assert_false(kw_str_eq(KW_STR("abc"), KW_STR("ab")));
    assert_true(kw_str_eq((kw_str){ NULL, 0 }, KW_STR("")));
    assert_true(kw_str_is(KW_STR("x"), "x"));
    assert_false(kw_str_is((kw_str){ "xy", 1 }, "xy"));
}

TEST(prefixes_and_suffixes_include_the_empty_and_the_whole)
{
    assert_true(kw_str_starts(KW_STR("blk.0.attn"), "blk."));
    assert_true(kw_str_starts(KW_STR("blk"), ""));
    assert_true(kw_str_starts(KW_STR("blk"), "blk"));
    assert_false(kw_str_starts(KW_STR("bl"), "blk"));
    assert_true(kw_str_ends(KW_STR("attn.weight"), ".weight"));
    assert_true(kw_str_ends((kw_str){ NULL, 0 }, ""));
    assert_false(kw_str_ends(KW_STR("eight"), ".weight"));
}

TEST(a_part_is_found_where_it_first_stands)
{
    kw_str s = KW_STR("blk.0.ffn_down.ffn_down");
    assert_ptr_equal(kw_str_find(s, "ffn_down"), s.p + 6);
    assert_ptr_equal(kw_str_find(s, "blk"), s.p);
    assert_ptr_equal(kw_str_find((kw_str){ s.p, 14 }, "down"), s.p + 10);
    assert_null(kw_str_find((kw_str){ s.p, 13 }, "down"));
    assert_null(kw_str_find(s, "ffn_up"));
    assert_null(kw_str_find(s, ""));
    assert_null(kw_str_find((kw_str){ NULL, 0 }, "a"));
}

static const struct {
    const char *text;
    bool ok;
    int64_t value;
} integers[] = {
    { "0", true, 0 },
    { "-0", true, 0 },
    { "42", true, 42 },
    { "-7", true, -7 },
    { "007", true, 7 },
    { "9223372036854775807", true, INT64_MAX },
    { "-9223372036854775808", true, INT64_MIN },
    { "9223372036854775808", false, 0 },
    { "-9223372036854775809", false, 0 },
    { "99999999999999999999999", false, 0 },
    { "", false, 0 },
    { "-", false, 0 },
    { "+1", false, 0 },
    { " 1", false, 0 },
    { "1 ", false, 0 },
    { "1.0", false, 0 },
    { "1e3", false, 0 },
    { "0x10", false, 0 },
    { "--1", false, 0 },
};

TEST(integers_are_read_whole_or_not_at_all)
{
    for (size_t i = 0; i < sizeof integers / sizeof integers[0]; i++) {
        int64_t v = 0;
        if (kw_str_i64(kw_str_of(integers[i].text), &v) != integers[i].ok || v != integers[i].value)
            fail_msg("'%s' gave %lld", integers[i].text, (long long)v);
    }
}

static const struct {
    const char *a, *b;
    int distance;
} distances[] = {
    { "", "", 0 },
    { "abc", "", 3 },
    { "kitten", "sitting", 3 },
    { "run", "rnu", 1 },
    { "RUN", "run", 0 },
    { "generate", "genrate", 1 },
    { "ca", "abc", 3 },
    { "tempreature", "temperature", 1 },
    { "smollm2", "smolm2", 1 },
};

TEST(the_edit_distance_counts_changes_and_swaps_of_neighbours)
{
    for (size_t i = 0; i < sizeof distances / sizeof distances[0]; i++) {
        kw_str a = kw_str_of(distances[i].a), b = kw_str_of(distances[i].b);
        int want = distances[i].distance;
        assert_int_equal(kw_str_distance(a, b, 10), want);
        assert_int_equal(kw_str_distance(b, a, 10), want);
        assert_int_equal(kw_str_distance(a, b, 1), want > 2 ? 2 : want);
    }
}

TEST(names_too_long_to_compare_count_as_unlike)
{
    char name[300];
    memset(name, 'x', sizeof name);
    assert_int_equal(kw_str_distance((kw_str){ name, 200 }, (kw_str){ name, 200 }, 5), 6);
    assert_int_equal(kw_str_distance((kw_str){ name, 127 }, (kw_str){ name, 126 }, 5), 1);
}

TEST(the_nearest_name_is_suggested_only_when_it_is_near)
{
    static const char *const names[] = { "run", "generate", "tokenize", "template", "bench" };
    static const struct {
        const char *word;
        int index;
    } words[] = { { "rnu", 0 },     { "Generate", 1 }, { "tokenise", 2 },
                  { "templte", 3 }, { "xyz", -1 },     { "", -1 },
                  { "b", -1 },      { "bnch", 4 },     { "infinite", -1 } };
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        assert_int_equal(kw_str_nearest(kw_str_of(words[i].word), names, 5), words[i].index);
    assert_int_equal(kw_str_nearest(KW_STR("run"), names, 0), -1);
}
