/* fuzz_chat.c - any bytes as a chat template over a fixed conversation: it ends, within its limits. */
#include "fuzz.h"
#include "text/text.h"

static const char messages[] =
    "[{\"role\":\"system\",\"content\":\"Be brief.\"},{\"role\":\"user\",\"content\":\" a b \"},"
    "{\"role\":\"assistant\",\"content\":\"é c\",\"tool_calls\":[{\"name\":\"f\",\"n\":2.5}]}]";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t before = kw_alloc_live(KW_PAY_COUNT);
    kw_arena arena = KW_ARENA(KW_PAY_TEXT);
    kw_buf out = KW_BUF((size_t)1 << 20, KW_PAY_TEXT);
    kw_chat_input in = { .bos_token = KW_STR("<s>"),
                         .eos_token = KW_STR("</s>"),
                         .add_generation_prompt = true,
                         .max_steps = 20000 };
    expect(kw_chat_read(KW_STR(messages), &arena, &in) == KW_OK);
    kw_chat_render((kw_str){ (const char *)data, size }, &in, &out);
    kw_buf_free(&out);
    kw_arena_free(&arena);
    expect(kw_alloc_live(KW_PAY_COUNT) == before);
    return 0;
}
