/* words.c - what lies between cutting text and the model that makes ids of a piece: pieces met before, and places where a long
 * piece may be cut without changing a single id.
 *
 * BPE that keeps blanks as "▁" merges over whole texts. But a merge across a place makes a token that holds both sides of it, so
 * where no token of the vocabulary has these two bytes, or this one and a "▁", side by side, nothing ever joins: the words on
 * both sides are encoded by themselves, which is faster, and may be remembered. (Unigram sums over all of a text: it asks for the
 * words by itself.) */
#include "text/internal.h"
#include <string.h>

static kw_status (*const models[])(kw_encoder *, kw_str, kw_ids *) = {
    [KW_VOCAB_BPE] = kw_bpe_encode,
    [KW_VOCAB_SPM] = kw_spm_encode,
    [KW_VOCAB_UNIGRAM] = kw_unigram_encode,
    [KW_VOCAB_WORDPIECE] = kw_wordpiece_encode,
};

static const char blank[] = "\xe2\x96\x81";
enum { BLANK = 3 };

/* ---- words met before ---- */

enum { WORD_BYTES = 30, WORD_IDS = 8, MAX_WORDS = 1 << 13 };

typedef struct kw_word {
    uint8_t len, n;
    char text[WORD_BYTES];
    int32_t ids[WORD_IDS];
} word;

uint64_t kw_word_hash(kw_str s)
{
    uint64_t h = s.n, part;
    for (size_t i = 0; i < s.n; i += 8) {
        part = 0;
        if (s.n - i >= 8) memcpy(&part, s.p + i, 8);
        else
            for (size_t k = i; k < s.n; k++) part = part << 8 | (unsigned char)s.p[k];
        h = (h ^ part) * 0x9e3779b97f4a7c15u;
        h ^= h >> 29;
    }
    return h ^ h >> 32;
}

static void remember(word *w, kw_str piece, const int32_t *ids, size_t n)
{
    if (n > WORD_IDS) return;
    w->len = (uint8_t)piece.n;
    w->n = (uint8_t)n;
    memcpy(w->text, piece.p, piece.n);
    if (n) memcpy(w->ids, ids, n * sizeof *ids);
}

static kw_status encode_word(kw_encoder *e, kw_str piece, kw_ids *out)
{
    if (!e->words || piece.n > WORD_BYTES || piece.n == 0)
        return models[e->t->model](e, piece, out);
    word *w = &e->words[kw_word_hash(piece) & (e->n_words - 1)];
    if (w->len == piece.n && memcmp(w->text, piece.p, piece.n) == 0) {
        kw_status st = KW_OK;
        for (int i = 0; i < w->n && !st; i++) st = kw_ids_push(out, w->ids[i]);
        return st;
    }
    size_t before = out->n;
    kw_status st = models[e->t->model](e, piece, out);
    if (!st) remember(w, piece, out->ids + before, out->n - before);
    return st;
}

kw_status kw_words_begin(kw_encoder *e, size_t text_bytes)
{
    size_t n = 256;
    if (text_bytes < 8 * n) return KW_OK;
    while (n < MAX_WORDS && 4 * n < text_bytes) n *= 2;
    e->words = kw_calloc(n, sizeof *e->words, KW_PAY_TEXT);
    e->n_words = n;
    e->n_pairs = 2 * n;
    bool merges = e->t->model == KW_VOCAB_BPE || e->t->model == KW_VOCAB_SPM;
    if (merges) e->pairs = kw_calloc(e->n_pairs, sizeof *e->pairs, KW_PAY_TEXT);
    return e->words && (e->pairs || !merges) ? KW_OK : KW_ENOMEM;
}

void kw_words_release(kw_encoder *e)
{
    kw_free(e->nodes);
    kw_heap_free(&e->heap);
    kw_free(e->pairs);
    kw_free(e->words);
}

/* ---- places where nothing joins ---- */

static bool is_blank(kw_str s, size_t at)
{
    return s.n - at >= BLANK && memcmp(s.p + at, blank, BLANK) == 0;
}

/* Unknown characters side by side become one token, which a cut between them would make two. */
static bool fuses(const kw_tokenizer *t)
{
    bool has_all = t->byte_fallback;
    for (int i = 0; i < 256; i++) has_all = has_all && t->byte_id[i] >= 0;
    return t->model == KW_VOCAB_BPE && t->fuse_unk && !has_all;
}

void kw_words_prepare(kw_tokenizer *t)
{
    bool has_blanks = t->model != KW_VOCAB_WORDPIECE && !t->byte_level;
    if (!has_blanks || t->suffix.n || t->ignore_merges || kw_tokenizer_find(t, blank, BLANK) < 0)
        return;
    t->parts_words = true;
    for (int32_t i = 0; i < t->n; i++) {
        kw_str s = t->tokens[i].text;
        for (size_t at = 1; at < s.n; at++) {
            unsigned char left = (unsigned char)s.p[at - 1], right = (unsigned char)s.p[at];
            if (is_blank(s, at)) t->joins_blank[left] = true;
            else t->joins[left][right / 8] |= (uint8_t)(1 << right % 8);
        }
    }
    if (fuses(t)) memset(t->joins, 0xff, sizeof t->joins);
}

size_t kw_word_end(const kw_tokenizer *t, kw_str s, size_t at)
{
    while (++at < s.n) {
        unsigned char left = (unsigned char)s.p[at - 1], right = (unsigned char)s.p[at];
        if ((right & 0xC0) == 0x80) continue; /* inside a character */
        bool joins = right == (unsigned char)blank[0] && is_blank(s, at)
                         ? t->joins_blank[left]
                         : t->joins[left][right / 8] >> right % 8 & 1;
        if (!joins) break;
    }
    return at < s.n ? at : s.n;
}

kw_status kw_words_encode(kw_encoder *e, kw_str piece, kw_ids *out)
{
    kw_status st = KW_OK;
    if (!e->t->parts_words || e->t->model == KW_VOCAB_UNIGRAM) return encode_word(e, piece, out);
    for (size_t at = 0, end; at < piece.n && !st; at = end) {
        end = kw_word_end(e->t, piece, at);
        st = encode_word(e, (kw_str){ piece.p + at, end - at }, out);
    }
    return st;
}
