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

enum { SHORT_GRAPHEME = 6 };

static uint32_t unit_at(const kw_charsmap *m, size_t i)
{
    const unsigned char *p = (const unsigned char *)m->trie.p + 4 * i;
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static size_t offset_of(uint32_t unit) { return (size_t)(unit >> 10) << ((unit & 512) >> 6); }

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
    return KW_OK;
}

static kw_str text_at(const kw_charsmap *m, size_t at)
{
    if (at >= m->texts.n) return (kw_str){ "", 0 };
    const char *end = memchr(m->texts.p + at, 0, m->texts.n - at);
    return (kw_str){ m->texts.p + at, end ? (size_t)(end - m->texts.p) - at : m->texts.n - at };
}

enum { MAX_KEY = 256 }; /* bytes: a file's trie may go in circles */

/* The length of the longest (or shortest) key that text begins with, and its form; 0: none. */
static size_t look_up(const kw_charsmap *m, kw_str text, bool longest, kw_str *form)
{
    size_t n_units = m->trie.n / 4, found = 0;
    if (n_units == 0) return 0;
    size_t at = offset_of(unit_at(m, 0));
    for (size_t i = 0; i < text.n && i < MAX_KEY && text.p[i]; i++) {
        unsigned char byte = (unsigned char)text.p[i];
        at ^= byte;
        if (at >= n_units) break;
        uint32_t unit = unit_at(m, at);
        if ((unit & 0x800000FF) != byte) break;
        at ^= offset_of(unit);
        if (at >= n_units) break;
        if (!(unit & 256)) continue;
        *form = text_at(m, unit_at(m, at) & 0x7FFFFFFF);
        found = i + 1;
        if (!longest) break;
    }
    return found;
}

static void put_char(const kw_charsmap *m, kw_str c, kw_buf *out)
{
    kw_str form;
    if (look_up(m, c, false, &form)) kw_buf_bytes(out, form.p, form.n);
    else kw_buf_bytes(out, c.p, c.n);
}

kw_status kw_charsmap_apply(const kw_charsmap *m, kw_str text, kw_buf *out)
{
    for (size_t at = 0; at < text.n;) {
        size_t end = kw_unicode_grapheme(text, at);
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
    size_t len = look_up(m, text, true, form);
    if (len) return len;
    len = kw_utf8_decode(text.p, text.n, &cp, &ok);
    *form = ok ? (kw_str){ text.p, len } : KW_STR("\xef\xbf\xbd");
    return len;
}
