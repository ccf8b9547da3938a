/* quant_tiny.c - ternary blocks, and floats of 4 and 8 bits.
 *
 *   TQ1_0    48 B and 4 B of base 3 digits | d f16        256 values   x = d * (digit - 1)
 *   TQ2_0    64 B of 2 bits | d f16                       256 values   x = d * (q - 1)
 *   MXFP4    scale 2^e B | 16 B nibbles                    32 values   x = scale / 2 * value
 *   NVFP4    4 scales e4m3 B | 32 B nibbles                64 values   x = scale / 2 * value, parts of 16
 *   F8_E4M3  sign, 4 of exponent, 3 of fraction             1 value    no infinities, all ones is NaN
 *   F8_E5M2  the upper half of an f16                       1 value
 *
 * Values of FP4 are kept doubled, so that they are integers. A byte of TQ1_0 holds digits as a fraction of 256: multiplied by a
 * power of three it overflows past those before, and what three times the rest carries over is the digit. */
#include "tensor/decode.h"
#include <math.h>
#include <string.h>

static const signed char fp4[16] = { 0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12 };

/* n bytes, as many times n values as they have digits. */
static float *put_digits(const unsigned char *b, size_t n, size_t n_digits, float d, float *dst)
{
    static const unsigned char powers[5] = { 1, 3, 9, 27, 81 };
    for (size_t k = 0; k < n_digits; k++)
        for (size_t j = 0; j < n; j++) {
            unsigned rest = (unsigned)b[j] * powers[k] & 255;
            *dst++ = d * (float)((int)(rest * 3 >> 8) - 1);
        }
    return dst;
}

void kw_decode_tq1_0(const void *src, float *dst, size_t n)
{
    const unsigned char *b = src;
    for (size_t i = 0; i < n; i += 256, b += 54) {
        float d = kw_f16_at(b + 52);
        dst = put_digits(b, 32, 5, d, dst);
        dst = put_digits(b + 32, 16, 5, d, dst);
        dst = put_digits(b + 48, 4, 4, d, dst);
    }
}

void kw_decode_tq2_0(const void *src, float *dst, size_t n)
{
    const unsigned char *b = src;
    for (size_t i = 0; i < n; i += 256, b += 66)
        for (size_t j = 0; j < 256; j++) {
            int q = b[j / 128 * 32 + j % 32] >> (2 * (j % 128 / 32)) & 3;
            dst[i + j] = kw_f16_at(b + 64) * (float)(q - 1);
        }
}

/* n values: n / 2 bytes hold the first half in their low nibbles. */
static void put_fp4(const unsigned char *b, size_t n, float d, float *dst)
{
    for (size_t j = 0; j < n / 2; j++) {
        dst[j] = d * (float)fp4[b[j] & 15];
        dst[j + n / 2] = d * (float)fp4[b[j] >> 4];
    }
}

/* 2^(e - 128); the two smallest are subnormal. */
static float half_power(unsigned e)
{
    uint32_t u = e < 2 ? (uint32_t)0x200000 << e : (uint32_t)(e - 1) << 23;
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

void kw_decode_mxfp4(const void *src, float *dst, size_t n)
{
    const unsigned char *b = src;
    for (size_t i = 0; i < n; i += 32, b += 17) put_fp4(b + 1, 32, half_power(b[0]), dst + i);
}

/* Seven bits of e4m3 by their meaning: exact, all of it are powers of two and products with small integers. */
static float e4m3(unsigned bits)
{
    int exponent = (int)(bits >> 3 & 15), fraction = (int)(bits & 7);
    if (exponent == 0) return ldexpf((float)fraction, -9);
    return ldexpf((float)(8 + fraction), exponent - 10);
}

void kw_decode_nvfp4(const void *src, float *dst, size_t n)
{
    const unsigned char *b = src;
    for (size_t i = 0; i < n; i += 64, b += 36)
        for (size_t part = 0; part < 4; part++) {
            float d = b[part] == 0x7f ? 0.0f : e4m3(b[part]) * 0.5f; /* the sign bit is not used */
            put_fp4(b + 4 + 8 * part, 16, d, dst + i + 16 * part);
        }
}

void kw_decode_f8_e4m3(const void *src, float *dst, size_t n)
{
    const unsigned char *b = src;
    for (size_t i = 0; i < n; i++) {
        float x = (b[i] & 127) == 127 ? NAN : e4m3(b[i]);
        dst[i] = b[i] & 128 ? -x : x;
    }
}

void kw_decode_f8_e5m2(const void *src, float *dst, size_t n)
{
    const unsigned char *b = src;
    for (size_t i = 0; i < n; i++) dst[i] = kw_f16_to_f32((uint16_t)(b[i] << 8));
}
