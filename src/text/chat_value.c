/* chat_value.c - values of templates, their filters and methods. */
#include "text/chat.h"
#include <string.h>

kw_json *kw_chat_new(kw_chat *c, kw_json_type type)
{
    static kw_json spare; /* never read: status says why */
    c->bytes += sizeof(kw_json);
    if (c->bytes > KW_CHAT_BYTES)
        kw_chat_fail(c, KW_ELIMIT, "chat template: more than %d MB of values", KW_CHAT_BYTES >> 20);
    kw_json *v = c->status ? NULL : kw_arena_alloc(&c->arena, 1, sizeof *v);
    if (!v) {
        if (!c->status) c->status = KW_ENOMEM;
        return &spare;
    }
    v->type = type;
    return v;
}

char *kw_chat_bytes(kw_chat *c, size_t n)
{
    if (n > KW_CHAT_BYTES || (c->bytes += n) > KW_CHAT_BYTES) {
        kw_chat_fail(c, KW_ELIMIT, "chat template: more than %d MB of values", KW_CHAT_BYTES >> 20);
        return NULL;
    }
    char *p = kw_arena_alloc(&c->arena, n + 1, 1);
    if (!p && !c->status) c->status = KW_ENOMEM;
    return p;
}

const kw_json *kw_chat_str(kw_chat *c, const char *p, size_t n)
{
    kw_json *v = kw_chat_new(c, KW_JSON_STRING);
    if (!c->status) v->string = (kw_str){ p, n };
    return v;
}

const kw_json *kw_chat_int(kw_chat *c, int64_t i)
{
    kw_json *v = kw_chat_new(c, KW_JSON_INT);
    if (c->status) return v;
    v->integer = i;
    v->number = (double)i;
    return v;
}

const kw_json *kw_chat_bool(kw_chat *c, bool b)
{
    kw_json *v = kw_chat_new(c, KW_JSON_BOOL);
    if (!c->status) v->boolean = b;
    return v;
}

kw_chat_list kw_chat_list_new(kw_chat *c, kw_json_type type)
{
    return (kw_chat_list){ .all = kw_chat_new(c, type) };
}

void kw_chat_append(kw_chat *c, kw_chat_list *list, const kw_json *item, kw_str key)
{
    kw_json *copy = kw_chat_new(c, KW_JSON_NULL);
    if (c->status) return;
    if (item) *copy = *item;
    copy->next = NULL;
    copy->key = key;
    if (list->last) list->last->next = copy;
    else list->all->child = copy;
    list->last = copy;
    list->all->n++;
}

bool kw_chat_truth(const kw_json *v)
{
    if (!v) return false;
    switch (v->type) {
    case KW_JSON_NULL: return false;
    case KW_JSON_BOOL: return v->boolean;
    case KW_JSON_INT:
    case KW_JSON_FLOAT: return v->number != 0;
    case KW_JSON_STRING: return v->string.n > 0;
    case KW_JSON_ARRAY:
    case KW_JSON_OBJECT: return v->n > 0;
    }
    return false;
}

bool kw_chat_equal(const kw_json *a, const kw_json *b)
{
    if (!a || !b) return a == b;
    if (kw_chat_is_number(a) && kw_chat_is_number(b)) return kw_chat_number(a) == kw_chat_number(b);
    if (a->type != b->type) return false;
    if (a->type == KW_JSON_STRING) return kw_str_eq(a->string, b->string);
    if (a->type != KW_JSON_ARRAY || a->n != b->n) return a->type == KW_JSON_NULL || a == b;
    const kw_json *x = a->child, *y = b->child;
    for (; x && y; x = x->next, y = y->next)
        if (!kw_chat_equal(x, y)) return false;
    return true;
}

/* ---- as JSON, spaced as Python's json.dumps ---- */

static void put_json(const kw_json *v, kw_buf *out)
{
    kw_json_writer w = { .out = out };
    switch (v->type) {
    case KW_JSON_NULL: kw_json_put_null(&w); return;
    case KW_JSON_BOOL: kw_json_put_bool(&w, v->boolean); return;
    case KW_JSON_INT: kw_json_put_int(&w, v->integer); return;
    case KW_JSON_FLOAT: kw_json_put_float(&w, v->number); return;
    case KW_JSON_STRING: kw_json_put_string(&w, v->string); return;
    default: break;
    }
    bool object = v->type == KW_JSON_OBJECT;
    kw_buf_byte(out, object ? '{' : '[');
    for (const kw_json *e = v->child; e; e = e->next) {
        if (e != v->child) kw_buf_str(out, ", ");
        if (object) {
            kw_json_writer key = { .out = out };
            kw_json_put_string(&key, e->key);
            kw_buf_str(out, ": ");
        }
        put_json(e, out);
    }
    kw_buf_byte(out, object ? '}' : ']');
}

/* Moves what was written into the template's memory. */
static kw_str kept_text(kw_chat *c, kw_buf *b)
{
    size_t n = b->len;
    char *kept = b->status ? NULL : kw_chat_bytes(c, n);
    if (b->status && !c->status) c->status = b->status;
    if (kept && n) memcpy(kept, b->data, n);
    kw_buf_free(b);
    return kept ? (kw_str){ kept, n } : (kw_str){ "", 0 };
}

static kw_str json_text(kw_chat *c, const kw_json *v)
{
    kw_buf b = KW_BUF((size_t)16 << 20, KW_PAY_TEXT);
    put_json(v, &b);
    return kept_text(c, &b);
}

kw_str kw_chat_text(kw_chat *c, const kw_json *v)
{
    if (!v) return (kw_str){ "", 0 };
    if (v->type == KW_JSON_STRING) return v->string;
    if (v->type == KW_JSON_NULL) return KW_STR("None");
    if (v->type == KW_JSON_BOOL) return v->boolean ? KW_STR("True") : KW_STR("False");
    return json_text(c, v);
}

/* ---- filters and methods ---- */

static bool is_space(char ch)
{
    return ch == ' ' || (ch >= 9 && ch <= 13) || (ch >= 0x1c && ch <= 0x1f);
}

static const kw_json *trimmed(kw_chat *c, const kw_json *v, bool left, bool right)
{
    kw_str s = kw_chat_text(c, v);
    while (left && s.n && is_space(s.p[0])) s.p++, s.n--;
    while (right && s.n && is_space(s.p[s.n - 1])) s.n--;
    return kw_chat_str(c, s.p, s.n);
}

static const kw_json *trim(kw_chat *c, const kw_json *v, const kw_json *args)
{
    (void)args;
    return trimmed(c, v, true, true);
}

static const kw_json *lstrip(kw_chat *c, const kw_json *v, const kw_json *args)
{
    (void)args;
    return trimmed(c, v, true, false);
}

static const kw_json *rstrip(kw_chat *c, const kw_json *v, const kw_json *args)
{
    (void)args;
    return trimmed(c, v, false, true);
}

static const kw_json *length(kw_chat *c, const kw_json *v, const kw_json *args)
{
    (void)args;
    int64_t n = v ? (int64_t)v->n : 0;
    if (v && v->type == KW_JSON_STRING) {
        n = 0;
        for (size_t i = 0; i < v->string.n; i++)
            n += ((unsigned char)v->string.p[i] & 0xc0) != 0x80;
    }
    return kw_chat_int(c, n);
}

static const kw_json *to_json(kw_chat *c, const kw_json *v, const kw_json *args)
{
    (void)args;
    kw_str s = v ? json_text(c, v) : (kw_str){ "", 0 };
    return kw_chat_str(c, s.p, s.n);
}

static const kw_json *cased(kw_chat *c, const kw_json *v, char first, int shift)
{
    kw_str s = kw_chat_text(c, v);
    char *copy = kw_chat_bytes(c, s.n);
    if (!copy) return NULL;
    for (size_t i = 0; i < s.n; i++)
        copy[i] = s.p[i] >= first && s.p[i] < first + 26 ? (char)(s.p[i] + shift) : s.p[i];
    return kw_chat_str(c, copy, s.n);
}

static const kw_json *upper(kw_chat *c, const kw_json *v, const kw_json *args)
{
    (void)args;
    return cased(c, v, 'a', -32);
}

static const kw_json *lower(kw_chat *c, const kw_json *v, const kw_json *args)
{
    (void)args;
    return cased(c, v, 'A', 32);
}

static const kw_json *first(kw_chat *c, const kw_json *v, const kw_json *args)
{
    (void)c;
    (void)args;
    return v ? v->child : NULL;
}

static const kw_json *last(kw_chat *c, const kw_json *v, const kw_json *args)
{
    (void)c;
    (void)args;
    const kw_json *e = v ? v->child : NULL;
    while (e && e->next) e = e->next;
    return e;
}

static const kw_json *or_default(kw_chat *c, const kw_json *v, const kw_json *args)
{
    (void)c;
    bool also_falsy = args->child && args->child->next && kw_chat_truth(args->child->next);
    return also_falsy ? (kw_chat_truth(v) ? v : args->child) : v ? v : args->child;
}

static const kw_json *as_string(kw_chat *c, const kw_json *v, const kw_json *args)
{
    (void)args;
    kw_str s = kw_chat_text(c, v);
    return kw_chat_str(c, s.p, s.n);
}

static const kw_json *join(kw_chat *c, const kw_json *v, const kw_json *args)
{
    kw_buf b = KW_BUF((size_t)16 << 20, KW_PAY_TEXT);
    kw_str gap = args->child ? kw_chat_text(c, args->child) : (kw_str){ "", 0 };
    for (const kw_json *e = v ? v->child : NULL; e; e = e->next) {
        if (e != v->child) kw_buf_bytes(&b, gap.p, gap.n);
        kw_str s = kw_chat_text(c, e);
        kw_buf_bytes(&b, s.p, s.n);
    }
    kw_str all = kept_text(c, &b);
    return kw_chat_str(c, all.p, all.n);
}

static const kw_json *starts_with(kw_chat *c, const kw_json *v, const kw_json *args)
{
    kw_str s = kw_chat_text(c, v), p = kw_chat_text(c, args->child);
    return kw_chat_bool(c, s.n >= p.n && (p.n == 0 || memcmp(s.p, p.p, p.n) == 0));
}

static const kw_json *ends_with(kw_chat *c, const kw_json *v, const kw_json *args)
{
    kw_str s = kw_chat_text(c, v), p = kw_chat_text(c, args->child);
    return kw_chat_bool(c, s.n >= p.n && (p.n == 0 || memcmp(s.p + s.n - p.n, p.p, p.n) == 0));
}

static const kw_json *split(kw_chat *c, const kw_json *v, const kw_json *args)
{
    kw_str s = kw_chat_text(c, v), gap = kw_chat_text(c, args->child);
    kw_chat_list list = kw_chat_list_new(c, KW_JSON_ARRAY);
    size_t from = 0;
    if (gap.n == 0) {
        kw_chat_fail(c, KW_EUNSUPPORTED, "chat template: split() without a separator");
        return list.all;
    }
    for (size_t i = 0; i <= s.n && kw_chat_step(c); i++) {
        bool hit = i + gap.n <= s.n && memcmp(s.p + i, gap.p, gap.n) == 0;
        if (!hit && i < s.n) continue;
        kw_chat_append(c, &list, kw_chat_str(c, s.p + from, i - from), (kw_str){ NULL, 0 });
        from = i + gap.n;
        if (hit) i += gap.n - 1;
    }
    return list.all;
}

static const kw_json *items(kw_chat *c, const kw_json *v, const kw_json *args)
{
    (void)args;
    kw_chat_list list = kw_chat_list_new(c, KW_JSON_ARRAY);
    for (const kw_json *e = v && v->type == KW_JSON_OBJECT ? v->child : NULL; e; e = e->next) {
        kw_chat_list pair = kw_chat_list_new(c, KW_JSON_ARRAY);
        kw_chat_append(c, &pair, kw_chat_str(c, e->key.p, e->key.n), (kw_str){ NULL, 0 });
        kw_chat_append(c, &pair, e, (kw_str){ NULL, 0 });
        kw_chat_append(c, &list, pair.all, (kw_str){ NULL, 0 });
    }
    return list.all;
}

static const kw_json *as_list(kw_chat *c, const kw_json *v, const kw_json *args)
{
    (void)args;
    kw_chat_list list = kw_chat_list_new(c, KW_JSON_ARRAY);
    for (const kw_json *e = v ? v->child : NULL; e; e = e->next)
        kw_chat_append(c, &list, v->type == KW_JSON_OBJECT ? kw_chat_str(c, e->key.p, e->key.n) : e,
                       (kw_str){ NULL, 0 });
    return list.all;
}

static const kw_json *replace(kw_chat *c, const kw_json *v, const kw_json *args)
{
    kw_str s = kw_chat_text(c, v), old = kw_chat_text(c, args->child);
    kw_str new = kw_chat_text(c, args->child ? args->child->next : NULL);
    kw_buf b = KW_BUF((size_t)16 << 20, KW_PAY_TEXT);
    for (size_t i = 0; i < s.n && kw_chat_step(c);) {
        bool hit = old.n && i + old.n <= s.n && memcmp(s.p + i, old.p, old.n) == 0;
        kw_buf_bytes(&b, hit ? new.p : s.p + i, hit ? new.n : 1);
        i += hit ? old.n : 1;
    }
    kw_str all = kept_text(c, &b);
    return kw_chat_str(c, all.p, all.n);
}

static const kw_json *get(kw_chat *c, const kw_json *v, const kw_json *args)
{
    kw_str key = kw_chat_text(c, args->child);
    const kw_json *found = NULL;
    for (const kw_json *e = v ? v->child : NULL; e; e = e->next)
        if (kw_str_eq(e->key, key)) found = e;
    return found                              ? found
           : args->child && args->child->next ? args->child->next
                                              : kw_chat_new(c, KW_JSON_NULL);
}

typedef struct function {
    const char *name;
    const kw_json *(*call)(kw_chat *c, const kw_json *v, const kw_json *args);
} function;

static const function filters[] = {
    { "trim", trim },       { "length", length },    { "count", length },
    { "tojson", to_json },  { "upper", upper },      { "lower", lower },
    { "first", first },     { "last", last },        { "default", or_default },
    { "d", or_default },    { "string", as_string }, { "join", join },
    { "safe", as_string },  { "items", items },      { "list", as_list },
    { "replace", replace },
};
static const function methods[] = {
    { "strip", trim },         { "lstrip", lstrip },   { "rstrip", rstrip },
    { "upper", upper },        { "lower", lower },     { "startswith", starts_with },
    { "endswith", ends_with }, { "split", split },     { "get", get },
    { "items", items },        { "replace", replace },
};

static const kw_json *unknown(kw_chat *c, kw_str name)
{
    kw_chat_fail(c, KW_EUNSUPPORTED, "chat template: \"%.*s\" is not supported yet", (int)name.n,
                 name.p);
    return NULL;
}

const kw_json *kw_chat_filter(kw_chat *c, kw_str name, const kw_json *v, const kw_json *args)
{
    for (size_t i = 0; i < sizeof filters / sizeof *filters; i++)
        if (kw_str_is(name, filters[i].name)) return filters[i].call(c, v, args);
    return unknown(c, name);
}

const kw_json *kw_chat_method(kw_chat *c, kw_str name, const kw_json *self, const kw_json *args)
{
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        if (kw_str_is(name, methods[i].name)) return methods[i].call(c, self, args);
    return unknown(c, name);
}
