/* print.c - a plan as text: one line an op, with shapes, places and lifetimes.
 *
 *   15 LINEAR     %32[1,5632] = %31 blk.0.ffn_gate.weight[5632,2048] Q4_0   @0x4000  live 15..17
 *
 * The text of a tiny model is kept beside the tests, so a change to a model file is a readable diff. */
#include "plan/internal.h"

static void put_value(const kw_plan *p, kw_val v, kw_buf *out)
{
    const kw_value *x = &p->value[v.id];
    char shape[96];
    if (v.id == 0) kw_buf_str(out, " -");
    else if (x->kind == KW_WEIGHT)
        kw_buf_printf(out, " %s%s %s", x->name ? x->name : "weight",
                      kw_tensor_shape_text(&x->t, shape), kw_dtype_get(x->t.dtype)->name);
    else if (x->kind == KW_INPUT) kw_buf_printf(out, " %s", x->name);
    else kw_buf_printf(out, " %%%u", v.id);
}

static void put_op(const kw_plan *p, uint32_t i, kw_buf *out)
{
    const kw_op *op = &p->op[i];
    const kw_value *dst = &p->value[op->dst.id];
    char shape[96];
    kw_buf_printf(out, "%4u %-10s %%%u%s =", i, kw_op_name(op->code), op->dst.id,
                  kw_tensor_shape_text(&dst->t, shape));
    for (int s = 0; s < kw_op_sources(op->code); s++) put_value(p, op->src[s], out);
    if (dst->kind == KW_OUTPUT) kw_buf_printf(out, "   output %s\n", dst->name);
    else kw_buf_printf(out, "   @0x%zx  live %d..%d\n", dst->offset, dst->first, dst->last);
}

void kw_plan_print(const kw_plan *p, kw_buf *out)
{
    for (uint32_t i = 0; i < p->n_ops; i++) put_op(p, i, out);
    kw_buf_printf(out, "%u ops, %u values, scratch %zu bytes\n", p->n_ops, p->n_values - 1,
                  p->scratch_bytes);
}
