/* file.c - whole files for reading.
 *
 * A file is mapped where the platform can, else read into memory; the caller sees bytes either way.
 * A mapping shows the file as it is, not as it was: when somebody truncates it, touching the lost
 * pages kills the process, and when somebody rewrites it, weights of two versions mix. So the
 * descriptor stays open and kw_file_check compares size and time of change before each use. A file
 * that was *replaced* (renamed over) is no trouble: the old one lives on in the mapping.
 *
 * Only regular files are opened: a folder, a pipe or a device gets a message with its name. */
#include "base/file.h"
#include "base/buf.h"
#include "base/log.h"
#include "base/port.h"

enum { REASON_BYTES = 128, GROW_BYTES = 64 << 10 };

static kw_status fail_path(const char *path, const char *what, int error)
{
    char scratch[REASON_BYTES];
    if (kw_port_is_missing(error)) return kw_fail(KW_ENOTFOUND, "%s: no such file", path);
    return kw_fail(KW_EIO, "%s: cannot be %s\nwhy: %s", path, what,
                   kw_port_reason(error, scratch, sizeof scratch));
}

static const char *const kind_names[] = {
    [KW_PORT_REGULAR] = "a file",
    [KW_PORT_DIRECTORY] = "a folder",
    [KW_PORT_OTHER] = "a pipe or device",
};

static kw_status open_regular(const char *path, int *fd, kw_port_info *info)
{
    int error;
    *fd = kw_port_open(path, &error);
    if (*fd < 0) return fail_path(path, "opened", error);
    kw_status st = KW_OK;
    if (!kw_port_info_of(*fd, info, &error)) st = fail_path(path, "examined", error);
    else if (info->kind != KW_PORT_REGULAR)
        st = kw_fail(KW_EINVAL, "%s: is %s, not a file", path, kind_names[info->kind]);
    else if (info->size > SIZE_MAX)
        st = kw_fail(KW_ELIMIT, "%s: too large for this machine's addresses", path);
    if (st) kw_port_close(*fd, &error);
    return st;
}

/* Reads all of a file whose size is known. */
static kw_status read_whole(const char *path, int fd, size_t size, unsigned char **out)
{
    int error;
    size_t got;
    unsigned char *data = kw_malloc(size, KW_PAY_FILE);
    if (!data) return kw_note(KW_ENOMEM, "%s", path);
    kw_status st = KW_OK;
    if (!kw_port_read(fd, data, size, &got, &error)) st = fail_path(path, "read", error);
    else if (got < size)
        st = kw_fail(KW_EIO, "%s: ended after %zu of %zu bytes while it was read", path, got, size);
    if (st) kw_free(data);
    else *out = data;
    return st;
}

static void lock_pages(const char *path, const kw_file *f)
{
    int error;
    char scratch[REASON_BYTES];
    if (!f->size || kw_port_lock(f->data, f->size, &error)) return;
    kw_log(KW_LOG_WARN, "%s: not locked in memory: %s", path,
           kw_port_reason(error, scratch, sizeof scratch));
}

kw_status kw_file_open(const char *path, kw_file_options o, kw_file *out)
{
    int fd, error;
    kw_port_info info;
    *out = (kw_file){ .fd = -1 };
    kw_status st = open_regular(path, &fd, &info);
    if (st) return st;
    kw_file f = {
        .size = (size_t)info.size,
        .fd = -1,
        .mtime_ns = info.mtime_ns,
        .inode = info.inode,
        .changed_ns = info.changed_ns,
    };
    if (f.size && !o.no_mmap) f.data = kw_port_map(fd, f.size);
    f.is_mapped = f.data != NULL;
    if (!f.is_mapped) {
        unsigned char *data = NULL;
        st = read_whole(path, fd, f.size, &data);
        kw_port_close(fd, &error);
        if (st) return st;
        f.data = data;
    } else {
        f.fd = fd;
        if (o.is_dense) kw_port_want_huge_pages((void *)(uintptr_t)f.data, f.size);
    }
    if (o.mlock) lock_pages(path, &f);
    *out = f;
    return KW_OK;
}

void kw_file_close(kw_file *f)
{
    int error;
    if (f->is_mapped) {
        kw_port_unmap(f->data, f->size);
        kw_port_close(f->fd, &error);
    } else {
        kw_free((void *)(uintptr_t)f->data);
    }
    *f = (kw_file){ .fd = -1 };
}

static kw_status check_size(const kw_file *f, kw_port_info *now)
{
    int error;
    char scratch[REASON_BYTES];
    if (!kw_port_info_of(f->fd, now, &error))
        return kw_fail(KW_EIO, "the file cannot be examined any more\nwhy: %s",
                       kw_port_reason(error, scratch, sizeof scratch));
    if (now->size != f->size)
        return kw_fail(KW_EIO,
                       "the file changed from %zu to %llu bytes while it was in use\n"
                       "why: another program cut it short, or its disk failed",
                       f->size, (unsigned long long)now->size);
    return KW_OK;
}

kw_status kw_file_check_size(const kw_file *f)
{
    kw_port_info now;
    return f->is_mapped ? check_size(f, &now) : KW_OK;
}

kw_status kw_file_check(const kw_file *f)
{
    kw_port_info now;
    if (!f->is_mapped) return KW_OK;
    kw_status st = check_size(f, &now);
    if (!st && now.mtime_ns != f->mtime_ns)
        st = kw_fail(KW_EIO, "the file was written to while it was in use\n"
                             "why: its time of change is no longer what it was");
    return st;
}

void kw_file_forget(const kw_file *f, size_t at, size_t len)
{
    if (!f->is_mapped || at > f->size) return;
    kw_port_forget(f->data, at, len < f->size - at ? len : f->size - at);
}

bool kw_path_exists(const char *path)
{
    kw_port_info info;
    int error;
    return kw_port_info_at(path, &info, &error);
}

void kw_path_full(const char *path, char *out, size_t cap)
{
    if (!kw_port_full_path(path, out, cap)) out[0] = 0;
}

bool kw_path_is_same(const char *a, const char *b)
{
    kw_port_info x, y;
    int error;
    return kw_port_info_at(a, &x, &error) && kw_port_info_at(b, &y, &error) && x.inode == y.inode &&
           x.size == y.size && x.changed_ns == y.changed_ns;
}

bool kw_path_is_dir(const char *path)
{
    kw_port_info info;
    int error;
    return kw_port_info_at(path, &info, &error) && info.kind == KW_PORT_DIRECTORY;
}

/* Appends what is left of the file; sizes are not believed, for files of /proc say 0. */
static kw_status read_rest(const char *path, int fd, kw_buf *b)
{
    for (size_t got = GROW_BYTES, want; got; b->len += got) {
        want = b->max - b->len < GROW_BYTES ? b->max - b->len : GROW_BYTES;
        char *at = kw_buf_reserve(b, want);
        int error;
        if (!at) return kw_note(b->status, "%s", path);
        if (!kw_port_read(fd, at, want, &got, &error)) return fail_path(path, "read", error);
    }
    return KW_OK;
}

kw_status kw_file_read(const char *path, size_t max, char **text, size_t *len)
{
    int fd, error;
    kw_port_info info;
    if (max > SIZE_MAX - 2) max = SIZE_MAX - 2;
    kw_buf b = KW_BUF(max + 1, KW_PAY_FILE); /* one more byte shows that there is too much */
    kw_status st = open_regular(path, &fd, &info);
    if (st) return st;
    if (info.size <= max && !kw_buf_reserve(&b, (size_t)info.size + 1))
        st = kw_note(b.status, "%s", path);
    if (!st) st = read_rest(path, fd, &b);
    if (!st && b.len > max) st = kw_fail(KW_ELIMIT, "%s: larger than %zu bytes", path, max);
    kw_port_close(fd, &error);
    if (st) kw_buf_free(&b);
    else if (!(*text = kw_buf_take(&b, len))) st = KW_ENOMEM;
    return st;
}
