/* tokens.c - many texts through one tokenizer, for tests that compare with other libraries.
 *
 *     tokens TOKENIZER [encode] < texts > answers
 *
 * A text is its length (u32) and its bytes; an answer is the number of ids (u32), the ids (i32), and what they decode to
 * (length u32, bytes; nothing after the word "encode"). Numbers are as the machine has them. */
#include "kwaai/status.h"
#include "kwaai/text.h"
#include <stdio.h>
#include <stdlib.h>

typedef struct room {
    char *text, *back;
    int32_t *ids;
    size_t cap, back_cap;
    bool decodes;
} room;

static int failed(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, kw_error_message());
    return 1;
}

static int answer(const kw_tokenizer *t, room *r, uint32_t len)
{
    unsigned flags = KW_TEXT_ADD_SPECIAL | KW_TEXT_PARSE_SPECIAL;
    size_t n = 0, n_back = 0;
    if (kw_tokenize(t, r->text, len, flags, r->ids, r->cap, &n)) return failed("encode");
    if (r->decodes && kw_detokenize(t, r->ids, n, 0, r->back, r->back_cap, &n_back))
        return failed("decode");
    uint32_t counts[2] = { (uint32_t)n, (uint32_t)n_back };
    fwrite(&counts[0], 4, 1, stdout);
    fwrite(r->ids, 4, n, stdout);
    fwrite(&counts[1], 4, 1, stdout);
    fwrite(r->back, 1, n_back, stdout);
    return 0;
}

int main(int argc, char **argv)
{
    kw_tokenizer *t = NULL;
    uint32_t len;
    room r = { .cap = 1 << 22, .back_cap = 1 << 24, .decodes = argc == 2 };
    int code = argc == 2 || argc == 3 ? 0 : 2;
    if (!code && kw_tokenizer_open(argv[1], &t)) code = failed(argv[1]);
    r.text = malloc(r.cap);
    r.back = malloc(r.back_cap);
    r.ids = malloc(r.cap * sizeof *r.ids);
    if (!r.text || !r.back || !r.ids) code = 1;
    while (!code && fread(&len, 4, 1, stdin) == 1)
        code = len <= r.cap && fread(r.text, 1, len, stdin) == len ? answer(t, &r, len) : 1;
    kw_tokenizer_close(t);
    free(r.text);
    free(r.back);
    free(r.ids);
    return code;
}
