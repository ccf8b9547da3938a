/* cmd_quantize.c - kwaai quantize: a model's file with its weights in fewer bits. */
#include "cli/cli.h"
#include <stdlib.h>

typedef struct report {
    const cli *c;
    size_t n; /* tensors shown */
} report;

/* One line a tensor, or one object. The document begins with the first, so that what fails before prints nothing. */
static void show_tensor(void *user, const kw_quantized_tensor *t)
{
    report *r = user;
    if (!r->c->report) return;
    if (!r->c->json) {
        if (r->n++ == 0)
            printf("%-44s %-6s %-7s %10s %12s\n", "tensor", "from", "to", "rms", "max");
        printf("%-44.*s %-6s %-7s %10.6f %12.6g%s%s\n", (int)t->name_len, t->name, t->from, t->to,
               t->rms, t->max, t->has_importance ? "  importance" : "",
               t->is_fallback ? "  fallback" : "");
        return;
    }
    printf("%s{\"name\":", r->n++ ? "," : "{\"report\":[");
    out_json_string(t->name, t->name_len);
    printf(",\"from\":\"%s\",\"to\":\"%s\",\"bytes\":%llu,\"rms\":", t->from, t->to,
           (unsigned long long)t->bytes);
    out_json_number(t->rms);
    printf(",\"max\":");
    out_json_number(t->max);
    printf(",\"importance\":%s,\"fallback\":%s}", t->has_importance ? "true" : "false",
           t->is_fallback ? "true" : "false");
}

static int print_result(const report *shown, const kw_quantize_result *r, double seconds)
{
    const cli *c = shown->c;
    if (c->json) {
        printf("%s\"type\":\"%s\",\"bytes_before\":%llu,\"bytes\":%llu,\"tensors\":%zu,"
               "\"fallbacks\":%zu,\"seconds\":%.3f}\n",
               shown->n ? "]," : "{", r->type, (unsigned long long)r->bytes_before,
               (unsigned long long)r->bytes, r->n_tensors, r->n_fallbacks, seconds);
        return EXIT_OK;
    }
    printf("%s as %s: %.1f MB, was %.1f MB, %zu tensor%s, %.1f s\n", c->args[1], r->type,
           (double)r->bytes / 1e6, (double)r->bytes_before / 1e6, r->n_tensors, cli_s(r->n_tensors),
           seconds);
    if (r->n_fallbacks)
        out_remark("%zu tensor%s with rows that do not consist of %s's blocks: the nearest format "
                   "that fits was taken",
                   r->n_fallbacks, cli_s(r->n_fallbacks), r->type);
    return EXIT_OK;
}

int cmd_quantize(cli *c)
{
    uint64_t fit = 0;
    report shown = { .c = c };
    if (c->n_args < 2 || c->n_args > 3 || (c->n_args == 2 && !c->fit[0]))
        return out_fail(EXIT_USAGE, "quantize takes IN, OUT and a TYPE, or --fit SIZE\ntry: kwaai "
                                    "quantize model-f16.gguf model.gguf Q4_K_M");
    int code = c->fit[0] ? cli_read_size("--fit", c->fit, &fit) : EXIT_OK;
    if (!code) code = cli_use_packs(c);
    if (!code) code = cli_open_engine(c);
    if (code) return code;
    kw_quantize_options o = { .type = c->n_args == 3 ? c->args[2] : "",
                              .overrides = c->tensor.items,
                              .n_overrides = c->tensor.n,
                              .imatrix = c->imatrix,
                              .fit_bytes = fit,
                              .requantize = c->requantize,
                              .force = c->force,
                              .allow_nan = c->allow_nan,
                              .measure = c->report,
                              .on_tensor = show_tensor,
                              .on_progress = c->report ? NULL : c->model.on_progress,
                              .user = &shown };
    kw_quantize_result r;
    double start = cli_now_ms();
    kw_status st = kw_quantize(c->open_engine, c->args[0], c->args[1], &o, &r);
    return st ? out_status(st, NULL) : print_result(&shown, &r, (cli_now_ms() - start) / 1e3);
}
