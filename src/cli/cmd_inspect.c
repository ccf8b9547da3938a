/* cmd_inspect.c - kwaai inspect: everything that a file holds, and what is odd about it.
 *
 * show says what a model is; this looks at files as files: of any kind that is read, a model's or not, down to their values. */
#include "cli/cli.h"
#include <stdlib.h>
#include <string.h>

typedef struct total {
    const char *dtype;
    size_t n;
    uint64_t bytes;
} total;
enum { MAX_TYPES = 64 };

static int by_bytes(const void *a_, const void *b_)
{
    const total *a = a_, *b = b_;
    return (a->bytes < b->bytes) - (a->bytes > b->bytes);
}

static size_t sum_types(const kw_model *m, total t[MAX_TYPES])
{
    kw_tensor_info info;
    size_t n = 0;
    for (size_t i = 0; kw_model_tensor(m, i, &info); i++) {
        size_t k = 0;
        while (k < n && strcmp(t[k].dtype, info.dtype)) k++;
        if (k == MAX_TYPES) continue;
        if (k == n) t[n++] = (total){ .dtype = info.dtype };
        t[k].n++;
        t[k].bytes += info.bytes;
    }
    qsort(t, n, sizeof *t, by_bytes);
    return n;
}

static void print_files(const kw_model *m, bool json)
{
    kw_file_info f;
    for (size_t i = 0; kw_model_file(m, i, &f); i++) {
        if (!json) {
            printf("%-12s %s, %llu bytes\n", "file", f.path, (unsigned long long)f.bytes);
            continue;
        }
        printf("%s{\"path\":", i ? "," : "");
        out_json_string(f.path, strlen(f.path));
        printf(",\"bytes\":%llu}", (unsigned long long)f.bytes);
    }
}

static void print_types(const kw_model *m, bool json)
{
    total t[MAX_TYPES];
    size_t n = sum_types(m, t);
    uint64_t all = 0;
    for (size_t i = 0; i < n; i++) all += t[i].bytes;
    for (size_t i = 0; i < n; i++)
        printf(json ? "%s{\"dtype\":\"%s\",\"tensors\":%zu,\"bytes\":%llu}"
                    : "%s%-12s %5zu tensors %14llu bytes %5.1f %%\n",
               json && i ? "," : "", t[i].dtype, t[i].n, (unsigned long long)t[i].bytes,
               all ? 100 * (double)t[i].bytes / (double)all : 0);
}

static int inspect_json(cli *c, kw_model *m)
{
    listing l = { 0 };
    kw_model_info info = kw_model_describe(m);
    printf("{\"name\":");
    out_json_string(info.name, strlen(info.name));
    printf(",\"format\":\"%s\",\"family\":\"%s\",\"arch\":", info.format, info.family);
    out_json_string(info.arch, strlen(info.arch));
    printf(",\"n_params\":%llu,\"files\":[", (unsigned long long)info.n_params);
    print_files(m, true);
    printf("],\"types\":[");
    print_types(m, true);
    printf("],\"metadata\":{");
    list_meta_json(m);
    printf("},\"tensors\":[");
    list_tensors_json(m);
    printf("],\"findings\":[");
    kw_status st = list_findings(c, m, &l);
    printf("]}\n");
    return st ? out_status(st, NULL) : EXIT_OK;
}

static int inspect_text(cli *c, kw_model *m)
{
    listing l = { 0 };
    kw_model_info info = kw_model_describe(m);
    print_files(m, false);
    printf("%-12s %s\n%-12s %s (%s)\n%-12s %.1f M in %zu tensor%s\n", "format", info.format,
           "family", info.family[0] ? info.family : "none that this build knows",
           info.arch[0] ? info.arch : "it does not say", "parameters", (double)info.n_params / 1e6,
           info.n_tensors, cli_s(info.n_tensors));
    print_types(m, false);
    printf("\n");
    list_meta(m);
    list_tensors(m);
    printf("\n");
    kw_status st = list_findings(c, m, &l);
    if (!st && !l.n_findings) printf("nothing odd\n");
    return st ? out_status(st, NULL) : EXIT_OK;
}

int cmd_inspect(cli *c)
{
    char *path = NULL;
    int code = cli_model_path(c, &path);
    if (!code) code = cli_use_packs(c);
    kw_status st = code ? KW_OK : kw_model_inspect(path, &c->model, &c->open_model);
    if (st) code = out_status(st, NULL);
    if (!code && c->svg[0]) code = treemap_write(c->open_model, c->svg);
    if (!code) code = c->json ? inspect_json(c, c->open_model) : inspect_text(c, c->open_model);
    free(path);
    return code;
}
