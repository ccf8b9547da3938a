/* chat_loop.c - for, and what its body sees as `loop`.
 *
 * The condition of "for x in y if condition" is asked of an item when the loop comes to it, not before, for the body may
 * change what it depends on; only loop.last, loop.length and their kin look ahead. As in Jinja, else runs when no body
 * came to its end: a break in the first leads to it. */
#include "text/chat.h"
#include <string.h>

static bool passes(kw_chat *c, kw_loop *l, kw_obj *item)
{
    if (!l->filter) return true;
    kw_frame *around = c->frame;
    c->frame = kw_chat_frame_new(c, l->frame);
    kw_chat_assign(c, l->node->a, item);
    bool yes = kw_obj_truth(kw_chat_eval(c, l->filter));
    c->frame = around;
    return yes && !c->status;
}

/* The next item that passes, or NULL. */
static kw_obj *fetch(kw_chat *c, kw_loop *l)
{
    while (l->at < l->n && kw_chat_spend(c, 1)) {
        kw_obj *item = l->items[l->at++];
        if (passes(c, l, item)) return item;
    }
    return NULL;
}

static kw_obj *ahead(kw_chat *c, kw_loop *l)
{
    if (!l->ahead) l->ahead = fetch(c, l);
    return l->ahead;
}

/* Asks the condition of all that is left, so that it is known how many there are. */
static void settle(kw_chat *c, kw_loop *l)
{
    if (!l->filter) return;
    kw_obj **kept = kw_chat_alloc(c, l->n - l->at + 1, sizeof *kept), *item;
    size_t n = 0;
    if (!kept) return;
    while ((item = fetch(c, l))) kept[n++] = item;
    l->items = kept;
    l->at = 0;
    l->n = n;
    l->filter = NULL;
}

int64_t kw_chat_loop_length(kw_chat *c, kw_loop *l)
{
    settle(c, l);
    return l->index + 1 + (l->ahead != NULL) + (int64_t)(l->n - l->at);
}

static bool advance(kw_chat *c, kw_loop *l)
{
    kw_obj *next = ahead(c, l);
    if (!next || c->status) return false;
    l->last = l->now;
    l->now = next;
    l->ahead = NULL;
    l->index++;
    return true;
}

static kw_obj *loop_object(kw_chat *c, kw_loop *l)
{
    kw_obj *v = kw_chat_new(c, KW_OBJ_LOOP);
    if (!c->status) v->loop = l;
    return v;
}

static void run_bodies(kw_chat *c, kw_loop *l)
{
    kw_obj *self = loop_object(c, l);
    kw_frame *around = c->frame, *inner = kw_chat_frame_new(c, l->frame);
    while (advance(c, l) && kw_chat_spend(c, 1)) {
        if (inner->is_kept) inner = kw_chat_frame_new(c, l->frame);
        inner->n = 0;
        c->frame = inner;
        kw_chat_assign(c, l->node->a, l->now);
        kw_chat_set(c, KW_STR("loop"), self);
        kw_chat_run(c, l->node->list);
        c->frame = around;
        bool stop = c->flow == KW_CHAT_BREAK;
        if (c->flow == KW_CHAT_GOES_ON) l->is_through = true;
        c->flow = KW_CHAT_GOES_ON;
        if (stop) break;
    }
    c->frame = around;
}

static void run_loop(kw_chat *c, const kw_node *n, kw_obj *items, kw_frame *frame, int depth)
{
    kw_loop *l = kw_chat_alloc(c, 1, sizeof *l);
    kw_obj *list = kw_chat_iterate(c, items);
    if (!l || c->status) return;
    *l = (kw_loop){ .node = n, .filter = n->c, .frame = frame, .depth = depth, .index = -1 };
    l->items = list->list.items;
    l->n = list->list.n;
    run_bodies(c, l);
    if (l->is_through || !n->other || c->status) return;
    kw_frame *around = c->frame;
    c->frame = kw_chat_frame_new(c, frame);
    kw_chat_run(c, n->other);
    c->frame = around;
}

void kw_chat_run_for(kw_chat *c, const kw_node *n)
{
    kw_obj *items = kw_chat_eval(c, n->b);
    if (!c->status) run_loop(c, n, items, c->frame, 1);
}

typedef struct again {
    kw_loop *loop;
    kw_obj *items;
} again;

kw_obj *kw_chat_loop_again(kw_chat *c, kw_loop *l, kw_obj *items)
{
    if (!l->node->is_recursive)
        return kw_chat_wrong(c,
                             "The loop must have the 'recursive' marker to be called recursively.");
    kw_buf text = KW_BUF(KW_CHAT_PRINTED, KW_PAY_TEXT), *out = c->out;
    if (!kw_chat_enter(c)) return c->undefined;
    c->out = &text;
    run_loop(c, l->node, items, l->frame, l->depth + 1);
    c->out = out;
    kw_chat_leave(c);
    return kw_chat_kept(c, &text);
}

/* ---- what `loop` knows ---- */

static kw_obj *cycle(kw_chat *c, const kw_call *call)
{
    if (!call->n) return kw_chat_wrong(c, "no items for cycling given");
    return call->args[call->self->loop->index % (int64_t)call->n];
}

static kw_obj *changed(kw_chat *c, const kw_call *call)
{
    kw_loop *l = call->self->loop;
    kw_obj *now = kw_chat_list(c, KW_OBJ_TUPLE, call->n);
    if (c->status) return now;
    if (call->n) memcpy(now->list.items, call->args, call->n * sizeof *call->args);
    bool same = l->changed && kw_chat_equal(c, l->changed, now);
    l->changed = now;
    return kw_chat_bool(c, !same);
}

static const kw_builtin loop_methods[] = { { "cycle", cycle, "*" },
                                           { "changed", changed, "*" },
                                           { NULL, NULL, NULL } };

static kw_obj *index_of(kw_chat *c, kw_loop *l) { return kw_chat_int(c, l->index + 1); }
static kw_obj *index0(kw_chat *c, kw_loop *l) { return kw_chat_int(c, l->index); }
static kw_obj *revindex(kw_chat *c, kw_loop *l)
{
    return kw_chat_int(c, kw_chat_loop_length(c, l) - l->index);
}
static kw_obj *revindex0(kw_chat *c, kw_loop *l)
{
    return kw_chat_int(c, kw_chat_loop_length(c, l) - l->index - 1);
}
static kw_obj *length(kw_chat *c, kw_loop *l) { return kw_chat_int(c, kw_chat_loop_length(c, l)); }
static kw_obj *first(kw_chat *c, kw_loop *l) { return kw_chat_bool(c, l->index == 0); }
static kw_obj *last(kw_chat *c, kw_loop *l) { return kw_chat_bool(c, !ahead(c, l)); }
static kw_obj *depth(kw_chat *c, kw_loop *l) { return kw_chat_int(c, l->depth); }
static kw_obj *depth0(kw_chat *c, kw_loop *l) { return kw_chat_int(c, l->depth - 1); }

static kw_obj *previous(kw_chat *c, kw_loop *l)
{
    return l->last ? l->last : kw_chat_missing(c, "there is no previous item");
}

static kw_obj *next(kw_chat *c, kw_loop *l)
{
    kw_obj *v = ahead(c, l);
    return v ? v : kw_chat_missing(c, "there is no next item");
}

static const struct {
    const char *name;
    kw_obj *(*get)(kw_chat *c, kw_loop *l);
} attributes[] = {
    { "index", index_of },      { "index0", index0 }, { "revindex", revindex },
    { "revindex0", revindex0 }, { "length", length }, { "first", first },
    { "last", last },           { "depth", depth },   { "depth0", depth0 },
    { "previtem", previous },   { "nextitem", next },
};

kw_obj *kw_chat_loop_attr(kw_chat *c, kw_obj *self, kw_str name)
{
    for (size_t i = 0; i < sizeof attributes / sizeof *attributes; i++)
        if (kw_str_is(name, attributes[i].name)) return attributes[i].get(c, self->loop);
    const kw_builtin *b = kw_chat_builtin_named(loop_methods, name);
    kw_obj *method = b ? kw_chat_new(c, KW_OBJ_FUNCTION) : NULL;
    if (!method || c->status) return NULL;
    method->function.builtin = b;
    method->function.self = self;
    return method;
}
