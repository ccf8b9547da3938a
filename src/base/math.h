/* math.h - elementary functions whose bits are the same on every platform.
 *
 * Exact mode promises equal bits on x86, Arm and WebAssembly, so libm is out: its last bit differs
 * between implementations. These are straight-line sequences of IEEE multiply, add and divide
 * (never fused), so any row of kernels that performs the same operations in the same order gets the
 * same bits.
 *
 * Single precision, error at most 2 ulp; double precision at most 1e-15 relative, for angles and
 * frequencies. */
#ifndef KW_BASE_MATH_H
#define KW_BASE_MATH_H

/* e^x in single precision. A vector row repeats exactly this, lane by lane; every line is one IEEE
 * operation in f32, or one on the 32 bits of a lane:
 *
 *     t = x * LOG2E
 *     t = t + ROUND                   the integer n nearest to x / ln 2 is now in t's low bits
 *     n = t - ROUND                   the same n as a float
 *     u = n * LN2_HIGH
 *     r = x - u                       |r| <= ln 2 / 2, in two steps because ln 2 needs more bits
 *     u = n * LN2_LOW
 *     r = r - u
 *     p = C6                          e^r by Horner
 *     p = p * r, p = p + C5           ... the same with C4, C3, C2, C1 = 1, C0 = 1
 *     result = bits of p + (bits of t << 23)        times 2^n, integer addition that may wrap
 *     where x > HIGH  result = infinity
 *     where x < LOW   result = 0
 *     where x != x    result = x
 *
 * Outside [LOW, HIGH] the bits before the selection mean nothing. Error at most 1.2 ulp; results
 * are never subnormal. */
#define KW_EXPF_LOG2E 0x1.715476p+0f
#define KW_EXPF_ROUND 0x1.8p+23f
#define KW_EXPF_LN2_HIGH 0x1.63p-1f
#define KW_EXPF_LN2_LOW -0x1.bd0106p-13f
#define KW_EXPF_C6 0x1.6a2436p-10f
#define KW_EXPF_C5 0x1.1239e4p-7f
#define KW_EXPF_C4 0x1.5558f2p-5f
#define KW_EXPF_C3 0x1.555492p-3f
#define KW_EXPF_C2 0x1.fffffcp-2f
#define KW_EXPF_C1 1.0f
#define KW_EXPF_C0 1.0f
#define KW_EXPF_HIGH 0x1.62e42ep+6f /* the last with a finite result */
#define KW_EXPF_LOW -0x1.5d589ep+6f /* the last with a normal result */

/* tanh in single precision, at most 3.5 ulp, repeated by vector rows in the same way:
 *
 *     z = x * x
 *     p = T4 by Horner down to T0     (tanh x - x) / x^3
 *     s = p * z, s = s * x, s = s + x
 *     b = 1 - 2 / (e^(x + x) + 1)
 *     result = s where LIMIT > z, else b */
#define KW_TANHF_T4 -0x1.722afcp-8f
#define KW_TANHF_T3 0x1.5157fcp-6f
#define KW_TANHF_T2 -0x1.b81dc2p-5f
#define KW_TANHF_T1 0x1.110646p-3f
#define KW_TANHF_T0 -0x1.55552ep-2f
#define KW_TANHF_LIMIT 0.390625f /* 0.625 squared */

/* The normal distribution's share below x, for GELU: with t = |x| / sqrt 2,
 *
 *     u = 1 / (1 + P t)                        1 at t = 0, towards 0 behind
 *     v = 2 u - 1
 *     tail = e^(-t t) * (u * (C10 v^10 + ... + C0)) / 2          half of erfc(t), by Horner
 *     gelu(x) = x * tail below 0, x - x * tail above, x above WHOLE
 *
 * The polynomial is a Chebyshev fit of erfc(t) e^(t t) / u with an error of 6e-9. */
#define KW_GELU_SQRT_HALF 0x1.6a09e6p-1f
#define KW_GELU_P 0x1.99999ap-2f
#define KW_GELU_C10 -0x1.e95e1ap-16f
#define KW_GELU_C9 -0x1.68957ap-17f
#define KW_GELU_C8 0x1.176eeap-12f
#define KW_GELU_C7 0x1.5af4bep-13f
#define KW_GELU_C6 -0x1.f7adc4p-10f
#define KW_GELU_C5 -0x1.b78138p-9f
#define KW_GELU_C4 0x1.73b492p-7f
#define KW_GELU_C3 0x1.189336p-4f
#define KW_GELU_C2 0x1.73d8b8p-3f
#define KW_GELU_C1 0x1.4995dep-2f
#define KW_GELU_C0 0x1.afbb40p-2f
#define KW_GELU_WHOLE 6.0f /* the tail is less than half a last bit */

/* The same for fast mode, off by 2e-6 at most, and by 4e-7 of x: with x no less than -MOST, and t the same, but no more than MOST,
 *
 *     gelu(x) = x / 2 + x * (t P(t t) / Q(t t))          P0 + P1 z + ..., 1 + Q1 z + ...
 *
 * t P / Q is a least-maximum fit of the normal distribution's share between 0 and t. */
#define KW_GELU_FAST_MOST 5.2f
#define KW_GELU_FAST_P0 0x1.9883fcp-2f
#define KW_GELU_FAST_P1 0x1.270cdcp-4f
#define KW_GELU_FAST_P2 0x1.c24982p-8f
#define KW_GELU_FAST_P3 0x1.1b54d4p-11f
#define KW_GELU_FAST_P4 0x1.d9085ep-18f
#define KW_GELU_FAST_P5 -0x1.5e890ap-26f
#define KW_GELU_FAST_Q1 0x1.638a6cp-2f
#define KW_GELU_FAST_Q2 0x1.9aa252p-5f
#define KW_GELU_FAST_Q3 0x1.04a564p-8f
#define KW_GELU_FAST_Q4 0x1.814f64p-13f

float kw_expf(float x); /* 0 below -87.34, infinity above 88.72 */
float kw_tanhf(float x);
double kw_exp(double x);
double kw_log_e(double x);         /* natural logarithm; -infinity at 0, NaN below */
double kw_pow(double x, double y); /* x > 0; NaN below 0 */
double kw_sin(double x);           /* |x| up to 2^40, NaN beyond */
double kw_cos(double x);

#endif
