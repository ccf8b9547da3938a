/* pack.c - reads and writes the header and the index of packed weights; sums their bytes. */
#include "format/pack.h"
#include <string.h>

enum {
    HEADER = 128,
    STAMPS_AT = HEADER,
    INDEX_AT = 256,
    ENTRY = 64,
    CHECK_AT = 120,
    MOST = 1 << 20
};

_Static_assert(STAMPS_AT + 16 * KW_PACK_STAMPS == INDEX_AT,
               "the stamps end where the index begins");

static const char magic[8] = { 'K', 'W', 'P', 'A', 'C', 'K', '\r', '\n' };

/* ---- reading ---- */

typedef struct head {
    uint64_t size, index_bytes, n, names_at, index_check, source_at, source_len;
} head;

static kw_status damaged(const char *what)
{
    return kw_fail(KW_EFORMAT, "packed weights: %s", what);
}

static bool take_head(kw_cursor *c, kw_pack *out, head *h, uint32_t *form)
{
    uint32_t reserved;
    return kw_cursor_u32(c, form) && kw_cursor_u32(c, &out->maker.version) &&
           kw_cursor_u64(c, &out->maker.layouts) && kw_cursor_u64(c, &out->identity.word[0]) &&
           kw_cursor_u64(c, &out->identity.word[1]) && kw_cursor_u64(c, &h->size) &&
           kw_cursor_u64(c, &h->index_bytes) && kw_cursor_u64(c, &h->n) &&
           kw_cursor_u64(c, &h->index_check) && kw_cursor_u64(c, &h->source_at) &&
           kw_cursor_u64(c, &h->source_len) && kw_cursor_u32(c, &reserved);
}

static kw_status read_head(kw_pack *out, head *h)
{
    uint32_t form;
    uint64_t check;
    if (out->size < INDEX_AT || memcmp(out->data, magic, sizeof magic) != 0)
        return damaged("the file is no pack");
    kw_cursor c =
        kw_cursor_of(out->data + sizeof magic, HEADER - sizeof magic, "the pack's header");
    if (!take_head(&c, out, h, &form)) return kw_cursor_fail(&c);
    c = kw_cursor_of(out->data + CHECK_AT, 8, "the pack's header");
    if (!kw_cursor_u64(&c, &check)) return kw_cursor_fail(&c);
    if (form != KW_PACK_FORM) return damaged("another form of file");
    out->check = kw_hash64(out->data, CHECK_AT, form);
    if (check != out->check) return damaged("the header's checksum does not match");
    if (h->size != out->size) return damaged("the file's size does not match its header");
    return KW_OK;
}

/* A slice of the index. */
static bool inside(const head *h, uint64_t at, uint64_t len)
{
    return at <= h->index_bytes && len <= h->index_bytes - at;
}

static kw_status check_entry(const kw_pack *p, const head *h, size_t i, uint64_t *end)
{
    kw_cursor c = kw_cursor_of(p->data + INDEX_AT + i * ENTRY, ENTRY, "the pack's index");
    uint64_t name_at, rows, cols, at, bytes;
    uint32_t name_len, dtype;
    if (!kw_cursor_u64(&c, &name_at) || !kw_cursor_u32(&c, &name_len) ||
        !kw_cursor_u32(&c, &dtype) || !kw_cursor_u64(&c, &rows) || !kw_cursor_u64(&c, &cols) ||
        !kw_cursor_u64(&c, &at) || !kw_cursor_u64(&c, &bytes))
        return kw_cursor_fail(&c);
    if (!inside(h, name_at, name_len) || dtype >= KW_DTYPE_COUNT || !rows || !cols)
        return damaged("an entry of the index makes no sense");
    if (at % KW_PACK_PAGE || at < *end || at > p->size || !bytes || bytes > p->size - at)
        return damaged("a tensor lies outside the file or over another");
    *end = at + bytes;
    return KW_OK;
}

static kw_status read_index(kw_pack *p, const head *h)
{
    const unsigned char *index = p->data + INDEX_AT;
    uint64_t end = INDEX_AT + h->index_bytes;
    if (h->index_bytes > p->size - INDEX_AT || h->n > MOST || h->n * ENTRY > h->index_bytes)
        return damaged("the index does not fit the file");
    if (kw_hash64(index, (size_t)h->index_bytes, 0) != h->index_check)
        return damaged("the index's checksum does not match");
    if (!inside(h, h->source_at, h->source_len)) return damaged("the source's name is outside");
    p->source = (kw_str){ (const char *)index + h->source_at, (size_t)h->source_len };
    p->n = (size_t)h->n;
    kw_status st = KW_OK;
    for (size_t i = 0; i < p->n && !st; i++) st = check_entry(p, h, i, &end);
    return st;
}

kw_status kw_pack_read(const void *data, size_t size, kw_pack *out)
{
    head h;
    *out = (kw_pack){ .data = data, .size = size };
    kw_status st = read_head(out, &h);
    return st ? st : read_index(out, &h);
}

static uint64_t number_at(const unsigned char *p, int n)
{
    uint64_t x = 0;
    while (n-- > 0) x = x << 8 | p[n];
    return x;
}

/* kw_pack_read has checked every entry. */
kw_pack_entry kw_pack_at(const kw_pack *p, size_t i)
{
    const unsigned char *e = p->data + INDEX_AT + i * ENTRY;
    return (kw_pack_entry){
        .name = { (const char *)p->data + INDEX_AT + number_at(e, 8), (size_t)number_at(e + 8, 4) },
        .dtype = (kw_dtype)number_at(e + 12, 4),
        .rows = number_at(e + 16, 8),
        .cols = number_at(e + 24, 8),
        .at = number_at(e + 32, 8),
        .bytes = number_at(e + 40, 8),
        .sum = number_at(e + 48, 8),
        .source_sum = number_at(e + 56, 8),
    };
}

/* ---- stamps: added in place, so each has a check of its own ---- */

static uint64_t stamp_check(uint64_t stamp, uint64_t header)
{
    return kw_hash64(&stamp, sizeof stamp, header);
}

bool kw_pack_knows(const kw_pack *p, uint64_t stamp)
{
    for (int i = 0; stamp && i < KW_PACK_STAMPS; i++) {
        const unsigned char *slot = p->data + STAMPS_AT + 16 * i;
        if (number_at(slot, 8) == stamp && number_at(slot + 8, 8) == stamp_check(stamp, p->check))
            return true;
    }
    return false;
}

static void put_number(unsigned char *p, uint64_t x, int n)
{
    for (int i = 0; i < n; i++) p[i] = (unsigned char)(x >> (8 * i));
}

static kw_pack_stamp stamp_in(int slot, uint64_t stamp, uint64_t header)
{
    kw_pack_stamp s = { .at = (uint64_t)(STAMPS_AT + 16 * slot) };
    put_number(s.bytes, stamp, 8);
    put_number(s.bytes + 8, stamp_check(stamp, header), 8);
    return s;
}

/* The first free slot; when there is none, the stamp itself picks one. */
kw_pack_stamp kw_pack_new_stamp(const kw_pack *p, uint64_t stamp)
{
    int slot = 0;
    while (slot < KW_PACK_STAMPS && number_at(p->data + STAMPS_AT + 16 * slot, 8)) slot++;
    if (slot == KW_PACK_STAMPS) slot = (int)(stamp % KW_PACK_STAMPS);
    return stamp_in(slot, stamp, p->check);
}

/* ---- writing ---- */

static uint64_t on_page(uint64_t at)
{
    return (at + KW_PACK_PAGE - 1) / KW_PACK_PAGE * KW_PACK_PAGE;
}

static uint64_t index_bytes(const kw_pack_draft *d)
{
    uint64_t bytes = d->n * ENTRY + d->source.n;
    for (size_t i = 0; i < d->n; i++) bytes += d->entries[i].name.n;
    return bytes;
}

uint64_t kw_pack_lay_out(kw_pack_draft *d)
{
    uint64_t at = INDEX_AT + index_bytes(d);
    for (size_t i = 0; i < d->n; i++) {
        d->entries[i].at = on_page(at);
        at = d->entries[i].at + d->entries[i].bytes;
    }
    return at;
}

static void put_entry(const kw_pack_entry *e, uint64_t name_at, unsigned char *out)
{
    put_number(out, name_at, 8);
    put_number(out + 8, e->name.n, 4);
    put_number(out + 12, (uint64_t)e->dtype, 4);
    put_number(out + 16, e->rows, 8);
    put_number(out + 24, e->cols, 8);
    put_number(out + 32, e->at, 8);
    put_number(out + 40, e->bytes, 8);
    put_number(out + 48, e->sum, 8);
    put_number(out + 56, e->source_sum, 8);
}

static void put_header(const kw_pack_draft *d, const unsigned char *index, unsigned char *out)
{
    uint64_t bytes = index_bytes(d);
    const kw_pack_entry *last = &d->entries[d->n - 1];
    memcpy(out, magic, sizeof magic);
    put_number(out + 8, KW_PACK_FORM, 4);
    put_number(out + 12, d->maker.version, 4);
    put_number(out + 16, d->maker.layouts, 8);
    put_number(out + 24, d->identity.word[0], 8);
    put_number(out + 32, d->identity.word[1], 8);
    put_number(out + 40, last->at + last->bytes, 8);
    put_number(out + 48, bytes, 8);
    put_number(out + 56, d->n, 8);
    put_number(out + 64, kw_hash64(index, (size_t)bytes, 0), 8);
    put_number(out + 72, bytes - d->source.n, 8);
    put_number(out + 80, d->source.n, 8);
    uint64_t check = kw_hash64(out, CHECK_AT, KW_PACK_FORM);
    put_number(out + CHECK_AT, check, 8);
    if (!d->stamp) return;
    kw_pack_stamp s = stamp_in(0, d->stamp, check);
    memcpy(out + s.at, s.bytes, sizeof s.bytes);
}

kw_status kw_pack_write_head(const kw_pack_draft *d, kw_buf *out)
{
    uint64_t bytes = index_bytes(d), name_at = d->n * ENTRY;
    unsigned char *start = (unsigned char *)kw_buf_reserve(out, (size_t)(INDEX_AT + bytes));
    if (!start) return out->status;
    memset(start, 0, (size_t)(INDEX_AT + bytes));
    unsigned char *index = start + INDEX_AT;
    for (size_t i = 0; i < d->n; i++) {
        const kw_pack_entry *e = &d->entries[i];
        put_entry(e, name_at, index + i * ENTRY);
        if (e->name.n) memcpy(index + name_at, e->name.p, e->name.n);
        name_at += e->name.n;
    }
    if (d->source.n) memcpy(index + name_at, d->source.p, d->source.n);
    put_header(d, index, start);
    out->len += (size_t)(INDEX_AT + bytes);
    return KW_OK;
}

/* ---- sums ---- */

typedef struct summing {
    const kw_str *bytes;
    size_t part, first;
    kw_counter next;
    _Atomic uint64_t sum;
} summing;

static void sum_parts(void *ctx, int worker)
{
    summing *s = ctx;
    (void)worker;
    for (;;) {
        size_t i = (size_t)kw_counter_take(&s->next, 1), at = i * s->part;
        if (at >= s->bytes->n) return;
        size_t left = s->bytes->n - at, n = left < s->part ? left : s->part;
        uint64_t h = kw_hash64(s->bytes->p + at, n, s->first + i);
        atomic_fetch_add_explicit(&s->sum, h, memory_order_relaxed);
    }
}

uint64_t kw_pack_sum(kw_pool *pool, const kw_str *bytes, size_t part, size_t first)
{
    summing s = { .bytes = bytes, .part = part, .first = first };
    kw_counter_reset(&s.next);
    kw_pool_run(pool, sum_parts, &s);
    return atomic_load_explicit(&s.sum, memory_order_relaxed);
}
