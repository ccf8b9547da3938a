/* files.h - for readers that look for files beside the one they are given: a folder of this process, and files in it. */
#ifndef KW_FUZZ_FILES_H
#define KW_FUZZ_FILES_H

#include "fuzz.h"
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static char fuzz_folder[64];

static void fuzz_leave(void) { kw_folder_remove(fuzz_folder); }

/* The path of a file with these bytes; it is valid until the 4th call from now. */
static inline const char *fuzz_file(const char *name, const uint8_t *data, size_t size)
{
    static char paths[4][128];
    static unsigned n;
    char *path = paths[n++ % 4];
    if (!fuzz_folder[0]) {
        snprintf(fuzz_folder, sizeof fuzz_folder, "/tmp/kwaai-fuzz-XXXXXX");
        expect(mkdtemp(fuzz_folder));
        atexit(fuzz_leave);
    }
    snprintf(path, 128, "%s/%s", fuzz_folder, name);
    int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0600);
    expect(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    close(fd);
    return path;
}

/* Where the first of two inputs ends: its length stands in front of both. */
static inline size_t fuzz_cut(const uint8_t **data, size_t *size)
{
    size_t cut = 0;
    for (int i = 0; i < 4 && *size; i++, ++*data, --*size) cut |= (size_t)**data << (8 * i);
    return cut < *size ? cut : *size;
}

#endif
