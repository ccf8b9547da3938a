/* batch.c - several texts at once, 16 ids each: batch MODEL "first text" "second text"... */
#include <kwaai/kwaai.h>
#include <stdio.h>
#include <string.h>

enum { TEXTS = 16, IDS = 16, PROMPT = 1024 };

static kw_status open_text(kw_model *model, const char *text, kw_session **s)
{
    int32_t ids[PROMPT];
    size_t n;
    kw_sampling greedy = kw_sampling_defaults();
    greedy.temperature = 0;
    kw_status st = kw_tokenize(kw_model_tokenizer(model), text, strlen(text), KW_TEXT_ADD_SPECIAL,
                               ids, PROMPT, &n);
    if (!st) st = kw_session_open(model, NULL, s);
    if (!st) st = kw_session_set_sampling(*s, &greedy);
    return st ? st : kw_session_replace(*s, ids, n);
}

static void print(kw_model *model, const kw_session *s)
{
    char text[8192];
    size_t n, len = 0;
    const int32_t *ids = s ? kw_session_ids(s, &n) : NULL;
    if (!s || kw_detokenize(kw_model_tokenizer(model), ids, n, KW_TEXT_NO_SPECIAL, text,
                            sizeof text, &len))
        return;
    printf("%.*s\n", (int)len, text);
}

int main(int argc, char **argv)
{
    kw_engine *engine = NULL;
    kw_model *model = NULL;
    kw_batch *batch = NULL;
    kw_session *text[TEXTS] = { NULL };
    const kw_batch_result *results;
    size_t n;
    if (argc < 3 || argc > TEXTS + 2)
        return fprintf(stderr, "usage: %s MODEL TEXT...\n", argv[0]), 64;
    kw_status st = kw_engine_open(NULL, &engine);
    if (!st) st = kw_model_load(engine, argv[1], NULL, &model);
    if (!st && !kw_model_tokenizer(model)) return fprintf(stderr, "no tokenizer\n"), 65;
    if (!st) st = kw_batch_open(model, NULL, &batch);
    for (int i = 0; !st && i + 2 < argc; i++) {
        st = open_text(model, argv[i + 2], &text[i]);
        if (!st) st = kw_batch_add(batch, text[i]);
    }
    for (int i = 0; !st && i < IDS; i++) st = kw_batch_step(batch, &results, &n);
    if (st < 0) fprintf(stderr, "%s\n", kw_error_message());
    for (int i = 0; i < TEXTS; i++) print(model, text[i]);
    for (int i = 0; i < TEXTS; i++) kw_session_close(text[i]);
    kw_batch_close(batch);
    kw_model_release(model);
    kw_engine_close(engine);
    return st < 0 ? 1 : 0;
}
