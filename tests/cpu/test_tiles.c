/* test_tiles.c - attention over a tiled cache against softmax in double: every dtype of the cache, queries alone and in
 * company, positions masked at both ends, blocks that a query does not see at all. */
#include "base/base.h"
#include "cpu/kernels.h"
#include "test.h"
#include <math.h>

enum { BLOCK = KW_ATTEND_BLOCK, BLOCKS = 3, MOST_Q = 20, MOST_HD = 80 };

/* Two blocks of one head's cache: as numbers in tiles, and what they mean. */
typedef struct cache {
    kw_dtype dtype;
    int hd;
    _Alignas(64) unsigned char k[BLOCKS][BLOCK * MOST_HD * 4], v[BLOCKS][BLOCK * MOST_HD * 4];
    float k_scale[BLOCKS][BLOCK], v_scale[BLOCKS][BLOCK];
    double k_means[BLOCKS * BLOCK][MOST_HD], v_means[BLOCKS * BLOCK][MOST_HD];
} cache;

static double put(kw_dtype t, unsigned char *at, size_t number, float x, float scale)
{
    const kw_dtype_info *info = kw_dtype_get(t);
    float back;
    if (t == KW_I8) {
        int8_t code = (int8_t)lrintf(x * 100);
        at[number] = (unsigned char)code;
        return (double)code * (double)scale;
    }
    info->encode(&x, at + number * info->bytes, 1);
    info->decode(at + number * info->bytes, &back, 1);
    return (double)back;
}

static float random_of(kw_rng *rng) { return (float)(kw_rng_f64(rng) * 2 - 1); }

static cache *make(kw_dtype t, int hd)
{
    static cache c;
    kw_rng rng;
    kw_rng_seed(&rng, (uint64_t)t * 100 + (uint64_t)hd);
    c.dtype = t, c.hd = hd;
    for (int p = 0; p < BLOCKS * BLOCK; p++) {
        int b = p / BLOCK, at = p % BLOCK;
        c.k_scale[b][at] = 0.01f + 0.01f * fabsf(random_of(&rng));
        c.v_scale[b][at] = 0.01f + 0.01f * fabsf(random_of(&rng));
        for (int d = 0; d < hd; d++) {
            size_t in_k = (size_t)((at / 16 * hd + d) * 16 + at % 16);
            size_t in_v = (size_t)((d / 16 * BLOCK + at) * 16 + d % 16);
            c.k_means[p][d] = put(t, c.k[b], in_k, random_of(&rng), c.k_scale[b][at]);
            c.v_means[p][d] = put(t, c.v[b], in_v, random_of(&rng), c.v_scale[b][at]);
        }
    }
    return &c;
}

/* Queries of a test and what each sees: positions from .. to-1 of the whole cache. */
typedef struct queries {
    float q[MOST_Q * MOST_HD];
    int from[MOST_Q], to[MOST_Q], n;
    float softcap;
    int heads, head; /* heads 0: no bias; query i is one of head + i mod heads */
} queries;

static float bias_of(int head, int position) { return 0.03f * (float)((head + 1) * position) - 4; }

static void ask(queries *s, int n, int hd, bool far)
{
    kw_rng rng;
    kw_rng_seed(&rng, (uint64_t)(n * 7 + hd));
    s->n = n;
    s->softcap = n % 3 == 0 ? 0.5f : 0;
    s->heads = s->head = 0;
    for (int i = 0; i < n * hd; i++) s->q[i] = random_of(&rng);
    for (int i = 0; i < n; i++) {
        s->to[i] = 1 + (int)(kw_rng_u64(&rng) % (BLOCKS * BLOCK));
        s->from[i] = far ? (int)(kw_rng_u64(&rng) % (uint64_t)s->to[i]) : 0;
    }
}

static int clamp(int x) { return x < 0 ? 0 : x > BLOCK ? BLOCK : x; }

/* The kernel of few rows, or the one of many, which wants room for whole tiles. */
typedef struct way {
    const kw_kernels *row;
    bool many;
} way;

enum { MOST_W = MOST_Q + KW_ATTEND_MORE };

static const void *parts_of(const kw_kernels *row, const cache *c, const queries *s)
{
    static _Alignas(64) unsigned char parts[MOST_W * 4 * 96];
    size_t bytes = kw_attend_parts_bytes((size_t)c->hd);
    for (int i = 0; i < s->n; i++)
        row->split_query(s->q + i * c->hd, parts + (size_t)i * bytes, (size_t)c->hd);
    return parts;
}

/* Through the kernel, block after block; out: [n][hd] */
static void run(way by, const cache *c, const queries *s, float *out)
{
    static _Alignas(64) float acc[MOST_Q * MOST_HD], max[MOST_Q], sum[MOST_Q], w[MOST_W * BLOCK];
    static _Alignas(64) unsigned char scratch[64 * 1024];
    int from[MOST_Q], n[MOST_Q], padded = (c->hd + 15) / 16 * 16;
    float bias[MOST_Q * BLOCK];
    memset(acc, 0, sizeof acc);
    for (int i = 0; i < s->n; i++) max[i] = -INFINITY, sum[i] = 0;
    for (int b = 0; b < BLOCKS; b++) {
        for (int i = 0; i < s->n; i++) {
            from[i] = clamp(s->from[i] - b * BLOCK);
            n[i] = clamp(s->to[i] - b * BLOCK);
        }
        for (int h = 0; h < s->heads; h++)
            for (int t = 0; t < BLOCK; t++)
                bias[h * BLOCK + t] = bias_of(s->head + h, b * BLOCK + t);
        void (*kernel)(const kw_attend_tiles *) =
            by.many ? by.row->attend_many : by.row->attend_tiles;
        kernel(&(kw_attend_tiles){ .dtype = c->dtype,
                                   .k = c->k[b],
                                   .v = c->v[b],
                                   .k_scale = c->dtype == KW_I8 ? c->k_scale[b] : NULL,
                                   .v_scale = c->dtype == KW_I8 ? c->v_scale[b] : NULL,
                                   .q = s->q,
                                   .acc = acc,
                                   .max = max,
                                   .sum = sum,
                                   .w = w,
                                   .from = from,
                                   .n = n,
                                   .n_q = s->n,
                                   .head_dim = c->hd,
                                   .softcap = s->softcap,
                                   .parts = by.many ? parts_of(by.row, c, s) : NULL,
                                   .scratch = scratch,
                                   .heads = s->heads,
                                   .bias = s->heads ? bias : NULL });
    }
    for (int i = 0; i < s->n; i++)
        for (int d = 0; d < c->hd; d++) out[i * c->hd + d] = acc[i * padded + d] / sum[i];
}

static double worst_error(const cache *c, const queries *s, const float *got)
{
    static double w[BLOCKS * BLOCK];
    double worst = 0;
    for (int i = 0; i < s->n; i++) {
        double max = -INFINITY, sum = 0;
        for (int p = s->from[i]; p < s->to[i]; p++) {
            w[p] = 0;
            for (int d = 0; d < c->hd; d++) w[p] += (double)s->q[i * c->hd + d] * c->k_means[p][d];
            if (s->heads) w[p] += (double)bias_of(i % s->heads, p);
            if (s->softcap > 0) w[p] = (double)s->softcap * tanh(w[p] / (double)s->softcap);
            max = fmax(max, w[p]);
        }
        for (int p = s->from[i]; p < s->to[i]; p++) sum += w[p] = exp(w[p] - max);
        for (int d = 0; d < c->hd; d++) {
            double want = 0;
            for (int p = s->from[i]; p < s->to[i]; p++) want += w[p] / sum * c->v_means[p][d];
            worst = fmax(worst, fabs(want - (double)got[i * c->hd + d]));
        }
    }
    return worst;
}

/* One query by itself has the bits that it has among others. */
static void check_alone(way by, const cache *c, const queries *s, const float *got)
{
    float alone[MOST_HD];
    for (int i = 0; i < s->n; i++) {
        queries one = { .from = { s->from[i] }, .to = { s->to[i] }, .n = 1, .softcap = s->softcap };
        one.heads = s->heads ? 1 : 0;
        one.head = s->heads ? i % s->heads : 0;
        memcpy(one.q, s->q + i * c->hd, (size_t)c->hd * sizeof *one.q);
        run(by, c, &one, alone);
        assert_memory_equal(alone, got + i * c->hd, (size_t)c->hd * sizeof *alone);
    }
}

static void check_row(way by)
{
    static const kw_dtype dtypes[] = { KW_F32, KW_F16, KW_BF16, KW_I8 };
    static const int widths[] = { 8, 16, 64, 80 };
    static float got[MOST_Q * MOST_HD];
    double worst = 0;
    for (size_t t = 0; t < 4; t++)
        for (size_t h = 0; h < 4; h++)
            for (int n = 1; n <= MOST_Q; n++) {
                queries s;
                const cache *c = make(dtypes[t], widths[h]);
                ask(&s, n, c->hd, n & 1);
                s.heads = n % 2 ? 0 : n / 2;
                run(by, c, &s, got);
                worst = fmax(worst, worst_error(c, &s, got));
                check_alone(by, c, &s, got);
            }
    printf("%s%s: worst error %.2e of values up to 1\n", by.row->name, by.many ? ", many rows" : "",
           worst);
    assert_true(worst < (by.many ? 4e-5 : 1e-5)); /* many: q, w and K in 16 bits, scores up to 10 */
}

TEST(tiled_attention_is_softmax_and_does_not_depend_on_company)
{
    size_t n;
    const kw_kernels *const *rows = kw_kernel_rows(&n);
    for (size_t i = 0; i < n; i++) {
        kw_kernels row;
        if ((rows[i]->needs & kw_cpu_features()) != rows[i]->needs) continue;
        assert_int_equal(kw_kernels_select(kw_cpu_features(), rows[i]->name, &row), KW_OK);
        if (row.attend_tiles) check_row((way){ &row, false });
        if (row.attend_many) check_row((way){ &row, true });
    }
}
