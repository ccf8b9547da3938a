/* cmd_doctor.c - kwaai doctor: what this machine has, what is used of it, and where things lie. */
#include "cli/cli.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef KWAAI_HAVE_LIBEDIT
static const char line_editor[] = "libedit";
#else
static const char line_editor[] = "none";
#endif

static const struct {
    const char *name, *file;
} catalogue[] = {
#define CATALOGUE(name, file, ...) { name, file },
#include "cli/catalogue.def"
};

static bool is_there(const char *folder, const char *file)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, file);
    return access(path, R_OK) == 0;
}

static void print_json(const kw_engine_info *e, double bandwidth, const char *folder)
{
    printf("{\"version\":\"%s\",\"threads\":%d,\"isa\":\"%s\",\"isa_rows\":\"%s\",\"cpu_features\":"
           "\"%s\",\"line_editor\":\"%s\"",
           kw_version(), e->threads, e->isa, e->isa_rows, e->cpu_features, line_editor);
    printf(",\"bandwidth_gb_s\":%.2f,\"models\":", bandwidth / 1e9);
    out_json_string(folder, strlen(folder));
    printf("}\n");
}

static void print_text(const kw_engine_info *e, double bandwidth, const char *folder)
{
    printf("%-12s %s\n", "kwaai", kw_version());
    printf("%-12s %s\n", "processor", e->cpu_features);
    printf("%-12s %s (of %s)\n", "kernels", e->isa, e->isa_rows);
    printf("%-12s %d\n", "threads", e->threads);
    printf("%-12s %.1f GB/s read\n", "memory", bandwidth / 1e9);
    printf("%-12s %s\n", "line editor", line_editor);
    printf("%-12s %s\n", "models", folder);
    for (size_t i = 0; i < sizeof catalogue / sizeof *catalogue; i++)
        printf("%-12s   %s: %s\n", "", catalogue[i].name,
               is_there(folder, catalogue[i].file) ? "here" : "not fetched");
}

int cmd_doctor(cli *c)
{
    double bandwidth = 0;
    int code = cli_open_engine(c);
    if (code) return code;
    kw_status st = kw_engine_bandwidth(c->open_engine, 3, &bandwidth);
    if (st) return out_status(st, NULL);
    kw_engine_info e = kw_engine_describe(c->open_engine);
    char *folder = cli_cache_folder();
    if (c->json) print_json(&e, bandwidth, folder ? folder : "");
    else print_text(&e, bandwidth, folder ? folder : "");
    free(folder);
    return EXIT_OK;
}
