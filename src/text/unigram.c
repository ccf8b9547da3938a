/* unigram.c - SentencePiece's unigram model: the cut of a text into pieces with the largest sum of scores.
 *
 * best[i] is the best cut of the first i bytes; every piece that begins there, found by walking the trie, may
 * improve the end it leads to. A character that is no piece by itself is unknown, 10 below the worst score;
 * unknown ones side by side become one id, or their bytes where the vocabulary has those. */
#include "text/internal.h"

static const double unknown_penalty = 10.0;

typedef struct best {
    double score;
    uint32_t from; /* where the last piece begins */
    int32_t id;    /* -1: unknown; NOT_REACHED */
} best;
enum { UNKNOWN = -1, NOT_REACHED = -2 };

static void offer(const kw_tokenizer *t, best *b, size_t from, size_t to, best piece)
{
    double sum = b[from].score + piece.score;
    if (t->single_scores) sum = (double)(float)sum;
    if (b[to].id == NOT_REACHED || sum > b[to].score)
        b[to] = (best){ sum, (uint32_t)from, piece.id };
}

/* All pieces that begin at `at`, and the unknown character there. */
static void extend(const kw_tokenizer *t, kw_str text, size_t at, best *b)
{
    uint32_t cp, node = 0;
    size_t len = kw_utf8_decode(text.p + at, text.n - at, &cp, NULL);
    bool is_known = false;
    for (size_t i = at; i < text.n; i++) {
        node = kw_trie_step(&t->pieces, node, text.p[i]);
        if (!node) break;
        int32_t id = t->pieces.ids[node];
        if (id < 0) continue;
        offer(t, b, at, i + 1, (best){ t->scores[id], 0, id });
        is_known = is_known || i + 1 == at + len;
    }
    if (!is_known) offer(t, b, at, at + len, (best){ t->unknown_score, 0, UNKNOWN });
}

static kw_status put_unknown(const kw_tokenizer *t, kw_str text, kw_ids *out)
{
    bool has_bytes = t->byte_fallback;
    for (size_t i = 0; i < text.n && has_bytes; i++)
        has_bytes = t->byte_id[(unsigned char)text.p[i]] >= 0;
    if (!has_bytes) return t->special.unk < 0 ? KW_OK : kw_ids_push(out, t->special.unk);
    kw_status st = KW_OK;
    for (size_t i = 0; i < text.n && !st; i++)
        st = kw_ids_push(out, t->byte_id[(unsigned char)text.p[i]]);
    return st;
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
            st = put_unknown(t, (kw_str){ text.p + at, end - at }, out);
        }
        at = end;
    }
    return st;
}

kw_status kw_unigram_encode(kw_encoder *e, kw_str text, kw_ids *out)
{
    const kw_tokenizer *t = e->t;
    size_t bytes;
    if (text.n >= UINT32_MAX / 2 || !kw_mul_size(text.n + 1, sizeof(best), &bytes))
        return kw_fail(KW_ELIMIT, "a text of %zu bytes", text.n);
    kw_buf_clear(&e->scratch);
    best *b = (best *)(void *)kw_buf_reserve(&e->scratch, bytes);
    if (!b) return e->scratch.status;
    for (size_t i = 0; i <= text.n; i++) b[i].id = NOT_REACHED;
    b[0] = (best){ 0, 0, UNKNOWN };
    for (size_t at = 0; at < text.n; at++)
        if (b[at].id != NOT_REACHED) extend(t, text, at, b);
    return put_path(t, text, b, out);
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
