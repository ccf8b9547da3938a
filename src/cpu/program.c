/* program.c - turns a sealed plan into steps, and puts barriers where they are needed.
 *
 * Most ops are one step. ATTEND is two (store, attend). In fast mode a LINEAR reads a twin of its x in integers: one
 * encoding step makes it for all LINEARs of the same x. Twins live in two places that take turns. Where only those LINEARs read a
 * norm, a gate or joined attention, its step is the encoding one (drive_twin.c); k is rotated on its way into the cache.
 *
 * A step needs a barrier when it touches memory that a step since the last barrier writes, or writes what one reads.
 * Memory is named by ranges of one address line:
 *
 *     0 ........ scratch_bytes | twins | workers      OUTPUT + slot      CACHE + layer
 */
#include "cpu/internal.h"
#include <string.h>

enum { MAX_RANGES = KW_MAX_SRC + 2, WORKER_ALIGN = 4096 };
static const uint64_t OUTPUT = (uint64_t)1 << 60, CACHE = (uint64_t)1 << 61;

typedef struct range {
    uint64_t from, to;
} range;

typedef struct touch {
    range read[MAX_RANGES];
    int n_read;
    range write;
} touch;

typedef struct preparing {
    kw_cpu_program *g;
    touch *since; /* what the steps since the last barrier touch */
    uint32_t n_since, cap_since;
    size_t twin_at[2], twin_bytes;
    kw_val twin_of[2];
    const kw_op_driver *twin_by[2]; /* the encoding step's driver */
    int turn;
    size_t part_bytes;   /* of attention in parts */
    const kw_op *stored; /* the ATTEND whose k and v are in the cache already */
} preparing;

static const kw_op_driver *const drivers[KW_OP_COUNT] = {
    [KW_OP_EMBED] = &kw_drive_embed,
    [KW_OP_LINEAR] = NULL, /* kw_linear_way_of */
    [KW_OP_RMS_NORM] = &kw_drive_rms_norm,
    [KW_OP_ADD] = &kw_drive_add,
    [KW_OP_MUL] = &kw_drive_mul,
    [KW_OP_SILU] = &kw_drive_silu,
    [KW_OP_SWIGLU] = &kw_drive_swiglu,
    [KW_OP_ROPE_TABLE] = &kw_drive_rope_table,
    [KW_OP_ROPE] = &kw_drive_rope,
    [KW_OP_ATTEND] = &kw_drive_attend,
    [KW_OP_ATTEND_ALL] = &kw_drive_all,
    [KW_OP_ROWS] = &kw_drive_rows,
    [KW_OP_CUT] = NULL,
    [KW_OP_GELU_TANH] = &kw_drive_gelu_tanh,
    [KW_OP_GEGLU] = &kw_drive_geglu,
    [KW_OP_SCALE] = &kw_drive_scale,
    [KW_OP_SOFTCAP] = &kw_drive_softcap,
    [KW_OP_GELU] = &kw_drive_gelu,
    [KW_OP_RELU] = &kw_drive_relu,
    [KW_OP_LAYER_NORM] = &kw_drive_layer_norm,
    [KW_OP_COLUMNS] = &kw_drive_columns,
    [KW_OP_ROUTE] = &kw_drive_route,
    [KW_OP_GROUP] = &kw_drive_group,
    [KW_OP_EXPERTS] = NULL, /* kw_experts_driver */
    [KW_OP_MIX] = &kw_drive_mix,
};

static bool overlap(range a, range b) { return a.from < b.to && b.from < a.to; }

/* Whether attention runs over the tiled cache. */
static bool is_tiled(const kw_cpu_program *g) { return !g->exact && g->kernels.attend_tiles; }

/* Where a value lies; weights and inputs are never written and need no range. */
static range range_of(const kw_plan *p, kw_val v)
{
    const kw_value *x = kw_plan_value(p, v);
    if (v.id == 0 || x->kind == KW_WEIGHT || x->kind == KW_INPUT) return (range){ 0, 0 };
    if (x->kind == KW_OUTPUT) return (range){ OUTPUT + x->slot, OUTPUT + x->slot + 1 };
    return (range){ x->offset, x->offset + x->bytes };
}

static touch touches(const kw_plan *p, const kw_op *op)
{
    touch t = { .write = range_of(p, op->dst) };
    for (int i = 0; i < kw_op_sources(op->code); i++) t.read[t.n_read++] = range_of(p, op->src[i]);
    return t;
}

static bool conflict(const touch *a, const touch *b)
{
    if (overlap(a->write, b->write)) return true;
    for (int i = 0; i < a->n_read; i++)
        if (overlap(a->read[i], b->write)) return true;
    for (int i = 0; i < b->n_read; i++)
        if (overlap(b->read[i], a->write)) return true;
    return false;
}

static bool room(void **items, uint32_t *cap, uint32_t n, size_t bytes)
{
    if (n < *cap) return true;
    uint32_t more = *cap ? *cap * 2 : 128;
    void *bigger = kw_realloc(*items, more * bytes, KW_PAY_PLAN);
    if (!bigger) return false;
    *items = bigger;
    *cap = more;
    return true;
}

static kw_status push(preparing *s, kw_step step, touch t)
{
    kw_cpu_program *g = s->g;
    if (!room((void **)&g->steps, &g->cap_steps, g->n_steps, sizeof *g->steps)) return KW_ENOMEM;
    if (!room((void **)&s->since, &s->cap_since, s->n_since, sizeof *s->since)) return KW_ENOMEM;
    for (uint32_t i = 0; i < s->n_since && !step.barrier; i++)
        step.barrier = conflict(&s->since[i], &t);
    if (step.barrier) s->n_since = 0;
    s->since[s->n_since++] = t;
    memcpy(&g->steps[g->n_steps++], &step, sizeof step);
    return KW_OK;
}

/* Adds the step in which `by` makes the twin of x from what op reads. */
static kw_status add_twin(preparing *s, const kw_op *op, kw_val x, const kw_op_driver *by, touch t)
{
    int which = s->turn;
    s->turn ^= 1;
    s->twin_of[which] = x;
    s->twin_by[which] = by;
    t.write = (range){ s->twin_at[which], s->twin_at[which] + s->twin_bytes };
    return push(s, (kw_step){ .driver = by, .op = op, .twin = s->twin_at[which] }, t);
}

/* The twin of x that `by` makes, among the two; 2: there is none. */
static int find_twin(const preparing *s, kw_val x, const kw_op_driver *by)
{
    int which = 0;
    while (which < 2 && (s->twin_of[which].id != x.id || s->twin_by[which] != by)) which++;
    return which;
}

/* The driver that can make op's result as a twin: its readers are LINEARs of that kind, which follow at once, and nothing else. */
static const kw_op_driver *twin_only(const preparing *s, const kw_op *op)
{
    const kw_plan *p = s->g->plan;
    const kw_value *v = kw_plan_value(p, op->dst);
    const kw_op_driver *by = NULL;
    if (v->kind != KW_TEMP || s->g->exact) return NULL;
    for (const kw_op *next = op + 1; next <= &p->op[v->last]; next++) {
        if (next->code != KW_OP_LINEAR || next->src[0].id != op->dst.id) return NULL;
        const kw_op_driver *its = kw_linear_way_of(s->g, next)->encode;
        if (!its || (by && its != by) || next->src[3].id == op->dst.id) return NULL;
        by = its;
    }
    return by;
}

static kw_status add_linear(preparing *s, const kw_op *op)
{
    touch t = touches(s->g->plan, op);
    const kw_linear_way *way = kw_linear_way_of(s->g, op);
    if (!way->encode) return push(s, (kw_step){ .driver = way->multiply, .op = op }, t);
    int which = find_twin(s, op->src[0], way->encode);
    if (which == 2) {
        touch x = { .read = { range_of(s->g->plan, op->src[0]) }, .n_read = 1 };
        kw_status st = add_twin(s, op, op->src[0], way->encode, x);
        if (st) return st;
        which = find_twin(s, op->src[0], way->encode);
    }
    t.read[t.n_read++] = (range){ s->twin_at[which], s->twin_at[which] + s->twin_bytes };
    return push(s, (kw_step){ .driver = way->multiply, .op = op, .twin = s->twin_at[which] }, t);
}

/* Attending after the store: in one step, or in parts that a second joins. */
static kw_status add_tiles(preparing *s, const kw_op *op, touch t)
{
    size_t part = kw_tiles_part_bytes(s->g->plan, op);
    if (!part) return push(s, (kw_step){ .driver = &kw_drive_tiles_attend, .op = op }, t);
    range parts = { s->g->part_at, s->g->part_at + part };
    touch join = { .read = { parts }, .n_read = 1, .write = t.write };
    t.write = parts;
    kw_status st = push(s, (kw_step){ .driver = &kw_drive_tiles_part, .op = op }, t);
    if (st) return st;
    const kw_op_driver *by = twin_only(s, op);
    if (by) return add_twin(s, op, op->dst, by, join);
    return push(s, (kw_step){ .driver = &kw_drive_tiles_join, .op = op }, join);
}

static range cache_of(const kw_op *op)
{
    uint64_t layer = (uint64_t)op->p.attend.layer;
    return (range){ CACHE + layer, CACHE + layer + 1 };
}

/* k and v of an ATTEND go to the cache; with `rope`, k is rotated on the way. */
static kw_status add_store(preparing *s, const kw_op *op, const kw_op *rope)
{
    const kw_plan *p = s->g->plan;
    touch t = { .n_read = 2, .write = cache_of(op) };
    t.read[0] = range_of(p, rope ? rope->src[0] : op->src[1]);
    t.read[1] = range_of(p, op->src[2]);
    if (rope) t.read[t.n_read++] = range_of(p, rope->src[1]);
    const kw_op_driver *by = is_tiled(s->g) ? &kw_drive_tiles_store : &kw_drive_store;
    s->stored = op;
    return push(s, (kw_step){ .driver = by, .op = op, .rope = rope }, t);
}

/* The ATTEND that alone reads this ROPE's result, as its k, when its v is there by now; or NULL. */
static const kw_op *stores(const preparing *s, const kw_op *rope)
{
    const kw_plan *p = s->g->plan;
    const kw_value *k = kw_plan_value(p, rope->dst);
    const kw_op *end = &p->op[k->last];
    if (!is_tiled(s->g) || k->kind != KW_TEMP || end->code != KW_OP_ATTEND) return NULL;
    if (end->src[1].id != rope->dst.id || end->src[0].id == rope->dst.id ||
        end->src[2].id == rope->dst.id || kw_plan_value(p, end->src[2])->first > rope - p->op)
        return NULL;
    for (const kw_op *op = rope + 1; op < end; op++)
        for (int i = 0; i < KW_MAX_SRC; i++)
            if (op->src[i].id == rope->dst.id || op->code == KW_OP_CUT) return NULL;
    return end;
}

static kw_status add_attend(preparing *s, const kw_op *op)
{
    kw_status st = s->stored == op ? KW_OK : add_store(s, op, NULL);
    if (st) return st;
    touch t = touches(s->g->plan, op);
    t.read[t.n_read++] = cache_of(op);
    if (is_tiled(s->g)) return add_tiles(s, op, t);
    return push(s, (kw_step){ .driver = &kw_drive_attend, .op = op }, t);
}

static kw_status add_op(preparing *s, const kw_op *op)
{
    if (op->code == KW_OP_LINEAR) return add_linear(s, op);
    if (op->code == KW_OP_ATTEND) return add_attend(s, op);
    if (op->code == KW_OP_ROPE && stores(s, op)) return add_store(s, stores(s, op), op);
    const kw_op_driver *by = kw_twin_makes(op->code) ? twin_only(s, op) : NULL;
    if (by) return add_twin(s, op, op->dst, by, touches(s->g->plan, op));
    by = op->code == KW_OP_EXPERTS ? kw_experts_driver(s->g, op) : drivers[op->code];
    kw_step step = { .driver = by, .op = op, .barrier = op->code == KW_OP_CUT };
    if (op->code == KW_OP_ATTEND_ALL && is_tiled(s->g)) step.driver = &kw_drive_all_tiles;
    return push(s, step, touches(s->g->plan, op));
}

static size_t worker_bytes(const kw_cpu_program *g, const kw_op *op)
{
    if (op->code == KW_OP_LINEAR) return kw_linear_way_of(g, op)->worker_bytes(g, op);
    if (kw_twin_makes(op->code))
        return (size_t)kw_tensor_cols(&kw_plan_value(g->plan, op->dst)->t) * sizeof(float);
    if (op->code == KW_OP_EXPERTS) return kw_experts_worker_bytes(g, op);
    if (op->code == KW_OP_EMBED) return kw_cpu_row_room(&kw_plan_value(g->plan, op->src[1])->t);
    if (op->code == KW_OP_ATTEND_ALL) return kw_all_worker_bytes(op);
    if (op->code != KW_OP_ATTEND) return 0;
    return is_tiled(g) ? kw_tiles_worker_bytes(g, op) : kw_attend_worker_bytes(op);
}

/* The working memory behind the plan's temporaries: twins, then one block for every worker. */
static kw_status lay_out(preparing *s)
{
    kw_cpu_program *g = s->g;
    size_t worker = 0;
    for (uint32_t i = 0; i < g->plan->n_ops; i++) {
        const kw_op *op = &g->plan->op[i];
        size_t want = worker_bytes(g, op);
        worker = want > worker ? want : worker;
        size_t part =
            op->code == KW_OP_ATTEND && is_tiled(g) ? kw_tiles_part_bytes(g->plan, op) : 0;
        s->part_bytes = part > s->part_bytes ? part : s->part_bytes;
        if (op->code != KW_OP_LINEAR || !kw_linear_way_of(g, op)->encode) continue;
        const kw_tensor *x = &kw_plan_value(g->plan, op->src[0])->t;
        size_t row = kw_linear_way_of(g, op)->row_bytes((size_t)kw_tensor_cols(x));
        size_t rows =
            ((size_t)kw_tensor_rows(x) + KW_WIDE_BLOCK - 1) & ~(size_t)(KW_WIDE_BLOCK - 1);
        size_t twin = (row * rows + 63) & ~(size_t)63;
        s->twin_bytes = twin > s->twin_bytes ? twin : s->twin_bytes;
    }
    s->twin_at[0] = (g->plan->scratch_bytes + 63) & ~(size_t)63;
    s->twin_at[1] = s->twin_at[0] + s->twin_bytes;
    g->part_at = s->twin_at[1] + s->twin_bytes;
    size_t end = g->part_at + s->part_bytes;
    g->worker_at = (end + WORKER_ALIGN - 1) & ~(size_t)(WORKER_ALIGN - 1);
    g->worker_bytes = (worker + WORKER_ALIGN - 1) & ~(size_t)(WORKER_ALIGN - 1);
    size_t workers;
    if (!kw_mul_size(g->worker_bytes, (size_t)kw_pool_size(g->device->pool), &workers) ||
        !kw_add_size(g->worker_at, workers, &g->base.scratch_bytes))
        return kw_fail(KW_ELIMIT, "working memory of the plan does not fit in memory");
    return KW_OK;
}

kw_status kw_cpu_prepare(kw_device *d, const kw_plan *p, bool exact, kw_program **out)
{
    if (!p->is_sealed) return kw_fail(KW_EINVAL, "a plan must be sealed before it is prepared");
    kw_cpu_program *g = kw_calloc(1, sizeof *g, KW_PAY_PLAN);
    if (!g) return KW_ENOMEM;
    *g = (kw_cpu_program){ .device = d, .plan = p, .kernels = d->kernels, .exact = exact };
    preparing s = { .g = g };
    kw_status st = lay_out(&s);
    for (uint32_t i = 0; i < p->n_ops && !st; i++) st = add_op(&s, &p->op[i]);
    kw_free(s.since);
    if (st) {
        kw_cpu_drop(&g->base);
        return st;
    }
    *out = &g->base;
    return KW_OK;
}

void kw_cpu_drop(kw_program *base)
{
    kw_cpu_program *g = (kw_cpu_program *)base;
    if (!g) return;
    kw_free(g->steps);
    kw_free(g);
}
