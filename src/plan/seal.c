/* seal.c - closes a plan, and the small facts about ops. */
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
