/* load_pair.c - GPT-2's own pair of files: vocab.json (piece to id) and merges.txt (one merge a line, best first). Other models
 * have such pairs, too, and cut text by other rules: their class is a row here, or refused by name. */
#include "text/internal.h"
#include "text/unicode.h"
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

/* `added`: more tokens, by their ids. */
static kw_status read_vocab(kw_tokenizer *t, kw_str json, const kw_json *added)
{
    int64_t most = -1, id;
    kw_status st = each_piece(t, json, find_most, &most);
    for (const kw_json *e = added && added->type == KW_JSON_OBJECT ? added->child : NULL; e;
         e = e->next)
        if (kw_str_i64(e->key, &id) && id > most && id <= most + 4096) most = id;
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

/* The pair does not say where it cuts text nor what stands around it; the class that tokenizer_config.json names does. */
typedef struct pair_class {
    const char *names, *cuts;
    const char *specials;       /* names of special tokens, where the vocabulary has them */
    const char *before, *after; /* what stands around a text, or NULL */
    const char *end;            /* EOS; BOS too where nothing stands before a text */
    const char *mask;           /* swallows the blanks before it, or NULL */
    bool composes;              /* text is brought into form C */
} pair_class;

static const pair_class classes[] = {
    { .names = "GPT2Tokenizer CodeGenTokenizer",
      .cuts = "gpt-2",
      .specials = "<|endoftext|>",
      .end = "<|endoftext|>" },
    { .names = "RobertaTokenizer BartTokenizer LongformerTokenizer LEDTokenizer",
      .cuts = "gpt-2",
      .specials = "<s> </s> <unk> <pad> <mask>",
      .before = "<s>",
      .after = "</s>",
      .end = "</s>",
      .mask = "<mask>" },
    { .names = "Qwen2Tokenizer",
      .cuts = "qwen2",
      .specials = "<|endoftext|>",
      .end = "<|endoftext|>",
      .composes = true },
};

typedef struct pair_config {
    const pair_class *class;
    bool adds_bos, adds_space;
    kw_arena trees;
    const kw_json *added; /* added_tokens_decoder: by id, as text */
} pair_config;

static bool flag_of(const kw_json *v, const char *key)
{
    const kw_json *f = kw_json_get(v, key);
    return f && f->type == KW_JSON_BOOL && f->boolean;
}

static kw_status find_class(kw_str name, const pair_class **out)
{
    if (kw_str_ends(name, "Fast")) name.n -= 4;
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
        if (kw_has_word(classes[i].names, name)) {
            *out = &classes[i];
            return KW_OK;
        }
    return kw_fail(KW_EUNSUPPORTED,
                   "a tokenizer of class %.*s: vocab.json and merges.txt do not say where it "
                   "cuts text\ntry: its tokenizer.json",
                   (int)(name.n < 60 ? name.n : 60), name.p);
}

/* tokenizer_config.json beside the pair; without one it is GPT-2's. */
static kw_status read_config(const char *path, pair_config *out)
{
    kw_json *root = NULL;
    kw_status st = kw_json_read_file(path, MAX_FILE, &out->trees, &root);
    if (st) return st;
    const kw_json *name = kw_json_get(root, "tokenizer_class");
    out->adds_bos = flag_of(root, "add_bos_token");
    out->adds_space = flag_of(root, "add_prefix_space");
    out->added = kw_json_get(root, "added_tokens_decoder");
    if (!name || name->type != KW_JSON_STRING) return KW_OK;
    return kw_note(find_class(name->string, &out->class), "%s", path);
}

/* What lies beside `path` under the same prefix. */
static kw_status beside(const char *path, const char *name, kw_buf *out)
{
    kw_buf_clear(out);
    kw_buf_bytes(out, path, strlen(path) - strlen("vocab.json"));
    kw_buf_str(out, name);
    return out->status;
}

kw_status kw_tokenizer_add_listed(kw_tokenizer *t, const kw_json *added)
{
    kw_status st = KW_OK;
    for (const kw_json *e = added && added->type == KW_JSON_OBJECT ? added->child : NULL; e && !st;
         e = e->next) {
        const kw_json *content = kw_json_get(e, "content");
        int64_t id;
        if (!kw_str_i64(e->key, &id) || id < 0 || id >= t->n || !content ||
            content->type != KW_JSON_STRING)
            return kw_fail(KW_EFORMAT, "added_tokens_decoder: a token without id or content");
        kw_str kept = content->string;
        kept.p = kw_arena_strdup(&t->arena, kept.p, kept.n);
        if (!kept.p) return KW_ENOMEM;
        t->tokens[id] = (kw_token){
            .text = kept,
            .type = flag_of(e, "special") ? KW_TOKEN_CONTROL : KW_TOKEN_USER,
            .is_added = true,
            .strip_left = flag_of(e, "lstrip"),
            .strip_right = flag_of(e, "rstrip"),
            .single_word = flag_of(e, "single_word"),
            .normalized = flag_of(e, "normalized"),
        };
    }
    return st;
}

static int32_t id_of(const kw_tokenizer *t, const char *name)
{
    return name ? kw_tokenizer_find(t, name, strlen(name)) : -1;
}

static kw_status prepare(kw_tokenizer *t, const pair_config *c)
{
    kw_status st = KW_OK;
    t->model = KW_VOCAB_BPE;
    t->byte_level = true;
    if (c->class->composes)
        st = kw_tokenizer_add_norm(t, (kw_norm){ .kind = KW_NORM_FORM, .form = KW_NFC });
    if (!st && c->adds_space) st = kw_tokenizer_add_cut(t, (kw_cut){ .kind = KW_CUT_PREFIX_SPACE });
    return st ? st : kw_tokenizer_add_cuts_named(t, kw_str_of(c->class->cuts));
}

/* What the class says of its special tokens, once they are there. */
static void mark_specials(kw_tokenizer *t, const pair_class *c)
{
    for (int32_t i = 0; i < t->n; i++) {
        kw_token *k = &t->tokens[i];
        if (k->is_added || !k->text.n || !kw_has_word(c->specials, k->text)) continue;
        k->type = KW_TOKEN_CONTROL;
        k->strip_left = c->mask && kw_str_is(k->text, c->mask);
    }
}

/* After finish: the ids are known, and nothing stands around a text yet. */
static void put_around(kw_tokenizer *t, const pair_config *c)
{
    kw_special_ids s = { .bos = id_of(t, c->class->before),
                         .eos = id_of(t, c->class->end),
                         .pad = id_of(t, "<pad>"),
                         .unk = -1 };
    if (s.bos < 0) s.bos = s.eos;
    s.adds_bos = s.bos >= 0 && (c->class->before || c->adds_bos);
    s.adds_eos = s.eos >= 0 && c->class->after;
    if (s.adds_bos) t->before[t->n_before++] = s.bos;
    if (s.adds_eos) t->after[t->n_after++] = s.eos;
    t->special = s;
}

static kw_status read_pair(kw_tokenizer *t, const pair_config *c, kw_str vocab, kw_str merges)
{
    kw_status st = prepare(t, c);
    if (!st) st = read_vocab(t, vocab, c->added);
    if (st) return st;
    mark_specials(t, c->class);
    st = kw_tokenizer_add_listed(t, c->added);
    if (!st) st = kw_tokenizer_finish(t);
    if (!st) put_around(t, c);
    return st ? st : kw_note(read_merges(t, merges), "merges.txt");
}

kw_status kw_load_vocab_merges(kw_tokenizer *t, const char *vocab_path)
{
    kw_buf path = KW_BUF(8192, KW_PAY_TEXT);
    char *vocab = NULL, *merges = NULL;
    size_t v = 0, m = 0;
    pair_config c = { .class = &classes[0], .trees = KW_ARENA(KW_PAY_TEXT) };
    kw_status st = beside(vocab_path, "tokenizer_config.json", &path);
    if (!st) st = read_config(kw_buf_text(&path), &c);
    if (!st) st = beside(vocab_path, "merges.txt", &path);
    if (!st) st = kw_file_read(vocab_path, MAX_FILE, &vocab, &v);
    if (!st) st = kw_file_read(kw_buf_text(&path), MAX_FILE, &merges, &m);
    if (!st)
        st = kw_note(read_pair(t, &c, (kw_str){ vocab, v }, (kw_str){ merges, m }), "%s",
                     vocab_path);
    snprintf(t->kind, sizeof t->kind, "BPE (vocab.json, merges.txt)");
    kw_arena_free(&c.trees);
    kw_free(vocab);
    kw_free(merges);
    kw_buf_free(&path);
    return st;
}
