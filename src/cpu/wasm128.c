/* wasm128.c - the WebAssembly row: two vectors of four lanes for the eight running sums. */
#include "cpu/generic/generic.h"
#include "cpu/simd/fma_wasm128.h"
#include "cpu/simd/two.h"
#include <math.h>

/* x86 behind the engine has 16 registers: 2 x 2 accumulators and 2 weights, of two vectors each. */
#define TILE_X 2
#define PANEL_V 2
#define EXACT_W 2
#include "cpu/vec.inc"
#include "cpu/exact8.inc"
#define ATTEND_X 2
#define ATTEND_CASES(X) X(1)
#include "cpu/tiles16.inc"
#include "cpu/lanes4.inc"
#include "cpu/encode4.inc"
#include "cpu/sums4.inc"
#include "cpu/q8x4.inc"

extern const kw_kernels kw_packed_wasm128;
const kw_kernels kw_kernels_wasm128 = {
    .name = "wasm128",
    .needs = KW_CPU_SIMD128,
    .also = &kw_packed_wasm128,
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
