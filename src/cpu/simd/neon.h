/* neon.h - four f32 lanes (H), four int32 (I), eight int16 (W), sixteen bytes (B), in the NEON that every 64-bit Arm has. */
#ifndef KW_CPU_SIMD_NEON_H
#define KW_CPU_SIMD_NEON_H

#include <arm_neon.h>

typedef float32x4_t H;
typedef int32x4_t I;
typedef int16x8_t W;
typedef int8x16_t B;

/* ---- f32 ---- */

static inline H h_set(float x) { return vdupq_n_f32(x); }
static inline H h_load(const float *p) { return vld1q_f32(p); }
static inline void h_store(float *p, H a) { vst1q_f32(p, a); }
static inline H h_add(H a, H b) { return vaddq_f32(a, b); }
static inline H h_sub(H a, H b) { return vsubq_f32(a, b); }
static inline H h_mul(H a, H b) { return vmulq_f32(a, b); }
static inline H h_div(H a, H b) { return vdivq_f32(a, b); }
static inline H h_fma(H a, H b, H c) { return vfmaq_f32(c, a, b); }
/* x where a > b (false for NaN), else y */
static inline H h_where_gt(H a, H b, H x, H y) { return vbslq_f32(vcgtq_f32(a, b), x, y); }
/* x where a is NaN, else y */
static inline H h_where_nan(H a, H x, H y) { return vbslq_f32(vceqq_f32(a, a), y, x); }
/* bits of p + (bits of t << 23) */
static inline H h_scale_bits(H p, H t)
{
    uint32x4_t shifted = vshlq_n_u32(vreinterpretq_u32_f32(t), 23);
    return vreinterpretq_f32_u32(vaddq_u32(vreinterpretq_u32_f32(p), shifted));
}
/* lanes j and j+2, then j+1 */
static inline float h_tree(H a)
{
    float32x2_t s = vadd_f32(vget_low_f32(a), vget_high_f32(a));
    return vget_lane_f32(s, 0) + vget_lane_f32(s, 1);
}
static inline H h_max(H a, H b) { return vmaxq_f32(a, b); }
static inline H h_abs(H a) { return vabsq_f32(a); }
static inline float h_largest(H a) { return vmaxvq_f32(a); }
static inline H h_two(float64x2_t a) { return vreinterpretq_f32_f64(a); }
static inline float64x2_t h_as_two(H a) { return vreinterpretq_f64_f32(a); }
static inline void h_transpose(H r[4])
{
    H a = vtrn1q_f32(r[0], r[1]), b = vtrn2q_f32(r[0], r[1]);
    H c = vtrn1q_f32(r[2], r[3]), d = vtrn2q_f32(r[2], r[3]);
    r[0] = h_two(vtrn1q_f64(h_as_two(a), h_as_two(c)));
    r[1] = h_two(vtrn1q_f64(h_as_two(b), h_as_two(d)));
    r[2] = h_two(vtrn2q_f64(h_as_two(a), h_as_two(c)));
    r[3] = h_two(vtrn2q_f64(h_as_two(b), h_as_two(d)));
}
/* Four f16 or bf16, the lowest bits first. */
static inline H h_halves(uint64_t four) { return vcvt_f32_f16(vcreate_f16(four)); }
static inline H h_bf16s(uint64_t four)
{
    return vreinterpretq_f32_u32(vshll_n_u16(vcreate_u16(four), 16));
}

/* ---- integers ---- */

static inline H h_from_i(I a) { return vcvtq_f32_s32(a); }
static inline I i_round(H a) { return vcvtnq_s32_f32(a); } /* ties to even */
static inline I i_add(I a, I b) { return vaddq_s32(a, b); }
static inline I i_shift(I a) { return vshlq_n_s32(a, 8); }
static inline I i_zero(void) { return vdupq_n_s32(0); }
static inline I i_low(W a) { return vmovl_s16(vget_low_s16(a)); }
static inline I i_high(W a) { return vmovl_high_s16(a); }
/* sum + products, two of them in each lane */
static inline I i_dot(I sum, W a, W b)
{
    return vmlal_high_s16(vmlal_s16(sum, vget_low_s16(a), vget_low_s16(b)), a, b);
}
/* lane r: the sum of the lanes of s[r] */
static inline I i_sums(const I s[4])
{
    return vpaddq_s32(vpaddq_s32(s[0], s[1]), vpaddq_s32(s[2], s[3]));
}
static inline W w_low(B a) { return vmovl_s8(vget_low_s8(a)); }
static inline W w_high(B a) { return vmovl_high_s8(a); }
/* 256 * q + r */
static inline W w_join(W q, W r) { return vaddq_s16(vshlq_n_s16(q, 8), r); }
static inline B b_load(const void *p) { return vld1q_s8(p); }
static inline B b_eight(const void *p)
{
    return vcombine_s8(vld1_s8(p), vdup_n_s8(0));
} /* the low half */
/* sixteen int32 as bytes, held to -127..127 */
static inline B b_from(const I c[4])
{
    W low = vqmovn_high_s32(vqmovn_s32(c[0]), c[1]), high = vqmovn_high_s32(vqmovn_s32(c[2]), c[3]);
    return vmaxq_s8(vqmovn_high_s16(vqmovn_s16(low), high), vdupq_n_s8(-127));
}
static inline void b_store(void *p, B a) { vst1q_s8(p, a); }
/* (x >> shift) & mask */
static inline B b_bits(B x, int shift, int mask)
{
    uint8x16_t moved = vshlq_u8(vreinterpretq_u8_s8(x), vdupq_n_s8((int8_t)-shift));
    return vreinterpretq_s8_u8(vandq_u8(moved, vdupq_n_u8((uint8_t)mask)));
}
/* low | high << 4; high has at most four bits */
static inline B b_join(B low, B high) { return vorrq_s8(low, vshlq_n_s8(high, 4)); }
static inline B b_less(B x, int n) { return vsubq_s8(x, vdupq_n_s8((int8_t)n)); }

#endif
