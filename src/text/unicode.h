/* unicode.h - the few facts of Unicode that splitting and normalising text need. */
#ifndef KW_TEXT_UNICODE_H
#define KW_TEXT_UNICODE_H

#include "base/base.h"

/* The class of a character, as a set so that several can be asked for at once. */
enum { KW_CP_OTHER = 0, KW_CP_LETTER = 1, KW_CP_NUMBER = 2, KW_CP_SPACE = 4 };

unsigned kw_unicode_class(uint32_t cp); /* \p{L}, \p{N}, \s of regular expressions */
static inline bool kw_is_letter(uint32_t cp) { return kw_unicode_class(cp) == KW_CP_LETTER; }
static inline bool kw_is_number(uint32_t cp) { return kw_unicode_class(cp) == KW_CP_NUMBER; }
static inline bool kw_is_space(uint32_t cp) { return kw_unicode_class(cp) == KW_CP_SPACE; }

unsigned kw_unicode_combining(uint32_t cp); /* the canonical combining class, 0..254 */
/* *first and *second (0: none) are what cp decomposes to, one step; false when it does not. */
bool kw_unicode_split(uint32_t cp, uint32_t *first, uint32_t *second);
/* The character that first and second compose to, or 0. */
uint32_t kw_unicode_join(uint32_t first, uint32_t second);

/* Normalisation form C, appended to out. Bytes that are not UTF-8 are kept as they are. */
kw_status kw_unicode_nfc(kw_str text, kw_buf *out);
/* True when every character is below U+0300: such text is in form C already. */
bool kw_unicode_is_plain(kw_str text);

/* One character with its class: the step of every matcher. Malformed bytes are OTHER, one each. */
typedef struct kw_char {
    uint32_t cp;
    unsigned class;
    size_t len;
} kw_char;
kw_char kw_unicode_char(const char *p, size_t n); /* n > 0 */

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

#endif
