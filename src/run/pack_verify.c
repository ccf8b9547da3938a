/* pack_verify.c - looks after files of packed weights: where, what, and whether every byte is as it was written. */
#include "kwaai/pack.h"
#include "run/pack.h"
#include <stdio.h>

kw_status kw_model_pack_path(const kw_model *m, const char *dir, char *path, size_t cap)
{
    kw_arena arena = KW_ARENA(KW_PAY_MISC);
    kw_buf text = KW_BUF(8192, KW_PAY_MISC);
    kw_packed list = { 0 };
    kw_status st = kw_model_check_source(m);
    if (!st) st = kw_pack_list(m, &arena, &list);
    if (!st && list.n) st = kw_pack_path(m, dir, &text);
    if (!st && text.len >= cap) st = kw_fail(KW_ELIMIT, "a path of %zu bytes", text.len);
    if (!st) snprintf(path, cap, "%s", kw_buf_text(&text));
    kw_buf_free(&text);
    kw_arena_free(&arena);
    return st;
}

static bool is_current(const kw_pack *p)
{
    kw_pack_maker here = kw_pack_this_maker();
    return p->maker.version == here.version && p->maker.layouts == here.layouts;
}

kw_status kw_pack_describe(const char *path, kw_pack_info *out)
{
    kw_file f;
    kw_pack p;
    kw_status st = kw_file_open(path, (kw_file_options){ 0 }, &f);
    if (st) return st;
    st = kw_pack_read(f.data, f.size, &p);
    if (!st) {
        *out = (kw_pack_info){ .bytes = f.size, .n_tensors = p.n, .is_current = is_current(&p) };
        snprintf(out->source, sizeof out->source, "%.*s", (int)p.source.n, p.source.p);
    }
    kw_file_close(&f);
    return st ? kw_note(st, "%s", path) : KW_OK;
}

/* ---- verify ---- */

typedef struct verifying {
    kw_pool *pool;
    kw_file file;
    kw_pack pack;
    kw_progress_fn on_progress;
    void *user;
} verifying;

/* The sums of a tensor are over the bytes of 16 rows: as many parts as there are panels. */
static kw_status verify_one(const verifying *v, const kw_pack_entry *e)
{
    uint64_t panels = (e->rows + KW_PACK_ROWS - 1) / KW_PACK_ROWS;
    kw_str bytes = { (const char *)v->pack.data + e->at, (size_t)e->bytes };
    if (e->bytes % panels)
        return kw_fail(KW_EFORMAT, "\"%.*s\" is not made of panels", (int)e->name.n, e->name.p);
    uint64_t sum = kw_pack_sum(v->pool, &bytes, (size_t)(e->bytes / panels), 0);
    kw_file_forget(&v->file, (size_t)e->at, (size_t)e->bytes);
    if (sum == e->sum) return KW_OK;
    return kw_fail(KW_EVERIFY, "the packed bytes of \"%.*s\" are damaged", (int)e->name.n,
                   e->name.p);
}

static kw_status verify_bytes(const verifying *v)
{
    kw_status st = KW_OK;
    uint64_t done = 0, total = 0;
    for (size_t i = 0; i < v->pack.n; i++) total += kw_pack_at(&v->pack, i).bytes;
    for (size_t i = 0; i < v->pack.n && !st; i++) {
        kw_pack_entry e = kw_pack_at(&v->pack, i);
        st = verify_one(v, &e);
        done = st ? total : done + e.bytes;
        if (v->on_progress) v->on_progress(v->user, "verifying", done, total);
    }
    return st;
}

static kw_status verify_source(const verifying *v, kw_model *m)
{
    kw_arena arena = KW_ARENA(KW_PAY_MISC);
    kw_packed list = { 0 };
    kw_model_options o = kw_model_defaults();
    o.on_progress = v->on_progress;
    o.progress_user = v->user;
    kw_status st = kw_model_check_source(m);
    if (!st) st = kw_pack_list(m, &arena, &list);
    if (!st) st = kw_pack_check(m, &list, &v->pack);
    if (!st) st = kw_pack_compare_source(m, &list, &v->pack, &o);
    kw_arena_free(&arena);
    return st;
}

kw_status kw_pack_verify(kw_engine *e, const char *path, kw_model *m, kw_progress_fn on_progress,
                         void *user)
{
    verifying v = { .pool = e->pool, .on_progress = on_progress, .user = user };
    kw_status st = kw_file_open(path, (kw_file_options){ 0 }, &v.file);
    if (st) return st;
    st = kw_pack_read(v.file.data, v.file.size, &v.pack);
    if (!st) st = verify_bytes(&v);
    if (!st && m) st = verify_source(&v, m);
    kw_file_close(&v.file);
    return st ? kw_note(st, "%s", path) : KW_OK;
}
