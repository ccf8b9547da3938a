/* cmd_doctor.c - kwaai doctor: what this machine has, what is used of it, and where things lie. */
#include "cli/cli.h"
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#ifdef KWAAI_HAVE_LIBEDIT
static const char line_editor[] = "libedit";
#else
static const char line_editor[] = "none";
#endif

#ifdef KWAAI_HAVE_PCRE2
static const char patterns[] = "PCRE2";
#else
static const char patterns[] = "none";
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

typedef struct places {
    char *models, *packs;
    int n_packs;
    double pack_bytes;
} places;

static void count_packs(places *p)
{
    char path[4096];
    struct stat s;
    DIR *folder = p->packs ? opendir(p->packs) : NULL;
    for (struct dirent *e; folder && (e = readdir(folder));) {
        snprintf(path, sizeof path, "%s/%s", p->packs, e->d_name);
        if (e->d_name[0] == '.' || stat(path, &s) || !S_ISREG(s.st_mode)) continue;
        p->n_packs++;
        p->pack_bytes += (double)s.st_size;
    }
    if (folder) closedir(folder);
}

static void print_json(const kw_engine_info *e, double bandwidth, const places *p)
{
    printf("{\"version\":\"%s\",\"threads\":%d,\"isa\":\"%s\",\"isa_rows\":\"%s\",\"cpu_features\":"
           "\"%s\",\"line_editor\":\"%s\",\"patterns\":\"%s\"",
           kw_version(), e->threads, e->isa, e->isa_rows, e->cpu_features, line_editor, patterns);
    printf(",\"bandwidth_gb_s\":%.2f,\"models\":", bandwidth / 1e9);
    out_json_string(p->models, strlen(p->models));
    printf(",\"packs\":");
    out_json_string(p->packs, strlen(p->packs));
    printf(",\"n_packs\":%d,\"pack_bytes\":%.0f}\n", p->n_packs, p->pack_bytes);
}

static void print_text(const kw_engine_info *e, double bandwidth, const places *p)
{
    printf("%-12s %s\n", "kwaai", kw_version());
    printf("%-12s %s\n", "processor", e->cpu_features);
    printf("%-12s %s (of %s)\n", "kernels", e->isa, e->isa_rows);
    printf("%-12s %d\n", "threads", e->threads);
    printf("%-12s %.1f GB/s read\n", "memory", bandwidth / 1e9);
    printf("%-12s %s\n", "line editor", line_editor);
    printf("%-12s %s\n", "patterns", patterns);
    printf("%-12s %s\n", "models", p->models);
    for (size_t i = 0; i < sizeof catalogue / sizeof *catalogue; i++)
        printf("%-12s   %s: %s\n", "", catalogue[i].name,
               is_there(p->models, catalogue[i].file) ? "here" : "not fetched");
    printf("%-12s %s: %d file%s, %.1f MB\n", "packs", p->packs, p->n_packs,
           cli_s((unsigned)p->n_packs), p->pack_bytes / 1e6);
}

int cmd_doctor(cli *c)
{
    double bandwidth = 0;
    int code = cli_open_engine(c);
    if (code) return code;
    kw_status st = kw_engine_bandwidth(c->open_engine, 3, &bandwidth);
    if (st) return out_status(st, NULL);
    kw_engine_info e = kw_engine_describe(c->open_engine);
    places p = { .models = cli_cache_folder("models"), .packs = cli_pack_folder(c) };
    count_packs(&p);
    if (!p.models || !p.packs) code = out_fail(EXIT_OS, "out of memory");
    else if (c->json) print_json(&e, bandwidth, &p);
    else print_text(&e, bandwidth, &p);
    free(p.models);
    free(p.packs);
    return code;
}
