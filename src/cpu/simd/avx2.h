/* avx2.h - eight f32 lanes: the names that vec.inc uses, in AVX2. */
#ifndef KW_CPU_SIMD_AVX2_H
#define KW_CPU_SIMD_AVX2_H

#include "cpu/simd/scales_x86.h"
#include <string.h>

typedef __m256 V;
enum { VN = 8 };

static inline V v_zero(void) { return _mm256_setzero_ps(); }
static inline V v_set(float x) { return _mm256_set1_ps(x); }
static inline V v_load(const float *p) { return _mm256_loadu_ps(p); }
static inline void v_store(float *p, V a) { _mm256_storeu_ps(p, a); }
static inline V v_add(V a, V b) { return _mm256_add_ps(a, b); }
static inline V v_sub(V a, V b) { return _mm256_sub_ps(a, b); }
static inline V v_mul(V a, V b) { return _mm256_mul_ps(a, b); }
static inline V v_div(V a, V b) { return _mm256_div_ps(a, b); }
static inline V v_fma(V a, V b, V c) { return _mm256_fmadd_ps(a, b, c); }
/* x where a > b (false for NaN), else y */
static inline V v_where_gt(V a, V b, V x, V y)
{
    return _mm256_blendv_ps(y, x, _mm256_cmp_ps(a, b, _CMP_GT_OQ));
}
/* x where a is NaN, else y */
static inline V v_where_nan(V a, V x, V y)
{
    return _mm256_blendv_ps(y, x, _mm256_cmp_ps(a, a, _CMP_UNORD_Q));
}
/* bits of p + (bits of t << 23) */
static inline V v_scale_bits(V p, V t)
{
    return _mm256_castsi256_ps(
        _mm256_add_epi32(_mm256_castps_si256(p), _mm256_slli_epi32(_mm256_castps_si256(t), 23)));
}
/* ---- panels (panel.h): bytes, and what becomes of them ---- */
typedef __m256i B;

static inline B b_load(const void *p) { return _mm256_loadu_si256(p); }
static inline B b_set(int x) { return _mm256_set1_epi8((char)x); }
static inline B b_and(B a, B b) { return _mm256_and_si256(a, b); }
static inline B b_or(B a, B b) { return _mm256_or_si256(a, b); }
/* Shifts of words: callers mask what crosses a byte. */
static inline B b_right(B a, int n) { return _mm256_srl_epi16(a, _mm_cvtsi32_si128(n)); }
static inline B b_left(B a, int n) { return _mm256_sll_epi16(a, _mm_cvtsi32_si128(n)); }
static inline B b_high_nibbles(B a) { return b_and(b_right(a, 4), b_set(15)); }
static inline B b_lookup(const unsigned char table[16], B index)
{
    return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(_mm_loadu_si128((const void *)table)),
                               index);
}
/* Byte t of every dword. */
static inline V v_byte(B a, int t)
{
    B x = _mm256_srl_epi32(a, _mm_cvtsi32_si128(8 * t));
    return _mm256_cvtepi32_ps(_mm256_and_si256(x, _mm256_set1_epi32(255)));
}
static inline V v_unpack_low(V a, V b) { return _mm256_unpacklo_ps(a, b); }
static inline V v_unpack_high(V a, V b) { return _mm256_unpackhi_ps(a, b); }
/* VN values of f16, of bf16; of bytes from `at` on, at most 16. */
static inline V v_halves(const void *p) { return _mm256_cvtph_ps(_mm_loadu_si128(p)); }
/* VN int8. */
static inline V v_bytes(const void *p)
{
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(p)));
}
static inline V v_bf16(const void *p)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128(p)), 16));
}
static inline V v_signed_bytes(__m128i x, int at)
{
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(at ? _mm_unpackhi_epi64(x, x) : x));
}
static inline V v_unsigned_bytes(__m128i x, int at)
{
    return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(at ? _mm_unpackhi_epi64(x, x) : x));
}
/* Lanes 0-7 and 8-15 of kw_panel_order become rows 0-7 and 8-15. */
static inline void v_rows(V a, V b, V *low, V *high)
{
    V first = _mm256_permute2f128_ps(a, b, 0x20), second = _mm256_permute2f128_ps(a, b, 0x31);
    *low = _mm256_shuffle_ps(first, second, 0x44);
    *high = _mm256_shuffle_ps(first, second, 0xee);
}
/* For 16-bit products (wide16.inc). */
static inline V v_swap_parity(V a) { return _mm256_permute_ps(a, 0xb1); }
/* Even lanes of a and b in kw_panel_order. */
static inline V v_even_lanes(V a, V b) { return _mm256_shuffle_ps(a, b, 0x88); }
static inline B b_zero(void) { return _mm256_setzero_si256(); }
static inline void b_store(void *p, B a) { _mm256_storeu_si256(p, a); }
static inline B b_round_words(V a, V b)
{
    return _mm256_packs_epi32(_mm256_cvtps_epi32(a), _mm256_cvtps_epi32(b));
}
static inline B b_dword(const void *p)
{
    int x;
    memcpy(&x, p, sizeof x);
    return _mm256_set1_epi32(x);
}
/* One at a time: left alone, gcc 12 computes the products of a whole tile before it adds any, and spills the sums. The product
 * may take the register of a or b, which are read first: 12 sums, 2 weights and an activation leave one, and no moves. */
static inline B b_dot_words(B sum, B a, B b)
{
    B product;
    __asm__("vpmaddwd %2, %3, %1\n\tvpaddd %1, %0, %0" : "+x"(sum), "=x"(product) : "x"(a), "x"(b));
    return sum;
}
/* For byte products (wide8.inc): w unsigned, x signed; sums of pairs are words. */
static inline B b_add(B a, B b) { return _mm256_add_epi32(a, b); }
static inline B b_qword(const void *p)
{
    long long x;
    memcpy(&x, p, sizeof x);
    return _mm256_set1_epi64x(x);
}
static inline B b_mul_bytes(B w, B x) { return _mm256_maddubs_epi16(w, x); }
static inline B b_dot_bytes(B sum, B w, B x)
{
    B product;
    __asm__("vpmaddubsw %2, %3, %1\n\tvpaddw %1, %0, %0"
            : "+x"(sum), "=&x"(product)
            : "x"(x), "x"(w));
    return sum;
}
/* The sum of both words of every dword, times the step that `steps` has twice in each. */
static inline V v_steps(B sum, B steps)
{
    return _mm256_cvtepi32_ps(_mm256_madd_epi16(sum, steps));
}
static inline V v_odd_lanes(V a, V b) { return _mm256_shuffle_ps(a, b, 0xdd); }
/* VN rounded values, those from k on, as bytes in the order of a panel's; the values. */
static inline B b_store_codes(unsigned char *p, int k, V a)
{
    B x = _mm256_cvtps_epi32(a);
    B turned = _mm256_permutevar8x32_epi32(x, _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7));
    __m128i words =
        _mm_packs_epi32(_mm256_castsi256_si128(turned), _mm256_extracti128_si256(turned, 1));
    _mm_storel_epi64((void *)(p + k), _mm_packs_epi16(words, words));
    return x;
}
static inline V v_from_ints(B a) { return _mm256_cvtepi32_ps(a); }
static inline void v_panel_rows(V v[2]) { v_rows(v[0], v[1], &v[0], &v[1]); }
static inline void v_store_words(void *p, V a)
{
    B x = _mm256_cvtps_epi32(a);
    _mm_storeu_si128(p, _mm_packs_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1)));
}
static inline float v_most(V a)
{
    __m128 m = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    m = _mm_max_ps(m, _mm_movehl_ps(m, m));
    return _mm_cvtss_f32(_mm_max_ss(m, _mm_shuffle_ps(m, m, 1)));
}
static inline V v_max(V a, V b) { return _mm256_max_ps(a, b); }
static inline V v_abs(V a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }

/* lanes j and j+4, then j+2, then j+1 */
static inline float v_tree(V a)
{
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_shuffle_ps(s, s, 1)));
}
static inline float v_total(V a) { return v_tree(a); }

#endif
