/* unigram.c - SentencePiece's unigram model: the cut of a text into pieces with the largest sum of scores.
 *
 * best[i] is the best cut of the first i bytes; every piece that begins there, found by walking the trie, may
 * improve the end it leads to. A character that is no piece by itself is unknown, 10 below the worst score;
 * unknown ones side by side become one id, or their bytes where the vocabulary has those.
 *
 * Sums are rounded (SentencePiece's to single precision) and run over the whole text, so a word's cut hangs on all that
 * stands before it. The pieces it may be cut into do not: they are listed once a word, and summed again without a walk. */
#include "text/internal.h"
#include <string.h>

static const double unknown_penalty = 10.0;

typedef struct best {
    double score;
    uint32_t from; /* where the last piece begins */
    int32_t id;    /* -1: unknown; NOT_REACHED */
} best;
enum { UNKNOWN = -1, NOT_REACHED = -2 };

/* A piece that a word may be cut into: where it begins and ends in the word. */
typedef struct step {
    double score;
    int32_t id;
    uint16_t from, to;
} step;

typedef struct listed {
    uint32_t at, len; /* the word in the text; 0: empty slot */
    uint32_t first, n;
} listed;

enum { LISTED_BYTES = 64, MAX_STEPS = 1 << 16, MAX_LISTED = 1 << 13 };

typedef struct work {
    const kw_tokenizer *t;
    kw_str text;
    best *best;
    size_t word; /* where the one at hand begins */
    step *steps;
    size_t n_steps, most_steps; /* n may pass the most: then the list is not whole */
    listed *words;
    size_t n_words; /* a power of two */
} work;

static void offer(const work *w, size_t from, size_t to, double score, int32_t id)
{
    double sum = w->best[from].score + score;
    if (w->t->single_scores) sum = (double)(float)sum;
    best *b = &w->best[to];
    if (b->id == NOT_REACHED || sum > b->score) *b = (best){ sum, (uint32_t)from, id };
}

static void use(work *w, size_t from, size_t to, double score, int32_t id)
{
    offer(w, from, to, score, id);
    if (w->n_steps < w->most_steps)
        w->steps[w->n_steps] =
            (step){ score, id, (uint16_t)(from - w->word), (uint16_t)(to - w->word) };
    w->n_steps++;
}

/* All pieces that begin at `at`, and the unknown character there. */
static void extend(work *w, size_t at, size_t end)
{
    const kw_tokenizer *t = w->t;
    uint32_t cp, node = 0;
    size_t len = kw_utf8_decode(w->text.p + at, w->text.n - at, &cp, NULL);
    bool is_known = false;
    for (size_t i = at; i < end; i++) {
        node = kw_trie_step(&t->pieces, node, w->text.p[i]);
        if (!node) break;
        int32_t id = t->pieces.ids[node];
        if (id < 0) continue;
        use(w, at, i + 1, t->scores[id], id);
        is_known = is_known || i + 1 == at + len;
    }
    if (!is_known) use(w, at, at + len, t->unknown_score, UNKNOWN);
}

static void walk(work *w, size_t end)
{
    for (size_t at = w->word; at < end; at++)
        if (w->best[at].id != NOT_REACHED) extend(w, at, end);
}

static void repeat(work *w, const listed *l)
{
    const step *p = w->steps + l->first;
    for (uint32_t i = 0; i < l->n; i++)
        offer(w, w->word + p[i].from, w->word + p[i].to, p[i].score, p[i].id);
}

/* The word up to `end`, by its list if there is one; a new list stays if there is room for it. */
static void add_word(work *w, size_t end)
{
    kw_str s = { w->text.p + w->word, end - w->word };
    bool may_list = s.n <= LISTED_BYTES && w->n_words;
    listed *l = may_list ? &w->words[kw_word_hash(s) & (w->n_words - 1)] : NULL;
    if (l && l->len == s.n && memcmp(w->text.p + l->at, s.p, s.n) == 0) {
        repeat(w, l);
        return;
    }
    size_t first = w->n_steps;
    if (!l) w->n_steps = w->most_steps;
    walk(w, end);
    bool is_whole = l && w->n_steps <= w->most_steps;
    if (is_whole)
        *l = (listed){ (uint32_t)w->word, (uint32_t)s.n, (uint32_t)first,
                       (uint32_t)(w->n_steps - first) };
    else w->n_steps = first;
}

/* Turns the way back from the end into a list of steps forward: b[i].from becomes where the piece at i ends. */
static void turn_round(best *b, size_t n)
{
    size_t end = n, to = n;
    int32_t id = b[n].id;
    while (end > 0) {
        size_t from = b[end].from;
        int32_t previous = b[from].id;
        b[from].id = id;
        to = end;
        end = from;
        id = previous;
        b[end].score = (double)to;
    }
}

static kw_status put_path(const kw_tokenizer *t, kw_str text, best *b, kw_ids *out)
{
    kw_status st = KW_OK;
    turn_round(b, text.n);
    for (size_t at = 0; at < text.n && !st;) {
        size_t end = (size_t)b[at].score;
        if (b[at].id != UNKNOWN) st = kw_ids_push(out, b[at].id);
        else {
            while (end < text.n && b[end].id == UNKNOWN) end = (size_t)b[end].score;
            st = kw_put_token(t, UNKNOWN, (kw_str){ text.p + at, end - at }, out);
        }
        at = end;
    }
    return st;
}

/* Room for everything, in one: best cuts, and lists where words can be told apart. */
static kw_status begin(work *w, kw_encoder *e)
{
    size_t n = w->text.n, n_words = 0, bytes;
    if (e->t->parts_words && n >= 4 * LISTED_BYTES) {
        w->most_steps = n < MAX_STEPS ? n : MAX_STEPS;
        for (n_words = 64; n_words < MAX_LISTED && 8 * n_words < n;) n_words *= 2;
    }
    w->n_words = n_words;
    if (n >= UINT32_MAX / 2 || !kw_mul_size(n + 1, sizeof(best), &bytes) ||
        !kw_add_size(bytes, w->most_steps * sizeof(step) + n_words * sizeof(listed), &bytes))
        return kw_fail(KW_ELIMIT, "a text of %zu bytes", n);
    kw_buf_clear(&e->scratch);
    char *p = kw_buf_reserve(&e->scratch, bytes);
    if (!p) return e->scratch.status;
    w->best = (best *)(void *)p;
    w->steps = (step *)(void *)(w->best + n + 1);
    w->words = (listed *)(void *)(w->steps + w->most_steps);
    for (size_t i = 0; i <= n; i++) w->best[i].id = NOT_REACHED;
    w->best[0] = (best){ 0, 0, UNKNOWN };
    if (n_words) memset(w->words, 0, n_words * sizeof *w->words);
    return KW_OK;
}

kw_status kw_unigram_encode(kw_encoder *e, kw_str text, kw_ids *out)
{
    work w = { .t = e->t, .text = text };
    kw_status st = begin(&w, e);
    if (st) return st;
    for (size_t end; w.word < text.n; w.word = end) {
        end = e->t->parts_words ? kw_word_end(e->t, text, w.word) : text.n;
        add_word(&w, end);
    }
    return put_path(e->t, text, w.best, out);
}

kw_status kw_unigram_prepare(kw_tokenizer *t)
{
    double worst = 0;
    bool any = false;
    kw_status st = KW_OK;
    for (int32_t i = 0; i < t->n && !st; i++) {
        const kw_token *k = &t->tokens[i];
        bool is_piece =
            k->text.n && (k->type == KW_TOKEN_NORMAL || k->type == KW_TOKEN_USER) && !k->is_added;
        if (!is_piece) continue;
        st = kw_trie_add(&t->pieces, k->text, i);
        worst = !any || t->scores[i] < worst ? t->scores[i] : worst;
        any = true;
    }
    t->unknown_score = worst - unknown_penalty;
    if (t->single_scores) t->unknown_score = (double)(float)t->unknown_score;
    return st;
}
