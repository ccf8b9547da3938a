/* sse2.h - four f32 lanes (H), four int32 (I), eight int16 (W), sixteen bytes (B), in SSE2. */
#ifndef KW_CPU_SIMD_SSE2_H
#define KW_CPU_SIMD_SSE2_H

#include <emmintrin.h>
#include <stdint.h>

typedef __m128 H;
typedef __m128i I, W, B;

/* ---- f32 ---- */

static inline H h_set(float x) { return _mm_set1_ps(x); }
static inline H h_load(const float *p) { return _mm_loadu_ps(p); }
static inline void h_store(float *p, H a) { _mm_storeu_ps(p, a); }
static inline H h_add(H a, H b) { return _mm_add_ps(a, b); }
static inline H h_sub(H a, H b) { return _mm_sub_ps(a, b); }
static inline H h_mul(H a, H b) { return _mm_mul_ps(a, b); }
static inline H h_div(H a, H b) { return _mm_div_ps(a, b); }
static inline H h_fma(H a, H b, H c) { return _mm_add_ps(_mm_mul_ps(a, b), c); }
static inline H h_choose(H mask, H x, H y)
{
    return _mm_or_ps(_mm_and_ps(mask, x), _mm_andnot_ps(mask, y));
}
/* x where a > b (false for NaN), else y */
static inline H h_where_gt(H a, H b, H x, H y) { return h_choose(_mm_cmpgt_ps(a, b), x, y); }
/* x where a is NaN, else y */
static inline H h_where_nan(H a, H x, H y) { return h_choose(_mm_cmpunord_ps(a, a), x, y); }
/* bits of p + (bits of t << 23) */
static inline H h_scale_bits(H p, H t)
{
    I shifted = _mm_slli_epi32(_mm_castps_si128(t), 23);
    return _mm_castsi128_ps(_mm_add_epi32(_mm_castps_si128(p), shifted));
}
/* lanes j and j+2, then j+1 */
static inline float h_tree(H a)
{
    H s = _mm_add_ps(a, _mm_movehl_ps(a, a));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_shuffle_ps(s, s, 1)));
}
static inline H h_max(H a, H b) { return _mm_max_ps(a, b); }
static inline H h_abs(H a) { return _mm_andnot_ps(_mm_set1_ps(-0.0f), a); }
static inline float h_largest(H a)
{
    H m = _mm_max_ps(a, _mm_movehl_ps(a, a));
    return _mm_cvtss_f32(_mm_max_ss(m, _mm_shuffle_ps(m, m, 1)));
}
static inline void h_transpose(H r[4]) { _MM_TRANSPOSE4_PS(r[0], r[1], r[2], r[3]); }

/* Four f16, the lowest bits first. A small f16 is a small f32 with another bias: one product moves it. */
static inline H h_halves(uint64_t four)
{
    I x = _mm_unpacklo_epi16(_mm_cvtsi64_si128((long long)four), _mm_setzero_si128());
    I sign = _mm_slli_epi32(_mm_and_si128(x, _mm_set1_epi32(0x8000)), 16);
    I rest = _mm_slli_epi32(_mm_and_si128(x, _mm_set1_epi32(0x7fff)), 13);
    I special = _mm_cmpgt_epi32(rest, _mm_set1_epi32(0x0f7fffff)); /* infinity, NaN */
    I size = _mm_castps_si128(_mm_mul_ps(_mm_castsi128_ps(rest), _mm_set1_ps(0x1p112f)));
    size = _mm_or_si128(size, _mm_and_si128(special, _mm_set1_epi32(0x7f800000)));
    return _mm_castsi128_ps(_mm_or_si128(size, sign));
}
static inline H h_bf16s(uint64_t four)
{
    I x = _mm_cvtsi64_si128((long long)four);
    return _mm_castsi128_ps(_mm_unpacklo_epi16(_mm_setzero_si128(), x));
}

/* ---- integers ---- */

static inline H h_from_i(I a) { return _mm_cvtepi32_ps(a); }
static inline I i_round(H a) { return _mm_cvtps_epi32(a); } /* ties to even */
static inline I i_add(I a, I b) { return _mm_add_epi32(a, b); }
static inline I i_shift(I a) { return _mm_slli_epi32(a, 8); }
static inline I i_zero(void) { return _mm_setzero_si128(); }
static inline I i_low(W a) { return _mm_srai_epi32(_mm_unpacklo_epi16(a, a), 16); }
static inline I i_high(W a) { return _mm_srai_epi32(_mm_unpackhi_epi16(a, a), 16); }
/* sum + products, two of them in each lane */
static inline I i_dot(I sum, W a, W b) { return _mm_add_epi32(sum, _mm_madd_epi16(a, b)); }
/* lane r: the sum of the lanes of s[r] */
static inline I i_sums(const I s[4])
{
    I a = _mm_add_epi32(_mm_unpacklo_epi32(s[0], s[1]), _mm_unpackhi_epi32(s[0], s[1]));
    I b = _mm_add_epi32(_mm_unpacklo_epi32(s[2], s[3]), _mm_unpackhi_epi32(s[2], s[3]));
    return _mm_add_epi32(_mm_unpacklo_epi64(a, b), _mm_unpackhi_epi64(a, b));
}
static inline W w_low(B a) { return _mm_srai_epi16(_mm_unpacklo_epi8(a, a), 8); }
static inline W w_high(B a) { return _mm_srai_epi16(_mm_unpackhi_epi8(a, a), 8); }
/* 256 * q + r */
static inline W w_join(W q, W r) { return _mm_add_epi16(_mm_slli_epi16(q, 8), r); }
static inline B b_load(const void *p) { return _mm_loadu_si128(p); }
static inline B b_eight(const void *p) { return _mm_loadl_epi64(p); } /* the low half */
/* sixteen int32 as bytes, held to -127..127 */
static inline B b_from(const I c[4])
{
    const W least = _mm_set1_epi16(-127);
    W low = _mm_max_epi16(_mm_packs_epi32(c[0], c[1]), least);
    return _mm_packs_epi16(low, _mm_max_epi16(_mm_packs_epi32(c[2], c[3]), least));
}
static inline void b_store(void *p, B a) { _mm_storeu_si128(p, a); }
/* (x >> shift) & mask; no bit of mask may come from a neighbour */
static inline B b_bits(B x, int shift, int mask)
{
    return _mm_and_si128(_mm_srl_epi16(x, _mm_cvtsi32_si128(shift)), _mm_set1_epi8((char)mask));
}
/* low | high << 4; high has at most four bits */
static inline B b_join(B low, B high) { return _mm_or_si128(low, _mm_slli_epi16(high, 4)); }
static inline B b_less(B x, int n) { return _mm_sub_epi8(x, _mm_set1_epi8((char)n)); }

#endif
