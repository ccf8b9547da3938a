/* panel_wasm128.h - panels of packed weights (panel.h) in WebAssembly's SIMD128. */
#ifndef KW_CPU_SIMD_PANEL_WASM128_H
#define KW_CPU_SIMD_PANEL_WASM128_H

#include "cpu/simd/wasm128.h"

static inline B b_set(int x) { return wasm_i8x16_splat((int8_t)x); }
static inline B b_and(B a, B b) { return wasm_v128_and(a, b); }
static inline B b_or(B a, B b) { return wasm_v128_or(a, b); }
/* Shifts of words: callers mask what crosses a byte. */
static inline B b_right(B a, int n) { return wasm_u16x8_shr(a, (uint32_t)n); }
static inline B b_left(B a, int n) { return wasm_i16x8_shl(a, (uint32_t)n); }
static inline B b_high_nibbles(B a) { return b_and(b_right(a, 4), b_set(15)); }
static inline B b_lookup(const unsigned char table[16], B index)
{
    return wasm_i8x16_swizzle(wasm_v128_load(table), index);
}
static inline B b_four(uint32_t x) { return wasm_i32x4_splat((int32_t)x); }
/* Byte t of every dword. */
static inline H v_byte(B a, int t)
{
    I x = wasm_u32x4_shr(a, (uint32_t)(8 * t));
    return wasm_f32x4_convert_i32x4(wasm_v128_and(x, wasm_i32x4_splat(255)));
}
static inline H v_unpack_low(H a, H b) { return wasm_i32x4_shuffle(a, b, 0, 4, 1, 5); }
static inline H v_unpack_high(H a, H b) { return wasm_i32x4_shuffle(a, b, 2, 6, 3, 7); }
static inline H v_even_lanes(H a, H b) { return wasm_i32x4_shuffle(a, b, 0, 2, 4, 6); }
static inline H v_odd_lanes(H a, H b) { return wasm_i32x4_shuffle(a, b, 1, 3, 5, 7); }
static inline H h_low_pairs(H a, H b) { return wasm_i64x2_shuffle(a, b, 0, 2); }
static inline H h_high_pairs(H a, H b) { return wasm_i64x2_shuffle(a, b, 1, 3); }
static inline I i_load(const int32_t *p) { return wasm_v128_load(p); }
static inline void i_store(int32_t *p, I a) { wasm_v128_store(p, a); }
/* The two dwords at p, twice. */
static inline I i_twice(const void *p) { return wasm_v128_load64_splat(p); }
static inline I i_times(I a, int n) { return wasm_i32x4_mul(a, wasm_i32x4_splat(n)); }
/* The words of a vector of codes: low bytes and high bytes. */
static inline W w_low_bytes(B a) { return wasm_v128_and(a, wasm_i16x8_splat(255)); }
static inline W w_high_bytes(B a) { return wasm_u16x8_shr(a, 8); }

/* ---- for 16-bit products of many rows (wide16.inc) ---- */

static inline H v_swap_parity(H a) { return wasm_i32x4_shuffle(a, a, 1, 0, 3, 2); }
static inline B b_zero(void) { return i_zero(); }
static inline B b_round_words(H a, H b) { return wasm_i16x8_narrow_i32x4(i_round(a), i_round(b)); }
static inline B b_dword(const void *p) { return wasm_v128_load32_splat(p); }
static inline B b_dot_words(B sum, B a, B b) { return i_dot(sum, a, b); }
static inline H v_from_ints(B a) { return h_from_i(a); }
static inline void v_store_words(void *p, H a)
{
    wasm_v128_store64_lane(p, b_round_words(a, a), 0);
}

#include "cpu/simd/four.h"

#endif
