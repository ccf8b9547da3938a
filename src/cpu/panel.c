/* panel.c - from the blocks of a file to panels, in plain C: it runs once for every model.
 *
 * A row's block is taken apart into plain codes first (one function a format), then 16 rows of codes are folded into
 * vectors (one function a way of folding) and the scales are laid beside them. All of it works on words of eight codes: a word is
 * what a row has in a vector, so nothing crosses rows. */
#include "cpu/panel.h"
#include "cpu/kernels.h"
#include <string.h>

enum { ROWS = KW_PANEL_ROWS, MOST_K = 256 };

const unsigned char kw_panel_order[ROWS] = { 0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, 6, 7, 14, 15 };

/* What a nibble of IQ4 stands for, plus 128. */
const unsigned char kw_iq4_codes[16] = { 1,   24,  45,  63,  79,  93,  106, 118,
                                         129, 141, 153, 166, 181, 197, 217, 241 };

/* clang-format off */
static const kw_panel_format formats[KW_DTYPE_COUNT] = {
    /*            k   bytes  codes group scales bias                      */
    [KW_Q4_0]   = { 64,  576,   0, 256,  512,   8, KW_SCALE_F16 },
    [KW_Q4_1]   = { 32,  320,   0, 256,  256,   0, KW_SCALE_MIN },
    [KW_Q5_0]   = { 64,  704,   0, 320,  640,  16, KW_SCALE_F16 },
    [KW_Q5_1]   = { 32,  384,   0, 320,  320,   0, KW_SCALE_MIN },
    [KW_Q8_0]   = { 64, 1088,   0, 512, 1024, 128, KW_SCALE_F16 },
    [KW_Q2_K]   = {256, 1344, 320, 128,    0,   0, KW_SCALE_K2 },
    [KW_Q3_K]   = {256, 1856, 320, 192,    0,   4, KW_SCALE_BYTE16 },
    [KW_Q4_K]   = {256, 2304, 256, 256,    0,   0, KW_SCALE_K4 },
    [KW_Q5_K]   = {256, 2816, 256, 320,    0,   0, KW_SCALE_K4 },
    [KW_Q6_K]   = {256, 3392, 320, 384,    0,  32, KW_SCALE_BYTE16 },
    [KW_IQ4_NL] = { 64,  576,   0, 256,  512, 128, KW_SCALE_F16 },
    [KW_IQ4_XS] = {256, 2240, 192, 256,    0, 128, KW_SCALE_BYTE32 },
    [KW_F32]    = { 32, 1024,   0, 1024,   0,   0, KW_SCALE_SLICE },
    [KW_F16]    = { 32, 1024,   0, 1024,   0,   0, KW_SCALE_NONE },
    [KW_BF16]   = { 32, 1024,   0, 1024,   0,   0, KW_SCALE_NONE },
};
/* clang-format on */

const kw_panel_format *kw_panel_format_of(kw_dtype t) { return &formats[t]; }

bool kw_panel_fits(kw_dtype t, size_t k)
{
    return formats[t].k && k && k % KW_GROUP == 0 && k % kw_dtype_get(t)->block == 0;
}

/* The last block may be half used: k counts whole groups, a block may have two. */
static size_t blocks_of(kw_dtype t, size_t k)
{
    return (k + (size_t)formats[t].k - 1) / (size_t)formats[t].k;
}

enum { SLICE = KW_WIDE_SLICE, UNITS = ROWS * sizeof(float) };

size_t kw_panel_bytes(kw_dtype t, size_t k)
{
    size_t slices = formats[t].scales == KW_SCALE_SLICE ? (k + SLICE - 1) / SLICE : 0;
    return blocks_of(t, k) * formats[t].bytes + slices * UNITS;
}

uint64_t kw_panel_hash(kw_dtype t, uint64_t seed)
{
    const kw_panel_format *f = &formats[t];
    uint64_t all[7] = { (uint64_t)f->k, f->bytes,          f->codes_at,        f->group_bytes,
                        f->scales_at,   (uint64_t)f->bias, (uint64_t)f->scales };
    return kw_hash64(all, sizeof all, seed);
}

/* ---- a block of one row as plain codes, eight to a word ---- */

#define EACH(byte) ((uint64_t)(byte)*UINT64_C(0x0101010101010101))

static uint64_t word_at(const unsigned char *p)
{
    uint64_t w;
    memcpy(&w, p, sizeof w);
    return w;
}

/* 16 bytes hold 32 values: low nibbles first, then the high ones. */
static void nibbles_of_32(const unsigned char *p, uint64_t *code)
{
    for (size_t i = 0; i < 2; i++) {
        code[i] = word_at(p + 8 * i) & EACH(15);
        code[i + 2] = word_at(p + 8 * i) >> 4 & EACH(15);
    }
}

/* Bit j of a byte as bit 4 of byte j. */
static uint64_t fifths(unsigned bits)
{
    uint64_t apart = EACH(bits) & UINT64_C(0x8040201008040201);
    return (apart + EACH(127)) >> 3 & EACH(16);
}

static void fifth_of_32(const unsigned char *high, uint64_t *code)
{
    for (size_t i = 0; i < 4; i++) code[i] |= fifths(high[i]);
}

static void q4_0_codes(const unsigned char *b, uint64_t *code) { nibbles_of_32(b + 2, code); }

static void q4_1_codes(const unsigned char *b, uint64_t *code) { nibbles_of_32(b + 4, code); }

static void q5_0_codes(const unsigned char *b, uint64_t *code)
{
    nibbles_of_32(b + 6, code);
    fifth_of_32(b + 2, code);
}

static void q5_1_codes(const unsigned char *b, uint64_t *code)
{
    nibbles_of_32(b + 8, code);
    fifth_of_32(b + 4, code);
}

static void q8_0_codes(const unsigned char *b, uint64_t *code)
{
    for (size_t i = 0; i < 4; i++) code[i] = word_at(b + 2 + 8 * i) ^ EACH(128);
}

/* Words of 256 values below come in this order: word i holds values 8 i and on. */

/* Codes of two bits: halves of 128 values, in each 32 bytes hold four parts of 32 by bit position. */
static void pairs_of_256(const unsigned char *p, uint64_t *code)
{
    for (size_t i = 0; i < 32; i++)
        code[i] = word_at(p + i / 16 * 32 + i % 4 * 8) >> (i % 16 / 4 * 2) & EACH(3);
}

/* Nibbles of 256 values: 32 bytes hold two parts of 32. */
static void nibbles_of_256(const unsigned char *p, uint64_t *code)
{
    for (size_t i = 0; i < 32; i++)
        code[i] = word_at(p + i / 8 * 32 + i % 4 * 8) >> (i % 8 / 4 * 4) & EACH(15);
}

/* One more bit for each of 256 values: bit j / 32 of byte j % 32. */
static void bit_of_256(const unsigned char *p, uint64_t *code, int at)
{
    for (size_t i = 0; i < 32; i++) code[i] |= (word_at(p + i % 4 * 8) >> (i / 4) & EACH(1)) << at;
}

static void q2_k_codes(const unsigned char *b, uint64_t *code) { pairs_of_256(b + 16, code); }

static void q3_k_codes(const unsigned char *b, uint64_t *code)
{
    pairs_of_256(b + 32, code);
    bit_of_256(b, code, 2);
}

static void q4_k_codes(const unsigned char *b, uint64_t *code) { nibbles_of_256(b + 16, code); }

static void q5_k_codes(const unsigned char *b, uint64_t *code)
{
    nibbles_of_256(b + 48, code);
    bit_of_256(b + 16, code, 4);
}

static void q6_k_codes(const unsigned char *b, uint64_t *code)
{
    for (size_t i = 0; i < 32; i++) {
        size_t half = i / 16, part = i % 16 / 4, at = i % 4 * 8;
        uint64_t low = word_at(b + 64 * half + 32 * (part & 1) + at) >> (part & 2 ? 4 : 0);
        uint64_t high = word_at(b + 128 + 32 * half + at) >> (2 * part);
        code[i] = (low & EACH(15)) | (high & EACH(3)) << 4;
    }
}

static void iq4_xs_codes(const unsigned char *b, uint64_t *code)
{
    for (size_t g = 0; g < 8; g++) nibbles_of_32(b + 8 + 16 * g, code + 4 * g);
}

typedef void (*codes_fn)(const unsigned char *block, uint64_t *code);
static const codes_fn codes[KW_DTYPE_COUNT] = {
    [KW_Q4_0] = q4_0_codes, [KW_Q4_1] = q4_1_codes,   [KW_Q5_0] = q5_0_codes,
    [KW_Q5_1] = q5_1_codes, [KW_Q8_0] = q8_0_codes,   [KW_Q2_K] = q2_k_codes,
    [KW_Q3_K] = q3_k_codes, [KW_Q4_K] = q4_k_codes,   [KW_Q5_K] = q5_k_codes,
    [KW_Q6_K] = q6_k_codes, [KW_IQ4_NL] = q4_0_codes, [KW_IQ4_XS] = iq4_xs_codes,
};

/* ---- 16 rows of a group as vectors, then folded; word p of a vector belongs to row p (or 8 + p) ---- */

typedef uint64_t rows_of_codes[ROWS][MOST_K / 8];
typedef struct vectors {
    uint64_t v[8][8];
} vectors;

/* Even bytes, then odd ones. */
static uint64_t by_parity(uint64_t w)
{
    uint64_t t = (w ^ w >> 8) & UINT64_C(0x0000ff000000ff00);
    w ^= t ^ t << 8;
    t = (w ^ w >> 16) & UINT64_C(0x00000000ffff0000);
    return w ^ t ^ t << 16;
}

static void group_vectors(const rows_of_codes code, size_t group, vectors *out)
{
    for (size_t row = 0; row < ROWS; row++)
        for (size_t i = 0; i < 4; i++)
            out->v[2 * i + row / 8][row % 8] = by_parity(code[row][4 * group + i]);
}

static void fold_nibbles(const vectors *g, uint64_t *out)
{
    for (size_t i = 0; i < 4; i++)
        for (size_t p = 0; p < 8; p++)
            out[8 * i + p] = (g->v[2 * i][p] & EACH(15)) | (g->v[2 * i + 1][p] & EACH(15)) << 4;
}

static void fold_plane(const vectors *g, int bit, uint64_t *out)
{
    for (size_t p = 0; p < 8; p++) {
        uint64_t all = 0;
        for (size_t v = 0; v < 8; v++) all |= (g->v[v][p] >> bit & EACH(1)) << v;
        out[p] = all;
    }
}

static void fold_five(const vectors *g, uint64_t *out)
{
    fold_nibbles(g, out);
    fold_plane(g, 4, out + 32);
}

static void fold_bytes(const vectors *g, uint64_t *out) { memcpy(out, g, sizeof *g); }

static void fold_six(const vectors *g, uint64_t *out)
{
    for (size_t half = 0; half < 2; half++)
        for (size_t v = 0; v < 3; v++)
            for (size_t p = 0; p < 8; p++)
                out[24 * half + 8 * v + p] =
                    g->v[4 * half + v][p] | (g->v[4 * half + 3][p] >> (2 * v) & EACH(3)) << 6;
}

static void fold_pairs(const vectors *g, uint64_t *out)
{
    for (size_t h = 0; h < 2; h++)
        for (size_t p = 0; p < 8; p++) {
            uint64_t all = 0;
            for (size_t v = 0; v < 4; v++) all |= (g->v[4 * h + v][p] & EACH(3)) << (2 * v);
            out[8 * h + p] = all;
        }
}

static void fold_three(const vectors *g, uint64_t *out)
{
    fold_pairs(g, out);
    fold_plane(g, 2, out + 16);
}

typedef void (*fold_fn)(const vectors *g, uint64_t *out);
static const fold_fn folds[KW_DTYPE_COUNT] = {
    [KW_Q4_0] = fold_nibbles, [KW_Q4_1] = fold_nibbles,   [KW_Q5_0] = fold_five,
    [KW_Q5_1] = fold_five,    [KW_Q8_0] = fold_bytes,     [KW_Q2_K] = fold_pairs,
    [KW_Q3_K] = fold_three,   [KW_Q4_K] = fold_nibbles,   [KW_Q5_K] = fold_five,
    [KW_Q6_K] = fold_six,     [KW_IQ4_NL] = fold_nibbles, [KW_IQ4_XS] = fold_nibbles,
};

/* ---- scales: of one row, put into its lane ---- */

/* One row's block at b goes to `lane` of the packed block at out; group: which of the block's groups (formats of 32). */
typedef struct lane_of {
    const unsigned char *b;
    unsigned char *out;
    size_t lane, group;
} lane_of;

static void put_f16(const lane_of *l) { memcpy(l->out + 32 * l->group + 2 * l->lane, l->b, 2); }

static void put_min(const lane_of *l)
{
    memcpy(l->out + 2 * l->lane, l->b, 2);
    memcpy(l->out + 32 + 2 * l->lane, l->b + 2, 2);
}

/* Scale and minimum of part j of eight, 6 bits each, in 12 bytes. */
static void scale_min(const unsigned char *s, size_t j, unsigned *scale, unsigned *min)
{
    *scale = j < 4 ? s[j] & 63u : (s[j + 4] & 15u) | (unsigned)(s[j - 4] >> 6) << 4;
    *min = j < 4 ? s[j + 4] & 63u : (unsigned)(s[j + 4] >> 4) | (unsigned)(s[j] >> 6) << 4;
}

static void put_k4(const lane_of *l)
{
    put_min(l);
    for (size_t j = 0; j < 8; j++) {
        unsigned scale, min;
        scale_min(l->b + 4, j, &scale, &min);
        l->out[64 + 16 * j + l->lane] = (unsigned char)((scale & 15) | (min & 15) << 4);
        unsigned top = (scale >> 4 | min >> 4 << 2) << (4 * (j >> 2));
        l->out[192 + 16 * (j & 3) + l->lane] |= (unsigned char)top;
    }
}

static void put_d_f32(const lane_of *l, size_t d_at)
{
    float d = kw_f16_to_f32((uint16_t)(l->b[d_at] | l->b[d_at + 1] << 8));
    memcpy(l->out + 4 * l->lane, &d, sizeof d);
}

static void put_q6_k(const lane_of *l)
{
    put_d_f32(l, 208);
    for (size_t j = 0; j < 16; j++) l->out[64 + 16 * j + l->lane] = l->b[192 + j];
}

/* Sixteen 6-bit scales in 12 bytes: low nibbles in the first 8, pairs of high bits in the last 4. */
static void put_q3_k(const lane_of *l)
{
    const unsigned char *s = l->b + 96;
    put_d_f32(l, 108);
    for (size_t j = 0; j < 16; j++) {
        int low = j < 8 ? s[j] & 15 : s[j - 8] >> 4;
        int scale = low | (s[8 + j % 4] >> (2 * (j / 4)) & 3) << 4;
        l->out[64 + 16 * j + l->lane] = (unsigned char)(scale - 32);
    }
}

static void put_q2_k(const lane_of *l)
{
    memcpy(l->out + 2 * l->lane, l->b + 80, 2);
    memcpy(l->out + 32 + 2 * l->lane, l->b + 82, 2);
    for (size_t j = 0; j < 16; j++) l->out[64 + 16 * j + l->lane] = l->b[j];
}

/* d | 2 B high pairs | 4 B low nibbles: eight 6-bit scales less 32. */
static void put_iq4_xs(const lane_of *l)
{
    unsigned high = (unsigned)(l->b[2] | l->b[3] << 8);
    put_d_f32(l, 0);
    for (size_t j = 0; j < 8; j++) {
        unsigned low = (unsigned)(l->b[4 + j / 2] >> (4 * (j & 1))) & 15u;
        l->out[64 + 16 * j + l->lane] = (unsigned char)((low | (high >> (2 * j) & 3) << 4) - 32);
    }
}

typedef void (*put_scales_fn)(const lane_of *l);
static const put_scales_fn put_scales[KW_DTYPE_COUNT] = {
    [KW_Q4_0] = put_f16, [KW_Q4_1] = put_min,  [KW_Q5_0] = put_f16,   [KW_Q5_1] = put_min,
    [KW_Q8_0] = put_f16, [KW_Q2_K] = put_q2_k, [KW_Q3_K] = put_q3_k,  [KW_Q4_K] = put_k4,
    [KW_Q5_K] = put_k4,  [KW_Q6_K] = put_q6_k, [KW_IQ4_NL] = put_f16, [KW_IQ4_XS] = put_iq4_xs,
};

/* ---- panels ---- */

/* Block number `at` of all rows. */
static void pack_block(const kw_panel_source *s, size_t at, unsigned char *out)
{
    const kw_panel_format *f = &formats[s->dtype];
    const kw_dtype_info *type = kw_dtype_get(s->dtype);
    size_t k = (size_t)f->k, step = type->block, left = s->k - at * k, n = k < left ? k : left;
    rows_of_codes code;
    if (s->n < ROWS) memset(code, 0, sizeof code);
    memset(out, 0, f->bytes);
    for (size_t lane = 0; lane < ROWS; lane++) {
        size_t row = kw_panel_order[lane];
        const unsigned char *src = s->rows + row * s->row_bytes + at * k / step * type->bytes;
        for (size_t e = 0; row < s->n && e < n; e += step, src += type->bytes) {
            codes[s->dtype](src, code[row] + e / 8);
            put_scales[s->dtype](&(lane_of){ src, out + f->scales_at, lane, e / step });
        }
    }
    for (size_t e = 0; e < n / KW_GROUP; e++) {
        vectors g;
        uint64_t folded[64]; /* no layout needs more: eight vectors of bytes */
        group_vectors((const uint64_t(*)[MOST_K / 8]) code, e, &g);
        folds[s->dtype](&g, folded);
        memcpy(out + f->codes_at + e * f->group_bytes, folded, f->group_bytes);
    }
}

/* Pairs of 16-bit values: k and k + 1 of rows 0-7, then of rows 8-15. */
static void pack_halves(const kw_panel_source *s, unsigned char *out)
{
    memset(out, 0, s->k * 2 * ROWS);
    for (size_t row = 0; row < s->n; row++)
        for (size_t k = 0; k < s->k; k += 2)
            memcpy(out + k / 2 * 64 + 4 * row, s->rows + row * s->row_bytes + 2 * k, 4);
}

/* |x| < 2^22, ties to even: the sum has no bits below 1. */
static int16_t word_of(float x)
{
    int32_t bits, none;
    float sum = x + 0x1.8p23f, zero = 0x1.8p23f;
    memcpy(&bits, &sum, sizeof bits);
    memcpy(&none, &zero, sizeof none);
    return (int16_t)(bits - none);
}

/* n values of a row as the words of a lane; what a unit is worth. */
static float pack_lane(const float *x, size_t n, unsigned char *out)
{
    float most = 0, squares = 0;
    for (size_t k = 0; k < n; k++) most = fabsf(x[k]) > most ? fabsf(x[k]) : most;
    if (most <= KW_GROUP_LEAST) return 0;
    for (size_t k = 0; k < n; k++) squares += x[k] / most * (x[k] / most);
    float unit = kw_wide_unit(most, squares), inverse = 1 / unit;
    for (size_t k = 0; k < n; k += 2, out += 64) {
        int16_t pair[2] = { word_of(x[k] * inverse), word_of(x[k + 1] * inverse) };
        memcpy(out, pair, sizeof pair);
    }
    return unit;
}

static void pack_words(const kw_panel_source *s, unsigned char *out)
{
    memset(out, 0, kw_panel_bytes(s->dtype, s->k));
    for (size_t at = 0; at < s->k; at += SLICE) {
        size_t n = s->k - at < SLICE ? s->k - at : SLICE;
        for (size_t lane = 0; lane < ROWS; lane++) {
            float x[SLICE], unit = 0;
            if (kw_panel_order[lane] >= s->n) continue;
            memcpy(x, s->rows + kw_panel_order[lane] * s->row_bytes + 4 * at, n * sizeof *x);
            unit = pack_lane(x, n, out + UNITS + 4 * lane);
            memcpy(out + sizeof unit * lane, &unit, sizeof unit);
        }
        out += UNITS + n * 2 * ROWS;
    }
}

bool kw_panel_holds(const float *x, size_t n)
{
    bool all = true;
    for (size_t i = 0; i < n; i++) all &= x[i] >= -0x1p100f && x[i] <= 0x1p100f;
    return all;
}

void kw_panel_pack(const kw_panel_source *s, unsigned char *panel)
{
    const kw_panel_format *f = &formats[s->dtype];
    if (f->scales == KW_SCALE_SLICE) {
        pack_words(s, panel);
        return;
    }
    if (f->scales == KW_SCALE_NONE) {
        pack_halves(s, panel);
        return;
    }
    for (size_t at = 0; at < blocks_of(s->dtype, s->k); at++, panel += f->bytes)
        pack_block(s, at, panel);
}
