/* test_rope.c - yarn's settings against transformers' _compute_yarn_parameters (width 12, base 5,000, factor 4, 32 positions). */
#include "family/blocks.h"
#include "test.h"
#include <math.h>

/* [which second frequency: with a ramp between whole indices, or not] */
static const float frequencies[2][6] = {
    { 1, 0x1.56b40c0000000p-4f, 0x1.df12300000000p-7f, 0x1.cf68d60000000p-9f,
      0x1.c042860000000p-11f, 0x1.b19b100000000p-13f },
    { 1, 0x1.3589e80000000p-3f, 0x1.df12300000000p-7f, 0x1.cf68d60000000p-9f,
      0x1.c042860000000p-11f, 0x1.b19b100000000p-13f },
};
static const struct {
    double mscale, mscale_all_dim, attention_factor;
    bool truncate, from_gguf;
    float scale;
} cases[] = {
    { 0, 0, 0, true, false, 1.13862944f },
    { 0.7, 1.1, 0, true, false, 0.951885343f },
    { 1, 1, 0, true, false, 1 },
    { 0.7, 0, 0, true, false, 1.13862944f },
    { 0.7, 1.1, 0.8, true, false, 0.8f },
    { 0, 0, 0, false, false, 1.13862944f },
    { 0, 0, 0, true, true, 1.13862944f },
    { 0, 0, 1, true, true, 1.13862944f },
    { 0, 0, 0.5, true, true, 0.5f * 1.13862944f }, /* as llama.cpp reads it */
};

TEST(yarn_has_the_frequencies_and_the_scale_of_the_reference)
{
    double worst = 0;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        kw_config c = { .head_dim = 12, .ctx_train = 128, .from_gguf = cases[i].from_gguf };
        c.rope = (kw_rope_config){ .share = 1,
                                   .base = 5000,
                                   .type = "yarn",
                                   .factor = 4,
                                   .beta_fast = 32,
                                   .beta_slow = 1,
                                   .original_ctx = 32,
                                   .mscale = cases[i].mscale,
                                   .mscale_all_dim = cases[i].mscale_all_dim,
                                   .attention_factor = cases[i].attention_factor,
                                   .truncate = cases[i].truncate };
        float freq[6], scale;
        assert_int_equal(kw_check_rope(&c, KW_ROPE_TYPES), KW_OK);
        kw_rope_frequencies(&c.rope, 0, NULL, freq, &scale);
        assert_true(fabsf(scale - cases[i].scale) <= 1e-7f);
        for (int j = 0; j < 6; j++) {
            double want = (double)frequencies[cases[i].truncate][j];
            double off = fabs((double)freq[j] / want - 1);
            worst = off > worst ? off : worst;
        }
    }
    printf("worst frequency off by %.1e\n", worst);
    assert_true(worst <= 1.2e-7);
}
