/* neon_packed.c - packed weights on every 64-bit Arm: words times words, sums of 32 bits. */
#include "cpu/generic/generic.h"
#include "cpu/panel.h"
#include "cpu/simd/panel_neon.h"
#include "cpu/codes.inc"
#include <math.h>

/* Products of the lower and of the upper words of a vector: neighbours meet at the end. */
typedef struct few_sum {
    I low, high;
} few_sum;
static inline few_sum few_begin(I start)
{
    (void)start;
    return (few_sum){ i_zero(), i_zero() };
}
static inline I few_sums(few_sum s, I start) { return i_add(vpaddq_s32(s.low, s.high), start); }
static inline W w_twice(const void *p) { return vreinterpretq_s16_s8(b_twice(p)); }
static inline few_sum w_dot(few_sum s, W a, W b)
{
    return (few_sum){ vmlal_s16(s.low, vget_low_s16(a), vget_low_s16(b)),
                      vmlal_high_s16(s.high, a, b) };
}
static inline W w_low_bytes(B a)
{
    return vreinterpretq_s16_u16(vandq_u16(b_words(a), vdupq_n_u16(255)));
}
static inline W w_high_bytes(B a) { return vreinterpretq_s16_u16(vshrq_n_u16(b_words(a), 8)); }
static inline V v_twice(const void *p) { return vreinterpretq_f32_s8(b_twice(p)); }

#define FEW_TOGETHER 2
#include "cpu/few_words.inc"

#define PUT_PAIR put_f32
#include "cpu/tile.inc"
#include "cpu/few128_plain.inc"

/* ---- many rows, on bytes: products of eight k of a row of weights in eight lanes ----
 *
 * Two lanes together fit a word, after two products each of 16 k or four of 32 k: 4 * 32 * 127 < 8 * 31 * 127 < 2^15. */

#define BYTE_ROWS 1
#define BYTE_SUMS 1
#define BYTE_SIGNED 1

typedef struct byte_sum {
    W v[4]; /* of both rows of the low codes, of both of the high ones */
} byte_sum;
typedef float byte_steps;

static inline void byte_codes(B *low, B *high, int bias)
{
    *low = b_less(*low, bias);
    *high = b_less(*high, bias);
}
static inline B byte_x(const void *p) { return b_twice(p); }
static inline byte_steps byte_steps_at(const void *p) { return step_at(p); }
static inline void byte_meet(byte_sum *sum, const B w[2], B x, const bool first)
{
    for (int i = 0; i < 2; i++) {
        int8x8_t a = vget_low_s8(w[i]), b = vget_low_s8(x);
        W *s = &sum->v[2 * i];
        s[0] = first ? vmull_s8(a, b) : vmlal_s8(s[0], a, b);
        s[1] = first ? vmull_high_s8(w[i], x) : vmlal_high_s8(s[1], w[i], x);
    }
}
static inline V byte_times(const byte_sum *sum, int i, byte_steps step)
{
    (void)i;
    I low = vpaddlq_s16(vpaddq_s16(sum->v[0], sum->v[1]));
    I high = vpaddlq_s16(vpaddq_s16(sum->v[2], sum->v[3]));
    return vmulq_n_f32(h_from_i(vpaddq_s32(low, high)), step);
}

#define WIDE_X 4
#define BYTE_STEPS(X) X(4) X(2) X(1)
#include "cpu/wide8.inc"

const kw_kernels kw_packed_neon = {
    .encode_group = encode_group,
    .few = { PANEL_SHAPES(FEW_OF)[KW_F16] = few_F16, [KW_BF16] = few_BF16 },
    .tile = TILES,
    .encode_wide8 = encode_wide8,
    .wide8 = wide8,
    .bytes = ALL_BYTES,
};
