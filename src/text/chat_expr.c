/* chat_expr.c - evaluates a template's expressions straight from its tokens.
 *
 * One function a level of precedence, each reading from c->at and leaving c->at behind what it read. With live = false
 * nothing is computed and nothing can fail but the grammar: that is how the untaken side of `and`, `or` and
 * `a if b else c` is passed over. The condition stands behind its value, so a live expression is walked twice on
 * its top level: once dead to find the "if", once to compute. */
#include "text/chat.h"

static const kw_str no_key = { NULL, 0 };

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

void kw_chat_expect(kw_chat *c, kw_tok_kind kind, const char *text)
{
    if (kw_chat_take(c, kind, text)) return;
    kw_str found = c->toks[c->at].text;
    kw_chat_fail(c, KW_EFORMAT, "chat template: expected \"%s\", found \"%.*s\"",
                 text ? text : "the end of the tag", (int)found.n, found.p ? found.p : "");
}

kw_str kw_chat_name(kw_chat *c)
{
    if (!kw_chat_is(c, KW_TOK_NAME, NULL)) kw_chat_expect(c, KW_TOK_NAME, "a name");
    return c->status ? (kw_str){ "", 0 } : c->toks[c->at++].text;
}

static bool take_op(kw_chat *c, const char *op) { return kw_chat_take(c, KW_TOK_OP, op); }

static bool take_word(kw_chat *c, const char *word) { return kw_chat_take(c, KW_TOK_NAME, word); }

static const kw_json *apply_test(kw_chat *c, const kw_json *v, bool live)
{
    bool wanted = !take_word(c, "not");
    kw_str name = kw_chat_name(c);
    if (!live || c->status) return NULL;
    bool yes = kw_chat_test(c, name, v);
    return kw_chat_bool(c, yes == wanted);
}

/* ---- calls ---- */

/* From behind "(" to behind ")"; named arguments carry their name as key. */
static const kw_json *arguments(kw_chat *c, bool live)
{
    kw_chat_list args = kw_chat_list_new(c, KW_JSON_ARRAY);
    while (!c->status && !take_op(c, ")")) {
        kw_str key = no_key;
        if (kw_chat_is(c, KW_TOK_NAME, NULL) && c->toks[c->at + 1].kind == KW_TOK_OP &&
            kw_str_is(c->toks[c->at + 1].text, "=")) {
            key = kw_chat_name(c);
            c->at++;
        }
        const kw_json *v = kw_chat_expression(c, live);
        if (live && v) kw_chat_append(c, &args, v, key);
        if (!kw_chat_is(c, KW_TOK_OP, ")")) kw_chat_expect(c, KW_TOK_OP, ",");
    }
    return args.all;
}

static const kw_json *raise(kw_chat *c, const kw_json *args)
{
    kw_str text = kw_chat_text(c, args->child);
    kw_chat_fail(c, KW_EINVAL, "%.*s", (int)text.n, text.p);
    return NULL;
}

static const kw_json *make_namespace(kw_chat *c, const kw_json *args)
{
    kw_chat_list all = kw_chat_list_new(c, KW_JSON_OBJECT);
    for (const kw_json *a = args->child; a; a = a->next) kw_chat_append(c, &all, a, a->key);
    return all.all;
}

static const kw_json *range(kw_chat *c, const kw_json *args)
{
    const kw_json *a = args->child, *b = a ? a->next : NULL, *by = b ? b->next : NULL;
    kw_chat_list all = kw_chat_list_new(c, KW_JSON_ARRAY);
    if (!kw_chat_is_number(a) || (b && !kw_chat_is_number(b)) ||
        (by && (!kw_chat_is_number(by) || kw_chat_integer(by) == 0))) {
        kw_chat_fail(c, KW_EINVAL, "range() wants integers and a step that is not 0");
        return NULL;
    }
    int64_t from = b ? kw_chat_integer(a) : 0, to = kw_chat_integer(b ? b : a),
            step = by ? kw_chat_integer(by) : 1;
    for (int64_t i = from; (step > 0 ? i < to : i > to) && kw_chat_step(c);
         i = kw_chat_wrap('+', i, step))
        kw_chat_append(c, &all, kw_chat_int(c, i), no_key);
    return all.all;
}

static const struct {
    const char *name;
    const kw_json *(*call)(kw_chat *c, const kw_json *args);
} functions[] = { { "raise_exception", raise },
                  { "namespace", make_namespace },
                  { "dict", make_namespace },
                  { "range", range } };

static const kw_json *call_function(kw_chat *c, kw_str name, bool live)
{
    const kw_json *args = arguments(c, live);
    if (!live || c->status) return NULL;
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        if (kw_str_is(name, functions[i].name)) return functions[i].call(c, args);
    kw_chat_fail(c, KW_EUNSUPPORTED, "chat template: the function \"%.*s\" is not supported yet",
                 (int)name.n, name.p);
    return NULL;
}

/* ---- values and what follows them ---- */

static const kw_json *number(kw_chat *c)
{
    kw_str text = c->toks[c->at++].text;
    int64_t i;
    double d;
    if (kw_str_i64(text, &i)) return kw_chat_int(c, i);
    if (kw_str_f64(text, &d)) return kw_chat_real(c, d);
    kw_chat_fail(c, KW_EFORMAT, "chat template: \"%.*s\" is not a number", (int)text.n, text.p);
    return NULL;
}

static const kw_json *name_value(kw_chat *c, bool live)
{
    static const struct {
        const char *name;
        kw_json_type type;
        bool yes;
    } words[] = { { "true", KW_JSON_BOOL, true },   { "True", KW_JSON_BOOL, true },
                  { "false", KW_JSON_BOOL, false }, { "False", KW_JSON_BOOL, false },
                  { "none", KW_JSON_NULL, false },  { "None", KW_JSON_NULL, false } };
    kw_str name = kw_chat_name(c);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (!kw_str_is(name, words[i].name)) continue;
        return words[i].type == KW_JSON_BOOL ? kw_chat_bool(c, words[i].yes)
                                             : kw_chat_new(c, KW_JSON_NULL);
    }
    if (take_op(c, "(")) return call_function(c, name, live);
    return live ? kw_chat_find(c, name) : NULL;
}

static const kw_json *list_literal(kw_chat *c, bool live)
{
    kw_chat_list all = kw_chat_list_new(c, KW_JSON_ARRAY);
    while (!c->status && !take_op(c, "]")) {
        const kw_json *v = kw_chat_expression(c, live);
        if (live) kw_chat_append(c, &all, v, no_key);
        if (!kw_chat_is(c, KW_TOK_OP, "]")) kw_chat_expect(c, KW_TOK_OP, ",");
    }
    return all.all;
}

static const kw_json *map_literal(kw_chat *c, bool live)
{
    kw_chat_list all = kw_chat_list_new(c, KW_JSON_OBJECT);
    while (!c->status && !take_op(c, "}")) {
        const kw_json *key = kw_chat_expression(c, live);
        kw_chat_expect(c, KW_TOK_OP, ":");
        const kw_json *v = kw_chat_expression(c, live);
        if (live) kw_chat_append(c, &all, v, kw_chat_text(c, key));
        if (!kw_chat_is(c, KW_TOK_OP, "}")) kw_chat_expect(c, KW_TOK_OP, ",");
    }
    return all.all;
}

static const kw_json *primary(kw_chat *c, bool live)
{
    if (kw_chat_is(c, KW_TOK_STRING, NULL)) {
        kw_str s = c->toks[c->at++].text;
        return kw_chat_str(c, s.p, s.n);
    }
    if (kw_chat_is(c, KW_TOK_NUMBER, NULL)) return number(c);
    if (kw_chat_is(c, KW_TOK_NAME, NULL)) return name_value(c, live);
    if (take_op(c, "[")) return list_literal(c, live);
    if (take_op(c, "{")) return map_literal(c, live);
    kw_chat_expect(c, KW_TOK_OP, "(");
    const kw_json *v = c->status ? NULL : kw_chat_expression(c, live);
    kw_chat_expect(c, KW_TOK_OP, ")");
    return v;
}

/* A mapping's value; undefined when it has no such key, an error when there is no mapping. */
static const kw_json *member(kw_chat *c, const kw_json *v, kw_str key)
{
    if (!v) kw_chat_fail(c, KW_EINVAL, "undefined has no \"%.*s\"", (int)key.n, key.p);
    const kw_json *found = NULL;
    for (const kw_json *e = v && v->type == KW_JSON_OBJECT ? v->child : NULL; e; e = e->next)
        if (kw_str_eq(e->key, key)) found = e;
    return found;
}

/* Characters and items are counted the same way: -1 is the last. */
static const kw_json *slice(kw_chat *c, const kw_json *v, int64_t from, int64_t to)
{
    if (!v || v->type == KW_JSON_OBJECT || v->type < KW_JSON_STRING) {
        kw_chat_fail(c, KW_EINVAL, "%s cannot be sliced", kw_chat_type_name(v));
        return NULL;
    }
    if (v->type == KW_JSON_ARRAY) {
        kw_chat_list all = kw_chat_list_new(c, KW_JSON_ARRAY);
        int64_t i = 0;
        for (const kw_json *e = v->child; e; e = e->next, i++)
            if (i >= from && i < to) kw_chat_append(c, &all, e, no_key);
        return all.all;
    }
    size_t start = v->string.n, end = v->string.n;
    int64_t at = 0;
    for (size_t i = 0; i < v->string.n; i++) {
        if (((unsigned char)v->string.p[i] & 0xc0) == 0x80) continue;
        if (at == from) start = i;
        if (at == to) end = i;
        at++;
    }
    return kw_chat_str(c, v->string.p + start, end > start ? end - start : 0);
}

static int64_t length_of(const kw_json *v)
{
    int64_t n = 0;
    if (!v || v->type != KW_JSON_STRING) return v ? (int64_t)v->n : 0;
    for (size_t i = 0; i < v->string.n; i++) n += ((unsigned char)v->string.p[i] & 0xc0) != 0x80;
    return n;
}

/* A bound of a slice: absent takes `otherwise`, negative counts from the end; held to 0..n. */
static int64_t bound(const kw_json *at, int64_t n, int64_t otherwise)
{
    if (!kw_chat_is_number(at)) return otherwise;
    int64_t i = kw_chat_integer(at);
    if (i < 0) i += n;
    return i < 0 ? 0 : i > n ? n : i;
}

/* v[::-1], which templates use to walk a conversation backwards. */
static const kw_json *reversed(kw_chat *c, const kw_json *v)
{
    kw_json *all = kw_chat_new(c, KW_JSON_ARRAY);
    for (const kw_json *e = v && v->type == KW_JSON_ARRAY ? v->child : NULL; e && !c->status;
         e = e->next) {
        kw_json *copy = kw_chat_new(c, KW_JSON_NULL);
        if (c->status) break;
        *copy = *e;
        copy->next = all->child;
        all->child = copy;
        all->n++;
    }
    return all;
}

static const kw_json *item(kw_chat *c, const kw_json *v, const kw_json *at)
{
    if (at && at->type == KW_JSON_STRING) return member(c, v, at->string);
    if (!v || !kw_chat_is_number(at)) {
        kw_chat_fail(c, KW_EINVAL, "%s has no item %s", kw_chat_type_name(v),
                     kw_chat_type_name(at));
        return NULL;
    }
    int64_t i = kw_chat_integer(at), n = length_of(v);
    if (i < 0) i += n;
    if (i < 0 || i >= n) return NULL;
    if (v->type == KW_JSON_STRING) return slice(c, v, i, i + 1);
    const kw_json *e = v->child;
    while (e && i--) e = e->next;
    return e;
}

static const kw_json *subscript(kw_chat *c, const kw_json *v, bool live)
{
    const kw_json *from = NULL, *to = NULL, *by = NULL;
    bool sliced = kw_chat_is(c, KW_TOK_OP, ":");
    if (!sliced) from = kw_chat_expression(c, live);
    if (take_op(c, ":")) {
        sliced = true;
        if (!kw_chat_is(c, KW_TOK_OP, "]") && !kw_chat_is(c, KW_TOK_OP, ":"))
            to = kw_chat_expression(c, live);
        if (take_op(c, ":") && !kw_chat_is(c, KW_TOK_OP, "]")) by = kw_chat_expression(c, live);
    }
    kw_chat_expect(c, KW_TOK_OP, "]");
    if (!live || c->status) return NULL;
    if (!sliced) return item(c, v, from);
    if (by && kw_chat_is_number(by) && kw_chat_integer(by) == -1 && !from && !to)
        return reversed(c, v);
    if (by && !(kw_chat_is_number(by) && kw_chat_integer(by) == 1)) {
        kw_chat_fail(c, KW_EUNSUPPORTED, "chat template: slices with a step are not supported yet");
        return NULL;
    }
    int64_t n = length_of(v);
    return slice(c, v, bound(from, n, 0), bound(to, n, n));
}

static const kw_json *attribute(kw_chat *c, const kw_json *v, bool live)
{
    kw_str name = kw_chat_name(c);
    if (take_op(c, "(")) {
        const kw_json *args = arguments(c, live);
        return live && !c->status ? kw_chat_method(c, name, v, args) : NULL;
    }
    return live && !c->status ? member(c, v, name) : NULL;
}

static const kw_json *filtered(kw_chat *c, const kw_json *v, bool live)
{
    kw_str name = kw_chat_name(c);
    const kw_json *args = take_op(c, "(") ? arguments(c, live) : kw_chat_new(c, KW_JSON_ARRAY);
    return live && !c->status ? kw_chat_filter(c, name, v, args) : NULL;
}

static const kw_json *postfix(kw_chat *c, bool live)
{
    const kw_json *v = primary(c, live);
    while (!c->status) {
        if (take_op(c, ".")) v = attribute(c, v, live);
        else if (take_op(c, "[")) v = subscript(c, v, live);
        else if (take_op(c, "|")) v = filtered(c, v, live);
        else break;
    }
    return v;
}

/* ---- precedence, tightest first ---- */

static const kw_json *unary(kw_chat *c, bool live)
{
    bool minus = false;
    while (kw_chat_is(c, KW_TOK_OP, "-") || kw_chat_is(c, KW_TOK_OP, "+"))
        if (kw_str_is(c->toks[c->at++].text, "-")) minus = !minus;
    const kw_json *v = postfix(c, live);
    return minus && live && !c->status ? kw_chat_arithmetic(c, KW_STR("-"), kw_chat_int(c, 0), v)
                                       : v;
}

static const kw_json *product(kw_chat *c, bool live)
{
    const kw_json *v = unary(c, live);
    while (kw_chat_is(c, KW_TOK_OP, "*") || kw_chat_is(c, KW_TOK_OP, "/") ||
           kw_chat_is(c, KW_TOK_OP, "//") || kw_chat_is(c, KW_TOK_OP, "%")) {
        kw_str op = c->toks[c->at++].text;
        const kw_json *right = unary(c, live);
        if (live && !c->status) v = kw_chat_arithmetic(c, op, v, right);
    }
    return v;
}

static const kw_json *joined(kw_chat *c, bool live)
{
    const kw_json *v = product(c, live);
    while (take_op(c, "~")) {
        const kw_json *right = product(c, live);
        if (live && !c->status) v = kw_chat_concat(c, v, right);
    }
    return v;
}

static const kw_json *sum(kw_chat *c, bool live)
{
    const kw_json *v = joined(c, live);
    while (kw_chat_is(c, KW_TOK_OP, "+") || kw_chat_is(c, KW_TOK_OP, "-")) {
        kw_str op = c->toks[c->at++].text;
        const kw_json *right = joined(c, live);
        if (live && !c->status)
            v = op.p[0] == '+' ? kw_chat_add(c, op, v, right) : kw_chat_arithmetic(c, op, v, right);
    }
    return v;
}

static bool at_order(const kw_chat *c)
{
    return kw_chat_is(c, KW_TOK_OP, "<") || kw_chat_is(c, KW_TOK_OP, ">") ||
           kw_chat_is(c, KW_TOK_OP, "<=") || kw_chat_is(c, KW_TOK_OP, ">=");
}

static const kw_json *membership(kw_chat *c, const kw_json *v, bool wanted, bool live)
{
    const kw_json *all = sum(c, live);
    return live && !c->status ? kw_chat_bool(c, kw_chat_contains(c, all, v) == wanted) : NULL;
}

static const kw_json *comparison(kw_chat *c, bool live)
{
    const kw_json *v = sum(c, live);
    while (!c->status) {
        const kw_tok *next = &c->toks[c->at];
        bool equal = kw_chat_is(c, KW_TOK_OP, "==");
        if (equal || kw_chat_is(c, KW_TOK_OP, "!=")) {
            c->at++;
            const kw_json *right = sum(c, live);
            if (live && !c->status) v = kw_chat_bool(c, kw_chat_equal(v, right) == equal);
        } else if (at_order(c)) {
            c->at++;
            const kw_json *right = sum(c, live);
            if (live && !c->status) v = kw_chat_order(c, next->text, v, right);
        } else if (take_word(c, "in")) {
            v = membership(c, v, true, live);
        } else if (kw_chat_is(c, KW_TOK_NAME, "not") && next[1].kind == KW_TOK_NAME &&
                   kw_str_is(next[1].text, "in")) {
            c->at += 2;
            v = membership(c, v, false, live);
        } else if (take_word(c, "is")) {
            v = apply_test(c, v, live);
        } else {
            break;
        }
    }
    return v;
}

static const kw_json *negation(kw_chat *c, bool live)
{
    bool flips = false, any = false;
    while (take_word(c, "not")) {
        flips = !flips;
        any = true;
    }
    const kw_json *v = comparison(c, live);
    return any && live && !c->status ? kw_chat_bool(c, kw_chat_truth(v) != flips) : v;
}

static const kw_json *conjunction(kw_chat *c, bool live)
{
    const kw_json *v = negation(c, live);
    while (take_word(c, "and")) {
        bool goes_on = live && kw_chat_truth(v);
        const kw_json *right = negation(c, goes_on);
        if (goes_on) v = right;
    }
    return v;
}

const kw_json *kw_chat_operand(kw_chat *c, bool live)
{
    const kw_json *v = conjunction(c, live);
    while (take_word(c, "or")) {
        bool goes_on = live && !kw_chat_truth(v);
        const kw_json *right = conjunction(c, goes_on);
        if (goes_on) v = right;
    }
    return v;
}

/* The value stands before its condition: pass over it, decide, come back. */
static const kw_json *live_expression(kw_chat *c)
{
    size_t value_at = c->at;
    kw_chat_operand(c, false);
    bool conditional = kw_chat_take(c, KW_TOK_NAME, "if");
    bool yes = !conditional || kw_chat_truth(kw_chat_operand(c, true));
    size_t end = c->at;
    const kw_json *v = NULL;
    if (yes && !c->status) {
        c->at = value_at;
        v = kw_chat_operand(c, true);
        if (!conditional || c->status) return v;
        c->at = end;
    }
    if (take_word(c, "else")) {
        const kw_json *other = kw_chat_expression(c, !yes);
        if (!yes) v = other;
    }
    return v;
}

static const kw_json *dead_expression(kw_chat *c)
{
    kw_chat_operand(c, false);
    if (!take_word(c, "if")) return NULL;
    kw_chat_operand(c, false);
    if (take_word(c, "else")) kw_chat_expression(c, false);
    return NULL;
}

const kw_json *kw_chat_expression(kw_chat *c, bool live)
{
    if (!kw_chat_step(c)) return NULL;
    if (++c->depth > KW_CHAT_DEPTH)
        kw_chat_fail(c, KW_ELIMIT, "chat template: nested deeper than %d", KW_CHAT_DEPTH);
    const kw_json *v = c->status ? NULL : live ? live_expression(c) : dead_expression(c);
    c->depth--;
    return c->status ? NULL : v;
}
