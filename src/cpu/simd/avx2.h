/* avx2.h - eight f32 lanes: the names that vec.inc uses, in AVX2. */
#ifndef KW_CPU_SIMD_AVX2_H
#define KW_CPU_SIMD_AVX2_H

#include <immintrin.h>

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
/* lanes j and j+4, then j+2, then j+1 */
static inline float v_tree(V a)
{
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_shuffle_ps(s, s, 1)));
}

#endif
