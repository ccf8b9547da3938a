/* pretok.c - the regular expressions by which models cut text, as matchers written by hand.
 *
 * Most patterns in use are variations of one; a row says how they differ, and one matcher tries the alternatives in
 * their order:
 *
 *   contraction   's 't 're 've 'm 'll 'd, perhaps in any case
 *   letters       one optional character before (a space, or anything but newlines, letters and numbers), then \p{L}+
 *   numbers       at most so many \p{N}, perhaps after a space
 *   others        an optional space, then neither space, letter nor number, perhaps with the newlines behind
 *   newlines      spaces up to the last newline of a run
 *   spaces        a run, but its last one is left to the word behind it
 *
 * The rest are runs of characters of some kind, perhaps with a space before. Malformed UTF-8 is one byte of
 * "others". Every matcher looks at what it matches and a few characters more, so cutting takes linear time. */
#include "text/internal.h"
#include "text/unicode.h"
#include <string.h>

typedef enum prefix { NO_PREFIX, SPACE_PREFIX, ANY_PREFIX } prefix;

struct kw_rule {
    const char *name;
    const char *regex; /* in tokenizer.json, or NULL */
    size_t (*match)(const kw_rule *r, kw_str s, size_t at);
    bool any_case;         /* contractions */
    bool tail_case;        /* words in two cases, contractions belong to them */
    prefix before;         /* letters */
    prefix before_number;  /* numbers: a space, or nothing */
    int max_digits;        /* 0: any number of them */
    bool newlines;         /* others take newlines behind them; \s*[\r\n]+ is an alternative */
    bool slashes;          /* others take slashes behind them, too */
    bool no_spaces;        /* white space is no match; others have no space before them */
    bool (*is)(kw_char c); /* runs: what they consist of */
    int least, most;       /* runs: characters; most 0: no limit */
    bool any_space;        /* runs: \s? before */
};

#define L KW_CP_LETTER
#define N KW_CP_NUMBER
#define S KW_CP_SPACE
#define P KW_CP_PUNCTUATION

static kw_char look(kw_str s, size_t at)
{
    return at < s.n ? kw_unicode_char(s.p + at, s.n - at) : (kw_char){ 0 };
}

static bool is_other(kw_char c) { return c.len && !(c.class & (L | N | S)); }

static bool is_newline(kw_char c) { return c.cp == '\n' || c.cp == '\r'; }

static size_t run_of(kw_str s, size_t at, unsigned set)
{
    for (kw_char c = look(s, at); c.class & set; c = look(s, at)) at += c.len;
    return at;
}

static uint32_t lower(uint32_t c, bool any_case)
{
    if (any_case && c == 0x17f) return 's'; /* the long s folds to s */
    return any_case && c >= 'A' && c <= 'Z' ? c + 32 : c;
}

static size_t contraction(const kw_rule *r, kw_str s, size_t at)
{
    static const char *const tails[] = { "s", "t", "re", "ve", "m", "ll", "d" };
    if (at >= s.n || s.p[at] != '\'') return at;
    kw_char a = look(s, at + 1), b = look(s, at + 1 + a.len);
    for (size_t i = 0; i < sizeof tails / sizeof *tails && a.len; i++) {
        if (lower(a.cp, r->any_case) != (uint32_t)tails[i][0]) continue;
        if (!tails[i][1]) return at + 1 + a.len;
        if (b.len && lower(b.cp, r->any_case) == (uint32_t)tails[i][1])
            return at + 1 + a.len + b.len;
    }
    return at;
}

static size_t skip_prefix(prefix p, kw_str s, size_t at)
{
    kw_char c = look(s, at);
    bool skips = p == ANY_PREFIX     ? c.len && !(c.class & (L | N)) && !is_newline(c)
                 : p == SPACE_PREFIX ? c.cp == ' '
                                     : false;
    return skips ? at + c.len : at;
}

static size_t letters(const kw_rule *r, kw_str s, size_t at)
{
    size_t start = skip_prefix(r->before, s, at), end = run_of(s, start, L);
    return end > start ? end : at;
}

static size_t numbers(const kw_rule *r, kw_str s, size_t at)
{
    size_t start = skip_prefix(r->before_number, s, at), end = start;
    for (int i = 0; !r->max_digits || i < r->max_digits; i++) {
        kw_char c = look(s, end);
        if (!(c.class & N)) break;
        end += c.len;
    }
    return end > start ? end : at;
}

static size_t others(const kw_rule *r, kw_str s, size_t at)
{
    size_t start = skip_prefix(r->no_spaces ? NO_PREFIX : SPACE_PREFIX, s, at), end = start;
    for (kw_char c = look(s, end); is_other(c); c = look(s, end)) end += c.len;
    if (end == start) return at;
    while (r->newlines && end < s.n &&
           (s.p[end] == '\n' || s.p[end] == '\r' || (r->slashes && s.p[end] == '/')))
        end++;
    return end;
}

static size_t newlines(const kw_rule *r, kw_str s, size_t at)
{
    size_t last = at;
    if (!r->newlines) return at;
    for (kw_char c = look(s, at); c.class & S; c = look(s, at)) {
        at += c.len;
        if (is_newline(c)) last = at;
    }
    return last;
}

static size_t spaces(const kw_rule *r, kw_str s, size_t at)
{
    size_t end = at, before = at;
    if (r->no_spaces) return at;
    for (kw_char c = look(s, at); c.class & S; c = look(s, end)) {
        before = end;
        end += c.len;
    }
    return end < s.n && before > at ? before : end;
}

typedef size_t (*alternative)(const kw_rule *r, kw_str s, size_t at);

static size_t first_of(const alternative *list, const kw_rule *r, kw_str s, size_t at)
{
    for (; *list; list++) {
        size_t end = (*list)(r, s, at);
        if (end > at) return end;
    }
    return at;
}

static size_t words(const kw_rule *r, kw_str s, size_t at)
{
    static const alternative list[] = { contraction, letters, numbers, others,
                                        newlines,    spaces,  NULL };
    return first_of(list, r, s, at);
}

/* Upper case, then lower case; letters without case and marks are both:
 * [^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+, else + and * changed over. */
static bool may_lead(kw_char c) { return c.class & (L | KW_CP_MARK) && !(c.class & KW_CP_LOWER); }
static bool may_follow(kw_char c) { return c.class & (L | KW_CP_MARK) && !(c.class & KW_CP_UPPER); }

static size_t two_cases(kw_str s, size_t start)
{
    size_t lead = start, last_both = start, end;
    bool has_both = false;
    for (kw_char c = look(s, lead); may_lead(c); c = look(s, lead)) {
        if (may_follow(c)) {
            has_both = true;
            last_both = lead + c.len;
        }
        lead += c.len;
    }
    end = lead;
    for (kw_char c = look(s, end); may_follow(c); c = look(s, end)) end += c.len;
    if (end > lead) return end;
    return has_both ? last_both : start;
}

static size_t cased_letters(const kw_rule *r, kw_str s, size_t at)
{
    size_t start = skip_prefix(ANY_PREFIX, s, at), end = two_cases(s, start);
    if (end == start && start > at) end = two_cases(s, start = at);
    if (end ==
        start) { /* no lower case: all upper case letters, behind the prefix if there is one */
        start = skip_prefix(ANY_PREFIX, s, at);
        end = start;
        for (kw_char c = look(s, end); may_lead(c); c = look(s, end)) end += c.len;
        if (end == start) return at;
    }
    return r->tail_case ? contraction(r, s, end) : end;
}

static size_t cased_words(const kw_rule *r, kw_str s, size_t at)
{
    static const alternative list[] = { cased_letters, numbers, others, newlines, spaces, NULL };
    return first_of(list, r, s, at);
}

/* DeepSeek V3: letters take marks with them, signs the letters behind them. */
static bool is_ascii_letter(kw_char c) { return (c.cp | 32) >= 'a' && (c.cp | 32) <= 'z'; }

static size_t sign_and_letters(const kw_rule *r, kw_str s, size_t at)
{
    kw_char c = look(s, at);
    size_t end = at + 1;
    (void)r;
    if (c.cp >= 128 || !(c.class & (P | KW_CP_SYMBOL))) return at;
    for (c = look(s, end); is_ascii_letter(c); c = look(s, end)) end++;
    return end > at + 1 ? end : at;
}

static size_t marked_letters(const kw_rule *r, kw_str s, size_t at)
{
    kw_char c = look(s, at);
    (void)r;
    bool skips = c.len && !(c.class & (L | P | KW_CP_SYMBOL)) && !is_newline(c);
    size_t start = skips ? at + c.len : at, end = run_of(s, start, L | KW_CP_MARK);
    if (end == start && skips) end = run_of(s, start = at, L | KW_CP_MARK);
    return end > start ? end : at;
}

static size_t signs(const kw_rule *r, kw_str s, size_t at)
{
    size_t start = skip_prefix(SPACE_PREFIX, s, at), end = run_of(s, start, P | KW_CP_SYMBOL);
    (void)r;
    if (end == start) return at;
    while (end < s.n && (s.p[end] == '\n' || s.p[end] == '\r')) end++;
    return end;
}

static size_t marked_words(const kw_rule *r, kw_str s, size_t at)
{
    static const alternative list[] = { sign_and_letters, marked_letters, signs,
                                        newlines,         spaces,         NULL };
    return first_of(list, r, s, at);
}

/* ---- runs ---- */

static size_t run(const kw_rule *r, kw_str s, size_t at)
{
    kw_char c = look(s, at);
    size_t start = r->any_space && c.class & S && !r->is(c) ? at + c.len : at, end = start;
    int n = 0;
    for (c = look(s, end); (!r->most || n < r->most) && c.len && r->is(c); c = look(s, end), n++)
        end += c.len;
    return n >= r->least && n > 0 ? end : at;
}

/* White space that ends the text or a line: up to the last newline of a run, or all of the last run. */
static size_t last_spaces(const kw_rule *r, kw_str s, size_t at)
{
    (void)r;
    size_t end = at, line = at;
    if (at && look(s, kw_unicode_back(s, at)).class & S)
        return at; /* its run was looked at before */
    for (kw_char c = look(s, at); c.class & S; c = look(s, end)) {
        if (c.cp == '\n') line = end;
        end += c.len;
    }
    return end == s.n ? end : line;
}

static bool is_letter(kw_char c) { return c.class & L; }
static bool is_number(kw_char c) { return c.class & N; }
static bool is_space(kw_char c) { return c.class & S; }
static bool is_line_end(kw_char c) { return is_newline(c); }
static bool is_ascii_digit(kw_char c) { return c.cp >= '0' && c.cp <= '9'; }
static bool is_cased(kw_char c) { return c.class & (KW_CP_UPPER | KW_CP_LOWER); }
static bool is_punctuation(kw_char c) { return c.class & P; }
static bool is_sign(kw_char c) { return c.class & P || (c.cp < 128 && c.class & KW_CP_SYMBOL); }
static bool is_split_sign(kw_char c) { return kw_unicode_trait(c.cp) & KW_CP_PUNCT; }
static bool is_word(kw_char c) { return kw_unicode_trait(c.cp) & KW_CP_WORD; }
static bool is_no_word(kw_char c) { return !(c.class & S) && !is_word(c); }

static bool is_ideograph(kw_char c)
{
    return (c.cp >= 0x4E00 && c.cp <= 0x9FA5) || (c.cp >= 0x800 && c.cp <= 0x4E00) ||
           (c.cp >= 0xAC00 && c.cp <= 0xD7FF);
}

static bool is_kana_or_ideograph(kw_char c)
{
    return (c.cp >= 0x4E00 && c.cp <= 0x9FA5) || (c.cp >= 0x3040 && c.cp <= 0x30FF);
}

static bool is_wide_sign(kw_char c)
{
    bool is_narrow = c.cp < 128 && c.class & (P | KW_CP_SYMBOL);
    return is_narrow || (c.cp >= 0xFF01 && c.cp <= 0xFF0F) || (c.cp >= 0xFF1A && c.cp <= 0xFF5E) ||
           (c.cp >= 0x2018 && c.cp <= 0x201F) || (c.cp >= 0x3000 && c.cp <= 0x3002);
}

static size_t word_or_rest(const kw_rule *r, kw_str s, size_t at)
{
    kw_char c = look(s, at);
    bool word = is_word(c);
    (void)r;
    for (; c.len && (word ? is_word(c) : is_no_word(c)); c = look(s, at)) at += c.len;
    return at;
}

#define GPT2_REGEX "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)"
#define LLAMA3_REGEX(digits)                                                                       \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" digits                           \
    "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define LEAD "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define FOLLOW "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define CASED_REGEX(tail, digits)                                                                  \
    "[^\\r\\n\\p{L}\\p{N}]?" LEAD "*" FOLLOW "+" tail "|[^\\r\\n\\p{L}\\p{N}]?" LEAD "+" FOLLOW    \
    "*" tail "|" digits "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define TAIL "(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
#define V3_REGEX                                                                                   \
    "[!\"#$%&'()*+,\\-./"                                                                          \
    ":;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+"               \
    "| ?[\\p{P}\\p{S}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

/* clang-format off */
static const kw_rule rules[] = {
    { .name = "gpt-2", .regex = GPT2_REGEX "|\\s+", .match = words, .before = SPACE_PREFIX, .before_number = SPACE_PREFIX },
    { .name = "gpt-2-open", .regex = GPT2_REGEX, .match = words, .before = SPACE_PREFIX, .before_number = SPACE_PREFIX },
    { .name = "llama-3", .regex = LLAMA3_REGEX("\\p{N}{1,3}"), .match = words, .any_case = true, .before = ANY_PREFIX,
      .max_digits = 3, .newlines = true },
    { .name = "qwen2", .regex = LLAMA3_REGEX("\\p{N}"), .match = words, .any_case = true, .before = ANY_PREFIX,
      .max_digits = 1, .newlines = true },
    { .name = "clip", .regex = "'s|'t|'re|'ve|'m|'ll|'d|[\\p{L}]+|[\\p{N}]|[^\\s\\p{L}\\p{N}]+", .match = words,
      .max_digits = 1, .no_spaces = true },
    { .name = "tekken", .regex = CASED_REGEX("", "\\p{N}"), .match = cased_words, .max_digits = 1, .newlines = true,
      .slashes = true },
    { .name = "gpt-4o", .regex = CASED_REGEX(TAIL, "\\p{N}{1,3}"), .match = cased_words, .any_case = true,
      .tail_case = true, .max_digits = 3, .newlines = true, .slashes = true },
    { .name = "deepseek-v3", .regex = V3_REGEX, .match = marked_words, .newlines = true },
    { .name = "digit", .regex = "\\p{N}", .match = run, .is = is_number, .most = 1 },
    { .name = "digits", .regex = "\\p{N}+", .match = run, .is = is_number },
    { .name = "digits-3", .regex = "\\p{N}{1,3}", .match = run, .is = is_number, .most = 3 },
    { .name = "ascii-3", .regex = "[0-9][0-9][0-9]", .match = run, .is = is_ascii_digit, .least = 3, .most = 3 },
    { .name = "ascii-3", .regex = "[0-9]{3}", .match = run, .is = is_ascii_digit, .least = 3, .most = 3 },
    { .name = "newline", .regex = "[\r\n]", .match = run, .is = is_line_end, .most = 1 },
    { .name = "newline", .regex = "[\\r\\n]", .match = run, .is = is_line_end, .most = 1 },
    { .name = "space-letters", .regex = "\\s?\\p{L}+", .match = run, .is = is_letter, .any_space = true },
    { .name = "space-cased", .match = run, .is = is_cased, .any_space = true },
    { .name = "space-punctuation", .regex = "\\s?\\p{P}+", .match = run, .is = is_punctuation, .any_space = true },
    { .name = "space-signs", .match = run, .is = is_wide_sign, .any_space = true },
    { .name = "last-spaces", .regex = "\\s+$", .match = last_spaces },
    { .name = "ideographs", .regex = "[一-龥ࠀ-一가-퟿]+", .match = run, .is = is_ideograph },
    { .name = "kana", .regex = "[一-龥぀-ゟ゠-ヿ]+", .match = run, .is = is_kana_or_ideograph },
    { .name = "signs", .regex = "[\\p{P}\\$\\+<=>\\^~\\|`]+", .match = run, .is = is_sign },
    { .name = "punctuation", .match = run, .is = is_split_sign, .most = 1 },
    { .name = "spaces", .regex = "\\s+", .match = run, .is = is_space },
    { .name = "space", .regex = "\\s", .match = run, .is = is_space, .most = 1 },
    { .name = "words", .regex = "\\w+|[^\\w\\s]+", .match = word_or_rest },
    /* Without a matcher: they run through PCRE2. */
    { .name = "bloom", .regex = " ?[^(\\s|.,!?…。，、।۔،)]+" },
    { .name = "thousands", .regex = "\\d{1,3}(?=(?:\\d{3})*\\b)" },
    { .name = "threes", .regex = "(?=(\\d{3})+(?!\\d))" },
    { .name = "bailing", .regex = "'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*"
                                  "|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+" },
    { .name = "seed", .regex = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1}| ?[^\\s\\p{L}\\p{N}\\r\\n]+"
                               "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+" },
    { .name = "qwen3.5", .regex = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}"
                                  "| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+" },
    { .name = "exaone-moe", .regex = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?(?:\\p{L}\\p{M}*(?: \\p{L}\\p{M}*)*)+"
                                     "|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]?|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+" },
    { .name = "turkish", .regex = "[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+"
                                  "|\\s+(?!\\S)|\\s+" },
};

/* What a name in GGUF's tokenizer.ggml.pre stands for: steps, and what models of that kind do besides. */
enum { WHOLE = 1, BOS = 2 }; /* a piece that is a token is taken whole; a text begins with BOS unless the file says otherwise */
static const struct { const char *names, *steps; int flags; } named[] = {
    { "gpt-2 default gpt2 mpt olmo jais roberta-bpe phi-2 gigachat trillion jina-es jina-de jina-v2-es jina-v2-de jina-v1-en "
      "jina-v2-code a.x-4.0 mellum modern-bert exaone4 granite-docling", "gpt-2", 0 },
    { "llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano", "llama-3", WHOLE | BOS },
    { "glm4 glm5", "llama-3", WHOLE },
    { "dbrx smaug-bpe chatglm-bpe", "llama-3", 0 },
    { "qwen2 deepseek-r1-qwen stablelm2 kormo f2llmv2 megrez hunyuan solar-open grok-2", "qwen2", 0 },
    { "smollm starcoder refact command-r codeshell exaone minerva-7b mellum2", "digit gpt-2", 0 },
    { "falcon", "signs gpt-2-open ascii-3", 0 },
    { "tekken", "tekken", WHOLE | BOS },
    { "gpt-4o llama4 kanana2 talkie minimax-m2", "gpt-4o", 0 },
    { "deepseek-coder", "newline space-letters space-punctuation ideographs digit", 0 },
    { "deepseek-llm", "newline space-cased space-signs last-spaces ideographs digits", 0 },
    { "deepseek-v3 hunyuan-dense joyai-llm hy_v4", "digits-3 kana deepseek-v3", 0 },
    { "bloom poro-chat gpt3-finnish", "bloom", 0 },
    { "viking", "bloom digit", 0 },
    { "tiny_aya cohere2moe", "thousands gpt-4o", 0 },
    { "superbpe", "digits threes", 0 },
    { "bailingmoe bailingmoe2 llada-moe", "bailing", 0 },
    { "seed-coder", "seed", 0 },
    { "qwen35", "qwen3.5", 0 },
    { "exaone-moe", "exaone-moe", 0 },
    { "ufakzeka", "turkish", 0 },
};
/* clang-format on */

size_t kw_rule_match(const kw_rule *r, kw_str text, size_t at) { return r->match(r, text, at); }

bool kw_rule_begins(const kw_rule *r, char ascii)
{
    return r->match != run || r->any_space || r->is(kw_unicode_char(&ascii, 1));
}

static const kw_rule *rule_called(kw_str name)
{
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (kw_str_is(name, rules[i].name)) return &rules[i];
    return NULL;
}

const kw_rule *kw_rule_named(const char *name) { return rule_called(kw_str_of(name)); }

const kw_rule *kw_rule_of_pattern(kw_str regex)
{
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (rules[i].match && rules[i].regex && kw_str_is(regex, rules[i].regex)) return &rules[i];
    return NULL;
}

/* The next word of a list. */
static bool next_word(const char **list, kw_str *word)
{
    *list += strspn(*list, " ");
    *word = (kw_str){ *list, strcspn(*list, " ") };
    *list += word->n;
    return word->n > 0;
}

bool kw_has_word(const char *list, kw_str wanted)
{
    kw_str word;
    while (next_word(&list, &word))
        if (kw_str_eq(word, wanted)) return true;
    return false;
}

static kw_status add_step(kw_tokenizer *t, kw_str name)
{
    const kw_rule *r = rule_called(name);
    if (!r->match) return kw_tokenizer_add_cut_at(t, kw_str_of(r->regex), (kw_cut){ 0 });
    return kw_tokenizer_add_cut(t, (kw_cut){ .kind = KW_CUT_RULE, .rule = r });
}

kw_status kw_tokenizer_add_cuts_named(kw_tokenizer *t, kw_str name)
{
    kw_str word;
    for (size_t i = 0; i < sizeof named / sizeof *named; i++) {
        const char *steps = named[i].steps;
        kw_status st = KW_OK;
        if (!kw_has_word(named[i].names, name)) continue;
        if (named[i].flags & WHOLE) t->ignore_merges = true;
        if (named[i].flags & BOS) t->special.adds_bos = true;
        while (!st && next_word(&steps, &word)) st = add_step(t, word);
        return st;
    }
    return kw_fail(KW_EUNSUPPORTED,
                   "pre-tokenizer \"%.*s\" is not known\n"
                   "why: without its rules the ids would be wrong\n"
                   "try: --tokenizer with the model's tokenizer.json",
                   (int)(name.n < 200 ? name.n : 200), name.p);
}
/* Is this cut the step `word`? A match that is kept alone is the same as a gap that is dropped. */
static bool is_step(const kw_cut *c, kw_str word)
{
    bool is_alone =
        (c->behavior == KW_ISOLATED && !c->invert) || (c->behavior == KW_REMOVED && c->invert);
    return c->kind == KW_CUT_RULE && is_alone && kw_str_is(word, c->rule->name);
}

kw_str kw_tokenizer_cuts_name(const kw_tokenizer *t)
{
    kw_str word, name = { NULL, 0 };
    int first = t->n_cuts && t->cuts[0].kind == KW_CUT_PREFIX_SPACE;
    for (size_t i = 0; i < sizeof named / sizeof *named; i++) {
        const char *steps = named[i].steps, *names = named[i].names;
        int at = first;
        while (next_word(&steps, &word))
            if (at < t->n_cuts && is_step(&t->cuts[at], word)) at++;
            else at = KW_MAX_CUTS + 1;
        if (at != t->n_cuts) continue;
        bool is_whole = (named[i].flags & WHOLE) != 0;
        if (!name.n || is_whole == t->ignore_merges) next_word(&names, &name);
        if (is_whole == t->ignore_merges) return name;
    }
    return name;
}

kw_str kw_rule_pattern(const kw_rule *r) { return kw_str_of(r->regex ? r->regex : ""); }

const char *kw_rule_name(const kw_rule *r) { return r->name; }
#undef L
#undef N
#undef S
#undef P
