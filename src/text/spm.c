/* spm.c - SentencePiece's byte-pair encoding: characters merge to the piece of the highest score, leftmost first (merge.c). */
#include "text/internal.h"
#include <string.h>

/* A float's order as an unsigned number, highest score first. */
static uint32_t rank_of(float score)
{
    uint32_t u;
    memcpy(&u, &score, sizeof u);
    u = u & 0x80000000u ? ~u : u | 0x80000000u;
    return ~u;
}

int64_t kw_spm_value(float score, int32_t id)
{
    return (int64_t)((uint64_t)rank_of(score) << 32 | (uint32_t)id);
}

kw_pair kw_spm_pair(const kw_tokenizer *t, int32_t left, int32_t right, kw_str both)
{
    int64_t value;
    (void)left;
    (void)right;
    if (!kw_map_get(&t->by_bytes, both, &value)) return (kw_pair){ .rank = KW_NO_RANK };
    return (kw_pair){ .rank = (uint32_t)((uint64_t)value >> 32), .id = kw_value_id(value) };
}

kw_status kw_spm_encode(kw_encoder *e, kw_str text, kw_ids *out)
{
    if (text.n >= UINT32_MAX / 4) return kw_fail(KW_ELIMIT, "a text of %zu bytes", text.n);
    kw_status st = KW_OK;
    e->n_nodes = 0;
    for (size_t at = 0, len; at < text.n && !st; at += len) {
        uint32_t cp;
        len = kw_utf8_decode(text.p + at, text.n - at, &cp, NULL);
        st = kw_merge_put(e, kw_char_id(e->t, (kw_str){ text.p + at, len }), at);
    }
    return st ? st : kw_merge_all(e, text, out);
}
