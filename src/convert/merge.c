/* merge.c - adapters, added to the tensors of the input as these are written.
 *
 * What a conversion writes is what loading with the same adapters computes with: a tensor is summed whole, in the type that
 * loading would keep it in, and then goes the way of all others. Only one (or the experts of one output) is held at a time. */
#include "convert/convert.h"
#include <string.h>

kw_status kw_convert_open_adapters(kw_convert_job *j)
{
    const kw_convert_options *o = j->o;
    kw_status st = KW_OK;
    j->adapters = kw_arena_alloc(&j->arena, o->n_adapters + 1, sizeof *j->adapters);
    if (!j->adapters) return KW_ENOMEM;
    for (; j->n_adapters < o->n_adapters && !st; j->n_adapters++) {
        const char *path = o->adapters[j->n_adapters].path;
        st = kw_lora_open(path, &j->adapters[j->n_adapters]);
        if (st) kw_note(st, "adapter %s", path);
    }
    return st;
}

void kw_convert_close_adapters(kw_convert_job *j)
{
    while (j->n_adapters > 0) kw_lora_close(&j->adapters[--j->n_adapters]);
}

/* Blocks and bytes are made from rounding: once more would add new errors to those that are there. */
static bool is_coarse(kw_dtype t)
{
    return t != KW_F64 && kw_lora_dtype(t) == KW_F16 && t != KW_F16;
}

static kw_status check_item(const kw_convert_item *it, const kw_lora_change *c)
{
    kw_dtype from = c->target->tensor.dtype, to = it->out.tensor.dtype;
    if (it->n_in > 1 && kw_lora_dtype(from) != from)
        return kw_fail(KW_EUNSUPPORTED, "tensor \"%.*s\" is %s and one of %d of another tensor",
                       (int)c->target->name.n, c->target->name.p, kw_dtype_get(from)->name,
                       it->n_in);
    if (!is_coarse(from) || !is_coarse(to)) return KW_OK;
    return kw_try(kw_fail(KW_EINVAL,
                          "tensor \"%.*s\" is %s and the adapter changes it\nwhy: it would have to "
                          "be quantized again, with the errors of both times",
                          (int)c->target->name.n, c->target->name.p, kw_dtype_get(from)->name),
                  "--dtype f16, or the unquantized model");
}

static bool has_target(const kw_convert_item *it, const kw_lora_change *c)
{
    for (int i = 0; i < it->n_in; i++)
        if (it->in[i] == &c->target->tensor) return true;
    return false;
}

/* Every change must show in what is written, and in a type that can hold it. */
static kw_status check_change(const kw_convert_job *j, const kw_lora_change *c)
{
    bool is_used = false;
    for (size_t i = 0; i < j->n; i++) {
        if (!has_target(&j->items[i], c)) continue;
        kw_status st = check_item(&j->items[i], c);
        if (st) return st;
        is_used = true;
    }
    if (is_used) return KW_OK;
    return kw_fail(KW_EUNSUPPORTED, "the adapter changes \"%.*s\", which the output does not have",
                   (int)c->target->name.n, c->target->name.p);
}

kw_status kw_convert_find_changes(kw_convert_job *j)
{
    size_t n = 0;
    kw_status st = KW_OK;
    for (size_t i = 0; i < j->n_adapters; i++) n += j->adapters[i].n;
    j->changes = kw_arena_alloc(&j->arena, n + 1, sizeof *j->changes);
    if (!j->changes) return KW_ENOMEM;
    for (size_t i = 0; i < j->n_adapters && !st; i++) {
        const kw_adapter *a = &j->o->adapters[i];
        kw_lora_change *own = j->changes + j->n_changes;
        st = kw_lora_changes(j->m, &j->adapters[i], (double)a->scale, own);
        for (size_t k = 0; k < j->adapters[i].n && !st; k++) st = check_change(j, &own[k]);
        if (st) return kw_note(st, "adapter %s", a->path);
        j->n_changes += j->adapters[i].n;
    }
    return KW_OK;
}

/* *in with what one adapter after the other adds to it, in `room`; itself when none changes it. */
static kw_status merge(const kw_convert_job *j, const kw_tensor **in, kw_arena *room)
{
    const kw_tensor *own = *in;
    kw_tensor *sum = NULL;
    for (size_t i = 0; i < j->n_changes; i++) {
        const kw_lora_change *c = &j->changes[i];
        if (&c->target->tensor != own) continue;
        if (!sum) {
            sum = kw_arena_alloc(room, 1, sizeof *sum);
            if (!sum) return KW_ENOMEM;
            *sum = *own;
            sum->dtype = kw_lora_dtype(own->dtype);
            sum->data =
                kw_arena_alloc(room, (size_t)kw_tensor_rows(sum) + 1, kw_tensor_row_bytes(sum));
            if (!sum->data) return KW_ENOMEM;
        }
        kw_status st = kw_lora_add(c, *in, (void *)(uintptr_t)sum->data);
        if (st) return kw_note(st, "adapter %s", c->l->path);
        *in = sum;
    }
    if (sum) kw_checkpoint_forget(j->m->ck, &(kw_named_tensor){ .tensor = *own });
    return KW_OK;
}

kw_status kw_convert_merge(const kw_convert_job *j, kw_convert_item *it, kw_arena *room)
{
    kw_status st = KW_OK;
    for (int i = 0; i < it->n_in && !st && j->n_changes; i++) st = merge(j, &it->in[i], room);
    return st;
}
