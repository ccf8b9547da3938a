/* load_gguf.c - the vocabulary in a GGUF file's metadata (tokenizer.ggml.*). */
#include "text/internal.h"
#include <stdio.h>
#include <string.h>

static int32_t id_key(const kw_checkpoint *ck, const char *key)
{
    const kw_meta *m = kw_checkpoint_meta(ck, key);
    return m && m->type == KW_META_INT && m->integer >= 0 && m->integer <= INT32_MAX
               ? (int32_t)m->integer
               : -1;
}

static bool flag_key(const kw_checkpoint *ck, const char *key, bool otherwise)
{
    const kw_meta *m = kw_checkpoint_meta(ck, key);
    return m && m->type == KW_META_BOOL ? m->integer != 0 : otherwise;
}

static const kw_meta *array_key(const kw_checkpoint *ck, const char *key, kw_meta_type type)
{
    const kw_meta *m = kw_checkpoint_meta(ck, key);
    bool fits =
        m && m->type == KW_META_ARRAY &&
        (m->item_type == type || (type != KW_META_STRING && m->item_type != KW_META_STRING));
    return fits ? m : NULL;
}

static kw_status load_tokens(kw_tokenizer *t, const kw_checkpoint *ck)
{
    const kw_meta *tokens = array_key(ck, "tokenizer.ggml.tokens", KW_META_STRING);
    const kw_meta *scores = array_key(ck, "tokenizer.ggml.scores", KW_META_FLOAT);
    const kw_meta *types = array_key(ck, "tokenizer.ggml.token_type", KW_META_INT);
    if (!tokens || tokens->n_items == 0)
        return kw_fail(KW_EFORMAT, "tokenizer.ggml.tokens is missing or empty");
    kw_status st = kw_tokenizer_reserve(t, (size_t)tokens->n_items);
    if (st) return st;
    kw_meta_walk w = kw_meta_items(tokens), s = { 0 }, k = { 0 };
    if (scores) s = kw_meta_items(scores);
    if (types) k = kw_meta_items(types);
    for (int32_t i = 0; i < t->n; i++) {
        double score;
        int64_t type;
        kw_meta_next_string(&w, &t->tokens[i].text);
        if (scores && kw_meta_next_number(&s, &score, NULL)) t->tokens[i].score = (float)score;
        if (types && kw_meta_next_number(&k, NULL, &type) && type >= KW_TOKEN_NORMAL &&
            type <= KW_TOKEN_BYTE)
            t->tokens[i].type = (uint8_t)type;
    }
    return KW_OK;
}

/* The space between the two halves; the first byte may itself be one. */
static kw_status load_merges(kw_tokenizer *t, const kw_checkpoint *ck)
{
    const kw_meta *merges = array_key(ck, "tokenizer.ggml.merges", KW_META_STRING);
    kw_str line;
    if (!merges) return kw_fail(KW_EFORMAT, "tokenizer.ggml.merges is missing");
    kw_status st = kw_bpe_reserve_merges(t, (size_t)merges->n_items);
    kw_meta_walk w = kw_meta_items(merges);
    for (uint32_t rank = 0; !st && kw_meta_next_string(&w, &line); rank++) {
        const char *space = line.n > 1 ? memchr(line.p + 1, ' ', line.n - 1) : NULL;
        if (!space) return kw_fail(KW_EFORMAT, "merge %u has no two halves", rank);
        size_t n = (size_t)(space - line.p);
        st =
            kw_bpe_add_merge(t, (kw_str){ line.p, n }, (kw_str){ space + 1, line.n - n - 1 }, rank);
    }
    return st;
}

bool kw_bpe_ignores_merges(kw_str pre)
{
    static const char *const names[] = { "llama-bpe", "llama3", "llama-v3", "falcon3", "tekken" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (kw_str_is(pre, names[i])) return true;
    return false;
}

static kw_status prepare_bpe(kw_tokenizer *t, const kw_checkpoint *ck)
{
    const kw_meta *m = kw_checkpoint_meta(ck, "tokenizer.ggml.pre");
    kw_str name = m && m->type == KW_META_STRING ? m->string : KW_STR("default");
    t->byte_level = true;
    t->ignore_merges = kw_bpe_ignores_merges(name);
    snprintf(t->kind, sizeof t->kind, "BPE (%.*s)", (int)(name.n < 40 ? name.n : 40), name.p);
    if (flag_key(ck, "tokenizer.ggml.add_space_prefix", false)) {
        kw_status st = kw_tokenizer_add_cut(t, (kw_cut){ .kind = KW_CUT_PREFIX_SPACE });
        if (st) return st;
    }
    return kw_tokenizer_add_cuts_named(t, name);
}

static kw_status prepare_spm(kw_tokenizer *t, const kw_checkpoint *ck)
{
    t->add_prefix_space = t->drops_first_space =
        flag_key(ck, "tokenizer.ggml.add_space_prefix", true);
    snprintf(t->kind, sizeof t->kind, "SentencePiece BPE");
    return kw_tokenizer_add_norm(t, (kw_norm){ .kind = KW_NORM_SENTENCEPIECE });
}

/* The array of bytes, as one string. */
static kw_status bytes_key(kw_tokenizer *t, const kw_checkpoint *ck, const char *key, kw_str *out)
{
    const kw_meta *m = array_key(ck, key, KW_META_INT);
    *out = (kw_str){ NULL, 0 };
    if (!m) return KW_OK;
    char *bytes = kw_arena_alloc(&t->arena, (size_t)m->n_items + 1, 1);
    if (!bytes) return KW_ENOMEM;
    kw_meta_walk w = kw_meta_items(m);
    int64_t value;
    for (size_t i = 0; i < m->n_items && kw_meta_next_number(&w, NULL, &value); i++)
        bytes[i] = (char)value;
    *out = (kw_str){ bytes, (size_t)m->n_items };
    return KW_OK;
}

static kw_status prepare_unigram(kw_tokenizer *t, const kw_checkpoint *ck)
{
    kw_str blob;
    kw_status st = bytes_key(t, ck, "tokenizer.ggml.precompiled_charsmap", &blob);
    if (!st) st = kw_charsmap_open(blob, &t->charsmap);
    t->add_prefix_space = t->drops_first_space =
        flag_key(ck, "tokenizer.ggml.add_space_prefix", true);
    t->single_scores = t->byte_fallback = true;
    snprintf(t->kind, sizeof t->kind, "SentencePiece Unigram");
    bool squeezes = flag_key(ck, "tokenizer.ggml.remove_extra_whitespaces", true);
    return st ? st
              : kw_tokenizer_add_norm(t,
                                      (kw_norm){ .kind = KW_NORM_SENTENCEPIECE, .form = squeezes });
}

static kw_status prepare_wordpiece(kw_tokenizer *t, const kw_checkpoint *ck)
{
    (void)ck;
    snprintf(t->kind, sizeof t->kind, "WordPiece");
    return KW_OK;
}

static kw_status load_model(kw_tokenizer *t, const kw_checkpoint *ck)
{
    static const struct {
        const char *name;
        kw_status (*prepare)(kw_tokenizer *t, const kw_checkpoint *ck);
        kw_vocab_model model;
    } models[] = {
        { "gpt2", prepare_bpe, KW_VOCAB_BPE },
        { "llama", prepare_spm, KW_VOCAB_SPM },
        { "t5", prepare_unigram, KW_VOCAB_UNIGRAM },
        { "bert", prepare_wordpiece, KW_VOCAB_WORDPIECE },
    };
    const kw_meta *m = kw_checkpoint_meta(ck, "tokenizer.ggml.model");
    kw_str model = m && m->type == KW_META_STRING ? m->string : KW_STR("");
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        if (!kw_str_is(model, models[i].name)) continue;
        t->model = models[i].model;
        return models[i].prepare(t, ck);
    }
    return kw_fail(KW_EUNSUPPORTED,
                   "tokenizer model \"%.*s\" is not supported: known are gpt2, llama, t5 and bert",
                   (int)model.n, model.p);
}

/* GGUF marks pieces that begin a word, vocab.txt those that go on with one: "\u2581cat" is "cat", "s" is "##s". */
static kw_status rename_pieces(kw_tokenizer *t)
{
    for (int32_t i = 0; i < t->n; i++) {
        kw_str *text = &t->tokens[i].text;
        bool is_bracketed = text->n > 1 && text->p[0] == '[' && text->p[text->n - 1] == ']';
        if (is_bracketed || text->n == 0) continue;
        if (kw_str_starts(*text, "\xe2\x96\x81")) {
            *text = (kw_str){ text->p + 3, text->n - 3 };
            continue;
        }
        char *name = kw_arena_alloc(&t->arena, text->n + 2, 1);
        if (!name) return KW_ENOMEM;
        name[0] = name[1] = '#';
        memcpy(name + 2, text->p, text->n);
        *text = (kw_str){ name, text->n + 2 };
    }
    return KW_OK;
}

static kw_status finish_wordpiece(kw_tokenizer *t)
{
    kw_status st = rename_pieces(t);
    return st ? st : kw_tokenizer_finish_bert(t, kw_tokenizer_has_capitals(t));
}

static kw_status keep_scores(kw_tokenizer *t)
{
    t->scores = kw_arena_alloc(&t->arena, (size_t)t->n, sizeof *t->scores);
    if (!t->scores) return KW_ENOMEM;
    for (int32_t i = 0; i < t->n; i++) t->scores[i] = (double)t->tokens[i].score;
    return KW_OK;
}

/* What the formats leave out because every model of the kind has it. */
static kw_special_ids specials_of(const kw_tokenizer *t, const kw_checkpoint *ck)
{
    bool is_spm = t->model == KW_VOCAB_SPM, is_unigram = t->model == KW_VOCAB_UNIGRAM;
    kw_special_ids s = {
        .bos = id_key(ck, "tokenizer.ggml.bos_token_id"),
        .eos = id_key(ck, "tokenizer.ggml.eos_token_id"),
        .pad = id_key(ck, "tokenizer.ggml.padding_token_id"),
        .unk = id_key(ck, "tokenizer.ggml.unknown_token_id"),
        .adds_bos = flag_key(ck, "tokenizer.ggml.add_bos_token", is_spm || t->ignore_merges),
        .adds_eos = flag_key(ck, "tokenizer.ggml.add_eos_token", is_unigram),
    };
    if (is_spm && s.bos < 0) s.bos = 1;
    if (is_spm && s.eos < 0) s.eos = 2;
    if (is_spm && s.unk < 0) s.unk = 0;
    if (is_unigram && s.eos < 0) s.eos = 1;
    if (is_unigram && s.unk < 0) s.unk = 2;
    return s;
}

kw_status kw_load_gguf_vocab(kw_tokenizer *t, const kw_checkpoint *ck)
{
    kw_status st = load_model(t, ck);
    if (!st) st = load_tokens(t, ck);
    if (st) return st;
    const kw_meta *chat = kw_checkpoint_meta(ck, "tokenizer.chat_template");
    if (chat && chat->type == KW_META_STRING) t->chat_template = chat->string;
    if (t->model == KW_VOCAB_WORDPIECE) return finish_wordpiece(t);
    t->special = specials_of(t, ck);
    if (t->model == KW_VOCAB_UNIGRAM) st = keep_scores(t);
    if (!st) st = kw_tokenizer_finish(t);
    return st || t->model != KW_VOCAB_BPE ? st : load_merges(t, ck);
}
