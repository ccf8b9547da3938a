/* tokenizer.c - the public face: encoding with special tokens, decoding, opening from any file. */
#include "text/internal.h"
#include "text/unicode.h"
#include <string.h>

/* ---- encoding ---- */

static bool recognised(const kw_token *k, unsigned flags)
{
    return (flags & KW_TEXT_PARSE_SPECIAL) || k->type == KW_TOKEN_USER;
}

/* The special token that begins at text[at], or -1. */
static int32_t special_at(const kw_tokenizer *t, kw_str text, size_t at, unsigned flags)
{
    if (!t->special_first[(unsigned char)text.p[at]]) return -1;
    for (size_t i = 0; i < t->n_specials; i++) {
        const kw_token *k = &t->tokens[t->specials[i]];
        if (k->text.n <= text.n - at && recognised(k, flags) &&
            memcmp(text.p + at, k->text.p, k->text.n) == 0)
            return t->specials[i];
    }
    return -1;
}

/* The text as byte-level BPE sees it: in form C where the file asks for it, with a space in front where it wants one. */
static kw_status encode_normalized(const kw_tokenizer *t, kw_str text, kw_ids *out)
{
    kw_buf b = KW_BUF(SIZE_MAX / 2, KW_PAY_TEXT);
    if (t->add_prefix_space && text.p[0] != ' ') kw_buf_byte(&b, ' ');
    kw_status st = KW_OK;
    if (t->nfc) st = kw_unicode_nfc(text, &b);
    else kw_buf_bytes(&b, text.p, text.n);
    if (!st) st = b.status;
    if (!st) st = kw_bpe_encode(t, (kw_str){ b.data, b.len }, out);
    kw_buf_free(&b);
    return st;
}

static kw_status encode_plain(const kw_tokenizer *t, kw_str text, bool is_first, kw_ids *out)
{
    if (text.n == 0) return KW_OK;
    if (t->model == KW_VOCAB_SPM) return kw_spm_encode(t, text, is_first, out);
    bool as_is = !t->add_prefix_space && (!t->nfc || kw_unicode_is_plain(text));
    return as_is ? kw_bpe_encode(t, text, out) : encode_normalized(t, text, out);
}

static bool is_space(char c) { return c == ' ' || (c >= 9 && c <= 13); }

static kw_status encode_text(const kw_tokenizer *t, kw_str text, unsigned flags, kw_ids *out)
{
    size_t from = 0;
    kw_status st = KW_OK;
    for (size_t at = 0; at < text.n && !st;) {
        int32_t id = special_at(t, text, at, flags);
        if (id < 0) {
            at++;
            continue;
        }
        const kw_token *k = &t->tokens[id];
        size_t end = at, next = at + k->text.n;
        while (k->strip_left && end > from && is_space(text.p[end - 1])) end--;
        while (k->strip_right && next < text.n && is_space(text.p[next])) next++;
        st = encode_plain(t, (kw_str){ text.p + from, end - from }, from == 0, out);
        if (!st) st = kw_ids_push(out, id);
        from = at = next;
    }
    return st ? st : encode_plain(t, (kw_str){ text.p + from, text.n - from }, from == 0, out);
}

kw_status kw_tokenizer_encode(const kw_tokenizer *t, kw_str text, unsigned flags, kw_ids *out)
{
    kw_status st = KW_OK;
    bool add = flags & KW_TEXT_ADD_SPECIAL;
    if (add && t->special.adds_bos) st = kw_ids_push(out, t->special.bos);
    if (!st && text.n) st = encode_text(t, text, flags, out);
    if (!st && add && t->special.adds_eos) st = kw_ids_push(out, t->special.eos);
    return st;
}

kw_status kw_tokenize(const kw_tokenizer *t, const char *text, size_t len, unsigned flags,
                      int32_t *ids, size_t cap, size_t *n)
{
    kw_ids all = { 0 };
    *n = 0;
    kw_status st = kw_tokenizer_encode(t, (kw_str){ text, len }, flags, &all);
    if (!st) {
        *n = all.n;
        size_t fit = all.n < cap ? all.n : cap;
        if (fit) memcpy(ids, all.ids, fit * sizeof *ids);
        if (all.n > cap) st = kw_fail(KW_ELIMIT, "%zu ids, room for %zu", all.n, cap);
    }
    kw_ids_free(&all);
    return st;
}

/* ---- decoding ---- */

static void put_token(const kw_tokenizer *t, const kw_token *k, kw_buf *out)
{
    if (t->model == KW_VOCAB_BPE || k->type == KW_TOKEN_CONTROL) {
        kw_buf_bytes(out, k->bytes.p, k->bytes.n);
        return;
    }
    if (k->type == KW_TOKEN_BYTE) {
        for (int b = 0; b < 256; b++)
            if (&t->tokens[t->byte_id[b] < 0 ? 0 : t->byte_id[b]] == k && t->byte_id[b] >= 0)
                kw_buf_byte(out, (char)b);
        return;
    }
    size_t width = strlen(t->space);
    for (size_t i = 0; i < k->text.n;) {
        bool space = k->text.n - i >= width && memcmp(k->text.p + i, t->space, width) == 0;
        kw_buf_byte(out, space ? ' ' : k->text.p[i]);
        i += space ? width : 1;
    }
}

kw_status kw_token_bytes(const kw_tokenizer *t, int32_t id, unsigned flags, kw_buf *out)
{
    if (id < 0 || id >= t->n)
        return kw_fail(KW_EINVAL, "id %d: the vocabulary has %d tokens", id, t->n);
    const kw_token *k = &t->tokens[id];
    bool hidden = (flags & KW_TEXT_NO_SPECIAL) &&
                  (k->type == KW_TOKEN_CONTROL || k->type == KW_TOKEN_UNKNOWN);
    if (!hidden) put_token(t, k, out);
    return out->status;
}

kw_status kw_tokenizer_decode(const kw_tokenizer *t, const int32_t *ids, size_t n, unsigned flags,
                              kw_buf *out)
{
    kw_status st = KW_OK;
    kw_detok d = kw_detok_new(t, flags);
    for (size_t i = 0; i < n && !st; i++) st = kw_detok_push(&d, ids[i], out);
    return st ? st : kw_detok_flush(&d, out);
}

kw_status kw_detokenize(const kw_tokenizer *t, const int32_t *ids, size_t n, unsigned flags,
                        char *text, size_t cap, size_t *len)
{
    kw_buf out = KW_BUF((size_t)1 << 31, KW_PAY_TEXT);
    *len = 0;
    kw_status st = kw_tokenizer_decode(t, ids, n, flags, &out);
    if (!st) {
        *len = out.len;
        size_t fit = out.len < cap ? out.len : cap;
        if (fit) memcpy(text, out.data, fit);
        if (out.len > cap) st = kw_fail(KW_ELIMIT, "%zu bytes, room for %zu", out.len, cap);
    }
    kw_buf_free(&out);
    return st;
}

/* ---- questions ---- */

kw_special_ids kw_tokenizer_special(const kw_tokenizer *t) { return t->special; }

int32_t kw_tokenizer_size(const kw_tokenizer *t) { return t->n; }

const char *kw_tokenizer_kind(const kw_tokenizer *t) { return t->kind; }

int32_t kw_tokenizer_find(const kw_tokenizer *t, const char *piece, size_t len)
{
    int64_t id;
    return kw_map_get(&t->by_text, (kw_str){ piece, len }, &id) ? (int32_t)id : -1;
}

const char *kw_tokenizer_piece(const kw_tokenizer *t, int32_t id, size_t *len)
{
    *len = 0;
    if (id < 0 || id >= t->n) return NULL;
    *len = t->tokens[id].text.n;
    return t->tokens[id].text.p;
}

const char *kw_tokenizer_chat_template(const kw_tokenizer *t, size_t *len)
{
    *len = t->chat_template.n;
    return t->chat_template.p;
}

/* ---- opening ---- */

static kw_status join(const char *folder, const char *name, kw_buf *path)
{
    kw_buf_clear(path);
    kw_buf_printf(path, "%s/%s", folder, name);
    return path->status;
}

typedef kw_status (*load_fn)(kw_tokenizer *t, const char *path);

/* Loads folder/name with `load`, if there is such a file; *found says whether. */
static kw_status load_member(kw_tokenizer *t, const char *folder, const char *name, load_fn load,
                             bool *found)
{
    kw_buf path = KW_BUF(8192, KW_PAY_TEXT);
    kw_status st = join(folder, name, &path);
    *found = !st && kw_path_exists(kw_buf_text(&path));
    if (*found) st = load(t, kw_buf_text(&path));
    kw_buf_free(&path);
    return st;
}

/* tokenizer.json of a folder, or tokenizer.model where that is missing or of a kind not read yet; *found says whether
 * there was one. */
static kw_status load_folder(kw_tokenizer *t, const char *folder, bool *found)
{
    bool extra;
    kw_status st = load_member(t, folder, "tokenizer.json", kw_load_tokenizer_json, found), other;
    if (st == KW_EUNSUPPORTED || (!st && !*found)) {
        kw_tokenizer_clear(t);
        other = load_member(t, folder, "tokenizer.model", kw_load_sentencepiece, &extra);
        if (extra) st = other;
        *found = *found || extra;
    }
    if (!st && !*found) st = load_member(t, folder, "vocab.json", kw_load_vocab_merges, found);
    if (st || !*found) return st;
    st = load_member(t, folder, "tokenizer_config.json", kw_load_tokenizer_config, &extra);
    return st ? st : load_member(t, folder, "chat_template.jinja", kw_load_template_file, &extra);
}

kw_status kw_tokenizer_of_checkpoint(const kw_checkpoint *ck, kw_tokenizer **out)
{
    bool found = kw_checkpoint_meta(ck, "tokenizer.ggml.model") != NULL;
    *out = NULL;
    kw_tokenizer *t = kw_tokenizer_new();
    if (!t) return KW_ENOMEM;
    kw_status st = KW_OK;
    if (found) st = kw_load_gguf_vocab(t, ck);
    else if (kw_checkpoint_naming(ck) == KW_NAMING_HF && kw_checkpoint_folder(ck)[0])
        st = load_folder(t, kw_checkpoint_folder(ck), &found);
    if (st || !found) kw_tokenizer_close(t);
    else *out = t;
    return st;
}

static kw_status load_gguf_file(kw_tokenizer *t, const char *path)
{
    kw_status st = kw_checkpoint_open(path, (kw_file_options){ 0 }, &t->owned);
    if (!st && !kw_checkpoint_meta(t->owned, "tokenizer.ggml.model"))
        return kw_fail(KW_EFORMAT, "%s holds no vocabulary", path);
    return st ? st : kw_load_gguf_vocab(t, t->owned);
}

static kw_status load_file(kw_tokenizer *t, const char *path)
{
    unsigned char head[64];
    kw_source *s = NULL;
    kw_status st = kw_source_file(path, (kw_file_options){ 0 }, &s);
    if (st) return st;
    size_t n = s->size < sizeof head ? (size_t)s->size : sizeof head;
    uint64_t size = s->size;
    if (n) st = kw_source_read(s, 0, head, n);
    kw_source_close(s);
    if (st) return st;
    kw_file_kind kind = n ? kw_file_sniff(head, n, size) : KW_FILE_UNKNOWN;
    if (kind == KW_FILE_GGUF) return load_gguf_file(t, path);
    bool is_pair = kw_str_ends(kw_str_of(path), "vocab.json");
    if (kind == KW_FILE_JSON)
        return is_pair ? kw_load_vocab_merges(t, path) : kw_load_tokenizer_json(t, path);
    if (kind == KW_FILE_SENTENCEPIECE) return kw_load_sentencepiece(t, path);
    if (kind == KW_FILE_LLAMA2C_TOKENIZER) return kw_load_llama2c_vocab(t, path);
    return kw_fail(KW_EFORMAT, "%s is %s, not a tokenizer", path,
                   n ? kw_file_kind_name(kind) : "empty");
}

kw_status kw_tokenizer_open(const char *path, kw_tokenizer **out)
{
    kw_tokenizer *t = kw_tokenizer_new();
    bool found = true;
    if (!t) return KW_ENOMEM;
    kw_status st = kw_path_is_dir(path) ? load_folder(t, path, &found) : load_file(t, path);
    if (!st && !found) { /* a folder whose model carries its own vocabulary */
        st = kw_checkpoint_open(path, (kw_file_options){ 0 }, &t->owned);
        if (!st)
            st = kw_checkpoint_meta(t->owned, "tokenizer.ggml.model")
                     ? kw_load_gguf_vocab(t, t->owned)
                     : kw_fail(KW_ENOTFOUND, "no tokenizer.json or tokenizer.model in %s", path);
    }
    if (st) kw_tokenizer_close(t);
    else *out = t;
    return st;
}
