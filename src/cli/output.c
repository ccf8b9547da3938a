/* output.c - answers go to standard output, everything else to standard error.
 *
 * An error is "error: what", then indented "why:" and "try:" lines; each kw_status has one exit code of sysexits(3). */
#include "cli/cli.h"
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool colours, quiet;
static const char *asked = "COMMAND"; /* the command's name */

void out_open(const cli *c)
{
    const char *no = getenv("NO_COLOR"), *force = getenv("CLICOLOR_FORCE"), *term = getenv("TERM");
    bool wanted = isatty(STDERR_FILENO) && !(term && !strcmp(term, "dumb")) && !(no && *no);
    if (force && *force && strcmp(force, "0") && !(no && *no)) wanted = true;
    colours = wanted && !c->no_color;
    quiet = c->quiet;
    asked = commands[c->command].name;
}

bool out_colours(void) { return colours; }

void out_remark(const char *fmt, ...)
{
    va_list args;
    if (quiet) return;
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fputc('\n', stderr);
}

static void print_error(const char *text)
{
    const char *newline = strchr(text, '\n');
    fflush(stdout);
    fprintf(stderr, "%serror:%s %.*s\n", colours ? "\033[1;31m" : "", colours ? "\033[0m" : "",
            (int)(newline ? newline - text : (long)strlen(text)), text);
    while (newline && newline[1]) {
        const char *line = newline + 1;
        newline = strchr(line, '\n');
        int n = (int)(newline ? newline - line : (long)strlen(line));
        bool labelled = !strncmp(line, "why:", 4) || !strncmp(line, "try:", 4);
        if (labelled)
            fprintf(stderr, "  %.4s  %.*s\n", line, n - 4 - (line[4] == ' '),
                    line + 4 + (line[4] == ' '));
        else fprintf(stderr, "  %.*s\n", n, line);
    }
}

int out_fail(int code, const char *fmt, ...)
{
    char text[4096];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    for (char *p = text; *p; p++) /* names come from files: they do not drive the terminal */
        if (((unsigned char)*p < 0x20 && *p != '\n') || *p == 0x7f) *p = '?';
    print_error(text);
    return code;
}

/* A kw_status as an exit code, and what to try where the library does not say it. */
static const struct {
    kw_status status;
    int code;
    const char *hint;
} statuses[] = {
    { KW_ENOMEM, EXIT_OS, "a smaller model, or a smaller context with -c" },
    { KW_EINVAL, EXIT_USAGE, NULL },
    { KW_EFORMAT, EXIT_DATA, "fetch or make the file again" },
    { KW_ESHAPE, EXIT_DATA, "weights and a config that belong together" },
    { KW_EUNSUPPORTED, EXIT_DATA, "another file of the model: the README says what is read" },
    { KW_EIO, EXIT_OS, "look at the file and its disk, then start again" },
    { KW_ENET, EXIT_UNAVAILABLE, "look at the network, then start again" },
    { KW_ETIMEOUT, EXIT_UNAVAILABLE, "look at the network, then start again" },
    { KW_EVERIFY, EXIT_DATA, "fetch the file again" },
    { KW_ELIMIT, EXIT_DATA, "less at once" },
    { KW_ECANCELED, EXIT_INTERRUPTED, NULL },
    { KW_ENOTFOUND, EXIT_NO_INPUT,
      "look at the path; kwaai doctor lists the models that are here" },
    { KW_EWRITE, EXIT_CANNOT_WRITE, "another place, or free space on this disk" },
};

int out_status(kw_status st, const char *what)
{
    int code = EXIT_SOFTWARE;
    const char *message = kw_error_message(), *hint = NULL;
    char help[64];
    if (!*message) message = kw_status_name(st);
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
        if (statuses[i].status != st) continue;
        code = statuses[i].code;
        hint = strstr(message, "\ntry: ") ? NULL : statuses[i].hint;
    }
    if (st == KW_EINVAL && !strstr(message, "\ntry: ")) {
        snprintf(help, sizeof help, "kwaai help %s, for what it takes", asked);
        hint = help;
    }
    if (strstr(message, "ermission denied")) code = EXIT_NO_PERMISSION;
    return out_fail(code, "%s%s%s%s%s", what ? what : "", what ? "\nwhy: " : "", message,
                    hint ? "\ntry: " : "", hint ? hint : "");
}

int out_flush(void)
{
    if (fflush(stdout) == 0 && !ferror(stdout)) return EXIT_OK;
    if (errno == EPIPE) return EXIT_OK; /* the reader had enough */
    return out_fail(EXIT_CANNOT_WRITE, "cannot write to standard output\nwhy: %s", strerror(errno));
}

/* Length of the UTF-8 character at p (at most n bytes), or 0. */
static size_t character(const unsigned char *p, size_t n)
{
    size_t len = p[0] < 0x80                   ? 1
                 : p[0] >= 0xc2 && p[0] < 0xe0 ? 2
                 : p[0] >= 0xe0 && p[0] < 0xf0 ? 3
                 : p[0] >= 0xf0 && p[0] < 0xf5 ? 4
                                               : 0;
    if (len == 0 || len > n) return 0;
    for (size_t i = 1; i < len; i++)
        if ((p[i] & 0xc0) != 0x80) return 0;
    bool overlong = (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xf0 && p[1] < 0x90);
    bool outside = (p[0] == 0xed && p[1] >= 0xa0) || (p[0] == 0xf4 && p[1] >= 0x90);
    return overlong || outside ? 0 : len;
}

void out_json_string(const char *text, size_t len)
{
    const unsigned char *p = (const unsigned char *)text, *end = p + len;
    putchar('"');
    while (p < end) {
        size_t n = character(p, (size_t)(end - p));
        if (n == 0) fputs("\xef\xbf\xbd", stdout); /* U+FFFD for what is no UTF-8 */
        else if (*p == '"' || *p == '\\') printf("\\%c", *p);
        else if (*p == '\n') fputs("\\n", stdout);
        else if (*p < 0x20 || *p == 0x7f) printf("\\u%04x", (unsigned)*p);
        else fwrite(p, 1, n, stdout);
        p += n ? n : 1;
    }
    putchar('"');
}

void out_json_number(double v)
{
    if (isfinite(v)) printf("%.10g", v);
    else fputs("null", stdout);
}

void out_ids(const int32_t *ids, size_t n)
{
    for (size_t i = 0; i < n; i++) printf("%s%d", i ? "," : "", (int)ids[i]);
}

void out_json_begin(const kw_model *m, const char *key)
{
    const char *name = kw_model_describe(m).name;
    printf("{\"model\":");
    out_json_string(name, strlen(name));
    printf(",\"%s\":[", key);
}

const char *out_guesses(const kw_generate_result *r, char text[96])
{
    text[0] = 0;
    if (r->n_drafted > 0 && r->n_runs > 0)
        snprintf(text, 96, " · %d of %d guesses right, %.1f tokens a run", r->n_accepted,
                 r->n_drafted, (double)r->n_ids / r->n_runs);
    return text;
}
