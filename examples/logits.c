/* logits.c - the five likeliest next tokens: logits MODEL 1,2,3 */
#include <kwaai/kwaai.h>
#include <stdio.h>
#include <stdlib.h>

static size_t read_ids(const char *text, int32_t *ids, size_t cap)
{
    size_t n = 0;
    char *end;
    for (; n < cap && *text; text = *end ? end + 1 : end) {
        ids[n++] = (int32_t)strtol(text, &end, 10);
        if (end == text) return 0;
    }
    return n;
}

static void print(kw_model *model, const kw_logprob *top, int n)
{
    const kw_tokenizer *t = kw_model_tokenizer(model);
    for (int i = 0; i < n; i++) {
        size_t len = 0;
        const char *piece = t ? kw_tokenizer_piece(t, top[i].id, &len) : NULL;
        printf("%6d  %9.5f  %.*s\n", (int)top[i].id, (double)top[i].logprob, (int)len,
               piece ? piece : "");
    }
}

int main(int argc, char **argv)
{
    kw_engine *engine = NULL;
    kw_model *model = NULL;
    kw_session *session = NULL;
    int32_t ids[1024];
    kw_logprob top[5];
    int n = 0;
    size_t n_ids = argc > 2 ? read_ids(argv[2], ids, 1024) : 0;
    if (!n_ids) return fprintf(stderr, "usage: %s MODEL 1,2,3\n", argv[0]), 64;
    kw_status st = kw_engine_open(NULL, &engine);
    if (!st) st = kw_model_load(engine, argv[1], NULL, &model);
    if (!st) st = kw_session_open(model, NULL, &session);
    if (!st) st = kw_session_sync(session, ids, n_ids);
    if (!st) st = kw_session_top(session, 5, top, &n);
    if (!st) print(model, top, n);
    else fprintf(stderr, "%s\n", kw_error_message());
    kw_session_close(session);
    kw_model_release(model);
    kw_engine_close(engine);
    return st ? 1 : 0;
}
