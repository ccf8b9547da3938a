/* load_hf_steps.c - the small parts of tokenizer.json: normalizer, pre-tokenizer, post-processor and decoder.
 *
 * One row a type, one function a row. What is not understood is refused by its name, because guessing would give
 * wrong ids. */
#include "text/load_hf.h"
#include "text/unicode.h"
#include <string.h>

typedef kw_status (*use_fn)(kw_tokenizer *t, const kw_json *v);
typedef struct row {
    const char *type;
    use_fn use;
} row;

enum { MAX_DEPTH = 8 };

static bool flag(const kw_json *v, const char *key, bool otherwise)
{
    const kw_json *b = kw_json_get(v, key);
    return b && b->type == KW_JSON_BOOL ? b->boolean : otherwise;
}

static kw_str text_of(const kw_json *v, const char *path)
{
    const kw_json *s = kw_json_path(v, path);
    return s && s->type == KW_JSON_STRING ? s->string : (kw_str){ NULL, 0 };
}

static kw_str keep(kw_tokenizer *t, kw_str s)
{
    return (kw_str){ kw_arena_strdup(&t->arena, s.p ? s.p : "", s.n), s.n };
}

static kw_status refuse(const char *what, kw_str name)
{
    return kw_fail(KW_EUNSUPPORTED,
                   "%s \"%.*s\" is not known\n"
                   "why: without it the ids would be wrong",
                   what, (int)(name.n < 200 ? name.n : 200), name.p ? name.p : "");
}

/* Finds the row of v's type; a Sequence is its members one after the other. */
static kw_status use_rows(kw_tokenizer *t, const kw_json *v, const char *what, const row *rows,
                          int depth)
{
    kw_str type = text_of(v, "type");
    if (kw_str_is(type, "Sequence")) {
        const kw_json *list = kw_json_path(v, "normalizers|pretokenizers|processors|decoders");
        kw_status st =
            depth == MAX_DEPTH ? kw_fail(KW_EFORMAT, "a %s nested %d deep", what, depth) : KW_OK;
        for (const kw_json *e = list && list->type == KW_JSON_ARRAY ? list->child : NULL; e && !st;
             e = e->next)
            st = use_rows(t, e, what, rows, depth + 1);
        return st;
    }
    for (; rows->type; rows++)
        if (kw_str_is(type, rows->type)) return rows->use(t, v);
    return refuse(what, type);
}

/* ---- normalizers ---- */

static kw_status norm_form(kw_tokenizer *t, const kw_json *v)
{
    static const struct {
        const char *name;
        kw_unicode_form form;
    } forms[] = { { "NFC", KW_NFC }, { "NFD", KW_NFD }, { "NFKC", KW_NFKC }, { "NFKD", KW_NFKD } };
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        if (kw_str_is(text_of(v, "type"), forms[i].name))
            return kw_tokenizer_add_norm(t, (kw_norm){ .kind = KW_NORM_FORM,
                                                       .form = (int)forms[i].form });
    return refuse("normalizer", text_of(v, "type"));
}

static kw_status norm_lower(kw_tokenizer *t, const kw_json *v)
{
    (void)v;
    return kw_tokenizer_add_norm(t, (kw_norm){ .kind = KW_NORM_LOWER });
}

static kw_status norm_accents(kw_tokenizer *t, const kw_json *v)
{
    (void)v;
    return kw_tokenizer_add_norm(t, (kw_norm){ .kind = KW_NORM_ACCENTS });
}

static kw_status norm_bert(kw_tokenizer *t, const kw_json *v)
{
    bool lower = flag(v, "lowercase", true);
    return kw_tokenizer_add_bert_norms(t,
                                       (kw_bert_options){ flag(v, "clean_text", true),
                                                          flag(v, "handle_chinese_chars", true),
                                                          flag(v, "strip_accents", lower), lower });
}

static kw_status norm_replace(kw_tokenizer *t, const kw_json *v)
{
    kw_str string = text_of(v, "pattern.String"), regex = text_of(v, "pattern.Regex");
    kw_norm n = { .kind = KW_NORM_REPLACE,
                  .from = keep(t, string),
                  .to = keep(t, text_of(v, "content")) };
    kw_status st = KW_OK;
    if (!n.from.p || !n.to.p) return KW_ENOMEM;
    if (!string.p && !regex.p) return kw_fail(KW_EFORMAT, "a Replace normalizer without pattern");
    if (!string.p && (kw_str_is(regex, "\\s+") || kw_str_is(regex, " {2,}"))) {
        n.kind = KW_NORM_COLLAPSE;
        n.form = kw_str_is(regex, " {2,}");
    } else if (!string.p) st = kw_pattern_new(regex, &n.pattern);
    if (!st) st = kw_tokenizer_add_norm(t, n);
    if (st) kw_pattern_free(n.pattern);
    return st;
}

static kw_status norm_prepend(kw_tokenizer *t, const kw_json *v)
{
    kw_norm n = { .kind = KW_NORM_PREPEND, .to = keep(t, text_of(v, "prepend")) };
    return n.to.p ? kw_tokenizer_add_norm(t, n) : KW_ENOMEM;
}

static kw_status norm_strip(kw_tokenizer *t, const kw_json *v)
{
    int form = (flag(v, "strip_left", true) ? 1 : 0) | (flag(v, "strip_right", true) ? 2 : 0);
    return kw_tokenizer_add_norm(t, (kw_norm){ .kind = KW_NORM_STRIP, .form = form });
}

static kw_status norm_charsmap(kw_tokenizer *t, const kw_json *v)
{
    kw_str blob;
    if (t->charsmap.trie.n) return kw_fail(KW_EUNSUPPORTED, "two normalizers of type Precompiled");
    kw_status st = kw_base64_decode(text_of(v, "precompiled_charsmap"), &t->arena, &blob);
    if (!st) st = kw_charsmap_open(blob, &t->charsmap);
    return st ? st : kw_tokenizer_add_norm(t, (kw_norm){ .kind = KW_NORM_CHARSMAP });
}

static const row normalizers[] = {
    { "NFC", norm_form },
    { "NFD", norm_form },
    { "NFKC", norm_form },
    { "NFKD", norm_form },
    { "Lowercase", norm_lower },
    { "StripAccents", norm_accents },
    { "BertNormalizer", norm_bert },
    { "Replace", norm_replace },
    { "Prepend", norm_prepend },
    { "Strip", norm_strip },
    { "Precompiled", norm_charsmap },
    { NULL, NULL },
};

/* ---- pre-tokenizers ---- */

static kw_status pre_bytes(kw_tokenizer *t, const kw_json *v)
{
    kw_status st = KW_OK;
    t->byte_level = true;
    if (flag(v, "add_prefix_space", true))
        st = kw_tokenizer_add_cut(t, (kw_cut){ .kind = KW_CUT_PREFIX_SPACE });
    kw_cut words = { .kind = KW_CUT_RULE, .rule = kw_rule_named("gpt-2") };
    return st || !flag(v, "use_regex", true) ? st : kw_tokenizer_add_cut(t, words);
}

static bool behavior_of(kw_str name, kw_behavior *out)
{
    static const struct {
        const char *name;
        kw_behavior value;
    } all[] = {
        { "Isolated", KW_ISOLATED },        { "Removed", KW_REMOVED },
        { "Contiguous", KW_CONTIGUOUS },    { "MergedWithPrevious", KW_WITH_PREVIOUS },
        { "MergedWithNext", KW_WITH_NEXT },
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (kw_str_is(name, all[i].name)) {
            *out = all[i].value;
            return true;
        }
    return false;
}

static kw_status pre_split(kw_tokenizer *t, const kw_json *v)
{
    kw_str string = text_of(v, "pattern.String"), regex = text_of(v, "pattern.Regex");
    kw_cut c = { .kind = KW_CUT_LITERAL, .invert = flag(v, "invert", false) };
    if (!behavior_of(text_of(v, "behavior"), &c.behavior))
        return refuse("behavior", text_of(v, "behavior"));
    if (!string.p && !regex.p) return kw_fail(KW_EFORMAT, "a Split pre-tokenizer without pattern");
    if (!string.p) return kw_tokenizer_add_cut_at(t, regex, c);
    c.literal = keep(t, string);
    return c.literal.p ? kw_tokenizer_add_cut(t, c) : KW_ENOMEM;
}

static kw_status pre_metaspace(kw_tokenizer *t, const kw_json *v)
{
    kw_str scheme = text_of(v, "prepend_scheme");
    kw_cut c = { .kind = KW_CUT_METASPACE,
                 .behavior = KW_WITH_NEXT,
                 .literal = keep(t, text_of(v, "replacement")) };
    if (!c.literal.p) return KW_ENOMEM;
    c.is_whole = !flag(v, "split", true);
    bool never = scheme.p ? kw_str_is(scheme, "never") : !flag(v, "add_prefix_space", true);
    c.prepend = never                        ? KW_PREPEND_NEVER
                : kw_str_is(scheme, "first") ? KW_PREPEND_FIRST
                                             : KW_PREPEND_ALWAYS;
    return kw_tokenizer_add_cut(t, c);
}

static kw_status add_rule(kw_tokenizer *t, const char *name, kw_behavior behavior)
{
    return kw_tokenizer_add_cut(t, (kw_cut){ .kind = KW_CUT_RULE,
                                             .rule = kw_rule_named(name),
                                             .behavior = behavior });
}

static kw_status pre_digits(kw_tokenizer *t, const kw_json *v)
{
    return add_rule(t, flag(v, "individual_digits", false) ? "digit" : "digits", KW_ISOLATED);
}

static kw_status pre_punctuation(kw_tokenizer *t, const kw_json *v)
{
    kw_behavior behavior = KW_ISOLATED;
    kw_str name = text_of(v, "behavior");
    if (name.p && !behavior_of(name, &behavior)) return refuse("behavior", name);
    return add_rule(t, "punctuation", behavior);
}

static kw_status pre_words(kw_tokenizer *t, const kw_json *v)
{
    (void)v;
    kw_status st = add_rule(t, "space", KW_REMOVED);
    return st ? st : add_rule(t, "words", KW_ISOLATED);
}

static kw_status pre_spaces(kw_tokenizer *t, const kw_json *v)
{
    (void)v;
    return add_rule(t, "space", KW_REMOVED);
}

static kw_status pre_bert(kw_tokenizer *t, const kw_json *v)
{
    (void)v;
    return kw_tokenizer_add_bert_cuts(t);
}

static const row pretokenizers[] = {
    { "ByteLevel", pre_bytes },
    { "Split", pre_split },
    { "Metaspace", pre_metaspace },
    { "Digits", pre_digits },
    { "Punctuation", pre_punctuation },
    { "Whitespace", pre_words },
    { "WhitespaceSplit", pre_spaces },
    { "BertPreTokenizer", pre_bert },
    { NULL, NULL },
};

/* ---- post-processors ---- */

static kw_status put_around(kw_tokenizer *t, bool after, int32_t id)
{
    int *n = after ? &t->n_after : &t->n_before;
    if (*n == KW_MAX_AROUND)
        return kw_fail(KW_EUNSUPPORTED, "more than %d tokens around a text", KW_MAX_AROUND);
    (after ? t->after : t->before)[(*n)++] = id;
    return KW_OK;
}

static kw_status post_template(kw_tokenizer *t, const kw_json *v)
{
    const kw_json *list = kw_json_get(v, "single");
    bool after = false;
    kw_status st = KW_OK;
    for (const kw_json *e = list && list->type == KW_JSON_ARRAY ? list->child : NULL; e && !st;
         e = e->next) {
        kw_str name = text_of(e, "SpecialToken.id");
        if (kw_json_get(e, "Sequence")) after = true;
        if (!name.p) continue;
        int32_t id = kw_tokenizer_find(t, name.p, name.n);
        st = id < 0 ? refuse("special token of the template", name) : put_around(t, after, id);
    }
    return st;
}

static kw_status put_member(kw_tokenizer *t, const kw_json *v, const char *key, bool after)
{
    const kw_json *pair = kw_json_get(v, key), *id = pair && pair->child ? pair->child->next : NULL;
    if (!id || id->type != KW_JSON_INT || id->integer < 0 || id->integer >= t->n)
        return kw_fail(KW_EFORMAT, "the post-processor's \"%s\" is no token", key);
    return put_around(t, after, (int32_t)id->integer);
}

static kw_status post_bert(kw_tokenizer *t, const kw_json *v)
{
    kw_status st = put_member(t, v, "cls", false);
    return st ? st : put_member(t, v, "sep", true);
}

static kw_status post_bytes(kw_tokenizer *t, const kw_json *v)
{
    (void)t;
    (void)v;
    return KW_OK; /* changes offsets, not ids */
}

static const row processors[] = {
    { "TemplateProcessing", post_template },
    { "BertProcessing", post_bert },
    { "RobertaProcessing", post_bert },
    { "ByteLevel", post_bytes },
    { NULL, NULL },
};

/* ---- decoders ---- */

static kw_status decode_nothing(kw_tokenizer *t, const kw_json *v)
{
    (void)t;
    (void)v;
    return KW_OK; /* done for the model's tokens when they are read */
}

static kw_status decode_replace(kw_tokenizer *t, const kw_json *v)
{
    kw_str from = text_of(v, "pattern.String"), to = text_of(v, "content");
    if (!from.n || !kw_str_is(to, " ")) return refuse("decoder that replaces by", to);
    t->space = keep(t, from).p;
    return t->space ? KW_OK : KW_ENOMEM;
}

static kw_status decode_metaspace(kw_tokenizer *t, const kw_json *v)
{
    t->space = keep(t, text_of(v, "replacement")).p;
    if (!t->space) return KW_ENOMEM;
    kw_str scheme = text_of(v, "prepend_scheme");
    t->drops_first_space =
        scheme.p ? !kw_str_is(scheme, "never") : flag(v, "add_prefix_space", true);
    return KW_OK;
}

static kw_status decode_strip(kw_tokenizer *t, const kw_json *v)
{
    const kw_json *start = kw_json_get(v, "start"), *stop = kw_json_get(v, "stop");
    bool is_usual = kw_str_is(text_of(v, "content"), " ") && start && start->integer == 1 && stop &&
                    stop->integer == 0;
    if (!is_usual)
        return kw_fail(KW_EUNSUPPORTED, "a Strip decoder other than of one leading space");
    t->drops_first_space = true;
    return KW_OK;
}

static kw_status decode_wordpiece(kw_tokenizer *t, const kw_json *v)
{
    t->joins_words = true;
    t->cleans_up = flag(v, "cleanup", true);
    return KW_OK;
}

static const row decoders[] = {
    { "ByteLevel", decode_nothing },    { "Replace", decode_replace },
    { "ByteFallback", decode_nothing }, { "Fuse", decode_nothing },
    { "Metaspace", decode_metaspace },  { "Strip", decode_strip },
    { "WordPiece", decode_wordpiece },  { NULL, NULL },
};

static bool is_there(const kw_json *v) { return v && v->type == KW_JSON_OBJECT; }

kw_status kw_hf_use_normalizer(kw_tokenizer *t, const kw_json *v)
{
    return is_there(v) ? use_rows(t, v, "normalizer", normalizers, 0) : KW_OK;
}

kw_status kw_hf_use_pretokenizer(kw_tokenizer *t, const kw_json *v)
{
    return is_there(v) ? use_rows(t, v, "pre-tokenizer", pretokenizers, 0) : KW_OK;
}

kw_status kw_hf_use_processor(kw_tokenizer *t, const kw_json *v)
{
    kw_status st = is_there(v) ? use_rows(t, v, "post-processor", processors, 0) : KW_OK;
    if (st) return st;
    if (t->n_before) t->special.bos = t->before[0];
    if (t->n_after) t->special.eos = t->after[0];
    t->special.adds_bos = t->n_before > 0;
    t->special.adds_eos = t->n_after > 0;
    return KW_OK;
}

kw_status kw_hf_use_decoder(kw_tokenizer *t, const kw_json *v)
{
    t->specials_are_text = true;
    t->space = "";
    if (is_there(v)) return use_rows(t, v, "decoder", decoders, 0);
    t->joins_words = !t->byte_level;
    return KW_OK;
}
