/* backend.h - the thirteen functions that run plans on a device.
 *
 * A backend is one const struct. prepare turns a sealed plan into a program of its own (pipelines, a captured graph,
 * a list of steps); submit starts a run with a binding; poll says how it goes. A browser thread may not block, so
 * submit/poll is the only interface; a backend that computes in submit fits it trivially.
 *
 * A run that meets a CUT stops: poll returns KW_PENDING and program->request says what is asked. Whoever answers
 * writes request.answer and sets request.answered; the next poll goes on. */
#ifndef KW_PLAN_BACKEND_H
#define KW_PLAN_BACKEND_H

struct kw_plan;
typedef struct kw_device kw_device; /* the backend's own */

/* Device memory. On the CPU `host` is the memory itself; elsewhere it is NULL. */
typedef struct kw_memory {
    void *host;
    size_t bytes;
} kw_memory;

/* The cache of a run. A page holds page_rows positions of one sequence for all layers:
 *
 *     page: layer 0: K head 0 .. K head n-1   V head 0 .. V head n-1
 *           layer 1: K ...
 *
 * Position t of sequence s lies in pages[s][t / page_rows]. What a head's matrix looks like is the dtype's business
 * (kv_layout.c): f32, f16 and bf16 are plain rows; int8 has a scale for every 16 positions behind its rows.
 *
 * Sequences that began with the same text hold the same page by the same pointer, so that a backend can read it once
 * for the rows of all of them. */
enum { KW_KV_SCALE_ROWS = 16 }; /* positions that share a scale in an int8 cache */
typedef struct kw_kv_layout {
    kw_dtype dtype; /* KW_F32, KW_F16, KW_BF16 or KW_I8, of those that the backend has */
    int n_layers, n_kv_heads, head_dim;
    int page_rows; /* a multiple of 16 */
} kw_kv_layout;
size_t kw_kv_page_bytes(const kw_kv_layout *l);
/* Bytes of one head's K or V inside a page. */
size_t kw_kv_head_bytes(const kw_kv_layout *l);
/* Byte offset of one layer's and head's matrix inside a page; is_v: V, else K. */
size_t kw_kv_offset(const kw_kv_layout *l, int layer, int head, bool is_v);
/* Byte offset, inside a head's int8 matrix, of its [page_rows / 16] f32 scales. */
size_t kw_kv_scales_at(const kw_kv_layout *l);

/* The bytes of a head's matrix that its first n_rows positions are made of: one or two spans, counted. */
typedef struct kw_kv_span {
    size_t at, bytes;
} kw_kv_span;
int kw_kv_spans(const kw_kv_layout *l, int n_rows, kw_kv_span span[2]);

typedef struct kw_kv_binding {
    kw_kv_layout layout;
    kw_memory *const *const *pages; /* [n_sequences][page] */
    size_t n_sequences;
} kw_kv_binding;

/* What changes from run to run. */
typedef struct kw_binding {
    const void *const *inputs;  /* by slot; host memory, borrowed until the run ends */
    void *const *outputs;       /* by slot; host memory of the value's recorded size */
    const kw_kv_binding *kv;    /* NULL when the plan has no ATTEND */
    kw_memory *scratch;         /* at least program->scratch_bytes */
    int64_t live[KW_DIM_COUNT]; /* rows alive, at most the recorded ones; [FIXED] is ignored */
    bool check; /* debug: after every op look for NaN and infinities, KW_EFORMAT names the op */
} kw_binding;

typedef struct kw_request {
    int tag;
    const void *question; /* [rows, cols] f32 */
    void *answer;         /* [rows, cols] f32: to be written */
    int64_t rows, cols;
    bool answered;
} kw_request;

typedef struct kw_program {
    size_t scratch_bytes; /* temporaries and the backend's own working memory */
    kw_request request;   /* valid while poll returns KW_PENDING */
} kw_program;             /* a backend's program begins with this */

typedef struct kw_device_options {
    kw_pool *pool;   /* borrowed; CPU */
    const char *isa; /* cap, "" or NULL for none; CPU */
} kw_device_options;

typedef struct kw_backend {
    const char *name;
    uint64_t kv_dtypes; /* bit 1 << dtype: what its cache rows may be */
    int (*count)(void); /* devices of this machine */
    kw_status (*open)(int index, const kw_device_options *o, kw_device **out);
    void (*close)(kw_device *d);
    kw_status (*alloc)(kw_device *d, size_t bytes, kw_payer payer, kw_memory **out);
    void (*free)(kw_device *d, kw_memory *m);
    kw_status (*upload)(kw_device *d, kw_memory *dst, size_t at, const void *src, size_t len);
    kw_status (*download)(kw_device *d, const kw_memory *src, size_t at, void *dst, size_t len);
    kw_status (*copy)(kw_device *d, kw_memory *dst, size_t dst_at, const kw_memory *src,
                      size_t src_at, size_t len);
    bool (*has)(const void *device, kw_opcode code); /* false: the plan expands it */
    kw_status (*prepare)(kw_device *d, const struct kw_plan *p, bool exact,
                         kw_program **out);                  /* p outlives it */
    kw_status (*submit)(kw_program *g, const kw_binding *b); /* b outlives the run */
    kw_status (*poll)(kw_program *g); /* KW_OK: done. KW_PENDING: see request */
    void (*drop)(kw_program *g);
} kw_backend;

#endif
