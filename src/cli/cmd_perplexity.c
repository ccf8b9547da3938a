/* cmd_perplexity.c - kwaai perplexity: how well a model predicts a text.
 *
 * The text is tokenized once, without BOS, and cut into windows of -c tokens; each is scored from its second token. */
#include "cli/cli.h"
#include <math.h>
#include <stdlib.h>

static int read_ids(cli *c, int32_t **ids, size_t *n)
{
    const kw_tokenizer *t = kw_model_tokenizer(c->open_model);
    char *text = NULL;
    size_t len = 0;
    if (!t) return out_fail(EXIT_DATA, "the model has no tokenizer\ntry: --tokenizer FILE");
    if (c->n_args != 1) return out_fail(EXIT_USAGE, "perplexity takes a model and one text file");
    int code = cli_read_file(c->args[0], &text, &len);
    if (!code) code = cli_tokenize(t, text, len, 0, ids, n);
    free(text);
    if (!code && c->tokens > 0 && *n > (size_t)c->tokens) *n = (size_t)c->tokens;
    if (!code && *n < 2)
        code = out_fail(
            EXIT_DATA,
            "%s has %zu token%s\nwhy: at least two are needed to predict one\ntry: a longer text",
            c->args[0], *n, cli_s(*n));
    return code;
}

static int score(cli *c, const int32_t *ids, size_t n)
{
    size_t window = (size_t)c->session.ctx, scored = 0;
    double sum = 0, *logprob = malloc(window * sizeof *logprob);
    kw_session *s = NULL;
    kw_status st = logprob ? kw_session_open(c->open_model, &c->session, &s) : KW_ENOMEM;
    double start = cli_now_ms();
    for (size_t at = 0; !st && at + 1 < n && !interrupt_seen(); at += window) {
        size_t len = n - at < window ? n - at : window;
        st = kw_session_score(s, ids + at, len, logprob);
        for (size_t i = 0; !st && i + 1 < len; i++) sum -= logprob[i];
        scored += len - 1;
        if (c->verbose && !st)
            out_remark("%zu of %zu tokens: %.4f", at + len, n, exp(sum / (double)scored));
    }
    double seconds = (cli_now_ms() - start) / 1000, perplexity = exp(sum / (double)scored);
    kw_session_close(s);
    free(logprob);
    if (st) return out_status(st, NULL);
    if (c->json) {
        printf("{\"perplexity\":%.10g,\"nll_per_token\":%.10g,\"tokens\":%zu,\"scored\":%zu,"
               "\"window\":%zu,\"seconds\":%.3f}\n",
               perplexity, sum / (double)scored, n, scored, window, seconds);
    } else {
        printf("perplexity %.4f over %zu of %zu tokens (windows of %zu), %.1f s\n", perplexity,
               scored, n, window, seconds);
    }
    return EXIT_OK;
}

int cmd_perplexity(cli *c)
{
    int32_t *ids = NULL;
    size_t n = 0;
    int code = cli_open_model(c);
    if (!code) code = read_ids(c, &ids, &n);
    if (c->session.ctx == 0) c->session.ctx = 512;
    if (!code && c->session.ctx < 2)
        code = out_fail(EXIT_USAGE, "a window of %d tokens predicts nothing\ntry: -c 512",
                        c->session.ctx);
    if (!code) code = score(c, ids, n);
    free(ids);
    return code;
}
