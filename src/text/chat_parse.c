/* chat_parse.c - a template's statements, from tokens to nodes. */
#include "text/chat.h"
#include <stdio.h>

typedef struct body {
    kw_node *owner, *last;
} body;

static void append(kw_chat *c, body *b, kw_node *n)
{
    if (c->status || !n) return;
    if (b->last) b->last->next = n;
    else b->owner->list = n;
    b->last = n;
    kw_chat_grow(c, b->owner, n);
}

static void end_tag(kw_chat *c) { kw_chat_expect(c, KW_TOK_DO_END, NULL); }

static bool take_word(kw_chat *c, const char *word) { return kw_chat_take(c, KW_TOK_NAME, word); }

static bool take_op(kw_chat *c, const char *op) { return kw_chat_take(c, KW_TOK_OP, op); }

/* Is this the tag "{% word"? */
static bool at_tag(const kw_chat *c, const char *word)
{
    return kw_chat_is(c, KW_TOK_DO, NULL) && c->toks[c->at + 1].kind == KW_TOK_NAME &&
           kw_str_is(c->toks[c->at + 1].text, word);
}

/* "{% word %}" */
static void close_block(kw_chat *c, const char *word)
{
    char wanted[40];
    if (at_tag(c, word)) {
        c->at += 2;
        return;
    }
    snprintf(wanted, sizeof wanted, "{%% %s %%}", word);
    if (kw_chat_is(c, KW_TOK_DO, NULL)) c->at++;
    kw_chat_unexpected(c, wanted);
}

static void statements(kw_chat *c, kw_node *owner);

/* The statements up to "{% word %}", which is passed. */
static void body_until(kw_chat *c, kw_node *owner, const char *word)
{
    end_tag(c);
    statements(c, owner);
    close_block(c, word);
}

static kw_node *parse_if(kw_chat *c)
{
    kw_node *first = kw_chat_node(c, KW_NODE_IF), *n = first;
    for (;;) {
        n->a = kw_chat_tuple(c, false);
        kw_chat_grow(c, first, n->a);
        end_tag(c);
        statements(c, n);
        kw_chat_grow(c, first, n);
        if (c->status || !at_tag(c, "elif")) break;
        c->at += 2;
        kw_node *next = kw_chat_node(c, KW_NODE_IF);
        n->b = next;
        n = next;
    }
    if (!c->status && at_tag(c, "else")) {
        c->at += 2;
        end_tag(c);
        n->b = kw_chat_node(c, KW_NODE_BODY);
        statements(c, n->b);
        kw_chat_grow(c, first, n->b);
    }
    close_block(c, "endif");
    return first;
}

static kw_node *parse_for(kw_chat *c)
{
    kw_node *n = kw_chat_node(c, KW_NODE_FOR), *other = NULL;
    n->a = kw_chat_target(c, false);
    kw_chat_expect(c, KW_TOK_NAME, "in");
    n->b = kw_chat_tuple(c, false);
    if (take_word(c, "if")) n->c = kw_chat_expression(c, true);
    n->is_recursive = take_word(c, "recursive");
    for (int i = 0; i < 3; i++) kw_chat_grow(c, n, i == 0 ? n->a : i == 1 ? n->b : n->c);
    end_tag(c);
    c->loops++;
    statements(c, n);
    c->loops--;
    if (!c->status && at_tag(c, "else")) {
        c->at += 2;
        end_tag(c);
        other = kw_chat_node(c, KW_NODE_BODY);
        statements(c, other);
        kw_chat_grow(c, n, other);
        n->other = c->status ? NULL : other->list;
    }
    close_block(c, "endfor");
    return n;
}

/* Filters behind a block's name: around a CONST that gets the block's text. */
static kw_node *block_filters(kw_chat *c, kw_node *n, bool is_at_name)
{
    n->b = kw_chat_filters(c, kw_chat_node(c, KW_NODE_CONST), is_at_name);
    kw_chat_grow(c, n, n->b);
    return n;
}

static kw_node *parse_set(kw_chat *c)
{
    kw_node *target = kw_chat_target(c, true);
    if (take_op(c, "=")) return kw_chat_node_of(c, KW_NODE_SET, target, kw_chat_tuple(c, true));
    kw_node *n = kw_chat_node_of(c, KW_NODE_CAPTURE, target, NULL);
    if (kw_chat_is(c, KW_TOK_OP, "|") && take_op(c, "|")) block_filters(c, n, true);
    body_until(c, n, "endset");
    return n;
}

static kw_node *parse_filter(kw_chat *c)
{
    kw_node *n = block_filters(c, kw_chat_node(c, KW_NODE_CAPTURE), true);
    body_until(c, n, "endfilter");
    return n;
}

static kw_node *parse_with(kw_chat *c)
{
    kw_node *n = kw_chat_node(c, KW_NODE_WITH), **last = &n->other;
    while (!c->status && !kw_chat_is(c, KW_TOK_DO_END, NULL)) {
        if (n->other) kw_chat_expect(c, KW_TOK_OP, ",");
        kw_node *target = kw_chat_target(c, false);
        kw_chat_expect(c, KW_TOK_OP, "=");
        kw_node *one = kw_chat_node_of(c, KW_NODE_SET, target, kw_chat_expression(c, true));
        if (c->status) break;
        kw_chat_grow(c, n, one);
        *last = one;
        last = &one->next;
    }
    body_until(c, n, "endwith");
    return n;
}

/* "(a, b=1)" */
static void parameters(kw_chat *c, kw_node *n)
{
    kw_node **last = &n->other;
    bool defaults = false;
    kw_chat_expect(c, KW_TOK_OP, "(");
    while (!c->status && !take_op(c, ")")) {
        if (n->other) kw_chat_expect(c, KW_TOK_OP, ",");
        kw_node *one = kw_chat_node(c, KW_NODE_NAME);
        kw_str name = kw_chat_name(c);
        if (c->status) break;
        one->name = name;
        if (take_op(c, "=")) one->a = kw_chat_expression(c, true);
        else if (defaults)
            kw_chat_fail(c, KW_EFORMAT, "non-default argument follows default argument");
        defaults = one->a;
        kw_chat_grow(c, n, one->a);
        *last = one;
        last = &one->next;
    }
}

/* Breaks inside a macro do not end a loop around it. */
static void macro_body(kw_chat *c, kw_node *n, const char *end)
{
    kw_node *around = c->macro;
    int loops = c->loops;
    c->macro = n;
    c->loops = 0;
    body_until(c, n, end);
    c->macro = around;
    c->loops = loops;
    if (!around || c->status) return;
    around->takes_args |= n->takes_args; /* a macro inside asks for what it does not have itself */
    around->takes_named |= n->takes_named;
    around->takes_caller |= n->takes_caller;
}

static kw_node *parse_macro(kw_chat *c)
{
    kw_node *n = kw_chat_node(c, KW_NODE_MACRO);
    kw_str name = kw_chat_name(c);
    if (!c->status) n->name = name;
    parameters(c, n);
    macro_body(c, n, "endmacro");
    return n;
}

static kw_node *parse_call(kw_chat *c)
{
    kw_node *n = kw_chat_node(c, KW_NODE_CALLING);
    if (kw_chat_is(c, KW_TOK_OP, "(")) parameters(c, n);
    n->a = kw_chat_expression(c, true);
    kw_chat_grow(c, n, n->a);
    if (!c->status && n->a->kind != KW_NODE_CALL) kw_chat_fail(c, KW_EFORMAT, "expected call");
    if (!c->status) n->name = KW_STR("caller");
    macro_body(c, n, "endcall");
    return n;
}

/* {% generation %} marks what training looks at: here its content is written, with a scope of its own. */
static kw_node *parse_generation(kw_chat *c)
{
    kw_node *n = kw_chat_node(c, KW_NODE_WITH);
    int loops = c->loops;
    c->loops = 0;
    body_until(c, n, "endgeneration");
    c->loops = loops;
    return n;
}

static kw_node *parse_print(kw_chat *c)
{
    return kw_chat_node_of(c, KW_NODE_OUTPUT, kw_chat_tuple(c, true), NULL);
}

static kw_node *parse_flow(kw_chat *c)
{
    bool is_break = kw_str_is(c->toks[c->at - 1].text, "break");
    if (!c->loops)
        kw_chat_fail(c, KW_EFORMAT, "'%s' outside loop", is_break ? "break" : "continue");
    return kw_chat_node(c, is_break ? KW_NODE_BREAK : KW_NODE_CONTINUE);
}

static kw_node *parse_elsewhere(kw_chat *c)
{
    kw_str word = c->toks[c->at - 1].text;
    kw_chat_fail(c, KW_EUNSUPPORTED, "{%% %.*s %%} is not supported: a chat template is one file",
                 (int)word.n, word.p);
    return NULL;
}

static const struct {
    const char *word;
    kw_node *(*parse)(kw_chat *c);
} words[] = {
    { "if", parse_if },
    { "for", parse_for },
    { "set", parse_set },
    { "with", parse_with },
    { "macro", parse_macro },
    { "call", parse_call },
    { "filter", parse_filter },
    { "print", parse_print },
    { "generation", parse_generation },
    { "break", parse_flow },
    { "continue", parse_flow },
    { "include", parse_elsewhere },
    { "import", parse_elsewhere },
    { "from", parse_elsewhere },
    { "extends", parse_elsewhere },
    { "block", parse_elsewhere },
};

static const char *const ends[] = {
    "elif",    "else",     "endif",   "endfor",    "endset",
    "endwith", "endmacro", "endcall", "endfilter", "endgeneration"
};

static bool ends_body(const kw_chat *c)
{
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (at_tag(c, ends[i])) return true;
    return false;
}

static kw_node *statement(kw_chat *c)
{
    kw_str word = kw_chat_name(c);
    for (size_t i = 0; i < sizeof words / sizeof *words && !c->status; i++) {
        if (!kw_str_is(word, words[i].word)) continue;
        kw_node *n = words[i].parse(c);
        end_tag(c);
        return n;
    }
    c->line = c->toks[c->at].line;
    kw_chat_fail(c, KW_EFORMAT, "Encountered unknown tag '%.*s'.", (int)word.n, word.p);
    return NULL;
}

static kw_node *piece(kw_chat *c)
{
    kw_node *n;
    if (kw_chat_take(c, KW_TOK_OUT, NULL)) {
        n = parse_print(c);
        kw_chat_expect(c, KW_TOK_OUT_END, NULL);
        return n;
    }
    if (kw_chat_take(c, KW_TOK_DO, NULL)) return statement(c);
    n = kw_chat_node(c, KW_NODE_TEXT);
    n->name = c->toks[c->at++].text;
    return n;
}

/* Up to a tag that ends a body, or the template's end. */
static void statements(kw_chat *c, kw_node *owner)
{
    body b = { .owner = owner };
    if (!kw_chat_enter(c)) return;
    while (!c->status && !kw_chat_is(c, KW_TOK_END, NULL) && !ends_body(c)) append(c, &b, piece(c));
    kw_chat_leave(c);
}

static void check_names(kw_chat *c, const kw_node *n, bool is_conditional);

/* An "if" with all that follow it as "elif": there may be many. */
static void check_ifs(kw_chat *c, const kw_node *n)
{
    for (; n && n->kind == KW_NODE_IF && !c->status; n = n->b) {
        c->line = n->line;
        check_names(c, n->a, true);
        check_names(c, n->list, true);
    }
    check_names(c, n, true); /* "else" */
}

/* Filters and tests that nobody knows are refused before anything runs; under a condition, when they are reached: a
 * template may ask "is filter" first. */
static void check_names(kw_chat *c, const kw_node *n, bool is_conditional)
{
    for (; n && !c->status; n = n->next) {
        bool opens_scope = n->kind == KW_NODE_FOR || n->kind == KW_NODE_WITH ||
                           n->kind == KW_NODE_CAPTURE || n->kind == KW_NODE_MACRO ||
                           n->kind == KW_NODE_CALLING;
        bool under = is_conditional || n->kind == KW_NODE_CHOICE;
        if (n->kind == KW_NODE_IF) {
            check_ifs(c, n);
            continue;
        }
        c->line = n->line;
        if (!under && n->kind == KW_NODE_FILTER && !kw_chat_has_filter(n->name))
            kw_chat_no_filter(c, n->name);
        if (!under && n->kind == KW_NODE_TEST && !kw_chat_builtin_named(kw_chat_tests, n->name))
            kw_chat_no_test(c, n->name);
        check_names(c, n->a, under);
        check_names(c, n->b, under);
        check_names(c, n->c, under);
        check_names(c, n->list, under && !opens_scope);
        check_names(c, n->other, under && !opens_scope);
    }
}

kw_node *kw_chat_parse(kw_chat *c)
{
    kw_node *root = kw_chat_node(c, KW_NODE_BODY);
    statements(c, root);
    if (!c->status && kw_chat_is(c, KW_TOK_END, NULL)) check_names(c, root, false);
    if (c->status || kw_chat_is(c, KW_TOK_END, NULL)) return root;
    kw_str word = c->toks[c->at + 1].text;
    c->line = c->toks[c->at].line;
    kw_chat_fail(c, KW_EFORMAT, "Encountered unknown tag '%.*s'.", (int)word.n, word.p);
    return root;
}
