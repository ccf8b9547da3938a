/* listing.c - a model's metadata and tensors as lines or as JSON, for show and inspect. */
#include "cli/cli.h"
#include <string.h>

static void print_shape(const kw_tensor_info *t)
{
    for (int i = 0; i < t->rank; i++) printf("%s%lld", i ? "," : "", (long long)t->shape[i]);
}

void list_meta(const kw_model *m)
{
    char value[80];
    const char *key;
    size_t key_len;
    for (size_t i = 0; kw_model_meta(m, i, &key, &key_len, value, sizeof value); i++) {
        for (char *p = value; *p; p++)
            if (*p == '\n') *p = ' ';
        printf("%.*s = %s\n", (int)key_len, key, value);
    }
}

void list_meta_json(const kw_model *m)
{
    char value[256];
    const char *key;
    size_t key_len;
    for (size_t i = 0; kw_model_meta(m, i, &key, &key_len, value, sizeof value); i++) {
        if (i) printf(",");
        out_json_string(key, key_len);
        printf(":");
        out_json_string(value, strlen(value));
    }
}

void list_tensors(const kw_model *m)
{
    kw_tensor_info t;
    for (size_t i = 0; kw_model_tensor(m, i, &t); i++) {
        printf("%s%-48.*s %-7s %12llu [", i ? "" : "\n", (int)t.name_len, t.name, t.dtype,
               (unsigned long long)t.bytes);
        print_shape(&t);
        printf("]\n");
    }
}

void list_tensors_json(const kw_model *m)
{
    kw_tensor_info t;
    for (size_t i = 0; kw_model_tensor(m, i, &t); i++) {
        printf("%s{\"name\":", i ? "," : "");
        out_json_string(t.name, t.name_len);
        printf(",\"dtype\":\"%s\",\"shape\":[", t.dtype);
        print_shape(&t);
        printf("],\"bytes\":%llu}", (unsigned long long)t.bytes);
    }
}

/* What examine finds: one line each, or items of a JSON list. */
static void list_finding(void *user, const kw_finding *f)
{
    listing *l = user;
    if (l->json) {
        printf("%s{\"kind\":\"%s\",\"bad\":%s,\"text\":", l->n_findings ? "," : "", f->kind,
               f->is_bad ? "true" : "false");
        out_json_string(f->text, strlen(f->text));
        printf("}");
    } else {
        char text[512];
        snprintf(text, sizeof text, "%s", f->text);
        for (char *p = text; *p; p++)
            if ((unsigned char)*p < 0x20 || *p == 0x7f) *p = ' ';
        printf("%-5s %-10s %s\n", f->is_bad ? "BAD" : "odd", f->kind, text);
    }
    l->n_findings++;
    l->n_bad += f->is_bad;
}

kw_status list_findings(cli *c, kw_model *m, listing *l)
{
    l->json = c->json;
    return kw_model_examine(m, list_finding, l, c->model.on_progress, c->model.progress_user);
}
