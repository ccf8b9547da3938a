/* wasm_relaxed_words.c - few rows times codes of eight bits, which relaxed SIMD's products of bytes do not take.
 *
 * They meet words, as in wasm128_packed.c, that are put together again from the bytes of the activations. */
#include "cpu/generic/generic.h"
#include "cpu/panel.h"
#include "cpu/relaxed.h"
#include "cpu/simd/fma_relaxed.h"
#include "cpu/simd/panel_wasm128.h"
#include "cpu/codes.inc"

#define FEW_SIGNED 0
#define FEW_SHAPES WORD_SHAPES
#define FEW_TOGETHER 1

typedef I few_sum;
static inline few_sum few_begin(I start) { return start; }
static inline I few_sums(few_sum s, I start)
{
    (void)start;
    return s;
}
static inline B b_flip(B a) { return a; }

typedef struct few_codes {
    W low[2], high[2];
} few_codes;
typedef few_codes few_x;

static inline few_codes few_ready(B first, B second)
{
    return (few_codes){ { w_low_bytes(first), w_low_bytes(second) },
                        { w_high_bytes(first), w_high_bytes(second) } };
}

/* 256 q + r of the low and of the high bytes of words. */
static inline few_x few_load(const unsigned char *code, int pair)
{
    few_x x;
    for (int j = 0; j < 2; j++) {
        const unsigned char *p = code + 16 * pair + 8 * j;
        B q = i_twice(p), r = i_twice(p + 32);
        x.low[j] = wasm_i16x8_add(b_left(q, 8), wasm_i16x8_shr(b_left(r, 8), 8));
        x.high[j] = wasm_i16x8_add(b_left(b_right(q, 8), 8), wasm_i16x8_shr(r, 8));
    }
    return x;
}

static inline few_sum few_dot(few_sum sum, few_codes w, few_x x)
{
    for (int j = 0; j < 2; j++) {
        sum = i_dot(sum, w.low[j], x.low[j]);
        sum = i_dot(sum, w.high[j], x.high[j]);
    }
    return sum;
}

#include "cpu/few_bytes.inc"
#include "cpu/few128.inc"

const kw_kernels kw_relaxed_words = {
    .encode_group = encode_group,
    .few = { WORD_SHAPES(FEW_OF) },
};
