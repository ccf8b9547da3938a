/* test_pack_posix.c - packed weights in a file: used when they are right, made anew when not, and never another answer. */
#define _GNU_SOURCE
#include "base/base.h"
#include "kwaai/kwaai.h"
#include "test.h"
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { VOCAB_MOST = 512, PATH = 1024 };

typedef struct place {
    char model[PATH], dir[PATH], pack[PATH];
} place;

typedef struct answer {
    float logits[VOCAB_MOST];
    size_t n;
    char packed[16];
    uint64_t bytes;
} answer;

static kw_engine *engine(void)
{
    static kw_engine *e;
    kw_engine_options o = kw_engine_defaults();
    o.threads = 2;
    if (!e) assert_int_equal(kw_engine_open(&o, &e), KW_OK);
    return e;
}

static void copy_file(const char *from, const char *to)
{
    char *data = NULL;
    size_t n = 0;
    kw_file_writer *w = NULL;
    assert_int_equal(kw_file_read(from, 64 << 20, &data, &n), KW_OK);
    assert_int_equal(kw_file_create(to, &w), KW_OK);
    assert_int_equal(kw_file_append(w, data, n), KW_OK);
    assert_int_equal(kw_file_commit(w), KW_OK);
    kw_free(data);
}

/* A copy of the model that has not changed for long enough to have a stamp. */
static void settle(const char *path)
{
    struct timespec now;
    struct stat s;
    do {
        usleep(50000);
        assert_int_equal(stat(path, &s), 0);
        clock_gettime(CLOCK_REALTIME, &now);
    } while (now.tv_sec - s.st_ctim.tv_sec < 2);
}

static kw_status load(const place *p, const char *how, kw_model **m)
{
    kw_model_options o = kw_model_defaults();
    o.pack = how;
    o.pack_dir = p->dir;
    return kw_model_load(engine(), p->model, &o, m);
}

static answer ask(const place *p, const char *how)
{
    kw_model *m = NULL;
    kw_session *s = NULL;
    answer a = { .n = 0 };
    int32_t ids[9] = { 1, 2, 3, 4, 5, 6, 7, 8, 9 };
    if (load(p, how, &m)) fail_msg("%s", kw_error_message());
    kw_model_info info = kw_model_describe(m);
    snprintf(a.packed, sizeof a.packed, "%s", info.packed);
    a.bytes = info.pack_bytes;
    kw_session_options o = kw_session_defaults();
    o.ctx = 64;
    assert_int_equal(kw_session_open(m, &o, &s), KW_OK);
    assert_int_equal(kw_session_sync(s, ids, 9), KW_OK);
    const float *x = kw_session_logits(s, &a.n);
    assert_true(a.n && a.n <= VOCAB_MOST);
    memcpy(a.logits, x, a.n * sizeof *x);
    kw_session_close(s);
    kw_model_release(m);
    return a;
}

/* false: the kernels of this machine pack nothing, so there is nothing to test. */
static bool set_up(place *p, const char *name)
{
    kw_model *m = NULL;
    snprintf(p->model, PATH, "%s", test_tmp(name));
    snprintf(p->dir, PATH, "%.900s.packs/deep", p->model);
    copy_file(test_local("golden/gguf-tiny-llama/q4_0.gguf"), p->model);
    assert_int_equal(load(p, "off", &m), KW_OK);
    assert_int_equal(kw_model_pack_path(m, p->dir, p->pack, PATH), KW_OK);
    kw_model_release(m);
    return p->pack[0] != 0;
}

#define SET_UP(p, name)                                                                            \
    if (!set_up(p, name)) SKIP("this machine's kernels pack nothing")

static void same(const answer *a, const answer *b)
{
    assert_int_equal(a->n, b->n);
    assert_memory_equal(a->logits, b->logits, a->n * sizeof *a->logits);
}

static void expect(const place *p, const char *how, const char *packed, const answer *want)
{
    answer a = ask(p, how);
    assert_string_equal(a.packed, packed);
    same(&a, want);
}

static ino_t inode_of(const char *path)
{
    struct stat s;
    return stat(path, &s) ? 0 : s.st_ino;
}

static void flip(const char *path, off_t at, bool from_end)
{
    unsigned char c;
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    if (from_end) at += lseek(fd, 0, SEEK_END);
    assert_int_equal(pread(fd, &c, 1, at), 1);
    c ^= 0x10;
    assert_int_equal(pwrite(fd, &c, 1, at), 1);
    close(fd);
}

TEST(a_pack_is_made_once_and_then_used_and_says_the_same_as_memory)
{
    place p;
    SET_UP(&p, "once.gguf");
    answer want = ask(&p, "memory"), off = ask(&p, "off");
    assert_string_equal(want.packed, "memory");
    assert_string_equal(off.packed, "none");
    assert_int_equal(inode_of(p.pack), 0);
    expect(&p, "auto", "file", &want);
    ino_t first = inode_of(p.pack);
    assert_true(first);
    for (int i = 0; i < 3; i++) expect(&p, i ? "auto" : "file", "file", &want);
    assert_int_equal(inode_of(p.pack), first);
    kw_pack_info info;
    assert_int_equal(kw_pack_describe(p.pack, &info), KW_OK);
    assert_true(info.is_current && info.n_tensors > 0 && strstr(info.source, "once.gguf"));
}

TEST(a_model_that_was_moved_or_copied_keeps_its_pack)
{
    place p, other;
    SET_UP(&p, "moved.gguf");
    answer want = ask(&p, "memory");
    settle(p.model);
    expect(&p, "auto", "file", &want);
    ino_t first = inode_of(p.pack);
    other = p;
    snprintf(other.model, PATH, "%s", test_tmp("elsewhere.gguf"));
    copy_file(p.model, other.model);
    expect(&other, "auto", "file", &want);
    assert_int_equal(unlink(p.model), 0);
    assert_int_equal(rename(other.model, p.model), 0);
    settle(p.model);
    for (int i = 0; i < 3; i++) expect(&p, "auto", "file", &want);
    assert_int_equal(inode_of(p.pack), first);
}

/* At the same size, with the old time put back, in a byte that no sample sees: as bad as a change can be. */
TEST(weights_changed_after_packing_are_never_answered_from_the_old_pack)
{
    place p;
    SET_UP(&p, "changed.gguf");
    settle(p.model);
    answer before = ask(&p, "auto");
    struct stat s;
    for (int round = 0; round < 4; round++) {
        assert_int_equal(stat(p.model, &s), 0);
        struct timespec times[2] = { s.st_atim, s.st_mtim };
        for (off_t i = 0; i < 40; i++) flip(p.model, -4096 - 97 * i - round, true);
        assert_int_equal(utimensat(AT_FDCWD, p.model, times, 0), 0);
        if (round % 2) settle(p.model);
        answer want = ask(&p, "memory");
        expect(&p, "auto", "file", &want);
        expect(&p, "auto", "file", &want);
        assert_memory_not_equal(before.logits, want.logits, want.n * sizeof(float));
        before = want;
    }
}

TEST(damaged_and_foreign_packs_are_made_anew)
{
    place p;
    SET_UP(&p, "damaged.gguf");
    answer want = ask(&p, "auto");
    for (off_t at = 0; at < 400; at += 3) {
        if (at >= 90 && at < 256) at = 258; /* reserved bytes and stamps */
        ino_t before = inode_of(p.pack);
        flip(p.pack, at, false);
        expect(&p, "auto", "file", &want);
        if (inode_of(p.pack) == before) fail_msg("byte %d may change", (int)at);
    }
    for (int i = 0; i < 3; i++) {
        assert_int_equal(i == 2 ? truncate(p.pack, 5000) : truncate(p.pack, i * 100), 0);
        expect(&p, "auto", "file", &want);
    }
    copy_file(p.model, p.pack);
    expect(&p, "auto", "file", &want);
    kw_pack_info info;
    assert_int_equal(kw_pack_describe(p.model, &info), KW_EFORMAT);
    assert_int_equal(kw_pack_describe("/nowhere/x.pack", &info), KW_ENOTFOUND);
}

/* As another version would leave it: everything right but the numbers of the build. */
TEST(a_pack_of_another_build_or_of_other_weights_is_made_anew)
{
    place p;
    static const off_t fields[] = { 12, 16, 24, 32 };
    SET_UP(&p, "older.gguf");
    answer want = ask(&p, "auto");
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        unsigned char head[128];
        ino_t before = inode_of(p.pack);
        flip(p.pack, fields[i], false);
        int fd = open(p.pack, O_RDWR);
        assert_int_equal(pread(fd, head, sizeof head, 0), sizeof head);
        uint64_t check = kw_hash64(head, 120, 1);
        assert_int_equal(pwrite(fd, &check, 8, 120), 8);
        close(fd);
        kw_pack_info info;
        assert_int_equal(kw_pack_describe(p.pack, &info), KW_OK);
        assert_int_equal(info.is_current, i >= 2);
        expect(&p, "auto", "file", &want);
        assert_true(inode_of(p.pack) != before);
    }
}

TEST(verifying_finds_a_changed_byte_of_pack_and_model)
{
    place p;
    kw_model *m = NULL;
    SET_UP(&p, "verified.gguf");
    ask(&p, "auto");
    assert_int_equal(load(&p, "off", &m), KW_OK);
    assert_int_equal(kw_pack_verify(engine(), p.pack, NULL, NULL, NULL), KW_OK);
    assert_int_equal(kw_pack_verify(engine(), p.pack, m, NULL, NULL), KW_OK);
    flip(p.pack, -1, true);
    assert_int_equal(kw_pack_verify(engine(), p.pack, NULL, NULL, NULL), KW_EVERIFY);
    assert_non_null(strstr(kw_error_message(), "are damaged"));
    flip(p.pack, -1, true);
    kw_model_release(m);
    for (off_t i = 0; i < 40; i++) flip(p.model, -4096 - 97 * i, true);
    assert_int_equal(load(&p, "off", &m), KW_OK);
    kw_status st = kw_pack_verify(engine(), p.pack, m, NULL, NULL);
    if (st != KW_EVERIFY && st != KW_EFORMAT)
        fail_msg("%d", st); /* a sampled byte: other weights */
    kw_model_release(m);
}

TEST(where_no_file_can_be_written_the_weights_are_packed_in_memory)
{
    place p;
    kw_model *m = NULL;
    SET_UP(&p, "unwritable.gguf");
    answer want = ask(&p, "memory");
    place q = p;
    snprintf(q.dir, PATH, "%.900s/packs", p.model); /* below a file */
    expect(&q, "auto", "memory", &want);
    assert_int_equal(load(&q, "file", &m), KW_EWRITE);
    q.dir[0] = 0;
    expect(&q, "auto", "memory", &want);
    assert_int_equal(load(&q, "file", &m), KW_EINVAL);
    assert_int_equal(load(&q, "sideways", &m), KW_EINVAL);
    assert_int_equal(kw_folder_make(p.pack, true), KW_OK); /* a folder where the pack should be */
    expect(&p, "auto", "memory", &want);
    assert_int_equal(rmdir(p.pack), 0);
    expect(&p, "auto", "file", &want);
}

TEST(a_limit_on_the_size_of_files_is_noticed_before_anything_is_written)
{
    place p;
    struct rlimit before, small;
    char temporary[PATH + 8];
    SET_UP(&p, "limited.gguf");
    answer want = ask(&p, "memory");
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = 4096;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0); /* SIGXFSZ would end the test */
    answer got = ask(&p, "auto");
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_string_equal(got.packed, "memory");
    same(&got, &want);
    snprintf(temporary, sizeof temporary, "%s.tmp", p.pack);
    assert_false(kw_path_exists(temporary));
    assert_false(kw_path_exists(p.pack));
}

TEST(what_a_killed_writer_left_is_overwritten_and_a_living_one_is_left_alone)
{
    place p;
    char temporary[PATH + 8];
    kw_file_writer *w = NULL, *second = NULL;
    SET_UP(&p, "left.gguf");
    answer want = ask(&p, "memory");
    snprintf(temporary, sizeof temporary, "%s.tmp", p.pack);
    assert_int_equal(kw_folder_make(p.dir, true), KW_OK);
    copy_file(p.model, temporary);
    assert_int_equal(kw_file_create_alone(p.pack, &w), KW_OK);
    assert_non_null(w);
    assert_int_equal(kw_file_create_alone(p.pack, &second), KW_OK);
    assert_null(second);
    expect(&p, "auto", "memory", &want);
    kw_file_abort(w);
    assert_false(kw_path_exists(temporary));
    copy_file(p.model, temporary);
    expect(&p, "auto", "file", &want);
    assert_false(kw_path_exists(temporary));
}

static uint64_t last_done, last_total;
static int n_progress;

static void on_progress(void *user, const char *what, uint64_t done, uint64_t total)
{
    assert_ptr_equal(user, &n_progress);
    assert_string_equal(what, "packing");
    assert_true(done > 0 && done <= total);
    last_done = done;
    last_total = total;
    n_progress++;
}

TEST(progress_is_told_up_to_its_end)
{
    place p;
    kw_model *m = NULL;
    SET_UP(&p, "progress.gguf");
    settle(p.model); /* or the fresh pack is compared with the model, and that is told too */
    static const char *const ways[] = { "memory", "file" };
    for (size_t i = 0; i < 2; i++) {
        kw_model_options o = kw_model_defaults();
        o.pack = ways[i];
        o.pack_dir = p.dir;
        o.on_progress = on_progress;
        o.progress_user = &n_progress;
        n_progress = 0;
        assert_int_equal(kw_model_load(engine(), p.model, &o, &m), KW_OK);
        assert_true(n_progress > 1 && last_done == last_total);
        assert_int_equal(last_total, kw_model_describe(m).pack_bytes);
        kw_model_release(m);
    }
}

TEST(a_pack_that_shrinks_under_a_session_is_an_error_and_no_crash)
{
    place p;
    kw_model *m = NULL;
    kw_session *s = NULL;
    int32_t ids[3] = { 1, 2, 3 };
    SET_UP(&p, "shrinks.gguf");
    assert_int_equal(load(&p, "file", &m), KW_OK);
    assert_int_equal(kw_session_open(m, NULL, &s), KW_OK);
    assert_int_equal(truncate(p.pack, 4096), 0);
    assert_int_equal(kw_session_sync(s, ids, 3), KW_EIO);
    kw_session_close(s);
    kw_model_release(m);
}

TEST(every_allocation_of_packing_into_a_file_may_fail)
{
    place p;
    kw_model *m = NULL;
    SET_UP(&p, "faults.gguf");
    answer want = ask(&p, "memory");
    for (int there = 0; there < 2; there++) {
        kw_status st = KW_ENOMEM;
        size_t before = kw_alloc_live(KW_PAY_COUNT);
        uint64_t n = 0, start = kw_alloc_count();
        assert_int_equal(load(&p, "auto", &m), KW_OK);
        uint64_t total = kw_alloc_count() - start;
        kw_model_release(m);
        for (n = 1; n <= total; n++) {
            if (!there) unlink(p.pack);
            kw_alloc_fail_nth(n);
            m = NULL;
            st = load(&p, "auto", &m);
            kw_alloc_fail_nth(0);
            if (st && st != KW_ENOMEM) fail_msg("allocation %d: %s", (int)n, kw_error_message());
            kw_model_release(m);
            if (kw_alloc_live(KW_PAY_COUNT) != before) fail_msg("allocation %d leaked", (int)n);
        }
        printf("%d allocations, each failed once\n", (int)total);
        expect(&p, "auto", "file", &want);
    }
}
