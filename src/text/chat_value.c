/* chat_value.c - values of templates: making them, and the questions every part asks of them.
 *
 * Values never change once made, but for namespaces and generators; so strings and lists are shared freely. */
#include "text/chat.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void *kw_chat_alloc(kw_chat *c, size_t count, size_t size)
{
    size_t n;
    if (c->status) return NULL;
    if (!kw_mul_size(count, size, &n) || n > KW_CHAT_BYTES || (c->bytes += n) > KW_CHAT_BYTES) {
        kw_chat_fail(c, KW_ELIMIT, "more than %d MB of values", KW_CHAT_BYTES >> 20);
        return NULL;
    }
    void *p = kw_arena_alloc(&c->arena, count, size);
    if (!p) c->status = KW_ENOMEM;
    return p;
}

kw_obj *kw_chat_new(kw_chat *c, kw_obj_type type)
{
    kw_obj *v = kw_chat_alloc(c, 1, sizeof *v);
    if (!v) return c->undefined;
    v->type = type;
    return v;
}

kw_obj *kw_chat_str(kw_chat *c, kw_str s)
{
    kw_obj *v = kw_chat_new(c, KW_OBJ_STRING);
    if (!c->status) v->text = s.p ? s : KW_STR("");
    return v;
}

kw_obj *kw_chat_text_of(kw_chat *c, const char *literal)
{
    return kw_chat_str(c, kw_str_of(literal));
}

kw_obj *kw_chat_int(kw_chat *c, int64_t i)
{
    kw_obj *v = kw_chat_new(c, KW_OBJ_INT);
    if (!c->status) v->integer = i;
    return v;
}

kw_obj *kw_chat_real(kw_chat *c, double d)
{
    kw_obj *v = kw_chat_new(c, KW_OBJ_FLOAT);
    if (!c->status) v->number = d;
    return v;
}

kw_obj *kw_chat_bool(kw_chat *c, bool b) { return b ? c->yes : c->no; }

kw_obj *kw_chat_list(kw_chat *c, kw_obj_type type, size_t n)
{
    kw_obj *v = kw_chat_new(c, type), **items = kw_chat_alloc(c, n ? n : 1, sizeof *items);
    if (c->status) return c->undefined;
    for (size_t i = 0; i < n; i++) items[i] = c->undefined;
    v->list.items = items;
    v->list.n = n;
    return v;
}

kw_obj *kw_chat_pair(kw_chat *c, kw_obj *a, kw_obj *b)
{
    kw_obj *v = kw_chat_list(c, KW_OBJ_TUPLE, 2);
    if (c->status) return v;
    v->list.items[0] = a;
    v->list.items[1] = b;
    return v;
}

kw_obj *kw_chat_missing(kw_chat *c, const char *fmt, ...)
{
    char line[512];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    size_t len = n < 0 ? 0 : (size_t)n < sizeof line ? (size_t)n : sizeof line - 1;
    char *kept = kw_chat_alloc(c, len + 1, 1);
    kw_obj *v = kw_chat_new(c, KW_OBJ_UNDEFINED);
    if (c->status) return c->undefined;
    memcpy(kept, line, len);
    v->text = (kw_str){ kept, len };
    return v;
}

kw_obj *kw_chat_kept(kw_chat *c, kw_buf *b)
{
    char *kept = NULL;
    if (b->status && !c->status) {
        if (b->status == KW_ELIMIT)
            kw_chat_fail(c, KW_ELIMIT, "a string of more than %d MB", KW_CHAT_PRINTED >> 20);
        else c->status = b->status;
    }
    kept = kw_chat_alloc(c, b->len + 1, 1);
    if (kept && b->len) memcpy(kept, b->data, b->len);
    size_t len = b->len;
    kw_buf_free(b);
    return kept ? kw_chat_str(c, (kw_str){ kept, len }) : c->undefined;
}

/* ---- from JSON ---- */

static kw_obj *list_of_json(kw_chat *c, const kw_json *v)
{
    kw_obj *list = kw_chat_list(c, KW_OBJ_LIST, v->n);
    size_t i = 0;
    for (const kw_json *e = v->child; e && !c->status; e = e->next)
        list->list.items[i++] = kw_chat_of_json(c, e);
    return list;
}

static kw_obj *dict_of_json(kw_chat *c, const kw_json *v)
{
    kw_obj *dict = kw_chat_new(c, KW_OBJ_DICT);
    kw_map seen = KW_MAP(KW_PAY_TEXT); /* a repeated key: the last one wins */
    kw_pair *pairs = kw_chat_alloc(c, v->n ? v->n : 1, sizeof *pairs);
    for (const kw_json *e = v->child; e && !c->status; e = e->next) {
        int64_t at = (int64_t)dict->dict.n;
        if (!kw_map_get(&seen, e->key, &at)) {
            kw_status st = kw_map_put(&seen, e->key, at);
            if (st) c->status = st;
            dict->dict.n++;
        }
        pairs[at] = (kw_pair){ kw_chat_str(c, e->key), kw_chat_of_json(c, e) };
    }
    kw_map_free(&seen);
    if (c->status) return c->undefined;
    dict->dict.pairs = pairs;
    dict->dict.cap = v->n;
    return dict;
}

kw_obj *kw_chat_of_json(kw_chat *c, const kw_json *v)
{
    if (!v) return c->undefined;
    switch (v->type) {
    case KW_JSON_NULL: return c->none;
    case KW_JSON_BOOL: return kw_chat_bool(c, v->boolean);
    case KW_JSON_INT: return kw_chat_int(c, v->integer);
    case KW_JSON_FLOAT: return kw_chat_real(c, v->number);
    case KW_JSON_STRING: return kw_chat_str(c, v->string);
    case KW_JSON_ARRAY: return list_of_json(c, v);
    case KW_JSON_OBJECT: return dict_of_json(c, v);
    }
    return c->undefined;
}

/* ---- dictionaries ---- */

/* What may be a key; lists and dictionaries may not. */
static bool is_hashable(kw_chat *c, const kw_obj *v)
{
    if (v->type == KW_OBJ_LIST || v->type == KW_OBJ_DICT) return false;
    if (v->type != KW_OBJ_TUPLE) return true;
    if (!kw_chat_enter(c)) return false;
    bool all = true;
    for (size_t i = 0; i < v->list.n && all; i++)
        all = kw_chat_spend(c, 1) && is_hashable(c, v->list.items[i]);
    kw_chat_leave(c);
    return all;
}

static kw_pair *find_pair(kw_chat *c, const kw_obj *dict, const kw_obj *key)
{
    if (!kw_chat_spend(c, dict->dict.n / 8)) return NULL;
    for (size_t i = 0; i < dict->dict.n; i++)
        if (kw_chat_equal(c, dict->dict.pairs[i].key, key)) return &dict->dict.pairs[i];
    return NULL;
}

kw_obj *kw_dict_get(kw_chat *c, const kw_obj *dict, const kw_obj *key)
{
    if (!is_hashable(c, key)) {
        kw_chat_wrong(c, "unhashable type: '%s'", kw_obj_type_name(key));
        return NULL;
    }
    kw_pair *p = find_pair(c, dict, key);
    return p ? p->value : NULL;
}

kw_obj *kw_dict_named(const kw_obj *dict, kw_str key)
{
    for (size_t i = 0; i < dict->dict.n; i++) {
        const kw_obj *k = dict->dict.pairs[i].key;
        if (k->type == KW_OBJ_STRING && kw_str_eq(k->text, key)) return dict->dict.pairs[i].value;
    }
    return NULL;
}

void kw_dict_put(kw_chat *c, kw_obj *dict, kw_obj *key, kw_obj *value)
{
    if (c->status) return;
    if (!is_hashable(c, key)) {
        kw_chat_wrong(c, "unhashable type: '%s'", kw_obj_type_name(key));
        return;
    }
    kw_pair *old = find_pair(c, dict, key);
    if (old) old->value = value;
    if (old || c->status) return;
    if (dict->dict.n == dict->dict.cap) {
        size_t cap = dict->dict.cap ? 2 * dict->dict.cap : 8;
        kw_pair *more = kw_chat_alloc(c, cap, sizeof *more);
        if (!more) return;
        if (dict->dict.n) memcpy(more, dict->dict.pairs, dict->dict.n * sizeof *more);
        dict->dict.pairs = more;
        dict->dict.cap = cap;
    }
    dict->dict.pairs[dict->dict.n++] = (kw_pair){ key, value };
}

/* ---- questions ---- */

bool kw_obj_is_list(const kw_obj *v) { return v->type >= KW_OBJ_LIST && v->type <= KW_OBJ_ITEMS; }

static int64_t range_length(const kw_obj *v)
{
    int64_t from = v->range.from, to = v->range.to, by = v->range.by;
    if (by > 0) return from < to ? (to - from - 1) / by + 1 : 0;
    return from > to ? (from - to - 1) / -by + 1 : 0;
}

bool kw_obj_truth(const kw_obj *v)
{
    switch (v->type) {
    case KW_OBJ_UNDEFINED:
    case KW_OBJ_NONE: return false;
    case KW_OBJ_BOOL: return v->boolean;
    case KW_OBJ_INT: return v->integer != 0;
    case KW_OBJ_FLOAT: return v->number != 0;
    case KW_OBJ_STRING: return v->text.n > 0;
    case KW_OBJ_LIST:
    case KW_OBJ_TUPLE:
    case KW_OBJ_KEYS:
    case KW_OBJ_VALUES:
    case KW_OBJ_ITEMS: return v->list.n > 0;
    case KW_OBJ_RANGE: return range_length(v) > 0;
    case KW_OBJ_DICT: return v->dict.n > 0;
    default: return true;
    }
}

const char *kw_obj_type_name(const kw_obj *v)
{
    static const char *const names[] = {
        "Undefined", "NoneType",  "bool",      "int",         "float",      "str",    "list",
        "tuple",     "generator", "dict_keys", "dict_values", "dict_items", "range",  "dict",
        "Namespace", "Macro",     "function",  "LoopContext", "Cycler",     "Joiner",
    };
    return names[v->type];
}

size_t kw_text_count(kw_str s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) n += ((unsigned char)s.p[i] & 0xc0) != 0x80;
    return n;
}

size_t kw_text_offset(kw_str s, size_t character)
{
    size_t i = 0;
    for (; i < s.n; i++)
        if (((unsigned char)s.p[i] & 0xc0) != 0x80 && character-- == 0) return i;
    return i;
}

int64_t kw_chat_length(kw_chat *c, const kw_obj *v)
{
    if (v->type == KW_OBJ_UNDEFINED) return 0;
    if (v->type == KW_OBJ_STRING) {
        kw_chat_spend(c, v->text.n / 256);
        return (int64_t)kw_text_count(v->text);
    }
    if (v->type == KW_OBJ_DICT) return (int64_t)v->dict.n;
    if (v->type == KW_OBJ_RANGE) return range_length(v);
    if (v->type == KW_OBJ_LOOP) return kw_chat_loop_length(c, v->loop);
    if (kw_obj_is_list(v) && v->type != KW_OBJ_GENERATOR) return (int64_t)v->list.n;
    kw_chat_wrong(c, "object of type '%s' has no len()", kw_obj_type_name(v));
    return 0;
}

/* ---- walking ---- */

static kw_obj *characters(kw_chat *c, kw_str s)
{
    size_t n = kw_text_count(s), at = 0, i = 0;
    if (!kw_chat_spend(c, n)) return c->undefined;
    kw_obj *list = kw_chat_list(c, KW_OBJ_LIST, n);
    while (at < s.n && i < n && !c->status) {
        size_t end = at + 1;
        while (end < s.n && ((unsigned char)s.p[end] & 0xc0) == 0x80) end++;
        list->list.items[i++] = kw_chat_str(c, (kw_str){ s.p + at, end - at });
        at = end;
    }
    return list;
}

static kw_obj *keys_of(kw_chat *c, const kw_obj *dict)
{
    kw_obj *list = kw_chat_list(c, KW_OBJ_LIST, dict->dict.n);
    for (size_t i = 0; i < dict->dict.n && !c->status; i++)
        list->list.items[i] = dict->dict.pairs[i].key;
    return list;
}

static kw_obj *numbers_of(kw_chat *c, const kw_obj *range)
{
    size_t n = (size_t)range_length(range);
    if (!kw_chat_spend(c, n)) return c->undefined;
    kw_obj *list = kw_chat_list(c, KW_OBJ_LIST, n);
    for (size_t i = 0; i < n && !c->status; i++)
        list->list.items[i] = kw_chat_int(c, range->range.from + (int64_t)i * range->range.by);
    return list;
}

static kw_obj *emptied(kw_chat *c, kw_obj *generator)
{
    kw_obj *list = kw_chat_new(c, KW_OBJ_LIST);
    if (c->status) return c->undefined;
    list->list = generator->list;
    generator->list.n = 0;
    return list;
}

kw_obj *kw_chat_iterate(kw_chat *c, kw_obj *v)
{
    kw_obj *list = c->undefined;
    if (v->type == KW_OBJ_GENERATOR) list = emptied(c, v);
    else if (kw_obj_is_list(v)) return v;
    else if (v->type == KW_OBJ_STRING) list = characters(c, v->text);
    else if (v->type == KW_OBJ_DICT) list = keys_of(c, v);
    else if (v->type == KW_OBJ_RANGE) list = numbers_of(c, v);
    else if (v->type != KW_OBJ_UNDEFINED)
        kw_chat_wrong(c, "'%s' object is not iterable", kw_obj_type_name(v));
    return list->type == KW_OBJ_UNDEFINED ? c->empty : list;
}
