/* walk.c - runs a program: all workers walk the same list of steps.
 *
 * One wake for a whole segment, an atomic counter a step, a barrier where prepare put one. A CUT ends a segment: the
 * run stops with KW_PENDING and goes on in poll when the request was answered. */
#include "cpu/internal.h"
#include <math.h>

void *kw_place(const kw_run *r, kw_val v)
{
    const kw_value *x = kw_plan_value(r->g->plan, v);
    unsigned char *scratch = r->b->scratch->host;
    if (v.id == 0) return NULL;
    switch (x->kind) {
    case KW_TEMP: return scratch + x->offset;
    case KW_INPUT: return (void *)(uintptr_t)r->b->inputs[x->slot];
    case KW_OUTPUT: return r->b->outputs[x->slot];
    case KW_WEIGHT: return (void *)(uintptr_t)x->t.data;
    }
    return NULL;
}

int64_t kw_live_rows(const kw_run *r, kw_val v)
{
    const kw_value *x = kw_plan_value(r->g->plan, v);
    return x->dim == KW_DIM_FIXED ? kw_tensor_rows(&x->t) : r->b->live[x->dim];
}

int64_t kw_cols(const kw_run *r, kw_val v)
{
    return kw_tensor_cols(&kw_plan_value(r->g->plan, v)->t);
}

void *kw_worker_memory(const kw_run *r)
{
    unsigned char *scratch = r->b->scratch->host;
    return scratch + r->g->worker_at + (size_t)r->worker * r->g->worker_bytes;
}

static void walk(void *ctx, int worker)
{
    kw_cpu_program *g = ctx;
    for (uint32_t i = g->from; i < g->to; i++) {
        kw_step *s = &g->steps[i];
        kw_run r = { .g = g, .b = g->binding, .step = s, .worker = worker };
        if (s->barrier && i > g->from) kw_pool_barrier(g->device->pool, worker);
        int64_t n = kw_live_rows(&r, s->op->dst) ? s->driver->chunks(&r) : 0;
        for (int64_t c = kw_counter_take(&s->counter, 1); c < n;
             c = kw_counter_take(&s->counter, 1))
            s->driver->run(&r, c);
    }
}

/* ---- debug: one step at a time, every result looked at ---- */

/* The name of the step's weight, or NULL. */
static const char *weight_of(const kw_run *r)
{
    for (int i = 0; i < KW_MAX_SRC; i++) {
        const kw_value *v = kw_plan_value(r->g->plan, r->step->op->src[i]);
        if (v->kind == KW_WEIGHT) return v->name;
    }
    return NULL;
}

static kw_status check_result(const kw_run *r)
{
    const kw_op *op = r->step->op;
    if (r->step->driver->helps) return KW_OK;
    const float *x = kw_place(r, op->dst);
    int64_t cols = kw_cols(r, op->dst), n = kw_live_rows(r, op->dst) * cols;
    int64_t i = 0;
    while (i < n && isfinite(x[i])) i++;
    if (i == n) return KW_OK;
    return kw_fail(KW_EFORMAT, "op %td %s%s%s: row %lld, column %lld is %f", op - r->g->plan->op,
                   kw_op_name(op->code), weight_of(r) ? " of " : "",
                   weight_of(r) ? weight_of(r) : "", (long long)(i / cols), (long long)(i % cols),
                   (double)x[i]);
}

static kw_status walk_checked(kw_cpu_program *g)
{
    uint32_t end = g->to;
    kw_status st = KW_OK;
    for (uint32_t i = g->from; i < end && !st; i++) {
        g->from = i;
        g->to = i + 1;
        kw_pool_run(g->device->pool, walk, g);
        st = check_result(&(kw_run){ .g = g, .b = g->binding, .step = &g->steps[i] });
    }
    return st;
}

static kw_status run_segment(kw_cpu_program *g)
{
    while (g->to < g->n_steps && g->steps[g->to].driver) g->to++;
    kw_status st = KW_OK;
    uint32_t end = g->to;
    if (g->binding->check) st = walk_checked(g);
    else kw_pool_run(g->device->pool, walk, g);
    g->to = end;
    if (st || end == g->n_steps) return st;
    const kw_step *cut = &g->steps[end];
    kw_run r = { .g = g, .b = g->binding, .step = cut };
    g->base.request = (kw_request){
        .tag = cut->op->p.tag,
        .question = kw_place(&r, cut->op->src[0]),
        .answer = kw_place(&r, cut->op->dst),
        .rows = kw_live_rows(&r, cut->op->dst),
        .cols = kw_cols(&r, cut->op->dst),
    };
    return KW_PENDING;
}

kw_status kw_cpu_submit(kw_program *base, const kw_binding *b)
{
    kw_cpu_program *g = (kw_cpu_program *)base;
    if (b->scratch->bytes < base->scratch_bytes)
        return kw_fail(KW_EINVAL, "scratch of %zu bytes, the program needs %zu", b->scratch->bytes,
                       base->scratch_bytes);
    g->binding = b;
    g->from = g->to = 0;
    for (uint32_t i = 0; i < g->n_steps; i++) kw_counter_reset(&g->steps[i].counter);
    kw_status st = run_segment(g);
    return st < 0 ? st : KW_OK;
}

kw_status kw_cpu_poll(kw_program *base)
{
    kw_cpu_program *g = (kw_cpu_program *)base;
    if (g->to == g->n_steps) return KW_OK;
    if (!base->request.answered) return KW_PENDING;
    g->from = ++g->to; /* past the CUT */
    return run_segment(g);
}
