/* scales_x86.h - sixteen bytes of scales (S), as codes.inc reads them. */
#ifndef KW_CPU_SIMD_SCALES_X86_H
#define KW_CPU_SIMD_SCALES_X86_H

#include <immintrin.h>

typedef __m128i S;

static inline S s_load(const void *p, int at)
{
    (void)at; /* all are loaded, v_signed_bytes and v_unsigned_bytes choose */
    return _mm_loadu_si128(p);
}
static inline S s_set(int x) { return _mm_set1_epi8((char)x); }
static inline S s_and(S a, S b) { return _mm_and_si128(a, b); }
static inline S s_or(S a, S b) { return _mm_or_si128(a, b); }
/* Shifts of words: callers mask what crosses a byte. */
static inline S s_right(S a, int n) { return _mm_srl_epi16(a, _mm_cvtsi32_si128(n)); }
static inline S s_left(S a, int n) { return _mm_slli_epi16(a, n); }

#endif
