/* chat.c - the door: a conversation and a template become a prompt. Also what all parts of a rendering share: its failure,
 * its budget of steps, and how deep it is.
 *
 * A message says where in the template it went wrong; only what the template raises itself is given as it is. */
#include "text/chat.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void fail(kw_chat *c, kw_status st, const char *fmt, va_list args)
{
    char line[1024];
    if (c->status) return;
    vsnprintf(line, sizeof line, fmt, args);
    c->status = kw_fail(st, "chat template, line %d: %s", c->line, line);
}

void kw_chat_fail(kw_chat *c, kw_status st, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    fail(c, st, fmt, args);
    va_end(args);
}

kw_obj *kw_chat_wrong(kw_chat *c, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    fail(c, KW_EINVAL, fmt, args);
    va_end(args);
    return c->undefined;
}

bool kw_chat_spend(kw_chat *c, size_t steps)
{
    bool enough = steps <= c->steps;
    if (!enough) kw_chat_fail(c, KW_ELIMIT, "more than %zu steps", c->max_steps);
    c->steps -= enough ? steps : c->steps;
    return !c->status;
}

bool kw_chat_enter(kw_chat *c)
{
    int most = c->parsed ? KW_CHAT_DEPTH : KW_CHAT_NESTING;
    if (c->depth >= most) kw_chat_fail(c, KW_ELIMIT, "nested deeper than %d", most);
    if (c->status) return false;
    c->depth++;
    return true;
}

void kw_chat_leave(kw_chat *c) { c->depth--; }

static void set_json(kw_chat *c, kw_str name, const kw_json *v)
{
    if (v) kw_chat_set(c, name, kw_chat_of_json(c, v));
}

static void set_inputs(kw_chat *c, const kw_chat_input *in)
{
    c->frame = kw_chat_frame_new(c, NULL);
    kw_chat_set(c, KW_STR("add_generation_prompt"), kw_chat_bool(c, in->add_generation_prompt));
    kw_chat_set(c, KW_STR("bos_token"), kw_chat_str(c, in->bos_token));
    kw_chat_set(c, KW_STR("eos_token"), kw_chat_str(c, in->eos_token));
    kw_chat_set(c, KW_STR("tools"), c->none);
    kw_chat_set(c, KW_STR("documents"), c->none);
    set_json(c, KW_STR("tools"), in->tools);
    for (const kw_json *e = in->extra ? in->extra->child : NULL; e && !c->status; e = e->next)
        if (!kw_str_is(e->key, "messages")) set_json(c, e->key, e);
    set_json(c, KW_STR("messages"), in->messages);
    c->bytes = 0; /* the limit is on what the template makes */
}

static void set_constants(kw_chat *c)
{
    kw_obj **all[] = { &c->undefined, &c->none, &c->no, &c->yes, &c->empty };
    static const kw_obj_type types[] = { KW_OBJ_UNDEFINED, KW_OBJ_NONE, KW_OBJ_BOOL, KW_OBJ_BOOL,
                                         KW_OBJ_LIST };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        c->constants[i].type = types[i];
        *all[i] = &c->constants[i];
    }
    c->undefined->text = KW_STR("a value is undefined");
    c->yes->boolean = true;
    c->empty->list.items = c->nothing;
    c->nothing[0] = c->undefined;
}

static void run(kw_chat *c, kw_str template_text)
{
    if (kw_chat_cut(c, template_text)) return;
    const kw_node *root = kw_chat_parse(c);
    c->parsed = true;
    if (!c->status) kw_chat_run(c, root->list);
}

kw_status kw_chat_render(kw_str template_text, const kw_chat_input *in, kw_buf *out)
{
    kw_chat *c = kw_calloc(1, sizeof *c, KW_PAY_TEXT);
    if (!c) return KW_ENOMEM;
    c->arena = KW_ARENA(KW_PAY_TEXT);
    c->out = out;
    c->line = 1;
    c->now_s = kw_wall_ns() / 1000000000;
    c->steps = c->max_steps = in->max_steps ? in->max_steps : KW_CHAT_STEPS;
    set_constants(c);
    set_inputs(c, in);
    run(c, template_text);
    kw_status st = c->status;
    kw_free(c->toks);
    kw_arena_free(&c->arena);
    kw_free(c);
    return st;
}

kw_status kw_chat_read(kw_str json, kw_arena *arena, kw_chat_input *in)
{
    kw_json *doc = NULL;
    kw_status st = kw_json_parse(json.p, json.n, arena, &doc);
    if (st) return kw_note(st, "messages");
    in->messages = doc;
    if (doc->type == KW_JSON_OBJECT) {
        in->messages = kw_json_get(doc, "messages");
        in->tools = kw_json_get(doc, "tools");
        in->extra = doc;
    }
    if (in->messages && in->messages->type == KW_JSON_ARRAY) return KW_OK;
    return kw_fail(KW_EFORMAT, "the messages are no JSON array of {\"role\", \"content\"}");
}

kw_status kw_template_render(const kw_template_args *args, char *text, size_t cap, size_t *len)
{
    kw_arena arena = KW_ARENA(KW_PAY_TEXT);
    kw_buf out = KW_BUF((size_t)64 << 20, KW_PAY_TEXT);
    kw_chat_input in = { .add_generation_prompt = args->add_generation_prompt,
                         .bos_token = kw_str_of(args->bos ? args->bos : ""),
                         .eos_token = kw_str_of(args->eos ? args->eos : "") };
    const char *name = args->template_text ? args->template_text : "chatml";
    kw_str body = kw_chat_builtin(name);
    kw_status st = kw_chat_read((kw_str){ args->messages_json, args->messages_len }, &arena, &in);
    if (!st) st = kw_chat_render(body.p ? body : kw_str_of(name), &in, &out);
    *len = out.len;
    if (!st && out.len > cap)
        st = kw_fail(KW_ELIMIT, "the text needs %zu bytes, room for %zu", out.len, cap);
    else if (!st && out.len) memcpy(text, out.data, out.len);
    kw_buf_free(&out);
    kw_arena_free(&arena);
    return st;
}
