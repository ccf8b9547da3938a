/* pack.c - gives a model's matrices the layout that the device multiplies fastest.
 *
 *     a file that was written before      mapped: a start costs nothing, and processes share the pages
 *     none yet                            written, then mapped
 *     weights that are no mapped file     packed where they lie (pack_place.c): no second copy
 *     it cannot be written, or another    packed into memory, tensor by tensor; the source's pages are
 *     process is writing it               given back as it goes, so that both never lie in memory
 *     no memory either                    the matrices that are left stay as the file has them: slower, still right
 *
 * Results do not depend on which of the first four it is, for the packed bytes are the same. */
#include "run/pack.h"
#include <string.h>

/* A router stays as it is: few rows, and the last bit may choose another expert. */
static bool is_matrix(const kw_weight_row *row)
{
    return !(row->flags & (KW_W_F32 | KW_W_TABLE | KW_W_ROUTER));
}

static bool has(const kw_packed *p, const kw_tensor *t)
{
    for (size_t i = 0; i < p->n; i++)
        if (p->matrices[i].t == t) return true;
    return false;
}

/* F32 are packed as F16: sentence vectors keep their direction, but a decoder in F32 was meant to be one. */
static bool is_worth(const kw_family *f, const kw_tensor *t)
{
    return t->dtype != KW_F32 || f->is_encoder;
}

const kw_weight_ref *kw_pack_weight(const kw_model *m, const kw_family *f, const kw_weight_row *row,
                                    int il)
{
    const char *home = row->flags & KW_W_LAYER ? kw_model_layer(m, f, il) : m->weights;
    return (const kw_weight_ref *)(const void *)(home + row->at);
}

/* Every matrix of a stack of layers once; out: with room for all, or NULL to count only. */
static size_t walk_stack(const kw_model *m, const kw_family *f, kw_packed *out)
{
    size_t n = 0;
    for (const kw_weight_row *row = f->weights[0]; row; row = kw_weight_after(f, row)) {
        int layers = row->flags & KW_W_LAYER ? kw_model_layers(m, f) : 1;
        for (int il = 0; il < layers && is_matrix(row); il++) {
            const kw_weight_ref *ref = kw_pack_weight(m, f, row, il);
            if (!ref->t || !is_worth(f, ref->t) || !kw_cpu_packs(m->engine->device, ref->t))
                continue;
            n++;
            if (out && !has(out, ref->t))
                out->matrices[out->n++] = (kw_matrix){ ref->name, (kw_tensor *)(uintptr_t)ref->t };
        }
    }
    return n;
}

static size_t walk(const kw_model *m, kw_packed *out)
{
    size_t n = 0;
    for (const kw_family *f = m->family; f; f = f->encoder) n += walk_stack(m, f, out);
    return n;
}

kw_status kw_pack_list(const kw_model *m, kw_arena *arena, kw_packed *out)
{
    kw_status st = kw_model_check_engine(m);
    if (st) return st;
    out->n = 0;
    out->matrices = kw_arena_alloc(arena, walk(m, NULL) + 1, sizeof *out->matrices);
    if (!out->matrices) return KW_ENOMEM;
    walk(m, out);
    return KW_OK;
}

void kw_pack_forget_source(kw_model *m, const kw_matrix *w)
{
    kw_named_tensor source = { .tensor = *w->t }; /* it may be a part of one of the file's */
    int64_t parts = w->t->parts ? w->t->shape[0] : 1;
    source.tensor.shape[0] /= parts; /* experts: each lies somewhere */
    for (int64_t i = 0; i < parts; i++) {
        if (w->t->parts) source.tensor.data = w->t->parts[i];
        kw_checkpoint_forget(m->ck, &source);
    }
}

static uint64_t bytes_of(const kw_tensor *t)
{
    return (uint64_t)kw_cpu_panels(t) * kw_cpu_panel_bytes(t);
}

uint64_t kw_pack_total(const kw_packed *p)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < p->n; i++) bytes += bytes_of(p->matrices[i].t);
    return bytes;
}

void kw_pack_progress(kw_pack_job *j, uint64_t more)
{
    j->done += more;
    if (j->o->on_progress) j->o->on_progress(j->o->progress_user, j->what, j->done, j->total);
}

/* ---- in memory ---- */

static kw_status pack_beside(kw_model *m, const kw_matrix *w, kw_memory **at)
{
    kw_tensor *t = w->t;
    kw_status st =
        m->engine->backend->alloc(m->engine->device, (size_t)bytes_of(t), KW_PAY_MODEL, at);
    if (st) return st;
    kw_cpu_pack(m->engine->device, t, 0, kw_cpu_panels(t), (*at)->host);
    t->packed = (*at)->host;
    kw_pack_forget_source(m, w);
    return KW_OK;
}

static kw_status pack_one(kw_model *m, size_t i, bool may_copy)
{
    const kw_matrix *w = &m->packed.matrices[i];
    bool is_own = kw_checkpoint_owns(m->ck, w->t->data),
         fits = is_own && kw_pack_has_place(m, w->t);
    if (is_own && !fits && !may_copy) return KW_OK;
    kw_memory **at = &m->packed.memory[i];
    kw_status st = fits ? kw_pack_replace(m, w->t, at) : pack_beside(m, w, at);
    if (!st) m->packed.bytes += bytes_of(w->t);
    return st;
}

static kw_status pack_into_memory(kw_model *m, const kw_model_options *o, bool may_copy)
{
    kw_pack_job job = { m, o, "packing", 0, kw_pack_total(&m->packed) };
    m->packed.memory = kw_arena_alloc(&m->arena, m->packed.n, sizeof(kw_memory *));
    if (!m->packed.memory) return KW_ENOMEM;
    for (size_t i = 0; i < m->packed.n; i++) {
        if (pack_one(m, i, may_copy)) {
            kw_log(KW_LOG_WARN, "%s: %zu of %zu matrices are used as the file has them, slower",
                   kw_error_message(), m->packed.n - i, m->packed.n);
            kw_pack_progress(&job, job.total - job.done);
            return KW_OK;
        }
        kw_pack_progress(&job, bytes_of(m->packed.matrices[i].t));
    }
    return KW_OK;
}

/* ---- in a file ---- */

static kw_status make_file(kw_model *m, const char *source, const char *path,
                           const kw_model_options *o)
{
    kw_status st = kw_pack_adopt(m, path, o);
    if (!st) return KW_OK;
    if (st != KW_ENOTFOUND) kw_log(KW_LOG_INFO, "%s: made anew", kw_error_message());
    st = kw_folder_make(o->pack_dir, true);
    if (!st) st = kw_pack_write(m, source, path, o);
    return st ? st : kw_pack_adopt(m, path, o);
}

static kw_status pack_into_file(kw_model *m, const char *source, const kw_model_options *o)
{
    kw_buf path = KW_BUF(8192, KW_PAY_MISC);
    kw_status st = kw_pack_path(m, o->pack_dir, &path);
    if (!st) st = make_file(m, source, kw_buf_text(&path), o);
    kw_buf_free(&path);
    if (st != KW_PENDING) return st;
    return kw_try(kw_fail(KW_EIO, "another process is packing these weights"),
                  "wait until it has done so");
}

/* ---- which ---- */

typedef enum way { WAY_AUTO, WAY_FILE, WAY_MEMORY, WAY_OFF, N_WAYS } way;
static const char *const way_names[N_WAYS] = { "auto", "file", "memory", "off" };

static kw_status find_way(const kw_model_options *o, way *out)
{
    const char *name = o->pack ? o->pack : "auto";
    for (int i = 0; i < N_WAYS; i++) {
        if (strcmp(name, way_names[i])) continue;
        *out = (way)i;
        if (i == WAY_FILE && !(o->pack_dir && o->pack_dir[0]))
            return kw_fail(KW_EINVAL, "packing into a file needs a folder (pack_dir)");
        return KW_OK;
    }
    return kw_fail(KW_EINVAL, "packing is \"%s\": expected auto, file, memory or off", name);
}

kw_status kw_model_pack(kw_model *m, const char *path, const kw_model_options *o)
{
    way w = WAY_OFF;
    kw_status st = find_way(o, &w);
    if (st || w == WAY_OFF) return st;
    bool is_mapped = kw_checkpoint_is_mapped(m->ck);
    /* what lies in memory and cannot be packed there is not copied, but for who asks */
    bool may_copy = is_mapped || w == WAY_MEMORY;
    /* files are of a model's own weights, and beside a source in memory a second copy of them */
    if (m->n_adapters || (w == WAY_AUTO && !is_mapped)) w = WAY_MEMORY;
    st = kw_pack_list(m, &m->arena, &m->packed);
    if (st || !m->packed.n) return st;
    if (w == WAY_FILE || (w == WAY_AUTO && o->pack_dir && o->pack_dir[0])) {
        st = pack_into_file(m, path, o);
        if (!st || w == WAY_FILE) return st;
        kw_log(KW_LOG_INFO, "%s: packed in memory for this run", kw_error_message());
    }
    return pack_into_memory(m, o, may_copy);
}

void kw_model_unpack(kw_model *m)
{
    const kw_packed *p = &m->packed;
    for (size_t i = 0; p->memory && i < p->n; i++)
        m->engine->backend->free(m->engine->device, p->memory[i]);
    if (p->file.data) kw_file_close(&m->packed.file);
}
