/* cmd_verify.c - kwaai verify: reads every byte of packed weights, and of the model they were made of, and compares checksums. */
#include "cli/cli.h"
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

static int verify(cli *c, const char *path)
{
    kw_pack_info info;
    kw_status st = kw_pack_verify(c->open_engine, path, c->open_model, c->model.on_progress,
                                  c->model.progress_user);
    if (!st) st = kw_pack_describe(path, &info);
    if (st) return out_status(st, NULL);
    if (c->json) {
        printf("{\"path\":");
        out_json_string(path, strlen(path));
        printf(",\"bytes\":%llu,\"tensors\":%zu,\"source_compared\":%s}\n",
               (unsigned long long)info.bytes, info.n_tensors, c->open_model ? "true" : "false");
        return EXIT_OK;
    }
    printf("%s\n%zu tensors, %.1f MB: every byte is as it was written%s\n", path, info.n_tensors,
           (double)info.bytes / 1e6, c->open_model ? ", and the model is what was packed" : "");
    return EXIT_OK;
}

static int verify_model(cli *c)
{
    char path[4096];
    int code = cli_open_model(c);
    if (code) return code;
    kw_status st = kw_model_pack_path(c->open_model, c->model.pack_dir, path, sizeof path);
    if (st) return out_status(st, NULL);
    if (path[0] && access(path, F_OK) == 0) return verify(c, path);
    return out_fail(EXIT_NO_INPUT,
                    "the model has no packed weights\nwhy: %s%s\ntry: kwaai pack MODEL",
                    path[0] ? "there is no " : "the kernels in use take its weights as they are",
                    path);
}

int cmd_verify(cli *c)
{
    const char *word = c->model_path[0] ? c->model_path : c->n_args ? c->args[0] : "";
    if (!is_pack(word)) return verify_model(c);
    int code = cli_use_packs(c);
    if (!code) code = cli_open_engine(c);
    return code ? code : verify(c, word);
}
