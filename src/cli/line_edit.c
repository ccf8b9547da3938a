/* line_edit.c - one line from the user through libedit, with a history in $XDG_STATE_HOME/kwaai/history (mode 0600).
 *
 * The terminal is taken over before the prompt appears: what is typed at the prompt is a key, never a line of the terminal's own.
 * Ctrl-C is such a key: it drops the line. So is Ctrl-Z, which then has to stop the program by hand. */
#include "cli/cli.h"
#include <errno.h>
#include <histedit.h>
#include <langinfo.h>
#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static EditLine *editor;
static History *lines;
static const char *shown; /* the prompt */
static bool dropped;
static char history_path[4096];

/* Makes every folder on the way to `path`. */
static void make_folders(char *path)
{
    for (char *p = path + 1; *p; p++) {
        if (*p != '/') continue;
        *p = 0;
        mkdir(path, 0700);
        *p = '/';
    }
}

static void open_history(void)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    HistEvent event;
    if (state && *state) snprintf(history_path, sizeof history_path, "%s/kwaai/history", state);
    else if (home)
        snprintf(history_path, sizeof history_path, "%s/.local/state/kwaai/history", home);
    history(lines, &event, H_SETSIZE, 1000);
    if (!history_path[0]) return;
    make_folders(history_path);
    history(lines, &event, H_LOAD, history_path);
}

/* After every line: a program that is killed at its prompt keeps its history too. */
static void save_history(void)
{
    HistEvent event;
    if (!history_path[0]) return;
    mode_t mask = umask(0077);
    history(lines, &event, H_SAVE, history_path);
    umask(mask);
    chmod(history_path, 0600);
}

static char *prompt_of(EditLine *e)
{
    (void)e;
    return (char *)(uintptr_t)shown;
}

static unsigned char on_interrupt(EditLine *e, int ch)
{
    (void)e;
    (void)ch;
    dropped = true;
    return CC_EOF;
}

static unsigned char on_suspend(EditLine *e, int ch)
{
    (void)e;
    (void)ch;
    raise(SIGTSTP);
    return CC_REFRESH;
}

/* Letters beyond ASCII need a locale that has them, which a bare container lacks. */
static void set_letters(void)
{
    setlocale(LC_CTYPE, "");
    if (strcmp(nl_langinfo(CODESET), "UTF-8")) setlocale(LC_CTYPE, "C.UTF-8");
}

/* In wide letters: of narrow names libedit makes copies that it never frees. */
static void bind_keys(void)
{
    el_wset(editor, EL_ADDFN, L"kwaai-drop", L"Drop the line", on_interrupt);
    el_wset(editor, EL_BIND, L"^C", L"kwaai-drop", NULL);
    el_wset(editor, EL_ADDFN, L"kwaai-suspend", L"Stop the program", on_suspend);
    el_wset(editor, EL_BIND, L"^Z", L"kwaai-suspend", NULL);
}

void line_open(void)
{
    set_letters();
    editor = el_init("kwaai", stdin, stdout, stderr);
    lines = history_init();
    if (!editor || !lines) return;
    open_history();
    el_set(editor, EL_HIST, history, lines);
    el_set(editor, EL_PROMPT, prompt_of);
    el_set(editor, EL_EDITOR, "emacs");
    el_set(editor, EL_SIGNAL, 1);
    bind_keys();
    el_set(editor, EL_BIND, "^R", "em-inc-search-prev", NULL);
    el_set(editor, EL_SETTY, "-d", "-isig", NULL);
    el_source(editor, NULL);
    interrupt_outlive();
}

void line_close(void)
{
    if (lines) history_end(lines);
    if (editor) el_end(editor);
}

static void remember(const char *line)
{
    HistEvent event;
    if (!*line) return;
    history(lines, &event, H_ENTER, line);
    save_history();
}

line_end line_read(const char *prompt, char **line)
{
    int n = 0;
    *line = NULL;
    if (!editor || !lines) return LINE_NONE;
    shown = prompt;
    dropped = false;
    el_set(editor, EL_PREP_TERM, 1);
    const char *got = el_gets(editor, &n);
    el_set(editor, EL_PREP_TERM, 0);
    if (dropped) {
        puts("^C");
        return LINE_DROPPED;
    }
    if (!got || n < 1) return LINE_NONE;
    *line = strndup(got, strcspn(got, "\n"));
    if (*line) remember(*line);
    return *line ? LINE_READ : LINE_NONE;
}
