/* blocks.c - what several families share: rotary frequencies in all their flavours.
 *
 * A frequency is base^(-2j/d). The flavours stretch a trained context:
 *   linear   every frequency divided by factor
 *   dynamic  the base grows with the length once it passes the trained context
 *   llama3   low frequencies divided, high ones kept, a ramp between (Llama 3.1)
 *   yarn     the same idea by rotations per context, and cos and sin are scaled (arXiv 2309.00071)
 * GGUF files of Llama 3.1 carry the result of the ramp as divisors instead (rope_freqs.weight).
 *
 * Each step is rounded to f32 where PyTorch code rounds: with f64 throughout, positions in the thousands would
 * differ in the last bits of the angle. */
#include "family/family.h"
#include <math.h>
#include <string.h>

static const double pi = 3.14159265358979323846;

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

void kw_rope_frequencies(const kw_rope_config *c, int64_t length, const float *divisors,
                         float *freq, float *scale)
{
    *scale = 1;
    if (strcmp(c->type, "yarn") == 0) {
        yarn(c, freq, scale);
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
                                         "dynamic", "llama3",  "yarn" };
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
        "rope scaling type \"%s\"\nwhy: known are default, linear, dynamic, llama3, yarn", c->type);
}
