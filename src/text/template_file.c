/* template_file.c - where chat templates come from: tokenizer_config.json, a template's own file, or a tokenizer.
 *
 * Transformers keeps the template and the texts of BOS and EOS in tokenizer_config.json, newer folders in
 * chat_template.jinja beside it; a GGUF file carries them itself. */
#include "text/internal.h"
#include <string.h>

enum { MAX_FILE = 64 << 20 };

struct kw_template {
    kw_arena arena;
    const char *text, *bos, *eos; /* NULL: the file says nothing of it */
};

/* A token as text, or as an object with content. */
static kw_str config_token(const kw_json *root, const char *key)
{
    const kw_json *v = kw_json_get(root, key);
    if (v && v->type == KW_JSON_OBJECT) v = kw_json_get(v, "content");
    return v && v->type == KW_JSON_STRING ? v->string : (kw_str){ NULL, 0 };
}

/* A template as text, or the one called "default" of a list. */
static kw_str config_template(const kw_json *root)
{
    const kw_json *v = kw_json_get(root, "chat_template");
    if (v && v->type == KW_JSON_STRING) return v->string;
    for (const kw_json *e = v && v->type == KW_JSON_ARRAY ? v->child : NULL; e; e = e->next) {
        const kw_json *name = kw_json_get(e, "name"), *text = kw_json_get(e, "template");
        if (name && text && text->type == KW_JSON_STRING && kw_str_is(name->string, "default"))
            return text->string;
    }
    return (kw_str){ NULL, 0 };
}

static kw_status keep_template(kw_tokenizer *t, kw_str text)
{
    char *kept = kw_arena_strdup(&t->arena, text.p, text.n);
    if (!kept) return KW_ENOMEM;
    t->chat_template = (kw_str){ kept, text.n };
    return KW_OK;
}

static void take_special(const kw_tokenizer *t, kw_str text, int32_t *id)
{
    int32_t found = text.p ? kw_tokenizer_find(t, text.p, text.n) : -1;
    if (found >= 0) *id = found;
}

kw_status kw_load_tokenizer_config(kw_tokenizer *t, const char *path)
{
    kw_json *root = NULL;
    kw_arena trees = KW_ARENA(KW_PAY_TEXT);
    kw_status st = kw_json_read_file(path, MAX_FILE, &trees, &root);
    if (!st) {
        kw_str chat = config_template(root);
        take_special(t, config_token(root, "bos_token"), &t->special.bos);
        take_special(t, config_token(root, "eos_token"), &t->special.eos);
        if (chat.p) st = kw_note(keep_template(t, chat), "%s", path);
    }
    kw_arena_free(&trees);
    return st;
}

kw_status kw_load_template_file(kw_tokenizer *t, const char *path)
{
    char *text = NULL;
    size_t len;
    kw_status st = kw_file_read(path, MAX_FILE, &text, &len);
    if (!st) st = keep_template(t, (kw_str){ text, len });
    kw_free(text);
    return st;
}

/* ---- a template by itself ---- */

static const char *keep(kw_template *t, kw_str text)
{
    return text.p ? kw_arena_strdup(&t->arena, text.p, text.n) : NULL;
}

static kw_str piece_of(const kw_tokenizer *tokenizer, int32_t id)
{
    kw_str piece = { NULL, 0 };
    if (id >= 0) piece.p = kw_tokenizer_piece(tokenizer, id, &piece.n);
    return piece;
}

static kw_status from_tokenizer(kw_template *t, const char *path)
{
    kw_tokenizer *tokenizer = NULL;
    kw_status st = kw_tokenizer_open(path, &tokenizer);
    if (st) return st;
    kw_special_ids special = kw_tokenizer_special(tokenizer);
    t->text = keep(t, tokenizer->chat_template);
    t->bos = keep(t, piece_of(tokenizer, special.bos));
    t->eos = keep(t, piece_of(tokenizer, special.eos));
    kw_tokenizer_close(tokenizer);
    return KW_OK;
}

/* JSON begins with a brace and a quote or space; a template's brace is followed by %, # or another brace. */
static bool is_json(const char *text, size_t len)
{
    return len > 1 && text[0] == '{' && !strchr("%#{", text[1]);
}

static kw_status from_text(kw_template *t, const char *text, size_t len)
{
    kw_json *root = NULL;
    if (!is_json(text, len)) {
        t->text = keep(t, (kw_str){ text, len });
        return KW_OK;
    }
    kw_status st = kw_json_parse(text, len, &t->arena, &root);
    if (st) return st;
    t->text = keep(t, config_template(root));
    t->bos = keep(t, config_token(root, "bos_token"));
    t->eos = keep(t, config_token(root, "eos_token"));
    return KW_OK;
}

static bool is_tokenizer(const char *path, kw_str text)
{
    bool binary = text.n && memchr(text.p, 0, text.n);
    return kw_path_is_dir(path) || binary || kw_str_ends(kw_str_of(path), "tokenizer.json");
}

kw_status kw_template_open(const char *path, kw_template **out)
{
    kw_file f = { .fd = -1 };
    kw_status st = kw_path_is_dir(path) ? KW_OK : kw_file_open(path, (kw_file_options){ 0 }, &f);
    kw_template *t = st ? NULL : kw_calloc(1, sizeof *t, KW_PAY_TEXT);
    *out = NULL;
    if (!st && !t) st = KW_ENOMEM;
    if (!st) {
        t->arena = KW_ARENA(KW_PAY_TEXT);
        kw_str text = { (const char *)f.data, f.size };
        kw_str head = { text.p, text.n < 4096 ? text.n : 4096 };
        if (is_tokenizer(path, head)) st = from_tokenizer(t, path);
        else if (f.size > MAX_FILE)
            st = kw_fail(KW_ELIMIT, "%s has %zu bytes: too long for a template", path, f.size);
        else
            st = f.size ? kw_note(from_text(t, text.p, text.n), "%s", path)
                        : kw_fail(KW_EFORMAT, "%s is empty", path);
    }
    if (f.data) kw_file_close(&f);
    if (st) kw_template_close(t);
    else *out = t;
    return st;
}

void kw_template_close(kw_template *t)
{
    if (!t) return;
    kw_arena_free(&t->arena);
    kw_free(t);
}

kw_template_parts kw_template_describe(const kw_template *t)
{
    return (kw_template_parts){ .text = t->text,
                                .bos = t->bos ? t->bos : "",
                                .eos = t->eos ? t->eos : "" };
}
