/* chat_run.c - runs a template's statements: output, conditions, assignments, macros.
 *
 * Each body of a loop, macro, with or capture has a frame of variables of its own, so what it sets is gone at its end;
 * that is why templates carry state out of loops in a namespace. Names are looked up from the innermost frame outwards
 * at the time of use: a macro sees what the frames it was written in hold when it is called. */
#include "text/chat.h"
#include <string.h>

/* ---- variables ---- */

kw_frame *kw_chat_frame_new(kw_chat *c, kw_frame *up)
{
    kw_frame *f = kw_chat_alloc(c, 1, sizeof *f);
    if (!f) return up ? up : c->frame; /* nothing runs in it */
    f->up = up;
    return f;
}

kw_obj *kw_chat_find(kw_chat *c, kw_str name)
{
    for (const kw_frame *f = c->frame; f; f = f->up) {
        if (!kw_chat_spend(c, f->n / 16)) return NULL;
        for (size_t i = 0; i < f->n; i++)
            if (kw_str_eq(f->vars[i].name, name)) return f->vars[i].value;
    }
    return NULL;
}

void kw_chat_set(kw_chat *c, kw_str name, kw_obj *value)
{
    kw_frame *f = c->frame;
    if (c->status || (c->parsed && !kw_chat_spend(c, f->n / 16))) return; /* inputs are free */
    for (size_t i = 0; i < f->n; i++) {
        if (!kw_str_eq(f->vars[i].name, name)) continue;
        f->vars[i].value = value;
        return;
    }
    if (f->n == f->cap) {
        size_t cap = f->cap ? 2 * f->cap : 8;
        kw_chat_var *more = kw_chat_alloc(c, cap, sizeof *more);
        if (!more) return;
        if (f->n) memcpy(more, f->vars, f->n * sizeof *more);
        f->vars = more;
        f->cap = cap;
    }
    f->vars[f->n++] = (kw_chat_var){ name, value };
}

static void set_member(kw_chat *c, const kw_node *target, kw_obj *value)
{
    kw_obj *ns = kw_chat_find(c, target->name);
    if (!ns) kw_chat_wrong(c, "'%.*s' is undefined", (int)target->name.n, target->name.p);
    else if (ns->type != KW_OBJ_NAMESPACE)
        kw_chat_wrong(c, "cannot assign attribute on non-namespace object");
    else kw_dict_put(c, ns, kw_chat_str(c, target->member), value);
}

static void unpack(kw_chat *c, const kw_node *targets, kw_obj *value)
{
    size_t want = 0, i = 0;
    for (const kw_node *t = targets->list; t; t = t->next) want++;
    if (value->type == KW_OBJ_UNDEFINED || kw_obj_is_number(value) || value->type == KW_OBJ_NONE) {
        if (value->type != KW_OBJ_UNDEFINED)
            kw_chat_wrong(c, "cannot unpack non-iterable %s object", kw_obj_type_name(value));
    }
    const kw_obj *list = kw_chat_iterate(c, value);
    if (list->list.n > want) kw_chat_wrong(c, "too many values to unpack (expected %zu)", want);
    if (list->list.n < want)
        kw_chat_wrong(c, "not enough values to unpack (expected %zu, got %zu)", want, list->list.n);
    for (const kw_node *t = targets->list; t && !c->status; t = t->next)
        kw_chat_assign(c, t, list->list.items[i++]);
}

void kw_chat_assign(kw_chat *c, const kw_node *target, kw_obj *value)
{
    if (c->status) return;
    if (target->kind == KW_NODE_TUPLE) unpack(c, target, value);
    else if (target->kind == KW_NODE_MEMBER) set_member(c, target, value);
    else kw_chat_set(c, target->name, value);
}

/* ---- statements ---- */

static void put(kw_chat *c, kw_str s)
{
    kw_buf_bytes(c->out, s.p, s.n);
    if (c->out->status == KW_ELIMIT)
        kw_chat_fail(c, KW_ELIMIT, "more than %zu MB of text", c->out->max >> 20);
    else if (c->out->status && !c->status) c->status = c->out->status;
}

static void run_text(kw_chat *c, const kw_node *n) { put(c, n->name); }

static void run_output(kw_chat *c, const kw_node *n)
{
    kw_str text = kw_chat_text(c, kw_chat_eval(c, n->a));
    if (!c->status) put(c, text);
}

static void run_if(kw_chat *c, const kw_node *n)
{
    while (n && n->kind == KW_NODE_IF && !kw_obj_truth(kw_chat_eval(c, n->a)) && !c->status)
        n = n->b;
    if (n && !c->status) kw_chat_run(c, n->list);
}

static void run_set(kw_chat *c, const kw_node *n)
{
    kw_chat_assign(c, n->a, kw_chat_eval(c, n->b));
}

static void run_inside(kw_chat *c, kw_frame *frame, const kw_node *list)
{
    kw_frame *around = c->frame;
    c->frame = frame;
    kw_chat_run(c, list);
    c->frame = around;
}

static void run_with(kw_chat *c, const kw_node *n)
{
    kw_frame *around = c->frame, *inner = kw_chat_frame_new(c, around);
    for (const kw_node *set = n->other; set && !c->status; set = set->next) {
        kw_obj *value = kw_chat_eval(c, set->b);
        c->frame = inner;
        kw_chat_assign(c, set->a, value);
        c->frame = around;
    }
    run_inside(c, inner, n->list);
}

kw_obj *kw_chat_captured(kw_chat *c, const kw_node *list)
{
    kw_buf text = KW_BUF(KW_CHAT_PRINTED, KW_PAY_TEXT), *out = c->out;
    c->out = &text;
    kw_chat_run(c, list);
    c->out = out;
    return kw_chat_kept(c, &text);
}

/* The CONST inside a block's filters. */
static kw_node *innermost(kw_node *n)
{
    while (n->kind != KW_NODE_CONST) n = n->a;
    return n;
}

static void run_capture(kw_chat *c, const kw_node *n)
{
    kw_frame *around = c->frame;
    c->frame = kw_chat_frame_new(c, around);
    kw_obj *value = kw_chat_captured(c, n->list);
    c->frame = around;
    if (n->b && !c->status) {
        innermost(n->b)->value = value; /* read before anything else of n->b is */
        value = kw_chat_eval(c, n->b);
    }
    if (n->a) kw_chat_assign(c, n->a, value);
    else put(c, kw_chat_text(c, value));
}

static void run_break(kw_chat *c, const kw_node *n)
{
    c->flow = n->kind == KW_NODE_BREAK ? KW_CHAT_BREAK : KW_CHAT_CONTINUE;
}

/* ---- macros ---- */

static kw_obj *macro_of(kw_chat *c, const kw_node *n)
{
    kw_obj *m = kw_chat_new(c, KW_OBJ_MACRO);
    if (c->status) return m;
    m->macro.node = n;
    m->macro.frame = c->frame;
    for (kw_frame *f = c->frame; f; f = f->up) f->is_kept = true;
    return m;
}

static void run_macro(kw_chat *c, const kw_node *n) { kw_chat_set(c, n->name, macro_of(c, n)); }

/* The call, with the body as its `caller`. */
static void run_calling(kw_chat *c, const kw_node *n)
{
    kw_obj *callee = kw_chat_eval(c, n->a->a);
    kw_call call = kw_chat_args(c, n->a->list, NULL);
    kw_pair *named = kw_chat_alloc(c, call.n_named + 1, sizeof *named);
    if (!named) return;
    if (call.n_named) memcpy(named, call.named, call.n_named * sizeof *named);
    named[call.n_named++] = (kw_pair){ kw_chat_text_of(c, "caller"), macro_of(c, n) };
    call.named = named;
    kw_obj *value = kw_chat_call(c, callee, &call);
    if (!c->status) put(c, kw_chat_text(c, value));
}

static kw_obj *take_named(kw_call *call, kw_str name)
{
    for (size_t i = 0; i < call->n_named; i++) {
        if (!kw_str_eq(call->named[i].key->text, name)) continue;
        kw_obj *v = call->named[i].value;
        memmove(&call->named[i], &call->named[i + 1],
                (call->n_named - i - 1) * sizeof *call->named);
        call->n_named--;
        return v;
    }
    return NULL;
}

/* Positions, then names, then defaults, which may use the parameters before them. */
static size_t bind_parameters(kw_chat *c, const kw_node *m, kw_call *call)
{
    size_t i = 0;
    for (const kw_node *p = m->other; p && !c->status; p = p->next, i++) {
        kw_obj *v = i < call->n ? call->args[i] : take_named(call, p->name);
        if (!v && p->a) v = kw_chat_eval(c, p->a);
        if (!v)
            v = kw_chat_missing(c, "parameter '%.*s' was not provided", (int)p->name.n, p->name.p);
        kw_chat_set(c, p->name, v);
    }
    return i;
}

static void refuse_rest(kw_chat *c, const kw_node *m, const kw_call *call, size_t n)
{
    if (call->n_named && !m->takes_named) {
        kw_str key = call->named[0].key->text;
        if (kw_str_is(key, "caller"))
            kw_chat_wrong(c,
                          "macro '%.*s' was invoked with two values for the special caller "
                          "argument. This is most likely a bug.",
                          (int)m->name.n, m->name.p);
        kw_chat_wrong(c, "macro '%.*s' takes no keyword argument '%.*s'", (int)m->name.n, m->name.p,
                      (int)key.n, key.p);
    }
    if (call->n > n && !m->takes_args)
        kw_chat_wrong(c, "macro '%.*s' takes not more than %zu argument(s)", (int)m->name.n,
                      m->name.p, n);
}

static void bind_rest(kw_chat *c, const kw_node *m, kw_call *call, size_t n)
{
    if (m->takes_caller && m->kind == KW_NODE_MACRO) {
        kw_obj *caller = take_named(call, KW_STR("caller"));
        if (caller || !kw_chat_find(c, KW_STR("caller")))
            kw_chat_set(c, KW_STR("caller"),
                        caller ? caller : kw_chat_missing(c, "No caller defined"));
    }
    refuse_rest(c, m, call, n);
    if (c->status) return;
    if (m->takes_named) {
        kw_obj *rest = kw_chat_new(c, KW_OBJ_DICT);
        for (size_t i = 0; i < call->n_named; i++)
            kw_dict_put(c, rest, call->named[i].key, call->named[i].value);
        kw_chat_set(c, KW_STR("kwargs"), rest);
    }
    if (m->takes_args) {
        kw_obj *rest = kw_chat_list(c, KW_OBJ_TUPLE, call->n > n ? call->n - n : 0);
        for (size_t i = n; i < call->n && !c->status; i++) rest->list.items[i - n] = call->args[i];
        kw_chat_set(c, KW_STR("varargs"), rest);
    }
}

kw_obj *kw_chat_macro_call(kw_chat *c, kw_obj *macro, const kw_call *call)
{
    const kw_node *m = macro->macro.node;
    kw_frame *around = c->frame;
    kw_call left = *call;
    c->frame = kw_chat_frame_new(c, macro->macro.frame);
    size_t n = bind_parameters(c, m, &left);
    bind_rest(c, m, &left, n);
    kw_obj *text = kw_chat_captured(c, m->list);
    c->frame = around;
    return text;
}

/* ---- */

static void (*const runners[])(kw_chat *c, const kw_node *n) = {
    [KW_NODE_TEXT] = run_text,       [KW_NODE_OUTPUT] = run_output,
    [KW_NODE_IF] = run_if,           [KW_NODE_FOR] = kw_chat_run_for,
    [KW_NODE_SET] = run_set,         [KW_NODE_CAPTURE] = run_capture,
    [KW_NODE_WITH] = run_with,       [KW_NODE_MACRO] = run_macro,
    [KW_NODE_CALLING] = run_calling, [KW_NODE_BREAK] = run_break,
    [KW_NODE_CONTINUE] = run_break,
};

void kw_chat_run(kw_chat *c, const kw_node *list)
{
    if (c->status || !kw_chat_enter(c)) return;
    for (const kw_node *n = list; n && c->flow == KW_CHAT_GOES_ON && kw_chat_spend(c, 1);
         n = n->next) {
        c->line = n->line;
        runners[n->kind](c, n);
    }
    kw_chat_leave(c);
}
