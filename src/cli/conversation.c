/* conversation.c - a chat as JSON, rendered whole for each answer.
 *
 * The session keeps what the new prompt shares with its text, so rendering all of it again costs only the template. */
#include "cli/conversation.h"
#include <stdlib.h>
#include <string.h>

static bool put(conversation *t, const char *text, size_t len)
{
    if (t->len + len + 2 > t->cap) {
        size_t cap = (t->len + len + 2) * 2;
        char *more = realloc(t->json, cap);
        if (!more) return false;
        t->json = more;
        t->cap = cap;
    }
    memcpy(t->json + t->len, text, len);
    t->len += len;
    return true;
}

/* Invalid UTF-8 is the JSON reader's business: it says where. */
static bool put_string(conversation *t, const char *text, size_t len)
{
    bool ok = put(t, "\"", 1);
    for (size_t i = 0; ok && i < len; i++) {
        char escaped[8];
        unsigned char ch = (unsigned char)text[i];
        if (ch == '"' || ch == '\\')
            ok = put(t, escaped, (size_t)snprintf(escaped, sizeof escaped, "\\%c", ch));
        else if (ch < 0x20)
            ok = put(t, escaped, (size_t)snprintf(escaped, sizeof escaped, "\\u%04x", ch));
        else ok = put(t, text + i, 1);
    }
    return ok && put(t, "\"", 1);
}

int conversation_say(conversation *t, const char *role, const char *text, size_t len)
{
    bool ok = put(t, t->n_messages ? "," : "[", 1) && put(t, "{\"role\":", 8) &&
              put_string(t, role, strlen(role)) && put(t, ",\"content\":", 11) &&
              put_string(t, text, len) && put(t, "}", 1);
    t->n_messages++;
    return ok ? EXIT_OK : out_fail(EXIT_OS, "out of memory");
}

void conversation_clear(conversation *t) { t->len = t->n_messages = 0; }

void conversation_free(conversation *t) { free(t->json); }

typedef struct answer {
    conversation said; /* borrowed as a growable text */
    bool json, failed;
} answer;

static bool on_text(void *user, const char *text, size_t len)
{
    answer *a = user;
    if (!put(&a->said, text, len)) return a->failed = true, false;
    if (a->json) return true;
    fwrite(text, 1, len, stdout);
    return fflush(stdout) == 0;
}

static bool begins_with_bos(const kw_tokenizer *t, const char *text, size_t len)
{
    size_t n = 0;
    int32_t bos = kw_tokenizer_special(t).bos;
    const char *piece = bos >= 0 ? kw_tokenizer_piece(t, bos, &n) : NULL;
    return piece && n && n <= len && !memcmp(text, piece, n);
}

static int prompt_ids(const conversation *t, const cli *c, const char *chat_template, int32_t **ids,
                      size_t *n)
{
    const kw_tokenizer *tokenizer = kw_model_tokenizer(c->open_model);
    char *text = NULL;
    size_t len = 0;
    t->json[t->len] = ']';
    kw_status st = cli_render(c->open_model, chat_template, t->json, t->len + 1, &text, &len);
    if (st) return out_status(st, "cannot write the prompt");
    unsigned flags = KW_TEXT_PARSE_SPECIAL |
                     (begins_with_bos(tokenizer, text, len) ? 0u : (unsigned)KW_TEXT_ADD_SPECIAL);
    int code = cli_tokenize(tokenizer, text, len, flags, ids, n);
    free(text);
    return code;
}

static void print_json(const answer *a, const conversation *t, const kw_generate_result *r)
{
    printf("{\"text\":");
    out_json_string(a->said.json ? a->said.json : "", a->said.len);
    printf(",\"finish\":\"%s\",\"timings\":{\"prompt_tokens\":%d,\"first_ms\":",
           kw_finish_name(r->finish), t->n_prompt);
    out_json_number(t->first_ms);
    printf(",\"new_tokens\":%d,\"tok_s\":", r->n_ids);
    out_json_number(t->tok_s);
    printf(",\"runs\":%d,\"drafted\":%d,\"accepted\":%d}}\n", r->n_runs, r->n_drafted,
           r->n_accepted);
}

int conversation_answer(conversation *t, cli *c, kw_session *s, const char *chat_template)
{
    int32_t *ids = NULL;
    size_t n = 0;
    answer a = { .json = c->json };
    kw_generate_result r = { .end_id = -1, .finish = KW_FINISH_LENGTH };
    kw_generate_args args = { .max_tokens = c->predict,
                              .stop = c->stop.items,
                              .n_stop = c->stop.n,
                              .on_text = on_text,
                              .user = &a };
    int code = prompt_ids(t, c, chat_template, &ids, &n);
    if (code) return code;
    interrupt_watch(s);
    double start = cli_now_ms();
    kw_status st = kw_session_sync(s, ids, n);
    if (st == KW_ECANCELED && !interrupt_seen()) /* a Ctrl-C that came as the last answer ended */
        st = kw_session_sync(s, ids, n);
    double prompt_ms = cli_now_ms() - start;
    if (!st && c->predict != 0) st = kw_session_generate(s, &args, &r);
    bool interrupted = interrupt_seen();
    interrupt_watch(NULL);
    free(ids);
    t->n_prompt = (int)n;
    t->n_new = r.n_ids;
    t->first_ms = prompt_ms + r.first_ms;
    t->tok_s = r.n_ids > 1 ? (r.n_ids - 1) * 1000.0 / (r.total_ms - r.first_ms) : 0;
    out_guesses(&r, t->guesses);
    if (c->json && !st) print_json(&a, t, &r);
    else if (!c->json) putchar('\n');
    fflush(stdout);
    if (a.failed) code = out_fail(EXIT_OS, "out of memory");
    else if (st && !(interrupted && st == KW_ECANCELED)) code = out_status(st, NULL);
    else code = conversation_say(t, "assistant", a.said.json ? a.said.json : "", a.said.len);
    free(a.said.json);
    if (!code && c->verbose)
        out_remark("[ %zu prompt tokens · first after %.0f ms · %d new at %.1f tok/s%s ]", n,
                   t->first_ms, r.n_ids, t->tok_s, t->guesses);
    return code ? code : interrupted ? EXIT_INTERRUPTED : EXIT_OK;
}
