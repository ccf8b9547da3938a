/* cmd_template.c - kwaai template: the prompt that a conversation becomes.
 *
 * The template is that of a model, of a tokenizer_config.json, or a template file itself. */
#include "cli/cli.h"
#include <stdlib.h>
#include <string.h>

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && !strcmp(text + n - m, end);
}

static int render(kw_template_args args)
{
    size_t cap = args.messages_len * 2 + 4096, len = 0;
    for (;;) {
        char *text = malloc(cap);
        if (!text) return out_fail(EXIT_OS, "out of memory");
        kw_status st = kw_template_render(&args, text, cap, &len);
        if (!st) fwrite(text, 1, len, stdout);
        free(text);
        if (!st) return EXIT_OK;
        if (st != KW_ELIMIT || len <= cap) return st == KW_EINVAL ? out_status(KW_EFORMAT, NULL) : out_status(st, NULL);
        cap = len;
    }
}

/* The template, BOS and EOS of a model's tokenizer; borrowed from it, but NUL-terminated copies where it needs them. */
static char *copy(const char *text, size_t len)
{
    char *all = text ? malloc(len + 1) : NULL;
    if (!all) return NULL;
    memcpy(all, text, len);
    all[len] = 0;
    return all;
}

static char *special(const kw_tokenizer *t, int32_t id)
{
    size_t len = 0;
    const char *piece = id >= 0 ? kw_tokenizer_piece(t, id, &len) : NULL;
    return copy(piece, len);
}

static int with_tokenizer(const cli *c, const char *path, kw_template_args args, const char *chosen)
{
    kw_tokenizer *t = NULL;
    kw_status st = kw_tokenizer_open(c->model.tokenizer[0] ? c->model.tokenizer : path, &t);
    if (st) return out_status(st, NULL);
    size_t len = 0;
    const char *own = kw_tokenizer_chat_template(t, &len);
    kw_special_ids ids = kw_tokenizer_special(t);
    char *text = chosen ? strdup(chosen) : copy(own, len), *bos = special(t, ids.bos), *eos = special(t, ids.eos);
    if (!text) out_remark("the model has no chat template: chatml is used");
    args.template_text = text;
    args.bos = bos;
    args.eos = eos;
    int code = render(args);
    free(text);
    free(bos);
    free(eos);
    kw_tokenizer_close(t);
    return code;
}

static int with_template_file(const char *path, kw_template_args args)
{
    char *text = NULL;
    size_t len = 0;
    int code = cli_read_file(path, &text, &len);
    args.template_text = text;
    args.bos = "<s>";
    args.eos = "</s>";
    if (!code) code = render(args);
    free(text);
    return code;
}

int cmd_template(cli *c)
{
    char *path = NULL, *messages = NULL, *chosen = NULL;
    size_t len = 0;
    int code = cli_model_path(c, &path);
    if (!code && c->n_args != 1) code = out_fail(EXIT_USAGE, "template takes a model and one file of messages");
    if (!code) code = cli_chat_template(c, &chosen);
    if (!code) code = cli_read_file(c->args[0], &messages, &len);
    kw_template_args args = { .messages_json = messages, .messages_len = len, .add_generation_prompt = true };
    bool is_template = path && (ends_with(path, ".jinja") || ends_with(path, ".j2") || ends_with(path, ".txt"));
    if (!code) code = is_template ? with_template_file(path, args) : with_tokenizer(c, path, args, chosen);
    free(path);
    free(messages);
    free(chosen);
    return code;
}
