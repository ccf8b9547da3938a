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

/* "smollm" is two steps: every number alone, then GPT-2's pattern. */
static void choose_pretoks(kw_tokenizer *t, const kw_checkpoint *ck)
{
    const kw_meta *m = kw_checkpoint_meta(ck, "tokenizer.ggml.pre");
    kw_str name = m && m->type == KW_META_STRING ? m->string : KW_STR("default");
    bool digits = kw_str_is(name, "smollm");
    const kw_pretok *p = digits ? kw_pretok_named(KW_STR("gpt-2")) : kw_pretok_named(name);
    if (!p) {
        kw_log(KW_LOG_WARN, "pre-tokenizer \"%.*s\" is not known: text is cut as gpt-2 does",
               (int)name.n, name.p);
        p = kw_pretok_named(KW_STR("gpt-2"));
    }
    if (digits) t->pretoks[t->n_pretoks++] = kw_pretok_named(KW_STR("digits"));
    t->pretoks[t->n_pretoks++] = p;
    t->ignore_merges = kw_str_is(name, "llama-bpe");
    snprintf(t->kind, sizeof t->kind, "BPE (%.*s)", (int)(name.n < 40 ? name.n : 40), name.p);
}

static kw_status load_model(kw_tokenizer *t, const kw_checkpoint *ck)
{
    const kw_meta *m = kw_checkpoint_meta(ck, "tokenizer.ggml.model");
    kw_str model = m && m->type == KW_META_STRING ? m->string : KW_STR("");
    if (!kw_str_is(model, "gpt2") && !kw_str_is(model, "llama"))
        return kw_fail(KW_EUNSUPPORTED,
                       "tokenizer model \"%.*s\" is not supported yet: known are gpt2 and llama",
                       (int)model.n, model.p);
    t->model = kw_str_is(model, "gpt2") ? KW_VOCAB_BPE : KW_VOCAB_SPM;
    if (t->model == KW_VOCAB_BPE) choose_pretoks(t, ck);
    else snprintf(t->kind, sizeof t->kind, "SentencePiece BPE");
    return KW_OK;
}

kw_status kw_load_gguf_vocab(kw_tokenizer *t, const kw_checkpoint *ck)
{
    kw_status st = load_model(t, ck);
    if (!st) st = load_tokens(t, ck);
    if (st) return st;
    bool is_spm = t->model == KW_VOCAB_SPM;
    t->special = (kw_special_ids){
        .bos = id_key(ck, "tokenizer.ggml.bos_token_id"),
        .eos = id_key(ck, "tokenizer.ggml.eos_token_id"),
        .pad = id_key(ck, "tokenizer.ggml.padding_token_id"),
        .unk = id_key(ck, "tokenizer.ggml.unknown_token_id"),
        .adds_bos = flag_key(ck, "tokenizer.ggml.add_bos_token", is_spm || t->ignore_merges),
        .adds_eos = flag_key(ck, "tokenizer.ggml.add_eos_token", false),
    };
    if (is_spm && t->special.bos < 0) t->special.bos = 1;
    if (is_spm && t->special.eos < 0) t->special.eos = 2;
    if (is_spm && t->special.unk < 0) t->special.unk = 0;
    t->add_prefix_space = flag_key(ck, "tokenizer.ggml.add_space_prefix", is_spm);
    const kw_meta *chat = kw_checkpoint_meta(ck, "tokenizer.chat_template");
    if (chat && chat->type == KW_META_STRING) t->chat_template = chat->string;
    st = kw_tokenizer_finish(t);
    return st || is_spm ? st : load_merges(t, ck);
}
