/* chat_eval.c - the value of an expression. */
#include "text/chat.h"
#include <string.h>

/* ---- arguments ---- */

typedef struct gathering {
    kw_call call;
    size_t cap, cap_named;
} gathering;

static void *grown(kw_chat *c, void *old, size_t n, size_t *cap, size_t size)
{
    if (n < *cap) return old;
    size_t more = *cap ? 2 * *cap : 4;
    void *p = kw_chat_alloc(c, more, size);
    if (!p) return NULL;
    if (n) memcpy(p, old, n * size);
    *cap = more;
    return p;
}

static void add(kw_chat *c, gathering *g, kw_obj *v)
{
    kw_obj **room = grown(c, g->call.args, g->call.n, &g->cap, sizeof *room);
    if (!room) return;
    g->call.args = room;
    room[g->call.n++] = v;
}

static void add_named(kw_chat *c, gathering *g, kw_obj *key, kw_obj *v)
{
    kw_pair *room = grown(c, g->call.named, g->call.n_named, &g->cap_named, sizeof *room);
    if (key->type != KW_OBJ_STRING) kw_chat_wrong(c, "keywords must be strings");
    if (!room || c->status) return;
    g->call.named = room;
    room[g->call.n_named++] = (kw_pair){ key, v };
}

static void add_spread(kw_chat *c, gathering *g, const kw_node *n)
{
    kw_obj *v = kw_chat_eval(c, n->a);
    if (n->kind == KW_NODE_SPREAD) {
        const kw_obj *list = kw_chat_iterate(c, v);
        for (size_t i = 0; i < list->list.n && kw_chat_spend(c, 1); i++)
            add(c, g, list->list.items[i]);
        return;
    }
    if (v->type != KW_OBJ_DICT)
        kw_chat_wrong(c, "argument after ** must be a mapping, not %s", kw_obj_type_name(v));
    for (size_t i = 0; !c->status && i < v->dict.n && kw_chat_spend(c, 1); i++)
        add_named(c, g, v->dict.pairs[i].key, v->dict.pairs[i].value);
}

kw_call kw_chat_args(kw_chat *c, const kw_node *args, kw_obj *self)
{
    gathering g = { .call = { .self = self } };
    for (const kw_node *n = args; n && !c->status; n = n->next) {
        if (n->kind == KW_NODE_ARGUMENT) add(c, &g, kw_chat_eval(c, n->a));
        else if (n->kind == KW_NODE_KEYWORD)
            add_named(c, &g, kw_chat_str(c, n->name), kw_chat_eval(c, n->a));
        else add_spread(c, &g, n);
    }
    return g.call;
}

/* ---- calls ---- */

static kw_obj *joiner_text(kw_chat *c, kw_obj *joiner)
{
    bool first = !joiner->list.at;
    joiner->list.at = 1;
    return first ? kw_chat_text_of(c, "") : joiner->list.items[0];
}

kw_obj *kw_chat_call(kw_chat *c, kw_obj *callee, kw_call *call)
{
    if (c->status) return c->undefined;
    switch (callee->type) {
    case KW_OBJ_FUNCTION:
        call->self = callee->function.self;
        return kw_chat_builtin_call(c, callee->function.builtin, call);
    case KW_OBJ_MACRO: return kw_chat_macro_call(c, callee, call);
    case KW_OBJ_JOINER: return joiner_text(c, callee);
    case KW_OBJ_LOOP:
        if (call->n == 1) return kw_chat_loop_again(c, callee->loop, call->args[0]);
        return kw_chat_wrong(c, "loop() takes 1 argument, got %zu", call->n);
    case KW_OBJ_UNDEFINED: return kw_chat_wrong(c, "%.*s", (int)callee->text.n, callee->text.p);
    default: return kw_chat_wrong(c, "'%s' object is not callable", kw_obj_type_name(callee));
    }
}

static kw_obj *eval_call(kw_chat *c, const kw_node *n)
{
    kw_obj *callee = kw_chat_eval(c, n->a);
    kw_call call = kw_chat_args(c, n->list, NULL);
    return kw_chat_call(c, callee, &call);
}

static kw_obj *eval_filter(kw_chat *c, const kw_node *n)
{
    kw_obj *v = kw_chat_eval(c, n->a);
    kw_call call = kw_chat_args(c, n->list, v);
    return c->status ? c->undefined : kw_chat_filter(c, n->name, &call);
}

static kw_obj *eval_test(kw_chat *c, const kw_node *n)
{
    kw_obj *v = kw_chat_eval(c, n->a);
    kw_call call = kw_chat_args(c, n->list, v);
    return kw_chat_bool(c, !c->status && kw_chat_test(c, n->name, &call));
}

/* ---- values ---- */

static kw_obj *eval_const(kw_chat *c, const kw_node *n)
{
    (void)c;
    return n->value;
}

static kw_obj *eval_name(kw_chat *c, const kw_node *n)
{
    kw_obj *v = kw_chat_find(c, n->name);
    if (v) return v;
    const kw_builtin *b = kw_chat_builtin_named(kw_chat_functions, n->name);
    if (!b) return kw_chat_missing(c, "'%.*s' is undefined", (int)n->name.n, n->name.p);
    v = kw_chat_new(c, KW_OBJ_FUNCTION);
    if (!c->status) v->function.builtin = b;
    return v;
}

static kw_obj *eval_list(kw_chat *c, const kw_node *n)
{
    size_t count = 0, i = 0;
    for (const kw_node *e = n->list; e; e = e->next) count++;
    kw_obj *list = kw_chat_list(c, n->kind == KW_NODE_LIST ? KW_OBJ_LIST : KW_OBJ_TUPLE, count);
    for (const kw_node *e = n->list; e && !c->status; e = e->next)
        list->list.items[i++] = kw_chat_eval(c, e);
    return list;
}

static kw_obj *eval_dict(kw_chat *c, const kw_node *n)
{
    kw_obj *dict = kw_chat_new(c, KW_OBJ_DICT);
    for (const kw_node *e = n->list; e && !c->status; e = e->next->next) {
        kw_obj *key = kw_chat_eval(c, e), *value = kw_chat_eval(c, e->next);
        kw_dict_put(c, dict, key, value);
    }
    return dict;
}

static kw_obj *eval_attr(kw_chat *c, const kw_node *n)
{
    return kw_chat_attr(c, kw_chat_eval(c, n->a), n->name);
}

static kw_obj *eval_item(kw_chat *c, const kw_node *n)
{
    kw_obj *v = kw_chat_eval(c, n->a), *key = kw_chat_eval(c, n->b);
    return kw_chat_item(c, v, key);
}

static kw_obj *eval_slice(kw_chat *c, const kw_node *n)
{
    kw_obj *v = kw_chat_eval(c, n->list), *bounds[3];
    const kw_node *b = n->list->next;
    for (int i = 0; i < 3; i++, b = b->next)
        bounds[i] = b->kind == KW_NODE_ABSENT ? c->none : kw_chat_eval(c, b);
    for (int i = 0; i < 3; i++)
        if (bounds[i]->type == KW_OBJ_UNDEFINED)
            kw_chat_wrong(c, "slice indices must be integers or None or have an __index__ method");
    return kw_chat_slice(c, v, bounds);
}

static kw_obj *eval_absent(kw_chat *c, const kw_node *n)
{
    (void)n;
    return c->undefined;
}

/* ---- operators ---- */

static kw_obj *eval_not(kw_chat *c, const kw_node *n)
{
    return kw_chat_bool(c, !kw_obj_truth(kw_chat_eval(c, n->a)));
}

static kw_obj *eval_negative(kw_chat *c, const kw_node *n)
{
    return kw_chat_negative(c, kw_chat_eval(c, n->a));
}

static kw_obj *eval_positive(kw_chat *c, const kw_node *n)
{
    kw_obj *v = kw_chat_eval(c, n->a);
    if (v->type == KW_OBJ_BOOL) return kw_chat_int(c, v->boolean);
    if (kw_obj_is_number(v) || c->status) return v;
    if (v->type == KW_OBJ_UNDEFINED) return kw_chat_negative(c, v);
    return kw_chat_wrong(c, "bad operand type for unary +: '%s'", kw_obj_type_name(v));
}

static kw_obj *eval_binary(kw_chat *c, const kw_node *n)
{
    kw_obj *a = kw_chat_eval(c, n->a), *b = kw_chat_eval(c, n->b);
    return kw_chat_binary(c, n->name, a, b);
}

static kw_obj *eval_concat(kw_chat *c, const kw_node *n)
{
    kw_obj *all = kw_chat_str(c, kw_chat_text(c, kw_chat_eval(c, n->list)));
    for (const kw_node *e = n->list->next; e && !c->status; e = e->next) {
        kw_obj *v = kw_chat_eval(c, e->a);
        kw_str text = kw_chat_text(c, v);
        if (!c->status) all = kw_chat_joined(c, all->text, text);
    }
    return all;
}

/* a < b < c is (a < b) and (b < c), with b evaluated once. */
static kw_obj *eval_compare(kw_chat *c, const kw_node *n)
{
    kw_obj *left = kw_chat_eval(c, n->a);
    for (const kw_node *e = n->list; e && !c->status; e = e->next) {
        kw_obj *right = kw_chat_eval(c, e->a);
        if (!kw_chat_compare(c, e->name, left, right)) return c->no;
        left = right;
    }
    return c->yes;
}

static kw_obj *eval_and(kw_chat *c, const kw_node *n)
{
    kw_obj *v = kw_chat_eval(c, n->a);
    return kw_obj_truth(v) ? kw_chat_eval(c, n->b) : v;
}

static kw_obj *eval_or(kw_chat *c, const kw_node *n)
{
    kw_obj *v = kw_chat_eval(c, n->a);
    return kw_obj_truth(v) ? v : kw_chat_eval(c, n->b);
}

static kw_obj *eval_choice(kw_chat *c, const kw_node *n)
{
    if (kw_obj_truth(kw_chat_eval(c, n->a))) return kw_chat_eval(c, n->b);
    if (n->c) return kw_chat_eval(c, n->c);
    return kw_chat_missing(
        c,
        "the inline if-expression on line %d evaluated to false and no else section was defined.",
        n->line);
}

static kw_obj *(*const evaluators[])(kw_chat *c, const kw_node *n) = {
    [KW_NODE_CONST] = eval_const,       [KW_NODE_NAME] = eval_name,
    [KW_NODE_LIST] = eval_list,         [KW_NODE_TUPLE] = eval_list,
    [KW_NODE_DICT] = eval_dict,         [KW_NODE_ATTR] = eval_attr,
    [KW_NODE_ITEM] = eval_item,         [KW_NODE_SLICE] = eval_slice,
    [KW_NODE_ABSENT] = eval_absent,     [KW_NODE_CALL] = eval_call,
    [KW_NODE_FILTER] = eval_filter,     [KW_NODE_TEST] = eval_test,
    [KW_NODE_NOT] = eval_not,           [KW_NODE_NEGATIVE] = eval_negative,
    [KW_NODE_POSITIVE] = eval_positive, [KW_NODE_BINARY] = eval_binary,
    [KW_NODE_CONCAT] = eval_concat,     [KW_NODE_COMPARE] = eval_compare,
    [KW_NODE_AND] = eval_and,           [KW_NODE_OR] = eval_or,
    [KW_NODE_CHOICE] = eval_choice,
};

kw_obj *kw_chat_eval(kw_chat *c, const kw_node *n)
{
    if (!kw_chat_spend(c, 1) || !kw_chat_enter(c)) return c->undefined;
    c->line = n->line;
    kw_obj *v = evaluators[n->kind](c, n);
    kw_chat_leave(c);
    return c->status ? c->undefined : v;
}
