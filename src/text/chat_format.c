/* chat_format.c - "%s is %5.2f" % (...) and "{} is {:>8}".format(...). */
#include "text/chat.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct spec {
    kw_str fill; /* one character */
    char align;  /* 0: as the type has it */
    char sign;   /* '-', '+' or ' ' */
    bool alternate, comma;
    int64_t width, precision; /* -1: none */
    char type;                /* 0: none */
} spec;

enum { MOST_DIGITS = 100 };

/* ---- numbers ---- */

/* Writes |d|; the point is a point in every locale. The room is enough: 309 digits before it, MOST_DIGITS behind. */
static void put_real(kw_chat *c, kw_buf *out, double d, const spec *s)
{
    char how[8] = "%", text[512];
    int64_t digits = s->precision < 0 ? 6 : s->precision;
    if (digits > MOST_DIGITS)
        kw_chat_fail(c, KW_ELIMIT, "more than %d digits behind the point", MOST_DIGITS);
    if (c->status) return;
    char type = s->type == '%' ? 'f' : s->type && strchr("eEfFgG", s->type) ? s->type : 'g';
    snprintf(how + 1, sizeof how - 1, "%s.*%c", s->alternate ? "#" : "", type);
    if (s->type == '%') d *= 100;
    int n = 0;
    if (isnan(d) || isinf(d)) {
        bool upper = type < 'a';
        kw_buf_str(out, isnan(d) ? (upper ? "NAN" : "nan") : upper ? "INF" : "inf");
    } else {
        n = snprintf(text, sizeof text, how, (int)digits, fabs(d));
    }
    for (int i = 0; i < n && i < (int)sizeof text - 1; i++) {
        bool keeps = (text[i] >= '0' && text[i] <= '9') || strchr("eE+-", text[i]);
        kw_buf_byte(out, keeps ? text[i] : '.');
    }
    if (s->type == '%') kw_buf_byte(out, '%');
}

static void put_integer(kw_chat *c, kw_buf *out, int64_t v, const spec *s)
{
    uint64_t left = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
    unsigned base = s->type == 'x' || s->type == 'X' ? 16
                    : s->type == 'o'                 ? 8
                    : s->type == 'b'                 ? 2
                                                     : 10;
    const char *digits = s->type == 'X' ? "0123456789ABCDEF" : "0123456789abcdef";
    char text[80];
    size_t at = sizeof text;
    do text[--at] = digits[left % base];
    while (left /= base);
    if (s->precision > MOST_DIGITS)
        kw_chat_fail(c, KW_ELIMIT, "a whole number of more than %d digits", MOST_DIGITS);
    if (s->alternate && base != 10) kw_buf_printf(out, "0%c", s->type);
    for (int64_t i = (int64_t)(sizeof text - at); i < s->precision && !c->status; i++)
        kw_buf_byte(out, '0'); /* "%.3d" */
    kw_buf_bytes(out, text + at, sizeof text - at);
}

/* 1234567.5 as 1,234,567.5 */
static void with_commas(kw_buf *out, const kw_buf *plain)
{
    size_t whole = 0;
    while (whole < plain->len && plain->data[whole] >= '0' && plain->data[whole] <= '9') whole++;
    for (size_t i = 0; i < plain->len; i++) {
        if (i && i < whole && (whole - i) % 3 == 0) kw_buf_byte(out, ',');
        kw_buf_byte(out, plain->data[i]);
    }
}

static void pad(kw_chat *c, kw_buf *out, kw_str fill, int64_t n)
{
    if (n > KW_CHAT_PRINTED)
        kw_chat_fail(c, KW_ELIMIT, "a string of more than %d MB", KW_CHAT_PRINTED >> 20);
    if (n > 0) kw_chat_spend(c, (size_t)n / 64);
    for (int64_t i = 0; i < n && !c->status && !out->status; i++) kw_buf_bytes(out, fill.p, fill.n);
}

/* sign and body in a field of s->width. */
static void put_field(kw_chat *c, kw_buf *out, kw_str sign, kw_str body, const spec *s, char usual)
{
    char align = s->align ? s->align : usual;
    int64_t gap = s->width - (int64_t)kw_text_count(sign) - (int64_t)kw_text_count(body);
    int64_t left = align == '>' ? gap : align == '^' ? gap / 2 : 0;
    if (align != '=') pad(c, out, s->fill, left);
    kw_buf_bytes(out, sign.p, sign.n);
    if (align == '=') pad(c, out, s->fill, gap);
    kw_buf_bytes(out, body.p, body.n);
    if (align != '=') pad(c, out, s->fill, gap - left);
}

static void put_number(kw_chat *c, kw_buf *out, const kw_obj *v, const spec *s)
{
    kw_buf body = KW_BUF(4096, KW_PAY_TEXT), grouped = KW_BUF(4096, KW_PAY_TEXT);
    bool real = strchr("eEfFgG%", s->type) && s->type;
    double d = kw_obj_number(v);
    bool negative =
        real || v->type == KW_OBJ_FLOAT ? signbit(d) && !isnan(d) : kw_obj_integer(v) < 0;
    spec shortest = *s;
    if (real || (v->type == KW_OBJ_FLOAT && s->precision >= 0)) put_real(c, &body, d, &shortest);
    else if (v->type == KW_OBJ_FLOAT) kw_chat_put_real(&body, fabs(d));
    else put_integer(c, &body, kw_obj_integer(v), s);
    if (s->comma) with_commas(&grouped, &body);
    const kw_buf *b = s->comma ? &grouped : &body;
    kw_str sign = negative         ? KW_STR("-")
                  : s->sign == '+' ? KW_STR("+")
                  : s->sign == ' ' ? KW_STR(" ")
                                   : KW_STR("");
    put_field(c, out, sign, (kw_str){ b->data, b->len }, s, '>');
    kw_buf_free(&body);
    kw_buf_free(&grouped);
}

static void put_text(kw_chat *c, kw_buf *out, kw_str text, const spec *s, char usual)
{
    if (!kw_chat_walk(c, text)) return;
    if (s->precision >= 0) text.n = kw_text_offset(text, (size_t)s->precision);
    put_field(c, out, KW_STR(""), text, s, usual);
}

static kw_obj *repr_of(kw_chat *c, const kw_obj *v)
{
    kw_buf b = KW_BUF(KW_CHAT_PRINTED, KW_PAY_TEXT);
    kw_chat_repr(c, v, &b);
    return kw_chat_kept(c, &b);
}

/* ---- "%..." ---- */

typedef struct percents {
    kw_str s;
    size_t at;
    kw_obj *args;
    size_t used, n; /* of args, when it is a tuple or stands for one */
    bool by_name;
} percents;

static char peek(const percents *p) { return p->at < p->s.n ? p->s.p[p->at] : 0; }

static int64_t digits(kw_str s, size_t *at)
{
    int64_t n = 0;
    while (*at < s.n && s.p[*at] >= '0' && s.p[*at] <= '9' && n < (1 << 30))
        n = n * 10 + (s.p[(*at)++] - '0');
    return n;
}

static kw_obj *next_arg(kw_chat *c, percents *p)
{
    if (p->used >= p->n) return kw_chat_wrong(c, "not enough arguments for format string");
    p->used++;
    return p->args->type == KW_OBJ_TUPLE ? p->args->list.items[p->used - 1] : p->args;
}

static int64_t size_of(kw_chat *c, percents *p)
{
    if (peek(p) != '*') return digits(p->s, &p->at);
    p->at++;
    kw_obj *v = next_arg(c, p);
    if (!kw_obj_is_integer(v)) kw_chat_wrong(c, "* wants int");
    return c->status ? 0 : kw_obj_integer(v);
}

/* "(name)" */
static kw_obj *named_arg(kw_chat *c, percents *p)
{
    size_t from = ++p->at;
    while (p->at < p->s.n && p->s.p[p->at] != ')') p->at++;
    kw_str name = { p->s.p + from, p->at - from };
    if (p->at < p->s.n) p->at++;
    if (p->args->type == KW_OBJ_LIST)
        return kw_chat_wrong(c, "list indices must be integers or slices, not str");
    if (p->args->type != KW_OBJ_DICT) return kw_chat_wrong(c, "format requires a mapping");
    if (!kw_chat_spend(c, p->args->dict.n / 16)) return c->undefined;
    kw_obj *v = kw_dict_named(p->args, name);
    p->by_name = true;
    return v ? v : kw_chat_wrong(c, "'%.*s'", (int)name.n, name.p);
}

static kw_obj *character_of(kw_chat *c, int64_t cp)
{
    char text[4];
    if (cp < 0 || cp > 0x10ffff) return kw_chat_wrong(c, "%%c arg not in range(0x110000)");
    kw_buf b = KW_BUF(sizeof text, KW_PAY_TEXT);
    kw_buf_bytes(&b, text, kw_utf8_encode((uint32_t)cp, text));
    return kw_chat_kept(c, &b);
}

static void put_percent(kw_chat *c, kw_buf *out, kw_obj *v, spec s)
{
    if (s.type == 's' || s.type == 'r' || s.type == 'a') {
        put_text(c, out, s.type == 's' ? kw_chat_text(c, v) : kw_chat_text(c, repr_of(c, v)), &s,
                 '>');
        return;
    }
    if (s.type == 'c' && kw_obj_is_integer(v)) v = character_of(c, kw_obj_integer(v));
    if (s.type == 'c' && v->type == KW_OBJ_STRING && kw_text_count(v->text) == 1) {
        put_text(c, out, v->text, &s, '>');
        return;
    }
    bool whole = strchr("diuxXo", s.type), real = strchr("eEfFgG", s.type);
    if (s.type == 'c') {
        kw_chat_wrong(c, "%%c requires int or char");
        return;
    }
    if (!whole && !real) {
        kw_chat_wrong(c, "unsupported format character '%c'", s.type);
        return;
    }
    if (!kw_obj_is_number(v)) {
        const char *wanted = strchr("xXo", s.type) ? "an integer" : "a real number";
        if (whole)
            kw_chat_wrong(c, "%%%c format: %s is required, not %s", s.type, wanted,
                          kw_obj_type_name(v));
        else kw_chat_wrong(c, "must be real number, not %s", kw_obj_type_name(v));
        return;
    }
    bool is_cut = whole && v->type == KW_OBJ_FLOAT, fits = fabs(kw_obj_number(v)) < 9.2e18;
    if (is_cut && !fits) kw_chat_fail(c, KW_ELIMIT, "a whole number of more than 64 bits");
    if (c->status) return;
    kw_obj cut = { .type = KW_OBJ_INT, .integer = is_cut ? (int64_t)v->number : 0 };
    if (s.type == 'i' || s.type == 'u') s.type = 'd';
    put_number(c, out, is_cut ? &cut : v, &s);
}

static void one_percent(kw_chat *c, percents *p, kw_buf *out)
{
    spec s = { .fill = KW_STR(" "), .precision = -1 };
    kw_obj *v = NULL;
    bool zeros = false;
    if (peek(p) == '(') v = named_arg(c, p);
    for (; peek(p) && strchr("-+ #0", peek(p)); p->at++) {
        if (peek(p) == '-') s.align = '<';
        else if (peek(p) == '#') s.alternate = true;
        else if (peek(p) == '0') zeros = true;
        else if (s.sign != '+') s.sign = peek(p);
    }
    s.width = size_of(c, p);
    if (s.width < 0) s.align = '<';
    if (s.width < 0) s.width = s.width < -KW_CHAT_PRINTED ? KW_CHAT_PRINTED : -s.width;
    if (peek(p) == '.') {
        p->at++;
        s.precision = size_of(c, p);
        if (s.precision < 0) s.precision = 0;
    }
    while (peek(p) && strchr("hlL", peek(p))) p->at++;
    s.type = peek(p);
    if (!s.type) kw_chat_wrong(c, "incomplete format");
    p->at++;
    if (s.type == '%') {
        kw_buf_byte(out, '%');
        return;
    }
    if (zeros && !s.align && !strchr("srac", s.type)) {
        s.align = '=';
        s.fill = KW_STR("0");
    }
    if (!v && !c->status) v = next_arg(c, p);
    if (!c->status) put_percent(c, out, v, s);
}

kw_obj *kw_chat_percent(kw_chat *c, kw_str format, kw_obj *args)
{
    kw_buf b = KW_BUF(KW_CHAT_PRINTED, KW_PAY_TEXT);
    percents p = { .s = format, .args = args, .n = args->type == KW_OBJ_TUPLE ? args->list.n : 1 };
    while (p.at < format.n && kw_chat_spend(c, 1)) {
        if (format.p[p.at] != '%') {
            kw_buf_byte(&b, format.p[p.at++]);
            continue;
        }
        p.at++;
        one_percent(c, &p, &b);
    }
    bool mapping = args->type == KW_OBJ_DICT || args->type == KW_OBJ_LIST || kw_obj_is_list(args);
    if (!p.by_name && p.used < p.n && (args->type == KW_OBJ_TUPLE || !mapping))
        kw_chat_wrong(c, "not all arguments converted during string formatting");
    return kw_chat_kept(c, &b);
}

/* ---- "{...}" ---- */

typedef struct braces {
    kw_str s;
    size_t at;
    const kw_call *call;
    int64_t next;  /* position of the next {} ; -1: positions were given */
    bool is_inner; /* in the format of a field: no more inside */
} braces;

static kw_obj *path_step(kw_chat *c, kw_obj *v, kw_str path, size_t *at)
{
    bool is_item = path.p[*at] == '[';
    size_t from = ++*at;
    while (*at < path.n &&
           (is_item ? path.p[*at] != ']' : path.p[*at] != '.' && path.p[*at] != '['))
        ++*at;
    kw_str name = { path.p + from, *at - from };
    int64_t i;
    if (is_item && *at < path.n) ++*at;
    if (!is_item) return kw_chat_attr(c, v, name);
    return kw_chat_item(c, v, kw_str_i64(name, &i) ? kw_chat_int(c, i) : kw_chat_str(c, name));
}

static kw_obj *field_value(kw_chat *c, braces *b, kw_str path)
{
    size_t n = 0;
    int64_t i = -1;
    kw_obj *v = NULL;
    while (n < path.n && path.p[n] != '.' && path.p[n] != '[') n++;
    kw_str name = { path.p, n };
    if (!n) i = b->next++;
    else if (!kw_str_i64(name, &i)) i = -1;
    if (i >= 0 && (uint64_t)i < b->call->n) v = b->call->args[i];
    if (!kw_chat_spend(c, b->call->n_named / 16)) return c->undefined;
    for (size_t k = 0; i < 0 && k < b->call->n_named; k++)
        if (kw_str_eq(b->call->named[k].key->text, name)) v = b->call->named[k].value;
    if (!v && i >= 0)
        return kw_chat_wrong(c, "Replacement index %lld out of range for positional args tuple",
                             (long long)i);
    if (!v) return kw_chat_wrong(c, "'%.*s'", (int)name.n, name.p);
    while (n < path.n && !c->status) v = path_step(c, v, path, &n);
    return v;
}

/* [[fill]align][sign][#][0][width][,][.precision][type] */
static spec spec_of(kw_chat *c, kw_str t)
{
    spec s = { .fill = KW_STR(" "), .precision = -1 };
    size_t at = 0, first = t.n ? kw_text_offset(t, 1) : 0;
    if (first < t.n && strchr("<>^=", t.p[first])) {
        s.fill = (kw_str){ t.p, first };
        s.align = t.p[first];
        at = first + 1;
    } else if (t.n && strchr("<>^=", t.p[0])) {
        s.align = t.p[at++];
    }
    if (at < t.n && strchr("+- ", t.p[at])) s.sign = t.p[at++];
    if (at < t.n && t.p[at] == '#') s.alternate = t.p[at++];
    if (at < t.n && t.p[at] == '0' && !s.align) {
        s.fill = KW_STR("0");
        s.align = '=';
    }
    s.width = digits(t, &at);
    if (at < t.n && t.p[at] == ',') s.comma = t.p[at++];
    if (at < t.n && t.p[at] == '.') {
        at++;
        s.precision = digits(t, &at);
    }
    if (at < t.n) s.type = t.p[at++];
    if (at < t.n) kw_chat_wrong(c, "Invalid format specifier '%.*s'", (int)t.n, t.p);
    return s;
}

static void put_formatted(kw_chat *c, kw_buf *out, kw_obj *v, kw_str how)
{
    spec s = spec_of(c, how);
    bool number = kw_obj_is_number(v) && (v->type != KW_OBJ_BOOL || s.type);
    if (s.type == 'n' && number)
        s.type = v->type == KW_OBJ_FLOAT ? 'g' : 'd'; /* as in C's locale */
    if (number && v->type != KW_OBJ_FLOAT && s.precision >= 0 &&
        (!s.type || !strchr("eEfFgG%", s.type)))
        kw_chat_wrong(c, "Precision not allowed in integer format specifier");
    bool fits = number ? !s.type || strchr("bdoxXeEfFgG%", s.type) : !s.type || s.type == 's';
    if (number && v->type == KW_OBJ_FLOAT && s.type && strchr("bdoxX", s.type)) fits = false;
    if (!fits && !c->status)
        kw_chat_wrong(c, "Unknown format code '%c' for object of type '%s'", s.type,
                      kw_obj_type_name(v));
    if (how.n && !number && v->type != KW_OBJ_STRING && v->type != KW_OBJ_BOOL)
        kw_chat_wrong(c, "unsupported format string passed to %s.__format__", kw_obj_type_name(v));
    if (c->status) return;
    if (number) put_number(c, out, v, &s);
    else put_text(c, out, kw_chat_text(c, v), &s, '<');
}

static void one_field(kw_chat *c, braces *b, kw_buf *out);

/* A field's format, with the fields in it filled in. */
static kw_str filled(kw_chat *c, braces *b, kw_str how)
{
    braces inner = { .s = how, .call = b->call, .next = b->next, .is_inner = true };
    kw_buf t = KW_BUF(256, KW_PAY_TEXT);
    if (b->is_inner) kw_chat_wrong(c, "Max string recursion exceeded");
    while (inner.at < how.n && kw_chat_spend(c, 1)) {
        if (how.p[inner.at++] == '{') one_field(c, &inner, &t);
        else kw_buf_byte(&t, how.p[inner.at - 1]);
    }
    b->next = inner.next;
    return kw_chat_text(c, kw_chat_kept(c, &t));
}

/* From behind "{" to behind "}". */
static void one_field(kw_chat *c, braces *b, kw_buf *out)
{
    size_t from = b->at, depth = 1, end = b->at, colon;
    for (; end < b->s.n && depth; end++)
        depth += (b->s.p[end] == '{') - (size_t)(b->s.p[end] == '}');
    if (depth) {
        kw_chat_wrong(c, "expected '}' before end of string");
        return;
    }
    kw_str field = { b->s.p + from, end - 1 - from };
    b->at = end;
    for (colon = 0; colon < field.n && field.p[colon] != ':' && field.p[colon] != '!';) colon++;
    kw_obj *v = field_value(c, b, (kw_str){ field.p, colon });
    if (colon + 1 < field.n && field.p[colon] == '!') {
        v = field.p[colon + 1] == 's' ? kw_chat_str(c, kw_chat_text(c, v)) : repr_of(c, v);
        colon += 2;
    }
    kw_str how =
        colon < field.n ? (kw_str){ field.p + colon + 1, field.n - colon - 1 } : KW_STR("");
    if (!kw_chat_walk(c, field)) return;
    if (kw_text_find(how, KW_STR("{"), 0) != SIZE_MAX) how = filled(c, b, how);
    if (!c->status) put_formatted(c, out, v, how);
}

kw_obj *kw_chat_format(kw_chat *c, const kw_call *call)
{
    kw_buf out = KW_BUF(KW_CHAT_PRINTED, KW_PAY_TEXT);
    braces b = { .s = call->self->text, .call = call };
    while (b.at < b.s.n && kw_chat_spend(c, 1)) {
        char ch = b.s.p[b.at++];
        bool twice = b.at < b.s.n && b.s.p[b.at] == ch;
        if ((ch == '{' || ch == '}') && twice) b.at++;
        else if (ch == '}') kw_chat_wrong(c, "Single '}' encountered in format string");
        if (ch == '{' && !twice) one_field(c, &b, &out);
        else kw_buf_byte(&out, ch);
    }
    return kw_chat_kept(c, &out);
}
