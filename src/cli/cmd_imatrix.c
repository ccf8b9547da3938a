/* cmd_imatrix.c - kwaai imatrix: reads a text with a model and writes how much each column of its weights matters. */
#include "cli/cli.h"
#include <stdlib.h>
#include <unistd.h>

int cmd_imatrix(cli *c)
{
    char *text = NULL;
    size_t len = 0, n = 0;
    int32_t *ids = NULL;
    if (c->n_args > !c->model_path[0] || !c->file[0] || !c->imatrix_out[0])
        return out_fail(EXIT_USAGE, "imatrix takes a model, -f TEXT and -o FILE\ntry: kwaai "
                                    "imatrix model-f16.gguf -f text.txt -o im.gguf");
    if (!c->force && access(c->imatrix_out, F_OK) == 0)
        return out_fail(EXIT_USAGE,
                        "%s exists already\ntry: another name, or --force to replace it",
                        c->imatrix_out);
    int code = cli_open_model(c);
    if (code) return code;
    const kw_tokenizer *t = kw_model_tokenizer(c->open_model);
    if (!t) return out_fail(EXIT_DATA, "the model has no tokenizer\ntry: --tokenizer FILE");
    code = cli_read_file(c->file, &text, &len);
    if (!code) code = cli_tokenize(t, text, len, 0, &ids, &n);
    kw_imatrix_options o = { .session = c->session,
                             .max_chunks = c->chunks,
                             .dataset = c->file,
                             .on_progress = c->model.on_progress,
                             .user = c };
    kw_status st = code ? KW_OK : kw_imatrix_make(c->open_model, ids, n, c->imatrix_out, &o);
    if (st) code = out_status(st, NULL);
    else if (!code) out_remark("%s: from %zu token%s", c->imatrix_out, n, cli_s(n));
    free(text);
    free(ids);
    return code;
}
