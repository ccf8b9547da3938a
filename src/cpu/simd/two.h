/* two.h - a vector V of eight lanes made of two H of four: the names that vec.inc and exact8.inc use.
 *
 * Eight lanes are the eight running sums of exact mode, so machines with 128-bit registers keep the same loops. The
 * header of a machine defines H and its h_ functions, then includes this file. */
#ifndef KW_CPU_SIMD_TWO_H
#define KW_CPU_SIMD_TWO_H

#include <stdint.h>
#include <string.h>

typedef struct V {
    H lo, hi;
} V;
enum { VN = 8 };

static inline V v_zero(void) { return (V){ h_set(0), h_set(0) }; }
static inline V v_set(float x) { return (V){ h_set(x), h_set(x) }; }
static inline V v_load(const float *p) { return (V){ h_load(p), h_load(p + 4) }; }
static inline void v_store(float *p, V a)
{
    h_store(p, a.lo);
    h_store(p + 4, a.hi);
}
static inline V v_add(V a, V b) { return (V){ h_add(a.lo, b.lo), h_add(a.hi, b.hi) }; }
static inline V v_sub(V a, V b) { return (V){ h_sub(a.lo, b.lo), h_sub(a.hi, b.hi) }; }
static inline V v_mul(V a, V b) { return (V){ h_mul(a.lo, b.lo), h_mul(a.hi, b.hi) }; }
static inline V v_div(V a, V b) { return (V){ h_div(a.lo, b.lo), h_div(a.hi, b.hi) }; }
/* a * b + c, fused where the machine does that (fast kernels only) */
static inline V v_fma(V a, V b, V c)
{
    return (V){ h_fma(a.lo, b.lo, c.lo), h_fma(a.hi, b.hi, c.hi) };
}
static inline V v_where_gt(V a, V b, V x, V y)
{
    return (V){ h_where_gt(a.lo, b.lo, x.lo, y.lo), h_where_gt(a.hi, b.hi, x.hi, y.hi) };
}
static inline V v_where_nan(V a, V x, V y)
{
    return (V){ h_where_nan(a.lo, x.lo, y.lo), h_where_nan(a.hi, x.hi, y.hi) };
}
static inline V v_scale_bits(V p, V t)
{
    return (V){ h_scale_bits(p.lo, t.lo), h_scale_bits(p.hi, t.hi) };
}
/* lanes j and j+4, then j+2, then j+1 */
static inline float v_tree(V a) { return h_tree(h_add(a.lo, a.hi)); }

/* ---- for attention over a tiled cache ---- */

static inline V v_max(V a, V b) { return (V){ h_max(a.lo, b.lo), h_max(a.hi, b.hi) }; }
static inline V v_abs(V a) { return (V){ h_abs(a.lo), h_abs(a.hi) }; }
static inline float v_most(V a) { return h_largest(h_max(a.lo, a.hi)); }
static inline uint64_t eight_bytes(const void *p)
{
    uint64_t x;
    memcpy(&x, p, sizeof x);
    return x;
}
/* Eight f16, bf16, int8. */
static inline V v_halves(const void *p)
{
    return (V){ h_halves(eight_bytes(p)), h_halves(eight_bytes((const char *)p + 8)) };
}
static inline V v_bf16(const void *p)
{
    return (V){ h_bf16s(eight_bytes(p)), h_bf16s(eight_bytes((const char *)p + 8)) };
}
static inline V v_bytes(const void *p)
{
    W x = w_low(b_eight(p));
    return (V){ h_from_i(i_low(x)), h_from_i(i_high(x)) };
}

#endif
