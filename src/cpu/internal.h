/* internal.h - what the files of cpu/ share: a program is a list of steps over a plan's ops.
 *
 * prepare (program.c) turns every op into one or two steps; run (walk.c) lets all workers go through the list, each
 * step cut into chunks that are claimed by an atomic counter. A barrier stands only where a step touches memory that
 * another since the last barrier has touched, so q, k and v run into each other. */
#ifndef KW_CPU_INTERNAL_H
#define KW_CPU_INTERNAL_H

#include "cpu/cpu.h"
#include "cpu/kernels.h"

typedef struct kw_cpu_program kw_cpu_program;
typedef struct kw_step kw_step;

/* What a step's function sees. */
typedef struct kw_run {
    const kw_cpu_program *g;
    const kw_binding *b;
    const kw_step *step;
    int worker;
} kw_run;

/* How an op runs: into how many chunks it falls for this run, and one of them. */
typedef struct kw_op_driver {
    int64_t (*chunks)(const kw_run *r);
    void (*run)(const kw_run *r, int64_t chunk);
    bool helps; /* makes something beside the op's result */
} kw_op_driver;

struct kw_step {
    const kw_op_driver *driver;
    const kw_op *op;
    const kw_op *rope; /* ATTEND's store: rotates k on its way, or NULL */
    size_t twin;       /* offset in scratch: encoded rows of a LINEAR's x; in fast mode */
    bool barrier;      /* wait for all workers before this step */
    kw_counter counter;
};

struct kw_cpu_program {
    kw_program base; /* first */
    kw_device *device;
    const kw_plan *plan;
    kw_kernels kernels;
    bool exact;
    kw_step *steps;
    uint32_t n_steps, cap_steps;
    size_t worker_at, worker_bytes; /* each worker's own memory inside scratch */
    size_t part_at;                 /* attention in parts */
    const kw_binding *binding;      /* of the run in progress */
    uint32_t from, to;              /* the steps of the segment in progress */
};

struct kw_device {
    kw_pool *pool;
    kw_kernels kernels;
};

static inline int64_t kw_least(int64_t a, int64_t b) { return a < b ? a : b; }

/* A value's memory in this run (NULL for KW_NONE), its live rows and its columns. */
void *kw_place(const kw_run *r, kw_val v);
int64_t kw_live_rows(const kw_run *r, kw_val v);
int64_t kw_cols(const kw_run *r, kw_val v);
void *kw_worker_memory(const kw_run *r);

/* The backend's functions that live in program.c and walk.c. */
kw_status kw_cpu_prepare(kw_device *d, const kw_plan *p, bool exact, kw_program **out);
kw_status kw_cpu_submit(kw_program *g, const kw_binding *b);
kw_status kw_cpu_poll(kw_program *g);
void kw_cpu_drop(kw_program *g);

/* How a LINEAR runs. */
typedef struct kw_linear_way {
    const kw_op_driver *multiply;
    const kw_op_driver *encode;    /* NULL: reads x as it is */
    size_t (*row_bytes)(size_t k); /* of an encoded row of x */
    size_t (*worker_bytes)(const kw_cpu_program *g, const kw_op *op);
} kw_linear_way;
const kw_linear_way *kw_linear_way_of(const kw_cpu_program *g, const kw_op *op);
extern const kw_linear_way kw_linear_few, kw_linear_few_plain, kw_linear_wide,
    kw_linear_wide8; /* packed weights */

/* Shared by the ways: the op's weight; adds what the op has of bias and residual to columns from..from+n of the result. */
const kw_tensor *kw_linear_weight(const kw_run *r);
void kw_linear_finish(const kw_run *r, int64_t from, int64_t n);

/* The twin: a step's place for it, and columns from..from+n of a row of what it is made from (drive_twin.c): x, or a norm, a gate
 * or joined attention, computed into the worker's memory. Those that do not split are asked for whole rows. */
unsigned char *kw_twin(const kw_run *r);
const float *kw_twin_source(const kw_run *r, int64_t row, size_t from, size_t n);
size_t kw_twin_cols(const kw_run *r);
int64_t kw_twin_rows(const kw_run *r);
bool kw_twin_splits(const kw_run *r);
bool kw_twin_makes(kw_opcode code); /* beside ATTEND of few rows */

/* Drivers, by op. */
extern const kw_op_driver kw_drive_embed, kw_drive_rms_norm, kw_drive_add, kw_drive_mul,
    kw_drive_silu, kw_drive_swiglu, kw_drive_rope_table, kw_drive_rope, kw_drive_rows,
    kw_drive_store, kw_drive_attend, kw_drive_gelu_tanh, kw_drive_geglu, kw_drive_scale,
    kw_drive_softcap, kw_drive_relu, kw_drive_layer_norm, kw_drive_gelu, kw_drive_columns,
    kw_drive_route, kw_drive_group, kw_drive_mix;

size_t kw_attend_worker_bytes(const kw_op *op);

/* EXPERTS: where the parts of a group value lie; the row of x that a pair of row and slot multiplies; the driver. */
typedef struct kw_groups {
    int32_t *n, *expert, *start, *pair;
} kw_groups;
kw_groups kw_groups_at(const kw_run *r, kw_val v);
const float *kw_experts_source(const kw_run *r, int32_t pair);
const kw_op_driver *kw_experts_driver(const kw_cpu_program *g, const kw_op *op);
size_t kw_experts_worker_bytes(const kw_cpu_program *g, const kw_op *op);
/* drive_packed.c: where a panel lies. */
const unsigned char *kw_panel_at(const kw_tensor *w, size_t panel);
/* Over packed weights (drive_packed_experts.c). */
bool kw_experts_packed(const kw_cpu_program *g, const kw_op *op);
size_t kw_experts_packed_bytes(const kw_cpu_program *g, const kw_op *op);
extern const kw_op_driver kw_drive_packed_experts;

/* What alibi adds to the scores of a kv head's query heads in a block, times `scale`: bias is [heads][KW_ATTEND_BLOCK]. */
void kw_attend_alibi(const kw_attend_args *a, int kv_head, int block, float scale, float *bias);
/* What the distances from one query to a block's keys add to the scores of its heads, times `scale`; bias as above. */
typedef struct kw_attend_query {
    int kv_head;
    int32_t position, block;
} kw_attend_query;
void kw_attend_distances(const kw_run *r, kw_attend_query at, float scale, float *bias);

/* ATTEND_ALL, by rows and by tiles. */
extern const kw_op_driver kw_drive_all, kw_drive_all_tiles;
size_t kw_all_worker_bytes(const kw_op *op);

/* The tiled way of ATTEND in fast mode: store, then attend, or for few rows part and join. */
extern const kw_op_driver kw_drive_tiles_store, kw_drive_tiles_attend, kw_drive_tiles_part,
    kw_drive_tiles_join;
size_t kw_tiles_worker_bytes(const kw_cpu_program *g, const kw_op *op);
void kw_tiles_join_row(const kw_run *r, int64_t row, float *out);
void kw_rotate_row(const kw_run *r, const kw_op *rope, int64_t row, float *out);
size_t kw_tiles_part_bytes(const kw_plan *p, const kw_op *op); /* 0: many rows, nothing to join */

#endif
