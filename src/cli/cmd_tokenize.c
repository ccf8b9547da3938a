/* cmd_tokenize.c - kwaai tokenize: text to ids, and back. */
#include "cli/cli.h"
#include <stdlib.h>
#include <string.h>

static int read_text(const cli *c, char **text, size_t *len)
{
    if (c->file[0]) return cli_read_file(c->file, text, len);
    if (c->n_args == 0 && cli_stdin_is_piped()) return cli_read_file("-", text, len);
    *text = cli_join_args(c, 0);
    if (!*text) return out_fail(EXIT_OS, "out of memory");
    *len = strlen(*text);
    return EXIT_OK;
}

static int decode(const kw_tokenizer *t, const char *text, size_t text_len)
{
    int32_t *ids = NULL;
    size_t n = 0, len = 0;
    int code = cli_read_ids(text, text_len, &ids, &n);
    if (code) return code;
    kw_status st = kw_detokenize(t, ids, n, 0, NULL, 0, &len);
    char *out = st == KW_OK || st == KW_ELIMIT ? malloc(len + 1) : NULL;
    if (out) st = kw_detokenize(t, ids, n, 0, out, len, &len);
    if (!out && (st == KW_OK || st == KW_ELIMIT)) code = out_fail(EXIT_OS, "out of memory");
    else if (st) code = out_status(st, NULL);
    else fwrite(out, 1, len, stdout);
    free(out);
    free(ids);
    return code;
}

static void print_ids(const cli *c, const kw_tokenizer *t, const int32_t *ids, size_t n)
{
    if (c->json) {
        printf("[");
        out_ids(ids, n);
        printf("]\n");
    }
    for (size_t i = 0; i < n && !c->json; i++) {
        size_t len = 0;
        const char *piece = kw_tokenizer_piece(t, ids[i], &len);
        printf("%6d -> '%.*s'\n", (int)ids[i], (int)len, piece ? piece : "");
    }
}

static int encode(const cli *c, const kw_tokenizer *t, const char *text, size_t len)
{
    int32_t *ids = NULL;
    size_t n = 0;
    unsigned flags = (c->no_special ? 0u : (unsigned)KW_TEXT_ADD_SPECIAL) |
                     (c->no_parse_special ? 0u : (unsigned)KW_TEXT_PARSE_SPECIAL);
    int code = cli_tokenize(t, text, len, flags, &ids, &n);
    if (!code) print_ids(c, t, ids, n);
    free(ids);
    return code;
}

int cmd_tokenize(cli *c)
{
    kw_tokenizer *t = NULL;
    char *path = NULL, *text = NULL;
    size_t len = 0;
    int code = cli_model_path(c, &path);
    if (!code) code = read_text(c, &text, &len);
    kw_status st =
        code ? KW_OK : kw_tokenizer_open(c->model.tokenizer[0] ? c->model.tokenizer : path, &t);
    if (st) code = out_status(st, NULL);
    if (!code) code = c->decode ? decode(t, text, len) : encode(c, t, text, len);
    kw_tokenizer_close(t);
    free(path);
    free(text);
    return code;
}
