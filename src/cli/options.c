/* options.c - one table drives the parser, the environment, the config files and the help.
 *
 * A value comes from the nearest of: flag, KWAAI_<NAME>, ./kwaai.ini, <config>/kwaai/config.ini, the default. The tables
 * are options.def of the library and cli_options.def of the program; nothing is named twice. */
#include "cli/cli.h"
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef enum type { INT, FLOAT, U64, FLAG, TEXT, LIST } type;

typedef struct option {
    type type;
    const char *name;
    size_t at; /* in struct cli */
    double min, max;
    const char *flags, *value, *help;
    unsigned group;    /* ENGINE ... OWN */
    unsigned commands; /* OWN: who takes it */
} option;

/* clang-format off */
static const option options[] = {
#define ROW(t, n, member, lo, hi, flags, value, help, group, cmds)                                  \
    { t, #n, offsetof(cli, member), lo, hi, flags, value, help, group, cmds },
#define KW_ENGINE_OPT(t, n, d, lo, hi, f, v, h) ROW(t, n, engine.n, lo, hi, f, v, h, ENGINE, 0)
#define KW_MODEL_OPT(t, n, d, lo, hi, f, v, h) ROW(t, n, model.n, lo, hi, f, v, h, MODEL, 0)
#define KW_SESSION_OPT(t, n, d, lo, hi, f, v, h) ROW(t, n, session.n, lo, hi, f, v, h, SESSION, 0)
#define KW_SAMPLING_OPT(t, n, d, lo, hi, f, v, h) ROW(t, n, sampling.n, lo, hi, f, v, h, SAMPLING, 0)
#define KW_BEAM_OPT(t, n, d, lo, hi, f, v, h) ROW(t, n, beam.n, lo, hi, f, v, h, BEAM, 0)
#include "kwaai/options.def"
#define CLI_OPT(t, n, d, lo, hi, f, v, h, cmds) ROW(t, n, n, lo, hi, f, v, h, OWN, cmds)
#include "cli/cli_options.def"
#undef ROW
};
/* clang-format on */
enum { N_OPTIONS = sizeof options / sizeof *options };

static bool applies(const option *o, int cmd)
{
    if (o->group == OWN) return o->commands >> cmd & 1;
    return (commands[cmd].groups & o->group) != 0;
}

/* Is `flag` one of the words in o->flags? */
static bool has_flag(const option *o, const char *flag, size_t len)
{
    for (const char *at = o->flags; *at;) {
        size_t n = strcspn(at, " ");
        if (n == len && memcmp(at, flag, n) == 0) return true;
        at += n + strspn(at + n, " ");
    }
    return false;
}

/* Every command takes these, so that a script may give one set of flags to all; help lists them where they matter. */
static bool is_common(const option *o)
{
    static const char *const names[] = { "temperature", "seed",  "threads", "batch",
                                         "ctx",         "exact", "isa" };
    for (size_t i = 0; o->group != OWN && i < sizeof names / sizeof *names; i++)
        if (!strcmp(o->name, names[i])) return true;
    return false;
}

/* A flag of this command; of two with the same letter the program's own wins. */
static const option *find_flag(int cmd, const char *flag, size_t len)
{
    for (int i = N_OPTIONS - 1; i >= 0; i--)
        if (applies(&options[i], cmd) && has_flag(&options[i], flag, len)) return &options[i];
    for (int i = 0; i < N_OPTIONS; i++)
        if (is_common(&options[i]) && has_flag(&options[i], flag, len)) return &options[i];
    return NULL;
}

/* ---- values ---- */

static const char *spelled(const option *o)
{
    const char *longest = strstr(o->flags, "--");
    static char word[64];
    const char *at = longest ? longest : o->flags;
    snprintf(word, sizeof word, "%.*s", (int)strcspn(at, " "), at);
    return word;
}

static int out_of_range(const cli *c, const option *o, const char *text)
{
    return out_fail(EXIT_USAGE,
                    "%s is \"%s\"\nwhy: it must be %s from %.10g to %.10g\ntry: kwaai help %s",
                    spelled(o), text, o->type == FLOAT ? "a number" : "a whole number", o->min,
                    o->max, commands[c->command].name);
}

static int set_number(cli *c, const option *o, const char *text)
{
    char *end = NULL;
    errno = 0;
    double v = strtod(text, &end);
    bool whole = o->type == FLOAT || floor(v) == v;
    if (end == text || *end || isnan(v) || !whole || v < o->min || v > o->max)
        return out_of_range(c, o, text);
    void *at = (char *)c + o->at;
    if (o->type == FLOAT) *(float *)at = (float)v;
    else *(int *)at = (int)v;
    return EXIT_OK;
}

static int set_u64(cli *c, const option *o, const char *text)
{
    char *end = NULL;
    errno = 0;
    unsigned long long v = strtoull(text, &end, 10);
    if (!isdigit((unsigned char)text[0]) || *end || errno)
        return out_fail(
            EXIT_USAGE,
            "%s is \"%s\"\nwhy: it must be a whole number from 0 to 18446744073709551615",
            spelled(o), text);
    *(uint64_t *)(void *)((char *)c + o->at) = v;
    return EXIT_OK;
}

static int set_flag(cli *c, const option *o, const char *text)
{
    static const char *const yes[] = { "1", "true", "yes", "on" }, *const no[] = { "0", "false",
                                                                                   "no", "off",
                                                                                   "" };
    bool *at = (bool *)(void *)((char *)c + o->at);
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++)
        if (!strcmp(text, yes[i])) return *at = true, EXIT_OK;
    for (size_t i = 0; i < sizeof no / sizeof *no; i++)
        if (!strcmp(text, no[i])) return *at = false, EXIT_OK;
    return out_fail(EXIT_USAGE, "%s is \"%s\"\nwhy: it must be true or false", spelled(o), text);
}

static int add_text(text_list *l, const char *text)
{
    const char **more = realloc(l->items, (l->n + 1) * sizeof *more);
    if (!more) return out_fail(EXIT_OS, "out of memory");
    l->items = more;
    l->items[l->n++] = text;
    return EXIT_OK;
}

/* text must stay: options borrow it. */
static int set_value(cli *c, const option *o, const char *text)
{
    c->was_set[o - options] = true;
    switch (o->type) {
    case INT:
    case FLOAT: return set_number(c, o, text);
    case U64: return set_u64(c, o, text);
    case FLAG: return set_flag(c, o, text);
    case TEXT: *(const char **)(void *)((char *)c + o->at) = text; return EXIT_OK;
    case LIST: return add_text((text_list *)(void *)((char *)c + o->at), text);
    }
    return EXIT_SOFTWARE;
}

/* ---- config files and environment ---- */

static char *trimmed(char *s)
{
    while (isspace((unsigned char)*s)) s++;
    size_t n = strlen(s);
    while (n && isspace((unsigned char)s[n - 1])) s[--n] = 0;
    return s;
}

/* Is `name` the option's, or one of its long flags with '_' for '-'? */
static bool is_called(const option *o, const char *name)
{
    if (!strcmp(o->name, name)) return true;
    for (const char *at = strstr(o->flags, "--"); at; at = strstr(at + 2, " --")) {
        at += *at == ' ';
        size_t n = strcspn(at + 2, " "), same = 0;
        while (same < n && name[same] && name[same] == (at[2 + same] == '-' ? '_' : at[2 + same]))
            same++;
        if (same == n && !name[n]) return true;
    }
    return false;
}

int cli_set(cli *c, const char *name, const char *value)
{
    for (int i = N_OPTIONS - 1; i >= 0; i--) {
        if (!is_called(&options[i], name) || !applies(&options[i], c->command)) continue;
        char *kept = strdup(value);
        if (!kept) return out_fail(EXIT_OS, "out of memory");
        int code = add_text(&c->kept, kept);
        return code ? code : set_value(c, &options[i], kept);
    }
    for (int i = 0; i < N_OPTIONS; i++)
        if (is_called(&options[i], name)) return EXIT_OK; /* another command's */
    return out_fail(EXIT_USAGE, "there is no option \"%s\"\ntry: kwaai help %s", name,
                    commands[c->command].name);
}

bool cli_is_live(const char *name)
{
    for (int i = 0; i < N_OPTIONS; i++)
        if (is_called(&options[i], name)) return !(options[i].group & (ENGINE | MODEL | SESSION));
    return true;
}

/* name = value lines; # and ; begin comments, [sections] are passed over. */
static int read_config(cli *c, const char *path, bool must_exist)
{
    char line[4096];
    FILE *f = fopen(path, "r");
    if (!f)
        return must_exist ? out_fail(EXIT_NO_INPUT, "cannot read the config file %s\nwhy: %s", path,
                                     strerror(errno))
                          : EXIT_OK;
    int code = EXIT_OK;
    for (int n = 1; !code && fgets(line, sizeof line, f); n++) {
        char *name = trimmed(line), *equals = strchr(name, '=');
        if (!*name || *name == '#' || *name == ';' || *name == '[') continue;
        if (!equals) {
            code =
                out_fail(EXIT_USAGE, "%s, line %d: \"%s\" is no \"name = value\"", path, n, name);
            break;
        }
        *equals = 0;
        name = trimmed(name);
        for (char *p = name; *p; p++)
            if (*p == '-') *p = '_';
        code = cli_set(c, name, trimmed(equals + 1));
        if (code) out_remark("  in %s, line %d", path, n);
    }
    fclose(f);
    return code;
}

static int read_configs(cli *c)
{
    char path[4096];
    const char *base = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    int code = EXIT_OK;
    if (base && *base) snprintf(path, sizeof path, "%s/kwaai/config.ini", base);
    else snprintf(path, sizeof path, "%s/.config/kwaai/config.ini", home ? home : "");
    if ((base && *base) || home) code = read_config(c, path, false);
    return code ? code : read_config(c, "kwaai.ini", false);
}

static const char *environment_name(const char *name, size_t len)
{
    static char out[64];
    int n = snprintf(out, sizeof out, "KWAAI_%.*s", (int)len, name);
    for (int i = 0; i < n && out[i]; i++)
        out[i] = out[i] == '-' ? '_' : (char)toupper((unsigned char)out[i]);
    return out;
}

/* KWAAI_<NAME>, or KWAAI_<FLAG> of any of its long flags. */
static const char *from_environment(const option *o)
{
    const char *value = getenv(environment_name(o->name, strlen(o->name)));
    for (const char *at = o->flags; *at && !(value && *value);) {
        size_t n = strcspn(at, " ");
        if (n > 2 && at[1] == '-') value = getenv(environment_name(at + 2, n - 2));
        at += n + strspn(at + n, " ");
    }
    return value && *value ? value : NULL;
}

static int read_environment(cli *c)
{
    for (int i = 0; i < N_OPTIONS; i++) {
        const char *value = applies(&options[i], c->command) ? from_environment(&options[i]) : NULL;
        int code = value ? set_value(c, &options[i], value) : EXIT_OK;
        if (code) return code;
    }
    return EXIT_OK;
}

/* ---- flags ---- */

int cli_distance(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b);
    int row[3][66];
    if (n > 64 || m > 64) return 99;
    for (size_t j = 0; j <= m; j++) row[0][j] = (int)j;
    for (size_t i = 1; i <= n; i++) {
        int *now = row[i % 3], *up = row[(i + 2) % 3], *up2 = row[(i + 1) % 3];
        now[0] = (int)i;
        for (size_t j = 1; j <= m; j++) {
            int d = up[j - 1] + (a[i - 1] != b[j - 1]);
            if (up[j] + 1 < d) d = up[j] + 1;
            if (now[j - 1] + 1 < d) d = now[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                up2[j - 2] + 1 < d)
                d = up2[j - 2] + 1;
            now[j] = d;
        }
    }
    return row[n % 3][m];
}

static void consider(const char *candidate, const char *word, char *best, size_t cap,
                     int *best_distance)
{
    int d = cli_distance(word, candidate);
    if (d >= *best_distance) return;
    *best_distance = d;
    snprintf(best, cap, "%s", candidate);
}

static int unknown_flag(int cmd, const char *flag, size_t len)
{
    char word[66] = "", best[64] = "", each[64];
    int best_distance = 4;
    snprintf(word, sizeof word, "%.*s", (int)(len < 65 ? len : 65), flag);
    for (int i = 0; i < N_OPTIONS && len > 2; i++) {
        for (const char *at = options[i].flags; applies(&options[i], cmd) && *at;) {
            size_t n = strcspn(at, " ");
            snprintf(each, sizeof each, "%.*s", (int)n, at);
            if (n > 2) consider(each, word, best, sizeof best, &best_distance);
            at += n + strspn(at + n, " ");
        }
    }
    if (best[0])
        return out_fail(EXIT_USAGE, "%s has no option %s\ntry: %s", commands[cmd].name, word, best);
    return out_fail(EXIT_USAGE, "%s has no option %s\ntry: kwaai help %s", commands[cmd].name, word,
                    commands[cmd].name);
}

/* "- a list" and "-5" are text. */
static bool looks_like_flag(const char *word)
{
    const char *name = word + 1 + (word[0] && word[1] == '-');
    return word[0] == '-' && isalpha((unsigned char)*name);
}

/* One flag at argv[*i], and its value there or in the next word. */
static int take_flag(cli *c, int argc, char **argv, int *i)
{
    const char *word = argv[*i], *equals = word[1] == '-' ? strchr(word, '=') : NULL;
    size_t len = equals ? (size_t)(equals - word) : strlen(word);
    const option *o = find_flag(c->command, word, len);
    const char *value = equals ? equals + 1 : NULL;
    if (!o && word[1] != '-' && len > 2) { /* -t2 */
        o = find_flag(c->command, word, 2);
        if (o && o->type == FLAG) o = NULL;
        value = word + 2 + (word[2] == '=');
    }
    bool negated = false;
    if (!o && !strncmp(word, "--no-", 5)) { /* --no-json */
        char plain[64];
        snprintf(plain, sizeof plain, "--%.*s", (int)(len - 5), word + 5);
        o = find_flag(c->command, plain, strlen(plain));
        negated = o && o->type == FLAG;
        if (!negated) o = NULL;
    }
    if (!o) return unknown_flag(c->command, word, len);
    if (o->type == FLAG) return set_value(c, o, negated ? "false" : value ? value : "true");
    if (!value && *i + 1 < argc) value = argv[++*i];
    if (!value)
        return out_fail(EXIT_USAGE, "%s needs a value: %s %s", spelled(o), spelled(o), o->value);
    return set_value(c, o, value);
}

static int read_flags(cli *c, int argc, char **argv)
{
    bool only_args = false;
    for (int i = 0; i < argc; i++) {
        if (!only_args && !strcmp(argv[i], "--")) {
            only_args = true;
        } else if (!only_args && looks_like_flag(argv[i])) {
            int code = take_flag(c, argc, argv, &i);
            if (code) return code;
        } else {
            c->args[c->n_args++] = argv[i];
        }
    }
    return EXIT_OK;
}

static void set_defaults(cli *c)
{
    c->engine = kw_engine_defaults();
    c->model = kw_model_defaults();
    c->session = kw_session_defaults();
    c->sampling = kw_sampling_defaults();
    c->beam = kw_beam_defaults();
#define CLI_DEFAULT_INT(n, d) c->n = d;
#define CLI_DEFAULT_FLAG(n, d) c->n = d;
#define CLI_DEFAULT_TEXT(n, d) c->n = d;
#define CLI_DEFAULT_LIST(n, d) c->n = (text_list){ NULL, 0 };
#define CLI_OPT(t, n, d, ...) CLI_DEFAULT_##t(n, d)
#include "cli/cli_options.def"
    if (c->command != CMD_INDEX_RUN) c->sampling.temperature = 0; /* only chat wants chance */
}

/* The config of --config is read before the flags it stands among. */
static const char *named_config(int argc, char **argv)
{
    for (int i = 0; i < argc && strcmp(argv[i], "--"); i++) {
        if (!strncmp(argv[i], "--config=", 9)) return argv[i] + 9;
        if (!strcmp(argv[i], "--config") && i + 1 < argc) return argv[i + 1];
    }
    return NULL;
}

int cli_parse(cli *c, int argc, char **argv)
{
    set_defaults(c);
    c->args = calloc((size_t)argc + 1, sizeof *c->args);
    if (!c->args) return out_fail(EXIT_OS, "out of memory");
    const char *config = named_config(argc, argv);
    int code = read_configs(c);
    if (!code && config) code = read_config(c, config, true);
    if (!code) code = read_environment(c);
    if (!code) {
        c->stop.n = c->lora.n = 0; /* flags replace a list, they do not add to it */
        code = read_flags(c, argc, argv);
    }
    return code;
}

void cli_free(cli *c)
{
    for (size_t i = 0; i < c->kept.n; i++) free((char *)(uintptr_t)c->kept.items[i]);
    free(c->kept.items);
    free(c->args);
    free(c->stop.items);
    free(c->lora.items);
    free(c->tensor.items);
}

bool cli_was_set(const cli *c, const char *name)
{
    for (int i = 0; i < N_OPTIONS; i++)
        if (!strcmp(options[i].name, name) && c->was_set[i] && applies(&options[i], c->command))
            return true;
    return false;
}

/* ---- help ---- */

void cli_print_options(int cmd, FILE *to)
{
    for (int i = N_OPTIONS - 1; i >= 0; i--) {
        char flags[128];
        if (!applies(&options[i], cmd)) continue;
        int n = 0;
        for (const char *at = options[i].flags; *at && n < 100;) {
            size_t len = strcspn(at, " ");
            n += snprintf(flags + n, sizeof flags - (size_t)n, "%s%.*s", n ? ", " : "", (int)len,
                          at);
            at += len + strspn(at + len, " ");
        }
        snprintf(flags + n, sizeof flags - (size_t)n, " %s", options[i].value);
        fprintf(to, "  %-36s %s\n", flags, options[i].help);
    }
}

void cli_print_environment(FILE *to)
{
    fprintf(to, "Every option is also read from the environment, and from ./kwaai.ini and "
                "kwaai/config.ini in\n"
                "$XDG_CONFIG_HOME (lines \"name = value\"). A flag wins over the environment, that "
                "over the files.\n"
                "The long flags are names too: KWAAI_TEMP is KWAAI_TEMPERATURE.\n\n");
    for (int i = 0; i < N_OPTIONS; i++)
        if (strcmp(options[i].name, "help"))
            fprintf(to, "  %-28s %s\n", environment_name(options[i].name, strlen(options[i].name)),
                    options[i].help);
}
