/* plan.h - the door of plan/: what a model asks for, as a flat list.
 *
 * A plan is to the engine what a prepared statement is to a database: a family's forward pass is recorded once per
 * shape class, shapes are checked there and then, memory is laid out once, and the plan runs many times with other
 * bindings. Program order is execution order; nothing is reordered, merged or rewritten.
 *
 *     kw_plan *p = NULL;
 *     kw_plan_new(&options, &p);
 *     kw_val ids = kw_input(p, "ids", KW_I32, KW_DIM_ROWS, n, 1);
 *     kw_val x = kw_linear(p, kw_embed(p, ids, table), w, KW_NONE);
 *     kw_output(p, x);
 *     kw_status st = kw_plan_seal(p);            the first complaint, if there was one
 *
 * Thread word: a plan is owned while it is recorded and shared after seal. */
#ifndef KW_PLAN_H
#define KW_PLAN_H

#include "base/base.h"
#include "tensor/tensor.h"

/* A value is an id in a struct, so that it cannot be confused with a number. 0 is "no value": an absent bias, the
 * result of an op that failed. */
typedef struct kw_val {
    uint32_t id;
} kw_val;
#define KW_NONE ((kw_val){ 0 })

typedef enum kw_opcode {
#define KW_OP(name, n_src, required, doc) KW_OP_##name,
#include "plan/ops.def"
#undef KW_OP
    KW_OP_COUNT
} kw_opcode;

/* How many rows of a value are alive in one run. A plan is recorded for a class (say 64 rows) and may run with fewer:
 * values of dimension ROWS then have binding.live[KW_DIM_ROWS] rows, those of OUT live[KW_DIM_OUT]; OTHER: rows of another text
 * that is looked at, as an encoder's are by a decoder. */
typedef enum kw_dim { KW_DIM_FIXED, KW_DIM_ROWS, KW_DIM_OUT, KW_DIM_OTHER, KW_DIM_COUNT } kw_dim;

typedef struct kw_rope_args {
    int head_dim;
    bool
        interleaved; /* pairs (2j, 2j+1) come in; pairs (j, j + h) go out in either case, so that both row orders of
                         q and k give the same bits from here on */
    int first, n; /* the frequencies of the table that count here; n 0: all */
} kw_rope_args;

typedef struct kw_attend_args {
    int layer, n_heads, n_kv_heads, head_dim;
    int window; /* a row sees this many positions with its own; 0 sees all */
    float scale;
    float softcap; /* scores become softcap * tanh(score / softcap); 0: they stay */
    float alibi;   /* this times a head's slope and the position is added to q . k before scaling */
    kw_val bias;   /* what a distance adds to the scores of each head (ops.def); KW_NONE: nothing */
    kw_val k_rows; /* ATTEND_ALL: where k and v stand, when they are not of the same rows as q */
} kw_attend_args;

/* The parts of a fused projection: q, k and v of all heads side by side, or of each group of heads. */
typedef struct kw_columns_args {
    int first, width, stride, count;
} kw_columns_args;

/* A layer's mixture: each row goes to n_used of n_experts. */
typedef struct kw_route_args {
    int n_experts, n_used;
    bool
        normalise; /* what the n_used count adds up to 1; else their shares of the softmax over all */
} kw_route_args;

enum { KW_MAX_SRC = 6 };

typedef struct kw_op {
    kw_opcode code;
    kw_val dst, src[KW_MAX_SRC];
    union {
        float eps;   /* RMS_NORM, LAYER_NORM */
        float scale; /* ROPE_TABLE, SCALE; the cap of SOFTCAP */
        kw_rope_args rope;
        kw_attend_args attend;
        kw_columns_args columns;
        kw_route_args route;
        int tag; /* CUT */
    } p;
} kw_op;

typedef enum kw_value_kind { KW_TEMP, KW_WEIGHT, KW_INPUT, KW_OUTPUT } kw_value_kind;

typedef struct kw_value {
    kw_value_kind kind;
    kw_dim dim;
    kw_tensor t;          /* t.data: KW_WEIGHT only */
    const char *name;     /* inputs, weights and outputs; borrowed, may be NULL */
    uint32_t slot;        /* KW_INPUT, KW_OUTPUT: index into the binding */
    size_t bytes, offset; /* KW_TEMP: its place in the scratch memory, after seal */
    int first, last;      /* the ops between which it is alive */
} kw_value;

/* Whether the backend has a kernel for a composite op; NULL: none, everything is expanded. */
typedef struct kw_plan_options {
    bool (*has)(const void *device, kw_opcode code);
    const void *device;
    bool
        watch; /* a CUT before what each LINEAR and EXPERTS multiplies (tag: the weight's id), and at routes (tag 0) */
} kw_plan_options;

typedef struct kw_plan {
    kw_value *value; /* [n_values]; 0 is KW_NONE */
    kw_op *op;       /* [n_ops] */
    uint32_t n_values, n_ops, cap_values, cap_ops;
    uint32_t n_inputs, n_outputs;
    size_t scratch_bytes; /* after seal: the peak of temporaries */
    bool is_sealed;
    kw_status status;  /* the first failure sticks; later calls record nothing */
    char message[512]; /* and its reason */
    kw_plan_options options;
} kw_plan;

kw_status kw_plan_new(const kw_plan_options *o, kw_plan **out);
void kw_plan_free(kw_plan *p); /* NULL is fine */

/* ---- leaves ---- */
kw_val kw_input(kw_plan *p, const char *name, kw_dtype dtype, kw_dim dim, int64_t rows,
                int64_t cols); /* slot: in order */
kw_val kw_weight(kw_plan *p, const char *name,
                 const kw_tensor *t); /* t NULL: KW_NONE. The same data twice: one value */
void kw_output(kw_plan *p, kw_val x,
               const char *name); /* x gets a slot in the binding; slots in order */

/* ---- ops: shapes as in ops.def ---- */
kw_val kw_embed(kw_plan *p, kw_val ids, kw_val table);
kw_val kw_linear(kw_plan *p, kw_val x, kw_val w, kw_val bias);
kw_val kw_linear_onto(
    kw_plan *p, kw_val x, kw_val w, kw_val bias,
    kw_val onto); /* a residual: added as the result is stored; the bits of kw_add */
kw_val kw_rms_norm(kw_plan *p, kw_val x, kw_val w, float eps);
/* RMS_NORM of every head by itself: x's columns are heads of w's width. */
kw_val kw_head_norm(kw_plan *p, kw_val x, kw_val w, float eps);
kw_val kw_add(kw_plan *p, kw_val a, kw_val b);
kw_val kw_mul(kw_plan *p, kw_val a, kw_val b);
kw_val kw_silu(kw_plan *p, kw_val x);
kw_val kw_swiglu(kw_plan *p, kw_val gate, kw_val up);
kw_val kw_gelu_tanh(kw_plan *p, kw_val x);
kw_val kw_geglu(kw_plan *p, kw_val gate, kw_val up);
kw_val kw_scale(kw_plan *p, kw_val x, float by);
kw_val kw_softcap(kw_plan *p, kw_val x, float cap);
kw_val kw_rope_table(kw_plan *p, kw_val rows, kw_val freq, float scale);
kw_val kw_rope(kw_plan *p, kw_val x, kw_val table, kw_rope_args a);
kw_val kw_attend(kw_plan *p, kw_val q, kw_val k, kw_val v, kw_val rows, kw_attend_args a);
/* Every row sees all of its sequence, whose rows of k lie together, sequences in rising order; no cache. */
kw_val kw_attend_all(kw_plan *p, kw_val q, kw_val k, kw_val v, kw_val rows, kw_attend_args a);
kw_val kw_rows(kw_plan *p, kw_val x, kw_val index);
kw_val kw_layer_norm(kw_plan *p, kw_val x, kw_val w, kw_val bias, float eps);
kw_val kw_gelu(kw_plan *p, kw_val x);
kw_val kw_relu(kw_plan *p, kw_val x);
kw_val kw_columns(kw_plan *p, kw_val x, kw_columns_args a);
kw_val kw_route(kw_plan *p, kw_val scores, kw_route_args a);
kw_val kw_group(kw_plan *p, kw_val route, kw_route_args a);
kw_val kw_experts(kw_plan *p, kw_val x, kw_val w, kw_val groups, kw_route_args a);
kw_val kw_mix(kw_plan *p, kw_val x, kw_val route);
kw_val kw_cut(kw_plan *p, kw_val x, int tag);

/* Lifetimes, then places: after this scratch_bytes is known and nothing was allocated for data yet. */
kw_status kw_plan_seal(kw_plan *p);

/* One line an op: " 15 LINEAR  %32[1,5632] = %31 blk.0.ffn_gate.weight[5632,2048] Q4_0   @0x4000  live 15..17" */
void kw_plan_print(const kw_plan *p, kw_buf *out);

const char *kw_op_name(kw_opcode code);
int kw_op_sources(kw_opcode code);
bool kw_op_required(kw_opcode code);
const kw_value *kw_plan_value(const kw_plan *p, kw_val v); /* of KW_NONE: an empty value */

#include "plan/backend.h"

#endif
