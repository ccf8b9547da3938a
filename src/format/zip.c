/* zip.c - where the members of a zip archive lie; only what is stored as it is, so that weights stay in the file map.
 *
 *   [local header | name | extra | data]... | central directory | (zip64 record | locator) | end record
 *
 * The directory is believed for sizes and places, then each local header is asked for where its data begins. No member may
 * overlap another, so a small file cannot claim to be a large one. PyTorch compresses nothing; what is compressed is refused. */
#include "format/zip.h"
#include <stdlib.h>
#include <string.h>

enum {
    END_BYTES = 22,
    LOCATOR_BYTES = 20,
    MAX_COMMENT = 65535,
    ENTRY_BYTES = 46,
    LOCAL_BYTES = 30,
    FLAG_ENCRYPTED = 1,
};
static const uint32_t end_magic = 0x06054b50, entry_magic = 0x02014b50, local_magic = 0x04034b50,
                      locator_magic = 0x07064b50, end64_magic = 0x06064b50;

typedef struct directory {
    uint64_t at, bytes, n;
} directory;

/* One entry of the directory. */
typedef struct entry {
    uint64_t packed, bytes, at;
    uint16_t flags, method, extra_len, comment_len;
    kw_str name;
} entry;

static uint64_t number_at(const unsigned char *p, int n)
{
    uint64_t v = 0;
    for (int i = n; i-- > 0;) v = v << 8 | p[i];
    return v;
}

static kw_status truncated(const char *what)
{
    return kw_try(kw_fail(KW_EFORMAT,
                          "a zip archive without %s\nwhy: the file is truncated or damaged", what),
                  "the download may be incomplete: fetch the file again");
}

/* Numbers that do not fit into the end record stand in a record of zip64, which a locator right before the end record finds. */
static kw_status read_end64(const kw_source *s, const unsigned char *end, directory *d)
{
    if ((size_t)(end - s->map) < LOCATOR_BYTES ||
        number_at(end - LOCATOR_BYTES, 4) != locator_magic)
        return truncated("its zip64 locator");
    uint64_t at = number_at(end - LOCATOR_BYTES + 8, 8);
    if (at > s->size || s->size - at < 56 || number_at(s->map + at, 4) != end64_magic)
        return truncated("its zip64 record");
    d->n = number_at(s->map + at + 32, 8);
    d->bytes = number_at(s->map + at + 40, 8);
    d->at = number_at(s->map + at + 48, 8);
    return KW_OK;
}

static const unsigned char *find_end(const kw_source *s)
{
    if (s->size < END_BYTES) return NULL;
    uint64_t most = s->size - END_BYTES < MAX_COMMENT ? s->size - END_BYTES : MAX_COMMENT;
    for (uint64_t comment = 0; comment <= most; comment++) {
        const unsigned char *p = s->map + s->size - END_BYTES - comment;
        if (number_at(p, 4) == end_magic && number_at(p + 20, 2) == comment) return p;
    }
    return NULL;
}

static kw_status read_end(const kw_source *s, directory *d)
{
    const unsigned char *end = find_end(s);
    if (!end) return truncated("an end record");
    *d = (directory){ .n = number_at(end + 10, 2),
                      .bytes = number_at(end + 12, 4),
                      .at = number_at(end + 16, 4) };
    if (d->n == 0xffff || d->bytes == 0xffffffffu || d->at == 0xffffffffu) {
        kw_status st = read_end64(s, end, d);
        if (st) return st;
    }
    if (d->at > s->size || d->bytes > s->size - d->at || d->n > d->bytes / ENTRY_BYTES)
        return kw_fail(KW_EFORMAT, "a zip directory of %llu entries in bytes %llu..%llu of %llu",
                       (unsigned long long)d->n, (unsigned long long)d->at,
                       (unsigned long long)(d->at + d->bytes), (unsigned long long)s->size);
    return KW_OK;
}

/* Sizes above 4 GB stand in an extra field, those that the entry leaves out, in this order. */
static bool read_extra64(kw_cursor c, entry *e)
{
    uint16_t id, len;
    uint64_t *const wide[3] = { &e->bytes, &e->packed, &e->at };
    while (kw_cursor_left(&c) >= 4 && kw_cursor_u16(&c, &id) && kw_cursor_u16(&c, &len)) {
        kw_str body;
        if (!kw_cursor_bytes(&c, len, &body)) return false;
        if (id != 1) continue;
        kw_cursor field = kw_cursor_of(body.p, body.n, "the zip64 field");
        for (int i = 0; i < 3; i++)
            if (*wide[i] == 0xffffffffu && !kw_cursor_u64(&field, wide[i])) return false;
    }
    return true;
}

static bool read_entry(kw_cursor *c, entry *e)
{
    uint32_t magic, packed, bytes, at;
    uint16_t name_len;
    kw_str extra;
    bool ok = kw_cursor_u32(c, &magic) && magic == entry_magic && kw_cursor_skip(c, 4) &&
              kw_cursor_u16(c, &e->flags) && kw_cursor_u16(c, &e->method) && kw_cursor_skip(c, 8) &&
              kw_cursor_u32(c, &packed) && kw_cursor_u32(c, &bytes) &&
              kw_cursor_u16(c, &name_len) && kw_cursor_u16(c, &e->extra_len) &&
              kw_cursor_u16(c, &e->comment_len) && kw_cursor_skip(c, 8) && kw_cursor_u32(c, &at);
    if (!ok || !kw_cursor_bytes(c, name_len, &e->name) ||
        !kw_cursor_bytes(c, e->extra_len, &extra) || !kw_cursor_skip(c, e->comment_len))
        return false;
    e->packed = packed;
    e->bytes = bytes;
    e->at = at;
    return read_extra64(kw_cursor_of(extra.p, extra.n, "the extra fields"), e);
}

/* Names of members are shown in messages: not more than fits on a line. */
static int shown(kw_str name) { return name.n < 80 ? (int)name.n : 80; }

static kw_status check_entry(const entry *e)
{
    if (e->flags & FLAG_ENCRYPTED)
        return kw_fail(KW_EUNSUPPORTED, "the zip member \"%.*s\" is encrypted", shown(e->name),
                       e->name.p);
    if (e->method != 0)
        return kw_try(kw_fail(KW_EUNSUPPORTED,
                              "the zip member \"%.*s\" is compressed (method %u)\nwhy: PyTorch "
                              "stores members as they are, and only such are read",
                              shown(e->name), e->name.p, e->method),
                      "unpack the archive and pack it again with zip -0");
    if (e->packed != e->bytes)
        return kw_fail(KW_EFORMAT, "the zip member \"%.*s\" has two sizes, %llu and %llu",
                       shown(e->name), e->name.p, (unsigned long long)e->packed,
                       (unsigned long long)e->bytes);
    return KW_OK;
}

/* Where an entry's data lies, as its local header says; the header repeats the name. */
static kw_status locate(const kw_source *s, const directory *d, const entry *e, kw_zip_member *m)
{
    if (e->at > d->at || d->at - e->at < LOCAL_BYTES || number_at(s->map + e->at, 4) != local_magic)
        return kw_fail(KW_EFORMAT, "the zip member \"%.*s\" has no header at byte %llu",
                       shown(e->name), e->name.p, (unsigned long long)e->at);
    uint64_t name_len = number_at(s->map + e->at + 26, 2),
             skip = LOCAL_BYTES + name_len + number_at(s->map + e->at + 28, 2);
    if (skip > d->at - e->at || e->bytes > d->at - e->at - skip)
        return kw_fail(KW_EFORMAT, "the zip member \"%.*s\" ends behind byte %llu, where none may",
                       shown(e->name), e->name.p, (unsigned long long)d->at);
    kw_str name = { (const char *)s->map + e->at + LOCAL_BYTES, (size_t)name_len };
    if (!kw_str_eq(name, e->name))
        return kw_fail(KW_EFORMAT, "the zip member \"%.*s\" has another name in its header",
                       shown(e->name), e->name.p);
    *m = (kw_zip_member){ e->name, s->map + e->at + skip, (size_t)e->bytes, e->at };
    return KW_OK;
}

static int by_place(const void *a_, const void *b_)
{
    const kw_zip_member *a = a_, *b = b_;
    return (a->at > b->at) - (a->at < b->at);
}

static kw_status check_overlap(const kw_source *s, const kw_zip *z)
{
    for (size_t i = 0; i + 1 < z->n; i++) {
        const kw_zip_member *a = &z->members[i], *b = a + 1;
        if (a->data + a->bytes > s->map + b->at)
            return kw_fail(KW_EFORMAT, "the zip members \"%.*s\" and \"%.*s\" share bytes",
                           shown(a->name), a->name.p, shown(b->name), b->name.p);
    }
    return KW_OK;
}

static kw_status index_names(kw_zip *z)
{
    kw_status st = KW_OK;
    for (size_t i = 0; i < z->n && !st; i++) {
        kw_str name = z->members[i].name;
        int64_t twice;
        if (kw_map_get(&z->by_name, name, &twice))
            return kw_fail(KW_EFORMAT, "two zip members are called \"%.*s\"", shown(name), name.p);
        st = kw_map_put(&z->by_name, name, (int64_t)i);
    }
    return st;
}

static kw_status read_members(const kw_source *s, const directory *d, kw_zip *z)
{
    kw_cursor c = kw_cursor_of(s->map + d->at, (size_t)d->bytes, "the zip directory");
    z->members = kw_calloc((size_t)d->n + 1, sizeof *z->members, KW_PAY_FILE);
    if (!z->members) return KW_ENOMEM;
    for (; z->n < d->n; z->n++) {
        entry e = { 0 };
        if (!read_entry(&c, &e))
            return kw_fail(KW_EFORMAT, "entry %zu of the zip directory is damaged", z->n);
        kw_status st = check_entry(&e);
        if (!st) st = locate(s, d, &e, &z->members[z->n]);
        if (st) return st;
    }
    qsort(z->members, z->n, sizeof *z->members, by_place);
    kw_status st = check_overlap(s, z);
    return st ? st : index_names(z);
}

kw_status kw_zip_open(const kw_source *s, kw_zip *out)
{
    directory d = { 0 };
    *out = (kw_zip){ .by_name = KW_MAP(KW_PAY_FILE) };
    kw_status st = read_end(s, &d);
    if (!st) st = read_members(s, &d, out);
    if (st) kw_zip_close(out);
    return st;
}

void kw_zip_close(kw_zip *z)
{
    kw_free(z->members);
    kw_map_free(&z->by_name);
    *z = (kw_zip){ 0 };
}

const kw_zip_member *kw_zip_find(const kw_zip *z, kw_str name)
{
    int64_t at;
    return kw_map_get(&z->by_name, name, &at) ? &z->members[at] : NULL;
}
