/* cores.c - how many threads are worth starting: affinity, cut by the control group's cpu quota.
 *
 * A container may show 64 cores and grant the time of two; more threads than that only fight. The
 * quota of every group from the process's own up to the root counts, the smallest wins, and a
 * fraction is rounded up. Both generations of control groups keep it in small text files:
 *
 *   v2   <root>/<group>/cpu.max                    "200000 100000" or "max 100000"
 *   v1   <root>/cpu/<group>/cpu.cfs_quota_us       "200000" or "-1"
 *        <root>/cpu/<group>/cpu.cfs_period_us      "100000"
 *
 * Inside a container the group's path may not exist below the mount: then only the parents that do
 * are seen, the root among them. Where there are no such files, there is no quota. */
#include "base/cores.h"
#include "base/port.h"
#include "base/str.h"
#include "base/thread.h"
#include <stdio.h>
#include <string.h>

enum { MAX_PATH = 1024, MAX_NUMBERS = 64, MAX_GROUPS = 8 << 10 };

/* Reads a small file as a NUL-terminated text; false leaves no message, for none is missed. */
static bool read_text(const char *path, char *text, size_t size)
{
    int error, fd = kw_port_open(path, &error);
    size_t n = 0;
    if (fd < 0) return false;
    bool ok = kw_port_read(fd, text, size - 1, &n, &error);
    kw_port_close(fd, &error);
    text[n] = '\0';
    return ok;
}

/* The next space-separated word of *text, which moves behind it. */
static kw_str next_word(const char **text)
{
    const char *start = *text + strspn(*text, " \n");
    size_t n = strcspn(start, " \n");
    *text = start + n;
    return (kw_str){ start, n };
}

static int rounded_up(int64_t quota, int64_t period)
{
    if (quota <= 0 || period <= 0) return 0;
    int64_t cores = quota / period + (quota % period != 0);
    return cores > 1 << 20 ? 0 : (int)cores;
}

/* The n-th number of the file <root><group>/<name>; 0 when it is not there. */
static int64_t read_number(const char *root, const char *group, const char *name, int n)
{
    char path[MAX_PATH], text[MAX_NUMBERS];
    int len = snprintf(path, sizeof path, "%s%s/%s", root, group, name);
    if (len < 0 || len >= MAX_PATH || !read_text(path, text, sizeof text)) return 0;
    const char *at = text;
    for (; n > 0; n--) next_word(&at);
    int64_t number;
    return kw_str_i64(next_word(&at), &number) ? number : 0;
}

static int limit_v2(const char *root, const char *group)
{
    return rounded_up(read_number(root, group, "cpu.max", 0),
                      read_number(root, group, "cpu.max", 1));
}

static int limit_v1(const char *root, const char *group)
{
    return rounded_up(read_number(root, group, "cpu.cfs_quota_us", 0),
                      read_number(root, group, "cpu.cfs_period_us", 0));
}

static int smaller_limit(int a, int b) { return !a || (b && b < a) ? b : a; }

/* The smallest limit of a group and all its parents. */
static int limit_up_from(const char *root, kw_str path,
                         int (*limit_of)(const char *root, const char *group))
{
    char group[MAX_PATH];
    if (path.n >= sizeof group) return 0;
    memcpy(group, path.p, path.n);
    group[path.n] = '\0';
    int limit = 0;
    for (;;) {
        limit = smaller_limit(limit, limit_of(root, group));
        char *slash = strrchr(group, '/');
        if (!slash) return limit;
        *slash = '\0';
    }
}

/* True when `word` is in a comma-separated list. */
static bool lists(kw_str list, const char *word)
{
    for (size_t at = 0; at < list.n; at++) {
        size_t n = 0;
        while (at + n < list.n && list.p[at + n] != ',') n++;
        if (kw_str_is((kw_str){ list.p + at, n }, word)) return true;
        at += n;
    }
    return false;
}

/* One line "id:controllers:path" of the process's list of groups. */
static int limit_of_line(kw_str line, const char *root)
{
    const char *end = line.p + line.n;
    const char *first = memchr(line.p, ':', line.n);
    const char *second = first ? memchr(first + 1, ':', (size_t)(end - first - 1)) : NULL;
    if (!second) return 0;
    kw_str list = { first + 1, (size_t)(second - first - 1) };
    kw_str group = { second + 1, (size_t)(end - second - 1) };
    if (!list.n) return limit_up_from(root, group, limit_v2);
    if (!lists(list, "cpu")) return 0;
    char v1_root[MAX_PATH];
    int n = snprintf(v1_root, sizeof v1_root, "%s/cpu", root);
    return n < 0 || n >= MAX_PATH ? 0 : limit_up_from(v1_root, group, limit_v1);
}

int kw_cores_quota(const char *groups_file, const char *root)
{
    char text[MAX_GROUPS];
    int limit = 0;
    if (!read_text(groups_file, text, sizeof text)) return 0;
    for (const char *line = text; *line;) {
        size_t n = strcspn(line, "\n");
        limit = smaller_limit(limit, limit_of_line((kw_str){ line, n }, root));
        line += n + (line[n] == '\n');
    }
    return limit;
}

int kw_default_threads(void)
{
    int cores = kw_port_cores(), most = kw_port_max_threads();
    int n = smaller_limit(cores, kw_cores_quota("/proc/self/cgroup", "/sys/fs/cgroup"));
    return n < 1 ? 1 : n > most ? most : n;
}
