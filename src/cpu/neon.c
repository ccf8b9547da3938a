/* neon.c - the row of every 64-bit Arm: two registers of four lanes for the eight running sums. */
#include "cpu/generic/generic.h"
#include "cpu/panel.h"
#include "cpu/simd/neon.h"
#include "cpu/simd/two.h"
#include <math.h>

#define TILE_X 6
#define PANEL_V 2 /* 6 x 2 accumulators and 2 weights of two registers each, of 32 registers */
#define EXACT_W 4
#include "cpu/vec.inc"
#include "cpu/exact8.inc"
#define ATTEND_X 6
#define ATTEND_CASES(X) X(1) X(2) X(3) X(4) X(5)
#include "cpu/tiles16.inc"
#include "cpu/lanes4.inc"
#include "cpu/encode4.inc"
#include "cpu/sums4.inc"
#include "cpu/q8x4.inc"

/* Eight words as f32. */
static inline V v_words(const void *p)
{
    W x = vld1q_s16(p);
    return (V){ h_from_i(i_low(x)), h_from_i(i_high(x)) };
}
/* Rounded to words. */
static inline void v_store_words(void *p, V a)
{
    vst1q_s16(p, vqmovn_high_s32(vqmovn_s32(i_round(a.lo)), i_round(a.hi)));
}
static inline H h_even_lanes(H a, H b) { return vuzp1q_f32(a, b); }
static inline H h_odd_lanes(H a, H b) { return vuzp2q_f32(a, b); }
#include "cpu/wide32.inc"

extern const kw_kernels kw_packed_neon;
const kw_kernels kw_kernels_neon = {
    .name = "neon",
    .needs = KW_CPU_NEON,
    .also = &kw_packed_neon,
    .add = add,
    .mul = mul,
    .silu = silu,
    .swiglu = swiglu,
    .gelu = gelu,
    .gelu_fast = gelu_fast,
    .layer_norm = layer_norm,
    .gelu_tanh = gelu_tanh,
    .geglu = geglu,
    .softcap = softcap,
    .rms_norm = rms_norm,
    .dots_exact = dots_exact,
    .panel = PANEL,
    .pack = pack,
    .gemm = gemm,
    .attend = attend,
    .attend_tiles = attend_tiles,
    .encode_q8 = encode_q8,
    .encode_wide = encode_wide,
    .wide = wide,
    .decode = { [KW_F16] = decode_f16,
                [KW_BF16] = decode_bf16,
                [KW_Q8_0] = decode_q8_0,
                [KW_Q4_0] = decode_q4_0,
                [KW_Q4_1] = decode_q4_1,
                [KW_Q4_K] = decode_q4_k,
                [KW_Q6_K] = decode_q6_k },
    .dots_q8 = { [KW_Q4_0] = dots_q4_0,
                 [KW_Q4_1] = dots_q4_1,
                 [KW_Q8_0] = dots_q8_0,
                 [KW_Q4_K] = dots_q4_k,
                 [KW_Q6_K] = dots_q6_k },
};
