/* cpu.c - the CPU as a backend: thirteen functions over plain memory. */
#include "cpu/internal.h"
#include <string.h>

static int count(void) { return 1; }

static kw_status open_device(int index, const kw_device_options *o, kw_device **out)
{
    if (index != 0) return kw_fail(KW_ENOTFOUND, "the CPU is device 0, not %d", index);
    kw_device *d = kw_calloc(1, sizeof *d, KW_PAY_MISC);
    if (!d) return KW_ENOMEM;
    d->pool = o->pool;
    kw_status st = kw_kernels_select(kw_cpu_features(), o->isa, &d->kernels);
    if (st) kw_free(d);
    else *out = d;
    return st;
}

static void close_device(kw_device *d) { kw_free(d); }

static kw_status alloc(kw_device *d, size_t bytes, kw_payer payer, kw_memory **out)
{
    (void)d;
    kw_memory *m = kw_calloc(1, sizeof *m, payer);
    if (!m) return KW_ENOMEM;
    m->host = kw_malloc(bytes < 1024 ? 1024 : bytes, payer); /* 1 KiB and more lie on cache lines */
    m->bytes = bytes;
    if (!m->host) {
        kw_free(m);
        return KW_ENOMEM;
    }
    *out = m;
    return KW_OK;
}

static void free_memory(kw_device *d, kw_memory *m)
{
    (void)d;
    if (!m) return;
    kw_free(m->host);
    kw_free(m);
}

static kw_status inside(const kw_memory *m, size_t at, size_t len)
{
    if (at <= m->bytes && len <= m->bytes - at) return KW_OK;
    return kw_fail(KW_EINVAL, "bytes %zu..%zu of a memory of %zu", at, at + len, m->bytes);
}

static kw_status upload(kw_device *d, kw_memory *dst, size_t at, const void *src, size_t len)
{
    (void)d;
    kw_status st = inside(dst, at, len);
    if (!st && len) memcpy((unsigned char *)dst->host + at, src, len);
    return st;
}

static kw_status download(kw_device *d, const kw_memory *src, size_t at, void *dst, size_t len)
{
    (void)d;
    kw_status st = inside(src, at, len);
    if (!st && len) memcpy(dst, (const unsigned char *)src->host + at, len);
    return st;
}

static kw_status copy(kw_device *d, kw_memory *dst, size_t dst_at, const kw_memory *src,
                      size_t src_at, size_t len)
{
    kw_status st = inside(src, src_at, len);
    return st ? st : upload(d, dst, dst_at, (const unsigned char *)src->host + src_at, len);
}

static bool has(const void *device, kw_opcode code)
{
    (void)device;
    return code == KW_OP_SWIGLU ||
           code == KW_OP_GEGLU; /* the composite ops with a kernel of their own */
}

bool kw_cpu_tiles_cache(const kw_device *d) { return d->kernels.attend_tiles; }

const char *kw_cpu_isa(const kw_device *d) { return d->kernels.name; }

const kw_backend kw_backend_cpu = {
    .name = "cpu",
    .kv_dtypes = 1u << KW_F32 | 1u << KW_F16 | 1u << KW_BF16 | 1u << KW_I8,
    .count = count,
    .open = open_device,
    .close = close_device,
    .alloc = alloc,
    .free = free_memory,
    .upload = upload,
    .download = download,
    .copy = copy,
    .has = has,
    .prepare = kw_cpu_prepare,
    .submit = kw_cpu_submit,
    .poll = kw_cpu_poll,
    .drop = kw_cpu_drop,
};
