/* builder.c - records ops and says at once which shapes do not fit.
 *
 * Every call checks its sources, appends one typed op and gives back the result's id. The first failure sticks:
 * values stay KW_NONE from there on and kw_plan_seal reports it, so a model file needs no error handling of its
 * own. A complaint names the op that the model's author wrote: "op 12 LINEAR: x [6,64] does not fit w [10,63]". */
#include "plan/internal.h"
#include <string.h>

enum { MAX_ITEMS = 1 << 20 }; /* values or ops: far above any model, far below trouble */

kw_status kw_plan_new(const kw_plan_options *o, kw_plan **out)
{
    kw_plan *p = kw_calloc(1, sizeof *p, KW_PAY_PLAN);
    if (!p) return KW_ENOMEM;
    if (o) p->options = *o;
    p->n_values = 1; /* id 0 is KW_NONE */
    p->value = kw_calloc(64, sizeof *p->value, KW_PAY_PLAN);
    if (!p->value) {
        kw_free(p);
        return KW_ENOMEM;
    }
    p->cap_values = 64;
    *out = p;
    return KW_OK;
}

void kw_plan_free(kw_plan *p)
{
    if (!p) return;
    kw_free(p->value);
    kw_free(p->op);
    kw_free(p);
}

const kw_value *kw_plan_value(const kw_plan *p, kw_val v) { return &p->value[v.id]; }

/* Keeps the reason inside the plan too: other calls may fail and overwrite the thread's message before seal. */
static void stick(kw_plan *p, kw_status st)
{
    if (p->status) return;
    p->status = st;
    const char *why = kw_error_message();
    size_t len = strlen(why);
    if (len >= sizeof p->message) len = sizeof p->message - 1;
    memcpy(p->message, why, len);
    p->message[len] = 0;
}

static bool grow(void **items, uint32_t *cap, uint32_t n, size_t item_bytes)
{
    if (n < *cap) return true;
    uint32_t more = *cap ? *cap * 2 : 64;
    if (more > MAX_ITEMS) {
        kw_fail(KW_ELIMIT, "a plan of more than %d values or ops", MAX_ITEMS);
        return false;
    }
    void *bigger = kw_realloc(*items, more * item_bytes, KW_PAY_PLAN);
    if (!bigger) return false;
    *items = bigger;
    *cap = more;
    return true;
}

static kw_val new_value(kw_plan *p, kw_value v)
{
    if (p->status) return KW_NONE;
    if (!grow((void **)&p->value, &p->cap_values, p->n_values, sizeof *p->value)) {
        stick(p, KW_ENOMEM);
        return KW_NONE;
    }
    v.first = v.last = -1;
    p->value[p->n_values] = v;
    return (kw_val){ p->n_values++ };
}

static kw_tensor matrix(kw_dtype dtype, int64_t rows, int64_t cols)
{
    return (kw_tensor){ .dtype = dtype, .rank = 2, .shape = { rows, cols, 1, 1 } };
}

static int64_t rows_of(const kw_plan *p, kw_val v) { return kw_tensor_rows(&p->value[v.id].t); }

static int64_t cols_of(const kw_plan *p, kw_val v) { return kw_tensor_cols(&p->value[v.id].t); }

kw_val kw_input(kw_plan *p, const char *name, kw_dtype dtype, kw_dim dim, int64_t rows,
                int64_t cols)
{
    kw_value v = { .kind = KW_INPUT,
                   .dim = dim,
                   .t = matrix(dtype, rows, cols),
                   .name = name,
                   .slot = p->n_inputs };
    kw_val out = new_value(p, v);
    if (out.id) p->n_inputs++;
    return out;
}

static bool same_weight(const kw_tensor *a, const kw_tensor *b)
{
    return a->data == b->data && a->dtype == b->dtype && a->packed == b->packed &&
           a->parts == b->parts && a->rank == b->rank &&
           memcmp(a->shape, b->shape, (size_t)a->rank * sizeof *a->shape) == 0;
}

/* A tied head is the same data as the embedding: one value, so that a backend keeps one copy. */
static kw_val known_weight(const kw_plan *p, const kw_tensor *t)
{
    for (uint32_t i = p->n_values; i-- > 1;) {
        const kw_value *v = &p->value[i];
        if (v->kind == KW_WEIGHT && same_weight(&v->t, t)) return (kw_val){ i };
    }
    return KW_NONE;
}

kw_val kw_weight(kw_plan *p, const char *name, const kw_tensor *t)
{
    if (!t || p->status) return KW_NONE;
    kw_val known = known_weight(p, t);
    if (known.id) return known;
    return new_value(p, (kw_value){ .kind = KW_WEIGHT, .t = *t, .name = name });
}

void kw_output(kw_plan *p, kw_val x, const char *name)
{
    if (p->status) return;
    kw_value *v = &p->value[x.id];
    if (x.id == 0 || v->kind != KW_TEMP) {
        stick(p, kw_fail(KW_EINVAL, "output %s: only the result of an op can be an output, once",
                         name));
        return;
    }
    v->kind = KW_OUTPUT;
    v->name = name;
    v->slot = p->n_outputs++;
}

/* Appends the op, stretches its sources' lives up to it and makes its result. */
static kw_val record(kw_plan *p, kw_op op, int64_t rows, int64_t cols, kw_dim dim)
{
    if (p->status) return KW_NONE;
    if (!grow((void **)&p->op, &p->cap_ops, p->n_ops, sizeof *p->op)) {
        stick(p, KW_ENOMEM);
        return KW_NONE;
    }
    int at = (int)p->n_ops;
    op.dst =
        new_value(p, (kw_value){ .kind = KW_TEMP, .dim = dim, .t = matrix(KW_F32, rows, cols) });
    if (op.dst.id == 0) return KW_NONE;
    for (int i = 0; i < KW_MAX_SRC; i++) p->value[op.src[i].id].last = at;
    p->value[op.dst.id].first = p->value[op.dst.id].last = at;
    p->op[p->n_ops++] = op;
    return op.dst;
}

/* The one place a shape complaint is phrased. */
static bool fits(kw_plan *p, kw_opcode code, bool ok, kw_val a, kw_val b)
{
    if (p->status) return false;
    if (a.id && b.id && ok) return true;
    char ta[96], tb[96];
    const kw_value *x = &p->value[a.id], *y = &p->value[b.id];
    stick(p, kw_fail(KW_ESHAPE, "op %u %s: %s%s does not fit %s%s", p->n_ops, kw_op_name(code),
                     x->name ? x->name : "", a.id ? kw_tensor_shape_text(&x->t, ta) : "(nothing)",
                     y->name ? y->name : "", b.id ? kw_tensor_shape_text(&y->t, tb) : "(nothing)"));
    return false;
}

static kw_dim dim_of(const kw_plan *p, kw_val v) { return p->value[v.id].dim; }

static bool same_shape(const kw_plan *p, kw_val a, kw_val b)
{
    return rows_of(p, a) == rows_of(p, b) && cols_of(p, a) == cols_of(p, b) &&
           dim_of(p, a) == dim_of(p, b);
}

kw_val kw_embed(kw_plan *p, kw_val ids, kw_val table)
{
    if (!fits(p, KW_OP_EMBED, cols_of(p, ids) <= 2, ids, table)) return KW_NONE;
    kw_op op = { .code = KW_OP_EMBED, .src = { ids, table } };
    return record(p, op, rows_of(p, ids), cols_of(p, table), dim_of(p, ids));
}

/* What is to be seen goes through a CUT. */
static kw_val watched(kw_plan *p, kw_val x, uint32_t tag)
{
    return p->options.watch && x.id ? kw_cut(p, x, (int)tag) : x;
}

kw_val kw_linear(kw_plan *p, kw_val x, kw_val w, kw_val bias)
{
    return kw_linear_onto(p, x, w, bias, KW_NONE);
}

kw_val kw_linear_onto(kw_plan *p, kw_val x, kw_val w, kw_val bias, kw_val onto)
{
    if (!fits(p, KW_OP_LINEAR, cols_of(p, x) == cols_of(p, w), x, w)) return KW_NONE;
    if (bias.id && !fits(p, KW_OP_LINEAR, cols_of(p, bias) == rows_of(p, w), w, bias))
        return KW_NONE;
    bool lies = rows_of(p, onto) == rows_of(p, x) && cols_of(p, onto) == rows_of(p, w) &&
                dim_of(p, onto) == dim_of(p, x);
    if (onto.id && !fits(p, KW_OP_LINEAR, lies, w, onto)) return KW_NONE;
    x = watched(p, x, w.id);
    kw_op op = { .code = KW_OP_LINEAR, .src = { x, w, bias, onto } };
    return record(p, op, rows_of(p, x), rows_of(p, w), dim_of(p, x));
}

kw_val kw_rms_norm(kw_plan *p, kw_val x, kw_val w, float eps)
{
    if (!fits(p, KW_OP_RMS_NORM, cols_of(p, x) == cols_of(p, w), x, w)) return KW_NONE;
    return kw_head_norm(p, x, w, eps);
}

kw_val kw_head_norm(kw_plan *p, kw_val x, kw_val w, float eps)
{
    bool ok = cols_of(p, w) > 0 && cols_of(p, x) % cols_of(p, w) == 0 && rows_of(p, w) == 1;
    if (!fits(p, KW_OP_RMS_NORM, ok, x, w)) return KW_NONE;
    kw_op op = { .code = KW_OP_RMS_NORM, .src = { x, w }, .p.eps = eps };
    return record(p, op, rows_of(p, x), cols_of(p, x), dim_of(p, x));
}

kw_val kw_layer_norm(kw_plan *p, kw_val x, kw_val w, kw_val bias, float eps)
{
    bool ok = cols_of(p, x) == cols_of(p, w) && rows_of(p, w) == 1;
    if (!fits(p, KW_OP_LAYER_NORM, ok, x, w)) return KW_NONE;
    if (bias.id && !fits(p, KW_OP_LAYER_NORM, same_shape(p, w, bias), w, bias)) return KW_NONE;
    kw_op op = { .code = KW_OP_LAYER_NORM, .src = { x, w, bias }, .p.eps = eps };
    return record(p, op, rows_of(p, x), cols_of(p, x), dim_of(p, x));
}

static kw_val binary(kw_plan *p, kw_opcode code, kw_val a, kw_val b)
{
    if (!fits(p, code, same_shape(p, a, b), a, b)) return KW_NONE;
    return record(p, (kw_op){ .code = code, .src = { a, b } }, rows_of(p, a), cols_of(p, a),
                  dim_of(p, a));
}

kw_val kw_add(kw_plan *p, kw_val a, kw_val b) { return binary(p, KW_OP_ADD, a, b); }

kw_val kw_mul(kw_plan *p, kw_val a, kw_val b) { return binary(p, KW_OP_MUL, a, b); }

static kw_val unary(kw_plan *p, kw_opcode code, kw_val x, float scale)
{
    if (!fits(p, code, true, x, x)) return KW_NONE;
    return record(p, (kw_op){ .code = code, .src = { x }, .p.scale = scale }, rows_of(p, x),
                  cols_of(p, x), dim_of(p, x));
}

kw_val kw_silu(kw_plan *p, kw_val x) { return unary(p, KW_OP_SILU, x, 0); }

kw_val kw_gelu(kw_plan *p, kw_val x) { return unary(p, KW_OP_GELU, x, 0); }

kw_val kw_relu(kw_plan *p, kw_val x) { return unary(p, KW_OP_RELU, x, 0); }

kw_val kw_gelu_tanh(kw_plan *p, kw_val x) { return unary(p, KW_OP_GELU_TANH, x, 0); }

kw_val kw_scale(kw_plan *p, kw_val x, float by) { return unary(p, KW_OP_SCALE, x, by); }

kw_val kw_softcap(kw_plan *p, kw_val x, float cap) { return unary(p, KW_OP_SOFTCAP, x, cap); }

kw_val kw_swiglu(kw_plan *p, kw_val gate, kw_val up)
{
    if (!fits(p, KW_OP_SWIGLU, same_shape(p, gate, up), gate, up)) return KW_NONE;
    if (!kw_plan_has(p, KW_OP_SWIGLU)) return kw_expand_swiglu(p, gate, up);
    return binary(p, KW_OP_SWIGLU, gate, up);
}

kw_val kw_geglu(kw_plan *p, kw_val gate, kw_val up)
{
    if (!fits(p, KW_OP_GEGLU, same_shape(p, gate, up), gate, up)) return KW_NONE;
    if (!kw_plan_has(p, KW_OP_GEGLU)) return kw_expand_geglu(p, gate, up);
    return binary(p, KW_OP_GEGLU, gate, up);
}

kw_val kw_rope_table(kw_plan *p, kw_val rows, kw_val freq, float scale)
{
    bool ok = cols_of(p, rows) == 2 && rows_of(p, freq) == 1;
    if (!fits(p, KW_OP_ROPE_TABLE, ok, rows, freq)) return KW_NONE;
    kw_op op = { .code = KW_OP_ROPE_TABLE, .src = { rows, freq }, .p.scale = scale };
    return record(p, op, rows_of(p, rows), 2 * cols_of(p, freq), dim_of(p, rows));
}

kw_val kw_rope(kw_plan *p, kw_val x, kw_val table, kw_rope_args a)
{
    int64_t all = cols_of(p, table) / 2;
    if (a.n == 0) a.n = (int)all;
    bool part = a.first >= 0 && a.n > 0 && a.first + a.n <= all && 2 * a.n <= a.head_dim;
    bool ok = part && a.head_dim > 0 && cols_of(p, x) % a.head_dim == 0 &&
              rows_of(p, x) == rows_of(p, table) && dim_of(p, x) == dim_of(p, table);
    if (!fits(p, KW_OP_ROPE, ok, x, table)) return KW_NONE;
    kw_op op = { .code = KW_OP_ROPE, .src = { x, table }, .p.rope = a };
    return record(p, op, rows_of(p, x), cols_of(p, x), dim_of(p, x));
}

/* Heads, and the places of x's rows. */
static bool fits_heads(kw_plan *p, kw_op op)
{
    kw_attend_args a = op.p.attend;
    kw_val q = op.src[0], k = op.src[1], v = op.src[2], bias = a.bias;
    int64_t kv_dim = (int64_t)a.n_kv_heads * a.head_dim;
    bool heads = a.n_kv_heads > 0 && a.n_heads % a.n_kv_heads == 0;
    if (!fits(p, op.code, heads && cols_of(p, q) == (int64_t)a.n_heads * a.head_dim, q, k))
        return false;
    if (!fits(p, op.code, same_shape(p, k, v) && cols_of(p, k) == kv_dim, k, v)) return false;
    return !bias.id || fits(p, op.code, rows_of(p, bias) == a.n_heads, q, bias);
}

static bool fits_rows(kw_plan *p, kw_opcode code, kw_val x, kw_val rows)
{
    bool ok = rows_of(p, x) == rows_of(p, rows) && dim_of(p, x) == dim_of(p, rows) &&
              cols_of(p, rows) == 2;
    return fits(p, code, ok, x, rows);
}

kw_val kw_attend(kw_plan *p, kw_val q, kw_val k, kw_val v, kw_val rows, kw_attend_args a)
{
    kw_op op = { .code = KW_OP_ATTEND, .src = { q, k, v, rows, a.bias }, .p.attend = a };
    if (!fits_heads(p, op) || !fits_rows(p, op.code, q, rows)) return KW_NONE;
    return record(p, op, rows_of(p, q), cols_of(p, q), dim_of(p, q));
}

kw_val kw_attend_all(kw_plan *p, kw_val q, kw_val k, kw_val v, kw_val rows, kw_attend_args a)
{
    kw_val k_rows = a.k_rows.id ? a.k_rows : rows;
    kw_op op = { .code = KW_OP_ATTEND_ALL,
                 .src = { q, k, v, rows, k_rows, a.bias },
                 .p.attend = a };
    if (!fits_heads(p, op) || !fits_rows(p, op.code, q, rows) || !fits_rows(p, op.code, k, k_rows))
        return KW_NONE;
    if (a.bias.id && !fits(p, op.code, cols_of(p, a.bias) % 2 == 1, q, a.bias)) return KW_NONE;
    return record(p, op, rows_of(p, q), cols_of(p, q), dim_of(p, q));
}

kw_val kw_rows(kw_plan *p, kw_val x, kw_val index)
{
    if (!fits(p, KW_OP_ROWS, cols_of(p, index) == 1, x, index)) return KW_NONE;
    kw_op op = { .code = KW_OP_ROWS, .src = { x, index } };
    return record(p, op, rows_of(p, index), cols_of(p, x), dim_of(p, index));
}

kw_val kw_columns(kw_plan *p, kw_val x, kw_columns_args a)
{
    bool ok = a.first >= 0 && a.width > 0 && a.count > 0 && a.stride >= a.width &&
              a.first + a.width + (int64_t)a.stride * (a.count - 1) <= cols_of(p, x);
    if (!fits(p, KW_OP_COLUMNS, ok, x, x)) return KW_NONE;
    kw_op op = { .code = KW_OP_COLUMNS, .src = { x }, .p.columns = a };
    return record(p, op, rows_of(p, x), (int64_t)a.width * a.count, dim_of(p, x));
}

/* ---- mixtures of experts ---- */

kw_val kw_route(kw_plan *p, kw_val scores, kw_route_args a)
{
    bool ok = a.n_used >= 1 && a.n_used <= a.n_experts && cols_of(p, scores) == a.n_experts;
    if (!fits(p, KW_OP_ROUTE, ok, scores, scores)) return KW_NONE;
    kw_op op = { .code = KW_OP_ROUTE, .src = { scores }, .p.route = a };
    return record(p, op, rows_of(p, scores), 2 * (int64_t)a.n_used, dim_of(p, scores));
}

kw_val kw_group(kw_plan *p, kw_val route, kw_route_args a)
{
    if (!fits(p, KW_OP_GROUP, cols_of(p, route) == 2 * (int64_t)a.n_used, route, route))
        return KW_NONE;
    route = watched(p, route, 0);
    kw_op op = { .code = KW_OP_GROUP, .src = { route }, .p.route = a };
    int64_t cells = 2 + 2 * (int64_t)a.n_experts + rows_of(p, route) * a.n_used;
    kw_val out = record(p, op, 1, cells, KW_DIM_FIXED);
    if (out.id) p->value[out.id].t.dtype = KW_I32;
    return out;
}

kw_val kw_experts(kw_plan *p, kw_val x, kw_val w, kw_val groups, kw_route_args a)
{
    const kw_tensor *t = &p->value[w.id].t;
    bool ok = t->rank == 3 && t->shape[0] == a.n_experts &&
              (cols_of(p, x) == t->shape[2] || cols_of(p, x) == t->shape[2] * a.n_used);
    if (!fits(p, KW_OP_EXPERTS, ok, x, w)) return KW_NONE;
    int64_t cells = 2 + 2 * (int64_t)a.n_experts + rows_of(p, x) * a.n_used;
    if (!fits(p, KW_OP_EXPERTS, cols_of(p, groups) == cells, x, groups)) return KW_NONE;
    x = watched(p, x, w.id);
    kw_op op = { .code = KW_OP_EXPERTS, .src = { x, w, groups }, .p.route = a };
    return record(p, op, rows_of(p, x), t->shape[1] * a.n_used, dim_of(p, x));
}

kw_val kw_mix(kw_plan *p, kw_val x, kw_val route)
{
    int64_t used = cols_of(p, route) / 2;
    bool ok = used > 0 && cols_of(p, x) % used == 0 && rows_of(p, x) == rows_of(p, route);
    if (!fits(p, KW_OP_MIX, ok, x, route)) return KW_NONE;
    kw_op op = { .code = KW_OP_MIX, .src = { x, route } };
    return record(p, op, rows_of(p, x), cols_of(p, x) / used, dim_of(p, x));
}

kw_val kw_cut(kw_plan *p, kw_val x, int tag)
{
    if (!fits(p, KW_OP_CUT, true, x, x)) return KW_NONE;
    kw_op op = { .code = KW_OP_CUT, .src = { x }, .p.tag = tag };
    return record(p, op, rows_of(p, x), cols_of(p, x), dim_of(p, x));
}
