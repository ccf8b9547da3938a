/* test.h - what a test program is made of.
 *
 *     TEST(a_map_keeps_the_order_of_insertion) { ... assert_int_equal(a, b); ... }
 *
 * The assertions are cmocka's; where cmocka does not exist, tests/tiny_cmocka.h has the few that are used. */
#ifndef KW_TEST_H
#define KW_TEST_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef KW_TINY_CMOCKA
#include "tiny_cmocka.h"
#else
#include <setjmp.h>
#include <cmocka.h>
#endif

typedef struct test_case {
    const char *name;
    void (*run)(void **state);
    struct test_case *next;
} test_case;
void test_register(test_case *t);

#define TEST(name)                                                                                 \
    static void name(void **state);                                                                \
    static test_case name##_case = { #name, name, NULL };                                          \
    __attribute__((constructor)) static void name##_register(void)                                 \
    {                                                                                              \
        test_register(&name##_case);                                                               \
    }                                                                                              \
    static void name(void **state __attribute__((unused)))

/* Prints "SKIP <test>: <why>", which `make test` counts, and leaves the test. */
#define SKIP(why)                                                                                  \
    do {                                                                                           \
        test_say_skipped(why);                                                                     \
        skip();                                                                                    \
    } while (0)
void test_say_skipped(const char *why);

/* Below $KWAAI_TEST_DATA; NULL when that is not set or has no such file. Borrowed until the fourth call from now. */
const char *test_data(const char *rel);
const char *test_local(const char *rel); /* below tests/data */
const char *test_tmp(const char *name);  /* in a fresh folder that goes when the program ends */

#endif
