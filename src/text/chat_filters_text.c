/* chat_filters_text.c - filters that see their value as text. */
#include "text/chat.h"
#include "text/unicode.h"
#include <string.h>

static kw_obj *trim(kw_chat *c, const kw_call *call)
{
    bool has_chars = call->args[0] && call->args[0]->type != KW_OBJ_NONE;
    kw_str chars = kw_chat_string(c, call, 0, ""), s = kw_chat_text(c, call->self);
    return kw_chat_stripped(c, s, has_chars ? &chars : NULL, true, true);
}

static kw_obj *upper(kw_chat *c, const kw_call *call)
{
    return kw_chat_cased(c, kw_chat_text(c, call->self), kw_case_upper, kw_case_upper);
}

static kw_obj *lower(kw_chat *c, const kw_call *call)
{
    return kw_chat_cased(c, kw_chat_text(c, call->self), kw_case_lower, kw_case_lower);
}

static kw_obj *capitalize(kw_chat *c, const kw_call *call)
{
    return kw_chat_cased(c, kw_chat_text(c, call->self), kw_case_upper, kw_case_lower);
}

/* A word begins behind white space, a dash or an opening bracket. */
static kw_obj *title(kw_chat *c, const kw_call *call)
{
    kw_str s = kw_chat_text(c, call->self);
    kw_buf b = KW_BUF(KW_CHAT_PRINTED, KW_PAY_TEXT);
    for (size_t from = 0, i = 0; from < s.n && kw_chat_spend(c, 1); from = i) {
        uint32_t cp;
        bool in_gap = true;
        for (i = from; i < s.n && in_gap;) {
            size_t n = kw_utf8_decode(s.p + i, s.n - i, &cp, NULL);
            in_gap = kw_text_is_space(cp) || (cp < 128 && cp && strchr("-({[<", (int)cp));
            if (in_gap) i += n;
        }
        kw_buf_bytes(&b, s.p + from, i - from);
        for (from = i; i < s.n;) {
            size_t n = kw_utf8_decode(s.p + i, s.n - i, &cp, NULL);
            if (kw_text_is_space(cp) || (cp < 128 && cp && strchr("-({[<", (int)cp))) break;
            i += n;
        }
        kw_obj *word =
            kw_chat_cased(c, (kw_str){ s.p + from, i - from }, kw_case_upper, kw_case_lower);
        kw_chat_print(c, word, &b);
    }
    return kw_chat_kept(c, &b);
}

static kw_obj *as_string(kw_chat *c, const kw_call *call)
{
    return kw_chat_str(c, kw_chat_text(c, call->self));
}

static kw_obj *replace(kw_chat *c, const kw_call *call)
{
    bool has_most = call->args[2] && call->args[2]->type != KW_OBJ_NONE;
    kw_str s = kw_chat_text(c, call->self), old = kw_chat_string(c, call, 0, "");
    return kw_chat_replaced(c, s, old, kw_chat_string(c, call, 1, ""),
                            has_most ? kw_chat_count(c, call, 2, -1) : -1);
}

static kw_obj *center(kw_chat *c, const kw_call *call)
{
    return kw_chat_padded(c, kw_chat_text(c, call->self), kw_chat_count(c, call, 0, 80), '^',
                          KW_STR(" "));
}

static kw_str indention(kw_chat *c, const kw_call *call)
{
    if (call->args[0] && call->args[0]->type == KW_OBJ_STRING) return call->args[0]->text;
    int64_t width = kw_chat_count(c, call, 0, 4);
    return kw_chat_padded(c, KW_STR(""), width, '<', KW_STR(" "))->text;
}

static kw_obj *indent(kw_chat *c, const kw_call *call)
{
    kw_str s = kw_chat_text(c, call->self), by = indention(c, call);
    if (call->self->type == KW_OBJ_UNDEFINED)
        return kw_chat_binary(c, KW_STR("+"), call->self, call->self);
    if (call->self->type == KW_OBJ_LIST)
        return kw_chat_wrong(c, "'list' object has no attribute 'splitlines'");
    if (call->self->type == KW_OBJ_TUPLE)
        return kw_chat_wrong(c, "can only concatenate tuple (not \"str\") to tuple");
    if (call->self->type != KW_OBJ_STRING)
        return kw_chat_wrong(c, "unsupported operand type(s) for +=: '%s' and 'str'",
                             kw_obj_type_name(call->self));
    bool first = kw_chat_flag(call, 1, false), blank = kw_chat_flag(call, 2, false);
    kw_obj *lines = kw_chat_lines(c, kw_chat_joined(c, s, KW_STR("\n"))->text, false);
    if (c->status) return c->undefined;
    kw_buf b = KW_BUF(KW_CHAT_PRINTED, KW_PAY_TEXT);
    for (size_t i = 0; i < lines->list.n && kw_chat_spend(c, 1); i++) {
        kw_str line = lines->list.items[i]->text;
        if (i) kw_buf_byte(&b, '\n');
        if (i ? blank || line.n : first) kw_buf_bytes(&b, by.p, by.n);
        kw_buf_bytes(&b, line.p, line.n);
    }
    return kw_chat_kept(c, &b);
}

static kw_obj *truncate(kw_chat *c, const kw_call *call)
{
    kw_str s = kw_chat_text(c, call->self), end = kw_chat_string(c, call, 2, "...");
    int64_t length = kw_chat_count(c, call, 0, 255), leeway = kw_chat_count(c, call, 3, 5);
    int64_t n = kw_chat_length(c, call->self), n_end = (int64_t)kw_text_count(end);
    if (!kw_chat_walk(c, end)) return c->undefined;
    if (length < n_end)
        return kw_chat_wrong(c, "expected length >= %lld, got %lld", (long long)n_end,
                             (long long)length);
    if (leeway < 0) return kw_chat_wrong(c, "expected leeway >= 0, got %lld", (long long)leeway);
    if (n - leeway <= length) return call->self;
    if (call->self->type != KW_OBJ_STRING) return kw_chat_wrong(c, "truncate() wants a string");
    kw_str head = { s.p, kw_text_offset(s, (size_t)(length - n_end)) };
    if (!kw_chat_flag(call, 1, false)) {
        size_t i = head.n;
        while (i > 0 && head.p[i - 1] != ' ') i--;
        if (i) head.n = i - 1;
    }
    return kw_chat_joined(c, head, end);
}

static kw_obj *wordcount(kw_chat *c, const kw_call *call)
{
    kw_str s = kw_chat_text(c, call->self);
    int64_t n = 0;
    bool inside = false;
    for (size_t i = 0; i < s.n;) {
        uint32_t cp;
        i += kw_utf8_decode(s.p + i, s.n - i, &cp, NULL);
        bool is_word = cp == '_' || kw_is_letter(cp) || kw_is_number(cp);
        n += is_word && !inside;
        inside = is_word;
    }
    return kw_chat_int(c, n);
}

static kw_obj *escape(kw_chat *c, const kw_call *call)
{
    static const char special[] = "&<>'\"";
    static const char *const written[] = { "&amp;", "&lt;", "&gt;", "&#39;", "&#34;" };
    kw_str s = kw_chat_text(c, call->self);
    kw_buf b = KW_BUF(KW_CHAT_PRINTED, KW_PAY_TEXT);
    for (size_t i = 0; i < s.n; i++) {
        const char *hit = s.p[i] ? strchr(special, s.p[i]) : NULL;
        if (hit) kw_buf_str(&b, written[hit - special]);
        else kw_buf_byte(&b, s.p[i]);
    }
    return kw_chat_kept(c, &b);
}

static kw_obj *urlencode(kw_chat *c, const kw_call *call)
{
    kw_str s = kw_chat_text(c, call->self);
    kw_buf b = KW_BUF(KW_CHAT_PRINTED, KW_PAY_TEXT);
    for (size_t i = 0; i < s.n; i++) {
        unsigned char ch = (unsigned char)s.p[i];
        bool plain = (ch >= '0' && ch <= '9') || ((ch | 32) >= 'a' && (ch | 32) <= 'z') ||
                     (ch && strchr("_.-~/", ch));
        if (plain) kw_buf_byte(&b, (char)ch);
        else kw_buf_printf(&b, "%%%02X", ch);
    }
    return kw_chat_kept(c, &b);
}

static kw_obj *format(kw_chat *c, const kw_call *call)
{
    if (call->n && call->n_named)
        return kw_chat_wrong(c, "can't handle positional and keyword arguments at the same time");
    kw_obj *args = kw_chat_list(c, KW_OBJ_TUPLE, call->n);
    for (size_t i = 0; i < call->n && !c->status; i++) args->list.items[i] = call->args[i];
    if (call->n_named) args = kw_chat_new(c, KW_OBJ_DICT);
    for (size_t i = 0; i < call->n_named; i++)
        kw_dict_put(c, args, call->named[i].key, call->named[i].value);
    return c->status ? c->undefined : kw_chat_percent(c, kw_chat_text(c, call->self), args);
}

const kw_builtin kw_chat_filters_text[] = {
    { "trim", trim, "?chars" },
    { "upper", upper, "" },
    { "lower", lower, "" },
    { "capitalize", capitalize, "" },
    { "title", title, "" },
    { "string", as_string, "" },
    { "safe", as_string, "" },
    { "replace", replace, "old,new,?count" },
    { "center", center, "?width" },
    { "indent", indent, "?width,?first,?blank" },
    { "truncate", truncate, "?length,?killwords,?end,?leeway" },
    { "wordcount", wordcount, "" },
    { "escape", escape, "" },
    { "e", escape, "" },
    { "forceescape", escape, "" },
    { "urlencode", urlencode, "" },
    { "format", format, "*" },
    { "tojson", kw_chat_tojson, "?ensure_ascii,?indent,?separators,?sort_keys" },
    { NULL, NULL, NULL },
};
