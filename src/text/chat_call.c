/* chat_call.c - builtins by name, and their arguments by position. */
#include "text/chat.h"
#include <string.h>

enum { MOST = 8 };

const kw_builtin *kw_chat_builtin_named(const kw_builtin *table, kw_str name)
{
    for (; table->name; table++)
        if (kw_str_is(name, table->name)) return table;
    return NULL;
}

static kw_obj *named(const kw_call *call, kw_str name, size_t *used)
{
    for (size_t i = 0; i < call->n_named; i++) {
        if (!kw_str_eq(call->named[i].key->text, name)) continue;
        ++*used;
        return call->named[i].value;
    }
    return NULL;
}

/* Fills args by the names in `params`; gives how many there are. */
static size_t bind(kw_chat *c, const kw_builtin *b, const kw_call *call, kw_obj *args[MOST])
{
    size_t n = 0, used = 0;
    for (const char *p = b->params; *p && n < MOST; n++) {
        bool optional = *p == '?';
        if (optional) p++;
        kw_str name = { p, strcspn(p, ",") };
        p += name.n + (p[name.n] == ',');
        args[n] = n < call->n ? call->args[n] : named(call, name, &used);
        if (!args[n] && !optional)
            kw_chat_wrong(c, "%s() is missing its argument '%.*s'", b->name, (int)name.n, name.p);
    }
    if (call->n > n)
        kw_chat_wrong(c, "%s() takes at most %zu arguments, got %zu", b->name, n, call->n);
    if (used < call->n_named) {
        kw_str key = call->named[call->n_named - 1].key->text;
        kw_chat_wrong(c, "%s() got an unexpected keyword argument '%.*s'", b->name, (int)key.n,
                      key.p);
    }
    return n;
}

static kw_obj *run_bound(kw_chat *c, const kw_builtin *b, const kw_call *call)
{
    kw_obj *args[MOST] = { NULL };
    if (c->status || !kw_chat_spend(c, 1)) return c->undefined;
    if (b->params[0] == '*') return b->run(c, call);
    kw_call bound = { .self = call->self, .args = args };
    bound.n = bind(c, b, call, args);
    return c->status ? c->undefined : b->run(c, &bound);
}

/* Filters and methods of a string may walk it; a test that does asks for it itself. */
kw_obj *kw_chat_builtin_call(kw_chat *c, const kw_builtin *b, const kw_call *call)
{
    if (call->self && call->self->type == KW_OBJ_STRING) kw_chat_walk(c, call->self->text);
    return run_bound(c, b, call);
}

static const kw_builtin *filter_named(kw_str name)
{
    static const kw_builtin *const tables[] = { kw_chat_filters_list, kw_chat_filters_pick,
                                                kw_chat_filters_text, kw_chat_filters_number };
    const kw_builtin *b = NULL;
    for (size_t i = 0; i < sizeof tables / sizeof *tables && !b; i++)
        b = kw_chat_builtin_named(tables[i], name);
    return b;
}

bool kw_chat_has_filter(kw_str name) { return filter_named(name) != NULL; }

kw_obj *kw_chat_no_filter(kw_chat *c, kw_str name)
{
    kw_chat_fail(c, KW_EUNSUPPORTED, "No filter named '%.*s'.", (int)name.n, name.p);
    return c->undefined;
}

bool kw_chat_no_test(kw_chat *c, kw_str name)
{
    kw_chat_fail(c, KW_EUNSUPPORTED, "No test named '%.*s'.", (int)name.n, name.p);
    return false;
}

kw_obj *kw_chat_filter(kw_chat *c, kw_str name, const kw_call *call)
{
    const kw_builtin *b = filter_named(name);
    return b ? kw_chat_builtin_call(c, b, call) : kw_chat_no_filter(c, name);
}

bool kw_chat_test(kw_chat *c, kw_str name, const kw_call *call)
{
    const kw_builtin *b = kw_chat_builtin_named(kw_chat_tests, name);
    return b ? kw_obj_truth(run_bound(c, b, call)) : kw_chat_no_test(c, name);
}

/* ---- what builtins ask of their arguments ---- */

static kw_obj *arg(const kw_call *call, size_t i) { return i < call->n ? call->args[i] : NULL; }

bool kw_chat_flag(const kw_call *call, size_t i, bool otherwise)
{
    return arg(call, i) ? kw_obj_truth(arg(call, i)) : otherwise;
}

/* Held to what can be added to a length. */
int64_t kw_chat_count(kw_chat *c, const kw_call *call, size_t i, int64_t otherwise)
{
    const int64_t most = INT64_MAX / 2;
    const kw_obj *v = arg(call, i);
    if (!v) return otherwise;
    int64_t n = kw_obj_is_integer(v) ? kw_obj_integer(v) : 0;
    if (kw_obj_is_integer(v)) return n > most ? most : n < -most ? -most : n;
    kw_chat_wrong(c, "'%s' object cannot be interpreted as an integer", kw_obj_type_name(v));
    return otherwise;
}

kw_str kw_chat_string(kw_chat *c, const kw_call *call, size_t i, const char *otherwise)
{
    return arg(call, i) ? kw_chat_text(c, arg(call, i)) : kw_str_of(otherwise);
}
