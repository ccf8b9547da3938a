/* bench.h - what the op benchmark's files share: a case is one op at one shape, recorded as a plan that repeats it. */
#ifndef KW_BENCH_OPS_H
#define KW_BENCH_OPS_H

#include "cpu/cpu.h"

/* What to record. Widths that an op has no use for are ignored. */
typedef struct shape {
    int64_t rows;    /* of activations: 1 decodes, many prefill */
    int64_t out, in; /* LINEAR and EMBED: weight rows and columns */
    kw_dtype dtype;  /* of weights, for LINEAR and EMBED */
    int64_t at;      /* ATTEND: positions already in the cache */
} shape;

enum { BENCH_MAX_SLOTS = 512 };

/* A plan being recorded, and the memory that its binding will point to. */
typedef struct maker {
    kw_plan *plan;
    kw_device *device;
    bool exact;
    kw_arena memory;
    const void *inputs[BENCH_MAX_SLOTS];
    void *outputs[BENCH_MAX_SLOTS];
    int n_inputs, n_outputs, n_copies;
    kw_kv_layout kv;     /* n_layers 0: no cache */
    double bytes, flops; /* of one copy: what must move and be computed at least */
    char label[64];
    kw_status status; /* the first failure sticks, its message recorded */
} maker;

/* How an op is recorded; n_copies times, so that weights and caches come from memory. */
typedef void (*make_fn)(maker *m, const shape *s);
#define KW_OP(name, n_src, required, doc) void make_##name(maker *m, const shape *s);
#include "plan/ops.def"
#undef KW_OP

/* Numbers of usual size, whatever the dtype: bytes between 0x20 and 0x2f are ordinary halves, floats and codes. */
void bench_fill(void *dst, size_t bytes, uint64_t seed);

#endif
