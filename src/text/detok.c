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
    if (d->started || d->t->model != KW_VOCAB_SPM || !d->t->add_prefix_space) return;
    uint8_t type = d->t->tokens[id].type;
    if (type == KW_TOKEN_CONTROL) return;
    d->started = true;
    if (piece->len == 0 || piece->data[0] != ' ') return;
    memmove(piece->data, piece->data + 1, --piece->len);
}

kw_status kw_detok_push(kw_detok *d, int32_t id, kw_buf *out)
{
    kw_buf piece = KW_BUF((size_t)1 << 24, KW_PAY_TEXT);
    kw_status st = kw_token_bytes(d->t, id, d->flags, &piece);
    if (!st) {
        drop_first_space(d, id, &piece);
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
