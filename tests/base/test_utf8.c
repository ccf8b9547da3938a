/* test_utf8.c - strict UTF-8, against the definition: a sequence is valid when it is the encoding,
 * by the arithmetic of RFC 3629, of a code point that is no surrogate. */
#include "base/base.h"
#include "test.h"

enum { LAST = 0x10FFFF };

/* The textbook encoder. */
static size_t encode(uint32_t cp, unsigned char *out)
{
    if (cp <= 0x7F) return out[0] = (unsigned char)cp, 1;
    if (cp <= 0x7FF) {
        out[0] = (unsigned char)(192 + cp / 64);
        out[1] = (unsigned char)(128 + cp % 64);
        return 2;
    }
    if (cp <= 0xFFFF) {
        out[0] = (unsigned char)(224 + cp / 4096);
        out[1] = (unsigned char)(128 + cp / 64 % 64);
        out[2] = (unsigned char)(128 + cp % 64);
        return 3;
    }
    out[0] = (unsigned char)(240 + cp / 262144);
    out[1] = (unsigned char)(128 + cp / 4096 % 64);
    out[2] = (unsigned char)(128 + cp / 64 % 64);
    out[3] = (unsigned char)(128 + cp % 64);
    return 4;
}

static bool is_surrogate(uint32_t cp) { return cp >= 0xD800 && cp <= 0xDFFF; }

TEST(every_code_point_is_encoded_as_the_standard_says_and_decodes_to_itself)
{
    for (uint32_t cp = 0; cp <= LAST; cp++) {
        if (is_surrogate(cp)) continue;
        unsigned char want[4];
        char got[4];
        uint32_t back;
        bool ok;
        size_t n = encode(cp, want);
        if (kw_utf8_encode(cp, got) != n || memcmp(got, want, n) != 0) fail_msg("U+%X", cp);
        if (kw_utf8_decode(got, n, &back, &ok) != n || back != cp || !ok) fail_msg("U+%X", cp);
    }
}

TEST(surrogates_and_numbers_beyond_the_last_are_encoded_as_the_replacement)
{
    static const uint32_t bad[] = { 0xD800, 0xDBFF, 0xDC00, 0xDFFF, 0x110000, 0xFFFFFFFF };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char out[4];
        assert_int_equal(kw_utf8_encode(bad[i], out), 3);
        assert_memory_equal(out, "\xEF\xBF\xBD", 3);
    }
}

/* Marks all valid sequences of n bytes, by number, then asks about every sequence there is. */
static void expect_exactly_the_encodings(size_t n, uint32_t first, uint32_t last)
{
    static unsigned char valid[1 << 24 >> 3];
    memset(valid, 0, sizeof valid);
    for (uint32_t cp = first; cp <= last; cp++) {
        unsigned char b[4];
        if (is_surrogate(cp) || encode(cp, b) != n) continue;
        uint32_t key = n == 2 ? b[0] * 256u + b[1] : b[0] * 65536u + b[1] * 256u + b[2];
        valid[key >> 3] |= (unsigned char)(1 << (key & 7));
    }
    for (uint32_t key = 0; key < 1u << 8 * n; key++) {
        char b[3] = { (char)(key >> 8 * (n - 1)), (char)(key >> 8 * (n - 2)), (char)key };
        if ((unsigned char)b[0] < 0x80) continue;
        uint32_t cp;
        bool ok;
        size_t used = kw_utf8_decode(b, n, &cp, &ok);
        bool whole = ok && used == n, want = valid[key >> 3] >> (key & 7) & 1;
        if (whole != want || (!ok && (used != 1 || cp != KW_UTF8_BAD)))
            fail_msg("%zu bytes %06X: %s", n, key, whole ? "accepted" : "refused");
    }
}

TEST(of_all_sequences_of_two_and_three_bytes_exactly_the_encodings_are_accepted)
{
    expect_exactly_the_encodings(2, 0x80, 0x7FF);
    expect_exactly_the_encodings(3, 0x800, 0xFFFF);
}

static const struct {
    const char *bytes;
    size_t n, bad_at; /* bad_at == n: valid */
} cases[] = {
    { "", 0, 0 },
    { "plain ascii, longer than eight", 30, 30 },
    { "h\xC3\xA9llo w\xC3\xB6rld, \xE2\x82\xAC 5 \xF0\x9F\x99\x82", 26, 26 },
    { "12345678\xFF", 9, 8 },
    { "\x80", 1, 0 },
    { "a\xC3", 2, 1 },
    { "\xC0\x80", 2, 0 },
    { "ab\xED\xA0\x80", 5, 2 },
    { "\xF0\x8F\xBF\xBF", 4, 0 },
    { "\xF4\x8F\xBF\xBF", 4, 4 },
    { "\xF4\x90\x80\x80", 4, 0 },
    { "\xF5\x80\x80\x80", 4, 0 },
    { "\xE2\x82\xAC\xE2\x82", 5, 3 },
    { "a\0b\xFE", 4, 3 },
};

TEST(a_text_is_valid_up_to_its_first_malformed_byte)
{
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t at = cases[i].n;
        bool valid = kw_utf8_valid(cases[i].bytes, cases[i].n, &at);
        assert_int_equal(valid, cases[i].bad_at == cases[i].n);
        assert_int_equal(at, cases[i].bad_at);
        assert_int_equal(kw_utf8_valid(cases[i].bytes, cases[i].n, NULL), valid);
    }
}

static const struct {
    const char *bytes;
    size_t tail;
} tails[] = {
    { "", 0 },
    { "abc", 0 },
    { "\xE2\x82\xAC", 0 },
    { "a\xE2\x82", 2 },
    { "a\xE2", 1 },
    { "\xF0\x9F\x99", 3 },
    { "\xF0\x9F", 2 },
    { "\xF0", 1 },
    { "\xC3", 1 },
    { "\xC3\xA9", 0 },
    { "\xF0\x9F\x99\x82", 0 },
    { "\x80\x80\x80", 0 }, /* continuations of nothing never complete */
    { "\xE0\x80", 0 },     /* nor does an overlong form */
    { "\xED\xA0", 0 },     /* nor a surrogate */
    { "\xF4\x90", 0 },     /* nor what is beyond the last code point */
    { "\xC0", 0 },
    { "\xFF", 0 },
    { "\xC3\xA9\x80", 0 },
};

TEST(only_the_beginning_of_a_real_character_counts_as_an_incomplete_tail)
{
    for (size_t i = 0; i < sizeof tails / sizeof tails[0]; i++)
        assert_int_equal(kw_utf8_incomplete_tail(tails[i].bytes, strlen(tails[i].bytes)),
                         tails[i].tail);
}

TEST(cutting_a_character_anywhere_leaves_a_tail_of_just_its_bytes)
{
    for (uint32_t cp = 0; cp <= LAST; cp += 13) {
        char b[4];
        size_t n = kw_utf8_encode(cp, b);
        for (size_t cut = 0; cut < n; cut++) assert_int_equal(kw_utf8_incomplete_tail(b, cut), cut);
        assert_int_equal(kw_utf8_incomplete_tail(b, n), 0);
    }
}
