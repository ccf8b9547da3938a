/* kernels.h - one row of function pointers per instruction set.
 *
 * A kernel works on rows that are given to it: it cannot fail, allocate, lock or log. The generic row is the
 * definition of each; a row of a wider instruction set leaves out (NULL) what a narrower one does well enough.
 *
 * Kernels marked exact below give the same bits in every row: single IEEE operations in the order that generic/
 * writes down, no fused multiply-add. The others ("fast") may differ in rounding; tests state by how much.
 *
 * The dot product of exact mode: eight running sums, sum j takes the elements k = j mod 8 in order, each product
 * rounded, then added and rounded; the sums meet as a tree: s[j] += s[j+4] for j < 4, then s[j+2], then s[1]. */
#ifndef KW_CPU_KERNELS_H
#define KW_CPU_KERNELS_H

#include "base/base.h"
#include "tensor/tensor.h"
#include <math.h>

/* dst[i * dst_stride + j] = w[j] . x[i] for n_w rows of weights and n_x rows of activations, over k values. */
typedef struct kw_dots {
    float *dst;
    const float *w, *x;
    size_t dst_stride, w_stride, x_stride; /* in floats */
    size_t n_w, n_x, k;
} kw_dots;

/* Weight rows packed for fast products of many rows: `panel` rows interleaved, value k of row j at [k * panel + j], zeros
 * where there are fewer rows. */
typedef struct kw_pack {
    const float *rows;
    float *packed;
    size_t row_stride, n_rows, k, panel;
} kw_pack;

/* dst[i * dst_stride + j] (+)= packed row j . x[i] over k values, for n_w <= panel rows. */
typedef struct kw_gemm {
    float *dst;
    const float *packed, *x;
    size_t dst_stride, x_stride, n_w, n_x, k, panel;
    bool add; /* to what dst holds */
} kw_gemm;

/* Activations as two int8: per block of 32 values a scale d (value = d * (256 * q + r), good to 2e-5 of the block's
 * largest) and eighth = d * sum(256 * q + r) / 8, the share of the block's sum that each of 8 lanes adds for weights with
 * an offset. One row:
 *
 *     | q int8[32], r int8[32] a block | d float[k/32] | eighth float[k/32] |      kw_q8_row_bytes(k), 64-byte multiple */
enum { KW_Q8_BLOCK = 32 };
static inline size_t kw_q8_row_bytes(size_t k)
{
    return (2 * k + k / KW_Q8_BLOCK * 8 + 63) & ~(size_t)63;
}

/* Where the parts of an activation row lie. */
typedef struct kw_q8_row {
    const unsigned char *codes;
    const float *d, *eighth;
} kw_q8_row;
static inline kw_q8_row kw_q8_row_at(const void *row, size_t k)
{
    const unsigned char *codes = (const unsigned char *)row;
    const float *d = (const float *)(const void *)(codes + 2 * k);
    return (kw_q8_row){ codes, d, d + k / KW_Q8_BLOCK };
}

/* Asks for memory that will be read soon. Rows of weights are too short for the hardware to see a stream: without this
 * the loads of few-row products wait for memory half of the time. */
static inline void kw_ahead(const void *p, size_t bytes)
{
    __builtin_prefetch((const char *)((uintptr_t)p + bytes));
}

typedef struct kw_dots_q8 {
    float *dst;
    const unsigned char *w, *x;            /* packed weight rows; int8 activation rows */
    size_t dst_stride, w_stride, x_stride; /* in floats; bytes; bytes */
    size_t n_w, n_x, k;
} kw_dots_q8;

/* ---- packed weights (panel.h) ----
 * Products of few rows are defined to the bit, for every row of kernels that has fma (wasm128 has none, and rounds product and
 * sum; a row of x still has the bits there that it has alone): activations are integers X, the sum of a group's
 * products is exact, and f32 sums of even and odd k meet their groups in order:
 *     d = max |x| / 32512,  X = round(x * (32512 / max)), ties to even          a group: 32 k
 *     acc[c] = fma((float)sum((code - bias) * X, k = c mod 2), scale * d, acc[c])
 *                                            a group, or half of it where scales stand for 16 k
 *     least  = fma(minimum, d * sum(X), least)                                    formats with a minimum
 *     result = (acc[0] + acc[1]) + least
 * F16 and BF16: acc[c] = fma(w, x, acc[c]) over k = c mod 2 in order, result = acc[0] + acc[1]. */
#define KW_GROUP_MOST 32512.0f /* 127 * 256: X is 256 q + r with two int8 */
#define KW_GROUP_LEAST 1e-30f  /* below this a group counts as zeros */
typedef struct kw_group_x {
    unsigned char code
        [64]; /* X, in the order that a row of kernels likes: int16[32], or q int8[32] and r int8[32] */
    int32_t sum[4];    /* of X: k 0-15 even, odd, 16-31 even, odd */
    float d, total[3]; /* total: d times the sum of X of the group, of its halves */
} kw_group_x;

static inline void kw_group_x_finish(kw_group_x *g, float max)
{
    int32_t first = g->sum[0] + g->sum[1], second = g->sum[2] + g->sum[3];
    g->d = max > KW_GROUP_LEAST ? max / KW_GROUP_MOST : 0;
    g->total[0] = g->d * (float)(first + second);
    g->total[1] = g->d * (float)first;
    g->total[2] = g->d * (float)second;
}

enum { KW_FEW_ROWS = 8, KW_FEW_PANELS = 4 };
typedef struct kw_few {
    const unsigned char *w[KW_FEW_PANELS]; /* panels; best far apart in memory */
    float *dst[KW_FEW_PANELS];             /* 16 results of row 0 */
    int n_panels;
    const kw_group_x *x; /* [groups][n_x] */
    const float *plain;  /* [n_x], plain_stride apart: for F16 and BF16 */
    size_t plain_stride, dst_stride, n_x, groups;
} kw_few;
typedef void (*kw_few_fn)(const kw_few *d);

/* Group number `group` of a panel in the form that the row's wide wants: see tile.inc. */
typedef void (*kw_tile_fn)(const unsigned char *panel, size_t group, void *out);

/* Many rows: encoded by encode_wide, each to its place in blocks of 16 rows of x_stride bytes; out is [n_x][16 * n_panels],
 * sums in the order of rows, with room for whole blocks of 32 rows. */
enum { KW_WIDE_SLICE = 384, KW_WIDE_PANELS = 4, KW_WIDE_SCRATCH = 136 * 1024, KW_WIDE_BLOCK = 16 };
enum { KW_WIDE8_SLICE = 256 };
/* Words of a slice are bounded by the root of the sum of their squares, so that sums of products fit an int32 in any
 * order: (46300 + sqrt(384) / 2)^2 < 2^31 with what rounding adds. */
#define KW_WIDE_NORM 46300.0f
#define KW_WIDE_MOST 32767.0f

/* What a unit is worth in a slice whose largest value is `most`; squares: the sum of those of value / most. */
static inline float kw_wide_unit(float most, float squares)
{
    float by_norm = sqrtf(squares) / KW_WIDE_NORM;
    return most * (by_norm > 1 / KW_WIDE_MOST ? by_norm : 1 / KW_WIDE_MOST);
}

/* Where finished sums go, with what is added to them: in rows of `stride` floats. */
typedef struct kw_leave {
    float *dst;               /* NULL: they stay in out */
    const float *bias, *onto; /* a row; rows as those of dst; or NULL */
    size_t stride;
} kw_leave;

typedef struct kw_wide {
    const unsigned char *w, *x;
    size_t panel_bytes, n_panels, x_stride, n_x, k;
    kw_tile_fn tile;
    bool is_words; /* KW_SCALE_SLICE */
    bool halves;   /* wide8: scales stand for 16 k, not 32 */
    float *out;
    kw_leave leave; /* of rows of kernels that have wide_direct */
    void *scratch;  /* KW_WIDE_SCRATCH bytes, 64-byte aligned */
} kw_wide;
/* Bytes of an encoded row, whatever the row of kernels; padded so that rows do not share cache sets. */
static inline size_t kw_wide_row_bytes(size_t k)
{
    size_t bytes = 2 * k + 4 * ((k + KW_WIDE_SLICE - 1) / KW_WIDE_SLICE);
    return (bytes + 127) / 128 * 128 + 64;
}

/* The same for wide8.inc: bytes, units of slices, steps of groups, sums of groups and their halves. */
static inline size_t kw_wide8_row_bytes(size_t k)
{
    size_t slices = (k + KW_WIDE8_SLICE - 1) / KW_WIDE8_SLICE;
    size_t bytes = k + 4 * slices + k / 32 * (4 + 12);
    return (bytes + 127) / 128 * 128 + 64;
}

/* One block of the cache against the query heads of one group, with the running softmax of each head:
 *     s[t] = (q . k[t] + bias[t]) * scale                    t = from .. n-1, counted from the block's first position
 *     s[t] = softcap * tanh(s[t] / softcap)                  where softcap is not 0
 *     m' = max(m, max s), keep = exp(m - m'), w[t] = exp(s[t] - m')
 *     sum = sum * keep + (w summed as a dot product is, lane t mod 8)
 *     acc = acc * keep, then acc += w[t] * v[t] for t in order
 * The block starts at an absolute position, so the bits do not depend on how a prompt was cut into chunks. */
enum { KW_ATTEND_BLOCK = 64 };
typedef struct kw_attend_block {
    const float *q;     /* [heads][head_dim], q_stride floats apart */
    const float *k, *v; /* [n][head_dim] */
    float *acc;         /* [heads][head_dim] */
    float *max, *sum;   /* [heads] */
    size_t q_stride;
    int heads, head_dim, from, n;
    float scale, softcap;
    const float *bias; /* [heads][KW_ATTEND_BLOCK], or NULL: nothing is added */
} kw_attend_block;

/* The same for fast mode, over a tiled cache (plan/backend.h) and any number of queries that look at the same block, each at
 * the positions from[i] .. n[i]-1 of it. q is scaled already; with int8 numbers a position's scale comes from k_scale and
 * v_scale. Fused multiply-adds; a query has the same bits in whatever company. */
typedef struct kw_attend_tiles {
    kw_dtype dtype;
    const void *k, *v;
    const float *k_scale, *v_scale; /* [KW_ATTEND_BLOCK], NULL unless int8 */
    const float *q;                 /* [n_q][head_dim] */
    float *acc;                     /* [n_q][head_dim rounded up to 16] */
    float *max, *sum, *w;           /* [n_q], [n_q], scratch [n_q][KW_ATTEND_BLOCK] */
    const int *from, *n;            /* [n_q] */
    int n_q, head_dim;
    float softcap;     /* as above, after the scales; 0: none */
    int heads;         /* with bias: query i is one of head i mod heads */
    const float *bias; /* [heads][KW_ATTEND_BLOCK], scaled already, added to the scores; or NULL */
    const void
        *parts; /* attend_many reads these instead of q: rows by split_query, one after the other */
    void *scratch; /* attend_many: kw_attend_scratch_bytes, 64-byte aligned */
} kw_attend_tiles;

/* attend_many works on whole tiles of 16 queries: parts and w have 16 rows more, which are read and written as they come. A
 * query's parts take as many bytes as its f32, rounded up to 32; the scratch holds a page of K and V, each twice in bf16. */
enum { KW_ATTEND_MORE = 16 };
static inline size_t kw_attend_parts_bytes(size_t head_dim) { return (head_dim + 31) / 32 * 128; }
static inline size_t kw_attend_scratch_bytes(size_t head_dim)
{
    return 4 * KW_ATTEND_BLOCK * kw_attend_parts_bytes(head_dim) / 2;
}
static inline size_t kw_attend_number_bytes(kw_dtype t)
{
    return t == KW_F32 ? 4 : t == KW_I8 ? 1 : 2;
}

/* gelu(x) by tanh is x / (1 + e^(-2u)), u = sqrt(2/pi) (x + 0.044715 x^3): the exponent is x * (x^2 * C1 + C0). */
#define KW_GELU_TANH_C0 -0x1.988454p+0f
#define KW_GELU_TANH_C1 -0x1.2444f2p-4f

/* n values; sums of x and of the squares of x - mean are those of a dot product of exact mode. */
typedef struct kw_layer_norm_args {
    const float *w, *bias; /* bias may be NULL */
    size_t n;
    float eps;
} kw_layer_norm_args;

/* x[n_heads * head_dim] -> dst, by cos[half] and sin[half]; values past 2 * half are copied. */
typedef struct kw_rope_row {
    const float *x, *cos, *sin;
    float *dst;
    int n_heads, head_dim, half;
    bool interleaved;
} kw_rope_row;

#include "cpu/kernels.def"

typedef void (*kw_dots_q8_fn)(const kw_dots_q8 *d);

typedef struct kw_kernels {
    const char *name;
    uint64_t needs;     /* KW_CPU_* bits */
    size_t panel;       /* rows of a packed panel; with gemm */
    size_t wide_panels; /* most panels a call of wide, an even number; 0: KW_WIDE_PANELS */
    /* wide takes words as they lie; it and wide8 bring their sums to kw_wide.leave */
    bool wide_direct;
    const struct kw_kernels *also; /* what another file of the row has, or NULL */
#define KW_KERNEL(name, args, doc) void(*name) args;
    KW_KERNELS(KW_KERNEL)
#undef KW_KERNEL
    kw_decode_fn decode[KW_DTYPE_COUNT];   /* exact */
    kw_dots_q8_fn dots_q8[KW_DTYPE_COUNT]; /* fast; NULL: decode and use gemm */
    kw_few_fn few[KW_DTYPE_COUNT];         /* fast, packed weights; NULL: not packed */
    kw_tile_fn tile[KW_DTYPE_COUNT];       /* with wide */
    kw_tile_fn bytes[KW_DTYPE_COUNT];      /* with wide8; NULL: wide */
} kw_kernels;

/* The rows of this build, narrow to wide (select.c). */
const kw_kernels *const *kw_kernel_rows(size_t *n);
/* The kernels for a machine that has `features`, at most as wide as the row called `cap` (NULL or "": no cap).
 * KW_EINVAL names the rows when cap is none of them; `chosen`->name is the widest row that was taken. */
kw_status kw_kernels_select(uint64_t features, const char *cap, kw_kernels *chosen);

/* What the processor and the system allow (features_*.c). */
typedef struct kw_cpu_feature {
    const char *name;
    uint64_t bit;
} kw_cpu_feature;
uint64_t kw_cpu_features(void);
const kw_cpu_feature *kw_cpu_feature_names(size_t *n);

enum {
    KW_CPU_AVX2 = 1,
    KW_CPU_FMA = 2,
    KW_CPU_F16C = 4,
    KW_CPU_AVX512F = 8,
    KW_CPU_AVX512BW = 16,
    KW_CPU_AVX512VL = 32,
    KW_CPU_AVX512DQ = 64,
    KW_CPU_AVX512VNNI = 128,
    KW_CPU_AVXVNNI = 256,
    KW_CPU_SSE42 = 512,
    KW_CPU_AVX512BF16 = 1024,
    KW_CPU_AMX_BF16 = 2048, /* tiles too, and the system's permission to use them */
    KW_CPU_SSE2 = 4096,
    KW_CPU_NEON = 8192,
    KW_CPU_DOTPROD = 16384,
    KW_CPU_I8MM = 32768,
    KW_CPU_SIMD128 = 65536,
    KW_CPU_RELAXED = 131072, /* relaxed SIMD that passed its test (relaxed_test.c) */
};

#endif
