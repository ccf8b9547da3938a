/* drive_all.c - ATTEND_ALL: every row looks at all rows of its sequence, behind it and ahead, and there is no cache.
 *
 * A chunk is one kv head and up to ROWS query rows. Neighbours of one sequence walk its keys together, in blocks counted from
 * the sequence's first row, so that a row's bits depend on its own sequence alone. A block's K and V are laid beside the
 * queries first, as the kernel wants them: as rows for the exact one, as tiles (plan/backend.h) for the fast one. */
#include "cpu/internal.h"
#include <math.h>
#include <string.h>

enum { ROWS = 64, TILE = 16 };

/* Query rows first .. first + n of one sequence, whose keys are rows k_first .. k_first + k_n; at: sequence and position. */
typedef struct walk {
    const kw_run *r;
    const kw_attend_args *a;
    const int32_t *at, *k_at;
    int64_t first, n, k_first, k_n;
    int kv_head, group;
    const float *queries, *keys[2]; /* of the head in work: row 0 of q, of k and v */
    float *results;
    size_t stride, k_stride;    /* of q and results, of k and v */
    float *q, *acc, *max, *sum; /* [n * group][..]: tiles only, padded, states */
    float *w, *bias;            /* [n * group][KW_ATTEND_BLOCK] */
    float *scale;               /* [KW_ATTEND_BLOCK]: tiles only, what scores are multiplied with */
    float *k, *v;               /* the block in work */
    int *from, *to;
} walk;

static size_t padded(const kw_attend_args *a)
{
    return ((size_t)a->head_dim + TILE - 1) / TILE * TILE;
}

size_t kw_all_worker_bytes(const kw_op *op)
{
    const kw_attend_args *a = &op->p.attend;
    size_t queries = (size_t)ROWS * (size_t)(a->n_heads / a->n_kv_heads), width = padded(a);
    return (queries * (2 * width + 4 + 2 * KW_ATTEND_BLOCK) + 2 * KW_ATTEND_BLOCK * width +
            KW_ATTEND_BLOCK) *
           sizeof(float);
}

static walk begin(const kw_run *r, int64_t chunk)
{
    const kw_op *op = r->step->op;
    const kw_attend_args *a = &op->p.attend;
    walk w = { .r = r,
               .a = a,
               .at = kw_place(r, op->src[3]),
               .k_at = kw_place(r, op->src[4]),
               .kv_head = (int)(chunk % a->n_kv_heads),
               .group = a->n_heads / a->n_kv_heads };
    size_t queries = (size_t)ROWS * (size_t)w.group, width = padded(a);
    w.acc = kw_worker_memory(r);
    w.k = w.acc + queries * width;
    w.v = w.k + KW_ATTEND_BLOCK * width;
    w.w = w.v + KW_ATTEND_BLOCK * width;
    w.bias = w.w + queries * KW_ATTEND_BLOCK;
    w.q = w.bias + queries * KW_ATTEND_BLOCK;
    w.max = w.q + queries * width;
    w.sum = w.max + queries;
    w.from = (int *)(void *)(w.sum + queries);
    w.to = w.from + queries;
    w.scale = (float *)(void *)(w.to + queries);
    for (int i = 0; i < KW_ATTEND_BLOCK; i++) w.scale[i] = a->scale;
    int64_t head = (int64_t)w.kv_head * a->head_dim;
    w.queries = (const float *)kw_place(r, op->src[0]) + head * w.group;
    w.results = (float *)kw_place(r, op->dst) + head * w.group;
    for (int i = 0; i < 2; i++) w.keys[i] = (const float *)kw_place(r, op->src[1 + i]) + head;
    w.stride = (size_t)kw_cols(r, op->dst);
    w.k_stride = (size_t)kw_cols(r, op->src[1]);
    return w;
}

/* ---- which rows ---- */

/* How many rows of a chunk that ends at `end` follow row `first` in its sequence, with it. */
static int64_t neighbours(const walk *w, int64_t first, int64_t end)
{
    int64_t i = first + 1;
    while (i < end && w->at[2 * i] == w->at[2 * first]) i++;
    return i - first;
}

/* The first key of a sequence that is not below `sequence`. */
static int64_t key_from(const walk *w, int64_t sequence)
{
    int64_t low = 0, high = kw_live_rows(w->r, w->r->step->op->src[1]);
    while (low < high) {
        int64_t middle = (low + high) / 2;
        if (w->k_at[2 * middle] < sequence) low = middle + 1;
        else high = middle;
    }
    return low;
}

static const float *key(const walk *w, int64_t at, bool is_v)
{
    return w->keys[is_v] + (size_t)(w->k_first + at) * w->k_stride;
}

static float *result(const walk *w, int64_t row)
{
    return w->results + (size_t)(w->first + row) * w->stride;
}

static const float *query(const walk *w, int64_t row)
{
    return w->queries + (size_t)(w->first + row) * w->stride;
}

/* What the n keys from `at` on add to the scores of a row's heads, times `scale`; NULL when there is no table. */
static const float *bias_of(const walk *w, int64_t row, int64_t at, int n, float scale)
{
    kw_val table = w->r->step->op->src[5];
    if (!table.id) return NULL;
    int64_t cols = kw_cols(w->r, table), far = cols / 2;
    const float *from = (const float *)kw_place(w->r, table) + w->kv_head * w->group * cols;
    float *bias = w->bias + row * w->group * KW_ATTEND_BLOCK;
    for (int h = 0; h < w->group; h++, from += cols)
        for (int t = 0; t < n; t++) {
            int64_t ahead =
                (int64_t)w->k_at[2 * (w->k_first + at + t) + 1] - w->at[2 * (w->first + row) + 1];
            ahead = ahead < -far ? -far : kw_least(ahead, far);
            bias[h * KW_ATTEND_BLOCK + t] = from[far + ahead] * scale;
        }
    return bias;
}

/* ---- a block: n keys from `at` on ---- */

static void block_rows(walk *w, int64_t at, int n)
{
    size_t hd = (size_t)w->a->head_dim;
    for (int t = 0; t < n; t++) {
        memcpy(w->k + (size_t)t * hd, key(w, at + t, false), hd * sizeof(float));
        memcpy(w->v + (size_t)t * hd, key(w, at + t, true), hd * sizeof(float));
    }
    for (int64_t row = 0; row < w->n; row++) {
        size_t state = (size_t)row * (size_t)w->group;
        w->r->g->kernels.attend(&(kw_attend_block){
            .q = query(w, row),
            .q_stride = hd,
            .k = w->k,
            .v = w->v,
            .acc = w->acc + state * padded(w->a),
            .max = w->max + state,
            .sum = w->sum + state,
            .heads = w->group,
            .head_dim = w->a->head_dim,
            .n = n,
            .scale = w->a->scale,
            .softcap = w->a->softcap,
            .bias = bias_of(w, row, at, n, 1 / w->a->scale),
        });
    }
}

static void lay_tiles(walk *w, int64_t at, int n)
{
    size_t hd = (size_t)w->a->head_dim, stride = w->k_stride;
    const float *v = key(w, at, true);
    for (int t = 0; t < n; t += TILE)
        w->r->g->kernels.pack(&(kw_pack){ .rows = key(w, at + t, false),
                                          .packed = w->k + (size_t)t * hd,
                                          .row_stride = stride,
                                          .n_rows = (size_t)kw_least(TILE, n - t),
                                          .k = hd,
                                          .panel = TILE });
    for (size_t d = 0; d < hd; d += TILE) {
        size_t some = (size_t)kw_least(TILE, (int64_t)(hd - d));
        float *tile = w->v + d * KW_ATTEND_BLOCK;
        for (int t = 0; t < n; t++, tile += TILE) {
            const float *from = v + (size_t)t * stride + d;
            if (some == TILE) { /* one size that the compiler knows: two moves */
                memcpy(tile, from, TILE * sizeof *tile);
                continue;
            }
            memset(tile, 0, TILE * sizeof *tile);
            memcpy(tile, from, some * sizeof *tile);
        }
    }
}

static void block_tiles(walk *w, int64_t at, int n)
{
    int queries = (int)w->n * w->group;
    bool biased = w->r->step->op->src[5].id;
    lay_tiles(w, at, n);
    for (int64_t row = 0; biased && row < w->n; row++) bias_of(w, row, at, n, 1);
    for (int i = 0; i < queries; i++) w->from[i] = 0, w->to[i] = n;
    w->r->g->kernels.attend_tiles(&(kw_attend_tiles){
        .dtype = KW_F32,
        .k = w->k,
        .v = w->v,
        .k_scale = w->scale,
        .q = w->q,
        .acc = w->acc,
        .max = w->max,
        .sum = w->sum,
        .w = w->w,
        .from = w->from,
        .n = w->to,
        .n_q = queries,
        .head_dim = w->a->head_dim,
        .softcap = w->a->softcap,
        .heads = queries,
        .bias = biased ? w->bias : NULL,
    });
}

/* ---- a run of rows of one sequence ---- */

/* Queries one after the other; the kernel scales their scores. */
static void gather(const walk *w)
{
    size_t n = (size_t)w->group * (size_t)w->a->head_dim;
    for (int64_t row = 0; row < w->n; row++)
        memcpy(w->q + (size_t)row * n, query(w, row), n * sizeof *w->q);
}

static void ask(const float *p, size_t n, size_t further)
{
    for (size_t i = 0; i < n; i += 64 / sizeof *p) kw_ahead(p, (further + i) * sizeof *p);
}

/* Asks for what lies beyond the L2 cache: where the results go, and what this worker's next chunk reads, which is most likely the
 * same rows of another head. */
static void ask_ahead(const walk *w)
{
    size_t hd = (size_t)w->a->head_dim, n = (size_t)w->group * hd;
    size_t next = (size_t)kw_pool_size(w->r->g->device->pool);
    for (int64_t i = 0; i < w->n; i++) ask(result(w, i), n, 0), ask(query(w, i), n, next * n);
    for (int64_t i = 0; i < w->k_n; i++)
        for (int v = 0; v < 2; v++) ask(key(w, i, v), hd, next * hd);
}

/* Without keys a row is zeros. The fast kernel's states are padded, the exact one's are not, and are divided. */
static void leave(const walk *w, bool tiled)
{
    size_t hd = (size_t)w->a->head_dim, stride = tiled ? padded(w->a) : hd;
    for (int64_t row = 0; row < w->n; row++)
        for (int h = 0; h < w->group; h++) {
            size_t state = (size_t)row * (size_t)w->group + (size_t)h;
            float *out = result(w, row) + (size_t)h * hd;
            const float *acc = w->acc + (state - (size_t)h) * padded(w->a) + (size_t)h * stride;
            float sum = w->k_n ? w->sum[state] : 1, inverse = 1 / sum;
            size_t j = 0;
            for (; tiled && j + TILE <= hd; j += TILE) {
                float part[TILE]; /* of a size and a place that the compiler knows: vectors */
                memcpy(part, acc + j, sizeof part);
                for (int i = 0; i < TILE; i++) part[i] *= inverse;
                memcpy(out + j, part, sizeof part);
            }
            for (; j < hd; j++) out[j] = tiled ? acc[j] * inverse : acc[j] / sum;
        }
}

static void attend_run(walk *w, bool tiled)
{
    size_t queries = (size_t)w->n * (size_t)w->group;
    int64_t sequence = w->at[2 * w->first];
    w->k_first = key_from(w, sequence);
    w->k_n = key_from(w, sequence + 1) - w->k_first;
    memset(w->acc, 0, queries * padded(w->a) * sizeof *w->acc);
    for (size_t i = 0; i < queries; i++) w->max[i] = -INFINITY, w->sum[i] = 0;
    if (tiled) ask_ahead(w);
    if (tiled) gather(w);
    for (int64_t at = 0; at < w->k_n; at += KW_ATTEND_BLOCK) {
        int n = (int)kw_least(KW_ATTEND_BLOCK, w->k_n - at);
        if (tiled) block_tiles(w, at, n);
        else block_rows(w, at, n);
    }
    leave(w, tiled);
}

static int64_t chunks(const kw_run *r)
{
    return (kw_live_rows(r, r->step->op->dst) + ROWS - 1) / ROWS * r->step->op->p.attend.n_kv_heads;
}

static void attend(const kw_run *r, int64_t chunk, bool tiled)
{
    walk w = begin(r, chunk);
    int64_t from = chunk / w.a->n_kv_heads * ROWS;
    int64_t end = kw_least(from + ROWS, kw_live_rows(r, r->step->op->dst));
    for (w.first = from; w.first < end; w.first += w.n) {
        w.n = neighbours(&w, w.first, end);
        attend_run(&w, tiled);
    }
}

static void attend_rows(const kw_run *r, int64_t chunk) { attend(r, chunk, false); }

static void attend_tiles(const kw_run *r, int64_t chunk) { attend(r, chunk, true); }

const kw_op_driver kw_drive_all = { .chunks = chunks, .run = attend_rows };
const kw_op_driver kw_drive_all_tiles = { .chunks = chunks, .run = attend_tiles };
