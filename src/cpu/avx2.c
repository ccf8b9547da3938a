/* avx2.c - the AVX2 row: eight lanes are exactly the eight running sums of exact mode. */
#include "cpu/generic/generic.h"
#include "cpu/panel.h"
#include "cpu/simd/avx2.h"
#include <math.h>

#define TILE_X 6
#define PANEL_V 2 /* 6 x 2 accumulators, 2 weights and 1 activation of 16 registers */
#define EXACT_W 4
#include "cpu/vec.inc"
#include "cpu/exact8.inc"
#include "cpu/decode_avx2.inc"
#include "cpu/q8.inc"
#include "cpu/codes.inc"
#define ATTEND_X 6
#define ATTEND_CASES(X) X(1) X(2) X(3) X(4) X(5)
#include "cpu/tiles16.inc"
#define PUT_PAIR put_f32
#include "cpu/tile.inc"
#include "cpu/few256.inc"

#define WIDE_X 6
#define WIDE_P 1
#define WIDE_CASES(X) X(1) X(2) X(3) X(4) X(5) X(6)
#define WIDE_STEPS 4 /* a tile of one step is 170 bytes, as fast as they happen to lie */
#include "cpu/wide16.inc"
#define BYTE_STEPS(X) X(6) X(4) X(2) X(1)
#include "cpu/bytes_even_odd.inc"
#include "cpu/wide8.inc"

/* ---- packing: 8 x 8 values turned at a time ---- */

static inline void turn_8x8(const float *src, size_t stride, float *dst, size_t panel)
{
    V r[8], t[8];
    for (int i = 0; i < 8; i++) r[i] = v_load(src + (size_t)i * stride);
    for (int i = 0; i < 8; i += 2) {
        t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
    }
    for (int i = 0; i < 8; i += 4) {
        r[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
        r[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xee);
        r[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
        r[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xee);
    }
    for (int i = 0; i < 4; i++) {
        v_store(dst + (size_t)i * panel, _mm256_permute2f128_ps(r[i], r[i + 4], 0x20));
        v_store(dst + (size_t)(i + 4) * panel, _mm256_permute2f128_ps(r[i], r[i + 4], 0x31));
    }
}

static void pack(const kw_pack *p)
{
    size_t whole_k = p->n_rows == p->panel ? p->k & ~(size_t)7 : 0;
    for (size_t k = 0; k < whole_k; k += 8)
        for (size_t j = 0; j < p->panel; j += 8)
            turn_8x8(p->rows + j * p->row_stride + k, p->row_stride, p->packed + k * p->panel + j,
                     p->panel);
    for (size_t k = whole_k; k < p->k; k++)
        for (size_t j = 0; j < p->panel; j++)
            p->packed[k * p->panel + j] = j < p->n_rows ? p->rows[j * p->row_stride + k] : 0;
}

const kw_kernels kw_kernels_avx2 = {
    .name = "avx2", .needs = KW_CPU_AVX2 | KW_CPU_FMA | KW_CPU_F16C,
    .add = add, .mul = mul, .silu = silu, .swiglu = swiglu, .gelu_tanh = gelu_tanh, .geglu = geglu,
    .softcap = softcap, .gelu = gelu, .gelu_fast = gelu_fast, .layer_norm = layer_norm, .rms_norm = rms_norm,
    .dots_exact = dots_exact, .panel = PANEL, .pack = pack, .gemm = gemm, .attend = attend, .encode_q8 = encode_q8,
    .decode = {
        [KW_F16] = decode_f16, [KW_BF16] = decode_bf16, [KW_Q8_0] = decode_q8_0, [KW_Q4_0] = decode_q4_0,
        [KW_Q4_1] = decode_q4_1,
    },
    .dots_q8 = { [KW_Q4_0] = dots_q4_0, [KW_Q4_1] = dots_q4_1, [KW_Q8_0] = dots_q8_0, [KW_Q6_K] = dots_q6_k,
                 [KW_Q4_K] = dots_q4_k },
    .encode_group = encode_group, .wide_direct = true, .attend_tiles = attend_tiles, .encode_wide = encode_wide, .wide = wide,
    .few = { PANEL_SHAPES(FEW_OF) [KW_F16] = few_F16, [KW_BF16] = few_BF16 },
    .tile = TILES, .encode_wide8 = encode_wide8, .wide8 = wide8, .bytes = ALL_BYTES,
};
