/* test_math.c - elementary functions against the C library's, which are good to the last bit or so,
 * and the few bits that every platform must share. */
#include "base/base.h"
#include "test.h"
#include <float.h>
#include <math.h>

static float f32_of(uint32_t bits)
{
    float v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

static uint32_t bits_of(float v)
{
    uint32_t u;
    memcpy(&u, &v, sizeof u);
    return u;
}

/* The distance of `got` from `want`, in units of want's last place. */
static double ulps(float got, double want)
{
    float near = (float)want, next = nextafterf(near, INFINITY);
    if (isinf(next)) next = near, near = nextafterf(near, 0);
    return fabs((double)got - want) / ((double)next - (double)near);
}

static void expect_expf(uint32_t bits)
{
    float x = f32_of(bits), got = kw_expf(x);
    if (x > KW_EXPF_HIGH) assert_true(isinf(got) && got > 0);
    else if (x < KW_EXPF_LOW) assert_true(got == 0 && !signbit(got));
    else if (!(ulps(got, exp((double)x)) <= 1.25))
        fail_msg("e^%a gives %a: %.2f ulp", (double)x, (double)got, ulps(got, exp((double)x)));
}

TEST(expf_is_within_two_ulp_for_every_64th_float)
{
    for (uint32_t bits = 0; bits < 0x7F800000u; bits += 64) { /* up to the infinity, both signs */
        expect_expf(bits);
        expect_expf(bits | 0x80000000u);
    }
}

TEST(tanhf_is_within_four_ulp)
{
    double worst = 0;
    for (uint32_t bits = 0x30000000u; bits < 0x43000000u; bits += 97) { /* 5e-10 to 128 */
        float x = f32_of(bits);
        worst = fmax(worst, ulps(kw_tanhf(x), tanh((double)x)));
        worst = fmax(worst, ulps(-kw_tanhf(-x), tanh((double)x)));
    }
    printf("worst %.2f ulp\n", worst);
    assert_true(worst < 4);
    assert_true(kw_tanhf(0) == 0 && kw_tanhf(INFINITY) == 1 && kw_tanhf(-INFINITY) == -1);
    assert_true(isnan(kw_tanhf(NAN)));
}

TEST(expf_is_exact_where_exactness_shows)
{
    assert_true(kw_expf(0.0f) == 1);
    assert_true(kw_expf(-0.0f) == 1);
    assert_true(kw_expf(INFINITY) == INFINITY);
    assert_true(kw_expf(-INFINITY) == 0);
    assert_true(isnan(kw_expf(NAN)));
    assert_true(kw_expf(FLT_MAX) == INFINITY);
    assert_true(kw_expf(-FLT_MAX) == 0);
}

TEST(expf_reaches_from_the_smallest_normal_number_to_the_largest)
{
    float low = kw_expf(KW_EXPF_LOW), high = kw_expf(KW_EXPF_HIGH);
    assert_true(low >= FLT_MIN && low < FLT_MIN * 1.0001f);
    assert_true(high > FLT_MAX * 0.9999f && high <= FLT_MAX);
    assert_true(kw_expf(nextafterf(KW_EXPF_LOW, -INFINITY)) == 0);
    assert_true(isinf(kw_expf(nextafterf(KW_EXPF_HIGH, INFINITY))));
}

TEST(expf_never_falls_by_more_than_its_error)
{
    float last = 0;
    for (float x = -20; x < 20; x += 0.0001f) {
        float v = kw_expf(x);
        assert_true(v >= last * (1 - 3 * FLT_EPSILON));
        last = v;
    }
}

/* These bits are the definition, on every machine and for every row of kernels: worked out
 * from the sequence in math.h in exact rational arithmetic, rounded to f32 after each operation. */
static const struct {
    uint32_t x, y;
} shared_bits[] = {
    { 0x00000000, 0x3F800000 }, { 0x3F800000, 0x402DF854 }, { 0xBF800000, 0x3EBC5AB2 },
    { 0x3F000000, 0x3FD3094C }, { 0xBF000000, 0x3F1B4598 }, { 0x41200000, 0x46AC14EE },
    { 0xC1200000, 0x383E6BCE }, { 0x42B00000, 0x7EF882B7 }, { 0xC2AE0000, 0x00B33687 },
    { 0x3EB17218, 0x3FB504F3 }, { 0xBEB17218, 0x3F3504F3 }, { 0x322BCC77, 0x3F800000 },
    { 0x424A0000, 0x63E7B299 }, { 0xC2490000, 0x1B35981C }, { 0x42B17217, 0x7F7FFF84 },
    { 0xC2AEAC4F, 0x00800026 }, { 0xC1F2A256, 0x29979969 }, { 0xC27267D4, 0x13BE1B6A },
    { 0x41D74EEA, 0x52E33B49 }, { 0xC294A5B5, 0x09DAD396 }, { 0x40D8F071, 0x445BDFD8 },
    { 0xC1B80918, 0x2EE0A94E }, { 0xC299B34C, 0x080BEF5D }, { 0x3FE68F78, 0x40C1D4DD },
    { 0xC2A0E064, 0x0577A490 }, { 0xC131CAC6, 0x377A845F }, { 0xC2958CF4, 0x098B4CB0 },
    { 0xC28E401D, 0x0C277F5E }, { 0xC14B58A5, 0x364AE4EE }, { 0x4266CBE7, 0x691766E1 },
    { 0xC282AB58, 0x105614DB }, { 0xC23FBB94, 0x1CE63F25 }, { 0x41B66811, 0x4FEDF7AF },
    { 0x429DB2B9, 0x78580A68 }, { 0x415FE365, 0x4991C7D7 }, { 0xC18CA5B8, 0x32C6ED66 },
    { 0x42A7B075, 0x7BF9636A }, { 0xC29DB231, 0x0697D527 }, { 0x427CED8C, 0x6D158C3E },
    { 0xC2114604, 0x25428132 }, { 0xC277057D, 0x12EFD3A7 }, { 0xC284C5D1, 0x0F959342 },
    { 0xC204100F, 0x27A53E06 }, { 0x425F49D8, 0x67B95F6F }, { 0xC25D7DD5, 0x178A81D4 },
    { 0x416C7AFF, 0x4A202089 }, { 0x41C67A96, 0x515DCA7D }, { 0xC1AEA4B8, 0x2FB5B110 },
    { 0x410DAF3C, 0x45DB1A98 }, { 0xC298061C, 0x08A1C9C4 }, { 0xC29923BC, 0x083939B6 },
    { 0xC24BD433, 0x1AB30E35 }, { 0x420047AD, 0x569A0BF5 }, { 0xC142BDD6, 0x36ADB358 },
    { 0xC20018D4, 0x285EAC21 }, { 0x417792BE, 0x4AA026B1 }, { 0xC0F62AE1, 0x39EF24A3 },
    { 0xC20A29C1, 0x268FD3D1 }, { 0x425010CE, 0x6503F282 }, { 0x420D4BCD, 0x58F94F41 },
    { 0xC23121E8, 0x1F8A6D24 }, { 0x415862EA, 0x49366ED6 }, { 0x409D19B5, 0x43078E73 },
    { 0x42844C52, 0x6F2CCBC1 },
};

TEST(expf_has_the_bits_of_its_definition)
{
    for (size_t i = 0; i < sizeof shared_bits / sizeof shared_bits[0]; i++) {
        uint32_t got = bits_of(kw_expf(f32_of(shared_bits[i].x)));
        if (got != shared_bits[i].y)
            fail_msg("x %08X: %08X, not %08X", shared_bits[i].x, got, shared_bits[i].y);
    }
}

/* ---- doubles ---- */

static double relative(double got, double want)
{
    return want == 0 ? fabs(got) : fabs((got - want) / want);
}

enum { N = 400000 };

TEST(exp_is_good_to_1e_15_over_its_whole_range)
{
    kw_rng r;
    kw_rng_seed(&r, 1);
    for (int i = 0; i < N; i++) {
        double x = (kw_rng_f64(&r) - 0.5) * (i % 2 ? 1416 : 2);
        if (relative(kw_exp(x), exp(x)) > 1e-15) fail_msg("exp(%a)", x);
    }
}

TEST(log_is_good_to_1e_15_even_next_to_one)
{
    kw_rng r;
    kw_rng_seed(&r, 2);
    for (int i = 0; i < N; i++) {
        double near = 1 + (kw_rng_f64(&r) - 0.5) * ldexp(1, -(int)kw_rng_below(&r, 50));
        double far = exp((kw_rng_f64(&r) - 0.5) * 1480); /* subnormal numbers too */
        if (relative(kw_log_e(near), log(near)) > 1e-15) fail_msg("log(%a)", near);
        if (relative(kw_log_e(far), log(far)) > 1e-15) fail_msg("log(%a)", far);
    }
}

TEST(pow_is_good_to_1e_15_however_large_the_exponent)
{
    kw_rng r;
    kw_rng_seed(&r, 3);
    for (int i = 0; i < N; i++) {
        double x = exp((kw_rng_f64(&r) - 0.5) * (i % 2 ? 80 : 1e-3));
        double y = (kw_rng_f64(&r) - 0.5) * (i % 2 ? 30 : 1e6), want = pow(x, y);
        if (relative(kw_pow(x, y), want) > 1e-15) fail_msg("pow(%a, %a)", x, y);
    }
}

TEST(rope_frequencies_round_to_the_same_float_as_the_c_librarys)
{
    static const double bases[] = { 10000, 100000, 500000, 1000000, 8000000 };
    for (size_t b = 0; b < sizeof bases / sizeof bases[0]; b++)
        for (int i = 0; i < 256; i++) {
            double y = -i / 256.0;
            assert_true((float)kw_pow(bases[b], y) == (float)pow(bases[b], y));
        }
}

TEST(sine_and_cosine_are_good_to_1e_15_for_angles_up_to_2_to_the_40)
{
    kw_rng r;
    kw_rng_seed(&r, 4);
    for (int i = 0; i < N; i++) {
        double x = (kw_rng_f64(&r) - 0.5) * ldexp(2, (int)kw_rng_below(&r, 41));
        if (relative(kw_sin(x), sin(x)) > 1e-15) fail_msg("sin(%a)", x);
        if (relative(kw_cos(x), cos(x)) > 1e-15) fail_msg("cos(%a)", x);
    }
}

TEST(sine_and_cosine_hold_next_to_their_zeros)
{
    for (int k = 1; k < 100000; k += 7) {
        double x = k * 1.5707963267948966; /* nearly a multiple of pi/2: the value is the error */
        if (relative(kw_sin(x), sin(x)) > 1e-15) fail_msg("sin(%a)", x);
        if (relative(kw_cos(x), cos(x)) > 1e-15) fail_msg("cos(%a)", x);
    }
    assert_true(kw_sin(0) == 0 && kw_cos(0) == 1);
    assert_true(isnan(kw_sin(0x1p+41)) && isnan(kw_cos(INFINITY)) && isnan(kw_sin(NAN)));
}

TEST(the_ends_of_the_number_line_behave)
{
    assert_true(kw_exp(0) == 1);
    assert_true(isinf(kw_exp(709.9)) && isinf(kw_exp(INFINITY)));
    assert_true(kw_exp(-746) == 0 && kw_exp(-INFINITY) == 0);
    assert_true(kw_exp(-745) == 5e-324);
    assert_true(isnan(kw_exp(NAN)));
    assert_true(kw_log_e(1) == 0);
    assert_true(kw_log_e(0) == -INFINITY && isnan(kw_log_e(-1)) && isnan(kw_log_e(NAN)));
    assert_true(isinf(kw_log_e(INFINITY)));
    assert_true(kw_pow(1, 1e300) == 1 && kw_pow(5, 0) == 1);
    assert_true(kw_pow(2, 1024) == INFINITY && kw_pow(2, -1080) == 0 && kw_pow(2, 10) == 1024);
    assert_true(kw_pow(10, 1e300) == INFINITY && kw_pow(10, -1e300) == 0);
    assert_true(kw_pow(0, 2) == 0 && isnan(kw_pow(-1, 2)) && isnan(kw_pow(2, NAN)));
}
