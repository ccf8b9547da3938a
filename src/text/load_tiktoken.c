/* load_tiktoken.c - OpenAI's rank files: a line is a token's bytes in base64, a space, and its rank, which is its id.
 *
 * There are no merges: two neighbours join when what they are together is a token, the lowest rank first. That is
 * told to the merge table as every way to cut a token in two. Patterns and special tokens are not in the file, so only
 * the files of GPT-2 and Whisper are read, which are known by their number of ranks; Whisper's special tokens follow
 * the last one. */
#include "text/internal.h"
#include <stdio.h>
#include <string.h>

enum {
    MAX_FILE = 64 << 20,
    MAX_LINES = 1 << 22,
    GPT2_RANKS = 50256,
    WHISPER_RANKS = 50257,
    N_TIMES = 1501,
    MAX_TOKEN = 512
};

static const char before_languages[] = "<|endoftext|> <|startoftranscript|>";
static const char languages[] =
    "en zh de es ru ko fr ja pt tr pl ca nl ar sv it id hi fi vi he uk el ms cs ro da hu ta no th "
    "ur hr bg lt la mi ml "
    "cy sk te fa lv bn sr az sl kn et mk br eu is hy ne mn bs kk sq sw gl mr pa si km sn yo so af "
    "oc ka be tg sd gu am "
    "yi lo uz fo ht ps tk nn mt sa lb my bo tl mg as tt haw ln ha ba jw su";
static const char after_languages[] =
    "<|translate|> <|transcribe|> <|startoflm|> <|startofprev|> <|nospeech|> "
    "<|notimestamps|>";

/* The next line: token and rank; false at the end. */
static bool next_line(kw_str *text, kw_str *token, kw_str *rank)
{
    while (text->n) {
        const char *end = memchr(text->p, '\n', text->n);
        kw_str line = { text->p, end ? (size_t)(end - text->p) : text->n };
        text->p += line.n + (end != NULL);
        text->n -= line.n + (end != NULL);
        if (line.n && line.p[line.n - 1] == '\r') line.n--;
        if (line.n == 0) continue;
        const char *space = memchr(line.p, ' ', line.n);
        size_t n = space ? (size_t)(space - line.p) : line.n;
        *token = (kw_str){ line.p, n };
        *rank = (kw_str){ line.p + n + (space != NULL), line.n - n - (space != NULL) };
        return true;
    }
    return false;
}

static size_t n_words(const char *list)
{
    size_t n = 1;
    for (; *list; list++) n += *list == ' ';
    return n;
}

static size_t n_specials(void)
{
    return n_words(before_languages) + n_words(languages) + n_words(after_languages) + N_TIMES;
}

static kw_status add_special(kw_tokenizer *t, int32_t id, const char *format, kw_str name)
{
    kw_buf text = KW_BUF(64, KW_PAY_TEXT);
    kw_buf_printf(&text, format, (int)name.n, name.p);
    char *kept = text.status ? NULL : kw_arena_strdup(&t->arena, kw_buf_text(&text), text.len);
    if (kept) t->tokens[id] = (kw_token){ .text = { kept, text.len }, .type = KW_TOKEN_CONTROL };
    kw_buf_free(&text);
    return kept ? KW_OK : KW_ENOMEM;
}

static kw_status add_list(kw_tokenizer *t, int32_t *id, const char *format, const char *list)
{
    kw_status st = KW_OK;
    while (*list && !st) {
        kw_str name = { list, strcspn(list, " ") };
        st = add_special(t, (*id)++, format, name);
        list += name.n + (list[name.n] == ' ');
    }
    return st;
}

static kw_status add_specials(kw_tokenizer *t, int32_t id)
{
    t->special.eos = t->special.bos = id;
    kw_status st = add_list(t, &id, "%.*s", before_languages);
    if (!st) st = add_list(t, &id, "<|%.*s|>", languages);
    if (!st) st = add_list(t, &id, "%.*s", after_languages);
    for (int i = 0; i < N_TIMES && !st; i++) {
        char time[32];
        int n = snprintf(time, sizeof time, "<|%d.%02d|>", i / 50, i % 50 * 2);
        st = add_special(t, id++, "%.*s", (kw_str){ time, (size_t)n });
    }
    return st;
}

static kw_status read_tokens(kw_tokenizer *t, kw_str text)
{
    kw_str rest = text, token, rank;
    int64_t id, most = -1;
    size_t n = 0;
    kw_status st = KW_OK;
    for (; next_line(&rest, &token, &rank); n++) {
        if (!kw_str_i64(rank, &id) || id < 0 || id > MAX_LINES)
            return kw_fail(KW_EFORMAT, "line %zu: \"%.*s\" is no rank", n + 1,
                           (int)(rank.n < 32 ? rank.n : 32), rank.p);
        most = id > most ? id : most;
    }
    if (most > (int64_t)n + 1024)
        return kw_fail(KW_EFORMAT, "the largest rank is %lld in %zu lines", (long long)most, n);
    if (most + 1 != GPT2_RANKS && most + 1 != WHISPER_RANKS)
        return kw_fail(KW_EUNSUPPORTED,
                       "%lld ranks: how text is cut is known only for GPT-2's %d and Whisper's %d",
                       (long long)most + 1, GPT2_RANKS, WHISPER_RANKS);
    st = kw_tokenizer_reserve(t, (size_t)(most + 1) + n_specials());
    if (!st) st = add_specials(t, (int32_t)most + 1);
    for (n = 0; !st && next_line(&text, &token, &rank); n++) {
        kw_str_i64(rank, &id);
        st = kw_base64_decode(token, &t->arena, &t->tokens[id].text);
        if (!st && t->tokens[id].text.n > MAX_TOKEN)
            st = kw_fail(KW_EFORMAT, "a token of %zu bytes", t->tokens[id].text.n);
        if (st) return kw_note(st, "line %zu", n + 1);
    }
    return st;
}

/* What GPT-2 calls a token, so that pieces look the same whatever file they come from. */
static kw_status name_token(kw_tokenizer *t, kw_token *k)
{
    kw_buf name = KW_BUF(1 << 20, KW_PAY_TEXT);
    for (size_t i = 0; i < k->text.n; i++)
        kw_buf_codepoint(&name, kw_bpe_name_of((unsigned char)k->text.p[i]));
    char *kept = name.status ? NULL : kw_arena_strdup(&t->arena, kw_buf_text(&name), name.len);
    if (kept) k->text = (kw_str){ kept, name.len };
    kw_buf_free(&name);
    return kept ? KW_OK : KW_ENOMEM;
}

static size_t n_cuts_of(const kw_tokenizer *t)
{
    size_t n = 0;
    for (int32_t i = 0; i < t->n; i++) n += t->tokens[i].bytes.n ? t->tokens[i].bytes.n - 1 : 0;
    return n;
}

static kw_status add_merges(kw_tokenizer *t)
{
    kw_status st = kw_bpe_reserve_merges(t, n_cuts_of(t));
    for (int32_t i = 0; i < t->n && !st; i++) {
        kw_str k = t->tokens[i].bytes;
        for (size_t cut = 1; cut < k.n; cut++) {
            int64_t a, b;
            bool both = kw_map_get(&t->by_bytes, (kw_str){ k.p, cut }, &a) &&
                        kw_map_get(&t->by_bytes, (kw_str){ k.p + cut, k.n - cut }, &b);
            if (both)
                kw_bpe_put_merge(t, (int32_t)a, (int32_t)b,
                                 (kw_merge){ .rank = (uint32_t)i, .id = i });
        }
    }
    return st;
}

kw_status kw_parse_tiktoken(kw_tokenizer *t, const char *text, size_t len)
{
    t->model = KW_VOCAB_BPE;
    t->byte_level = t->ignore_merges = true;
    kw_status st = read_tokens(t, (kw_str){ text, len });
    for (int32_t i = 0; !st && i < t->special.eos; i++) st = name_token(t, &t->tokens[i]);
    if (!st) st = kw_tokenizer_add_cuts_named(t, KW_STR("gpt-2"));
    if (!st) st = kw_tokenizer_finish(t);
    snprintf(t->kind, sizeof t->kind, "BPE (tiktoken)");
    return st ? st : add_merges(t);
}

kw_status kw_load_tiktoken(kw_tokenizer *t, const char *path)
{
    char *text = NULL;
    size_t len;
    kw_status st = kw_file_read(path, MAX_FILE, &text, &len);
    if (!st) st = kw_note(kw_parse_tiktoken(t, text, len), "%s", path);
    kw_free(text);
    return st;
}
