/* save_gguf.c - a tokenizer as GGUF's metadata (tokenizer.ggml.*), whatever file it came from.
 *
 * Byte-level BPE is "gpt2", with the name of its cuts. BPE over characters with spaces written as a letter is what
 * SentencePiece's BPE becomes in tokenizer.json: it is written as "llama" again, and a piece's score is the rank of the first
 * merge that makes it, so that the same pieces are joined in the same order. */
#include "text/internal.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int by_rank(const void *a_, const void *b_)
{
    const kw_merge *a = a_, *b = b_;
    return (a->rank > b->rank) - (a->rank < b->rank);
}

kw_status kw_bpe_list_merges(const kw_tokenizer *t, kw_merge **out, size_t *n)
{
    kw_merge *list = kw_malloc((t->n_merge_slots + 1) * sizeof *list, KW_PAY_TEXT);
    *out = list;
    *n = 0;
    if (!list) return KW_ENOMEM;
    for (size_t i = 0; i < t->n_merge_slots; i++)
        if (t->merges[i].pair != KW_NO_PAIR) list[(*n)++] = t->merges[i];
    qsort(list, *n, sizeof *list, by_rank);
    return KW_OK;
}

/* ---- tokens ---- */

static bool is_byte_level(const kw_tokenizer *t)
{
    return t->model == KW_VOCAB_BPE && t->byte_level;
}

static kw_token_type type_of(const kw_tokenizer *t, int32_t id)
{
    const kw_token *k = &t->tokens[id];
    if (id == t->special.unk && !is_byte_level(t)) return KW_TOKEN_UNKNOWN;
    if (k->text.p == NULL) return KW_TOKEN_UNUSED;
    return (kw_token_type)k->type;
}

/* BERT's pieces: "cat" is "▁cat", "##s" is "s". */
static void put_piece(const kw_tokenizer *t, kw_gguf_keys *k, kw_str text)
{
    char marked[520];
    bool is_bracketed = text.n > 1 && text.p[0] == '[' && text.p[text.n - 1] == ']';
    if (t->model != KW_VOCAB_WORDPIECE || is_bracketed || text.n > 512) {
        kw_gguf_item_string(k, text);
        return;
    }
    if (kw_str_starts(text, "##")) {
        kw_gguf_item_string(k, (kw_str){ text.p + 2, text.n - 2 });
        return;
    }
    memcpy(marked, "\xe2\x96\x81", 3);
    memcpy(marked + 3, text.p, text.n);
    kw_gguf_item_string(k, (kw_str){ marked, text.n + 3 });
}

static void put_tokens(const kw_tokenizer *t, int32_t n, kw_gguf_keys *k)
{
    char made_up[32];
    kw_buf scratch = KW_BUF(1 << 20, KW_PAY_TEXT);
    kw_gguf_begin_array(k, "tokenizer.ggml.tokens", KW_GGUF_STRING, (uint64_t)n);
    for (int32_t i = 0; i < n; i++) {
        bool is_there = i < t->n && t->tokens[i].text.p;
        int len = snprintf(made_up, sizeof made_up, "[PAD%d]", i);
        if (is_there) put_piece(t, k, kw_tokenizer_stored(t, i, &scratch));
        else kw_gguf_item_string(k, (kw_str){ made_up, (size_t)len });
    }
    kw_buf_free(&scratch);
    kw_gguf_begin_array(k, "tokenizer.ggml.token_type", KW_GGUF_I32, (uint64_t)n);
    for (int32_t i = 0; i < n; i++)
        kw_gguf_item_int(k, KW_GGUF_I32, i < t->n ? type_of(t, i) : KW_TOKEN_UNUSED);
}

static void put_scores(const kw_tokenizer *t, int32_t n, const float *scores, kw_gguf_keys *k)
{
    kw_gguf_begin_array(k, "tokenizer.ggml.scores", KW_GGUF_F32, (uint64_t)n);
    for (int32_t i = 0; i < n; i++)
        kw_gguf_item_float(k, KW_GGUF_F32,
                           i >= t->n   ? -10000
                           : scores    ? (double)scores[i]
                           : t->scores ? t->scores[i]
                                       : (double)t->tokens[i].score);
}

/* ---- models ---- */

static kw_status put_merges(const kw_tokenizer *t, kw_gguf_keys *k)
{
    kw_merge *list;
    size_t n;
    kw_buf line = KW_BUF(4096, KW_PAY_TEXT);
    kw_status st = kw_bpe_list_merges(t, &list, &n);
    if (st) return st;
    kw_gguf_begin_array(k, "tokenizer.ggml.merges", KW_GGUF_STRING, n);
    for (size_t i = 0; i < n; i++) {
        kw_str left = t->tokens[list[i].pair >> 32].text,
               right = t->tokens[list[i].pair & 0xffffffffu].text;
        kw_buf_clear(&line);
        kw_buf_bytes(&line, left.p, left.n);
        kw_buf_byte(&line, ' ');
        kw_buf_bytes(&line, right.p, right.n);
        kw_gguf_item_string(k, (kw_str){ line.data, line.len });
    }
    st = line.status;
    kw_buf_free(&line);
    kw_free(list);
    return st;
}

static kw_status save_bpe(const kw_tokenizer *t, int32_t n, kw_gguf_keys *k)
{
    kw_str name = kw_tokenizer_cuts_name(t);
    if (!name.p)
        return kw_fail(KW_EUNSUPPORTED,
                       "the tokenizer cuts text in a way that has no name in GGUF files");
    kw_gguf_put_string(k, "tokenizer.ggml.model", KW_STR("gpt2"));
    kw_gguf_put_string(k, "tokenizer.ggml.pre", name);
    if (t->n_cuts && t->cuts[0].kind == KW_CUT_PREFIX_SPACE)
        kw_gguf_put_int(k, "tokenizer.ggml.add_space_prefix", KW_GGUF_BOOL, 1);
    put_tokens(t, n, k);
    return put_merges(t, k);
}

/* Does a space that is not there begin the text? */
static bool begins_with_space(const kw_tokenizer *t)
{
    bool yes = t->add_prefix_space;
    for (int i = 0; i < t->n_norms; i++) yes = yes || t->norms[i].kind == KW_NORM_PREPEND;
    for (int i = 0; i < t->n_cuts; i++)
        yes =
            yes || (t->cuts[i].kind == KW_CUT_METASPACE && t->cuts[i].prepend != KW_PREPEND_NEVER);
    return yes;
}

static kw_status save_spm(const kw_tokenizer *t, int32_t n, kw_gguf_keys *k)
{
    kw_merge *list = NULL;
    float *scores = NULL;
    size_t n_merges;
    kw_status st = KW_OK;
    if (t->model == KW_VOCAB_BPE) {
        st = kw_bpe_list_merges(t, &list, &n_merges);
        scores = kw_calloc((size_t)t->n, sizeof *scores, KW_PAY_TEXT);
        if (!scores) st = KW_ENOMEM;
        for (size_t i = st ? 0 : n_merges; i-- > 0;) scores[list[i].id] = -(float)(i + 1);
    }
    if (!st) {
        kw_gguf_put_string(k, "tokenizer.ggml.model", KW_STR("llama"));
        kw_gguf_put_string(k, "tokenizer.ggml.pre", KW_STR("default"));
        kw_gguf_put_int(k, "tokenizer.ggml.add_space_prefix", KW_GGUF_BOOL, begins_with_space(t));
        put_tokens(t, n, k);
        put_scores(t, n, scores, k);
    }
    kw_free(list);
    kw_free(scores);
    return st;
}

/* The compiled map lies in memory as its file has it: length of the trie, the trie, the texts. */
static void put_charsmap(const kw_tokenizer *t, kw_gguf_keys *k)
{
    size_t n = 4 + t->charsmap.trie.n + t->charsmap.texts.n;
    const unsigned char *blob = (const unsigned char *)t->charsmap.trie.p - 4;
    if (t->charsmap.trie.n == 0) return;
    kw_gguf_begin_array(k, "tokenizer.ggml.precompiled_charsmap", KW_GGUF_U8, n);
    for (size_t i = 0; i < n; i++) kw_gguf_item_int(k, KW_GGUF_U8, blob[i]);
}

static kw_status save_unigram(const kw_tokenizer *t, int32_t n, kw_gguf_keys *k)
{
    bool squeezes = false;
    for (int i = 0; i < t->n_norms; i++)
        squeezes = squeezes || t->norms[i].kind == KW_NORM_COLLAPSE ||
                   (t->norms[i].kind == KW_NORM_SENTENCEPIECE && t->norms[i].form);
    for (int i = 0; i < t->n_cuts; i++) /* cut at blanks, which are thrown away */
        squeezes = squeezes || t->cuts[i].behavior == KW_REMOVED;
    kw_gguf_put_string(k, "tokenizer.ggml.model", KW_STR("t5"));
    kw_gguf_put_string(k, "tokenizer.ggml.pre", KW_STR("default"));
    kw_gguf_put_int(k, "tokenizer.ggml.add_space_prefix", KW_GGUF_BOOL, begins_with_space(t));
    kw_gguf_put_int(k, "tokenizer.ggml.remove_extra_whitespaces", KW_GGUF_BOOL, squeezes);
    put_charsmap(t, k);
    put_tokens(t, n, k);
    put_scores(t, n, NULL, k);
    return KW_OK;
}

static kw_status save_wordpiece(const kw_tokenizer *t, int32_t n, kw_gguf_keys *k)
{
    kw_gguf_put_string(k, "tokenizer.ggml.model", KW_STR("bert"));
    kw_gguf_put_string(k, "tokenizer.ggml.pre", KW_STR("default"));
    put_tokens(t, n, k);
    return KW_OK;
}

static void put_id(kw_gguf_keys *k, const char *key, int32_t id)
{
    if (id >= 0) kw_gguf_put_int(k, key, KW_GGUF_U32, id);
}

kw_status kw_tokenizer_save_gguf(const kw_tokenizer *t, int32_t n_vocab, kw_gguf_keys *k)
{
    int32_t n = n_vocab > t->n ? n_vocab : t->n;
    bool is_plain_bpe = t->model == KW_VOCAB_BPE && !t->byte_level;
    kw_status st = is_plain_bpe && t->suffix.n
                       ? kw_fail(KW_EUNSUPPORTED, "BPE with a suffix has no form in GGUF")
                   : t->model == KW_VOCAB_UNIGRAM   ? save_unigram(t, n, k)
                   : t->model == KW_VOCAB_WORDPIECE ? save_wordpiece(t, n, k)
                   : is_byte_level(t)               ? save_bpe(t, n, k)
                                                    : save_spm(t, n, k);
    if (st) return st;
    put_id(k, "tokenizer.ggml.bos_token_id", t->special.bos);
    put_id(k, "tokenizer.ggml.eos_token_id", t->special.eos);
    put_id(k, "tokenizer.ggml.unknown_token_id", t->special.unk);
    put_id(k, "tokenizer.ggml.padding_token_id", t->special.pad);
    kw_gguf_put_int(k, "tokenizer.ggml.add_bos_token", KW_GGUF_BOOL, t->special.adds_bos);
    kw_gguf_put_int(k, "tokenizer.ggml.add_eos_token", KW_GGUF_BOOL, t->special.adds_eos);
    if (t->chat_template.p) kw_gguf_put_string(k, "tokenizer.chat_template", t->chat_template);
    return k->bytes.status;
}
