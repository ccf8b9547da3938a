/* cmd_infer.c - kwaai infer: named tensors in, named tensors out (docs/howto/infer.md). */
#include "cli/cli.h"
#include <stdlib.h>
#include <string.h>

enum { MAX_WANT = 256 };

/* "a,b,c" as a list, in place. */
static size_t split(char *text, const char **names)
{
    size_t n = 0;
    for (char *at = strtok(text, ","); at && n < MAX_WANT; at = strtok(NULL, ",")) names[n++] = at;
    return n;
}

int cmd_infer(cli *c)
{
    const char *names[MAX_WANT];
    char *want = strdup(c->want);
    int code = want ? cli_open_model(c) : out_fail(EXIT_OS, "out of memory");
    if (!code && c->n_args != 2)
        code =
            out_fail(EXIT_USAGE, "infer takes a model and two files, %d given\ntry: kwaai infer %s",
                     c->n_args, commands[c->command].usage);
    if (!code) {
        int32_t end = c->eos;
        kw_infer_options o = { .session = c->session,
                               .want = names,
                               .n_want = split(want, names),
                               .generate = c->generate,
                               .beam = c->beam };
        if (end >= 0) o.beam.end_ids = &end;
        o.beam.n_end_ids = end >= 0;
        kw_status st = kw_infer(c->open_model, c->args[0], c->args[1], &o);
        if (st) code = out_status(st, NULL);
    }
    free(want);
    return code;
}
