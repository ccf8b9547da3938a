/* test_file.c - files are read whole, replaced whole, and named in every message. */
#include "base/base.h"
#include "test.h"

static const char *write_file(const char *name, const char *text)
{
    const char *path = test_tmp(name);
    kw_file_writer *w = NULL;
    assert_int_equal(kw_file_create(path, &w), KW_OK);
    assert_int_equal(kw_file_append(w, text, strlen(text)), KW_OK);
    assert_int_equal(kw_file_commit(w), KW_OK);
    return path;
}

static void expect_content(const char *path, const char *want)
{
    char *text = NULL;
    size_t n = 0;
    assert_int_equal(kw_file_read(path, 1 << 20, &text, &n), KW_OK);
    assert_int_equal(n, strlen(want));
    assert_string_equal(text, want);
    kw_free(text);
}

TEST(a_file_shows_the_same_bytes_mapped_and_read)
{
    const char *path = write_file("open.txt", "some bytes");
    for (int no_mmap = 0; no_mmap < 2; no_mmap++) {
        kw_file f;
        assert_int_equal(kw_file_open(path, (kw_file_options){ .no_mmap = no_mmap }, &f), KW_OK);
        assert_int_equal(f.size, 10);
        assert_memory_equal(f.data, "some bytes", 10);
        if (no_mmap) assert_false(f.is_mapped);
        assert_int_equal(f.fd >= 0, f.is_mapped);
        assert_int_equal(kw_file_check(&f), KW_OK);
        kw_file_forget(&f, 0, f.size);
        kw_file_forget(&f, 5, SIZE_MAX);
        kw_file_forget(&f, 500, 1);
        assert_memory_equal(f.data, "some bytes", 10); /* forgotten pages come back */
        kw_file_close(&f);
        assert_null(f.data);
        kw_file_close(&f);
    }
    assert_int_equal(kw_alloc_live(KW_PAY_FILE), 0);
}

TEST(a_zeroed_file_can_be_closed_and_checked)
{
    kw_file f = { 0 };
    assert_int_equal(kw_file_check(&f), KW_OK);
    kw_file_close(&f);
}

TEST(an_empty_file_opens_with_size_0)
{
    const char *path = write_file("empty", "");
    kw_file f;
    assert_int_equal(kw_file_open(path, (kw_file_options){ 0 }, &f), KW_OK);
    assert_int_equal(f.size, 0);
    assert_int_equal(kw_file_check(&f), KW_OK);
    kw_file_close(&f);
    expect_content(path, "");
}

TEST(what_is_no_file_is_refused_by_name)
{
    kw_file f;
    char *text;
    const char *missing = test_tmp("missing");
    assert_int_equal(kw_file_open(missing, (kw_file_options){ 0 }, &f), KW_ENOTFOUND);
    assert_non_null(strstr(kw_error_message(), missing));
    assert_int_equal(kw_file_read(missing, 10, &text, NULL), KW_ENOTFOUND);
    assert_int_equal(kw_file_open(".", (kw_file_options){ 0 }, &f), KW_EINVAL);
    assert_string_equal(kw_error_message(), ".: is a folder, not a file");
    assert_int_equal(kw_file_read(".", 10, &text, NULL), KW_EINVAL);
    assert_int_equal(f.fd, -1);
    const char *file = write_file("plain", "x");
    char below[512];
    snprintf(below, sizeof below, "%s/child", file);
    assert_int_equal(kw_file_open(below, (kw_file_options){ 0 }, &f), KW_ENOTFOUND);
}

TEST(paths_are_told_apart)
{
    const char *path = write_file("there", "x");
    assert_true(kw_path_exists(path) && !kw_path_is_dir(path));
    assert_true(kw_path_exists(".") && kw_path_is_dir("."));
    assert_false(kw_path_exists(test_tmp("not there")) || kw_path_is_dir(test_tmp("not there")));
}

TEST(reading_stops_at_the_callers_maximum)
{
    const char *path = write_file("ten", "0123456789");
    char *text = NULL;
    size_t n = 0;
    assert_int_equal(kw_file_read(path, 10, &text, &n), KW_OK);
    assert_int_equal(n, 10);
    kw_free(text);
    assert_int_equal(kw_file_read(path, 9, &text, &n), KW_ELIMIT);
    assert_non_null(strstr(kw_error_message(), path));
    assert_int_equal(kw_file_read(path, 0, &text, &n), KW_ELIMIT);
    assert_int_equal(kw_file_read(path, SIZE_MAX, &text, &n), KW_OK);
    kw_free(text);
}

TEST(a_file_larger_than_one_read_arrives_whole)
{
    const char *path = test_tmp("large");
    enum { N = 300000 };
    char *bytes = kw_malloc(N, KW_PAY_MISC), *text = NULL;
    size_t n = 0;
    for (size_t i = 0; i < N; i++) bytes[i] = (char)(i * 31 + i / 256);
    kw_file_writer *w = NULL;
    assert_int_equal(kw_file_create(path, &w), KW_OK);
    for (size_t i = 0; i < N; i += 1000)
        assert_int_equal(kw_file_append(w, bytes + i, 1000), KW_OK);
    assert_int_equal(kw_file_commit(w), KW_OK);
    assert_int_equal(kw_file_read(path, N, &text, &n), KW_OK);
    assert_int_equal(n, N);
    assert_memory_equal(text, bytes, N);
    kw_free(text);
    kw_free(bytes);
}

TEST(the_old_content_stays_until_commit_and_after_abort)
{
    const char *path = write_file("replaced", "old");
    kw_file_writer *w = NULL;
    assert_int_equal(kw_file_create(path, &w), KW_OK);
    assert_int_equal(kw_file_append(w, "new", 3), KW_OK);
    expect_content(path, "old");
    kw_file_abort(w);
    kw_file_abort(NULL);
    expect_content(path, "old");
    write_file("replaced", "newer");
    expect_content(path, "newer");
}

TEST(a_path_that_cannot_be_written_is_refused_before_any_byte)
{
    kw_file_writer *w = NULL;
    char path[512];
    snprintf(path, sizeof path, "%s/below", test_tmp("no folder"));
    assert_int_equal(kw_file_create(path, &w), KW_EWRITE);
    assert_non_null(strstr(kw_error_message(), path));
    assert_int_equal(kw_file_create(".", &w), KW_EWRITE);
    assert_int_equal(kw_file_create("", &w), KW_EINVAL);
    assert_null(w);
}

TEST(any_failed_allocation_leaves_nothing_open_and_no_memory)
{
    const char *path = write_file("faults", "text");
    kw_status st = KW_ENOMEM;
    for (uint64_t n = 1; st; n++) {
        kw_file f = { 0 };
        char *text = NULL;
        kw_file_writer *w = NULL;
        kw_alloc_fail_nth(n);
        st = kw_file_open(path, (kw_file_options){ .no_mmap = true }, &f);
        if (!st) st = kw_file_read(path, 100, &text, NULL);
        if (!st) st = kw_file_create(path, &w);
        kw_alloc_fail_nth(0);
        assert_true(st == KW_OK || st == KW_ENOMEM);
        kw_file_abort(w);
        kw_free(text);
        kw_file_close(&f);
        assert_int_equal(kw_alloc_live(KW_PAY_FILE), 0);
        assert_true(n < 20);
    }
}
