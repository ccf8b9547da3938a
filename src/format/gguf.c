/* gguf.c - GGUF, versions 1 to 3, little endian, in one file or split into parts.
 *
 *   "GGUF" | version u32 | n_tensors | n_kv | kv... | tensor infos... | padding | data
 *   kv:     key string, type u32, value               string: length, bytes
 *   info:   name, n_dims u32, dims (fastest first), type u32, offset u64 (from the start of data)
 *
 * Counts and lengths are 64 bits wide, 32 in version 1. Every count is compared with the bytes that are left before
 * anything is allocated for it. Of a split model, NAME-00001-of-0000N.gguf, any part opens all: the keys are those of the
 * first part, the others have tensors only. */
#include "format/internal.h"
#include <stdio.h>
#include <string.h>

enum { MIN_KV_BYTES = 9, MIN_INFO_BYTES = 24, MIN_ALIGNMENT = 4, MAX_ALIGNMENT = 1 << 20 };

typedef struct reader {
    kw_checkpoint *ck;
    kw_source *s;
    kw_cursor c;
    uint32_t version;
    uint64_t n_tensors, n_kv, alignment, data_at;
    int64_t part, n_parts, split_tensors; /* n_parts 1: not split; split_tensors -1: not said */
} reader;

static bool read_count(reader *r, uint64_t *out)
{
    uint32_t narrow;
    if (r->version > 1) return kw_cursor_u64(&r->c, out);
    if (!kw_cursor_u32(&r->c, &narrow)) return false;
    *out = narrow;
    return true;
}

static bool read_string(reader *r, kw_str *out)
{
    uint64_t len;
    return read_count(r, &len) && kw_cursor_bytes(&r->c, len, out);
}

/* ---- values ---- */

static const struct {
    int bytes; /* 0: not a number */
    kw_meta_type type;
} scalars[KW_GGUF_TYPES] = {
    [KW_GGUF_U8] = { 1, KW_META_INT },        [KW_GGUF_I8] = { 1, KW_META_INT },
    [KW_GGUF_U16] = { 2, KW_META_INT },       [KW_GGUF_I16] = { 2, KW_META_INT },
    [KW_GGUF_U32] = { 4, KW_META_INT },       [KW_GGUF_I32] = { 4, KW_META_INT },
    [KW_GGUF_F32] = { 4, KW_META_FLOAT },     [KW_GGUF_BOOL] = { 1, KW_META_BOOL },
    [KW_GGUF_STRING] = { 0, KW_META_STRING }, [KW_GGUF_ARRAY] = { 0, KW_META_ARRAY },
    [KW_GGUF_U64] = { 8, KW_META_INT },       [KW_GGUF_I64] = { 8, KW_META_INT },
    [KW_GGUF_F64] = { 8, KW_META_FLOAT },
};

size_t kw_gguf_width(kw_gguf_type type) { return (size_t)scalars[type].bytes; }

static bool read_number(kw_cursor *c, uint32_t type, double *number, int64_t *integer)
{
    uint8_t b;
    uint16_t h;
    uint32_t w;
    uint64_t q = 0;
    float f;
    if (type == KW_GGUF_F64) return kw_cursor_f64(c, number);
    if (type == KW_GGUF_F32) {
        if (!kw_cursor_f32(c, &f)) return false;
        *number = (double)f;
        return true;
    }
    switch (scalars[type].bytes) {
    case 1:
        if (!kw_cursor_u8(c, &b)) return false;
        *integer = type == KW_GGUF_I8 ? (int8_t)b : b;
        break;
    case 2:
        if (!kw_cursor_u16(c, &h)) return false;
        *integer = type == KW_GGUF_I16 ? (int16_t)h : h;
        break;
    case 4:
        if (!kw_cursor_u32(c, &w)) return false;
        *integer = type == KW_GGUF_I32 ? (int64_t)(int32_t)w : (int64_t)w;
        break;
    default:
        if (!kw_cursor_u64(c, &q)) return false;
        *integer = (int64_t)q;
    }
    *number = (double)*integer;
    return true;
}

static kw_status read_array(reader *r, kw_meta *m)
{
    uint32_t type;
    uint64_t n;
    if (!kw_cursor_u32(&r->c, &type) || !read_count(r, &n)) return kw_cursor_fail(&r->c);
    if (type >= KW_GGUF_TYPES || type == KW_GGUF_ARRAY)
        return kw_fail(KW_EFORMAT, "key \"%.*s\": an array of type %u", (int)m->key.n, m->key.p,
                       type);
    const char *from = (const char *)r->c.at;
    size_t item = scalars[type].bytes ? (size_t)scalars[type].bytes : r->version > 1 ? 8 : 4;
    if (n > kw_cursor_left(&r->c) / item)
        return kw_fail(KW_EFORMAT,
                       "key \"%.*s\": %llu items do not fit into the %zu bytes that are left",
                       (int)m->key.n, m->key.p, (unsigned long long)n, kw_cursor_left(&r->c));
    kw_str text;
    if (type != KW_GGUF_STRING) kw_cursor_skip(&r->c, n * item);
    else
        for (uint64_t i = 0; i < n; i++)
            if (!read_string(r, &text)) return kw_cursor_fail(&r->c);
    m->item_type = scalars[type].type;
    m->item_ggml = type | (r->version > 1 ? 0u : 0x100u);
    m->n_items = n;
    m->items = (kw_str){ from, (size_t)((const char *)r->c.at - from) };
    return KW_OK;
}

static kw_status read_value(reader *r, kw_meta *m)
{
    uint32_t type;
    if (!kw_cursor_u32(&r->c, &type)) return kw_cursor_fail(&r->c);
    if (type >= KW_GGUF_TYPES)
        return kw_fail(KW_EFORMAT, "key \"%.*s\" has the unknown type %u", (int)m->key.n, m->key.p,
                       type);
    m->type = scalars[type].type;
    m->ggml = type;
    if (type == KW_GGUF_ARRAY) return read_array(r, m);
    bool ok = type == KW_GGUF_STRING ? read_string(r, &m->string)
                                     : read_number(&r->c, type, &m->number, &m->integer);
    if (!ok) return kw_cursor_fail(&r->c);
    if (type == KW_GGUF_U64 && m->integer < 0)
        return kw_fail(KW_EFORMAT, "key \"%.*s\" is above 2^63", (int)m->key.n, m->key.p);
    return KW_OK;
}

kw_meta_walk kw_meta_items(const kw_meta *m)
{
    kw_meta_walk w = { .c = kw_cursor_of(m->items.p, m->items.n, "array"),
                       .left = m->n_items,
                       .ggml = m->item_ggml };
    if (m->type != KW_META_ARRAY) w.left = 0;
    return w;
}

bool kw_meta_next_string(kw_meta_walk *w, kw_str *out)
{
    uint32_t narrow;
    uint64_t len;
    if (w->left == 0 || (w->ggml & 0xffu) != KW_GGUF_STRING) return false;
    w->left--;
    if (!(w->ggml & 0x100u)) return kw_cursor_u64(&w->c, &len) && kw_cursor_bytes(&w->c, len, out);
    return kw_cursor_u32(&w->c, &narrow) && kw_cursor_bytes(&w->c, narrow, out);
}

bool kw_meta_next_number(kw_meta_walk *w, double *number, int64_t *integer)
{
    double d = 0;
    int64_t i = 0;
    if (w->left == 0 || scalars[w->ggml & 0xffu].bytes == 0) return false;
    w->left--;
    if (!read_number(&w->c, w->ggml & 0xffu, &d, &i)) return false;
    if (number) *number = d;
    if (integer) *integer = i;
    return true;
}

/* ---- header ---- */

static kw_status read_header(reader *r)
{
    kw_str magic;
    if (!kw_cursor_bytes(&r->c, 4, &magic) || !kw_cursor_u32(&r->c, &r->version))
        return kw_cursor_fail(&r->c);
    if (r->version == 0x01000000u || r->version == 0x02000000u || r->version == 0x03000000u)
        return kw_fail(KW_EUNSUPPORTED,
                       "a big-endian GGUF file\nwhy: only little-endian files are read\ntry: "
                       "gguf-py's gguf_convert_endian.py FILE little, then open it again");
    if (r->version < 1 || r->version > 3)
        return kw_fail(KW_EUNSUPPORTED, "GGUF version %u: known are 1 to 3", r->version);
    if (!read_count(r, &r->n_tensors) || !read_count(r, &r->n_kv)) return kw_cursor_fail(&r->c);
    size_t left = kw_cursor_left(&r->c);
    if (r->n_kv > left / MIN_KV_BYTES || r->n_tensors > left / MIN_INFO_BYTES)
        return kw_fail(KW_EFORMAT,
                       "%llu keys and %llu tensors do not fit into %zu bytes\nwhy: the file is "
                       "truncated or damaged",
                       (unsigned long long)r->n_kv, (unsigned long long)r->n_tensors, left);
    return KW_OK;
}

/* Which part of how many, and how many tensors all have; and where tensors may begin. */
static kw_status note_key(reader *r, const kw_meta *m)
{
    const struct {
        const char *key;
        int64_t *at;
    } split[] = { { "split.no", &r->part },
                  { "split.count", &r->n_parts },
                  { "split.tensors.count", &r->split_tensors } };
    for (size_t i = 0; i < sizeof split / sizeof *split && m->type == KW_META_INT; i++)
        if (kw_str_is(m->key, split[i].key)) *split[i].at = m->integer;
    if (m->type != KW_META_INT || !kw_str_is(m->key, "general.alignment")) return KW_OK;
    if (m->integer < MIN_ALIGNMENT || m->integer > MAX_ALIGNMENT || (m->integer & (m->integer - 1)))
        return kw_fail(KW_EFORMAT,
                       "general.alignment is %lld, expected a power of two from %d to %d",
                       (long long)m->integer, MIN_ALIGNMENT, MAX_ALIGNMENT);
    r->alignment = (uint64_t)m->integer;
    return KW_OK;
}

/* The keys of parts behind the first are about the part alone: they are not kept. */
static kw_status read_keys(reader *r, bool kept)
{
    r->alignment = 32;
    r->split_tensors = -1;
    r->n_parts = 1;
    for (uint64_t i = 0; i < r->n_kv; i++) {
        kw_meta m = { 0 };
        if (!read_string(r, &m.key)) return kw_cursor_fail(&r->c);
        kw_status st = read_value(r, &m);
        if (!st) st = note_key(r, &m);
        if (!st && kept) st = kw_checkpoint_add_meta(r->ck, &m, (size_t)r->n_kv);
        if (st) return st;
    }
    if (r->n_parts == 0) r->n_parts = 1; /* written so by some for a whole model */
    if (r->n_parts < 1 || r->n_parts > KW_MAX_SHARDS || r->part < 0 || r->part >= r->n_parts)
        return kw_fail(KW_EFORMAT, "part %lld of %lld: expected 0 to n - 1 of at most %d",
                       (long long)r->part, (long long)r->n_parts, KW_MAX_SHARDS);
    return KW_OK;
}

static kw_status read_dims(reader *r, kw_str name, kw_tensor *t)
{
    uint32_t n_dims;
    uint64_t dims[KW_MAX_RANK];
    if (!kw_cursor_u32(&r->c, &n_dims)) return kw_cursor_fail(&r->c);
    if (n_dims > KW_MAX_RANK)
        return kw_fail(KW_EFORMAT, "tensor \"%.*s\" has %u dimensions, at most %d", (int)name.n,
                       name.p, n_dims, KW_MAX_RANK);
    for (uint32_t i = 0; i < n_dims; i++) {
        if (!read_count(r, &dims[i])) return kw_cursor_fail(&r->c);
        if (dims[i] == 0 || dims[i] > INT64_MAX / 8)
            return kw_fail(KW_EFORMAT, "tensor \"%.*s\": dimension %u is %llu", (int)name.n, name.p,
                           i, (unsigned long long)dims[i]);
    }
    t->rank = (int)n_dims;
    for (int i = 0; i < KW_MAX_RANK; i++)
        t->shape[i] = i < t->rank ? (int64_t)dims[t->rank - 1 - i] : 1;
    return KW_OK;
}

static kw_status place(reader *r, kw_str name, kw_tensor *t, uint64_t offset)
{
    size_t bytes;
    if (!kw_tensor_bytes(t, &bytes)) {
        char shape[96];
        return kw_fail(KW_EFORMAT, "tensor \"%.*s\": shape %s does not fit %s", (int)name.n, name.p,
                       kw_tensor_shape_text(t, shape), kw_dtype_get(t->dtype)->name);
    }
    if (offset % r->alignment)
        return kw_fail(KW_EFORMAT, "tensor \"%.*s\" starts at offset %llu, not a multiple of %llu",
                       (int)name.n, name.p, (unsigned long long)offset,
                       (unsigned long long)r->alignment);
    uint64_t room = r->s->size > r->data_at ? r->s->size - r->data_at : 0;
    if (offset > room || bytes > room - offset)
        return kw_try(kw_fail(KW_EFORMAT,
                              "tensor \"%.*s\" ends at byte %llu, but the file has %llu",
                              (int)name.n, name.p,
                              (unsigned long long)(r->data_at + offset + bytes),
                              (unsigned long long)r->s->size),
                      "the download may be incomplete: fetch the file again");
    t->data = r->s->map + r->data_at + offset;
    return kw_checkpoint_add(r->ck, name, t);
}

/* One tensor info; when `placed` it is added to the checkpoint, else only skipped over: where data begins is known only
 * after the last info. */
static kw_status read_info(reader *r, bool placed)
{
    kw_str name;
    kw_tensor t = { 0 };
    uint32_t type;
    uint64_t offset;
    if (!read_string(r, &name)) return kw_cursor_fail(&r->c);
    kw_status st = read_dims(r, name, &t);
    if (st) return st;
    if (!kw_cursor_u32(&r->c, &type) || !kw_cursor_u64(&r->c, &offset))
        return kw_cursor_fail(&r->c);
    if (!kw_dtype_from_ggml(type, &t.dtype))
        return kw_fail(KW_EUNSUPPORTED, "tensor \"%.*s\" has type %u, which is not supported yet",
                       (int)name.n, name.p, type);
    return placed ? place(r, name, &t, offset) : KW_OK;
}

/* The tensors behind the keys. */
static kw_status read_tensors(reader *r)
{
    kw_status st = KW_OK;
    kw_cursor infos = r->c;
    size_t first = r->ck->n_tensors;
    for (uint64_t i = 0; i < r->n_tensors && !st; i++) st = read_info(r, false);
    if (st) return st;
    r->data_at = (kw_cursor_pos(&r->c) + r->alignment - 1) & ~(r->alignment - 1);
    r->c = infos;
    for (uint64_t i = 0; i < r->n_tensors && !st; i++) st = read_info(r, true);
    return st ? st : kw_checkpoint_check_overlap(r->ck, first);
}

static kw_status read_start(reader *r, bool kept)
{
    r->c = kw_cursor_of(r->s->map, (size_t)r->s->size, "the GGUF header");
    kw_status st = read_header(r);
    return st ? st : read_keys(r, kept);
}

/* ---- a model in parts ---- */

/* The path of another part: that of this one with another number in it. */
static kw_status part_path(const reader *r, int64_t part, kw_buf *path)
{
    char end[64];
    snprintf(end, sizeof end, "-%05lld-of-%05lld.gguf", (long long)r->part + 1,
             (long long)r->n_parts);
    kw_str name = kw_str_of(r->s->name);
    if (!kw_str_ends(name, end))
        return kw_fail(KW_EFORMAT,
                       "%s is part %lld of %lld\nwhy: the others are found by its name, which does "
                       "not end with %s\ntry: give all parts the names that they were made with",
                       r->s->name, (long long)r->part + 1, (long long)r->n_parts, end);
    kw_buf_clear(path);
    kw_buf_printf(path, "%.*s-%05lld-of-%05lld.gguf", (int)(name.n - strlen(end)), name.p,
                  (long long)part + 1, (long long)r->n_parts);
    return path->status;
}

static kw_status read_part(const reader *whole, const char *path, int64_t part, kw_file_options o)
{
    kw_source *s = NULL;
    kw_status st = kw_source_file(path, o, &s);
    if (st) return kw_note(st, "part %lld of %lld", (long long)part + 1, (long long)whole->n_parts);
    st = kw_checkpoint_own(whole->ck, s);
    reader r = { .ck = whole->ck, .s = s };
    if (!st) st = read_start(&r, part == 0);
    if (!st && (r.part != part || r.n_parts != whole->n_parts))
        st = kw_fail(KW_EFORMAT, "says that it is part %lld of %lld", (long long)r.part + 1,
                     (long long)r.n_parts);
    if (!st) st = read_tensors(&r);
    return st ? kw_note(st, "%s", path) : KW_OK;
}

/* r has been started. */
static kw_status read_parts(reader *r, kw_file_options o)
{
    kw_buf path = KW_BUF(8192, KW_PAY_FILE);
    kw_status st = KW_OK;
    if (r->part) { /* the keys are the first part's */
        r->ck->n_metas = 0;
        r->ck->metas = NULL;
        kw_map_free(&r->ck->by_key);
        r->ck->by_key = KW_MAP(KW_PAY_MODEL);
    }
    for (int64_t i = 0; i < r->n_parts && !st; i++) {
        st = part_path(r, i, &path);
        if (!st && i == r->part) st = read_tensors(r);
        else if (!st) st = read_part(r, kw_buf_text(&path), i, o);
    }
    kw_buf_free(&path);
    if (!st && r->split_tensors >= 0 && (uint64_t)r->split_tensors != r->ck->n_tensors)
        st = kw_fail(KW_EFORMAT, "split.tensors.count is %lld, but the parts have %zu tensor%s",
                     (long long)r->split_tensors, r->ck->n_tensors, kw_s(r->ck->n_tensors));
    return st;
}

kw_status kw_gguf_read(kw_checkpoint *ck, kw_source *s, kw_file_options o)
{
    static const char *const versions[] = { "", "GGUF v1", "GGUF v2", "GGUF v3" };
    reader r = { .ck = ck, .s = s };
    kw_status st = read_start(&r, true);
    if (!st) st = r.n_parts > 1 ? read_parts(&r, o) : read_tensors(&r);
    ck->naming = KW_NAMING_GGUF;
    ck->format = versions[r.version <= 3 ? r.version : 0];
    return st;
}
