/* rng.h - xoshiro256++ seeded by splitmix64: the same seed, the same numbers, on every platform. */
#ifndef KW_BASE_RNG_H
#define KW_BASE_RNG_H

#include <stdint.h>

typedef struct kw_rng {
    uint64_t s[4];
} kw_rng;

void kw_rng_seed(kw_rng *r, uint64_t seed);
uint64_t kw_rng_u64(kw_rng *r);
uint64_t kw_rng_below(kw_rng *r, uint64_t n); /* 0..n-1 without bias; n > 0 */
double kw_rng_f64(kw_rng *r);                 /* [0, 1), 53 bits */
float kw_rng_normal(kw_rng *r);               /* mean 0, deviation 1 */

#endif
