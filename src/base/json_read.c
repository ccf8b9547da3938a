/* json_read.c - walks a JSON document once, allocating only to unescape strings.
 *
 * Strict RFC 8259: what the grammar does not have (comments, trailing commas, NaN, leading zeros or
 * plus signs, single quotes, a byte order mark) is an error with line and column. Line and column
 * are counted only then, by walking from the start again.
 *
 * Most of a big document is strings, so their scan looks at eight bytes at a time for anything that
 * needs a closer look: a quote, a backslash, a control character, a byte above ASCII.
 *
 * Every container that is entered raises `depth` and clears `comma`; asking for its next member
 * sets `comma`, so a caller who forgets to read a value gets an error, not a wrong answer. */
#include "base/decimal.h"
#include "base/json.h"
#include "base/utf8.h"
#include <stdio.h>
#include <string.h>

kw_status kw_json_error(kw_json_reader *r, const char *what)
{
    if (r->status) return r->status;
    size_t line = 1, column = 1;
    for (const char *p = r->start; p < r->at; p++) {
        column += (*p & 0xC0) != 0x80; /* characters, not bytes */
        if (*p != '\n') continue;
        line++;
        column = 1;
    }
    return r->status = kw_fail(KW_EFORMAT, "line %zu, column %zu: %s", line, column, what);
}

/* Always false, so that readers can return it. */
static bool fail_expected(kw_json_reader *r, const char *wanted)
{
    char what[160];
    unsigned char c = r->at < r->end ? (unsigned char)*r->at : 0;
    if (r->at == r->end)
        snprintf(what, sizeof what, "expected %s, found the end of the text", wanted);
    else if (c > ' ' && c < 0x7F) snprintf(what, sizeof what, "expected %s, found '%c'", wanted, c);
    else snprintf(what, sizeof what, "expected %s, found byte 0x%02X", wanted, c);
    kw_json_error(r, what);
    return false;
}

static bool fail_at(kw_json_reader *r, const char *at, const char *what)
{
    r->at = at;
    kw_json_error(r, what);
    return false;
}

void kw_json_open(kw_json_reader *r, const char *text, size_t len)
{
    *r = (kw_json_reader){
        .at = text, .start = text, .end = len ? text + len : text, .text = KW_BUF(len, KW_PAY_TEXT)
    };
    if (len >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0)
        kw_json_error(r, "JSON begins with a byte order mark");
}

void kw_json_close(kw_json_reader *r) { kw_buf_free(&r->text); }

/* The next character that is not space, or NUL at the end and after a failure. */
static char next_char(kw_json_reader *r)
{
    const char *p = r->at, *end = r->end;
    if (r->status) return '\0';
    while (p < end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t')) p++;
    r->at = p;
    return p < end ? *p : '\0';
}

/* ---- strings ---- */

static uint64_t repeat(uint8_t byte) { return byte * UINT64_C(0x0101010101010101); }

/* Nonzero when one of the eight bytes is zero. */
static uint64_t any_zero(uint64_t x) { return (x - repeat(0x01)) & ~x & repeat(0x80); }

/* Skips bytes that a string may simply contain. */
static const char *skip_plain(const char *p, const char *end)
{
    for (uint64_t x; end - p >= 8; p += 8) {
        memcpy(&x, p, 8);
        uint64_t control = (x - repeat(0x20)) & ~x & repeat(0x80), high = x & repeat(0x80);
        if (control | high | any_zero(x ^ repeat('"')) | any_zero(x ^ repeat('\\'))) break;
    }
    while (p < end && *p >= ' ' && *p != '"' && *p != '\\' && (*p & 0x80) == 0) p++;
    return p;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Escapes of one letter, each followed by what it stands for. */
static const char escapes[] = "\"\"\\\\//b\bf\fn\nr\rt\t";

static const char *find_escape(char letter)
{
    for (const char *e = escapes; *e; e += 2)
        if (*e == letter) return e;
    return NULL;
}

/* p is behind a backslash; returns the end of the escape, or NULL when there is none such. */
static const char *skip_escape(const char *p, const char *end)
{
    if (p == end) return NULL;
    if (*p != 'u') return find_escape(*p) ? p + 1 : NULL;
    if (end - p < 5) return NULL;
    for (int i = 1; i <= 4; i++)
        if (hex_digit(p[i]) < 0) return NULL;
    return p + 5;
}

/* Checks one string and steps over it; *raw is what stands between the quotes. */
static bool scan_string(kw_json_reader *r, kw_str *raw, bool *has_escapes)
{
    *has_escapes = false;
    if (next_char(r) != '"' || r->status) return fail_expected(r, "a string");
    const char *start = r->at + 1, *end = r->end, *p = start;
    while ((p = skip_plain(p, end)) < end && *p != '"') {
        uint32_t cp;
        bool ok = true;
        if (*p == '\\') {
            const char *behind = skip_escape(p + 1, end);
            if (!behind) return fail_at(r, p, "unknown escape in a string");
            *has_escapes = true;
            p = behind;
            continue;
        }
        if ((*p & 0x80) == 0) return fail_at(r, p, "a string contains a control character");
        p += kw_utf8_decode(p, (size_t)(end - p), &cp, &ok);
        if (!ok) return fail_at(r, p - 1, "a string is not valid UTF-8");
    }
    if (p == end) return fail_at(r, p, "the text ends inside a string");
    *raw = (kw_str){ start, (size_t)(p - start) };
    r->at = p + 1;
    return true;
}

static uint32_t hex4(const char *p)
{
    uint32_t v = 0;
    for (int i = 0; i < 4; i++) v = v << 4 | (uint32_t)hex_digit(p[i]);
    return v;
}

/* Reads the 4 digits at p, and the low half that may follow a high surrogate. */
static const char *unescape_unicode(kw_buf *out, const char *p, const char *end)
{
    uint32_t cp = hex4(p), low = 0;
    bool is_high = cp >= 0xD800 && cp <= 0xDBFF;
    if (is_high && end - p >= 10 && p[4] == '\\' && p[5] == 'u') low = hex4(p + 6);
    p += 4;
    if (low >= 0xDC00 && low <= 0xDFFF) {
        cp = 0x10000 + ((cp - 0xD800) << 10) + (low - 0xDC00);
        p += 6;
    }
    kw_buf_codepoint(out, cp); /* a surrogate that is still alone becomes U+FFFD */
    return p;
}

/* `raw` has been scanned: its escapes are well-formed. */
static bool unescape(kw_json_reader *r, kw_str raw, kw_str *out)
{
    const char *p = raw.p, *end = raw.p + raw.n;
    kw_buf_clear(&r->text);
    while (p < end) {
        const char *slash = memchr(p, '\\', (size_t)(end - p));
        kw_buf_bytes(&r->text, p, (size_t)((slash ? slash : end) - p));
        if (!slash) break;
        if (slash[1] == 'u') {
            p = unescape_unicode(&r->text, slash + 2, end);
        } else {
            kw_buf_byte(&r->text, find_escape(slash[1])[1]);
            p = slash + 2;
        }
    }
    r->status = r->text.status;
    *out = (kw_str){ kw_buf_text(&r->text), r->text.len };
    return !r->status;
}

bool kw_json_string(kw_json_reader *r, kw_str *out)
{
    kw_str raw;
    bool has_escapes;
    if (!scan_string(r, &raw, &has_escapes)) return false;
    if (has_escapes) return unescape(r, raw, out);
    *out = raw;
    return true;
}

/* ---- numbers and literals ---- */

static const char *skip_digits(const char *p, const char *end)
{
    while (p < end && *p >= '0' && *p <= '9') p++;
    return p;
}

/* The end of the number at p, or NULL when the grammar does not have it. */
static const char *number_end(const char *p, const char *end, bool *is_integer)
{
    *is_integer = true;
    if (p < end && *p == '-') p++;
    const char *whole = p;
    p = skip_digits(p, end);
    if (p == whole || (*whole == '0' && p > whole + 1)) return NULL;
    if (p < end && *p == '.') {
        *is_integer = false;
        const char *fraction = ++p;
        p = skip_digits(p, end);
        if (p == fraction) return NULL;
    }
    if (p < end && (*p == 'e' || *p == 'E')) {
        *is_integer = false;
        p++;
        if (p < end && (*p == '+' || *p == '-')) p++;
        const char *exponent = p;
        p = skip_digits(p, end);
        if (p == exponent) return NULL;
    }
    return p;
}

static bool scan_number(kw_json_reader *r, kw_str *text, bool *is_integer)
{
    char c = next_char(r);
    if (c != '-' && (c < '0' || c > '9')) return fail_expected(r, "a number");
    const char *p = number_end(r->at, r->end, is_integer);
    if (!p) return fail_at(r, r->at, "malformed number");
    *text = (kw_str){ r->at, (size_t)(p - r->at) };
    r->at = p;
    return true;
}

static bool float_of(kw_json_reader *r, kw_str text, double *out)
{
    if (!kw_decimal_read(text, out) || *out - *out != 0)
        return fail_at(r, text.p, "a number too large for a double");
    return true;
}

bool kw_json_float(kw_json_reader *r, double *out)
{
    kw_str text;
    bool is_integer;
    return scan_number(r, &text, &is_integer) && float_of(r, text, out);
}

bool kw_json_int(kw_json_reader *r, int64_t *out)
{
    kw_str text;
    bool is_integer;
    double v;
    if (!scan_number(r, &text, &is_integer)) return false;
    if (is_integer && kw_str_i64(text, out)) return true;
    if (is_integer) return fail_at(r, text.p, "an integer that does not fit 64 bits");
    if (!float_of(r, text, &v)) return false;
    if (!(v >= -0x1p63 && v < 0x1p63) || (double)(int64_t)v != v)
        return fail_at(r, text.p, "expected an integer, found a fraction");
    *out = (int64_t)v;
    return true;
}

static bool take_word(kw_json_reader *r, const char *word)
{
    size_t n = strlen(word);
    next_char(r);
    if (r->status || (size_t)(r->end - r->at) < n || memcmp(r->at, word, n) != 0) return false;
    r->at += n;
    return true;
}

bool kw_json_bool(kw_json_reader *r, bool *out)
{
    *out = take_word(r, "true");
    return *out || take_word(r, "false") || fail_expected(r, "true or false");
}

bool kw_json_null(kw_json_reader *r) { return take_word(r, "null"); }

/* ---- containers ---- */

static bool enter(kw_json_reader *r, char opener, const char *wanted)
{
    if (next_char(r) != opener || r->status) return fail_expected(r, wanted);
    if (r->depth == KW_JSON_MAX_DEPTH) return fail_at(r, r->at, "nested too deeply (512 levels)");
    r->at++;
    r->depth++;
    r->comma = false;
    return true;
}

/* Steps to the next member; false when the container closes here (and is left) or on failure. */
static bool next_member(kw_json_reader *r, char closer)
{
    char c = next_char(r);
    if (r->status) return false;
    if (c == closer) {
        r->at++;
        r->depth--;
        r->comma = true; /* the container was a member of the outer one */
        return false;
    }
    if (r->comma) {
        if (c != ',') return fail_expected(r, closer == '}' ? "',' or '}'" : "',' or ']'");
        r->at++;
        if (next_char(r) == closer) return fail_at(r, r->at, "a comma with nothing behind it");
    }
    r->comma = true;
    return true;
}

static bool take_colon(kw_json_reader *r)
{
    if (next_char(r) != ':') return fail_expected(r, "':'");
    r->at++;
    return true;
}

bool kw_json_enter_object(kw_json_reader *r) { return enter(r, '{', "an object"); }

bool kw_json_enter_array(kw_json_reader *r) { return enter(r, '[', "an array"); }

bool kw_json_next_key(kw_json_reader *r, kw_str *key)
{
    return next_member(r, '}') && kw_json_string(r, key) && take_colon(r);
}

bool kw_json_next_item(kw_json_reader *r) { return next_member(r, ']'); }

/* ---- any value ---- */

kw_json_type kw_json_peek(kw_json_reader *r)
{
    bool is_integer = false;
    int64_t ignored;
    char c = next_char(r);
    if (r->status) return KW_JSON_NULL;
    if (c == '"') return KW_JSON_STRING;
    if (c == '{') return KW_JSON_OBJECT;
    if (c == '[') return KW_JSON_ARRAY;
    if (c == 't' || c == 'f') return KW_JSON_BOOL;
    if (c == '-' || (c >= '0' && c <= '9')) {
        const char *end = number_end(r->at, r->end, &is_integer);
        kw_str text = { r->at, end ? (size_t)(end - r->at) : 0 };
        return is_integer && kw_str_i64(text, &ignored) ? KW_JSON_INT : KW_JSON_FLOAT;
    }
    if (c != 'n') fail_expected(r, "a value");
    return KW_JSON_NULL;
}

static bool skip_scalar(kw_json_reader *r, char first)
{
    kw_str raw;
    bool ignored;
    if (first == '"') return scan_string(r, &raw, &ignored);
    if (first == '-' || (first >= '0' && first <= '9')) return scan_number(r, &raw, &ignored);
    bool is_word = take_word(r, "true") || take_word(r, "false") || take_word(r, "null");
    return is_word || fail_expected(r, "a value");
}

static bool skip_key(kw_json_reader *r)
{
    kw_str raw;
    bool ignored;
    return scan_string(r, &raw, &ignored) && take_colon(r);
}

bool kw_json_skip(kw_json_reader *r)
{
    char closers[KW_JSON_MAX_DEPTH]; /* of the containers entered here, innermost last */
    int n = 0;
    do {
        if (n && !next_member(r, closers[n - 1])) {
            n--; /* left it; after a failure this unwinds to the end */
            continue;
        }
        if (n && closers[n - 1] == '}' && !skip_key(r)) continue;
        char c = next_char(r);
        if (c != '{' && c != '[') skip_scalar(r, c);
        else if (enter(r, c, "a value")) closers[n++] = c == '{' ? '}' : ']';
    } while (n > 0);
    return !r->status;
}

bool kw_json_end(kw_json_reader *r)
{
    next_char(r);
    if (r->status) return false;
    return r->at == r->end || fail_at(r, r->at, "something follows the end of the JSON value");
}
