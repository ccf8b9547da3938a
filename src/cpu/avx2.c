/* avx2.c - the AVX2 row: eight lanes are exactly the eight running sums of exact mode. */
#include "cpu/generic/generic.h"
#include "cpu/panel.h"
#include "cpu/simd/avx2.h"
#include <math.h>

#define TILE_X 6
#define PANEL_V 2 /* 6 x 2 accumulators, 2 weights and 1 activation of 16 registers */
#include "cpu/vec.inc"
#include "cpu/decode_avx2.inc"
#include "cpu/q8.inc"
#include "cpu/codes.inc"
#define ATTEND_X 6
#define ATTEND_CASES(X) X(1) X(2) X(3) X(4) X(5)
#include "cpu/tiles16.inc"
#define PUT_PAIR put_f32
#include "cpu/tile.inc"
#include "cpu/few256.inc"

#define WIDE_X 6
#define WIDE_P 1
#define WIDE_CASES(X) X(1) X(2) X(3) X(4) X(5) X(6)
#include "cpu/wide16.inc"

/* ---- packing: 8 x 8 values turned at a time ---- */

static inline void turn_8x8(const float *src, size_t stride, float *dst, size_t panel)
{
    V r[8], t[8];
    for (int i = 0; i < 8; i++) r[i] = v_load(src + (size_t)i * stride);
    for (int i = 0; i < 8; i += 2) {
        t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
    }
    for (int i = 0; i < 8; i += 4) {
        r[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
        r[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xee);
        r[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
        r[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xee);
    }
    for (int i = 0; i < 4; i++) {
        v_store(dst + (size_t)i * panel, _mm256_permute2f128_ps(r[i], r[i + 4], 0x20));
        v_store(dst + (size_t)(i + 4) * panel, _mm256_permute2f128_ps(r[i], r[i + 4], 0x31));
    }
}

static void pack(const kw_pack *p)
{
    size_t whole_k = p->n_rows == p->panel ? p->k & ~(size_t)7 : 0;
    for (size_t k = 0; k < whole_k; k += 8)
        for (size_t j = 0; j < p->panel; j += 8)
            turn_8x8(p->rows + j * p->row_stride + k, p->row_stride, p->packed + k * p->panel + j,
                     p->panel);
    for (size_t k = whole_k; k < p->k; k++)
        for (size_t j = 0; j < p->panel; j++)
            p->packed[k * p->panel + j] = j < p->n_rows ? p->rows[j * p->row_stride + k] : 0;
}

/* ---- exact ---- */

static inline void exact_tile(const kw_dots *d, size_t i, size_t j, const int n_x, const int n_w)
{
    V acc[2][4];
    const float *x = d->x + i * d->x_stride, *w = d->w + j * d->w_stride;
    size_t k = 0;
    for (int a = 0; a < n_x; a++)
        for (int b = 0; b < n_w; b++) acc[a][b] = v_zero();
    for (; k + 8 <= d->k; k += 8)
        for (int a = 0; a < n_x; a++) {
            V xv = v_load(x + (size_t)a * d->x_stride + k);
            for (int b = 0; b < n_w; b++)
                acc[a][b] = v_add(acc[a][b], v_mul(v_load(w + (size_t)b * d->w_stride + k), xv));
        }
    for (int a = 0; a < n_x; a++)
        for (int b = 0; b < n_w; b++) {
            float s[8];
            v_store(s, acc[a][b]);
            for (size_t t = k; t < d->k; t++)
                s[t & 7] += w[(size_t)b * d->w_stride + t] * x[(size_t)a * d->x_stride + t];
            d->dst[(i + (size_t)a) * d->dst_stride + j + (size_t)b] = v_tree(v_load(s));
        }
}

static void dots_exact(const kw_dots *d)
{
    size_t i = 0;
    for (; i + 2 <= d->n_x; i += 2) {
        size_t j = 0;
        for (; j + 4 <= d->n_w; j += 4) exact_tile(d, i, j, 2, 4);
        for (; j < d->n_w; j++) exact_tile(d, i, j, 2, 1);
    }
    for (; i < d->n_x; i++) {
        size_t j = 0;
        for (; j + 4 <= d->n_w; j += 4) exact_tile(d, i, j, 1, 4);
        for (; j < d->n_w; j++) exact_tile(d, i, j, 1, 1);
    }
}

static float dot_one(const float *a, const float *b, size_t k)
{
    float out;
    kw_dots d = { .dst = &out, .w = a, .x = b, .n_w = 1, .n_x = 1, .k = k };
    exact_tile(&d, 0, 0, 1, 1);
    return out;
}

static void rms_norm(float *dst, const float *x, const float *w, size_t n, float eps)
{
    V scale = v_set(1.0f / sqrtf(dot_one(x, x, n) / (float)n + eps));
    size_t i = 0;
    for (; i + VN <= n; i += VN)
        v_store(dst + i, v_mul(v_load(w + i), v_mul(v_load(x + i), scale)));
    if (i == n) return;
    store_some(dst + i, v_mul(load_some(w + i, n - i), v_mul(load_some(x + i, n - i), scale)),
               n - i);
}

/* ---- attention: see the definition in kernels.h ---- */

static float scores(const kw_attend_block *b, const float *q, float *w, float max)
{
    size_t hd = (size_t)b->head_dim;
    kw_dots d = {
        .dst = w + b->from,
        .w = b->k + (size_t)b->from * hd,
        .x = q,
        .w_stride = hd,
        .n_w = (size_t)(b->n - b->from),
        .n_x = 1,
        .k = hd,
    };
    dots_exact(&d);
    for (int t = b->from; t < b->n; t++) {
        w[t] *= b->scale;
        max = w[t] > max ? w[t] : max;
    }
    return max;
}

/* exp(w - max) in place, and their sum over eight lanes; lanes outside from..n-1 count 0. */
static float weigh(float *w, int from, int n, float max)
{
    V sum = v_zero();
    for (int t = 0; t < from; t++) w[t] = -INFINITY;
    for (int t = n; t & 7; t++) w[t] = -INFINITY;
    for (int t = 0; t < n; t += 8) {
        V e = exp_of(v_sub(v_load(w + t), v_set(max)));
        v_store(w + t, e);
        sum = v_add(sum, e);
    }
    return v_tree(sum);
}

static void add_values(const kw_attend_block *b, const float *w, float *acc, float keep)
{
    size_t hd = (size_t)b->head_dim, j = 0;
    for (; j + 4 * VN <= hd; j += 4 * VN) {
        V a[4];
        for (size_t u = 0; u < 4; u++) a[u] = v_mul(v_load(acc + j + u * VN), v_set(keep));
        for (int t = b->from; t < b->n; t++)
            for (size_t u = 0; u < 4; u++)
                a[u] = v_add(a[u], v_mul(v_set(w[t]), v_load(b->v + (size_t)t * hd + j + u * VN)));
        for (size_t u = 0; u < 4; u++) v_store(acc + j + u * VN, a[u]);
    }
    for (; j < hd; j++) {
        float a = acc[j] * keep;
        for (int t = b->from; t < b->n; t++) a += w[t] * b->v[(size_t)t * hd + j];
        acc[j] = a;
    }
}

static void attend(const kw_attend_block *b)
{
    for (int h = 0; h < b->heads; h++) {
        float w[KW_ATTEND_BLOCK];
        float max = scores(b, b->q + (size_t)h * b->q_stride, w, b->max[h]);
        float keep = kw_expf(b->max[h] - max);
        b->sum[h] = b->sum[h] * keep + weigh(w, b->from, b->n, max);
        b->max[h] = max;
        add_values(b, w, b->acc + (size_t)h * (size_t)b->head_dim, keep);
    }
}

const kw_kernels kw_kernels_avx2 = {
    .name = "avx2", .needs = KW_CPU_AVX2 | KW_CPU_FMA | KW_CPU_F16C,
    .add = add, .mul = mul, .silu = silu, .swiglu = swiglu, .rms_norm = rms_norm, .dots_exact = dots_exact,
    .panel = PANEL, .pack = pack, .gemm = gemm, .attend = attend, .encode_q8 = encode_q8,
    .decode = {
        [KW_F16] = decode_f16, [KW_BF16] = decode_bf16, [KW_Q8_0] = decode_q8_0, [KW_Q4_0] = decode_q4_0,
        [KW_Q4_1] = decode_q4_1,
    },
    .dots_q8 = { [KW_Q4_0] = dots_q4_0, [KW_Q4_1] = dots_q4_1, [KW_Q8_0] = dots_q8_0, [KW_Q6_K] = dots_q6_k,
                 [KW_Q4_K] = dots_q4_k },
    .encode_group = encode_group, .attend_tiles = attend_tiles, .encode_wide = encode_wide, .wide = wide,
    .few = { PANEL_SHAPES(FEW_OF) [KW_F16] = few_F16, [KW_BF16] = few_BF16 },
    .tile = TILES,
};
