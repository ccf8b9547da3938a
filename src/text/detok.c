/* detok.c - ids to text as they come, whole characters only.
 *
 * A character may be spread over several tokens; its bytes wait until the last one is there. Bytes that can never become
 * a character are given out at once, so the sum of all pieces is always the decoding of all ids. */
#include "text/internal.h"
#include <string.h>

kw_detok kw_detok_new(const kw_tokenizer *t, unsigned flags)
{
    return (kw_detok){ .t = t, .flags = flags };
}

kw_detok kw_detok_after(const kw_tokenizer *t, unsigned flags, int32_t last)
{
    kw_detok d = kw_detok_new(t, flags);
    d.started = last >= 0 && last < t->n && t->tokens[last].type != KW_TOKEN_CONTROL;
    return d;
}

/* A SentencePiece text begins with a space that was never there. */
static void drop_first_space(kw_detok *d, int32_t id, kw_buf *piece)
{
    uint8_t type = d->t->tokens[id].type;
    if (d->started || !d->t->drops_first_space) return;
    if (type == KW_TOKEN_CONTROL && (piece->len == 0 || !d->t->specials_are_text)) return;
    d->started = true;
    if (type == KW_TOKEN_UNKNOWN || piece->len == 0 || piece->data[0] != ' ') return;
    memmove(piece->data, piece->data + 1, --piece->len);
}

/* Words get a space in front, unless they go on with the one before. */
static void join_words(kw_detok *d, kw_buf *piece)
{
    const kw_tokenizer *t = d->t;
    if (!t->joins_words || piece->len == 0) return;
    bool goes_on = t->prefix.n && piece->len >= t->prefix.n &&
                   memcmp(piece->data, t->prefix.p, t->prefix.n) == 0;
    if (d->started && goes_on)
        memmove(piece->data, piece->data + t->prefix.n, piece->len -= t->prefix.n);
    if (d->started && !goes_on) {
        kw_buf_byte(piece, ' ');
        memmove(piece->data + 1, piece->data, piece->len - 1);
        piece->data[0] = ' ';
    }
    d->started = true;
}

/* English as it is printed: no space before punctuation, and contractions closed. In the order of the library. */
static kw_status clean_up(kw_buf *piece)
{
    static const char *const pairs[][2] = {
        { " .", "." },   { " ?", "?" },     { " !", "!" },     { " ,", "," },
        { " ' ", "'" },  { " n't", "n't" }, { " 'm", "'m" },   { " do not", " don't" },
        { " 's", "'s" }, { " 've", "'ve" }, { " 're", "'re" },
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs && piece->len > 1; i++) {
        size_t from = strlen(pairs[i][0]), to = strlen(pairs[i][1]), n = 0;
        for (size_t at = 0; at < piece->len;) {
            bool hit = from <= piece->len - at && memcmp(piece->data + at, pairs[i][0], from) == 0;
            if (hit) memcpy(piece->data + n, pairs[i][1], to);
            else piece->data[n] = piece->data[at];
            n += hit ? to : 1;
            at += hit ? from : 1;
        }
        piece->len = n;
    }
    return piece->status;
}

kw_status kw_detok_push(kw_detok *d, int32_t id, kw_buf *out)
{
    kw_buf piece = KW_BUF((size_t)1 << 24, KW_PAY_TEXT);
    kw_status st = kw_token_bytes(d->t, id, d->flags, &piece);
    if (!st) {
        drop_first_space(d, id, &piece);
        join_words(d, &piece);
        if (d->t->cleans_up) clean_up(&piece);
        kw_buf all = KW_BUF((size_t)1 << 24, KW_PAY_TEXT);
        kw_buf_bytes(&all, d->pending, (size_t)d->n_pending);
        kw_buf_bytes(&all, piece.data, piece.len);
        size_t keep = all.len ? kw_utf8_incomplete_tail(all.data, all.len) : 0;
        kw_buf_bytes(out, all.data, all.len - keep);
        if (keep) memcpy(d->pending, all.data + all.len - keep, keep);
        d->n_pending = (int)keep;
        st = all.status ? all.status : out->status;
        kw_buf_free(&all);
    }
    kw_buf_free(&piece);
    return st;
}

kw_status kw_detok_flush(kw_detok *d, kw_buf *out)
{
    kw_buf_bytes(out, d->pending, (size_t)d->n_pending);
    d->n_pending = 0;
    return out->status;
}
