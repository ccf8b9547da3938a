/* expand.c - composite ops written out in required ones.
 *
 * A backend starts with the required kernels and adds fused ones at leisure: what it lacks is recorded as its
 * expansion, so a model file may use every op everywhere. An expansion gives the same bits as the fused op in
 * exact mode. */
#include "plan/internal.h"

bool kw_plan_has(const kw_plan *p, kw_opcode code)
{
    return p->options.has && p->options.has(p->options.device, code);
}

kw_val kw_expand_swiglu(kw_plan *p, kw_val gate, kw_val up)
{
    return kw_mul(p, kw_silu(p, gate), up);
}

kw_val kw_expand_geglu(kw_plan *p, kw_val gate, kw_val up)
{
    return kw_mul(p, kw_gelu_tanh(p, gate), up);
}
