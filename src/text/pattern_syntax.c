/* pattern_syntax.c - a pattern as tokenizer.json has it (Oniguruma's language), written as PCRE2 reads it.
 *
 * The two languages look alike and differ in what they mean: \h is a hexadecimal digit in one and a blank in the other, (?m) lets
 * the dot match newlines, \w, \s and the names between [: :] are other sets of characters, scripts are taken by another
 * property, brackets may hold brackets. Each of these is written out; what has no certain counterpart is refused by name,
 * because a pattern that matches almost the same gives almost the right ids. */
#include "text/pattern.h"
#include <string.h>

typedef struct reader {
    kw_str in;
    size_t at;
    kw_buf *out;
    int sets; /* brackets that are open */
    kw_status status;
} reader;

/* Below U+0100 Oniguruma counts more numbers as parts of words than above. */
#define WORD "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\xB2\\xB3\\xB9\\xBC-\\xBE"
#define IS_WORD "[" WORD "]"

/* Sets by a letter behind a backslash, in lower case; the capital is what lies outside. */
static const struct {
    char letter;
    const char *items;
} letters[] = {
    { 'd', "\\p{Nd}" },
    { 's', "\\p{White_Space}" },
    { 'h', "0-9a-fA-F" },
    { 'w', WORD },
};

/* Sets by name: [:name:] or \p{name}. Names that are not here are general categories of one or two letters, or scripts. */
static const struct {
    const char *name, *items;
} names[] = {
    { "alpha", "\\p{Alphabetic}" },
    { "alphabetic", "\\p{Alphabetic}" },
    { "alnum", "\\p{Alphabetic}\\p{Nd}" },
    { "digit", "\\p{Nd}" },
    { "space", "\\p{White_Space}" },
    { "whitespace", "\\p{White_Space}" },
    { "upper", "\\p{Uppercase}" },
    { "uppercase", "\\p{Uppercase}" },
    { "lower", "\\p{Lowercase}" },
    { "lowercase", "\\p{Lowercase}" },
    { "punct", "\\p{P}\\p{S}" },
    { "cntrl", "\\p{Cc}" },
    { "blank", "\\p{Zs}\\t" },
    { "xdigit", "0-9a-fA-F" },
    { "word", WORD },
    { "any", "\\p{Any}" },
    { "letter", "\\p{L}" },
    { "mark", "\\p{M}" },
    { "number", "\\p{N}" },
    { "punctuation", "\\p{P}" },
    { "symbol", "\\p{S}" },
    { "separator", "\\p{Z}" },
    { "ideographic", "\\p{Ideographic}" },
    { "emoji", "\\p{Emoji}" },
    { "extendedpictographic", "\\p{Extended_Pictographic}" },
};

static int peek(const reader *r, size_t ahead)
{
    return ahead < r->in.n - r->at ? (unsigned char)r->in.p[r->at + ahead] : -1;
}

static void refuse(reader *r, const char *what)
{
    if (r->status) return;
    r->status = kw_fail(KW_EUNSUPPORTED,
                        "%s at byte %zu of the pattern \"%.*s\"\n"
                        "why: its meaning here is not certain, and wrong cuts give wrong ids",
                        what, r->at, (int)(r->in.n < 200 ? r->in.n : 200), r->in.p);
}

static void copy(reader *r, size_t n)
{
    if (n > r->in.n - r->at) n = r->in.n - r->at;
    kw_buf_bytes(r->out, r->in.p + r->at, n);
    r->at += n;
}

/* Some items of a set, inside brackets or with their own. */
static void put_set(reader *r, const char *items, bool is_outside)
{
    bool is_one = strncmp(items, "\\p{", 3) == 0 && strchr(items, '}')[1] == 0;
    if (is_one && is_outside) kw_buf_printf(r->out, "\\P%s", items + 2);
    else if (r->sets && is_outside) refuse(r, "what lies outside of several sets, in brackets");
    else if (r->sets) kw_buf_str(r->out, items);
    else kw_buf_printf(r->out, "[%s%s]", is_outside ? "^" : "", items);
}

static bool is_alpha(int c) { return (c | 32) >= 'a' && (c | 32) <= 'z'; }
static bool is_digit(int c) { return c >= '0' && c <= '9'; }
static bool is_hex(int c) { return is_digit(c) || ((c | 32) >= 'a' && (c | 32) <= 'f'); }

/* A name up to `end`, in lower case without blanks, hyphens and underscores; moves behind `end`. */
static bool read_name(reader *r, const char *end, char name[48])
{
    size_t n = 0, width = strlen(end);
    for (; peek(r, 0) >= 0; r->at++) {
        int c = peek(r, 0);
        if (r->in.n - r->at >= width && memcmp(r->in.p + r->at, end, width) == 0) {
            r->at += width;
            name[n] = 0;
            return n > 0;
        }
        if (c == ' ' || c == '-' || c == '_') continue;
        if ((!is_alpha(c) && c != '&') || n == 47) break;
        name[n++] = (char)(is_alpha(c) ? c | 32 : c);
    }
    refuse(r, "a name of characters that cannot be read");
    return false;
}

static void named_set(reader *r, const char *end, bool is_outside)
{
    char name[48], items[64];
    kw_buf b = KW_BUF(sizeof items, KW_PAY_TEXT);
    if (peek(r, 0) == '^') {
        is_outside = !is_outside;
        r->at++;
    }
    if (!read_name(r, end, name)) return;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i].name) == 0) {
            put_set(r, names[i].items, is_outside);
            return;
        }
    if (*end == ':' || strcmp(name, "graph") == 0 || strcmp(name, "print") == 0) {
        refuse(r, "a set with a name that is not known");
        return;
    }
    kw_buf_printf(&b, strlen(name) > 2 ? "\\p{sc:%s}" : "\\p{%s}", name);
    if (b.status) r->status = b.status;
    else put_set(r, kw_buf_text(&b), is_outside);
    kw_buf_free(&b);
}

/* \uHHHH, \x{H...}, \xHH */
static void number(reader *r)
{
    bool is_u = peek(r, 1) == 'u';
    if (!is_u && peek(r, 2) == '{') {
        while (peek(r, 0) >= 0 && peek(r, 0) != '}') copy(r, 1);
        copy(r, 1);
        return;
    }
    size_t n = is_u ? 4 : 2;
    for (size_t i = 0; i < n; i++)
        if (!is_hex(peek(r, 2 + i))) {
            refuse(r, "a number of too few digits");
            return;
        }
    if (!is_u && peek(r, 2) > '7') {
        refuse(r, "a byte that is no character");
        return;
    }
    kw_buf_printf(r->out, "\\x{%.*s}", (int)n, r->in.p + r->at + 2);
    r->at += 2 + n;
}

/* What means the same in both, outside brackets and inside. */
static bool is_plain_escape(const reader *r, int c)
{
    if (c >= 0 && c < 128 && !is_alpha(c) && !is_digit(c)) return true;
    return c > 0 && strchr(r->sets ? "tnrfaeb" : "tnrfaeAzZRN123456789", c) != NULL;
}

static void escape(reader *r)
{
    int c = peek(r, 1);
    for (size_t i = 0; i < sizeof letters / sizeof *letters; i++)
        if ((c | 32) == letters[i].letter) {
            put_set(r, letters[i].items, c < 'a');
            r->at += 2;
            return;
        }
    if (c == 'x' || c == 'u') number(r);
    else if ((c == 'p' || c == 'P') && peek(r, 2) == '{') {
        r->at += 3;
        named_set(r, "}", c == 'P');
    } else if (c == 'v') {
        kw_buf_str(r->out, "\\x0b");
        r->at += 2;
    } else if (c == 'b' && !r->sets) {
        kw_buf_str(r->out, "(?:(?<=" IS_WORD ")(?!" IS_WORD ")|(?<!" IS_WORD ")(?=" IS_WORD "))");
        r->at += 2;
    } else if (c == 'B' && !r->sets) {
        kw_buf_str(r->out, "(?:(?<=" IS_WORD ")(?=" IS_WORD ")|(?<!" IS_WORD ")(?!" IS_WORD "))");
        r->at += 2;
    } else if (c >= 128) r->at++; /* a character of several bytes stands for itself */
    else if (is_plain_escape(r, c)) copy(r, 2);
    else refuse(r, "an escape");
}

static void in_set(reader *r)
{
    int c = peek(r, 0);
    if (c == '\\') escape(r);
    else if (c == '[' && peek(r, 1) == ':') {
        r->at += 2;
        named_set(r, ":]", false);
    } else if (c == '[') { /* a set among others: its brackets go, where no range spans them */
        if (peek(r, 1) == '^' || peek(r, 1) == ']' || r->in.p[r->at - 1] == '-')
            refuse(r, "brackets within brackets");
        r->sets++;
        r->at++;
    } else if (c == ']') {
        if (r->sets > 1 && peek(r, 1) == '-') refuse(r, "a range that begins with brackets");
        if (--r->sets) r->at++;
        else copy(r, 1);
    } else if (c == '&' && peek(r, 1) == '&') refuse(r, "an intersection of sets");
    else copy(r, 1);
}

/* "{2,5}", "{,5}"; what is no interval is text. */
static void interval(reader *r)
{
    size_t n = 1;
    bool has_comma = false, has_digit = false;
    for (; is_digit(peek(r, n)) || (peek(r, n) == ',' && !has_comma); n++) {
        has_comma = has_comma || peek(r, n) == ',';
        has_digit = has_digit || is_digit(peek(r, n));
    }
    if (peek(r, n) != '}' || !has_digit) {
        kw_buf_str(r->out, "\\{");
        r->at++;
        return;
    }
    if (peek(r, n + 1) == '+' || (peek(r, n + 1) == '?' && !has_comma)) {
        refuse(r, "a repeated interval");
        return;
    }
    kw_buf_str(r->out, peek(r, 1) == ',' ? "{0" : "{");
    r->at++;
    copy(r, n);
}

/* "(?i:" and the like; flags without a colon hold for the rest of a group, which the two cut differently. */
static void flags(reader *r)
{
    size_t start = r->at;
    kw_buf_str(r->out, "(?");
    for (r->at += 2; peek(r, 0) == 'i' || peek(r, 0) == 'm' || peek(r, 0) == '-'; r->at++)
        kw_buf_byte(r->out, (char)(peek(r, 0) == 'm' ? 's' : peek(r, 0)));
    if (peek(r, 0) == ':' || (peek(r, 0) == ')' && start == 0)) copy(r, 1);
    else refuse(r, "a group");
}

static void group(reader *r)
{
    int kind = peek(r, 2);
    if (peek(r, 1) == '*') refuse(r, "a command");
    else if (peek(r, 1) != '?') copy(r, 1);
    else if (kind == ':' || kind == '=' || kind == '!' || kind == '>') copy(r, 3);
    else if (kind == '<' && (peek(r, 3) == '=' || peek(r, 3) == '!')) copy(r, 4);
    else if (kind == '<' && is_alpha(peek(r, 3))) copy(r, 3);
    else flags(r);
}

kw_status kw_pattern_translate(kw_str regex, kw_buf *out)
{
    reader r = { .in = regex, .out = out };
    while (r.at < regex.n && !r.status && !out->status) {
        int c = peek(&r, 0);
        if (r.sets) in_set(&r);
        else if (c == '\\') escape(&r);
        else if (c == '(') group(&r);
        else if (c == '{') interval(&r);
        else if (c == '[') {
            copy(&r, peek(&r, 1) == '^' ? 2 : 1);
            r.sets = 1;
            if (peek(&r, 0) == ']') refuse(&r, "an empty set");
        } else copy(&r, 1);
    }
    if (r.sets) refuse(&r, "brackets that do not end");
    return r.status ? r.status : out->status;
}
