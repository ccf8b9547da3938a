/* pack.h - a file of packed weights: what a device makes of a model's matrices, kept for the next start.
 *
 *     0       header, 128 bytes    magic, versions, whose weights, where the index is and its checksum; its own checksum
 *     128     8 stamps, 16 bytes   states of the source files that were found to hold these weights
 *     256     index                64 bytes a tensor, then the names and the path of the source
 *     ...     tensors              each on a page of its own, in the order of the index
 *
 * Everything is little endian. A file is used only as a whole and only when every number fits: versions, layouts and
 * identity of the reader, checksums of header and index, sizes, extents in order and inside the file. What the tensors hold is
 * covered by checksums that are written with them and compared by whoever asks (kw_pack_sum), not at every start. */
#ifndef KW_FORMAT_PACK_H
#define KW_FORMAT_PACK_H

#include "format/format.h"

enum { KW_PACK_FORM = 1, KW_PACK_PAGE = 4096, KW_PACK_ROWS = 16 /* a part */, KW_PACK_STAMPS = 8 };

/* What the reader is: a file of another one is of no use. */
typedef struct kw_pack_maker {
    uint32_t version; /* of the layouts */
    uint64_t layouts; /* checksum over their description */
} kw_pack_maker;

/* Sums (kw_pack_sum) are over the parts that 16 rows are: of the packed bytes, and of the source's rows. */
typedef struct kw_pack_entry {
    kw_str name;
    kw_dtype dtype;
    uint64_t rows, cols, at, bytes, sum, source_sum;
} kw_pack_entry;

typedef struct kw_pack {
    const unsigned char *data; /* borrowed: the whole file */
    size_t size;
    kw_pack_maker maker;
    kw_identity identity;
    size_t n;
    kw_str source;  /* the path of the model when it was packed; "" where unknown */
    uint64_t check; /* of the header: binds stamps to it */
} kw_pack;

/* KW_EFORMAT says what is wrong. Reads nothing but header and index. */
kw_status kw_pack_read(const void *data, size_t size, kw_pack *out);
kw_pack_entry kw_pack_at(const kw_pack *p, size_t i);
bool kw_pack_knows(const kw_pack *p, uint64_t stamp);

/* A stamp as it stands in the file, and where the next one goes. */
typedef struct kw_pack_stamp {
    uint64_t at;
    unsigned char bytes[16];
} kw_pack_stamp;
kw_pack_stamp kw_pack_new_stamp(const kw_pack *p, uint64_t stamp);

/* ---- writing ---- */
typedef struct kw_pack_draft {
    kw_pack_maker maker;
    kw_identity identity;
    kw_str source;
    uint64_t stamp; /* 0: none */
    kw_pack_entry *entries;
    size_t n;
} kw_pack_draft;

/* Gives each entry its place by its bytes; returns the size of the file. */
uint64_t kw_pack_lay_out(kw_pack_draft *d);
/* Header and index, once every entry is complete. */
kw_status kw_pack_write_head(const kw_pack_draft *d, kw_buf *out);

/* ---- sums ---- */
/* The sum over data[0..size) in parts of `part` bytes, the first of which is number `first`: sums over stretches add up. All
 * threads of the pool. */
uint64_t kw_pack_sum(kw_pool *pool, const kw_str *bytes, size_t part, size_t first);

#endif
