/* test_pack.c - a file of packed weights: what is written is read; whatever is not what was written is refused, or noticed. */
#include "format/pack.h"
#include "test.h"

enum { N = 3, PART = 64, STAMP = 77 };

typedef struct sample {
    kw_pack_entry entries[N];
    unsigned char *file;
    size_t size, head;
} sample;

static const kw_pack_maker maker = { 5, 0x123456789abcdef0 };

static void make(sample *s)
{
    static const char *const names[N] = { "a", "blk.0.weight", "" };
    static unsigned char body[N][PART * 3];
    kw_pack_draft d = { .maker = maker,
                        .identity = { { 11, 12 } },
                        .source = KW_STR("/some/model.gguf"),
                        .stamp = STAMP,
                        .entries = s->entries,
                        .n = N };
    for (size_t i = 0; i < N; i++) {
        s->entries[i] = (kw_pack_entry){ .name = kw_str_of(names[i]),
                                         .dtype = KW_Q4_0,
                                         .rows = 16 * (i + 1),
                                         .cols = 32,
                                         .bytes = PART * (i + 1),
                                         .sum = 100 + i,
                                         .source_sum = 200 + i };
        memset(body[i], (int)i + 1, sizeof body[i]);
    }
    s->size = (size_t)kw_pack_lay_out(&d);
    s->file = kw_calloc(1, s->size, KW_PAY_MISC);
    kw_buf head = KW_BUF(1 << 20, KW_PAY_MISC);
    assert_int_equal(kw_pack_write_head(&d, &head), KW_OK);
    s->head = head.len;
    memcpy(s->file, head.data, head.len);
    for (size_t i = 0; i < N; i++)
        memcpy(s->file + s->entries[i].at, body[i], (size_t)s->entries[i].bytes);
    kw_buf_free(&head);
}

TEST(a_pack_is_read_as_it_was_written)
{
    sample s;
    kw_pack p;
    make(&s);
    assert_int_equal(kw_pack_read(s.file, s.size, &p), KW_OK);
    assert_int_equal(p.maker.version, maker.version);
    assert_true(p.maker.layouts == maker.layouts && p.identity.word[0] == 11 &&
                p.identity.word[1] == 12);
    assert_true(kw_str_is(p.source, "/some/model.gguf"));
    assert_int_equal(p.n, N);
    for (size_t i = 0; i < N; i++) {
        kw_pack_entry e = kw_pack_at(&p, i), *w = &s.entries[i];
        assert_true(kw_str_eq(e.name, w->name) && e.dtype == w->dtype && e.rows == w->rows &&
                    e.cols == w->cols && e.at == w->at && e.bytes == w->bytes && e.sum == w->sum &&
                    e.source_sum == w->source_sum);
        assert_int_equal(e.at % KW_PACK_PAGE, 0);
        assert_int_equal(s.file[e.at], i + 1);
    }
    kw_free(s.file);
}

/* Header and index are 256 bytes and more; the stamps, 128..256, are added in place and only count when they fit. */
TEST(every_changed_bit_of_header_and_index_is_refused)
{
    sample s;
    kw_pack p;
    size_t refused = 0;
    make(&s);
    for (size_t i = 0; i < s.head; i++)
        for (int bit = 0; bit < 8; bit++) {
            bool is_stamp = i >= 128 && i < 256;
            s.file[i] ^= (unsigned char)(1 << bit);
            kw_status st = kw_pack_read(s.file, s.size, &p);
            if (is_stamp) assert_int_equal(st, KW_OK);
            else assert_int_equal(st, KW_EFORMAT);
            if (i >= 128 && i < 144) assert_false(kw_pack_knows(&p, STAMP));
            refused += st != KW_OK;
            s.file[i] ^= (unsigned char)(1 << bit);
        }
    assert_int_equal(refused, (s.head - 128) * 8);
    assert_int_equal(kw_pack_read(s.file, s.size, &p), KW_OK);
    assert_true(kw_pack_knows(&p, STAMP));
    kw_free(s.file);
}

TEST(a_pack_cut_at_any_byte_is_refused)
{
    sample s;
    kw_pack p;
    make(&s);
    for (size_t n = 0; n < s.size; n++) {
        unsigned char *copy =
            kw_malloc(n, KW_PAY_MISC); /* of its own size: a read behind it is seen */
        if (n) memcpy(copy, s.file, n);
        assert_int_equal(kw_pack_read(copy, n, &p), KW_EFORMAT);
        kw_free(copy);
    }
    kw_free(s.file);
}

/* Like put_number in pack.c: an attacker makes checksums that match. */
static void put(unsigned char *at, uint64_t x)
{
    for (int i = 0; i < 8; i++) at[i] = (unsigned char)(x >> (8 * i));
}

static void seal(sample *s)
{
    uint64_t bytes = s->head - 256;
    put(s->file + 64, kw_hash64(s->file + 256, (size_t)bytes, 0));
    put(s->file + 120, kw_hash64(s->file, 120, KW_PACK_FORM));
}

static void expect_refused(sample *s, size_t at, uint64_t value)
{
    unsigned char old[8];
    kw_pack p;
    memcpy(old, s->file + at, 8);
    put(s->file + at, value);
    seal(s);
    if (kw_pack_read(s->file, s->size, &p) != KW_EFORMAT)
        fail_msg("%llu at byte %zu is taken", (unsigned long long)value, at);
    memcpy(s->file + at, old, 8);
    seal(s);
    assert_int_equal(kw_pack_read(s->file, s->size, &p), KW_OK);
}

TEST(sizes_and_places_that_make_no_sense_are_refused_even_under_right_checksums)
{
    sample s;
    make(&s);
    static const uint64_t wild[] = { UINT64_MAX, UINT64_MAX - 63, (uint64_t)1 << 63,
                                     (uint64_t)1 << 40 };
    static const size_t fields[] = {
        40, 48, 56, 72, 80, 256, 256 + 32, 256 + 40, 320 + 32, 384 + 40
    };
    for (size_t f = 0; f < sizeof fields / sizeof *fields; f++)
        for (size_t w = 0; w < sizeof wild / sizeof *wild; w++)
            expect_refused(&s, fields[f], wild[w]);
    expect_refused(&s, 256 + 16, 0);                   /* no rows */
    expect_refused(&s, 256 + 40, 0);                   /* no bytes */
    expect_refused(&s, 256 + 32, 0);                   /* over the header */
    expect_refused(&s, 256 + 32, s.entries[0].at + 8); /* not on a page */
    expect_refused(&s, 320 + 32, s.entries[0].at);     /* over the first */
    expect_refused(&s, 256 + 8, (uint64_t)KW_DTYPE_COUNT << 32 | 1);
    expect_refused(&s, 256 + 8, (uint64_t)KW_Q4_0 << 32 | 1u << 31); /* a name of 2 GiB */
    kw_free(s.file);
}

TEST(stamps_fill_their_slots_and_then_replace_one)
{
    sample s;
    kw_pack p;
    make(&s);
    assert_int_equal(kw_pack_read(s.file, s.size, &p), KW_OK);
    assert_false(kw_pack_knows(&p, 0));
    for (uint64_t stamp = 1000; stamp < 1020; stamp++) {
        assert_false(kw_pack_knows(&p, stamp));
        kw_pack_stamp add = kw_pack_new_stamp(&p, stamp);
        assert_true(add.at >= 128 && add.at + sizeof add.bytes <= 256);
        memcpy(s.file + add.at, add.bytes, sizeof add.bytes);
        assert_true(kw_pack_knows(&p, stamp));
        if (stamp < 1007) assert_true(kw_pack_knows(&p, STAMP));
    }
    kw_free(s.file);
}

TEST(a_sum_does_not_depend_on_threads_or_stretches_and_sees_every_byte)
{
    enum { BYTES = 1000, SMALL = 96 };
    unsigned char data[BYTES];
    kw_pool *one = NULL, *four = NULL;
    assert_int_equal(kw_pool_open(1, &one), KW_OK);
    assert_int_equal(kw_pool_open(4, &four), KW_OK);
    for (int i = 0; i < BYTES; i++) data[i] = (unsigned char)(i * 7);
    kw_str all = { (char *)data, BYTES }, front = { (char *)data, 4 * SMALL },
           back = { (char *)data + 4 * SMALL, BYTES - 4 * SMALL };
    uint64_t sum = kw_pack_sum(one, &all, SMALL, 0);
    assert_true(kw_pack_sum(four, &all, SMALL, 0) == sum);
    assert_true(kw_pack_sum(four, &front, SMALL, 0) + kw_pack_sum(four, &back, SMALL, 4) == sum);
    for (int i = 0; i < BYTES; i++) {
        data[i] ^= 1;
        assert_true(kw_pack_sum(one, &all, SMALL, 0) != sum);
        data[i] ^= 1;
    }
    kw_pool_close(one);
    kw_pool_close(four);
}
