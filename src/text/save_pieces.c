/* save_pieces.c - the parts of tokenizer.json that Unigram and WordPiece have of their own.
 *
 * SentencePiece's Unigram is its compiled map of characters, blanks squeezed where the file says so, and scores. WordPiece is
 * BERT's normalizer and cuts. Only these are written: steps that another file asked for would be lost. */
#include "text/save.h"
#include <string.h>

#define BLANK "\xe2\x96\x81"

/* ---- Unigram ---- */

static void put_base64(kw_json_writer *w, const unsigned char *p, size_t n)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    kw_buf text = KW_BUF((size_t)256 << 20, KW_PAY_TEXT);
    for (size_t i = 0; i < n; i += 3) {
        uint32_t v = (uint32_t)p[i] << 16;
        if (i + 1 < n) v |= (uint32_t)p[i + 1] << 8;
        if (i + 2 < n) v |= p[i + 2];
        kw_buf_byte(&text, letters[v >> 18]);
        kw_buf_byte(&text, letters[v >> 12 & 63]);
        kw_buf_byte(&text, i + 1 < n ? letters[v >> 6 & 63] : '=');
        kw_buf_byte(&text, i + 2 < n ? letters[v & 63] : '=');
    }
    kw_json_put_string(w, (kw_str){ text.data, text.len });
    kw_buf_free(&text);
}

static void put_metaspace(const kw_tokenizer *t, kw_json_writer *w)
{
    kw_save_begin(w, "Metaspace");
    kw_save_text(w, "replacement", BLANK);
    kw_save_text(w, "prepend_scheme", t->add_prefix_space ? "always" : "never");
    kw_save_flag(w, "split", true);
    kw_json_end_object(w);
}

static void put_squeezes(kw_json_writer *w)
{
    kw_save_begin(w, "Strip");
    kw_save_flag(w, "strip_left", true);
    kw_save_flag(w, "strip_right", true);
    kw_json_end_object(w);
    kw_save_begin(w, "Replace");
    kw_json_key(w, "pattern");
    kw_json_begin_object(w);
    kw_save_text(w, "Regex", " {2,}");
    kw_json_end_object(w);
    kw_save_text(w, "content", " ");
    kw_json_end_object(w);
}

kw_status kw_save_unigram_steps(const kw_tokenizer *t, kw_json_writer *w)
{
    if (t->n_norms != 1 || t->norms[0].kind != KW_NORM_SENTENCEPIECE || t->n_cuts)
        return kw_fail(KW_EUNSUPPORTED, "a Unigram with steps that SentencePiece does not have is "
                                        "not written as tokenizer.json");
    kw_json_key(w, "normalizer");
    kw_save_begin(w, "Sequence");
    kw_json_key(w, "normalizers");
    kw_json_begin_array(w);
    if (t->charsmap.trie
            .n) { /* in memory as its file has it: length of the trie, the trie, the texts */
        kw_save_begin(w, "Precompiled");
        kw_json_key(w, "precompiled_charsmap");
        put_base64(w, (const unsigned char *)t->charsmap.trie.p - 4,
                   4 + t->charsmap.trie.n + t->charsmap.texts.n);
        kw_json_end_object(w);
    }
    if (t->norms[0].form) put_squeezes(w);
    kw_json_end_array(w);
    kw_json_end_object(w);
    kw_json_key(w, "pre_tokenizer");
    put_metaspace(t, w);
    kw_json_key(w, "decoder");
    put_metaspace(t, w);
    return KW_OK;
}

kw_status kw_save_unigram_model(const kw_tokenizer *t, kw_json_writer *w)
{
    kw_json_key(w, "model");
    kw_save_begin(w, "Unigram");
    kw_json_key(w, "unk_id");
    kw_json_put_int(w, t->special.unk);
    kw_json_key(w, "vocab");
    kw_json_begin_array(w);
    for (int32_t i = 0; i < t->n; i++) {
        kw_json_begin_array(w);
        kw_json_put_string(w, t->tokens[i].text);
        kw_json_put_float(w, t->scores[i]);
        kw_json_end_array(w);
    }
    kw_json_end_array(w);
    kw_save_flag(w, "byte_fallback", t->byte_fallback && t->byte_id['a'] >= 0);
    kw_json_end_object(w);
    return KW_OK;
}

/* ---- WordPiece ---- */

static bool has_norm(const kw_tokenizer *t, int kind)
{
    for (int i = 0; i < t->n_norms; i++)
        if ((int)t->norms[i].kind == kind) return true;
    return false;
}

kw_status kw_save_wordpiece_steps(const kw_tokenizer *t, kw_json_writer *w)
{
    if (!has_norm(t, KW_NORM_BERT_CLEAN))
        return kw_fail(KW_EUNSUPPORTED, "a WordPiece without BERT's normalizer is not written as "
                                        "tokenizer.json");
    kw_json_key(w, "normalizer");
    kw_save_begin(w, "BertNormalizer");
    kw_save_flag(w, "clean_text", true);
    kw_save_flag(w, "handle_chinese_chars", has_norm(t, KW_NORM_IDEOGRAPHS));
    kw_save_flag(w, "strip_accents", has_norm(t, KW_NORM_ACCENTS));
    kw_save_flag(w, "lowercase", has_norm(t, KW_NORM_LOWER));
    kw_json_end_object(w);
    kw_json_key(w, "pre_tokenizer");
    kw_save_begin(w, "BertPreTokenizer");
    kw_json_end_object(w);
    kw_json_key(w, "decoder");
    kw_save_begin(w, "WordPiece");
    kw_save_text(w, "prefix", "##");
    kw_save_flag(w, "cleanup", true);
    kw_json_end_object(w);
    return KW_OK;
}

kw_status kw_save_wordpiece_model(const kw_tokenizer *t, kw_json_writer *w)
{
    kw_json_key(w, "model");
    kw_save_begin(w, "WordPiece");
    if (t->special.unk >= 0) {
        kw_json_key(w, "unk_token");
        kw_json_put_string(w, t->tokens[t->special.unk].text);
    }
    kw_save_text(w, "continuing_subword_prefix", "##");
    kw_json_key(w, "max_input_chars_per_word");
    kw_json_put_int(w, t->max_word);
    kw_save_vocabulary(t, w);
    kw_json_end_object(w);
    return KW_OK;
}
