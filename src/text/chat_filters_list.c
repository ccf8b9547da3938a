/* chat_filters_list.c - filters that see their value as a list. */
#include "text/chat.h"
#include <string.h>

/* ---- sorting ---- */

static void merge(kw_chat *c, kw_pair *pairs, kw_pair *room, size_t n, bool falls)
{
    if (n < 2 || c->status) return;
    size_t half = n / 2, a = 0, b = half;
    merge(c, pairs, room, half, falls);
    merge(c, pairs + half, room, n - half, falls);
    for (size_t i = 0; i < n && kw_chat_spend(c, 1); i++) {
        bool right = a == half;
        if (!right && b < n) {
            int d = kw_chat_order(c, "<", pairs[b].key, pairs[a].key);
            right = falls ? d > 0 : d < 0;
        }
        room[i] = pairs[right ? b++ : a++];
    }
    if (!c->status) memcpy(pairs, room, n * sizeof *pairs);
}

void kw_chat_sort(kw_chat *c, kw_pair *pairs, size_t n, bool falls)
{
    kw_pair *room = kw_chat_alloc(c, n ? n : 1, sizeof *room);
    if (room) merge(c, pairs, room, n, falls);
}

static kw_obj *without_case(kw_chat *c, kw_obj *v)
{
    return v->type == KW_OBJ_STRING ? kw_chat_cased(c, v->text, kw_case_lower, kw_case_lower) : v;
}

static bool is_digits(kw_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < '0' || s.p[i] > '9') return false;
    return s.n > 0;
}

/* v.a.b.0 for "a.b.0"; NULL or None stands for v itself. */
kw_obj *kw_chat_path(kw_chat *c, kw_obj *v, const kw_obj *path, kw_obj *otherwise)
{
    if (!path || path->type == KW_OBJ_NONE) return v;
    if (path->type != KW_OBJ_STRING) return kw_chat_item(c, v, (kw_obj *)path);
    kw_str left = path->text;
    for (bool more = true; more && !c->status;) {
        size_t dot = kw_text_find(left, KW_STR("."), 0);
        more = dot != SIZE_MAX;
        kw_str part = { left.p, more ? dot : left.n };
        int64_t i = 0;
        bool is_index = is_digits(part) && kw_str_i64(part, &i);
        v = kw_chat_item(c, v, is_index ? kw_chat_int(c, i) : kw_chat_str(c, part));
        if (otherwise && v->type == KW_OBJ_UNDEFINED) v = otherwise;
        if (more) left = (kw_str){ left.p + dot + 1, left.n - dot - 1 };
    }
    return v;
}

/* What an item is sorted by: a list with a value for each of the paths "a,b". */
static kw_obj *sort_key(kw_chat *c, kw_obj *v, const kw_obj *paths, bool with_case)
{
    kw_str left = paths && paths->type == KW_OBJ_STRING ? paths->text : KW_STR("");
    size_t n = 1, i = 0;
    for (size_t k = 0; k < left.n; k++) n += left.p[k] == ',';
    kw_obj *key = kw_chat_list(c, KW_OBJ_LIST, n);
    for (; i < n && !c->status; i++) {
        size_t comma = kw_text_find(left, KW_STR(","), 0), len = comma == SIZE_MAX ? left.n : comma;
        kw_obj *path = left.n ? kw_chat_str(c, (kw_str){ left.p, len }) : (kw_obj *)paths;
        kw_obj *one = kw_chat_path(c, v, path, NULL);
        key->list.items[i] = with_case ? one : without_case(c, one);
        if (len < left.n) left = (kw_str){ left.p + len + 1, left.n - len - 1 };
    }
    return key;
}

static kw_obj *simple_key(kw_chat *c, kw_obj *v, const kw_obj *path, bool with_case)
{
    kw_obj *key = kw_chat_path(c, v, path, NULL);
    return with_case ? key : without_case(c, key);
}

typedef kw_obj *(*key_fn)(kw_chat *c, kw_obj *v, const kw_obj *path, bool with_case);

static kw_pair *keyed(kw_chat *c, const kw_obj *list, key_fn key_of, const kw_obj *path,
                      bool with_case)
{
    kw_pair *pairs = kw_chat_alloc(c, list->list.n + 1, sizeof *pairs);
    for (size_t i = 0; pairs && i < list->list.n && kw_chat_spend(c, 1); i++)
        pairs[i] =
            (kw_pair){ key_of(c, list->list.items[i], path, with_case), list->list.items[i] };
    return c->status ? NULL : pairs;
}

static kw_obj *values_of(kw_chat *c, const kw_pair *pairs, size_t n, kw_obj_type type)
{
    kw_obj *list = kw_chat_list(c, type, pairs ? n : 0);
    for (size_t i = 0; pairs && i < n && !c->status; i++) list->list.items[i] = pairs[i].value;
    return list;
}

static kw_obj *sort(kw_chat *c, const kw_call *call)
{
    const kw_obj *list = kw_chat_iterate(c, call->self);
    kw_pair *pairs = keyed(c, list, sort_key, call->args[2], kw_chat_flag(call, 1, false));
    if (pairs) kw_chat_sort(c, pairs, list->list.n, kw_chat_flag(call, 0, false));
    return values_of(c, pairs, list->list.n, KW_OBJ_LIST);
}

static kw_obj *dictsort(kw_chat *c, const kw_call *call)
{
    const kw_obj *dict = call->self;
    kw_str by = kw_chat_string(c, call, 1, "key");
    bool by_value = kw_str_is(by, "value");
    if (!by_value && !kw_str_is(by, "key"))
        return kw_chat_wrong(c, "You can only sort by either \"key\" or \"value\"");
    if (dict->type != KW_OBJ_DICT)
        return kw_chat_wrong(c, "'%s' object has no attribute 'items'", kw_obj_type_name(dict));
    kw_pair *pairs = kw_chat_alloc(c, dict->dict.n + 1, sizeof *pairs);
    for (size_t i = 0; pairs && i < dict->dict.n && kw_chat_spend(c, 1); i++) {
        kw_pair p = dict->dict.pairs[i];
        kw_obj *key = by_value ? p.value : p.key;
        pairs[i] = (kw_pair){ kw_chat_flag(call, 0, false) ? key : without_case(c, key),
                              kw_chat_pair(c, p.key, p.value) };
    }
    if (pairs && !c->status) kw_chat_sort(c, pairs, dict->dict.n, kw_chat_flag(call, 2, false));
    return values_of(c, c->status ? NULL : pairs, dict->dict.n, KW_OBJ_LIST);
}

static kw_obj *unique(kw_chat *c, const kw_call *call)
{
    const kw_obj *list = kw_chat_iterate(c, call->self);
    kw_pair *pairs = keyed(c, list, simple_key, call->args[1], kw_chat_flag(call, 0, false));
    size_t kept = 0;
    for (size_t i = 0; pairs && i < list->list.n && kw_chat_spend(c, 1 + kept / 4); i++) {
        size_t k = 0;
        while (k < kept && !kw_chat_equal(c, pairs[k].key, pairs[i].key)) k++;
        if (k == kept) pairs[kept++] = pairs[i];
    }
    return values_of(c, pairs, kept, KW_OBJ_GENERATOR);
}

static kw_obj *extreme(kw_chat *c, const kw_call *call, int sign)
{
    const kw_obj *list = kw_chat_iterate(c, call->self);
    kw_pair *pairs = keyed(c, list, simple_key, call->args[1], kw_chat_flag(call, 0, false)),
            *best = pairs;
    if (!pairs || !list->list.n)
        return kw_chat_missing(c, "No aggregated item, sequence was empty.");
    for (size_t i = 1; i < list->list.n && kw_chat_spend(c, 1); i++)
        if (kw_chat_order(c, sign > 0 ? ">" : "<", pairs[i].key, best->key) * sign > 0)
            best = &pairs[i];
    return best->value;
}

static kw_obj *least(kw_chat *c, const kw_call *call) { return extreme(c, call, -1); }

static kw_obj *most(kw_chat *c, const kw_call *call) { return extreme(c, call, 1); }

static kw_obj *groupby(kw_chat *c, const kw_call *call)
{
    const kw_obj *list = kw_chat_iterate(c, call->self);
    bool with_case = kw_chat_flag(call, 2, false);
    kw_pair *pairs = kw_chat_alloc(c, list->list.n + 1, sizeof *pairs);
    size_t n = list->list.n, groups = 0;
    for (size_t i = 0; pairs && i < n && kw_chat_spend(c, 1); i++) {
        kw_obj *key = kw_chat_path(c, list->list.items[i], call->args[0], call->args[1]);
        pairs[i] = (kw_pair){ with_case ? key : without_case(c, key), list->list.items[i] };
    }
    if (c->status) return c->undefined;
    kw_chat_sort(c, pairs, n, false);
    kw_obj *all = kw_chat_list(c, KW_OBJ_LIST, n);
    for (size_t i = 0, end; i < n && kw_chat_spend(c, 1); i = end) {
        for (end = i + 1; end < n && kw_chat_equal(c, pairs[end].key, pairs[i].key);) end++;
        kw_obj *key = kw_chat_path(c, pairs[i].value, call->args[0], call->args[1]);
        kw_obj *group = kw_chat_pair(c, key, values_of(c, pairs + i, end - i, KW_OBJ_LIST));
        if (c->status) break;
        group->list.at = 1;
        all->list.items[groups++] = group;
    }
    if (!c->status) all->list.n = groups;
    return all;
}

/* ---- the rest ---- */

static kw_obj *length(kw_chat *c, const kw_call *call)
{
    return kw_chat_int(c, kw_chat_length(c, call->self));
}

static kw_obj *first(kw_chat *c, const kw_call *call)
{
    kw_obj *v = call->self;
    if (v->type == KW_OBJ_GENERATOR && v->list.n) {
        v->list.n--;
        return *v->list.items++;
    }
    const kw_obj *list = kw_chat_iterate(c, v);
    return list->list.n ? list->list.items[0]
                        : kw_chat_missing(c, "No first item, sequence was empty.");
}

static kw_obj *last(kw_chat *c, const kw_call *call)
{
    if (call->self->type == KW_OBJ_GENERATOR)
        return kw_chat_wrong(c, "'generator' object is not reversible");
    const kw_obj *list = kw_chat_iterate(c, call->self);
    return list->list.n ? list->list.items[list->list.n - 1]
                        : kw_chat_missing(c, "No last item, sequence was empty.");
}

static kw_obj *copy(kw_chat *c, const kw_obj *list, size_t from, size_t n)
{
    kw_obj *all = kw_chat_list(c, KW_OBJ_LIST, n);
    if (n && !c->status)
        memcpy(all->list.items, list->list.items + from, n * sizeof *all->list.items);
    return all;
}

static kw_obj *as_list(kw_chat *c, const kw_call *call)
{
    const kw_obj *list = kw_chat_iterate(c, call->self);
    return copy(c, list, 0, list->list.n);
}

static kw_obj *reverse(kw_chat *c, const kw_call *call)
{
    bool is_text = call->self->type == KW_OBJ_STRING;
    bool is_scalar = kw_obj_is_number(call->self) || call->self->type == KW_OBJ_NONE;
    if (is_scalar) return kw_chat_wrong(c, "argument must be iterable");
    const kw_obj *list = kw_chat_iterate(c, call->self);
    size_t n = list->list.n;
    kw_obj *all = kw_chat_list(c, KW_OBJ_GENERATOR, n);
    for (size_t i = 0; i < n && !c->status; i++) all->list.items[i] = list->list.items[n - 1 - i];
    if (!is_text) return all;
    kw_buf b = KW_BUF(KW_CHAT_PRINTED, KW_PAY_TEXT);
    for (size_t i = 0; i < n && !c->status; i++) kw_chat_print(c, all->list.items[i], &b);
    return kw_chat_kept(c, &b);
}

static kw_obj *join(kw_chat *c, const kw_call *call)
{
    kw_buf b = KW_BUF(KW_CHAT_PRINTED, KW_PAY_TEXT);
    kw_str gap = kw_chat_string(c, call, 0, "");
    const kw_obj *list = kw_chat_iterate(c, call->self);
    for (size_t i = 0; i < list->list.n && kw_chat_spend(c, 1); i++) {
        if (i) kw_buf_bytes(&b, gap.p, gap.n);
        kw_chat_print(c, kw_chat_path(c, list->list.items[i], call->args[1], NULL), &b);
    }
    return kw_chat_kept(c, &b);
}

static kw_obj *sum(kw_chat *c, const kw_call *call)
{
    const kw_obj *list = kw_chat_iterate(c, call->self);
    kw_obj *all = call->args[1] ? call->args[1] : kw_chat_int(c, 0);
    if (all->type == KW_OBJ_STRING)
        return kw_chat_wrong(c, "sum() can't sum strings [use ''.join(seq) instead]");
    for (size_t i = 0; i < list->list.n && kw_chat_spend(c, 1); i++)
        all = kw_chat_binary(c, KW_STR("+"), all,
                             kw_chat_path(c, list->list.items[i], call->args[0], NULL));
    return all;
}

static bool is_given(const kw_obj *v) { return v && v->type != KW_OBJ_NONE; }

static kw_obj *batch(kw_chat *c, const kw_call *call)
{
    const kw_obj *list = kw_chat_iterate(c, call->self);
    int64_t size = kw_chat_count(c, call, 0, 1);
    if (c->status || size < 1 || size > (1 << 20))
        return c->status ? c->undefined
                         : kw_chat_wrong(c, "batch() wants a size from 1 to %d", 1 << 20);
    size_t n = list->list.n, width = (size_t)size, rows = (n + width - 1) / width;
    kw_obj *all = kw_chat_list(c, KW_OBJ_GENERATOR, rows);
    for (size_t i = 0; i < rows && kw_chat_spend(c, 1); i++) {
        size_t have = n - i * width < width ? n - i * width : width;
        kw_obj *row = copy(c, list, i * width, have);
        if (have < width && is_given(call->args[1])) {
            kw_obj *full = kw_chat_list(c, KW_OBJ_LIST, width);
            for (size_t k = 0; k < width && !c->status; k++)
                full->list.items[k] = k < have ? row->list.items[k] : call->args[1];
            row = full;
        }
        if (!c->status) all->list.items[i] = row;
    }
    return all;
}

static kw_obj *slice(kw_chat *c, const kw_call *call)
{
    const kw_obj *list = kw_chat_iterate(c, call->self);
    int64_t count = kw_chat_count(c, call, 0, 1);
    if (c->status || count < 1 || count > KW_CHAT_RANGE)
        return c->status ? c->undefined
                         : kw_chat_wrong(c, "slice() wants a number from 1 to %d", KW_CHAT_RANGE);
    size_t n = list->list.n, slices = (size_t)count, each = n / slices, extra = n % slices, at = 0;
    kw_obj *all = kw_chat_list(c, KW_OBJ_GENERATOR, slices);
    for (size_t i = 0; i < slices && kw_chat_spend(c, 1); i++) {
        size_t have = each + (i < extra);
        bool fills = i >= extra && is_given(call->args[1]);
        kw_obj *row = kw_chat_list(c, KW_OBJ_LIST, have + fills);
        for (size_t k = 0; k < have + fills && !c->status; k++)
            row->list.items[k] = k < have ? list->list.items[at + k] : call->args[1];
        at += have;
        if (!c->status) all->list.items[i] = row;
    }
    return all;
}

static kw_obj *items(kw_chat *c, const kw_call *call)
{
    const kw_obj *dict = call->self;
    if (dict->type == KW_OBJ_UNDEFINED) return kw_chat_list(c, KW_OBJ_GENERATOR, 0);
    if (dict->type != KW_OBJ_DICT)
        return kw_chat_wrong(c, "Can only get item pairs from a mapping.");
    kw_obj *all = kw_chat_list(c, KW_OBJ_GENERATOR, dict->dict.n);
    for (size_t i = 0; i < dict->dict.n && kw_chat_spend(c, 1); i++)
        all->list.items[i] = kw_chat_pair(c, dict->dict.pairs[i].key, dict->dict.pairs[i].value);
    return all;
}

static kw_obj *or_default(kw_chat *c, const kw_call *call)
{
    bool falsy = kw_chat_flag(call, 1, false) && !kw_obj_truth(call->self);
    if (call->self->type != KW_OBJ_UNDEFINED && !falsy) return call->self;
    return call->args[0] ? call->args[0] : kw_chat_text_of(c, "");
}

const kw_builtin kw_chat_filters_list[] = {
    { "length", length, "" },
    { "count", length, "" },
    { "first", first, "" },
    { "last", last, "" },
    { "list", as_list, "" },
    { "reverse", reverse, "" },
    { "join", join, "?d,?attribute" },
    { "sum", sum, "?attribute,?start" },
    { "sort", sort, "?reverse,?case_sensitive,?attribute" },
    { "dictsort", dictsort, "?case_sensitive,?by,?reverse" },
    { "unique", unique, "?case_sensitive,?attribute" },
    { "min", least, "?case_sensitive,?attribute" },
    { "max", most, "?case_sensitive,?attribute" },
    { "groupby", groupby, "attribute,?default,?case_sensitive" },
    { "batch", batch, "linecount,?fill_with" },
    { "slice", slice, "slices,?fill_with" },
    { "items", items, "" },
    { "default", or_default, "?default_value,?boolean" },
    { "d", or_default, "?default_value,?boolean" },
    { NULL, NULL, NULL },
};
