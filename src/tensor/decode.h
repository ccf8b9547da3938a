/* decode.h - declares the functions that dtype.def names, and what decoders share (tensor/ only). */
#ifndef KW_TENSOR_DECODE_H
#define KW_TENSOR_DECODE_H

#include "tensor/tensor.h"

#define KW_DECODER(name) void name(const void *src, float *dst, size_t n)
#define KW_ENCODER(name) void name(const float *src, void *dst, size_t n)
KW_DECODER(kw_decode_f32);
KW_DECODER(kw_decode_f16);
KW_DECODER(kw_decode_bf16);
KW_DECODER(kw_decode_f64);
KW_DECODER(kw_decode_q4_0);
KW_DECODER(kw_decode_q4_1);
KW_DECODER(kw_decode_q5_0);
KW_DECODER(kw_decode_q5_1);
KW_DECODER(kw_decode_q8_0);
KW_DECODER(kw_decode_q2_k);
KW_DECODER(kw_decode_q3_k);
KW_DECODER(kw_decode_q4_k);
KW_DECODER(kw_decode_q5_k);
KW_DECODER(kw_decode_q6_k);
KW_DECODER(kw_decode_iq4_nl);
KW_DECODER(kw_decode_iq4_xs);
KW_DECODER(kw_decode_iq1_s);
KW_DECODER(kw_decode_iq1_m);
KW_DECODER(kw_decode_iq2_xxs);
KW_DECODER(kw_decode_iq2_xs);
KW_DECODER(kw_decode_iq2_s);
KW_DECODER(kw_decode_iq3_xxs);
KW_DECODER(kw_decode_iq3_s);
KW_DECODER(kw_decode_tq1_0);
KW_DECODER(kw_decode_tq2_0);
KW_DECODER(kw_decode_mxfp4);
KW_DECODER(kw_decode_nvfp4);
KW_DECODER(kw_decode_f8_e4m3);
KW_DECODER(kw_decode_f8_e5m2);
KW_ENCODER(kw_encode_f32);
KW_ENCODER(kw_encode_f16);
KW_ENCODER(kw_encode_bf16);
KW_ENCODER(kw_encode_q4_0);
KW_ENCODER(kw_encode_q8_0);
#undef KW_DECODER
#undef KW_ENCODER

/* A half where it lies in a block. */
static inline float kw_f16_at(const unsigned char *p)
{
    return kw_f16_to_f32((uint16_t)(p[0] | p[1] << 8));
}

/* grid_tables.c: the groups of values that codes name. */
extern const uint16_t kw_grid_iq1[2048], kw_grid_iq2_xxs[256], kw_grid_iq2_xs[512],
    kw_grid_iq2_s[1024], kw_grid_iq3_xxs[256], kw_grid_iq3_s[512];

#endif
