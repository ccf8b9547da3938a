/* test_file_posix.c - what only a POSIX system can do to a file: truncate it under a mapping, fill
 * the disk, put a pipe in its place. And the control groups that a container lives in, and signals. */
#define _GNU_SOURCE
#include "base/base.h"
#include "base/cores.h"
#include "test.h"
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static void put(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static void copy_path(char out[512], const char *name) { snprintf(out, 512, "%s", test_tmp(name)); }

static void open_mapped(const char *path, kw_file *f)
{
    assert_int_equal(kw_file_open(path, (kw_file_options){ 0 }, f), KW_OK);
    assert_true(f->is_mapped);
    assert_int_equal(kw_file_check(f), KW_OK);
}

TEST(a_mapped_file_that_shrank_is_noticed)
{
    char path[512];
    kw_file f;
    copy_path(path, "shrinks");
    put(path, "0123456789");
    open_mapped(path, &f);
    assert_int_equal(truncate(path, 3), 0);
    assert_int_equal(kw_file_check(&f), KW_EIO);
    assert_string_equal(kw_error_message(),
                        "the file changed from 10 to 3 bytes while it was in use\n"
                        "why: another program cut it short, or its disk failed");
    kw_file_close(&f);
}

TEST(a_mapped_file_that_was_written_to_is_noticed_even_at_the_same_size)
{
    char path[512];
    kw_file f;
    copy_path(path, "rewritten");
    put(path, "0123456789");
    struct timespec past[2] = { { 1000000000, 0 }, { 1000000000, 0 } };
    assert_int_equal(utimensat(AT_FDCWD, path, past, 0), 0);
    open_mapped(path, &f);
    int fd = open(path, O_WRONLY);
    assert_int_equal(pwrite(fd, "X", 1, 4), 1);
    close(fd);
    assert_int_equal(kw_file_check(&f), KW_EIO);
    kw_file_close(&f);
}

TEST(a_mapped_file_that_was_replaced_or_removed_stays_what_it_was)
{
    char path[512], other[512];
    kw_file f;
    copy_path(path, "replaced");
    copy_path(other, "other");
    put(path, "old");
    open_mapped(path, &f);
    put(other, "new and longer");
    assert_int_equal(rename(other, path), 0);
    assert_int_equal(kw_file_check(&f), KW_OK);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(kw_file_check(&f), KW_OK);
    assert_memory_equal(f.data, "old", 3);
    kw_file_close(&f);
}

TEST(a_file_read_into_memory_does_not_care_what_happens_to_it)
{
    char path[512];
    kw_file f;
    copy_path(path, "read");
    put(path, "0123456789");
    assert_int_equal(kw_file_open(path, (kw_file_options){ .no_mmap = true }, &f), KW_OK);
    assert_int_equal(truncate(path, 0), 0);
    assert_int_equal(kw_file_check(&f), KW_OK);
    assert_memory_equal(f.data, "0123456789", 10);
    kw_file_close(&f);
}

TEST(a_pipe_is_refused_at_once_instead_of_waiting_for_its_writer)
{
    char path[512];
    kw_file f;
    kw_file_writer *w = NULL;
    copy_path(path, "pipe");
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(kw_file_open(path, (kw_file_options){ 0 }, &f), KW_EINVAL);
    assert_non_null(strstr(kw_error_message(), "is a pipe or device, not a file"));
    assert_int_equal(kw_file_create(path, &w), KW_EWRITE);
    assert_int_equal(kw_file_create("/dev/null", &w), KW_EWRITE);
}

TEST(files_of_proc_are_read_although_their_size_is_0)
{
    char *text = NULL;
    size_t n = 0;
    assert_int_equal(kw_file_read("/proc/self/status", 1 << 20, &text, &n), KW_OK);
    assert_true(n > 100 && strlen(text) == n);
    kw_free(text);
    assert_int_equal(kw_file_read("/proc/self/status", 10, &text, &n), KW_ELIMIT);
}

TEST(a_file_without_permission_says_why)
{
    char path[512];
    kw_file f;
    copy_path(path, "secret");
    put(path, "x");
    assert_int_equal(chmod(path, 0), 0);
    if (geteuid() == 0) SKIP("root may read everything");
    assert_int_equal(kw_file_open(path, (kw_file_options){ 0 }, &f), KW_EIO);
    assert_non_null(strstr(kw_error_message(), "\nwhy: Permission denied"));
}

static char warning[256];

static void keep_warning(void *user, kw_log_level level, const char *line)
{
    (void)user;
    if (level == KW_LOG_WARN) snprintf(warning, sizeof warning, "%s", line);
}

TEST(pages_that_cannot_be_locked_are_a_warning_and_no_error)
{
    char path[512];
    kw_file f;
    struct rlimit before, none = { 0, 0 };
    copy_path(path, "locked");
    put(path, "x");
    getrlimit(RLIMIT_MEMLOCK, &before);
    none.rlim_max = before.rlim_max;
    setrlimit(RLIMIT_MEMLOCK, &none);
    kw_log_to(keep_warning, NULL);
    warning[0] = '\0';
    kw_status st = kw_file_open(path, (kw_file_options){ .mlock = true }, &f);
    kw_log_to(NULL, NULL);
    setrlimit(RLIMIT_MEMLOCK, &before);
    assert_int_equal(st, KW_OK);
    kw_file_close(&f);
    if (!warning[0]) SKIP("this process may lock without limit");
    assert_non_null(strstr(warning, path));
}

static int n_entries(const char *folder)
{
    DIR *d = opendir(folder);
    int n = 0;
    while (d && readdir(d)) n++;
    closedir(d);
    return n - 2;
}

/* Runs with at most `bytes` bytes a file: the 'disk' is full after that. */
static void limit_file_size(rlim_t bytes, struct rlimit *before)
{
    getrlimit(RLIMIT_FSIZE, before);
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit now = { bytes, before->rlim_max };
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &now), 0);
}

TEST(a_full_disk_leaves_the_old_file_and_no_debris)
{
    char folder[512], path[600];
    static char block[100000];
    struct rlimit before;
    kw_file_writer *w = NULL;
    copy_path(folder, "full disk");
    assert_int_equal(mkdir(folder, 0755), 0);
    snprintf(path, sizeof path, "%s/target", folder);
    put(path, "old");
    limit_file_size(50000, &before);
    assert_int_equal(kw_file_create(path, &w), KW_OK);
    kw_status st = kw_file_append(w, block, sizeof block);
    setrlimit(RLIMIT_FSIZE, &before);
    assert_int_equal(st, KW_EWRITE);
    assert_non_null(strstr(kw_error_message(), path));
    assert_non_null(strstr(kw_error_message(), "\nwhy: "));
    assert_int_equal(n_entries(folder), 2);
    kw_file_abort(w);
    assert_int_equal(n_entries(folder), 1);
    char *text = NULL;
    assert_int_equal(kw_file_read(path, 10, &text, NULL), KW_OK);
    assert_string_equal(text, "old");
    kw_free(text);
}

TEST(a_commit_that_fails_removes_the_temporary_file)
{
    char folder[512], path[600];
    kw_file_writer *w = NULL;
    copy_path(folder, "late");
    assert_int_equal(mkdir(folder, 0755), 0);
    snprintf(path, sizeof path, "%s/target", folder);
    assert_int_equal(kw_file_create(path, &w), KW_OK);
    assert_int_equal(kw_file_append(w, "x", 1), KW_OK);
    assert_int_equal(mkdir(path, 0755), 0); /* somebody was faster */
    assert_int_equal(kw_file_commit(w), KW_EWRITE);
    assert_int_equal(n_entries(folder), 1);
}

TEST(new_files_get_the_permissions_that_the_umask_leaves)
{
    char path[512];
    kw_file_writer *w = NULL;
    struct stat s;
    copy_path(path, "mode");
    mode_t before = umask(027);
    assert_int_equal(kw_file_create(path, &w), KW_OK);
    assert_int_equal(kw_file_commit(w), KW_OK);
    umask(before);
    assert_int_equal(stat(path, &s), 0);
    assert_int_equal(s.st_mode & 0777, 0640);
}

TEST(no_descriptor_is_left_open)
{
    char path[512];
    copy_path(path, "descriptors");
    put(path, "x");
    int before = n_entries("/proc/self/fd");
    for (int i = 0; i < 20; i++) {
        kw_file f;
        char *text = NULL;
        kw_file_writer *w = NULL;
        kw_file_open(path, (kw_file_options){ .no_mmap = i % 2 }, &f);
        kw_file_close(&f);
        kw_file_open(".", (kw_file_options){ 0 }, &f);
        if (!kw_file_read(path, 100, &text, NULL)) kw_free(text);
        if (!kw_file_read(path, 0, &text, NULL)) kw_free(text);
        if (!kw_file_create(path, &w)) i % 3 ? kw_file_abort(w) : (void)kw_file_commit(w);
        kw_default_threads();
    }
    assert_int_equal(n_entries("/proc/self/fd"), before);
}

/* ---- control groups ---- */

static char root[512];

static void put_below(const char *folder, const char *name, const char *text)
{
    char path[1100];
    snprintf(path, sizeof path, "%s%s", root, folder);
    for (char *p = path + strlen(root) + 1; p[-1]; p++) /* mkdir -p */
        if (*p == '/' || !*p) {
            char kept = *p;
            *p = '\0';
            mkdir(path, 0755);
            *p = kept;
        }
    snprintf(path, sizeof path, "%s%s/%s", root, folder, name);
    put(path, text);
}

static int quota(const char *name, const char *groups)
{
    char path[600];
    copy_path(root, name);
    mkdir(root, 0755);
    snprintf(path, sizeof path, "%s/groups", root);
    put(path, groups);
    return kw_cores_quota(path, root);
}

static const struct {
    const char *limit;
    int cores;
} v2_limits[] = {
    { "200000 100000\n", 2 }, { "150000 100000\n", 2 },
    { "50000 100000\n", 1 },  { "max 100000\n", 0 },
    { "100001 100000", 2 },   { "", 0 },
    { "garbage", 0 },         { "100000 0\n", 0 },
    { "-5 100000\n", 0 },     { "9223372036854775807 1\n", 0 },
};

TEST(a_quota_of_the_second_generation_is_rounded_up_to_cores)
{
    quota("v2", "0::/a/b\n");
    for (size_t i = 0; i < sizeof v2_limits / sizeof v2_limits[0]; i++) {
        put_below("/a/b", "cpu.max", v2_limits[i].limit);
        assert_int_equal(quota("v2", "0::/a/b\n"), v2_limits[i].cores);
    }
}

TEST(the_smallest_quota_on_the_way_up_counts)
{
    quota("up", "");
    put_below("/a/b", "cpu.max", "800000 100000\n");
    put_below("/a", "cpu.max", "300000 100000\n");
    assert_int_equal(quota("up", "0::/a/b\n"), 3);
    assert_int_equal(quota("up", "0::/a/b/missing/deeper\n"), 3);
    assert_int_equal(quota("up", "0::/elsewhere\n"), 0);
    put_below("", "cpu.max", "100000 100000\n");
    assert_int_equal(quota("up", "0::/elsewhere\n"), 1);
    assert_int_equal(quota("up", "0::/\n"), 1);
}

TEST(a_quota_of_the_first_generation_is_found_under_its_controller)
{
    quota("v1", "");
    put_below("/cpu/docker/x", "cpu.cfs_quota_us", "250000\n");
    put_below("/cpu/docker/x", "cpu.cfs_period_us", "100000\n");
    put_below("/cpu", "cpu.cfs_quota_us", "-1\n");
    put_below("/cpu", "cpu.cfs_period_us", "100000\n");
    assert_int_equal(quota("v1", "5:memory:/docker/x\n4:cpu,cpuacct:/docker/x\n"), 3);
    assert_int_equal(quota("v1", "4:cpuacct,cpu:/docker/x\n"), 3);
    assert_int_equal(quota("v1", "4:cpuset,cpuacct:/docker/x\n"), 0);
}

TEST(without_control_groups_there_is_no_quota)
{
    assert_int_equal(kw_cores_quota("/nonexistent/file", "/nonexistent"), 0);
    assert_int_equal(quota("broken", "no colons\n:\n::\n1:cpu\n0::"), 0);
    kw_fail(KW_EIO, "untouched");
    assert_true(kw_default_threads() >= 1);
    assert_string_equal(kw_error_message(), "untouched");
}

TEST(the_default_honours_the_affinity_of_the_process)
{
    cpu_set_t before, one;
    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    CPU_ZERO(&one);
    for (size_t cpu = 0; cpu < CPU_SETSIZE && !CPU_COUNT(&one); cpu++)
        if (CPU_ISSET(cpu, &before)) CPU_SET(cpu, &one);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    int n = kw_default_threads();
    sched_setaffinity(0, sizeof before, &before);
    assert_int_equal(n, 1);
}

/* ---- signals ---- */

enum { N_WORKERS = 3 };

static void note_mask(void *masks, int worker)
{
    pthread_sigmask(SIG_SETMASK, NULL, (sigset_t *)masks + worker);
}

TEST(workers_leave_ctrl_c_to_the_program_but_not_their_own_faults)
{
    kw_pool *pool;
    sigset_t masks[N_WORKERS];
    assert_int_equal(kw_pool_open(N_WORKERS, &pool), KW_OK);
    kw_pool_run(pool, note_mask, masks);
    kw_pool_close(pool);
    for (int i = 1; i < N_WORKERS; i++) { /* 0 is the caller */
        assert_int_equal(sigismember(&masks[i], SIGINT), 1);
        assert_int_equal(sigismember(&masks[i], SIGTERM), 1);
        assert_int_equal(sigismember(&masks[i], SIGBUS), 0); /* a mapped file that shrank */
        assert_int_equal(sigismember(&masks[i], SIGSEGV), 0);
    }
}
