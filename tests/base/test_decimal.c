/* test_decimal.c - doubles to text and back: against the C library, whose conversions are exact. */
#include "base/base.h"
#include "base/decimal.h"
#include "test.h"
#include <locale.h>
#include <stdlib.h>

static uint64_t bits_of(double v)
{
    uint64_t u;
    memcpy(&u, &v, sizeof u);
    return u;
}

static double double_of(uint64_t u)
{
    double v;
    memcpy(&v, &u, sizeof v);
    return v;
}

static void expect_like_strtod(const char *text)
{
    double got = 0, want = strtod(text, NULL);
    if (!kw_decimal_read(kw_str_of(text), &got)) fail_msg("%s is refused", text);
    if (bits_of(got) != bits_of(want)) fail_msg("%s gives %a, not %a", text, got, want);
}

/* clang-format off */
static const char *const numbers[] = {
    "0", "-0", "0.0", "-0.0e10", "1", "-1.5", "0.1", "3.14159265358979323846", "1e22", "1e23",
    "123456789012345678", "9007199254740993", "9007199254740992.5", "9007199254740993.0000000001",
    "8.442911973260991817e-309", "1.7976931348623157e308", "1.7976931348623158e308",
    "1.7976931348623159e308",
    "1797693134862315807937289714053034150799341327100378269361737789804449682927647509466490"
    "1797758720709633028641669288791094655554785194040263065748867150582068190890200070838367"
    "6273854845817711531764475730270069855571366959622842914819860834936475292719074168444365"
    "510704342711559699508093042880",
    "1e309", "-1e400", "4.9e-324", "2.4703282292062327e-324", "2.4703282292062328e-324",
    "2.47e-324", "1e-400", "2.2250738585072011e-308", "2.2250738585072014e-308",
    "2.22507385850720113605740979670913197593481954635164564802342610972482222202107694551652"
    "9523908135087914149158913039621106870086438694594645527657207407820621743379988141063267"
    "3292535522868813721490129811224514518898490572223072852551331557550159143974763979834118"
    "0199932396254828901710708185069063066665599493827577257201576306269066333264756530000924"
    "5888316433037779791869612049497390377829704905051080609940730262937128958950003583799967"
    "2072543043602840788957717961509455167482434710307026091446215722898802581825451803257070"
    "1886087211312807951223342628836862232150377566662250398253433597456888442390026549819838"
    "5487948292206894721689831099698365846814022854243330660339850886445804001034933970427567"
    "1864433837704860378616227717385456230658746790140867233276367187512345678901234567890123"
    "45678901e-308",
    "6.631236871469758276785e-299", "0.000000000000000000000000000000000000000000001",
    "1e-5000000000", "1e5000000000", "0e999999999999", "5e-1", "00012.50", "1E+5", "1e05",
};
/* clang-format on */

TEST(numbers_are_read_with_the_same_bits_as_strtod)
{
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) expect_like_strtod(numbers[i]);
}

TEST(numbers_of_random_digits_are_read_with_the_same_bits_as_strtod)
{
    kw_rng r;
    kw_rng_seed(&r, 1);
    for (int i = 0; i < 20000; i++) {
        char text[80];
        int n = 1 + (int)kw_rng_below(&r, 40), point = (int)kw_rng_below(&r, 41), at = 0;
        for (int k = 0; k < n; k++) {
            if (k == point) text[at++] = '.';
            text[at++] = (char)('0' + kw_rng_below(&r, 10));
        }
        snprintf(text + at, 16, "e%d", (int)kw_rng_below(&r, 700) - 350);
        expect_like_strtod(text);
    }
}

enum { WIDTH = 1420, PLACES = 1100 }; /* all digits of a double below 1e290, before and behind */

/* Halves the sum of two numbers that are written with the same number of digits and places. */
static void average(const char *a, const char *b, char *out)
{
    int carry = 0;
    for (int i = WIDTH - 1; i >= 0; i--) {
        out[i] = a[i];
        if (a[i] == '.') continue;
        int sum = a[i] - '0' + b[i] - '0' + carry;
        out[i] = (char)('0' + sum % 10);
        carry = sum / 10;
    }
    for (int i = 0; i < WIDTH; i++) {
        if (out[i] == '.') continue;
        int digit = carry * 10 + out[i] - '0';
        out[i] = (char)('0' + digit / 2);
        carry = digit % 2;
    }
}

TEST(the_middle_between_two_neighbours_goes_to_the_even_one)
{
    kw_rng r;
    kw_rng_seed(&r, 2);
    for (int i = 0; i < 1000; i++) {
        uint64_t bits = kw_rng_u64(&r) >> 1;
        if (i % 4 == 0) bits >>= 11 + kw_rng_below(&r, 50); /* subnormal */
        if (bits > bits_of(1e290)) continue;
        char low[WIDTH + 2], high[WIDTH + 2], middle[WIDTH + 2] = { 0 };
        snprintf(low, sizeof low, "%0*.*f", WIDTH, PLACES, double_of(bits));
        snprintf(high, sizeof high, "%0*.*f", WIDTH, PLACES, double_of(bits + 1));
        average(low, high, middle);
        expect_like_strtod(middle);
        middle[WIDTH] = '1'; /* a hair above the middle */
        expect_like_strtod(middle);
    }
}

TEST(what_is_no_number_is_refused)
{
    static const char *const bad[] = { "",    "-",     ".",     "-.",  "e5", "1e",   "1e+",
                                       "1e-", "1.2.3", "+1",    " 1",  "1 ", "0x10", "nan",
                                       "inf", "1,5",   "1e5.0", "--1", "1f", "1_000" };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        double v;
        if (kw_decimal_read(kw_str_of(bad[i]), &v)) fail_msg("'%s' is accepted", bad[i]);
        assert_false(kw_str_f64(kw_str_of(bad[i]), &v));
    }
}

static const struct {
    double value;
    const char *text;
} shortest[] = {
    { 0, "0.0" },
    { -0.0, "-0.0" },
    { 1, "1.0" },
    { -1.5, "-1.5" },
    { 0.1, "0.1" },
    { 100, "100.0" },
    { 1e15, "1000000000000000.0" },
    { 1e16, "1e+16" },
    { 123456789012345678.0, "1.2345678901234568e+17" },
    { 0.0001, "0.0001" },
    { 0.00001, "1e-05" },
    { 1.0 / 3, "0.3333333333333333" },
    { 2.0 / 3, "0.6666666666666666" },
    { 0.1 + 0.2, "0.30000000000000004" },
    { 5e-324, "5e-324" },
    { 2.2250738585072014e-308, "2.2250738585072014e-308" },
    { 1.7976931348623157e308, "1.7976931348623157e+308" },
    { 9007199254740993.0, "9007199254740992.0" },
    { 1e100, "1e+100" },
};

TEST(the_shortest_text_is_written) /* the expected texts are Python's repr() */
{
    for (size_t i = 0; i < sizeof shortest / sizeof shortest[0]; i++) {
        char text[KW_DECIMAL_BYTES];
        assert_int_equal(kw_decimal_write(shortest[i].value, text), strlen(shortest[i].text));
        assert_string_equal(text, shortest[i].text);
    }
}

TEST(every_finite_double_reads_back_with_the_same_bits)
{
    kw_rng r;
    kw_rng_seed(&r, 3);
    for (int i = 0; i < 50000; i++) {
        uint64_t bits = kw_rng_u64(&r);
        if (i % 8 == 0) bits &= ~(UINT64_C(0x7FF) << 52); /* subnormal */
        double v = double_of(bits), back = 0;
        char text[KW_DECIMAL_BYTES];
        if (v - v != 0) continue;
        size_t n = kw_decimal_write(v, text);
        assert_true(n < KW_DECIMAL_BYTES && text[n] == '\0');
        assert_true(kw_decimal_read((kw_str){ text, n }, &back));
        if (bits_of(back) != bits) fail_msg("%a is written as %s", v, text);
        if (bits_of(strtod(text, NULL)) != bits) fail_msg("%s misleads strtod", text);
    }
}

TEST(a_locale_with_a_decimal_comma_changes_nothing)
{
    static const char *const commas[] = { "de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8",
                                          "nl_NL.UTF-8" };
    const char *set = NULL;
    for (size_t i = 0; !set && i < sizeof commas / sizeof commas[0]; i++)
        set = setlocale(LC_NUMERIC, commas[i]);
    if (!set) SKIP("no locale with a decimal comma is installed");
    char text[KW_DECIMAL_BYTES];
    double v = 0;
    kw_decimal_write(-1234.5, text);
    bool ok = kw_decimal_read(KW_STR("0.25"), &v);
    setlocale(LC_NUMERIC, "C");
    assert_string_equal(text, "-1234.5");
    assert_true(ok && v == 0.25);
}
