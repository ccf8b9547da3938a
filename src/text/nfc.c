/* nfc.c - Unicode's normalisation forms: decompose, put marks in order, and compose again for C and KC.
 *
 * Text is worked on in runs: a starter (combining class 0) and the marks that follow it. A run's
 * marks are sorted by a counting sort and composed in one pass, so a megabyte of marks on one letter
 * takes linear time. Starters that compose with the starter before them (Hangul, a few Indic
 * vowels) are joined across runs, as the standard has it.
 *
 * Bytes that are not UTF-8 pass through as private numbers above the last code point: starters
 * that compose with nothing. */
#include "text/unicode.h"
#include <string.h>

enum { RAW_BYTE = 0x110000, MAX_DEPTH = 5, N_CLASSES = 256 };

typedef struct mark {
    uint32_t cp;
    unsigned class;
} mark;

typedef struct run {
    mark *marks, *sorted; /* [cap] each; marks[0] may be the starter */
    size_t n, cap;
    kw_unicode_form form;
    kw_buf *out;
} run;

static bool composes(const run *r) { return r->form == KW_NFC || r->form == KW_NFKC; }

bool kw_unicode_is_plain(kw_str text)
{
    for (size_t i = 0; i < text.n; i++)
        if ((unsigned char)text.p[i] >= 0xCC) return false; /* the lead byte of U+0300 */
    return true;
}

static void put(kw_buf *out, uint32_t cp)
{
    if (cp >= RAW_BYTE) kw_buf_byte(out, (char)(cp - RAW_BYTE));
    else kw_buf_codepoint(out, cp);
}

/* A stable counting sort of marks[from..n) by class. */
static void sort_marks(run *r, size_t from)
{
    size_t at[N_CLASSES + 1] = { 0 };
    bool is_sorted = true;
    for (size_t i = from; i < r->n; i++) {
        at[r->marks[i].class + 1]++;
        is_sorted = is_sorted && (i == from || r->marks[i - 1].class <= r->marks[i].class);
    }
    if (is_sorted) return;
    for (int i = 1; i <= N_CLASSES; i++) at[i] += at[i - 1];
    for (size_t i = from; i < r->n; i++) r->sorted[at[r->marks[i].class]++] = r->marks[i];
    memcpy(r->marks + from, r->sorted, (r->n - from) * sizeof *r->marks);
}

/* Joins what can be joined to the starter; a mark is blocked by one of its class before it. */
static void compose(run *r)
{
    size_t kept = 1;
    unsigned last = 0;
    for (size_t i = 1; i < r->n; i++) {
        mark m = r->marks[i];
        bool is_blocked = kept > 1 && last >= m.class;
        uint32_t whole = is_blocked ? 0 : kw_unicode_join(r->marks[0].cp, m.cp);
        if (whole) {
            r->marks[0].cp = whole;
            continue;
        }
        r->marks[kept++] = m;
        last = m.class;
    }
    r->n = kept;
}

/* Sorts and composes. Marks without a starter before them are only put in order. Once a run: a
 * second time would find a changed starter. */
static void settle(run *r)
{
    bool has_starter = r->n && r->marks[0].class == 0;
    sort_marks(r, has_starter);
    if (has_starter && composes(r)) compose(r);
}

static void flush(run *r)
{
    for (size_t i = 0; i < r->n; i++) put(r->out, r->marks[i].cp);
    r->n = 0;
}

static kw_status grow(run *r)
{
    size_t cap = r->cap ? 2 * r->cap : 64;
    mark *marks = kw_realloc(r->marks, cap * sizeof *marks, KW_PAY_TEXT);
    if (!marks) return KW_ENOMEM;
    r->marks = marks;
    mark *sorted = kw_realloc(r->sorted, cap * sizeof *sorted, KW_PAY_TEXT);
    if (!sorted) return KW_ENOMEM;
    r->sorted = sorted;
    r->cap = cap;
    return KW_OK;
}

/* A starter ends the run before it, unless the two become one. */
static bool begin_run(run *r, uint32_t cp)
{
    settle(r);
    uint32_t whole = 0;
    if (composes(r) && r->n == 1 && r->marks[0].class == 0)
        whole = kw_unicode_join(r->marks[0].cp, cp);
    if (whole) r->marks[0].cp = whole;
    else flush(r);
    return !whole;
}

/* Adds one character that does not decompose. */
static kw_status add(run *r, uint32_t cp)
{
    unsigned class = kw_unicode_combining(cp);
    if (class == 0 && r->n && !begin_run(r, cp)) return KW_OK;
    if (r->n == r->cap) {
        kw_status st = grow(r);
        if (st) return st;
    }
    r->marks[r->n++] = (mark){ cp, class };
    return KW_OK;
}

/* Adds a character's full decomposition: the tail of each step waits until its head is done. */
static kw_status decompose(run *r, uint32_t cp)
{
    uint32_t tail[MAX_DEPTH], second;
    const uint32_t *form;
    int n_tail = 0;
    kw_status st = KW_OK;
    size_t n = r->form == KW_NFKC || r->form == KW_NFKD ? kw_unicode_compat(cp, &form) : 0;
    for (size_t i = 0; i < n && !st; i++) st = add(r, form[i]);
    if (n) return st;
    while (n_tail < MAX_DEPTH && kw_unicode_split(cp, &cp, &second))
        if (second) tail[n_tail++] = second;
    st = add(r, cp);
    while (!st && n_tail > 0) st = add(r, tail[--n_tail]);
    return st;
}

kw_status kw_unicode_normalize(kw_str text, kw_unicode_form form, kw_buf *out)
{
    run r = { .form = form, .out = out };
    kw_status st = KW_OK;
    for (size_t i = 0, ascii; i < text.n && !st;) {
        uint32_t cp;
        bool ok;
        ascii = kw_utf8_skip_ascii(text.p, text.n, i);
        if (ascii > i + 1) { /* all but the last are whole runs, and stay */
            settle(&r);
            flush(&r);
            kw_buf_bytes(out, text.p + i, ascii - 1 - i);
            i = ascii - 1;
        }
        size_t len = kw_utf8_decode(text.p + i, text.n - i, &cp, &ok);
        if (!ok) cp = RAW_BYTE + (unsigned char)text.p[i];
        st = cp < 0xA0 || cp >= RAW_BYTE ? add(&r, cp) : decompose(&r, cp);
        i += len;
    }
    if (!st) {
        settle(&r);
        flush(&r);
    }
    kw_free(r.marks);
    kw_free(r.sorted);
    return st ? st : out->status;
}
