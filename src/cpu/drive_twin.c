/* drive_twin.c - where the rows come from that LINEAR reads in integers (its twin of x).
 *
 * A norm, a gate or attention of few rows whose result only LINEARs read is computed here, row by row, and never lies in memory as
 * floats: one step and one barrier instead of two (program.c decides). */
#include "cpu/internal.h"

unsigned char *kw_twin(const kw_run *r)
{
    return (unsigned char *)r->b->scratch->host + r->step->twin;
}

/* LINEAR's own x, or the result of the op that is computed here. */
static kw_val value_of(const kw_op *op) { return op->code == KW_OP_LINEAR ? op->src[0] : op->dst; }

size_t kw_twin_cols(const kw_run *r) { return (size_t)kw_cols(r, value_of(r->step->op)); }

int64_t kw_twin_rows(const kw_run *r) { return kw_live_rows(r, value_of(r->step->op)); }

bool kw_twin_splits(const kw_run *r)
{
    kw_opcode code = r->step->op->code;
    bool is_norm = code == KW_OP_RMS_NORM || code == KW_OP_LAYER_NORM;
    return code == KW_OP_LINEAR || (kw_twin_makes(code) && !is_norm);
}

bool kw_twin_makes(kw_opcode code)
{
    switch (code) {
    case KW_OP_RMS_NORM:
    case KW_OP_LAYER_NORM:
    case KW_OP_SWIGLU:
    case KW_OP_GEGLU:
    case KW_OP_GELU:
    case KW_OP_GELU_TANH: return true;
    default: return false;
    }
}

/* Columns at..at+n, counted from the beginning of x, of what the op makes of it; a norm's are whole rows. */
static void make(const kw_run *r, size_t at, size_t n, float *out)
{
    const kw_op *op = r->step->op;
    const kw_kernels *k = &r->g->kernels;
    const float *a = (const float *)kw_place(r, op->src[0]) + at, *b = kw_place(r, op->src[1]);
    size_t d = (size_t)kw_cols(r, op->src[1]);
    kw_layer_norm_args norm = { b, kw_place(r, op->src[2]), n, op->p.eps };
    switch (op->code) {
    case KW_OP_RMS_NORM:
        for (size_t i = 0; i < n; i += d) k->rms_norm(out + i, a + i, b, d, op->p.eps);
        return;
    case KW_OP_LAYER_NORM: k->layer_norm(out, a, &norm); return;
    case KW_OP_GEGLU: k->geglu(out, a, b + at, n); return;
    case KW_OP_GELU: k->gelu_fast(out, a, n); return;
    case KW_OP_GELU_TANH: k->gelu_tanh(out, a, n); return;
    default: k->swiglu(out, a, b + at, n); return;
    }
}

const float *kw_twin_source(const kw_run *r, int64_t row, size_t from, size_t n)
{
    const kw_op *op = r->step->op;
    float *out = kw_worker_memory(r);
    size_t at = (size_t)row * kw_twin_cols(r) + from;
    if (op->code == KW_OP_ATTEND) {
        kw_tiles_join_row(r, row, out);
        return out;
    }
    if (op->code == KW_OP_LINEAR) return (const float *)kw_place(r, op->src[0]) + at;
    make(r, at, n, out);
    return out;
}
