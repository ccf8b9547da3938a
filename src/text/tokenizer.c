/* tokenizer.c - the public face: encoding with special tokens, decoding, opening from any file. */
#include "text/internal.h"
#include <string.h>

/* ---- encoding ---- */

kw_status kw_tokenizer_encode(const kw_tokenizer *t, kw_str text, unsigned flags, kw_ids *out)
{
    kw_status st = KW_OK;
    bool add = flags & KW_TEXT_ADD_SPECIAL;
    size_t begin = out->n;
    for (int i = 0; add && i < t->n_before && !st; i++) st = kw_ids_push(out, t->before[i]);
    if (!st && text.n) st = kw_encode_text(t, text, flags, out);
    if (t->ends_once && out->n > begin && out->ids[out->n - 1] == t->special.eos) return st;
    for (int i = 0; add && i < t->n_after && !st; i++) st = kw_ids_push(out, t->after[i]);
    return st;
}

kw_around kw_tokenizer_around(const kw_tokenizer *t)
{
    return (kw_around){ t->before, t->after, (size_t)t->n_before, (size_t)t->n_after };
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

kw_status kw_token_bytes(const kw_tokenizer *t, int32_t id, unsigned flags, kw_buf *out)
{
    if (id < 0 || id >= t->n)
        return kw_fail(KW_EINVAL, "id %d: the vocabulary has %d tokens", id, t->n);
    const kw_token *k = &t->tokens[id];
    bool hidden = (flags & KW_TEXT_NO_SPECIAL) &&
                  (k->type == KW_TOKEN_CONTROL || k->type == KW_TOKEN_UNKNOWN);
    if (!hidden) kw_buf_bytes(out, k->bytes.p, k->bytes.n);
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

/* A folder whose configuration says that bytes are its tokens. */
static kw_status load_bytes(kw_tokenizer *t, const char *folder, bool *found)
{
    static const char *const files[] = { "tokenizer_config.json", "config.json" };
    char class[64] = "";
    kw_buf path = KW_BUF(8192, KW_PAY_TEXT);
    kw_status st = join(folder, files[0], &path);
    for (int i = 0; i < 2 && !st && !class[0]; i++)
        st = kw_word_beside(kw_buf_text(&path), files[i], "tokenizer_class", class);
    *found = !st && strcmp(class, "ByT5Tokenizer") == 0;
    if (*found) st = kw_load_byt5(t, kw_buf_text(&path));
    kw_buf_free(&path);
    return st;
}

/* tokenizer.json of a folder, or tokenizer.model where that is missing or of a kind not read yet; *found says whether
 * there was one. */
static kw_status load_folder(kw_tokenizer *t, const char *folder, bool *found)
{
    static const struct {
        const char *name;
        load_fn load;
    } models[] = {
        { "tokenizer.model", kw_load_sentencepiece },
        { "spiece.model", kw_load_sentencepiece },
        { "sentencepiece.bpe.model", kw_load_fairseq },
    };
    bool extra;
    kw_status st = load_member(t, folder, "tokenizer.json", kw_load_tokenizer_json, found), other;
    if (st == KW_EUNSUPPORTED || (!st && !*found)) {
        kw_tokenizer_clear(t);
        for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
            other = load_member(t, folder, models[i].name, models[i].load, &extra);
            if (!extra) continue;
            st = other;
            *found = true;
            break;
        }
    }
    if (!st && !*found) st = load_member(t, folder, "vocab.json", kw_load_vocab_merges, found);
    if (!st && !*found) st = load_member(t, folder, "vocab.txt", kw_load_vocab_txt, found);
    if (!st && !*found) st = load_bytes(t, folder, found);
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
    if (kind == KW_FILE_GGUF || kind == KW_FILE_GGML) return load_gguf_file(t, path);
    bool is_pair = kw_str_ends(kw_str_of(path), "vocab.json");
    if (kw_str_ends(kw_str_of(path), ".tiktoken")) return kw_load_tiktoken(t, path);
    if (kw_str_ends(kw_str_of(path), "vocab.txt")) return kw_load_vocab_txt(t, path);
    if (kind == KW_FILE_JSON)
        return is_pair ? kw_load_vocab_merges(t, path) : kw_load_tokenizer_json(t, path);
    if (kind == KW_FILE_SENTENCEPIECE)
        return kw_str_ends(kw_str_of(path), "sentencepiece.bpe.model")
                   ? kw_load_fairseq(t, path)
                   : kw_load_sentencepiece(t, path);
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
