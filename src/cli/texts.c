/* texts.c - commands that take many texts: as arguments, or as the lines of a file. */
#include "cli/cli.h"
#include <stdlib.h>
#include <string.h>

static size_t count_lines(const char *text, size_t len)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++) n += text[i] == '\n';
    return n + (len > 0 && text[len - 1] != '\n');
}

/* The lines without their ends, "\n" or "\r\n". An empty line is an empty text. */
static int split(const char *text, size_t len, kw_text **texts, size_t *n)
{
    *n = count_lines(text, len);
    *texts = malloc((*n + 1) * sizeof **texts);
    if (!*texts) return out_fail(EXIT_OS, "out of memory");
    for (size_t i = 0, at = 0; i < *n; i++) {
        const char *end = memchr(text + at, '\n', len - at);
        size_t line = end ? (size_t)(end - text) - at : len - at;
        size_t bare = line > 0 && text[at + line - 1] == '\r' ? line - 1 : line;
        (*texts)[i] = (kw_text){ text + at, bare };
        at += line + 1;
    }
    return EXIT_OK;
}

static int no_texts(const cli *c, const char *path)
{
    const char *name = commands[c->command].name;
    if (path)
        return out_fail(EXIT_DATA, "%s holds no text\nwhy: each line of it is one, and it is empty",
                        strcmp(path, "-") ? path : "standard input");
    return out_fail(EXIT_USAGE, "%s needs a text\ntry: kwaai %s %s", name, name,
                    commands[c->command].usage);
}

int cli_texts(const cli *c, int from, kw_text **texts, size_t *n, char **owned)
{
    int given = c->n_args - from;
    bool piped = given == 0 && !c->file[0] && cli_stdin_is_piped();
    bool dash = given == 1 && !strcmp(c->args[from], "-");
    const char *path = c->file[0] ? c->file : piped || dash ? "-" : NULL;
    size_t len = 0;
    *owned = NULL;
    *texts = NULL;
    if (c->file[0] && given > 0)
        return out_fail(EXIT_USAGE,
                        "texts of a file (-f %s) and as words (\"%.100s\")\ntry: one or the other",
                        c->file, c->args[from]);
    if (path) {
        int code = cli_read_file(path, owned, &len);
        if (!code) code = split(*owned, len, texts, n);
        return code || *n ? code : no_texts(c, path);
    }
    if (given <= 0) return no_texts(c, NULL);
    *texts = malloc((size_t)given * sizeof **texts);
    if (!*texts) return out_fail(EXIT_OS, "out of memory");
    *n = (size_t)given;
    for (size_t i = 0; i < *n; i++) {
        const char *text = c->args[from + (int)i];
        (*texts)[i] = (kw_text){ text, strlen(text) };
    }
    return EXIT_OK;
}
