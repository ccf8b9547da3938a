/* pack.h - what the files of packing share. */
#ifndef KW_RUN_PACK_H
#define KW_RUN_PACK_H

#include "format/pack.h"
#include "run/run.h"

/* pack.c. Gives the model's matrices the layout of the device, as o->pack says. */
kw_status kw_model_pack(kw_model *m, const char *path, const kw_model_options *o);
void kw_model_unpack(kw_model *m);
kw_status kw_pack_list(const kw_model *m, kw_arena *arena, kw_packed *out); /* matrices and n */
void kw_pack_forget_source(kw_model *m, const kw_matrix *w);

/* The model's weight of a row of its family's table, in layer il where the row is of layers. */
const kw_weight_ref *kw_pack_weight(const kw_model *m, const kw_family *f, const kw_weight_row *row,
                                    int il);

/* pack_place.c, for a matrix in memory that may be written: whether its panels may take the place of its rows, and that. *rest
 * holds those that had no room, and stays NULL when all had. KW_ENOMEM: nothing changed. */
bool kw_pack_has_place(const kw_model *m, const kw_tensor *t);
kw_status kw_pack_replace(kw_model *m, kw_tensor *t, kw_memory **rest);

/* Work that is shown while it goes on. */
typedef struct kw_pack_job {
    kw_model *m;
    const kw_model_options *o;
    const char *what;
    uint64_t done, total;
} kw_pack_job;
void kw_pack_progress(kw_pack_job *j, uint64_t more);
uint64_t kw_pack_total(const kw_packed *p);

/* pack_file.c. <dir>/<identity>.<version>.pack */
kw_status kw_pack_path(const kw_model *m, const char *dir, kw_buf *path);
kw_pack_maker kw_pack_this_maker(void);
/* Uses the file; what it says about these weights must be true. KW_ENOTFOUND, KW_EFORMAT, KW_EIO: it is not used. */
kw_status kw_pack_adopt(kw_model *m, const char *path, const kw_model_options *o);
/* Is it of this build and these weights, with every matrix of the list? And, all of them read: are the list's rows those
 * that it was made of? */
kw_status kw_pack_check(const kw_model *m, const kw_packed *list, const kw_pack *p);
kw_status kw_pack_compare_source(kw_model *m, const kw_packed *list, const kw_pack *p,
                                 const kw_model_options *o);
/* The rows of panels from..from+n of those at one place in memory; n is cut to them. */
kw_str kw_pack_source_rows(const kw_tensor *t, size_t from, size_t *n);

/* pack_write.c. KW_PENDING: another process is at it. */
kw_status kw_pack_write(kw_model *m, const char *source, const char *path,
                        const kw_model_options *o);

#endif
