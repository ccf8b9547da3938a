/* generic.c - the generic row: what every kernel means.
 *
 * Plain loops, no cleverness. Tests compare all other rows with this one, so read it as the specification; the
 * compiler may vectorise it, but contraction is off and the order of every sum is written out. */
#include "cpu/generic/generic.h"
#include <math.h>
#include <string.h>

float kw_dot_exact(const float *a, const float *b, size_t k)
{
    float s[8] = { 0 };
    for (size_t i = 0; i < k; i++) s[i & 7] += a[i] * b[i];
    return kw_sum8(s);
}

float kw_sum8(const float s[8])
{
    float a0 = s[0] + s[4], a1 = s[1] + s[5], a2 = s[2] + s[6], a3 = s[3] + s[7];
    float b0 = a0 + a2, b1 = a1 + a3;
    return b0 + b1;
}

static void add(float *dst, const float *a, const float *b, size_t n)
{
    for (size_t i = 0; i < n; i++) dst[i] = a[i] + b[i];
}

static void mul(float *dst, const float *a, const float *b, size_t n)
{
    for (size_t i = 0; i < n; i++) dst[i] = a[i] * b[i];
}

static float silu_of(float x) { return x / (1.0f + kw_expf(-x)); }

static void silu(float *dst, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) dst[i] = silu_of(x[i]);
}

static void swiglu(float *dst, const float *gate, const float *up, size_t n)
{
    for (size_t i = 0; i < n; i++) dst[i] = silu_of(gate[i]) * up[i];
}

static float gelu_tanh_of(float x)
{
    return x / (1.0f + kw_expf(x * (x * x * KW_GELU_TANH_C1 + KW_GELU_TANH_C0)));
}

static void gelu_tanh(float *dst, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) dst[i] = gelu_tanh_of(x[i]);
}

static void geglu(float *dst, const float *gate, const float *up, size_t n)
{
    for (size_t i = 0; i < n; i++) dst[i] = gelu_tanh_of(gate[i]) * up[i];
}

static float softcap_of(float x, float cap) { return kw_tanhf(x / cap) * cap; }

static void softcap(float *dst, const float *x, size_t n, float cap)
{
    for (size_t i = 0; i < n; i++) dst[i] = softcap_of(x[i], cap);
}

/* base/math.h says what the steps mean. */
static float gelu_of(float x)
{
    float t = (x < 0.0f ? -x : x) * KW_GELU_SQRT_HALF, u = 1.0f / (1.0f + t * KW_GELU_P);
    float v = u + u - 1.0f, p = KW_GELU_C10;
    p = p * v + KW_GELU_C9;
    p = p * v + KW_GELU_C8;
    p = p * v + KW_GELU_C7;
    p = p * v + KW_GELU_C6;
    p = p * v + KW_GELU_C5;
    p = p * v + KW_GELU_C4;
    p = p * v + KW_GELU_C3;
    p = p * v + KW_GELU_C2;
    p = p * v + KW_GELU_C1;
    p = p * v + KW_GELU_C0;
    float tail = kw_expf(t * t * -1.0f) * (u * p) * 0.5f;
    float y = x * tail;
    y = x > 0.0f ? x - y : y;
    return x > KW_GELU_WHOLE ? x : y;
}

static void gelu(float *dst, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) dst[i] = gelu_of(x[i]);
}

static void layer_norm(float *dst, const float *x, const kw_layer_norm_args *a)
{
    float s[8] = { 0 };
    for (size_t i = 0; i < a->n; i++) s[i & 7] += x[i];
    float mean = kw_sum8(s) / (float)a->n;
    for (size_t i = 0; i < a->n; i++) dst[i] = x[i] - mean;
    float scale = 1.0f / sqrtf(kw_dot_exact(dst, dst, a->n) / (float)a->n + a->eps);
    for (size_t i = 0; i < a->n; i++) {
        dst[i] = a->w[i] * (dst[i] * scale);
        if (a->bias) dst[i] += a->bias[i];
    }
}

static void rms_norm(float *dst, const float *x, const float *w, size_t n, float eps)
{
    float scale = 1.0f / sqrtf(kw_dot_exact(x, x, n) / (float)n + eps);
    for (size_t i = 0; i < n; i++) dst[i] = w[i] * (x[i] * scale);
}

static void rope(const kw_rope_row *r)
{
    int step = r->interleaved ? 1 : r->half, pair = r->interleaved ? 2 : 1;
    const float *c = r->cos, *s = r->sin;
    for (int h = 0; h < r->n_heads; h++) {
        const float *x = r->x + (size_t)h * (size_t)r->head_dim;
        float *out = r->dst + (size_t)h * (size_t)r->head_dim;
        for (int j = 0; j < r->half; j++) {
            float x0 = x[pair * j], x1 = x[pair * j + step];
            out[j] = x0 * c[j] - x1 * s[j];
            out[j + r->half] = x1 * c[j] + x0 * s[j];
        }
        for (int j = 2 * r->half; j < r->head_dim; j++) out[j] = x[j];
    }
}

static void dots_exact(const kw_dots *d)
{
    for (size_t i = 0; i < d->n_x; i++)
        for (size_t j = 0; j < d->n_w; j++)
            d->dst[i * d->dst_stride + j] =
                kw_dot_exact(d->w + j * d->w_stride, d->x + i * d->x_stride, d->k);
}

static void pack(const kw_pack *p)
{
    for (size_t k = 0; k < p->k; k++)
        for (size_t j = 0; j < p->panel; j++)
            p->packed[k * p->panel + j] = j < p->n_rows ? p->rows[j * p->row_stride + k] : 0;
}

static void gemm(const kw_gemm *g)
{
    for (size_t i = 0; i < g->n_x; i++)
        for (size_t j = 0; j < g->n_w; j++) {
            float sum = g->add ? g->dst[i * g->dst_stride + j] : 0;
            for (size_t k = 0; k < g->k; k++)
                sum += g->packed[k * g->panel + j] * g->x[i * g->x_stride + k];
            g->dst[i * g->dst_stride + j] = sum;
        }
}

static void attend_head(const kw_attend_block *b, int h)
{
    size_t hd = (size_t)b->head_dim;
    float *acc = b->acc + (size_t)h * hd;
    float w[KW_ATTEND_BLOCK], max = b->max[h], s[8] = { 0 };
    for (int t = b->from; t < b->n; t++) {
        w[t] = kw_dot_exact(b->q + (size_t)h * b->q_stride, b->k + (size_t)t * hd, hd);
        if (b->bias) w[t] += b->bias[h * KW_ATTEND_BLOCK + t];
        w[t] *= b->scale;
        if (b->softcap != 0) w[t] = softcap_of(w[t], b->softcap);
        max = w[t] > max ? w[t] : max;
    }
    float keep = kw_expf(b->max[h] - max);
    for (int t = b->from; t < b->n; t++) {
        w[t] = kw_expf(w[t] - max);
        s[t & 7] += w[t];
    }
    b->max[h] = max;
    b->sum[h] = b->sum[h] * keep + kw_sum8(s);
    for (size_t j = 0; j < hd; j++) acc[j] *= keep;
    for (int t = b->from; t < b->n; t++)
        for (size_t j = 0; j < hd; j++) acc[j] += w[t] * b->v[(size_t)t * hd + j];
}

static void attend(const kw_attend_block *b)
{
    for (int h = 0; h < b->heads; h++) attend_head(b, h);
}

static int8_t code(float x)
{
    long c = lrintf(x);
    return (int8_t)(c > 127 ? 127 : c < -127 ? -127 : c);
}

/* codes: q[32], then r[32]; a value is d * (256 * q + r). */
static void encode_block(const float *x, int8_t *codes, float *d, float *eighth)
{
    float max = 0;
    long sum = 0;
    for (int i = 0; i < KW_Q8_BLOCK; i++) max = fabsf(x[i]) > max ? fabsf(x[i]) : max;
    *d = max / (127.0f * 256.0f);
    float inverse = max > 0 ? 127.0f / max : 0;
    for (int i = 0; i < KW_Q8_BLOCK; i++) {
        float y = x[i] * inverse, rest = (y - (float)lrintf(y)) * 256.0f;
        codes[i] = code(y);
        codes[KW_Q8_BLOCK + i] = code(rest);
        sum += 256 * lrintf(y) + lrintf(rest);
    }
    *eighth = *d * (float)sum * 0.125f;
}

static void encode_q8(const float *x, void *row, size_t k)
{
    int8_t *codes = row;
    float *d = (float *)(void *)((unsigned char *)row + 2 * k), *eighth = d + k / KW_Q8_BLOCK;
    for (size_t b = 0; b < k / KW_Q8_BLOCK; b++)
        encode_block(x + b * KW_Q8_BLOCK, codes + 2 * b * KW_Q8_BLOCK, d + b, eighth + b);
}

const kw_kernels kw_kernels_generic = {
    .name = "generic",
    .add = add,
    .mul = mul,
    .silu = silu,
    .swiglu = swiglu,
    .gelu_tanh = gelu_tanh,
    .geglu = geglu,
    .softcap = softcap,
    .rms_norm = rms_norm,
    .gelu = gelu,
    .gelu_fast = gelu,
    .layer_norm = layer_norm,
    .rope = rope,
    .dots_exact = dots_exact,
    .panel = 16,
    .pack = pack,
    .gemm = gemm,
    .attend = attend,
    .encode_q8 = encode_q8,
};
