/* chat.c - one question, one answer: chat MODEL "What is the capital of France?" */
#include <kwaai/kwaai.h>
#include <stdio.h>
#include <string.h>

static bool print(void *user, const char *text, size_t len)
{
    (void)user;
    return fwrite(text, 1, len, stdout) == len && fflush(stdout) == 0;
}

static kw_status answer(kw_model *model, const char *question)
{
    char messages[8192], prompt[16384];
    int32_t ids[4096];
    size_t len, n;
    kw_session *session = NULL;
    kw_generate_args args = { .max_tokens = -1, .on_text = print };
    kw_generate_result result;
    kw_sampling sampling = kw_sampling_defaults();
    sampling.temperature = 0;
    /* the question must need no escapes: a program that takes any text writes its JSON with a library */
    snprintf(messages, sizeof messages, "[{\"role\": \"user\", \"content\": \"%s\"}]", question);
    kw_status st = kw_model_render_chat(model, NULL, messages, strlen(messages), true, prompt,
                                        sizeof prompt, &len);
    if (!st)
        st = kw_tokenize(kw_model_tokenizer(model), prompt, len, KW_TEXT_PARSE_SPECIAL, ids, 4096,
                         &n);
    if (!st) st = kw_session_open(model, NULL, &session);
    if (!st) st = kw_session_set_sampling(session, &sampling);
    if (!st) st = kw_session_sync(session, ids, n);
    if (!st) st = kw_session_generate(session, &args, &result);
    kw_session_close(session);
    return st;
}

int main(int argc, char **argv)
{
    kw_engine *engine = NULL;
    kw_model *model = NULL;
    if (argc != 3) return fprintf(stderr, "usage: %s MODEL QUESTION\n", argv[0]), 64;
    kw_status st = kw_engine_open(NULL, &engine);
    if (!st) st = kw_model_load(engine, argv[1], NULL, &model);
    if (!st) st = answer(model, argv[2]);
    puts("");
    if (st) fprintf(stderr, "%s\n", kw_error_message());
    kw_model_release(model);
    kw_engine_close(engine);
    return st ? 1 : 0;
}
