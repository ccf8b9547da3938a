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
#define FEW_TOGETHER 2

typedef struct few_codes {
    B v[2];
} few_codes;
typedef struct few_x {
    B q[2], r[2];
} few_x;
typedef struct few_sum {
    I q, r;
} few_sum;

static inline few_codes few_ready(B first, B second) { return (few_codes){ { first, second } }; }
static inline few_sum few_begin(I start) { return (few_sum){ i_zero(), start }; }
static inline I few_sums(few_sum s, I start)
{
    (void)start;
    return vaddq_s32(vshlq_n_s32(s.q, 8), s.r);
}
static inline few_x few_load(const unsigned char *code, int pair)
{
    const unsigned char *q = code + 16 * pair, *r = q + 32;
    return (few_x){ { b_twice(q), b_twice(q + 8) }, { b_twice(r), b_twice(r + 8) } };
}
static inline few_sum few_dot(few_sum s, few_codes w, few_x x)
{
    for (int j = 0; j < 2; j++) {
        s.q = vdotq_s32(s.q, w.v[j], x.q[j]);
        s.r = vdotq_s32(s.r, w.v[j], x.r[j]);
    }
    return s;
}
/* q and r, the even k of eight first. */
static inline void few_put(const int32_t x[KW_GROUP], unsigned char *code)
{
    for (int k = 0; k < KW_GROUP; k++) {
        int q = (x[k] + 128) >> 8, at = k / 8 * 8 + k % 8 / 2 + k % 2 * 4;
        code[at] = (unsigned char)q;
        code[32 + at] = (unsigned char)(x[k] - 256 * q);
    }
}

#include "cpu/few128.inc"

/* ---- many rows, on bytes ---- */

static inline I i_of(B a) { return vreinterpretq_s32_s8(a); }
static inline B b_of(I a) { return vreinterpretq_s8_s32(a); }
static inline B b_zero(void) { return b_set(0); }
static inline B b_add(B a, B b) { return b_of(vaddq_s32(i_of(a), i_of(b))); }
static inline B b_qword(const void *p) { return b_twice(p); }
static inline B b_dword(const void *p) { return b_of(vld1q_dup_s32(p)); }
static inline B b_dot_bytes(B sum, B w, B x) { return b_of(vdotq_s32(i_of(sum), w, x)); }
static inline B b_mul_bytes(B w, B x) { return b_dot_bytes(b_zero(), w, x); }
/* A sum of 16 products times the step: below 2^31 as in wide8.inc. */
static inline V v_steps(B sum, B steps)
{
    I step = vandq_s32(i_of(steps), vdupq_n_s32(0xffff));
    return h_from_i(vmulq_s32(i_of(sum), step));
}
static inline V v_from_ints(B a) { return h_from_i(i_of(a)); }
/* VN rounded values, those from k on, as bytes in the order of a panel's; the values. */
static inline B b_store_codes(unsigned char *p, int k, V a)
{
    int32_t x[4];
    I rounded = i_round(a);
    i_store(x, rounded);
    for (int i = k; i < k + 4; i++) p[i / 8 * 8 + i % 8 / 2 + i % 2 * 4] = (unsigned char)x[i - k];
    return b_of(rounded);
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
