/* speculate.c - where guesses come from, and how many are worth their rows.
 *
 * Looked up: what followed the latest earlier occurrence of the text's last 4, 3, 2 or 1 ids, the longest that occurs;
 * free to find, good for text that repeats itself or its prompt. Drafted: a small model with the same vocabulary goes
 * ahead, with the same sampling.
 *
 * How many: if guesses of a source are right with probability r, and one costs c runs, k guesses turn 1 + c k runs into
 * 1 + r + ... + r^k ids. The k with the best ratio is taken, none when nothing gains 3 %. r is a moving average of what
 * happened; while a source stands aside it drifts back to a half, slowly, so that it is tried again now and then. c is
 * measured, because one more row costs 3 % of a run where memory is slow and 30 % where cores are. Only at a temperature
 * above 0 a draft model's guesses go by an assumed cost: there the text of a seed depends on where guesses were made, and
 * it must not depend on the clock. */
#include "run/speculate.h"
#include "kwaai/speculate.h"
#include "run/session.h"
#include <string.h>

static const float ROW_COST = 0.15f; /* until it is measured */
static const float GAIN = 1.03f;     /* what guessing must promise */
static const float LEARN = 1.0f / 8; /* weight of the newest in the averages */
static const float DRIFT = 1.0f / 256;

void kw_speculation_open(kw_speculation *p, bool looks_up)
{
    static const float rate[KW_LOOKUP_IDS + 1] = { 0.7f, 0.3f, 0.5f, 0.6f, 0.7f };
    *p = (kw_speculation){ .looks_up = looks_up, .row_cost = ROW_COST, .is_timed = true };
    memcpy(p->rate, rate, sizeof rate);
}

void kw_speculation_close(kw_speculation *p)
{
    kw_session_close(p->draft);
    for (int i = 0; i < KW_GUESSES; i++) kw_free(p->guess[i].q);
}

void kw_speculation_resume(kw_speculation *p, const kw_speculation *from)
{
    memcpy(p->rate, from->rate, sizeof p->rate);
    p->draft_cost = from->draft_cost;
    p->row_cost = from->row_cost;
    p->single_ns = from->single_ns;
    p->is_timed = from->is_timed;
}

/* What took longer than before was disturbed, most often: it counts little. */
static double follow(double average, double newest)
{
    return average + (newest - average) * (newest < average ? 0.5 : (double)LEARN);
}

void kw_speculation_time(kw_speculation *p, size_t n_rows, uint64_t ns)
{
    if (!p->is_timed) return;
    if (n_rows == 1)
        p->single_ns = p->single_ns > 0 ? follow(p->single_ns, (double)ns) : (double)ns;
    if (n_rows == 1 || p->single_ns <= 0) return;
    double cost = ((double)ns / p->single_ns - 1) / (double)(n_rows - 1);
    p->row_cost = (float)follow((double)p->row_cost, cost < 0 ? 0 : cost > 1 ? 1 : cost);
}

void kw_speculation_learn(kw_speculation *p, bool was_right)
{
    float *rate = &p->rate[p->source];
    *rate += LEARN * ((was_right ? 1.0f : 0.0f) - *rate);
    p->n_accepted += was_right;
}

/* How many guesses of a source to make, 0 to most, when one costs `cost` runs. */
static size_t worth(kw_speculation *p, int source, float cost, size_t most)
{
    float ids = 1, chance = 1, best = GAIN;
    size_t n = 0;
    for (size_t k = 1; k <= most; k++) {
        chance *= p->rate[source];
        ids += chance;
        float gain = ids / (1 + cost * (float)k);
        if (gain <= best) continue;
        best = gain;
        n = k;
    }
    if (n == 0) p->rate[source] += DRIFT * (0.5f - p->rate[source]);
    return n;
}

/* ---- looked up ---- */

static size_t matched(const int32_t *ids, size_t n, size_t end)
{
    size_t len = 0;
    while (len < KW_LOOKUP_IDS && len < end && ids[end - 1 - len] == ids[n - 1 - len]) len++;
    return len;
}

/* The place behind the latest earlier occurrence of the text's end, and how many ids of it match. */
static size_t look_up(const int32_t *ids, size_t n, int *n_matched)
{
    size_t best = 0, at = 0;
    for (size_t end = n - 1; end > 0 && best < KW_LOOKUP_IDS; end--) {
        size_t len = matched(ids, n, end);
        if (len <= best) continue;
        best = len;
        at = end;
    }
    *n_matched = (int)best;
    return at;
}

static void guess_by_lookup(kw_session *s, size_t most)
{
    kw_speculation *p = &s->speculation;
    const int32_t *ids = s->ids.ids;
    size_t n = s->ids.n, at = look_up(ids, n, &p->source);
    if (p->source == 0) return;
    size_t k = worth(p, p->source, p->row_cost, most);
    for (; p->n < k;
         p->n++) { /* past the text's end it goes on with the guesses: a text that repeats */
        size_t from = at + p->n;
        kw_guess *g = &p->guess[p->n];
        g->id = from < n ? ids[from] : p->guess[from - n].id;
        g->n = 0;
    }
}

/* ---- drafted ---- */

static kw_status draft_one(kw_session *s, kw_guess *g)
{
    kw_session *d = s->speculation.draft;
    kw_status st = kw_session_advance(d, 0);
    if (st) return st;
    size_t own = (size_t)d->m->shape.n_vocab, wanted = (size_t)s->m->shape.n_vocab;
    kw_sample_args args = {
        .p = &s->sampling,
        .logits = d->logits,
        .n_vocab = own < wanted ? own : wanted,
        .recent = d->ids.ids,
        .n_recent = d->ids.n,
    };
    st = kw_sample_weigh(&args, &s->scratch);
    if (!st) st = kw_guess_keep(g, &s->scratch);
    if (st) return st;
    g->id = kw_sample_draw(&s->scratch, &s->speculation.rng);
    return kw_ids_push(&d->ids, g->id);
}

/* The model may have chosen an id behind the vocabulary they share. */
static bool knows(const kw_session *d, const kw_session *s)
{
    int most = d->m->shape.n_vocab;
    for (size_t i = 0; s->m->shape.n_vocab > most && i < s->ids.n; i++)
        if (s->ids.ids[i] >= most) return false;
    return true;
}

static kw_status guess_by_draft(kw_session *s, size_t most)
{
    kw_speculation *p = &s->speculation;
    kw_session *d = p->draft;
    if (s->ids.n + most > (size_t)d->options.ctx || !knows(d, s)) return KW_OK;
    p->source = 0;
    bool by_chance = s->sampling.temperature > 0 && p->is_timed;
    size_t k = worth(p, 0, p->draft_cost + (by_chance ? ROW_COST : p->row_cost), most);
    if (k == 0) return KW_OK;
    kw_status st = kw_session_replace(d, s->ids.ids, s->ids.n);
    while (!st && p->n < k) {
        st = draft_one(s, &p->guess[p->n]);
        if (!st && kw_session_ends_with(s, p->guess[p->n++].id)) break;
    }
    return st;
}

kw_status kw_speculate(kw_session *s, size_t most)
{
    kw_speculation *p = &s->speculation;
    kw_status st = KW_OK;
    p->n = 0;
    most = most < KW_GUESSES ? most : KW_GUESSES;
    if (p->looks_up) guess_by_lookup(s, most);
    if (p->n == 0 && p->draft) st = guess_by_draft(s, most);
    p->ids[0] = s->ids.ids[s->ids.n - 1];
    for (size_t i = 0; i < p->n; i++) p->ids[i + 1] = p->guess[i].id;
    return st;
}

/* ---- which draft models fit ---- */

static kw_status different_ids(const kw_model *m, const kw_model *draft, int n, int n_draft)
{
    return kw_fail(KW_EINVAL,
                   "the draft model \"%s\" does not fit \"%s\"\nwhy: the first has a vocabulary of "
                   "%d ids, the second one of %d%s",
                   draft->name, m->name, n_draft, n,
                   n == n_draft ? ", and they stand for other texts" : "");
}

/* A draft's encoder would have to read the source too. */
static kw_status check_encoders(const kw_model *m, const kw_model *draft)
{
    const kw_model *with = m->family->encoder ? m : draft->family->encoder ? draft : NULL;
    return with ? kw_fail(KW_EUNSUPPORTED,
                          "a draft model with \"%s\"\nwhy: models with an encoder "
                          "neither draft nor are drafted for",
                          with->name)
                : KW_OK;
}

/* A few unused ids more or less at the end of the embedding are no difference. */
static kw_status check_vocabulary(const kw_model *m, const kw_model *draft)
{
    const kw_tokenizer *a = m->tokenizer, *b = draft->tokenizer;
    int n = a && b ? kw_tokenizer_size(a) : m->shape.n_vocab;
    int n_draft = a && b ? kw_tokenizer_size(b) : draft->shape.n_vocab;
    if (n != n_draft) return different_ids(m, draft, n, n_draft);
    for (int32_t i = 0; a && b && i < n; i++) {
        size_t len = 0, len_draft = 0;
        const char *x = kw_tokenizer_piece(a, i, &len), *y = kw_tokenizer_piece(b, i, &len_draft);
        if (len != len_draft || (len && memcmp(x, y, len)))
            return different_ids(m, draft, n, n_draft);
    }
    return KW_OK;
}

kw_status kw_session_set_draft(kw_session *s, kw_model *draft)
{
    kw_speculation *p = &s->speculation;
    kw_session *d = NULL;
    kw_session_options o = s->options;
    kw_status st = draft ? check_encoders(s->m, draft) : KW_OK;
    if (draft && !st) st = check_vocabulary(s->m, draft);
    if (draft && o.ctx > draft->shape.ctx_train) o.ctx = draft->shape.ctx_train;
    o.lookup = false;
    if (!st && draft) st = kw_session_open(draft, &o, &d);
    if (st) return st;
    kw_session_close(p->draft);
    p->draft = d;
    if (draft)
        p->draft_cost =
            (float)kw_checkpoint_bytes(draft->ck) / (float)kw_checkpoint_bytes(s->m->ck);
    return KW_OK;
}
