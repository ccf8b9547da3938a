/* cpu.h - the door of cpu/: runs plans on cores. */
#ifndef KW_CPU_H
#define KW_CPU_H

#include "plan/plan.h"

extern const kw_backend kw_backend_cpu;

/* For kw_engine_describe: borrowed, valid for the life of the process or of the device. */
const char *kw_cpu_isa(const kw_device *d); /* the widest row in use */
void kw_cpu_list_rows(kw_buf *out);         /* "generic avx2 [avx512]" */
void kw_cpu_list_features(kw_buf *out);

/* Whether sessions in fast mode must lay their cache out in tiles (plan/backend.h). */
bool kw_cpu_tiles_cache(const kw_device *d);

/* Packed weights (panel.h): whether this device multiplies the tensor faster from a layout of its own, how many bytes that
 * takes, and making it: panels from..from+n, each of 16 rows (all threads of the device's pool; out is 64-byte aligned). */
bool kw_cpu_packs(const kw_device *d, const kw_tensor *t);
size_t kw_cpu_panels(const kw_tensor *t);
size_t kw_cpu_panel_bytes(const kw_tensor *t);
void kw_cpu_pack(kw_device *d, const kw_tensor *t, size_t from, size_t n, void *out);
/* Whether panels hold all that the rows held, so that they may lie in their place. */
bool kw_cpu_keeps(const kw_tensor *t);
/* A row as the file has it: where it lies, or put together in `room` (kw_cpu_row_room bytes, 0 when none is needed) from panels
 * that took its place. */
const void *kw_cpu_row(const kw_tensor *t, int64_t row, void *room);
size_t kw_cpu_row_room(const kw_tensor *t);
/* What the layouts are: packed weights of another version, or another description, are another thing. */
uint32_t kw_cpu_layout_version(void);
uint64_t kw_cpu_layouts(void);

/* Bytes a second that all threads together read (memory, four streams each); the best of `runs` passes. */
kw_status kw_cpu_bandwidth(kw_pool *pool, int runs, double *bytes_per_second);

#endif
