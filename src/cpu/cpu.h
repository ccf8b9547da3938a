/* cpu.h - the door of cpu/: runs plans on cores. */
#ifndef KW_CPU_H
#define KW_CPU_H

#include "plan/plan.h"

extern const kw_backend kw_backend_cpu;

/* For kw_engine_describe: borrowed, valid for the life of the process or of the device. */
const char *kw_cpu_isa(const kw_device *d); /* the widest row in use */
void kw_cpu_list_rows(kw_buf *out);         /* "generic avx2 [avx512]" */
void kw_cpu_list_features(kw_buf *out);

/* Bytes a second that all threads together read (memory, four streams each); the best of `runs` passes. */
kw_status kw_cpu_bandwidth(kw_pool *pool, int runs, double *bytes_per_second);

#endif
