/* chat_ops.c - what the operators of the template language compute, with Python's rules and Python's complaints.
 *
 * Whole numbers have 64 bits here; what would need more is refused, never wrapped. */
#include "text/chat.h"
#include <math.h>
#include <string.h>

bool kw_obj_is_number(const kw_obj *v)
{
    return v->type == KW_OBJ_INT || v->type == KW_OBJ_FLOAT || v->type == KW_OBJ_BOOL;
}

bool kw_obj_is_integer(const kw_obj *v) { return v->type == KW_OBJ_INT || v->type == KW_OBJ_BOOL; }

int64_t kw_obj_integer(const kw_obj *v) { return v->type == KW_OBJ_BOOL ? v->boolean : v->integer; }

double kw_obj_number(const kw_obj *v)
{
    return v->type == KW_OBJ_FLOAT ? v->number : (double)kw_obj_integer(v);
}

static kw_obj *too_large(kw_chat *c)
{
    kw_chat_fail(c, KW_ELIMIT, "a whole number of more than 64 bits");
    return c->undefined;
}

static kw_obj *unsupported(kw_chat *c, kw_str op, const kw_obj *a, const kw_obj *b)
{
    const kw_obj *missing = a->type == KW_OBJ_UNDEFINED   ? a
                            : b->type == KW_OBJ_UNDEFINED ? b
                                                          : NULL;
    if (missing) return kw_chat_wrong(c, "%.*s", (int)missing->text.n, missing->text.p);
    const char *x = kw_obj_type_name(a), *y = kw_obj_type_name(b);
    bool joins = a->type == KW_OBJ_STRING || a->type == KW_OBJ_LIST || a->type == KW_OBJ_TUPLE;
    if (kw_str_is(op, "+") && joins)
        return kw_chat_wrong(c, "can only concatenate %s (not \"%s\") to %s", x, y, x);
    if (kw_str_is(op, "*") && joins)
        return kw_chat_wrong(c, "can't multiply sequence by non-int of type '%s'", y);
    bool is_power = kw_str_is(op, "**");
    return kw_chat_wrong(c, "unsupported operand type(s) for %.*s%s: '%s' and '%s'", (int)op.n,
                         op.p, is_power ? " or pow()" : "", x, y);
}

/* ---- numbers ---- */

static int64_t floor_div(int64_t a, int64_t b)
{
    int64_t q = a / b;
    return a % b != 0 && (a < 0) != (b < 0) ? q - 1 : q;
}

static kw_obj *integer_power(kw_chat *c, int64_t a, int64_t b)
{
    int64_t v = 1;
    while (b > 0) {
        if ((b & 1) && __builtin_mul_overflow(v, a, &v)) return too_large(c);
        b >>= 1;
        if (b && __builtin_mul_overflow(a, a, &a)) return too_large(c);
    }
    return kw_chat_int(c, v);
}

static kw_obj *integers(kw_chat *c, kw_str op, int64_t a, int64_t b)
{
    int64_t v = 0;
    bool over = false;
    if (kw_str_is(op, "+")) over = __builtin_add_overflow(a, b, &v);
    else if (kw_str_is(op, "-")) over = __builtin_sub_overflow(a, b, &v);
    else if (kw_str_is(op, "*")) over = __builtin_mul_overflow(a, b, &v);
    else if (kw_str_is(op, "**")) return integer_power(c, a, b);
    else if (a == INT64_MIN && b == -1) over = op.p[0] == '/';
    else v = op.p[0] == '/' ? floor_div(a, b) : a - floor_div(a, b) * b;
    return over ? too_large(c) : kw_chat_int(c, v);
}

static double remainder_of(double x, double y)
{
    double r = fmod(x, y);
    if (r != 0 && (r < 0) != (y < 0)) return r + y;
    return r == 0 ? copysign(0.0, y) : r;
}

static kw_obj *reals(kw_chat *c, kw_str op, double x, double y)
{
    if (kw_str_is(op, "+")) return kw_chat_real(c, x + y);
    if (kw_str_is(op, "-")) return kw_chat_real(c, x - y);
    if (kw_str_is(op, "*")) return kw_chat_real(c, x * y);
    if (kw_str_is(op, "/")) return kw_chat_real(c, x / y);
    if (kw_str_is(op, "%")) return kw_chat_real(c, remainder_of(x, y));
    if (kw_str_is(op, "//")) return kw_chat_real(c, floor((x - remainder_of(x, y)) / y + 0.5));
    if (x == 0 && y < 0) return kw_chat_wrong(c, "0.0 cannot be raised to a negative power");
    if (x < 0 && y != floor(y)) return kw_chat_wrong(c, "complex numbers are not supported");
    double v = pow(x, y);
    if (isinf(v) && !isinf(x) && !isinf(y))
        return kw_chat_wrong(c, "(34, 'Numerical result out of range')");
    return kw_chat_real(c, v);
}

static kw_obj *numbers(kw_chat *c, kw_str op, const kw_obj *a, const kw_obj *b)
{
    bool whole = kw_obj_is_integer(a) && kw_obj_is_integer(b);
    bool divides = op.p[0] == '/' || op.p[0] == '%';
    if (divides && kw_obj_number(b) == 0) {
        if (kw_str_is(op, "/"))
            return kw_chat_wrong(c, whole ? "division by zero" : "float division by zero");
        if (kw_str_is(op, "%"))
            return kw_chat_wrong(c, whole ? "integer modulo by zero" : "float modulo");
        return kw_chat_wrong(c, whole ? "integer division or modulo by zero"
                                      : "float floor division by zero");
    }
    bool to_real = kw_str_is(op, "/") || (kw_str_is(op, "**") && kw_obj_number(b) < 0);
    if (whole && !to_real) return integers(c, op, kw_obj_integer(a), kw_obj_integer(b));
    return reals(c, op, kw_obj_number(a), kw_obj_number(b));
}

/* ---- strings and lists ---- */

/* A string that ends where the last one made here ends grows in place: what only adds stays linear. */
kw_obj *kw_chat_joined(kw_chat *c, kw_str a, kw_str b)
{
    if (!b.n) return kw_chat_str(c, a);
    if (!a.n) return kw_chat_str(c, b);
    if (a.p + a.n == c->tail && b.n <= c->tail_room) {
        memcpy(c->tail, b.p, b.n);
        c->tail += b.n;
        c->tail_room -= b.n;
        return kw_chat_str(c, (kw_str){ a.p, a.n + b.n });
    }
    size_t n = a.n + b.n, room = n < 256 ? 32 : n;
    char *both = kw_chat_alloc(c, n + room, 1);
    if (!both) return c->undefined;
    memcpy(both, a.p, a.n);
    memcpy(both + a.n, b.p, b.n);
    c->tail = both + n;
    c->tail_room = room;
    return kw_chat_str(c, (kw_str){ both, n });
}

static kw_obj *joined_lists(kw_chat *c, const kw_obj *a, const kw_obj *b)
{
    if (!kw_chat_spend(c, (a->list.n + b->list.n) / 16)) return c->undefined;
    kw_obj *all = kw_chat_list(c, a->type, a->list.n + b->list.n);
    if (c->status) return all;
    memcpy(all->list.items, a->list.items, a->list.n * sizeof *all->list.items);
    memcpy(all->list.items + a->list.n, b->list.items, b->list.n * sizeof *all->list.items);
    return all;
}

static kw_obj *repeated(kw_chat *c, const kw_obj *v, int64_t times)
{
    bool is_text = v->type == KW_OBJ_STRING;
    size_t n = is_text ? v->text.n : v->list.n, size = is_text ? 1 : sizeof(kw_obj *), total;
    if (times <= 0 || !n) return is_text ? kw_chat_text_of(c, "") : kw_chat_list(c, v->type, 0);
    if (!kw_mul_size(n, (size_t)times, &total)) total = SIZE_MAX / 16;
    char *bytes = kw_chat_alloc(c, total, size);
    if (!bytes || !kw_chat_spend(c, (size_t)times / 16)) return c->undefined;
    const void *from = is_text ? (const void *)v->text.p : (const void *)v->list.items;
    for (size_t i = 0; i < (size_t)times; i++) memcpy(bytes + i * n * size, from, n * size);
    if (is_text) return kw_chat_str(c, (kw_str){ bytes, total });
    kw_obj *list = kw_chat_new(c, v->type);
    if (c->status) return list;
    list->list.items = (kw_obj **)(void *)bytes;
    list->list.n = total;
    return list;
}

static bool repeats(const kw_obj *v)
{
    return v->type == KW_OBJ_STRING || v->type == KW_OBJ_LIST || v->type == KW_OBJ_TUPLE;
}

kw_obj *kw_chat_binary(kw_chat *c, kw_str op, kw_obj *a, kw_obj *b)
{
    if (c->status) return c->undefined;
    if (kw_obj_is_number(a) && kw_obj_is_number(b)) return numbers(c, op, a, b);
    if (kw_str_is(op, "%") && a->type == KW_OBJ_STRING) return kw_chat_percent(c, a->text, b);
    if (kw_str_is(op, "+") && a->type == b->type) {
        if (a->type == KW_OBJ_STRING) return kw_chat_joined(c, a->text, b->text);
        if (a->type == KW_OBJ_LIST || a->type == KW_OBJ_TUPLE) return joined_lists(c, a, b);
    }
    if (kw_str_is(op, "*")) {
        if (repeats(a) && kw_obj_is_integer(b)) return repeated(c, a, kw_obj_integer(b));
        if (repeats(b) && kw_obj_is_integer(a)) return repeated(c, b, kw_obj_integer(a));
    }
    return unsupported(c, op, a, b);
}

kw_obj *kw_chat_negative(kw_chat *c, kw_obj *v)
{
    if (v->type == KW_OBJ_FLOAT) return kw_chat_real(c, -v->number);
    if (kw_obj_is_integer(v)) return integers(c, KW_STR("-"), 0, kw_obj_integer(v));
    if (v->type == KW_OBJ_UNDEFINED) return unsupported(c, KW_STR("-"), v, v);
    return kw_chat_wrong(c, "bad operand type for unary -: '%s'", kw_obj_type_name(v));
}

/* ---- comparison ---- */

static bool equal_lists(kw_chat *c, const kw_obj *a, const kw_obj *b)
{
    if (a->list.n != b->list.n) return false;
    for (size_t i = 0; i < a->list.n && kw_chat_spend(c, 1); i++)
        if (!kw_chat_equal(c, a->list.items[i], b->list.items[i])) return false;
    return !c->status;
}

static bool equal_dicts(kw_chat *c, const kw_obj *a, const kw_obj *b)
{
    if (a->dict.n != b->dict.n) return false;
    for (size_t i = 0; i < a->dict.n && kw_chat_spend(c, 1); i++) {
        kw_obj *other = kw_dict_get(c, b, a->dict.pairs[i].key);
        if (!other || !kw_chat_equal(c, a->dict.pairs[i].value, other)) return false;
    }
    return !c->status;
}

static bool equal_inside(kw_chat *c, const kw_obj *a, const kw_obj *b)
{
    if (!kw_chat_enter(c)) return false;
    bool same = a->type == KW_OBJ_DICT ? equal_dicts(c, a, b) : equal_lists(c, a, b);
    kw_chat_leave(c);
    return same;
}

bool kw_chat_equal(kw_chat *c, const kw_obj *a, const kw_obj *b)
{
    if (kw_obj_is_integer(a) && kw_obj_is_integer(b)) return kw_obj_integer(a) == kw_obj_integer(b);
    if (kw_obj_is_number(a) && kw_obj_is_number(b)) return kw_obj_number(a) == kw_obj_number(b);
    if (a->type != b->type) return false;
    switch (a->type) {
    case KW_OBJ_UNDEFINED:
    case KW_OBJ_NONE: return true;
    case KW_OBJ_STRING:
        return a->text.n == b->text.n && kw_chat_walk(c, a->text) && kw_str_eq(a->text, b->text);
    case KW_OBJ_LIST:
    case KW_OBJ_TUPLE:
    case KW_OBJ_DICT: return a == b || equal_inside(c, a, b);
    case KW_OBJ_RANGE:
        return a->range.from == b->range.from && a->range.to == b->range.to &&
               a->range.by == b->range.by;
    default: return a == b;
    }
}

static int order_text(kw_chat *c, kw_str a, kw_str b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    if (!kw_chat_walk(c, (kw_str){ a.p, n })) return 0;
    int d = n ? memcmp(a.p, b.p, n) : 0;
    return d ? d : (a.n > b.n) - (a.n < b.n);
}

static int order_lists(kw_chat *c, const char *op, const kw_obj *a, const kw_obj *b)
{
    int d = (a->list.n > b->list.n) - (a->list.n < b->list.n);
    if (!kw_chat_enter(c)) return 0;
    for (size_t i = 0; i < a->list.n && i < b->list.n && kw_chat_spend(c, 1); i++) {
        if (kw_chat_equal(c, a->list.items[i], b->list.items[i])) continue;
        d = kw_chat_order(c, op, a->list.items[i], b->list.items[i]);
        break;
    }
    kw_chat_leave(c);
    return d;
}

int kw_chat_order(kw_chat *c, const char *op, const kw_obj *a, const kw_obj *b)
{
    if (kw_obj_is_integer(a) && kw_obj_is_integer(b)) {
        int64_t i = kw_obj_integer(a), j = kw_obj_integer(b);
        return (i > j) - (i < j);
    }
    if (kw_obj_is_number(a) && kw_obj_is_number(b)) {
        double x = kw_obj_number(a), y = kw_obj_number(b);
        return (x > y) - (x < y);
    }
    if (a->type == b->type && a->type == KW_OBJ_STRING) return order_text(c, a->text, b->text);
    if (a->type == b->type && (a->type == KW_OBJ_LIST || a->type == KW_OBJ_TUPLE))
        return order_lists(c, op, a, b);
    if (a->type == KW_OBJ_UNDEFINED || b->type == KW_OBJ_UNDEFINED)
        unsupported(c, kw_str_of(op), a, b);
    else
        kw_chat_wrong(c, "'%s' not supported between instances of '%s' and '%s'", op,
                      kw_obj_type_name(a), kw_obj_type_name(b));
    return 0;
}

static bool contains_text(kw_chat *c, kw_str s, kw_str w)
{
    if (!kw_chat_walk(c, s)) return false;
    return kw_text_find(s, w, 0) != SIZE_MAX;
}

bool kw_chat_contains(kw_chat *c, kw_obj *all, kw_obj *one)
{
    if (all->type == KW_OBJ_STRING) {
        if (one->type == KW_OBJ_STRING) return contains_text(c, all->text, one->text);
        kw_chat_wrong(c, "'in <string>' requires string as left operand, not %s",
                      kw_obj_type_name(one));
        return false;
    }
    if (all->type == KW_OBJ_DICT) return kw_dict_get(c, all, one) != NULL;
    if (!kw_obj_is_list(all) && all->type != KW_OBJ_RANGE && all->type != KW_OBJ_UNDEFINED) {
        kw_chat_wrong(c, "argument of type '%s' is not iterable", kw_obj_type_name(all));
        return false;
    }
    const kw_obj *list = kw_chat_iterate(c, all);
    for (size_t i = 0; i < list->list.n && kw_chat_spend(c, 1); i++)
        if (kw_chat_equal(c, list->list.items[i], one)) return true;
    return false;
}

bool kw_chat_compare(kw_chat *c, kw_str op, kw_obj *a, kw_obj *b)
{
    if (c->status) return false;
    if (kw_str_is(op, "==")) return kw_chat_equal(c, a, b);
    if (kw_str_is(op, "!=")) return !kw_chat_equal(c, a, b);
    if (kw_str_is(op, "in")) return kw_chat_contains(c, b, a);
    if (kw_str_is(op, "not")) return !kw_chat_contains(c, b, a);
    const char *name = op.n == 1 ? (op.p[0] == '<' ? "<" : ">") : op.p[0] == '<' ? "<=" : ">=";
    if (kw_obj_is_number(a) && kw_obj_is_number(b) &&
        (isnan(kw_obj_number(a)) || isnan(kw_obj_number(b))))
        return false;
    int d = kw_chat_order(c, name, a, b);
    if (d == 0) return op.n == 2;
    return op.p[0] == '<' ? d < 0 : d > 0;
}
