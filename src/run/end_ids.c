/* end_ids.c - which ids end a text or a turn.
 *
 * Models say it in several places: generation_config.json and config.json (a number or a list), GGUF keys, and chat
 * models whose end of turn is only a token with a well-known text. All of them count. */
#include "run/run.h"

enum { MOST = 32 };

static void add(kw_model *m, int64_t id)
{
    if (id < 0 || id >= m->shape.n_vocab || m->n_end_ids == MOST) return;
    for (size_t i = 0; i < m->n_end_ids; i++)
        if (m->end_ids[i] == id) return;
    m->end_ids[m->n_end_ids++] = (int32_t)id;
}

static void add_json(kw_model *m, const kw_json *config)
{
    const kw_json *v = kw_json_path(config, "eos_token_id");
    if (v && v->type == KW_JSON_INT) add(m, v->integer);
    if (!v || v->type != KW_JSON_ARRAY) return;
    for (const kw_json *item = v->child; item; item = item->next)
        if (item->type == KW_JSON_INT) add(m, item->integer);
}

kw_status kw_load_end_ids(kw_model *m)
{
    static const char *const keys[] = {
        "tokenizer.ggml.eos_token_id",
        "tokenizer.ggml.eot_token_id",
        "tokenizer.ggml.eom_token_id",
    };
    static const char *const texts[] = {
        "<|im_end|>",    "<|eot_id|>",    "<|eom_id|>", "<|end_of_text|>",
        "<|endoftext|>", "<end_of_turn>", "<|end|>",
    };
    m->end_ids = kw_arena_alloc(&m->arena, MOST, sizeof *m->end_ids);
    if (!m->end_ids) return KW_ENOMEM;
    if (kw_checkpoint_generation_config(m->ck)) add_json(m, kw_checkpoint_generation_config(m->ck));
    if (kw_checkpoint_config(m->ck)) add_json(m, kw_checkpoint_config(m->ck));
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const kw_meta *v = kw_checkpoint_meta(m->ck, keys[i]);
        if (v && v->type == KW_META_INT) add(m, v->integer);
    }
    if (!m->tokenizer) return KW_OK;
    add(m, kw_tokenizer_special(m->tokenizer).eos);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        kw_str text = kw_str_of(texts[i]);
        add(m, kw_tokenizer_find(m->tokenizer, text.p, text.n));
    }
    return KW_OK;
}

const int32_t *kw_model_end_ids(const kw_model *m, size_t *n)
{
    *n = m->n_end_ids;
    return m->end_ids;
}
