/* status.c - the reason of the last failure, one for each thread.
 *
 * The message lives in a fixed thread-local buffer: recording a failure must work when memory is
 * gone, so nothing here allocates. What does not fit is cut at a character boundary. Text is first
 * formatted beside the message, because its arguments may point into the message itself.
 *
 * Left out on purpose: codes of the operating system, stack traces, translation. */
#include "base/status.h"
#include "base/utf8.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { MESSAGE_BYTES = 1024 };

static _Thread_local char message[MESSAGE_BYTES];

static const struct {
    kw_status status;
    const char *name;
} names[] = {
    { KW_OK, "ok" },
    { KW_PENDING, "pending" },
    { KW_DONE, "done" },
    { KW_ENOMEM, "out of memory" },
    { KW_EINVAL, "invalid argument" },
    { KW_EFORMAT, "malformed file" },
    { KW_ESHAPE, "shape mismatch" },
    { KW_EUNSUPPORTED, "unsupported" },
    { KW_EIO, "input or output failed" },
    { KW_ENET, "network failed" },
    { KW_ETIMEOUT, "timed out" },
    { KW_EVERIFY, "verification failed" },
    { KW_ELIMIT, "limit exceeded" },
    { KW_ECANCELED, "canceled" },
    { KW_ENOTFOUND, "not found" },
    { KW_EWRITE, "not written" },
};

const char *kw_status_name(kw_status st)
{
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (names[i].status == st) return names[i].name;
    return "unknown status";
}

const char *kw_error_message(void) { return message; }

/* Appends text to the NUL-terminated out[MESSAGE_BYTES], whole characters only. */
static void append(char *out, const char *text)
{
    size_t len = strlen(out), n = strlen(text), room = MESSAGE_BYTES - 1 - len;
    if (n > room) n = room - kw_utf8_incomplete_tail(text, room);
    memcpy(out + len, text, n);
    out[len + n] = '\0';
}

static void format(char out[MESSAGE_BYTES], const char *fmt, va_list args)
{
    int n = vsnprintf(out, MESSAGE_BYTES, fmt, args);
    if (n < 0) out[0] = '\0';
    if (n < MESSAGE_BYTES) return;
    out[MESSAGE_BYTES - 1 - kw_utf8_incomplete_tail(out, MESSAGE_BYTES - 1)] = '\0';
}

kw_status kw_fail(kw_status st, const char *fmt, ...)
{
    char text[MESSAGE_BYTES];
    va_list args;
    va_start(args, fmt);
    format(text, fmt, args);
    va_end(args);
    memcpy(message, text, strlen(text) + 1);
    return st;
}

kw_status kw_note(kw_status st, const char *fmt, ...)
{
    if (st == KW_OK) return st;
    char text[MESSAGE_BYTES];
    va_list args;
    va_start(args, fmt);
    format(text, fmt, args);
    va_end(args);
    append(text, ": ");
    append(text, message);
    memcpy(message, text, strlen(text) + 1);
    return st;
}

/* The old message becomes the reason; the reason that it had follows on the same line. */
kw_status kw_because(kw_status st, const char *fmt, ...)
{
    if (st == KW_OK) return st;
    char text[MESSAGE_BYTES], old[MESSAGE_BYTES];
    va_list args;
    va_start(args, fmt);
    format(text, fmt, args);
    va_end(args);
    memcpy(old, message, strlen(message) + 1);
    char *why = strstr(old, "\nwhy: ");
    append(text, "\nwhy: ");
    if (why) *why = '\0';
    append(text, old);
    if (why) append(text, "; ");
    if (why) append(text, why + strlen("\nwhy: "));
    memcpy(message, text, strlen(text) + 1);
    return st;
}

kw_status kw_try(kw_status st, const char *fmt, ...)
{
    if (st == KW_OK) return st;
    char text[MESSAGE_BYTES];
    va_list args;
    va_start(args, fmt);
    format(text, fmt, args);
    va_end(args);
    append(message, "\ntry: ");
    append(message, text);
    return st;
}
