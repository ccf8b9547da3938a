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

#endif
