/* cmd_score.c - kwaai score: the log-likelihood of each text (docs/howto/embeddings.md). */
#include "cli/cli.h"
#include <stdlib.h>
#include <string.h>

static void print(const cli *c, const kw_text *texts, const kw_score *s, size_t n)
{
    if (c->json) out_json_begin(c->open_model, "scores");
    else printf("  logprob  tokens  a token  text\n");
    for (size_t i = 0; i < n; i++) {
        int len = (int)(texts[i].len < 100 ? texts[i].len : 100);
        if (c->json) {
            printf("%s\n{\"logprob\":", i ? "," : "");
            out_json_number(s[i].logprob);
            printf(",\"tokens\":%zu}", s[i].n_tokens);
        } else if (!s[i].n_tokens) /* its first token is given, and it has no other */
            printf("%9s %7d %8s  %.*s\n", "-", 0, "-", len, texts[i].text);
        else
            printf("%9.3f %7zu %8.3f  %.*s\n", s[i].logprob, s[i].n_tokens,
                   s[i].logprob / (double)s[i].n_tokens, len, texts[i].text);
    }
    if (c->json) printf("]}\n");
}

int cmd_score(cli *c)
{
    kw_text *texts = NULL;
    char *owned = NULL;
    size_t n = 0;
    int code = cli_open_model(c);
    if (!code) code = cli_texts(c, 0, &texts, &n, &owned);
    kw_score *scores = code ? NULL : malloc(n * sizeof *scores);
    if (!code && !scores) code = out_fail(EXIT_OS, "out of memory");
    kw_status st = code ? KW_OK : kw_score_texts(c->open_model, &c->session, texts, n, scores);
    if (st) code = out_status(st, NULL);
    if (!code) print(c, texts, scores, n);
    free(scores);
    free(texts);
    free(owned);
    return code ? code : out_flush();
}
