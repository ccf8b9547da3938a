/* math.c - exp, log, pow, sin and cos without libm: the same bits on every platform.
 *
 * Only IEEE + - * / on doubles (floats in kw_expf), comparisons and bit operations; the build turns
 * contraction off. Every function follows the same plan: reduce the argument to a small interval,
 * evaluate a polynomial there, put the pieces together again. The polynomials of the double
 * functions are the Taylor series, long enough that the rest is below the last bit; that of kw_expf
 * is a minimax fit (math.h has the coefficients).
 *
 * Where one double is not enough (the logarithm inside pow, the distance of a large angle from a
 * multiple of pi/2) a value is carried as the sum of two: `pair`. Products of doubles are split
 * exactly with Dekker's method, because a fused multiply-add is not everywhere.
 *
 * Left out: errno, floating-point flags, other rounding modes. */
#include "base/math.h"
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static uint32_t bits_of_f32(float v)
{
    uint32_t u;
    memcpy(&u, &v, sizeof u);
    return u;
}

float kw_expf(float x)
{
    float t = x * KW_EXPF_LOG2E + KW_EXPF_ROUND;
    float n = t - KW_EXPF_ROUND;
    float r = x - n * KW_EXPF_LN2_HIGH;
    r = r - n * KW_EXPF_LN2_LOW;
    float p = KW_EXPF_C6;
    p = p * r + KW_EXPF_C5;
    p = p * r + KW_EXPF_C4;
    p = p * r + KW_EXPF_C3;
    p = p * r + KW_EXPF_C2;
    p = p * r + KW_EXPF_C1;
    p = p * r + KW_EXPF_C0;
    uint32_t bits = bits_of_f32(p) + (bits_of_f32(t) << 23);
    float result;
    memcpy(&result, &bits, sizeof result);
    result = x > KW_EXPF_HIGH ? INFINITY : result;
    result = x < KW_EXPF_LOW ? 0.0f : result;
    return x != x ? x : result;
}

float kw_tanhf(float x)
{
    float z = x * x, p = KW_TANHF_T4;
    p = p * z + KW_TANHF_T3;
    p = p * z + KW_TANHF_T2;
    p = p * z + KW_TANHF_T1;
    p = p * z + KW_TANHF_T0;
    float s = p * z * x + x;
    float b = 1.0f - 2.0f / (kw_expf(x + x) + 1.0f);
    return KW_TANHF_LIMIT > z ? s : b;
}

/* ---- doubles and pairs of doubles ---- */

typedef struct pair {
    double high, low; /* the value is their sum; |low| is at most half a last bit of high */
} pair;

static const double round_to_integer = 0x1.8p+52; /* adding and subtracting it rounds */
static const double ln2_high = 0x1.62e42feep-1;   /* 32 bits, so that small multiples are exact */
static const double ln2_low = 0x1.a39ef35793c76p-33;

static pair exact_sum(double a, double b)
{
    double sum = a + b, b_part = sum - a;
    return (pair){ sum, (a - (sum - b_part)) + (b - b_part) };
}

static pair exact_product(double a, double b)
{
    const double halve = 134217729.0; /* 2^27 + 1 cuts 53 bits into 26 and 26 */
    double a_cut = a * halve, b_cut = b * halve;
    double a1 = a_cut - (a_cut - a), b1 = b_cut - (b_cut - b), a2 = a - a1, b2 = b - b1;
    double product = a * b;
    return (pair){ product, ((a1 * b1 - product) + a1 * b2 + a2 * b1) + a2 * b2 };
}

/* c[0] + c[1] x + c[2] x^2 + ... */
static double polynomial(const double *c, int n, double x)
{
    double sum = c[n - 1];
    for (int i = n - 2; i >= 0; i--) sum = sum * x + c[i];
    return sum;
}

static double power_of_two(int n)
{
    uint64_t bits = (uint64_t)(n + 1023) << 52;
    double v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

/* ---- exp, log, pow ---- */

/* e^(x.high + x.low) */
static double exp_of_pair(pair x)
{
    static const double c[] = { 1 / 2.0,       1 / 6.0,        1 / 24.0,        1 / 120.0,
                                1 / 720.0,     1 / 5040.0,     1 / 40320.0,     1 / 362880.0,
                                1 / 3628800.0, 1 / 39916800.0, 1 / 479001600.0, 1 / 6227020800.0 };
    if (x.high > 709.79) return INFINITY;
    if (x.high < -745.2) return 0;
    if (x.high != x.high) return x.high;
    double n = x.high * 0x1.71547652b82fep+0 + round_to_integer - round_to_integer;
    double r_high = x.high - n * ln2_high, r_low = n * ln2_low - x.low;
    double r = r_high - r_low, lost = (r_high - r) - r_low;
    double e = 1 + (r + (lost + r * r * polynomial(c, 12, r)));
    int half = (int)n / 2; /* 2^n in two steps: results may be subnormal or near the largest */
    return e * power_of_two(half) * power_of_two((int)n - half);
}

double kw_exp(double x) { return exp_of_pair((pair){ x, 0 }); }

/* Splits x > 0 into m * 2^e with m between sqrt(1/2) and sqrt(2). */
static double split(double x, int *e)
{
    uint64_t bits, fraction = (UINT64_C(1) << 52) - 1;
    *e = 0;
    if (x < 0x1p-1022) {
        x *= 0x1p+54;
        *e = -54;
    }
    memcpy(&bits, &x, sizeof bits);
    *e += (int)(bits >> 52) - 1023;
    bits = (bits & fraction) | (UINT64_C(1023) << 52);
    memcpy(&x, &bits, sizeof x);
    if (x < 0x1.6a09e667f3bcdp+0) return x;
    ++*e;
    return x / 2;
}

/* ln x = e ln 2 + 2 artanh s with s = (m - 1) / (m + 1), |s| < 0.172, to about 2^-60. */
static pair log_of(double x)
{
    static const double c[] = { 2 / 3.0,  2 / 5.0,  2 / 7.0,  2 / 9.0,  2 / 11.0, 2 / 13.0,
                                2 / 15.0, 2 / 17.0, 2 / 19.0, 2 / 21.0, 2 / 23.0 };
    int e;
    double f = split(x, &e) - 1;
    pair sum = exact_sum(2, f);
    double s = f / sum.high;
    pair back = exact_product(s, sum.high);
    double s_low = (((f - back.high) - back.low) - s * sum.low) / sum.high;
    pair lead = exact_sum(e * ln2_high, 2 * s);
    double rest = lead.low + (e * ln2_low + (2 * s_low + s * s * s * polynomial(c, 11, s * s)));
    double high = lead.high + rest;
    return (pair){ high, rest - (high - lead.high) };
}

double kw_log_e(double x)
{
    if (x > 0 && x < INFINITY) return log_of(x).high;
    return x == 0 ? -INFINITY : x < 0 ? NAN : x;
}

double kw_pow(double x, double y)
{
    if (x == 1 || y == 0) return 1;
    if (!(x > 0 && x < INFINITY)) return kw_exp(y * kw_log_e(x));
    pair l = log_of(x);
    double rough = y * l.high;
    if (!(rough > -800 && rough < 800)) return kw_exp(rough);
    pair product = exact_product(y, l.high);
    return exp_of_pair(exact_sum(product.high, product.low + y * l.low));
}

/* ---- sin, cos ---- */

enum { SINE = 0, COSINE = 1 };

/* x minus the nearest multiple of pi/2, of which the last two bits go to *quadrant. */
static pair reduce(double x, int *quadrant)
{
    static const double half_pi[] = { 0x1.921fb54442d18p+0, 0x1.1a62633145c07p-54,
                                      -0x1.f1976b7ed8fbcp-110 };
    double n = x * 0x1.45f306dc9c883p-1 + round_to_integer - round_to_integer;
    pair first = exact_product(n, half_pi[0]), second = exact_product(n, half_pi[1]);
    pair a = exact_sum(x - first.high, -first.low); /* the difference is exact: they are close */
    pair b = exact_sum(a.high, -second.high);
    *quadrant = (int)((int64_t)n & 3);
    return exact_sum(b.high, a.low + b.low - second.low - n * half_pi[2]);
}

static double sine_of(pair r)
{
    static const double c[] = {
        -1 / 6.0,        1 / 120.0,        -1 / 5040.0,          1 / 362880.0,
        -1 / 39916800.0, 1 / 6227020800.0, -1 / 1307674368000.0, 1 / 355687428096000.0
    };
    double x = r.high, z = x * x;
    return x + (x * z * polynomial(c, 8, z) + r.low * (1 - z / 2));
}

static double cosine_of(pair r)
{
    static const double c[] = {
        1 / 24.0,        -1 / 720.0,         1 / 40320.0,          -1 / 3628800.0,
        1 / 479001600.0, -1 / 87178291200.0, 1 / 20922789888000.0, -1 / 6402373705728000.0
    };
    double x = r.high, z = x * x, one_less = 1 - z / 2;
    double lost = (1 - one_less) - z / 2;
    return one_less + (lost + (z * z * polynomial(c, 8, z) - x * r.low));
}

static double circular(double x, int kind)
{
    int quadrant;
    if (!(x >= -0x1p+40 && x <= 0x1p+40)) return NAN;
    pair r = reduce(x, &quadrant);
    quadrant += kind;
    double v = quadrant & 1 ? cosine_of(r) : sine_of(r);
    return quadrant & 2 ? -v : v;
}

double kw_sin(double x) { return circular(x, SINE); }

double kw_cos(double x) { return circular(x, COSINE); }
