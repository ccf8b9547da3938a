/* panel_rows.c - from panels back to the blocks of a file, for those who need a row as it was: exact mode and embeddings, where
 * a matrix was packed in its own place (run/pack_place.c).
 *
 * A panel holds every bit of its rows, so a row's blocks are put together again byte for byte, and whoever reads them cannot
 * tell. The steps are those of panel.c backwards, for one row: its words of eight codes are picked out of the vectors (one
 * function a way of folding), then they and the scales are written as a block (one function a format). */
#include "cpu/panel.h"
#include <string.h>

enum { ROWS = KW_PANEL_ROWS, MOST_K = 256 };

#define EACH(byte) ((uint64_t)(byte)*UINT64_C(0x0101010101010101))

static uint64_t word_at(const unsigned char *p)
{
    uint64_t w;
    memcpy(&w, p, sizeof w);
    return w;
}

static void put_word(unsigned char *p, uint64_t w) { memcpy(p, &w, sizeof w); }

static void or_word(unsigned char *p, uint64_t w) { put_word(p, word_at(p) | w); }

/* ---- unfolding: word i of four of the row at place p of its half h (panel.c, group_vectors) ---- */

typedef struct place {
    const unsigned char *group; /* its folded codes */
    size_t h, p;
} place;

static uint64_t folded(const place *r, size_t vector)
{
    return word_at(r->group + 64 * vector + 8 * r->p);
}

static uint64_t nibbles(const place *r, size_t i) { return folded(r, i) >> 4 * r->h & EACH(15); }

static uint64_t plane(const place *r, size_t vector, size_t i)
{
    return folded(r, vector) >> (2 * i + r->h) & EACH(1);
}

static uint64_t five(const place *r, size_t i) { return nibbles(r, i) | plane(r, 4, i) << 4; }

static uint64_t bytes(const place *r, size_t i) { return folded(r, 2 * i + r->h); }

static uint64_t six(const place *r, size_t i)
{
    size_t first = 3 * (i / 2), v = 2 * (i & 1) + r->h;
    uint64_t w = 0;
    if (v < 3) return folded(r, first + v) & EACH(63);
    for (size_t j = 0; j < 3; j++) w |= (folded(r, first + j) >> 6 & EACH(3)) << 2 * j;
    return w;
}

static uint64_t pairs(const place *r, size_t i)
{
    size_t v = 2 * i + r->h;
    return folded(r, v / 4) >> 2 * (v % 4) & EACH(3);
}

static uint64_t three(const place *r, size_t i) { return pairs(r, i) | plane(r, 2, i) << 2; }

typedef uint64_t (*unfold_fn)(const place *r, size_t i);
static const unfold_fn unfolds[KW_DTYPE_COUNT] = {
    [KW_Q4_0] = nibbles, [KW_Q4_1] = nibbles, [KW_Q5_0] = five,      [KW_Q5_1] = five,
    [KW_Q8_0] = bytes,   [KW_Q2_K] = pairs,   [KW_Q3_K] = three,     [KW_Q4_K] = nibbles,
    [KW_Q5_K] = five,    [KW_Q6_K] = six,     [KW_IQ4_NL] = nibbles, [KW_IQ4_XS] = nibbles,
};

/* Even bytes, then odd ones, become bytes in order. */
static uint64_t in_order(uint64_t w)
{
    uint64_t t = (w ^ w >> 16) & UINT64_C(0x00000000ffff0000);
    w ^= t ^ t << 16;
    t = (w ^ w >> 8) & UINT64_C(0x0000ff000000ff00);
    return w ^ t ^ t << 8;
}

/* ---- codes into a block of zeros ---- */

static void put_nibbles_32(const uint64_t *code, unsigned char *p)
{
    for (size_t i = 0; i < 2; i++)
        put_word(p + 8 * i, (code[i] & EACH(15)) | (code[i + 2] & EACH(15)) << 4);
}

/* Bit 4 of every byte becomes a bit. */
static void put_fifths(const uint64_t *code, unsigned char *high)
{
    for (size_t i = 0; i < 4; i++)
        high[i] = (unsigned char)((code[i] >> 4 & EACH(1)) * UINT64_C(0x0102040810204080) >> 56);
}

static void put_q4_0(const uint64_t *code, unsigned char *b) { put_nibbles_32(code, b + 2); }

static void put_q4_1(const uint64_t *code, unsigned char *b) { put_nibbles_32(code, b + 4); }

static void put_q5_0(const uint64_t *code, unsigned char *b)
{
    put_fifths(code, b + 2);
    put_nibbles_32(code, b + 6);
}

static void put_q5_1(const uint64_t *code, unsigned char *b)
{
    put_fifths(code, b + 4);
    put_nibbles_32(code, b + 8);
}

static void put_q8_0(const uint64_t *code, unsigned char *b)
{
    for (size_t i = 0; i < 4; i++) put_word(b + 2 + 8 * i, code[i] ^ EACH(128));
}

static void put_pairs_256(const uint64_t *code, unsigned char *p)
{
    for (size_t i = 0; i < 32; i++)
        or_word(p + i / 16 * 32 + i % 4 * 8, (code[i] & EACH(3)) << (i % 16 / 4 * 2));
}

static void put_nibbles_256(const uint64_t *code, unsigned char *p)
{
    for (size_t i = 0; i < 32; i++)
        or_word(p + i / 8 * 32 + i % 4 * 8, (code[i] & EACH(15)) << (i % 8 / 4 * 4));
}

static void put_bit_256(const uint64_t *code, unsigned char *p, int at)
{
    for (size_t i = 0; i < 32; i++) or_word(p + i % 4 * 8, (code[i] >> at & EACH(1)) << (i / 4));
}

static void put_q2_k(const uint64_t *code, unsigned char *b) { put_pairs_256(code, b + 16); }

static void put_q3_k(const uint64_t *code, unsigned char *b)
{
    put_pairs_256(code, b + 32);
    put_bit_256(code, b, 2);
}

static void put_q4_k(const uint64_t *code, unsigned char *b) { put_nibbles_256(code, b + 16); }

static void put_q5_k(const uint64_t *code, unsigned char *b)
{
    put_nibbles_256(code, b + 48);
    put_bit_256(code, b + 16, 4);
}

static void put_q6_k(const uint64_t *code, unsigned char *b)
{
    for (size_t i = 0; i < 32; i++) {
        size_t half = i / 16, part = i % 16 / 4, at = i % 4 * 8;
        or_word(b + 64 * half + 32 * (part & 1) + at, (code[i] & EACH(15)) << (part & 2 ? 4 : 0));
        or_word(b + 128 + 32 * half + at, (code[i] >> 4 & EACH(3)) << (2 * part));
    }
}

static void put_iq4_xs(const uint64_t *code, unsigned char *b)
{
    for (size_t g = 0; g < 8; g++) put_nibbles_32(code + 4 * g, b + 8 + 16 * g);
}

/* ---- scales of a lane into the block; s: those of the panel's block, of its group where formats have 32 values ---- */

static void scale_f16(const unsigned char *s, size_t lane, unsigned char *b)
{
    memcpy(b, s + 2 * lane, 2);
}

static void scale_min(const unsigned char *s, size_t lane, unsigned char *b)
{
    memcpy(b, s + 2 * lane, 2);
    memcpy(b + 2, s + 32 + 2 * lane, 2);
}

/* Eight scales and minima of 6 bits in 12 bytes. */
static void scale_k4(const unsigned char *s, size_t lane, unsigned char *b)
{
    unsigned scale[8], min[8];
    scale_min(s, lane, b);
    for (size_t j = 0; j < 8; j++) {
        unsigned low = s[64 + 16 * j + lane];
        unsigned top = (unsigned)s[192 + 16 * (j & 3) + lane] >> 4 * (j >> 2);
        scale[j] = (low & 15) | (top & 3) << 4;
        min[j] = low >> 4 | (top >> 2 & 3) << 4;
    }
    for (size_t j = 0; j < 4; j++) {
        b[4 + j] = (unsigned char)(scale[j] | scale[j + 4] >> 4 << 6);
        b[8 + j] = (unsigned char)(min[j] | min[j + 4] >> 4 << 6);
        b[12 + j] = (unsigned char)((scale[j + 4] & 15) | (min[j + 4] & 15) << 4);
    }
}

static void d_of_f32(const unsigned char *s, size_t lane, unsigned char *d)
{
    float x;
    memcpy(&x, s + 4 * lane, sizeof x);
    uint16_t half = kw_f32_to_f16(x); /* which it was, but for what a NaN says */
    memcpy(d, &half, sizeof half);
}

static void scale_q6_k(const unsigned char *s, size_t lane, unsigned char *b)
{
    d_of_f32(s, lane, b + 208);
    for (size_t j = 0; j < 16; j++) b[192 + j] = s[64 + 16 * j + lane];
}

static void scale_q3_k(const unsigned char *s, size_t lane, unsigned char *b)
{
    d_of_f32(s, lane, b + 108);
    for (size_t j = 0; j < 16; j++) {
        unsigned scale = (s[64 + 16 * j + lane] + 32u) & 63;
        b[96 + j % 8] |= (unsigned char)((scale & 15) << (j < 8 ? 0 : 4));
        b[104 + j % 4] |= (unsigned char)(scale >> 4 << 2 * (j / 4));
    }
}

static void scale_q2_k(const unsigned char *s, size_t lane, unsigned char *b)
{
    scale_min(s, lane, b + 80);
    for (size_t j = 0; j < 16; j++) b[j] = s[64 + 16 * j + lane];
}

static void scale_iq4_xs(const unsigned char *s, size_t lane, unsigned char *b)
{
    d_of_f32(s, lane, b);
    for (size_t j = 0; j < 8; j++) {
        unsigned scale = (s[64 + 16 * j + lane] + 32u) & 63;
        b[4 + j / 2] |= (unsigned char)((scale & 15) << 4 * (j & 1));
        b[2 + j / 4] |= (unsigned char)(scale >> 4 << 2 * (j % 4));
    }
}

/* ---- rows ---- */

typedef struct put_back {
    void (*codes)(const uint64_t *code, unsigned char *block);
    void (*scales)(const unsigned char *s, size_t lane, unsigned char *block);
} put_back;

static const put_back formats[KW_DTYPE_COUNT] = {
    [KW_Q4_0] = { put_q4_0, scale_f16 },   [KW_Q4_1] = { put_q4_1, scale_min },
    [KW_Q5_0] = { put_q5_0, scale_f16 },   [KW_Q5_1] = { put_q5_1, scale_min },
    [KW_Q8_0] = { put_q8_0, scale_f16 },   [KW_Q2_K] = { put_q2_k, scale_q2_k },
    [KW_Q3_K] = { put_q3_k, scale_q3_k },  [KW_Q4_K] = { put_q4_k, scale_k4 },
    [KW_Q5_K] = { put_q5_k, scale_k4 },    [KW_Q6_K] = { put_q6_k, scale_q6_k },
    [KW_IQ4_NL] = { put_q4_0, scale_f16 }, [KW_IQ4_XS] = { put_iq4_xs, scale_iq4_xs },
};

static size_t lane_of(size_t row)
{
    size_t lane = 0;
    while (kw_panel_order[lane] != row) lane++;
    return lane;
}

/* The row's blocks that one block of the panel holds: n values. */
static void put_block(kw_dtype t, const unsigned char *block, size_t row, size_t n,
                      unsigned char *out)
{
    const kw_panel_format *f = kw_panel_format_of(t);
    const kw_dtype_info *type = kw_dtype_get(t);
    uint64_t code[MOST_K / 8];
    place r = { .h = row / 8, .p = row % 8 };
    for (size_t i = 0; i < n / 8; i++) {
        r.group = block + f->codes_at + i / 4 * f->group_bytes;
        code[i] = in_order(unfolds[t](&r, i % 4));
    }
    memset(out, 0, n / type->block * type->bytes);
    for (size_t e = 0; e < n; e += type->block, out += type->bytes) {
        formats[t].codes(code + e / 8, out);
        formats[t].scales(block + f->scales_at + 32 * (e / type->block), lane_of(row), out);
    }
}

bool kw_panel_keeps(kw_dtype t) { return formats[t].codes || t == KW_F16 || t == KW_BF16; }

void kw_panel_row(kw_dtype t, const unsigned char *panel, size_t row, size_t k, unsigned char *out)
{
    const kw_panel_format *f = kw_panel_format_of(t);
    const kw_dtype_info *type = kw_dtype_get(t);
    if (!formats[t].codes) { /* halves: pairs of k */
        for (size_t i = 0; i < k / 2; i++) memcpy(out + 4 * i, panel + 64 * i + 4 * row, 4);
        return;
    }
    for (size_t at = 0, n; at < k; at += n, panel += f->bytes) {
        n = k - at < (size_t)f->k ? k - at : (size_t)f->k;
        put_block(t, panel, row, n, out);
        out += n / type->block * type->bytes;
    }
}
