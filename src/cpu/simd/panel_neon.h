/* panel_neon.h - panels of packed weights (panel.h) in NEON. */
#ifndef KW_CPU_SIMD_PANEL_NEON_H
#define KW_CPU_SIMD_PANEL_NEON_H

#include "cpu/simd/neon.h"

static inline uint16x8_t b_words(B a) { return vreinterpretq_u16_s8(a); }

static inline B b_set(int x) { return vdupq_n_s8((int8_t)x); }
static inline B b_and(B a, B b) { return vandq_s8(a, b); }
static inline B b_or(B a, B b) { return vorrq_s8(a, b); }
static inline B b_flip(B a) { return veorq_s8(a, vdupq_n_s8(-128)); }
/* Shifts of words: callers mask what crosses a byte. */
static inline B b_right(B a, int n) { return vreinterpretq_s8_u16(b_words(a) >> n); }
static inline B b_left(B a, int n) { return vreinterpretq_s8_u16(b_words(a) << n); }
static inline B b_high_nibbles(B a)
{
    return vreinterpretq_s8_u8(vshrq_n_u8(vreinterpretq_u8_s8(a), 4));
}
static inline B b_lookup(const unsigned char table[16], B index)
{
    return vqtbl1q_s8(vld1q_s8((const int8_t *)table), vreinterpretq_u8_s8(index));
}
static inline B b_four(uint32_t x)
{
    return vreinterpretq_s8_u32(vsetq_lane_u32(x, vdupq_n_u32(0), 0));
}
static inline B b_twice(const void *p) { return vreinterpretq_s8_s64(vld1q_dup_s64(p)); }
/* Byte t of every dword. */
static inline H v_byte(B a, int t)
{
    uint32x4_t x = vreinterpretq_u32_s8(a) >> (8 * t);
    return vcvtq_f32_u32(vandq_u32(x, vdupq_n_u32(255)));
}
static inline H v_unpack_low(H a, H b) { return vzip1q_f32(a, b); }
static inline H v_unpack_high(H a, H b) { return vzip2q_f32(a, b); }
static inline H v_even_lanes(H a, H b) { return vuzp1q_f32(a, b); }
static inline H v_odd_lanes(H a, H b) { return vuzp2q_f32(a, b); }
static inline H h_low_pairs(H a, H b) { return h_two(vzip1q_f64(h_as_two(a), h_as_two(b))); }
static inline H h_high_pairs(H a, H b) { return h_two(vzip2q_f64(h_as_two(a), h_as_two(b))); }
static inline I i_load(const int32_t *p) { return vld1q_s32(p); }
static inline void i_store(int32_t *p, I a) { vst1q_s32(p, a); }
/* The two dwords at p, twice. */
static inline I i_twice(const void *p) { return vreinterpretq_s32_s8(b_twice(p)); }
static inline I i_times(I a, int n) { return vmulq_n_s32(a, n); }

#include "cpu/simd/four.h"

/* ---- for byte products of many rows (wide8.inc) ----
 *
 * Sums start at the bits of 3 * 2^22: as a float each is that and the sum, where |sum| < 2^22, and no conversion is needed.
 * Steps are f32: a sum times its step is rounded once, like the product of the integers. */

enum { SUM_START = 0x4b400000 };
static inline I i_of(B a) { return vreinterpretq_s32_s8(a); }
static inline B b_of(I a) { return vreinterpretq_s8_s32(a); }
static inline B b_zero(void) { return b_set(0); }
static inline B b_add(B a, B b) { return b_of(vaddq_s32(i_of(a), i_of(b))); }
static inline I i_start(void) { return vdupq_n_s32(SUM_START); }
static inline H h_from_started(I sum)
{
    return vsubq_f32(vreinterpretq_f32_s32(sum), vreinterpretq_f32_s32(i_start()));
}
static inline uint32_t byte_step(uint32_t step)
{
    float x = (float)step;
    memcpy(&step, &x, sizeof step);
    return step;
}
static inline float step_at(const void *p)
{
    float step;
    memcpy(&step, p, sizeof step);
    return step;
}
static inline V v_from_ints(B a) { return h_from_i(i_of(a)); }
/* Four rounded values, number k on of eight, as bytes in the order of a panel's; the values. */
static inline B b_store_codes(unsigned char *p, int k, V a)
{
    int32_t x[4];
    I rounded = i_round(a);
    i_store(x, rounded);
    for (int i = k; i < k + 4; i++) p[i / 2 + i % 2 * 4] = (unsigned char)x[i - k];
    return b_of(rounded);
}

#endif
