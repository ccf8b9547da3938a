/* cmd_generate.c - kwaai generate: continues a text, or a list of ids, as it stands. */
#include "cli/cli.h"
#include <stdlib.h>
#include <string.h>

typedef struct generation {
    cli *c;
    kw_session *session;
    int32_t *ids; /* the new ones */
    size_t n_ids, cap;
    char *text;
    size_t len, text_cap;
    kw_logprob *top; /* n_ids * (1 + logprobs): the chosen one first */
    bool failed;
} generation;

static bool grow(void **block, size_t *cap, size_t need, size_t each)
{
    if (need <= *cap) return true;
    size_t wanted = *cap ? *cap * 2 : 256;
    while (wanted < need) wanted *= 2;
    void *more = realloc(*block, wanted * each);
    if (!more) return false;
    *block = more;
    *cap = wanted;
    return true;
}

static bool on_text(void *user, const char *text, size_t len)
{
    generation *g = user;
    if (!g->c->json) {
        fwrite(text, 1, len, stdout);
        return fflush(stdout) == 0;
    }
    void *block = g->text;
    if (!grow(&block, &g->text_cap, g->len + len, 1)) return g->failed = true, false;
    g->text = block;
    memcpy(g->text + g->len, text, len);
    g->len += len;
    return true;
}

static float logprob_of(const kw_logprob *top, int n, int32_t id)
{

    for (int i = 0; i < n; i++)
        if (top[i].id == id) return top[i].logprob;
    return top[n - 1].logprob;
}

/* All of the vocabulary is asked for, so that the chosen id is among it. */
static void keep_logprobs(generation *g, int32_t id)
{
    size_t n_vocab = 0, k = (size_t)g->c->logprobs, at = (g->n_ids - 1) * (k + 1);
    int n = 0;
    if (!kw_session_logits(g->session, &n_vocab)) return;
    kw_logprob *all = malloc(n_vocab * sizeof *all);
    kw_logprob *more = realloc(g->top, (at + k + 1) * sizeof *more);
    if (more) g->top = more;
    if (!all || !more || kw_session_top(g->session, (int)n_vocab, all, &n)) {
        g->failed = true;
    } else {
        g->top[at] = (kw_logprob){ id, logprob_of(all, n, id) };
        for (size_t i = 0; i < k; i++)
            g->top[at + 1 + i] = i < (size_t)n ? all[i] : (kw_logprob){ -1, 0 };
    }
    free(all);
}

static void on_id(void *user, int32_t id)
{
    generation *g = user;
    void *block = g->ids;
    if (g->failed || !grow(&block, &g->cap, g->n_ids + 1, sizeof *g->ids)) {
        g->failed = true;
        return;
    }
    g->ids = block;
    g->ids[g->n_ids++] = id;
    if (g->c->logprobs > 0) keep_logprobs(g, id);
}

static void print_logprobs(const generation *g)
{
    size_t k = (size_t)g->c->logprobs;
    printf(",\"logprobs\":[");
    for (size_t i = 0; i < g->n_ids; i++) {
        const kw_logprob *row = g->top + i * (k + 1);
        printf("%s{\"id\":%d,\"logprob\":", i ? "," : "", (int)row[0].id);
        out_json_number((double)row[0].logprob);
        printf(",\"top\":[");
        for (size_t j = 1; j <= k && row[j].id >= 0; j++) {
            printf("%s{\"id\":%d,\"logprob\":", j > 1 ? "," : "", (int)row[j].id);
            out_json_number((double)row[j].logprob);
            printf("}");
        }
        printf("]}");
    }
    printf("]");
}

static void print_json(const generation *g, const kw_generate_result *r, size_t n_prompt,
                       double prompt_ms)
{
    double decode_ms = r->total_ms - r->first_ms;
    printf("{\"ids\":[");
    out_ids(g->ids, g->n_ids);
    printf("],\"text\":");
    if (kw_model_tokenizer(g->c->open_model)) out_json_string(g->text ? g->text : "", g->len);
    else printf("null");
    printf(",\"finish\":\"%s\",\"timings\":{\"prompt_tokens\":%zu,\"prompt_ms\":",
           kw_finish_name(r->finish), n_prompt);
    out_json_number(prompt_ms);
    printf(",\"new_tokens\":%d,\"first_ms\":", r->n_ids);
    out_json_number(r->first_ms);
    printf(",\"total_ms\":");
    out_json_number(r->total_ms);
    printf(",\"tok_s\":");
    out_json_number(r->n_ids > 1 && decode_ms > 0 ? (r->n_ids - 1) * 1000.0 / decode_ms : 0);
    printf(",\"runs\":%d,\"drafted\":%d,\"accepted\":%d}", r->n_runs, r->n_drafted, r->n_accepted);
    if (g->c->logprobs > 0) print_logprobs(g);
    printf("}\n");
}

/* --ids, or -f, -p, the arguments, standard input: in this order. */
static int read_prompt(cli *c, int32_t **ids, size_t *n)
{
    const kw_tokenizer *t = kw_model_tokenizer(c->open_model);
    char *text = NULL;
    size_t len = 0;
    int code = EXIT_OK;
    if (cli_was_set(c, "ids")) return cli_read_ids(c->ids, strlen(c->ids), ids, n);
    if (!t)
        return out_fail(EXIT_DATA,
                        "the model has no tokenizer\ntry: --tokenizer FILE, or --ids 1,2,3");
    if (c->file[0]) {
        code = cli_read_file(c->file, &text, &len);
    } else if (cli_was_set(c, "prompt") || c->n_args > 0) {
        text = cli_was_set(c, "prompt") ? strdup(c->prompt) : cli_join_args(c, 0);
        len = text ? strlen(text) : 0;
        if (!text) code = out_fail(EXIT_OS, "out of memory");
    } else if (cli_stdin_is_piped()) {
        code = cli_read_file("-", &text, &len);
    }
    unsigned flags =
        KW_TEXT_ADD_SPECIAL | (c->no_parse_special ? 0u : (unsigned)KW_TEXT_PARSE_SPECIAL);
    if (!code) code = cli_tokenize(t, text ? text : "", len, flags, ids, n);
    free(text);
    return code;
}

static int continue_text(generation *g, const int32_t *ids, size_t n)
{
    cli *c = g->c;
    kw_generate_result r = { .end_id = -1, .finish = KW_FINISH_LENGTH };
    kw_generate_args args = { .max_tokens = c->predict,
                              .stop = c->stop.items,
                              .n_stop = c->stop.n,
                              .on_text = on_text,
                              .on_id = on_id,
                              .user = g };
    double start = cli_now_ms(), prompt_ms = 0;
    interrupt_watch(g->session);
    kw_status st = kw_session_sync(g->session, ids, n);
    if (!st && c->predict != 0) {
        prompt_ms = cli_now_ms() - start;
        st = kw_session_generate(g->session, &args, &r);
    }
    bool interrupted = interrupt_seen();
    interrupt_watch(NULL);
    if (g->failed) return out_fail(EXIT_OS, "out of memory");
    if (st && !(interrupted && st == KW_ECANCELED)) {
        if (!c->json && g->n_ids) putchar('\n');
        return out_status(st, NULL);
    }
    if (c->json) print_json(g, &r, n, prompt_ms);
    else {
        if (!kw_model_tokenizer(c->open_model)) out_ids(g->ids, g->n_ids);
        putchar('\n');
    }
    char guesses[96];
    if (c->verbose && r.total_ms > 0)
        out_remark("[ %zu prompt tokens · %d new at %.1f tok/s · first after %.0f ms%s ]", n,
                   r.n_ids, r.n_ids > 1 ? (r.n_ids - 1) * 1000.0 / (r.total_ms - r.first_ms) : 0,
                   prompt_ms + r.first_ms, out_guesses(&r, guesses));
    return interrupted ? EXIT_INTERRUPTED : EXIT_OK;
}

int cmd_generate(cli *c)
{
    generation g = { .c = c };
    int32_t *ids = NULL;
    size_t n = 0;
    int code = cli_open_model(c);
    if (!code) code = read_prompt(c, &ids, &n);
    if (!code && n == 0)
        code = out_fail(EXIT_USAGE, "the prompt is empty\nwhy: this model's tokenizer adds no "
                                    "beginning-of-text id, so there is nothing to continue\n"
                                    "try: a prompt, or --ids");
    if (!code) code = cli_open_session(c, &g.session);
    if (!code) code = c->beam.beams ? cli_search(c, g.session, ids, n) : continue_text(&g, ids, n);
    kw_session_close(g.session);
    free(ids);
    free(g.ids);
    free(g.text);
    free(g.top);
    return code;
}
