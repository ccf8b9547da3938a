/* portable.c - the engine as a small program for every target, so that what they compute can be compared byte by byte.
 *
 *     portable infer MODEL IN.safetensors OUT.safetensors      exact mode, everything but hidden states
 *     portable say MODEL TOKENIZER N                           exact mode, greedy, from an empty prompt */
#include "kwaai/kwaai.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int failed(void)
{
    fprintf(stderr, "%s\n", kw_error_message());
    return 1;
}

static bool print(void *user, const char *text, size_t len)
{
    (void)user;
    return fwrite(text, 1, len, stdout) == len;
}

static kw_status say(kw_model *m, int n)
{
    kw_session *s = NULL;
    kw_session_options o = kw_session_defaults();
    kw_sampling greedy = kw_sampling_defaults();
    kw_generate_args args = { .max_tokens = n, .on_text = print };
    kw_generate_result r;
    int32_t ids[4];
    size_t n_ids = 0;
    o.exact = true;
    greedy.temperature = 0;
    kw_status st = kw_session_open(m, &o, &s);
    if (!st) st = kw_session_set_sampling(s, &greedy);
    if (!st) st = kw_tokenize(kw_model_tokenizer(m), "", 0, KW_TEXT_ADD_SPECIAL, ids, 4, &n_ids);
    if (!st) st = kw_session_sync(s, ids, n_ids);
    if (!st) st = kw_session_generate(s, &args, &r);
    kw_session_close(s);
    printf("\n");
    return st;
}

int main(int argc, char **argv)
{
    kw_engine *e = NULL;
    kw_model *m = NULL;
    if (argc != 5) return 64;
    bool infers = !strcmp(argv[1], "infer");
    kw_model_options o = kw_model_defaults();
    kw_infer_options how = { .session = kw_session_defaults(), .generate = 8 };
    how.session.exact = true;
    if (!infers) o.tokenizer = argv[3];
    kw_status st = kw_engine_open(NULL, &e);
    if (!st) st = kw_model_load(e, argv[2], &o, &m);
    if (!st) st = infers ? kw_infer(m, argv[3], argv[4], &how) : say(m, atoi(argv[4]));
    kw_model_release(m);
    kw_engine_close(e);
    return st ? failed() : 0;
}
