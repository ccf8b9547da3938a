/* test_distances.c - T5's buckets against a table: powers of two lie on a boundary, so that rounding shows there. */
#include "family/family.h"
#include "test.h"

/* Of modeling_t5 in f32: the decoder has 32 for what lies behind, the encoder 16 for each side. */
static const struct {
    int distance, decoder, encoder;
} cases[] = {
    { 0, 0, 0 },         { 1, 1, 1 },     { 7, 7, 7 },     { 8, 8, 8 },     { 9, 9, 8 },
    { 11, 11, 8 },       { 12, 12, 9 },   { 15, 15, 9 },   { 16, 16, 10 },  { 17, 16, 10 },
    { 18, 16, 10 },      { 19, 17, 10 },  { 20, 17, 10 },  { 23, 18, 11 },  { 32, 21, 12 },
    { 46, 24, 13 },      { 63, 26, 13 },  { 64, 26, 14 },  { 90, 29, 14 },  { 91, 29, 15 },
    { 112, 30, 15 },     { 113, 31, 15 }, { 127, 31, 15 }, { 128, 31, 15 }, { 1000, 31, 15 },
    { 1 << 30, 31, 15 },
};

TEST(buckets_are_those_of_the_reference)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(kw_distance_bucket(cases[i].distance, 32, 128), cases[i].decoder);
        assert_int_equal(kw_distance_bucket(cases[i].distance, 16, 128), cases[i].encoder);
    }
}

TEST(buckets_rise_and_end_at_the_last)
{
    static const int sizes[][2] = { { 2, 3 },    { 16, 20 },    { 16, 128 },
                                    { 32, 128 }, { 64, 16384 }, { 4096, 16384 } };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        int n = sizes[i][0], most = sizes[i][1], last = 0;
        for (int d = 0; d <= most; d++) {
            int b = kw_distance_bucket(d, n, most);
            assert_true(b >= last && b < n);
            last = b;
        }
        assert_int_equal(last, n - 1);
    }
}
