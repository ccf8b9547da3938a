/* cmd_show.c - kwaai show: what a model is. (inspect looks at the files themselves.) */
#include "cli/cli.h"
#include <string.h>

/* The packed weights on this machine, or nothing. */
static bool find_pack(const cli *c, char *path, size_t cap, kw_pack_info *info)
{
    return kw_model_pack_path(c->open_model, c->model.pack_dir, path, cap) == KW_OK && path[0] &&
           kw_pack_describe(path, info) == KW_OK;
}

static void show_pack(const cli *c)
{
    char path[4096];
    kw_pack_info info;
    bool is_here = find_pack(c, path, sizeof path, &info);
    if (c->json && is_here) {
        printf(",\"pack\":{\"path\":");
        out_json_string(path, strlen(path));
        printf(",\"bytes\":%llu}", (unsigned long long)info.bytes);
    } else if (!c->json) {
        if (is_here) printf("%-12s %.1f MB, %s\n", "packed", (double)info.bytes / 1e6, path);
        else printf("%-12s no\n", "packed");
    }
}

static void show_json(const cli *c, const kw_model_info *m)
{
    printf("{\"name\":");
    out_json_string(m->name, strlen(m->name));
    printf(",\"family\":\"%s\",\"arch\":", m->family);
    out_json_string(m->arch, strlen(m->arch));
    printf(",\"format\":\"%s\",\"dtype\":\"%s\"", m->format, m->dtype);
    printf(",\"file_bytes\":%llu,\"n_params\":%llu", (unsigned long long)m->file_bytes,
           (unsigned long long)m->n_params);
    printf(",\"n_layers\":%d,\"dim\":%d,\"n_heads\":%d,\"n_kv_heads\":%d,\"head_dim\":%d,\"ffn_"
           "dim\":%d",
           m->n_layers, m->dim, m->n_heads, m->n_kv_heads, m->head_dim, m->ffn_dim);
    if (m->n_encoder_layers) printf(",\"n_encoder_layers\":%d", m->n_encoder_layers);
    printf(",\"n_vocab\":%d,\"ctx_train\":%d,\"n_tensors\":%zu,\"metadata\":{", m->n_vocab,
           m->ctx_train, m->n_tensors);
    list_meta_json(c->open_model);
    printf("}");
    if (c->tensors) printf(",\"tensors\":[");
    if (c->tensors) list_tensors_json(c->open_model);
    printf("%s", c->tensors ? "]" : "");
    show_pack(c);
    printf("}\n");
}

/* What only a known family says. */
static void show_shape(const cli *c, const kw_model_info *m)
{
    const kw_tokenizer *tokenizer = kw_model_tokenizer(c->open_model);
    printf("%-12s ", "shape");
    if (m->n_encoder_layers)
        printf("%d layer%s of an encoder, ", m->n_encoder_layers,
               cli_s((unsigned)m->n_encoder_layers));
    printf("%d layer%s, width %d, ffn %d, %d head%s (%d kv) of %d\n", m->n_layers,
           cli_s((unsigned)m->n_layers), m->dim, m->ffn_dim, m->n_heads,
           cli_s((unsigned)m->n_heads), m->n_kv_heads, m->head_dim);
    printf("%-12s %d\n%-12s %d tokens, %s\n", "context", m->ctx_train, "vocabulary", m->n_vocab,
           tokenizer ? kw_tokenizer_kind(tokenizer) : "no tokenizer");
    show_pack(c);
}

static void show_text(const cli *c, const kw_model_info *m)
{
    printf("%-12s %s\n%-12s %s (%s)\n%-12s %s, %s, %.1f MB\n", "name", m->name, "family",
           m->family[0] ? m->family : "not known to this build", m->arch[0] ? m->arch : "no config",
           "file", m->format, m->dtype, (double)m->file_bytes / 1e6);
    printf("%-12s %.1f M in %zu tensor%s\n", "parameters", (double)m->n_params / 1e6, m->n_tensors,
           cli_s(m->n_tensors));
    if (m->family[0]) show_shape(c, m);
    printf("\n");
    list_meta(c->open_model);
    if (c->tensors) list_tensors(c->open_model);
}

int cmd_show(cli *c)
{
    int code = cli_open_files(c);
    if (code) return code;
    kw_model_info m = kw_model_describe(c->open_model);
    if (c->json) show_json(c, &m);
    else show_text(c, &m);
    return EXIT_OK;
}
