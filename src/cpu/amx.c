/* amx.c - the AMX row: many rows times packed weights on bf16 matrix tiles.
 *
 * A tile instruction multiplies 16 rows by 32 k by 16 columns. Weights are expanded to bf16 once for all rows of x, for every
 * format alike (tile.inc); accumulators stay in tiles for 512 k.
 *
 *     step: 512 k of two panels        B  [panel][16 groups][16 pairs][16 rows] bf16 pairs    32 KiB, the L1 cache
 *     x, by blocks of 16 rows          A  [32 k groups][16 rows][32 k] bf16                   loaded past the L1 cache
 *     sums                             C  out, the L2 cache
 *
 * While a step is multiplied, the next one's weights are expanded between its groups, so that the vector units work beside the
 * tiles, and those of the step after are fetched. Permission to use tiles is asked for when features are read
 * (features_x86.c). */
#include "cpu/amx.h"
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
#define TILE_IS_BF16
#include "cpu/tile.inc"

enum {
    STEP_GROUPS = 16,
    TURN = 4, /* groups multiplied between expansions */
    TILE = 1024,
    STEP_BYTES = 2 * STEP_GROUPS * TILE,
    ROWS = KW_WIDE_BLOCK,
    PANELS = 16, /* of a call: x is read from beyond the L2 cache once for so many */
};

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

/* The next step on its way: tiles `next` on of n, `each` of them whenever the tile units have work in hand. Both panels of a
 * group come after each other. */
typedef struct ahead {
    const kw_wide *d;
    step s;
    size_t next, n, each;
    unsigned char *out;
} ahead;

/* Asks for the same tile of the panels after these, which the step after this one takes (or of no use, behind the last). */
static void prefetch_after(const kw_wide *d, const unsigned char *panel, size_t group)
{
    size_t bytes = d->panel_bytes / (d->k / KW_GROUP);
    const char *p = (const char *)panel + 2 * d->panel_bytes + group * bytes;
    for (size_t at = 0; at < bytes; at += 64) _mm_prefetch(p + at, _MM_HINT_T1);
}

static void expand(ahead *a, size_t n)
{
    for (; n && a->next < a->n; n--, a->next++) {
        size_t panel = a->next % a->s.n_panels, at = a->next / a->s.n_panels;
        const unsigned char *w = a->d->w + (a->s.panel + panel) * a->d->panel_bytes;
        a->d->tile(w, a->s.group + at, a->out + (panel * STEP_GROUPS + at) * TILE);
        prefetch_after(a->d, w, a->s.group + at);
    }
}

static ahead begin_step(const kw_wide *d, size_t number, unsigned char *out)
{
    ahead a = { .d = d, .out = out };
    if (number >= steps_of(d)) return a;
    size_t turns = (d->n_x + 2 * ROWS - 1) / (2 * ROWS) * (STEP_GROUPS / TURN);
    a.s = step_at(d, number);
    a.n = a.s.n_groups * a.s.n_panels;
    a.each = (2 * STEP_GROUPS + turns - 1) / turns;
    return a;
}

static void load_sums(const float *c, size_t right, size_t down, size_t stride)
{
    _tile_loadd(0, c, stride);
    _tile_loadd(1, c + right, stride);
    _tile_loadd(2, c + down, stride);
    _tile_loadd(3, c + down + right, stride);
}

static void zero_sums(void)
{
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
}

/* 32 rows of x (two blocks) times the step's two panels, while the next step is expanded; a missing block or panel is computed
 * and not read. */
static void multiply(const step *s, size_t row, const unsigned char *b, ahead *next)
{
    const kw_wide *d = next->d;
    size_t block = ROWS * d->x_stride, stride = 64 * d->n_panels;
    bool two_rows = row + ROWS < d->n_x;
    const unsigned char *a0 = d->x + row / ROWS * block + s->group * TILE;
    const unsigned char *a1 = two_rows ? a0 + block : a0;
    const unsigned char *b1 = s->n_panels == 2 ? b + STEP_GROUPS * TILE : b;
    float *c = d->out + row * 16 * d->n_panels + 16 * s->panel;
    size_t right = s->n_panels == 2 ? 16 : 0, down = two_rows ? ROWS * 16 * d->n_panels : 0;
    kw_tiles_see_memory();
    if (s->group) load_sums(c, right, down, stride);
    else zero_sums();
    for (size_t g = 0; g < s->n_groups; g++) {
        _tile_stream_loadd(4, a0 + g * TILE, 64);
        _tile_loadd(6, b + g * TILE, 64);
        _tile_dpbf16ps(0, 4, 6);
        _tile_loadd(7, b1 + g * TILE, 64);
        _tile_dpbf16ps(1, 4, 7);
        _tile_stream_loadd(5, a1 + g * TILE, 64);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
        if (g % TURN == TURN - 1) expand(next, next->each);
    }
    _tile_stored(3, c + down + right, stride);
    _tile_stored(2, c + down, stride);
    _tile_stored(1, c + right, stride);
    _tile_stored(0, c, stride);
}

static void wide(const kw_wide *d)
{
    unsigned char *half[2] = { d->scratch, (unsigned char *)d->scratch + STEP_BYTES };
    size_t n = steps_of(d);
    ahead now = begin_step(d, 0, half[0]);
    kw_tiles_configure();
    expand(&now, now.n);
    for (size_t i = 0; i < n; i++) {
        ahead next = begin_step(d, i + 1, half[(i + 1) % 2]);
        for (size_t row = 0; row < d->n_x; row += 2 * ROWS) multiply(&now.s, row, now.out, &next);
        expand(&next, next.n);
        now = next;
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
    .wide_panels = PANELS,
    .tile = TILES,
    .split_query = kw_amx_split_query,
    .attend_many = kw_amx_attend_many,
};
