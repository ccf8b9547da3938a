/* neon_dotprod.c - int8 products by SDOT (Armv8.2): 16 products an instruction, summed in fours. Values and remainders
 * of activations stay two int8; their sums meet as 256 * q + r. */
#include "cpu/generic/generic.h"
#include "cpu/simd/neon.h"
#include "cpu/codes4.inc"

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

const kw_kernels kw_kernels_dotprod = {
    .name = "dotprod",
    .needs = KW_CPU_NEON | KW_CPU_DOTPROD,
    .dots_q8 = { [KW_Q4_0] = dots_q4_0,
                 [KW_Q4_1] = dots_q4_1,
                 [KW_Q8_0] = dots_q8_0,
                 [KW_Q4_K] = dots_q4_k,
                 [KW_Q6_K] = dots_q6_k },
};
