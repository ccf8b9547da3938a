/* log.c - hands remarks to the one callback the caller has set.
 *
 * A line is formatted in place and borrowed for the call: no queue, no lock, no level filter (the
 * callback knows what its owner wants to see). The callback is set once, before other calls, and
 * is read without synchronisation after that. */
#include "base/log.h"
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

static kw_log_fn sink;
static void *sink_user;

void kw_log_to(kw_log_fn fn, void *user)
{
    sink = fn;
    sink_user = user;
}

void kw_log(kw_log_level level, const char *fmt, ...)
{
    if (!sink) return;
    char line[1024];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    if (n < 0) return;
    for (char *c = line; *c; c++)
        if (*c == '\n') *c = ' '; /* one remark, one line */
    sink(sink_user, level, line);
}
