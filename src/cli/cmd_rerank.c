/* cmd_rerank.c - kwaai rerank: texts by how well they answer a question, best first (docs/howto/embeddings.md). */
#include "cli/cli.h"
#include <stdlib.h>
#include <string.h>

typedef struct place {
    size_t index;
    float score;
} place;

static int better(const void *a, const void *b)
{
    const place *x = a, *y = b;
    if (x->score != y->score) return x->score < y->score ? 1 : -1;
    return (x->index > y->index) - (x->index < y->index);
}

static void print(const cli *c, const kw_text *texts, const place *p, size_t n)
{
    if (c->json) out_json_begin(c->open_model, "results");
    for (size_t i = 0; i < n; i++) {
        const kw_text *t = &texts[p[i].index];
        if (c->json) {
            printf("%s\n{\"index\":%zu,\"score\":", i ? "," : "", p[i].index);
            out_json_number((double)p[i].score);
            printf(",\"text\":");
            out_json_string(t->text, t->len);
            putchar('}');
        } else
            printf("%9.4f  %.*s\n", (double)p[i].score, (int)(t->len < 4096 ? t->len : 4096),
                   t->text);
    }
    if (c->json) printf("]}\n");
}

static kw_status score(cli *c, const kw_text *texts, size_t n, float *scores)
{
    kw_embed_options o = { c->session, c->pooling, false };
    kw_text query = { c->args[0], strlen(c->args[0]) };
    kw_embedder *e = NULL;
    kw_status st = kw_embedder_open(c->open_model, &o, &e);
    if (!st) st = kw_rerank_texts(e, query, texts, n, scores);
    kw_embedder_close(e);
    return st;
}

static int rerank(cli *c, const kw_text *texts, size_t n)
{
    float *scores = malloc(n * sizeof *scores);
    place *places = malloc(n * sizeof *places);
    kw_status st = scores && places ? score(c, texts, n, scores) : KW_OK;
    int code = st ? out_status(st, NULL) : EXIT_OK;
    if (!scores || !places) code = out_fail(EXIT_OS, "out of memory");
    for (size_t i = 0; i < n && !code; i++) places[i] = (place){ i, scores[i] };
    if (!code) qsort(places, n, sizeof *places, better);
    if (!code) print(c, texts, places, c->top && (size_t)c->top < n ? (size_t)c->top : n);
    free(scores);
    free(places);
    return code ? code : out_flush();
}

int cmd_rerank(cli *c)
{
    kw_text *texts = NULL;
    char *owned = NULL;
    size_t n = 0;
    int code = cli_open_model(c);
    if (!code && c->n_args == 0)
        code = out_fail(EXIT_USAGE, "rerank needs a query and texts\ntry: kwaai rerank %s",
                        commands[c->command].usage);
    if (!code) code = cli_texts(c, 1, &texts, &n, &owned);
    if (!code) code = rerank(c, texts, n);
    free(texts);
    free(owned);
    return code;
}
