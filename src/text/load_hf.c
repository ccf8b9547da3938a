/* load_hf.c - Hugging Face's tokenizer.json: models of type BPE, Unigram and WordPiece.
 *
 * A tree of the whole file would be simple and slow: vocabularies and merges are read straight from the pull reader.
 * Everything small (normalizer, pre-tokenizer, post-processor, decoder) is kept as a tree and looked at afterwards by
 * load_hf_steps.c. What is not understood is refused by its name, because guessing would give wrong ids. */
#include "text/load_hf.h"
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
    const char *scores; /* and the list of pieces of a Unigram model */
    const char *end;
    kw_str type, unk, suffix, prefix;
    int64_t unk_id, max_word;
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

/* A Unigram model's list of [piece, score]; ids are places. */
static kw_status read_pieces(hf *h, kw_json_reader *r)
{
    kw_str piece, kept;
    kw_json_enter_array(r);
    while (kw_json_next_item(r)) {
        kw_json_enter_array(r);
        if (!kw_json_next_item(r) || !kw_json_string(r, &piece)) break;
        kw_status st = keep(h, piece, &kept);
        if (!st)
            st = kw_map_put(&h->vocab, kept, ++h->max_id); /* the last of equal pieces counts */
        if (st) return st;
        if (!kw_json_next_item(r) || !kw_json_skip(r) || kw_json_next_item(r)) break;
    }
    return r->status;
}

static bool read_text(hf *h, kw_json_reader *r, kw_str *out, kw_status *st)
{
    kw_str text;
    if (kw_json_peek(r) != KW_JSON_STRING) return kw_json_skip(r);
    if (kw_json_string(r, &text)) *st = keep(h, text, out);
    return *st == KW_OK;
}

static bool read_int(kw_json_reader *r, int64_t *out)
{
    return kw_json_peek(r) == KW_JSON_INT ? kw_json_int(r, out) : kw_json_skip(r);
}

static bool read_flag(kw_json_reader *r, bool *out)
{
    return kw_json_peek(r) == KW_JSON_BOOL ? kw_json_bool(r, out) : kw_json_skip(r);
}

static kw_status read_member(hf *h, kw_json_reader *r, kw_str key)
{
    kw_tokenizer *t = h->t;
    kw_status st = KW_OK;
    if (kw_str_is(key, "vocab") && kw_json_peek(r) == KW_JSON_OBJECT) return read_vocab(h, r);
    if (kw_str_is(key, "vocab") && kw_json_peek(r) == KW_JSON_ARRAY) {
        h->scores = r->at;
        return read_pieces(h, r);
    }
    if (kw_str_is(key, "merges")) {
        h->merges = r->at;
        kw_json_skip(r);
    } else if (kw_str_is(key, "type")) read_text(h, r, &h->type, &st);
    else if (kw_str_is(key, "unk_token")) read_text(h, r, &h->unk, &st);
    else if (kw_str_is(key, "end_of_word_suffix")) read_text(h, r, &t->suffix, &st);
    else if (kw_str_is(key, "continuing_subword_prefix")) read_text(h, r, &t->prefix, &st);
    else if (kw_str_is(key, "byte_fallback")) read_flag(r, &t->byte_fallback);
    else if (kw_str_is(key, "ignore_merges")) read_flag(r, &t->ignore_merges);
    else if (kw_str_is(key, "fuse_unk")) read_flag(r, &t->fuse_unk);
    else if (kw_str_is(key, "unk_id")) read_int(r, &h->unk_id);
    else if (kw_str_is(key, "max_input_chars_per_word")) read_int(r, &h->max_word);
    else kw_json_skip(r);
    return st;
}

static kw_status read_model(hf *h, kw_json_reader *r)
{
    kw_str key;
    kw_status st = KW_OK;
    kw_json_enter_object(r);
    while (!st && kw_json_next_key(r, &key)) st = read_member(h, r, key);
    return st ? st : r->status;
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

static kw_status same_id(kw_str a, kw_str b, int64_t id)
{
    return kw_fail(KW_EFORMAT, "tokens \"%.*s\" and \"%.*s\" have the same id %lld", (int)a.n, a.p,
                   (int)b.n, b.p, (long long)id);
}

static kw_status put_pieces(hf *h)
{
    for (size_t i = 0; i < h->vocab.n; i++) {
        kw_str piece = h->vocab.entries[i].key;
        kw_token *k = &h->t->tokens[h->vocab.entries[i].value];
        if (k->text.p) return same_id(k->text, piece, h->vocab.entries[i].value);
        *k = (kw_token){ .text = piece, .type = KW_TOKEN_NORMAL, .is_piece = true };
    }
    return KW_OK;
}

static kw_status add_token(hf *h, const kw_json *e)
{
    const kw_json *id = kw_json_get(e, "id"), *content = kw_json_get(e, "content");
    if (!id || id->type != KW_JSON_INT || !content || content->type != KW_JSON_STRING)
        return kw_fail(KW_EFORMAT, "an added token without id or content");
    if (id->integer < 0)
        return kw_fail(KW_EFORMAT, "added token \"%.*s\" has id %lld", (int)content->string.n,
                       content->string.p, (long long)id->integer);
    kw_token *k = &h->t->tokens[id->integer];
    if (k->is_added && !kw_str_eq(k->text, content->string))
        return same_id(k->text, content->string, id->integer);
    k->type = flag(e, "special") ? KW_TOKEN_CONTROL : KW_TOKEN_USER;
    k->is_added = true;
    k->strip_left = flag(e, "lstrip");
    k->strip_right = flag(e, "rstrip");
    k->single_word = flag(e, "single_word");
    k->normalized = flag(e, "normalized");
    return keep(h, content->string, &k->text);
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
    if (!st) st = put_pieces(h);
    for (const kw_json *e = a; e && !st; e = e->next) st = add_token(h, e);
    return st;
}

/* ---- the model ---- */

static kw_status bad_merge(kw_json_reader *r, uint32_t rank)
{
    kw_status st = r->status;
    kw_json_close(r);
    return st ? st : kw_fail(KW_EFORMAT, "merge %u is not two halves of at most 512 bytes", rank);
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
    else return r.status;
    kw_json_open(&r, h->merges, (size_t)(h->end - h->merges));
    kw_json_enter_array(&r);
    for (uint32_t rank = 0; !st && kw_json_next_item(&r); rank++) {
        char left[512];
        if (kw_json_peek(&r) == KW_JSON_ARRAY) {
            kw_json_enter_array(&r);
            if (!kw_json_next_item(&r) || !kw_json_string(&r, &half[0]) || half[0].n > sizeof left)
                return bad_merge(&r, rank);
            memcpy(left, half[0].p, half[0].n);
            half[0].p = left;
            if (!kw_json_next_item(&r) || !kw_json_string(&r, &half[1]) || kw_json_next_item(&r))
                return bad_merge(&r, rank);
        } else {
            if (!kw_json_string(&r, &text)) return bad_merge(&r, rank);
            const char *space = text.n > 1 ? memchr(text.p + 1, ' ', text.n - 1) : NULL;
            if (!space) return bad_merge(&r, rank);
            half[0] = (kw_str){ text.p, (size_t)(space - text.p) };
            half[1] = (kw_str){ space + 1, text.n - half[0].n - 1 };
        }
        st = kw_bpe_add_merge(h->t, half[0], half[1], rank);
    }
    if (!st) st = r.status;
    kw_json_close(&r);
    return st;
}

/* A piece that is there again later has an id without a name so far: it is never made of text, only read. */
static kw_status name_again(hf *h, size_t id, kw_str piece)
{
    kw_token *k = &h->t->tokens[id];
    if (k->text.p) return KW_OK;
    k->type = KW_TOKEN_UNUSED;
    return keep(h, piece, &k->text);
}

static kw_status read_scores(hf *h)
{
    kw_json_reader r;
    kw_str piece;
    size_t i = 0;
    kw_status st = KW_OK;
    h->t->scores = kw_arena_alloc(&h->t->arena, (size_t)h->t->n, sizeof *h->t->scores);
    if (!h->t->scores) return KW_ENOMEM;
    if (!h->scores) return kw_fail(KW_EFORMAT, "a Unigram model whose vocabulary is no list");
    kw_json_open(&r, h->scores, (size_t)(h->end - h->scores));
    kw_json_enter_array(&r);
    for (; !st && kw_json_next_item(&r); i++) {
        kw_json_enter_array(&r);
        if (!kw_json_next_item(&r) || !kw_json_string(&r, &piece)) break;
        st = name_again(h, i, piece);
        if (!kw_json_next_item(&r) || !kw_json_float(&r, &h->t->scores[i]) || kw_json_next_item(&r))
            break;
    }
    if (!st) st = r.status;
    kw_json_close(&r);
    return st;
}

static kw_status prepare_bpe(hf *h)
{
    kw_tokenizer *t = h->t;
    t->model = KW_VOCAB_BPE;
    snprintf(t->kind, sizeof t->kind, "BPE (tokenizer.json)");
    if (t->prefix.n)
        return kw_fail(KW_EUNSUPPORTED, "a BPE model with the prefix \"%.*s\" within words",
                       (int)t->prefix.n, t->prefix.p);
    return KW_OK;
}

static kw_status prepare_unigram(hf *h)
{
    kw_tokenizer *t = h->t;
    t->model = KW_VOCAB_UNIGRAM;
    snprintf(t->kind, sizeof t->kind, "Unigram (tokenizer.json)");
    if (h->unk_id > h->max_id)
        return kw_fail(KW_EFORMAT, "unk_id is %lld, the largest id is %lld", (long long)h->unk_id,
                       (long long)h->max_id);
    return KW_OK;
}

static kw_status prepare_wordpiece(hf *h)
{
    kw_tokenizer *t = h->t;
    t->model = KW_VOCAB_WORDPIECE;
    t->max_word = h->max_word > 0 && h->max_word < 1 << 20 ? (int)h->max_word : 100;
    snprintf(t->kind, sizeof t->kind, "WordPiece (tokenizer.json)");
    return KW_OK;
}

/* What the file's model.type is, or what its members say where it has none. */
static kw_status prepare_model(hf *h)
{
    static const struct {
        const char *type;
        kw_status (*prepare)(hf *h);
    } models[] = {
        { "BPE", prepare_bpe },
        { "Unigram", prepare_unigram },
        { "WordPiece", prepare_wordpiece },
    };
    if (h->type.n == 0)
        h->type = h->merges ? KW_STR("BPE") : h->scores ? KW_STR("Unigram") : KW_STR("WordPiece");
    for (size_t i = 0; i < sizeof models / sizeof *models; i++)
        if (kw_str_is(h->type, models[i].type)) return models[i].prepare(h);
    return kw_fail(KW_EUNSUPPORTED,
                   "a tokenizer model of type %.*s: known are BPE, Unigram and WordPiece",
                   (int)h->type.n, h->type.p);
}

static kw_status assemble(hf *h)
{
    kw_tokenizer *t = h->t;
    kw_status st = prepare_model(h);
    if (!st) st = add_tokens(h);
    if (!st) st = kw_hf_use_normalizer(t, h->normalizer);
    if (!st) st = kw_hf_use_pretokenizer(t, h->pre);
    if (!st) st = kw_hf_use_decoder(t, h->decoder);
    if (!st && t->model == KW_VOCAB_UNIGRAM) st = read_scores(h);
    if (!st) st = kw_tokenizer_finish(t);
    if (!st) st = kw_hf_use_processor(t, h->post);
    if (st) return st;
    if (h->unk.n) t->special.unk = kw_tokenizer_find(t, h->unk.p, h->unk.n);
    if (h->unk_id >= t->n)
        return kw_fail(KW_EFORMAT, "unk_id is %lld of %d tokens", (long long)h->unk_id, t->n);
    if (h->unk_id >= 0) t->special.unk = (int32_t)h->unk_id;
    return t->model == KW_VOCAB_BPE ? read_merges(h) : KW_OK;
}

kw_status kw_parse_tokenizer_json(kw_tokenizer *t, const char *text, size_t len)
{
    hf h = { .t = t,
             .trees = KW_ARENA(KW_PAY_TEXT),
             .vocab = KW_MAP(KW_PAY_TEXT),
             .end = text + len,
             .max_id = -1,
             .unk_id = -1 };
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
