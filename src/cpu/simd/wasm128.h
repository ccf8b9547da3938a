/* wasm128.h - four f32 lanes (H), four int32 (I), eight int16 (W), sixteen bytes (B), in WebAssembly's SIMD128.
 * h_fma is the includer's choice: fma_wasm128.h or fma_relaxed.h. */
#ifndef KW_CPU_SIMD_WASM128_H
#define KW_CPU_SIMD_WASM128_H

#include <stdint.h>
#include <wasm_simd128.h>

typedef v128_t H, I, W, B;

/* ---- f32 ---- */

static inline H h_set(float x) { return wasm_f32x4_splat(x); }
static inline H h_load(const float *p) { return wasm_v128_load(p); }
static inline void h_store(float *p, H a) { wasm_v128_store(p, a); }
static inline H h_add(H a, H b) { return wasm_f32x4_add(a, b); }
static inline H h_sub(H a, H b) { return wasm_f32x4_sub(a, b); }
static inline H h_mul(H a, H b) { return wasm_f32x4_mul(a, b); }
static inline H h_div(H a, H b) { return wasm_f32x4_div(a, b); }
/* x where a > b (false for NaN), else y */
static inline H h_where_gt(H a, H b, H x, H y)
{
    return wasm_v128_bitselect(x, y, wasm_f32x4_gt(a, b));
}
/* x where a is NaN, else y */
static inline H h_where_nan(H a, H x, H y)
{
    return wasm_v128_bitselect(x, y, wasm_f32x4_ne(a, a));
}
/* bits of p + (bits of t << 23) */
static inline H h_scale_bits(H p, H t) { return wasm_i32x4_add(p, wasm_i32x4_shl(t, 23)); }
/* lanes j and j+2, then j+1 */
static inline float h_tree(H a)
{
    H s = wasm_f32x4_add(a, wasm_i32x4_shuffle(a, a, 2, 3, 2, 3));
    return wasm_f32x4_extract_lane(s, 0) + wasm_f32x4_extract_lane(s, 1);
}
static inline H h_max(H a, H b) { return wasm_f32x4_pmax(a, b); }
static inline H h_abs(H a) { return wasm_f32x4_abs(a); }
static inline float h_largest(H a)
{
    H m = wasm_f32x4_pmax(a, wasm_i32x4_shuffle(a, a, 2, 3, 2, 3));
    m = wasm_f32x4_pmax(m, wasm_i32x4_shuffle(m, m, 1, 1, 1, 1));
    return wasm_f32x4_extract_lane(m, 0);
}
static inline void h_transpose(H r[4])
{
    H a = wasm_i32x4_shuffle(r[0], r[1], 0, 4, 1, 5),
      b = wasm_i32x4_shuffle(r[0], r[1], 2, 6, 3, 7);
    H c = wasm_i32x4_shuffle(r[2], r[3], 0, 4, 1, 5),
      d = wasm_i32x4_shuffle(r[2], r[3], 2, 6, 3, 7);
    r[0] = wasm_i64x2_shuffle(a, c, 0, 2);
    r[1] = wasm_i64x2_shuffle(a, c, 1, 3);
    r[2] = wasm_i64x2_shuffle(b, d, 0, 2);
    r[3] = wasm_i64x2_shuffle(b, d, 1, 3);
}
/* Four f16, the lowest bits first. A small f16 is a small f32 with another bias: one product moves it. */
static inline H h_halves(uint64_t four)
{
    I x = wasm_u32x4_extend_low_u16x8(wasm_i64x2_splat((int64_t)four));
    I sign = wasm_i32x4_shl(wasm_v128_and(x, wasm_i32x4_splat(0x8000)), 16);
    I rest = wasm_i32x4_shl(wasm_v128_and(x, wasm_i32x4_splat(0x7fff)), 13);
    I special = wasm_i32x4_gt(rest, wasm_i32x4_splat(0x0f7fffff)); /* infinity, NaN */
    I size = wasm_f32x4_mul(rest, wasm_f32x4_splat(0x1p112f));
    size = wasm_v128_or(size, wasm_v128_and(special, wasm_i32x4_splat(0x7f800000)));
    return wasm_v128_or(size, sign);
}
static inline H h_bf16s(uint64_t four)
{
    return wasm_i32x4_shl(wasm_u32x4_extend_low_u16x8(wasm_i64x2_splat((int64_t)four)), 16);
}

/* ---- integers ---- */

static inline H h_from_i(I a) { return wasm_f32x4_convert_i32x4(a); }
static inline I i_round(H a) { return wasm_i32x4_trunc_sat_f32x4(wasm_f32x4_nearest(a)); }
static inline I i_add(I a, I b) { return wasm_i32x4_add(a, b); }
static inline I i_shift(I a) { return wasm_i32x4_shl(a, 8); }
static inline I i_zero(void) { return wasm_i32x4_splat(0); }
static inline I i_low(W a) { return wasm_i32x4_extend_low_i16x8(a); }
static inline I i_high(W a) { return wasm_i32x4_extend_high_i16x8(a); }
/* sum + products, two of them in each lane */
static inline I i_dot(I sum, W a, W b) { return wasm_i32x4_add(sum, wasm_i32x4_dot_i16x8(a, b)); }
/* lane r: the sum of the lanes of s[r] */
static inline I i_sums(const I s[4])
{
    I a = wasm_i32x4_add(wasm_i32x4_shuffle(s[0], s[1], 0, 4, 1, 5),
                         wasm_i32x4_shuffle(s[0], s[1], 2, 6, 3, 7));
    I b = wasm_i32x4_add(wasm_i32x4_shuffle(s[2], s[3], 0, 4, 1, 5),
                         wasm_i32x4_shuffle(s[2], s[3], 2, 6, 3, 7));
    return wasm_i32x4_add(wasm_i64x2_shuffle(a, b, 0, 2), wasm_i64x2_shuffle(a, b, 1, 3));
}
static inline W w_low(B a) { return wasm_i16x8_extend_low_i8x16(a); }
static inline W w_high(B a) { return wasm_i16x8_extend_high_i8x16(a); }
/* 256 * q + r */
static inline W w_join(W q, W r) { return wasm_i16x8_add(wasm_i16x8_shl(q, 8), r); }
static inline B b_load(const void *p) { return wasm_v128_load(p); }
static inline B b_eight(const void *p) { return wasm_v128_load64_zero(p); } /* the low half */
/* sixteen int32 as bytes, held to -127..127 */
static inline B b_from(const I c[4])
{
    W low = wasm_i16x8_narrow_i32x4(c[0], c[1]), high = wasm_i16x8_narrow_i32x4(c[2], c[3]);
    return wasm_i8x16_max(wasm_i8x16_narrow_i16x8(low, high), wasm_i8x16_splat(-127));
}
static inline void b_store(void *p, B a) { wasm_v128_store(p, a); }
/* (x >> shift) & mask */
static inline B b_bits(B x, int shift, int mask)
{
    B moved = wasm_u8x16_shr(x, (uint32_t)shift);
    return wasm_v128_and(moved, wasm_i8x16_splat((int8_t)mask));
}
/* low | high << 4; high has at most four bits */
static inline B b_join(B low, B high) { return wasm_v128_or(low, wasm_i16x8_shl(high, 4)); }
static inline B b_less(B x, int n) { return wasm_i8x16_sub(x, wasm_i8x16_splat((int8_t)n)); }

#endif
