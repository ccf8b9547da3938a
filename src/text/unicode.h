/* unicode.h - the few facts of Unicode that splitting and normalising text need. */
#ifndef KW_TEXT_UNICODE_H
#define KW_TEXT_UNICODE_H

#include "base/base.h"

/* The class of a character, as a set: one of the first six, and its case. */
enum {
    KW_CP_OTHER = 0,
    KW_CP_LETTER = 1,
    KW_CP_NUMBER = 2,
    KW_CP_SPACE = 4,
    KW_CP_MARK = 8,
    KW_CP_PUNCTUATION = 16,
    KW_CP_SYMBOL = 32,
    KW_CP_UPPER = 64, /* upper or title case */
    KW_CP_LOWER = 128
};

unsigned kw_unicode_class(uint32_t cp); /* \p{L}, \p{N}, \s, ... of regular expressions */
static inline bool kw_is_space(uint32_t cp) { return kw_unicode_class(cp) & KW_CP_SPACE; }
static inline bool kw_is_letter(uint32_t cp) { return kw_unicode_class(cp) & KW_CP_LETTER; }
static inline bool kw_is_number(uint32_t cp) { return kw_unicode_class(cp) & KW_CP_NUMBER; }

/* What the Hugging Face library does to a character, by tables of its own. */
enum {
    KW_CP_BERT_ACCENT = 1, /* left out by BERT's accent stripping */
    KW_CP_ACCENT = 2,      /* left out by StripAccents */
    KW_CP_PUNCT = 4,       /* stands alone for Punctuation and BertPreTokenizer */
    KW_CP_BERT_CONTROL = 8,
    KW_CP_WORD = 16, /* \w */
    KW_CP_JOINS = 96 /* the mask of the three below */
};
enum { KW_JOIN_CONTROL = 32, KW_JOIN_EXTEND = 64, KW_JOIN_PREPEND = 96 };
unsigned kw_unicode_trait(uint32_t cp);
/* The end of the grapheme that begins at text[at]. Sequences of emoji, Hangul letters and flags are cut
 * into their characters: who asks treats these alike. */
size_t kw_unicode_grapheme(kw_str text, size_t at);
/* Lower case: one code point, and a mark behind it or 0. */
uint32_t kw_unicode_to_lower(uint32_t cp, uint32_t *mark);
/* The compatibility form of cp, fully decomposed, or 0 code points when it has none of its own. */
size_t kw_unicode_compat(uint32_t cp, const uint32_t **form);

unsigned kw_unicode_combining(uint32_t cp); /* the canonical combining class, 0..254 */
/* *first and *second (0: none) are what cp decomposes to, one step; false when it does not. */
bool kw_unicode_split(uint32_t cp, uint32_t *first, uint32_t *second);
/* The character that first and second compose to, or 0. */
uint32_t kw_unicode_join(uint32_t first, uint32_t second);

/* A normalisation form, appended to out. Bytes that are not UTF-8 are kept as they are. */
typedef enum kw_unicode_form { KW_NFC, KW_NFD, KW_NFKC, KW_NFKD } kw_unicode_form;
kw_status kw_unicode_normalize(kw_str text, kw_unicode_form form, kw_buf *out);
/* True when every character is below U+0300: such text is in form C already. */
bool kw_unicode_is_plain(kw_str text);

/* One character with its class: the step of every matcher. Malformed bytes are OTHER, one each. */
typedef struct kw_char {
    uint32_t cp;
    unsigned class;
    size_t len;
} kw_char;
kw_char kw_unicode_wide_char(const char *p, size_t n);
extern const unsigned char kw_unicode_ascii[128];
static inline kw_char kw_unicode_char(const char *p, size_t n) /* n > 0 */
{
    unsigned char first = (unsigned char)*p;
    if (first < 128) return (kw_char){ first, kw_unicode_ascii[first], 1 };
    return kw_unicode_wide_char(p, n);
}
/* Where the character before `at` begins. */
size_t kw_unicode_back(kw_str text, size_t at); /* at > 0 */

/* ---- unicode_tables.c ---- */
typedef struct kw_decomposition {
    uint32_t whole, first, second;
} kw_decomposition;
extern const uint32_t kw_unicode_classes[];
extern const int kw_unicode_n_classes;
extern const uint32_t kw_unicode_ccc[];
extern const int kw_unicode_n_ccc;
extern const kw_decomposition kw_unicode_decompositions[];
extern const int kw_unicode_n_decompositions;
extern const uint16_t kw_unicode_compositions[];
extern const int kw_unicode_n_compositions;
extern const uint32_t kw_unicode_traits[];
extern const int kw_unicode_n_traits;
typedef struct kw_compatible {
    uint32_t whole;
    uint16_t at, n; /* a slice of the pool */
} kw_compatible;
extern const kw_compatible kw_unicode_compatible[];
extern const int kw_unicode_n_compatible;
extern const uint32_t kw_unicode_compatible_pool[];
typedef struct kw_lower {
    uint32_t upper, lower;
} kw_lower;
extern const kw_lower kw_unicode_lower[];
extern const int kw_unicode_n_lower;

#endif
