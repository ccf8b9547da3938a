/* quant_q.c - plain floats, and the blocks of 32 values: one scale, perhaps a minimum, and 4, 5 or 8 bits a value.
 *
 *   Q4_0  d f16 | 16 B nibbles                 x = d * (q - 8)
 *   Q4_1  d f16 | m f16 | 16 B nibbles         x = d * q + m
 *   Q5_0  d f16 | 4 B fifth bits | 16 B        x = d * (q - 16)
 *   Q5_1  d f16 | m f16 | 4 B | 16 B           x = d * q + m
 *   Q8_0  d f16 | 32 B signed                  x = d * q
 *
 * Nibbles: byte j holds value j in its low and value j + 16 in its high half; fifth bits lie in the order of values. */
#include "tensor/decode.h"
#include <math.h>
#include <string.h>

enum { N = 32 };

static uint16_t u16_at(const unsigned char *p) { return (uint16_t)(p[0] | p[1] << 8); }

static void put_half(unsigned char *p, float x)
{
    uint16_t h = kw_f32_to_f16(x);
    p[0] = (unsigned char)(h & 255);
    p[1] = (unsigned char)(h >> 8);
}

void kw_decode_f32(const void *src, float *dst, size_t n)
{
    if (n) memcpy(dst, src, n * sizeof *dst);
}

void kw_decode_f16(const void *src, float *dst, size_t n)
{
    const unsigned char *s = src;
    for (size_t i = 0; i < n; i++) dst[i] = kw_f16_at(s + 2 * i);
}

void kw_decode_bf16(const void *src, float *dst, size_t n)
{
    const unsigned char *s = src;
    for (size_t i = 0; i < n; i++) dst[i] = kw_bf16_to_f32(u16_at(s + 2 * i));
}

void kw_decode_f64(const void *src, float *dst, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        double x;
        memcpy(&x, (const unsigned char *)src + 8 * i, sizeof x);
        dst[i] = (float)x;
    }
}

void kw_encode_f32(const float *src, void *dst, size_t n)
{
    if (n) memcpy(dst, src, n * sizeof *src);
}

void kw_encode_f16(const float *src, void *dst, size_t n)
{
    unsigned char *d = dst;
    for (size_t i = 0; i < n; i++) put_half(d + 2 * i, src[i]);
}

void kw_encode_bf16(const float *src, void *dst, size_t n)
{
    unsigned char *d = dst;
    for (size_t i = 0; i < n; i++) {
        uint16_t h = kw_f32_to_bf16(src[i]);
        d[2 * i] = (unsigned char)(h & 255);
        d[2 * i + 1] = (unsigned char)(h >> 8);
    }
}

void kw_decode_q4_0(const void *src, float *dst, size_t n)
{
    const unsigned char *b = src;
    for (size_t i = 0; i < n; i += N, b += 18)
        for (size_t j = 0; j < 16; j++) {
            dst[i + j] = kw_f16_at(b) * (float)((b[2 + j] & 15) - 8);
            dst[i + j + 16] = kw_f16_at(b) * (float)((b[2 + j] >> 4) - 8);
        }
}

void kw_decode_q4_1(const void *src, float *dst, size_t n)
{
    const unsigned char *b = src;
    for (size_t i = 0; i < n; i += N, b += 20)
        for (size_t j = 0; j < 16; j++) {
            dst[i + j] = kw_f16_at(b) * (float)(b[4 + j] & 15) + kw_f16_at(b + 2);
            dst[i + j + 16] = kw_f16_at(b) * (float)(b[4 + j] >> 4) + kw_f16_at(b + 2);
        }
}

/* The five bits of value j; high points at the fifth bits, low at the nibbles. */
static int five(const unsigned char *high, const unsigned char *low, size_t j)
{
    int nibble = j < 16 ? low[j] & 15 : low[j - 16] >> 4;
    return nibble | (high[j >> 3] >> (j & 7) & 1) << 4;
}

void kw_decode_q5_0(const void *src, float *dst, size_t n)
{
    const unsigned char *b = src;
    for (size_t i = 0; i < n; i += N, b += 22)
        for (size_t j = 0; j < N; j++)
            dst[i + j] = kw_f16_at(b) * (float)(five(b + 2, b + 6, j) - 16);
}

void kw_decode_q5_1(const void *src, float *dst, size_t n)
{
    const unsigned char *b = src;
    for (size_t i = 0; i < n; i += N, b += 24)
        for (size_t j = 0; j < N; j++)
            dst[i + j] = kw_f16_at(b) * (float)five(b + 4, b + 8, j) + kw_f16_at(b + 2);
}

void kw_decode_q8_0(const void *src, float *dst, size_t n)
{
    const unsigned char *b = src;
    for (size_t i = 0; i < n; i += N, b += 34)
        for (size_t j = 0; j < N; j++) dst[i + j] = kw_f16_at(b) * (float)(signed char)b[2 + j];
}

/* The scale comes from the value of the largest magnitude, with its sign: that one becomes exactly -8. */
static void encode_q4_0(const float *x, unsigned char *b)
{
    float most = 0;
    for (size_t j = 0; j < N; j++) most = fabsf(x[j]) > fabsf(most) ? x[j] : most;
    float d = most / -8.0f, inverse = d != 0 ? 1.0f / d : 0;
    int q[N];
    for (size_t j = 0; j < N; j++) {
        float v = truncf((float)((double)x[j] * (double)inverse + 8.5));
        q[j] = v < 0 ? 0 : v > 15 ? 15 : (int)v;
    }
    put_half(b, d);
    for (size_t j = 0; j < 16; j++) b[2 + j] = (unsigned char)(q[j] | q[j + 16] << 4);
}

void kw_encode_q4_0(const float *src, void *dst, size_t n)
{
    unsigned char *b = dst;
    for (size_t i = 0; i < n; i += N, b += 18) encode_q4_0(src + i, b);
}

static float round_half_away(float x)
{
    float whole = floorf(fabsf(x)), rest = fabsf(x) - whole;
    whole += rest >= 0.5f ? 1.0f : 0.0f;
    return x < 0 ? -whole : whole;
}

static void encode_q8_0(const float *x, unsigned char *b)
{
    float most = 0;
    for (size_t j = 0; j < N; j++) most = fabsf(x[j]) > most ? fabsf(x[j]) : most;
    float d = most / 127.0f, inverse = d != 0 ? 1.0f / d : 0;
    put_half(b, d);
    for (size_t j = 0; j < N; j++)
        b[2 + j] = (unsigned char)(signed char)round_half_away(x[j] * inverse);
}

void kw_encode_q8_0(const float *src, void *dst, size_t n)
{
    unsigned char *b = dst;
    for (size_t i = 0; i < n; i += N, b += 34) encode_q8_0(src + i, b);
}
