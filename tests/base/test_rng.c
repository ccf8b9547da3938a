/* test_rng.c - the published numbers of splitmix64 and xoshiro256++, and fair distributions. */
#include "base/base.h"
#include "test.h"
#include <math.h>

TEST(the_seed_fills_the_state_with_splitmix64)
{
    static const uint64_t want[] = { UINT64_C(6457827717110365317), UINT64_C(3203168211198807973),
                                     UINT64_C(9817491932198370423), UINT64_C(4593380528125082431) };
    kw_rng r;
    kw_rng_seed(&r, 1234567);
    assert_memory_equal(r.s, want, sizeof want);
}

TEST(the_generator_is_xoshiro256_plus_plus)
{
    static const uint64_t want[] = {
        UINT64_C(41943041),
        UINT64_C(58720359),
        UINT64_C(3588806011781223),
        UINT64_C(3591011842654386),
        UINT64_C(9228616714210784205),
        UINT64_C(9973669472204895162),
        UINT64_C(14011001112246962877),
        UINT64_C(12406186145184390807),
        UINT64_C(15849039046786891736),
        UINT64_C(10450023813501588000),
    };
    kw_rng r = { { 1, 2, 3, 4 } };
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++)
        assert_true(kw_rng_u64(&r) == want[i]);
}

TEST(numbers_below_n_are_below_n_and_equally_likely)
{
    kw_rng r;
    kw_rng_seed(&r, 5);
    for (uint64_t n = 1; n <= 7; n++) {
        int seen[7] = { 0 };
        for (int i = 0; i < 70000; i++) {
            uint64_t v = kw_rng_below(&r, n);
            assert_true(v < n);
            seen[v]++;
        }
        for (uint64_t v = 0; v < n; v++)
            assert_true(fabs(seen[v] - 70000.0 / (double)n) < 6 * sqrt(70000.0 / (double)n));
    }
    uint64_t big = (UINT64_C(1) << 63) + 1; /* nearly every second draw is thrown away */
    for (int i = 0; i < 1000; i++) assert_true(kw_rng_below(&r, big) < big);
}

TEST(fractions_lie_in_the_half_open_unit_interval)
{
    kw_rng r;
    kw_rng_seed(&r, 6);
    double sum = 0, least = 1, most = 0;
    for (int i = 0; i < 1000000; i++) {
        double v = kw_rng_f64(&r);
        sum += v;
        least = v < least ? v : least;
        most = v > most ? v : most;
    }
    assert_true(least >= 0 && least < 1e-4 && most < 1 && most > 1 - 1e-4);
    assert_true(fabs(sum / 1000000 - 0.5) < 0.0015);
}

TEST(normal_deviates_have_mean_0_deviation_1_and_the_right_tails)
{
    kw_rng r;
    kw_rng_seed(&r, 7);
    const int n = 1000000;
    double sum = 0, squares = 0, fourth = 0;
    int beyond_2 = 0;
    for (int i = 0; i < n; i++) {
        double v = (double)kw_rng_normal(&r);
        assert_true(v - v == 0);
        sum += v;
        squares += v * v;
        fourth += v * v * v * v;
        beyond_2 += fabs(v) > 2;
    }
    assert_true(fabs(sum / n) < 0.005);
    assert_true(fabs(squares / n - 1) < 0.008);
    assert_true(fabs(fourth / n - 3) < 0.06);
    assert_true(fabs(beyond_2 / (double)n - 0.0455) < 0.0015);
}

TEST(seeds_nobody_chose_differ) { assert_true(kw_random_seed() != kw_random_seed()); }

TEST(the_clock_never_runs_backwards)
{
    uint64_t last = kw_now_ns();
    for (int i = 0; i < 100000; i++) {
        uint64_t now = kw_now_ns();
        assert_true(now >= last);
        last = now;
    }
    assert_true(last > 0);
}
