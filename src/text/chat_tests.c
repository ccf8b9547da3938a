/* chat_tests.c - "x is defined" and its kin. */
#include "text/chat.h"
#include <string.h>

#define TYPE_TEST(name_, condition_)                                                               \
    static kw_obj *name_(kw_chat *c, const kw_call *call)                                          \
    {                                                                                              \
        const kw_obj *v = call->self;                                                              \
        return kw_chat_bool(c, condition_);                                                        \
    }

TYPE_TEST(is_defined, v->type != KW_OBJ_UNDEFINED)
TYPE_TEST(is_undefined, v->type == KW_OBJ_UNDEFINED)
TYPE_TEST(is_none, v->type == KW_OBJ_NONE)
TYPE_TEST(is_boolean, v->type == KW_OBJ_BOOL)
TYPE_TEST(is_true, v->type == KW_OBJ_BOOL && v->boolean)
TYPE_TEST(is_false, v->type == KW_OBJ_BOOL && !v->boolean)
TYPE_TEST(is_integer, v->type == KW_OBJ_INT)
TYPE_TEST(is_float, v->type == KW_OBJ_FLOAT)
TYPE_TEST(is_number, kw_obj_is_number(v))
TYPE_TEST(is_string, v->type == KW_OBJ_STRING)
TYPE_TEST(is_mapping, v->type == KW_OBJ_DICT)
TYPE_TEST(is_sequence, v->type == KW_OBJ_UNDEFINED || v->type == KW_OBJ_STRING ||
                           v->type == KW_OBJ_LIST || v->type == KW_OBJ_TUPLE ||
                           v->type == KW_OBJ_RANGE || v->type == KW_OBJ_DICT)
TYPE_TEST(is_iterable, v->type == KW_OBJ_UNDEFINED ||
                           (v->type >= KW_OBJ_STRING && v->type <= KW_OBJ_DICT) ||
                           v->type == KW_OBJ_LOOP)
TYPE_TEST(is_callable, v->type == KW_OBJ_UNDEFINED || v->type == KW_OBJ_MACRO ||
                           v->type == KW_OBJ_FUNCTION || v->type == KW_OBJ_LOOP ||
                           v->type == KW_OBJ_JOINER)
#undef TYPE_TEST

static bool divides(kw_chat *c, kw_obj *v, kw_obj *by, int64_t rest)
{
    kw_obj *r = kw_chat_binary(c, KW_STR("%"), v, by);
    return !c->status && kw_obj_is_number(r) && kw_obj_number(r) == (double)rest;
}

static kw_obj *is_odd(kw_chat *c, const kw_call *call)
{
    return kw_chat_bool(c, divides(c, call->self, kw_chat_int(c, 2), 1));
}

static kw_obj *is_even(kw_chat *c, const kw_call *call)
{
    return kw_chat_bool(c, divides(c, call->self, kw_chat_int(c, 2), 0));
}

static kw_obj *is_divisible(kw_chat *c, const kw_call *call)
{
    return kw_chat_bool(c, divides(c, call->self, call->args[0], 0));
}

static kw_obj *is_same(kw_chat *c, const kw_call *call)
{
    const kw_obj *a = call->self, *b = call->args[0];
    bool scalar = a->type <= KW_OBJ_STRING && a->type == b->type && a->type != KW_OBJ_UNDEFINED;
    return kw_chat_bool(c, a == b || (scalar && kw_chat_equal(c, a, b)));
}

static kw_obj *is_in(kw_chat *c, const kw_call *call)
{
    return kw_chat_bool(c, kw_chat_contains(c, call->args[0], call->self));
}

static kw_obj *in_case(kw_chat *c, const kw_call *call, const char *method)
{
    kw_call of_text = { .self = kw_chat_str(c, kw_chat_text(c, call->self)) };
    return kw_chat_builtin_call(c,
                                kw_chat_builtin_named(kw_chat_string_methods_is, kw_str_of(method)),
                                &of_text);
}

static kw_obj *is_lower(kw_chat *c, const kw_call *call) { return in_case(c, call, "islower"); }

static kw_obj *is_upper(kw_chat *c, const kw_call *call) { return in_case(c, call, "isupper"); }

static kw_obj *is_filter(kw_chat *c, const kw_call *call)
{
    return kw_chat_bool(c, kw_chat_has_filter(kw_chat_text(c, call->self)));
}

static kw_obj *is_test(kw_chat *c, const kw_call *call)
{
    return kw_chat_bool(c, kw_chat_builtin_named(kw_chat_tests, kw_chat_text(c, call->self)));
}

static kw_obj *is_escaped(kw_chat *c, const kw_call *call)
{
    (void)call;
    return c->no;
}

static kw_obj *compared(kw_chat *c, const kw_call *call, const char *op)
{
    return kw_chat_bool(c, kw_chat_compare(c, kw_str_of(op), call->self, call->args[0]));
}

static kw_obj *is_eq(kw_chat *c, const kw_call *call) { return compared(c, call, "=="); }
static kw_obj *is_ne(kw_chat *c, const kw_call *call) { return compared(c, call, "!="); }
static kw_obj *is_lt(kw_chat *c, const kw_call *call) { return compared(c, call, "<"); }
static kw_obj *is_le(kw_chat *c, const kw_call *call) { return compared(c, call, "<="); }
static kw_obj *is_gt(kw_chat *c, const kw_call *call) { return compared(c, call, ">"); }
static kw_obj *is_ge(kw_chat *c, const kw_call *call) { return compared(c, call, ">="); }

const kw_builtin kw_chat_tests[] = {
    { "defined", is_defined, "" },
    { "undefined", is_undefined, "" },
    { "none", is_none, "" },
    { "boolean", is_boolean, "" },
    { "true", is_true, "" },
    { "false", is_false, "" },
    { "integer", is_integer, "" },
    { "float", is_float, "" },
    { "number", is_number, "" },
    { "string", is_string, "" },
    { "mapping", is_mapping, "" },
    { "sequence", is_sequence, "" },
    { "iterable", is_iterable, "" },
    { "callable", is_callable, "" },
    { "odd", is_odd, "" },
    { "even", is_even, "" },
    { "divisibleby", is_divisible, "num" },
    { "sameas", is_same, "other" },
    { "in", is_in, "seq" },
    { "lower", is_lower, "" },
    { "upper", is_upper, "" },
    { "filter", is_filter, "" },
    { "test", is_test, "" },
    { "escaped", is_escaped, "" },
    { "eq", is_eq, "other" },
    { "equalto", is_eq, "other" },
    { "==", is_eq, "other" },
    { "ne", is_ne, "other" },
    { "!=", is_ne, "other" },
    { "lt", is_lt, "other" },
    { "lessthan", is_lt, "other" },
    { "<", is_lt, "other" },
    { "le", is_le, "other" },
    { "<=", is_le, "other" },
    { "gt", is_gt, "other" },
    { "greaterthan", is_gt, "other" },
    { ">", is_gt, "other" },
    { "ge", is_ge, "other" },
    { ">=", is_ge, "other" },
    { NULL, NULL, NULL },
};
