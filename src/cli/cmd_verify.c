/* cmd_verify.c - kwaai verify: reads every byte of a file and says whether it is whole.
 *
 * A model's files: their structure, every value, their SHA-256, compared where one is known (--sha256, FILE.sha256); then the
 * packed weights made of them, if there are any. A pack by itself: the checksums written with it. */
#include "cli/cli.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool is_pack(const char *path)
{
    char head[6] = "";
    FILE *f = fopen(path, "rb");
    bool is = f && fread(head, 1, sizeof head, f) == sizeof head && !memcmp(head, "KWPACK", 6);
    if (f) fclose(f);
    return is;
}

static int verify_pack(cli *c, const char *path)
{
    kw_pack_info info;
    kw_status st = kw_pack_verify(c->open_engine, path, c->open_model, c->model.on_progress,
                                  c->model.progress_user);
    if (!st) st = kw_pack_describe(path, &info);
    if (st) return out_status(st, NULL);
    if (c->json) {
        printf("{\"path\":");
        out_json_string(path, strlen(path));
        printf(",\"bytes\":%llu,\"tensors\":%zu,\"source_compared\":%s}",
               (unsigned long long)info.bytes, info.n_tensors, c->open_model ? "true" : "false");
        return EXIT_OK;
    }
    printf("%s\n%zu tensor%s, %.1f MB: every byte is as it was written%s\n", path, info.n_tensors,
           cli_s(info.n_tensors), (double)info.bytes / 1e6,
           c->open_model ? ", and the model is what was packed" : "");
    return EXIT_OK;
}

/* ---- SHA-256 ---- */

/* The first word of FILE.sha256, as sha256sum writes it; "" without one. */
static void read_sum_file(const char *path, char hex[65])
{
    char name[4096 + 16];
    int n = snprintf(name, sizeof name, "%s.sha256", path);
    FILE *f = n > 0 && (size_t)n < sizeof name ? fopen(name, "r") : NULL;
    hex[0] = 0;
    if (f && fscanf(f, "%64s", hex) != 1) hex[0] = 0;
    if (f) fclose(f);
}

static int check_sum(cli *c, size_t i, const char *path)
{
    char hex[65], want[65] = "";
    kw_status st =
        kw_model_sha256(c->open_model, i, hex, c->model.on_progress, c->model.progress_user);
    if (st) return out_status(st, NULL);
    if (c->sha256[0]) snprintf(want, sizeof want, "%s", c->sha256);
    else read_sum_file(path, want);
    for (char *p = want; *p; p++) *p = (char)tolower((unsigned char)*p);
    if (c->json) {
        printf("%s{\"path\":", i ? "," : "");
        out_json_string(path, strlen(path));
        printf(",\"sha256\":\"%s\",\"compared\":%s}", hex, want[0] ? "true" : "false");
    } else printf("%s  %s%s\n", hex, path, want[0] ? "" : " (nothing to compare it with)");
    if (!want[0] || !strcmp(hex, want)) return EXIT_OK;
    return out_fail(EXIT_DATA,
                    "%s is not what it should be\nwhy: its SHA-256 is %s, wanted %s\ntry: "
                    "fetch the file again",
                    path, hex, want);
}

static int check_hex(const cli *c)
{
    kw_file_info f;
    const char *hex = c->sha256;
    if (hex[0] && (strlen(hex) != 64 || strspn(hex, "0123456789abcdefABCDEF") != 64))
        return out_fail(EXIT_USAGE, "--sha256 is \"%s\"\nwhy: it must be 64 hexadecimal digits",
                        hex);
    if (hex[0] && kw_model_file(c->open_model, 1, &f))
        return out_fail(EXIT_USAGE, "--sha256 is for one file, the model has several\ntry: a "
                                    "FILE.sha256 beside each");
    return EXIT_OK;
}

static int check_sums(cli *c)
{
    kw_file_info f;
    int code = EXIT_OK;
    if (c->json) printf("{\"files\":[");
    for (size_t i = 0; !code && kw_model_file(c->open_model, i, &f); i++)
        code = check_sum(c, i, f.path);
    if (c->json) printf("]");
    return code;
}

/* ---- a model ---- */

static int check_contents(cli *c)
{
    listing l = { 0 };
    if (c->json) printf(",\"findings\":[");
    kw_status st = list_findings(c, c->open_model, &l);
    if (c->json) printf("]");
    if (st) return out_status(st, NULL);
    if (l.n_bad)
        return out_fail(EXIT_DATA,
                        "the file is damaged or incomplete: %zu finding%s\ntry: fetch it "
                        "again, or make it again",
                        l.n_bad, cli_s(l.n_bad));
    size_t n = kw_model_describe(c->open_model).n_tensors;
    if (!c->json)
        printf("%zu tensor%s: in %s, all values finite\n", n, cli_s(n),
               n == 1 ? "its place" : "their places");
    return EXIT_OK;
}

/* The packed weights of a model that this build can run. */
static int check_pack(cli *c, const char *path)
{
    char pack[4096] = "";
    kw_pack_info info = { 0 };
    if (!kw_model_describe(c->open_model).family[0]) return EXIT_OK;
    kw_model_release(c->open_model);
    c->open_model = NULL;
    c->model_path = path;
    int code = cli_open_model(c);
    if (code) return code;
    kw_status st = kw_model_pack_path(c->open_model, c->model.pack_dir, pack, sizeof pack);
    if (st) return out_status(st, NULL);
    bool is_old = pack[0] && !kw_pack_describe(pack, &info) && !info.is_current;
    bool has = pack[0] && access(pack, F_OK) == 0 && !is_old; /* another build's is not used */
    if (c->json) printf(",\"pack\":");
    if (has) code = verify_pack(c, pack);
    if (c->json && (code || !has)) printf("null");
    else if (!has) printf("no packed weights of it\n");
    return code;
}

static int verify_files(cli *c)
{
    char *path = NULL;
    int code = cli_model_path(c, &path);
    if (!code) code = cli_use_packs(c);
    kw_status st = code ? KW_OK : kw_model_inspect(path, &c->model, &c->open_model);
    if (st) code = out_status(st, NULL);
    if (!code) code = check_hex(c);
    if (!code) {
        code = check_sums(c);
        if (!code) code = check_contents(c);
        if (!code) code = check_pack(c, path);
        if (c->json) printf("}\n");
    }
    free(path);
    return code;
}

int cmd_verify(cli *c)
{
    const char *word = c->model_path[0] ? c->model_path : c->n_args ? c->args[0] : "";
    if (!is_pack(word)) return verify_files(c);
    int code = cli_use_packs(c);
    if (!code) code = cli_open_engine(c);
    if (!code) code = verify_pack(c, word);
    if (!code && c->json) printf("\n");
    return code;
}
