/* load_llama2c.c - llama2.c's tokenizer.bin: the longest length u32, then score f32, length u32 and bytes of each piece.
 *
 * Pieces keep their spaces; ids 0, 1, 2 are unknown, begin and end; ids 3..258 are the bytes. */
#include "text/internal.h"
#include <stdio.h>

enum { LONGEST = 1024 };

static kw_status count_pieces(kw_cursor c, size_t *n)
{
    float score;
    uint32_t len;
    for (*n = 0; kw_cursor_left(&c); ++*n)
        if (!kw_cursor_f32(&c, &score) || !kw_cursor_u32(&c, &len) || len > LONGEST ||
            !kw_cursor_skip(&c, len))
            return kw_fail(KW_EFORMAT, "piece %zu of the tokenizer is damaged or cut off", *n);
    return KW_OK;
}

static kw_status read_pieces(kw_tokenizer *t, kw_cursor c)
{
    for (int32_t i = 0; i < t->n; i++) {
        uint32_t len;
        kw_str text;
        kw_cursor_f32(&c, &t->tokens[i].score);
        kw_cursor_u32(&c, &len);
        if (!kw_cursor_bytes(&c, len, &text)) return kw_cursor_fail(&c);
        t->tokens[i].text.p = kw_arena_strdup(&t->arena, text.p, text.n);
        t->tokens[i].text.n = text.n;
        if (!t->tokens[i].text.p) return KW_ENOMEM;
        if (i < 3) t->tokens[i].type = i == 0 ? KW_TOKEN_UNKNOWN : KW_TOKEN_CONTROL;
    }
    return KW_OK;
}

kw_status kw_load_llama2c_vocab(kw_tokenizer *t, const char *path)
{
    char *text = NULL;
    size_t len, n;
    uint32_t longest;
    kw_status st = kw_file_read(path, (size_t)64 << 20, &text, &len);
    if (st) return st;
    kw_cursor c = kw_cursor_of(text, len, "the tokenizer");
    if (!kw_cursor_u32(&c, &longest)) st = kw_cursor_fail(&c);
    if (!st) st = count_pieces(c, &n);
    if (!st) st = kw_tokenizer_reserve(t, n);
    if (!st) st = read_pieces(t, c);
    kw_free(text);
    if (st) return kw_note(st, "%s", path);
    t->model = KW_VOCAB_SPM;
    t->space = " ";
    t->add_prefix_space = t->drops_first_space = true;
    t->special = (kw_special_ids){ .bos = 1, .eos = 2, .pad = -1, .unk = 0, .adds_bos = true };
    snprintf(t->kind, sizeof t->kind, "SentencePiece BPE (llama2.c)");
    st = kw_tokenizer_add_norm(t, (kw_norm){ .kind = KW_NORM_SENTENCEPIECE });
    return st ? st : kw_tokenizer_finish(t);
}
