/* test_json.c - the grammar of RFC 8259, nothing more and nothing less. */
#include "base/base.h"
#include "test.h"

static kw_status skip_all(const char *text, size_t len)
{
    kw_json_reader r;
    kw_json_open(&r, text, len);
    bool ok = kw_json_skip(&r) && kw_json_end(&r);
    kw_status st = r.status;
    kw_json_close(&r);
    assert_int_equal(ok, st == KW_OK);
    return st;
}

static kw_status parse(const char *text, size_t len)
{
    kw_arena a = KW_ARENA(KW_PAY_TEXT);
    kw_json *tree = NULL;
    kw_status st = kw_json_parse(text, len, &a, &tree);
    assert_int_equal(tree == NULL, st != KW_OK);
    kw_arena_free(&a);
    return st;
}

/* clang-format off */
static const char *const accepted[] = {
    "null", "true", "false", "0", "-0", "10", "-1", "1.5", "1e5", "1E+5", "1e-5", "0.0", "0e0",
    "-0.0E-0", "123456789012345678901234567890", "\"\"", "\"a\"",
    "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\u0000\\u00e9\\uFFFF\"", "\"\\ud83d\\ude42\"",
    "\"\\ud83d\"", "\"\\ude42\"", "\"\x7F\"", "\"h\xC3\xA9llo \xE2\x82\xAC \xF0\x9F\x99\x82\"",
    "[]", "{}", "[[]]", "[1]", "[1,2,3]", " [ 1 , 2 ] ", "\t\r\n {} \t\r\n", "{\"a\":1}",
    "{\"a\":{\"b\":[null,true]},\"a\":2}", "{\"\":0}",
    "[\"a long string without anything special in it, for the eight bytes at a time\"]",
    "{\"a\\u0062\":1}", "\"\xED\x9F\xBF\"", "\"\xF4\x8F\xBF\xBF\"",
};
/* clang-format on */

/* clang-format off */
static const char *const refused[] = {
    "", " ", "nul", "nulll", "True", "truefalse", "NaN", "Infinity", "-Infinity", "-", "+1", "01",
    "-01", "00", "1.", ".5", "1.e5", "1e", "1e+", "0x10", "1_000", "1 2", "- 1", "--1", "1.2.3",
    "\"", "\"a", "'a'", "\"\\\"", "\"\\x41\"", "\"\\u12\"", "\"\\u12G4\"", "\"\\a\"", "\"\\",
    "\"\\u", "\"a\nb\"", "\"a\tb\"", "\"12345678\n\"", "\"\x01\"", "\"\xFF\"", "\"\xC0\x80\"",
    "\"\xED\xA0\x80\"", "\"\xE2\x82\"", "\"12345678\xF5\"", "\"\xF4\x90\x80\x80\"", "[", "]", "{",
    "}", "[1", "[1,", "[1,]", "[,1]", "[,]", "[1,,2]", "[1 2]", "[1}", "{]", "{\"a\"}",
    "{\"a\":}", "{\"a\":1,}", "{,}", "{\"a\":1,,\"b\":2}", "{\"a\" 1}", "{a:1}", "{1:2}",
    "{\"a\":1 \"b\":2}", "{\"a\"::1}", "[1]]", "{}{}", "[] x", "/**/1", "1 // c", "# c\n1",
    "\xEF\xBB\xBF{}", "[\xC2\xA0 1]", "{\"a\":1", "{\"a\"", "{\"a\":", "[true", "[\"a",
    "{null:1}", "[nul]", "\f1", "[1\x0B]",
};
/* clang-format on */

TEST(documents_of_the_grammar_are_accepted_by_both_readers)
{
    for (size_t i = 0; i < sizeof accepted / sizeof accepted[0]; i++) {
        size_t n = strlen(accepted[i]);
        if (skip_all(accepted[i], n)) fail_msg("%s: %s", accepted[i], kw_error_message());
        if (parse(accepted[i], n)) fail_msg("%s: %s", accepted[i], kw_error_message());
    }
}

TEST(everything_else_is_refused_by_both_readers)
{
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        size_t n = strlen(refused[i]);
        if (skip_all(refused[i], n) != KW_EFORMAT) fail_msg("skip accepts %s", refused[i]);
        if (parse(refused[i], n) != KW_EFORMAT) fail_msg("the tree accepts %s", refused[i]);
    }
    assert_int_equal(skip_all(NULL, 0), KW_EFORMAT);
    assert_int_equal(skip_all("1\0", 2), KW_EFORMAT);
    assert_int_equal(skip_all("\"a\0b\"", 5), KW_EFORMAT);
}

TEST(a_document_cut_short_anywhere_is_refused)
{
    static const char whole[] =
        "{\"a\":[1,-2.5e3,true,null,\"x\\u20ac\xE2\x82\xAC\"],\"b\":{\"c\":\"d\"}}";
    for (size_t n = 0; n < sizeof whole - 1; n++) {
        char *cut =
            kw_malloc(n, KW_PAY_MISC); /* its own block: a sanitizer sees one byte too far */
        memcpy(cut, whole, n);
        assert_int_equal(skip_all(cut, n), KW_EFORMAT);
        assert_int_equal(parse(cut, n), KW_EFORMAT);
        kw_free(cut);
    }
    assert_int_equal(skip_all(whole, sizeof whole - 1), KW_OK);
}

static const struct {
    const char *text, *message;
} errors[] = {
    { "[1,\n 2,\n  x]", "line 3, column 3: expected a value, found 'x'" },
    { "{\"\xC3\xA9\xC3\xA9\": x}", "line 1, column 8: expected a value, found 'x'" },
    { "[1", "line 1, column 3: expected ',' or ']', found the end of the text" },
    { "{\"a\" 1}", "line 1, column 6: expected ':', found '1'" },
    { "[1,]", "line 1, column 4: a comma with nothing behind it" },
    { "[01]", "line 1, column 2: malformed number" },
    { "\n\"a\\q\"", "line 2, column 3: unknown escape in a string" },
    { "[\x01]", "line 1, column 2: expected a value, found byte 0x01" },
    { "1 1", "line 1, column 3: something follows the end of the JSON value" },
};

TEST(errors_name_line_and_column_what_was_expected_and_what_was_found)
{
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        assert_int_equal(skip_all(errors[i].text, strlen(errors[i].text)), KW_EFORMAT);
        assert_string_equal(kw_error_message(), errors[i].message);
        assert_int_equal(parse(errors[i].text, strlen(errors[i].text)), KW_EFORMAT);
        assert_string_equal(kw_error_message(), errors[i].message);
    }
}

TEST(containers_nest_512_levels_deep_and_no_deeper)
{
    static char text[2 * 600];
    for (int depth = 511; depth <= 600; depth += depth == 511 || depth == 512 ? 1 : 87) {
        memset(text, '[', (size_t)depth);
        memset(text + depth, ']', (size_t)depth);
        kw_status want = depth <= KW_JSON_MAX_DEPTH ? KW_OK : KW_EFORMAT;
        assert_int_equal(skip_all(text, 2 * (size_t)depth), want);
        assert_int_equal(parse(text, 2 * (size_t)depth), want);
    }
    static char open[100000];
    memset(open, '[', sizeof open);
    assert_int_equal(skip_all(open, sizeof open), KW_EFORMAT);
    assert_int_equal(parse(open, sizeof open), KW_EFORMAT);
}

static const struct {
    const char *json, *bytes;
    size_t n;
} strings[] = {
    { "\"\"", "", 0 },
    { "\"plain\"", "plain", 5 },
    { "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t", 8 },
    { "\"a\\u0000b\"", "a\0b", 3 },
    { "\"\\u00e9\\u20AC\"", "\xC3\xA9\xE2\x82\xAC", 5 },
    { "\"\\ud83d\\ude42!\"", "\xF0\x9F\x99\x82!", 5 },
    { "\"\\ud83d\"", "\xEF\xBF\xBD", 3 },
    { "\"\\ud83dx\"", "\xEF\xBF\xBDx", 4 },
    { "\"\\ude42\\ud83d\"", "\xEF\xBF\xBD\xEF\xBF\xBD", 6 },
    { "\"\\ud83d\\ud83d\\ude42\"", "\xEF\xBF\xBD\xF0\x9F\x99\x82", 7 },
    { "\"\\ud83d\\u0041\"", "\xEF\xBF\xBD\101", 4 },
    { "\"\\ud83d\\n\"", "\xEF\xBF\xBD\n", 4 },
    { "\"\xE2\x82\xAC\\t\xE2\x82\xAC\"", "\xE2\x82\xAC\t\xE2\x82\xAC", 7 },
};

TEST(strings_are_unescaped_and_lone_surrogates_replaced)
{
    for (size_t i = 0; i < sizeof strings / sizeof strings[0]; i++) {
        kw_json_reader r;
        kw_str s = { NULL, 0 };
        kw_json_open(&r, strings[i].json, strlen(strings[i].json));
        assert_true(kw_json_string(&r, &s));
        assert_true(kw_json_end(&r));
        assert_int_equal(s.n, strings[i].n);
        assert_memory_equal(s.p, strings[i].bytes, s.n);
        kw_json_close(&r);
    }
    assert_int_equal(kw_alloc_live(KW_PAY_TEXT), 0);
}

static const struct {
    const char *json;
    bool is_int;
    int64_t integer;
    double number;
} numbers[] = {
    { "0", true, 0, 0 },
    { "-0", true, 0, 0 },
    { "9223372036854775807", true, INT64_MAX, 9223372036854775807.0 },
    { "-9223372036854775808", true, INT64_MIN, -9223372036854775808.0 },
    { "9223372036854775808", false, 0, 9223372036854775808.0 },
    { "1.0", false, 1, 1 },
    { "1e3", false, 1000, 1000 },
    { "-2.5", false, 0, -2.5 },
    { "1e-7", false, 0, 1e-7 },
    { "0.1", false, 0, 0.1 },
};

TEST(numbers_keep_their_kind_and_large_integers_become_floats)
{
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        kw_arena a = KW_ARENA(KW_PAY_TEXT);
        kw_json *v = NULL;
        assert_int_equal(kw_json_parse(numbers[i].json, strlen(numbers[i].json), &a, &v), KW_OK);
        assert_int_equal(v->type, numbers[i].is_int ? KW_JSON_INT : KW_JSON_FLOAT);
        if (numbers[i].is_int) assert_int_equal(v->integer, numbers[i].integer);
        assert_true(v->number == numbers[i].number);
        kw_arena_free(&a);
    }
}

TEST(an_integer_may_be_written_as_a_float_without_fraction)
{
    static const struct {
        const char *json;
        bool ok;
        int64_t value;
    } cases[] = { { "5", true, 5 },
                  { "5.0", true, 5 },
                  { "1e3", true, 1000 },
                  { "-2.50e1", true, -25 },
                  { "2.5", false, 0 },
                  { "1e19", false, 0 },
                  { "9223372036854775808", false, 0 },
                  { "-9.3e18", false, 0 },
                  { "1e400", false, 0 },
                  { "\"5\"", false, 0 } };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        kw_json_reader r;
        int64_t v = 0;
        kw_json_open(&r, cases[i].json, strlen(cases[i].json));
        assert_int_equal(kw_json_int(&r, &v), cases[i].ok);
        assert_int_equal(r.status, cases[i].ok ? KW_OK : KW_EFORMAT);
        if (cases[i].ok) assert_int_equal(v, cases[i].value);
    }
}

TEST(the_pull_reader_walks_a_document_in_order)
{
    static const char text[] =
        "{\"n\": 3, \"skip\": {\"x\": [1, {}]}, \"list\": [true, 2.5, \"s\", null], "
        "\"e\\u006dpty\": {}}";
    kw_json_reader r;
    kw_str key, s;
    int64_t n = 0;
    bool b = false;
    double f = 0;
    kw_json_open(&r, text, sizeof text - 1);
    assert_int_equal(kw_json_peek(&r), KW_JSON_OBJECT);
    assert_true(kw_json_enter_object(&r));
    assert_true(kw_json_next_key(&r, &key) && kw_str_is(key, "n"));
    assert_int_equal(kw_json_peek(&r), KW_JSON_INT);
    assert_false(kw_json_null(&r)); /* asking is no failure */
    assert_true(kw_json_int(&r, &n) && n == 3);
    assert_true(kw_json_next_key(&r, &key) && kw_str_is(key, "skip"));
    assert_true(kw_json_skip(&r));
    assert_true(kw_json_next_key(&r, &key) && kw_str_is(key, "list"));
    assert_true(kw_json_enter_array(&r));
    assert_true(kw_json_next_item(&r) && kw_json_bool(&r, &b) && b);
    assert_true(kw_json_next_item(&r) && kw_json_float(&r, &f) && f == 2.5);
    assert_true(kw_json_next_item(&r) && kw_json_string(&r, &s) && kw_str_is(s, "s"));
    assert_true(kw_json_next_item(&r) && kw_json_null(&r));
    assert_false(kw_json_next_item(&r));
    assert_true(kw_json_next_key(&r, &key) && kw_str_is(key, "empty"));
    assert_true(kw_json_enter_object(&r));
    assert_false(kw_json_next_key(&r, &key));
    assert_false(kw_json_next_key(&r, &key));
    assert_true(kw_json_end(&r));
    assert_int_equal(r.status, KW_OK);
    kw_json_close(&r);
}

TEST(the_first_failure_of_a_reader_sticks_and_later_calls_do_nothing)
{
    kw_json_reader r;
    kw_str s;
    int64_t n = 7;
    kw_json_open(&r, "[1, 2]", 6);
    assert_false(kw_json_string(&r, &s));
    assert_string_equal(kw_error_message(), "line 1, column 1: expected a string, found '['");
    assert_false(kw_json_enter_array(&r) || kw_json_next_item(&r) || kw_json_int(&r, &n));
    assert_false(kw_json_skip(&r) || kw_json_null(&r) || kw_json_end(&r));
    assert_int_equal(kw_json_error(&r, "another"), KW_EFORMAT);
    assert_string_equal(kw_error_message(), "line 1, column 1: expected a string, found '['");
    kw_json_close(&r);
}

TEST(a_value_that_was_not_read_is_noticed)
{
    kw_json_reader r;
    kw_str key;
    kw_json_open(&r, "{\"a\":1,\"b\":2}", 13);
    assert_true(kw_json_enter_object(&r) && kw_json_next_key(&r, &key));
    assert_false(kw_json_next_key(&r, &key));
    assert_int_equal(r.status, KW_EFORMAT);
    kw_json_close(&r);
}

/* ---- tree ---- */

static const char config[] =
    "{\"rope\": {\"theta\": 1e4, \"kind\": null}, \"dims\": [1, 2, 3], "
    "\"theta\": 5, \"name\": \"x\\ty\", \"dup\": 1, \"dup\": 2, \"z\": null}";

TEST(the_tree_answers_by_key_and_by_path)
{
    kw_arena a = KW_ARENA(KW_PAY_TEXT);
    kw_json *t = NULL;
    assert_int_equal(kw_json_parse(config, sizeof config - 1, &a, &t), KW_OK);
    assert_int_equal(t->n, 7);
    assert_true(kw_json_get(t, "dup")->integer == 2);
    assert_null(kw_json_get(t, "none"));
    assert_null(kw_json_get(kw_json_get(t, "dims"), "x"));
    assert_true(kw_str_is(kw_json_get(t, "name")->string, "x\ty"));
    assert_true(kw_json_path(t, "rope.theta|theta")->number == 1e4);
    assert_true(kw_json_path(t, "rope.kind|theta")->integer == 5);
    assert_true(kw_json_path(t, "a.b.c|rope.none|theta")->integer == 5);
    assert_null(kw_json_path(t, "z|rope.kind|theta.x"));
    assert_null(kw_json_path(NULL, "a"));
    const kw_json *dims = kw_json_get(t, "dims");
    assert_int_equal(dims->n, 3);
    int64_t want = 1;
    for (const kw_json *c = dims->child; c; c = c->next) assert_int_equal(c->integer, want++);
    assert_int_equal(want, 4);
    kw_arena_free(&a);
}

TEST(a_subtree_can_be_read_in_the_middle_of_a_walk)
{
    kw_json_reader r;
    kw_str key;
    kw_arena a = KW_ARENA(KW_PAY_TEXT);
    kw_json *t = NULL;
    kw_json_open(&r, "{\"a\":{\"b\":[1,2]},\"c\":3}", 23);
    assert_true(kw_json_enter_object(&r) && kw_json_next_key(&r, &key));
    assert_int_equal(kw_json_read_tree(&r, &a, &t), KW_OK);
    assert_int_equal(kw_json_get(t, "b")->n, 2);
    assert_true(kw_json_next_key(&r, &key) && kw_str_is(key, "c"));
    assert_int_equal(kw_json_read_tree(&r, &a, &t), KW_OK);
    assert_int_equal(t->integer, 3);
    assert_false(kw_json_next_key(&r, &key));
    assert_true(kw_json_end(&r));
    kw_json_close(&r);
    kw_arena_free(&a);
}

TEST(any_failed_allocation_ends_the_tree_cleanly)
{
    bool succeeded = false;
    for (uint64_t n = 1; !succeeded; n++) {
        kw_arena a = KW_ARENA(KW_PAY_TEXT);
        kw_json *t = NULL;
        kw_alloc_fail_nth(n);
        kw_status st = kw_json_parse(config, sizeof config - 1, &a, &t);
        kw_alloc_fail_nth(0);
        assert_true(st == KW_OK || st == KW_ENOMEM);
        succeeded = st == KW_OK;
        kw_arena_free(&a);
        assert_int_equal(kw_alloc_live(KW_PAY_TEXT), 0);
        assert_true(n < 100);
    }
}

/* ---- writer ---- */

static void write_sample(kw_json_writer *w)
{
    kw_json_begin_object(w);
    kw_json_key(w, "ids");
    kw_json_begin_array(w);
    kw_json_put_int(w, 1);
    kw_json_put_int(w, INT64_MIN);
    kw_json_end_array(w);
    kw_json_key(w, "empty");
    kw_json_begin_object(w);
    kw_json_end_object(w);
    kw_json_key(w, "t\"");
    kw_json_put_string(w, KW_STR("a\"\\\n\x01\x7F\xC3\xA9\xFF/"));
    kw_json_key(w, "f");
    kw_json_put_float(w, 0.1);
    kw_json_key(w, "nan");
    kw_json_put_float(w, 1e308 * 10);
    kw_json_key(w, "b");
    kw_json_put_bool(w, false);
    kw_json_key(w, "n");
    kw_json_put_null(w);
    kw_json_end_object(w);
}

TEST(the_writer_places_commas_and_escapes)
{
    kw_buf b = KW_BUF(1000, KW_PAY_TEXT);
    kw_json_writer w = { .out = &b };
    write_sample(&w);
    assert_string_equal(kw_buf_text(&b),
                        "{\"ids\":[1,-9223372036854775808],\"empty\":{},"
                        "\"t\\\"\":\"a\\\"\\\\\\n\\u0001\x7F\xC3\xA9\xEF\xBF\xBD/\","
                        "\"f\":0.1,\"nan\":null,\"b\":false,\"n\":null}");
    assert_int_equal(skip_all(b.data, b.len), KW_OK);
    kw_buf_free(&b);
}

TEST(the_writer_indents_like_everybody_else)
{
    kw_buf b = KW_BUF(1000, KW_PAY_TEXT);
    kw_json_writer w = { .out = &b, .indent = 2 };
    write_sample(&w);
    assert_string_equal(
        kw_buf_text(&b),
        "{\n  \"ids\": [\n    1,\n    -9223372036854775808\n  ],\n  \"empty\": {},\n"
        "  \"t\\\"\": \"a\\\"\\\\\\n\\u0001\x7F\xC3\xA9\xEF\xBF\xBD/\",\n"
        "  \"f\": 0.1,\n  \"nan\": null,\n  \"b\": false,\n  \"n\": null\n}");
    kw_buf_free(&b);
}

TEST(every_byte_string_is_written_as_valid_json_and_valid_text_reads_back)
{
    for (int first = 0; first < 256; first++)
        for (int second = 0; second < 256; second++) {
            char bytes[2] = { (char)first, (char)second };
            kw_buf b = KW_BUF(100, KW_PAY_TEXT);
            kw_json_writer w = { .out = &b };
            kw_json_reader r;
            kw_str back = { NULL, 0 };
            kw_json_put_string(&w, (kw_str){ bytes, 2 });
            kw_json_open(&r, b.data, b.len);
            if (!kw_json_string(&r, &back)) fail_msg("bytes %02X %02X", first, second);
            if (kw_utf8_valid(bytes, 2, NULL)) {
                assert_int_equal(back.n, 2);
                assert_memory_equal(back.p, bytes, 2);
            }
            kw_json_close(&r);
            kw_buf_free(&b);
        }
}

TEST(real_tokenizer_files_are_read_to_their_end)
{
    static const char *const files[] = { "tokenizers/gemma3-tokenizer.json",
                                         "tokenizers/qwen3-tokenizer.json",
                                         "tokenizers/gpt2-vocab.json" };
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        const char *path = test_data(files[i]);
        if (!path) SKIP("the tokenizer files are not here");
        kw_file f;
        assert_int_equal(kw_file_open(path, (kw_file_options){ 0 }, &f), KW_OK);
        uint64_t start = kw_now_ns();
        assert_int_equal(skip_all((const char *)f.data, f.size), KW_OK);
        uint64_t ns = kw_now_ns() - start;
        assert_true(ns < 50 * f.size + 1000000000u); /* one pass, however slow the machine */
        kw_file_close(&f);
    }
}
