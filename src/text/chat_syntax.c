/* chat_syntax.c - a template's expressions, from tokens to nodes.
 *
 * Two-sided operators are one table, read by climbing its precedences; so a level of brackets costs the C stack a few
 * frames, not one for each precedence. Filters and tests bind tighter than any of them: "-1 | abs" is (-1) | abs. */
#include "text/chat.h"
#include <string.h>

static bool is_op(const kw_chat *c, const char *op) { return kw_chat_is(c, KW_TOK_OP, op); }

static bool take_op(kw_chat *c, const char *op) { return kw_chat_take(c, KW_TOK_OP, op); }

static void expect_op(kw_chat *c, const char *op) { kw_chat_expect(c, KW_TOK_OP, op); }

static bool take_word(kw_chat *c, const char *word) { return kw_chat_take(c, KW_TOK_NAME, word); }

/* ---- what follows a value ---- */

static kw_node *argument(kw_chat *c)
{
    kw_node *n;
    kw_str key = { NULL, 0 };
    kw_node_kind kind = KW_NODE_ARGUMENT;
    if (take_op(c, "**")) {
        kind = KW_NODE_SPREAD_NAMED;
    } else if (take_op(c, "*")) {
        kind = KW_NODE_SPREAD;
    } else if (kw_chat_is(c, KW_TOK_NAME, NULL) && c->toks[c->at + 1].kind == KW_TOK_OP &&
               kw_str_is(c->toks[c->at + 1].text, "=")) {
        kind = KW_NODE_KEYWORD;
        key = kw_chat_name(c);
        c->at++;
    }
    n = kw_chat_node_of(c, kind, kw_chat_expression(c, true), NULL);
    if (!c->status) n->name = key;
    return n;
}

/* Behind "(" to behind ")": n's list. Positions stand before names, and these before *a and **a. */
static void arguments(kw_chat *c, kw_node *n)
{
    kw_node *last = NULL;
    while (!c->status && !take_op(c, ")")) {
        if (last) expect_op(c, ",");
        if (last && take_op(c, ")")) break;
        kw_node *one = argument(c);
        bool late = last && (last->kind == KW_NODE_SPREAD_NAMED ||
                             (one->kind == KW_NODE_ARGUMENT && last->kind != KW_NODE_ARGUMENT));
        if (late) kw_chat_fail(c, KW_EFORMAT, "invalid syntax for function call expression");
        kw_chat_append(c, n, &last, one);
    }
}

static kw_node *call(kw_chat *c, kw_node *callee)
{
    kw_node *n = kw_chat_node_of(c, KW_NODE_CALL, callee, NULL);
    arguments(c, n);
    return n;
}

static kw_node *member(kw_chat *c, kw_node *of)
{
    if (kw_chat_is(c, KW_TOK_INT, NULL))
        return kw_chat_node_of(c, KW_NODE_ITEM, of, kw_chat_number(c));
    kw_node *n = kw_chat_node_of(c, KW_NODE_ATTR, of, NULL);
    kw_str name = kw_chat_name(c);
    if (!c->status) n->name = name;
    return n;
}

static bool at_bound(const kw_chat *c)
{
    return !is_op(c, ":") && !is_op(c, "]") && !is_op(c, ",");
}

static kw_node *bound(kw_chat *c)
{
    return at_bound(c) ? kw_chat_expression(c, true) : kw_chat_node(c, KW_NODE_ABSENT);
}

/* Behind "[": an item, several (a tuple), or a slice. */
static kw_node *subscript(kw_chat *c, kw_node *of)
{
    kw_node *first = bound(c), *slice, *last = NULL;
    if (!is_op(c, ":")) {
        if (first->kind == KW_NODE_ABSENT) kw_chat_unexpected(c, NULL);
        if (is_op(c, ",")) {
            kw_node *tuple = kw_chat_node(c, KW_NODE_TUPLE);
            kw_chat_append(c, tuple, &last, first);
            while (take_op(c, ",")) kw_chat_append(c, tuple, &last, kw_chat_expression(c, true));
            first = tuple;
        }
        expect_op(c, "]");
        return kw_chat_node_of(c, KW_NODE_ITEM, of, first);
    }
    slice = kw_chat_node(c, KW_NODE_SLICE);
    kw_chat_append(c, slice, &last, of);
    kw_chat_append(c, slice, &last, first);
    for (int i = 0; i < 2; i++)
        kw_chat_append(c, slice, &last,
                       take_op(c, ":") ? bound(c) : kw_chat_node(c, KW_NODE_ABSENT));
    expect_op(c, "]");
    return slice;
}

kw_node *kw_chat_postfix(kw_chat *c, kw_node *n)
{
    while (!c->status) {
        if (take_op(c, ".")) n = member(c, n);
        else if (take_op(c, "[")) n = subscript(c, n);
        else if (take_op(c, "(")) n = call(c, n);
        else break;
    }
    return n;
}

/* Names of filters and tests may have dots. */
static kw_str dotted(kw_chat *c)
{
    kw_str name = kw_chat_name(c);
    while (take_op(c, ".")) {
        name = kw_chat_joined(c, name, KW_STR("."))->text;
        name = kw_chat_joined(c, name, kw_chat_name(c))->text;
    }
    return name;
}

static kw_node *filter(kw_chat *c, kw_node *of)
{
    kw_node *n = kw_chat_node_of(c, KW_NODE_FILTER, of, NULL);
    kw_str name = dotted(c);
    if (c->status) return n;
    n->name = name;
    if (take_op(c, "(")) arguments(c, n);
    return n;
}

/* "x is divisibleby 3": one argument may do without brackets. */
static bool at_bare_argument(const kw_chat *c)
{
    if (kw_chat_is(c, KW_TOK_NAME, NULL))
        return !kw_chat_is(c, KW_TOK_NAME, "else") && !kw_chat_is(c, KW_TOK_NAME, "or") &&
               !kw_chat_is(c, KW_TOK_NAME, "and");
    return kw_chat_is(c, KW_TOK_STRING, NULL) || kw_chat_is(c, KW_TOK_INT, NULL) ||
           kw_chat_is(c, KW_TOK_FLOAT, NULL) || is_op(c, "[") || is_op(c, "{");
}

static kw_node *test(kw_chat *c, kw_node *of)
{
    bool flips = take_word(c, "not");
    kw_node *n = kw_chat_node_of(c, KW_NODE_TEST, of, NULL), *last = NULL;
    kw_str name = dotted(c);
    if (c->status) return n;
    n->name = name;
    if (take_op(c, "(")) {
        arguments(c, n);
    } else if (at_bare_argument(c)) {
        if (kw_chat_is(c, KW_TOK_NAME, "is"))
            kw_chat_fail(c, KW_EFORMAT, "You cannot chain multiple tests with is");
        kw_node *value = kw_chat_postfix(c, kw_chat_primary(c));
        kw_chat_append(c, n, &last, kw_chat_node_of(c, KW_NODE_ARGUMENT, value, NULL));
    }
    return flips ? kw_chat_node_of(c, KW_NODE_NOT, n, NULL) : n;
}

kw_node *kw_chat_filters(kw_chat *c, kw_node *n, bool is_at_name)
{
    if (is_at_name) n = filter(c, n);
    while (!c->status) {
        if (take_op(c, "|")) n = filter(c, n);
        else if (!is_at_name && take_word(c, "is")) n = test(c, n);
        else if (!is_at_name && take_op(c, "(")) n = call(c, n);
        else break;
    }
    return n;
}

/* ---- operators ---- */

enum { LOWEST = 1, NEGATION = 3, COMPARISON = 4 };

static const struct {
    kw_tok_kind token;
    const char *op;
    int precedence;
    kw_node_kind kind;
} operators[] = {
    { KW_TOK_NAME, "or", 1, KW_NODE_OR },      { KW_TOK_NAME, "and", 2, KW_NODE_AND },
    { KW_TOK_OP, "==", 4, KW_NODE_COMPARE },   { KW_TOK_OP, "!=", 4, KW_NODE_COMPARE },
    { KW_TOK_OP, "<", 4, KW_NODE_COMPARE },    { KW_TOK_OP, "<=", 4, KW_NODE_COMPARE },
    { KW_TOK_OP, ">", 4, KW_NODE_COMPARE },    { KW_TOK_OP, ">=", 4, KW_NODE_COMPARE },
    { KW_TOK_NAME, "in", 4, KW_NODE_COMPARE }, { KW_TOK_NAME, "not", 4, KW_NODE_COMPARE },
    { KW_TOK_OP, "+", 5, KW_NODE_BINARY },     { KW_TOK_OP, "-", 5, KW_NODE_BINARY },
    { KW_TOK_OP, "~", 6, KW_NODE_CONCAT },     { KW_TOK_OP, "*", 7, KW_NODE_BINARY },
    { KW_TOK_OP, "/", 7, KW_NODE_BINARY },     { KW_TOK_OP, "//", 7, KW_NODE_BINARY },
    { KW_TOK_OP, "%", 7, KW_NODE_BINARY },     { KW_TOK_OP, "**", 8, KW_NODE_BINARY },
};

/* The operator at hand, or -1. "not" is one before "in" only. */
static int operator_here(const kw_chat *c)
{
    for (size_t i = 0; i < sizeof operators / sizeof *operators; i++) {
        if (!kw_chat_is(c, operators[i].token, operators[i].op)) continue;
        const kw_tok *next = &c->toks[c->at + 1];
        bool is_not = !strcmp(operators[i].op, "not");
        return is_not && !(next->kind == KW_TOK_NAME && kw_str_is(next->text, "in")) ? -1 : (int)i;
    }
    return -1;
}

static kw_node *climb(kw_chat *c, int lowest);

static kw_node *signed_value(kw_chat *c, bool filters)
{
    kw_node *n;
    if (!kw_chat_enter(c)) return kw_chat_node(c, KW_NODE_ABSENT);
    if (take_op(c, "-")) n = kw_chat_node_of(c, KW_NODE_NEGATIVE, signed_value(c, false), NULL);
    else if (take_op(c, "+"))
        n = kw_chat_node_of(c, KW_NODE_POSITIVE, signed_value(c, false), NULL);
    else n = kw_chat_primary(c);
    n = kw_chat_postfix(c, n);
    if (filters) n = kw_chat_filters(c, n, false);
    kw_chat_leave(c);
    return n;
}

static kw_node *negated(kw_chat *c)
{
    if (!kw_chat_enter(c)) return kw_chat_node(c, KW_NODE_ABSENT);
    kw_node *n = kw_chat_node_of(c, KW_NODE_NOT, climb(c, NEGATION), NULL);
    kw_chat_leave(c);
    return n;
}

/* a < b <= c, or a ~ b ~ c: one node with all operands of its level. */
static kw_node *chain(kw_chat *c, kw_node *first, int which)
{
    kw_node_kind kind = operators[which].kind;
    int precedence = operators[which].precedence;
    kw_node *n = kw_chat_node_of(c, kind, kind == KW_NODE_COMPARE ? first : NULL, NULL),
            *last = NULL;
    if (kind == KW_NODE_CONCAT) kw_chat_append(c, n, &last, first);
    while (!c->status && which >= 0 && operators[which].kind == kind) {
        const char *op = operators[which].op;
        c->at += strcmp(op, "not") ? 1 : 2;
        kw_node *right = kw_chat_node_of(c, KW_NODE_ARGUMENT, climb(c, precedence + 1), NULL);
        if (!c->status) right->name = kw_str_of(op);
        kw_chat_append(c, n, &last, right);
        which = operator_here(c);
    }
    return n;
}

static kw_node *climb(kw_chat *c, int lowest)
{
    kw_node *n = lowest <= NEGATION && take_word(c, "not") ? negated(c) : signed_value(c, true);
    for (int i; !c->status && (i = operator_here(c)) >= 0 && operators[i].precedence >= lowest;) {
        kw_node_kind kind = operators[i].kind;
        if (kind == KW_NODE_COMPARE || kind == KW_NODE_CONCAT) {
            n = chain(c, n, i);
            continue;
        }
        kw_str op = c->toks[c->at++].text;
        n = kw_chat_node_of(c, kind, n, climb(c, operators[i].precedence + 1));
        if (!c->status) n->name = op;
    }
    return n;
}

kw_node *kw_chat_expression(kw_chat *c, bool with_if)
{
    if (!kw_chat_enter(c)) return kw_chat_node(c, KW_NODE_ABSENT);
    kw_node *n = climb(c, LOWEST);
    while (with_if && take_word(c, "if")) {
        kw_node *test = climb(c, LOWEST), *other = NULL;
        if (take_word(c, "else")) other = kw_chat_expression(c, true);
        n = kw_chat_node_of(c, KW_NODE_CHOICE, test, n);
        if (!c->status) n->c = other;
        kw_chat_grow(c, n, other);
    }
    kw_chat_leave(c);
    return n;
}

/* ---- tuples and targets ---- */

static bool ends_tuple(const kw_chat *c)
{
    return kw_chat_is(c, KW_TOK_OUT_END, NULL) || kw_chat_is(c, KW_TOK_DO_END, NULL) ||
           is_op(c, ")") || kw_chat_is(c, KW_TOK_NAME, "in") ||
           kw_chat_is(c, KW_TOK_NAME, "recursive") || is_op(c, "=");
}

static kw_node *rest_of_tuple(kw_chat *c, kw_node *first, kw_node *(*next)(kw_chat *, bool),
                              bool flag)
{
    if (!is_op(c, ",")) return first;
    kw_node *n = kw_chat_node(c, KW_NODE_TUPLE), *last = NULL;
    kw_chat_append(c, n, &last, first);
    while (take_op(c, ",") && !ends_tuple(c)) kw_chat_append(c, n, &last, next(c, flag));
    return n;
}

kw_node *kw_chat_tuple(kw_chat *c, bool with_if)
{
    return rest_of_tuple(c, kw_chat_expression(c, with_if), kw_chat_expression, with_if);
}

static kw_node *one_target(kw_chat *c, bool with_members)
{
    if (take_op(c, "(")) {
        kw_node *n =
            kw_chat_enter(c) ? kw_chat_target(c, with_members) : kw_chat_node(c, KW_NODE_ABSENT);
        kw_chat_leave(c);
        expect_op(c, ")");
        return n;
    }
    kw_node *n = kw_chat_word(c);
    if (n->kind == KW_NODE_CONST) kw_chat_fail(c, KW_EFORMAT, "can't assign to 'const'");
    if (!with_members || !take_op(c, ".")) return n;
    kw_str member = kw_chat_name(c);
    if (c->status) return n;
    n->kind = KW_NODE_MEMBER;
    n->member = member;
    return n;
}

kw_node *kw_chat_target(kw_chat *c, bool with_members)
{
    return rest_of_tuple(c, one_target(c, with_members), one_target, with_members);
}
