/* test_cut.c - a run stops at a cut with its question, waits for the answer, and goes on with it. */
#include "cpu/cpu.h"
#include "test.h"

enum { ROWS = 3, WIDTH = 8 };

static void must(kw_status st)
{
    if (st) fail_msg("%s", kw_error_message());
}

TEST(a_cut_asks_waits_and_goes_on_with_the_answer)
{
    const kw_backend *cpu = &kw_backend_cpu;
    kw_pool *pool = NULL;
    kw_device *device = NULL;
    kw_plan *plan = NULL;
    kw_program *program = NULL;
    kw_memory *scratch = NULL;
    float in[ROWS * WIDTH], out[ROWS * WIDTH];
    for (int i = 0; i < ROWS * WIDTH; i++) in[i] = (float)i;

    must(kw_pool_open(3, &pool));
    must(cpu->open(0, &(kw_device_options){ .pool = pool }, &device));
    must(kw_plan_new(&(kw_plan_options){ .has = cpu->has, .device = device }, &plan));
    kw_val x = kw_input(plan, "x", KW_F32, KW_DIM_ROWS, ROWS, WIDTH), doubled = kw_add(plan, x, x);
    kw_output(plan, kw_add(plan, kw_cut(plan, doubled, 42), doubled), "y");
    must(kw_plan_seal(plan));
    must(cpu->prepare(device, plan, true, &program));
    must(cpu->alloc(device, program->scratch_bytes, KW_PAY_SCRATCH, &scratch));

    const void *inputs[] = { in };
    void *outputs[] = { out };
    kw_binding b = { .inputs = inputs, .outputs = outputs, .scratch = scratch };
    b.live[KW_DIM_ROWS] = ROWS;
    kw_status st = cpu->submit(program, &b);
    assert_true(st == KW_OK || st == KW_PENDING);
    assert_int_equal(cpu->poll(program), KW_PENDING);
    assert_int_equal(cpu->poll(program), KW_PENDING); /* nobody has answered */
    kw_request *r = &program->request;
    assert_int_equal(r->tag, 42);
    assert_int_equal(r->rows, ROWS);
    assert_int_equal(r->cols, WIDTH);
    for (int i = 0; i < ROWS * WIDTH; i++) {
        assert_true(((const float *)r->question)[i] == 2.0f * (float)i);
        ((float *)r->answer)[i] = 100.0f;
    }
    r->answered = true;
    assert_int_equal(cpu->poll(program), KW_OK);
    for (int i = 0; i < ROWS * WIDTH; i++) assert_true(out[i] == 100.0f + 2.0f * (float)i);

    cpu->free(device, scratch);
    cpu->drop(program);
    kw_plan_free(plan);
    cpu->close(device);
    kw_pool_close(pool);
}
