/* attend_amx.c - attention of many rows over a tiled cache (kernels.h) on bf16 matrix tiles.
 *
 * A bf16 has 8 bits; what attention multiplies is cut into two of them, high and low, which together keep 16. Numbers of bf16 and
 * int8 caches are one already. The product of two low parts is left out:
 *
 *     scores   q (2 parts) . K          tile of 16 queries x 64 positions, k = 32 values of the head
 *     results  w (2 parts) . V          tile of 16 queries x 64 values, k = 32 positions
 *
 * K and V of the page are laid as tiles once for all queries (a load, a permutation and a store for bf16). Between the two
 * products a query's scores lie in its row of w, and its weights' parts take their place: 64 f32 are as long as twice 64 bf16.
 * Tiles of positions that none of 16 queries sees are left out; a query that does not see a position has weight 0 there, so
 * its bits do not depend on its company. Positions that no query sees may hold anything: V's are taken as 0. */
#include "cpu/amx.h"
#include "cpu/simd/avx512.h"
#include <math.h>

enum { BLOCK = KW_ATTEND_BLOCK, ROWS = 16, TILE = 1024, W_BYTES = 4 * BLOCK, LOW_W = 2 * BLOCK };

/* The page as tiles: [part][tile of columns][group of 32 k][16 pairs][16 columns]. */
typedef struct matrix {
    unsigned char *tiles;
    size_t groups, part_bytes, n_parts;
} matrix;

typedef struct page {
    const kw_attend_tiles *a;
    size_t hd, row_bytes; /* padded to 16; of a query's parts */
    matrix k, v;
    int first, last; /* positions that some query sees */
} page;

/* ---- laying tiles ---- */

/* Sixteen numbers of two rows of the cache side by side: both f32. */
static inline void two_rows(kw_dtype t, const unsigned char *p, V x[2])
{
    for (size_t i = 0; i < 2; i++)
        x[i] = t == KW_F16  ? v_halves(p + 32 * i)
               : t == KW_I8 ? v_bytes(p + 16 * i)
                            : v_load((const float *)(const void *)p + 16 * i);
}

/* The upper halves of both, as pairs. */
static inline B pairs_of(const V x[2])
{
    B low = _mm512_srli_epi32(_mm512_castps_si512(x[0]), 16);
    return b_or(low, _mm512_castps_si512(x[1]));
}

/* x as bf16, in the upper half of each lane. */
static inline V to_bf16(V x)
{
    B up = _mm512_add_epi32(_mm512_castps_si512(x), _mm512_set1_epi32(0x8000));
    return _mm512_castsi512_ps(b_and(up, _mm512_set1_epi32((int)0xffff0000)));
}

/* Two rows of the cache at p as a row of a tile in each part; keep: which halves of its pairs are not 0. */
static inline __attribute__((always_inline)) void lay_pair(kw_dtype t, const unsigned char *p,
                                                           B keep, unsigned char *out, size_t part)
{
    if (t == KW_BF16) {
        const B order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24,
                                         8, 23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
        b_store(out, b_and(_mm512_permutexvar_epi16(order, b_load(p)), keep));
        return;
    }
    V x[2], high[2], low[2];
    two_rows(t, p, x);
    for (int i = 0; i < 2; i++) {
        high[i] = t == KW_I8 ? x[i] : to_bf16(x[i]);
        low[i] = to_bf16(v_sub(x[i], high[i]));
    }
    b_store(out, b_and(pairs_of(high), keep));
    if (t != KW_I8) b_store(out + part, b_and(pairs_of(low), keep));
}

/* Rows 2 i, 2 i + 1 of the 32 at p, as far as they are from..to-1; the others are 0. */
static inline __attribute__((always_inline)) void lay_tile(const page *g, kw_dtype t,
                                                           const unsigned char *p, int from, int to,
                                                           unsigned char *out)
{
    size_t bytes = 32 * kw_attend_number_bytes(t), part = g->k.part_bytes;
    for (int i = 0; i < 32; i += 2, p += bytes, out += 64) {
        unsigned keep =
            (i >= from && i < to ? 0xffffu : 0) | (i + 1 >= from && i + 1 < to ? 0xffff0000u : 0);
        if (keep) lay_pair(t, p, _mm512_set1_epi32((int)keep), out, part);
        else
            for (size_t j = 0; j < g->k.n_parts; j++) b_store(out + j * part, b_zero());
    }
}

static inline __attribute__((always_inline)) void lay_page(const page *g, const kw_dtype t)
{
    const unsigned char *k = g->a->k, *v = g->a->v;
    size_t bytes = kw_attend_number_bytes(t), hd = (size_t)g->a->head_dim;
    for (size_t p = (size_t)g->first / 16; p * 16 < (size_t)g->last; p++)
        for (size_t i = 0; i < g->k.groups; i++)
            lay_tile(g, t, k + (p * hd + 32 * i) * 16 * bytes, 0, (int)(hd - 32 * i),
                     g->k.tiles + (p * g->k.groups + i) * TILE);
    for (size_t d = 0; d < g->hd / 16; d++)
        for (size_t i = 0; i < g->v.groups; i++)
            lay_tile(g, t, v + (d * BLOCK + 32 * i) * 16 * bytes, g->first - 32 * (int)i,
                     g->last - 32 * (int)i, g->v.tiles + (d * g->v.groups + i) * TILE);
}

/* ---- products ---- */

/* Up to four tiles of sums (+)= 16 rows at x times as many tiles of columns, over groups from..to, each part with each. */
static void add_group(const unsigned char *x, size_t x_stride, const unsigned char *m, size_t next,
                      size_t n)
{
    _tile_loadd(4, x, x_stride);
    _tile_loadd(6, m, 64);
    _tile_dpbf16ps(0, 4, 6);
    if (n < 2) return;
    _tile_loadd(7, m + next, 64);
    _tile_dpbf16ps(1, 4, 7);
    if (n < 3) return;
    _tile_loadd(6, m + 2 * next, 64);
    _tile_dpbf16ps(2, 4, 6);
    if (n < 4) return;
    _tile_loadd(7, m + 3 * next, 64);
    _tile_dpbf16ps(3, 4, 7);
}

/* n <= 4 tiles of sums at c, whose rows are c_stride bytes apart. */
typedef struct sums {
    float *c;
    size_t c_stride, n;
    const unsigned char *x; /* high parts; low ones x_low bytes behind */
    size_t x_stride, x_low, from, to;
    bool add;
} sums;

static void load_sums(const sums *s)
{
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    if (!s->add) return;
    _tile_loadd(0, s->c, s->c_stride);
    if (s->n > 1) _tile_loadd(1, s->c + 16, s->c_stride);
    if (s->n > 2) _tile_loadd(2, s->c + 32, s->c_stride);
    if (s->n > 3) _tile_loadd(3, s->c + 48, s->c_stride);
}

static void multiply(const sums *s, const matrix *m, size_t column)
{
    const unsigned char *tile = m->tiles + column * m->groups * TILE;
    size_t next = m->groups * TILE;
    kw_tiles_see_memory();
    load_sums(s);
    for (size_t g = s->from; g < s->to; g++) {
        const unsigned char *x = s->x + 64 * g, *y = tile + g * TILE;
        add_group(x, s->x_stride, y, next, s->n);
        add_group(x + s->x_low, s->x_stride, y, next, s->n);
        if (m->n_parts > 1) add_group(x, s->x_stride, y + m->part_bytes, next, s->n);
    }
    _tile_stored(0, s->c, s->c_stride);
    if (s->n > 1) _tile_stored(1, s->c + 16, s->c_stride);
    if (s->n > 2) _tile_stored(2, s->c + 32, s->c_stride);
    if (s->n > 3) _tile_stored(3, s->c + 48, s->c_stride);
}

/* ---- scores to weights ---- */

/* e^x of x <= 0; what is below the normal numbers is the least of them. */
static inline V exp_below(V x)
{
    x = v_max(x, v_set(-87.0f));
    V t = v_fma(x, v_set(KW_EXPF_LOG2E), v_set(KW_EXPF_ROUND));
    V n = v_sub(t, v_set(KW_EXPF_ROUND));
    V r = v_fma(n, v_set(-KW_EXPF_LN2_HIGH), x);
    r = v_fma(n, v_set(-KW_EXPF_LN2_LOW), r);
    V p = v_fma(v_set(KW_EXPF_C6), r, v_set(KW_EXPF_C5));
    p = v_fma(p, r, v_set(KW_EXPF_C4));
    p = v_fma(p, r, v_set(KW_EXPF_C3));
    p = v_fma(p, r, v_set(KW_EXPF_C2));
    p = v_fma(p, r, v_set(KW_EXPF_C1));
    p = v_fma(p, r, v_set(KW_EXPF_C0));
    return v_scale_bits(p, t);
}

/* cap * tanh(s / cap), by tanh(x) = sign(x) * (1 - e^-2|x|) / (1 + e^-2|x|). */
static inline V capped(V s, float cap)
{
    V x = v_mul(s, v_set(1.0f / cap)), e = exp_below(v_mul(v_abs(x), v_set(-2.0f)));
    V t = v_div(v_sub(v_set(1.0f), e), v_add(v_set(1.0f), e));
    return v_mul(v_where_gt(v_zero(), x, v_sub(v_zero(), t), t), v_set(cap));
}

/* The positions from..n-1 of a block. */
static inline uint64_t seen(int from, int n)
{
    if (from >= n) return 0;
    return (~UINT64_C(0) >> (BLOCK - n)) & (~UINT64_C(0) << from);
}

static inline V score_of(const kw_attend_tiles *a, const float *w, const float *bias, int t)
{
    V s = v_load(w + t);
    if (a->k_scale) s = v_mul(s, v_load(a->k_scale + t));
    if (bias) s = v_add(s, v_load(bias + t));
    return a->softcap != 0 ? capped(s, a->softcap) : s;
}

/* Two vectors of weights as bf16: the high parts at w, the low ones behind them. */
static inline void store_parts(unsigned char *w, V first, V second)
{
    V high[2] = { to_bf16(first), to_bf16(second) };
    __m512bh both = _mm512_cvtne2ps_pbh(high[1], high[0]);
    memcpy(w, &both, sizeof both);
    both = _mm512_cvtne2ps_pbh(v_sub(second, high[1]), v_sub(first, high[0]));
    memcpy(w + LOW_W, &both, sizeof both);
}

/* Query i: the running softmax of tiles16.inc; what the old sums are worth. */
static float weigh(const kw_attend_tiles *a, int i)
{
    float *w = a->w + i * BLOCK, old = a->max[i];
    const float *bias = a->bias ? a->bias + i % a->heads * BLOCK : NULL;
    uint64_t see = seen(a->from[i], a->n[i]);
    V s[BLOCK / 16], most = v_set(old), sum = v_zero();
    for (int t = 0; t < BLOCK / 16; t++) {
        __mmask16 mask = (__mmask16)(see >> (16 * t));
        s[t] = _mm512_mask_mov_ps(v_set(-INFINITY), mask, score_of(a, w, bias, 16 * t));
        most = v_max(most, s[t]);
    }
    float max = v_most(most);
    if (!see || !(max > -INFINITY)) {
        memset(w, 0, W_BYTES);
        return 1;
    }
    for (int t = 0; t < BLOCK / 16; t++) {
        __mmask16 mask = (__mmask16)(see >> (16 * t));
        V e = _mm512_maskz_mov_ps(mask, exp_below(v_sub(s[t], v_set(max))));
        sum = v_add(sum, e);
        s[t] = a->v_scale ? _mm512_maskz_mul_ps(mask, e, v_load(a->v_scale + 16 * t)) : e;
    }
    for (int t = 0; t < BLOCK / 16; t += 2)
        store_parts((unsigned char *)w + 4 * 8 * t, s[t], s[t + 1]);
    float keep = old == max ? 1 : kw_expf(old - max);
    a->sum[i] = a->sum[i] * keep + v_total(sum);
    a->max[i] = max;
    return keep;
}

/* ---- sixteen queries ---- */

static void scale_sums(float *acc, size_t n, float by)
{
    for (size_t d = 0; d < n; d += 16) v_store(acc + d, v_mul(v_load(acc + d), v_set(by)));
}

/* Their sums += weights times 64 columns of V from d on; fewer than 16 queries go by way of a copy. */
static void add_values(const page *g, int i, int n, size_t d, sums s)
{
    _Alignas(64) float beside[ROWS * BLOCK];
    float *acc = g->a->acc + (size_t)i * g->hd + d;
    size_t width = g->hd - d < BLOCK ? g->hd - d : BLOCK;
    s.n = width / 16;
    s.c = n < ROWS ? beside : acc;
    s.c_stride = 4 * (n < ROWS ? BLOCK : g->hd);
    if (n < ROWS) memset(beside, 0, sizeof beside);
    for (int row = 0; row < n && n < ROWS; row++)
        memcpy(beside + row * BLOCK, acc + (size_t)row * g->hd, width * sizeof *acc);
    multiply(&s, &g->v, d / 16);
    for (int row = 0; row < n && n < ROWS; row++)
        memcpy(acc + (size_t)row * g->hd, beside + row * BLOCK, width * sizeof *acc);
}

static void attend_rows(const page *g, int i, int n)
{
    const kw_attend_tiles *a = g->a;
    int first = BLOCK, last = 0;
    for (int row = i; row < i + n; row++) {
        if (a->from[row] >= a->n[row]) continue;
        first = a->from[row] < first ? a->from[row] : first;
        last = a->n[row] > last ? a->n[row] : last;
    }
    if (first >= last) return;
    float *w = a->w + i * BLOCK;
    sums s = { .c = w + first / 16 * 16,
               .c_stride = W_BYTES,
               .n = (size_t)((last + 15) / 16 - first / 16),
               .x = (const unsigned char *)a->parts + (size_t)i * g->row_bytes,
               .x_stride = g->row_bytes,
               .x_low = g->row_bytes / 2,
               .to = g->k.groups };
    multiply(&s, &g->k, (size_t)first / 16);
    for (int row = i; row < i + n; row++) {
        float keep = weigh(a, row);
        if (keep != 1) scale_sums(a->acc + (size_t)row * g->hd, g->hd, keep);
    }
    s = (sums){ .x = (const unsigned char *)w,
                .x_stride = W_BYTES,
                .x_low = LOW_W,
                .from = (size_t)first / 32,
                .to = ((size_t)last + 31) / 32,
                .add = true };
    for (size_t d = 0; d < g->hd; d += BLOCK) add_values(g, i, n, d, s);
}

/* ---- the row's kernels ---- */

void kw_amx_split_query(const float *q, void *parts, size_t n)
{
    size_t half = kw_attend_parts_bytes(n) / 2;
    uint16_t *high = parts, *low = (uint16_t *)(void *)((unsigned char *)parts + half);
    memset(parts, 0, 2 * half);
    for (size_t i = 0; i < n; i++) {
        high[i] = kw_f32_to_bf16(q[i]);
        low[i] = kw_f32_to_bf16(q[i] - kw_bf16_to_f32(high[i]));
    }
}

void kw_amx_attend_many(const kw_attend_tiles *a)
{
    size_t hd = (size_t)a->head_dim, padded = (hd + 15) / 16 * 16, groups = (hd + 31) / 32;
    size_t n_parts = a->dtype == KW_BF16 || a->dtype == KW_I8 ? 1 : 2;
    size_t k_bytes = BLOCK / 16 * groups * TILE, v_bytes = padded / 16 * (BLOCK / 32) * TILE;
    page g = { .a = a, .hd = padded, .row_bytes = kw_attend_parts_bytes(hd), .first = BLOCK };
    g.k = (matrix){ a->scratch, groups, k_bytes + v_bytes, n_parts };
    g.v = (matrix){ g.k.tiles + k_bytes, BLOCK / 32, k_bytes + v_bytes, n_parts };
    for (int i = 0; i < a->n_q; i++) {
        if (a->from[i] >= a->n[i]) continue;
        g.first = a->from[i] < g.first ? a->from[i] : g.first;
        g.last = a->n[i] > g.last ? a->n[i] : g.last;
    }
    switch (a->dtype) {
    case KW_F16: lay_page(&g, KW_F16); break;
    case KW_BF16: lay_page(&g, KW_BF16); break;
    case KW_I8: lay_page(&g, KW_I8); break;
    default: lay_page(&g, KW_F32); break;
    }
    kw_tiles_configure();
    for (int i = 0; i < a->n_q; i += ROWS)
        attend_rows(&g, i, a->n_q - i < ROWS ? a->n_q - i : ROWS);
    _tile_release();
}
