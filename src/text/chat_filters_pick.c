/* chat_filters_pick.c - filters that ask a filter, a test or an attribute about each item. */
#include "text/chat.h"

/* The arguments behind the first `n`. */
static kw_call behind(const kw_call *call, size_t n, kw_obj *self)
{
    kw_call rest = *call;
    if (call->n) rest.args = call->args + (n < call->n ? n : call->n);
    rest.n = n < call->n ? call->n - n : 0;
    rest.self = self;
    return rest;
}

static kw_obj *named(const kw_call *call, const char *name)
{
    for (size_t i = 0; i < call->n_named; i++)
        if (kw_str_is(call->named[i].key->text, name)) return call->named[i].value;
    return NULL;
}

static kw_obj *map(kw_chat *c, const kw_call *call)
{
    if (!kw_obj_truth(call->self)) return kw_chat_list(c, KW_OBJ_GENERATOR, 0);
    kw_obj *path = call->n ? NULL : named(call, "attribute"), *otherwise = named(call, "default");
    if (!call->n && !path) return kw_chat_wrong(c, "map requires a filter argument");
    if (otherwise && otherwise->type == KW_OBJ_NONE) otherwise = NULL;
    kw_str name = path ? KW_STR("") : kw_chat_text(c, call->args[0]);
    const kw_obj *list = kw_chat_iterate(c, call->self);
    kw_obj *all = kw_chat_list(c, KW_OBJ_GENERATOR, list->list.n);
    for (size_t i = 0; i < list->list.n && kw_chat_spend(c, 1); i++) {
        kw_call one = behind(call, 1, list->list.items[i]);
        kw_obj *v =
            path ? kw_chat_path(c, one.self, path, otherwise) : kw_chat_filter(c, name, &one);
        if (!c->status) all->list.items[i] = v;
    }
    return all;
}

static bool is_wanted(kw_chat *c, const kw_call *call, size_t test_at, kw_obj *v)
{
    kw_call one = behind(call, test_at + 1, v);
    return test_at < call->n ? kw_chat_test(c, kw_chat_text(c, call->args[test_at]), &one)
                             : kw_obj_truth(v);
}

static kw_obj *pick(kw_chat *c, const kw_call *call, bool by_attribute, bool wanted)
{
    if (!kw_obj_truth(call->self)) return kw_chat_list(c, KW_OBJ_GENERATOR, 0);
    if (by_attribute && !call->n) return kw_chat_wrong(c, "Missing parameter for attribute name");
    const kw_obj *list = kw_chat_iterate(c, call->self);
    kw_obj *all = kw_chat_list(c, KW_OBJ_GENERATOR, list->list.n);
    size_t n = 0;
    for (size_t i = 0; i < list->list.n && kw_chat_spend(c, 1); i++) {
        kw_obj *item = list->list.items[i],
               *v = by_attribute ? kw_chat_path(c, item, call->args[0], NULL) : item;
        if (!c->status && is_wanted(c, call, by_attribute, v) == wanted)
            all->list.items[n++] = item;
    }
    if (!c->status) all->list.n = n;
    return all;
}

static kw_obj *select_items(kw_chat *c, const kw_call *call) { return pick(c, call, false, true); }
static kw_obj *reject(kw_chat *c, const kw_call *call) { return pick(c, call, false, false); }
static kw_obj *selectattr(kw_chat *c, const kw_call *call) { return pick(c, call, true, true); }
static kw_obj *rejectattr(kw_chat *c, const kw_call *call) { return pick(c, call, true, false); }

static kw_obj *attr(kw_chat *c, const kw_call *call)
{
    kw_str name = kw_chat_string(c, call, 0, "");
    kw_obj *v = call->self->type == KW_OBJ_UNDEFINED ? NULL : kw_chat_own_attr(c, call->self, name);
    return v ? v
             : kw_chat_missing(c, "'%s object' has no attribute '%.*s'",
                               kw_obj_type_name(call->self), (int)name.n, name.p);
}

const kw_builtin kw_chat_filters_pick[] = {
    { "map", map, "*" },
    { "select", select_items, "*" },
    { "reject", reject, "*" },
    { "selectattr", selectattr, "*" },
    { "rejectattr", rejectattr, "*" },
    { "attr", attr, "name" },
    { NULL, NULL, NULL },
};
