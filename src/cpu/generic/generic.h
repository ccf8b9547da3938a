/* generic.h - the generic row, and its two building blocks for rows that leave remainders to it. */
#ifndef KW_CPU_GENERIC_H
#define KW_CPU_GENERIC_H

#include "cpu/kernels.h"

extern const kw_kernels kw_kernels_generic;

float kw_dot_exact(const float *a, const float *b, size_t k);
float kw_sum8(const float s[8]); /* the tree */

#endif
