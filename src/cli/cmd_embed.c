/* cmd_embed.c - kwaai embed: texts to vectors, as JSON or as an array that NumPy loads (docs/howto/embeddings.md). */
#include "cli/cli.h"
#include <stdlib.h>
#include <string.h>

static void print_json(const cli *c, const float *v, size_t n, size_t dim)
{
    out_json_begin(c->open_model, "embeddings");
    for (size_t i = 0; i < n; i++) {
        printf(i ? ",\n[" : "\n[");
        for (size_t j = 0; j < dim; j++) {
            if (j) putchar(',');
            out_json_number((double)v[i * dim + j]);
        }
        putchar(']');
    }
    printf("]}\n");
}

/* Version 1.0: a header that fills whole 64 bytes, then the numbers, little-endian as all machines of this program are. */
static void print_npy(const float *v, size_t n, size_t dim)
{
    char head[192];
    int len = snprintf(head, sizeof head,
                       "{'descr': '<f4', 'fortran_order': False, 'shape': (%zu, %zu), }", n, dim);
    int total = (10 + len + 1 + 63) / 64 * 64, rest = total - 10;
    fwrite("\x93NUMPY\x01\x00", 1, 8, stdout);
    putchar(rest & 255);
    putchar(rest >> 8);
    printf("%s%*s\n", head, rest - len - 1, "");
    fwrite(v, sizeof *v, n * dim, stdout);
}

static int embed(cli *c, const kw_text *texts, size_t n)
{
    kw_embed_options o = { c->session, c->pooling, c->keep_length };
    kw_embedder *e = NULL;
    kw_status st = kw_embedder_open(c->open_model, &o, &e);
    size_t dim = st ? 1 : (size_t)kw_embedder_describe(e).dim;
    float *v = n < SIZE_MAX / sizeof *v / dim ? malloc(n * dim * sizeof *v) : NULL;
    if (!st && v) st = kw_embed_texts(e, texts, n, v);
    int code = st   ? out_status(st, NULL)
               : !v ? out_fail(EXIT_OS, "out of memory for %zu vector%s", n, cli_s(n))
                    : EXIT_OK;
    if (!code && !strcmp(c->format, "npy")) print_npy(v, n, dim);
    else if (!code) print_json(c, v, n, dim);
    kw_embedder_close(e);
    free(v);
    return code ? code : out_flush();
}

int cmd_embed(cli *c)
{
    kw_text *texts = NULL;
    char *owned = NULL;
    size_t n = 0;
    if (strcmp(c->format, "json") && strcmp(c->format, "npy"))
        return out_fail(EXIT_USAGE, "--format %s: expected json or npy", c->format);
    int code = cli_open_model(c);
    if (!code) code = cli_texts(c, 0, &texts, &n, &owned);
    if (!code) code = embed(c, texts, n);
    free(texts);
    free(owned);
    return code;
}
