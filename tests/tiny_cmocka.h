/* tiny_cmocka.h - the few of cmocka's macros that the tests use, for targets that cmocka does not know (WebAssembly).
 *
 * There is no setjmp there: a failed assertion ends the program, a skipped test returns from its function. */
#ifndef KW_TINY_CMOCKA_H
#define KW_TINY_CMOCKA_H

#define TINY_FAIL(...)                                                                             \
    (printf("%s:%d: ", __FILE__, __LINE__), printf(__VA_ARGS__), printf("\n"), exit(1))
#define assert_true(c) ((c) ? (void)0 : TINY_FAIL("%s", #c))
#define assert_false(c) assert_true(!(c))
#define assert_null(p) assert_true((p) == NULL)
#define assert_non_null(p) assert_true((p) != NULL)
#define assert_int_equal(a, b) tiny_int_equal((long long)(a), (long long)(b), __FILE__, __LINE__)
#define assert_int_not_equal(a, b) assert_true((long long)(a) != (long long)(b))
#define assert_string_equal(a, b) assert_true(strcmp((a), (b)) == 0)
#define assert_string_not_equal(a, b) assert_true(strcmp((a), (b)) != 0)
#define assert_memory_equal(a, b, n) assert_true(memcmp((a), (b), (n)) == 0)
#define assert_memory_not_equal(a, b, n) assert_true(memcmp((a), (b), (n)) != 0)
#define assert_ptr_equal(a, b) assert_true((const void *)(a) == (const void *)(b))
#define assert_ptr_not_equal(a, b) assert_true((const void *)(a) != (const void *)(b))
#define fail_msg(...) TINY_FAIL(__VA_ARGS__)
#define print_message(...) printf(__VA_ARGS__)
#define skip() return

static inline void tiny_int_equal(long long a, long long b, const char *file, int line)
{
    if (a == b) return;
    printf("%s:%d: %lld is not %lld\n", file, line, a, b);
    exit(1);
}

#endif
