/* chat.c - runs a chat template: statements, variables and loops, and the public door.
 *
 * A block is walked token by token; what is not taken (the other branch, the rest of a body after `continue`) is walked
 * dead, so that every block ends at its own end tag. A loop goes back to its body's first token.
 *
 * Variables live on one stack. A loop body has its own part of it: what a body sets is gone after the iteration, which is
 * why templates carry state out of loops in a namespace. Macros, imports and includes are not in the subset. */
#include "text/chat.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void kw_chat_fail(kw_chat *c, kw_status st, const char *fmt, ...)
{
    char line[1024];
    va_list args;
    if (c->status) return;
    va_start(args, fmt);
    vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    c->status = kw_fail(st, "%s", line);
}

bool kw_chat_step(kw_chat *c)
{
    if (++c->steps > KW_CHAT_STEPS)
        kw_chat_fail(c, KW_ELIMIT, "chat template: more than %d steps", KW_CHAT_STEPS);
    return !c->status;
}

const kw_json *kw_chat_find(const kw_chat *c, kw_str name)
{
    for (size_t i = c->n_vars; i > 0; i--)
        if (kw_str_eq(c->vars[i - 1].name, name)) return c->vars[i - 1].value;
    return NULL;
}

void kw_chat_set(kw_chat *c, kw_str name, const kw_json *value)
{
    for (size_t i = c->n_vars; i > c->scope; i--) {
        if (!kw_str_eq(c->vars[i - 1].name, name)) continue;
        c->vars[i - 1].value = value;
        return;
    }
    if (c->n_vars == KW_CHAT_VARS) {
        kw_chat_fail(c, KW_ELIMIT, "chat template: more than %d variables", KW_CHAT_VARS);
        return;
    }
    c->vars[c->n_vars++] = (kw_chat_var){ name, value };
}

static void block(kw_chat *c, bool live);

static bool take_word(kw_chat *c, const char *word) { return kw_chat_take(c, KW_TOK_NAME, word); }

static void end_tag(kw_chat *c) { kw_chat_expect(c, KW_TOK_DO_END, NULL); }

/* "{% word %}", where the block before it has stopped. */
static bool take_tag(kw_chat *c, const char *word)
{
    if (c->status || !kw_chat_is(c, KW_TOK_DO, NULL) || !kw_str_is(c->toks[c->at + 1].text, word))
        return false;
    c->at += 2;
    return true;
}

static void close_tag(kw_chat *c, const char *word)
{
    if (!take_tag(c, word)) kw_chat_fail(c, KW_EFORMAT, "chat template: \"%s\" is missing", word);
    end_tag(c);
}

/* ---- statements: each from behind its word to behind its end tag ---- */

static void do_if(kw_chat *c, bool live)
{
    bool done = false;
    do {
        bool yes = kw_chat_truth(kw_chat_expression(c, live && !done));
        end_tag(c);
        block(c, live && !done && yes);
        done = done || yes;
    } while (take_tag(c, "elif"));
    if (take_tag(c, "else")) {
        end_tag(c);
        block(c, live && !done);
    }
    close_tag(c, "endif");
}

typedef struct loop {
    kw_str names[4];
    int n_names;
    size_t filter_at, body_at; /* 0: no filter */
    kw_json *state;            /* what the body sees as `loop` */
} loop;

static void bind_names(kw_chat *c, const loop *l, const kw_json *item)
{
    if (l->n_names == 1) {
        kw_chat_set(c, l->names[0], item);
        return;
    }
    const kw_json *part =
        item && item->type == KW_JSON_ARRAY && item->n == (size_t)l->n_names ? item->child : NULL;
    if (!part) kw_chat_fail(c, KW_EINVAL, "a loop over pairs met something else");
    for (int i = 0; i < l->n_names && part; i++, part = part->next)
        kw_chat_set(c, l->names[i], part);
}

static void set_state(kw_chat *c, loop *l, size_t i, size_t n)
{
    kw_chat_list s = kw_chat_list_new(c, KW_JSON_OBJECT);
    const struct {
        const char *name;
        size_t value;
    } counts[] = { { "index", i + 1 },
                   { "index0", i },
                   { "revindex", n - i },
                   { "revindex0", n - i - 1 },
                   { "length", n } };
    for (size_t k = 0; k < sizeof counts / sizeof *counts; k++)
        kw_chat_append(c, &s, kw_chat_int(c, (int64_t)counts[k].value), kw_str_of(counts[k].name));
    kw_chat_append(c, &s, kw_chat_bool(c, i == 0), KW_STR("first"));
    kw_chat_append(c, &s, kw_chat_bool(c, i + 1 == n), KW_STR("last"));
    l->state = s.all;
}

/* Whatever can be walked, as a list. */
static const kw_json *iterable(kw_chat *c, const kw_json *v)
{
    if (!v || v->type == KW_JSON_ARRAY) return v;
    if (v->type == KW_JSON_OBJECT)
        return kw_chat_filter(c, KW_STR("list"), v, kw_chat_new(c, KW_JSON_ARRAY));
    kw_str text = kw_chat_text(c, v);
    kw_chat_fail(c, KW_EINVAL, "\"%.*s\" cannot be looped over", (int)(text.n < 40 ? text.n : 40),
                 text.p);
    return NULL;
}

/* The items that pass the loop's `if`. */
static const kw_json *kept_items(kw_chat *c, const loop *l, const kw_json *all)
{
    if (!l->filter_at) return all;
    kw_chat_list kept = kw_chat_list_new(c, KW_JSON_ARRAY);
    size_t end = c->at, n_vars = c->n_vars, scope = c->scope;
    for (const kw_json *e = all ? all->child : NULL; e && kw_chat_step(c); e = e->next) {
        c->scope = n_vars;
        bind_names(c, l, e);
        c->at = l->filter_at;
        if (kw_chat_truth(kw_chat_expression(c, true)))
            kw_chat_append(c, &kept, e, (kw_str){ NULL, 0 });
        c->n_vars = n_vars;
    }
    c->scope = scope;
    c->at = end;
    return kept.all;
}

static void run_body(kw_chat *c, loop *l, const kw_json *items)
{
    size_t n_vars = c->n_vars, scope = c->scope, i = 0;
    for (const kw_json *e = items->child; e && kw_chat_step(c); e = e->next, i++) {
        c->scope = n_vars;
        bind_names(c, l, e);
        set_state(c, l, i, items->n);
        kw_chat_set(c, KW_STR("loop"), l->state);
        c->at = l->body_at;
        block(c, true);
        c->n_vars = n_vars;
        bool stop = c->flow == KW_CHAT_BREAK;
        c->flow = KW_CHAT_GOES_ON;
        if (stop) break;
    }
    c->scope = scope;
}

static void do_for(kw_chat *c, bool live)
{
    loop l = { .n_names = 0 };
    do l.names[l.n_names++] = kw_chat_name(c);
    while (l.n_names < 4 && kw_chat_take(c, KW_TOK_OP, ","));
    kw_chat_expect(c, KW_TOK_NAME, "in");
    const kw_json *all = kw_chat_operand(c, live);
    if (take_word(c, "if")) {
        l.filter_at = c->at;
        kw_chat_expression(c, false);
    }
    end_tag(c);
    l.body_at = c->at;
    const kw_json *items = live && !c->status ? kept_items(c, &l, iterable(c, all)) : NULL;
    bool any = items && items->n > 0;
    if (any) run_body(c, &l, items);
    else block(c, false);
    if (take_tag(c, "else")) {
        end_tag(c);
        block(c, live && !any);
    }
    close_tag(c, "endfor");
}

/* {% set ns.name = value %}: the only way out of a loop. */
static void set_member(kw_chat *c, kw_str object, kw_str name, const kw_json *value)
{
    kw_json *ns =
        (kw_json *)kw_chat_find(c, object); /* made by namespace() in this template's own memory */
    if (!ns || ns->type != KW_JSON_OBJECT) {
        kw_chat_fail(c, KW_EINVAL, "\"%.*s\" is no namespace", (int)object.n, object.p);
        return;
    }
    kw_chat_list all = { ns, NULL };
    for (kw_json *e = ns->child; e; e = e->next) {
        all.last = e;
        if (!kw_str_eq(e->key, name)) continue;
        kw_json *next = e->next;
        *e = value ? *value : (kw_json){ .type = KW_JSON_NULL };
        e->key = name;
        e->next = next;
        return;
    }
    kw_chat_append(c, &all, value, name);
}

/* {% set name %}text{% endset %} */
static const kw_json *captured(kw_chat *c, bool live)
{
    kw_buf text = KW_BUF((size_t)16 << 20, KW_PAY_TEXT), *out = c->out;
    c->out = &text;
    block(c, live);
    c->out = out;
    char *kept = kw_chat_bytes(c, text.len);
    if (kept && text.len) memcpy(kept, text.data, text.len);
    const kw_json *v = kw_chat_str(c, kept ? kept : "", kept ? text.len : 0);
    kw_buf_free(&text);
    close_tag(c, "endset");
    return v;
}

static void do_set(kw_chat *c, bool live)
{
    kw_str name = kw_chat_name(c), part = { NULL, 0 };
    const kw_json *value;
    if (kw_chat_take(c, KW_TOK_OP, ".")) part = kw_chat_name(c);
    if (kw_chat_take(c, KW_TOK_OP, "=")) {
        value = kw_chat_expression(c, live);
        end_tag(c);
    } else {
        end_tag(c);
        value = captured(c, live);
    }
    if (!live || c->status) return;
    if (part.n) set_member(c, name, part, value);
    else kw_chat_set(c, name, value);
}

static void do_break(kw_chat *c, bool live)
{
    end_tag(c);
    if (live) c->flow = KW_CHAT_BREAK;
}

static void do_continue(kw_chat *c, bool live)
{
    end_tag(c);
    if (live) c->flow = KW_CHAT_CONTINUE;
}

/* {% generation %} marks what training looks at: here its content is simply written. */
static void do_generation(kw_chat *c, bool live)
{
    end_tag(c);
    block(c, live);
    close_tag(c, "endgeneration");
}

static const struct {
    const char *word;
    void (*run)(kw_chat *c, bool live);
} statements[] = {
    { "if", do_if },       { "for", do_for },           { "set", do_set },
    { "break", do_break }, { "continue", do_continue }, { "generation", do_generation },
};

static bool ends_block(kw_str word)
{
    static const char *const ends[] = {
        "elif", "else", "endif", "endfor", "endset", "endgeneration"
    };
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (kw_str_is(word, ends[i])) return true;
    return false;
}

static void statement(kw_chat *c, bool live)
{
    kw_str word = kw_chat_name(c);
    for (size_t i = 0; i < sizeof statements / sizeof *statements && !c->status; i++) {
        if (!kw_str_is(word, statements[i].word)) continue;
        statements[i].run(c, live);
        return;
    }
    kw_chat_fail(c, KW_EUNSUPPORTED, "chat template: {%% %.*s %%} is not supported yet",
                 (int)word.n, word.p);
}

static void print(kw_chat *c, bool live)
{
    const kw_json *v = kw_chat_expression(c, live);
    kw_chat_expect(c, KW_TOK_OUT_END, NULL);
    if (!live || c->status) return;
    kw_str text = kw_chat_text(c, v);
    kw_buf_bytes(c->out, text.p, text.n);
    if (c->out->status) c->status = c->out->status;
}

/* Up to the tag that ends the block, which is left for the caller, or the end of the template. */
static void block(kw_chat *c, bool live)
{
    if (++c->depth > KW_CHAT_DEPTH)
        kw_chat_fail(c, KW_ELIMIT, "chat template: nested deeper than %d", KW_CHAT_DEPTH);
    while (kw_chat_step(c) && !kw_chat_is(c, KW_TOK_END, NULL)) {
        const kw_tok *t = &c->toks[c->at];
        bool on = live && c->flow == KW_CHAT_GOES_ON;
        if (t->kind == KW_TOK_DO && ends_block(t[1].text)) break;
        c->at++;
        if (t->kind == KW_TOK_TEXT && on) kw_buf_bytes(c->out, t->text.p, t->text.n);
        else if (t->kind == KW_TOK_OUT) print(c, on);
        else if (t->kind == KW_TOK_DO) statement(c, on);
        if (c->out->status && !c->status) c->status = c->out->status;
    }
    c->depth--;
}

static void set_inputs(kw_chat *c, const kw_chat_input *in)
{
    kw_chat_set(c, KW_STR("messages"), in->messages);
    kw_chat_set(c, KW_STR("add_generation_prompt"), kw_chat_bool(c, in->add_generation_prompt));
    kw_chat_set(c, KW_STR("bos_token"), kw_chat_str(c, in->bos_token.p, in->bos_token.n));
    kw_chat_set(c, KW_STR("eos_token"), kw_chat_str(c, in->eos_token.p, in->eos_token.n));
    kw_chat_set(c, KW_STR("tools"), in->tools ? in->tools : kw_chat_new(c, KW_JSON_NULL));
    kw_chat_set(c, KW_STR("documents"), kw_chat_new(c, KW_JSON_NULL));
    for (const kw_json *e = in->extra ? in->extra->child : NULL; e; e = e->next)
        kw_chat_set(c, e->key, e);
}

kw_status kw_chat_render(kw_str template_text, const kw_chat_input *in, kw_buf *out)
{
    kw_chat *c = kw_calloc(1, sizeof *c, KW_PAY_TEXT);
    if (!c) return KW_ENOMEM;
    c->arena = KW_ARENA(KW_PAY_TEXT);
    c->out = out;
    if (!kw_chat_cut(c, template_text)) {
        set_inputs(c, in);
        block(c, true);
        if (!c->status && !kw_chat_is(c, KW_TOK_END, NULL)) {
            kw_str word = c->toks[c->at + 1].text;
            kw_chat_fail(c, KW_EFORMAT, "chat template: \"%.*s\" ends nothing", (int)word.n,
                         word.p);
        }
    }
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
