/* interrupt.c - Ctrl-C ends the answer, not the program; the second one ends both. */
#include "cli/cli.h"
#include <signal.h>
#include <stddef.h>

static kw_session *volatile watched;
static volatile sig_atomic_t seen;

/* kw_session_cancel only stores a flag, which a handler may do. */
static void on_interrupt(int signal_number)
{
    if (seen || !watched) {
        signal(signal_number, SIG_DFL);
        raise(signal_number);
    }
    seen = 1;
    if (watched) kw_session_cancel(watched);
}

void interrupt_watch(kw_session *s)
{
    struct sigaction action = { .sa_handler = on_interrupt };
    seen = 0;
    watched = s;
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
}

bool interrupt_seen(void) { return seen != 0; }
