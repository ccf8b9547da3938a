/* relaxed_test.c - tries the kernels of relaxed SIMD against those of plain SIMD128 before a machine may use them.
 *
 * Some engines compile the new instructions wrongly (Node 20 gives other numbers, not an error), and only results can tell. Every
 * format's products of few rows and of many are computed by both, over random codes and activations of both signs; sums of
 * products are exact integers, so only roundings of f32 may differ, and of many rows what eight bits round. A wrong product is
 * off by orders of magnitude. */
#include "cpu/panel.h"
#include "cpu/relaxed.h"
#include <math.h>
#include <string.h>

enum { K = 256, GROUPS = K / KW_GROUP, ROWS = 16, N_X = 7, MOST_PANEL = K * ROWS * 4 };

/* What both sides compute with. */
typedef struct trial {
    _Alignas(64) unsigned char panel[MOST_PANEL], codes[32 * 1024], scratch[KW_WIDE_SCRATCH];
    kw_group_x groups[GROUPS * N_X];
    float x[N_X * K], want[48 * ROWS], got[48 * ROWS];
    uint32_t seed;
} trial;

static uint32_t next(trial *t)
{
    t->seed = t->seed * 1664525u + 1013904223u;
    return t->seed >> 8;
}

/* Any codes; scales are the halves and floats of bytes below 64: small, and numbers. */
static void fill_panel(trial *t, kw_dtype type)
{
    const kw_panel_format *f = kw_panel_format_of(type);
    size_t groups = (size_t)f->k / KW_GROUP, bytes = kw_panel_bytes(type, K);
    for (size_t i = 0; i < bytes; i++) {
        size_t at = i % f->bytes, from = f->codes_at, to = from + groups * f->group_bytes;
        bool is_code = f->scales != KW_SCALE_NONE && at >= from && at < to;
        t->panel[i] = (unsigned char)(next(t) & (is_code ? 255 : 63));
    }
}

static void few(trial *t, const kw_kernels *row, const kw_kernels *codes, kw_dtype type, float *out)
{
    for (size_t i = 0; i < N_X; i++)
        for (size_t g = 0; g < GROUPS; g++)
            codes->encode_group(t->x + i * K + g * KW_GROUP, &t->groups[g * N_X + i]);
    kw_few d = { .w = { t->panel },
                 .dst = { out },
                 .n_panels = 1,
                 .x = t->groups,
                 .plain = t->x,
                 .plain_stride = K,
                 .dst_stride = ROWS,
                 .n_x = N_X,
                 .groups = GROUPS };
    row->few[type](&d);
}

static void wide(trial *t, const kw_kernels *row, bool bytes, kw_dtype type, float *out)
{
    kw_wide d = { .w = t->panel,
                  .x = t->codes,
                  .panel_bytes = kw_panel_bytes(type, K),
                  .n_panels = 1,
                  .x_stride = bytes ? kw_wide8_row_bytes(K) : kw_wide_row_bytes(K),
                  .n_x = N_X,
                  .k = K,
                  .tile = bytes ? row->bytes[type] : row->tile[type],
                  .halves = kw_panel_format_of(type)->scales == KW_SCALE_BYTE16,
                  .out = out,
                  .scratch = t->scratch };
    for (size_t i = 0; i < N_X; i++)
        (bytes ? row->encode_wide8 : row->encode_wide)(t->x + i * K, t->codes, i, K);
    (bytes ? row->wide8 : row->wide)(&d);
}

/* Off by no more than this share of the largest result? NaN is. */
static bool near(const trial *t, double share)
{
    double most = 0;
    for (size_t i = 0; i < N_X * ROWS; i++) most = fmax(most, fabs((double)t->want[i]));
    for (size_t i = 0; i < N_X * ROWS; i++)
        if (!(fabs((double)t->want[i] - (double)t->got[i]) <= share * most)) return false;
    return most > 0;
}

static bool is_right(trial *t, kw_dtype type)
{
    const kw_kernels *plain = &kw_packed_wasm128, *relaxed = &kw_kernels_relaxed;
    const kw_kernels *row = relaxed->few[type] ? relaxed : &kw_relaxed_words;
    if (kw_panel_bytes(type, K) > MOST_PANEL) return false;
    fill_panel(t, type);
    few(t, plain, plain, type, t->want);
    few(t, row, relaxed, type, t->got);
    if (!near(t, 1e-4)) return false;
    if (!relaxed->bytes[type]) return true;
    wide(t, plain, false, type, t->want);
    wide(t, relaxed, true, type, t->got);
    return near(t, 0.03);
}

bool kw_relaxed_works(void)
{
    trial *t = kw_calloc(1, sizeof *t, KW_PAY_SCRATCH);
    bool right = t != NULL;
    if (!t) return false;
    for (size_t i = 0; i < N_X * K; i++) t->x[i] = (float)((int)(next(t) & 0xffff) - 32768) / 8192;
    for (int type = 0; type < KW_DTYPE_COUNT && right; type++)
        if (kw_packed_wasm128.few[type]) right = is_right(t, (kw_dtype)type);
    kw_free(t);
    return right;
}
