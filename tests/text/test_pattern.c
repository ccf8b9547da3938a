/* Patterns that no matcher was written for: what is found, what is refused by name, and that no pattern runs for ever. Where the
 * library is built without PCRE2, each is refused. */
#include "test.h"
#include "text/internal.h"
#include <stdio.h>
#include <string.h>

/* The matches in a text as "0-2 3-3", or the failure's first line. */
static kw_status found(const char *regex, kw_str text, kw_buf *out)
{
    kw_pattern *p = NULL;
    kw_pattern_walk w;
    size_t start = 0, end = 0;
    kw_status st = kw_pattern_new(kw_str_of(regex), &p);
    if (st) return st;
    st = kw_pattern_begin(&w, p, text);
    for (const char *space = ""; !st; space = " ") {
        st = kw_pattern_next(&w, &start, &end);
        if (st || start == SIZE_MAX) break;
        kw_buf_printf(out, "%s%zu-%zu", space, start, end);
    }
    kw_pattern_end(&w);
    kw_pattern_free(p);
    return st;
}

static bool is_absent(void)
{
    kw_pattern *p = NULL;
    kw_status st = kw_pattern_new(KW_STR("a"), &p);
    kw_pattern_free(p);
    if (st) assert_non_null(strstr(kw_error_message(), "this build has no PCRE2"));
    return st != KW_OK;
}

TEST(patterns_mean_what_they_mean_to_oniguruma)
{
    static const struct {
        const char *regex, *text, *found;
    } cases[] = {
        { "a+", "aabca", "0-2 4-5" },
        { "x*", "abxxc", "0-0 1-1 2-4 5-5" }, /* no empty match where the last one ended */
        { "(?=[A-Z])", "aBcD", "1-1 3-3" },
        { "\\h+", "a1 g", "0-2" },     /* hexadecimal digits */
        { "(?m:a.b)", "a\nb", "0-3" }, /* the dot matches newlines */
        { "a.b", "a\nb", "" },
        { "^b|a$", "a\nb", "0-1 2-3" },          /* lines, not the text */
        { "\\w+", "e\xcc\x81_\xc2\xb2", "0-6" }, /* marks and small numbers are parts of words */
        { "[a[bc]]+", "cabd", "0-3" },
        { "a{,2}b", "aaab", "1-4" },
        { "{", "a{", "1-2" },
        { "\\u00e9", "\xc3\xa9", "0-2" },
        { "[^\\p{L}]",
          "a\xff"
          "b",
          "1-2" }, /* a malformed byte is one that is no letter */
    };
    if (is_absent()) SKIP("this build has no PCRE2");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        kw_buf out = KW_BUF(1000, KW_PAY_TEXT);
        assert_int_equal(found(cases[i].regex, kw_str_of(cases[i].text), &out), KW_OK);
        assert_string_equal(kw_buf_text(&out), cases[i].found);
        kw_buf_free(&out);
    }
}

TEST(what_has_no_certain_meaning_is_refused_by_name)
{
    static const struct {
        const char *regex, *why;
    } cases[] = {
        { "(a", "missing closing parenthesis" },
        { "[a", "brackets that do not end" },
        { "[a&&b]", "an intersection of sets at byte 2" },
        { "[a[^b]]", "brackets within brackets" },
        { "[^\\W]", "what lies outside of several sets" },
        { "a(?i)b|c", "a group at byte" },
        { "(*FAIL)", "a command at byte" },
        { "a{1,2}+", "a repeated interval" },
        { "a\\Kb", "an escape" },
        { "\\p{No Such Script}", "unknown property" },
        { "\\xff", "a byte that is no character" },
    };
    if (is_absent()) SKIP("this build has no PCRE2");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        kw_buf out = KW_BUF(1000, KW_PAY_TEXT);
        assert_int_equal(found(cases[i].regex, KW_STR("ab"), &out), KW_EUNSUPPORTED);
        if (!strstr(kw_error_message(), cases[i].why)) printf("%s\n", kw_error_message());
        assert_non_null(strstr(kw_error_message(), cases[i].why));
        kw_buf_free(&out);
    }
}

TEST(cuts_that_have_a_name_but_no_matcher_are_made)
{
    static const char *const all[] = { "bloom",    "viking",     "tiny_aya",
                                       "superbpe", "bailingmoe", "seed-coder",
                                       "qwen35",   "exaone-moe", "ufakzeka" };
    if (is_absent()) SKIP("this build has no PCRE2");
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        kw_tokenizer *t = kw_tokenizer_new();
        assert_int_equal(kw_tokenizer_add_cuts_named(t, kw_str_of(all[i])), KW_OK);
        assert_true(t->n_cuts >= 1);
        kw_tokenizer_close(t);
    }
}

TEST(a_pattern_that_backtracks_without_end_is_stopped)
{
    static char text[64];
    kw_buf out = KW_BUF(1000, KW_PAY_TEXT);
    if (is_absent()) SKIP("this build has no PCRE2");
    memset(text, 'a', sizeof text);
    text[sizeof text - 1] = 'b';
    assert_int_equal(found("(a+)+$", (kw_str){ text, sizeof text }, &out), KW_ELIMIT);
    assert_non_null(strstr(kw_error_message(), "takes too many steps at byte 0 of a text of 64"));
    kw_buf_free(&out);
}
