/* npy.c - NumPy's arrays: one in a .npy, several in a .npz, which is a zip of them.
 *
 *   "\x93NUMPY" | version u8, 0 | header length u16 (version 1) or u32 (2, 3) | header, a Python dict | values
 *   {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }
 *
 * Values that lie as ours do stay in the map; those in the other byte order, or with the first dimension fastest, are copied.
 * Complex numbers, texts, records and objects are refused by their name. The array of a .npy is called as its file is. */
#include "format/internal.h"
#include "format/zip.h"
#include <string.h>

enum { PREFIX = 8, MAX_HEADER = 1 << 20 };

static const struct {
    const char *name; /* without the byte order */
    kw_dtype dtype;
} kinds[] = {
    { "f4", KW_F32 }, { "f2", KW_F16 }, { "f8", KW_F64 }, { "i1", KW_I8 },   { "i2", KW_I16 },
    { "i4", KW_I32 }, { "i8", KW_I64 }, { "u1", KW_U8 },  { "b1", KW_BOOL },
};

bool kw_npy_fits(const void *head, size_t len)
{
    return len >= PREFIX && memcmp(head, "\x93NUMPY", 6) == 0;
}

/* ---- the header: as much of Python as it takes ---- */

typedef struct header {
    kw_tensor t;
    bool is_fortran, is_swapped;
    int seen; /* a bit for each of the three keys */
} header;

typedef struct text {
    const char *at, *end;
    kw_str what; /* the array, for messages */
} text;

static void pass_spaces(text *p)
{
    while (p->at < p->end && (*p->at == ' ' || *p->at == '\n' || *p->at == '\t')) p->at++;
}

static bool take(text *p, char c)
{
    pass_spaces(p);
    if (p->at == p->end || *p->at != c) return false;
    p->at++;
    return true;
}

static bool take_quoted(text *p, kw_str *out)
{
    char quote = take(p, '\'') ? '\'' : take(p, '"') ? '"' : 0;
    const char *end = quote ? memchr(p->at, quote, (size_t)(p->end - p->at)) : NULL;
    if (!end) return false;
    *out = (kw_str){ p->at, (size_t)(end - p->at) };
    p->at = end + 1;
    return true;
}

static kw_status malformed(const text *p, const char *what)
{
    return kw_fail(KW_EFORMAT, "array \"%.*s\": the header has no readable %s", (int)p->what.n,
                   p->what.p, what);
}

static kw_status read_kind(text *p, header *h)
{
    kw_str descr = { "a record", 8 };
    bool is_word = take_quoted(p, &descr);
    for (size_t i = 0; is_word && i < sizeof kinds / sizeof *kinds && descr.n == 3; i++) {
        if (!kw_str_is((kw_str){ descr.p + 1, 2 }, kinds[i].name) || !strchr("<>|=", descr.p[0]))
            continue;
        h->t.dtype = kinds[i].dtype;
        h->is_swapped = descr.p[0] == '>';
        return KW_OK;
    }
    return kw_fail(KW_EUNSUPPORTED,
                   "array \"%.*s\" is of %.*s\nwhy: read are f2, f4, f8, i1 to i8, u1 and b1",
                   (int)p->what.n, p->what.p, (int)(descr.n < 32 ? descr.n : 32), descr.p);
}

static kw_status read_order(text *p, header *h)
{
    static const kw_str yes = { "True", 4 }, no = { "False", 5 };
    pass_spaces(p);
    kw_str rest = { p->at, (size_t)(p->end - p->at) };
    h->is_fortran = kw_str_starts(rest, yes.p);
    if (!h->is_fortran && !kw_str_starts(rest, no.p)) return malformed(p, "fortran_order");
    p->at += h->is_fortran ? yes.n : no.n;
    return KW_OK;
}

static kw_status read_shape(text *p, header *h)
{
    if (!take(p, '(')) return malformed(p, "shape");
    while (!take(p, ')')) {
        int64_t dim = 0;
        const char *from = p->at;
        for (; p->at < p->end && *p->at >= '0' && *p->at <= '9'; p->at++) {
            if (dim > (INT64_MAX >> 4) / 10) return malformed(p, "shape");
            dim = dim * 10 + (*p->at - '0');
        }
        if (p->at == from) return malformed(p, "shape");
        if (h->t.rank == KW_MAX_RANK)
            return kw_fail(KW_EUNSUPPORTED, "array \"%.*s\" has more than %d dimensions",
                           (int)p->what.n, p->what.p, KW_MAX_RANK);
        h->t.shape[h->t.rank++] = dim;
        take(p, ',');
    }
    return KW_OK;
}

static kw_status read_dict(text *p, header *h)
{
    static const struct {
        const char *key;
        kw_status (*read)(text *p, header *h);
    } keys[] = { { "descr", read_kind }, { "fortran_order", read_order }, { "shape", read_shape } };
    enum { N = sizeof keys / sizeof *keys };
    if (!take(p, '{')) return malformed(p, "beginning");
    while (!take(p, '}')) {
        kw_str key;
        int i = 0;
        if (!take_quoted(p, &key) || !take(p, ':')) return malformed(p, "key");
        while (i < N && !kw_str_is(key, keys[i].key)) i++;
        if (i == N || h->seen >> i & 1) return malformed(p, "key");
        kw_status st = keys[i].read(p, h);
        if (st) return st;
        h->seen |= 1 << i;
        take(p, ',');
    }
    return h->seen == (1 << N) - 1 ? KW_OK : malformed(p, "descr, fortran_order or shape");
}

/* ---- values ---- */

/* In our order of bytes and of dimensions. */
static kw_status rearrange(kw_checkpoint *ck, const header *h, kw_tensor *t, size_t bytes)
{
    size_t size = kw_dtype_get(t->dtype)->bytes, n = bytes / size, at[KW_MAX_RANK] = { 0 };
    unsigned char *dst = kw_arena_alloc(&ck->arena, bytes + 1, 1);
    if (!dst) return KW_ENOMEM;
    for (size_t i = 0; i < n; i++) {
        size_t from = i;
        if (h->is_fortran) {
            from = 0;
            for (int k = t->rank; k-- > 0;) from = from * (size_t)t->shape[k] + at[k];
            for (int k = t->rank; k-- > 0 && ++at[k] == (size_t)t->shape[k];) at[k] = 0;
        }
        const unsigned char *src = (const unsigned char *)t->data + from * size;
        for (size_t b = 0; b < size; b++) dst[i * size + b] = src[h->is_swapped ? size - 1 - b : b];
    }
    t->data = dst;
    return KW_OK;
}

static kw_status read_array(kw_checkpoint *ck, kw_str name, kw_str file)
{
    kw_cursor c = kw_cursor_of(file.p, file.n, "the array");
    uint8_t major = 0;
    uint16_t narrow = 0;
    uint32_t len = 0;
    size_t bytes = 0;
    kw_str dict, data;
    header h = { .t = { .shape = { 1, 1, 1, 1 } } };
    if (!kw_npy_fits(file.p, file.n))
        return kw_fail(KW_EFORMAT, "\"%.*s\" is no array of NumPy", (int)name.n, name.p);
    kw_cursor_skip(&c, 6);
    kw_cursor_u8(&c, &major);
    kw_cursor_skip(&c, 1);
    if (major < 1 || major > 3)
        return kw_fail(KW_EUNSUPPORTED, "array \"%.*s\" is of version %u: known are 1 to 3",
                       (int)name.n, name.p, major);
    if (major == 1 ? !kw_cursor_u16(&c, &narrow) : !kw_cursor_u32(&c, &len))
        return kw_cursor_fail(&c);
    if (major == 1) len = narrow;
    if (len > MAX_HEADER || !kw_cursor_bytes(&c, len, &dict)) return kw_cursor_fail(&c);
    kw_status st = read_dict(&(text){ dict.p, dict.p + dict.n, name }, &h);
    if (st) return st;
    if (!kw_tensor_bytes(&h.t, &bytes) || !kw_cursor_bytes(&c, bytes, &data))
        return kw_try(kw_fail(KW_EFORMAT, "array \"%.*s\" ends behind the %zu bytes it has",
                              (int)name.n, name.p, file.n),
                      "the file may be incomplete: write or fetch it again");
    h.t.data = data.p;
    if (h.is_swapped || (h.is_fortran && h.t.rank > 1)) st = rearrange(ck, &h, &h.t, bytes);
    return st ? st : kw_checkpoint_add(ck, name, &h.t);
}

/* "dir/input_ids.npy" -> "input_ids" */
static kw_str stem_of(kw_str path)
{
    for (size_t i = path.n; i-- > 0;)
        if (path.p[i] == '/') {
            path = (kw_str){ path.p + i + 1, path.n - i - 1 };
            break;
        }
    if (kw_str_ends(path, ".npy")) path.n -= 4;
    return path;
}

static kw_status finish(kw_checkpoint *ck, size_t first, const char *format)
{
    ck->naming = KW_NAMING_HF;
    ck->format = format;
    return kw_checkpoint_align(ck, first);
}

kw_status kw_npy_read(kw_checkpoint *ck, kw_source *s)
{
    size_t first = ck->n_tensors;
    kw_status st = read_array(ck, stem_of(kw_str_of(s->name)),
                              (kw_str){ (const char *)s->map, (size_t)s->size });
    return st ? st : finish(ck, first, "NumPy array");
}

bool kw_npz_fits(const kw_zip *z)
{
    for (size_t i = 0; i < z->n; i++)
        if (!kw_str_ends(z->members[i].name, ".npy")) return false;
    return z->n > 0;
}

kw_status kw_npz_read(kw_checkpoint *ck, const kw_zip *z)
{
    kw_status st = KW_OK;
    size_t first = ck->n_tensors;
    for (size_t i = 0; i < z->n && !st; i++) {
        kw_str name = z->members[i].name;
        name.n -= strlen(".npy");
        st =
            read_array(ck, name, (kw_str){ (const char *)z->members[i].data, z->members[i].bytes });
    }
    return st ? st : finish(ck, first, "NumPy arrays");
}
