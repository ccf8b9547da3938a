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

/* Special tokens by what they are for: as tokenizer_config.json or special_tokens_map.json calls them, or as their class does. */
enum { BOS, EOS, UNK, PAD, CLS, SEP, MASK, N_ROLES };
static const char *const role_keys[N_ROLES] = { "bos_token", "eos_token", "unk_token", "pad_token",
                                                "cls_token", "sep_token", "mask_token" };

/* The pair does not say where it cuts text nor what stands around it; the class that tokenizer_config.json names does, or else the
 * type of the model. */
typedef struct pair_class {
    const char *names, *types, *cuts;
    const char *specials[N_ROLES];
    bool wraps;    /* CLS and SEP stand around a text */
    bool composes; /* text is brought into form C */
} pair_class;

static const pair_class classes[] = {
    { .names = "GPT2Tokenizer CodeGenTokenizer",
      .types = "gpt2 gpt_neo gptj codegen phi opt",
      .cuts = "gpt-2",
      .specials = { [BOS] = "<|endoftext|>", [EOS] = "<|endoftext|>", [PAD] = "<pad>" } },
    { .names = "RobertaTokenizer BartTokenizer LongformerTokenizer LEDTokenizer",
      .types = "roberta bart longformer led",
      .cuts = "gpt-2",
      .specials = { "<s>", "</s>", "<unk>", "<pad>", "<s>", "</s>", "<mask>" },
      .wraps = true },
    { .names = "Qwen2Tokenizer",
      .types = "qwen2 qwen2_moe qwen3 qwen3_moe",
      .cuts = "qwen2",
      .specials = { [EOS] = "<|endoftext|>", [PAD] = "<pad>" },
      .composes = true },
};

typedef struct pair_config {
    const pair_class *class;
    bool adds_bos, adds_space;
    kw_arena trees;
    kw_str specials[N_ROLES];
    bool keeps_blanks;    /* those before a mask */
    const kw_json *added; /* added_tokens_decoder: by id, as text */
} pair_config;

static bool flag_of(const kw_json *v, const char *key)
{
    const kw_json *f = kw_json_get(v, key);
    return f && f->type == KW_JSON_BOOL && f->boolean;
}

static kw_status find_class(kw_str name, bool is_type, const pair_class **out)
{
    if (!is_type && kw_str_ends(name, "Fast")) name.n -= 4;
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
        if (kw_has_word(is_type ? classes[i].types : classes[i].names, name)) {
            *out = &classes[i];
            return KW_OK;
        }
    return kw_fail(KW_EUNSUPPORTED,
                   "a tokenizer of %s %.*s: vocab.json and merges.txt do not say where it "
                   "cuts text\ntry: its tokenizer.json",
                   is_type ? "the model type" : "class", (int)(name.n < 60 ? name.n : 60), name.p);
}

static kw_str word_of(const kw_json *root, const char *key)
{
    const kw_json *v = kw_json_get(root, key);
    return v && v->type == KW_JSON_STRING ? v->string : (kw_str){ NULL, 0 };
}

/* The class that the configuration names, or the one that models of this type have; without either it is GPT-2's. */
static kw_status choose_class(const kw_json *config, const kw_json *model, const pair_class **out)
{
    kw_str class = word_of(config, "tokenizer_class"), type = word_of(model, "model_type");
    if (!class.n) class = word_of(model, "tokenizer_class");
    if (!class.n && !type.n) return KW_OK;
    return find_class(class.n ? class : type, !class.n, out);
}

/* Names are text, or objects with flags; the first file that has one counts. */
static void take_names(const kw_json *root, pair_config *out)
{
    for (int i = 0; i < N_ROLES; i++) {
        const kw_json *v = kw_json_get(root, role_keys[i]), *name = v;
        if (v && v->type == KW_JSON_OBJECT) name = kw_json_get(v, "content");
        if (out->specials[i].n || !name || name->type != KW_JSON_STRING) continue;
        out->specials[i] = name->string;
        if (i == MASK) out->keeps_blanks = name != v && !flag_of(v, "lstrip");
    }
}

/* What lies beside `path` under the same prefix. */
static kw_status beside(const char *path, const char *name, kw_buf *out)
{
    kw_buf_clear(out);
    kw_buf_bytes(out, path, strlen(path) - strlen("vocab.json"));
    kw_buf_str(out, name);
    return out->status;
}

static kw_status read_config(const char *vocab_path, pair_config *out)
{
    static const char *const files[] = { "tokenizer_config.json", "special_tokens_map.json",
                                         "config.json" };
    kw_buf path = KW_BUF(8192, KW_PAY_TEXT);
    kw_json *roots[3] = { NULL, NULL, NULL };
    kw_status st = KW_OK;
    for (int i = 0; i < 3 && !st; i++) {
        st = beside(vocab_path, files[i], &path);
        if (!st) st = kw_json_read_file(kw_buf_text(&path), MAX_FILE, &out->trees, &roots[i]);
    }
    kw_buf_free(&path);
    if (!st)
        st = kw_note(choose_class(roots[0], roots[2], &out->class), "the configuration beside %s",
                     vocab_path);
    if (st) return st;
    out->adds_bos = flag_of(roots[0], "add_bos_token");
    out->adds_space = flag_of(roots[0], "add_prefix_space");
    out->added = kw_json_get(roots[0], "added_tokens_decoder");
    take_names(roots[0], out);
    take_names(roots[1], out);
    for (int i = 0; i < N_ROLES; i++)
        if (!out->specials[i].n && out->class->specials[i])
            out->specials[i] = kw_str_of(out->class->specials[i]);
    return KW_OK;
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

static int32_t id_of(const kw_tokenizer *t, kw_str name)
{
    return name.n ? kw_tokenizer_find(t, name.p, name.n) : -1;
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

/* Those that the vocabulary has; a mask swallows the blanks before it. */
static void mark_specials(kw_tokenizer *t, const pair_config *c)
{
    for (int32_t i = 0; i < t->n; i++) {
        kw_token *k = &t->tokens[i];
        for (int r = 0; r < N_ROLES && k->text.n; r++) {
            if (!kw_str_eq(k->text, c->specials[r])) continue;
            k->type = KW_TOKEN_CONTROL;
            k->strip_left = r == MASK && !c->keeps_blanks;
        }
    }
}

/* After finish: the ids are known, and nothing stands around a text yet. */
static void put_around(kw_tokenizer *t, const pair_config *c)
{
    kw_special_ids s = { .bos = id_of(t, c->specials[BOS]),
                         .eos = id_of(t, c->specials[EOS]),
                         .pad = id_of(t, c->specials[PAD]),
                         .unk = -1 };
    int32_t first = c->class->wraps ? id_of(t, c->specials[CLS])
                    : c->adds_bos   ? s.bos
                                    : -1,
            last = c->class->wraps ? id_of(t, c->specials[SEP]) : -1;
    if (s.bos < 0) s.bos = s.eos;
    s.adds_bos = first >= 0;
    s.adds_eos = last >= 0;
    if (s.adds_bos) t->before[t->n_before++] = first;
    if (s.adds_eos) t->after[t->n_after++] = last;
    t->special = s;
}

static kw_status read_pair(kw_tokenizer *t, const pair_config *c, kw_str vocab, kw_str merges)
{
    kw_status st = prepare(t, c);
    if (!st) st = read_vocab(t, vocab, c->added);
    if (st) return st;
    mark_specials(t, c);
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
    kw_status st = read_config(vocab_path, &c);
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
