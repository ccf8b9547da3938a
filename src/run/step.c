/* step.c - one text forward: rows offered, computed, taken, and an id chosen.
 *
 * The newest id is computed lazily: a step first evaluates the id that the last step chose, then chooses the next, so the
 * first id of an answer is out as soon as the prompt is done. With guesses a run leaves a window of rows behind; as long
 * as the chosen ids are the guessed ones, steps find their logits there and need no run.
 *
 *     text    a b c d            window   d | e? f? g?      d: the last id; e, f, g: guesses, computed in the same run
 *     choose  e  (guessed)                    ^ next step reads here
 *     choose  x  (not f)                         ^ and this row is dropped: x is computed by the next run */
#include "run/session.h"
#include <string.h>

void kw_session_cancel(kw_session *s)
{
    atomic_store_explicit(&s->canceled, true, memory_order_relaxed);
}

kw_status kw_session_take_cancel(kw_session *s)
{
    if (!atomic_exchange_explicit(&s->canceled, false, memory_order_relaxed)) return KW_OK;
    s->finish = KW_FINISH_CANCELED;
    return kw_fail(KW_ECANCELED, "canceled after %zu of %zu tokens", s->n_done, s->ids.n);
}

void kw_session_forget(kw_session *s)
{
    s->window.n = s->speculation.n = 0;
    s->logits = NULL;
}

bool kw_session_is_ready(const kw_session *s)
{
    const kw_window *w = &s->window;
    return s->n_done == s->ids.n && s->ids.n > w->first && s->ids.n - w->first <= w->n;
}

kw_status kw_session_encode(kw_session *s)
{
    if (!s->m->family->encoder || s->memory) return KW_OK;
    return kw_encode(&s->eval, s->source.ids, s->source.n, &s->memory);
}

kw_status kw_session_offer(kw_session *s, size_t most, size_t most_guesses, kw_eval_part *part)
{
    kw_status st = kw_session_encode(s);
    *part = (kw_eval_part){ .pages = &s->pages, .angles = &s->angles, .memory = s->memory };
    if (st || kw_session_is_ready(s)) return st;
    kw_session_forget(s);
    if (s->n_done == s->ids.n) s->n_done--; /* the last row again, for its logits */
    size_t left = s->ids.n - s->n_done, room = (size_t)s->options.ctx - s->ids.n;
    part->from = s->n_done;
    part->n = left < most ? left : most;
    part->n_out = part->n == left ? 1 : 0;
    part->ids = s->ids.ids + s->n_done;
    if (left == 1 && most_guesses > 0 && room > 0) {
        st = kw_speculate(s, most_guesses < room ? most_guesses : room);
        if (st) return st;
        part->ids = s->speculation.ids;
        part->n = part->n_out = 1 + s->speculation.n;
    }
    return kw_pages_reach(&s->pages, part->from, part->from + part->n);
}

static kw_status keep_copy(kw_window *w, const float *logits, size_t cells)
{
    if (w->own_cells < cells) {
        kw_free(w->own);
        w->own_cells = 0;
        w->own = kw_malloc(cells * sizeof *w->own, KW_PAY_SCRATCH);
        if (!w->own) return KW_ENOMEM;
        w->own_cells = cells;
    }
    memcpy(w->own, logits, cells * sizeof *w->own);
    w->logits = w->own;
    return KW_OK;
}

kw_status kw_session_take(kw_session *s, const kw_eval_part *part, const float *logits,
                          bool is_borrowed)
{
    kw_window *w = &s->window;
    kw_status st = KW_OK;
    if (is_borrowed) w->logits = logits;
    else if (part->n_out) st = keep_copy(w, logits, part->n_out * (size_t)s->m->shape.n_vocab);
    if (st) return st;
    s->n_done += part->n - s->speculation.n;
    w->first = s->n_done - 1;
    w->n = part->n_out;
    s->n_runs += part->n_out > 0;
    s->speculation.n_drafted += s->speculation.n;
    if (w->n) s->logits = w->logits;
    return KW_OK;
}

/* The guess for the position behind the text, or NULL. */
static const kw_guess *guess_at(const kw_session *s, size_t row)
{
    return row < s->speculation.n ? &s->speculation.guess[row] : NULL;
}

static kw_status choose(kw_session *s, size_t row, int32_t *id)
{
    static const kw_guess none = { .n = 0 };
    size_t n_vocab = (size_t)s->m->shape.n_vocab;
    const kw_guess *guess = guess_at(s, row);
    s->logits = s->window.logits + row * n_vocab;
    kw_sample_args args = {
        .p = &s->sampling,
        .logits = s->logits,
        .n_vocab = n_vocab,
        .recent = s->ids.ids,
        .n_recent = s->ids.n,
        .rng = &s->rng,
    };
    return kw_sample_or_keep(&args, &s->scratch, guess ? guess : &none, id);
}

kw_status kw_session_choose(kw_session *s, int32_t *id)
{
    size_t row = s->ids.n - 1 - s->window.first;
    const kw_guess *guess = guess_at(s, row);
    *id = -1;
    if (s->ids.n >= (size_t)s->options.ctx) {
        s->finish = KW_FINISH_LENGTH;
        return KW_DONE;
    }
    kw_status st = choose(s, row, id);
    bool was_guessed = !st && guess && guess->id == *id, ends = !st && kw_session_ends_with(s, *id);
    if (!st && guess) kw_speculation_learn(&s->speculation, was_guessed);
    if (!st && !ends) st = kw_ids_push(&s->ids, *id);
    if (!st && was_guessed && !ends) {
        s->n_done++; /* its row is in the cache already */
        return KW_OK;
    }
    s->speculation.n = row < s->speculation.n ? row : s->speculation.n;
    if (ends) s->finish = KW_FINISH_STOP;
    return ends ? KW_DONE : st;
}

static kw_status run_alone(kw_session *s, size_t most_guesses)
{
    kw_eval_part part;
    const float *logits;
    bool is_single = s->ids.n - s->n_done == 1;
    kw_status st = kw_session_offer(s, (size_t)s->options.batch, most_guesses, &part);
    uint64_t start = kw_now_ns();
    if (!st) st = kw_eval_logits(&s->eval, &part, 1, &logits);
    if (!st && is_single) kw_speculation_time(&s->speculation, part.n, kw_now_ns() - start);
    return st ? st : kw_session_take(s, &part, logits, true);
}

kw_status kw_session_advance(kw_session *s, size_t most_guesses)
{
    size_t most = (size_t)s->options.batch;
    if (most_guesses >= most) most_guesses = most - 1;
    kw_status st = KW_OK;
    while (!st && !kw_session_is_ready(s)) {
        st = kw_session_take_cancel(s);
        if (!st) st = run_alone(s, most_guesses);
    }
    return st;
}

kw_status kw_session_sync(kw_session *s, const int32_t *ids, size_t n)
{
    kw_status st = kw_session_replace(s, ids, n);
    return st ? st : kw_session_advance(s, 0);
}

kw_status kw_session_step(kw_session *s, int32_t *id)
{
    *id = -1;
    if (s->ids.n == 0) return kw_fail(KW_EINVAL, "a step before the first sync");
    kw_status st = kw_session_take_cancel(s);
    const kw_speculation *p = &s->speculation;
    bool knows_a_run = !p->is_timed || p->single_ns > 0; /* guesses are weighed against one */
    if (!st) st = kw_session_advance(s, knows_a_run ? KW_GUESSES : 0);
    return st ? st : kw_session_choose(s, id);
}

kw_status kw_session_hidden(kw_session *s, kw_eval_mode mode, size_t *n, float *const **out)
{
    size_t left = s->ids.n - s->n_done, batch = (size_t)s->options.batch;
    *n = left < batch ? left : batch;
    kw_eval_part part = { .pages = &s->pages,
                          .angles = &s->angles,
                          .ids = s->ids.ids + s->n_done,
                          .from = s->n_done,
                          .n = *n };
    kw_status st = kw_session_encode(s);
    part.memory = s->memory;
    if (!st) st = kw_pages_reach(&s->pages, part.from, part.from + *n);
    return st ? st : kw_eval_hidden(&s->eval, mode, &part, 1, out);
}
