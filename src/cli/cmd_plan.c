/* cmd_plan.c - kwaai plan: what a model computes, operation by operation. */
#include "cli/cli.h"
#include <stdlib.h>
#include <string.h>

static void write_out(void *user, const char *text, size_t len)
{
    (void)user;
    fwrite(text, 1, len, stdout);
}

typedef struct text {
    char *p;
    size_t len;
    bool failed;
} text;

static void keep(void *user, const char *more, size_t len)
{
    text *t = user;
    char *all = realloc(t->p, t->len + len + 1);
    if (!all) {
        t->failed = true;
        return;
    }
    t->p = all;
    memcpy(t->p + t->len, more, len);
    t->len += len;
}

/* {"rows":1,"plan":[...]}: the lines as they are printed without --json. */
static int print_json(const cli *c, const text *t)
{
    if (t->failed) return out_fail(EXIT_OS, "out of memory");
    const char *at = t->p, *end = t->p + t->len;
    printf("{\"rows\":%d,\"plan\":[", c->rows);
    while (at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        size_t len = (size_t)((newline ? newline : end) - at);
        out_json_string(at, len);
        at += len + (newline != NULL);
        if (at < end) printf(",\n ");
    }
    printf("]}\n");
    return EXIT_OK;
}

int cmd_plan(cli *c)
{
    text t = { NULL, 0, false };
    int code = cli_open_model(c);
    kw_status st = code ? KW_OK
                        : kw_model_print_plan(c->open_model, &c->session, c->rows,
                                              c->json ? keep : write_out, &t);
    if (st) code = out_status(st, NULL);
    else if (!code && c->json) code = print_json(c, &t);
    free(t.p);
    return code;
}
