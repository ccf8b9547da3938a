/* tensor_write.c - files of tensors, written piece by piece and committed as one.
 *
 *     header | padding | tensor | padding | tensor ...     of each file; a split has several
 *
 * All files are made at once, with their headers and with all of their space, so that a full disk is noticed before there is
 * work to lose. Their temporaries are NAME.tmp, held by one process: what a killed one left is overwritten. */
#include "format/internal.h"
#include <stdio.h>
#include <string.h>

enum { BUFFER_BYTES = 1 << 20, MAX_PARTS = 999, MAX_INDEX = 256 << 20 };

typedef struct part {
    kw_write_part what;
    uint64_t data_at, bytes; /* where the first tensor begins; of the file */
    char *path;
    kw_file_writer *file;
} part;

struct kw_tensor_writer {
    kw_arena arena;
    const kw_write_format *format;
    kw_named_tensor *tensors;
    size_t n;
    part *parts;
    size_t n_parts;
    size_t at_part, at_tensor; /* whose bytes come next; at_tensor counts in all of them */
    uint64_t left;             /* of that tensor */
    const char *path;          /* as given */
    char *index;               /* of a split, where the format has one; or NULL */
    kw_buf buffer;
};

static uint64_t padding(uint64_t at, uint64_t alignment)
{
    return (alignment - at % alignment) % alignment;
}

static uint64_t bytes_of(const kw_named_tensor *t)
{
    size_t bytes = 0;
    kw_tensor_bytes(&t->tensor, &bytes);
    return bytes;
}

/* ---- which tensor goes into which file ---- */

static kw_status copy_tensors(kw_tensor_writer *w, const kw_named_tensor *tensors, size_t n)
{
    size_t bytes;
    w->tensors = kw_arena_alloc(&w->arena, n + 1, sizeof *w->tensors);
    if (!w->tensors) return KW_ENOMEM;
    for (w->n = 0; w->n < n; w->n++) {
        const kw_named_tensor *t = &tensors[w->n];
        char *name = kw_arena_strdup(&w->arena, t->name.p, t->name.n);
        if (!name) return KW_ENOMEM;
        if (!kw_tensor_bytes(&t->tensor, &bytes))
            return kw_fail(KW_EINVAL, "tensor \"%s\" does not consist of whole blocks of %s", name,
                           kw_dtype_get(t->tensor.dtype)->name);
        w->tensors[w->n] = (kw_named_tensor){ { name, t->name.n }, t->tensor };
    }
    return KW_OK;
}

static kw_status cut(kw_tensor_writer *w, const void *user, uint64_t split_bytes)
{
    uint64_t held = 0;
    w->parts = kw_arena_alloc(&w->arena, w->n + 1, sizeof *w->parts);
    if (!w->parts) return KW_ENOMEM;
    for (size_t i = 0; i < w->n || i == 0; i++) {
        uint64_t bytes = i < w->n ? bytes_of(&w->tensors[i]) : 0;
        bool is_new = i == 0 || (split_bytes && held && held + bytes > split_bytes);
        if (is_new) {
            w->parts[w->n_parts].what = (kw_write_part){
                .tensors = &w->tensors[i], .index = w->n_parts, .n_all = w->n, .user = user
            };
            w->n_parts++;
            held = 0;
        }
        held += bytes;
        w->parts[w->n_parts - 1].what.n += i < w->n;
    }
    for (size_t i = 0; i < w->n_parts; i++) w->parts[i].what.n_parts = w->n_parts;
    return w->n_parts <= MAX_PARTS ? KW_OK
                                   : kw_fail(KW_EINVAL,
                                             "%zu files: a split of at most %d is written\ntry: a "
                                             "larger --split-max-size",
                                             w->n_parts, MAX_PARTS);
}

/* The path of a part: NAME-00001-of-00003.gguf. */
static kw_status name_part(kw_tensor_writer *w, part *p)
{
    size_t n = strlen(w->path) + 32;
    kw_str stem = kw_str_of(w->path);
    if (kw_str_ends(stem, w->format->ending)) stem.n -= strlen(w->format->ending);
    p->path = kw_arena_alloc(&w->arena, n, 1);
    if (!p->path) return KW_ENOMEM;
    if (w->n_parts == 1) memcpy(p->path, w->path, strlen(w->path));
    else
        snprintf(p->path, n, "%.*s-%05zu-of-%05zu%s", (int)stem.n, stem.p, p->what.index + 1,
                 w->n_parts, w->format->ending);
    return KW_OK;
}

static kw_status begin_part(kw_tensor_writer *w, part *p)
{
    kw_buf header = KW_BUF(SIZE_MAX / 2, KW_PAY_FILE);
    kw_status st = name_part(w, p);
    if (!st) st = w->format->header(&p->what, &header);
    while (!st && !header.status && padding(header.len, w->format->alignment))
        kw_buf_byte(&header, 0);
    if (!st) st = header.status;
    p->bytes = p->data_at = header.len;
    for (size_t i = 0; i < p->what.n; i++) {
        p->bytes += bytes_of(&p->what.tensors[i]);
        p->bytes += padding(p->bytes, w->format->alignment);
    }
    if (!st) st = kw_file_claim(p->path, &p->file);
    if (!st) {
        st = kw_file_reserve(p->file, p->bytes);
        if (st) kw_try(st, "%.1f MB are needed", (double)p->bytes / 1e6);
    }
    if (!st) st = kw_file_append(p->file, header.data, header.len);
    kw_buf_free(&header);
    return st;
}

/* ---- the bytes ---- */

static kw_status flush(kw_tensor_writer *w)
{
    kw_status st = w->buffer.status;
    if (!st && w->buffer.len)
        st = kw_file_append(w->parts[w->at_part].file, w->buffer.data, w->buffer.len);
    kw_buf_clear(&w->buffer);
    return st;
}

/* Makes the next tensor that has bytes current. */
static kw_status advance(kw_tensor_writer *w)
{
    kw_status st = KW_OK;
    while (!st && w->left == 0 && w->at_tensor < w->n) {
        const kw_write_part *p = &w->parts[w->at_part].what;
        if (++w->at_tensor == w->n) break;
        if (&w->tensors[w->at_tensor] >= p->tensors + p->n) {
            st = flush(w);
            w->at_part++;
        }
        w->left = bytes_of(&w->tensors[w->at_tensor]);
    }
    return st;
}

static kw_status name_index(kw_tensor_writer *w)
{
    if (w->n_parts < 2 || !w->format->index) return KW_OK;
    size_t n = strlen(w->path) + strlen(w->format->index) + 1;
    w->index = kw_arena_alloc(&w->arena, n, 1);
    if (!w->index) return KW_ENOMEM;
    snprintf(w->index, n, "%s%s", w->path, w->format->index);
    return KW_OK;
}

kw_status kw_tensors_create(const char *path, const kw_write_format *format, kw_write_part all,
                            uint64_t split_bytes, kw_tensor_writer **out)
{
    kw_tensor_writer *w = kw_calloc(1, sizeof *w, KW_PAY_FILE);
    if (!w) return KW_ENOMEM;
    w->arena = KW_ARENA(KW_PAY_FILE);
    w->buffer = KW_BUF(2 * BUFFER_BYTES, KW_PAY_FILE);
    w->format = format;
    w->path = kw_arena_strdup(&w->arena, path, strlen(path));
    kw_status st = w->path ? copy_tensors(w, all.tensors, all.n) : KW_ENOMEM;
    if (!st) st = cut(w, all.user, split_bytes);
    if (!st) st = name_index(w);
    for (size_t i = 0; i < w->n_parts && !st; i++) st = begin_part(w, &w->parts[i]);
    if (!st && w->n) w->left = bytes_of(&w->tensors[0]);
    if (!st) st = advance(w);
    if (st) kw_tensors_abort(w);
    else *out = w;
    return st;
}

kw_status kw_tensors_append(kw_tensor_writer *w, const void *data, size_t len)
{
    kw_status st = KW_OK;
    if (len == 0) return KW_OK;
    if (len > w->left)
        return kw_fail(KW_EINVAL, "%s: %zu bytes for a tensor that has room for %llu", w->path, len,
                       (unsigned long long)w->left);
    if (w->buffer.len + len > BUFFER_BYTES) st = flush(w);
    if (!st && len >= BUFFER_BYTES) st = kw_file_append(w->parts[w->at_part].file, data, len);
    else if (!st) kw_buf_bytes(&w->buffer, data, len);
    w->left -= len;
    if (st || w->left) return st;
    uint64_t pad = padding(bytes_of(&w->tensors[w->at_tensor]), w->format->alignment);
    while (pad--) kw_buf_byte(&w->buffer, 0);
    return advance(w);
}

uint64_t kw_tensors_bytes(const kw_tensor_writer *w)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < w->n_parts; i++) bytes += w->parts[i].bytes;
    return bytes;
}

const char *kw_tensors_file(const kw_tensor_writer *w, size_t i)
{
    return i < w->n_parts ? w->parts[i].path : i == w->n_parts ? w->index : NULL;
}

/* ---- the end ---- */

static void close_all(kw_tensor_writer *w)
{
    for (size_t i = 0; i < w->n_parts; i++) kw_file_abort(w->parts[i].file);
    kw_buf_free(&w->buffer);
    kw_arena_free(&w->arena);
    kw_free(w);
}

void kw_tensors_abort(kw_tensor_writer *w)
{
    if (w) close_all(w);
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* Whether the index that is there tells of files with these names; of one of another split it does not. */
static bool is_indexed(const kw_tensor_writer *w)
{
    char *text = NULL;
    const char *name = base_name(w->parts[0].path);
    bool is_there = kw_path_exists(w->index) && !kw_file_read(w->index, MAX_INDEX, &text, NULL);
    bool tells = is_there && strstr(text, name);
    kw_free(text);
    return tells;
}

bool kw_tensors_is_taken(const kw_tensor_writer *w)
{
    for (size_t i = 0; i < w->n_parts; i++)
        if (!kw_path_exists(w->parts[i].path)) return false;
    return w->n_parts > 1 && (!w->index || is_indexed(w));
}

static kw_status put_index(const kw_tensor_writer *w, kw_buf *out)
{
    kw_json_writer json = { .out = out, .indent = 2 };
    uint64_t total = 0;
    for (size_t i = 0; i < w->n; i++) total += bytes_of(&w->tensors[i]);
    kw_json_begin_object(&json);
    kw_json_key(&json, "metadata");
    kw_json_begin_object(&json);
    kw_json_key(&json, "total_size");
    kw_json_put_int(&json, (int64_t)total);
    kw_json_end_object(&json);
    kw_json_key(&json, "weight_map");
    kw_json_begin_object(&json);
    for (size_t i = 0; i < w->n_parts; i++)
        for (size_t j = 0; j < w->parts[i].what.n; j++) {
            kw_json_key(&json, w->parts[i].what.tensors[j].name.p);
            kw_json_put_string(&json, kw_str_of(base_name(w->parts[i].path)));
        }
    kw_json_end_object(&json);
    kw_json_end_object(&json);
    kw_buf_byte(out, '\n');
    return out->status;
}

static kw_status write_index(kw_tensor_writer *w)
{
    kw_buf text = KW_BUF(MAX_INDEX, KW_PAY_FILE);
    kw_status st = put_index(w, &text);
    if (!st) st = kw_file_replace(w->index, text.data, text.len);
    kw_buf_free(&text);
    return st;
}

/* The first file of a split goes last, and behind it the index: as long as it is missing nobody takes the others for a whole,
 * whichever of them a killed run has left. A split that is whole is never touched (kw_tensors_is_taken): renames are
 * several moments, and between two of them there would be neither the old model nor the new one. */
kw_status kw_tensors_commit(kw_tensor_writer *w)
{
    kw_status st = flush(w);
    if (!st && w->left)
        st = kw_fail(KW_EINVAL, "%s: tensor \"%s\" lacks %llu bytes", w->path,
                     w->tensors[w->at_tensor].name.p, (unsigned long long)w->left);
    for (size_t i = 0; i < w->n_parts && w->n_parts > 1 && !st; i++)
        st = kw_file_sync(w->parts[i].file);
    if (!st && w->n_parts > 1) kw_file_remove(w->parts[0].path);
    for (size_t i = w->n_parts; i-- > 0 && !st;) {
        st = kw_file_commit(w->parts[i].file);
        w->parts[i].file = NULL;
    }
    if (!st && w->index) st = write_index(w);
    close_all(w);
    return st;
}
