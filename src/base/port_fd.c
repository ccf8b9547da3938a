/* port_fd.c - files by descriptor, as POSIX and WASI both have them.
 *
 * Opening for reading never blocks (a FIFO without a writer must not hang us), reading and writing
 * resume after signals and short counts, and nothing is inherited by child processes. */
#define _POSIX_C_SOURCE 200809L
#include "base/port.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static const size_t most_at_once = (size_t)1 << 30; /* systems cap one read or write near 2 GiB */

static bool done(bool ok, int *error)
{
    if (!ok) *error = errno;
    return ok;
}

int kw_port_open(const char *path, int *error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    done(fd >= 0, error);
    return fd;
}

int kw_port_create(const char *path, int *error)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666); /* the umask applies */
    done(fd >= 0, error);
    return fd;
}

int kw_port_open_to_patch(const char *path, int *error)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC | O_NONBLOCK);
    done(fd >= 0, error);
    return fd;
}

bool kw_port_close(int fd, int *error) { return done(close(fd) == 0, error); }

static void describe(const struct stat *s, kw_port_info *out)
{
    out->kind = S_ISREG(s->st_mode)   ? KW_PORT_REGULAR
                : S_ISDIR(s->st_mode) ? KW_PORT_DIRECTORY
                                      : KW_PORT_OTHER;
    out->size = (uint64_t)s->st_size;
    out->mtime_ns = (int64_t)s->st_mtim.tv_sec * 1000000000 + s->st_mtim.tv_nsec;
    out->inode = (int64_t)s->st_ino;
    out->changed_ns = (int64_t)s->st_ctim.tv_sec * 1000000000 + s->st_ctim.tv_nsec;
}

bool kw_port_info_of(int fd, kw_port_info *out, int *error)
{
    struct stat s;
    if (!done(fstat(fd, &s) == 0, error)) return false;
    describe(&s, out);
    return true;
}

bool kw_port_info_at(const char *path, kw_port_info *out, int *error)
{
    struct stat s;
    if (!done(stat(path, &s) == 0, error)) return false;
    describe(&s, out);
    return true;
}

bool kw_port_read(int fd, void *dst, size_t len, size_t *got, int *error)
{
    *got = 0;
    while (*got < len) {
        size_t want = len - *got < most_at_once ? len - *got : most_at_once;
        ssize_t n = read(fd, (char *)dst + *got, want);
        if (n == 0) break;
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return done(false, error);
        *got += (size_t)n;
    }
    return true;
}

bool kw_port_write(int fd, const void *src, size_t len, int *error)
{
    const char *at = src;
    while (len) {
        ssize_t n = write(fd, at, len < most_at_once ? len : most_at_once);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return done(false, error);
        at += n;
        len -= (size_t)n;
    }
    return true;
}

bool kw_port_write_at(int fd, uint64_t at, const void *src, size_t len, int *error)
{
    for (const char *from = src; len;) {
        ssize_t n = pwrite(fd, from, len < most_at_once ? len : most_at_once, (off_t)at);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return done(false, error);
        from += n;
        at += (uint64_t)n;
        len -= (size_t)n;
    }
    return true;
}

bool kw_port_sync(int fd, int *error)
{
    /* some file systems cannot sync at all, and say so with EINVAL or ENOTSUP */
    return done(fsync(fd) == 0 || errno == EINVAL || errno == ENOTSUP, error);
}

void kw_port_sync_folder(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_DIRECTORY);
    if (fd < 0) return;
    (void)fsync(fd);
    (void)close(fd);
}

bool kw_port_rename(const char *from, const char *to, int *error)
{
    return done(rename(from, to) == 0, error);
}

void kw_port_remove(const char *path) { (void)unlink(path); }

bool kw_port_make_folder(const char *path, bool is_private, int *error)
{
    return done(mkdir(path, is_private ? 0700 : 0777) == 0 || errno == EEXIST, error);
}

void kw_port_remove_folder(const char *path) { (void)rmdir(path); }

bool kw_port_list(const char *path, bool (*each)(void *user, const char *name), void *user,
                  int *error)
{
    DIR *d = opendir(path);
    bool more = true;
    if (!done(d != NULL, error)) return false;
    for (struct dirent *e; more && (e = readdir(d));) {
        bool is_self =
            e->d_name[0] == '.' && (!e->d_name[1] || (e->d_name[1] == '.' && !e->d_name[2]));
        if (!is_self) more = each(user, e->d_name);
    }
    (void)closedir(d);
    return true;
}

bool kw_port_is_missing(int error) { return error == ENOENT || error == ENOTDIR; }

bool kw_port_is_no_memory(int error) { return error == ENOMEM; }
