/* file.h - whole files: mapped for reading, replaced atomically when written. */
#ifndef KW_BASE_FILE_H
#define KW_BASE_FILE_H

#include "base/alloc.h"

typedef struct kw_file_options {
    bool no_mmap;  /* read into memory instead of mapping */
    bool is_dense; /* all of it will be read: in huge pages, where the system has such for files */
    bool mlock;    /* keep the pages in memory; failing to is a warning, not an error */
} kw_file_options;

typedef struct kw_file {
    const unsigned char *data;
    size_t size;
    bool is_mapped;
    int fd;                              /* kept open while mapped, else -1 */
    int64_t mtime_ns, inode, changed_ns; /* as at opening */
} kw_file;

/* Messages name the path: missing (KW_ENOTFOUND), a folder, pipe or device (KW_EINVAL), not
 * readable (KW_EIO). An empty file opens with size 0. */
kw_status kw_file_open(const char *path, kw_file_options o, kw_file *out);
void kw_file_close(kw_file *f); /* a zeroed kw_file is fine */
/* KW_EIO when a mapped file shrank or was changed since it was opened: reading it would fault or
 * mix versions. A file that was replaced or removed is fine, the mapping keeps the old one. */
kw_status kw_file_check(const kw_file *f);
/* The same for size alone: for a file whose owner may patch it. */
kw_status kw_file_check_size(const kw_file *f);
/* Tells the system that these bytes will not be read again soon (mapped files only; a hint). */
void kw_file_forget(const kw_file *f, size_t at, size_t len);

bool kw_path_exists(const char *path);
bool kw_path_is_dir(const char *path);
bool kw_path_is_same(const char *a, const char *b); /* one file or folder under two names */
/* The path from the root, without links; "" when it cannot be told. cap >= 4096. */
void kw_path_full(const char *path, char *out, size_t cap);
/* Reads a file of at most `max` bytes. The text is NUL-terminated (not counted in len, which may be
 * NULL) and the caller's (kw_free). */
kw_status kw_file_read(const char *path, size_t max, char **text, size_t *len);

/* Atomic writing: bytes go to a temporary file beside `path`, which takes its place at commit
 * (fsync, rename). Abort, or a failure, leaves nothing behind and the old file untouched. What
 * exists at `path` must be a regular file, or a link to one, which is replaced. */
typedef struct kw_file_writer kw_file_writer;
kw_status kw_file_create(const char *path, kw_file_writer **out);
kw_status kw_file_append(kw_file_writer *w, const void *data, size_t len);
kw_status kw_file_sync(kw_file_writer *w);   /* what a commit begins with; it is short then */
kw_status kw_file_commit(kw_file_writer *w); /* frees w, also on failure */
void kw_file_abort(kw_file_writer *w);       /* NULL is fine */

/* For a file that several processes may want to write at once, piece by piece, in any order. The temporary is
 * `path`.tmp, held by one process: *out is NULL (with KW_OK) while another has it, and what a killed one left is
 * overwritten. kw_file_reserve takes the disk's space for all of it, so that writing does not fail half-way. */
kw_status kw_file_create_alone(const char *path, kw_file_writer **out);
/* The same, but that another process writes it is an error: KW_EWRITE. */
kw_status kw_file_claim(const char *path, kw_file_writer **out);
kw_status kw_file_reserve(kw_file_writer *w, uint64_t size);
kw_status kw_file_write_at(kw_file_writer *w, uint64_t at, const void *data, size_t len);
/* The whole file from memory, in one step; its temporary is `path`.tmp too. */
kw_status kw_file_replace(const char *path, const void *data, size_t len);
void kw_file_remove(const char *path); /* one that is missing is fine */
/* Overwrites bytes of an existing file in place. */
kw_status kw_file_patch(const char *path, uint64_t at, const void *data, size_t len);
/* Makes a folder and those above it; is_private: without access for others, else as the umask says. */
kw_status kw_folder_make(const char *path, bool is_private);
/* Calls `each` for every entry until it says false. */
kw_status kw_folder_list(const char *path, bool (*each)(void *user, const char *name), void *user);
void kw_folder_remove(const char *path); /* with all that is in it; missing is fine */
/* Puts the folder `from` in the place of `to`, which may exist: at once where the system can. What was there is removed. */
kw_status kw_folder_replace(const char *from, const char *to);

#endif
