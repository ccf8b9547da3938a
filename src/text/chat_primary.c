/* chat_primary.c - making nodes, asking for tokens, and the values that expressions begin with: names and literals. */
#include "text/chat.h"
#include <stdio.h>
#include <string.h>

kw_node *kw_chat_node(kw_chat *c, kw_node_kind kind)
{
    kw_node *n = kw_chat_alloc(c, 1, sizeof *n);
    if (!n) return &c->spare;
    n->kind = kind;
    n->line = c->toks[c->at].line;
    n->height = 1;
    return n;
}

void kw_chat_grow(kw_chat *c, kw_node *n, const kw_node *child)
{
    if (c->status || !child || child->height < n->height) return;
    n->height = child->height + 1;
    if (n->height > KW_CHAT_NESTING)
        kw_chat_fail(c, KW_ELIMIT, "nested deeper than %d", KW_CHAT_NESTING);
}

kw_node *kw_chat_node_of(kw_chat *c, kw_node_kind kind, kw_node *a, kw_node *b)
{
    kw_node *n = kw_chat_node(c, kind);
    if (c->status) return n;
    n->a = a;
    n->b = b;
    if (a) n->line = a->line;
    kw_chat_grow(c, n, a);
    kw_chat_grow(c, n, b);
    return n;
}

/* ---- tokens ---- */

bool kw_chat_is(const kw_chat *c, kw_tok_kind kind, const char *text)
{
    const kw_tok *t = &c->toks[c->at];
    return t->kind == kind && (!text || kw_str_is(t->text, text));
}

bool kw_chat_take(kw_chat *c, kw_tok_kind kind, const char *text)
{
    if (c->status || !kw_chat_is(c, kind, text)) return false;
    c->at++;
    return true;
}

/* As Jinja names a token. */
static kw_str shown(const kw_tok *t)
{
    static const char *const names[] = { [KW_TOK_TEXT] = "template data / text",
                                         [KW_TOK_OUT] = "begin of print statement",
                                         [KW_TOK_OUT_END] = "end of print statement",
                                         [KW_TOK_DO] = "begin of statement block",
                                         [KW_TOK_DO_END] = "end of statement block",
                                         [KW_TOK_NAME] = NULL,
                                         [KW_TOK_STRING] = "string",
                                         [KW_TOK_INT] = "integer",
                                         [KW_TOK_FLOAT] = "float",
                                         [KW_TOK_OP] = NULL,
                                         [KW_TOK_END] = "end of template" };
    return names[t->kind] ? kw_str_of(names[t->kind]) : t->text;
}

void kw_chat_unexpected(kw_chat *c, const char *wanted)
{
    const kw_tok *t = &c->toks[c->at];
    kw_str found = shown(t);
    int n = (int)(found.n < 60 ? found.n : 60);
    c->line = t->line;
    if (wanted) kw_chat_fail(c, KW_EFORMAT, "expected token '%s', got '%.*s'", wanted, n, found.p);
    else kw_chat_fail(c, KW_EFORMAT, "unexpected '%.*s'", n, found.p);
}

void kw_chat_expect(kw_chat *c, kw_tok_kind kind, const char *text)
{
    if (kw_chat_take(c, kind, text)) return;
    kw_chat_unexpected(c, text ? text : shown(&(kw_tok){ .kind = kind }).p);
}

kw_str kw_chat_name(kw_chat *c)
{
    if (!kw_chat_is(c, KW_TOK_NAME, NULL)) kw_chat_unexpected(c, "name");
    return c->status ? (kw_str){ "", 0 } : c->toks[c->at++].text;
}

static bool is_op(const kw_chat *c, const char *op) { return kw_chat_is(c, KW_TOK_OP, op); }

static bool take_op(kw_chat *c, const char *op) { return kw_chat_take(c, KW_TOK_OP, op); }

static void expect_op(kw_chat *c, const char *op) { kw_chat_expect(c, KW_TOK_OP, op); }

/* Appends to n's list; the last one is remembered by the caller. */
void kw_chat_append(kw_chat *c, kw_node *n, kw_node **last, kw_node *child)
{
    if (c->status) return;
    if (*last) (*last)->next = child;
    else n->list = child;
    *last = child;
    kw_chat_grow(c, n, child);
}

/* ---- literals ---- */

static kw_node *constant(kw_chat *c, kw_obj *value)
{
    kw_node *n = kw_chat_node(c, KW_NODE_CONST);
    if (!c->status) n->value = value;
    return n;
}

static kw_str without_underscores(kw_chat *c, kw_str text)
{
    char *copy = kw_chat_alloc(c, text.n + 1, 1);
    size_t n = 0;
    for (size_t i = 0; copy && i < text.n; i++)
        if (text.p[i] != '_') copy[n++] = text.p[i];
    return (kw_str){ copy ? copy : "", n };
}

/* 0x1f, 0o17, 0b11 */
static bool based_integer(kw_str s, int64_t *out)
{
    int base = (s.p[1] | 32) == 'x' ? 16 : (s.p[1] | 32) == 'o' ? 8 : 2;
    uint64_t v = 0;
    for (size_t i = 2; i < s.n; i++) {
        int low = s.p[i] | 32, d = low >= 'a' ? low - 'a' + 10 : s.p[i] - '0';
        if (d >= base || v > (INT64_MAX >> 5)) return false;
        v = v * (uint64_t)base + (uint64_t)d;
    }
    *out = (int64_t)v;
    return s.n > 2;
}

kw_node *kw_chat_number(kw_chat *c)
{
    bool is_real = kw_chat_is(c, KW_TOK_FLOAT, NULL);
    kw_str text = without_underscores(c, c->toks[c->at++].text);
    int64_t i = 0;
    double d = 0;
    bool is_based = !is_real && text.n > 1 && (text.p[1] < '0' || text.p[1] > '9');
    bool good = is_real    ? kw_str_f64(text, &d)
                : is_based ? based_integer(text, &i)
                           : kw_str_i64(text, &i);
    bool zeros = !is_real && !is_based && text.n > 1 && text.p[0] == '0' && i != 0;
    if (!good || zeros)
        kw_chat_fail(c, KW_EFORMAT, "'%.*s' is no number of 64 bits", (int)text.n, text.p);
    return constant(c, is_real ? kw_chat_real(c, d) : kw_chat_int(c, i));
}

/* Strings side by side are one. */
static kw_node *string(kw_chat *c)
{
    kw_str s = c->toks[c->at++].text;
    while (!c->status && kw_chat_is(c, KW_TOK_STRING, NULL))
        s = kw_chat_joined(c, s, c->toks[c->at++].text)->text;
    return constant(c, kw_chat_str(c, s));
}

kw_node *kw_chat_word(kw_chat *c)
{
    kw_node *n = kw_chat_node(c, KW_NODE_NAME);
    kw_str name = kw_chat_name(c);
    if (c->status) return n;
    n->name = name;
    if (kw_str_is(name, "true") || kw_str_is(name, "True")) n->value = c->yes;
    if (kw_str_is(name, "false") || kw_str_is(name, "False")) n->value = c->no;
    if (kw_str_is(name, "none") || kw_str_is(name, "None")) n->value = c->none;
    if (n->value) n->kind = KW_NODE_CONST;
    if (c->macro && kw_str_is(name, "varargs")) c->macro->takes_args = true;
    if (c->macro && kw_str_is(name, "kwargs")) c->macro->takes_named = true;
    if (c->macro && kw_str_is(name, "caller")) c->macro->takes_caller = true;
    return n;
}

static kw_node *list_literal(kw_chat *c)
{
    kw_node *n = kw_chat_node(c, KW_NODE_LIST), *last = NULL;
    while (!c->status && !take_op(c, "]")) {
        if (last) expect_op(c, ",");
        if (last && take_op(c, "]")) break;
        kw_chat_append(c, n, &last, kw_chat_expression(c, true));
    }
    return n;
}

static kw_node *dict_literal(kw_chat *c)
{
    kw_node *n = kw_chat_node(c, KW_NODE_DICT), *last = NULL;
    while (!c->status && !take_op(c, "}")) {
        if (last) expect_op(c, ",");
        if (last && take_op(c, "}")) break;
        kw_chat_append(c, n, &last, kw_chat_expression(c, true));
        expect_op(c, ":");
        kw_chat_append(c, n, &last, kw_chat_expression(c, true));
    }
    return n;
}

static kw_node *bracketed(kw_chat *c)
{
    kw_node *n = is_op(c, ")") ? kw_chat_node(c, KW_NODE_TUPLE) : kw_chat_tuple(c, true);
    expect_op(c, ")");
    return n;
}

kw_node *kw_chat_primary(kw_chat *c)
{
    kw_node *n = NULL;
    if (!kw_chat_enter(c)) return kw_chat_node(c, KW_NODE_ABSENT);
    if (kw_chat_is(c, KW_TOK_STRING, NULL)) n = string(c);
    else if (kw_chat_is(c, KW_TOK_INT, NULL) || kw_chat_is(c, KW_TOK_FLOAT, NULL))
        n = kw_chat_number(c);
    else if (kw_chat_is(c, KW_TOK_NAME, NULL)) n = kw_chat_word(c);
    else if (take_op(c, "[")) n = list_literal(c);
    else if (take_op(c, "{")) n = dict_literal(c);
    else if (take_op(c, "(")) n = bracketed(c);
    else kw_chat_unexpected(c, NULL);
    kw_chat_leave(c);
    return n ? n : kw_chat_node(c, KW_NODE_ABSENT);
}
