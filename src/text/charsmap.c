/* charsmap.c - SentencePiece's own map of characters to their normal form ("precompiled_charsmap").
 *
 *     u32 bytes of the trie | trie: u32 units | texts, each ending in a zero byte
 *
 * The trie is a double array in 32-bit units: an offset to the children (10 bits up, or 18 when bit 9 is set),
 * a label in the low byte, bit 8 says that a value hangs below, which is where the text begins. Two readers
 * exist that do not agree: SentencePiece takes the longest key at each place; the Hugging Face library asks for a
 * whole grapheme if that is short, takes the *shortest* key in it and drops what is left over. */
#include "text/internal.h"
#include "text/unicode.h"
#include <string.h>

enum { SHORT_GRAPHEME = 6, HAS_VALUE = 256 };

static uint32_t unit_at(const kw_charsmap *m, size_t i)
{
    const unsigned char *p = (const unsigned char *)m->trie.p + 4 * i;
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static size_t offset_of(uint32_t unit) { return (size_t)(unit >> 10) << ((unit & 512) >> 6); }

static kw_str text_at(const kw_charsmap *m, size_t at)
{
    if (at >= m->texts.n) return (kw_str){ "", 0 };
    const char *end = memchr(m->texts.p + at, 0, m->texts.n - at);
    return (kw_str){ m->texts.p + at, end ? (size_t)(end - m->texts.p) - at : m->texts.n - at };
}

/* Moves *at along the edge of this byte, if there is one; the unit there says what hangs below. */
static bool follow(const kw_charsmap *m, size_t *at, unsigned char byte, uint32_t *unit)
{
    *at ^= byte;
    if (*at >= m->trie.n / 4) return false;
    *unit = unit_at(m, *at);
    *at ^= offset_of(*unit);
    return (*unit & 0x800000FF) == byte;
}

enum { MAX_KEY = 256 }; /* bytes: a file's trie may go in circles */

/* The length of the longest (or shortest) key that text begins with, and its form; 0: none. */
static size_t look_up(const kw_charsmap *m, kw_str text, bool longest, kw_str *form)
{
    size_t n_units = m->trie.n / 4, found = 0;
    uint32_t unit;
    if (n_units == 0) return 0;
    size_t at = offset_of(unit_at(m, 0));
    for (size_t i = 0; i < text.n && i < MAX_KEY && text.p[i]; i++) {
        if (!follow(m, &at, (unsigned char)text.p[i], &unit) || at >= n_units) break;
        if (!(unit & HAS_VALUE)) continue;
        *form = text_at(m, unit_at(m, at) & 0x7FFFFFFF);
        found = i + 1;
        if (!longest) break;
    }
    return found;
}

/* Printable ASCII that stays as it is unless something else than ASCII follows. */
static void find_plain(kw_charsmap *m)
{
    for (unsigned char c = ' '; c < 0x7f; c++) {
        uint32_t unit = 0, ignored;
        size_t node = offset_of(unit_at(m, 0));
        bool is_key = follow(m, &node, c, &unit);
        m->plain[c] = !(is_key && unit & HAS_VALUE);
        for (unsigned char next = 1; is_key && next < 128; next++) {
            size_t below = node;
            if (follow(m, &below, next, &ignored)) m->plain[c] = false;
        }
    }
}

kw_status kw_charsmap_open(kw_str blob, kw_charsmap *m)
{
    kw_cursor c = kw_cursor_of(blob.p, blob.n, "the character map");
    uint32_t size;
    *m = (kw_charsmap){ 0 };
    if (blob.n == 0) return KW_OK;
    if (!kw_cursor_u32(&c, &size) || !kw_cursor_bytes(&c, size, &m->trie))
        return kw_cursor_fail(&c);
    if (size % 4 || size == 0)
        return kw_fail(KW_EFORMAT, "the character map's trie has %u bytes, not a number of units",
                       size);
    m->texts = (kw_str){ blob.p + 4 + size, blob.n - 4 - size };
    find_plain(m);
    return KW_OK;
}

/* The end of the characters from `at` on that surely stay as they are. */
static size_t skip_plain(const kw_charsmap *m, kw_str text, size_t at)
{
    size_t end = at;
    while (end < text.n && (unsigned char)text.p[end] < 128 && m->plain[(unsigned char)text.p[end]])
        end++;
    bool is_open = end > at && end < text.n && (unsigned char)text.p[end] >= 128;
    return is_open ? end - 1 : end;
}

static void put_char(const kw_charsmap *m, kw_str c, kw_buf *out)
{
    kw_str form;
    if (look_up(m, c, false, &form)) kw_buf_bytes(out, form.p, form.n);
    else kw_buf_bytes(out, c.p, c.n);
}

kw_status kw_charsmap_apply(const kw_charsmap *m, kw_str text, kw_buf *out)
{
    for (size_t at = 0, end; at < text.n;) {
        size_t plain = skip_plain(m, text, at);
        kw_buf_bytes(out, text.p + at, plain - at);
        at = plain;
        if (at == text.n) break;
        end = kw_unicode_grapheme(text, at);
        kw_str form, whole = { text.p + at, end - at };
        bool is_found = whole.n < SHORT_GRAPHEME && look_up(m, whole, false, &form);
        if (is_found) kw_buf_bytes(out, form.p, form.n);
        while (!is_found && at < end) {
            uint32_t cp;
            size_t len = kw_utf8_decode(text.p + at, text.n - at, &cp, NULL);
            put_char(m, (kw_str){ text.p + at, len }, out);
            at += len;
        }
        at = end;
    }
    return out->status;
}

size_t kw_charsmap_longest(const kw_charsmap *m, kw_str text, kw_str *form)
{
    uint32_t cp;
    bool ok;
    size_t len = m->trie.n ? skip_plain(m, text, 0) : text.n;
    *form = (kw_str){ text.p, len };
    if (!len) len = look_up(m, text, true, form);
    if (len) return len;
    len = kw_utf8_decode(text.p, text.n, &cp, &ok);
    *form = ok ? (kw_str){ text.p, len } : KW_STR("\xef\xbf\xbd");
    return len;
}
