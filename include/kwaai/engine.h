/* engine.h - what all models of a process share: the worker threads and the choice of kernels.
 *
 *     kw_engine *e = NULL;
 *     if (kw_engine_open(NULL, &e)) { puts(kw_error_message()); return 1; }
 *     ...
 *     kw_engine_close(e);            after every model was released
 *
 * Thread word: an engine is synced for loading models; sessions of one engine take turns on its threads. */
#ifndef KWAAI_ENGINE_H
#define KWAAI_ENGINE_H

#include "kwaai/options.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct kw_engine kw_engine;

/* o: NULL for the defaults. KW_EINVAL when --isa names no kernel row (the message lists them). */
KW_API kw_status kw_engine_open(const kw_engine_options *o, kw_engine **out);
KW_API void kw_engine_close(kw_engine *e); /* NULL is fine */

/* What this machine has and what was chosen; texts are borrowed until close. */
typedef struct kw_engine_info {
    int threads;          /* at most one for each core that this process may use */
    const char *isa;      /* the widest kernel row in use: "avx512vnni" */
    const char *isa_rows; /* all rows this build has, narrow to wide, unusable ones in brackets */
    const char *cpu_features; /* "avx2 fma f16c avx512f ..." */
} kw_engine_info;
KW_API kw_engine_info kw_engine_describe(const kw_engine *e);

/* Read bandwidth of memory in bytes a second: all threads, four streams each over at least 256 MB, the best of `runs`
 * passes. Takes about 50 ms a pass. The yardstick for decoding, which reads every weight once a token. */
KW_API kw_status kw_engine_bandwidth(kw_engine *e, int runs, double *bytes_per_second);

/* Memory held by the library now, and the highest so far (mapped files are not counted). */
KW_API void kw_memory_use(size_t *live_bytes, size_t *peak_bytes);

/* "0.1.0" */
KW_API const char *kw_version(void);

#ifdef __cplusplus
}
#endif
#endif
