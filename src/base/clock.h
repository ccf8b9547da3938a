/* clock.h - time and chance from the platform (port_*.c). */
#ifndef KW_BASE_CLOCK_H
#define KW_BASE_CLOCK_H

#include <stdint.h>

uint64_t kw_now_ns(void);      /* monotonic */
int64_t kw_wall_ns(void);      /* since 1970: only to compare with times of files */
uint64_t kw_random_seed(void); /* unpredictable; for seeds that nobody chose */

#endif
