/* avx512.h - sixteen f32 lanes: the names that vec.inc uses, in AVX-512. */
#ifndef KW_CPU_SIMD_AVX512_H
#define KW_CPU_SIMD_AVX512_H

#include "cpu/simd/scales_x86.h"
#include <string.h>

typedef __m512 V;
enum { VN = 16 };

static inline V v_zero(void) { return _mm512_setzero_ps(); }
static inline V v_set(float x) { return _mm512_set1_ps(x); }
static inline V v_load(const float *p) { return _mm512_loadu_ps(p); }
static inline void v_store(float *p, V a) { _mm512_storeu_ps(p, a); }
/* the f16 at p, in every lane */
static inline V v_half(const unsigned char *p)
{
    short h;
    memcpy(&h, p, sizeof h);
    return _mm512_cvtph_ps(_mm256_set1_epi16(h));
}
static inline V v_add(V a, V b) { return _mm512_add_ps(a, b); }
static inline V v_sub(V a, V b) { return _mm512_sub_ps(a, b); }
static inline V v_mul(V a, V b) { return _mm512_mul_ps(a, b); }
static inline V v_div(V a, V b) { return _mm512_div_ps(a, b); }
static inline V v_fma(V a, V b, V c) { return _mm512_fmadd_ps(a, b, c); }
static inline V v_where_gt(V a, V b, V x, V y)
{
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_GT_OQ), y, x);
}
static inline V v_where_nan(V a, V x, V y)
{
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q), y, x);
}
static inline V v_scale_bits(V p, V t)
{
    return _mm512_castsi512_ps(
        _mm512_add_epi32(_mm512_castps_si512(p), _mm512_slli_epi32(_mm512_castps_si512(t), 23)));
}

/* ---- panels (panel.h): bytes, and what becomes of them; the same names as in avx2.h ---- */
typedef __m512i B;

static inline B b_zero(void) { return _mm512_setzero_si512(); }
static inline B b_load(const void *p) { return _mm512_loadu_si512(p); }
static inline void b_store(void *p, B a) { _mm512_storeu_si512(p, a); }
static inline B b_set(int x) { return _mm512_set1_epi8((char)x); }
static inline B b_and(B a, B b) { return _mm512_and_si512(a, b); }
static inline B b_or(B a, B b) { return _mm512_or_si512(a, b); }
static inline B b_right(B a, int n) { return _mm512_srl_epi16(a, _mm_cvtsi32_si128(n)); }
static inline B b_left(B a, int n) { return _mm512_sll_epi16(a, _mm_cvtsi32_si128(n)); }
static inline B b_high_nibbles(B a) { return b_and(b_right(a, 4), b_set(15)); }
static inline B b_lookup(const unsigned char table[16], B index)
{
    return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(_mm_loadu_si128((const void *)table)), index);
}
static inline V v_byte(B a, int t)
{
    /* the middle ones by a permutation: shifts and conversions share a port */
    const unsigned top = 0x80808000u + (unsigned)t;
    B middle = _mm512_broadcast_i32x4(
        _mm_setr_epi32((int)top, (int)(top + 4), (int)(top + 8), (int)(top + 12)));
    B x = t == 0   ? _mm512_and_si512(a, _mm512_set1_epi32(255))
          : t == 3 ? _mm512_srli_epi32(a, 24)
                   : _mm512_shuffle_epi8(a, middle);
    return _mm512_cvtepi32_ps(x);
}
static inline V v_unpack_low(V a, V b) { return _mm512_unpacklo_ps(a, b); }
static inline V v_unpack_high(V a, V b) { return _mm512_unpackhi_ps(a, b); }
static inline V v_halves(const void *p) { return _mm512_cvtph_ps(_mm256_loadu_si256(p)); }
static inline V v_bytes(const void *p)
{
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(p)));
}
static inline V v_bf16(const void *p)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256(p)), 16));
}
static inline V v_signed_bytes(__m128i x, int at)
{
    (void)at;
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(x));
}
static inline V v_unsigned_bytes(__m128i x, int at)
{
    (void)at;
    return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(x));
}
static inline V v_max(V a, V b) { return _mm512_max_ps(a, b); }
static inline V v_abs(V a) { return _mm512_abs_ps(a); }
static inline float v_most(V a) { return _mm512_reduce_max_ps(a); }

/* For 16-bit products (wide16.inc). */
static inline V v_swap_parity(V a) { return _mm512_permute_ps(a, 0xb1); }
static inline V v_even_lanes(V a, V b) { return _mm512_shuffle_ps(a, b, 0x88); }
static inline V v_odd_lanes(V a, V b) { return _mm512_shuffle_ps(a, b, 0xdd); }
static inline B b_round_words(V a, V b)
{
    return _mm512_packs_epi32(_mm512_cvtps_epi32(a), _mm512_cvtps_epi32(b));
}
static inline B b_dword(const void *p)
{
    int x;
    memcpy(&x, p, sizeof x);
    return _mm512_set1_epi32(x);
}
static inline B b_dot_words(B sum, B a, B b)
{
#ifdef __AVX512VNNI__
    return _mm512_dpwssd_epi32(sum, a, b);
#else
    return _mm512_add_epi32(sum, _mm512_madd_epi16(a, b));
#endif
}
/* For byte products (wide8.inc): w unsigned, x signed. */
static inline B b_add(B a, B b) { return _mm512_add_epi32(a, b); }
static inline B b_qword(const void *p)
{
    long long x;
    memcpy(&x, p, sizeof x);
    return _mm512_set1_epi64(x);
}
#ifdef __AVX512VNNI__
static inline B b_dot_bytes(B sum, B w, B x) { return _mm512_dpbusd_epi32(sum, w, x); }
static inline B b_mul_bytes(B w, B x) { return b_dot_bytes(_mm512_setzero_si512(), w, x); }
/* The sums times the step that `steps` has twice in every dword. */
static inline V v_steps(B sum, B steps)
{
    return _mm512_cvtepi32_ps(_mm512_mullo_epi32(sum, _mm512_srli_epi32(steps, 16)));
}
#else
static inline B b_mul_bytes(B w, B x) { return _mm512_maddubs_epi16(w, x); }
static inline B b_dot_bytes(B sum, B w, B x) { return _mm512_add_epi16(sum, b_mul_bytes(w, x)); }
static inline V v_steps(B sum, B steps)
{
    return _mm512_cvtepi32_ps(_mm512_madd_epi16(sum, steps));
}
#endif
/* VN rounded values, those from k on, as bytes in the order of a panel's; the values. */
static inline B b_store_codes(unsigned char *p, int k, V a)
{
    const B order = _mm512_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7, 8, 10, 12, 14, 9, 11, 13, 15);
    B x = _mm512_cvtps_epi32(a);
    _mm_storeu_si128((void *)(p + k), _mm512_cvtsepi32_epi8(_mm512_permutexvar_epi32(order, x)));
    return x;
}
static inline float v_total(V a) { return _mm512_reduce_add_ps(a); }
static inline V v_from_ints(B a) { return _mm512_cvtepi32_ps(a); }
/* Lanes of kw_panel_order become rows. */
static inline V v_rows(V a)
{
    const B lane = _mm512_setr_epi32(0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15);
    return _mm512_permutexvar_ps(lane, a);
}
static inline void v_panel_rows(V v[1]) { v[0] = v_rows(v[0]); }
static inline void v_store_words(void *p, V a)
{
    _mm256_storeu_si256(p, _mm512_cvtsepi32_epi16(_mm512_cvtps_epi32(a)));
}

#endif
