/* main.c - the `kwaai` program: finds the command, reads its options, runs it, closes what it opened. */
#include "cli/cli.h"
#include <signal.h>
#include <string.h>

const command commands[N_COMMANDS] = {
#define COMMAND(id, name, usage, groups, summary) { #name, usage, summary, groups, cmd_##name },
#include "cli/commands.def"
};

static bool verbose_log;

static void on_log(void *user, kw_log_level level, const char *line)
{
    (void)user;
    if (level == KW_LOG_WARN)
        out_remark("%swarning:%s %s", out_colours() ? "\033[33m" : "",
                   out_colours() ? "\033[0m" : "", line);
    else if (verbose_log) out_remark("%s", line);
}

static const struct {
    const char *alias, *name;
} aliases[] = { { "chat", "run" },
                { "--version", "version" },
                { "-V", "version" },
                { "--help", "help" },
                { "-h", "help" } };

int cli_find_command(const char *word)
{
    for (size_t i = 0; i < sizeof aliases / sizeof *aliases; i++)
        if (!strcmp(word, aliases[i].alias)) word = aliases[i].name;
    for (int i = 0; i < N_COMMANDS; i++)
        if (!strcmp(word, commands[i].name)) return i;
    return -1;
}

int cli_unknown_command(const char *word)
{
    const char *best = NULL;
    int nearest = 4;
    for (int i = 0; i < N_COMMANDS; i++) {
        int d = cli_distance(word, commands[i].name);
        if (d >= nearest || d > (int)strlen(word) / 2) continue;
        nearest = d;
        best = commands[i].name;
    }
    if (best) return out_fail(EXIT_USAGE, "there is no command \"%s\"\ntry: kwaai %s", word, best);
    return out_fail(EXIT_USAGE, "there is no command \"%s\"\ntry: kwaai help", word);
}

/* Commands that take one word or none: what they would pass over is a mistake. */
static int check_words(const cli *c)
{
    const char *name = commands[c->command].name, *usage = commands[c->command].usage;
    int most = usage[0] && !c->model_path[0];
    if (strchr(usage, ' ') || c->n_args <= most) return EXIT_OK;
    return out_fail(EXIT_USAGE, "%s: \"%s\" is one word too many\ntry: kwaai %s%s%s", name,
                    c->args[most], name, usage[0] ? " " : "", usage);
}

static int run(cli *c, int argc, char **argv)
{
    int code = cli_parse(c, argc, argv);
    if (code) return code;
    out_open(c);
    verbose_log = c->verbose;
    if (c->help) {
        char *name[] = { (char *)commands[c->command].name, NULL };
        c->args[0] = name[0];
        c->n_args = 1;
        return cmd_help(c);
    }
    code = check_words(c);
    return code ? code : commands[c->command].run(c);
}

int main(int argc, char **argv)
{
    cli c = { .command = argc > 1 ? cli_find_command(argv[1]) : CMD_INDEX_HELP };
    if (c.command < 0) return cli_unknown_command(argv[1]);
    signal(SIGPIPE, SIG_IGN);
    interrupt_watch_files();
    kw_log_to(on_log, NULL);
    int skip = argc > 1 ? 2 : 1, code = run(&c, argc - skip, argv + skip);
    kw_model_release(c.open_draft);
    kw_model_release(c.open_model);
    kw_engine_close(c.open_engine);
    cli_free(&c);
    int flushed = out_flush();
    return code ? code : flushed;
}
