/* fit.h - what the search for scales (fit.c) hands to the layouts of blocks (fit_put.c); tensor/ only. */
#ifndef KW_TENSOR_FIT_H
#define KW_TENSOR_FIT_H

#include "tensor/decode.h"

/* A block before its bits are laid out. x is about d * scale * value(code) - dmin * min. */
typedef struct kw_fitted {
    uint16_t d, dmin; /* halves */
    int scale[16], min[16];
    unsigned char code[256]; /* from 0 */
} kw_fitted;

typedef void (*kw_put_fn)(const kw_fitted *f, unsigned char *b);
void kw_put_q4_0(const kw_fitted *f, unsigned char *b); /* and IQ4_NL */
void kw_put_q4_1(const kw_fitted *f, unsigned char *b);
void kw_put_q5_0(const kw_fitted *f, unsigned char *b);
void kw_put_q5_1(const kw_fitted *f, unsigned char *b);
void kw_put_q2_k(const kw_fitted *f, unsigned char *b);
void kw_put_q3_k(const kw_fitted *f, unsigned char *b);
void kw_put_q4_k(const kw_fitted *f, unsigned char *b);
void kw_put_q5_k(const kw_fitted *f, unsigned char *b);
void kw_put_q6_k(const kw_fitted *f, unsigned char *b);
void kw_put_iq4_xs(const kw_fitted *f, unsigned char *b);

extern const signed char kw_iq4_values[16]; /* quant_iq.c */

#endif
