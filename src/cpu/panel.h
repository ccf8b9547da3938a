/* panel.h - weights packed for speed: one layout a format, for products of one row and of many.
 *
 * A panel is 16 rows of weights; blocks of it follow each other along k. Codes lie in vectors of 64 bytes, each of 8 k:
 *
 *     dword 2j + c of a vector holds row j, its byte t is k = 8 i + 2 t + c          (i: vector, c: parity of k)
 *
 *   - a dot product over bytes (VNNI, or 16-bit pairs) adds up inside a dword, so even and odd k of a row meet only once;
 *   - spread to f32, byte t of all dwords is the pair (k, k + 1) of eight rows, which one instruction rounds to the bf16
 *     pairs or packs to the int16 pairs that matrix tiles are made of. Nothing is permuted on the way.
 *
 * A group is 32 k: eight vectors of bytes, number 2 i + h for rows 0-7 (h = 0) and 8-15 (h = 1), however they are folded:
 *
 *   nibbles   4 vectors  low half of a byte: h = 0, high half: h = 1
 *   plane     1 vector   behind nibbles or pairs: bit 2 i + h of a byte is the next bit of vector 2 i + h
 *   bytes     8 vectors
 *   six       6 vectors  A B C for each 16 k: vectors v0 v1 v2 of six bits, with two bits of v3 each on top
 *   pairs     2 vectors  two bits: vector v lies in bits 2 (v & 3) of vector v >> 2
 *   halves   16 vectors  k and k + 1 of rows 0-7, then of rows 8-15, as f16 or bf16
 *   words    16 vectors  one for k and k + 1: int16 of the rows in kw_panel_order. What f32 become: they are dotted as they lie by
 *                        few rows, so that these serve wide16.inc alone, which takes them as they are
 *
 * Scales of the 16 rows stand in the order of kw_panel_order, in which sums of two parities leave a pack or horizontal add.
 * Rows that are not there have scale 0. Sources: the block formats of ggml; the layout is our own (docs/PERF.md). */
#ifndef KW_CPU_PANEL_H
#define KW_CPU_PANEL_H

#include "base/base.h"
#include "tensor/tensor.h"

enum { KW_PANEL_ROWS = 16, KW_GROUP = 32, KW_PANEL_VERSION = 1 };

typedef enum kw_scale_kind {
    KW_SCALE_NONE, /* halves */
    KW_SCALE_F16,  /* d[16] f16 a group, behind the codes of the block */
    KW_SCALE_MIN,  /* d[16] m[16] f16 a group: w = d q + m */
    KW_SCALE_K4, /* d[16] dmin[16] f16 | S: 8 x 16 B, low and high nibble: bits 0-3 of scale and minimum | T: 4 x 16 B */
    KW_SCALE_BYTE16, /* d[16] f32 | 16 x 16 B: a signed scale each 16 k */
    KW_SCALE_BYTE32, /* d[16] f32 | 8 x 16 B: a signed scale a group */
    KW_SCALE_K2,     /* d[16] dmin[16] f16 | 16 x 16 B: nibbles of scale and minimum each 16 k */
    KW_SCALE_SLICE,  /* d[16] f32 in front of each KW_WIDE_SLICE k */
} kw_scale_kind;

typedef struct kw_panel_format {
    int k;              /* values of a block; 0: the dtype has no layout */
    size_t bytes;       /* of a block of 16 rows */
    size_t codes_at;    /* offset of the first group's codes */
    size_t group_bytes; /* codes of a group */
    size_t scales_at;   /* offset of the scales */
    int bias;           /* w = scale * (code - bias) */
    kw_scale_kind scales;
} kw_panel_format;

extern const unsigned char kw_panel_order[KW_PANEL_ROWS]; /* lane -> row */
extern const unsigned char kw_iq4_codes[16];

const kw_panel_format *kw_panel_format_of(kw_dtype t); /* k is 0 when there is none */
/* Whether a matrix of this dtype and k columns can be packed; bytes of one panel. */
bool kw_panel_fits(kw_dtype t, size_t k);
size_t kw_panel_bytes(kw_dtype t, size_t k);
bool kw_panel_holds(const float *x,
                    size_t n); /* whether all f32 are numbers that words can stand for */
uint64_t kw_panel_hash(kw_dtype t, uint64_t seed); /* over the description of one layout */
/* Packs n <= 16 rows of k values, row_bytes apart, into one panel. */
typedef struct kw_panel_source {
    kw_dtype dtype;
    const unsigned char *rows;
    size_t row_bytes, n, k;
} kw_panel_source;
void kw_panel_pack(const kw_panel_source *s, unsigned char *panel);
/* panel_rows.c: whether panels of the dtype hold all bits of their rows, and the way back: row number `row` of a panel as the
 * file's blocks. */
bool kw_panel_keeps(kw_dtype t);
void kw_panel_row(kw_dtype t, const unsigned char *panel, size_t row, size_t k, unsigned char *out);

#endif
