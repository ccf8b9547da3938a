/* quant_grid.c - 1 to 3 bits a value: a code names a whole group of values from a codebook (grid_tables.c).
 *
 * All have blocks of 256 values. A part of 32 values has its bits side by side:
 *
 *   IQ2_XXS  d | parts: 4 B codes, then 32 bits of 4 sign codes of 7 bits and a scale s of 4      66 B
 *   IQ2_XS   d | 32 codes of 9 bits, sign code of 7 | 8 B scales                                  74 B
 *   IQ2_S    d | 32 B low code bits | 32 B signs | 8 B high code bits | 8 B scales                82 B
 *   IQ3_XXS  d | 64 B codes, each for 4 values | parts: 32 bits of signs and scale as above       98 B
 *   IQ3_S    d | 64 B low code bits | 8 B ninth bits | 32 B signs | 4 B scales                   110 B
 *   IQ1_S    d | 32 B low code bits | parts: 16 bits of 4 x 3 high bits, a scale of 3, a shift    50 B
 *   IQ1_M    32 B low code bits | 16 B high code bits and shifts | 8 B scales of 3 bits, and d    56 B
 *
 *   IQ2      x = d * (0.5 + s) * 0.25 * value, its sign from a bit
 *   IQ3_XXS  x = d * (0.5 + s) * 0.5 * value;   IQ3_S: x = d * (1 + 2 s) * value
 *   IQ1      x = d * (2 s + 1) * (value + shift), shift 1/8 or -1/8
 *
 * A sign code holds seven signs; the eighth makes their number even. */
#include "tensor/decode.h"

enum { N = 256 };

static unsigned u16_at(const unsigned char *p) { return (unsigned)(p[0] | p[1] << 8); }

static uint32_t u32_at(const unsigned char *p) { return u16_at(p) | (uint32_t)u16_at(p + 2) << 16; }

static int nibble(const unsigned char *p, size_t i) { return p[i / 2] >> (4 * (i & 1)) & 15; }

/* Eight sign bits from the seven that are stored. */
static unsigned signs_of(uint32_t code)
{
    unsigned s = code & 127, odd = s ^ s >> 4;
    odd ^= odd >> 2;
    odd ^= odd >> 1;
    return s | (odd & 1) << 7;
}

static float signed_by(float x, unsigned signs, size_t i) { return signs >> i & 1 ? -x : x; }

static void put_iq2(float *dst, float d, unsigned group, unsigned signs)
{
    static const unsigned char values[4] = { 8, 25, 43, 0 };
    for (size_t i = 0; i < 8; i++)
        dst[i] = signed_by(d * (float)values[group >> (2 * i) & 3], signs, i);
}

static float iq2_scale(float d, int s) { return d * (0.5f + (float)s) * 0.25f; }

void kw_decode_iq2_xxs(const void *src, float *dst, size_t n)
{
    const unsigned char *b = src;
    for (size_t at = 0; at < n; at += N, b += 66)
        for (size_t i = 0; i < 32; i++) {
            const unsigned char *part = b + 2 + i / 4 * 8;
            uint32_t bits = u32_at(part + 4);
            put_iq2(dst + at + 8 * i, iq2_scale(kw_f16_at(b), (int)(bits >> 28)),
                    kw_grid_iq2_xxs[part[i % 4]], signs_of(bits >> (7 * (i % 4))));
        }
}

void kw_decode_iq2_xs(const void *src, float *dst, size_t n)
{
    const unsigned char *b = src;
    for (size_t at = 0; at < n; at += N, b += 74)
        for (size_t i = 0; i < 32; i++) {
            unsigned code = u16_at(b + 2 + 2 * i);
            put_iq2(dst + at + 8 * i, iq2_scale(kw_f16_at(b), nibble(b + 66, i / 2)),
                    kw_grid_iq2_xs[code & 511], signs_of(code >> 9));
        }
}

void kw_decode_iq2_s(const void *src, float *dst, size_t n)
{
    const unsigned char *b = src;
    for (size_t at = 0; at < n; at += N, b += 82)
        for (size_t i = 0; i < 32; i++) {
            unsigned high = b[66 + i / 4] >> (2 * (i % 4)) & 3;
            put_iq2(dst + at + 8 * i, iq2_scale(kw_f16_at(b), nibble(b + 74, i / 2)),
                    kw_grid_iq2_s[b[2 + i] | high << 8], b[34 + i]);
        }
}

static void put_iq3(float *dst, float d, unsigned group, unsigned signs,
                    const unsigned char values[8])
{
    for (size_t i = 0; i < 4; i++)
        dst[i] = signed_by(d * (float)values[group >> (4 * i) & 7], signs, i);
}

void kw_decode_iq3_xxs(const void *src, float *dst, size_t n)
{
    static const unsigned char values[8] = { 4, 12, 20, 28, 36, 44, 52, 62 };
    const unsigned char *b = src;
    for (size_t at = 0; at < n; at += N, b += 98)
        for (size_t i = 0; i < 64; i++) {
            uint32_t bits = u32_at(b + 66 + i / 8 * 4);
            float d = kw_f16_at(b) * (0.5f + (float)(bits >> 28)) * 0.5f;
            unsigned signs = signs_of(bits >> (7 * (i / 2 % 4))) >> (4 * (i & 1));
            put_iq3(dst + at + 4 * i, d, kw_grid_iq3_xxs[b[2 + i]], signs, values);
        }
}

void kw_decode_iq3_s(const void *src, float *dst, size_t n)
{
    static const unsigned char values[8] = { 1, 3, 5, 7, 9, 11, 13, 15 };
    const unsigned char *b = src;
    for (size_t at = 0; at < n; at += N, b += 110)
        for (size_t i = 0; i < 64; i++) {
            unsigned ninth = b[66 + i / 8] >> (i % 8) & 1, signs = (unsigned)nibble(b + 74, i);
            float d = kw_f16_at(b) * (float)(1 + 2 * nibble(b + 106, i / 8));
            put_iq3(dst + at + 4 * i, d, kw_grid_iq3_s[b[2 + i] | ninth << 8], signs, values);
        }
}

static void put_iq1(float *dst, float d, unsigned group, bool is_down)
{
    float shift = is_down ? -0.125f : 0.125f;
    for (size_t i = 0; i < 8; i++) dst[i] = d * ((float)((int)(group >> (2 * i) & 3) - 1) + shift);
}

void kw_decode_iq1_s(const void *src, float *dst, size_t n)
{
    const unsigned char *b = src;
    for (size_t at = 0; at < n; at += N, b += 50)
        for (size_t i = 0; i < 32; i++) {
            unsigned bits = u16_at(b + 34 + i / 4 * 2), high = bits >> (3 * (i % 4)) & 7;
            float d = kw_f16_at(b) * (float)(2 * (bits >> 12 & 7) + 1);
            put_iq1(dst + at + 8 * i, d, kw_grid_iq1[b[2 + i] | high << 8], bits >> 15);
        }
}

/* The scale of the block lies in the highest nibbles of the four words of scales. */
static float iq1_m_scale(const unsigned char *scales)
{
    unsigned h = 0;
    for (size_t i = 0; i < 4; i++) h |= u16_at(scales + 2 * i) >> 12 << (4 * i);
    return kw_f16_to_f32((uint16_t)h);
}

void kw_decode_iq1_m(const void *src, float *dst, size_t n)
{
    const unsigned char *b = src;
    for (size_t at = 0; at < n; at += N, b += 56)
        for (size_t i = 0; i < 32; i++) {
            unsigned scale = u16_at(b + 48 + i / 8 * 2) >> (3 * (i / 2 % 4)) & 7;
            unsigned bits = (unsigned)nibble(b + 32, i);
            float d = iq1_m_scale(b + 48) * (float)(2 * scale + 1);
            put_iq1(dst + at + 8 * i, d, kw_grid_iq1[b[i] | (bits & 7) << 8], bits >> 3);
        }
}
