/* test_status.c - failures are told once, with their values, to the thread they happened on. */
#include "base/base.h"
#include "test.h"

TEST(a_failure_returns_its_status_and_records_the_formatted_reason)
{
    assert_int_equal(kw_fail(KW_ELIMIT, "%d rows, at most %d", 5, 3), KW_ELIMIT);
    assert_string_equal(kw_error_message(), "5 rows, at most 3");
}

TEST(a_new_failure_replaces_the_old_reason)
{
    kw_fail(KW_EIO, "the first, and a long one");
    kw_fail(KW_EIO, "second");
    assert_string_equal(kw_error_message(), "second");
}

TEST(a_note_stands_before_the_reason_and_a_try_behind_it)
{
    kw_status st = kw_fail(KW_EFORMAT, "bad magic");
    assert_int_equal(kw_note(st, "%s", "x.gguf"), KW_EFORMAT);
    assert_int_equal(kw_try(st, "fetch it again"), KW_EFORMAT);
    assert_string_equal(kw_error_message(), "x.gguf: bad magic\ntry: fetch it again");
}

TEST(success_passes_through_note_and_try_untouched)
{
    kw_fail(KW_EIO, "old");
    assert_int_equal(kw_note(KW_OK, "n"), KW_OK);
    assert_int_equal(kw_try(KW_OK, "t"), KW_OK);
    assert_string_equal(kw_error_message(), "old");
}

TEST(arguments_may_point_into_the_message_itself)
{
    kw_fail(KW_EIO, "inner");
    kw_fail(KW_EIO, "outer (%s)", kw_error_message());
    assert_string_equal(kw_error_message(), "outer (inner)");
    kw_note(KW_EIO, "%s again", kw_error_message());
    assert_string_equal(kw_error_message(), "outer (inner) again: outer (inner)");
}

TEST(a_message_that_is_too_long_is_cut_between_characters)
{
    static char euros[3001];
    for (size_t i = 0; i < 3000; i++) euros[i] = "\xE2\x82\xAC"[i % 3];
    for (int pad = 0; pad < 3; pad++) {
        kw_fail(KW_EIO, "%.*s%s", pad, "xx", euros);
        size_t n = strlen(kw_error_message());
        assert_true(n > 1000 && n < 1024);
        assert_true(kw_utf8_valid(kw_error_message(), n, NULL));
        kw_note(KW_EIO, "a note");
        assert_true(kw_utf8_valid(kw_error_message(), strlen(kw_error_message()), NULL));
        kw_try(KW_EIO, "more than fits: %s", euros);
        assert_true(kw_utf8_valid(kw_error_message(), strlen(kw_error_message()), NULL));
    }
}

static void fail_on_each(void *ctx, int worker)
{
    char *seen = (char *)ctx + worker * 64;
    snprintf(seen, 32, "<%s>", kw_error_message());
    kw_fail(KW_EIO, "worker %d", worker);
    snprintf(seen + 32, 32, "%s", kw_error_message());
}

TEST(every_thread_has_its_own_message_and_starts_without_one)
{
    char seen[3 * 64] = { 0 };
    kw_pool *pool = NULL;
    assert_int_equal(kw_pool_open(3, &pool), KW_OK);
    kw_fail(KW_EIO, "mine");
    kw_pool_run(pool, fail_on_each, seen);
    assert_string_equal(seen, "<mine>");
    for (int i = 1; i < kw_pool_size(pool); i++) {
        char want[32];
        snprintf(want, sizeof want, "worker %d", i);
        assert_string_equal(seen + i * 64, "<>");
        assert_string_equal(seen + i * 64 + 32, want);
    }
    assert_string_equal(kw_error_message(), "worker 0");
    kw_pool_close(pool);
}

TEST(a_reason_becomes_the_why_of_what_could_not_be_done)
{
    static const struct {
        const char *reason, *whole;
    } cases[] = {
        { "no such file", "cannot load m\nwhy: no such file" },
        { "5 rows\nwhy: cut", "cannot load m\nwhy: 5 rows; cut" },
        { "5 rows\ntry: again", "cannot load m\nwhy: 5 rows\ntry: again" },
        { "5 rows\nwhy: cut\ntry: again", "cannot load m\nwhy: 5 rows; cut\ntry: again" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        kw_fail(KW_EFORMAT, "%s", cases[i].reason);
        assert_int_equal(kw_because(KW_EFORMAT, "cannot load %s", "m"), KW_EFORMAT);
        assert_string_equal(kw_error_message(), cases[i].whole);
    }
    kw_fail(KW_EFORMAT, "untouched");
    assert_int_equal(kw_because(KW_OK, "nothing"), KW_OK);
    assert_string_equal(kw_error_message(), "untouched");
}

TEST(every_status_has_a_name_of_its_own)
{
    for (int a = KW_EWRITE; a <= KW_DONE; a++) {
        assert_string_not_equal(kw_status_name((kw_status)a), "unknown status");
        for (int b = KW_EWRITE; b < a; b++)
            assert_string_not_equal(kw_status_name((kw_status)a), kw_status_name((kw_status)b));
    }
    assert_string_equal(kw_status_name((kw_status)-99), "unknown status");
}

static char logged[64];
static int logged_level;

static void remember(void *user, kw_log_level level, const char *line)
{
    snprintf(logged, sizeof logged, "%s%s", (const char *)user, line);
    logged_level = (int)level;
}

TEST(a_log_line_reaches_the_callback_without_newlines)
{
    char prefix[] = "> ";
    kw_log_to(remember, prefix);
    kw_log(KW_LOG_WARN, "two\nlines %d", 7);
    kw_log_to(NULL, NULL);
    kw_log(KW_LOG_WARN, "nobody listens");
    assert_string_equal(logged, "> two lines 7");
    assert_int_equal(logged_level, KW_LOG_WARN);
}
