/* chi.h - do counts follow probabilities? Pearson's test, against a bound that right counts pass 9999 times of 10000. */
#ifndef KW_TEST_RUN_CHI_H
#define KW_TEST_RUN_CHI_H

#include <math.h>

/* The sum of (count - expected)^2 / expected; rare outcomes (expected below 5) are counted as one. */
static inline double chi_square(const int *count, const double *p, int n_outcomes, int n,
                                int *freedom)
{
    double sum = 0, rare_count = 0, rare = 0;
    *freedom = -1;
    for (int i = 0; i < n_outcomes; i++) {
        double want = p[i] * n, off = count[i] - want;
        if (want < 5) {
            rare_count += count[i];
            rare += want;
            continue;
        }
        sum += off * off / want;
        ++*freedom;
    }
    if (rare > 0) {
        sum += (rare_count - rare) * (rare_count - rare) / rare;
        ++*freedom;
    }
    return sum;
}

/* Wilson and Hilferty's approximation of the quantile, 3.719 deviations up. */
static inline double chi_bound(int freedom)
{
    double k = 2.0 / (9.0 * freedom), root = 1 - k + 3.719 * sqrt(k);
    return freedom * root * root * root;
}

#endif
