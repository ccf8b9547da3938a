/* engine.c - the threads and the backend that all models of a process share, and the option defaults. */
#include "run/run.h"

#define INIT(type, name, dflt, ...) .name = dflt,

kw_engine_options kw_engine_defaults(void)
{
    return (kw_engine_options){
#define KW_ENGINE_OPT(...) INIT(__VA_ARGS__)
#include "kwaai/options.def"
    };
}

kw_model_options kw_model_defaults(void)
{
    return (kw_model_options){
#define KW_MODEL_OPT(...) INIT(__VA_ARGS__)
#include "kwaai/options.def"
    };
}

kw_session_options kw_session_defaults(void)
{
    return (kw_session_options){
#define KW_SESSION_OPT(...) INIT(__VA_ARGS__)
#include "kwaai/options.def"
    };
}

kw_sampling kw_sampling_defaults(void)
{
    return (kw_sampling){
#define KW_SAMPLING_OPT(...) INIT(__VA_ARGS__)
#include "kwaai/options.def"
    };
}

kw_beam_args kw_beam_defaults(void)
{
    return (kw_beam_args){
#define KW_BEAM_OPT(...) INIT(__VA_ARGS__)
#include "kwaai/options.def"
        .max_tokens = -1,
    };
}

/* Threads beyond the cores would take turns at each other's expense: 4 on 2 cores decode at 0.7 of the speed of 2. */
static int useful_threads(int asked)
{
    int most = kw_default_threads();
    return asked && asked < most ? asked : most;
}

kw_status kw_engine_open(const kw_engine_options *o, kw_engine **out)
{
    kw_engine_options all = o ? *o : kw_engine_defaults();
    if (all.threads < 0 || all.threads > 1024)
        return kw_fail(KW_EINVAL, "%d threads: expected 0 (all cores) to 1024", all.threads);
    kw_engine *e = kw_calloc(1, sizeof *e, KW_PAY_MISC);
    if (!e) return KW_ENOMEM;
    e->backend = &kw_backend_cpu;
    e->features = e->rows = KW_BUF(1024, KW_PAY_MISC);
    kw_cpu_list_features(&e->features);
    kw_cpu_list_rows(&e->rows);
    kw_status st = e->features.status ? e->features.status : e->rows.status;
    if (!st) st = kw_pool_open(useful_threads(all.threads), &e->pool);
    if (!st)
        st = e->backend->open(0, &(kw_device_options){ .pool = e->pool, .isa = all.isa },
                              &e->device);
    if (st) kw_engine_close(e);
    else *out = e;
    return st;
}

void kw_engine_close(kw_engine *e)
{
    if (!e) return;
    if (e->device) e->backend->close(e->device);
    kw_pool_close(e->pool);
    kw_buf_free(&e->features);
    kw_buf_free(&e->rows);
    kw_free(e);
}

kw_engine_info kw_engine_describe(const kw_engine *e)
{
    return (kw_engine_info){
        .threads = kw_pool_size(e->pool),
        .isa = kw_cpu_isa(e->device),
        .isa_rows = e->rows.data ? e->rows.data : "",
        .cpu_features = e->features.data ? e->features.data : "",
    };
}

kw_status kw_engine_bandwidth(kw_engine *e, int runs, double *bytes_per_second)
{
    if (runs < 1) return kw_fail(KW_EINVAL, "%d passes: expected at least 1", runs);
    return kw_cpu_bandwidth(e->pool, runs, bytes_per_second);
}

void kw_memory_use(size_t *live_bytes, size_t *peak_bytes)
{
    *live_bytes = kw_alloc_live(KW_PAY_COUNT);
    *peak_bytes = kw_alloc_peak();
}

const char *kw_version(void) { return "0.1.0"; }
