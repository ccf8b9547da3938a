/* angles.c - the rope frequencies of a text: in some models they depend on how long it is, so each text has its own. */
#include "run/run.h"

kw_status kw_angles_open(const kw_model *m, kw_angles *a)
{
    *a = (kw_angles){ .length = -1 };
    a->freq = kw_calloc((size_t)m->shape.n_rope + 1, sizeof *a->freq, KW_PAY_SCRATCH);
    if (!a->freq) return KW_ENOMEM;
    kw_angles_set(m, a, 0);
    return KW_OK;
}

void kw_angles_close(kw_angles *a)
{
    kw_free(a->freq);
    *a = (kw_angles){ 0 };
}

bool kw_angles_set(const kw_model *m, kw_angles *a, int64_t length)
{
    const kw_config *s = &m->shape;
    int64_t effective = s->rope_by_length && length > s->ctx_train  ? length
                        : s->rope_switch && length > s->rope_switch ? s->rope_switch + 1
                                                                    : 0;
    if (a->length == effective) return false;
    a->length = effective;
    a->scale = 1;
    if (m->family->frequencies)
        m->family->frequencies(m->config, m->weights, effective, a->freq, &a->scale);
    return true;
}
