/* line_plain.c - one line from the user, where no line editor is linked. */
#include "cli/cli.h"
#include <stdlib.h>
#include <string.h>

void line_open(void) {}

void line_close(void) {}

static char *read_all(void)
{
    size_t cap = 256, n = 0;
    char *line = malloc(cap);
    int ch = EOF;
    while (line && (ch = getchar()) != EOF && ch != '\n') {
        if (n + 2 > cap) {
            char *more = realloc(line, cap *= 2);
            if (!more) break;
            line = more;
        }
        line[n++] = (char)ch;
    }
    if (!line || (ch == EOF && n == 0)) {
        free(line);
        return NULL;
    }
    line[n] = 0;
    return line;
}

line_end line_read(const char *prompt, char **line)
{
    fputs(prompt, stderr);
    fflush(stderr);
    *line = read_all();
    return *line ? LINE_READ : LINE_NONE;
}
