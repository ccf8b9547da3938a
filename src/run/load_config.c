/* load_config.c - fills a family's config struct from its table of fields, and has the family check it.
 *
 * A Hugging Face file answers by a path in config.json, a GGUF file by "<architecture>.<key>". An absent optional field
 * keeps its default; a field of the wrong type is an error that names it. */
#include "run/run.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

/* A field's value before it is put in its place. */
typedef struct answer {
    bool has, is_number;
    double number;
    kw_str word;
    const kw_json *json; /* where it stands, for lists */
    const kw_meta *meta;
} answer;

static answer from_json(const kw_model *m, const kw_field *f)
{
    answer a = { 0 };
    const kw_json *v = f->json ? kw_json_path(kw_checkpoint_config(m->ck), f->json) : NULL,
                  *more = kw_checkpoint_generation_config(m->ck);
    if (!v && f->json && more) v = kw_json_path(more, f->json); /* newer files move ids there */
    if (!v) return a;
    a.has = true;
    a.json = v;
    a.is_number = v->type == KW_JSON_INT || v->type == KW_JSON_FLOAT || v->type == KW_JSON_BOOL;
    a.number = v->type == KW_JSON_BOOL ? v->boolean : v->number;
    if (v->type == KW_JSON_STRING) a.word = v->string;
    return a;
}

/* An array with one number per layer counts as a number when all are equal. */
static void from_array(const kw_meta *v, answer *a)
{
    kw_meta_walk w = kw_meta_items(v);
    double first, next;
    if (!kw_meta_next_number(&w, &first, NULL)) return;
    while (kw_meta_next_number(&w, &next, NULL))
        if (next != first) return;
    a->is_number = true;
    a->number = first;
}

const kw_meta *kw_meta_of_arch(const kw_checkpoint *ck, kw_str arch, const char *key)
{
    char name[160];
    if (arch.n + strlen(key) + 2 > sizeof name) return NULL;
    snprintf(name, sizeof name, "%.*s.%s", (int)arch.n, arch.p, key);
    return kw_checkpoint_meta(ck, name);
}

static answer from_meta(const kw_model *m, const kw_field *f)
{
    answer a = { 0 };
    const kw_meta *v = f->gguf ? kw_meta_of_arch(m->ck, m->arch, f->gguf) : NULL;
    if (!v) return a;
    a.has = true;
    a.meta = v;
    a.is_number = v->type == KW_META_INT || v->type == KW_META_FLOAT || v->type == KW_META_BOOL;
    a.number = v->type == KW_META_INT || v->type == KW_META_BOOL ? (double)v->integer : v->number;
    if (v->type == KW_META_STRING) a.word = v->string;
    if (v->type == KW_META_ARRAY) from_array(v, &a);
    return a;
}

bool kw_config_has(const void *model, const char *key)
{
    answer a = from_meta(model, &(kw_field){ .gguf = key });
    return a.is_number && a.number > 0;
}

static const char *name_of(const kw_model *m, const kw_field *f)
{
    const char *name = kw_checkpoint_naming(m->ck) == KW_NAMING_GGUF ? f->gguf : f->json;
    return name ? name : f->json ? f->json : f->gguf;
}

static kw_status put_word(const kw_model *m, const kw_field *f, const answer *a, char *at)
{
    if (!a->has) return KW_OK;
    if (!a->word.p || a->word.n >= KW_WORD_MAX)
        return kw_fail(KW_EFORMAT, "config: %s is not a word of at most %d letters", name_of(m, f),
                       KW_WORD_MAX - 1);
    memcpy(at, a->word.p, a->word.n);
    at[a->word.n] = 0;
    return KW_OK;
}

/* ---- lists ---- */

static kw_status not_a_list(const kw_model *m, const kw_field *f, const char *of)
{
    return kw_fail(KW_EFORMAT, "config: %s is not a list of at most %d %s", name_of(m, f),
                   KW_LIST_MAX, of);
}

/* Number i of the answer; false when it is none. */
static bool next_number(const answer *a, const kw_json **item, kw_meta_walk *w, double *v)
{
    if (a->meta) return kw_meta_next_number(w, v, NULL);
    const kw_json *at = *item;
    if (at->type != KW_JSON_INT && at->type != KW_JSON_FLOAT) return false;
    *v = at->number;
    *item = at->next;
    return true;
}

static kw_status put_floats(kw_model *m, const kw_field *f, const answer *a, kw_floats *out)
{
    bool is_list = a->meta   ? a->meta->type == KW_META_ARRAY
                   : a->json ? a->json->type == KW_JSON_ARRAY
                             : false;
    if (!a->has) return KW_OK;
    uint64_t n = !is_list ? 1 : a->meta ? a->meta->n_items : a->json->n;
    if ((!is_list && !a->is_number) || n > KW_LIST_MAX) return not_a_list(m, f, "numbers");
    float *at = kw_arena_alloc(&m->arena, (size_t)n + 1, sizeof *at);
    if (!at) return KW_ENOMEM;
    at[0] = (float)a->number;
    const kw_json *item = a->json ? a->json->child : NULL;
    kw_meta_walk w = { 0 };
    if (is_list && a->meta) w = kw_meta_items(a->meta);
    for (uint64_t i = 0; i < n; i++) {
        double v = a->number;
        if (is_list && !next_number(a, &item, &w, &v)) return not_a_list(m, f, "numbers");
        at[i] = (float)v;
        if (!isfinite(at[i])) return not_a_list(m, f, "finite numbers");
    }
    *out = (kw_floats){ at, (int)n };
    return KW_OK;
}

static kw_status put_words(kw_model *m, const kw_field *f, const answer *a, kw_words *out)
{
    if (!a->has) return KW_OK;
    if (!a->json || a->json->type != KW_JSON_ARRAY || a->json->n > KW_LIST_MAX)
        return not_a_list(m, f, "words");
    kw_str *at = kw_arena_alloc(&m->arena, a->json->n + 1, sizeof *at);
    if (!at) return KW_ENOMEM;
    *out = (kw_words){ at, (int)a->json->n };
    for (const kw_json *item = a->json->child; item; item = item->next) {
        if (item->type != KW_JSON_STRING) return not_a_list(m, f, "words");
        *at++ = item->string;
    }
    return KW_OK;
}

static kw_status put_field(kw_model *m, const kw_field *f, answer a)
{
    char *at = (char *)m->config + f->at;
    if (f->type == KW_FIELD_WORD) return put_word(m, f, &a, at);
    if (f->type == KW_FIELD_FLOATS) return put_floats(m, f, &a, (kw_floats *)(void *)at);
    if (f->type == KW_FIELD_WORDS) return put_words(m, f, &a, (kw_words *)(void *)at);
    if (!a.has && f->required) return kw_fail(KW_EFORMAT, "config: %s is missing", name_of(m, f));
    if (a.has && (!a.is_number || !isfinite(a.number)))
        return kw_fail(KW_EFORMAT, "config: %s is not a number", name_of(m, f));
    double v = a.has ? a.number : f->dflt;
    if (f->type == KW_FIELD_INT) {
        if (v != floor(v) || v < -2147483648.0 || v > 2147483647.0)
            return kw_fail(KW_EFORMAT, "config: %s is %g, expected a whole number", name_of(m, f),
                           v);
        memcpy(at, &(int){ (int)v }, sizeof(int));
    }
    if (f->type == KW_FIELD_FLOAT) memcpy(at, &v, sizeof v);
    if (f->type == KW_FIELD_BOOL) memcpy(at, &(bool){ v != 0 }, sizeof(bool));
    return KW_OK;
}

kw_status kw_load_config(kw_model *m)
{
    bool is_gguf = kw_checkpoint_naming(m->ck) == KW_NAMING_GGUF;
    m->config = kw_arena_alloc(&m->arena, 1, m->family->config_size);
    if (!m->config) return KW_ENOMEM;
    for (const kw_field *f = m->family->fields[0]; f; f = kw_field_after(m->family, f)) {
        kw_status st = put_field(m, f, is_gguf ? from_meta(m, f) : from_json(m, f));
        if (st) return st;
    }
    m->config->one = 1;
    m->config->from_gguf = is_gguf;
    m->config->interleaved = is_gguf && m->family->archs[m->member].gguf_interleaved;
    return m->family->check(m->config);
}
