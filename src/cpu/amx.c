/* amx.c - the AMX row: many rows times packed weights on bf16 matrix tiles.
 *
 * A tile instruction multiplies 16 rows by 32 k by 16 columns. Weights are expanded to bf16 once for all rows of x, for every
 * format alike (tile.inc); accumulators stay in tiles for 512 k.
 *
 *     step: 512 k of two panels        B  [panel][16 groups][16 pairs][16 rows] bf16 pairs    32 KiB, the L1 cache
 *     x, by blocks of 16 rows          A  [32 k groups][16 rows][32 k] bf16                   loaded past the L1 cache
 *     sums                             C  out, the L2 cache
 *
 * While a step is multiplied, the next one's weights are expanded between its blocks of 32 rows, so that the vector units
 * work beside the tiles. Permission to use tiles is asked for when features are read (features_x86.c). */
#include "base/base.h"
#include "cpu/generic/generic.h"
#include "cpu/panel.h"
#include "cpu/simd/avx512.h"
#include "cpu/codes.inc"

/* Dwords: the pair of k of rows 0-15. */
static inline void put_bf16(void *out, int pair, int at, V low, V high)
{
    (void)at;
    __m512bh both = _mm512_cvtne2ps_pbh(high, low);
    memcpy((unsigned char *)out + 64 * pair, &both, sizeof both);
}
#define PUT_PAIR put_bf16
#include "cpu/tile.inc"

enum { STEP_GROUPS = 16, TILE = 1024, STEP_BYTES = 2 * STEP_GROUPS * TILE, ROWS = KW_WIDE_BLOCK };

typedef struct tile_config {
    unsigned char palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    unsigned char rows[16];
} tile_config;

static void configure(void)
{
    tile_config c = { .palette = 1 };
    for (int i = 0; i < 8; i++) {
        c.row_bytes[i] = 64;
        c.rows[i] = 16;
    }
    __asm__ volatile("" : : "r"(&c) : "memory"); /* gcc 12 believes that only 8 bytes are read */
    _tile_loadconfig(&c);
}

/* One pass over the weights: steps go through the panels by two, and through k in between. */
typedef struct step {
    size_t group, n_groups, panel, n_panels;
} step;

static step step_at(const kw_wide *d, size_t number)
{
    size_t pairs = (d->n_panels + 1) / 2, groups = d->k / KW_GROUP;
    step s = { .group = number / pairs * STEP_GROUPS, .panel = number % pairs * 2 };
    s.n_groups = groups - s.group < STEP_GROUPS ? groups - s.group : STEP_GROUPS;
    s.n_panels = d->n_panels - s.panel < 2 ? 1 : 2;
    return s;
}

static size_t steps_of(const kw_wide *d)
{
    size_t groups = d->k / KW_GROUP;
    return (d->n_panels + 1) / 2 * ((groups + STEP_GROUPS - 1) / STEP_GROUPS);
}

/* Tiles from..to of a step: both panels of a group after each other. */
static void expand(const kw_wide *d, const step *s, size_t from, size_t to, unsigned char *out)
{
    for (size_t i = from; i < to && i < s->n_groups * s->n_panels; i++) {
        size_t panel = i % s->n_panels, group = i / s->n_panels;
        d->tile(d->w + (s->panel + panel) * d->panel_bytes, s->group + group,
                out + (panel * STEP_GROUPS + group) * TILE);
    }
}

/* 32 rows of x (two blocks) times the step's two panels; a missing block or panel is computed and not read. */
static void multiply(const kw_wide *d, const step *s, size_t row, const unsigned char *b)
{
    size_t block = ROWS * d->x_stride, stride = 64 * d->n_panels;
    bool two_rows = row + ROWS < d->n_x;
    const unsigned char *a0 = d->x + row / ROWS * block + s->group * TILE;
    const unsigned char *a1 = two_rows ? a0 + block : a0;
    const unsigned char *b1 = s->n_panels == 2 ? b + STEP_GROUPS * TILE : b;
    float *c = d->out + row * 16 * d->n_panels + 16 * s->panel;
    size_t right = s->n_panels == 2 ? 16 : 0, down = two_rows ? ROWS * 16 * d->n_panels : 0;
    if (s->group) {
        _tile_loadd(0, c, stride);
        _tile_loadd(1, c + right, stride);
        _tile_loadd(2, c + down, stride);
        _tile_loadd(3, c + down + right, stride);
    } else {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
    }
    for (size_t g = 0; g < s->n_groups; g++) {
        _tile_stream_loadd(4, a0 + g * TILE, 64);
        _tile_loadd(6, b + g * TILE, 64);
        _tile_dpbf16ps(0, 4, 6);
        _tile_loadd(7, b1 + g * TILE, 64);
        _tile_dpbf16ps(1, 4, 7);
        _tile_stream_loadd(5, a1 + g * TILE, 64);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
    }
    _tile_stored(3, c + down + right, stride);
    _tile_stored(2, c + down, stride);
    _tile_stored(1, c + right, stride);
    _tile_stored(0, c, stride);
}

static void wide(const kw_wide *d)
{
    unsigned char *now = d->scratch, *next = now + STEP_BYTES;
    size_t n = steps_of(d), blocks = (d->n_x + 2 * ROWS - 1) / (2 * ROWS);
    size_t each = (2 * STEP_GROUPS + blocks - 1) / blocks;
    step s = step_at(d, 0);
    configure();
    expand(d, &s, 0, 2 * STEP_GROUPS, now);
    for (size_t i = 0; i < n; i++) {
        step after = step_at(d, i + 1 < n ? i + 1 : i);
        for (size_t m = 0; m < blocks; m++) {
            multiply(d, &s, m * 2 * ROWS, now);
            if (i + 1 < n) expand(d, &after, m * each, (m + 1) * each, next);
        }
        unsigned char *spare = now;
        now = next;
        next = spare;
        s = after;
    }
    _tile_release();
}

/* A row of x to its place in its block: 32 k of each of 16 rows, then the next 32 k. */
static void encode_wide(const float *x, void *base, size_t row, size_t k)
{
    unsigned char *to = (unsigned char *)base + row / ROWS * ROWS * kw_wide_row_bytes(k);
    to += row % ROWS * 64;
    for (size_t g = 0; g < k / KW_GROUP; g++, x += KW_GROUP, to += TILE) {
        __m512bh both = _mm512_cvtne2ps_pbh(v_load(x + 16), v_load(x));
        memcpy(to, &both, sizeof both);
    }
}

const kw_kernels kw_kernels_amx = {
    .name = "amx",
    .needs = KW_CPU_AVX2 | KW_CPU_FMA | KW_CPU_F16C | KW_CPU_AVX512F | KW_CPU_AVX512BW |
             KW_CPU_AVX512VL | KW_CPU_AVX512DQ | KW_CPU_AVX512VNNI | KW_CPU_AVX512BF16 |
             KW_CPU_AMX_BF16,
    .encode_wide = encode_wide,
    .wide = wide,
    .tile = TILES,
};
