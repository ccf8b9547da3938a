/* search.c - kwaai generate --beams: the best texts of a beam search, or with --json all of them and their scores. */
#include "cli/cli.h"
#include <stdlib.h>
#include <string.h>

/* Ids as text; free it. NULL when there is no memory. */
static char *text_of(const kw_tokenizer *t, const int32_t *ids, size_t n, size_t *len)
{
    char *text = NULL;
    *len = 0;
    kw_status st = kw_detokenize(t, ids, n, KW_TEXT_NO_SPECIAL, NULL, 0, len);
    if (!st || st == KW_ELIMIT) text = malloc(*len + 1);
    if (text) st = kw_detokenize(t, ids, n, KW_TEXT_NO_SPECIAL, text, *len, len);
    if (text && !st) return text;
    free(text);
    return NULL;
}

/* What the new ids add to the text before them: some tokens' text depends on what they follow. */
static void put_text(const cli *c, kw_session *s, const kw_hypothesis *h)
{
    const kw_tokenizer *t = kw_model_tokenizer(c->open_model);
    size_t n = 0, before = 0, len = 0, skip = 0;
    const int32_t *ids = kw_session_ids(s, &n);
    int32_t *all = malloc((n + h->n) * sizeof *all);
    char *old = t ? text_of(t, ids, n, &before) : NULL, *text = NULL;
    if (all) memcpy(all, ids, n * sizeof *ids);
    if (all) memcpy(all + n, h->ids, h->n * sizeof *ids);
    if (old && all) text = text_of(t, all, n + h->n, &len);
    if (text && before <= len && !memcmp(text, old, before)) skip = before;
    if (c->json) out_json_string(text ? text + skip : "", len - skip);
    else if (text) fwrite(text + skip, 1, len - skip, stdout);
    else out_ids(h->ids, h->n);
    free(all);
    free(old);
    free(text);
}

static void print_json(const cli *c, kw_session *s, const kw_beams *b, double total_ms)
{
    printf("{\"beams\":[");
    for (size_t i = 0; i < b->n; i++) {
        printf("%s{\"ids\":[", i ? "," : "");
        out_ids(b->at[i].ids, b->at[i].n);
        printf("],\"text\":");
        put_text(c, s, &b->at[i]);
        printf(",\"score\":");
        out_json_number(b->at[i].score);
        printf("}");
    }
    printf("],\"timings\":{\"total_ms\":");
    out_json_number(total_ms);
    printf("}}\n");
}

int cli_search(cli *c, kw_session *s, const int32_t *ids, size_t n)
{
    kw_beams *beams = NULL;
    int32_t end = c->eos;
    c->beam.max_tokens = c->predict;
    if (end >= 0) c->beam.end_ids = &end;
    c->beam.n_end_ids = end >= 0;
    double start = cli_now_ms();
    interrupt_watch(s);
    kw_status st = kw_session_sync(s, ids, n);
    if (!st) st = kw_session_search(s, &c->beam, &beams);
    bool interrupted = interrupt_seen();
    interrupt_watch(NULL);
    if (st && interrupted && st == KW_ECANCELED) return EXIT_INTERRUPTED;
    if (st) return out_status(st, NULL);
    if (c->json) {
        print_json(c, s, beams, cli_now_ms() - start);
    } else if (beams->n) {
        put_text(c, s, &beams->at[0]);
        putchar('\n');
    }
    kw_beams_free(beams);
    return interrupted ? EXIT_INTERRUPTED : EXIT_OK;
}
