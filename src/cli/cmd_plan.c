/* cmd_plan.c - kwaai plan: what a model computes, operation by operation. */
#include "cli/cli.h"

static void write_out(void *user, const char *text, size_t len)
{
    (void)user;
    fwrite(text, 1, len, stdout);
}

int cmd_plan(cli *c)
{
    int code = cli_open_model(c);
    kw_status st =
        code ? KW_OK : kw_model_print_plan(c->open_model, &c->session, c->rows, write_out, NULL);
    return st ? out_status(st, NULL) : code;
}
