/* port_wasm.c - WebAssembly through wasi-libc: one thread, no mapped files.
 *
 * Mapping says "impossible", so files are read into memory; a pool of threads is the caller alone,
 * so nobody ever sleeps on a word. Time and chance come from WASI's clock_time_get and random_get.
 * Threads by workers and shared memory would be another file beside this one. */
#define _GNU_SOURCE
#include "base/clock.h"
#include "base/port.h"
#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

uint64_t kw_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t kw_random_seed(void)
{
    uint64_t seed = 0;
    if (getentropy(&seed, sizeof seed)) return kw_now_ns() * UINT64_C(0x9E3779B97F4A7C15);
    return seed;
}

const char *kw_port_reason(int error, char *scratch, size_t len)
{
    (void)scratch, (void)len;
    return strerror(error);
}

int64_t kw_wall_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* ---- files: no locks ---- */

int kw_port_create_alone(const char *path, int *error)
{
    (void)path;
    *error = ENOSYS;
    return -1;
}

bool kw_port_exchange(const char *a, const char *b)
{
    (void)a, (void)b;
    return false;
}

bool kw_port_reserve(int fd, uint64_t size, int *error)
{
    (void)fd, (void)size;
    *error = ENOSYS;
    return false;
}

void kw_port_begin_sync(int fd, uint64_t at, uint64_t len) { (void)fd, (void)at, (void)len; }

bool kw_port_full_path(const char *path, char *out, size_t cap)
{
    (void)path, (void)out, (void)cap;
    return false;
}

/* ---- memory ---- */

const void *kw_port_map(int fd, size_t size)
{
    (void)fd, (void)size;
    return NULL;
}

void kw_port_unmap(const void *data, size_t size) { (void)data, (void)size; }

bool kw_port_lock(const void *data, size_t size, int *error)
{
    (void)data, (void)size;
    *error = ENOSYS;
    return false;
}

void kw_port_forget(const void *data, size_t at, size_t len) { (void)data, (void)at, (void)len; }

void kw_port_want_huge_pages(void *data, size_t size) { (void)data, (void)size; }

/* ---- threads ---- */

int kw_port_cores(void) { return 1; }

int kw_port_max_threads(void) { return 1; }

bool kw_port_start(void (*run)(void *), void *arg, kw_port_thread **out, int *error)
{
    (void)run, (void)arg, (void)out;
    *error = ENOSYS;
    return false;
}

void kw_port_join(kw_port_thread *t) { (void)t; }

void kw_port_pause(void) {}

void kw_port_yield(void) {}

void kw_port_sleep_on(_Atomic uint32_t *word, uint32_t expected) { (void)word, (void)expected; }

void kw_port_wake_all(_Atomic uint32_t *word) { (void)word; }

bool kw_allow_tiles(void) { return false; }
