/* cmd_run.c - kwaai run: one answer, or a conversation on a terminal. */
#include "cli/cli.h"
#include "cli/conversation.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The arguments, then what stands on standard input when that is no terminal. */
static int read_prompt(const cli *c, char **prompt)
{
    char *words = cli_was_set(c, "prompt") ? strdup(c->prompt) : cli_join_args(c, 0), *piped = NULL;
    size_t len = 0;
    int code = words ? EXIT_OK : out_fail(EXIT_OS, "out of memory");
    if (!code && c->file[0]) code = cli_read_file(c->file, &piped, &len);
    else if (!code && cli_stdin_is_piped()) code = cli_read_file("-", &piped, &len);
    while (len && (piped[len - 1] == '\n' || piped[len - 1] == '\r')) piped[--len] = 0;
    if (!code && len) {
        size_t need = strlen(words) + len + 3;
        char *both = malloc(need);
        if (both) snprintf(both, need, "%s%s%s", words, *words ? "\n\n" : "", piped);
        else code = out_fail(EXIT_OS, "out of memory");
        free(words);
        words = both;
    }
    free(piped);
    *prompt = words;
    return code;
}

static int one_answer(cli *c, kw_session *s, const char *chat_template)
{
    char *prompt = NULL;
    conversation talk = { 0 };
    int code = read_prompt(c, &prompt);
    if (!code && !*prompt)
        code = out_fail(EXIT_USAGE, "there is nothing to answer\ntry: kwaai run MODEL \"a "
                                    "question\", or a terminal for a conversation");
    if (!code && c->system[0])
        code = conversation_say(&talk, "system", c->system, strlen(c->system));
    if (!code) code = conversation_say(&talk, "user", prompt, strlen(prompt));
    if (!code) code = conversation_answer(&talk, c, s, chat_template);
    conversation_free(&talk);
    free(prompt);
    return code;
}

int cmd_run(cli *c)
{
    kw_session *s = NULL;
    char *chat_template = NULL;
    int code = cli_open_model(c);
    if (!code) code = cli_open_session(c, &s); /* says first what cannot write at all */
    if (!code && !kw_model_tokenizer(c->open_model))
        code = out_fail(EXIT_DATA, "the model has no tokenizer, so it cannot chat\ntry: "
                                   "--tokenizer FILE, or kwaai generate MODEL --ids 1,2,3");
    if (!code) code = cli_chat_template(c, &chat_template);
    bool talks =
        !code && c->n_args == 0 && !cli_was_set(c, "prompt") && !c->file[0] && isatty(STDIN_FILENO);
    if (talks) code = cli_chat_loop(c, s, chat_template);
    else if (!code) code = one_answer(c, s, chat_template);
    kw_session_close(s);
    free(chat_template);
    return code;
}
