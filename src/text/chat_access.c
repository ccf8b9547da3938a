/* chat_access.c - v.name, v[key] and v[from:to:step].
 *
 * As in Jinja's sandbox, "v.name" prefers a method to a key and "v['name']" the other way round; what would change a
 * list or mapping is undefined and says why when it is called. What is not there is undefined, never an error. */
#include "text/chat.h"
#include <string.h>

static kw_obj *method(kw_chat *c, kw_obj *v, kw_str name)
{
    const kw_builtin *b = NULL;
    if (v->type == KW_OBJ_STRING) {
        b = kw_chat_builtin_named(kw_chat_string_methods, name);
        if (!b) b = kw_chat_builtin_named(kw_chat_string_methods_is, name);
        if (!b) b = kw_chat_builtin_named(kw_chat_string_methods_cut, name);
    }
    if (v->type == KW_OBJ_DICT) b = kw_chat_builtin_named(kw_chat_dict_methods, name);
    if (v->type == KW_OBJ_LIST || v->type == KW_OBJ_TUPLE)
        b = kw_chat_builtin_named(kw_chat_list_methods, name);
    if (v->type == KW_OBJ_CYCLER) b = kw_chat_builtin_named(kw_chat_cycler_methods, name);
    kw_obj *bound = b ? kw_chat_new(c, KW_OBJ_FUNCTION) : NULL;
    if (!bound || c->status) return NULL;
    bound->function.builtin = b;
    bound->function.self = v;
    return bound;
}

static bool changes(const kw_obj *v, kw_str name)
{
    static const char *const of_lists[] = { "append", "clear", "pop",    "reverse",
                                            "insert", "sort",  "extend", "remove" };
    static const char *const of_dicts[] = { "clear", "pop", "popitem", "setdefault", "update" };
    for (size_t i = 0; v->type == KW_OBJ_LIST && i < sizeof of_lists / sizeof *of_lists; i++)
        if (kw_str_is(name, of_lists[i])) return true;
    for (size_t i = 0; v->type == KW_OBJ_DICT && i < sizeof of_dicts / sizeof *of_dicts; i++)
        if (kw_str_is(name, of_dicts[i])) return true;
    return false;
}

static kw_obj *macro_attr(kw_chat *c, const kw_obj *v, kw_str name)
{
    const kw_node *n = v->macro.node;
    if (kw_str_is(name, "name")) return kw_chat_str(c, n->name);
    if (!kw_str_is(name, "arguments")) return NULL;
    size_t count = 0, i = 0;
    for (const kw_node *p = n->other; p; p = p->next) count++;
    kw_obj *list = kw_chat_list(c, KW_OBJ_TUPLE, count);
    for (const kw_node *p = n->other; p && !c->status; p = p->next)
        list->list.items[i++] = kw_chat_str(c, p->name);
    return list;
}

/* What Python's getattr finds, or NULL. */
kw_obj *kw_chat_own_attr(kw_chat *c, kw_obj *v, kw_str name)
{
    if (v->type == KW_OBJ_NAMESPACE) {
        kw_chat_spend(c, v->dict.n / 16);
        return kw_dict_named(v, name);
    }
    if (v->type == KW_OBJ_LOOP) return kw_chat_loop_attr(c, v, name);
    if (v->type == KW_OBJ_MACRO) return macro_attr(c, v, name);
    if (v->type == KW_OBJ_CYCLER && kw_str_is(name, "current")) return v->list.items[v->list.at];
    if (v->type == KW_OBJ_TUPLE && v->list.at) { /* a group of groupby */
        if (kw_str_is(name, "grouper")) return v->list.items[0];
        if (kw_str_is(name, "list")) return v->list.items[1];
    }
    if (changes(v, name))
        return kw_chat_missing(c, "access to attribute '%.*s' of '%s' object is unsafe.",
                               (int)name.n, name.p, kw_obj_type_name(v));
    return method(c, v, name);
}

static const char *shown_type(const kw_obj *v, char room[64])
{
    const char *module =
        v->type == KW_OBJ_NAMESPACE || v->type == KW_OBJ_CYCLER || v->type == KW_OBJ_JOINER
            ? "jinja2.utils."
        : v->type == KW_OBJ_MACRO || v->type == KW_OBJ_LOOP ? "jinja2.runtime."
                                                            : "";
    if (v->type == KW_OBJ_NONE) return "None";
    size_t m = strlen(module), n = strlen(kw_obj_type_name(v));
    memcpy(room, module, m);
    memcpy(room + m, kw_obj_type_name(v), n);
    memcpy(room + m + n, " object", 8);
    return room;
}

static kw_obj *no_attr(kw_chat *c, const kw_obj *v, kw_str name)
{
    char room[64];
    return kw_chat_missing(c, "'%s' has no attribute '%.*s'", shown_type(v, room), (int)name.n,
                           name.p);
}

static kw_obj *undefined_used(kw_chat *c, const kw_obj *v)
{
    return kw_chat_wrong(c, "%.*s", (int)v->text.n, v->text.p);
}

kw_obj *kw_chat_attr(kw_chat *c, kw_obj *v, kw_str name)
{
    if (c->status) return c->undefined;
    if (v->type == KW_OBJ_UNDEFINED) return undefined_used(c, v);
    kw_obj *found = kw_chat_own_attr(c, v, name);
    if (!found && v->type == KW_OBJ_DICT) {
        kw_chat_spend(c, v->dict.n / 16);
        found = kw_dict_named(v, name);
    }
    return found ? found : no_attr(c, v, name);
}

/* ---- items ---- */

static kw_obj *character(kw_chat *c, kw_str s, int64_t i)
{
    if (!kw_chat_spend(c, s.n / 256)) return c->undefined;
    size_t from = kw_text_offset(s, (size_t)i);
    kw_str rest = { s.p + from, s.n - from };
    return kw_chat_str(c, (kw_str){ rest.p, kw_text_offset(rest, 1) });
}

static bool is_sequence(const kw_obj *v)
{
    return v->type == KW_OBJ_STRING || v->type == KW_OBJ_LIST || v->type == KW_OBJ_TUPLE ||
           v->type == KW_OBJ_RANGE;
}

/* NULL: there is no such item. */
static kw_obj *item_at(kw_chat *c, kw_obj *v, int64_t i)
{
    int64_t n = kw_chat_length(c, v);
    if (i < 0) i += n;
    if (i < 0 || i >= n) return NULL;
    if (v->type == KW_OBJ_STRING) return character(c, v->text, i);
    if (v->type == KW_OBJ_RANGE) return kw_chat_int(c, v->range.from + i * v->range.by);
    return v->list.items[i];
}

static kw_obj *no_item(kw_chat *c, const kw_obj *v, const kw_obj *key)
{
    char room[64];
    kw_buf b = KW_BUF(4096, KW_PAY_TEXT);
    kw_chat_repr(c, key, &b);
    kw_obj *missing =
        kw_chat_missing(c, "%s has no element %s", shown_type(v, room), kw_buf_text(&b));
    kw_buf_free(&b);
    return missing;
}

kw_obj *kw_chat_item(kw_chat *c, kw_obj *v, kw_obj *key)
{
    kw_obj *found = NULL;
    if (c->status) return c->undefined;
    if (v->type == KW_OBJ_UNDEFINED) return undefined_used(c, v);
    bool may_be_key = key->type != KW_OBJ_LIST && key->type != KW_OBJ_DICT;
    if (v->type == KW_OBJ_DICT && may_be_key) found = kw_dict_get(c, v, key);
    else if (is_sequence(v) && kw_obj_is_integer(key)) found = item_at(c, v, kw_obj_integer(key));
    if (!found && key->type == KW_OBJ_STRING) found = kw_chat_own_attr(c, v, key->text);
    if (found || c->status) return found ? found : c->undefined;
    return key->type == KW_OBJ_STRING ? no_attr(c, v, key->text) : no_item(c, v, key);
}

/* ---- slices ---- */

typedef struct cut {
    int64_t from, step, n; /* n items */
} cut;

static bool is_absent(const kw_obj *v)
{
    return v->type == KW_OBJ_UNDEFINED || v->type == KW_OBJ_NONE;
}

/* A bound held to low..high, counted from the end when negative. */
static int64_t bound(const kw_obj *v, int64_t n, int64_t low, int64_t high)
{
    int64_t i = kw_obj_integer(v);
    if (i < 0) i = i < -n ? low : i + n;
    return i < low ? low : i > high ? high : i;
}

static cut cut_of(kw_chat *c, kw_obj *const bounds[3], int64_t n)
{
    for (int i = 0; i < 3; i++)
        if (!is_absent(bounds[i]) && !kw_obj_is_integer(bounds[i]))
            kw_chat_wrong(c, "slice indices must be integers or None or have an __index__ method");
    if (c->status) return (cut){ 0 };
    int64_t step = is_absent(bounds[2]) ? 1 : kw_obj_integer(bounds[2]);
    if (step == 0) kw_chat_wrong(c, "slice step cannot be zero");
    if (step == 0) return (cut){ 0 };
    int64_t low = step > 0 ? 0 : -1, high = step > 0 ? n : n - 1;
    int64_t from = is_absent(bounds[0]) ? (step > 0 ? low : high) : bound(bounds[0], n, low, high);
    int64_t to = is_absent(bounds[1]) ? (step > 0 ? high : low) : bound(bounds[1], n, low, high);
    uint64_t size = step > 0 ? (uint64_t)step : 0 - (uint64_t)step,
             gap = step > 0 ? (uint64_t)(to - from) : (uint64_t)(from - to);
    bool any = step > 0 ? from < to : from > to;
    return (cut){ from, step, any ? (int64_t)((gap - 1) / size + 1) : 0 };
}

static kw_obj *cut_text(kw_chat *c, kw_str s, cut k)
{
    if (k.n <= 0 || !kw_chat_spend(c, s.n / 256)) return kw_chat_text_of(c, "");
    if (k.step == 1) {
        size_t from = kw_text_offset(s, (size_t)k.from);
        kw_str rest = { s.p + from, s.n - from };
        return kw_chat_str(c, (kw_str){ rest.p, kw_text_offset(rest, (size_t)k.n) });
    }
    kw_obj *all = kw_chat_iterate(c, kw_chat_str(c, s));
    kw_buf b = KW_BUF(KW_CHAT_PRINTED, KW_PAY_TEXT);
    for (int64_t i = 0; i < k.n && !c->status; i++)
        kw_chat_print(c, all->list.items[k.from + i * k.step], &b);
    return kw_chat_kept(c, &b);
}

kw_obj *kw_chat_slice(kw_chat *c, kw_obj *v, kw_obj *const bounds[3])
{
    if (c->status) return c->undefined;
    if (v->type == KW_OBJ_UNDEFINED) return undefined_used(c, v);
    if (v->type == KW_OBJ_DICT) return kw_chat_wrong(c, "unhashable type: 'slice'");
    if (!is_sequence(v))
        return kw_chat_wrong(c, "'%s' object is not subscriptable", kw_obj_type_name(v));
    cut k = cut_of(c, bounds, kw_chat_length(c, v));
    if (c->status) return c->undefined;
    if (v->type == KW_OBJ_STRING) return cut_text(c, v->text, k);
    kw_obj *all = kw_chat_iterate(c, v);
    if (!kw_chat_spend(c, (size_t)k.n / 16)) return c->undefined;
    kw_obj *list =
        kw_chat_list(c, v->type == KW_OBJ_TUPLE ? KW_OBJ_TUPLE : KW_OBJ_LIST, (size_t)k.n);
    for (int64_t i = 0; i < k.n && !c->status; i++)
        list->list.items[i] = all->list.items[k.from + i * k.step];
    return list;
}
