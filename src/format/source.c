/* source.c - bytes with a size, from a file map or from memory, and the cursor that reads them.
 *
 * The cursor is the one place where offsets of untrusted data are compared with what is there. */
#include "format/format.h"
#include <string.h>

typedef struct file_source {
    kw_source base;
    kw_file file;
} file_source;

static kw_status read_map(kw_source *s, uint64_t at, void *dst, size_t len)
{
    if (len) memcpy(dst, s->map + at, len);
    return KW_OK;
}

static kw_status check_file(kw_source *s)
{
    kw_status st = kw_file_check(&((file_source *)s)->file);
    return st ? kw_note(st, "%s", s->name) : KW_OK;
}

static void forget_file(kw_source *s, uint64_t at, uint64_t len)
{
    kw_file_forget(&((file_source *)s)->file, (size_t)at, (size_t)len);
}

static void close_file(kw_source *s) { kw_file_close(&((file_source *)s)->file); }

static char *copy_name(const char *name)
{
    size_t len = strlen(name);
    char *copy = kw_malloc(len + 1, KW_PAY_FILE);
    if (copy) memcpy(copy, name, len + 1);
    return copy;
}

/* Times of files move in steps of some milliseconds: what changed less than this long ago may change again unseen. */
static const int64_t settled_ns = 1000000000;

static uint64_t stamp_of(const kw_file *f)
{
    if (kw_wall_ns() - f->changed_ns < settled_ns) return 0;
    int64_t facts[4] = { (int64_t)f->size, f->inode, f->mtime_ns, f->changed_ns };
    uint64_t stamp = kw_hash64(facts, sizeof facts, 0);
    return stamp ? stamp : 1;
}

kw_status kw_source_file(const char *path, kw_file_options o, kw_source **out)
{
    file_source *s = kw_calloc(1, sizeof *s, KW_PAY_FILE);
    if (!s) return KW_ENOMEM;
    kw_status st = kw_file_open(path, o, &s->file);
    if (!st && !(s->base.name = copy_name(path))) {
        kw_file_close(&s->file);
        st = KW_ENOMEM;
    }
    if (st) {
        kw_free(s);
        return st;
    }
    s->base.size = s->file.size;
    s->base.map = s->file.data;
    s->base.read_at = read_map;
    s->base.check = check_file;
    s->base.forget = forget_file;
    s->base.close = close_file;
    s->base.is_mapped = s->file.is_mapped;
    s->base.is_own = !s->file.is_mapped;
    s->base.stamp = stamp_of(&s->file);
    *out = &s->base;
    return KW_OK;
}

static kw_status always(kw_source *s)
{
    (void)s;
    return KW_OK;
}

static void nothing(kw_source *s) { (void)s; }

kw_status kw_source_memory(const void *data, size_t len, const char *name, kw_source **out)
{
    kw_source *s = kw_calloc(1, sizeof *s, KW_PAY_FILE);
    if (!s) return KW_ENOMEM;
    *s = (kw_source){
        .size = len, .map = data, .read_at = read_map, .check = always, .close = nothing
    };
    s->name = copy_name(name);
    if (!s->name) {
        kw_free(s);
        return KW_ENOMEM;
    }
    *out = s;
    return KW_OK;
}

kw_status kw_source_read(kw_source *s, uint64_t at, void *dst, size_t len)
{
    if (at <= s->size && len <= s->size - at) return s->read_at(s, at, dst, len);
    return kw_fail(KW_EIO, "%s: bytes %llu..%llu of %llu", s->name, (unsigned long long)at,
                   (unsigned long long)(at + len), (unsigned long long)s->size);
}

void kw_source_close(kw_source *s)
{
    if (!s) return;
    s->close(s);
    kw_free(s->name);
    kw_free(s);
}

/* ---- cursor ---- */

kw_cursor kw_cursor_of(const void *data, size_t len, const char *what)
{
    const unsigned char *p = data;
    return (kw_cursor){ .at = p, .start = p, .end = p ? p + len : p, .what = what };
}

size_t kw_cursor_left(const kw_cursor *c) { return (size_t)(c->end - c->at); }

size_t kw_cursor_pos(const kw_cursor *c) { return (size_t)(c->at - c->start); }

bool kw_cursor_skip(kw_cursor *c, uint64_t len)
{
    if (c->failed || len > kw_cursor_left(c)) {
        c->failed = true;
        return false;
    }
    if (len) c->at += (size_t)len;
    return true;
}

bool kw_cursor_bytes(kw_cursor *c, uint64_t len, kw_str *out)
{
    const unsigned char *from = c->at;
    if (!kw_cursor_skip(c, len)) return false;
    *out = (kw_str){ (const char *)from, (size_t)len };
    return true;
}

/* n bytes, little endian like the machines this runs on (weights are read in place), as an unsigned number. */
static inline bool number(kw_cursor *c, size_t n, uint64_t *out)
{
    const unsigned char *p = c->at;
    if (!kw_cursor_skip(c, n)) return false;
    *out = 0;
    memcpy(out, p, n);
    return true;
}

bool kw_cursor_u8(kw_cursor *c, uint8_t *out)
{
    uint64_t v;
    if (!number(c, 1, &v)) return false;
    *out = (uint8_t)v;
    return true;
}

bool kw_cursor_u16(kw_cursor *c, uint16_t *out)
{
    uint64_t v;
    if (!number(c, 2, &v)) return false;
    *out = (uint16_t)v;
    return true;
}

bool kw_cursor_u32(kw_cursor *c, uint32_t *out)
{
    uint64_t v;
    if (!number(c, 4, &v)) return false;
    *out = (uint32_t)v;
    return true;
}

bool kw_cursor_u64(kw_cursor *c, uint64_t *out) { return number(c, 8, out); }

bool kw_cursor_f32(kw_cursor *c, float *out)
{
    uint32_t v;
    if (!kw_cursor_u32(c, &v)) return false;
    memcpy(out, &v, sizeof v);
    return true;
}

bool kw_cursor_f64(kw_cursor *c, double *out)
{
    uint64_t v;
    if (!kw_cursor_u64(c, &v)) return false;
    memcpy(out, &v, sizeof v);
    return true;
}

kw_status kw_cursor_fail(const kw_cursor *c)
{
    return kw_fail(KW_EFORMAT,
                   "%s ends at byte %zu of %zu in the middle of a value\nwhy: the file is "
                   "truncated or damaged",
                   c->what, kw_cursor_pos(c), (size_t)(c->end - c->start));
}
