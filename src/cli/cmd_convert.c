/* cmd_convert.c - kwaai convert: a model's files in another form (docs/howto/convert.md). */
#include "cli/cli.h"
#include <signal.h>
#include <stdlib.h>
#include <string.h>

static int convert(cli *c, const char *in, const kw_adapter *adapters)
{
    kw_convert_options o = { .to = c->to,
                             .dtype = c->dtype,
                             .tokenizer = c->model.tokenizer,
                             .force = c->force,
                             .allow_nan = c->allow_nan,
                             .on_progress = cli_progress(c),
                             .adapters = adapters,
                             .n_adapters = c->lora.n };
    int code = c->split_max_size[0]
                   ? cli_read_size("--split-max-size", c->split_max_size, &o.split_bytes)
                   : EXIT_OK;
    if (code) return code;
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
    kw_adapter *adapters = NULL;
    int code = cli_model_path(c, &in);
    if (!code && c->n_args != 1)
        code = out_fail(EXIT_USAGE,
                        "convert takes a model and where it goes, %d given\ntry: "
                        "kwaai convert %s",
                        c->n_args + 1, commands[c->command].usage);
    if (!code) code = cli_read_adapters(c, &adapters);
    if (!code) {
        code = convert(c, in, adapters);
        cli_free_adapters(adapters, c->lora.n);
    }
    free(in);
    return code;
}
