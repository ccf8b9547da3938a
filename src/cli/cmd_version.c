/* cmd_version.c - kwaai version */
#include "cli/cli.h"

int cmd_version(cli *c)
{
    if (c->json) printf("{\"version\":\"%s\"}\n", kw_version());
    else printf("kwaai %s\n", kw_version());
    return EXIT_OK;
}
