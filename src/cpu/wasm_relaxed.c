/* wasm_relaxed.c - packed weights in WebAssembly's relaxed SIMD: products of bytes, two added up in a word.
 *
 * The product's second factor must be 0..127, which codes of up to six bits are as they lie; the first, activations as two
 * int8, may be any. What is implementation-defined lies outside of that, so the sums are exact wherever the instruction is right;
 * it was not everywhere, and fused or not is the machine's choice, so relaxed_test.c tries the kernels before they are used.
 * The sums of a group's words fit (wide8.inc), and become int32 once for each scale. There is an instruction that adds up four
 * products in an int32: one of the machine's where that has it, five on older x86, where it loses to words (docs/PERF.md).
 * Codes of eight bits meet words (wasm_relaxed_words.c). A module with such instructions is refused whole where they are
 * unknown: this is linked by who asks for it (library kwaai_relaxed), relaxed_absent.c by all others. */
#include "cpu/generic/generic.h"
#include "cpu/panel.h"
#include "cpu/relaxed.h"
#include "cpu/simd/fma_relaxed.h"
#include "cpu/simd/panel_wasm128.h"
#include "cpu/codes.inc"
#include <math.h>

static inline W w_dot_bytes(B w, B x) { return wasm_i16x8_relaxed_dot_i8x16_i7x16(x, w); }

#define FEW_SIGNED 0
#define FEW_SHAPES BYTE_SHAPES
#define FEW_TOGETHER 1

typedef W few_part;
static inline W few_add(W sum, B w, B x) { return wasm_i16x8_add(sum, w_dot_bytes(w, x)); }
static inline B b_twice(const void *p) { return i_twice(p); }
#include "cpu/few_dots.inc"

static inline few_sum few_begin(I start)
{
    (void)start;
    return (few_sum){ i_zero(), i_zero() };
}
static inline I few_sums(few_sum s, I start)
{
    I sum = i_dot(start, s.q, wasm_i16x8_splat(256));
    return i_dot(sum, s.r, wasm_i16x8_splat(1));
}
static inline V v_twice(const void *p) { return i_twice(p); }
static inline B b_flip(B a) { return a; }

#include "cpu/few128.inc"
#include "cpu/few128_plain.inc"

/* ---- many rows, on bytes ---- */

static inline B b_add(B a, B b) { return i_add(a, b); }
static inline B b_qword(const void *p) { return b_twice(p); }
static inline B b_mul_bytes(B w, B x) { return w_dot_bytes(w, x); }
static inline B b_dot_bytes(B sum, B w, B x) { return few_add(sum, w, x); }
static inline V v_steps(B sum, B steps) { return h_from_i(wasm_i32x4_dot_i16x8(sum, steps)); }
/* VN rounded values, those from k on, as bytes in the order of a panel's; the values. */
static inline B b_store_codes(unsigned char *p, int k, V a)
{
    int32_t x[4];
    I rounded = i_round(a);
    i_store(x, rounded);
    for (int i = k; i < k + 4; i++) p[i / 8 * 8 + i % 8 / 2 + i % 2 * 4] = (unsigned char)x[i - k];
    return rounded;
}

#define WIDE_X 4
#define BYTE_STEPS(X) X(4) X(2) X(1)
#include "cpu/bytes_even_odd.inc"
#include "cpu/wide8.inc"

const kw_kernels kw_kernels_relaxed = {
    .name = "relaxed",
    .needs = KW_CPU_SIMD128 | KW_CPU_RELAXED,
    .also = &kw_relaxed_words,
    .encode_group = encode_group,
    .few = { BYTE_SHAPES(FEW_OF)[KW_F16] = few_F16, [KW_BF16] = few_BF16 },
    .encode_wide8 = encode_wide8,
    .wide8 = wide8,
    .bytes = { BYTES_32(BYTES_OF) }, /* with scales of 16 k, words are faster here */
};
