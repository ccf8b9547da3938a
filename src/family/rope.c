/* rope.c - rotary frequencies in all their flavours, and what a file must say of them.
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
#include "family/blocks.h"
#include <math.h>
#include <string.h>

static const double pi = 3.14159265358979323846;

static bool is_type(const kw_rope_config *c, const char *type) { return !strcmp(c->type, type); }

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

double kw_yarn_growth(double factor, double weight)
{
    return factor <= 1 ? 1 : 0.1 * weight * kw_log_e(factor) + 1;
}

/* A config tells the scale, or two weights of which it is made; GGUF tells what comes on top of the usual one. */
static void settle_yarn(kw_rope_config *c, bool from_gguf)
{
    double usual = kw_yarn_growth(c->factor, 1), told = c->attention_factor;
    bool has_weights = c->mscale != 0 && c->mscale_all_dim != 0;
    if (told > 0) c->yarn_scale = from_gguf ? told * usual : told;
    else if (has_weights)
        c->yarn_scale =
            kw_yarn_growth(c->factor, c->mscale) / kw_yarn_growth(c->factor, c->mscale_all_dim);
    else c->yarn_scale = usual;
}

static void yarn(const kw_rope_config *c, float *freq, float *scale)
{
    double low = yarn_index(c, c->beta_fast), high = yarn_index(c, c->beta_slow);
    if (c->truncate) low = floor(low), high = ceil(high);
    low = low < 0 ? 0 : low;
    high = high > c->head_dim - 1 ? c->head_dim - 1 : high;
    if (low == high) high += 0.001;
    for (int j = 0; j < c->head_dim / 2; j++) {
        float ramp = (float)(((float)j - (float)low) / (float)(high - low));
        ramp = ramp < 0 ? 0 : ramp > 1 ? 1 : ramp;
        float keep = 1 - ramp, f = plain(c, c->base, j);
        freq[j] = f / (float)c->factor * (1 - keep) + f * keep;
    }
    *scale = (float)c->yarn_scale;
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
    if (is_type(c, "yarn")) {
        yarn(c, freq, scale);
        return;
    }
    if (is_type(c, "longrope")) {
        longrope(c, divisors, freq, scale);
        return;
    }
    double base = is_type(c, "dynamic") ? dynamic_base(c, length) : c->base;
    for (int j = 0; j < c->head_dim / 2; j++) {
        freq[j] = plain(c, base, j);
        if (is_type(c, "linear")) freq[j] /= (float)c->factor;
        if (is_type(c, "llama3")) freq[j] = llama3(c, freq[j]);
        if (divisors) freq[j] /= divisors[j];
    }
}

/* What the file divides frequencies by: Llama 3.1's one list (GGUF), longrope's two; NULL: nothing. */
static const float *divisors_of(const kw_rope_config *c, const kw_weights *w, int64_t length)
{
    bool is_long = length > c->original_ctx, has_two = is_type(c, "longrope");
    if (c->hf_type[0]) return NULL;
    kw_weight_ref t = !has_two ? w->rope_freqs : is_long ? w->rope_long : w->rope_short;
    if (t.t) return t.t->data;
    return !has_two ? NULL : is_long ? c->long_factor.at : c->short_factor.at;
}

void kw_frequencies(const kw_config *c, const kw_weights *w, int64_t length, float *freq,
                    float *scale)
{
    kw_rope_frequencies(&c->rope, length, divisors_of(&c->rope, w, length), freq, scale);
}

kw_status kw_check_divisors(const kw_config *c, kw_weights *w, kw_arena *arena)
{
    bool wants = c->from_gguf && is_type(&c->rope, "longrope");
    (void)arena;
    if (wants == (w->rope_long.t != NULL) && wants == (w->rope_short.t != NULL)) return KW_OK;
    return kw_fail(
        KW_EFORMAT,
        "rope_factors_long.weight and rope_factors_short.weight are %s, the rope scaling "
        "type is \"%s\"\nwhy: they are longrope's, and it needs both",
        wants ? "not both there" : "there", c->rope.type);
}

/* ---- what the file says ---- */

static kw_status check_list(const kw_rope_config *c, const kw_floats *list, const char *name)
{
    if (list->n != c->head_dim / 2)
        return kw_fail(KW_EFORMAT, "longrope: %d numbers in %s, wanted %d", list->n, name,
                       c->head_dim / 2);
    for (int j = 0; j < list->n; j++)
        if (!(list->at[j] > 0))
            return kw_fail(KW_EFORMAT, "longrope: divisor %d of %s is %g", j, name,
                           (double)list->at[j]);
    return KW_OK;
}

/* GGUF files have longrope's divisors as tensors. */
static kw_status check_longrope(const kw_rope_config *c, bool from_gguf)
{
    if (c->original_ctx < 2)
        return kw_fail(KW_EFORMAT, "longrope: an original context of %d", c->original_ctx);
    if (from_gguf) return KW_OK;
    kw_status st = check_list(c, &c->short_factor, "short_factor");
    return st ? st : check_list(c, &c->long_factor, "long_factor");
}

static kw_status check_numbers(const kw_rope_config *c)
{
    bool is_stretched = *c->type && strcmp(c->type, "default") && strcmp(c->type, "none") &&
                        strcmp(c->type, "linear");
    if (c->head_dim <= 2 || c->head_dim % 2)
        return kw_fail(KW_EFORMAT, "rotary width %d: it must be even and more than 2", c->head_dim);
    if (!(c->base > 1) || !(c->factor > 0))
        return kw_fail(KW_EFORMAT, "rope base %g, factor %g", c->base, c->factor);
    if (is_stretched && (c->ctx <= 0 || c->original_ctx <= 0))
        return kw_fail(KW_EFORMAT, "rope type %s needs the original context, it is %d", c->type,
                       c->original_ctx);
    return KW_OK;
}

/* longrope was called su first. */
static void find_type(kw_rope_config *r)
{
    if (r->hf_type[0] && !r->type[0]) {
        memcpy(r->type, r->hf_type, sizeof r->type);
        r->factor = r->hf_factor;
    }
    if (is_type(r, "su")) memcpy(r->type, "longrope", sizeof "longrope");
}

kw_status kw_check_rope(kw_config *c, const char *types)
{
    kw_rope_config *r = &c->rope;
    if (!(r->share > 0 && r->share <= 1) || r->n_rotary < 0 || r->n_rotary > c->head_dim)
        return kw_fail(KW_EFORMAT, "rotary width %d (or %g) of %d", r->n_rotary, r->share,
                       c->head_dim);
    r->head_dim = r->n_rotary ? r->n_rotary : (int)(r->share * c->head_dim);
    r->ctx = c->ctx_train;
    if (r->original_ctx == 0) r->original_ctx = r->ctx;
    find_type(r);
    kw_status st = kw_check_word("rope scaling type", r->type, types);
    if (!st) st = check_numbers(r);
    if (!st && is_type(r, "yarn")) settle_yarn(r, c->from_gguf);
    if (!st && is_type(r, "longrope")) st = check_longrope(r, c->from_gguf);
    c->n_rope = r->head_dim / 2;
    c->rope_by_length = is_type(r, "dynamic");
    c->rope_switch = is_type(r, "longrope") ? r->original_ctx : 0;
    return st;
}
