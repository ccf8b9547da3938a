/* chat_case.c - upper and lower case, and the methods of strings that ask what their characters are. */
#include "text/chat.h"
#include "text/unicode.h"
#include <string.h>

static bool is_cased(uint32_t cp)
{
    return kw_case_upper(cp) != cp || kw_case_lower(cp) != cp || kw_case_long_upper(cp);
}

/* A sigma at the end of a word has another lower case. */
static bool ends_word(kw_str s, size_t at, size_t len)
{
    uint32_t cp = 0;
    bool after = false, before = false;
    if (at + len < s.n) kw_utf8_decode(s.p + at + len, s.n - at - len, &cp, NULL);
    after = at + len < s.n && is_cased(cp);
    size_t n = 1;
    while (n < at && n < 4 && ((unsigned char)s.p[at - n] & 0xc0) == 0x80) n++;
    if (at) kw_utf8_decode(s.p + at - n, n, &cp, NULL);
    before = at && is_cased(cp);
    return before && !after;
}

static void put_cased(kw_buf *b, kw_str s, size_t at, size_t len, kw_case_fn change)
{
    uint32_t cp;
    bool valid;
    kw_utf8_decode(s.p + at, len, &cp, &valid);
    const char *longer = change == kw_case_upper ? kw_case_long_upper(cp) : NULL;
    if (!valid || !change) kw_buf_bytes(b, s.p + at, len);
    else if (longer) kw_buf_str(b, longer);
    else if (change == kw_case_lower && cp == 0x130) kw_buf_str(b, "i\xcc\x87");
    else if (change == kw_case_lower && cp == 0x3a3 && ends_word(s, at, len))
        kw_buf_codepoint(b, 0x3c2);
    else kw_buf_codepoint(b, change(cp));
}

kw_obj *kw_chat_cased(kw_chat *c, kw_str s, kw_case_fn first, kw_case_fn rest)
{
    kw_buf b = KW_BUF(KW_CHAT_PRINTED, KW_PAY_TEXT);
    if (!kw_chat_spend(c, s.n / 16)) return c->undefined;
    for (size_t i = 0, n; i < s.n; i += n) {
        uint32_t cp = (unsigned char)s.p[i];
        n = cp < 128 ? 1 : kw_utf8_decode(s.p + i, s.n - i, &cp, NULL);
        if (cp < 128) kw_buf_byte(&b, (char)(i ? rest : first)(cp));
        else put_cased(&b, s, i, n, i ? rest : first);
    }
    return kw_chat_kept(c, &b);
}

/* ---- methods ---- */

static kw_obj *upper(kw_chat *c, const kw_call *call)
{
    return kw_chat_cased(c, call->self->text, kw_case_upper, kw_case_upper);
}

static kw_obj *lower(kw_chat *c, const kw_call *call)
{
    return kw_chat_cased(c, call->self->text, kw_case_lower, kw_case_lower);
}

static kw_obj *capitalize(kw_chat *c, const kw_call *call)
{
    return kw_chat_cased(c, call->self->text, kw_case_upper, kw_case_lower);
}

static uint32_t swapped(uint32_t cp)
{
    return kw_case_lower(cp) != cp ? kw_case_lower(cp) : kw_case_upper(cp);
}

static kw_obj *swapcase(kw_chat *c, const kw_call *call)
{
    return kw_chat_cased(c, call->self->text, swapped, swapped);
}

/* The first of each run of cased characters is upper. */
static kw_obj *title(kw_chat *c, const kw_call *call)
{
    kw_str s = call->self->text;
    kw_buf b = KW_BUF(KW_CHAT_PRINTED, KW_PAY_TEXT);
    bool inside = false;
    for (size_t i = 0, n; i < s.n && kw_chat_spend(c, 1); i += n) {
        uint32_t cp;
        n = kw_utf8_decode(s.p + i, s.n - i, &cp, NULL);
        put_cased(&b, s, i, n, inside ? kw_case_lower : kw_case_upper);
        inside = is_cased(cp);
    }
    return kw_chat_kept(c, &b);
}

typedef bool (*cp_fn)(uint32_t cp);

/* Every character is one, and there is one. */
static kw_obj *all_are(kw_chat *c, const kw_call *call, cp_fn is)
{
    kw_str s = call->self->text;
    bool yes = s.n > 0;
    for (size_t i = 0; i < s.n && yes;) {
        uint32_t cp;
        i += kw_utf8_decode(s.p + i, s.n - i, &cp, NULL);
        yes = is(cp);
    }
    return kw_chat_bool(c, yes);
}

/* There is a cased character, and none of the other case. */
static kw_obj *all_cased(kw_chat *c, const kw_call *call, kw_case_fn change)
{
    kw_str s = call->self->text;
    bool any = false, yes = true;
    for (size_t i = 0; i < s.n && yes;) {
        uint32_t cp;
        i += kw_utf8_decode(s.p + i, s.n - i, &cp, NULL);
        any = any || is_cased(cp);
        yes = change(cp) == cp && !(change == kw_case_upper && kw_case_long_upper(cp));
    }
    return kw_chat_bool(c, any && yes);
}

static bool is_digit(uint32_t cp) { return kw_is_number(cp); }
static bool is_alnum(uint32_t cp) { return kw_is_letter(cp) || kw_is_number(cp); }
static bool is_letter(uint32_t cp) { return kw_is_letter(cp); }
static bool is_ascii(uint32_t cp) { return cp < 128; }

static kw_obj *str_isupper(kw_chat *c, const kw_call *call)
{
    return all_cased(c, call, kw_case_upper);
}
static kw_obj *str_islower(kw_chat *c, const kw_call *call)
{
    return all_cased(c, call, kw_case_lower);
}
static kw_obj *str_isdigit(kw_chat *c, const kw_call *call) { return all_are(c, call, is_digit); }
static kw_obj *str_isalnum(kw_chat *c, const kw_call *call) { return all_are(c, call, is_alnum); }
static kw_obj *str_isalpha(kw_chat *c, const kw_call *call) { return all_are(c, call, is_letter); }
static kw_obj *str_isspace(kw_chat *c, const kw_call *call)
{
    return all_are(c, call, kw_text_is_space);
}

static kw_obj *str_isascii(kw_chat *c, const kw_call *call)
{
    return call->self->text.n ? all_are(c, call, is_ascii) : c->yes;
}

const kw_builtin kw_chat_string_methods_is[] = {
    { "upper", upper, "" },           { "lower", lower, "" },
    { "casefold", lower, "" },        { "capitalize", capitalize, "" },
    { "swapcase", swapcase, "" },     { "title", title, "" },
    { "isupper", str_isupper, "" },   { "islower", str_islower, "" },
    { "isdigit", str_isdigit, "" },   { "isdecimal", str_isdigit, "" },
    { "isnumeric", str_isdigit, "" }, { "isalnum", str_isalnum, "" },
    { "isalpha", str_isalpha, "" },   { "isspace", str_isspace, "" },
    { "isascii", str_isascii, "" },   { NULL, NULL, NULL },
};
