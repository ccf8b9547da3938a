/* cmd_convert.c - kwaai convert: a model's files in another form (docs/howto/convert.md). */
#include "cli/cli.h"
#include <signal.h>
#include <stdlib.h>
#include <string.h>

/* "500M", "2G", "1.5GB"; 0 and true for "". */
static bool read_size(const char *text, uint64_t *bytes)
{
    static const struct {
        char letter;
        double factor;
    } units[] = { { 'K', 1e3 }, { 'M', 1e6 }, { 'G', 1e9 }, { 'T', 1e12 } };
    char *end;
    double v = strtod(text, &end);
    *bytes = 0;
    if (!*text) return true;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (*end && (*end & ~32) == units[i].letter) {
            v *= units[i].factor;
            end++;
            break;
        }
    if ((*end & ~32) == 'B') end++;
    if (*end || !(v >= 1) || v > 1e18) return false;
    *bytes = (uint64_t)v;
    return true;
}

static int convert(cli *c, const char *in)
{
    kw_convert_options o = { .to = c->to,
                             .dtype = c->dtype,
                             .tokenizer = c->model.tokenizer,
                             .force = c->force,
                             .allow_nan = c->allow_nan,
                             .on_progress = cli_progress(c) };
    if (!read_size(c->split_max_size, &o.split_bytes))
        return out_fail(EXIT_USAGE, "--split-max-size %s is no size\ntry: 500M or 2G",
                        c->split_max_size);
    signal(SIGXFSZ, SIG_IGN); /* a file that grows too large is an error with a message */
    kw_status st = kw_convert(in, c->args[0], &o);
    if (st) return out_status(st, NULL);
    if (c->json) {
        printf("{\"path\":");
        out_json_string(c->args[0], strlen(c->args[0]));
        printf("}\n");
    } else out_remark("%s", c->args[0]);
    return EXIT_OK;
}

int cmd_convert(cli *c)
{
    char *in = NULL;
    int code = cli_model_path(c, &in);
    if (!code && c->n_args != 1)
        code = out_fail(EXIT_USAGE,
                        "convert takes a model and where it goes, %d given\ntry: "
                        "kwaai convert %s",
                        c->n_args + 1, commands[c->command].usage);
    if (!code) code = convert(c, in);
    free(in);
    return code;
}
