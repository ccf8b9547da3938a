/* chat_json.c - the filter tojson, as transformers has it: Python's json.dumps without escapes of HTML. */
#include "text/chat.h"
#include <math.h>
#include <string.h>

typedef struct writer {
    kw_chat *c;
    kw_buf *out;
    kw_str indent; /* p NULL: one line */
    kw_str comma, colon;
    bool ascii, sorted;
    int depth;
} writer;

static void put(writer *w, const kw_obj *v);

static void put_text(writer *w, kw_str s) { kw_buf_bytes(w->out, s.p, s.n); }

static void put_ascii(kw_buf *out, kw_str s)
{
    for (size_t i = 0; i < s.n;) {
        uint32_t cp;
        size_t n = kw_utf8_decode(s.p + i, s.n - i, &cp, NULL);
        if (cp < 0x7f) kw_buf_bytes(out, s.p + i, n);
        else if (cp < 0x10000) kw_buf_printf(out, "\\u%04x", (unsigned)cp);
        else
            kw_buf_printf(out, "\\u%04x\\u%04x", (unsigned)(0xd7c0 + (cp >> 10)),
                          (unsigned)(0xdc00 | (cp & 0x3ff)));
        i += n;
    }
}

static void put_string(writer *w, kw_str s)
{
    kw_buf quoted = KW_BUF(KW_CHAT_PRINTED, KW_PAY_TEXT);
    kw_json_writer j = { .out = w->ascii ? &quoted : w->out };
    kw_json_put_string(&j, s);
    if (w->ascii && quoted.len) put_ascii(w->out, (kw_str){ quoted.data, quoted.len });
    kw_buf_free(&quoted);
}

static void put_real(kw_buf *out, double d)
{
    if (isnan(d)) kw_buf_str(out, "NaN");
    else if (isinf(d)) kw_buf_str(out, d < 0 ? "-Infinity" : "Infinity");
    else kw_chat_put_real(out, d);
}

static void new_line(writer *w)
{
    if (!w->indent.p) return;
    kw_buf_byte(w->out, '\n');
    for (int i = 0; i < w->depth && kw_chat_spend(w->c, 1); i++) put_text(w, w->indent);
}

static void put_list(writer *w, const kw_obj *v)
{
    kw_buf_byte(w->out, '[');
    w->depth++;
    for (size_t i = 0; i < v->list.n && !w->out->status && kw_chat_spend(w->c, 1); i++) {
        if (i) put_text(w, w->comma);
        new_line(w);
        put(w, v->list.items[i]);
    }
    w->depth--;
    if (v->list.n) new_line(w);
    kw_buf_byte(w->out, ']');
}

static void put_key(writer *w, const kw_obj *key)
{
    bool plain =
        key->type == KW_OBJ_STRING || key->type > KW_OBJ_STRING || key->type == KW_OBJ_UNDEFINED;
    if (key->type != KW_OBJ_STRING && plain) {
        kw_chat_wrong(w->c, "keys must be str, int, float, bool or None, not %s",
                      kw_obj_type_name(key));
        return;
    }
    if (!plain) kw_buf_byte(w->out, '"');
    put(w, key);
    if (!plain) kw_buf_byte(w->out, '"');
}

static const kw_pair *ordered(writer *w, const kw_obj *v)
{
    size_t n = v->dict.n;
    if (!w->sorted || n < 2) return v->dict.pairs;
    kw_pair *pairs = kw_chat_alloc(w->c, n, sizeof *pairs);
    if (!pairs) return v->dict.pairs;
    memcpy(pairs, v->dict.pairs, n * sizeof *pairs);
    kw_chat_sort(w->c, pairs, n, false);
    return pairs;
}

static void put_dict(writer *w, const kw_obj *v)
{
    const kw_pair *pairs = ordered(w, v);
    kw_buf_byte(w->out, '{');
    w->depth++;
    for (size_t i = 0; i < v->dict.n && !w->out->status && kw_chat_spend(w->c, 1); i++) {
        if (i) put_text(w, w->comma);
        new_line(w);
        put_key(w, pairs[i].key);
        put_text(w, w->colon);
        put(w, pairs[i].value);
    }
    w->depth--;
    if (v->dict.n) new_line(w);
    kw_buf_byte(w->out, '}');
}

static void put(writer *w, const kw_obj *v)
{
    if (!kw_chat_enter(w->c)) return;
    switch (v->type) {
    case KW_OBJ_NONE: kw_buf_str(w->out, "null"); break;
    case KW_OBJ_BOOL: kw_buf_str(w->out, v->boolean ? "true" : "false"); break;
    case KW_OBJ_INT: kw_buf_printf(w->out, "%lld", (long long)v->integer); break;
    case KW_OBJ_FLOAT: put_real(w->out, v->number); break;
    case KW_OBJ_STRING: put_string(w, v->text); break;
    case KW_OBJ_LIST:
    case KW_OBJ_TUPLE: put_list(w, v); break;
    case KW_OBJ_DICT: put_dict(w, v); break;
    default: kw_chat_wrong(w->c, "Object of type %s is not JSON serializable", kw_obj_type_name(v));
    }
    kw_chat_leave(w->c);
}

/* A number of spaces, or the text itself. */
static kw_str indent_of(kw_chat *c, const kw_obj *v)
{
    if (!v || v->type == KW_OBJ_NONE) return (kw_str){ NULL, 0 };
    if (v->type == KW_OBJ_STRING) return v->text;
    int64_t n = kw_obj_is_integer(v) ? kw_obj_integer(v) : -1;
    if (n < 0 || n > 1000) n = n < 0 ? 0 : 1000;
    char *spaces = kw_chat_alloc(c, (size_t)n + 1, 1);
    if (spaces && n) memset(spaces, ' ', (size_t)n);
    return (kw_str){ spaces ? spaces : "", spaces ? (size_t)n : 0 };
}

kw_obj *kw_chat_tojson(kw_chat *c, const kw_call *call)
{
    kw_buf b = KW_BUF(KW_CHAT_PRINTED, KW_PAY_TEXT);
    kw_obj *separators = call->n > 2 ? call->args[2] : NULL;
    writer w = { .c = c, .out = &b, .colon = KW_STR(": "), .ascii = kw_chat_flag(call, 0, false) };
    w.indent = indent_of(c, call->args[1]);
    w.comma = w.indent.p ? KW_STR(",") : KW_STR(", ");
    w.sorted = kw_chat_flag(call, 3, false);
    if (separators && kw_obj_is_list(separators) && separators->list.n == 2) {
        w.comma = kw_chat_text(c, separators->list.items[0]);
        w.colon = kw_chat_text(c, separators->list.items[1]);
    }
    put(&w, call->self);
    return kw_chat_kept(c, &b);
}
