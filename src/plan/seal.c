/* seal.c - closes a plan, and the small facts about ops and cache pages. */
#include "plan/internal.h"

typedef struct op_row {
    const char *name;
    int n_src;
    bool required;
} op_row;

static const op_row ops[KW_OP_COUNT] = {
#define KW_OP(name, n_src, required, doc) { #name, n_src, required },
#include "plan/ops.def"
#undef KW_OP
};

const char *kw_op_name(kw_opcode code) { return ops[code].name; }

int kw_op_sources(kw_opcode code) { return ops[code].n_src; }

bool kw_op_required(kw_opcode code) { return ops[code].required; }

kw_status kw_plan_seal(kw_plan *p)
{
    if (p->status) return kw_fail(p->status, "%s", p->message);
    if (p->n_outputs == 0) return kw_fail(KW_EINVAL, "a plan of %u ops has no output", p->n_ops);
    kw_status st = kw_plan_place(p);
    if (st) return st;
    p->is_sealed = true;
    return KW_OK;
}

size_t kw_kv_page_bytes(const kw_kv_layout *l) { return kw_kv_offset(l, l->n_layers, 0, false); }

size_t kw_kv_offset(const kw_kv_layout *l, int layer, int head, bool is_v)
{
    size_t head_bytes = (size_t)l->page_rows * (size_t)l->head_dim * kw_dtype_get(l->dtype)->bytes;
    size_t heads = ((size_t)layer * 2 + (is_v ? 1 : 0)) * (size_t)l->n_kv_heads + (size_t)head;
    return heads * head_bytes;
}
