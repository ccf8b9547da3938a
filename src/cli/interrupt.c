/* interrupt.c - Ctrl-C ends the answer, not the program; the second one ends both. A conversation outlives the one that comes just
 * after its answer ended, too.
 *
 * A mapped file that another program cuts short between two looks at it raises SIGBUS in the middle of a step: that ends the
 * program too, but not without a last line. */
#include "cli/cli.h"
#include <signal.h>
#include <stddef.h>
#include <unistd.h>

static kw_session *volatile watched;
static volatile sig_atomic_t seen, outlives;

/* kw_session_cancel only stores a flag, which a handler may do. */
static void on_interrupt(int signal_number)
{
    if (!watched && outlives) return;
    if (seen || !watched) {
        signal(signal_number, SIG_DFL);
        raise(signal_number);
    }
    seen = 1;
    if (watched) kw_session_cancel(watched);
}

static void take_signals(void)
{
    struct sigaction action = { .sa_handler = on_interrupt };
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
}

void interrupt_watch(kw_session *s)
{
    seen = 0;
    watched = s;
    take_signals();
}

void interrupt_outlive(void)
{
    outlives = 1;
    take_signals();
}

static void on_lost_page(int signal_number)
{
    static const char text[] =
        "error: a file shrank while it was in use\n"
        "  why:  another program cut it short, or its disk failed, in the middle of a step\n"
        "  try:  fetch or make the file again, or --no-mmap\n";
    (void)signal_number;
    if (write(STDERR_FILENO, text, sizeof text - 1) < 0) _exit(EXIT_SOFTWARE);
    _exit(EXIT_OS);
}

void interrupt_watch_files(void)
{
    struct sigaction action = { .sa_handler = on_lost_page };
    sigemptyset(&action.sa_mask);
    sigaction(SIGBUS, &action, NULL);
}

bool interrupt_seen(void) { return seen != 0; }
