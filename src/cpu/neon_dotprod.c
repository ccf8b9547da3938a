/* neon_dotprod.c - int8 products by SDOT (Armv8.2): 16 products an instruction, summed in fours. Values and remainders
 * of activations stay two int8; their sums meet as 256 * q + r. */
#include "cpu/generic/generic.h"
#include "cpu/panel.h"
#include "cpu/simd/panel_neon.h"
#include "cpu/codes4.inc"
#include <math.h>

typedef struct acts {
    B q[2], r[2];
} acts;

static inline acts acts_at(const signed char *codes)
{
    return (acts){ { b_load(codes), b_load(codes + 16) },
                   { b_load(codes + 32), b_load(codes + 48) } };
}

/* Lane r: the sum of row r's products in the halves from..to-1. */
static inline I sums4(const B c[4][2], const acts *x, const int from, const int to)
{
    I s[4];
    for (int row = 0; row < 4; row++) {
        I q = i_zero(), r = i_zero();
        for (int h = from; h < to; h++) {
            q = vdotq_s32(q, c[row][h], x->q[h]);
            r = vdotq_s32(r, c[row][h], x->r[h]);
        }
        s[row] = vaddq_s32(vshlq_n_s32(q, 8), r);
    }
    return i_sums(s);
}

#include "cpu/q8x4.inc"

/* ---- packed weights: a vector is eight k of two rows, and meets q and r of eight ---- */

#include "cpu/codes.inc"
#define FEW_SIGNED 1
#define FEW_SHAPES PANEL_SHAPES
#define FEW_TOGETHER 2

typedef I few_part;
static inline I few_add(I sum, B w, B x) { return vdotq_s32(sum, w, x); }
#include "cpu/few_dots.inc"

static inline few_sum few_begin(I start) { return (few_sum){ i_zero(), start }; }
static inline I few_sums(few_sum s, I start)
{
    (void)start;
    return vaddq_s32(vshlq_n_s32(s.q, 8), s.r);
}

#include "cpu/few128.inc"

/* ---- many rows, on bytes: four even or odd k of four rows, in lanes, and of one row of x, in one lane of it ---- */

#define BYTE_ROWS 1
#define BYTE_SUMS 1
#define BYTE_SIGNED 1

typedef I byte_sum;
typedef float byte_steps;

static inline void byte_codes(B *low, B *high, int bias)
{
    I a = i_of(b_less(*low, bias)), b = i_of(b_less(*high, bias));
    *low = b_of(vuzp1q_s32(a, b));
    *high = b_of(vuzp2q_s32(a, b));
}
static inline B byte_x(const void *p) { return b_eight(p); }
static inline byte_steps byte_steps_at(const void *p) { return step_at(p); }
static inline void byte_meet(byte_sum *sum, const B w[2], B x, const bool first)
{
    I evens = vdotq_lane_s32(first ? i_start() : *sum, w[0], vget_low_s8(x), 0);
    *sum = vdotq_lane_s32(evens, w[1], vget_low_s8(x), 1);
}
static inline V byte_times(const byte_sum *sum, int i, byte_steps step)
{
    (void)i;
    return vmulq_n_f32(h_from_started(*sum), step);
}

#define WIDE_X 8
#define BYTE_STEPS(X) X(8) X(4) X(2) X(1)
#include "cpu/wide8.inc"

const kw_kernels kw_kernels_dotprod = {
    .name = "dotprod",
    .needs = KW_CPU_NEON | KW_CPU_DOTPROD,
    .dots_q8 = { [KW_Q4_0] = dots_q4_0,
                 [KW_Q4_1] = dots_q4_1,
                 [KW_Q8_0] = dots_q8_0,
                 [KW_Q4_K] = dots_q4_k,
                 [KW_Q6_K] = dots_q6_k },
    .encode_group = encode_group,
    .few = { PANEL_SHAPES(FEW_OF) },
    .encode_wide8 = encode_wide8,
    .wide8 = wide8,
    .bytes = ALL_BYTES,
};
