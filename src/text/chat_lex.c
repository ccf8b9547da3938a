/* chat_lex.c - cuts a template into tokens, with Jinja's rules for the white space around tags.
 *
 * trim_blocks: the newline right behind a {% %} goes. lstrip_blocks: spaces between the start of a line and a {% %} go.
 * A dash in a tag takes all white space on its side; {# #} is left out. */
#include "text/chat.h"
#include <string.h>

typedef struct lexer {
    kw_chat *c;
    kw_str s;
    size_t at, cap;
    bool trim_next;    /* the last tag ended with a dash */
    bool newline_next; /* the last tag was a block: one newline goes */
} lexer;

static bool is_space(char ch) { return ch == ' ' || (ch >= 9 && ch <= 13); }

static bool is_word(char ch)
{
    return ch == '_' || (ch >= '0' && ch <= '9') || ((ch | 32) >= 'a' && (ch | 32) <= 'z');
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
    c->toks[c->n_toks++] = (kw_tok){ kind, text };
}

static char peek(const lexer *l, size_t ahead)
{
    return l->at + ahead < l->s.n ? l->s.p[l->at + ahead] : 0;
}

/* The next "{{", "{%" or "{#", or the end. */
static size_t find_tag(const lexer *l)
{
    for (size_t i = l->at; i + 1 < l->s.n; i++)
        if (l->s.p[i] == '{' &&
            (l->s.p[i + 1] == '{' || l->s.p[i + 1] == '%' || l->s.p[i + 1] == '#'))
            return i;
    return l->s.n;
}

static void lex_text(lexer *l, size_t end)
{
    size_t from = l->at, to = end;
    if (l->newline_next && from < to && l->s.p[from] == '\n') from++;
    while (l->trim_next && from < to && is_space(l->s.p[from])) from++;
    if (end + 2 < l->s.n && l->s.p[end + 2] == '-') {
        while (to > from && is_space(l->s.p[to - 1])) to--;
    } else if (end < l->s.n && l->s.p[end + 1] != '{' &&
               peek(&(lexer){ .s = l->s, .at = end }, 2) != '+') {
        size_t line = to;
        while (line > l->at && (l->s.p[line - 1] == ' ' || l->s.p[line - 1] == '\t')) line--;
        if (line == 0 || l->s.p[line - 1] == '\n') to = line < from ? from : line;
    }
    l->trim_next = l->newline_next = false;
    if (to > from) push(l, KW_TOK_TEXT, (kw_str){ l->s.p + from, to - from });
    l->at = end;
}

static void lex_string(lexer *l)
{
    char quote = l->s.p[l->at++];
    char *text = kw_arena_alloc(&l->c->arena, l->s.n - l->at + 1, 1);
    size_t n = 0;
    if (!text) {
        l->c->status = KW_ENOMEM;
        return;
    }
    for (; l->at < l->s.n && l->s.p[l->at] != quote; l->at++) {
        char ch = l->s.p[l->at];
        if (ch == '\\' && l->at + 1 < l->s.n) {
            const char *known = "n\nt\tr\rb\bf\f", *hit;
            ch = l->s.p[++l->at];
            for (hit = known; *hit && *hit != ch; hit += 2) {}
            if (*hit) ch = hit[1];
            else if (ch != '\\' && ch != '\'' && ch != '"') text[n++] = '\\';
        }
        text[n++] = ch;
    }
    if (l->at >= l->s.n) kw_chat_fail(l->c, KW_EFORMAT, "chat template: a string is not closed");
    l->at++;
    push(l, KW_TOK_STRING, (kw_str){ text, n });
}

static void lex_op(lexer *l)
{
    static const char *const two[] = { "==", "!=", "<=", ">=", "//", "**" };
    size_t len = 1;
    for (size_t i = 0; i < sizeof two / sizeof *two; i++)
        if (peek(l, 0) == two[i][0] && peek(l, 1) == two[i][1]) len = 2;
    push(l, KW_TOK_OP, (kw_str){ l->s.p + l->at, len });
    l->at += len;
}

static void lex_word(lexer *l)
{
    size_t from = l->at;
    bool number = l->s.p[from] >= '0' && l->s.p[from] <= '9';
    while (is_word(peek(l, 0)) ||
           (number && peek(l, 0) == '.' && peek(l, 1) >= '0' && peek(l, 1) <= '9'))
        l->at++;
    push(l, number ? KW_TOK_NUMBER : KW_TOK_NAME, (kw_str){ l->s.p + from, l->at - from });
}

/* From behind "{%" or "{{" to behind its end. */
static void lex_tag(lexer *l, bool is_block)
{
    char close = is_block ? '%' : '}';
    push(l, is_block ? KW_TOK_DO : KW_TOK_OUT, (kw_str){ "", 0 });
    if (peek(l, 0) == '-' || peek(l, 0) == '+') l->at++;
    while (l->at < l->s.n && !l->c->status) {
        char ch = peek(l, 0);
        bool dash = (ch == '-' || ch == '+') && peek(l, 1) == close && peek(l, 2) == '}';
        if (dash || (ch == close && peek(l, 1) == '}')) {
            l->trim_next = ch == '-';
            l->newline_next = is_block && ch != '+';
            l->at += dash ? 3 : 2;
            push(l, is_block ? KW_TOK_DO_END : KW_TOK_OUT_END, (kw_str){ "", 0 });
            return;
        }
        if (is_space(ch)) l->at++;
        else if (ch == '"' || ch == '\'') lex_string(l);
        else if (is_word(ch)) lex_word(l);
        else lex_op(l);
    }
    kw_chat_fail(l->c, KW_EFORMAT, "chat template: a tag is not closed");
}

static void lex_comment(lexer *l)
{
    while (l->at + 1 < l->s.n && !(l->s.p[l->at] == '#' && l->s.p[l->at + 1] == '}')) l->at++;
    l->trim_next = l->at > 0 && l->at < l->s.n && l->s.p[l->at - 1] == '-';
    l->newline_next = true;
    l->at = l->at + 2 < l->s.n ? l->at + 2 : l->s.n;
}

kw_status kw_chat_cut(kw_chat *c, kw_str text)
{
    if (text.n && text.p[text.n - 1] == '\n') text.n--; /* Jinja drops one newline at the end */
    lexer l = { .c = c, .s = text };
    while (l.at < l.s.n && !c->status) {
        size_t tag = find_tag(&l);
        lex_text(&l, tag);
        if (tag == l.s.n) break;
        char kind = l.s.p[tag + 1];
        l.at = tag + 2;
        if (kind == '#') lex_comment(&l);
        else lex_tag(&l, kind == '%');
    }
    push(&l, KW_TOK_END, (kw_str){ "", 0 });
    return c->status;
}
