/* beam.c - the rules of beam search.
 *
 * A step looks at the best 2 x beams continuations of all living texts (more when there are many end ids, so that those which
 * do not end always fill the beams):
 *
 *     a b      -1.2            a b c    -1.4   lives on
 *     a x      -1.5            a b END  -1.9   is finished, with -1.9 / 3 ^ penalty
 *                              a x y    -2.0   lives on
 *                              a x END  -2.1   behind the first `beams`: forgotten
 *
 * Finished texts compete by score for `beams` places. The search is over when the best living text, were it to end now, would
 * not beat the worst of them (early stopping: when there are that many), or at the length limit, which finishes whatever is
 * best then. Ids that may not follow (an end that comes too soon, a row of ids again) are no candidates; the probabilities of
 * the others stay. So transformers does it, in version 5; scores are sums in double here. */
#include "run/beam.h"
#include "run/run.h"
#include <math.h>
#include <string.h>

kw_status kw_beam_open(const kw_beam_args *rules, kw_beam_search *b)
{
    size_t n = (size_t)rules->beams;
    *b = (kw_beam_search){ .rules = *rules, .n_nodes = 1, .n_live = 1 };
    b->keep = n * (1 + (rules->n_end_ids ? rules->n_end_ids : 1));
    b->live = kw_calloc(n, sizeof *b->live, KW_PAY_SCRATCH);
    b->finished = kw_calloc(n, sizeof *b->finished, KW_PAY_SCRATCH);
    b->candidate = kw_calloc(b->keep, sizeof *b->candidate, KW_PAY_SCRATCH);
    return b->live && b->finished && b->candidate ? KW_OK : KW_ENOMEM;
}

void kw_beam_close(kw_beam_search *b)
{
    kw_free(b->live);
    kw_free(b->finished);
    kw_free(b->candidate);
    kw_free(b->node);
    kw_free(b->text);
    kw_free(b->taboo);
    *b = (kw_beam_search){ 0 };
}

/* Puts a text where its score belongs; of equal ones the first stays ahead. The worst falls out of a full list. */
static void insert(kw_beam_text *list, size_t *n, size_t most, kw_beam_text t)
{
    if (*n == most && !(t.score > list[most - 1].score)) return;
    size_t at = *n < most ? (*n)++ : most - 1;
    for (; at > 0 && t.score > list[at - 1].score; at--) list[at] = list[at - 1];
    list[at] = t;
}

/* ---- what may not follow ---- */

/* The next place from `at` on where an id stands behind the last `size` - 1 ids of the text; n: there is none. */
static size_t next_repeat(const int32_t *ids, size_t n, size_t size, size_t at)
{
    size_t rest = size - 1;
    if (at < rest) at = rest;
    while (at < n && memcmp(ids + at - rest, ids + n - rest, rest * sizeof *ids) != 0) at++;
    return at < n ? at : n;
}

/* Forbids each id that would end a row of no_repeat_ngram ids which the text has already. */
static kw_status forbid_repeats(kw_beam_search *b, size_t i, size_t n_vocab)
{
    size_t n = b->n_before + b->n, size = (size_t)b->rules.no_repeat_ngram;
    if (n < size) return KW_OK;
    int32_t *text = kw_realloc(b->text, (n + 1) * sizeof *text, KW_PAY_SCRATCH);
    if (!text) return KW_ENOMEM;
    b->text = text;
    if (b->n_before) memcpy(text, b->before, b->n_before * sizeof *text);
    kw_beam_ids(b, &b->live[i], text + b->n_before);
    for (size_t at = 0; (at = next_repeat(text, n, size, at)) < n; at++)
        if ((size_t)text[at] < n_vocab) b->taboo[text[at]] = 1;
    return KW_OK;
}

static kw_status forbid(kw_beam_search *b, size_t i, size_t n_vocab)
{
    bool is_short = b->n < (uint32_t)b->rules.min_tokens;
    if (!is_short && !b->rules.no_repeat_ngram && !b->taboo) return KW_OK;
    if (!b->taboo) b->taboo = kw_malloc(n_vocab, KW_PAY_SCRATCH);
    if (!b->taboo) return KW_ENOMEM;
    memset(b->taboo, 0, n_vocab);
    for (size_t k = 0; k < b->rules.n_end_ids && is_short; k++)
        if ((size_t)b->rules.end_ids[k] < n_vocab) b->taboo[b->rules.end_ids[k]] = 1;
    return b->rules.no_repeat_ngram ? forbid_repeats(b, i, n_vocab) : KW_OK;
}

/* ---- a step ---- */

kw_status kw_beam_offer(kw_beam_search *b, size_t i, const float *logits, size_t n_vocab)
{
    double total = kw_log_total(logits, n_vocab);
    if (!isfinite(total))
        return kw_fail(KW_EINVAL, "the logits of beam %zu are not numbers, after %u new ids", i,
                       b->n);
    kw_status st = forbid(b, i, n_vocab);
    kw_beam_text t = b->live[i];
    for (size_t id = 0; id < n_vocab && !st; id++) {
        if (b->taboo && b->taboo[id]) continue;
        t.score = b->live[i].score + ((double)logits[id] - total);
        t.id = (int32_t)id;
        t.parent = (int)i;
        insert(b->candidate, &b->n_candidates, b->keep, t);
    }
    return st;
}

static bool ends(const kw_beam_search *b, int32_t id)
{
    for (size_t i = 0; i < b->rules.n_end_ids; i++)
        if (b->rules.end_ids[i] == id) return true;
    return b->n >= (uint32_t)b->rules.max_tokens;
}

/* The candidate with its id as a node. */
static kw_status extend(kw_beam_search *b, kw_beam_text *t)
{
    if (b->n_nodes >= b->cap_nodes) {
        if (b->cap_nodes > UINT32_MAX / 2) return kw_fail(KW_ELIMIT, "beams of too many ids");
        uint32_t cap = b->cap_nodes ? 2 * b->cap_nodes : 256;
        kw_beam_node *more = kw_realloc(b->node, cap * sizeof *more, KW_PAY_SCRATCH);
        if (!more) return KW_ENOMEM;
        b->node = more;
        b->cap_nodes = cap;
    }
    b->node[b->n_nodes] = (kw_beam_node){ t->id, t->last };
    t->last = b->n_nodes++;
    t->n = b->n;
    return KW_OK;
}

static kw_status finish(kw_beam_search *b, kw_beam_text t)
{
    t.score /= kw_pow(b->n, (double)b->rules.length_penalty);
    kw_status st = extend(b, &t);
    if (!st) insert(b->finished, &b->n_finished, (size_t)b->rules.beams, t);
    return st;
}

static bool is_over(kw_beam_search *b)
{
    bool is_full = b->n_finished == (size_t)b->rules.beams;
    if (b->n_live == 0 || (is_full && b->rules.early_stopping)) return true;
    double best = b->live[0].score / kw_pow(b->n, (double)b->rules.length_penalty);
    return is_full && !(best > b->finished[b->n_finished - 1].score);
}

kw_status kw_beam_step(kw_beam_search *b)
{
    size_t beams = (size_t)b->rules.beams;
    kw_status st = KW_OK;
    if (b->n_candidates == 0)
        return kw_fail(KW_ELIMIT, "every id is forbidden after %u new ids", b->n);
    b->n_live = 0;
    b->n++;
    for (size_t i = 0; i < b->n_candidates && !st; i++) {
        kw_beam_text *t = &b->candidate[i];
        bool has_ended = ends(b, t->id);
        if (has_ended && i < beams) st = finish(b, *t);
        if (has_ended || b->n_live == beams || st) continue;
        st = extend(b, t);
        b->live[b->n_live++] = *t;
    }
    b->n_candidates = 0;
    return st ? st : is_over(b) ? KW_DONE : KW_OK;
}

void kw_beam_ids(const kw_beam_search *b, const kw_beam_text *t, int32_t *ids)
{
    uint32_t at = t->last;
    for (uint32_t i = t->n; i-- > 0; at = b->node[at].before) ids[i] = b->node[at].id;
}
