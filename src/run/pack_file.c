/* pack_file.c - finds and uses a file of packed weights, after it has proved that it holds them.
 *
 * The file's name is made of the weights' identity and the version of the layouts, so what lies there is nearly always
 * right; it is used only when it is certain. Header and index must be intact and of this build, every matrix must be there with
 * its type, shape and bytes, and the source must be what was packed: either the pack knows the stamp of the source's files, or all
 * their rows are summed and compared (a model that was moved or copied), and the stamp is added for the next time. */
#include "run/pack.h"
#include <string.h>

kw_pack_maker kw_pack_this_maker(void)
{
    return (kw_pack_maker){ kw_cpu_layout_version(), kw_cpu_layouts() };
}

kw_status kw_pack_path(const kw_model *m, const char *dir, kw_buf *path)
{
    kw_identity id = kw_checkpoint_identity(m->ck);
    kw_buf_printf(path, "%s/%016llx%016llx.%u.pack", dir, (unsigned long long)id.word[0],
                  (unsigned long long)id.word[1], kw_cpu_layout_version());
    return path->status;
}

kw_str kw_pack_source_rows(const kw_tensor *t, size_t from, size_t *n)
{
    size_t rows = (size_t)kw_tensor_rows(t), first = from * KW_PACK_ROWS;
    size_t part = t->parts ? (size_t)t->shape[1] / KW_PACK_ROWS : kw_cpu_panels(t);
    size_t left = part - from % part;
    if (*n > left) *n = left;
    size_t count = rows - first < *n * KW_PACK_ROWS ? rows - first : *n * KW_PACK_ROWS;
    return (kw_str){ kw_tensor_row(t, (int64_t)first), count * kw_tensor_row_bytes(t) };
}

/* The entry of this matrix at or behind *at: packs keep the order in which matrices are asked for. */
static bool find_entry(const kw_pack *p, const kw_matrix *w, size_t *at, kw_pack_entry *out)
{
    for (; *at < p->n; ++*at) {
        *out = kw_pack_at(p, *at);
        if (!kw_str_is(out->name, w->name)) continue;
        return out->dtype == w->t->dtype && out->rows == (uint64_t)kw_tensor_rows(w->t) &&
               out->cols == (uint64_t)kw_tensor_cols(w->t) &&
               out->bytes == (uint64_t)kw_cpu_panels(w->t) * kw_cpu_panel_bytes(w->t);
    }
    return false;
}

kw_status kw_pack_check(const kw_model *m, const kw_packed *list, const kw_pack *p)
{
    kw_pack_maker here = kw_pack_this_maker();
    kw_identity id = kw_checkpoint_identity(m->ck);
    kw_pack_entry e;
    size_t at = 0;
    if (p->maker.version != here.version || p->maker.layouts != here.layouts)
        return kw_fail(KW_EFORMAT, "packed by another build");
    if (memcmp(&id, &p->identity, sizeof id) != 0)
        return kw_fail(KW_EFORMAT, "packed from other weights");
    for (size_t i = 0; i < list->n; i++)
        if (!find_entry(p, &list->matrices[i], &at, &e))
            return kw_fail(KW_EFORMAT, "\"%s\" is missing, or of another shape",
                           list->matrices[i].name);
    return KW_OK;
}

static bool is_source(kw_model *m, const kw_matrix *w, const kw_pack_entry *e)
{
    size_t panels = kw_cpu_panels(w->t), part = KW_PACK_ROWS * kw_tensor_row_bytes(w->t);
    uint64_t sum = 0;
    for (size_t at = 0, n; at < panels; at += n) {
        n = panels - at;
        kw_str rows = kw_pack_source_rows(w->t, at, &n);
        sum += kw_pack_sum(m->engine->pool, &rows, part, at);
    }
    kw_pack_forget_source(m, w);
    return sum == e->source_sum;
}

kw_status kw_pack_compare_source(kw_model *m, const kw_packed *list, const kw_pack *p,
                                 const kw_model_options *o)
{
    kw_pack_job job = { m, o, "checking", 0, kw_pack_total(list) };
    kw_pack_entry e;
    size_t at = 0, i = 0;
    while (i < list->n && find_entry(p, &list->matrices[i], &at, &e) &&
           is_source(m, &list->matrices[i], &e)) {
        kw_pack_progress(&job, e.bytes);
        i++;
    }
    if (i == list->n) return kw_checkpoint_check(m->ck);
    kw_pack_progress(&job, job.total - job.done);
    return kw_fail(KW_EVERIFY, "\"%s\" of the model is not what was packed",
                   list->matrices[i].name);
}

static kw_status check_source(kw_model *m, const kw_pack *p, const char *path,
                              const kw_model_options *o)
{
    uint64_t stamp = kw_checkpoint_stamp(m->ck);
    if (kw_pack_knows(p, stamp)) return KW_OK;
    kw_status st = kw_pack_compare_source(m, &m->packed, p, o);
    if (st || !stamp) return st;
    kw_pack_stamp s = kw_pack_new_stamp(p, stamp);
    if (kw_file_patch(path, s.at, s.bytes, sizeof s.bytes))
        kw_log(KW_LOG_INFO, "%s: compared with the model at each start", kw_error_message());
    return KW_OK;
}

static void use(kw_model *m, const kw_pack *p)
{
    size_t at = 0;
    for (size_t i = 0; i < m->packed.n; i++) {
        kw_pack_entry e;
        if (!find_entry(p, &m->packed.matrices[i], &at, &e)) continue; /* cannot be: checked */
        m->packed.matrices[i].t->packed = p->data + e.at;
        m->packed.bytes += e.bytes;
        kw_pack_forget_source(m, &m->packed.matrices[i]); /* what the identity sampled */
    }
}

kw_status kw_pack_adopt(kw_model *m, const char *path, const kw_model_options *o)
{
    kw_pack p;
    kw_file f;
    kw_file_options how = { .no_mmap = o->no_mmap, .is_dense = true, .mlock = o->mlock };
    kw_status st = kw_file_open(path, how, &f);
    if (st) return st;
    st = kw_pack_read(f.data, f.size, &p);
    if (!st) st = kw_pack_check(m, &m->packed, &p);
    if (!st) st = check_source(m, &p, path, o);
    if (!st && !(m->packed.path = kw_arena_strdup(&m->arena, path, strlen(path)))) st = KW_ENOMEM;
    if (st) {
        kw_file_close(&f);
        return kw_note(st, "%s", path);
    }
    use(m, &p);
    m->packed.file = f;
    return KW_OK;
}
