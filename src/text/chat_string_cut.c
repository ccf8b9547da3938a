/* chat_string_cut.c - methods of strings that cut them into lists. */
#include "text/chat.h"
#include <string.h>

typedef struct pieces {
    kw_obj *list;
    size_t cap;
} pieces;

static void add(kw_chat *c, pieces *p, kw_str s)
{
    kw_obj *v = kw_chat_str(c, s);
    size_t n = p->list->list.n;
    if (!kw_chat_spend(c, 1)) return;
    if (n == p->cap) {
        size_t cap = p->cap ? 2 * p->cap : 8;
        kw_obj **more = kw_chat_alloc(c, cap, sizeof *more);
        if (!more) return;
        if (n) memcpy(more, p->list->list.items, n * sizeof *more);
        p->list->list.items = more;
        p->cap = cap;
    }
    p->list->list.items[p->list->list.n++] = v;
}

static kw_str part(kw_str s, size_t from, size_t to) { return (kw_str){ s.p + from, to - from }; }

static pieces none(kw_chat *c) { return (pieces){ .list = kw_chat_list(c, KW_OBJ_LIST, 0) }; }

static kw_obj *flipped(kw_obj *list)
{
    for (size_t i = 0; i < list->list.n / 2; i++) {
        kw_obj *one = list->list.items[i];
        list->list.items[i] = list->list.items[list->list.n - 1 - i];
        list->list.items[list->list.n - 1 - i] = one;
    }
    return list;
}

/* At white space; what is left when `most` cuts are made keeps its inner and its outer end. */
static kw_obj *words(kw_chat *c, kw_str s, int64_t most)
{
    pieces p = none(c);
    s = kw_text_stripped(s, NULL, true, false);
    for (size_t at = 0; at < s.n && !c->status; most--) {
        if (most == 0) {
            add(c, &p, kw_text_stripped(part(s, at, s.n), NULL, false, true));
            break;
        }
        size_t end = at, n = 0;
        uint32_t cp = 0;
        for (; end < s.n; end += n) {
            n = kw_utf8_decode(s.p + end, s.n - end, &cp, NULL);
            if (kw_text_is_space(cp)) break;
        }
        add(c, &p, part(s, at, end));
        kw_str rest = kw_text_stripped(part(s, end, s.n), NULL, true, false);
        at = s.n - rest.n;
    }
    return p.list;
}

static size_t last_space(kw_str s, size_t *len)
{
    for (size_t i = s.n; i > 0;) {
        uint32_t cp;
        size_t n = 1;
        while (n < i && n < 4 && ((unsigned char)s.p[i - n] & 0xc0) == 0x80) n++;
        i -= n;
        kw_utf8_decode(s.p + i, n, &cp, NULL);
        *len = n;
        if (kw_text_is_space(cp)) return i;
    }
    return SIZE_MAX;
}

static kw_obj *words_from_right(kw_chat *c, kw_str s, int64_t most)
{
    pieces p = none(c);
    s = kw_text_stripped(s, NULL, false, true);
    for (; s.n && !c->status; most--) {
        size_t len = 0, at = most == 0 ? SIZE_MAX : last_space(s, &len);
        if (at == SIZE_MAX) {
            add(c, &p, most == 0 ? kw_text_stripped(s, NULL, true, false) : s);
            break;
        }
        add(c, &p, part(s, at + len, s.n));
        s = kw_text_stripped(part(s, 0, at), NULL, false, true);
    }
    return flipped(p.list);
}

static kw_obj *at_gaps(kw_chat *c, kw_str s, kw_str gap, int64_t most)
{
    pieces p = none(c);
    size_t at = 0, hit;
    while (most-- != 0 && !c->status && (hit = kw_text_find(s, gap, at)) != SIZE_MAX) {
        add(c, &p, part(s, at, hit));
        at = hit + gap.n;
    }
    add(c, &p, part(s, at, s.n));
    return p.list;
}

static kw_obj *at_gaps_from_right(kw_chat *c, kw_str s, kw_str gap, int64_t most)
{
    pieces p = none(c);
    size_t hit;
    while (most-- != 0 && !c->status && (hit = kw_text_find_last(s, gap)) != SIZE_MAX) {
        add(c, &p, part(s, hit + gap.n, s.n));
        s.n = hit;
    }
    add(c, &p, s);
    return flipped(p.list);
}

/* NULL in *gap: white space. */
static bool gap_of(kw_chat *c, const kw_obj *v, kw_str *gap)
{
    *gap = (kw_str){ NULL, 0 };
    if (!v || v->type == KW_OBJ_NONE) return true;
    if (v->type != KW_OBJ_STRING)
        kw_chat_wrong(c, "must be str or None, not %s", kw_obj_type_name(v));
    else if (!v->text.n) kw_chat_wrong(c, "empty separator");
    else *gap = v->text;
    return !c->status;
}

static kw_obj *split(kw_chat *c, const kw_call *call)
{
    kw_str gap, s = call->self->text;
    int64_t most = kw_chat_count(c, call, 1, -1);
    if (!gap_of(c, call->args[0], &gap)) return c->undefined;
    return gap.p ? at_gaps(c, s, gap, most) : words(c, s, most);
}

static kw_obj *rsplit(kw_chat *c, const kw_call *call)
{
    kw_str gap, s = call->self->text;
    int64_t most = kw_chat_count(c, call, 1, -1);
    if (!gap_of(c, call->args[0], &gap)) return c->undefined;
    return gap.p ? at_gaps_from_right(c, s, gap, most) : words_from_right(c, s, most);
}

static kw_obj *three(kw_chat *c, kw_str a, kw_str b, kw_str d)
{
    kw_obj *list = kw_chat_list(c, KW_OBJ_TUPLE, 3);
    kw_str parts[3] = { a, b, d };
    for (int i = 0; i < 3 && !c->status; i++) list->list.items[i] = kw_chat_str(c, parts[i]);
    return list;
}

static kw_obj *partition(kw_chat *c, const kw_call *call)
{
    kw_str gap, s = call->self->text, empty = KW_STR("");
    if (!gap_of(c, call->args[0], &gap) || !gap.p)
        return kw_chat_wrong(c, "must be str, not NoneType");
    size_t hit = kw_text_find(s, gap, 0);
    return hit == SIZE_MAX ? three(c, s, empty, empty)
                           : three(c, part(s, 0, hit), gap, part(s, hit + gap.n, s.n));
}

static kw_obj *rpartition(kw_chat *c, const kw_call *call)
{
    kw_str gap, s = call->self->text, empty = KW_STR("");
    if (!gap_of(c, call->args[0], &gap) || !gap.p)
        return kw_chat_wrong(c, "must be str, not NoneType");
    size_t hit = kw_text_find_last(s, gap);
    return hit == SIZE_MAX ? three(c, empty, empty, s)
                           : three(c, part(s, 0, hit), gap, part(s, hit + gap.n, s.n));
}

static bool ends_line(uint32_t cp)
{
    return (cp >= 10 && cp <= 13) || (cp >= 0x1c && cp <= 0x1e) || cp == 0x85 || cp == 0x2028 ||
           cp == 0x2029;
}

kw_obj *kw_chat_lines(kw_chat *c, kw_str s, bool with_ends)
{
    pieces p = none(c);
    for (size_t at = 0; at < s.n && !c->status;) {
        uint32_t cp = 0;
        size_t end = at, n = 0;
        for (; end < s.n; end += n) {
            n = kw_utf8_decode(s.p + end, s.n - end, &cp, NULL);
            if (ends_line(cp)) break;
        }
        size_t next = end < s.n ? end + n : end;
        if (end < s.n && cp == '\r' && next < s.n && s.p[next] == '\n') next++;
        add(c, &p, part(s, at, with_ends ? next : end));
        at = next;
    }
    return p.list;
}

static kw_obj *splitlines(kw_chat *c, const kw_call *call)
{
    return kw_chat_lines(c, call->self->text, kw_chat_flag(call, 0, false));
}

const kw_builtin kw_chat_string_methods_cut[] = {
    { "split", split, "?sep,?maxsplit" },      { "rsplit", rsplit, "?sep,?maxsplit" },
    { "partition", partition, "sep" },         { "rpartition", rpartition, "sep" },
    { "splitlines", splitlines, "?keepends" }, { NULL, NULL, NULL },
};
