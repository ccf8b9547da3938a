/* load_pair.c - GPT-2's own pair of files: vocab.json (piece to id) and merges.txt (one merge a line, best first). */
#include "text/internal.h"
#include <stdio.h>
#include <string.h>

enum { MAX_FILE = 64 << 20, MAX_ID = 1 << 24 };

typedef kw_status (*piece_fn)(kw_tokenizer *t, kw_str piece, int64_t id, int64_t *most);

static kw_status find_most(kw_tokenizer *t, kw_str piece, int64_t id, int64_t *most)
{
    (void)t;
    if (id < 0 || id > MAX_ID)
        return kw_fail(KW_EFORMAT, "piece \"%.*s\" has id %lld, expected 0 to %d",
                       (int)(piece.n < 64 ? piece.n : 64), piece.p, (long long)id, MAX_ID);
    if (id > *most) *most = id;
    return KW_OK;
}

static kw_status set_piece(kw_tokenizer *t, kw_str piece, int64_t id, int64_t *most)
{
    (void)most;
    char *kept = kw_arena_strdup(&t->arena, piece.p, piece.n);
    if (!kept) return KW_ENOMEM;
    t->tokens[id].text = (kw_str){ kept, piece.n };
    if (kw_str_is(piece, "<|endoftext|>")) t->tokens[id].type = KW_TOKEN_CONTROL;
    return KW_OK;
}

static kw_status each_piece(kw_tokenizer *t, kw_str json, piece_fn use, int64_t *most)
{
    kw_json_reader r;
    kw_str piece;
    int64_t id = 0;
    kw_status st = KW_OK;
    kw_json_open(&r, json.p, json.n);
    kw_json_enter_object(&r);
    while (!st && kw_json_next_key(&r, &piece)) {
        char key[512];
        if (piece.n > sizeof key) st = kw_fail(KW_EFORMAT, "a piece of %zu bytes", piece.n);
        else memcpy(key, piece.p, piece.n);
        if (!st && kw_json_int(&r, &id)) st = use(t, (kw_str){ key, piece.n }, id, most);
    }
    if (!st) st = r.status;
    kw_json_close(&r);
    return st;
}

static kw_status read_vocab(kw_tokenizer *t, kw_str json)
{
    int64_t most = -1;
    kw_status st = each_piece(t, json, find_most, &most);
    if (!st && most > (int64_t)json.n)
        st = kw_fail(KW_EFORMAT, "the largest id is %lld in %zu bytes", (long long)most, json.n);
    if (!st) st = kw_tokenizer_reserve(t, (size_t)(most + 1));
    return st ? st : each_piece(t, json, set_piece, &most);
}

/* The next line that is a merge, cut at its space; false at the end. */
static bool next_merge(kw_str *text, kw_str half[2])
{
    while (text->n) {
        const char *end = memchr(text->p, '\n', text->n);
        kw_str line = { text->p, end ? (size_t)(end - text->p) : text->n };
        text->p += line.n + (end != NULL);
        text->n -= line.n + (end != NULL);
        if (line.n && line.p[line.n - 1] == '\r') line.n--;
        const char *space =
            line.n && !kw_str_starts(line, "#version") ? memchr(line.p, ' ', line.n) : NULL;
        if (!space) continue;
        half[0] = (kw_str){ line.p, (size_t)(space - line.p) };
        half[1] = (kw_str){ space + 1, line.n - half[0].n - 1 };
        return true;
    }
    return false;
}

static kw_status read_merges(kw_tokenizer *t, kw_str text)
{
    kw_str rest = text, half[2];
    size_t n = 0;
    while (next_merge(&rest, half)) n++;
    kw_status st = kw_bpe_reserve_merges(t, n);
    for (uint32_t rank = 0; !st && next_merge(&text, half); rank++)
        st = kw_bpe_add_merge(t, half[0], half[1], rank);
    return st;
}

/* The pair does not say where it cuts text; the tokenizer_config.json beside it names the class, and GPT-2's is the one known. */
static kw_status check_class(const char *path)
{
    char *text = NULL;
    size_t len;
    kw_json *root = NULL;
    kw_arena trees = KW_ARENA(KW_PAY_TEXT);
    kw_status st = kw_file_read(path, MAX_FILE, &text, &len);
    if (!st) st = kw_json_parse(text, len, &trees, &root);
    const kw_json *name = st ? NULL : kw_json_get(root, "tokenizer_class");
    kw_str class = name && name->type == KW_JSON_STRING ? name->string : KW_STR("GPT2Tokenizer");
    if (!st && !kw_str_is(class, "GPT2Tokenizer") && !kw_str_is(class, "GPT2TokenizerFast"))
        st = kw_fail(KW_EUNSUPPORTED,
                     "a tokenizer of class %.*s: vocab.json and merges.txt do not say where it "
                     "cuts text\ntry: its tokenizer.json",
                     (int)(class.n < 60 ? class.n : 60), class.p);
    kw_arena_free(&trees);
    kw_free(text);
    return st ? kw_note(st, "%s", path) : KW_OK;
}

/* What lies beside `path` under the same prefix. */
static kw_status beside(const char *path, const char *name, kw_buf *out)
{
    kw_buf_clear(out);
    kw_buf_bytes(out, path, strlen(path) - strlen("vocab.json"));
    kw_buf_str(out, name);
    return out->status;
}

kw_status kw_load_vocab_merges(kw_tokenizer *t, const char *vocab_path)
{
    kw_buf path = KW_BUF(8192, KW_PAY_TEXT);
    char *vocab = NULL, *merges = NULL;
    kw_str v = { NULL, 0 }, m = { NULL, 0 };
    kw_status st = beside(vocab_path, "tokenizer_config.json", &path);
    if (!st && kw_path_exists(kw_buf_text(&path))) st = check_class(kw_buf_text(&path));
    if (!st) st = beside(vocab_path, "merges.txt", &path);
    if (!st) st = kw_file_read(vocab_path, MAX_FILE, &vocab, &v.n);
    if (!st) st = kw_file_read(kw_buf_text(&path), MAX_FILE, &merges, &m.n);
    v.p = vocab;
    m.p = merges;
    t->model = KW_VOCAB_BPE;
    t->byte_level = true;
    if (!st) st = kw_tokenizer_add_cuts_named(t, KW_STR("gpt-2"));
    if (!st) st = kw_note(read_vocab(t, v), "%s", vocab_path);
    if (!st) st = kw_tokenizer_finish(t);
    if (!st) st = kw_note(read_merges(t, m), "%s", kw_buf_text(&path));
    int32_t end = st ? -1 : kw_tokenizer_find(t, "<|endoftext|>", 13);
    t->special.bos = t->special.eos = end;
    snprintf(t->kind, sizeof t->kind, "BPE (vocab.json, merges.txt)");
    kw_free(vocab);
    kw_free(merges);
    kw_buf_free(&path);
    return st;
}
