/* avx512vnni.c - packed weights times two-int8 activations, 512 bits at a time.
 *
 * A block of activations is q[32] and r[32], side by side in one register; the 32 weight codes stand in both halves, so one
 * instruction makes the products with q (lanes 0-7) and with r (lanes 8-15). The halves meet at the end: 256 * q + r.
 * Codes are unsigned; what a format subtracts from them starts the sum instead (offset * the sums of x, made once for four
 * weight rows). Minima (Q4_1, Q4_K) multiply the block's whole sum, one scalar a block. A pair of rows has one
 * accumulator and one order of operations, whatever it is computed with. */
#include "cpu/generic/generic.h"
#include "cpu/panel.h"
#include "cpu/simd/avx512.h"
#include <math.h>
#include "cpu/codes.inc"
#include "cpu/few512.inc"
#include "cpu/wide512.inc"

static inline __m512i twice(const unsigned char *p)
{
    return _mm512_broadcast_i64x4(_mm256_loadu_si256((const void *)p));
}

/* 16 bytes: low nibbles, high nibbles, and the same again. */
static inline __m512i nibbles(const unsigned char *p)
{
    const __m512i shift = _mm512_set_epi32(4, 4, 4, 4, 0, 0, 0, 0, 4, 4, 4, 4, 0, 0, 0, 0);
    __m512i x = _mm512_broadcast_i32x4(_mm_loadu_si128((const void *)p));
    return _mm512_and_si512(_mm512_srlv_epi32(x, shift), _mm512_set1_epi8(15));
}

static inline float total(__m512 acc, __m128 minima)
{
    __m256 q = _mm512_castps512_ps256(acc), r = _mm512_extractf32x8_ps(acc, 1);
    __m256 both = _mm256_fmadd_ps(q, _mm256_set1_ps(256.0f), r);
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(both), _mm256_extractf128_ps(both, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    s = _mm_add_ss(s, _mm_shuffle_ps(s, s, 1));
    return _mm_cvtss_f32(_mm_fmadd_ss(minima, _mm_set_ss(8.0f), s));
}

/* -offset * the sums of four neighbours: where the products of unsigned codes start. */
static inline __m512i start_at(__m512i x, int offset)
{
    if (offset == 0) return _mm512_setzero_si512();
    __m512i sums = _mm512_dpbusd_epi32(_mm512_setzero_si512(), _mm512_set1_epi8(1), x);
    return _mm512_mullo_epi32(sums, _mm512_set1_epi32(-offset));
}

/* ---- formats of 32: codes, scale and minimum of block b of a row ---- */

static inline __m512i q4_0_codes(const unsigned char *w) { return nibbles(w + 2); }
static inline __m512i q4_1_codes(const unsigned char *w) { return nibbles(w + 4); }
static inline __m512i q8_0_codes(const unsigned char *w)
{
    return _mm512_xor_si512(twice(w + 2), _mm512_set1_epi8(-128));
}

#define DOTS_OF_32(name, bytes, unpack, offset, has_minimum)                                       \
    static inline void name##_rows(const unsigned char *w, size_t stride, const kw_q8_row *x,      \
                                   size_t blocks, int n, float *dst)                               \
    {                                                                                              \
        __m512 acc[4];                                                                             \
        __m128 minima[4];                                                                          \
        for (int r = 0; r < n; r++) acc[r] = _mm512_setzero_ps(), minima[r] = _mm_setzero_ps();    \
        for (size_t b = 0; b < blocks; b++) {                                                      \
            __m512i xv = _mm512_loadu_si512(x->codes + 64 * b), start = start_at(xv, offset);      \
            __m512 d = _mm512_set1_ps(x->d[b]);                                                    \
            _Pragma("GCC unroll 4") for (int r = 0; r < n; r++)                                    \
            {                                                                                      \
                const unsigned char *block = w + (size_t)r * stride + b * (bytes);                 \
                kw_ahead(block, 4 * stride);                                                       \
                __m512 sums = _mm512_cvtepi32_ps(_mm512_dpbusd_epi32(start, unpack(block), xv));   \
                acc[r] = _mm512_fmadd_ps(sums, _mm512_mul_ps(v_half(block), d), acc[r]);           \
                if (has_minimum)                                                                   \
                    minima[r] = _mm_fmadd_ss(_mm512_castps512_ps128(v_half(block + 2)),            \
                                             _mm_set_ss(x->eighth[b]), minima[r]);                 \
            }                                                                                      \
        }                                                                                          \
        for (int r = 0; r < n; r++) dst[r] = total(acc[r], minima[r]);                             \
    }

DOTS_OF_32(q4_0, 18, q4_0_codes, 8, 0)
DOTS_OF_32(q4_1, 20, q4_1_codes, 0, 1)
DOTS_OF_32(q8_0, 34, q8_0_codes, 128, 0)
#undef DOTS_OF_32

/* ---- formats of 256: scales are unpacked once a block ---- */

typedef struct q4_k_scales {
    float scale[8], min[8];
} q4_k_scales;

/* Scale and minimum of eight parts: 6 bits each, packed in 12 bytes. */
static inline void q4_k_unpack(const unsigned char *w, q4_k_scales *out)
{
    uint32_t a[3], s[2], m[2];
    memcpy(a, w + 4, sizeof a);
    s[0] = a[0] & 0x3f3f3f3fu;
    s[1] = (a[2] & 0x0f0f0f0fu) | (a[0] >> 2 & 0x30303030u);
    m[0] = a[1] & 0x3f3f3f3fu;
    m[1] = (a[2] >> 4 & 0x0f0f0f0fu) | (a[1] >> 2 & 0x30303030u);
    __m256 d = _mm512_castps512_ps256(v_half(w)), dmin = _mm512_castps512_ps256(v_half(w + 2));
    __m256 scales = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const void *)s)));
    __m256 minima = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const void *)m)));
    _mm256_storeu_ps(out->scale, _mm256_mul_ps(d, scales));
    _mm256_storeu_ps(out->min, _mm256_sub_ps(_mm256_setzero_ps(), _mm256_mul_ps(dmin, minima)));
}

static inline __m512i q4_k_codes(const unsigned char *w, int part)
{
    __m512i x = twice(w + 16 + 32 * (part >> 1));
    return _mm512_and_si512(part & 1 ? _mm512_srli_epi16(x, 4) : x, _mm512_set1_epi8(15));
}

static inline void q4_k_rows(const unsigned char *w, size_t stride, const kw_q8_row *x,
                             size_t blocks, int n, float *dst)
{
    __m512 acc[4];
    __m128 minima[4];
    q4_k_scales s[4];
    for (int r = 0; r < n; r++) acc[r] = _mm512_setzero_ps(), minima[r] = _mm_setzero_ps();
    for (size_t b = 0; b < blocks / 8; b++) {
        for (int r = 0; r < n; r++) q4_k_unpack(w + (size_t)r * stride + b * 144, &s[r]);
#pragma GCC unroll 8
        for (int part = 0; part < 8; part++) {
            size_t at = 8 * b + (size_t)part;
            __m512i xv = _mm512_loadu_si512(x->codes + 64 * at);
            __m512 d = _mm512_set1_ps(x->d[at]);
#pragma GCC unroll 4
            for (int r = 0; r < n; r++) {
                const unsigned char *block = w + (size_t)r * stride + b * 144;
                __m512i codes = q4_k_codes(block, part);
                if (part % 3 == 0) kw_ahead(block, 4 * stride + 18 * (size_t)part);
                __m512 sums =
                    _mm512_cvtepi32_ps(_mm512_dpbusd_epi32(_mm512_setzero_si512(), codes, xv));
                acc[r] = _mm512_fmadd_ps(sums, _mm512_mul_ps(_mm512_set1_ps(s[r].scale[part]), d),
                                         acc[r]);
                minima[r] =
                    _mm_fmadd_ss(_mm_set_ss(s[r].min[part]), _mm_set_ss(x->eighth[at]), minima[r]);
            }
        }
    }
    for (int r = 0; r < n; r++) dst[r] = total(acc[r], minima[r]);
}

/* Q6_K: two halves of 128; part p of a half takes low or high nibbles of ql and two bits of qh; a scale for 16 values. */
static inline __m512i q6_k_codes(const unsigned char *w, int part)
{
    int half = part >> 2, p = part & 3;
    __m512i low = twice(w + 64 * half + 32 * (p & 1)), high = twice(w + 128 + 32 * half);
    low = _mm512_and_si512(p & 2 ? _mm512_srli_epi16(low, 4) : low, _mm512_set1_epi8(15));
    if (p == 0) high = _mm512_slli_epi16(high, 4);
    if (p == 1) high = _mm512_slli_epi16(high, 2);
    if (p == 3) high = _mm512_srli_epi16(high, 2);
    return _mm512_or_si512(low, _mm512_and_si512(high, _mm512_set1_epi8(0x30)));
}

static inline void q6_k_rows(const unsigned char *w, size_t stride, const kw_q8_row *x,
                             size_t blocks, int n, float *dst)
{
    const __m512i spread = _mm512_set_epi32(1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0);
    __m512 acc[4];
    float s[4][16];
    for (int r = 0; r < n; r++) acc[r] = _mm512_setzero_ps();
    for (size_t b = 0; b < blocks / 8; b++) {
        for (int r = 0; r < n; r++) {
            const unsigned char *block = w + (size_t)r * stride + b * 210;
            __m512i bytes = _mm512_cvtepi8_epi32(_mm_loadu_si128((const void *)(block + 192)));
            _mm512_storeu_ps(s[r], _mm512_mul_ps(v_half(block + 208), _mm512_cvtepi32_ps(bytes)));
        }
#pragma GCC unroll 8
        for (int part = 0; part < 8; part++) {
            size_t at = 8 * b + (size_t)part;
            __m512i xv = _mm512_loadu_si512(x->codes + 64 * at), start = start_at(xv, 32);
            __m512 d = _mm512_set1_ps(x->d[at]);
#pragma GCC unroll 4
            for (int r = 0; r < n; r++) {
                const unsigned char *block = w + (size_t)r * stride + b * 210;
                __m512i codes = q6_k_codes(block, part);
                if (part % 2 == 0) kw_ahead(block, 4 * stride + 26 * (size_t)part);
                __m512 sums = _mm512_cvtepi32_ps(_mm512_dpbusd_epi32(start, codes, xv));
                __m128 two = _mm_castsi128_ps(_mm_loadl_epi64((const void *)(s[r] + 2 * part)));
                __m512 scale = _mm512_permutexvar_ps(spread, _mm512_castps128_ps512(two));
                acc[r] = _mm512_fmadd_ps(sums, _mm512_mul_ps(scale, d), acc[r]);
            }
        }
    }
    for (int r = 0; r < n; r++) dst[r] = total(acc[r], _mm_setzero_ps());
}

/* ---- a matrix: four weight rows at a time, then the rest one by one ---- */

#define MATRIX(name)                                                                               \
    static void dots_##name(const kw_dots_q8 *d)                                                   \
    {                                                                                              \
        size_t blocks = d->k / KW_Q8_BLOCK, j = 0;                                                 \
        for (; j + 4 <= d->n_w; j += 4)                                                            \
            for (size_t i = 0; i < d->n_x; i++) {                                                  \
                kw_q8_row x = kw_q8_row_at(d->x + i * d->x_stride, d->k);                          \
                name##_rows(d->w + j * d->w_stride, d->w_stride, &x, blocks, 4,                    \
                            d->dst + i * d->dst_stride + j);                                       \
            }                                                                                      \
        for (; j < d->n_w; j++)                                                                    \
            for (size_t i = 0; i < d->n_x; i++) {                                                  \
                kw_q8_row x = kw_q8_row_at(d->x + i * d->x_stride, d->k);                          \
                name##_rows(d->w + j * d->w_stride, d->w_stride, &x, blocks, 1,                    \
                            d->dst + i * d->dst_stride + j);                                       \
            }                                                                                      \
    }

MATRIX(q4_0)
MATRIX(q4_1)
MATRIX(q8_0)
MATRIX(q4_k)
MATRIX(q6_k)
#undef MATRIX

const kw_kernels kw_kernels_avx512vnni = {
    .name = "avx512vnni",
    .needs = KW_CPU_AVX2 | KW_CPU_FMA | KW_CPU_F16C | KW_CPU_AVX512F | KW_CPU_AVX512BW |
             KW_CPU_AVX512VL | KW_CPU_AVX512DQ | KW_CPU_AVX512VNNI,
    .encode_group = encode_group,
    .encode_wide = encode_wide,
    .wide = wide,
    .encode_wide8 = encode_wide8,
    .wide8 = wide8,
    .bytes = ALL_BYTES,
    .few = { PANEL_SHAPES(FEW_OF) },
    .dots_q8 = { [KW_Q4_0] = dots_q4_0,
                 [KW_Q4_1] = dots_q4_1,
                 [KW_Q8_0] = dots_q8_0,
                 [KW_Q6_K] = dots_q6_k,
                 [KW_Q4_K] = dots_q4_k },
};
