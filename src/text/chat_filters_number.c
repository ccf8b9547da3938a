/* chat_filters_number.c - filters that make numbers. */
#include "text/chat.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

static kw_obj *absolute(kw_chat *c, const kw_call *call)
{
    kw_obj *v = call->self;
    if (v->type == KW_OBJ_UNDEFINED) return kw_chat_negative(c, v);
    if (!kw_obj_is_number(v))
        return kw_chat_wrong(c, "bad operand type for abs(): '%s'", kw_obj_type_name(v));
    if (v->type == KW_OBJ_FLOAT) return kw_chat_real(c, fabs(v->number));
    return kw_obj_integer(v) < 0 ? kw_chat_negative(c, v) : kw_chat_int(c, kw_obj_integer(v));
}

static kw_str plain(kw_str s)
{
    s = kw_text_stripped(s, NULL, true, true);
    if (s.n > 1 && s.p[0] == '+') s = (kw_str){ s.p + 1, s.n - 1 };
    return s;
}

static int digit(char ch)
{
    char low = (char)(ch | 32);
    return ch >= '0' && ch <= '9' ? ch - '0' : low >= 'a' && low <= 'z' ? low - 'a' + 10 : 99;
}

static bool read_based(kw_str s, int64_t base, int64_t *out)
{
    bool minus = s.n && s.p[0] == '-';
    int64_t v = 0;
    size_t i = minus, start;
    char mark = base == 16 ? 'x' : base == 8 ? 'o' : base == 2 ? 'b' : 0;
    if (mark && i + 1 < s.n && s.p[i] == '0' && (s.p[i + 1] | 32) == mark) i += 2;
    for (start = i; i < s.n; i++) {
        if (digit(s.p[i]) >= base || __builtin_mul_overflow(v, base, &v)) return false;
        if (__builtin_add_overflow(v, digit(s.p[i]), &v)) return false;
    }
    *out = minus ? -v : v;
    return i > start;
}

static bool read_real(kw_str s, double *out)
{
    s = plain(s);
    if (kw_str_f64(s, out)) return true;
    bool minus = s.n && s.p[0] == '-';
    kw_str word = minus ? (kw_str){ s.p + 1, s.n - 1 } : s;
    if (kw_str_is(word, "inf") || kw_str_is(word, "infinity")) *out = minus ? -INFINITY : INFINITY;
    else if (kw_str_is(word, "nan")) *out = NAN;
    else return false;
    return true;
}

static kw_obj *undefined_used(kw_chat *c, const kw_obj *v)
{
    return kw_chat_wrong(c, "%.*s", (int)v->text.n, v->text.p);
}

static kw_obj *to_int(kw_chat *c, const kw_call *call)
{
    kw_obj *v = call->self, *otherwise = call->args[0] ? call->args[0] : kw_chat_int(c, 0);
    int64_t i = 0, base = kw_chat_count(c, call, 1, 10);
    double d = 0;
    if (v->type == KW_OBJ_UNDEFINED) return undefined_used(c, v);
    if (kw_obj_is_integer(v)) return kw_chat_int(c, kw_obj_integer(v));
    if (v->type == KW_OBJ_STRING && read_based(plain(v->text), base, &i)) return kw_chat_int(c, i);
    if (v->type == KW_OBJ_FLOAT) d = v->number;
    else if (v->type != KW_OBJ_STRING || !read_real(v->text, &d)) return otherwise;
    if (isnan(d)) return otherwise;
    if (isinf(d)) return kw_chat_wrong(c, "cannot convert float infinity to integer");
    if (fabs(d) >= 9.2e18) kw_chat_fail(c, KW_ELIMIT, "a whole number of more than 64 bits");
    return c->status ? c->undefined : kw_chat_int(c, (int64_t)d);
}

static kw_obj *to_float(kw_chat *c, const kw_call *call)
{
    kw_obj *v = call->self, *otherwise = call->args[0] ? call->args[0] : kw_chat_real(c, 0);
    double d = 0;
    if (v->type == KW_OBJ_UNDEFINED) return undefined_used(c, v);
    if (kw_obj_is_number(v)) return kw_chat_real(c, kw_obj_number(v));
    return v->type == KW_OBJ_STRING && read_real(v->text, &d) ? kw_chat_real(c, d) : otherwise;
}

/* As many digits behind the point, the decimal nearest to the binary number: printf's digits, read again. */
static double rounded(double d, int64_t digits)
{
    char text[512];
    if (digits > 100 || isnan(d) || isinf(d)) return d;
    if (digits < 0) {
        double unit = pow(10, (double)-digits);
        return isinf(unit) ? 0 * d : nearbyint(d / unit) * unit;
    }
    int n = snprintf(text, sizeof text, "%.*f", (int)digits, d);
    for (int i = 0; i < n; i++)
        if (text[i] != '-' && (text[i] < '0' || text[i] > '9')) text[i] = '.';
    double back = d;
    if (n > 0 && n < (int)sizeof text) kw_str_f64((kw_str){ text, (size_t)n }, &back);
    return back;
}

/* To a multiple of 10 ** -digits, the even one of two that are as near. */
static kw_obj *rounded_integer(kw_chat *c, int64_t v, int64_t digits)
{
    uint64_t size = v < 0 ? 0 - (uint64_t)v : (uint64_t)v, unit = 1;
    if (digits >= 0) return kw_chat_int(c, v);
    if (digits < -19) return kw_chat_int(c, 0);
    for (; digits < 0; digits++) unit *= 10;
    uint64_t rest = size % unit, near = size - rest;
    if (rest > unit - rest || (rest == unit - rest && near / unit % 2 == 1)) near += unit;
    if (near > (uint64_t)INT64_MAX + (v < 0)) {
        kw_chat_fail(c, KW_ELIMIT, "a whole number of more than 64 bits");
        return c->undefined;
    }
    return kw_chat_int(c, v < 0 ? (int64_t)(0 - near) : (int64_t)near);
}

/* Up or down, always to a real number. */
static kw_obj *rounded_towards(kw_chat *c, const kw_obj *v, int64_t digits, double (*to)(double))
{
    double unit = pow(10, (double)digits), d = kw_obj_number(v) * unit;
    if (isinf(unit) && kw_obj_is_integer(v)) return kw_chat_real(c, kw_obj_number(v));
    if (isinf(unit)) return kw_chat_wrong(c, "int too large to convert to float");
    if (isnan(d)) return kw_chat_wrong(c, "cannot convert float NaN to integer");
    if (isinf(d)) return kw_chat_wrong(c, "cannot convert float infinity to integer");
    if (unit == 0) return kw_chat_wrong(c, "float division by zero");
    return kw_chat_real(c, to(d) / unit);
}

static kw_obj *round_to(kw_chat *c, const kw_call *call)
{
    kw_obj *v = call->self;
    int64_t digits = kw_chat_count(c, call, 0, 0);
    kw_str method = kw_chat_string(c, call, 1, "common");
    bool is_common = kw_str_is(method, "common"), is_ceil = kw_str_is(method, "ceil");
    if (!is_common && !is_ceil && !kw_str_is(method, "floor"))
        return kw_chat_wrong(c, "method must be common, ceil or floor");
    if (v->type == KW_OBJ_UNDEFINED) return undefined_used(c, v);
    if (!kw_obj_is_number(v))
        return kw_chat_wrong(c, "type %s doesn't define __round__ method", kw_obj_type_name(v));
    if (!is_common) return rounded_towards(c, v, digits, is_ceil ? ceil : floor);
    if (kw_obj_is_integer(v)) return rounded_integer(c, kw_obj_integer(v), digits);
    double d = rounded(v->number, digits);
    if (isinf(d) && !isinf(v->number))
        return kw_chat_wrong(c, "rounded value too large to represent");
    return kw_chat_real(c, d);
}

const kw_builtin kw_chat_filters_number[] = {
    { "abs", absolute, "" },
    { "int", to_int, "?default,?base" },
    { "float", to_float, "?default" },
    { "round", round_to, "?precision,?method" },
    { NULL, NULL, NULL },
};
