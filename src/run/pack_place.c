/* pack_place.c - packs a matrix where it lies, when that memory is the engine's own: a file that could not be mapped (in
 * WebAssembly none can), or what was turned or merged with an adapter. So it never lies in memory twice.
 *
 *     rows      | 0 ............... | 1 ............... | 2 ............... | 3 ............... |        16 rows a panel
 *     panels      | 0 ................ | 1 ................ | 2 ................ |    rest: | 3 ............ |
 *
 * Most formats have panels as large as their rows, some a few percent more, and a panel begins where loads like it: so the last
 * panels go to memory of their own, first, then the others to their places, from the end on, through a buffer: a panel
 * ends behind the rows that are still to be read. Its rows are read from the panels from then on (kw_cpu_row).
 *
 * A matrix stays as it is when its panels do not hold all of it (f32), when too many of them had to go elsewhere, when its
 * parts lie apart, or when something else that the model uses lies in the same bytes. */
#include "run/pack.h"
#include <string.h>

enum { PLACE_ALIGN = 32, AT_ONCE_BYTES = 1 << 20, SHARE = 16, FEW_PANELS = 2 };

/* ---- what else lies there ---- */

static bool is_met(const void *data, size_t bytes, const kw_tensor *t)
{
    const char *at = data, *other = t->data;
    return at < other + kw_tensor_size(t) && other < at + bytes;
}

/* Does anything of `other` lie in t's bytes? */
static bool meet(const kw_tensor *t, const kw_tensor *other)
{
    size_t size = kw_tensor_size(other);
    if (!other->parts) return is_met(other->data, size, t);
    for (int64_t i = 0; i < other->shape[0]; i++)
        if (is_met(other->parts[i], size / (size_t)other->shape[0], t)) return true;
    return false;
}

static bool is_shared_in(const kw_model *m, const kw_family *f, const kw_tensor *t)
{
    for (const kw_weight_row *row = f->weights[0]; row; row = kw_weight_after(f, row))
        for (int il = 0; il < (row->flags & KW_W_LAYER ? kw_model_layers(m, f) : 1); il++) {
            const kw_tensor *other = kw_pack_weight(m, f, row, il)->t;
            if (other && other != t && meet(t, other)) return true;
        }
    return false;
}

static bool is_shared(const kw_model *m, const kw_tensor *t)
{
    for (const kw_family *f = m->family; f; f = f->encoder)
        if (is_shared_in(m, f, t)) return true;
    return false;
}

/* ---- the place ---- */

static unsigned char *begin(const kw_tensor *t)
{
    uintptr_t at = (uintptr_t)t->data;
    return (unsigned char *)((at + PLACE_ALIGN - 1) & ~(uintptr_t)(PLACE_ALIGN - 1));
}

/* Panels that have room where the rows lie; of experts, all of one or none. */
static size_t panels_inside(const kw_tensor *t)
{
    size_t size = kw_tensor_size(t), skip = (size_t)(begin(t) - (const unsigned char *)t->data);
    size_t all = kw_cpu_panels(t), n = size > skip ? (size - skip) / kw_cpu_panel_bytes(t) : 0;
    n = n < all ? n : all;
    return t->rank == 3 ? n - n % (size_t)(t->shape[1] / KW_PACK_ROWS) : n;
}

bool kw_pack_has_place(const kw_model *m, const kw_tensor *t)
{
    size_t all = kw_cpu_panels(t);
    if (t->parts || !kw_cpu_keeps(t)) return false;
    size_t inside = panels_inside(t), rest = all - inside;
    if (!inside || (rest > FEW_PANELS && rest > all / SHARE)) return false;
    return !is_shared(m, t);
}

/* What holds the rest (there may be none), and the buffer. */
static kw_status take_room(kw_model *m, size_t rest_bytes, size_t buffer_bytes, kw_memory **rest,
                           unsigned char **buffer)
{
    const kw_backend *b = m->engine->backend;
    kw_status st = KW_OK;
    *buffer = kw_malloc(buffer_bytes, KW_PAY_MODEL);
    if (!*buffer) return KW_ENOMEM;
    if (rest_bytes) st = b->alloc(m->engine->device, rest_bytes, KW_PAY_MODEL, rest);
    if (st) kw_free(*buffer);
    return st;
}

kw_status kw_pack_replace(kw_model *m, kw_tensor *t, kw_memory **rest)
{
    kw_device *d = m->engine->device;
    size_t bytes = kw_cpu_panel_bytes(t), n = panels_inside(t), more = kw_cpu_panels(t) - n;
    size_t step = bytes < AT_ONCE_BYTES ? AT_ONCE_BYTES / bytes : 1;
    unsigned char *buffer = NULL, *to = begin(t);
    if (step > n) step = n;
    kw_status st = take_room(m, more * bytes, step * bytes, rest, &buffer);
    if (st) return st;
    if (more) kw_cpu_pack(d, t, n, more, (*rest)->host);
    for (size_t left = n, some; left; left -= some) {
        some = left < step ? left : step;
        kw_cpu_pack(d, t, left - some, some, buffer);
        memcpy(to + (left - some) * bytes, buffer, some * bytes);
    }
    kw_free(buffer);
    t->packed = to;
    t->rest = more ? (*rest)->host : NULL;
    t->n_in_place = n;
    m->packed.n_replaced++;
    return KW_OK;
}

kw_status kw_model_check_source(const kw_model *m)
{
    if (!m->packed.n_replaced) return KW_OK;
    return kw_try(kw_fail(KW_EINVAL,
                          "weights of %s are not as its file has them\nwhy: they were no mapped "
                          "file, so they were packed where they lay",
                          m->name),
                  "load it with packing off");
}
