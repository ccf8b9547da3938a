/* chat.c - the prompt for a conversation: the model's own template, a named one, or text that is one. */
#include "run/run.h"
#include <string.h>

static kw_str special_text(const kw_model *m, int32_t id)
{
    size_t len = 0;
    const char *text = id >= 0 ? kw_tokenizer_piece(m->tokenizer, id, &len) : NULL;
    return (kw_str){ text ? text : "", len };
}

static kw_str choose(const kw_model *m, const char *chat_template)
{
    if (chat_template && chat_template[0]) {
        kw_str known = kw_chat_builtin(chat_template);
        return known.p ? known : kw_str_of(chat_template);
    }
    size_t len = 0;
    const char *own = kw_tokenizer_chat_template(m->tokenizer, &len);
    if (own) return (kw_str){ own, len };
    if (m->family->encoder) /* one text in, one out: an instruction, and what it is about */
        return KW_STR("{% if messages[0]['role'] == 'system' %}{{ messages[0]['content'] }} "
                      "{% endif %}{{ messages[-1]['content'] }}");
    kw_log(KW_LOG_WARN, "the model has no chat template: chatml is used");
    return kw_chat_builtin("chatml");
}

kw_status kw_model_render_chat(const kw_model *m, const char *chat_template,
                               const char *messages_json, size_t messages_len,
                               bool add_generation_prompt, char *text, size_t cap, size_t *len)
{
    *len = 0;
    if (!m->tokenizer) return kw_fail(KW_EINVAL, "%s has no tokenizer, so it cannot chat", m->name);
    kw_arena arena = KW_ARENA(KW_PAY_TEXT);
    kw_buf out = KW_BUF((size_t)64 << 20, KW_PAY_TEXT);
    kw_special_ids special = kw_tokenizer_special(m->tokenizer);
    kw_chat_input in = {
        .bos_token = special_text(m, special.bos),
        .eos_token = special_text(m, special.eos),
        .add_generation_prompt = add_generation_prompt,
    };
    kw_status st = kw_chat_read((kw_str){ messages_json, messages_len }, &arena, &in);
    if (!st) st = kw_chat_render(choose(m, chat_template), &in, &out);
    if (!st) {
        *len = out.len;
        if (out.len <= cap && out.len) memcpy(text, out.data, out.len);
        if (out.len > cap)
            st = kw_fail(KW_ELIMIT, "the prompt has %zu bytes, room for %zu", out.len, cap);
    }
    kw_buf_free(&out);
    kw_arena_free(&arena);
    return st;
}
