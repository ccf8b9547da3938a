/* decimal.c - doubles to decimal text and back, correctly rounded in every locale.
 *
 * strtod and printf obey the locale's decimal point, and a host program may set any locale from any
 * thread. So reading is our own. Most numbers have at most 15 digits and a small power of ten: both
 * are exact doubles, and one multiplication or division rounds once, correctly. All others take the
 * slow road: the number is kept as a string of digits that is halved and doubled until its integer
 * part is the 53-bit significand.
 *
 *     0.digits[0]digits[1]... x 10^point          after the shifts:  significand . remainder
 *
 * Halving and doubling decimal digits is exact; digits past MAX_DIGITS only matter as "more than
 * nothing", because no double and no midpoint of two doubles has more than 767 of them. Writing
 * takes snprintf's digits, which are right, and places the point itself. */
#include "base/decimal.h"
#include <stdio.h>
#include <string.h>

enum { MAX_DIGITS = 800, MAX_SHIFT = 56 };

typedef struct decimal {
    uint8_t digits[MAX_DIGITS];
    int n, point;
    bool more; /* digits past the end were dropped, not all zero */
} decimal;

static void drop_trailing_zeros(decimal *d)
{
    while (d->n && !d->digits[d->n - 1]) d->n--;
    if (!d->n && !d->more) d->point = 0;
}

static void push_digit(decimal *d, uint8_t digit)
{
    if (d->n < MAX_DIGITS) d->digits[d->n++] = digit;
    else d->more |= digit != 0;
}

/* d /= 2^k */
static void shift_right(decimal *d, int k)
{
    uint64_t rest = 0, mask = (UINT64_C(1) << k) - 1;
    int n_read = 0, n_digits = d->n;
    while (rest >> k == 0 && (n_read < n_digits || rest)) {
        rest = rest * 10 + (n_read < n_digits ? d->digits[n_read] : 0);
        n_read++;
    }
    d->point -= n_read - 1;
    d->n = 0; /* what is written never passes what is still to be read */
    while (n_read < n_digits || rest) {
        uint8_t digit = (uint8_t)(rest >> k), next = n_read < n_digits ? d->digits[n_read] : 0;
        push_digit(d, digit);
        rest = (rest & mask) * 10 + next;
        n_read++;
    }
    drop_trailing_zeros(d);
}

/* d *= 2^k */
static void shift_left(decimal *d, int k)
{
    uint8_t high[20]; /* the new digits in front, last first: 2^56 has 17 */
    int n_high = 0;
    uint64_t carry = 0;
    for (int i = d->n - 1; i >= 0; i--) {
        carry += (uint64_t)d->digits[i] << k;
        d->digits[i] = (uint8_t)(carry % 10);
        carry /= 10;
    }
    for (; carry; carry /= 10) high[n_high++] = (uint8_t)(carry % 10);
    int kept = d->n + n_high > MAX_DIGITS ? MAX_DIGITS - n_high : d->n;
    for (int i = kept; i < d->n; i++) d->more |= d->digits[i] != 0;
    memmove(d->digits + n_high, d->digits, (size_t)kept);
    for (int i = 0; i < n_high; i++) d->digits[i] = high[n_high - 1 - i];
    d->n = kept + n_high;
    d->point += n_high;
    drop_trailing_zeros(d);
}

static void shift(decimal *d, int k)
{
    for (; k > MAX_SHIFT; k -= MAX_SHIFT) shift_left(d, MAX_SHIFT);
    for (; k < -MAX_SHIFT; k += MAX_SHIFT) shift_right(d, MAX_SHIFT);
    if (k > 0) shift_left(d, k);
    if (k < 0) shift_right(d, -k);
}

/* The integer nearest to d < 2^63, a half going to the even one. */
static uint64_t round_to_integer(const decimal *d)
{
    uint64_t n = 0;
    for (int i = 0; i < d->point; i++) n = n * 10 + (i < d->n ? d->digits[i] : 0);
    if (d->point < 0 || d->point >= d->n) return n;
    bool is_half = d->digits[d->point] == 5 && d->point + 1 == d->n && !d->more;
    return n + (is_half ? n & 1 : d->digits[d->point] >= 5);
}

static double from_bits(uint64_t bits)
{
    double v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

/* The double nearest to d: scaled into [0.5, 1) by powers of two, then rounded at its last bit. */
static double round_to_double(decimal *d)
{
    /* the largest k with 2^k <= 10^n, for n < 17; a last step of 1 for n = 0 */
    static const int8_t powers[] = {
        1, 3, 6, 9, 13, 16, 19, 23, 26, 29, 33, 36, 39, 43, 46, 49, 53
    };
    const int n_powers = (int)sizeof powers;
    int exponent = 0; /* the number is d * 2^exponent */
    if (!d->n || d->point < -330) return 0;
    if (d->point > 310) return from_bits(UINT64_C(0x7FF) << 52);
    while (d->point > 0) {
        int k = d->point < n_powers ? powers[d->point] : 53;
        shift(d, -k);
        exponent += k;
    }
    while (d->point < 0 || d->digits[0] < 5) {
        int k = -d->point < n_powers ? powers[-d->point] : 53;
        shift(d, k);
        exponent -= k;
    }
    int n_bits = exponent < -1021 ? 53 - (-1021 - exponent) : 53; /* fewer when subnormal */
    shift(d, n_bits);
    uint64_t significand = round_to_integer(d);
    if (!significand) return 0;
    exponent -= n_bits; /* now the number is significand * 2^exponent */
    if (significand == UINT64_C(1) << 53) {
        significand >>= 1;
        exponent++;
    }
    if (significand < UINT64_C(1) << 52) return from_bits(significand); /* subnormal */
    if (exponent > 971) return from_bits(UINT64_C(0x7FF) << 52);
    return from_bits((significand & ((UINT64_C(1) << 52) - 1)) | (uint64_t)(exponent + 1075) << 52);
}

/* Reads "[e|E][+-]digits" up to the end of the text. */
static bool read_exponent(const char *p, const char *end, int *out)
{
    *out = 0;
    if (p == end) return true;
    if (*p != 'e' && *p != 'E') return false;
    p++;
    bool negative = p < end && *p == '-';
    if (p < end && (*p == '-' || *p == '+')) p++;
    if (p == end) return false;
    for (; p < end; p++) {
        if (*p < '0' || *p > '9') return false;
        if (*out < 100000000) *out = *out * 10 + (*p - '0');
    }
    if (negative) *out = -*out;
    return true;
}

/* Reads "digits[.digits]" from *at; leading zeros only move the point. False without a digit. */
static bool read_digits(const char **at, const char *end, decimal *d)
{
    const char *p = *at;
    bool has_point = false, any = false;
    int before = 0;
    d->n = d->point = 0;
    d->more = false;
    for (; p < end && ((*p >= '0' && *p <= '9') || (*p == '.' && !has_point)); p++) {
        if (*p == '.') {
            has_point = true;
            continue;
        }
        any = true;
        bool leading = d->n == 0 && *p == '0';
        if (!leading) push_digit(d, (uint8_t)(*p - '0'));
        if (before > -100000000 && before < 100000000) before += has_point ? -leading : !leading;
    }
    d->point = before;
    drop_trailing_zeros(d);
    *at = p;
    return any;
}

/* At most 15 digits and a power of ten up to 22: both exact, so one rounding. */
static bool read_exactly(const decimal *d, double *out)
{
    static const double tens[] = { 1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                   1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                   1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22 };
    int power = d->point - d->n;
    if (d->n > 15 || power < -22 || power > 22) return false;
    uint64_t n = 0;
    for (int i = 0; i < d->n; i++) n = n * 10 + d->digits[i];
    *out = power < 0 ? (double)n / tens[-power] : (double)n * tens[power];
    return true;
}

bool kw_decimal_read(kw_str text, double *out)
{
    const char *p = text.p, *end = text.n ? text.p + text.n : text.p;
    decimal d;
    int exponent;
    bool negative = p < end && *p == '-';
    if (negative) p++;
    if (!read_digits(&p, end, &d) || !read_exponent(p, end, &exponent)) return false;
    if (d.n) d.point += exponent;
    if (!read_exactly(&d, out)) *out = round_to_double(&d);
    if (negative) *out = -*out;
    return true;
}

/* Fills digits with v's first n significant ones; returns the power of ten of the first. */
static int leading_digits(double v, int n, char digits[18])
{
    char text[40];
    int len = snprintf(text, sizeof text, "%.*e", n - 1, v), power = 0, at = 0;
    int i = 0;
    for (; i < len && text[i] != 'e'; i++) /* the locale's point is whatever is no digit */
        if (text[i] >= '0' && text[i] <= '9' && at < 17) digits[at++] = text[i];
    digits[at] = '\0';
    read_exponent(text + i, text + len, &power);
    return power;
}

/* Plain up to 16 places before the point and 4 zeros behind it, else with an exponent. */
static size_t lay_out(bool negative, const char *digits, int power, char out[KW_DECIMAL_BYTES])
{
    int n = (int)strlen(digits), zeros = power < 0 ? -power : 0;
    const char *sign = negative ? "-" : "";
    int before = power < 0 ? 0 : power + 1 < n ? power + 1 : n;
    int len;
    if (power < -4 || power >= 16)
        len = snprintf(out, KW_DECIMAL_BYTES, "%s%c%s%se%c%02d", sign, digits[0], n > 1 ? "." : "",
                       digits + 1, power < 0 ? '-' : '+', power < 0 ? -power : power);
    else if (power < 0)
        len = snprintf(out, KW_DECIMAL_BYTES, "%s0.%.*s%s", sign, zeros - 1, "0000", digits);
    else
        len = snprintf(out, KW_DECIMAL_BYTES, "%s%.*s%.*s.%s", sign, before, digits,
                       power + 1 - before, "0000000000000000", n > before ? digits + before : "0");
    return len < 0 ? 0 : (size_t)len;
}

size_t kw_decimal_write(double v, char out[KW_DECIMAL_BYTES])
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    bool negative = bits >> 63, is_subnormal = !(bits >> 52 & 0x7FF);
    double positive = from_bits(bits & ~(UINT64_C(1) << 63));
    char digits[18];
    /* 15 digits survive the way to a normal double and back, so nothing shorter is ever missed */
    for (int n = is_subnormal ? 1 : 15; n <= 17; n++) {
        int power = leading_digits(positive, n, digits);
        int last = (int)strlen(digits);
        while (last > 1 && digits[last - 1] == '0') digits[--last] = '\0';
        size_t len = lay_out(negative, digits, power, out);
        double back;
        if (kw_decimal_read((kw_str){ out, len }, &back) && back == v) return len;
    }
    return strlen(out); /* 17 digits always read back */
}
