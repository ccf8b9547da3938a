/* pack.c - gives a model's matrices the layout that the device multiplies fastest. */
#include "run/run.h"
#include <string.h>

static kw_status pack_one(kw_model *m, kw_tensor *t)
{
    if (t->packed || !kw_cpu_packs(m->engine->device, t)) return KW_OK;
    kw_memory *memory = NULL;
    kw_status st = m->engine->backend->alloc(m->engine->device, kw_cpu_packed_bytes(t), KW_PAY_MODEL, &memory);
    if (st) return st;
    kw_cpu_pack(m->engine->device, t, memory->host);
    t->packed = memory->host;
    return KW_OK;
}

static bool is_matrix(const kw_weight_row *row) { return !(row->flags & (KW_W_F32 | KW_W_TABLE)); }

kw_status kw_model_pack(kw_model *m)
{
    const kw_family *f = m->family;
    for (const kw_weight_row *row = f->weights; row->at != KW_TABLE_END; row++) {
        int n = row->flags & KW_W_LAYER ? m->shape.n_layers : 1;
        for (int il = 0; il < n && is_matrix(row); il++) {
            const char *home = row->flags & KW_W_LAYER ? kw_model_layer(m, il) : m->weights;
            const kw_weight_ref *ref = (const kw_weight_ref *)(const void *)(home + row->at);
            kw_status st = ref->t ? pack_one(m, (kw_tensor *)(uintptr_t)ref->t) : KW_OK;
            if (st) return st;
        }
    }
    return KW_OK;
}
