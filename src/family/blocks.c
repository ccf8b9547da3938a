/* blocks.c - what several families share: a check of sizes, rotary frequencies in all their flavours, and which layers
 * have a window.
 *
 * A frequency is base^(-2j/d). The flavours stretch a trained context:
 *   linear   every frequency divided by factor
 *   dynamic  the base grows with the length once it passes the trained context
 *   llama3   low frequencies divided, high ones kept, a ramp between (Llama 3.1)
 *   yarn     the same idea by rotations per context, and cos and sin are scaled (arXiv 2309.00071)
 *   longrope every frequency has a divisor of its own, one for short and one for long texts, and cos and sin are scaled
 *            (arXiv 2402.13753)
 * GGUF files of Llama 3.1 carry the result of the ramp as divisors instead (rope_freqs.weight).
 *
 * Each step is rounded to f32 where PyTorch code rounds: with f64 throughout, positions in the thousands would
 * differ in the last bits of the angle. */
#include "family/family.h"
#include <math.h>
#include <string.h>

static const double pi = 3.14159265358979323846;

kw_status kw_check_sizes(const kw_size *sizes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (sizes[i].value < 1 || sizes[i].value > sizes[i].max)
            return kw_fail(KW_EFORMAT, "%s is %d, expected 1 to %d", sizes[i].name, sizes[i].value,
                           sizes[i].max);
    return KW_OK;
}

kw_val kw_begin_rope(kw_plan *p, const void *config, const kw_decoder_inputs *in)
{
    (void)config;
    return kw_rope_table(p, in->rows, in->freq, in->rope_scale);
}

kw_val kw_begin_nothing(kw_plan *p, const void *config, const kw_decoder_inputs *in)
{
    (void)p, (void)config, (void)in;
    return KW_NONE;
}

static float plain(const kw_rope_config *c, double base, int j)
{
    float exponent = (float)(2 * j) / (float)c->head_dim;
    return 1.0f / (float)kw_pow(base, (double)exponent);
}

static double dynamic_base(const kw_rope_config *c, int64_t length)
{
    double len = length > c->ctx ? (double)length : (double)c->ctx, d = c->head_dim;
    return c->base * kw_pow(c->factor * len / c->ctx - (c->factor - 1), d / (d - 2));
}

static float llama3(const kw_rope_config *c, float f)
{
    float wave = (float)(2 * pi) / f;
    float low = (float)(c->original_ctx / c->low), high = (float)(c->original_ctx / c->high);
    if (wave < high) return f;
    if (wave > low) return f / (float)c->factor;
    float s = ((float)c->original_ctx / wave - (float)c->low) / (float)(c->high - c->low);
    return (1 - s) * f / (float)c->factor + s * f;
}

/* The index at which a frequency turns `rotations` times within the original context. */
static double yarn_index(const kw_rope_config *c, double rotations)
{
    return c->head_dim * kw_log_e(c->original_ctx / (rotations * 2 * pi)) / (2 * kw_log_e(c->base));
}

static void yarn(const kw_rope_config *c, float *freq, float *scale)
{
    double low = floor(yarn_index(c, c->beta_fast)), high = ceil(yarn_index(c, c->beta_slow));
    low = low < 0 ? 0 : low;
    high = high > c->head_dim - 1 ? c->head_dim - 1 : high;
    if (low == high) high += 0.001;
    for (int j = 0; j < c->head_dim / 2; j++) {
        float ramp = (float)(((float)j - (float)low) / (float)(high - low));
        ramp = ramp < 0 ? 0 : ramp > 1 ? 1 : ramp;
        float keep = 1 - ramp, f = plain(c, c->base, j);
        freq[j] = f / (float)c->factor * (1 - keep) + f * keep;
    }
    bool given = c->attention_factor > 0;
    *scale = (float)(given            ? c->attention_factor
                     : c->factor <= 1 ? 1
                                      : 0.1 * kw_log_e(c->factor) + 1);
}

/* factor 1: it is the ratio of the contexts. */
static float longrope_scale(const kw_rope_config *c)
{
    double factor = c->factor != 1 ? c->factor : (double)c->ctx / c->original_ctx;
    if (c->attention_factor > 0) return (float)c->attention_factor;
    return factor <= 1 ? 1 : (float)sqrt(1 + kw_log_e(factor) / kw_log_e(c->original_ctx));
}

static void longrope(const kw_rope_config *c, const float *divisors, float *freq, float *scale)
{
    for (int j = 0; j < c->head_dim / 2; j++) {
        float exponent = (float)(2 * j) / (float)c->head_dim;
        freq[j] = 1.0f / ((divisors ? divisors[j] : 1) * (float)kw_pow(c->base, (double)exponent));
    }
    *scale = longrope_scale(c);
}

void kw_rope_frequencies(const kw_rope_config *c, int64_t length, const float *divisors,
                         float *freq, float *scale)
{
    *scale = 1;
    if (strcmp(c->type, "yarn") == 0) {
        yarn(c, freq, scale);
        return;
    }
    if (strcmp(c->type, "longrope") == 0) {
        longrope(c, divisors, freq, scale);
        return;
    }
    double base = strcmp(c->type, "dynamic") == 0 ? dynamic_base(c, length) : c->base;
    for (int j = 0; j < c->head_dim / 2; j++) {
        freq[j] = plain(c, base, j);
        if (strcmp(c->type, "linear") == 0) freq[j] /= (float)c->factor;
        if (strcmp(c->type, "llama3") == 0) freq[j] = llama3(c, freq[j]);
        if (divisors) freq[j] /= divisors[j];
    }
}

kw_status kw_rope_check(const kw_rope_config *c)
{
    static const char *const types[] = { "",        "default", "none", "linear",
                                         "dynamic", "llama3",  "yarn", "longrope" };
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (strcmp(c->type, types[i]) != 0) continue;
        if (c->head_dim <= 2 || c->head_dim % 2)
            return kw_fail(KW_EFORMAT, "rotary width %d: it must be even and more than 2",
                           c->head_dim);
        if (!(c->base > 1) || !(c->factor > 0))
            return kw_fail(KW_EFORMAT, "rope base %g, factor %g", c->base, c->factor);
        if (i >= 4 && (c->ctx <= 0 || c->original_ctx <= 0))
            return kw_fail(KW_EFORMAT, "rope type %s needs the original context, it is %d", c->type,
                           c->original_ctx);
        return KW_OK;
    }
    return kw_fail(
        KW_EUNSUPPORTED,
        "rope scaling type \"%s\"\nwhy: known are default, linear, dynamic, llama3, yarn, longrope",
        c->type);
}

/* In f32, as PyTorch has it: some powers of two lie on a boundary. */
int kw_distance_bucket(int distance, int n, int most)
{
    int exact = n / 2;
    if (distance < exact) return distance;
    float share = (float)kw_log_e((double)((float)distance / (float)exact));
    share = share / (float)kw_log_e((double)most / exact) * (float)(n - exact);
    return share < (float)(n - exact) ? exact + (int)share : n - 1;
}

static bool is_sliding(kw_str type) { return kw_str_is(type, "sliding_attention"); }

int kw_window_of(const kw_windows *w, int il)
{
    if (w->types.n) return is_sliding(w->types.at[il]) ? w->size : 0;
    if (w->pattern.n == 1) return (il + 1) % (int)w->pattern.at[0] ? w->size : 0;
    if (w->pattern.n) return w->pattern.at[il] != 0 ? w->size : 0;
    return il >= w->from ? w->size : 0;
}

int kw_window_of_all(const kw_windows *w, int n_layers)
{
    for (int il = 0; il < n_layers; il++)
        if (kw_window_of(w, il) == 0) return 0;
    return w->size;
}

static kw_status check_type(const kw_windows *w, int il)
{
    kw_str t = w->types.at[il];
    if (!is_sliding(t) && !kw_str_is(t, "full_attention"))
        return kw_fail(KW_EUNSUPPORTED,
                       "layer %d has type \"%.*s\"\nwhy: known are full_attention and "
                       "sliding_attention",
                       il, (int)(t.n < 64 ? t.n : 64), t.p);
    if (is_sliding(t) && w->size == 0)
        return kw_fail(KW_EFORMAT, "layer %d has a sliding window, but its size is not given", il);
    return KW_OK;
}

kw_status kw_windows_check(const kw_windows *w, int n_layers)
{
    if (w->size < 0) return kw_fail(KW_EFORMAT, "a sliding window of %d positions", w->size);
    if (w->types.n && w->types.n != n_layers)
        return kw_fail(KW_EFORMAT, "types of %d layers (layer_types), the model has %d", w->types.n,
                       n_layers);
    if (w->pattern.n > 1 && w->pattern.n != n_layers)
        return kw_fail(KW_EFORMAT, "a window pattern of %d layers, the model has %d", w->pattern.n,
                       n_layers);
    if (w->pattern.n == 1 && !(w->pattern.at[0] >= 1 && w->pattern.at[0] <= 65536))
        return kw_fail(KW_EFORMAT, "every %g-th layer is to be without a window",
                       (double)w->pattern.at[0]);
    for (int il = 0; il < w->types.n; il++) {
        kw_status st = check_type(w, il);
        if (st) return st;
    }
    return KW_OK;
}
