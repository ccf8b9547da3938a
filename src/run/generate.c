/* generate.c - ids to streamed text: whole characters only, and never a piece of a stop string.
 *
 * Text is held back while its end could be the beginning of a stop string; it is given out as soon as it cannot. */
#include "kwaai/speculate.h"
#include "run/session.h"
#include <string.h>

enum { HELD_MAX = 1 << 20 };

typedef struct stream {
    kw_session *s;
    const kw_generate_args *args;
    kw_detok detok;
    kw_buf held;           /* text that is certain as characters, not yet as output */
    bool stopped, refused; /* a stop string came; on_text said no */
} stream;

static void give(stream *t, size_t len)
{
    if (len == 0 || t->refused) return;
    if (t->args->on_text && !t->args->on_text(t->args->user, t->held.data, len)) t->refused = true;
    memmove(t->held.data, t->held.data + len, t->held.len - len);
    t->held.len -= len;
}

/* Where the first stop string begins in the held text; held.len when there is none. */
static size_t find_stop(const stream *t)
{
    size_t first = t->held.len;
    for (size_t i = 0; i < t->args->n_stop; i++) {
        size_t len = strlen(t->args->stop[i]);
        for (size_t at = 0; len && at + len <= t->held.len && at < first; at++)
            if (memcmp(t->held.data + at, t->args->stop[i], len) == 0) first = at;
    }
    return first;
}

/* How many bytes at the end could still become a stop string. */
static size_t maybe_stop(const stream *t)
{
    size_t most = 0;
    for (size_t i = 0; i < t->args->n_stop; i++) {
        size_t len = strlen(t->args->stop[i]);
        for (size_t n = len ? len - 1 : 0; n > most; n--)
            if (n <= t->held.len &&
                memcmp(t->held.data + t->held.len - n, t->args->stop[i], n) == 0)
                most = n;
    }
    return most;
}

static void pour(stream *t, bool is_last)
{
    if (t->held.len == 0) return;
    size_t stop = find_stop(t);
    if (stop < t->held.len) {
        give(t, stop);
        t->stopped = true;
        return;
    }
    give(t, t->held.len - (is_last ? 0 : maybe_stop(t)));
}

static kw_status add_id(stream *t, int32_t id)
{
    if (t->args->on_id) t->args->on_id(t->args->user, id);
    if (!t->s->m->tokenizer) return KW_OK;
    kw_status st = kw_detok_push(&t->detok, id, &t->held);
    if (!st) st = t->held.status;
    if (!st) pour(t, false);
    return st;
}

static double ms_since(uint64_t start) { return (double)(kw_now_ns() - start) / 1e6; }

static kw_status loop(stream *t, uint64_t start, kw_generate_result *out)
{
    int most = t->args->max_tokens;
    while (most < 0 || out->n_ids < most) {
        int32_t id;
        kw_status st = kw_session_step(t->s, &id);
        if (st == KW_DONE) {
            out->finish = t->s->finish;
            if (id < 0) return KW_OK;
            out->end_id = id;
            out->n_ids++;
            if (t->args->on_id) t->args->on_id(t->args->user, id);
            return KW_OK;
        }
        if (st) return st;
        if (out->n_ids++ == 0) out->first_ms = ms_since(start);
        st = add_id(t, id);
        if (st) return st;
        out->finish = t->refused ? KW_FINISH_CANCELED : KW_FINISH_STOP;
        if (t->stopped || t->refused) return KW_OK;
    }
    out->finish = KW_FINISH_LENGTH;
    return KW_OK;
}

/* The id that the text ends with, or -1. */
static int32_t last_id(const kw_session *s)
{
    size_t n = 0;
    const int32_t *ids = kw_session_ids(s, &n);
    return n ? ids[n - 1] : -1;
}

static void count(const kw_session *s, const kw_guess_counts *before, kw_generate_result *out)
{
    kw_guess_counts now = kw_session_guesses(s);
    out->n_runs = (int)(now.runs - before->runs);
    out->n_drafted = (int)(now.drafted - before->drafted);
    out->n_accepted = (int)(now.accepted - before->accepted);
}

kw_status kw_session_generate(kw_session *s, const kw_generate_args *args, kw_generate_result *out)
{
    uint64_t start = kw_now_ns();
    kw_guess_counts before = kw_session_guesses(s);
    *out = (kw_generate_result){ .end_id = -1 };
    stream t = { .s = s, .args = args, .held = KW_BUF(HELD_MAX, KW_PAY_TEXT) };
    if (s->m->tokenizer)
        t.detok = kw_detok_after(s->m->tokenizer, args->print_special ? 0 : KW_TEXT_NO_SPECIAL,
                                 last_id(s));
    kw_status st = loop(&t, start, out);
    if (s->m->tokenizer && !st && !t.stopped) {
        st = kw_detok_flush(&t.detok, &t.held);
        pour(&t, true);
    }
    if (st == KW_ECANCELED) out->finish = KW_FINISH_CANCELED;
    out->total_ms = ms_since(start);
    count(s, &before, out);
    kw_buf_free(&t.held);
    return st;
}
