/* load_spm.c - SentencePiece's tokenizer.model: a protocol buffer, of which three messages matter.
 *
 *   1 pieces (repeated): 1 piece, 2 score, 3 type        2 trainer: 3 model type, 35 byte_fallback, 40 unk, 41 bos, 42 eos, 43 pad
 *   3 normalizer: 2 map of characters, 3 add_dummy_prefix, 4 remove_extra_whitespaces */
#include "text/internal.h"
#include <stdio.h>
#include <string.h>

typedef struct field {
    uint32_t number, wire;
    uint64_t value; /* varint, or the bits of a fixed32 */
    kw_str bytes;
} field;

static bool varint(kw_cursor *c, uint64_t *out)
{
    uint8_t b = 0x80;
    *out = 0;
    for (int shift = 0; shift < 64 && (b & 0x80); shift += 7) {
        if (!kw_cursor_u8(c, &b)) return false;
        *out |= (uint64_t)(b & 0x7f) << shift;
    }
    if (b & 0x80) c->failed = true;
    return !c->failed;
}

static bool next_field(kw_cursor *c, field *f)
{
    uint64_t tag, len;
    uint32_t word;
    if (kw_cursor_left(c) == 0 || !varint(c, &tag)) return false;
    *f = (field){ .number = (uint32_t)(tag >> 3), .wire = (uint32_t)(tag & 7) };
    if (f->wire == 0) return varint(c, &f->value);
    if (f->wire == 1) return kw_cursor_u64(c, &f->value);
    if (f->wire == 2) return varint(c, &len) && kw_cursor_bytes(c, len, &f->bytes);
    if (f->wire != 5 || !kw_cursor_u32(c, &word)) {
        c->failed = true;
        return false;
    }
    f->value = word;
    return true;
}

static kw_cursor inside(kw_str bytes)
{
    return kw_cursor_of(bytes.p, bytes.n, "the SentencePiece model");
}

static kw_status read_piece(kw_tokenizer *t, kw_str bytes, kw_token *out)
{
    kw_cursor c = inside(bytes);
    field f;
    while (next_field(&c, &f)) {
        if (f.number == 1 && f.wire == 2) out->text = f.bytes;
        if (f.number == 2 && f.wire == 5) {
            kw_cursor score = kw_cursor_of(&f.value, 4, "score");
            kw_cursor_f32(&score, &out->score);
        }
        if (f.number == 3 && f.wire == 0 && f.value >= KW_TOKEN_NORMAL && f.value <= KW_TOKEN_BYTE)
            out->type = (uint8_t)f.value;
    }
    if (c.failed) return kw_cursor_fail(&c);
    out->text.p = kw_arena_strdup(&t->arena, out->text.p ? out->text.p : "", out->text.n);
    return out->text.p ? KW_OK : KW_ENOMEM;
}

static kw_status read_trainer(kw_tokenizer *t, kw_str bytes)
{
    kw_cursor c = inside(bytes);
    field f;
    uint64_t model = 1; /* unigram unless said otherwise */
    while (next_field(&c, &f)) {
        if (f.wire != 0) continue;
        if (f.number == 3) model = f.value;
        if (f.number == 35) t->byte_fallback = f.value != 0;
        if (f.number == 40) t->special.unk = (int32_t)f.value;
        if (f.number == 41) t->special.bos = (int32_t)f.value;
        if (f.number == 42) t->special.eos = (int32_t)f.value;
        if (f.number == 43) t->special.pad = (int32_t)f.value;
    }
    if (c.failed) return kw_cursor_fail(&c);
    t->model = model == 1 ? KW_VOCAB_UNIGRAM : KW_VOCAB_SPM;
    return model == 1 || model == 2
               ? KW_OK
               : kw_fail(KW_EUNSUPPORTED,
                         "a SentencePiece model of type %llu: known are Unigram (1) and BPE (2)",
                         (unsigned long long)model);
}

static kw_status read_normalizer(kw_tokenizer *t, kw_str bytes, bool *squeezes)
{
    kw_cursor c = inside(bytes);
    field f;
    kw_status st = KW_OK;
    while (!st && next_field(&c, &f)) {
        if (f.number == 3 && f.wire == 0) t->add_prefix_space = f.value != 0;
        if (f.number == 4 && f.wire == 0) *squeezes = f.value != 0;
        if (f.number != 2 || f.wire != 2) continue;
        kw_str kept = { kw_arena_strdup(&t->arena, f.bytes.p, f.bytes.n), f.bytes.n };
        st = kept.p ? kw_charsmap_open(kept, &t->charsmap) : KW_ENOMEM;
    }
    return !st && c.failed ? kw_cursor_fail(&c) : st;
}

static kw_status read_model(kw_tokenizer *t, kw_str all)
{
    kw_cursor c = inside(all);
    field f;
    size_t n = 0;
    bool squeezes = true;
    kw_status st = KW_OK;
    while (next_field(&c, &f)) n += f.number == 1 && f.wire == 2;
    if (c.failed) return kw_cursor_fail(&c);
    st = kw_tokenizer_reserve(t, n);
    c = inside(all);
    for (n = 0; !st && next_field(&c, &f);) {
        if (f.wire != 2) continue;
        if (f.number == 1) st = read_piece(t, f.bytes, &t->tokens[n++]);
        if (f.number == 2) st = read_trainer(t, f.bytes);
        if (f.number == 3) st = read_normalizer(t, f.bytes, &squeezes);
    }
    return st ? st
              : kw_tokenizer_add_norm(t,
                                      (kw_norm){ .kind = KW_NORM_SENTENCEPIECE, .form = squeezes });
}

static kw_status keep_scores(kw_tokenizer *t)
{
    t->scores = kw_arena_alloc(&t->arena, (size_t)t->n, sizeof *t->scores);
    if (!t->scores) return KW_ENOMEM;
    for (int32_t i = 0; i < t->n; i++) t->scores[i] = (double)t->tokens[i].score;
    return KW_OK;
}

/* fairseq put its own four in front and a mask behind: 0 <s>, 1 <pad>, 2 </s>, 3 <unk>; SentencePiece's first three are <unk>, <s>
 * and </s>, and the others moved up by one. */
static kw_status as_fairseq(kw_tokenizer *t)
{
    static const char *const names[] = { "<s>", "<pad>", "</s>", "<unk>" };
    const kw_token *from = t->tokens;
    int32_t n = t->n;
    if (n < 4 || !kw_str_is(from[0].text, "<unk>") || !kw_str_is(from[1].text, "<s>") ||
        !kw_str_is(from[2].text, "</s>"))
        return kw_fail(KW_EFORMAT, "a model of fairseq begins with <unk>, <s> and </s>");
    kw_status st = kw_tokenizer_reserve(t, (size_t)n + 2);
    if (st) return st;
    for (int32_t i = 3; i < n; i++) t->tokens[i + 1] = from[i];
    for (int32_t i = 0; i < 4; i++)
        t->tokens[i] = (kw_token){ .text = kw_str_of(names[i]),
                                   .type = i == 3 ? KW_TOKEN_UNKNOWN : KW_TOKEN_CONTROL };
    t->tokens[n + 1] =
        (kw_token){ .text = KW_STR("<mask>"), .type = KW_TOKEN_CONTROL, .strip_left = true };
    t->special = (kw_special_ids){ .bos = 0, .eos = 2, .pad = 1, .unk = 3 };
    t->special.adds_bos = t->special.adds_eos = true;
    return KW_OK;
}

static kw_status parse(kw_tokenizer *t, const char *text, size_t len, bool is_fairseq)
{
    t->model = KW_VOCAB_UNIGRAM;
    t->add_prefix_space = true;
    t->special = (kw_special_ids){ .bos = 1, .eos = 2, .pad = -1, .unk = 0 };
    kw_status st = read_model(t, (kw_str){ text, len });
    bool is_unigram = t->model == KW_VOCAB_UNIGRAM;
    t->special.adds_bos = !is_unigram;
    t->special.adds_eos = is_unigram;
    t->single_scores = true;
    t->drops_first_space = t->add_prefix_space;
    if (!st && is_fairseq) st = as_fairseq(t);
    if (!st && is_unigram) st = keep_scores(t);
    for (int32_t i = 0; i < t->n; i++)
        if (t->tokens[i].type == KW_TOKEN_UNKNOWN) t->tokens[i].bytes = KW_STR(" \xe2\x81\x87 ");
    snprintf(t->kind, sizeof t->kind, "SentencePiece %s", is_unigram ? "Unigram" : "BPE");
    return st ? st : kw_tokenizer_finish(t);
}

kw_status kw_parse_sentencepiece(kw_tokenizer *t, const char *text, size_t len)
{
    return parse(t, text, len, false);
}

static kw_status load(kw_tokenizer *t, const char *path, bool is_fairseq)
{
    char *text = NULL;
    size_t len;
    kw_status st = kw_file_read(path, (size_t)64 << 20, &text, &len);
    if (!st) st = kw_note(parse(t, text, len, is_fairseq), "%s", path);
    kw_free(text);
    return st;
}

kw_status kw_load_sentencepiece(kw_tokenizer *t, const char *path) { return load(t, path, false); }

kw_status kw_word_beside(const char *path, const char *file, const char *key, char word[64])
{
    kw_buf name = KW_BUF(8192, KW_PAY_TEXT);
    kw_arena trees = KW_ARENA(KW_PAY_TEXT);
    kw_json *root = NULL;
    const char *slash = strrchr(path, '/');
    kw_buf_printf(&name, "%.*s%s", slash ? (int)(slash - path + 1) : 0, path, file);
    kw_status st = name.status;
    if (!st) st = kw_json_read_file(kw_buf_text(&name), (size_t)64 << 20, &trees, &root);
    const kw_json *v = st ? NULL : kw_json_get(root, key);
    kw_str s = v && v->type == KW_JSON_STRING ? v->string : KW_STR("");
    snprintf(word, 64, "%.*s", (int)(s.n < 60 ? s.n : 60), s.p);
    kw_arena_free(&trees);
    kw_buf_free(&name);
    return st;
}

/* XLM-RoBERTa, CamemBERT, mBART and NLLB call their file so and count ids in ways of their own; one of them is known. */
kw_status kw_load_fairseq(kw_tokenizer *t, const char *path)
{
    char class[64], type[64];
    kw_status st = kw_word_beside(path, "tokenizer_config.json", "tokenizer_class", class);
    if (!st) st = kw_word_beside(path, "config.json", "model_type", type);
    if (st) return st;
    bool is_known =
        class[0] ? kw_has_word("XLMRobertaTokenizer XLMRobertaTokenizerFast", kw_str_of(class))
                 : strcmp(type, "xlm-roberta") == 0;
    if (is_known) return load(t, path, true);
    return kw_fail(
        KW_EUNSUPPORTED,
        "%s: a tokenizer of class \"%s\" (model type \"%s\")\n"
        "why: files of this name count ids in several ways, and that of XLMRobertaTokenizer "
        "is the one known\ntry: its tokenizer.json",
        path, class, type);
}
