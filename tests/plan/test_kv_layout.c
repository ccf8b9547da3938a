/* test_kv_layout.c - matrices of a cache page neither overlap nor leave the page, and spans are what n positions need. */
#include "plan/plan.h"
#include "test.h"

static kw_kv_layout layout(kw_dtype dtype, int head_dim)
{
    return (kw_kv_layout){
        .dtype = dtype, .n_layers = 3, .n_kv_heads = 2, .head_dim = head_dim, .page_rows = 64
    };
}

static const kw_dtype dtypes[] = { KW_F32, KW_F16, KW_BF16, KW_I8 };
enum { N_DTYPES = sizeof dtypes / sizeof *dtypes };

TEST(matrices_follow_each_other_and_fill_the_page)
{
    for (int t = 0; t < N_DTYPES; t++)
        for (int hd = 16; hd <= 256; hd += 48) {
            kw_kv_layout l = layout(dtypes[t], hd);
            size_t at = 0;
            for (int il = 0; il < l.n_layers; il++)
                for (int kv = 0; kv < 2; kv++)
                    for (int h = 0; h < l.n_kv_heads; h++, at += kw_kv_head_bytes(&l))
                        assert_int_equal(kw_kv_offset(&l, il, h, kv), at);
            assert_int_equal(kw_kv_page_bytes(&l), at);
        }
}

TEST(an_int8_page_is_a_quarter_of_f32_and_its_scales)
{
    kw_kv_layout l = layout(KW_I8, 64), f = layout(KW_F32, 64);
    assert_int_equal(kw_kv_scales_at(&l), 64 * 64);
    assert_int_equal(kw_kv_head_bytes(&l), 64 * 64 + 64);
    assert_int_equal(kw_kv_head_bytes(&f), 4 * 64 * 64);
}

TEST(spans_hold_the_first_positions_and_their_scales)
{
    kw_kv_span span[2];
    kw_kv_layout half = layout(KW_F16, 80), l = layout(KW_I8, 80);
    assert_int_equal(kw_kv_spans(&half, 5, span), 1);
    assert_int_equal(span[0].at, 0);
    assert_int_equal(span[0].bytes, 5 * 80 * 2);
    for (int n = 0; n <= 64; n++) {
        assert_int_equal(kw_kv_spans(&l, n, span), 2);
        assert_int_equal(span[0].bytes, n * 80);
        assert_int_equal(span[1].at, kw_kv_scales_at(&l));
        assert_int_equal(span[1].bytes, (n + 15) / 16 * 4);
        assert_true(span[1].at + span[1].bytes <= kw_kv_head_bytes(&l));
    }
}
