/* chat_ops.c - what the operators and tests of the template language compute, with Python's rules. */
#include "text/chat.h"
#include <math.h>
#include <string.h>

static const kw_str no_key = { NULL, 0 };

bool kw_chat_is_number(const kw_json *v)
{
    return v && (v->type == KW_JSON_INT || v->type == KW_JSON_FLOAT || v->type == KW_JSON_BOOL);
}

static bool is_integer(const kw_json *v) { return v->type != KW_JSON_FLOAT; }

int64_t kw_chat_integer(const kw_json *v)
{
    return v->type == KW_JSON_BOOL ? v->boolean : v->integer;
}

double kw_chat_number(const kw_json *v) { return v->type == KW_JSON_BOOL ? v->boolean : v->number; }

const char *kw_chat_type_name(const kw_json *v)
{
    static const char *const names[] = { "None",     "a boolean", "an integer", "a number",
                                         "a string", "a list",    "a mapping" };
    return v ? names[v->type] : "undefined";
}

const kw_json *kw_chat_real(kw_chat *c, double d)
{
    kw_json *v = kw_chat_new(c, KW_JSON_FLOAT);
    if (!c->status) v->number = d;
    return v;
}

/* Wraps instead of overflowing: a template may say anything. */
int64_t kw_chat_wrap(char op, int64_t a, int64_t b)
{
    uint64_t x = (uint64_t)a, y = (uint64_t)b;
    return (int64_t)(op == '+' ? x + y : op == '-' ? x - y : x * y);
}

static int64_t floor_div(int64_t a, int64_t b)
{
    if (b == -1) return kw_chat_wrap('-', 0, a);
    int64_t q = a / b;
    return a % b != 0 && (a < 0) != (b < 0) ? q - 1 : q;
}

const kw_json *kw_chat_arithmetic(kw_chat *c, kw_str op, const kw_json *a, const kw_json *b)
{
    if (!kw_chat_is_number(a) || !kw_chat_is_number(b)) {
        kw_chat_fail(c, KW_EINVAL, "unsupported operand types for %.*s: %s and %s", (int)op.n, op.p,
                     kw_chat_type_name(a), kw_chat_type_name(b));
        return NULL;
    }
    bool divides = op.p[0] == '/' || op.p[0] == '%';
    if (divides && kw_chat_number(b) == 0) {
        kw_chat_fail(c, KW_EINVAL, "division by zero");
        return NULL;
    }
    double x = kw_chat_number(a), y = kw_chat_number(b);
    if (op.p[0] == '/' && op.n == 1) return kw_chat_real(c, x / y);
    if (is_integer(a) && is_integer(b)) {
        int64_t i = kw_chat_integer(a), j = kw_chat_integer(b);
        if (op.p[0] == '/') return kw_chat_int(c, floor_div(i, j));
        if (op.p[0] == '%')
            return kw_chat_int(c, kw_chat_wrap('-', i, kw_chat_wrap('*', floor_div(i, j), j)));
        return kw_chat_int(c, kw_chat_wrap(op.p[0], i, j));
    }
    if (op.p[0] == '/') return kw_chat_real(c, floor(x / y));
    if (op.p[0] == '%') return kw_chat_real(c, x - floor(x / y) * y);
    return kw_chat_real(c, op.p[0] == '+' ? x + y : op.p[0] == '-' ? x - y : x * y);
}

const kw_json *kw_chat_concat(kw_chat *c, const kw_json *a, const kw_json *b)
{
    kw_str x = kw_chat_text(c, a), y = kw_chat_text(c, b);
    char *both = c->status ? NULL : kw_chat_bytes(c, x.n + y.n);
    if (!both) return NULL;
    if (x.n) memcpy(both, x.p, x.n);
    if (y.n) memcpy(both + x.n, y.p, y.n);
    return kw_chat_str(c, both, x.n + y.n);
}

const kw_json *kw_chat_add(kw_chat *c, kw_str op, const kw_json *a, const kw_json *b)
{
    bool strings = a && b && a->type == KW_JSON_STRING && b->type == KW_JSON_STRING;
    bool lists = a && b && a->type == KW_JSON_ARRAY && b->type == KW_JSON_ARRAY;
    if (strings) return kw_chat_concat(c, a, b);
    if (!lists) return kw_chat_arithmetic(c, op, a, b);
    kw_chat_list all = kw_chat_list_new(c, KW_JSON_ARRAY);
    for (const kw_json *e = a->child; e; e = e->next) kw_chat_append(c, &all, e, no_key);
    for (const kw_json *e = b->child; e; e = e->next) kw_chat_append(c, &all, e, no_key);
    return all.all;
}

static int compare_text(kw_str a, kw_str b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int d = n ? memcmp(a.p, b.p, n) : 0;
    return d ? d : (a.n > b.n) - (a.n < b.n);
}

const kw_json *kw_chat_order(kw_chat *c, kw_str op, const kw_json *a, const kw_json *b)
{
    int d = 0;
    if (kw_chat_is_number(a) && kw_chat_is_number(b))
        d = (kw_chat_number(a) > kw_chat_number(b)) - (kw_chat_number(a) < kw_chat_number(b));
    else if (a && b && a->type == KW_JSON_STRING && b->type == KW_JSON_STRING)
        d = compare_text(a->string, b->string);
    else
        kw_chat_fail(c, KW_EINVAL, "\"%.*s\" cannot compare %s and %s", (int)op.n, op.p,
                     kw_chat_type_name(a), kw_chat_type_name(b));
    bool yes = op.n == 2 && d == 0;
    return kw_chat_bool(c, yes || (op.p[0] == '<' ? d < 0 : d > 0));
}

bool kw_chat_contains(kw_chat *c, const kw_json *all, const kw_json *one)
{
    if (all && all->type == KW_JSON_STRING) {
        kw_str s = all->string, w = kw_chat_text(c, one);
        for (size_t i = 0; i + w.n <= s.n; i++)
            if (w.n == 0 || memcmp(s.p + i, w.p, w.n) == 0) return true;
        return false;
    }
    for (const kw_json *e = all ? all->child : NULL; e; e = e->next) {
        if (all->type == KW_JSON_ARRAY && kw_chat_equal(e, one)) return true;
        if (all->type == KW_JSON_OBJECT && one && one->type == KW_JSON_STRING &&
            kw_str_eq(e->key, one->string))
            return true;
    }
    return false;
}

/* ---- tests: `x is defined` ---- */

typedef bool (*test_fn)(const kw_json *v);
static bool is_defined(const kw_json *v) { return v != NULL; }
static bool is_undefined(const kw_json *v) { return v == NULL; }
static bool is_none(const kw_json *v) { return v && v->type == KW_JSON_NULL; }
static bool is_string(const kw_json *v) { return v && v->type == KW_JSON_STRING; }
static bool is_mapping(const kw_json *v) { return v && v->type == KW_JSON_OBJECT; }
static bool is_list(const kw_json *v) { return v && v->type >= KW_JSON_STRING; }
static bool is_boolean(const kw_json *v) { return v && v->type == KW_JSON_BOOL; }
static bool is_int(const kw_json *v) { return v && v->type == KW_JSON_INT; }
static bool is_float(const kw_json *v) { return v && v->type == KW_JSON_FLOAT; }
static bool is_true(const kw_json *v) { return is_boolean(v) && v->boolean; }
static bool is_false(const kw_json *v) { return is_boolean(v) && !v->boolean; }
static bool is_iterable(const kw_json *v) { return !v || is_list(v); }
static bool is_odd(const kw_json *v) { return is_int(v) && v->integer % 2 != 0; }
static bool is_even(const kw_json *v) { return is_int(v) && v->integer % 2 == 0; }

static const struct {
    const char *name;
    test_fn test;
} tests[] = {
    { "defined", is_defined }, { "undefined", is_undefined },
    { "none", is_none },       { "string", is_string },
    { "mapping", is_mapping }, { "iterable", is_iterable },
    { "sequence", is_list },   { "number", kw_chat_is_number },
    { "boolean", is_boolean }, { "integer", is_int },
    { "float", is_float },     { "true", is_true },
    { "false", is_false },     { "odd", is_odd },
    { "even", is_even },
};

bool kw_chat_test(kw_chat *c, kw_str name, const kw_json *v)
{
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++)
        if (kw_str_is(name, tests[i].name)) return tests[i].test(v);
    kw_chat_fail(c, KW_EUNSUPPORTED, "chat template: the test \"%.*s\" is not supported yet",
                 (int)name.n, name.p);
    return false;
}
