/* fit_put.c - lays a fitted block's scales and codes out as bytes: the inverse of the decoders, which draw the layouts. */
#include "tensor/fit.h"
#include <string.h>

static void put_half(unsigned char *p, uint16_t h)
{
    p[0] = (unsigned char)(h & 255);
    p[1] = (unsigned char)(h >> 8);
}

/* Value j in the low and value j + 16 in the high half of byte j; what is above four bits is cut off. */
static void put_nibbles(const unsigned char *code, unsigned char *b)
{
    for (int j = 0; j < 16; j++) b[j] = (unsigned char)((code[j] & 15) | code[j + 16] << 4);
}

static void put_fifths(const unsigned char *code, unsigned char *b)
{
    memset(b, 0, 4);
    for (int j = 0; j < 32; j++) b[j / 8] = (unsigned char)(b[j / 8] | (code[j] >> 4) << (j % 8));
}

void kw_put_q4_0(const kw_fitted *f, unsigned char *b)
{
    put_half(b, f->d);
    put_nibbles(f->code, b + 2);
}

void kw_put_q4_1(const kw_fitted *f, unsigned char *b)
{
    put_half(b, f->d);
    put_half(b + 2, f->dmin);
    put_nibbles(f->code, b + 4);
}

void kw_put_q5_0(const kw_fitted *f, unsigned char *b)
{
    put_half(b, f->d);
    put_fifths(f->code, b + 2);
    put_nibbles(f->code, b + 6);
}

void kw_put_q5_1(const kw_fitted *f, unsigned char *b)
{
    put_half(b, f->d);
    put_half(b + 2, f->dmin);
    put_fifths(f->code, b + 4);
    put_nibbles(f->code, b + 8);
}

/* The low two bits of 256 codes in 64 bytes. */
static void put_pairs(const unsigned char *code, unsigned char *b)
{
    memset(b, 0, 64);
    for (int j = 0; j < 256; j++) {
        unsigned char *at = b + j / 128 * 32 + j % 32;
        *at = (unsigned char)(*at | (code[j] & 3) << (2 * (j % 128 / 32)));
    }
}

/* Bit `bit` of 256 codes in 32 bytes: byte j % 32 has those of values j, j + 32, ... from its low bit up. */
static void put_bits(const unsigned char *code, int bit, unsigned char *b)
{
    memset(b, 0, 32);
    for (int j = 0; j < 256; j++)
        b[j % 32] = (unsigned char)(b[j % 32] | (code[j] >> bit & 1) << (j / 32));
}

void kw_put_q2_k(const kw_fitted *f, unsigned char *b)
{
    for (int i = 0; i < 16; i++) b[i] = (unsigned char)(f->scale[i] | f->min[i] << 4);
    put_pairs(f->code, b + 16);
    put_half(b + 80, f->d);
    put_half(b + 82, f->dmin);
}

void kw_put_q3_k(const kw_fitted *f, unsigned char *b)
{
    put_bits(f->code, 2, b);
    put_pairs(f->code, b + 32);
    memset(b + 96, 0, 12);
    for (int i = 0; i < 16; i++) {
        int s = f->scale[i] + 32;
        b[96 + i % 8] = (unsigned char)(b[96 + i % 8] | (s & 15) << (i < 8 ? 0 : 4));
        b[104 + i % 4] = (unsigned char)(b[104 + i % 4] | (s >> 4) << (2 * (i / 4)));
    }
    put_half(b + 108, f->d);
}

/* d, dmin, and eight scales and minimums of 6 bits each. */
static void put_scales_and_mins(const kw_fitted *f, unsigned char *b)
{
    unsigned char *s = b + 4;
    put_half(b, f->d);
    put_half(b + 2, f->dmin);
    for (int i = 0; i < 4; i++) {
        int scale = f->scale[i + 4], min = f->min[i + 4];
        s[i] = (unsigned char)(f->scale[i] | (scale >> 4) << 6);
        s[i + 4] = (unsigned char)(f->min[i] | (min >> 4) << 6);
        s[i + 8] = (unsigned char)((scale & 15) | (min & 15) << 4);
    }
}

/* 32 bytes hold two parts of 32 values, the second in the high halves. */
static void put_part_nibbles(const unsigned char *code, unsigned char *b)
{
    for (int i = 0; i < 256; i += 64, b += 32)
        for (int j = 0; j < 32; j++)
            b[j] = (unsigned char)((code[i + j] & 15) | code[i + j + 32] << 4);
}

void kw_put_q4_k(const kw_fitted *f, unsigned char *b)
{
    put_scales_and_mins(f, b);
    put_part_nibbles(f->code, b + 16);
}

void kw_put_q5_k(const kw_fitted *f, unsigned char *b)
{
    put_scales_and_mins(f, b);
    put_bits(f->code, 4, b + 16);
    put_part_nibbles(f->code, b + 48);
}

void kw_put_q6_k(const kw_fitted *f, unsigned char *b)
{
    unsigned char high[256];
    for (int i = 0; i < 256; i += 128)
        for (int j = 0; j < 64; j++) {
            unsigned char first = f->code[i + j], second = f->code[i + j + 64];
            b[i / 2 + j] = (unsigned char)((first & 15) | second << 4);
        }
    for (int i = 0; i < 256; i++) high[i] = f->code[i] >> 4;
    put_pairs(high, b + 128);
    for (int i = 0; i < 16; i++) b[192 + i] = (unsigned char)(signed char)f->scale[i];
    put_half(b + 208, f->d);
}

void kw_put_iq4_xs(const kw_fitted *f, unsigned char *b)
{
    memset(b + 2, 0, 6);
    put_half(b, f->d);
    for (int i = 0; i < 8; i++) {
        int s = f->scale[i] + 32;
        b[2 + i / 4] = (unsigned char)(b[2 + i / 4] | (s >> 4) << (2 * (i % 4)));
        b[4 + i / 2] = (unsigned char)(b[4 + i / 2] | (s & 15) << (4 * (i % 2)));
        put_nibbles(f->code + 32 * i, b + 8 + 16 * i);
    }
}
