/* complete.c - continues a text: complete MODEL "Once upon a time" [TOKENS] */
#include <kwaai/kwaai.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool print(void *user, const char *text, size_t len)
{
    (void)user;
    return fwrite(text, 1, len, stdout) == len && fflush(stdout) == 0;
}

static kw_status complete(kw_model *model, const char *prompt, int n)
{
    int32_t ids[4096];
    size_t n_ids;
    kw_session *session = NULL;
    kw_sampling greedy = kw_sampling_defaults();
    greedy.temperature = 0;
    kw_generate_args args = { .max_tokens = n, .on_text = print };
    kw_generate_result result;
    kw_status st = kw_tokenize(kw_model_tokenizer(model), prompt, strlen(prompt),
                               KW_TEXT_ADD_SPECIAL | KW_TEXT_PARSE_SPECIAL, ids, 4096, &n_ids);
    if (!st) st = kw_session_open(model, NULL, &session);
    if (!st) st = kw_session_set_sampling(session, &greedy);
    if (!st) st = kw_session_sync(session, ids, n_ids);
    if (!st) st = kw_session_generate(session, &args, &result);
    kw_session_close(session);
    return st;
}

int main(int argc, char **argv)
{
    kw_engine *engine = NULL;
    kw_model *model = NULL;
    if (argc < 3) return fprintf(stderr, "usage: %s MODEL PROMPT [TOKENS]\n", argv[0]), 64;
    kw_status st = kw_engine_open(NULL, &engine);
    if (!st) st = kw_model_load(engine, argv[1], NULL, &model);
    if (!st && !kw_model_tokenizer(model)) return fprintf(stderr, "no tokenizer\n"), 65;
    if (!st) st = complete(model, argv[2], argc > 3 ? (int)strtol(argv[3], NULL, 10) : 64);
    puts("");
    if (st) fprintf(stderr, "%s\n", kw_error_message());
    kw_model_release(model);
    kw_engine_close(engine);
    return st ? 1 : 0;
}
