/* internal.h - what the files of plan/ share among themselves. */
#ifndef KW_PLAN_INTERNAL_H
#define KW_PLAN_INTERNAL_H

#include "plan/plan.h"

/* Whether the plan's backend has a kernel for this composite op. */
bool kw_plan_has(const kw_plan *p, kw_opcode code);
kw_val kw_expand_swiglu(kw_plan *p, kw_val gate, kw_val up);
kw_val kw_expand_geglu(kw_plan *p, kw_val gate, kw_val up);

/* Gives every temporary its offset; the peak goes to p->scratch_bytes. */
kw_status kw_plan_place(kw_plan *p);

#endif
