/* chat_functions.c - the functions of the template language, and the methods of lists and mappings. */
#include "text/chat.h"
#include <string.h>

static kw_obj *raise(kw_chat *c, const kw_call *call)
{
    kw_str text = kw_chat_text(c, call->args[0]);
    if (!c->status)
        c->status = kw_fail(KW_EINVAL, "%.*s", (int)(text.n < 4096 ? text.n : 4096), text.p);
    return c->undefined;
}

static kw_obj *range(kw_chat *c, const kw_call *call)
{
    int64_t a = kw_chat_count(c, call, 0, 0), b = kw_chat_count(c, call, 1, 0),
            by = kw_chat_count(c, call, 2, 1);
    kw_obj *v = kw_chat_new(c, KW_OBJ_RANGE);
    if (c->status) return v;
    if (by == 0) return kw_chat_wrong(c, "range() arg 3 must not be zero");
    v->range.from = call->args[1] ? a : 0;
    v->range.to = call->args[1] ? b : a;
    v->range.by = by;
    double gap = (double)v->range.to - (double)v->range.from;
    if (gap / (double)by > (double)KW_CHAT_RANGE)
        return kw_chat_wrong(c,
                             "Range too big. The sandbox blocks ranges larger than MAX_RANGE (%d).",
                             KW_CHAT_RANGE);
    bool is_far = v->range.from > INT64_MAX / 4 || v->range.from < INT64_MIN / 4 ||
                  v->range.to > INT64_MAX / 4 || v->range.to < INT64_MIN / 4 ||
                  by > INT64_MAX / 4 || by < INT64_MIN / 4;
    if (is_far) kw_chat_fail(c, KW_ELIMIT, "range() of numbers beyond 61 bits");
    return v;
}

/* From a mapping, or pairs, and names. */
static kw_obj *filled(kw_chat *c, const kw_call *call, kw_obj_type type)
{
    kw_obj *dict = kw_chat_new(c, type);
    if (call->n > 1) return kw_chat_wrong(c, "dict expected at most 1 argument, got %zu", call->n);
    const kw_obj *from = call->n ? call->args[0] : NULL;
    if (from && (from->type == KW_OBJ_DICT || from->type == KW_OBJ_NAMESPACE)) {
        for (size_t i = 0; i < from->dict.n && kw_chat_spend(c, 1); i++)
            kw_dict_put(c, dict, from->dict.pairs[i].key, from->dict.pairs[i].value);
    } else if (from) {
        const kw_obj *list = kw_chat_iterate(c, call->args[0]);
        for (size_t i = 0; i < list->list.n && kw_chat_spend(c, 1); i++) {
            const kw_obj *pair = kw_chat_iterate(c, list->list.items[i]);
            if (pair->list.n != 2)
                return kw_chat_wrong(
                    c, "dictionary update sequence element #%zu has length %zu; 2 is required", i,
                    pair->list.n);
            kw_dict_put(c, dict, pair->list.items[0], pair->list.items[1]);
        }
    }
    for (size_t i = 0; i < call->n_named; i++)
        kw_dict_put(c, dict, call->named[i].key, call->named[i].value);
    return dict;
}

static kw_obj *dict(kw_chat *c, const kw_call *call) { return filled(c, call, KW_OBJ_DICT); }

static kw_obj *namespace(kw_chat *c, const kw_call *call)
{
    return filled(c, call, KW_OBJ_NAMESPACE);
}

static kw_obj *cycler(kw_chat *c, const kw_call *call)
{
    if (!call->n) return kw_chat_wrong(c, "at least one item has to be provided");
    kw_obj *v = kw_chat_list(c, KW_OBJ_CYCLER, call->n);
    if (!c->status) memcpy(v->list.items, call->args, call->n * sizeof *call->args);
    return v;
}

static kw_obj *joiner(kw_chat *c, const kw_call *call)
{
    kw_obj *v = kw_chat_list(c, KW_OBJ_JOINER, 1);
    if (!c->status) v->list.items[0] = kw_chat_str(c, kw_chat_string(c, call, 0, ", "));
    return v;
}

const kw_builtin kw_chat_functions[] = {
    { "raise_exception", raise, "message" },
    { "range", range, "a,?b,?step" },
    { "dict", dict, "*" },
    { "namespace", namespace, "*" },
    { "cycler", cycler, "*" },
    { "joiner", joiner, "?sep" },
    { "strftime_now", kw_chat_strftime, "format" },
    { NULL, NULL, NULL },
};

/* ---- cyclers ---- */

static kw_obj *next(kw_chat *c, const kw_call *call)
{
    (void)c;
    kw_obj *v = call->self, *now = v->list.items[v->list.at];
    v->list.at = (v->list.at + 1) % v->list.n;
    return now;
}

static kw_obj *reset(kw_chat *c, const kw_call *call)
{
    call->self->list.at = 0;
    return c->none;
}

const kw_builtin kw_chat_cycler_methods[] = { { "next", next, "" },
                                              { "reset", reset, "" },
                                              { NULL, NULL, NULL } };

/* ---- mappings ---- */

static kw_obj *get(kw_chat *c, const kw_call *call)
{
    kw_obj *v = kw_dict_get(c, call->self, call->args[0]);
    return v ? v : call->args[1] ? call->args[1] : c->none;
}

static kw_obj *view(kw_chat *c, const kw_call *call, kw_obj_type type)
{
    const kw_obj *d = call->self;
    kw_obj *list = kw_chat_list(c, type, d->dict.n);
    for (size_t i = 0; i < d->dict.n && kw_chat_spend(c, 1); i++) {
        kw_pair p = d->dict.pairs[i];
        list->list.items[i] = type == KW_OBJ_KEYS     ? p.key
                              : type == KW_OBJ_VALUES ? p.value
                                                      : kw_chat_pair(c, p.key, p.value);
    }
    return list;
}

static kw_obj *keys(kw_chat *c, const kw_call *call) { return view(c, call, KW_OBJ_KEYS); }
static kw_obj *values(kw_chat *c, const kw_call *call) { return view(c, call, KW_OBJ_VALUES); }
static kw_obj *items(kw_chat *c, const kw_call *call) { return view(c, call, KW_OBJ_ITEMS); }

static kw_obj *copy_dict(kw_chat *c, const kw_call *call)
{
    kw_call one = { .args = (kw_obj *[]){ call->self }, .n = 1 };
    return dict(c, &one);
}

const kw_builtin kw_chat_dict_methods[] = {
    { "get", get, "key,?default" }, { "keys", keys, "" },      { "values", values, "" },
    { "items", items, "" },         { "copy", copy_dict, "" }, { NULL, NULL, NULL },
};

/* ---- lists ---- */

static kw_obj *count(kw_chat *c, const kw_call *call)
{
    int64_t n = 0;
    for (size_t i = 0; i < call->self->list.n && kw_chat_spend(c, 1); i++)
        n += kw_chat_equal(c, call->self->list.items[i], call->args[0]);
    return kw_chat_int(c, n);
}

static kw_obj *index_of(kw_chat *c, const kw_call *call)
{
    const kw_obj *l = call->self;
    for (size_t i = 0; i < l->list.n && kw_chat_spend(c, 1); i++)
        if (kw_chat_equal(c, l->list.items[i], call->args[0])) return kw_chat_int(c, (int64_t)i);
    return kw_chat_wrong(c, "the value is not in the list");
}

static kw_obj *copy_list(kw_chat *c, const kw_call *call)
{
    (void)c;
    return call->self;
}

const kw_builtin kw_chat_list_methods[] = { { "count", count, "value" },
                                            { "index", index_of, "value" },
                                            { "copy", copy_list, "" },
                                            { NULL, NULL, NULL } };
