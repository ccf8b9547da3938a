/* quant_iq.c - blocks whose 4-bit codes name one of sixteen values, denser near zero.
 *
 *   IQ4_NL  d f16 | 16 B nibbles                                32 values    x = d * value[q]
 *   IQ4_XS  d f16 | 2 B high scale bits | 4 B low | 128 B      256 values    x = d * (scale - 32) * value[q], parts of 32 */
#include "tensor/fit.h"

const signed char kw_iq4_values[16] = { -127, -104, -83, -65, -49, -35, -22, -10,
                                        1,    13,   25,  38,  53,  69,  89,  113 };

static void decode_part(const unsigned char *q, float d, float *dst)
{
    for (int j = 0; j < 16; j++) {
        dst[j] = d * (float)kw_iq4_values[q[j] & 15];
        dst[j + 16] = d * (float)kw_iq4_values[q[j] >> 4];
    }
}

void kw_decode_iq4_nl(const void *src, float *dst, size_t n)
{
    const unsigned char *b = src;
    for (size_t i = 0; i < n; i += 32, b += 18) decode_part(b + 2, kw_f16_at(b), dst + i);
}

void kw_decode_iq4_xs(const void *src, float *dst, size_t n)
{
    const unsigned char *b = src;
    for (size_t i = 0; i < n; i += 256, b += 136)
        for (size_t part = 0; part < 8; part++) {
            int high = (b[2] | b[3] << 8) >> (2 * part) & 3;
            int low = b[4 + part / 2] >> (4 * (part & 1)) & 15;
            float d = kw_f16_at(b) * (float)((low | high << 4) - 32);
            decode_part(b + 8 + 16 * part, d, dst + i + 32 * part);
        }
}
