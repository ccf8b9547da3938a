/* input.c - what commands read: files, standard input, lists of ids, templates. */
#include "cli/cli.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static int cannot_read(const char *path, int error)
{
    int code = error == EACCES || error == EPERM ? EXIT_NO_PERMISSION : EXIT_NO_INPUT;
    return out_fail(code, "cannot read %s\nwhy: %s\ntry: look at the path", path, strerror(error));
}

static int read_stream(FILE *f, const char *name, char **text, size_t *len)
{
    size_t cap = 1 << 16, n = 0, got;
    char *all = malloc(cap + 1);
    if (!all) return out_fail(EXIT_OS, "out of memory");
    while ((got = fread(all + n, 1, cap - n, f)) > 0) {
        n += got;
        if (n < cap) continue;
        char *more = cap < ((size_t)1 << 32) ? realloc(all, cap * 2 + 1) : NULL;
        if (!more) {
            free(all);
            return out_fail(EXIT_OS, "%s is too long for memory", name);
        }
        all = more;
        cap *= 2;
    }
    if (ferror(f)) {
        int error = errno;
        free(all);
        return cannot_read(name, error);
    }
    all[n] = 0;
    *text = all;
    *len = n;
    return EXIT_OK;
}

int cli_read_file(const char *path, char **text, size_t *len)
{
    struct stat info;
    if (!strcmp(path, "-")) return read_stream(stdin, "standard input", text, len);
    FILE *f = fopen(path, "rb");
    if (!f) return cannot_read(path, errno);
    int code = fstat(fileno(f), &info) == 0 && S_ISDIR(info.st_mode)
                   ? cannot_read(path, EISDIR)
                   : read_stream(f, path, text, len);
    fclose(f);
    return code;
}

bool cli_stdin_is_piped(void)
{
    struct stat info;
    if (fstat(STDIN_FILENO, &info) || isatty(STDIN_FILENO)) return false;
    return S_ISFIFO(info.st_mode) || S_ISREG(info.st_mode) || S_ISSOCK(info.st_mode);
}

double cli_now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

int cli_read_size(const char *flag, const char *text, uint64_t *bytes)
{
    static const struct {
        const char *unit;
        double bytes;
    } units[] = { { "", 1 },        { "B", 1 },     { "K", 1e3 },      { "KB", 1e3 },
                  { "M", 1e6 },     { "MB", 1e6 },  { "G", 1e9 },      { "GB", 1e9 },
                  { "T", 1e12 },    { "TB", 1e12 }, { "KiB", 1024.0 }, { "MiB", 1048576.0 },
                  { "GiB", 0x1p30 } };
    char *end = NULL;
    double v = strtod(text, &end);
    while (*end == ' ') end++;
    for (size_t i = 0; end != text && i < sizeof units / sizeof *units; i++)
        if (!strcasecmp(end, units[i].unit) && v * units[i].bytes >= 1 &&
            v * units[i].bytes < 1e18) {
            *bytes = (uint64_t)(v * units[i].bytes);
            return EXIT_OK;
        }
    return out_fail(EXIT_USAGE, "%s is \"%s\"\nwhy: it must be a size, like 700MB or 1GiB", flag,
                    text);
}

int cli_read_ids(const char *text, size_t len, int32_t **ids, size_t *n)
{
    int32_t *all = malloc((len / 2 + 2) * sizeof *all);
    const char *at = text, *end = text + len;
    if (!all) return out_fail(EXIT_OS, "out of memory");
    *n = 0;
    while (at < end) {
        if (strchr(" ,\t\r\n[]", *at) && *at) {
            at++;
            continue;
        }
        char *stop = NULL;
        errno = 0;
        long v = strtol(at, &stop, 10);
        if (stop == at || stop > end || errno || v < INT32_MIN || v > INT32_MAX ||
            (stop < end && *stop && !strchr(" ,\t\r\n]", *stop))) {
            free(all);
            return out_fail(EXIT_USAGE, "\"%.20s\" is no list of ids\ntry: 1,2,3", at);
        }
        all[(*n)++] = (int32_t)v;
        at = stop;
    }
    *ids = all;
    return EXIT_OK;
}

char *cli_join_args(const cli *c, int from)
{
    size_t len = 1;
    for (int i = from; i < c->n_args; i++) len += strlen(c->args[i]) + 1;
    char *all = calloc(len, 1), *at = all;
    for (int i = from; all && i < c->n_args; i++)
        at += snprintf(at, len - (size_t)(at - all), "%s%s", i > from ? " " : "", c->args[i]);
    return all;
}

int cli_tokenize(const kw_tokenizer *t, const char *text, size_t len, unsigned flags, int32_t **ids,
                 size_t *n)
{
    size_t cap = len / 2 + 16;
    for (;;) {
        *ids = malloc(cap * sizeof **ids);
        if (!*ids) return out_fail(EXIT_OS, "out of memory");
        kw_status st = kw_tokenize(t, text, len, flags, *ids, cap, n);
        if (!st) return EXIT_OK;
        free(*ids);
        *ids = NULL;
        if (st != KW_ELIMIT || *n <= cap) return out_status(st, NULL);
        cap = *n;
    }
}

kw_status cli_render(const kw_model *m, const char *chat_template, const char *json,
                     size_t json_len, char **text, size_t *len)
{
    size_t cap = json_len * 2 + 4096;
    for (;;) {
        *text = malloc(cap + 1);
        if (!*text) return KW_ENOMEM;
        kw_status st =
            kw_model_render_chat(m, chat_template, json, json_len, true, *text, cap, len);
        if (!st) {
            (*text)[*len] = 0;
            return KW_OK;
        }
        free(*text);
        *text = NULL;
        if (st != KW_ELIMIT || *len <= cap) return st;
        cap = *len;
    }
}

int cli_chat_template(const cli *c, char **text)
{
    size_t len;
    *text = NULL;
    if (!c->chat_template[0]) return EXIT_OK;
    if (access(c->chat_template, F_OK) == 0) return cli_read_file(c->chat_template, text, &len);
    int n;
    char list[256] = "";
    const char *const *known = kw_template_names(&n);
    for (int i = 0; i < n; i++) {
        size_t at = strlen(list);
        snprintf(list + at, sizeof list - at, "%s%s", i ? ", " : "", known[i]);
        if (!strcmp(known[i], c->chat_template)) *text = strdup(c->chat_template);
    }
    if (*text) return EXIT_OK;
    return out_fail(EXIT_NO_INPUT,
                    "there is no chat template \"%s\"\nwhy: it is neither a file nor one of %s",
                    c->chat_template, list);
}
