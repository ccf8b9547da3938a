/* load_vocab_txt.c - BERT's vocab.txt: a piece a line, its number is its id.
 *
 * Whether letters keep their case is not in the file. A vocabulary that has a piece of one capital letter is cased. */
#include "text/internal.h"
#include <stdio.h>
#include <string.h>

enum { MAX_FILE = 64 << 20 };

static kw_str next_line(kw_str *text)
{
    const char *end = memchr(text->p, '\n', text->n);
    kw_str line = { text->p, end ? (size_t)(end - text->p) : text->n };
    text->p += line.n + (end != NULL);
    text->n -= line.n + (end != NULL);
    if (line.n && line.p[line.n - 1] == '\r') line.n--;
    return line;
}

kw_status kw_tokenizer_add_bert_norms(kw_tokenizer *t, kw_bert_options o)
{
    kw_status st = KW_OK;
    if (o.clean) st = kw_tokenizer_add_norm(t, (kw_norm){ .kind = KW_NORM_BERT_CLEAN });
    if (!st && o.ideographs) st = kw_tokenizer_add_norm(t, (kw_norm){ .kind = KW_NORM_IDEOGRAPHS });
    if (!st && o.accents)
        st = kw_tokenizer_add_norm(t, (kw_norm){ .kind = KW_NORM_FORM, .form = 1 });
    if (!st && o.accents)
        st = kw_tokenizer_add_norm(t, (kw_norm){ .kind = KW_NORM_ACCENTS, .form = 1 });
    if (!st && o.lower) st = kw_tokenizer_add_norm(t, (kw_norm){ .kind = KW_NORM_LOWER });
    return st;
}

kw_status kw_tokenizer_add_bert_cuts(kw_tokenizer *t)
{
    kw_cut spaces = { .kind = KW_CUT_RULE, .rule = kw_rule_named("space"), .behavior = KW_REMOVED };
    kw_status st = kw_tokenizer_add_cut(t, spaces);
    kw_cut signs = { .kind = KW_CUT_RULE, .rule = kw_rule_named("punctuation") };
    return st ? st : kw_tokenizer_add_cut(t, signs);
}

static int32_t id_of(const kw_tokenizer *t, const char *name)
{
    return kw_tokenizer_find(t, name, strlen(name));
}

/* The tokens are there: BERT's special ones by name, its steps, its frame of [CLS] and [SEP]. */
kw_status kw_tokenizer_finish_bert(kw_tokenizer *t, bool is_cased)
{
    static const char *const names[] = { "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]" };
    t->model = KW_VOCAB_WORDPIECE;
    t->prefix = KW_STR("##");
    t->max_word = 100;
    t->joins_words = t->cleans_up = true;
    for (int32_t i = 0; i < t->n; i++)
        for (size_t j = 0; j < sizeof names / sizeof *names; j++)
            if (kw_str_is(t->tokens[i].text, names[j])) t->tokens[i].type = KW_TOKEN_CONTROL;
    bool lower = !is_cased;
    kw_status st = kw_tokenizer_add_bert_norms(t, (kw_bert_options){ true, true, lower, lower });
    if (!st) st = kw_tokenizer_add_bert_cuts(t);
    if (!st) st = kw_tokenizer_finish(t);
    if (st) return st;
    kw_special_ids s = {
        id_of(t, "[CLS]"), id_of(t, "[SEP]"), id_of(t, "[PAD]"), id_of(t, "[UNK]"), true, true
    };
    s.adds_bos = s.bos >= 0;
    s.adds_eos = s.eos >= 0;
    t->special = s;
    if (s.adds_bos) t->before[t->n_before++] = s.bos;
    if (s.adds_eos) t->after[t->n_after++] = s.eos;
    return KW_OK;
}

bool kw_tokenizer_has_capitals(const kw_tokenizer *t)
{
    for (int32_t i = 0; i < t->n; i++)
        if (t->tokens[i].text.n == 1 && t->tokens[i].text.p[0] >= 'A' &&
            t->tokens[i].text.p[0] <= 'Z')
            return true;
    return false;
}

kw_status kw_parse_vocab_txt(kw_tokenizer *t, const char *text, size_t len)
{
    kw_str rest = { text, len };
    size_t n = 0;
    for (; rest.n; n++) next_line(&rest);
    kw_status st = kw_tokenizer_reserve(t, n);
    rest = (kw_str){ text, len };
    for (size_t i = 0; i < n && !st; i++) {
        kw_str line = next_line(&rest);
        t->tokens[i].text = (kw_str){ kw_arena_strdup(&t->arena, line.p, line.n), line.n };
        if (!t->tokens[i].text.p) st = KW_ENOMEM;
    }
    if (st) return st;
    bool is_cased = kw_tokenizer_has_capitals(t);
    snprintf(t->kind, sizeof t->kind, "WordPiece (vocab.txt, %s)", is_cased ? "cased" : "uncased");
    return kw_tokenizer_finish_bert(t, is_cased);
}

kw_status kw_load_vocab_txt(kw_tokenizer *t, const char *path)
{
    char *text = NULL;
    size_t len;
    kw_status st = kw_file_read(path, MAX_FILE, &text, &len);
    if (!st) st = kw_note(kw_parse_vocab_txt(t, text, len), "%s", path);
    kw_free(text);
    return st;
}
