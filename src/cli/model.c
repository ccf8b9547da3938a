/* model.c - from the word MODEL to a loaded model.
 *
 * A path wins: whatever exists, holds a '/' or ends like a model file is one. Everything else is a name of the catalogue,
 * whose files lie in the cache folder once scripts/get-model has fetched them. */
#include "cli/cli.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct {
    const char *name, *file;
    uint64_t bytes;
} catalogue[] = {
#define CATALOGUE(name, file, bytes, ...) { name, file, bytes },
#include "cli/catalogue.def"
};
enum { N_CATALOGUE = sizeof catalogue / sizeof *catalogue };

char *cli_cache_folder(const char *what)
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    size_t n = strlen(cache ? cache : "") + strlen(home ? home : "") + strlen(what) + 64;
    char *path = malloc(n);
    if (!path) return NULL;
    if (cache && *cache) snprintf(path, n, "%s/kwaai/%s", cache, what);
    else snprintf(path, n, "%s/.cache/kwaai/%s", home ? home : "", what);
    return path;
}

static bool ends_like_a_file(const char *word)
{
    static const char *const ends[] = { ".gguf", ".safetensors", ".json",  ".bin",
                                        ".pt",   ".pth",         ".model", ".ggml" };
    size_t n = strlen(word);
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        size_t m = strlen(ends[i]);
        if (n > m && !strcmp(word + n - m, ends[i])) return true;
    }
    return false;
}

static int unknown_name(const char *word)
{
    char known[256] = "";
    const char *nearest = NULL;
    for (int i = 0; i < N_CATALOGUE; i++) {
        size_t n = strlen(known);
        if (cli_distance(word, catalogue[i].name) <= 2) nearest = catalogue[i].name;
        snprintf(known + n, sizeof known - n, "%s%s", i ? ", " : "", catalogue[i].name);
    }
    return out_fail(EXIT_NO_INPUT,
                    "there is no model \"%s\"\nwhy: it is no file or folder here, and the "
                    "catalogue has only: %s\n"
                    "try: %s",
                    word, known,
                    nearest ? nearest : "the path of a GGUF file or of a folder with safetensors");
}

static int from_catalogue(const char *word, char **path)
{
    for (int i = 0; i < N_CATALOGUE; i++) {
        if (strcmp(word, catalogue[i].name)) continue;
        char *folder = cli_cache_folder("models");
        size_t n = folder ? strlen(folder) + strlen(catalogue[i].file) + 2 : 0;
        *path = folder ? malloc(n) : NULL;
        if (!*path) {
            free(folder);
            return out_fail(EXIT_OS, "out of memory");
        }
        snprintf(*path, n, "%s/%s", folder, catalogue[i].file);
        free(folder);
        if (access(*path, F_OK) == 0) return EXIT_OK;
        int code = out_fail(EXIT_NO_INPUT,
                            "the model %s is not on this machine yet\nwhy: %s is missing\ntry: "
                            "scripts/get-model %s",
                            word, *path, word);
        free(*path);
        *path = NULL;
        return code;
    }
    return unknown_name(word);
}

static int missing_model(const cli *c)
{
    const char *name = commands[c->command].name, *usage = commands[c->command].usage;
    return out_fail(EXIT_USAGE, "%s needs a %.*s: kwaai %s %s\ntry: kwaai help %s", name,
                    (int)strcspn(usage, " "), usage, name, usage, name);
}

static int path_of(const char *word, char **path)
{
    if (access(word, F_OK) && !strchr(word, '/') && !ends_like_a_file(word))
        return from_catalogue(word, path);
    *path = strdup(word);
    return *path ? EXIT_OK : out_fail(EXIT_OS, "out of memory");
}

int cli_model_path(cli *c, char **path)
{
    const char *word = c->model_path;
    if (!word[0]) {
        if (c->n_args == 0 || !c->args[0][0]) return missing_model(c);
        word = c->args[0];
        memmove(c->args, c->args + 1, (size_t)c->n_args-- * sizeof *c->args);
    }
    return path_of(word, path);
}

int cli_open_engine(cli *c)
{
    kw_status st = kw_engine_open(&c->engine, &c->open_engine);
    return st ? out_status(st, NULL) : EXIT_OK;
}

/* Drawn over itself, and wiped off at the end. */
static void show_progress(void *user, const char *what, uint64_t done, uint64_t total)
{
    static int shown = -1;
    int percent = total ? (int)(done / (total / 100 + 1)) : 100;
    (void)user;
    if (done == total) fprintf(stderr, "\r\033[K");
    else if (percent != shown) fprintf(stderr, "\r%s the model's weights: %d %%", what, percent);
    shown = done == total ? -1 : percent;
    fflush(stderr);
}

char *cli_pack_folder(const cli *c)
{
    return c->model.pack_dir[0] ? strdup(c->model.pack_dir) : cli_cache_folder("packs");
}

kw_progress_fn cli_progress(const cli *c)
{
    return !c->quiet && isatty(STDERR_FILENO) ? show_progress : NULL;
}

int cli_use_packs(cli *c)
{
    c->model.on_progress = cli_progress(c);
    if (c->model.pack_dir[0]) return EXIT_OK;
    char *folder = cli_pack_folder(c);
    int code = folder ? cli_set(c, "pack_dir", folder) : out_fail(EXIT_OS, "out of memory");
    free(folder);
    return code;
}

/* Packed weights are for computing with them, and exact results never do. */
static int choose_packing(cli *c)
{
    bool computes = (commands[c->command].groups & SESSION) && c->command != CMD_INDEX_PLAN;
    if ((!computes && c->command != CMD_INDEX_PACK) ||
        (c->session.exact && !cli_was_set(c, "pack")))
        c->model.pack = "off";
    return cli_use_packs(c);
}

/* FILE or FILE:SCALE; a file whose name holds a colon wins. text is cut. */
static int read_adapter(char *text, kw_adapter *out)
{
    char *colon = strrchr(text, ':'), *end = NULL;
    *out = (kw_adapter){ text, 1.0f };
    if (!colon || access(text, F_OK) == 0) return EXIT_OK;
    out->scale = strtof(colon + 1, &end);
    if (end == colon + 1 || *end)
        return out_fail(EXIT_USAGE,
                        "--lora is \"%s\"\nwhy: what follows the colon is no number\n"
                        "try: --lora FILE:0.5",
                        text);
    *colon = 0;
    return EXIT_OK;
}

void cli_free_adapters(kw_adapter *list, size_t n)
{
    while (list && n > 0) free((char *)(uintptr_t)list[--n].path);
    free(list);
}

int cli_read_adapters(const cli *c, kw_adapter **out)
{
    kw_adapter *list = calloc(c->lora.n + 1, sizeof *list);
    int code = list ? EXIT_OK : out_fail(EXIT_OS, "out of memory");
    for (size_t i = 0; i < c->lora.n && !code; i++) {
        char *text = strdup(c->lora.items[i]);
        code = text ? read_adapter(text, &list[i]) : out_fail(EXIT_OS, "out of memory");
        list[i].path = text;
    }
    *out = list;
    if (code) cli_free_adapters(list, c->lora.n);
    return code;
}

static int load_model(cli *c, const char *path)
{
    kw_adapter *adapters = NULL;
    int code = choose_packing(c);
    if (!code) code = cli_open_engine(c);
    if (!code) code = cli_read_adapters(c, &adapters);
    if (code) return code;
    c->model.adapters = adapters;
    c->model.n_adapters = c->lora.n;
    kw_status st = kw_model_load(c->open_engine, path, &c->model, &c->open_model);
    if (st) code = out_status(st, NULL);
    c->model.n_adapters = 0; /* a draft has none */
    cli_free_adapters(adapters, c->lora.n);
    return code;
}

int cli_open_model(cli *c)
{
    char *path = NULL;
    int code = cli_model_path(c, &path);
    if (!code) code = load_model(c, path);
    free(path);
    return code;
}

int cli_open_files(cli *c)
{
    char *path = NULL;
    kw_model *m = NULL;
    int code = cli_model_path(c, &path);
    kw_status st = code ? KW_OK : kw_model_inspect(path, &c->model, &m);
    if (st) code = out_status(st, NULL);
    if (m && kw_model_describe(m).family[0]) {
        kw_model_release(m);
        code = load_model(c, path);
    } else c->open_model = m;
    free(path);
    return code;
}

static int open_draft(cli *c, kw_session *s)
{
    char *path = NULL;
    int code = path_of(c->draft, &path);
    if (code) return code;
    kw_status st = kw_model_load(c->open_engine, path, &c->model, &c->open_draft);
    if (!st) st = kw_session_set_draft(s, c->open_draft);
    free(path);
    return st ? out_status(st, NULL) : EXIT_OK;
}

int cli_open_session(cli *c, kw_session **s)
{
    kw_status st = kw_session_open(c->open_model, &c->session, s);
    if (!st) st = kw_session_set_sampling(*s, &c->sampling);
    if (st) return out_status(st, NULL);
    return c->draft[0] ? open_draft(c, *s) : EXIT_OK;
}
