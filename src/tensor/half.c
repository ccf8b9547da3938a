/* half.c - 16-bit floats to f32 and back, by bits: no instruction of any CPU is needed.
 *
 * To f32 is exact. To 16 bits rounds to nearest, ties to even; NaN stays NaN, and what is too large becomes infinity. */
#include "tensor/tensor.h"
#include <string.h>

static float from_bits(uint32_t u)
{
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

static uint32_t to_bits(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}

float kw_f16_to_f32(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16, rest = h & 0x7fffu;
    if (rest >= 0x7c00u)
        return from_bits(sign | 0x7f800000u | (rest & 0x3ffu) << 13);            /* infinity, NaN */
    if (rest < 0x400u) return from_bits(sign | to_bits((float)rest * 0x1p-24f)); /* subnormal */
    return from_bits(sign | ((rest << 13) + 0x38000000u));
}

uint16_t kw_f32_to_f16(float x)
{
    uint32_t u = to_bits(x), sign = u >> 16 & 0x8000u, rest = u & 0x7fffffffu;
    if (rest > 0x7f800000u) return (uint16_t)(sign | 0x7e00u);
    if (rest >= 0x477ff000u) return (uint16_t)(sign | 0x7c00u);
    if (rest < 0x38800000u) { /* subnormal: adding 1/2 leaves the rounded value in the low bits */
        uint32_t magic = to_bits(from_bits(rest) + 0.5f);
        return (uint16_t)(sign | (magic - 0x3f000000u));
    }
    uint32_t odd = rest >> 13 & 1u;
    return (uint16_t)(sign | (rest - 0x38000000u + 0xfffu + odd) >> 13);
}

float kw_bf16_to_f32(uint16_t h) { return from_bits((uint32_t)h << 16); }

uint16_t kw_f32_to_bf16(float x)
{
    uint32_t u = to_bits(x);
    if ((u & 0x7fffffffu) > 0x7f800000u) return (uint16_t)(u >> 16 | 0x40u);
    return (uint16_t)((u + 0x7fffu + (u >> 16 & 1u)) >> 16);
}
