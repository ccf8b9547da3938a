/* imatrix.c - files that say how much each column of a model's matrices matters: what went into it while a text was read.
 *
 *   GGUF      general.type = imatrix, imatrix.chunk_count, .chunk_size, .datasets; of each matrix two f32 tensors,
 *             NAME.in_sum2 [matrices, columns]: sums of squares, and NAME.counts [matrices, 1]: of how many rows
 *   legacy    n i32, then n times: length i32, name, calls i32, values i32, f32 values (mean squares times calls);
 *             calls i32, length i32, the text's name
 *
 * A matrix of experts has one line each. Both are llama.cpp's; both are read, and the ending of the name chooses what is
 * written. Means are what a quantizer wants; a line of which nothing is known counts 1 everywhere. */
#include "format/internal.h"
#include <math.h>
#include <string.h>

enum { MAX_NAME = 512 };

static kw_status new_imatrix(size_t n, kw_imatrix **out)
{
    kw_imatrix *m = kw_calloc(1, sizeof *m, KW_PAY_FILE);
    if (!m) return KW_ENOMEM;
    m->arena = KW_ARENA(KW_PAY_FILE);
    m->by_name = KW_MAP(KW_PAY_FILE);
    m->rows = kw_arena_alloc(&m->arena, n + 1, sizeof *m->rows);
    *out = m;
    return m->rows ? KW_OK : KW_ENOMEM;
}

void kw_imatrix_close(kw_imatrix *m)
{
    if (!m) return;
    kw_map_free(&m->by_name);
    kw_arena_free(&m->arena);
    kw_free(m);
}

const kw_imatrix_row *kw_imatrix_find(const kw_imatrix *m, kw_str name)
{
    int64_t i;
    return kw_map_get(&m->by_name, name, &i) ? &m->rows[i] : NULL;
}

static kw_status add_row(kw_imatrix *m, kw_str name, size_t cols, size_t mats)
{
    kw_imatrix_row *r = &m->rows[m->n];
    char *copy = kw_arena_strdup(&m->arena, name.p, name.n);
    *r = (kw_imatrix_row){ .name = { copy, name.n }, .cols = cols, .mats = mats };
    r->mean = kw_arena_alloc(&m->arena, cols * mats + 1, sizeof *r->mean);
    if (!copy || !r->mean) return KW_ENOMEM;
    return kw_map_put(&m->by_name, r->name, (int64_t)m->n++);
}

/* Sums become means. A sum must be a finite number and not below 0. */
static kw_status set_line(kw_imatrix_row *r, size_t mat, const unsigned char *sums, float count)
{
    for (size_t j = 0; j < r->cols; j++) {
        float v;
        memcpy(&v, sums + 4 * j, sizeof v);
        v = count > 0 ? v / count : 1;
        if (!isfinite(v) || v < 0)
            return kw_fail(KW_EFORMAT, "importance of %.*s: value %zu is %g", (int)r->name.n,
                           r->name.p, mat * r->cols + j, (double)v);
        r->mean[mat * r->cols + j] = v;
    }
    return KW_OK;
}

/* ---- GGUF ---- */

static kw_status read_pair(kw_imatrix *m, const kw_checkpoint *ck, const kw_named_tensor *sums)
{
    static const char end[] = ".in_sum2";
    char name[MAX_NAME];
    size_t stem = sums->name.n - (sizeof end - 1);
    const kw_tensor *s = &sums->tensor;
    if (stem + sizeof ".counts" > sizeof name)
        return kw_fail(KW_EFORMAT, "the name of a tensor has %zu bytes", sums->name.n);
    memcpy(name, sums->name.p, stem);
    memcpy(name + stem, ".counts", sizeof ".counts");
    const kw_named_tensor *counts = kw_checkpoint_find(ck, name);
    size_t mats = (size_t)kw_tensor_rows(s), cols = (size_t)kw_tensor_cols(s);
    if (!counts || s->dtype != KW_F32 || counts->tensor.dtype != KW_F32 ||
        (size_t)(kw_tensor_rows(&counts->tensor) * kw_tensor_cols(&counts->tensor)) != mats)
        return kw_fail(KW_EFORMAT,
                       "importance of %.*s: it has no F32 counts for its %zu lines of sums",
                       (int)stem, name, mats);
    kw_status st = add_row(m, (kw_str){ name, stem }, cols, mats);
    for (size_t i = 0; i < mats && !st; i++) {
        float count;
        memcpy(&count, (const unsigned char *)counts->tensor.data + 4 * i, sizeof count);
        st = set_line(&m->rows[m->n - 1], i, (const unsigned char *)s->data + 4 * cols * i, count);
    }
    return st;
}

static kw_status read_gguf(kw_source *s, kw_imatrix **out)
{
    kw_checkpoint *ck = NULL;
    kw_status st = kw_checkpoint_from_source(s, (kw_str){ "", 0 }, &ck);
    if (st) return st;
    const kw_meta *type = kw_checkpoint_meta(ck, "general.type"),
                  *chunks = kw_checkpoint_meta(ck, "imatrix.chunk_count");
    size_t n = kw_checkpoint_count(ck);
    if (!type || type->type != KW_META_STRING || !kw_str_is(type->string, "imatrix"))
        st = kw_fail(KW_EFORMAT, "a GGUF file whose general.type is not imatrix");
    if (!st) st = new_imatrix(n, out);
    for (size_t i = 0; i < n && !st; i++)
        if (kw_str_ends(kw_checkpoint_at(ck, i)->name, ".in_sum2"))
            st = read_pair(*out, ck, kw_checkpoint_at(ck, i));
    if (!st && chunks && chunks->type == KW_META_INT) (*out)->n_chunks = chunks->integer;
    kw_checkpoint_close(ck);
    return st;
}

/* ---- legacy ---- */

static bool read_count(kw_cursor *c, size_t item, uint32_t *n)
{
    return kw_cursor_u32(c, n) && *n <= kw_cursor_left(c) / item;
}

static kw_status read_entry(kw_imatrix *m, kw_cursor *c)
{
    uint32_t len, calls, n;
    kw_str name, values;
    if (!read_count(c, 1, &len) || !kw_cursor_bytes(c, len, &name) || !kw_cursor_u32(c, &calls) ||
        !read_count(c, 4, &n) || !kw_cursor_bytes(c, 4 * (uint64_t)n, &values))
        return kw_fail(KW_EFORMAT, "no importance file, or one that ends at byte %zu",
                       kw_cursor_pos(c));
    if (!n || !len || len >= MAX_NAME || kw_imatrix_find(m, name))
        return kw_fail(KW_EFORMAT, "importance: entry %zu has %u values and a name of %u bytes",
                       m->n, n, len);
    kw_status st = add_row(m, name, n, 1);
    float count = calls ? (float)calls : 1;
    return st ? st : set_line(&m->rows[m->n - 1], 0, (const unsigned char *)values.p, count);
}

static kw_status read_legacy(kw_source *s, kw_imatrix **out)
{
    kw_cursor c = kw_cursor_of(s->map, (size_t)s->size, "the importance file");
    uint32_t n, calls;
    if (!read_count(&c, 13, &n))
        return kw_fail(KW_EFORMAT, "no importance file: neither GGUF nor a list of entries");
    kw_status st = new_imatrix(n, out);
    for (uint32_t i = 0; i < n && !st; i++) st = read_entry(*out, &c);
    if (!st && kw_cursor_u32(&c, &calls)) (*out)->n_chunks = calls;
    return st;
}

kw_status kw_imatrix_read(kw_source *s, kw_imatrix **out)
{
    bool is_gguf = s->size >= 4 && memcmp(s->map, "GGUF", 4) == 0;
    *out = NULL;
    kw_status st = is_gguf ? read_gguf(s, out) : read_legacy(s, out);
    if (!is_gguf) kw_source_close(s);
    if (!st && !(*out)->n) st = kw_fail(KW_EFORMAT, "an importance file without entries");
    if (!st) return st;
    kw_imatrix_close(*out);
    *out = NULL;
    return st;
}

kw_status kw_imatrix_open(const char *path, kw_imatrix **out)
{
    kw_source *s = NULL;
    kw_status st = kw_source_file(path, (kw_file_options){ 0 }, &s);
    if (!st) st = kw_imatrix_read(s, out);
    return st == KW_OK || st == KW_ENOTFOUND ? st : kw_because(st, "cannot read %s", path);
}

/* ---- writing ---- */

/* The sums or the counts of a row, without their values. */
static kw_status describe(kw_arena *arena, const kw_imatrix_sums *r, bool is_count,
                          kw_named_tensor *out)
{
    const char *end = is_count ? ".counts" : ".in_sum2";
    size_t n = r->name.n + strlen(end);
    char *name = kw_arena_alloc(arena, n + 1, 1);
    if (!name) return KW_ENOMEM;
    memcpy(name, r->name.p, r->name.n);
    memcpy(name + r->name.n, end, strlen(end));
    out->name = (kw_str){ name, n };
    out->tensor =
        (kw_tensor){ .dtype = KW_F32,
                     .rank = 2,
                     .shape = { (int64_t)r->mats, is_count ? 1 : (int64_t)r->cols, 1, 1 } };
    return KW_OK;
}

static kw_status write_gguf(const char *path, const kw_imatrix_sums *rows, size_t n,
                            const kw_imatrix_facts *facts)
{
    kw_arena arena = KW_ARENA(KW_PAY_FILE);
    kw_gguf_keys keys = KW_GGUF_KEYS;
    kw_tensor_writer *w = NULL;
    kw_named_tensor *t = kw_arena_alloc(&arena, 2 * n + 1, sizeof *t);
    kw_status st = t ? KW_OK : KW_ENOMEM;
    kw_gguf_put_string(&keys, "general.type", KW_STR("imatrix"));
    kw_gguf_begin_array(&keys, "imatrix.datasets", KW_GGUF_STRING, 1);
    kw_gguf_item_string(&keys, facts->dataset);
    kw_gguf_put_int(&keys, "imatrix.chunk_count", KW_GGUF_U32, facts->n_chunks);
    kw_gguf_put_int(&keys, "imatrix.chunk_size", KW_GGUF_U32, facts->chunk);
    for (size_t i = 0; i < 2 * n && !st; i++) st = describe(&arena, &rows[i / 2], i % 2, &t[i]);
    if (!st) st = kw_gguf_create(path, &keys, t, 2 * n, 0, &w);
    for (size_t i = 0; i < n && !st; i++) {
        st = kw_tensors_append(w, rows[i].sum2, 4 * rows[i].cols * rows[i].mats);
        if (!st) st = kw_tensors_append(w, rows[i].count, 4 * rows[i].mats);
    }
    if (!st) st = kw_tensors_commit(w);
    else kw_tensors_abort(w);
    kw_gguf_keys_free(&keys);
    kw_arena_free(&arena);
    return st;
}

static void put_legacy(kw_buf *b, const kw_imatrix_sums *r, int64_t chunk)
{
    float most = 1;
    for (size_t i = 0; i < r->mats; i++) most = r->count[i] > most ? r->count[i] : most;
    size_t calls = (size_t)ceilf(most / (float)chunk);
    kw_buf_number(b, r->name.n, 4);
    kw_buf_bytes(b, r->name.p, r->name.n);
    kw_buf_number(b, calls, 4);
    kw_buf_number(b, r->cols * r->mats, 4);
    for (size_t i = 0; i < r->cols * r->mats; i++) {
        float count = r->count[i / r->cols],
              v = (count > 0 ? r->sum2[i] / count : 1) * (float)calls;
        kw_buf_bytes(b, &v, sizeof v);
    }
}

static kw_status write_legacy(const char *path, const kw_imatrix_sums *rows, size_t n,
                              const kw_imatrix_facts *facts)
{
    kw_buf b = KW_BUF((size_t)1 << 30, KW_PAY_FILE);
    kw_buf_number(&b, n, 4);
    for (size_t i = 0; i < n; i++) put_legacy(&b, &rows[i], facts->chunk);
    kw_buf_number(&b, (uint64_t)facts->n_chunks, 4);
    kw_buf_number(&b, facts->dataset.n, 4);
    kw_buf_bytes(&b, facts->dataset.p, facts->dataset.n);
    kw_status st = b.status ? b.status : kw_file_replace(path, b.data, b.len);
    kw_buf_free(&b);
    return st;
}

kw_status kw_imatrix_write(const char *path, const kw_imatrix_sums *rows, size_t n,
                           const kw_imatrix_facts *facts)
{
    bool is_legacy = kw_str_ends(kw_str_of(path), ".dat");
    return is_legacy ? write_legacy(path, rows, n, facts) : write_gguf(path, rows, n, facts);
}
