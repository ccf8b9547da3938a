/* cli.h - what the commands of `kwaai` share: parsed options, messages and the way out.
 *
 * The program stands on the public API alone. A command is a line of commands.def and a cmd_<name>.c; an option is a line of
 * kwaai/options.def (the library's) or cli_options.def (the program's). Nothing here is seen by the library, so
 * malloc, printf and getenv are at home. */
#ifndef KWAAI_CLI_H
#define KWAAI_CLI_H

#include "kwaai/kwaai.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* Exit codes of sysexits(3). */
enum {
    EXIT_OK = 0,
    EXIT_USAGE = 64,
    EXIT_DATA = 65,
    EXIT_NO_INPUT = 66,
    EXIT_UNAVAILABLE = 69,
    EXIT_SOFTWARE = 70,
    EXIT_OS = 71,
    EXIT_CANNOT_WRITE = 73,
    EXIT_NO_PERMISSION = 77,
    EXIT_INTERRUPTED = 130
};

enum {
    ENGINE = 1,
    MODEL = 2,
    SESSION = 4,
    SAMPLING = 8,
    BEAM = 16,
    OWN = 32
}; /* option groups of a command */

enum {
#define COMMAND(id, ...) CMD_INDEX_##id,
#include "cli/commands.def"
    N_COMMANDS
};
enum {
#define COMMAND(id, ...) CMD_##id = 1 << CMD_INDEX_##id,
#include "cli/commands.def"
    EVERY = (1 << N_COMMANDS) - 1
};
enum { TAKES_MODEL = EVERY & ~(CMD_DOCTOR | CMD_VERSION | CMD_HELP | CMD_QUANTIZE) };

typedef struct text_list {
    const char **items;
    size_t n;
} text_list;

#define CLI_TYPE_INT int
#define CLI_TYPE_FLOAT float
#define CLI_TYPE_U64 uint64_t
#define CLI_TYPE_FLAG bool
#define CLI_TYPE_TEXT const char *
#define CLI_TYPE_LIST text_list

/* The program's own options, and the library's. */
typedef struct cli {
    int command; /* CMD_INDEX_ */
    kw_engine_options engine;
    kw_model_options model;
    kw_session_options session;
    kw_sampling sampling;
    kw_beam_args beam;
#define CLI_OPT(type, name, ...) CLI_TYPE_##type name;
#include "cli/cli_options.def"
    char **args; /* what is not an option; MODEL first */
    int n_args;
    bool was_set[128];      /* by option index: said anywhere but in the built-in defaults */
    text_list kept;         /* values of config files and /set, freed at the end */
    kw_engine *open_engine; /* closed by main */
    kw_model *open_model, *open_draft;
} cli;

typedef struct command {
    const char *name, *usage, *summary;
    unsigned groups;
    int (*run)(cli *c);
} command;
extern const command commands[N_COMMANDS];

#define COMMAND(id, name, ...) int cmd_##name(cli *c);
#include "cli/commands.def"

/* main.c */
int cli_find_command(const char *word);    /* its CMD_INDEX_, or -1 */
int cli_unknown_command(const char *word); /* names the nearest; EXIT_USAGE */

/* options.c */
int cli_parse(cli *c, int argc, char **argv); /* EXIT_OK, or a code after its message */
void cli_free(cli *c);
/* Letters that differ, are missing or too many between two words; a swap counts 1. */
int cli_distance(const char *a, const char *b);
bool cli_was_set(const cli *c, const char *name);
void cli_print_options(int command, FILE *to);
void cli_print_environment(FILE *to);
int cli_set(cli *c, const char *name, const char *value); /* a config key, as /set does */
bool cli_is_live(const char *name); /* may be set while a model is open, or is no option at all */

/* output.c */
void out_open(const cli *c);
bool out_colours(void);
void out_remark(const char *fmt, ...); /* standard error, unless -q */
/* "error: ..." with indented why and try lines; returns `code`. */
int out_fail(int code, const char *fmt, ...);
int out_status(kw_status st, const char *what); /* the library's last message; its code */
int out_flush(void); /* EXIT_OK, or EXIT_CANNOT_WRITE after its message */
void out_json_string(const char *text, size_t len); /* with quotes, to standard output */
void out_json_number(double v);
void out_ids(const int32_t *ids, size_t n); /* 1,2,3 */
/* {"model":NAME,"KEY":[ - the caller ends both. */
void out_json_begin(const kw_model *m, const char *key);
/* " · 40 of 60 guesses right, 2.4 tokens a run", or "" when none were made. */
const char *out_guesses(const kw_generate_result *r, char text[96]);

/* model.c */
int cli_open_engine(cli *c);
/* Any model's files, whether this build can run them or not (then the family is ""), taken as cli_open_model takes them. */
int cli_open_files(cli *c);
/* What a counted word ends in: 1 tensor, 2 tensors. */
static inline const char *cli_s(unsigned long long n) { return n == 1 ? "" : "s"; }
/* What --lora says, c->lora.n of them. */
int cli_read_adapters(const cli *c, kw_adapter **out);
void cli_free_adapters(kw_adapter *list, size_t n); /* NULL is fine */
int cli_open_model(cli *c);              /* takes the first argument, or -m, away from the others */
int cli_model_path(cli *c, char **path); /* a file, a folder or a name of the catalogue; free it */
/* A session of the open model, with its sampling and --draft. */
int cli_open_session(cli *c, kw_session **s);
char *cli_cache_folder(const char *what);  /* "models", "packs"; free it */
char *cli_pack_folder(const cli *c);       /* --pack-dir or the usual one; free it */
kw_progress_fn cli_progress(const cli *c); /* draws on a terminal; NULL elsewhere */
int cli_use_packs(cli *c); /* sets the folder of packed weights, and how progress is shown */

/* listing.c */
void list_meta(const kw_model *m); /* key = value, a line each */
void list_meta_json(const kw_model *m);
void list_tensors(const kw_model *m);
void list_tensors_json(const kw_model *m);
typedef struct listing {
    bool json;
    size_t n_findings, n_bad;
} listing;
/* What is odd about the files, to standard output; counted in l. */
kw_status list_findings(cli *c, kw_model *m, listing *l);

/* treemap.c: the tensors as an SVG image, each as large as its bytes. EXIT_OK, or a code after its message. */
int treemap_write(const kw_model *m, const char *path);

/* input.c */
int cli_read_file(const char *path, char **text,
                  size_t *len); /* "-" is standard input; free *text */
/* Of an option: "1GB", "700 MB", "1.5GiB", "123456" as bytes. EXIT_OK, or a code after its message. */
int cli_read_size(const char *flag, const char *text, uint64_t *bytes);
int cli_read_ids(const char *text, size_t len, int32_t **ids, size_t *n);
char *cli_join_args(const cli *c,
                    int from); /* the rest of the arguments, one space between; free it */
/* texts.c: the arguments from number `from` on, each a text, or with -f (or - as the only one, or piped input without any) the
 * lines of a file; free *owned and *texts. EXIT_USAGE or EXIT_DATA when there is none. */
int cli_texts(const cli *c, int from, kw_text **texts, size_t *n, char **owned);
bool cli_stdin_is_piped(void);
double cli_now_ms(void); /* of a clock that only goes forward */
int cli_tokenize(const kw_tokenizer *t, const char *text, size_t len, unsigned flags, int32_t **ids,
                 size_t *n);
kw_status cli_render(const kw_model *m, const char *chat_template, const char *json,
                     size_t json_len, char **text, size_t *len);
int cli_chat_template(
    const cli *c, char **text); /* --chat-template: NAME or a FILE's text; NULL without; free it */

/* interrupt.c: Ctrl-C cancels this session's next step; the second ends the program. */
void interrupt_watch(kw_session *s); /* NULL: nothing is watched */
void interrupt_outlive(void);     /* from now on a Ctrl-C while nothing is watched does nothing */
bool interrupt_seen(void);        /* since the last watch */
void interrupt_watch_files(void); /* a mapped file that shrinks ends the program with a message */

/* line_edit.c or line_plain.c: one line from the user, without its newline; free it. */
typedef enum line_end {
    LINE_READ,
    LINE_DROPPED /* by Ctrl-C */,
    LINE_NONE /* the input ended */
} line_end;
line_end line_read(const char *prompt, char **line);
void line_open(void);
void line_close(void);

int cli_search(cli *c, kw_session *s, const int32_t *ids, size_t n); /* search.c: --beams */
int cli_chat_loop(cli *c, kw_session *s, const char *chat_template); /* repl.c */

#endif
