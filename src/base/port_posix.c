/* port_posix.c - Linux: mapped files, threads, futexes, cores, time and chance.
 *
 * The one file that speaks to the system beyond plain descriptors. Worker threads block every signal, so
 * that a program's Ctrl-C handler runs on a thread of the program; but not those of their own faults, for these kill the
 * process where they are blocked, and a program's handler could not say why. Another POSIX system needs its
 * own kw_port_sleep_on and kw_port_cores; nothing else here is particular to Linux. */
#define _GNU_SOURCE
#include "base/alloc.h"
#include "base/clock.h"
#include "base/port.h"
#include "base/thread.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { MAX_THREADS = 1024, MAX_CORES = 8192 };

uint64_t kw_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t kw_random_seed(void)
{
    uint64_t seed;
    if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) == (ssize_t)sizeof seed) return seed;
    return (kw_now_ns() ^ (uint64_t)getpid() << 32) * UINT64_C(0x9E3779B97F4A7C15);
}

const char *kw_port_reason(int error, char *scratch, size_t len)
{
    return strerror_r(error, scratch, len);
}

int64_t kw_wall_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* ---- files ---- */

/* Does the path still lead to this open file? Whoever held it may have renamed it meanwhile. */
static bool is_at(const char *path, int fd)
{
    struct stat here, open_one;
    return stat(path, &here) == 0 && fstat(fd, &open_one) == 0 && here.st_ino == open_one.st_ino &&
           here.st_dev == open_one.st_dev;
}

int kw_port_create_alone(const char *path, int *error)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666); /* the umask applies */
    if (fd < 0) {
        *error = errno;
        return -1;
    }
    bool held = flock(fd, LOCK_EX | LOCK_NB) == 0;
    *error = held || errno == EWOULDBLOCK ? 0 : errno;
    if (held && is_at(path, fd)) {
        if (ftruncate(fd, 0) == 0) return fd;
        *error = errno;
    }
    (void)close(fd);
    return -1;
}

bool kw_port_exchange(const char *a, const char *b)
{
    return renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE) == 0;
}

bool kw_port_reserve(int fd, uint64_t size, int *error)
{
    struct rlimit most; /* asked first: passing it would raise SIGXFSZ */
    bool fits =
        getrlimit(RLIMIT_FSIZE, &most) || most.rlim_cur == RLIM_INFINITY || most.rlim_cur >= size;
    *error = fits ? posix_fallocate(fd, 0, (off_t)size) : EFBIG;
    return *error == 0;
}

void kw_port_begin_sync(int fd, uint64_t at, uint64_t len)
{
    (void)sync_file_range(fd, (off_t)at, (off_t)len, SYNC_FILE_RANGE_WRITE);
}

bool kw_port_full_path(const char *path, char *out, size_t cap)
{
    return cap >= PATH_MAX && realpath(path, out);
}

/* ---- memory ---- */

const void *kw_port_map(int fd, size_t size)
{
    void *p = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
    return p == MAP_FAILED ? NULL : p;
}

void kw_port_unmap(const void *data, size_t size) { (void)munmap((void *)(uintptr_t)data, size); }

bool kw_port_lock(const void *data, size_t size, int *error)
{
    if (mlock(data, size) == 0) return true;
    *error = errno;
    return false;
}

/* Gives advice on the whole pages of `page` bytes inside data[0..size). */
static void advise(const void *data, size_t size, size_t page, int advice)
{
    uintptr_t first = ((uintptr_t)data + page - 1) / page * page;
    uintptr_t last = ((uintptr_t)data + size) / page * page;
    if (first < last) (void)madvise((void *)first, last - first, advice);
}

void kw_port_forget(const void *data, size_t at, size_t len)
{
    (void)munlock((const char *)data + at, len); /* locked pages would stay */
    advise((const char *)data + at, len, (size_t)sysconf(_SC_PAGESIZE), MADV_DONTNEED);
}

void kw_port_want_huge_pages(void *data, size_t size)
{
    advise(data, size, (size_t)2 << 20, MADV_HUGEPAGE);
}

/* ---- threads ---- */

struct kw_port_thread {
    pthread_t id;
    void (*run)(void *);
    void *arg;
};

bool kw_allow_tiles(void)
{
#ifdef SYS_arch_prctl
    enum {
        REQUEST_PERMISSION = 0x1023,
        TILE_DATA = 18
    }; /* Linux: Documentation/arch/x86/xstate.rst */
    return syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
#else
    return false;
#endif
}

int kw_port_max_threads(void) { return MAX_THREADS; }

int kw_port_cores(void)
{
    static const size_t bytes = CPU_ALLOC_SIZE(MAX_CORES);
    cpu_set_t set[CPU_ALLOC_SIZE(MAX_CORES) / sizeof(cpu_set_t)];
    if (sched_getaffinity(0, bytes, set) == 0) return CPU_COUNT_S(bytes, set);
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 && online <= MAX_CORES ? (int)online : 1;
}

static void *enter(void *thread)
{
    kw_port_thread *t = thread;
    t->run(t->arg);
    return NULL;
}

bool kw_port_start(void (*run)(void *), void *arg, kw_port_thread **out, int *error)
{
    kw_port_thread *t = kw_malloc(sizeof *t, KW_PAY_MISC);
    *error = ENOMEM;
    if (!t) return false;
    *t = (kw_port_thread){ .run = run, .arg = arg };
    sigset_t block, before;
    const int own[] = { SIGBUS, SIGSEGV, SIGFPE, SIGILL }; /* a thread's own faults */
    sigfillset(&block);
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) sigdelset(&block, own[i]);
    pthread_sigmask(SIG_SETMASK, &block, &before);
    *error = pthread_create(&t->id, NULL, enter, t);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (*error) {
        kw_free(t);
        return false;
    }
    *out = t;
    return true;
}

void kw_port_join(kw_port_thread *t)
{
    pthread_join(t->id, NULL);
    kw_free(t);
}

void kw_port_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb" ::: "memory"); /* "yield" is a no-op on most cores */
#endif
}

void kw_port_yield(void) { (void)sched_yield(); }

void kw_port_sleep_on(_Atomic uint32_t *word, uint32_t expected)
{
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, NULL, NULL, 0);
}

void kw_port_wake_all(_Atomic uint32_t *word)
{
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}
