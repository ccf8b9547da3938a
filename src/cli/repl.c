/* repl.c - a conversation on a terminal: a line in, an answer out, a few commands that begin with a slash. */
#include "cli/conversation.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

typedef struct repl {
    cli *c;
    kw_session *session;
    conversation talk;
    bool bye;
} repl;

static void do_help(repl *r, char *rest);

static void do_set(repl *r, char *rest)
{
    char *value = rest + strcspn(rest, " ");
    while (*value && isspace((unsigned char)*value)) *value++ = 0;
    if (!*rest || !*value) {
        out_remark("usage: /set NAME VALUE, such as /set temperature 0.7");
        return;
    }
    for (char *p = rest; *p; p++)
        if (*p == '-') *p = '_';
    if (!cli_is_live(rest)) {
        out_remark("%s is fixed once the model is open: give it to kwaai run", rest);
        return;
    }
    kw_sampling before = r->c->sampling;
    if (cli_set(r->c, rest, value)) return;
    if (kw_session_set_sampling(r->session, &r->c->sampling)) {
        r->c->sampling = before;
        out_status(KW_EINVAL, NULL);
    } else out_remark("%s = %s", rest, value);
}

static void begin(repl *r)
{
    conversation_clear(&r->talk);
    if (r->c->system[0]) conversation_say(&r->talk, "system", r->c->system, strlen(r->c->system));
}

static void do_system(repl *r, char *rest)
{
    if (cli_set(r->c, "system", rest)) return;
    begin(r);
    out_remark(*rest ? "system message set; the conversation begins anew"
                     : "no system message; the conversation begins anew");
}

static void do_clear(repl *r, char *rest)
{
    (void)rest;
    begin(r);
    out_remark("the conversation begins anew");
}

static void do_stats(repl *r, char *rest)
{
    size_t live, peak, n;
    (void)rest;
    kw_memory_use(&live, &peak);
    kw_session_ids(r->session, &n);
    out_remark(
        "context %zu of %zu tokens · last answer: %d token%s at %.1f tok/s, first after %.0f "
        "ms%s · memory %.0f MB, %.0f MB of it cache (peak %.0f MB)",
        n, kw_session_context(r->session), r->talk.n_new, cli_s((unsigned)r->talk.n_new),
        r->talk.tok_s, r->talk.first_ms, r->talk.guesses, (double)live / 1e6,
        (double)kw_session_cache(r->session).bytes / 1e6, (double)peak / 1e6);
}

static void do_bye(repl *r, char *rest)
{
    (void)rest;
    r->bye = true;
}

static const struct {
    const char *word, *help;
    void (*run)(repl *r, char *rest);
} slash_commands[] = {
    { "/help", "this list", do_help },
    { "/set", "/set NAME VALUE: an option, such as temperature or seed", do_set },
    { "/system", "/system TEXT: a new system message", do_system },
    { "/clear", "forget the conversation", do_clear },
    { "/stats", "speed and memory", do_stats },
    { "/bye", "leave (as Ctrl-D)", do_bye },
};
enum { N_SLASH = sizeof slash_commands / sizeof *slash_commands };

static void do_help(repl *r, char *rest)
{
    (void)r;
    (void)rest;
    for (int i = 0; i < N_SLASH; i++)
        out_remark("  %-9s %s", slash_commands[i].word, slash_commands[i].help);
    out_remark("  \"\"\"       begins and ends a text of several lines\n  Ctrl-C    stops the "
               "answer, or drops the line");
}

/* An answer that failed takes its question along: the next one finds the conversation as it was. */
static int ask(repl *r, const char *line, const char *chat_template)
{
    size_t len = r->talk.len, n = r->talk.n_messages;
    int code = conversation_say(&r->talk, "user", line, strlen(line));
    if (!code) code = conversation_answer(&r->talk, r->c, r->session, chat_template);
    if (code && code != EXIT_INTERRUPTED) {
        r->talk.len = len;
        r->talk.n_messages = n;
    }
    return code;
}

static void run_slash(repl *r, char *line)
{
    char *rest = line + strcspn(line, " ");
    while (*rest && isspace((unsigned char)*rest)) *rest++ = 0;
    for (int i = 0; i < N_SLASH; i++) {
        if (strcmp(line, slash_commands[i].word)) continue;
        slash_commands[i].run(r, rest);
        return;
    }
    out_remark("there is no %s; /help lists what there is", line);
}

/* After a line that begins with """: up to the one that ends with it. NULL: it was dropped, or there is no memory for it. */
static char *read_block(char *first)
{
    char *all = strdup(first + 3);
    free(first);
    for (;;) {
        size_t n = all ? strlen(all) : 0;
        if (n >= 3 && !strcmp(all + n - 3, "\"\"\"")) {
            all[n - 3] = 0;
            return all;
        }
        char *line = NULL;
        line_end end = all ? line_read("... ", &line) : LINE_DROPPED;
        if (end == LINE_NONE) return all;
        if (end == LINE_DROPPED) {
            free(all);
            return NULL;
        }
        char *more = realloc(all, n + strlen(line) + 2);
        if (more) snprintf(more + n, strlen(line) + 2, "\n%s", line);
        else free(all);
        all = more;
        free(line);
    }
}

int cli_chat_loop(cli *c, kw_session *s, const char *chat_template)
{
    repl r = { .c = c, .session = s };
    int code = EXIT_OK;
    begin(&r);
    line_open();
    out_remark("/help lists the commands, Ctrl-D leaves");
    while (!r.bye && code != EXIT_OS) {
        char *line = NULL;
        line_end end = line_read(">>> ", &line);
        if (end == LINE_NONE) break;
        if (end == LINE_DROPPED) out_remark("Ctrl-D or /bye leaves");
        bool is_block = line && !strncmp(line, "\"\"\"", 3);
        if (is_block) line = read_block(line);
        if (line && line[0] == '/' && !is_block) run_slash(&r, line);
        else if (line && line[strspn(line, " \t")]) code = ask(&r, line, chat_template);
        free(line);
    }
    line_close();
    conversation_free(&r.talk);
    return code == EXIT_OS ? code : EXIT_OK;
}
