/* port.h - what base/ asks of a platform. Exactly one port_*.c answers for each function, chosen by
 * which file is linked:
 *
 *   port_fd.c      files, for every platform with file descriptors (POSIX and WASI)
 *   port_posix.c   the rest on Linux: mapping, threads, futexes, cores, time, chance
 *   port_wasm.c    the rest in WebAssembly, where there is no mapping and one thread
 *
 * Functions that can fail return false (or -1) and leave the system's code in *error;
 * kw_port_reason turns it into words. The functions of clock.h come from the same files. */
#ifndef KW_BASE_PORT_H
#define KW_BASE_PORT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- files ---- */
typedef enum kw_port_kind { KW_PORT_REGULAR, KW_PORT_DIRECTORY, KW_PORT_OTHER } kw_port_kind;

typedef struct kw_port_info {
    kw_port_kind kind;
    uint64_t size;
    int64_t mtime_ns, inode;
    int64_t changed_ns; /* when content or attributes last changed; nobody can set it */
} kw_port_info;

int kw_port_open(const char *path, int *error);   /* for reading; never waits for a FIFO's writer */
int kw_port_create(const char *path, int *error); /* for writing; fails where something exists */
int kw_port_open_to_patch(const char *path, int *error); /* for writing what is there */
/* For writing, emptied, made when missing; held by this process alone until it is closed. -1 with
 * *error 0: another process holds it. */
int kw_port_create_alone(const char *path, int *error);
bool kw_port_close(int fd, int *error);
bool kw_port_info_of(int fd, kw_port_info *out, int *error);
bool kw_port_info_at(const char *path, kw_port_info *out, int *error);
/* Reads until `len` bytes or the end of the file; *got says how many. */
bool kw_port_read(int fd, void *dst, size_t len, size_t *got, int *error);
bool kw_port_write(int fd, const void *src, size_t len, int *error); /* all of it */
bool kw_port_write_at(int fd, uint64_t at, const void *src, size_t len, int *error);
/* Takes the file's space from the disk now; false where there is too little. */
bool kw_port_reserve(int fd, uint64_t size, int *error);
void kw_port_begin_sync(int fd, uint64_t at, uint64_t len); /* a hint; does not wait */
bool kw_port_sync(int fd, int *error);
void kw_port_sync_folder(const char *path); /* best effort */
bool kw_port_rename(const char *from, const char *to, int *error);
void kw_port_remove(const char *path);
/* One that exists already is fine. is_private: others have no access to a new one; else as the umask says. */
bool kw_port_make_folder(const char *path, bool is_private, int *error);
/* The path from the root, without links; false when that does not fit or cannot be found. */
bool kw_port_full_path(const char *path, char *out, size_t cap);
void kw_port_remove_folder(const char *path); /* an empty one */
/* Two paths change places at once; false where the system cannot do that. */
bool kw_port_exchange(const char *a, const char *b);
/* Calls `each` with the name of every entry until it says false; false when the folder cannot be read. */
bool kw_port_list(const char *path, bool (*each)(void *user, const char *name), void *user,
                  int *error);
bool kw_port_is_missing(int error);   /* the code means "no such file" */
bool kw_port_is_no_memory(int error); /* ... "out of memory" */
const char *kw_port_reason(int error, char *scratch, size_t len);

/* ---- memory ---- */
const void *kw_port_map(int fd, size_t size); /* read-only; NULL where that is impossible */
void kw_port_unmap(const void *data, size_t size);
bool kw_port_lock(const void *data, size_t size, int *error);
void kw_port_forget(const void *data, size_t at, size_t len);
void kw_port_want_huge_pages(void *data, size_t size);

/* ---- threads ---- */
typedef struct kw_port_thread kw_port_thread;

int kw_port_cores(void);       /* those this process may be scheduled on */
int kw_port_max_threads(void); /* 1: kw_port_start always fails */
bool kw_port_start(void (*run)(void *), void *arg, kw_port_thread **out, int *error);
void kw_port_join(kw_port_thread *t);
void kw_port_pause(void); /* one turn of a spin loop */
void kw_port_yield(void); /* lets another thread have this core */
/* Sleeps while *word == expected, or less long: the caller looks again. */
void kw_port_sleep_on(_Atomic uint32_t *word, uint32_t expected);
void kw_port_wake_all(_Atomic uint32_t *word);

#endif
