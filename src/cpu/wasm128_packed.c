/* wasm128_packed.c - packed weights in WebAssembly's SIMD128: one instruction multiplies eight words and adds up neighbours. */
#include "cpu/generic/generic.h"
#include "cpu/panel.h"
#include "cpu/simd/fma_wasm128.h"
#include "cpu/simd/panel_wasm128.h"
#include "cpu/codes.inc"

typedef I few_sum;
static inline few_sum few_begin(I start) { return start; }
static inline I few_sums(few_sum s, I start)
{
    (void)start;
    return s;
}
static inline W w_twice(const void *p) { return i_twice(p); }
static inline few_sum w_dot(few_sum s, W a, W b) { return i_dot(s, a, b); }
static inline V v_twice(const void *p) { return i_twice(p); }
static inline B b_flip(B a) { return a; }

#define FEW_TOGETHER 1
#include "cpu/few_words.inc"

#define PUT_PAIR put_f32
#include "cpu/tile.inc"
#include "cpu/few128_plain.inc"

/* x86 behind the engine has 16 registers: 2 x 4 sums, a vector of weights, 2 of activations, a product. */
#define WIDE_X 2
#define WIDE_P 1
#define WIDE_CASES(X) X(1) X(2)
#define WIDE_STEPS 1
#include "cpu/wide16.inc"

const kw_kernels kw_packed_wasm128 = {
    .encode_group = encode_group,
    .few = { PANEL_SHAPES(FEW_OF)[KW_F16] = few_F16, [KW_BF16] = few_BF16 },
    .tile = TILES,
    .encode_wide = encode_wide,
    .wide = wide,
};
