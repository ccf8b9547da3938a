/* load_hf.c - Hugging Face's tokenizer.json (BPE models).
 *
 * A tree of the whole file would be simple and slow: vocabularies and merges are read straight from the pull reader.
 * Everything small (normalizer, pre-tokenizer, post-processor) is kept as a tree and looked at afterwards. What is not
 * understood is refused by its name, because guessing would give wrong ids. */
#include "text/internal.h"
#include <stdio.h>
#include <string.h>

enum { MAX_FILE = 256 << 20 };

typedef struct hf {
    kw_tokenizer *t;
    kw_arena trees;
    kw_json *normalizer, *pre, *post, *decoder, *added;
    kw_map vocab; /* token -> id, while the number of ids is not known */
    int64_t max_id;
    const char *merges; /* where the merges begin in the file */
    const char *end;
    bool is_bpe, byte_fallback, ignore_merges;
    kw_str unk;
} hf;

static kw_status keep(hf *h, kw_str s, kw_str *out)
{
    out->p = kw_arena_strdup(&h->t->arena, s.p, s.n);
    out->n = s.n;
    return out->p ? KW_OK : KW_ENOMEM;
}

static kw_status read_vocab(hf *h, kw_json_reader *r)
{
    kw_str key, kept;
    int64_t id;
    kw_json_enter_object(r);
    while (kw_json_next_key(r, &key)) {
        kw_status st = keep(h, key, &kept);
        if (st) return st;
        if (!kw_json_int(r, &id)) break;
        if (id < 0 || id > 0x7ffffff)
            return kw_fail(KW_EFORMAT, "token \"%.*s\" has id %lld", (int)kept.n, kept.p,
                           (long long)id);
        st = kw_map_put(&h->vocab, kept, id);
        if (st) return st;
        h->max_id = id > h->max_id ? id : h->max_id;
    }
    return r->status;
}

static kw_status read_model(hf *h, kw_json_reader *r)
{
    kw_str key, type = { 0 }, text;
    kw_status st = KW_OK;
    kw_json_enter_object(r);
    while (!st && kw_json_next_key(r, &key)) {
        if (kw_str_is(key, "vocab") && kw_json_peek(r) == KW_JSON_OBJECT) st = read_vocab(h, r);
        else if (kw_str_is(key, "merges")) {
            h->merges = r->at;
            kw_json_skip(r);
        } else if (kw_str_is(key, "type") && kw_json_string(r, &text)) st = keep(h, text, &type);
        else if (kw_str_is(key, "byte_fallback")) kw_json_bool(r, &h->byte_fallback);
        else if (kw_str_is(key, "ignore_merges")) kw_json_bool(r, &h->ignore_merges);
        else if (kw_str_is(key, "unk_token") && kw_json_peek(r) == KW_JSON_STRING) {
            if (kw_json_string(r, &text)) st = keep(h, text, &h->unk);
        } else kw_json_skip(r);
    }
    if (!st) st = r->status;
    h->is_bpe = type.n == 0 || kw_str_is(type, "BPE");
    if (!st && !h->is_bpe)
        return kw_fail(KW_EUNSUPPORTED, "a tokenizer model of type %.*s: only BPE is read yet",
                       (int)type.n, type.p);
    return st;
}

static kw_status read_file(hf *h, kw_json_reader *r)
{
    kw_str key;
    kw_status st = KW_OK;
    kw_json_enter_object(r);
    while (!st && kw_json_next_key(r, &key)) {
        if (kw_str_is(key, "model")) st = read_model(h, r);
        else if (kw_str_is(key, "added_tokens")) st = kw_json_read_tree(r, &h->trees, &h->added);
        else if (kw_str_is(key, "normalizer")) st = kw_json_read_tree(r, &h->trees, &h->normalizer);
        else if (kw_str_is(key, "pre_tokenizer")) st = kw_json_read_tree(r, &h->trees, &h->pre);
        else if (kw_str_is(key, "post_processor")) st = kw_json_read_tree(r, &h->trees, &h->post);
        else if (kw_str_is(key, "decoder")) st = kw_json_read_tree(r, &h->trees, &h->decoder);
        else kw_json_skip(r);
    }
    if (!st) st = r->status;
    if (!st && h->vocab.n == 0)
        return kw_fail(KW_EFORMAT, "the file has no model.vocab: is it a tokenizer.json?");
    return st;
}

/* ---- tokens ---- */

static bool flag(const kw_json *object, const char *key)
{
    const kw_json *v = kw_json_get(object, key);
    return v && v->type == KW_JSON_BOOL && v->boolean;
}

static kw_str type_of(const kw_json *v)
{
    const kw_json *type = v ? kw_json_get(v, "type") : NULL;
    return type && type->type == KW_JSON_STRING ? type->string : (kw_str){ "", 0 };
}

static kw_status add_tokens(hf *h)
{
    const kw_json *a = h->added && h->added->type == KW_JSON_ARRAY ? h->added->child : NULL;
    for (const kw_json *e = a; e; e = e->next) {
        const kw_json *id = kw_json_get(e, "id");
        if (id && id->type == KW_JSON_INT && id->integer > h->max_id) h->max_id = id->integer;
    }
    if (h->max_id > (int64_t)h->vocab.n + 100000)
        return kw_fail(KW_EFORMAT, "the largest id is %lld with %zu tokens", (long long)h->max_id,
                       h->vocab.n);
    kw_status st = kw_tokenizer_reserve(h->t, (size_t)h->max_id + 1);
    for (size_t i = 0; i < h->vocab.n && !st; i++)
        h->t->tokens[h->vocab.entries[i].value].text = h->vocab.entries[i].key;
    for (const kw_json *e = a; e && !st; e = e->next) {
        const kw_json *id = kw_json_get(e, "id"), *content = kw_json_get(e, "content");
        if (!id || id->type != KW_JSON_INT || id->integer < 0 || !content ||
            content->type != KW_JSON_STRING)
            return kw_fail(KW_EFORMAT, "an added token without id or content");
        kw_token *k = &h->t->tokens[id->integer];
        st = keep(h, content->string, &k->text);
        k->type = flag(e, "special") ? KW_TOKEN_CONTROL : KW_TOKEN_USER;
        k->strip_left = flag(e, "lstrip");
        k->strip_right = flag(e, "rstrip");
    }
    return st;
}

/* ---- pre-tokenizers ---- */

static kw_status push_pretok(hf *h, const kw_pretok *p, kw_str what)
{
    if (!p)
        return kw_fail(KW_EUNSUPPORTED, "pre-tokenizer \"%.*s\" is not known",
                       (int)(what.n < 200 ? what.n : 200), what.p);
    if (h->t->n_pretoks == KW_MAX_PRETOKS)
        return kw_fail(KW_EUNSUPPORTED, "more than %d pre-tokenizers in a row", KW_MAX_PRETOKS);
    h->t->pretoks[h->t->n_pretoks++] = p;
    return KW_OK;
}

static kw_status use_pre(hf *h, const kw_json *v, int depth)
{
    kw_str type = type_of(v);
    if (kw_str_is(type, "Sequence") && depth < 4) {
        const kw_json *list = kw_json_get(v, "pretokenizers");
        kw_status st = KW_OK;
        for (const kw_json *e = list ? list->child : NULL; e && !st; e = e->next)
            st = use_pre(h, e, depth + 1);
        return st;
    }
    if (kw_str_is(type, "ByteLevel")) {
        const kw_json *regex = kw_json_get(v, "use_regex");
        if (flag(v, "add_prefix_space")) h->t->add_prefix_space = true;
        bool plain = regex && regex->type == KW_JSON_BOOL && !regex->boolean;
        return plain ? KW_OK : push_pretok(h, kw_pretok_named(KW_STR("gpt-2")), type);
    }
    if (kw_str_is(type, "Digits") && flag(v, "individual_digits"))
        return push_pretok(h, kw_pretok_named(KW_STR("digits")), type);
    const kw_json *regex = kw_json_path(v, "pattern.Regex");
    if (kw_str_is(type, "Split") && regex && regex->type == KW_JSON_STRING)
        return push_pretok(h, kw_pretok_of_pattern(regex->string), regex->string);
    return push_pretok(h, NULL, type);
}

/* ---- the rest ---- */

static bool is_sentencepiece(const hf *h) { return h->byte_fallback; }

static kw_status use_normalizer(const hf *h)
{
    kw_str type = type_of(h->normalizer);
    h->t->nfc = kw_str_is(type, "NFC");
    if (type.n == 0 || is_sentencepiece(h) || h->t->nfc) return KW_OK;
    return kw_fail(KW_EUNSUPPORTED, "normalizer \"%.*s\" is not supported yet", (int)type.n,
                   type.p);
}

/* Which special tokens a template puts before and after a single text. */
static void read_template(hf *h, const kw_json *v)
{
    const kw_json *list = kw_json_get(v, "single");
    bool after = false;
    for (const kw_json *e = list && list->type == KW_JSON_ARRAY ? list->child : NULL; e;
         e = e->next) {
        const kw_json *special = kw_json_path(e, "SpecialToken.id");
        if (kw_json_get(e, "Sequence")) after = true;
        if (!special || special->type != KW_JSON_STRING) continue;
        int32_t id = kw_tokenizer_find(h->t, special->string.p, special->string.n);
        if (after) h->t->special.eos = id, h->t->special.adds_eos = true;
        else h->t->special.bos = id, h->t->special.adds_bos = true;
    }
}

static void read_post(hf *h, const kw_json *v)
{
    kw_str type = type_of(v);
    if (kw_str_is(type, "TemplateProcessing")) read_template(h, v);
    const kw_json *list = kw_str_is(type, "Sequence") ? kw_json_get(v, "processors") : NULL;
    for (const kw_json *e = list ? list->child : NULL; e; e = e->next)
        if (kw_str_is(type_of(e), "TemplateProcessing")) read_template(h, e);
}

static kw_status read_merges(hf *h)
{
    kw_json_reader r;
    kw_str text, half[2];
    kw_status st = KW_OK;
    size_t n = 0;
    if (!h->merges) return kw_fail(KW_EFORMAT, "the file has no model.merges");
    kw_json_open(&r, h->merges, (size_t)(h->end - h->merges));
    kw_json_enter_array(&r);
    while (kw_json_next_item(&r) && kw_json_skip(&r)) n++;
    kw_json_close(&r);
    if (!r.status) st = kw_bpe_reserve_merges(h->t, n);
    kw_json_open(&r, h->merges, (size_t)(h->end - h->merges));
    kw_json_enter_array(&r);
    for (uint32_t rank = 0; !st && kw_json_next_item(&r); rank++) {
        char left[512];
        if (kw_json_peek(&r) == KW_JSON_ARRAY) {
            kw_json_enter_array(&r);
            if (!kw_json_next_item(&r) || !kw_json_string(&r, &half[0]) || half[0].n > sizeof left)
                break;
            memcpy(left, half[0].p, half[0].n);
            half[0].p = left;
            if (!kw_json_next_item(&r) || !kw_json_string(&r, &half[1]) || kw_json_next_item(&r))
                break;
        } else {
            if (!kw_json_string(&r, &text)) break;
            const char *space = text.n > 1 ? memchr(text.p + 1, ' ', text.n - 1) : NULL;
            if (!space) return kw_fail(KW_EFORMAT, "merge %u has no two halves", rank);
            half[0] = (kw_str){ text.p, (size_t)(space - text.p) };
            half[1] = (kw_str){ space + 1, text.n - half[0].n - 1 };
        }
        st = kw_bpe_add_merge(h->t, half[0], half[1], rank);
    }
    if (!st) st = r.status;
    kw_json_close(&r);
    return st;
}

static kw_status assemble(hf *h)
{
    kw_tokenizer *t = h->t;
    kw_status st = use_normalizer(h);
    if (is_sentencepiece(h))
        return kw_fail(KW_EUNSUPPORTED,
                       "a tokenizer.json of SentencePiece style (byte_fallback) is not read yet");
    t->model = KW_VOCAB_BPE;
    t->ignore_merges = h->ignore_merges;
    if (!st) st = add_tokens(h);
    if (!st && h->pre && h->pre->type == KW_JSON_OBJECT) st = use_pre(h, h->pre, 0);
    if (!st) st = kw_tokenizer_finish(t);
    if (!st && h->post && h->post->type == KW_JSON_OBJECT) read_post(h, h->post);
    if (!st && h->unk.n) t->special.unk = kw_tokenizer_find(t, h->unk.p, h->unk.n);
    snprintf(t->kind, sizeof t->kind, "BPE (tokenizer.json)");
    return st ? st : read_merges(h);
}

kw_status kw_parse_tokenizer_json(kw_tokenizer *t, const char *text, size_t len)
{
    hf h = { .t = t,
             .trees = KW_ARENA(KW_PAY_TEXT),
             .vocab = KW_MAP(KW_PAY_TEXT),
             .end = text + len,
             .max_id = -1 };
    kw_json_reader r;
    kw_json_open(&r, text, len);
    kw_status st = read_file(&h, &r);
    kw_json_close(&r);
    if (!st) st = assemble(&h);
    kw_map_free(&h.vocab);
    kw_arena_free(&h.trees);
    return st;
}

kw_status kw_load_tokenizer_json(kw_tokenizer *t, const char *path)
{
    char *text = NULL;
    size_t len;
    kw_status st = kw_file_read(path, MAX_FILE, &text, &len);
    if (!st) st = kw_note(kw_parse_tokenizer_json(t, text, len), "%s", path);
    kw_free(text);
    return st;
}
