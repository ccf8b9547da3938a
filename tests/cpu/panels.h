/* panels.h - matrices of every dtype that is packed, and their products with rows of x in double. */
#ifndef KW_TESTS_CPU_PANELS_H
#define KW_TESTS_CPU_PANELS_H

#include "base/base.h"
#include "cpu/panel.h"
#include "test.h"
#include <math.h>

enum { ROWS = 64, MOST_K = 768, MOST_X = 75, MOST_LENGTHS = 5, MOST_KERNELS = 8 };

static const kw_dtype packed_types[] = { KW_Q4_0,   KW_Q4_1,   KW_Q5_0, KW_Q5_1, KW_Q8_0,
                                         KW_Q2_K,   KW_Q3_K,   KW_Q4_K, KW_Q5_K, KW_Q6_K,
                                         KW_IQ4_NL, KW_IQ4_XS, KW_F16,  KW_BF16, KW_F32 };
enum { N_TYPES = sizeof packed_types / sizeof *packed_types };

/* A matrix of one dtype: in the file's blocks, as f32, and packed. */
typedef struct matrix {
    kw_dtype type;
    size_t k, rows, row_bytes, panel_bytes;
    unsigned char blocks[ROWS * MOST_K * 4];
    float plain[ROWS * MOST_K];
    _Alignas(64) unsigned char packed[ROWS * MOST_K * 2 + 65536];
} matrix;

static void put_f16(unsigned char *p, double x)
{
    uint16_t h = kw_f32_to_f16((float)x);
    memcpy(p, &h, 2);
}

/* Random codes under scales that models have. */
static void fill_block(kw_dtype t, unsigned char *b, kw_rng *rng)
{
    static const unsigned char d_at[KW_DTYPE_COUNT] = {
        [KW_Q2_K] = 80, [KW_Q3_K] = 108, [KW_Q6_K] = 208
    };
    const kw_dtype_info *info = kw_dtype_get(t);
    for (size_t i = 0; i < info->bytes; i++) b[i] = (unsigned char)kw_rng_u64(rng);
    double d = (0.5 + kw_rng_f64(rng)) / (info->block == 256 ? 500 : 10);
    if (t == KW_F32) memcpy(b, &(float){ (float)(kw_rng_f64(rng) - 0.5) }, 4);
    else if (t == KW_BF16)
        memcpy(b, &(uint16_t){ kw_f32_to_bf16((float)(kw_rng_f64(rng) - 0.5)) }, 2);
    else put_f16(b + d_at[t], info->block == 1 ? kw_rng_f64(rng) - 0.5 : d);
    bool has_min = t == KW_Q4_1 || t == KW_Q5_1 || t == KW_Q2_K || t == KW_Q4_K || t == KW_Q5_K;
    if (has_min) put_f16(b + d_at[t] + 2, info->block == 32 ? -8 * d : 3 * d);
}

static matrix *make(kw_dtype t, size_t k, size_t rows)
{
    static matrix m;
    kw_rng rng;
    const kw_dtype_info *info = kw_dtype_get(t);
    kw_rng_seed(&rng, (uint64_t)t * 1000 + k + rows);
    m.type = t, m.k = k, m.rows = rows;
    m.row_bytes = k / info->block * info->bytes;
    m.panel_bytes = kw_panel_bytes(t, k);
    for (size_t at = 0; at < rows * m.row_bytes; at += info->bytes)
        fill_block(t, m.blocks + at, &rng);
    info->decode(m.blocks, m.plain, rows * k);
    for (size_t row = 0; row < rows; row += KW_PANEL_ROWS) {
        size_t left = rows - row;
        kw_panel_source s = { t, m.blocks + row * m.row_bytes, m.row_bytes,
                              left < KW_PANEL_ROWS ? left : KW_PANEL_ROWS, k };
        kw_panel_pack(&s, m.packed + row / KW_PANEL_ROWS * m.panel_bytes);
    }
    return &m;
}

/* Activations with a few large ones, as models have. */
static void fill_x(float *x, size_t n, uint64_t seed)
{
    kw_rng rng;
    kw_rng_seed(&rng, seed);
    for (size_t i = 0; i < n; i++) {
        x[i] = (float)(kw_rng_f64(&rng) * 2 - 1);
        if (kw_rng_u64(&rng) % 100 == 0) x[i] *= 20;
    }
}

/* The product in double. size: what its error is seen against, the sum over slices of k of
 * n * (largest |w|) * (largest |x|), for integers under a common scale are equally far off all over their slice. */
static double dot(const matrix *m, size_t row, const float *x, size_t slice, double *size)
{
    double sum = 0;
    *size = 0;
    for (size_t at = 0; at < m->k; at += slice) {
        double most_w = 0, most_x = 0;
        size_t n = m->k - at < slice ? m->k - at : slice;
        for (size_t k = at; k < at + n; k++) {
            double w = (double)m->plain[row * m->k + k], v = (double)x[k];
            sum += w * v;
            most_w = fmax(most_w, fabs(w));
            most_x = fmax(most_x, fabs(v));
        }
        *size += (double)n * most_w * most_x;
    }
    return sum;
}

/* The products in double of a matrix with the first n_x of MOST_X rows of x; `length` is the number of its k among lengths. */
typedef struct product {
    double want, size;
} product;
typedef struct products {
    kw_dtype type;
    size_t slice, n_x;
    product of[MOST_X][ROWS];
} products;

static const products *products_of(const matrix *m, size_t length, const float *x, size_t n_x,
                                   size_t slice)
{
    static products known[MOST_LENGTHS];
    products *p = &known[length];
    if (p->type != m->type || p->slice != slice || p->n_x != n_x) {
        *p = (products){ .type = m->type, .slice = slice, .n_x = n_x };
        for (size_t i = 0; i < n_x; i++)
            for (size_t r = 0; r < ROWS; r++)
                p->of[i][r].want = dot(m, r, x + i * m->k, slice, &p->of[i][r].size);
    }
    return p;
}

#endif
