/* special.c - finds added tokens ("<|im_end|>") in text, and hands what lies between them to the normalizer.
 *
 * Twice: tokens marked so are looked for in the normalized text. The longest token at the leftmost place wins; one
 * that must be a word by itself and is not is passed over as ordinary text. */
#include "text/internal.h"
#include "text/unicode.h"

typedef struct found {
    size_t start, end; /* white space that it swallows included */
    size_t next;       /* where the search goes on: what was swallowed may hold tokens itself */
    int32_t id;        /* -1: no more */
} found;

typedef struct hunt {
    const kw_tokenizer *t;
    const kw_trie *tokens;
    kw_str text;
    unsigned flags;
} hunt;

static bool recognised(const kw_token *k, unsigned flags)
{
    return (flags & KW_TEXT_PARSE_SPECIAL) || k->type == KW_TOKEN_USER;
}

static int32_t longest_at(const hunt *h, size_t at, size_t *end)
{
    uint32_t node = 0;
    int32_t best = -1;
    for (size_t i = at; i < h->text.n; i++) {
        node = kw_trie_step(h->tokens, node, h->text.p[i]);
        if (!node) break;
        int32_t id = h->tokens->ids[node];
        if (id < 0 || !recognised(&h->t->tokens[id], h->flags)) continue;
        best = id;
        *end = i + 1;
    }
    return best;
}

static bool is_word_at(kw_str text, size_t at)
{
    return kw_unicode_trait(kw_unicode_char(text.p + at, text.n - at).cp) & KW_CP_WORD;
}

static bool is_space_at(kw_str text, size_t at, size_t *len)
{
    kw_char c = kw_unicode_char(text.p + at, text.n - at);
    *len = c.len;
    return c.class & KW_CP_SPACE;
}

static bool stands_alone(kw_str text, size_t start, size_t end)
{
    return (start == 0 || !is_word_at(text, kw_unicode_back(text, start))) &&
           (end == text.n || !is_word_at(text, end));
}

/* The next token at or behind `from`; white space is swallowed back to `begin` at most. */
static found next_added(const hunt *h, size_t from, size_t begin)
{
    size_t end = 0, len;
    for (size_t at = from; at < h->text.n; at++) {
        if (!h->tokens->root[(unsigned char)h->text.p[at]]) continue;
        int32_t id = longest_at(h, at, &end);
        if (id < 0) continue;
        const kw_token *k = &h->t->tokens[id];
        size_t next = end;
        if (k->single_word && !stands_alone(h->text, at, end)) {
            at = end - 1;
            continue;
        }
        while (k->strip_left && at > begin &&
               is_space_at(h->text, kw_unicode_back(h->text, at), &len))
            at = kw_unicode_back(h->text, at);
        while (k->strip_right && end < h->text.n && is_space_at(h->text, end, &len)) end += len;
        return (found){ at, end, next, id };
    }
    return (found){ h->text.n, h->text.n, h->text.n, -1 };
}

typedef struct job {
    kw_encoder e;
    kw_buf bufs[2];
    unsigned flags;
} job;

typedef kw_status (*rest_fn)(job *j, kw_str text, bool is_first, kw_ids *out);

/* Tokens are put out, what lies between them goes to `rest`. */
static kw_status split(job *j, const hunt *h, bool is_first, rest_fn rest, kw_ids *out)
{
    kw_status st = KW_OK;
    if (h->tokens->n_nodes == 0) return rest(j, h->text, is_first, out);
    size_t at = 0, from = 0;
    for (found f = { .id = 0 }; f.id >= 0 && !st; from = f.next) {
        f = next_added(h, from, at);
        if (f.start > at)
            st = rest(j, (kw_str){ h->text.p + at, f.start - at }, is_first && at == 0, out);
        if (!st && f.id >= 0) st = kw_ids_push(out, f.id);
        at = f.end;
    }
    return st;
}

static kw_status encode_rest(job *j, kw_str text, bool is_first, kw_ids *out)
{
    return kw_cut_encode(&j->e, text, is_first, out);
}

static kw_status encode_section(job *j, kw_str text, bool is_first, kw_ids *out)
{
    kw_str normal;
    kw_status st = kw_normalize(j->e.t, text, is_first, j->bufs, &normal);
    hunt h = { j->e.t, &j->e.t->added_normalized, normal, j->flags };
    return st ? st : split(j, &h, is_first, encode_rest, out);
}

kw_status kw_encode_text(const kw_tokenizer *t, kw_str text, unsigned flags, kw_ids *out)
{
    size_t most = kw_text_most(text.n);
    job j = { .e = { .t = t, .scratch = KW_BUF(kw_text_most(most), KW_PAY_TEXT) },
              .bufs = { KW_BUF(most, KW_PAY_TEXT), KW_BUF(most, KW_PAY_TEXT) },
              .flags = flags };
    hunt h = { t, &t->added, text, flags };
    kw_status st = kw_words_begin(&j.e, text.n);
    if (!st) st = split(&j, &h, true, encode_section, out);
    kw_words_release(&j.e);
    kw_buf_free(&j.e.scratch);
    kw_buf_free(&j.bufs[0]);
    kw_buf_free(&j.bufs[1]);
    return st;
}

/* A token that is recognised in normalized text is written so, too. */
static kw_status keep_bytes(kw_tokenizer *t, kw_token *k, kw_str text)
{
    k->bytes = (kw_str){ kw_arena_strdup(&t->arena, text.p, text.n), text.n };
    if (!k->bytes.p) return KW_ENOMEM;
    return t->byte_level ? kw_bpe_unmap(t, k->bytes, &k->bytes) : KW_OK;
}

enum { MAX_ADDED = 1024 }; /* bytes: every place of a text may walk that far */

kw_status kw_index_added(kw_tokenizer *t)
{
    kw_buf bufs[2] = { KW_BUF(1 << 24, KW_PAY_TEXT), KW_BUF(1 << 24, KW_PAY_TEXT) };
    kw_status st = KW_OK;
    for (int32_t i = 0; i < t->n && !st; i++) {
        kw_token *k = &t->tokens[i];
        kw_str text = k->text;
        if (!k->is_added || k->text.n == 0) continue;
        if (k->text.n > MAX_ADDED)
            st = kw_fail(KW_EFORMAT, "added token %d has %zu bytes, at most %d are read", i,
                         k->text.n, MAX_ADDED);
        if (st) break;
        if (k->normalized) st = kw_normalize(t, k->text, true, bufs, &text);
        if (!st && k->normalized) st = keep_bytes(t, k, text);
        if (!st && text.n)
            st = kw_trie_add(k->normalized ? &t->added_normalized : &t->added, text, i);
    }
    kw_buf_free(&bufs[0]);
    kw_buf_free(&bufs[1]);
    return st;
}
