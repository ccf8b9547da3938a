/* test_examine.c - a whole model gives no finding about its names, whichever member of its family it is. */
#include "kwaai/inspect.h"
#include "test.h"

static void count(void *user, const kw_finding *f)
{
    if (strcmp(f->kind, "missing") != 0 && strcmp(f->kind, "unused") != 0) return;
    printf("%s: %s\n", f->kind, f->text);
    ++*(int *)user;
}

TEST(every_member_of_a_family_has_weights_of_its_own)
{
    static const char *const models[] = {
        "golden/gemma1-mqa",   "golden/gemma2-softcap", "golden/gemma3-text",
        "golden/phi3-window",  "golden/qwen2-bias",     "golden/qwen3-moe",
        "golden/qwen3-qknorm", "golden/mixtral-4x2",    "golden/t5-v1.1",
    };
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        const char *path = test_data(models[i]);
        kw_model *m = NULL;
        int n = 0;
        if (!path) SKIP("golden models are not below KWAAI_TEST_DATA");
        assert_int_equal(kw_model_inspect(path, NULL, &m), KW_OK);
        assert_int_equal(kw_model_examine(m, count, &n, NULL, NULL), KW_OK);
        kw_model_release(m);
        assert_int_equal(n, 0);
    }
}
