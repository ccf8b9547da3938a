/* test_plan.c - recording names the author's mistake; sealing gives no two living values the same bytes. */
#include "plan/plan.h"
#include "test.h"

static const float weights[64 * 64];

static kw_tensor matrix(int64_t rows, int64_t cols)
{
    return (
        kw_tensor){ .dtype = KW_F32, .rank = 2, .shape = { rows, cols, 1, 1 }, .data = weights };
}

static kw_plan *new_plan(void)
{
    kw_plan *p = NULL;
    assert_int_equal(kw_plan_new(NULL, &p), KW_OK);
    return p;
}

TEST(a_shape_that_does_not_fit_names_the_operation_and_both_shapes)
{
    kw_plan *p = new_plan();
    kw_tensor w = matrix(10, 63);
    kw_val x = kw_input(p, "x", KW_F32, KW_DIM_ROWS, 6, 64);
    kw_linear(p, x, kw_weight(p, "w", &w), KW_NONE);
    assert_int_equal(kw_plan_seal(p), KW_ESHAPE);
    assert_non_null(strstr(kw_error_message(), "LINEAR"));
    assert_non_null(strstr(kw_error_message(), "[6, 64]"));
    assert_non_null(strstr(kw_error_message(), "[10, 63]"));
    kw_plan_free(p);
}

TEST(heads_are_normed_by_themselves_when_their_width_divides_the_row)
{
    kw_plan *p = new_plan();
    kw_tensor w = { .dtype = KW_F32, .rank = 1, .shape = { 24, 1, 1, 1 }, .data = weights };
    kw_val x = kw_input(p, "x", KW_F32, KW_DIM_ROWS, 6, 72),
           y = kw_input(p, "y", KW_F32, KW_DIM_ROWS, 6, 64);
    assert_int_not_equal(kw_head_norm(p, x, kw_weight(p, "w", &w), 1e-6f).id, 0);
    assert_int_equal(kw_head_norm(p, y, kw_weight(p, "w", &w), 1e-6f).id, 0);
    assert_int_equal(kw_plan_seal(p), KW_ESHAPE);
    assert_non_null(strstr(kw_error_message(), "RMS_NORM"));
    kw_plan_free(p);
}

TEST(columns_outside_a_row_and_norms_of_another_width_are_refused)
{
    static const kw_columns_args wrong[] = {
        { 0, 65, 65, 1 }, { -1, 8, 8, 1 }, { 0, 8, 8, 9 },
        { 0, 8, 7, 2 },   { 60, 8, 8, 1 }, { 0, 0, 8, 1 },
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        kw_plan *p = new_plan();
        kw_val x = kw_input(p, "x", KW_F32, KW_DIM_ROWS, 6, 64);
        assert_int_equal(kw_columns(p, x, wrong[i]).id, 0);
        assert_int_equal(kw_plan_seal(p), KW_ESHAPE);
        kw_plan_free(p);
    }
    kw_plan *p = new_plan();
    kw_tensor w = matrix(1, 64);
    kw_val x = kw_input(p, "x", KW_F32, KW_DIM_ROWS, 6, 64);
    kw_val part = kw_columns(p, x, (kw_columns_args){ 8, 8, 20, 3 });
    assert_int_equal(kw_tensor_cols(&kw_plan_value(p, part)->t), 24);
    kw_layer_norm(p, x, kw_weight(p, "w", &w), kw_input(p, "b", KW_F32, KW_DIM_FIXED, 1, 63), 0);
    assert_int_equal(kw_plan_seal(p), KW_ESHAPE);
    assert_non_null(strstr(kw_error_message(), "LAYER_NORM"));
    kw_plan_free(p);
}

TEST(the_first_failure_sticks_and_later_calls_record_nothing)
{
    kw_plan *p = new_plan();
    kw_val x = kw_input(p, "x", KW_F32, KW_DIM_ROWS, 6, 64),
           y = kw_input(p, "y", KW_F32, KW_DIM_ROWS, 6, 32);
    kw_add(p, x, y);
    uint32_t n = p->n_ops;
    kw_silu(p, x);
    kw_mul(p, x, x);
    assert_int_equal(p->n_ops, n);
    assert_int_equal(kw_plan_seal(p), KW_ESHAPE);
    assert_non_null(strstr(kw_error_message(), "ADD"));
    kw_plan_free(p);
}

/* A chain with side branches, as a decoder has them. */
static void record(kw_plan *p, int layers)
{
    kw_tensor square = matrix(64, 64), wide = matrix(32, 64), back = matrix(64, 32);
    kw_val w = kw_weight(p, "w", &square), up = kw_weight(p, "up", &wide),
           down = kw_weight(p, "down", &back);
    kw_val x = kw_input(p, "x", KW_F32, KW_DIM_ROWS, 5, 64);
    for (int i = 0; i < layers; i++) {
        kw_val a = kw_linear(p, x, w, KW_NONE), b = kw_silu(p, kw_linear(p, a, w, KW_NONE));
        kw_val gate = kw_linear(p, b, up, KW_NONE), other = kw_linear(p, a, up, KW_NONE);
        x = kw_add(p, kw_add(p, x, b), kw_linear(p, kw_swiglu(p, gate, other), down, KW_NONE));
    }
    kw_output(p, x, "y");
}

static bool overlap(const kw_value *a, const kw_value *b)
{
    bool in_time = a->first <= b->last && b->first <= a->last;
    return in_time && a->offset < b->offset + b->bytes && b->offset < a->offset + a->bytes;
}

TEST(no_two_values_that_live_at_the_same_time_share_bytes)
{
    kw_plan *p = new_plan();
    record(p, 6);
    assert_int_equal(kw_plan_seal(p), KW_OK);
    for (uint32_t i = 1; i < p->n_values; i++) {
        const kw_value *a = &p->value[i];
        if (a->kind != KW_TEMP) continue;
        assert_true(a->offset + a->bytes <= p->scratch_bytes);
        for (uint32_t j = i + 1; j < p->n_values; j++)
            if (p->value[j].kind == KW_TEMP && overlap(a, &p->value[j]))
                fail_msg("%%%u and %%%u overlap", (unsigned)i, (unsigned)j);
    }
    kw_plan_free(p);
}

TEST(the_peak_does_not_grow_with_the_number_of_layers)
{
    kw_plan *few = new_plan(), *many = new_plan();
    record(few, 2);
    record(many, 40);
    assert_int_equal(kw_plan_seal(few), KW_OK);
    assert_int_equal(kw_plan_seal(many), KW_OK);
    assert_int_equal(few->scratch_bytes, many->scratch_bytes);
    kw_plan_free(few);
    kw_plan_free(many);
}

TEST(a_composite_operation_is_expanded_where_the_backend_lacks_it)
{
    kw_plan *p = new_plan(); /* no backend: everything is expanded */
    record(p, 1);
    for (uint32_t i = 0; i < p->n_ops; i++) assert_true(kw_op_required(p->op[i].code));
    kw_plan_free(p);
}

TEST(a_plan_prints_one_line_an_operation)
{
    kw_plan *p = new_plan();
    kw_buf out = KW_BUF(1 << 16, KW_PAY_MISC);
    kw_tensor w = matrix(64, 64);
    kw_val x = kw_input(p, "x", KW_F32, KW_DIM_ROWS, 5, 64);
    kw_output(p, kw_add(p, x, kw_linear(p, x, kw_weight(p, "w", &w), KW_NONE)), "y");
    assert_int_equal(kw_plan_seal(p), KW_OK);
    kw_plan_print(p, &out);
    const char *text = kw_buf_text(&out);
    assert_non_null(strstr(text, "LINEAR"));
    assert_non_null(strstr(text, "w[64, 64] F32"));
    assert_non_null(strstr(text, "output y"));
    kw_buf_free(&out);
    kw_plan_free(p);
}
