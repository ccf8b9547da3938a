/* avx512.c - the AVX-512 row: sixteen lanes where the width of a sum is not part of its meaning. Exact dot products
 * keep eight sums and stay with AVX2's kernels. */
#include "cpu/generic/generic.h"
#include "cpu/panel.h"
#include "cpu/simd/avx512.h"
#include <math.h>

#define TILE_X 8
#define PANEL_V 3 /* 8 x 3 accumulators, 3 weights of 32 registers */
#include "cpu/vec.inc"
#include "cpu/codes.inc"
#define ATTEND_X 12
#define ATTEND_CASES(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11)
#include "cpu/tiles16.inc"
#define PUT_PAIR put_f32
#include "cpu/tile.inc"
#include "cpu/wide512.inc"

/* ---- decoders of the formats most models come in, with the bits of tensor/'s ---- */

static inline V signed_bytes(__m128i x) { return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(x)); }

static void decode_q8_0(const void *src, float *dst, size_t n)
{
    const unsigned char *b = src;
    for (size_t i = 0; i < n; i += 32, b += 34) {
        V d = v_half(b);
        v_store(dst + i, v_mul(d, signed_bytes(_mm_loadu_si128((const void *)(b + 2)))));
        v_store(dst + i + 16, v_mul(d, signed_bytes(_mm_loadu_si128((const void *)(b + 18)))));
    }
}

static void decode_q4_0(const void *src, float *dst, size_t n)
{
    const unsigned char *b = src;
    const __m128i low = _mm_set1_epi8(15), eight = _mm_set1_epi8(8);
    for (size_t i = 0; i < n; i += 32, b += 18) {
        __m128i x = _mm_loadu_si128((const void *)(b + 2));
        __m128i first = _mm_and_si128(x, low), second = _mm_and_si128(_mm_srli_epi16(x, 4), low);
        V d = v_half(b);
        v_store(dst + i, v_mul(d, signed_bytes(_mm_sub_epi8(first, eight))));
        v_store(dst + i + 16, v_mul(d, signed_bytes(_mm_sub_epi8(second, eight))));
    }
}

static void decode_q4_1(const void *src, float *dst, size_t n)
{
    const unsigned char *b = src;
    const __m128i low = _mm_set1_epi8(15);
    for (size_t i = 0; i < n; i += 32, b += 20) {
        __m128i x = _mm_loadu_si128((const void *)(b + 4));
        __m128i first = _mm_and_si128(x, low), second = _mm_and_si128(_mm_srli_epi16(x, 4), low);
        V d = v_half(b), m = v_half(b + 2);
        v_store(dst + i, v_add(v_mul(d, signed_bytes(first)), m));
        v_store(dst + i + 16, v_add(v_mul(d, signed_bytes(second)), m));
    }
}

const kw_kernels kw_kernels_avx512 = {
    .name = "avx512",
    .needs = KW_CPU_AVX2 | KW_CPU_FMA | KW_CPU_F16C | KW_CPU_AVX512F | KW_CPU_AVX512BW |
             KW_CPU_AVX512VL | KW_CPU_AVX512DQ,
    .add = add,
    .mul = mul,
    .silu = silu,
    .swiglu = swiglu,
    .gelu = gelu,
    .gelu_fast = gelu_fast,
    .gelu_tanh = gelu_tanh,
    .geglu = geglu,
    .softcap = softcap,
    .panel = PANEL,
    .gemm = gemm,
    .attend_tiles = attend_tiles,
    .encode_wide = encode_wide,
    .wide = wide,
    .tile = TILES,
    .encode_wide8 = encode_wide8,
    .wide8 = wide8,
    .bytes = ALL_BYTES,
    .decode = { [KW_Q8_0] = decode_q8_0, [KW_Q4_0] = decode_q4_0, [KW_Q4_1] = decode_q4_1 },
};
