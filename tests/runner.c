/* runner.c - main() of every test program: runs the registered tests, all of them or those whose name holds argv[1]. */
#define _GNU_SOURCE
#include "test.h"
#include <dirent.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { MAX_TESTS = 256, PATHS = 4 };

static test_case *first, **last = &first;
static const char *running = "";
static char folder[512];

void test_register(test_case *t)
{
    *last = t;
    last = &t->next;
}

void test_say_skipped(const char *why)
{
    printf("SKIP %s: %s\n", running, why);
    fflush(stdout);
}

static const char *join(const char *base, const char *rel)
{
    static char paths[PATHS][1024];
    static int next;
    next = (next + 1) % PATHS;
    snprintf(paths[next], sizeof paths[next], "%s/%s", base, rel);
    return paths[next];
}

const char *test_data(const char *rel)
{
    const char *root = getenv("KWAAI_TEST_DATA");
    const char *path = root && *root ? join(root, rel) : NULL;
    return path && access(path, F_OK) == 0 ? path : NULL;
}

const char *test_local(const char *rel)
{
    const char *root = getenv("KWAAI_TEST_LOCAL");
    return join(root && *root ? root : TEST_LOCAL, rel);
}

static void remove_folder(void)
{
    DIR *d = opendir(folder);
    for (struct dirent *e = d ? readdir(d) : NULL; e; e = readdir(d))
        unlink(join(folder, e->d_name));
    if (d) closedir(d);
    rmdir(folder);
}

const char *test_tmp(const char *name)
{
    const char *base = getenv("TMPDIR");
    for (int i = 0; !folder[0] && i < 10000; i++) {
        snprintf(folder, sizeof folder, "%s/kwaai-test-%d", base && *base ? base : "/tmp",
                 (int)(time(NULL) % 100000) * 10000 + i);
        if (mkdir(folder, 0700)) folder[0] = 0;
        else atexit(remove_folder);
    }
    return join(folder, name);
}

#ifdef KW_TINY_CMOCKA
int main(int argc, char **argv)
{
    int n = 0;
    for (test_case *t = first; t; t = t->next) {
        if (argc > 1 && !strstr(t->name, argv[1])) continue;
        running = t->name;
        t->run(NULL);
        printf("ok %s\n", t->name);
        n++;
    }
    printf("%d passed\n", n);
    return 0;
}
#else
static int set_running(void **state)
{
    running = *state;
    return 0;
}

int main(int argc, char **argv)
{
    struct CMUnitTest tests[MAX_TESTS];
    size_t n = 0;
    for (test_case *t = first; t && n < MAX_TESTS; t = t->next) {
        if (argc > 1 && !strstr(t->name, argv[1])) continue;
        tests[n++] = (struct CMUnitTest){ .name = t->name,
                                          .test_func = t->run,
                                          .setup_func = set_running,
                                          .initial_state = (void *)(uintptr_t)t->name };
    }
    return _cmocka_run_group_tests("tests", tests, n, NULL, NULL) ? 1 : 0;
}
#endif
