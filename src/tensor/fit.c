/* fit.c - finds the scales and codes of a block that lie nearest to its values, some of which matter more than others.
 *
 * A part of 16 or 32 values has one scale (and a minimum, in some formats). Any scale decides the codes, and codes decide
 * by least squares which scale fits them best. So a row of scales around the obvious one is tried:
 *
 *     x ~ d * q + m      sums of w q, w q^2, w q x for each try  ->  the best d and m of that try, and how good they are
 *
 * The tries are the lanes of the inner loop: they share a value and need no sum across lanes, which is what a compiler can
 * make vectors of without reordering any sum. The winner is coded and fitted once more. Blocks of 256 then search scales for
 * their scales in the same way, code all values with what those became, and fit the two outer scales to the codes.
 *
 * A value's weight is its importance (1 where nothing is known) times its size above the part's usual size: large values
 * decide more of a product than small ones. Q4_0 to Q8_0 are rounded plainly where no importance is known, as everybody does:
 * a tenth less error by searching there made SmolLM2's perplexity no better, but 2 % worse on one text of two. */
#include "tensor/fit.h"
#include <math.h>
#include <string.h>

enum { TRIES = 24, MOST = 32 };
static const float NOTHING = 1e-15f; /* a part whose values span less is all zeros */

typedef struct format {
    int block, part, lo, hi; /* values of a block and of a part; codes */
    int scale_lo, scale_hi;  /* of a part's scale; 0, 0: a block is one part and its scale a half */
    bool has_min, is_free;   /* a minimum; which may have either sign */
    const signed char *grid; /* values of the codes, or NULL: they are numbers */
    float first,
        step; /* the tries: codes that the span of the values is made to cover, from hi (lo) */
    kw_put_fn put;
} format;

/* clang-format off */
static const format formats[KW_DTYPE_COUNT] = {
    [KW_Q4_0]   = {  32, 32,   -8,  7,    0,   0, false, false, NULL,          -0.9f, 0.1f,  kw_put_q4_0 },
    [KW_Q4_1]   = {  32, 32,    0, 15,    0,   0, true,  true,  NULL,          -1.4f, 0.1f,  kw_put_q4_1 },
    [KW_Q5_0]   = {  32, 32,  -16, 15,    0,   0, false, false, NULL,          -0.9f, 0.1f,  kw_put_q5_0 },
    [KW_Q5_1]   = {  32, 32,    0, 31,    0,   0, true,  true,  NULL,          -1.4f, 0.1f,  kw_put_q5_1 },
    [KW_Q2_K]   = { 256, 16,    0,  3,    0,  15, true,  false, NULL,          -0.9f, 0.08f, kw_put_q2_k },
    [KW_Q3_K]   = { 256, 16,   -4,  3,  -32,  31, false, false, NULL,          -0.9f, 0.1f,  kw_put_q3_k },
    [KW_Q4_K]   = { 256, 32,    0, 15,    0,  63, true,  false, NULL,          -1.4f, 0.1f,  kw_put_q4_k },
    [KW_Q5_K]   = { 256, 32,    0, 31,    0,  63, true,  false, NULL,          -1.4f, 0.1f,  kw_put_q5_k },
    [KW_Q6_K]   = { 256, 16,  -32, 31, -128, 127, false, false, NULL,          -0.9f, 0.1f,  kw_put_q6_k },
    [KW_IQ4_NL] = {  32, 32,    0, 15,    0,   0, false, false, kw_iq4_values, -9.0f, 1.0f,  kw_put_q4_0 },
    [KW_IQ4_XS] = { 256, 32,    0, 15,  -32,  31, false, false, kw_iq4_values, -9.0f, 1.0f,  kw_put_iq4_xs },
};
/* clang-format on */

/* ---- one part: which scale ---- */

typedef struct sums {
    float q[TRIES], qq[TRIES], qy[TRIES];
} sums;

/* What is known of a part before any try. */
typedef struct part {
    float y[MOST], w[MOST]; /* values above `from` */
    float from;             /* 0, or the least value */
    float sum_w, sum_y;
    float span;    /* signed: the value farthest from 0 */
    bool is_known; /* how much each value matters */
} part;

/* Adding and taking away 1.5 * 2^23 rounds to a whole number, ties to even; |x| < 2^22. */
static inline float whole(float x) { return (x + 12582912.0f) - 12582912.0f; }

static inline float between(float x, float lo, float hi)
{
    x = x < lo ? lo : x;
    return x > hi ? hi : x;
}

static void try_numbers(const format *f, const part *p, int n, const float *restrict inverse,
                        sums *restrict s)
{
    float lo = (float)f->lo, hi = (float)f->hi;
    for (int i = 0; i < n; i += 2) {
        float y0 = p->y[i], y1 = p->y[i + 1], w0 = p->w[i], w1 = p->w[i + 1];
        for (int c = 0; c < TRIES; c++) {
            float q0 = between(whole(y0 * inverse[c]), lo, hi),
                  q1 = between(whole(y1 * inverse[c]), lo, hi), wq0 = w0 * q0, wq1 = w1 * q1;
            s->q[c] += wq0 + wq1;
            s->qq[c] += wq0 * q0 + wq1 * q1;
            s->qy[c] += wq0 * y0 + wq1 * y1;
        }
    }
}

static void try_grid(const format *f, const part *p, int n, const float *restrict inverse,
                     sums *restrict s)
{
    float q[TRIES], at[TRIES];
    for (int i = 0; i < n; i++) {
        float y = p->y[i], w = p->w[i];
        for (int c = 0; c < TRIES; c++) at[c] = y * inverse[c];
        for (int c = 0; c < TRIES; c++) q[c] = (float)f->grid[0];
        for (int k = 1; k < 16; k++) {
            float gap = (float)(f->grid[k] - f->grid[k - 1]),
                  mid = 0.5f * (float)(f->grid[k] + f->grid[k - 1]);
            for (int c = 0; c < TRIES; c++) q[c] += at[c] > mid ? gap : 0;
        }
        for (int c = 0; c < TRIES; c++) {
            s->q[c] += w * q[c];
            s->qq[c] += w * q[c] * q[c];
            s->qy[c] += w * q[c] * y;
        }
    }
}

static void code_numbers(const format *f, const float *y, int n, float inverse, unsigned char *code)
{
    float lo = (float)f->lo, hi = (float)f->hi;
    for (int i = 0; i < n; i++)
        code[i] = (unsigned char)(int)(between(whole(y[i] * inverse), lo, hi) - lo);
}

static void code_grid(const format *f, const float *y, int n, float inverse, unsigned char *code)
{
    for (int i = 0; i < n; i++) code[i] = 0;
    for (int k = 1; k < 16; k++) {
        float mid = 0.5f * (float)(f->grid[k] + f->grid[k - 1]);
        for (int i = 0; i < n; i++) code[i] = (unsigned char)(code[i] + (y[i] * inverse > mid));
    }
}

static void code_part(const format *f, const float *y, float inverse, unsigned char *code)
{
    if (f->grid) code_grid(f, y, f->part, inverse, code);
    else code_numbers(f, y, f->part, inverse, code);
}

static float value_of(const format *f, unsigned char code)
{
    return f->grid ? (float)f->grid[code] : (float)(code + f->lo);
}

/* y ~ d * q + b */
typedef struct line {
    float d, b, qq;
} line;

static float most_above(const format *f, const part *p) { return f->is_free ? INFINITY : -p->from; }

/* The best line for the sums of a try; b at most `most`. */
static line fit_line(const format *f, const part *p, float q, float qq, float qy)
{
    line l = { .d = qy / qq, .qq = qq };
    float det = p->sum_w * qq - q * q, most = most_above(f, p);
    if (!f->has_min) return l;
    l.d = (p->sum_w * qy - p->sum_y * q) / det;
    l.b = (qq * p->sum_y - q * qy) / det;
    if (l.b > most) {
        l.b = most;
        l.d = (qy - most * q) / qq;
    }
    return l;
}

/* How much of the sum of w y^2 the best line of each try explains; not a number, or below 0, where there is none. */
static void weigh_tries(const format *f, const part *p, const sums *restrict s,
                        float *restrict gain)
{
    float sum_w = p->sum_w, sum_y = p->sum_y, most = most_above(f, p);
    for (int c = 0; c < TRIES && !f->has_min; c++) gain[c] = s->qy[c] * s->qy[c] / s->qq[c];
    for (int c = 0; c < TRIES && f->has_min; c++) {
        float q = s->q[c], qq = s->qq[c], qy = s->qy[c], det = sum_w * qq - q * q,
              d = (sum_w * qy - sum_y * q) / det, b = (qq * sum_y - q * qy) / det,
              bound = (qy - most * q) / qq;
        d = b > most ? bound : d;
        b = b > most ? most : b;
        float g = d * (2 * qy - d * qq - 2 * b * q) + b * (2 * sum_y - b * sum_w);
        gain[c] = d > 0 ? g : -1;
    }
}

/* Sums over a part for the values of its codes. */
typedef struct tally {
    float q, qq, qy;
} tally;

static tally tally_of(const format *f, const float *y, const float *w, const unsigned char *code)
{
    tally t = { 0 };
    for (int i = 0; i < f->part; i++) {
        float v = value_of(f, code[i]), wv = w[i] * v;
        t.q += wv;
        t.qq += wv * v;
        t.qy += wv * y[i];
    }
    return t;
}

/* Codes the part along the line, and fits a line to these codes. */
static line refit(const format *f, const part *p, line l)
{
    unsigned char code[MOST];
    float y[MOST];
    for (int i = 0; i < f->part; i++) y[i] = p->y[i] - l.b;
    code_part(f, y, 1 / l.d, code);
    tally t = tally_of(f, p->y, p->w, code);
    line next = fit_line(f, p, t.q, t.qq, t.qy);
    return t.qq > 0 && isfinite(next.d) && (next.d > 0 || !f->has_min) ? next : l;
}

static line best_try(const format *f, const part *p, int n, const float *inverse)
{
    sums s = { 0 };
    float gain[TRIES], best = 0;
    int at = -1;
    if (f->grid) try_grid(f, p, n, inverse, &s);
    else try_numbers(f, p, n, inverse, &s);
    weigh_tries(f, p, &s, gain);
    for (int c = 0; c < TRIES; c++)
        if (gain[c] > best) {
            best = gain[c];
            at = c;
        }
    return at < 0 ? (line){ 0 } : fit_line(f, p, s.q[at], s.qq[at], s.qy[at]);
}

/* The extreme value becomes the extreme code, more or less. Where codes have two signs, both ends are tried: the far one
 * first, as it is one code farther from zero. Not so for a grid when no importance is known: tries stay near its far end. More
 * of them lower the error by 6 %, but raise SmolLM2's perplexity by 4 %, and the reason is not known (docs/PERF.md). */
static void spread(const format *f, const part *p, float *inverse)
{
    enum { FAR = 19 };
    float far = f->grid ? (float)f->grid[0] : (float)f->lo,
          near = f->grid ? (float)f->grid[15] : (float)f->hi;
    for (int c = 0; c < TRIES; c++) {
        float by = f->first + f->step * (float)c;
        if (far == 0) inverse[c] = (near + by) / p->span;
        else if (f->grid && !p->is_known) inverse[c] = (far + 0.6f * (float)(c - 12)) / p->span;
        else if (c < FAR) inverse[c] = (far + by) / p->span;
        else inverse[c] = (near + f->step * (float)(2 * (c - FAR) - 4)) / p->span;
    }
}

static void read_part(const format *f, const float *x, const float *w, part *p)
{
    float least = x[0], most = x[0];
    for (int i = 1; i < f->part; i++) {
        least = x[i] < least ? x[i] : least;
        most = x[i] > most ? x[i] : most;
    }
    p->from = !f->has_min ? 0 : f->is_free || least < 0 ? least : 0;
    p->span = f->has_min ? most - p->from : -least > most ? least : most;
    p->sum_w = p->sum_y = 0;
    for (int i = 0; i < f->part; i++) {
        p->y[i] = x[i] - p->from;
        p->w[i] = w[i];
        p->sum_w += w[i];
        p->sum_y += w[i] * p->y[i];
    }
}

/* The scale and minimum of a part: x ~ d * q + b. */
static line fit_part(const format *f, const float *x, const float *w, bool is_known)
{
    part p = { .is_known = is_known };
    float inverse[TRIES];
    read_part(f, x, w, &p);
    line l = { .b = p.from };
    if (fabsf(p.span) < NOTHING) return l;
    spread(f, &p, inverse);
    l = best_try(f, &p, f->part, inverse);
    if (l.d != 0 && f->has_min) l = refit(f, &p, l);
    l.b += p.from;
    return l;
}

/* ---- the scales of scales ---- */

/* Numbers lo..hi that are about v / the result. */
static float fit_scales(int lo, int hi, const float *v, const float *w, int n, int *out)
{
    const format f = { .lo = lo, .hi = hi, .first = -0.9f, .step = 0.1f };
    part p = { 0 };
    float inverse[TRIES];
    for (int i = 0; i < n; i++) {
        p.y[i] = v[i];
        p.w[i] = w[i] > 0 ? w[i] : NOTHING;
        p.span = fabsf(v[i]) > fabsf(p.span) ? v[i] : p.span;
        out[i] = 0;
    }
    if (fabsf(p.span) < NOTHING) return 0;
    spread(&f, &p, inverse);
    line l = best_try(&f, &p, n, inverse);
    for (int i = 0; i < n && l.d != 0; i++)
        out[i] = (int)between(whole(v[i] / l.d), (float)lo, (float)hi);
    return l.d;
}

typedef struct block {
    const format *f;
    const float *x, *w;         /* [f->block] */
    bool is_known;              /* w knows how much each value matters */
    float sum_w[16], sum_x[16]; /* of w and w x, by part */
    kw_fitted *out;
} block;

static void code_block(const block *b)
{
    const format *f = b->f;
    float d = kw_f16_to_f32(b->out->d), dmin = kw_f16_to_f32(b->out->dmin), y[MOST];
    for (int i = 0, j = 0; i < f->block; i += f->part, j++) {
        float scale = d * (float)b->out->scale[j], min = dmin * (float)b->out->min[j],
              inverse = scale != 0 ? 1 / scale : 0;
        if (fabsf(inverse) > 1e30f) inverse = 0;
        for (int k = 0; k < f->part; k++) y[k] = b->x[i + k] + min;
        code_part(f, y, inverse, b->out->code + i);
    }
}

/* The outer scales that fit the codes best; false: the codes say nothing about them. */
static bool refit_block(const block *b, float *d, float *dmin)
{
    const format *f = b->f;
    double qq = 0, mm = 0, qm = 0, xq = 0, xm = 0;
    for (int i = 0, j = 0; i < f->block; i += f->part, j++) {
        tally t = tally_of(f, b->x + i, b->w + i, b->out->code + i);
        double s = b->out->scale[j], m = b->out->min[j];
        qq += s * s * (double)t.qq;
        mm += m * m * (double)b->sum_w[j];
        qm += s * m * (double)t.q;
        xq += s * (double)t.qy;
        xm += m * (double)b->sum_x[j];
    }
    double det = qq * mm - qm * qm;
    if (!(qq > 0)) return false;
    if (!(det > 1e-6 * qq * mm)) {
        *d = (float)((xq + (double)*dmin * qm) / qq);
        return true;
    }
    *d = (float)((xq * mm - xm * qm) / det);
    *dmin = (float)((xq * qm - xm * qq) / det);
    return true;
}

static void fit_outer(const block *b, float d, float dmin)
{
    b->out->d = kw_f32_to_f16(d);
    b->out->dmin = kw_f32_to_f16(dmin);
    code_block(b);
    if (!refit_block(b, &d, &dmin)) return;
    b->out->d = kw_f32_to_f16(d);
    b->out->dmin = kw_f32_to_f16(dmin);
    code_block(b);
}

static void fit_block(block *b)
{
    const format *f = b->f;
    float d[16], m[16], dw[16];
    int n = f->block / f->part;
    for (int j = 0; j < n; j++) {
        const float *w = b->w + j * f->part;
        line l = fit_part(f, b->x + j * f->part, w, b->is_known);
        d[j] = l.d;
        m[j] = -l.b;
        dw[j] = l.qq;
        b->sum_w[j] = b->sum_x[j] = 0;
        for (int i = 0; i < f->part; i++) {
            b->sum_w[j] += w[i];
            b->sum_x[j] += w[i] * b->x[j * f->part + i];
        }
    }
    if (!f->scale_hi) { /* the minimum lies in the block with its own sign */
        b->out->scale[0] = 1;
        b->out->min[0] = f->has_min ? -1 : 0;
        fit_outer(b, d[0], -m[0]);
        return;
    }
    float outer = fit_scales(f->scale_lo, f->scale_hi, d, dw, n, b->out->scale), least = 0;
    memset(b->out->min, 0, sizeof b->out->min);
    if (f->has_min) least = fit_scales(0, f->scale_hi, m, b->sum_w, n, b->out->min);
    fit_outer(b, outer, least);
}

/* The extreme values become the extreme codes, and all others are rounded. */
static void round_block(const format *f, const float *x, kw_fitted *out)
{
    float least = x[0], most = x[0];
    for (int i = 1; i < f->block; i++) {
        least = x[i] < least ? x[i] : least;
        most = x[i] > most ? x[i] : most;
    }
    float from = f->has_min ? least : 0, far = -least > most ? least : most,
          d = f->has_min ? (most - least) / (float)f->hi : far / (float)f->lo,
          inverse = d != 0 ? 1 / d : 0, top = (float)(f->hi - f->lo);
    if (fabsf(inverse) > 1e30f) inverse = 0;
    out->d = kw_f32_to_f16(d);
    out->dmin = kw_f32_to_f16(from);
    for (int i = 0; i < f->block; i++) {
        float v = truncf((x[i] - from) * inverse + (0.5f - (float)f->lo));
        out->code[i] = (unsigned char)(int)between(v, 0, top);
    }
}

/* Weights of a block's values. */
static void weigh(const format *f, const float *x, const float *importance, float *w)
{
    float known = 0;
    for (int i = 0; i < f->block && importance; i++) known += importance[i];
    for (int i = 0; i < f->block; i += f->part) {
        float square = 0;
        for (int j = i; j < i + f->part; j++) square += x[j] * x[j];
        float usual = sqrtf(square / (float)f->part);
        for (int j = i; j < i + f->part; j++)
            w[j] = (known > 0 ? importance[j] : 1.0f) * (usual + fabsf(x[j]));
    }
}

bool kw_can_encode(kw_dtype t) { return formats[t].block || kw_dtype_get(t)->encode; }

void kw_encode_row(kw_dtype t, const float *x, const float *importance, size_t n, void *dst)
{
    const format *f = &formats[t];
    const kw_dtype_info *info = kw_dtype_get(t);
    if (info->encode && !(importance && f->block)) {
        info->encode(x, dst, n);
        return;
    }
    unsigned char *at = dst;
    bool is_plain = f->block == 32 && !f->grid && !importance;
    for (size_t i = 0; i < n; i += info->block, at += info->bytes) {
        float w[256];
        kw_fitted fitted;
        if (is_plain) round_block(f, x + i, &fitted);
        else {
            weigh(f, x + i, importance ? importance + i : NULL, w);
            fit_block(
                &(block){ .f = f, .x = x + i, .w = w, .is_known = importance, .out = &fitted });
        }
        f->put(&fitted, at);
    }
}
