/* chat_print.c - values as text: Python's str() and repr(). */
#include "text/chat.h"
#include <math.h>
#include <string.h>

void kw_chat_put_real(kw_buf *out, double d)
{
    kw_json_writer w = { .out = out };
    if (isnan(d)) kw_buf_str(out, "nan");
    else if (isinf(d)) kw_buf_str(out, d < 0 ? "-inf" : "inf");
    else kw_json_put_float(&w, d);
}

/* Characters that repr() writes as escapes: controls, spaces but the usual one, and what cannot be seen. */
static bool is_printable(uint32_t cp)
{
    static const struct {
        uint32_t from, to;
    } hidden[] = { { 0, 0x1f },        { 0x7f, 0xa0 },       { 0xad, 0xad },
                   { 0x600, 0x605 },   { 0x61c, 0x61c },     { 0x6dd, 0x6dd },
                   { 0x70f, 0x70f },   { 0x1680, 0x1680 },   { 0x180e, 0x180e },
                   { 0x2000, 0x200f }, { 0x2028, 0x202f },   { 0x205f, 0x206f },
                   { 0x3000, 0x3000 }, { 0xd800, 0xf8ff },   { 0xfeff, 0xfeff },
                   { 0xfff0, 0xfffb }, { 0xe0000, 0xe00ff }, { 0xf0000, 0x10ffff } };
    for (size_t i = 0; i < sizeof hidden / sizeof *hidden; i++)
        if (cp >= hidden[i].from && cp <= hidden[i].to) return false;
    return true;
}

static void put_escape(kw_buf *out, uint32_t cp)
{
    if (cp == '\n') kw_buf_str(out, "\\n");
    else if (cp == '\r') kw_buf_str(out, "\\r");
    else if (cp == '\t') kw_buf_str(out, "\\t");
    else if (cp < 0x100) kw_buf_printf(out, "\\x%02x", (unsigned)cp);
    else if (cp < 0x10000) kw_buf_printf(out, "\\u%04x", (unsigned)cp);
    else kw_buf_printf(out, "\\U%08x", (unsigned)cp);
}

static void put_quoted(kw_buf *out, kw_str s)
{
    bool apostrophe = s.n && memchr(s.p, '\'', s.n), quote = s.n && memchr(s.p, '"', s.n);
    char mark = apostrophe && !quote ? '"' : '\'';
    kw_buf_byte(out, mark);
    for (size_t i = 0; i < s.n;) {
        uint32_t cp;
        i += kw_utf8_decode(s.p + i, s.n - i, &cp, NULL);
        if (cp == '\\' || cp == (uint32_t)mark) kw_buf_printf(out, "\\%c", (char)cp);
        else if (is_printable(cp)) kw_buf_codepoint(out, cp);
        else put_escape(out, cp);
    }
    kw_buf_byte(out, mark);
}

static void put_items(kw_chat *c, const kw_obj *v, kw_buf *out, const char *around)
{
    kw_buf_byte(out, around[0]);
    for (size_t i = 0; i < v->list.n && !out->status && kw_chat_spend(c, 1); i++) {
        if (i) kw_buf_str(out, ", ");
        kw_chat_repr(c, v->list.items[i], out);
    }
    if (v->type == KW_OBJ_TUPLE && v->list.n == 1) kw_buf_byte(out, ',');
    kw_buf_byte(out, around[1]);
}

static void put_dict(kw_chat *c, const kw_obj *v, kw_buf *out)
{
    kw_buf_byte(out, '{');
    for (size_t i = 0; i < v->dict.n && !out->status && kw_chat_spend(c, 1); i++) {
        if (i) kw_buf_str(out, ", ");
        kw_chat_repr(c, v->dict.pairs[i].key, out);
        kw_buf_str(out, ": ");
        kw_chat_repr(c, v->dict.pairs[i].value, out);
    }
    kw_buf_byte(out, '}');
}

static void put_range(const kw_obj *v, kw_buf *out)
{
    kw_buf_printf(out, "range(%lld, %lld", (long long)v->range.from, (long long)v->range.to);
    if (v->range.by != 1) kw_buf_printf(out, ", %lld", (long long)v->range.by);
    kw_buf_byte(out, ')');
}

static void put_view(kw_chat *c, const kw_obj *v, kw_buf *out)
{
    kw_buf_printf(out, "%s(", kw_obj_type_name(v));
    put_items(c, v, out, "[]");
    kw_buf_byte(out, ')');
}

static void put_other(kw_chat *c, const kw_obj *v, kw_buf *out)
{
    if (v->type == KW_OBJ_NAMESPACE) {
        kw_buf_str(out, "<Namespace ");
        put_dict(c, v, out);
        kw_buf_byte(out, '>');
    } else if (v->type == KW_OBJ_MACRO) {
        kw_buf_str(out, "<Macro ");
        put_quoted(out, v->macro.node->name);
        kw_buf_byte(out, '>');
    } else if (v->type == KW_OBJ_LOOP) {
        kw_buf_printf(out, "<LoopContext %lld/%lld>", (long long)v->loop->index + 1,
                      (long long)kw_chat_loop_length(c, v->loop));
    } else {
        kw_buf_printf(out, "<%s object>", kw_obj_type_name(v));
    }
}

void kw_chat_repr(kw_chat *c, const kw_obj *v, kw_buf *out)
{
    if (!kw_chat_enter(c)) return;
    switch (v->type) {
    case KW_OBJ_UNDEFINED: kw_buf_str(out, "Undefined"); break;
    case KW_OBJ_NONE: kw_buf_str(out, "None"); break;
    case KW_OBJ_BOOL: kw_buf_str(out, v->boolean ? "True" : "False"); break;
    case KW_OBJ_INT: kw_buf_printf(out, "%lld", (long long)v->integer); break;
    case KW_OBJ_FLOAT: kw_chat_put_real(out, v->number); break;
    case KW_OBJ_STRING: put_quoted(out, v->text); break;
    case KW_OBJ_LIST: put_items(c, v, out, "[]"); break;
    case KW_OBJ_TUPLE: put_items(c, v, out, "()"); break;
    case KW_OBJ_KEYS:
    case KW_OBJ_VALUES:
    case KW_OBJ_ITEMS: put_view(c, v, out); break;
    case KW_OBJ_RANGE: put_range(v, out); break;
    case KW_OBJ_DICT: put_dict(c, v, out); break;
    default: put_other(c, v, out); break;
    }
    kw_chat_leave(c);
}

void kw_chat_print(kw_chat *c, const kw_obj *v, kw_buf *out)
{
    if (v->type == KW_OBJ_STRING) kw_buf_bytes(out, v->text.p, v->text.n);
    else if (v->type != KW_OBJ_UNDEFINED) kw_chat_repr(c, v, out);
}

kw_str kw_chat_text(kw_chat *c, kw_obj *v)
{
    if (v->type == KW_OBJ_STRING) return v->text;
    if (v->type == KW_OBJ_UNDEFINED || c->status) return KW_STR("");
    kw_buf b = KW_BUF(KW_CHAT_PRINTED, KW_PAY_TEXT);
    kw_chat_print(c, v, &b);
    kw_obj *s = kw_chat_kept(c, &b);
    return s->type == KW_OBJ_STRING ? s->text : KW_STR("");
}
