/* quant_k.c - the K blocks: 256 values in parts of 16 or 32 that have small scales of their own.
 *
 *   Q2_K   16 B scale|min nibbles | 64 B 2 bits | d | dmin          x = d*sc*q - dmin*m      parts of 16
 *   Q3_K   32 B third bits | 64 B 2 bits | 12 B 6-bit scales | d    x = d*(sc-32)*(q-4)      parts of 16
 *   Q4_K   d | dmin | 12 B 6-bit scales and mins | 128 B nibbles    x = d*sc*q - dmin*m      parts of 32
 *   Q5_K   d | dmin | 12 B | 32 B fifth bits | 128 B nibbles        x = d*sc*q - dmin*m      parts of 32
 *   Q6_K   128 B low nibbles | 64 B high pairs | 16 B scales | d    x = d*sc*(q-32)          parts of 16
 *
 * Products are rounded in the order written: d*sc first, then times q. */
#include "tensor/decode.h"

enum { N = 256 };

/* 2-bit code j of 64 bytes: halves of 128 values, in each 32 bytes hold four parts of 32 by bit position. */
static int two_bits(const unsigned char *q, size_t j)
{
    return q[j / 128 * 32 + j % 32] >> (2 * (j % 128 / 32)) & 3;
}

void kw_decode_q2_k(const void *src, float *dst, size_t n)
{
    const unsigned char *b = src;
    for (size_t i = 0; i < n; i += N, b += 84) {
        float d = kw_f16_at(b + 80), dmin = kw_f16_at(b + 82);
        for (size_t j = 0; j < N; j++) {
            unsigned char s = b[j / 16];
            dst[i + j] = d * (float)(s & 15) * (float)two_bits(b + 16, j) - dmin * (float)(s >> 4);
        }
    }
}

/* Sixteen 6-bit scales in 12 bytes: low nibbles in the first 8, pairs of high bits in the last 4. */
static int six_bits(const unsigned char *s, size_t j)
{
    int low = j < 8 ? s[j] & 15 : s[j - 8] >> 4;
    return low | (s[8 + j % 4] >> (2 * (j / 4)) & 3) << 4;
}

void kw_decode_q3_k(const void *src, float *dst, size_t n)
{
    const unsigned char *b = src;
    for (size_t i = 0; i < n; i += N, b += 110) {
        float d = kw_f16_at(b + 108);
        for (size_t j = 0; j < N; j++) {
            int third = b[j % 32] >> (j / 32) & 1;
            int q = two_bits(b + 32, j) - (third ? 0 : 4);
            dst[i + j] = d * (float)(six_bits(b + 96, j / 16) - 32) * (float)q;
        }
    }
}

/* Scale and minimum of part j of eight, 6 bits each, in 12 bytes. */
static void scale_min(const unsigned char *s, size_t j, int *scale, int *min)
{
    *scale = j < 4 ? s[j] & 63 : (s[j + 4] & 15) | s[j - 4] >> 6 << 4;
    *min = j < 4 ? s[j + 4] & 63 : s[j + 4] >> 4 | s[j] >> 6 << 4;
}

/* Code j of 128 bytes of nibbles: 32 bytes hold two parts of 32. */
static int nibble(const unsigned char *q, size_t j)
{
    return q[j / 64 * 32 + j % 32] >> (4 * (j % 64 / 32)) & 15;
}

void kw_decode_q4_k(const void *src, float *dst, size_t n)
{
    const unsigned char *b = src;
    for (size_t i = 0; i < n; i += N, b += 144)
        for (size_t j = 0; j < N; j++) {
            int scale, min;
            scale_min(b + 4, j / 32, &scale, &min);
            dst[i + j] = kw_f16_at(b) * (float)scale * (float)nibble(b + 16, j) -
                         kw_f16_at(b + 2) * (float)min;
        }
}

void kw_decode_q5_k(const void *src, float *dst, size_t n)
{
    const unsigned char *b = src;
    for (size_t i = 0; i < n; i += N, b += 176)
        for (size_t j = 0; j < N; j++) {
            int scale, min, q = nibble(b + 48, j) | (b[16 + j % 32] >> (j / 32) & 1) << 4;
            scale_min(b + 4, j / 32, &scale, &min);
            dst[i + j] = kw_f16_at(b) * (float)scale * (float)q - kw_f16_at(b + 2) * (float)min;
        }
}

void kw_decode_q6_k(const void *src, float *dst, size_t n)
{
    const unsigned char *b = src;
    for (size_t i = 0; i < n; i += N, b += 210)
        for (size_t j = 0; j < N; j++) {
            size_t half = j / 128, part = j % 128 / 32, at = j % 32;
            int low = b[64 * half + 32 * (part & 1) + at] >> (part & 2 ? 4 : 0) & 15;
            int high = b[128 + 32 * half + at] >> (2 * part) & 3;
            float scale = kw_f16_at(b + 208) * (float)(signed char)b[192 + j / 16];
            dst[i + j] = scale * (float)((low | high << 4) - 32);
        }
}
