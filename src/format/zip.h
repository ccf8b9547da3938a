/* zip.h - the members of a zip archive that lie in it as they are (format/ only). */
#ifndef KW_FORMAT_ZIP_H
#define KW_FORMAT_ZIP_H

#include "format/format.h"

typedef struct kw_zip_member {
    kw_str name; /* borrowed from the source */
    const unsigned char *data;
    size_t bytes;
    uint64_t at; /* of its local header */
} kw_zip_member;

typedef struct kw_zip {
    kw_zip_member *members; /* in the order of their places in the file */
    size_t n;
    kw_map by_name;
} kw_zip;

/* Refused with a reason: truncated files, members that are compressed, encrypted, overlap, have one name, or lie outside. Checksums
 * are not compared: that would read every weight. */
kw_status kw_zip_open(const kw_source *s, kw_zip *out);
void kw_zip_close(kw_zip *z);                                   /* a zeroed one is fine */
const kw_zip_member *kw_zip_find(const kw_zip *z, kw_str name); /* NULL when absent */

/* npy.c: the zip of arrays that NumPy writes. */
bool kw_npz_fits(const kw_zip *z);
kw_status kw_npz_read(kw_checkpoint *ck, const kw_zip *z);

#endif
