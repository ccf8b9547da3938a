/* rng.c - xoshiro256++ (Blackman and Vigna), its state filled by splitmix64.
 *
 * The same seed gives the same numbers everywhere: only integer steps, and for the normal deviate
 * our own log and cosine and the IEEE square root, which is exact to the last bit on every machine.
 * Not for secrets. */
#include "base/rng.h"
#include "base/math.h"
#include <math.h>

static uint64_t rotate_left(uint64_t x, int n) { return x << n | x >> (64 - n); }

static uint64_t splitmix(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return z ^ z >> 31;
}

void kw_rng_seed(kw_rng *r, uint64_t seed)
{
    for (int i = 0; i < 4; i++) r->s[i] = splitmix(&seed);
}

uint64_t kw_rng_u64(kw_rng *r)
{
    uint64_t *s = r->s;
    uint64_t result = rotate_left(s[0] + s[3], 23) + s[0], t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate_left(s[3], 45);
    return result;
}

uint64_t kw_rng_below(kw_rng *r, uint64_t n)
{
    uint64_t x, surplus = (0 - n) % n; /* 2^64 mod n: values below it would favour small results */
    do x = kw_rng_u64(r);
    while (x < surplus);
    return x % n;
}

double kw_rng_f64(kw_rng *r) { return (double)(kw_rng_u64(r) >> 11) * 0x1p-53; }

/* Box and Muller's transform; its second value is dropped so that the state is the seed's alone. */
float kw_rng_normal(kw_rng *r)
{
    const double two_pi = 6.283185307179586;
    double radius = sqrt(-2 * kw_log_e(1 - kw_rng_f64(r)));
    return (float)(radius * kw_cos(two_pi * kw_rng_f64(r)));
}
