/* line_edit.c - one line from the user through libedit, with a history in $XDG_STATE_HOME/kwaai/history (mode 0600). */
#include "cli/cli.h"
#include <editline/readline.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

void line_open(void)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    if (state && *state) snprintf(history_path, sizeof history_path, "%s/kwaai/history", state);
    else if (home)
        snprintf(history_path, sizeof history_path, "%s/.local/state/kwaai/history", home);
    using_history();
    stifle_history(1000);
    if (!history_path[0]) return;
    make_folders(history_path);
    read_history(history_path);
}

/* After every line: a program that is killed at its prompt keeps its history too. */
static void save_history(void)
{
    if (!history_path[0]) return;
    mode_t mask = umask(0077);
    write_history(history_path);
    umask(mask);
    chmod(history_path, 0600);
}

void line_close(void) { save_history(); }

char *line_read(const char *prompt)
{
    char *line = readline(prompt);
    if (line && *line) {
        add_history(line);
        save_history();
    }
    return line;
}
