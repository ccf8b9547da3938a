/* neon_packed.c - packed weights on every 64-bit Arm: words times words, sums of 32 bits. */
#include "cpu/generic/generic.h"
#include "cpu/panel.h"
#include "cpu/simd/panel_neon.h"
#include "cpu/codes.inc"

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

const kw_kernels kw_packed_neon = {
    .encode_group = encode_group,
    .few = { PANEL_SHAPES(FEW_OF)[KW_F16] = few_F16, [KW_BF16] = few_BF16 },
    .tile = TILES,
};
