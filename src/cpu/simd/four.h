/* four.h - a vector V of four lanes, for packed weights on machines with 128-bit registers: the names that codes.inc, tile.inc,
 * few128.inc, wide16.inc and wide8.inc use. (Rows of cells and exact mode have eight lanes there: two.h.)
 *
 * Four lanes of kw_panel_order are rows 2q, 2q+1, 8+2q and 8+2q+1: what a panel's vectors number q of low and high rows sum to.
 * The header of a machine defines its H, I, W and B, then the functions of bytes that follow them (panel_*.h). */
#ifndef KW_CPU_SIMD_FOUR_H
#define KW_CPU_SIMD_FOUR_H

#include <stdint.h>
#include <string.h>

typedef H V;
enum { VN = 4 };

static inline V v_zero(void) { return h_set(0); }
static inline V v_set(float x) { return h_set(x); }
static inline V v_load(const float *p) { return h_load(p); }
static inline void v_store(float *p, V a) { h_store(p, a); }
static inline V v_add(V a, V b) { return h_add(a, b); }
static inline V v_mul(V a, V b) { return h_mul(a, b); }
static inline V v_div(V a, V b) { return h_div(a, b); }
static inline V v_fma(V a, V b, V c) { return h_fma(a, b, c); }
static inline V v_where_gt(V a, V b, V x, V y) { return h_where_gt(a, b, x, y); }
static inline V v_max(V a, V b) { return h_max(a, b); }
static inline V v_abs(V a) { return h_abs(a); }
static inline float v_most(V a) { return h_largest(a); }
static inline float v_total(V a) { return h_tree(a); }
static inline uint64_t eight_bytes(const void *p)
{
    uint64_t x;
    memcpy(&x, p, sizeof x);
    return x;
}
static inline V v_halves(const void *p) { return h_halves(eight_bytes(p)); }
static inline V v_bf16(const void *p) { return h_bf16s(eight_bytes(p)); }

/* Lanes of kw_panel_order become rows. */
static inline void v_panel_rows(V v[4])
{
    V first = h_low_pairs(v[0], v[1]), second = h_low_pairs(v[2], v[3]);
    V third = h_high_pairs(v[0], v[1]), last = h_high_pairs(v[2], v[3]);
    v[0] = first, v[1] = second, v[2] = third, v[3] = last;
}

/* ---- scales: four bytes are enough ---- */

typedef B S;

static inline S s_load(const unsigned char *p, int at)
{
    uint32_t x;
    memcpy(&x, p + at, sizeof x);
    return b_four(x);
}
static inline S s_set(int x) { return b_set(x); }
static inline S s_and(S a, S b) { return b_and(a, b); }
static inline S s_or(S a, S b) { return b_or(a, b); }
static inline S s_right(S a, int n) { return b_right(a, n); }
static inline S s_left(S a, int n) { return b_left(a, n); }
static inline V v_signed_bytes(S x, int at)
{
    (void)at; /* s_load chose */
    return h_from_i(i_low(w_low(x)));
}
/* Scales have at most six bits. */
static inline V v_unsigned_bytes(S x, int at) { return v_signed_bytes(x, at); }

#endif
