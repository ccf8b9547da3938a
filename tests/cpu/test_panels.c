/* test_panels.c - packed weights: what goes in comes out, products of few rows have one set of bits on every row of kernels,
 * products of many stay within their bound. The oracle is the file's own decoder and arithmetic in double. */
#include "cpu/panels.h"
#include "cpu/kernels.h"

typedef struct tally {
    double worst[N_TYPES];
    size_t n;
} tally;

/* got: [n_x][n_w] */
static void compare(const products *p, const float *got, size_t n_x, size_t n_w, double *worst)
{
    for (size_t i = 0; i < n_x; i++)
        for (size_t r = 0; r < n_w; r++) {
            double off = fabs((double)got[i * n_w + r] - p->of[i][r].want) / p->of[i][r].size;
            if (!(off <= *worst)) *worst = off;
        }
}

typedef void (*check_fn)(const kw_kernels *row, size_t type, tally *t);

/* Dtypes outside, so that what all rows of kernels are held against is computed once (products).
 * tiles_bound: of the AMX row, which rounds to bf16. */
static void each_row(check_fn check, double all_bound, double tiles_bound)
{
    size_t n, n_used = 0;
    const kw_kernels *const *rows = kw_kernel_rows(&n);
    kw_kernels used[MOST_KERNELS];
    tally t[MOST_KERNELS];
    memset(t, 0, sizeof t);
    for (size_t i = 1; i < n; i++) {
        kw_kernels *row = &used[n_used];
        if ((rows[i]->needs & kw_cpu_features()) != rows[i]->needs) continue;
        assert_int_equal(kw_kernels_select(kw_cpu_features(), rows[i]->name, row), KW_OK);
        if (row->wide) n_used++;
    }
    for (size_t type = 0; type < N_TYPES; type++)
        for (size_t i = 0; i < n_used; i++) {
            double bound = strcmp(used[i].name, "amx") == 0 ? tiles_bound : all_bound;
            check(&used[i], type, &t[i]);
            if (!(t[i].worst[type] <= bound))
                printf("%s %s: %.2e\n", used[i].name, kw_dtype_get(packed_types[type])->name,
                       t[i].worst[type]);
            assert_true(t[i].worst[type] <= bound);
        }
    for (size_t i = 0; i < n_used; i++) {
        double worst = 0;
        for (size_t type = 0; type < N_TYPES; type++) worst = fmax(worst, t[i].worst[type]);
        printf("%s: %zu checks, worst %.2e\n", used[i].name, t[i].n, worst);
    }
}

/* Lengths of k for a dtype; 0 ends. */
static const size_t *lengths(kw_dtype t)
{
    static const size_t k_blocks[] = { 256, 512, 768, 0 }, blocks[] = { 32, 64, 96, 224, 576, 0 };
    return kw_dtype_get(t)->block == 256 ? k_blocks : blocks;
}

/* ---- tiles ---- */

/* Half a unit of a row of f32 that became words, in the slice of k; with what f32 rounds of a word. */
static double rounding(const matrix *m, size_t row, size_t k)
{
    double most = 0, squares = 0;
    if (m->type != KW_F32) return 0;
    size_t at = k / KW_WIDE_SLICE * KW_WIDE_SLICE;
    for (size_t i = at; i < m->k && i < at + KW_WIDE_SLICE; i++) {
        double x = (double)m->plain[row * m->k + i];
        squares += x * x;
        most = fmax(most, fabs(x));
    }
    return 0.505 * fmax(sqrt(squares) / (double)KW_WIDE_NORM, most / (double)KW_WIDE_MOST);
}

/* Rows whose tiles are f32 give the decoder's bits, or words' nearest; the AMX row's are bf16, its products are checked below. */
static void check_tiles(const kw_kernels *row, size_t type, tally *t)
{
    kw_dtype dtype = packed_types[type];
    if (strcmp(row->name, "amx") == 0) return;
    for (const size_t *k = lengths(dtype); *k; k++) {
        matrix *m = make(dtype, *k, KW_PANEL_ROWS);
        for (size_t g = 0; g < *k / KW_GROUP; g++) {
            float tile[KW_GROUP / 2][32];
            row->tile[dtype](m->packed, g, tile);
            for (size_t r = 0; r < KW_PANEL_ROWS; r++)
                for (size_t j = 0; j < KW_GROUP; j++) {
                    float got = tile[j / 2][r / 8 * 16 + r % 8 * 2 + j % 2];
                    float want = m->plain[r * *k + g * KW_GROUP + j];
                    double off = fabs((double)(got - want)),
                           free = rounding(m, r, g * KW_GROUP + j);
                    if (off > free) t->worst[type] = fmax(t->worst[type], off);
                    t->n++;
                }
        }
    }
}

TEST(a_packed_group_has_the_bits_of_the_decoder) { each_row(check_tiles, 0, 0); }

TEST(a_row_of_a_panel_is_the_files_byte_for_byte)
{
    for (size_t type = 0; type < N_TYPES; type++) {
        kw_dtype dtype = packed_types[type];
        assert_int_equal(kw_panel_keeps(dtype), dtype != KW_F32); /* words are not all of a float */
        for (const size_t *k = lengths(dtype); *k && dtype != KW_F32; k++) {
            matrix *m = make(dtype, *k, ROWS - 5);
            for (size_t row = 0; row < m->rows; row++) {
                unsigned char back[MOST_K * 4];
                const unsigned char *want = m->blocks + row * m->row_bytes;
                const unsigned char *panel = m->packed + row / KW_PANEL_ROWS * m->panel_bytes;
                kw_panel_row(dtype, panel, row % KW_PANEL_ROWS, *k, back);
                assert_memory_equal(back, want, m->row_bytes);
            }
        }
    }
}

/* ---- few rows ---- */

static void encode(const kw_kernels *row, const float *x, size_t n_x, size_t k, kw_group_x *out)
{
    for (size_t i = 0; i < n_x; i++)
        for (size_t g = 0; g < k / KW_GROUP; g++)
            row->encode_group(x + i * k + g * KW_GROUP, &out[g * n_x + i]);
}

/* out: [n_x][rows] */
static void run_few(const kw_kernels *row, const matrix *m, const float *x, size_t n_x, float *out)
{
    static kw_group_x codes[KW_FEW_ROWS * MOST_K / KW_GROUP];
    encode(row, x, n_x, m->k, codes);
    kw_few d = { .x = codes,
                 .plain = x,
                 .plain_stride = m->k,
                 .dst_stride = m->rows,
                 .n_x = n_x,
                 .groups = m->k / KW_GROUP };
    for (size_t p = 0; p < m->rows / KW_PANEL_ROWS; p++) {
        d.w[p] = m->packed + p * m->panel_bytes;
        d.dst[p] = out + p * KW_PANEL_ROWS;
        d.n_panels++;
    }
    row->few[m->type](&d);
}

static uint32_t sum_of_bits(const float *x, size_t n, uint32_t hash)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &x[i], sizeof bits);
        hash = (hash ^ bits) * 16777619u;
    }
    return hash;
}

/* The bits of the first row of kernels that was checked, by dtype: all others must have them. */
static uint32_t bits_of[N_TYPES];

static void check_few(const kw_kernels *row, size_t type, tally *t)
{
    kw_dtype dtype = packed_types[type];
    static float x[KW_FEW_ROWS * MOST_K], got[KW_FEW_ROWS * ROWS], alone[KW_FEW_ROWS][ROWS];
    uint32_t hash = 2166136261u;
    if (dtype == KW_F32) return; /* few rows are dotted with f32 as they lie */
    const size_t *k = lengths(dtype);
    for (size_t at = 0; k[at]; at++) {
        matrix *m = make(dtype, k[at], ROWS);
        fill_x(x, KW_FEW_ROWS * k[at], k[at]);
        const products *p = products_of(m, at, x, KW_FEW_ROWS, KW_GROUP);
        for (size_t i = 0; i < KW_FEW_ROWS; i++) run_few(row, m, x + i * k[at], 1, alone[i]);
        compare(p, alone[0], KW_FEW_ROWS, ROWS, &t->worst[type]);
        hash = sum_of_bits(alone[0], KW_FEW_ROWS * ROWS, hash);
        t->n += KW_FEW_ROWS * ROWS;
        for (size_t n_x = 1; n_x <= KW_FEW_ROWS; n_x++) {
            m->rows = KW_PANEL_ROWS * (1 + n_x % 4);
            run_few(row, m, x, n_x, got);
            for (size_t i = 0; i < n_x; i++)
                assert_memory_equal(alone[i], got + i * m->rows, m->rows * sizeof *got);
        }
    }
    if (strcmp(row->name, "relaxed") == 0) return; /* fused or not, as the machine likes */
    if (!bits_of[type]) bits_of[type] = hash;
    assert_int_equal(bits_of[type], hash);
}

TEST(few_rows_have_the_same_bits_alone_in_a_batch_and_on_every_row_of_kernels)
{
    each_row(check_few, 1.0 / 60000, 1.0 / 60000);
}

/* ---- many rows ---- */

/* Sums brought to their place have the bits of those left in out; with what is added to them, in a result wider than they are. */
static void check_leaving(const kw_kernels *row, void (*kernel)(const kw_wide *), kw_wide d)
{
    enum { STRIDE = ROWS + 3, LEFT = MOST_X * STRIDE };
    static float dst[LEFT], onto[LEFT], bias[ROWS], out[(MOST_X + 32) * ROWS];
    const float *sums = d.out;
    size_t n = d.n_panels * KW_PANEL_ROWS;
    if (!row->wide_direct) return;
    for (size_t i = 0; i < LEFT; i++) dst[i] = -1, onto[i] = (float)i / 7;
    for (size_t i = 0; i < ROWS; i++) bias[i] = 3 / (float)(i + 1);
    d.out = out;
    d.leave = (kw_leave){ dst, d.n_x & 1 ? bias : NULL, d.n_x & 2 ? onto : NULL, STRIDE };
    kernel(&d);
    for (size_t i = 0; i < d.n_x * STRIDE; i++) {
        size_t m = i / STRIDE, j = i % STRIDE;
        float want = j < n ? sums[m * n + j] : -1;
        if (d.leave.bias && j < n) want += bias[j];
        if (d.leave.onto && j < n) want += onto[i];
        assert_memory_equal(&want, &dst[i], sizeof want);
    }
}

/* out: [n_x][rows], with room for 32 rows more */
static void run_wide(const kw_kernels *row, const matrix *m, const float *x, size_t n_x, float *out)
{
    static _Alignas(64) unsigned char codes[(MOST_X + 16) * (2 * MOST_K + 512)],
        scratch[KW_WIDE_SCRATCH];
    for (size_t i = 0; i < n_x; i++) row->encode_wide(x + i * m->k, codes, i, m->k);
    kw_wide d = { .w = m->packed,
                  .x = codes,
                  .panel_bytes = m->panel_bytes,
                  .n_panels = (m->rows + KW_PANEL_ROWS - 1) / KW_PANEL_ROWS,
                  .x_stride = kw_wide_row_bytes(m->k),
                  .n_x = n_x,
                  .k = m->k,
                  .tile = row->tile[m->type],
                  .is_words = m->type == KW_F32,
                  .out = out,
                  .scratch = scratch };
    row->wide(&d);
    check_leaving(row, row->wide, d);
}

static void check_wide(const kw_kernels *row, size_t type, tally *t)
{
    kw_dtype dtype = packed_types[type];
    static float x[MOST_X * MOST_K], got[(MOST_X + 32) * ROWS];
    const size_t *k = lengths(dtype);
    for (size_t at = 0; k[at]; at++) {
        matrix *m = make(dtype, k[at], ROWS);
        fill_x(x, MOST_X * k[at], k[at]);
        const products *p = products_of(m, at, x, MOST_X, KW_WIDE_SLICE);
        for (size_t n_x = 1; n_x <= MOST_X; n_x += n_x < 14 ? 1 : 20) {
            m->rows = KW_PANEL_ROWS * (1 + n_x % 4);
            run_wide(row, m, x, n_x, got);
            compare(p, got, n_x, m->rows, &t->worst[type]);
            t->n += n_x * m->rows;
        }
    }
}

TEST(many_rows_are_within_their_bound) { each_row(check_wide, 1.0 / 3000, 1.0 / 250); }

/* Activations along the weights, and against them: no sum is larger. One that overflows is off by twice the product. */
static void check_parallel(const kw_kernels *row, size_t type, tally *t)
{
    kw_dtype dtype = packed_types[type];
    static float x[KW_PANEL_ROWS * MOST_K], got[(KW_PANEL_ROWS + 32) * ROWS];
    for (const size_t *k = lengths(dtype); *k; k++)
        for (int sign = -1; sign < 2; sign += 2) {
            matrix *m = make(dtype, *k, KW_PANEL_ROWS);
            for (size_t i = 0; i < KW_PANEL_ROWS * *k; i++) x[i] = (float)sign * m->plain[i];
            run_wide(row, m, x, KW_PANEL_ROWS, got);
            for (size_t r = 0; r < KW_PANEL_ROWS; r++, t->n++) {
                double size, want = dot(m, r, x + r * *k, KW_GROUP, &size);
                double off = fabs((double)got[r * KW_PANEL_ROWS + r] - want) / fabs(want);
                if (!(off <= t->worst[type])) t->worst[type] = off;
            }
        }
}

TEST(the_largest_sums_of_products_fit) { each_row(check_parallel, 1.0 / 1000, 1.0 / 100); }

static float largest(const float *x, size_t n)
{
    float max = 0;
    for (size_t i = 0; i < n; i++) max = fmaxf(max, fabsf(x[i]));
    return max;
}

/* Activations as wide8 sees them: eight bits under a step for each group, a whole number of the slice's units. */
static void round_x(float *x, size_t k)
{
    float unit = 0;
    for (size_t at = 0; at < k; at += KW_GROUP) {
        size_t left = k - at < KW_WIDE8_SLICE ? k - at : KW_WIDE8_SLICE;
        if (at % KW_WIDE8_SLICE == 0) unit = largest(x + at, left) / (127.0f * 32700.0f);
        float step = unit * ceilf(largest(x + at, KW_GROUP) / (127.0f * unit));
        for (size_t i = at; i < at + KW_GROUP; i++) x[i] = nearbyintf(x[i] * (1 / step)) * step;
    }
}

/* out: [n_x][rows] */
static void run_wide8(const kw_kernels *row, const matrix *m, const float *x, size_t n_x,
                      float *out)
{
    static unsigned char codes[MOST_X * (2 * MOST_K + 512)];
    static _Alignas(64) unsigned char scratch[KW_WIDE_SCRATCH];
    for (size_t i = 0; i < n_x; i++) row->encode_wide8(x + i * m->k, codes, i, m->k);
    kw_wide d = { .w = m->packed,
                  .x = codes,
                  .panel_bytes = m->panel_bytes,
                  .n_panels = m->rows / KW_PANEL_ROWS,
                  .x_stride = kw_wide8_row_bytes(m->k),
                  .n_x = n_x,
                  .k = m->k,
                  .tile = row->bytes[m->type],
                  .halves = kw_panel_format_of(m->type)->scales == KW_SCALE_BYTE16,
                  .out = out,
                  .scratch = scratch };
    row->wide8(&d);
    check_leaving(row, row->wide8, d);
}

static void check_wide8(const kw_kernels *row, size_t type, tally *t)
{
    kw_dtype dtype = packed_types[type];
    static float x[MOST_X * MOST_K], rounded[MOST_X * MOST_K], got[MOST_X * ROWS];
    if (!row->bytes[dtype]) return;
    const size_t *k = lengths(dtype);
    for (size_t at = 0; k[at]; at++) {
        matrix *m = make(dtype, k[at], ROWS);
        fill_x(x, MOST_X * k[at], k[at]);
        memcpy(rounded, x, MOST_X * k[at] * sizeof *x);
        for (size_t i = 0; i < MOST_X; i++) round_x(rounded + i * k[at], k[at]);
        const products *p = products_of(m, at, rounded, MOST_X, KW_WIDE8_SLICE);
        for (size_t n_x = 1; n_x <= MOST_X; n_x += n_x < 14 ? 1 : 20) {
            m->rows = KW_PANEL_ROWS * (1 + n_x % 4);
            run_wide8(row, m, x, n_x, got);
            compare(p, got, n_x, m->rows, &t->worst[type]);
            t->n += n_x * m->rows;
        }
    }
}

/* Against products of the rounded activations: what is left is f32. */
TEST(many_rows_as_bytes_are_the_products_of_rounded_activations)
{
    each_row(check_wide8, 1e-6, 1e-6);
}

/* All codes and activations at an end of their range: what would not fit a sum of sixteen bits shows against a row of x whose
 * sums are small, for products are linear. */
static void check_extremes(const kw_kernels *row, size_t type, tally *t)
{
    kw_dtype dtype = packed_types[type];
    static float x[2 * MOST_K], got[2 * ROWS];
    if (!row->bytes[dtype]) return;
    const kw_panel_format *f = kw_panel_format_of(dtype);
    for (int fill = 0; fill < 256; fill += 255)
        for (int sign = -1; sign < 2; sign += 2) {
            matrix *m = make(dtype, 256, KW_PANEL_ROWS);
            size_t codes = f->group_bytes * (size_t)f->k / KW_GROUP;
            for (size_t at = 0; at < m->panel_bytes; at += f->bytes)
                memset(m->packed + at + f->codes_at, fill, codes);
            for (size_t i = 0; i < 256; i++) {
                x[i] = (float)sign;
                x[256 + i] = i % 8 == 0 ? (float)sign : 0;
            }
            run_wide8(row, m, x, 2, got);
            for (size_t r = 0; r < KW_PANEL_ROWS; r++, t->n++) {
                double all = (double)got[r], eighth = (double)got[KW_PANEL_ROWS + r];
                double off = fabs(all - 8 * eighth) / fabs(all);
                if (!(off <= t->worst[type])) t->worst[type] = off;
            }
        }
}

TEST(sums_of_the_largest_codes_fit) { each_row(check_extremes, 1e-5, 1e-5); }

TEST(a_length_that_is_no_whole_group_is_not_packed)
{
    assert_true(kw_panel_fits(KW_Q4_0, 96));
    assert_false(kw_panel_fits(KW_F16, 40));
    assert_false(kw_panel_fits(KW_Q4_K, 128));
    assert_false(kw_panel_fits(KW_F64, 64));
}

TEST(floats_that_words_do_not_reach_are_not_packed)
{
    static const float odd[] = { NAN, INFINITY, -INFINITY, 1e31f };
    float x[4] = { 1, -65504.0f, 1e30f, 1e-9f };
    assert_true(kw_panel_holds(x, 4));
    for (size_t i = 0; i < 4; i++) {
        x[i] = odd[i];
        assert_false(kw_panel_holds(x, 4));
        x[i] = 0;
    }
}
