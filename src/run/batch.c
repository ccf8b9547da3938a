/* batch.c - many texts at once: the rows that each wants next, in as few runs as their number allows.
 *
 * A step asks every session for its part, puts the parts that fit together into one run, hands each its logits and lets
 * it choose. Texts that need one row come first, so that prompts, however long, hold nobody up by more than a run; what is
 * left of a run's rows is given to the prompts in order of arrival.
 *
 *     | a b c d e f g h | p p p p p p p p p p p p |      8 texts at different positions, a piece of a ninth's prompt
 *
 * When a run fails, its parts are run one by one: so the failure is found out to be one session's, and the others go on. */
#include "kwaai/batch.h"
#include "run/session.h"

typedef struct slot {
    kw_session *s;
    kw_eval_part part; /* n = 0: it takes no part in this step's runs */
    kw_batch_result result;
} slot;

struct kw_batch {
    kw_model *m;
    kw_eval eval;
    slot *slots; /* [n], in order of arrival */
    size_t n, cap;
    size_t *order;            /* [cap] slots in the order in which their rows are computed */
    kw_eval_part *parts;      /* [cap] of one run */
    kw_batch_result *results; /* [cap] of the last step */
    kw_arena messages;
};

kw_status kw_batch_open(kw_model *m, const kw_session_options *o, kw_batch **out)
{
    kw_session_options all = o ? *o : kw_session_defaults();
    kw_status st = kw_model_check_engine(m);
    if (!st) st = kw_model_check_writes(m);
    if (st) return st;
    if (all.batch < 1 || all.batch > 65536)
        return kw_fail(KW_EINVAL, "runs of %d rows: expected 1 to 65536", all.batch);
    kw_batch *b = kw_calloc(1, sizeof *b, KW_PAY_SCRATCH);
    if (!b) return KW_ENOMEM;
    b->m = kw_model_retain(m);
    b->messages = KW_ARENA(KW_PAY_MISC);
    st = kw_eval_open(m, &all, &b->eval);
    if (st) kw_batch_close(b);
    else *out = b;
    return st;
}

void kw_batch_close(kw_batch *b)
{
    if (!b) return;
    for (size_t i = 0; i < b->n; i++) b->slots[i].s->batch = NULL;
    kw_eval_close(&b->eval);
    kw_free(b->slots);
    kw_free(b->order);
    kw_free(b->parts);
    kw_free(b->results);
    kw_arena_free(&b->messages);
    kw_model_release(b->m);
    kw_free(b);
}

size_t kw_batch_size(const kw_batch *b) { return b->n; }

/* ---- who is in it ---- */

static bool widen(void **items, size_t cap, size_t item_bytes)
{
    void *bigger = kw_realloc(*items, cap * item_bytes, KW_PAY_SCRATCH);
    if (bigger) *items = bigger;
    return bigger != NULL;
}

static kw_status make_room(kw_batch *b)
{
    size_t cap = b->cap ? b->cap * 2 : 8;
    if (b->n < b->cap) return KW_OK;
    if (!widen((void **)&b->slots, cap, sizeof *b->slots) ||
        !widen((void **)&b->order, cap, sizeof *b->order) ||
        !widen((void **)&b->parts, cap, sizeof *b->parts) ||
        !widen((void **)&b->results, cap, sizeof *b->results))
        return KW_ENOMEM;
    b->cap = cap;
    return KW_OK;
}

static kw_status check(const kw_batch *b, const kw_session *s)
{
    if (s->batch) return kw_fail(KW_EINVAL, "the session is in a batch already");
    if (s->ids.n == 0) return kw_fail(KW_EINVAL, "the session has no text to continue");
    if (s->m != b->m)
        return kw_fail(KW_EINVAL, "a session of the model \"%s\" in a batch of \"%s\"", s->m->name,
                       b->m->name);
    if (s->options.exact != b->eval.options.exact)
        return kw_fail(KW_EINVAL, "a session in %s mode in a batch in %s mode",
                       s->options.exact ? "exact" : "fast",
                       b->eval.options.exact ? "exact" : "fast");
    kw_dtype own = s->pages.layout.dtype, others = b->n ? b->slots[0].s->pages.layout.dtype : own;
    if (own != others)
        return kw_fail(KW_EINVAL, "a session with %s cache rows among others with %s",
                       kw_dtype_get(own)->name, kw_dtype_get(others)->name);
    return KW_OK;
}

kw_status kw_batch_add(kw_batch *b, kw_session *s)
{
    kw_status st = check(b, s);
    if (!st) st = make_room(b);
    if (st) return st;
    b->slots[b->n++] = (slot){ .s = s };
    s->batch = b;
    return KW_OK;
}

void kw_batch_remove(kw_batch *b, kw_session *s)
{
    size_t kept = 0;
    if (s->batch != b) return;
    for (size_t i = 0; i < b->n; i++)
        if (b->slots[i].s != s) b->slots[kept++] = b->slots[i];
    b->n = kept;
    s->batch = NULL;
}

/* ---- a step ---- */

/* What a failed session says for itself. */
static void fail(kw_batch *b, slot *x, kw_status st)
{
    kw_str why = kw_str_of(kw_error_message());
    const char *text = kw_arena_strdup(&b->messages, why.p, why.n);
    x->part.n = 0;
    x->result.id = -1;
    x->result.status = st;
    x->result.message = text ? text : kw_status_name(st);
    x->result.finish = st == KW_ECANCELED ? KW_FINISH_CANCELED : KW_FINISH_NONE;
}

static void begin(kw_batch *b)
{
    kw_arena_free(&b->messages);
    for (size_t i = 0; i < b->n; i++) {
        slot *x = &b->slots[i];
        x->part = (kw_eval_part){ .n = 0 };
        x->result = (kw_batch_result){ x->s, KW_PENDING, -1, KW_FINISH_NONE, "" };
        kw_status st = kw_session_take_cancel(x->s);
        if (st) fail(b, x, st);
    }
}

static bool wants_rows(const slot *x)
{
    return x->result.status == KW_PENDING && !kw_session_is_ready(x->s);
}

static bool is_prompt(const slot *x) { return x->s->ids.n - x->s->n_done > 1; }

static size_t line_up(kw_batch *b, bool prompts, size_t n)
{
    for (size_t i = 0; i < b->n; i++)
        if (wants_rows(&b->slots[i]) && is_prompt(&b->slots[i]) == prompts) b->order[n++] = i;
    return n;
}

/* Guesses pay as long as all rows together are few. */
static size_t guesses_each(const kw_batch *b, size_t n_single, size_t n_prompts)
{
    size_t rows = (size_t)b->eval.options.batch;
    rows = rows < KW_FEW_ROWS ? rows : KW_FEW_ROWS;
    return n_prompts || n_single == 0 || n_single > rows ? 0 : rows / n_single - 1;
}

/* Asks everybody for rows; returns how many of b->order take part. */
static size_t ask(kw_batch *b)
{
    size_t n_single = line_up(b, false, 0), n = line_up(b, true, n_single), rows = 0;
    size_t most = (size_t)b->eval.options.batch, guesses = guesses_each(b, n_single, n - n_single);
    for (size_t i = 0; i < n; i++) {
        slot *x = &b->slots[b->order[i]];
        size_t left = rows < most ? most - rows : 0;
        if (i == n_single && left == 0) left = most; /* prompts get on beside any number of texts */
        if (i >= n_single && left == 0) continue;
        kw_status st = kw_session_offer(x->s, i < n_single ? most : left, guesses, &x->part);
        if (st) fail(b, x, st);
        rows += x->part.n;
    }
    return n;
}

static void take(kw_batch *b, slot *x, const float *logits)
{
    kw_status st = kw_session_take(x->s, &x->part, logits, false);
    if (st) fail(b, x, st);
}

/* Slots order[from .. from + n): together, or, when that fails, one by one. */
static void run(kw_batch *b, size_t from, size_t n)
{
    const float *logits;
    size_t n_vocab = (size_t)b->m->shape.n_vocab;
    for (size_t i = 0; i < n; i++) b->parts[i] = b->slots[b->order[from + i]].part;
    kw_status st = kw_eval_logits(&b->eval, b->parts, n, &logits);
    for (size_t i = 0; i < n; i++) {
        slot *x = &b->slots[b->order[from + i]];
        if (st && n > 1) run(b, from + i, 1);
        else if (st) fail(b, x, st);
        else take(b, x, logits);
        if (!st) logits += b->parts[i].n_out * n_vocab;
    }
}

/* How many parts from order[from] on fit into one run; those that take no part are passed over by the caller. */
static size_t fitting(const kw_batch *b, size_t from, size_t end)
{
    size_t rows = 0, out = 0, n = 0;
    const kw_eval_part *first = &b->slots[b->order[from]].part;
    for (; from + n < end; n++) {
        const kw_eval_part *p = &b->slots[b->order[from + n]].part;
        if (p->n == 0) break;
        rows += p->n;
        out += p->n_out;
        bool fits = rows <= (size_t)b->eval.options.batch && out <= KW_MANY_ROWS &&
                    p->angles->length == first->angles->length && p->memory == first->memory;
        if (n && !fits) break;
    }
    return n;
}

static void compute(kw_batch *b)
{
    size_t n = ask(b);
    for (size_t at = 0; at < n;) {
        size_t fit = b->slots[b->order[at]].part.n ? fitting(b, at, n) : 0;
        if (fit) run(b, at, fit);
        at += fit ? fit : 1;
    }
}

static void choose(kw_batch *b)
{
    for (size_t i = 0; i < b->n; i++) {
        slot *x = &b->slots[i];
        if (x->result.status != KW_PENDING || !kw_session_is_ready(x->s)) continue;
        kw_status st = kw_session_choose(x->s, &x->result.id);
        x->result.status = st;
        if (st == KW_DONE) x->result.finish = x->s->finish;
        if (st < 0) fail(b, x, st);
    }
}

/* Hands out the results; who has ended or failed leaves. */
static void sweep(kw_batch *b)
{
    size_t kept = 0;
    for (size_t i = 0; i < b->n; i++) {
        slot *x = &b->slots[i];
        b->results[i] = x->result;
        if (x->result.status == KW_OK || x->result.status == KW_PENDING) b->slots[kept++] = *x;
        else x->s->batch = NULL;
    }
    b->n = kept;
}

kw_status kw_batch_step(kw_batch *b, const kw_batch_result **results, size_t *n)
{
    *n = b->n;
    *results = b->results;
    if (b->n == 0) return KW_DONE;
    begin(b);
    compute(b);
    choose(b);
    sweep(b);
    return KW_OK;
}
