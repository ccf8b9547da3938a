/* amx.h - what the files of the AMX row share. */
#ifndef KW_CPU_AMX_H
#define KW_CPU_AMX_H

#include "cpu/kernels.h"
#include <immintrin.h>

typedef struct kw_tile_config {
    unsigned char palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    unsigned char rows[16];
} kw_tile_config;

/* Eight tiles of 16 rows of 64 bytes; _tile_release gives them back. */
static inline void kw_tiles_configure(void)
{
    kw_tile_config c = { .palette = 1 };
    for (int i = 0; i < 8; i++) {
        c.row_bytes[i] = 64;
        c.rows[i] = 16;
    }
    __asm__ volatile("" : : "r"(&c) : "memory"); /* gcc 12 believes that only 8 bytes are read */
    _tile_loadconfig(&c);
}

/* Before tiles are loaded from memory that was just written: gcc 12 does not know that they read it. */
static inline void kw_tiles_see_memory(void) { __asm__ volatile("" : : : "memory"); }

void kw_amx_split_query(const float *q, void *parts, size_t n);
void kw_amx_attend_many(const kw_attend_tiles *a);

#endif
