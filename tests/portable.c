/* portable.c - the engine as a small program for every target, so that what they compute can be compared byte by byte.
 *
 *     portable infer MODEL IN.safetensors OUT.safetensors      exact mode, everything but hidden states
 *     portable say MODEL TOKENIZER N                           exact mode, greedy, from an empty prompt
 *     portable speed MODEL TOKENIZER ISA                       tokens a second in both modes, capped at a kernel row */
#include "kwaai/kwaai.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

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

static double now(void)
{
    struct timespec t;
    timespec_get(&t, TIME_UTC);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* A prompt of PROMPT ids and STEPS steps behind it; the best of three counts. */
static kw_status time_mode(kw_model *m, bool exact)
{
    enum { PROMPT = 64, STEPS = 32, TIMES = 3 };
    int32_t ids[PROMPT], id;
    double prefill = 1e9, decode = 1e9;
    kw_status st = KW_OK;
    for (int i = 0; i < PROMPT; i++) ids[i] = 3 + i * 7 % 200;
    for (int time = 0; time < TIMES && !st; time++) {
        kw_session *s = NULL;
        kw_session_options o = kw_session_defaults();
        kw_sampling greedy = kw_sampling_defaults();
        o.exact = exact;
        greedy.temperature = 0;
        st = kw_session_open(m, &o, &s);
        if (!st) st = kw_session_set_sampling(s, &greedy);
        double start = now();
        if (!st) st = kw_session_sync(s, ids, PROMPT);
        double middle = now();
        for (int i = 0; i < STEPS && !st; i++) st = kw_session_step(s, &id);
        double end = now();
        kw_session_close(s);
        prefill = middle - start < prefill ? middle - start : prefill;
        decode = end - middle < decode ? end - middle : decode;
    }
    if (!st)
        printf("  %-6s prefill %d: %8.1f tok/s   decode %d: %8.1f tok/s\n",
               exact ? "exact" : "fast", PROMPT, (double)PROMPT / prefill, STEPS,
               (double)STEPS / decode);
    return st;
}

/* As the file has the weights, in both modes; then packed. */
static kw_status speed(kw_engine *e, const char *path, kw_model_options *o)
{
    static const char *const packs[] = { "off", "auto" };
    kw_engine_info info = kw_engine_describe(e);
    kw_status st = KW_OK;
    printf("%s (of %s), %d threads\n", info.isa, info.isa_rows, info.threads);
    for (int i = 0; i < 2 && !st; i++) {
        kw_model *m = NULL;
        o->pack = packs[i];
        st = kw_model_load(e, path, o, &m);
        if (!st)
            printf(" packing: %s, %.1f MB\n", o->pack,
                   (double)kw_model_describe(m).pack_bytes / 1e6);
        if (!st && i == 0) st = time_mode(m, true);
        if (!st) st = time_mode(m, false);
        kw_model_release(m);
    }
    return st;
}

int main(int argc, char **argv)
{
    kw_engine *e = NULL;
    kw_model *m = NULL;
    if (argc != 5) return 64;
    bool infers = !strcmp(argv[1], "infer"), times = !strcmp(argv[1], "speed");
    kw_engine_options engine = kw_engine_defaults();
    kw_model_options o = kw_model_defaults();
    kw_infer_options how = { .session = kw_session_defaults(), .generate = 8 };
    how.session.exact = true;
    if (!infers) o.tokenizer = argv[3];
    if (times) engine.isa = argv[4];
    kw_status st = kw_engine_open(&engine, &e);
    if (!st && times) st = speed(e, argv[2], &o);
    else if (!st) st = kw_model_load(e, argv[2], &o, &m);
    if (!st && infers) st = kw_infer(m, argv[3], argv[4], &how);
    else if (!st && !times) st = say(m, atoi(argv[4]));
    kw_model_release(m);
    kw_engine_close(e);
    return st ? failed() : 0;
}
