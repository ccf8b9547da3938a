/* pretok.c - cuts text into the pieces within which BPE merges, as the models' regular expressions do.
 *
 * The patterns in use are variations of one; a row says how they differ, and one matcher tries the alternatives in
 * their order:
 *
 *   contraction   's 't 're 've 'm 'll 'd, perhaps in any case
 *   letters       one optional character before (a space, or anything but newlines, letters and numbers), then \p{L}+
 *   numbers       at most so many \p{N}, perhaps after a space
 *   others        an optional space, then neither space, letter nor number, perhaps with the newlines behind
 *   newlines      spaces up to the last newline of a run
 *   spaces        a run, but its last one is left to the word behind it
 *
 * Malformed UTF-8 is one byte of "others". */
#include "text/internal.h"
#include "text/unicode.h"

struct kw_pretok {
    const char *names[4];    /* tokenizer.ggml.pre */
    const char *regex;       /* in tokenizer.json, or NULL */
    bool only_digits;        /* every number alone, the rest in one piece: a step before another */
    bool any_case;           /* contractions */
    bool letters_any_prefix; /* [^\r\n\p{L}\p{N}]? before letters instead of an optional space */
    int max_digits;          /* 0: any number of them, after an optional space */
    bool newlines;           /* others take newlines behind them; \s*[\r\n]+ is an alternative */
};

#define GPT2_REGEX                                                                                 \
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"
#define LLAMA3_REGEX(digits)                                                                       \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" digits                           \
    "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

static const kw_pretok rows[] = {
    { .names = { "gpt-2", "default", "gpt2" }, .regex = GPT2_REGEX },
    { .names = { "llama-bpe", "llama3", "llama-v3" },
      .regex = LLAMA3_REGEX("\\p{N}{1,3}"),
      .any_case = true,
      .letters_any_prefix = true,
      .max_digits = 3,
      .newlines = true },
    { .names = { "qwen2", "deepseek-r1-qwen" },
      .regex = LLAMA3_REGEX("\\p{N}"),
      .any_case = true,
      .letters_any_prefix = true,
      .max_digits = 1,
      .newlines = true },
    { .names = { "digits" }, .only_digits = true },
};

const kw_pretok *kw_pretok_named(kw_str name)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (int j = 0; j < 4 && rows[i].names[j]; j++)
            if (kw_str_is(name, rows[i].names[j])) return &rows[i];
    return NULL;
}

const kw_pretok *kw_pretok_of_pattern(kw_str regex)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].regex && kw_str_is(regex, rows[i].regex)) return &rows[i];
    return NULL;
}

const char *kw_pretok_name(const kw_pretok *p) { return p->names[0]; }

typedef enum { LETTER, NUMBER, SPACE, OTHER, END } class_of;

typedef struct cp {
    uint32_t code;
    class_of class;
    size_t next; /* where the following one begins */
} cp;

static cp look(kw_str s, size_t at)
{
    cp c = { .class = END, .next = at };
    bool ok;
    if (at >= s.n) return c;
    c.next = at + kw_utf8_decode(s.p + at, s.n - at, &c.code, &ok);
    c.class = !ok                    ? OTHER
              : kw_is_letter(c.code) ? LETTER
              : kw_is_number(c.code) ? NUMBER
              : kw_is_space(c.code)  ? SPACE
                                     : OTHER;
    return c;
}

static size_t run_of(kw_str s, size_t at, class_of class)
{
    for (cp c = look(s, at); c.class == class; c = look(s, at)) at = c.next;
    return at;
}

static bool is_newline(cp c) { return c.class == SPACE && (c.code == '\n' || c.code == '\r'); }

static uint32_t lower(uint32_t c, bool any_case)
{
    if (any_case && c == 0x17f) return 's'; /* the long s folds to s */
    return any_case && c >= 'A' && c <= 'Z' ? c + 32 : c;
}

static size_t contraction(const kw_pretok *p, kw_str s, size_t at)
{
    static const char *const tails[] = { "s", "t", "re", "ve", "m", "ll", "d" };
    if (at >= s.n || s.p[at] != '\'') return at;
    cp a = look(s, at + 1), b = look(s, a.next);
    for (size_t i = 0; i < sizeof tails / sizeof *tails; i++) {
        if (a.class == END || lower(a.code, p->any_case) != (uint32_t)tails[i][0]) continue;
        if (!tails[i][1]) return a.next;
        if (b.class != END && lower(b.code, p->any_case) == (uint32_t)tails[i][1]) return b.next;
    }
    return at;
}

static size_t letters(const kw_pretok *p, kw_str s, size_t at)
{
    cp c = look(s, at);
    size_t start = at;
    bool prefix = p->letters_any_prefix ? c.class == OTHER || (c.class == SPACE && !is_newline(c))
                                        : c.class == SPACE && c.code == ' ';
    if (prefix) start = c.next;
    size_t end = run_of(s, start, LETTER);
    return end > start ? end : at;
}

static size_t numbers(const kw_pretok *p, kw_str s, size_t at)
{
    cp c = look(s, at);
    if (p->max_digits) {
        size_t end = at;
        for (int i = 0; i < p->max_digits && look(s, end).class == NUMBER; i++)
            end = look(s, end).next;
        return end;
    }
    size_t start = c.class == SPACE && c.code == ' ' ? c.next : at;
    size_t end = run_of(s, start, NUMBER);
    return end > start ? end : at;
}

static size_t others(const kw_pretok *p, kw_str s, size_t at)
{
    cp c = look(s, at);
    size_t start = c.class == SPACE && c.code == ' ' ? c.next : at;
    size_t end = run_of(s, start, OTHER);
    if (end == start) return at;
    while (p->newlines && is_newline(look(s, end))) end++;
    return end;
}

static size_t newlines(const kw_pretok *p, kw_str s, size_t at)
{
    size_t last = at;
    if (!p->newlines) return at;
    for (cp c = look(s, at); c.class == SPACE; c = look(s, c.next))
        if (is_newline(c)) last = c.next;
    return last;
}

static size_t spaces(const kw_pretok *p, kw_str s, size_t at)
{
    (void)p;
    size_t end = at, before = at;
    for (cp c = look(s, at); c.class == SPACE; c = look(s, end)) {
        before = end;
        end = c.next;
    }
    return end < s.n && before > at ? before : end;
}

static size_t next_digits(kw_str s, size_t at)
{
    cp c = look(s, at);
    if (c.class == NUMBER) return c.next;
    while (c.class != END && c.class != NUMBER) c = look(s, at = c.next);
    return at;
}

size_t kw_pretok_next(const kw_pretok *p, kw_str text, size_t at)
{
    static size_t (*const alternatives[])(const kw_pretok *, kw_str, size_t) = {
        contraction, letters, numbers, others, newlines, spaces,
    };
    if (p->only_digits) return next_digits(text, at);
    for (size_t i = 0; i < sizeof alternatives / sizeof *alternatives; i++) {
        size_t end = alternatives[i](p, text, at);
        if (end > at) return end;
    }
    return look(text, at).next;
}
