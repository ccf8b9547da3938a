/* pack_write.c - writes the packed weights of a model into a file, a few panels at a time.
 *
 *     source (mapped) --pack--> buffer of some MiB --write--> <path>.tmp --sync, rename--> <path>
 *
 * The space is taken from the disk first, so a full one is noticed before any work; pages of the source are given back after
 * each tensor; the written bytes are the system's. So the work needs little memory, whatever the model's size.
 *
 * Writes begin and end where huge pages do: a system that can keep files in such pages then does, and a start maps the file
 * by a few hundred of them instead of a few hundred thousand small ones. */
#include "run/pack.h"
#include <string.h>

enum { BUFFER_BYTES = 8 << 20, STRETCH_BYTES = 2 << 20, PATH_BYTES = 4096 };

typedef struct writing {
    kw_pack_job job;
    kw_file_writer *file;
    kw_pack_draft draft;
    unsigned char *buffer; /* what comes at `at` in the file, a multiple of a stretch */
    size_t buffer_bytes, filled;
    uint64_t at;
} writing;

static kw_status make_draft(writing *w, kw_arena *arena)
{
    const kw_packed *p = &w->job.m->packed;
    kw_pack_draft *d = &w->draft;
    d->entries = kw_arena_alloc(arena, p->n, sizeof *d->entries);
    if (!d->entries) return KW_ENOMEM;
    for (d->n = 0; d->n < p->n; d->n++) {
        const kw_tensor *t = p->matrices[d->n].t;
        d->entries[d->n] = (kw_pack_entry){
            .name = kw_str_of(p->matrices[d->n].name),
            .dtype = t->dtype,
            .rows = (uint64_t)kw_tensor_rows(t),
            .cols = (uint64_t)kw_tensor_cols(t),
            .bytes = (uint64_t)kw_cpu_panels(t) * kw_cpu_panel_bytes(t),
        };
        if (kw_cpu_panel_bytes(t) > w->buffer_bytes) w->buffer_bytes = kw_cpu_panel_bytes(t);
    }
    w->buffer_bytes += 2 * STRETCH_BYTES; /* beside a panel: what a write leaves, a page's rest */
    w->buffer = kw_malloc(w->buffer_bytes, KW_PAY_MODEL);
    return w->buffer ? KW_OK : KW_ENOMEM;
}

/* Writes the whole stretches of the buffer, or all of it; what is left goes to its front. */
static kw_status flush(writing *w, bool all)
{
    size_t n = all ? w->filled : w->filled / STRETCH_BYTES * STRETCH_BYTES;
    kw_status st = n ? kw_file_write_at(w->file, w->at, w->buffer, n) : KW_OK;
    if (st) return st;
    w->filled -= n;
    w->at += n;
    memmove(w->buffer, w->buffer + n, w->filled);
    return KW_OK;
}

/* Zeros up to this place, which is less than a stretch and a page away. */
static void fill_to(writing *w, uint64_t place)
{
    size_t n = (size_t)(place - w->at) - w->filled;
    memset(w->buffer + w->filled, 0, n);
    w->filled += n;
}

static kw_status write_tensor(writing *w, const kw_matrix *from, kw_pack_entry *e)
{
    kw_model *m = w->job.m;
    size_t panels = kw_cpu_panels(from->t), bytes = kw_cpu_panel_bytes(from->t),
           source_part = KW_PACK_ROWS * kw_tensor_row_bytes(from->t);
    fill_to(w, e->at);
    for (size_t at = 0, n; at < panels; at += n) {
        unsigned char *out = w->buffer + w->filled;
        size_t room = (w->buffer_bytes - w->filled) / bytes;
        n = panels - at < room ? panels - at : room;
        kw_str rows = kw_pack_source_rows(from->t, at, &n),
               packed = { (const char *)out, n * bytes };
        kw_cpu_pack(m->engine->device, from->t, at, n, out);
        e->sum += kw_pack_sum(m->engine->pool, &packed, bytes, at);
        e->source_sum += kw_pack_sum(m->engine->pool, &rows, source_part, at);
        w->filled += n * bytes;
        kw_status st = flush(w, false);
        if (st) return st;
        kw_pack_progress(&w->job, n * bytes);
    }
    kw_pack_forget_source(m, from);
    return KW_OK;
}

static kw_status write_head(writing *w)
{
    kw_buf head = KW_BUF((size_t)1 << 30, KW_PAY_MODEL);
    kw_status st = kw_pack_write_head(&w->draft, &head);
    if (!st) st = kw_file_write_at(w->file, 0, head.data, head.len);
    kw_buf_free(&head);
    return st;
}

static kw_status write_all(writing *w)
{
    const kw_packed *p = &w->job.m->packed;
    kw_status st = kw_file_reserve(w->file, kw_pack_lay_out(&w->draft));
    w->at = p->n ? w->draft.entries[0].at / STRETCH_BYTES * STRETCH_BYTES : 0;
    for (size_t i = 0; i < p->n && !st; i++)
        st = write_tensor(w, &p->matrices[i], &w->draft.entries[i]);
    if (!st) st = flush(w, true);
    if (!st) st = kw_checkpoint_check(w->job.m->ck); /* packed is what was opened */
    if (!st) st = write_head(w);
    return st;
}

static kw_status run(writing *w, const char *path, kw_arena *arena)
{
    kw_status st = make_draft(w, arena);
    if (!st) st = kw_file_create_alone(path, &w->file);
    if (st || !w->file) return st ? st : KW_PENDING;
    st = write_all(w);
    kw_pack_progress(&w->job, w->job.total - w->job.done);
    if (!st) return kw_file_commit(w->file);
    kw_file_abort(w->file);
    return st;
}

kw_status kw_pack_write(kw_model *m, const char *source, const char *path,
                        const kw_model_options *o)
{
    char full[PATH_BYTES] = "";
    kw_arena arena = KW_ARENA(KW_PAY_MODEL);
    kw_path_full(source, full, sizeof full);
    writing w = { .job = { m, o, "packing", 0, kw_pack_total(&m->packed) },
                  .buffer_bytes = BUFFER_BYTES,
                  .draft = { .maker = kw_pack_this_maker(),
                             .identity = kw_checkpoint_identity(m->ck),
                             .source = kw_str_of(full),
                             .stamp = kw_checkpoint_stamp(m->ck) } };
    uint64_t start = kw_now_ns();
    kw_status st = run(&w, path, &arena);
    kw_free(w.buffer);
    kw_arena_free(&arena);
    if (!st)
        kw_log(KW_LOG_INFO, "packed %.1f MB in %.2f s into %s", (double)w.job.total / 1e6,
               (double)(kw_now_ns() - start) / 1e9, path);
    return st;
}
