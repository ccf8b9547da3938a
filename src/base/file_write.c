/* file_write.c - replacing a file as one event.
 *
 * Bytes go to a temporary file in the same folder; commit makes them durable and renames the file
 * over `path`. Whoever looks sees the old file or the new one, never half of either, and whatever
 * goes wrong leaves the old one as it was and no debris.
 *
 * Several processes may want to write the same file at once, and may be killed at it: then the temporary has one name for
 * all of them and a lock that the system takes back from the dead. Whoever does not get it does without the file.
 *
 * A target that exists must be a regular file: renaming over /dev/null would be a bad joke. The new
 * file gets fresh permissions (0666 less the umask), and a symbolic link is replaced, not followed.
 */
#include "base/clock.h"
#include "base/file.h"
#include "base/port.h"
#include "base/str.h"
#include <stdio.h>
#include <string.h>

enum { REASON_BYTES = 128, NAME_BYTES = 40 };

struct kw_file_writer {
    int fd;
    char *path, *folder, *temporary; /* all inside this block */
};

static kw_status fail_write(const kw_file_writer *w, int error)
{
    char scratch[REASON_BYTES];
    return kw_fail(KW_EWRITE, "%s: cannot be written\nwhy: %s", w->path,
                   kw_port_reason(error, scratch, sizeof scratch));
}

static kw_status fail_folder(const kw_file_writer *w)
{
    return kw_try(kw_fail(KW_EWRITE, "%s: its folder does not exist", w->path),
                  "make the folder first");
}

static kw_status check_target(const char *path)
{
    kw_port_info info;
    int error;
    if (!*path) return kw_fail(KW_EINVAL, "an empty path cannot be written");
    if (!kw_port_info_at(path, &info, &error) || info.kind == KW_PORT_REGULAR) return KW_OK;
    return kw_fail(KW_EWRITE, "%s: is %s and will not be replaced by a file", path,
                   info.kind == KW_PORT_DIRECTORY ? "a folder" : "a pipe or device");
}

/* One block for the writer and its three texts. */
static kw_file_writer *new_writer(const char *path)
{
    const char *slash = strrchr(path, '/');
    size_t n_path = strlen(path), n_folder = slash ? (size_t)(slash - path) + 1 : 0;
    size_t total = sizeof(kw_file_writer) + (n_path + 1) + (n_folder + 2) + (n_path + NAME_BYTES);
    kw_file_writer *w = kw_calloc(1, total, KW_PAY_FILE);
    if (!w) return NULL;
    w->fd = -1;
    w->path = (char *)(w + 1);
    w->folder = w->path + n_path + 1;
    w->temporary = w->folder + n_folder + 2;
    memcpy(w->path, path, n_path);
    memcpy(w->folder, path, n_folder);
    memcpy(w->temporary, path, n_folder);
    if (!n_folder) w->folder[0] = '.';
    return w;
}

/* Opens a temporary file; 64 random bits make its name nobody else's. */
static kw_status open_temporary(kw_file_writer *w)
{
    int error;
    char *name = w->temporary + strlen(w->temporary);
    snprintf(name, NAME_BYTES, ".kwaai-%016llx.tmp", (unsigned long long)kw_random_seed());
    w->fd = kw_port_create(w->temporary, &error);
    if (w->fd >= 0) return KW_OK;
    if (kw_port_is_missing(error)) return fail_folder(w);
    return fail_write(w, error);
}

kw_status kw_file_create(const char *path, kw_file_writer **out)
{
    *out = NULL;
    kw_status st = check_target(path);
    if (st) return st;
    kw_file_writer *w = new_writer(path);
    if (!w) return KW_ENOMEM;
    st = open_temporary(w);
    if (st) kw_free(w);
    else *out = w;
    return st;
}

/* The temporary that all writers of this path share. */
static kw_status open_shared(kw_file_writer *w)
{
    int error;
    memcpy(w->temporary, w->path, strlen(w->path)); /* NAME_BYTES is room for the ending */
    memcpy(w->temporary + strlen(w->path), ".tmp", sizeof ".tmp");
    w->fd = kw_port_create_alone(w->temporary, &error);
    if (w->fd < 0 && error && kw_port_is_missing(error)) return fail_folder(w);
    if (w->fd < 0 && error) return fail_write(w, error);
    return KW_OK;
}

kw_status kw_file_create_alone(const char *path, kw_file_writer **out)
{
    *out = NULL;
    kw_status st = check_target(path);
    if (st) return st;
    kw_file_writer *w = new_writer(path);
    if (!w) return KW_ENOMEM;
    st = open_shared(w);
    if (!st && w->fd >= 0) *out = w;
    else kw_free(w);
    return st;
}

kw_status kw_file_reserve(kw_file_writer *w, uint64_t size)
{
    int error;
    return kw_port_reserve(w->fd, size, &error) ? KW_OK : fail_write(w, error);
}

kw_status kw_file_write_at(kw_file_writer *w, uint64_t at, const void *data, size_t len)
{
    int error;
    if (!kw_port_write_at(w->fd, at, data, len, &error)) return fail_write(w, error);
    kw_port_begin_sync(w->fd, at, len);
    return KW_OK;
}

kw_status kw_file_append(kw_file_writer *w, const void *data, size_t len)
{
    int error;
    return kw_port_write(w->fd, data, len, &error) ? KW_OK : fail_write(w, error);
}

kw_status kw_file_sync(kw_file_writer *w)
{
    int error;
    return kw_port_sync(w->fd, &error) ? KW_OK : fail_write(w, error);
}

kw_status kw_file_commit(kw_file_writer *w)
{
    int error;
    bool synced = kw_port_sync(w->fd, &error);
    kw_status st = synced ? KW_OK : fail_write(w, error);
    /* renamed while it is open, for a shared temporary is held only until it is closed */
    if (!st && !kw_port_rename(w->temporary, w->path, &error)) st = fail_write(w, error);
    if (st) kw_port_remove(w->temporary);
    kw_port_close(w->fd, &error); /* nothing is left to fail: all bytes are synced */
    if (!st) kw_port_sync_folder(w->folder);
    kw_free(w);
    return st;
}

void kw_file_abort(kw_file_writer *w)
{
    int error;
    if (!w) return;
    kw_port_remove(w->temporary); /* before the close: afterwards it may be another process's */
    kw_port_close(w->fd, &error);
    kw_free(w);
}

kw_status kw_file_claim(const char *path, kw_file_writer **out)
{
    kw_status st = kw_file_create_alone(path, out);
    if (st || *out) return st;
    return kw_fail(KW_EWRITE, "%s: another process is writing it (%s.tmp)", path, path);
}

kw_status kw_file_replace(const char *path, const void *data, size_t len)
{
    kw_file_writer *w = NULL;
    kw_status st = kw_file_claim(path, &w);
    if (st) return st;
    st = kw_file_append(w, data, len);
    if (!st) return kw_file_commit(w);
    kw_file_abort(w);
    return st;
}

void kw_file_remove(const char *path) { kw_port_remove(path); }

kw_status kw_file_patch(const char *path, uint64_t at, const void *data, size_t len)
{
    int error;
    char scratch[REASON_BYTES];
    int fd = kw_port_open_to_patch(path, &error);
    bool ok = fd >= 0 && kw_port_write_at(fd, at, data, len, &error);
    kw_status st = ok ? KW_OK
                      : kw_fail(KW_EIO, "%s: cannot be written\nwhy: %s", path,
                                kw_port_reason(error, scratch, sizeof scratch));
    if (fd >= 0) kw_port_close(fd, &error);
    return st;
}

kw_status kw_folder_make(const char *path, bool is_private)
{
    char part[4096], scratch[REASON_BYTES];
    size_t n = strlen(path);
    if (!n || n >= sizeof part) return kw_fail(KW_EINVAL, "a folder with a path of %zu bytes", n);
    for (size_t i = 1; i <= n; i++) {
        int error;
        if (i < n && path[i] != '/') continue;
        memcpy(part, path, i);
        part[i] = 0;
        if (kw_path_is_dir(part)) continue;
        bool is_made = kw_port_make_folder(part, is_private, &error);
        if (is_made && kw_path_is_dir(part)) continue;
        if (is_made) return kw_fail(KW_EWRITE, "%s is a file, and a folder is needed there", part);
        return kw_fail(KW_EIO, "the folder %s cannot be made\nwhy: %s", part,
                       kw_port_reason(error, scratch, sizeof scratch));
    }
    return KW_OK;
}

/* ---- folders ---- */

kw_status kw_folder_list(const char *path, bool (*each)(void *user, const char *name), void *user)
{
    char scratch[REASON_BYTES];
    int error;
    if (kw_port_list(path, each, user, &error)) return KW_OK;
    return kw_fail(KW_EIO, "the folder %s cannot be read\nwhy: %s", path,
                   kw_port_reason(error, scratch, sizeof scratch));
}

static bool remove_entry(void *folder, const char *name)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", (const char *)folder, name);
    kw_port_remove(path); /* a link goes, not what it leads to */
    if (kw_path_is_dir(path)) kw_folder_remove(path);
    return true;
}

void kw_folder_remove(const char *path)
{
    char folder[4096];
    int error;
    snprintf(folder, sizeof folder, "%s", path);
    if (!kw_path_is_dir(folder)) return;
    kw_port_list(folder, remove_entry, folder, &error);
    kw_port_remove_folder(folder);
}

kw_status kw_folder_replace(const char *from, const char *to)
{
    char old[4096], scratch[REASON_BYTES];
    int error;
    snprintf(old, sizeof old, "%s.old", to);
    kw_port_sync_folder(from);
    if (kw_path_is_dir(to) && kw_port_exchange(from, to)) {
        kw_folder_remove(from);
        return KW_OK;
    }
    bool had = kw_path_is_dir(to);
    if ((had && !kw_port_rename(to, old, &error)) || !kw_port_rename(from, to, &error))
        return kw_fail(KW_EWRITE, "the folder %s cannot be put in its place\nwhy: %s", to,
                       kw_port_reason(error, scratch, sizeof scratch));
    if (had) kw_folder_remove(old);
    return KW_OK;
}
