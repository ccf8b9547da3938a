/* decode.h - declares the functions that dtype.def names (tensor/ only). */
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
KW_ENCODER(kw_encode_f32);
KW_ENCODER(kw_encode_f16);
KW_ENCODER(kw_encode_bf16);
KW_ENCODER(kw_encode_q4_0);
KW_ENCODER(kw_encode_q8_0);
#undef KW_DECODER
#undef KW_ENCODER

#endif
