/* cmd_template.c - kwaai template: the prompt that a conversation becomes.
 *
 * The template is that of a model, of a tokenizer_config.json, or a template file itself. */
#include "cli/cli.h"
#include <stdlib.h>
#include <string.h>

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
        if (st == KW_EINVAL)
            return out_fail(EXIT_DATA, "%s\ntry: messages that this template allows",
                            kw_error_message());
        if (st != KW_ELIMIT || len <= cap) return out_status(st, NULL);
        cap = len;
    }
}

int cmd_template(cli *c)
{
    kw_template *t = NULL;
    char *path = NULL, *messages = NULL, *chosen = NULL;
    size_t len = 0;
    int code = cli_model_path(c, &path);
    if (!code && c->n_args != 1)
        code = out_fail(EXIT_USAGE, "template takes a model and one file of messages");
    if (!code) code = cli_chat_template(c, &chosen);
    if (!code) code = cli_read_file(c->args[0], &messages, &len);
    kw_status st = code ? KW_OK : kw_template_open(path, &t);
    if (st) code = out_status(st, NULL);
    if (!code) {
        kw_template_parts parts = kw_template_describe(t);
        if (!parts.text && !chosen) out_remark("%s has no chat template: chatml is used", path);
        code = render((kw_template_args){ .template_text = chosen ? chosen : parts.text,
                                          .bos = parts.bos,
                                          .eos = parts.eos,
                                          .messages_json = messages,
                                          .messages_len = len,
                                          .add_generation_prompt = true });
    }
    kw_template_close(t);
    free(path);
    free(messages);
    free(chosen);
    return code;
}
