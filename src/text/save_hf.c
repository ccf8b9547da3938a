/* save_hf.c - a tokenizer as tokenizer.json and tokenizer_config.json, from GGUF's or llama2.c's vocabulary.
 *
 * Byte-level BPE keeps its merges and names its cuts by their patterns. SentencePiece's BPE has scores instead of merges: every
 * way to cut a piece into two pieces becomes a merge, in the order of the pieces' scores. */
#include "text/save.h"
#include <stdlib.h>
#include <string.h>

typedef struct pair {
    float score;
    int32_t id, left, right;
} pair;

/* ---- small parts ---- */

void kw_save_text(kw_json_writer *w, const char *key, const char *text)
{
    kw_json_key(w, key);
    kw_json_put_string(w, kw_str_of(text));
}

void kw_save_flag(kw_json_writer *w, const char *key, bool v)
{
    kw_json_key(w, key);
    kw_json_put_bool(w, v);
}

static void put_null(kw_json_writer *w, const char *key)
{
    kw_json_key(w, key);
    kw_json_put_null(w);
}

void kw_save_begin(kw_json_writer *w, const char *type)
{
    kw_json_begin_object(w);
    kw_save_text(w, "type", type);
}

/* An object of pattern and content. */
static void put_replace(kw_json_writer *w, const char *from, const char *to)
{
    kw_save_begin(w, "Replace");
    kw_json_key(w, "pattern");
    kw_json_begin_object(w);
    kw_save_text(w, "String", from);
    kw_json_end_object(w);
    kw_save_text(w, "content", to);
    kw_json_end_object(w);
}

kw_str kw_tokenizer_stored(const kw_tokenizer *t, int32_t id, kw_buf *scratch)
{
    kw_str text = t->tokens[id].text;
    bool is_plain = t->space[0] != ' ' || t->tokens[id].type != KW_TOKEN_NORMAL;
    kw_buf_clear(scratch);
    if (is_plain || !text.p) return text;
    kw_put_replaced(scratch, text, KW_STR(" "), KW_STR("\xe2\x96\x81"));
    return (kw_str){ scratch->data, scratch->len };
}

/* ---- added tokens ---- */

static bool is_added(const kw_tokenizer *t, int32_t id)
{
    const kw_token *k = &t->tokens[id];
    return k->type == KW_TOKEN_CONTROL || k->type == KW_TOKEN_USER || k->type == KW_TOKEN_UNKNOWN;
}

static void put_added(const kw_tokenizer *t, kw_json_writer *w)
{
    kw_json_key(w, "added_tokens");
    kw_json_begin_array(w);
    for (int32_t i = 0; i < t->n; i++) {
        if (!is_added(t, i)) continue;
        kw_json_begin_object(w);
        kw_json_key(w, "id");
        kw_json_put_int(w, i);
        kw_json_key(w, "content");
        kw_json_put_string(w, t->tokens[i].text);
        kw_save_flag(w, "single_word", false);
        kw_save_flag(w, "lstrip", false);
        kw_save_flag(w, "rstrip", false);
        kw_save_flag(w, "normalized", false);
        kw_save_flag(w, "special", t->tokens[i].type != KW_TOKEN_USER);
        kw_json_end_object(w);
    }
    kw_json_end_array(w);
}

/* ---- what is done to text ---- */

static kw_status put_cut(kw_json_writer *w, const kw_cut *c)
{
    if (c->kind == KW_CUT_PREFIX_SPACE) {
        kw_save_begin(w, "ByteLevel");
        kw_save_flag(w, "add_prefix_space", true);
        kw_save_flag(w, "trim_offsets", true);
        kw_save_flag(w, "use_regex", false);
        kw_json_end_object(w);
        return KW_OK;
    }
    kw_str pattern = c->kind == KW_CUT_RULE ? kw_rule_pattern(c->rule) : (kw_str){ NULL, 0 };
    if (!pattern.n)
        return kw_fail(KW_EUNSUPPORTED,
                       "the tokenizer cuts text by the rule \"%s\", which "
                       "tokenizer.json has no pattern for",
                       c->kind == KW_CUT_RULE ? kw_rule_name(c->rule) : "literal");
    kw_save_begin(w, "Split");
    kw_json_key(w, "pattern");
    kw_json_begin_object(w);
    kw_json_key(w, "Regex");
    kw_json_put_string(w, pattern);
    kw_json_end_object(w);
    kw_save_text(w, "behavior", "Isolated");
    kw_save_flag(w, "invert", false);
    kw_json_end_object(w);
    return KW_OK;
}

static kw_status put_byte_level(const kw_tokenizer *t, kw_json_writer *w)
{
    kw_status st = KW_OK;
    put_null(w, "normalizer");
    kw_json_key(w, "pre_tokenizer");
    kw_save_begin(w, "Sequence");
    kw_json_key(w, "pretokenizers");
    kw_json_begin_array(w);
    for (int i = 0; i < t->n_cuts && !st; i++) st = put_cut(w, &t->cuts[i]);
    kw_save_begin(w, "ByteLevel");
    kw_save_flag(w, "add_prefix_space", false);
    kw_save_flag(w, "trim_offsets", true);
    kw_save_flag(w, "use_regex", false);
    kw_json_end_object(w);
    kw_json_end_array(w);
    kw_json_end_object(w);
    kw_json_key(w, "decoder");
    kw_save_begin(w, "ByteLevel");
    kw_save_flag(w, "add_prefix_space", true);
    kw_save_flag(w, "trim_offsets", true);
    kw_save_flag(w, "use_regex", true);
    kw_json_end_object(w);
    return st;
}

static void put_spaces(const kw_tokenizer *t, kw_json_writer *w)
{
    kw_json_key(w, "normalizer");
    kw_save_begin(w, "Sequence");
    kw_json_key(w, "normalizers");
    kw_json_begin_array(w);
    if (t->add_prefix_space) {
        kw_save_begin(w, "Prepend");
        kw_save_text(w, "prepend", "\xe2\x96\x81");
        kw_json_end_object(w);
    }
    put_replace(w, " ", "\xe2\x96\x81");
    kw_json_end_array(w);
    kw_json_end_object(w);
    put_null(w, "pre_tokenizer");
    kw_json_key(w, "decoder");
    kw_save_begin(w, "Sequence");
    kw_json_key(w, "decoders");
    kw_json_begin_array(w);
    put_replace(w, "\xe2\x96\x81", " ");
    kw_save_begin(w, "ByteFallback");
    kw_json_end_object(w);
    kw_save_begin(w, "Fuse");
    kw_json_end_object(w);
    if (t->drops_first_space) {
        kw_save_begin(w, "Strip");
        kw_save_text(w, "content", " ");
        kw_json_key(w, "start");
        kw_json_put_int(w, 1);
        kw_json_key(w, "stop");
        kw_json_put_int(w, 0);
        kw_json_end_object(w);
    }
    kw_json_end_array(w);
    kw_json_end_object(w);
}

/* ---- what is put around it ---- */

static void put_member(const kw_tokenizer *t, kw_json_writer *w, int32_t id, const char *sequence,
                       int type)
{
    kw_json_begin_object(w);
    kw_json_key(w, sequence ? "Sequence" : "SpecialToken");
    kw_json_begin_object(w);
    kw_json_key(w, "id");
    kw_json_put_string(w, sequence ? kw_str_of(sequence) : t->tokens[id].text);
    kw_json_key(w, "type_id");
    kw_json_put_int(w, type);
    kw_json_end_object(w);
    kw_json_end_object(w);
}

static void put_frame(const kw_tokenizer *t, kw_json_writer *w, const char *key, int n_texts)
{
    static const char *const texts[] = { "A", "B" };
    bool is_wordpiece = t->model == KW_VOCAB_WORDPIECE, is_unigram = t->model == KW_VOCAB_UNIGRAM;
    int in_between = is_unigram ? t->n_after : t->n_before;
    kw_json_key(w, key);
    kw_json_begin_array(w);
    for (int s = 0; s < n_texts; s++) {
        int type = is_wordpiece ? s : 0;
        const int32_t *before = s && is_unigram ? t->after : t->before; /* </s></s> between two */
        int n_before = s == 0 ? t->n_before : is_wordpiece ? 0 : t->n_before ? in_between : 0;
        for (int i = 0; i < n_before; i++) put_member(t, w, before[i], NULL, type);
        put_member(t, w, 0, texts[s], type);
        for (int i = 0; i < t->n_after; i++) put_member(t, w, t->after[i], NULL, type);
    }
    kw_json_end_array(w);
}

static void put_special(const kw_tokenizer *t, kw_json_writer *w, int32_t id)
{
    kw_json_key_str(w, t->tokens[id].text);
    kw_json_begin_object(w);
    kw_json_key(w, "id");
    kw_json_put_string(w, t->tokens[id].text);
    kw_json_key(w, "ids");
    kw_json_begin_array(w);
    kw_json_put_int(w, id);
    kw_json_end_array(w);
    kw_json_key(w, "tokens");
    kw_json_begin_array(w);
    kw_json_put_string(w, t->tokens[id].text);
    kw_json_end_array(w);
    kw_json_end_object(w);
}

static void put_processor(const kw_tokenizer *t, kw_json_writer *w)
{
    if (t->n_before + t->n_after == 0) {
        put_null(w, "post_processor");
        return;
    }
    kw_json_key(w, "post_processor");
    kw_save_begin(w, "TemplateProcessing");
    put_frame(t, w, "single", 1);
    put_frame(t, w, "pair", 2);
    kw_json_key(w, "special_tokens");
    kw_json_begin_object(w);
    for (int i = 0; i < t->n_before; i++) put_special(t, w, t->before[i]);
    for (int i = 0; i < t->n_after; i++)
        if (!t->n_before || t->after[i] != t->before[0]) put_special(t, w, t->after[i]);
    kw_json_end_object(w);
    kw_json_end_object(w);
}

/* ---- the model ---- */

/* Where added tokens begin that a reader numbers as they stand: behind all others, without a hole. Their list has no say in
 * numbers: a reader counts on from the vocabulary's size, and where that is not so they have to be in it, as GPT-2's. */
static int32_t count_plain(const kw_tokenizer *t)
{
    int32_t n = 0, i;
    while (n < t->n && t->tokens[n].text.p && t->tokens[n].type != KW_TOKEN_UNUSED &&
           !is_added(t, n))
        n++;
    for (i = n; i < t->n && is_added(t, i);) i++;
    while (i < t->n && (t->tokens[i].type == KW_TOKEN_UNUSED || !t->tokens[i].text.p)) i++;
    return t->byte_level && i == t->n ? n : t->n;
}

void kw_save_vocabulary(const kw_tokenizer *t, kw_json_writer *w)
{
    kw_buf scratch = KW_BUF(1 << 20, KW_PAY_TEXT);
    kw_json_key(w, "vocab");
    kw_json_begin_object(w);
    for (int32_t i = 0, n = count_plain(t); i < n; i++) {
        const kw_token *k = &t->tokens[i];
        int64_t first;
        bool is_again = kw_map_get(&t->by_text, k->text, &first) && first != i;
        if (!k->text.p || is_again || k->type == KW_TOKEN_UNUSED) continue;
        kw_json_key_str(w, kw_tokenizer_stored(t, i, &scratch));
        kw_json_put_int(w, i);
    }
    kw_json_end_object(w);
    kw_buf_free(&scratch);
}

static void put_merge(const kw_tokenizer *t, kw_json_writer *w, int32_t left, int32_t right)
{
    kw_buf scratch = KW_BUF(1 << 20, KW_PAY_TEXT);
    kw_json_begin_array(w);
    kw_json_put_string(w, kw_tokenizer_stored(t, left, &scratch));
    kw_json_put_string(w, kw_tokenizer_stored(t, right, &scratch));
    kw_json_end_array(w);
    kw_buf_free(&scratch);
}

static kw_status put_ranked(const kw_tokenizer *t, kw_json_writer *w)
{
    kw_merge *list;
    size_t n;
    kw_status st = kw_bpe_list_merges(t, &list, &n);
    if (st) return st;
    for (size_t i = 0; i < n; i++)
        put_merge(t, w, (int32_t)(list[i].pair >> 32), (int32_t)(list[i].pair & 0x7fffffff));
    kw_free(list);
    return KW_OK;
}

static int by_score(const void *a_, const void *b_)
{
    const pair *a = a_, *b = b_;
    if (a->score != b->score) return a->score < b->score ? 1 : -1;
    if (a->id != b->id) return a->id < b->id ? -1 : 1;
    return a->left != b->left ? (a->left < b->left ? -1 : 1)
                              : (a->right > b->right) - (a->right < b->right);
}

/* Some of SentencePiece's user-defined pieces are made by merges too (runs of spaces, of newlines); the others have no score, nor
 * have the letters that runs begin with. */
static bool is_part(const kw_tokenizer *t, int64_t id)
{
    const kw_token *k = &t->tokens[id];
    return k->type == KW_TOKEN_NORMAL ||
           (k->type == KW_TOKEN_USER && (k->score < 0 || k->text.n == 1));
}

static bool is_mergeable(const kw_tokenizer *t, int32_t id)
{
    return is_part(t, id) && t->tokens[id].text.n > 1;
}

/* All ways to cut token `id` in two at the begin of a character. */
static size_t cuts_of(const kw_tokenizer *t, int32_t id, pair *out)
{
    kw_str text = t->tokens[id].text;
    size_t n = 0;
    int64_t left, right;
    for (size_t at = 1; at < text.n; at++) {
        if (((unsigned char)text.p[at] & 0xc0) == 0x80) continue;
        if (!kw_map_get(&t->by_text, (kw_str){ text.p, at }, &left) ||
            !kw_map_get(&t->by_text, (kw_str){ text.p + at, text.n - at }, &right))
            continue;
        if (!is_part(t, left) || !is_part(t, right)) continue;
        out[n++] = (pair){ t->tokens[id].score, id, (int32_t)left, (int32_t)right };
    }
    return n;
}

static kw_status put_scored(const kw_tokenizer *t, kw_json_writer *w)
{
    size_t most = 1, n = 0;
    for (int32_t i = 0; i < t->n; i++)
        if (is_mergeable(t, i)) most += t->tokens[i].text.n - 1;
    pair *list = kw_malloc(most * sizeof *list, KW_PAY_TEXT);
    if (!list) return KW_ENOMEM;
    for (int32_t i = 0; i < t->n; i++)
        if (is_mergeable(t, i)) n += cuts_of(t, i, list + n);
    qsort(list, n, sizeof *list, by_score);
    for (size_t i = 0; i < n; i++) put_merge(t, w, list[i].left, list[i].right);
    kw_free(list);
    return KW_OK;
}

static kw_status put_bpe_model(const kw_tokenizer *t, kw_json_writer *w)
{
    bool is_bpe = t->model == KW_VOCAB_BPE;
    kw_json_key(w, "model");
    kw_save_begin(w, "BPE");
    put_null(w, "dropout");
    if (is_bpe || t->special.unk < 0) put_null(w, "unk_token");
    else {
        kw_json_key(w, "unk_token");
        kw_json_put_string(w, t->tokens[t->special.unk].text);
    }
    put_null(w, "continuing_subword_prefix");
    put_null(w, "end_of_word_suffix");
    kw_save_flag(w, "fuse_unk", !is_bpe);
    kw_save_flag(w, "byte_fallback", !is_bpe);
    kw_save_flag(w, "ignore_merges", t->ignore_merges);
    kw_save_vocabulary(t, w);
    kw_json_key(w, "merges");
    kw_json_begin_array(w);
    kw_status st = is_bpe ? put_ranked(t, w) : put_scored(t, w);
    kw_json_end_array(w);
    kw_json_end_object(w);
    return st;
}

static kw_status put_spm_steps(const kw_tokenizer *t, kw_json_writer *w)
{
    put_spaces(t, w);
    return KW_OK;
}

static kw_status put_bpe_steps(const kw_tokenizer *t, kw_json_writer *w)
{
    if (t->byte_level) return put_byte_level(t, w);
    return kw_fail(KW_EUNSUPPORTED, "a tokenizer of kind %s is not written as tokenizer.json",
                   t->kind);
}

kw_status kw_tokenizer_save_json(const kw_tokenizer *t, kw_buf *out)
{
    static const struct {
        kw_status (*put_steps)(const kw_tokenizer *t, kw_json_writer *w);
        kw_status (*put_model)(const kw_tokenizer *t, kw_json_writer *w);
    } models[] = {
        [KW_VOCAB_BPE] = { put_bpe_steps, put_bpe_model },
        [KW_VOCAB_SPM] = { put_spm_steps, put_bpe_model },
        [KW_VOCAB_UNIGRAM] = { kw_save_unigram_steps, kw_save_unigram_model },
        [KW_VOCAB_WORDPIECE] = { kw_save_wordpiece_steps, kw_save_wordpiece_model },
    };
    kw_json_writer w = { .out = out, .indent = 1 };
    kw_json_begin_object(&w);
    kw_save_text(&w, "version", "1.0");
    put_null(&w, "truncation");
    put_null(&w, "padding");
    put_added(t, &w);
    kw_status st = models[t->model].put_steps(t, &w);
    put_processor(t, &w);
    if (!st) st = models[t->model].put_model(t, &w);
    kw_json_end_object(&w);
    kw_buf_byte(out, '\n');
    return st ? st : out->status;
}

/* ---- tokenizer_config.json ---- */

static void put_token(const kw_tokenizer *t, kw_json_writer *w, const char *key, int32_t id)
{
    if (id < 0 || id >= t->n) return;
    kw_json_key(w, key);
    kw_json_put_string(w, t->tokens[id].text);
}

kw_status kw_tokenizer_save_config(const kw_tokenizer *t, kw_buf *out)
{
    kw_json_writer w = { .out = out, .indent = 2 };
    kw_json_begin_object(&w);
    kw_save_text(&w, "tokenizer_class", "PreTrainedTokenizerFast");
    kw_save_flag(&w, "add_bos_token", t->special.adds_bos);
    kw_save_flag(&w, "add_eos_token", t->special.adds_eos);
    kw_save_flag(&w, "clean_up_tokenization_spaces", false);
    put_token(t, &w, "bos_token", t->special.bos);
    put_token(t, &w, "eos_token", t->special.eos);
    put_token(t, &w, "unk_token", t->model == KW_VOCAB_BPE ? -1 : t->special.unk);
    put_token(t, &w, "pad_token", t->special.pad);
    if (t->model == KW_VOCAB_WORDPIECE && t->n_before && t->n_after) {
        put_token(t, &w, "cls_token", t->before[0]);
        put_token(t, &w, "sep_token", t->after[0]);
        put_token(t, &w, "mask_token", kw_tokenizer_find(t, "[MASK]", 6));
    }
    if (t->chat_template.p) {
        kw_json_key(&w, "chat_template");
        kw_json_put_string(&w, t->chat_template);
    }
    kw_json_end_object(&w);
    kw_buf_byte(out, '\n');
    return out->status;
}
