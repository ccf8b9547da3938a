/* neon_i8mm.c - int8 products by SMMLA (Armv8.6): two rows of weights times value and remainder of one row of
 * activations, 8 deep, in one instruction. No sums across lanes are left over:
 *
 *     | w0[8] | w1[8] |  x  | q[8] | r[8] |   =   | w0.q | w0.r | w1.q | w1.r |  */
#include "cpu/generic/generic.h"
#include "cpu/panel.h"
#include "cpu/simd/panel_neon.h"
#include "cpu/codes4.inc"
#include <math.h>

typedef struct acts {
    B v[4]; /* 8 values and 8 remainders */
} acts;

static inline acts acts_at(const signed char *codes)
{
    acts x;
    for (int g = 0; g < 4; g++)
        x.v[g] = vcombine_s8(vld1_s8(codes + 8 * g), vld1_s8(codes + 32 + 8 * g));
    return x;
}

/* The first or second 8 codes of two rows. */
static inline B first(B a, B b) { return vcombine_s8(vget_low_s8(a), vget_low_s8(b)); }
static inline B second(B a, B b) { return vcombine_s8(vget_high_s8(a), vget_high_s8(b)); }

/* Lane r: the sum of row r's products in the halves from..to-1. */
static inline I sums4(const B c[4][2], const acts *x, const int from, const int to)
{
    I low = i_zero(), high = i_zero(); /* rows 0 and 1, rows 2 and 3 */
    for (int h = from; h < to; h++) {
        low = vmmlaq_s32(low, first(c[0][h], c[1][h]), x->v[2 * h]);
        low = vmmlaq_s32(low, second(c[0][h], c[1][h]), x->v[2 * h + 1]);
        high = vmmlaq_s32(high, first(c[2][h], c[3][h]), x->v[2 * h]);
        high = vmmlaq_s32(high, second(c[2][h], c[3][h]), x->v[2 * h + 1]);
    }
    return vaddq_s32(vshlq_n_s32(vuzp1q_s32(low, high), 8), vuzp2q_s32(low, high));
}

#include "cpu/q8x4.inc"

/* ---- packed weights: two vectors are turned so that each holds one parity, eight k of two rows ----
 *
 *     | w0[8] | w1[8] |  x  | q[8] | r[8] |   as above, for even k and for odd ones
 * Turning costs as much as it saves in one row, and pays from two on. */

#include "cpu/codes.inc"
#define FEW_SIGNED 1
#define FEW_SHAPES PANEL_SHAPES
#define FEW_TOGETHER 1

typedef struct few_codes {
    B even, odd;
} few_codes;
typedef few_codes few_x;
typedef struct few_sum {
    I even, odd;
} few_sum;

static inline few_codes few_ready(B first, B second)
{
    I a = vreinterpretq_s32_s8(first), b = vreinterpretq_s32_s8(second);
    return (few_codes){ vreinterpretq_s8_s32(vtrn1q_s32(a, b)),
                        vreinterpretq_s8_s32(vtrn2q_s32(a, b)) };
}
static inline few_sum few_begin(I start)
{
    (void)start;
    return (few_sum){ i_zero(), i_zero() };
}
static inline I few_sums(few_sum s, I start)
{
    I q = vtrn1q_s32(s.even, s.odd), r = vtrn2q_s32(s.even, s.odd);
    return i_add(i_add(vshlq_n_s32(q, 8), r), start);
}
static inline few_x few_load(const unsigned char *code, int pair)
{
    return (few_x){ b_load(code + 32 * pair), b_load(code + 32 * pair + 16) };
}
static inline few_sum few_dot(few_sum s, few_codes w, few_x x)
{
    return (few_sum){ vmmlaq_s32(s.even, w.even, x.even), vmmlaq_s32(s.odd, w.odd, x.odd) };
}
/* Of 16 k: q of the even ones, r, then those of the odd ones. */
static inline void few_put(const int32_t x[KW_GROUP], unsigned char *code)
{
    for (int k = 0; k < KW_GROUP; k++) {
        int q = (x[k] + 128) >> 8, at = k / 16 * 32 + k % 2 * 16 + k % 16 / 2;
        code[at] = (unsigned char)q;
        code[at + 8] = (unsigned char)(x[k] - 256 * q);
    }
}

#include "cpu/few128.inc"

/* ---- many rows, on bytes: eight k of two rows and of two rows of x ----
 *
 *     | w0[8] | w1[8] |  x  | x0[8] | x1[8] |   =   | w0.x0 | w0.x1 | w1.x0 | w1.x1 | */

#define BYTE_ROWS 2
#define BYTE_SUMS 2
#define BYTE_SIGNED 1

typedef struct byte_sum {
    I v[2];
} byte_sum;
typedef H byte_steps; /* of both rows of x, twice */

static inline void byte_codes(B *low, B *high, int bias)
{
    *low = b_less(*low, bias);
    *high = b_less(*high, bias);
}
static inline B byte_x(const void *p) { return b_load(p); }
static inline byte_steps byte_steps_at(const void *p) { return vreinterpretq_f32_s8(b_twice(p)); }
static inline void byte_meet(byte_sum *sum, const B w[2], B x, const bool first)
{
    for (int i = 0; i < 2; i++) sum->v[i] = vmmlaq_s32(first ? i_start() : sum->v[i], w[i], x);
}
static inline V byte_times(const byte_sum *sum, int i, byte_steps steps)
{
    return h_mul(h_from_started(sum->v[i]), steps);
}

#define WIDE_X 8
#define BYTE_STEPS(X) X(8) X(4) X(2) X(1)
#include "cpu/wide8.inc"

const kw_kernels kw_kernels_i8mm = {
    .name = "i8mm",
    .needs = KW_CPU_NEON | KW_CPU_I8MM,
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
