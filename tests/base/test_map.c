/* test_map.c - a map finds what was put, in any number, and keeps the order of insertion. */
#include "base/base.h"
#include "test.h"

enum { N = 100000, KEY_BYTES = 12 };
static char keys[N][KEY_BYTES];

static kw_str key_of(int i)
{
    snprintf(keys[i], KEY_BYTES, "k%d", i);
    return kw_str_of(keys[i]);
}

TEST(every_key_is_found_with_its_value_and_no_other)
{
    kw_map m = KW_MAP(KW_PAY_TEXT);
    int64_t value = 0;
    assert_false(kw_map_get(&m, KW_STR("k1"), &value));
    for (int i = 0; i < N; i += 2) assert_int_equal(kw_map_put(&m, key_of(i), i * 10), KW_OK);
    for (int i = 0; i < N; i++) {
        bool found = kw_map_get(&m, key_of(i), &value);
        assert_int_equal(found, i % 2 == 0);
        if (found) assert_int_equal(value, i * 10);
    }
    assert_int_equal(m.n, N / 2);
    kw_map_free(&m);
    assert_int_equal(kw_alloc_live(KW_PAY_TEXT), 0);
}

TEST(putting_an_equal_key_replaces_the_value_in_place)
{
    kw_map m = KW_MAP(KW_PAY_TEXT);
    char other[] = "two";
    kw_map_put(&m, KW_STR("one"), 1);
    kw_map_put(&m, KW_STR("two"), 2);
    kw_map_put(&m, KW_STR("three"), 3);
    kw_map_put(&m, kw_str_of(other), 22);
    assert_int_equal(m.n, 3);
    assert_int_equal(m.entries[1].value, 22);
    assert_true(kw_str_is(m.entries[2].key, "three"));
    kw_map_free(&m);
}

TEST(keys_are_bytes_and_may_be_empty_or_contain_nul)
{
    kw_map m = KW_MAP(KW_PAY_TEXT);
    int64_t value = 0;
    kw_map_put(&m, (kw_str){ NULL, 0 }, 7);
    kw_map_put(&m, KW_STR("a\0b"), 8);
    kw_map_put(&m, KW_STR("a\0c"), 9);
    kw_map_put(&m, KW_STR("a"), -1);
    assert_true(kw_map_get(&m, KW_STR(""), &value) && value == 7);
    assert_true(kw_map_get(&m, KW_STR("a\0b"), &value) && value == 8);
    assert_true(kw_map_get(&m, KW_STR("a\0c"), &value) && value == 9);
    assert_true(kw_map_get(&m, KW_STR("a"), NULL));
    kw_map_free(&m);
}

TEST(reserved_room_takes_all_its_keys_without_another_allocation)
{
    kw_map m = KW_MAP(KW_PAY_TEXT);
    assert_int_equal(kw_map_reserve(&m, 1000), KW_OK);
    uint64_t count = kw_alloc_count();
    for (int i = 0; i < 1000; i++) assert_int_equal(kw_map_put(&m, key_of(i), i), KW_OK);
    assert_int_equal(kw_alloc_count(), count);
    assert_int_equal(kw_map_reserve(&m, SIZE_MAX), KW_ELIMIT);
    kw_map_free(&m);
}

TEST(an_allocation_that_fails_leaves_the_map_as_it_was)
{
    for (uint64_t n = 1; n < 12; n++) {
        kw_map m = KW_MAP(KW_PAY_TEXT);
        kw_alloc_fail_nth(n);
        int failures = 0;
        for (int i = 0; i < 100; i++)
            while (kw_map_put(&m, key_of(i), i)) /* the second try goes through */
                failures++;
        kw_alloc_fail_nth(0);
        for (int i = 0; i < 100; i++) {
            int64_t value = -1;
            assert_true(kw_map_get(&m, key_of(i), &value));
            assert_int_equal(value, i);
        }
        assert_int_equal(m.n, 100);
        assert_true(failures <= 1);
        kw_map_free(&m);
    }
    assert_int_equal(kw_alloc_live(KW_PAY_TEXT), 0);
}

TEST(a_hash_taken_ahead_adds_and_finds_like_the_key_and_survives_growth)
{
    kw_map m = KW_MAP(KW_PAY_TEXT);
    uint64_t hashes[100];
    int64_t value = -1;
    assert_int_equal(kw_map_reserve(&m, 4), KW_OK);
    for (int i = 0; i < 100; i++) hashes[i] = kw_map_ahead(&m, key_of(i));
    for (int i = 0; i < 100; i++)
        assert_int_equal(kw_map_add_hashed(&m, key_of(i), hashes[i], i), KW_OK);
    assert_int_equal(kw_map_add_hashed(&m, key_of(7), hashes[7], 70), KW_OK); /* stays 7 */
    assert_int_equal(m.n, 100);
    for (int i = 0; i < 100; i++) {
        assert_true(kw_map_get(&m, key_of(i), &value) && value == i);
        assert_true(kw_map_get_hashed(&m, key_of(i), hashes[i], &value) && value == i);
    }
    kw_map_free(&m);
}
