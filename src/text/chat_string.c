/* chat_string.c - methods of strings that give strings or places, and what filters share with them. */
#include "text/chat.h"
#include <string.h>

bool kw_chat_walk(kw_chat *c, kw_str s) { return kw_chat_spend(c, s.n / 64); }

static size_t find_short(kw_str s, kw_str part, size_t from)
{
    for (size_t i = from; i + part.n <= s.n; i++)
        if (!part.n || (s.p[i] == part.p[0] && !memcmp(s.p + i, part.p, part.n))) return i;
    return SIZE_MAX;
}

static unsigned char byte_at(kw_str s, size_t i, bool backwards)
{
    return (unsigned char)s.p[backwards ? s.n - 1 - i : i];
}

/* By a hash that rolls along, so that "aaa...ab" in "aaa..." takes no square of their lengths. */
static size_t find_long(kw_str s, kw_str part, size_t from, bool backwards)
{
    const uint64_t prime = 4294967291, base = 263;
    uint64_t want = 0, have = 0, top = 1;
    if (part.n > s.n || from > s.n - part.n) return SIZE_MAX;
    for (size_t i = 0; i < part.n; i++) {
        want = (want * base + byte_at(part, i, backwards)) % prime;
        have = (have * base + byte_at(s, from + i, backwards)) % prime;
        if (i) top = top * base % prime;
    }
    for (size_t i = from;; i++) {
        size_t at = backwards ? s.n - part.n - i : i;
        if (have == want && !memcmp(s.p + at, part.p, part.n)) return at;
        if (i + part.n >= s.n) return SIZE_MAX;
        have = (have + prime - byte_at(s, i, backwards) * top % prime) % prime;
        have = (have * base + byte_at(s, i + part.n, backwards)) % prime;
    }
}

size_t kw_text_find_last(kw_str s, kw_str part)
{
    if (part.n >= 32) return find_long(s, part, 0, true);
    for (size_t i = s.n >= part.n ? s.n - part.n + 1 : 0; i > 0; i--)
        if (!part.n || (s.p[i - 1] == part.p[0] && !memcmp(s.p + i - 1, part.p, part.n)))
            return i - 1;
    return SIZE_MAX;
}

size_t kw_text_find(kw_str s, kw_str part, size_t from)
{
    return part.n < 32 ? find_short(s, part, from) : find_long(s, part, from, false);
}

bool kw_text_is_space(uint32_t cp)
{
    return cp == ' ' || (cp >= 9 && cp <= 13) || (cp >= 0x1c && cp <= 0x1f) || cp == 0x85 ||
           cp == 0xa0 || cp == 0x1680 || (cp >= 0x2000 && cp <= 0x200a) || cp == 0x2028 ||
           cp == 0x2029 || cp == 0x202f || cp == 0x205f || cp == 0x3000;
}

static bool strips(kw_str one, const kw_str *chars)
{
    uint32_t cp;
    kw_utf8_decode(one.p, one.n, &cp, NULL);
    return chars ? kw_text_find(*chars, one, 0) != SIZE_MAX : kw_text_is_space(cp);
}

kw_str kw_text_stripped(kw_str s, const kw_str *chars, bool left, bool right)
{
    while (left && s.n) {
        uint32_t cp;
        size_t n = kw_utf8_decode(s.p, s.n, &cp, NULL);
        if (!strips((kw_str){ s.p, n }, chars)) break;
        s = (kw_str){ s.p + n, s.n - n };
    }
    while (right && s.n) {
        size_t n = 1;
        while (n < s.n && n < 4 && ((unsigned char)s.p[s.n - n] & 0xc0) == 0x80) n++;
        if (!strips((kw_str){ s.p + s.n - n, n }, chars)) break;
        s.n -= n;
    }
    return s;
}

/* Each character of s may be looked for in all of chars. */
kw_obj *kw_chat_stripped(kw_chat *c, kw_str s, const kw_str *chars, bool left, bool right)
{
    size_t looks = 0;
    if (chars && !kw_mul_size(s.n, chars->n, &looks)) looks = SIZE_MAX;
    if (!kw_chat_spend(c, looks / 64)) return c->undefined;
    return kw_chat_str(c, kw_text_stripped(s, chars, left, right));
}

/* `from` repeated is looked for; an empty one stands before each character and at the end, as in Python. */
kw_obj *kw_chat_replaced(kw_chat *c, kw_str s, kw_str old, kw_str new, int64_t most)
{
    kw_buf b = KW_BUF(KW_CHAT_PRINTED, KW_PAY_TEXT);
    size_t at = 0;
    if (!kw_chat_walk(c, s)) return c->undefined;
    for (; most != 0 && at <= s.n && !b.status && kw_chat_spend(c, 1); most--) {
        size_t hit = kw_text_find(s, old, at), step = 0;
        if (hit == SIZE_MAX) break;
        kw_buf_bytes(&b, s.p + at, hit - at);
        kw_buf_bytes(&b, new.p, new.n);
        at = hit + old.n;
        if (old.n) continue;
        if (at == s.n) break;
        uint32_t cp;
        step = kw_utf8_decode(s.p + at, s.n - at, &cp, NULL);
        kw_buf_bytes(&b, s.p + at, step);
        at += step;
    }
    if (at < s.n && !c->status) kw_buf_bytes(&b, s.p + at, s.n - at);
    return kw_chat_kept(c, &b);
}

/* align: '<', '>' or '^' (the odd one out goes as Python's str.center puts it). */
kw_obj *kw_chat_padded(kw_chat *c, kw_str s, int64_t width, char align, kw_str fill)
{
    int64_t gap = width - (int64_t)kw_text_count(s);
    if (c->status || gap <= 0) return kw_chat_str(c, s);
    if (gap > KW_CHAT_PRINTED)
        kw_chat_fail(c, KW_ELIMIT, "a string of more than %d MB", KW_CHAT_PRINTED >> 20);
    int64_t left = align == '<' ? 0 : align == '>' ? gap : gap / 2 + (gap & width & 1);
    kw_buf b = KW_BUF(KW_CHAT_PRINTED, KW_PAY_TEXT);
    for (int64_t i = 0; i < gap && !c->status && !b.status; i++) {
        if (i == left) kw_buf_bytes(&b, s.p, s.n);
        kw_buf_bytes(&b, fill.p, fill.n);
    }
    if (left == gap) kw_buf_bytes(&b, s.p, s.n);
    return kw_chat_kept(c, &b);
}

/* ---- arguments ---- */

static bool is_text(kw_chat *c, const kw_obj *v)
{
    if (v->type != KW_OBJ_STRING) kw_chat_wrong(c, "expected a str, got %s", kw_obj_type_name(v));
    return !c->status;
}

static kw_obj *strip(kw_chat *c, const kw_call *call, bool left, bool right)
{
    const kw_obj *chars = call->args[0];
    if (!chars || chars->type == KW_OBJ_NONE)
        return kw_chat_stripped(c, call->self->text, NULL, left, right);
    if (!is_text(c, chars)) return c->undefined;
    return kw_chat_stripped(c, call->self->text, &chars->text, left, right);
}

static kw_obj *strip_both(kw_chat *c, const kw_call *call) { return strip(c, call, true, true); }
static kw_obj *lstrip(kw_chat *c, const kw_call *call) { return strip(c, call, true, false); }
static kw_obj *rstrip(kw_chat *c, const kw_call *call) { return strip(c, call, false, true); }

static bool begins(kw_str s, kw_str part)
{
    return s.n >= part.n && (!part.n || !memcmp(s.p, part.p, part.n));
}

static bool ends(kw_str s, kw_str part)
{
    return s.n >= part.n && (!part.n || !memcmp(s.p + s.n - part.n, part.p, part.n));
}

/* One string, or any of a tuple. */
static kw_obj *any_of(kw_chat *c, const kw_call *call, bool (*is)(kw_str s, kw_str part))
{
    kw_obj *v = call->args[0], *one[1] = { v };
    bool is_tuple = v->type == KW_OBJ_TUPLE, hit = false;
    kw_obj **items = is_tuple ? v->list.items : one;
    for (size_t i = 0; i < (is_tuple ? v->list.n : 1) && !hit && kw_chat_spend(c, 1); i++)
        hit = is_text(c, items[i]) && kw_chat_walk(c, items[i]->text) &&
              is(call->self->text, items[i]->text);
    return kw_chat_bool(c, hit);
}

static kw_obj *startswith(kw_chat *c, const kw_call *call) { return any_of(c, call, begins); }
static kw_obj *endswith(kw_chat *c, const kw_call *call) { return any_of(c, call, ends); }

static kw_obj *removeprefix(kw_chat *c, const kw_call *call)
{
    kw_str s = call->self->text;
    if (!is_text(c, call->args[0])) return c->undefined;
    size_t n = begins(s, call->args[0]->text) ? call->args[0]->text.n : 0;
    return kw_chat_str(c, (kw_str){ s.p + n, s.n - n });
}

static kw_obj *removesuffix(kw_chat *c, const kw_call *call)
{
    kw_str s = call->self->text;
    if (!is_text(c, call->args[0])) return c->undefined;
    return kw_chat_str(c, (kw_str){ s.p, s.n - (ends(s, call->args[0]->text) ? call->args[0]->text.n
                                                                             : 0) });
}

static kw_obj *replace(kw_chat *c, const kw_call *call)
{
    if (!is_text(c, call->args[0]) || !is_text(c, call->args[1])) return c->undefined;
    int64_t most = kw_chat_count(c, call, 2, -1);
    return kw_chat_replaced(c, call->self->text, call->args[0]->text, call->args[1]->text, most);
}

/* ---- places ---- */

/* self[start:end], and how many characters stand before it. */
static kw_str part_of(kw_chat *c, const kw_call *call, int64_t *before)
{
    kw_obj *bounds[3] = { call->args[1] ? call->args[1] : c->none,
                          call->args[2] ? call->args[2] : c->none, c->none };
    kw_obj *part = kw_chat_slice(c, call->self, bounds);
    *before = 0;
    if (c->status || part->text.n == 0) return KW_STR("");
    *before = (int64_t)kw_text_count(
        (kw_str){ call->self->text.p, (size_t)(part->text.p - call->self->text.p) });
    return part->text;
}

static int64_t place(kw_chat *c, const kw_call *call, bool from_right)
{
    int64_t before;
    if (!is_text(c, call->args[0])) return -1;
    kw_str s = part_of(c, call, &before), part = call->args[0]->text;
    size_t hit = from_right ? kw_text_find_last(s, part) : kw_text_find(s, part, 0);
    if (hit == SIZE_MAX) return -1;
    return before + (int64_t)kw_text_count((kw_str){ s.p, hit });
}

static kw_obj *find(kw_chat *c, const kw_call *call)
{
    return kw_chat_int(c, place(c, call, false));
}
static kw_obj *rfind(kw_chat *c, const kw_call *call)
{
    return kw_chat_int(c, place(c, call, true));
}

static kw_obj *index_at(kw_chat *c, int64_t at)
{
    return at < 0 ? kw_chat_wrong(c, "substring not found") : kw_chat_int(c, at);
}

static kw_obj *index_of(kw_chat *c, const kw_call *call)
{
    return index_at(c, place(c, call, false));
}
static kw_obj *rindex(kw_chat *c, const kw_call *call) { return index_at(c, place(c, call, true)); }

static kw_obj *count(kw_chat *c, const kw_call *call)
{
    int64_t before, n = 0;
    if (!is_text(c, call->args[0])) return c->undefined;
    kw_str s = part_of(c, call, &before), part = call->args[0]->text;
    if (!part.n) return kw_chat_int(c, (int64_t)kw_text_count(s) + 1);
    for (size_t at = 0; (at = kw_text_find(s, part, at)) != SIZE_MAX && kw_chat_spend(c, 1);
         at += part.n)
        n++;
    return kw_chat_int(c, n);
}

/* ---- widths ---- */

static kw_obj *padded(kw_chat *c, const kw_call *call, char align)
{
    kw_str fill = kw_chat_string(c, call, 1, " ");
    if (kw_text_count(fill) != 1)
        return kw_chat_wrong(c, "The fill character must be exactly one character long");
    return kw_chat_padded(c, call->self->text, kw_chat_count(c, call, 0, 0), align, fill);
}

static kw_obj *center(kw_chat *c, const kw_call *call) { return padded(c, call, '^'); }
static kw_obj *ljust(kw_chat *c, const kw_call *call) { return padded(c, call, '<'); }
static kw_obj *rjust(kw_chat *c, const kw_call *call) { return padded(c, call, '>'); }

static kw_obj *zfill(kw_chat *c, const kw_call *call)
{
    kw_str s = call->self->text;
    bool has_sign = s.n && (s.p[0] == '-' || s.p[0] == '+');
    kw_str sign = { s.p, has_sign }, rest = { s.p + has_sign, s.n - has_sign };
    int64_t width = kw_chat_count(c, call, 0, 0) - has_sign;
    kw_obj *digits = kw_chat_padded(c, rest, width, '>', KW_STR("0"));
    return c->status ? c->undefined : kw_chat_joined(c, sign, digits->text);
}

static kw_obj *join(kw_chat *c, const kw_call *call)
{
    const kw_obj *list = kw_chat_iterate(c, call->args[0]);
    kw_buf b = KW_BUF(KW_CHAT_PRINTED, KW_PAY_TEXT);
    for (size_t i = 0; i < list->list.n && kw_chat_spend(c, 1); i++) {
        const kw_obj *v = list->list.items[i];
        if (v->type != KW_OBJ_STRING)
            kw_chat_wrong(c, "sequence item %zu: expected str instance, %s found", i,
                          kw_obj_type_name(v));
        if (c->status) break;
        if (i) kw_buf_bytes(&b, call->self->text.p, call->self->text.n);
        kw_buf_bytes(&b, v->text.p, v->text.n);
    }
    return kw_chat_kept(c, &b);
}

const kw_builtin kw_chat_string_methods[] = {
    { "strip", strip_both, "?chars" },
    { "lstrip", lstrip, "?chars" },
    { "rstrip", rstrip, "?chars" },
    { "startswith", startswith, "prefix" },
    { "endswith", endswith, "suffix" },
    { "removeprefix", removeprefix, "prefix" },
    { "removesuffix", removesuffix, "suffix" },
    { "replace", replace, "old,new,?count" },
    { "find", find, "sub,?start,?end" },
    { "rfind", rfind, "sub,?start,?end" },
    { "index", index_of, "sub,?start,?end" },
    { "rindex", rindex, "sub,?start,?end" },
    { "count", count, "sub,?start,?end" },
    { "center", center, "width,?fillchar" },
    { "ljust", ljust, "width,?fillchar" },
    { "rjust", rjust, "width,?fillchar" },
    { "zfill", zfill, "width" },
    { "join", join, "iterable" },
    { "format", kw_chat_format, "*" },
    { NULL, NULL, NULL },
};
