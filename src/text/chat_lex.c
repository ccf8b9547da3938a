/* chat_lex.c - cuts a template into tokens, with Jinja's rules for the white space around tags.
 *
 * trim_blocks: the newline right behind a {% %} or {# #} goes. lstrip_blocks: spaces between the start of a line and
 * one of these go. A dash in a tag takes all white space on its side, a plus keeps it. Inside brackets "}}" and "%}" end
 * nothing. {% raw %} is text up to {% endraw %}. */
#include "text/chat.h"
#include <string.h>

typedef struct lexer {
    kw_chat *c;
    kw_str s;
    size_t at, cap;
    int line, brackets;
    bool line_starts; /* nothing stands before `at` on its line but what a tag took */
} lexer;

static bool is_space(char ch) { return ch == ' ' || (ch >= 9 && ch <= 13); }

static bool is_digit(char ch) { return ch >= '0' && ch <= '9'; }

static bool is_word(char ch)
{
    return ch == '_' || is_digit(ch) || ((ch | 32) >= 'a' && (ch | 32) <= 'z') || (ch & 0x80);
}

static void push(lexer *l, kw_tok_kind kind, kw_str text)
{
    kw_chat *c = l->c;
    if (c->status) return;
    if (c->n_toks == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 256;
        kw_tok *bigger = kw_realloc(c->toks, cap * sizeof *bigger, KW_PAY_TEXT);
        if (!bigger) {
            c->status = KW_ENOMEM;
            return;
        }
        c->toks = bigger;
        l->cap = cap;
    }
    c->toks[c->n_toks++] = (kw_tok){ kind, l->line, text };
}

static char peek(const lexer *l, size_t ahead)
{
    return l->at + ahead < l->s.n ? l->s.p[l->at + ahead] : 0;
}

static void advance(lexer *l, size_t to)
{
    for (; l->at < to; l->at++) l->line += l->s.p[l->at] == '\n';
}

/* ---- text between tags ---- */

/* The next "{{", "{%" or "{#", or the end. */
static size_t find_tag(const lexer *l)
{
    for (size_t i = l->at; i + 1 < l->s.n; i++)
        if (l->s.p[i] == '{' && strchr("{%#", l->s.p[i + 1]) && l->s.p[i + 1]) return i;
    return l->s.n;
}

/* s[at..end) with what the tag behind it takes removed. */
static void lex_text(lexer *l, size_t end, char sign, bool is_variable)
{
    size_t from = l->at, to = end, line = end;
    while (line > from && l->s.p[line - 1] != '\n') line--;
    if (sign == '-') {
        while (to > from && is_space(l->s.p[to - 1])) to--;
    } else if (sign != '+' && !is_variable && (line > from || l->line_starts)) {
        size_t i = line;
        while (i < end && is_space(l->s.p[i])) i++;
        if (i == end) to = line;
    }
    if (to > from) push(l, KW_TOK_TEXT, (kw_str){ l->s.p + from, to - from });
    advance(l, end);
}

/* From a tag's closing bytes, `n` of them, to behind what they take. */
static void close_tag(lexer *l, size_t n, char sign, bool trims)
{
    size_t to = l->at + n;
    if (sign == '-')
        while (to < l->s.n && is_space(l->s.p[to])) to++;
    else if (trims && sign != '+' && to < l->s.n && l->s.p[to] == '\n') to++;
    advance(l, to);
    l->line_starts = l->s.p[to - 1] == '\n';
}

/* ---- inside tags ---- */

static uint32_t digits_of(lexer *l, int most, uint32_t base)
{
    uint32_t v = 0;
    for (int i = 0; i < most; i++, l->at++) {
        char ch = peek(l, 0), low = (char)(ch | 32);
        uint32_t d = is_digit(ch)               ? (uint32_t)(ch - '0')
                     : low >= 'a' && low <= 'f' ? (uint32_t)(low - 'a' + 10)
                                                : 99;
        if (d >= base) break;
        v = v * base + d;
    }
    return v;
}

/* Behind a backslash: the character meant is appended to text. */
static size_t lex_escape(lexer *l, char *text)
{
    static const char known[] = "n\nt\tr\rb\bf\fv\va\a\\\\''\"\"";
    char ch = peek(l, 0);
    if (ch >= '0' && ch <= '7') return kw_utf8_encode(digits_of(l, 3, 8), text);
    l->at++;
    if (ch == '\n') return 0;
    if (ch == 'x') return kw_utf8_encode(digits_of(l, 2, 16), text);
    if (ch == 'u' || ch == 'U') {
        uint32_t cp = digits_of(l, ch == 'u' ? 4 : 8, 16);
        bool is_bad = cp > 0x10ffff || (cp >= 0xd800 && cp < 0xe000);
        return kw_utf8_encode(is_bad ? KW_UTF8_BAD : cp, text);
    }
    const char *hit = known;
    while (*hit && *hit != ch) hit += 2;
    text[0] = *hit ? hit[1] : '\\';
    text[1] = ch;
    return *hit ? 1 : 2;
}

static void lex_string(lexer *l)
{
    size_t end = l->at + 1, n = 0, start = l->at;
    char quote = l->s.p[l->at];
    while (end < l->s.n && l->s.p[end] != quote) end += l->s.p[end] == '\\' ? 2 : 1;
    if (end >= l->s.n) {
        kw_chat_fail(l->c, KW_EFORMAT, "a string is not closed");
        return;
    }
    char *text = kw_chat_alloc(l->c, (end - l->at) * 2 + 4, 1); /* "\7" may become two bytes */
    if (!text) return;
    l->at++;
    while (l->at < end) {
        if (l->s.p[l->at] != '\\') {
            text[n++] = l->s.p[l->at++];
        } else {
            l->at++;
            n += lex_escape(l, text + n);
        }
    }
    push(l, KW_TOK_STRING, (kw_str){ text, n });
    l->at = start;
    advance(l, end + 1);
}

static void lex_op(lexer *l)
{
    static const char *const two[] = { "==", "!=", "<=", ">=", "//", "**" };
    char ch = peek(l, 0);
    size_t len = 1;
    for (size_t i = 0; i < sizeof two / sizeof *two; i++)
        if (ch == two[i][0] && peek(l, 1) == two[i][1]) len = 2;
    if (len == 1 && !strchr("+-/*%~[](){}><=.:|,;", ch))
        kw_chat_fail(l->c, KW_EFORMAT, "unexpected char '%c'", ch >= 32 && ch < 127 ? ch : '?');
    if (strchr("([{", ch)) l->brackets++;
    if (strchr(")]}", ch) && --l->brackets < 0)
        kw_chat_fail(l->c, KW_EFORMAT, "unexpected '%c'", ch);
    push(l, KW_TOK_OP, (kw_str){ l->s.p + l->at, len });
    l->at += len;
}

static size_t digit_run(const lexer *l, size_t from)
{
    size_t n = from;
    while (is_digit(peek(l, n)) || (n > from && peek(l, n) == '_' && is_digit(peek(l, n + 1)))) n++;
    return n - from;
}

static void lex_number(lexer *l)
{
    size_t n = digit_run(l, 0);
    bool is_member = l->at && l->s.p[l->at - 1] == '.', is_real = false;
    char kind = (char)(peek(l, 1) | 32);
    if (peek(l, 0) == '0' && n == 1 && (kind == 'x' || kind == 'o' || kind == 'b')) {
        for (n = 2; is_word(peek(l, n)); n++) {}
    } else if (!is_member) {
        size_t part = peek(l, n) == '.' ? digit_run(l, n + 1) : 0, sign = 0;
        if (part) n += part + 1;
        if ((peek(l, n) | 32) == 'e') sign = peek(l, n + 1) == '+' || peek(l, n + 1) == '-';
        size_t power = (peek(l, n) | 32) == 'e' ? digit_run(l, n + 1 + sign) : 0;
        if (power) n += 1 + sign + power;
        is_real = part || power;
    }
    push(l, is_real ? KW_TOK_FLOAT : KW_TOK_INT, (kw_str){ l->s.p + l->at, n });
    l->at += n;
}

static void lex_word(lexer *l)
{
    size_t from = l->at;
    while (is_word(peek(l, 0))) l->at++;
    push(l, KW_TOK_NAME, (kw_str){ l->s.p + from, l->at - from });
}

/* From behind "{%" or "{{" and its sign to behind its end. */
static void lex_tag(lexer *l, bool is_block)
{
    char close = is_block ? '%' : '}';
    push(l, is_block ? KW_TOK_DO : KW_TOK_OUT, (kw_str){ "", 0 });
    l->brackets = 0;
    while (l->at < l->s.n && !l->c->status) {
        char ch = peek(l, 0);
        bool sign =
            (ch == '-' || (ch == '+' && is_block)) && peek(l, 1) == close && peek(l, 2) == '}';
        if (!l->brackets && (sign || (ch == close && peek(l, 1) == '}'))) {
            push(l, is_block ? KW_TOK_DO_END : KW_TOK_OUT_END, (kw_str){ "", 0 });
            close_tag(l, sign ? 3 : 2, sign ? ch : 0, is_block);
            return;
        }
        if (is_space(ch)) advance(l, l->at + 1);
        else if (ch == '"' || ch == '\'') lex_string(l);
        else if (is_digit(ch)) lex_number(l);
        else if (is_word(ch)) lex_word(l);
        else lex_op(l);
    }
    kw_chat_fail(l->c, KW_EFORMAT, "a tag is not closed");
}

static void lex_comment(lexer *l)
{
    size_t start = l->at;
    while (l->at + 1 < l->s.n && !(peek(l, 0) == '#' && peek(l, 1) == '}')) advance(l, l->at + 1);
    if (l->at + 1 >= l->s.n) {
        kw_chat_fail(l->c, KW_EFORMAT, "a comment is not closed");
        return;
    }
    char sign = l->at > start ? l->s.p[l->at - 1] : 0;
    close_tag(l, 2, sign == '-' || sign == '+' ? sign : 0, true);
}

/* "{% word %}" at `at`: the offset behind "%}", or 0. *sign: the one it ends with. */
static size_t word_tag(const lexer *l, size_t at, const char *word, char *sign)
{
    size_t i = at + 2, n = strlen(word);
    if (i < l->s.n && (l->s.p[i] == '-' || l->s.p[i] == '+')) i++;
    while (i < l->s.n && is_space(l->s.p[i])) i++;
    if (i + n > l->s.n || memcmp(l->s.p + i, word, n)) return 0;
    for (i += n; i < l->s.n && is_space(l->s.p[i]); i++) {}
    *sign = i < l->s.n && (l->s.p[i] == '-' || l->s.p[i] == '+') ? l->s.p[i] : 0;
    if (*sign) i++;
    return i + 1 < l->s.n && l->s.p[i] == '%' && l->s.p[i + 1] == '}' ? i + 2 : 0;
}

static char sign_of(const lexer *l, size_t tag)
{
    char ch = tag + 2 < l->s.n ? l->s.p[tag + 2] : 0;
    return ch == '-' || ch == '+' ? ch : 0;
}

/* From behind "{% raw %}" to behind "{% endraw %}". */
static void lex_raw(lexer *l)
{
    char sign;
    for (size_t i = l->at; i + 1 < l->s.n; i++) {
        size_t end = l->s.p[i] == '{' && l->s.p[i + 1] == '%' ? word_tag(l, i, "endraw", &sign) : 0;
        if (!end) continue;
        lex_text(l, i, sign_of(l, i), false);
        close_tag(l, end - i, sign, true);
        return;
    }
    kw_chat_fail(l->c, KW_EFORMAT, "{%% raw %%} is not closed");
}

static void lex_at_tag(lexer *l, size_t tag)
{
    char kind = l->s.p[tag + 1], sign = sign_of(l, tag), ends_with;
    size_t raw = kind == '%' ? word_tag(l, tag, "raw", &ends_with) : 0;
    if (raw && ends_with == '+') raw = 0; /* an unknown tag, to Jinja */
    lex_text(l, tag, sign, kind == '{');
    if (raw) {
        close_tag(l, raw - tag, ends_with, false);
        lex_raw(l);
        return;
    }
    l->at = tag + (sign ? 3 : 2);
    if (kind == '#') lex_comment(l);
    else lex_tag(l, kind == '%');
}

/* \r\n and \r are newlines too. */
static kw_str one_newline(kw_chat *c, kw_str text)
{
    if (!text.n || !memchr(text.p, '\r', text.n)) return text;
    char *copy = kw_chat_alloc(c, text.n, 1);
    size_t n = 0;
    for (size_t i = 0; copy && i < text.n; i++) {
        copy[n++] = text.p[i] == '\r' ? '\n' : text.p[i];
        if (text.p[i] == '\r' && i + 1 < text.n && text.p[i + 1] == '\n') i++;
    }
    return (kw_str){ copy, n };
}

kw_status kw_chat_cut(kw_chat *c, kw_str text)
{
    text = one_newline(c, text);
    if (text.n && text.p[text.n - 1] == '\n') text.n--; /* Jinja drops one newline at the end */
    lexer l = { .c = c, .s = text, .line = 1, .line_starts = true };
    while (l.at < l.s.n && !c->status) {
        size_t tag = find_tag(&l);
        c->line = l.line;
        if (tag < l.s.n) {
            lex_at_tag(&l, tag);
            continue;
        }
        push(&l, KW_TOK_TEXT, (kw_str){ l.s.p + l.at, l.s.n - l.at });
        break;
    }
    push(&l, KW_TOK_END, (kw_str){ "", 0 });
    return c->status;
}
