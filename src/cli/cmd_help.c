/* cmd_help.c - help from the tables that drive the parser, so that it cannot be wrong. */
#include "cli/cli.h"
#include <string.h>

static int overview(void)
{
    printf("kwaai %s runs language models on this machine.\n\nusage: kwaai COMMAND [ARGUMENTS] "
           "[OPTIONS]\n\n",
           kw_version());
    for (int i = 0; i < N_COMMANDS; i++)
        printf("  %-11s %s\n", commands[i].name, commands[i].summary);
    printf("\nexamples:\n"
           "  kwaai run smollm2 \"What is the capital of France?\"\n"
           "  cat letter.txt | kwaai run smollm2 \"Summarise this:\"\n"
           "  kwaai generate model.gguf -p \"Once upon a time\" -n 100\n"
           "\nkwaai help COMMAND lists a command's options; kwaai help env the variables and "
           "config files.\n");
    return EXIT_OK;
}

int cmd_help(cli *c)
{
    if (c->n_args == 0) return overview();
    if (!strcmp(c->args[0], "env")) {
        cli_print_environment(stdout);
        return EXIT_OK;
    }
    int i = cli_find_command(c->args[0]);
    if (i < 0) return cli_unknown_command(c->args[0]);
    printf("kwaai %s: %s\n\nusage: kwaai %s %s [OPTIONS]\n\n", commands[i].name,
           commands[i].summary, commands[i].name, commands[i].usage);
    cli_print_options(i, stdout);
    return EXIT_OK;
}
