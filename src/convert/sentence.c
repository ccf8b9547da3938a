/* sentence.c - what says in a folder how a sentence encoder's states become one vector: modules.json, the pooling's config.json
 * and the length at which texts are cut. Copied from a folder that has them, written from GGUF's pooling_type. */
#include "convert/convert.h"
#include "run/pooling.h"
#include <stdio.h>
#include <string.h>

enum { PATH_BYTES = 4096, MAX_BYTES = 1 << 20 };

kw_status kw_convert_copy(const kw_convert_job *j, const char *folder, const char *name)
{
    char path[PATH_BYTES], *text = NULL;
    size_t len;
    snprintf(path, sizeof path, "%s/%s", kw_checkpoint_folder(j->m->ck), name);
    if (!kw_path_exists(path)) return KW_OK;
    kw_status st = kw_file_read(path, 256 << 20, &text, &len);
    snprintf(path, sizeof path, "%s/%s", folder, name);
    if (!st) st = kw_file_replace(path, text, len);
    kw_free(text);
    return st;
}

/* ---- from a folder ---- */

/* A module's folder lies beside modules.json; kw_pooling_load has said that it is a known one. */
static kw_status copy_module(const kw_convert_job *j, const char *folder, kw_str name)
{
    char path[PATH_BYTES], file[512];
    bool inside = name.n > 0 && name.n < 256 && !memchr(name.p, '/', name.n) && name.p[0] != '.';
    if (!inside) return KW_OK;
    snprintf(path, sizeof path, "%s/%.*s", folder, (int)name.n, name.p);
    snprintf(file, sizeof file, "%.*s/config.json", (int)name.n, name.p);
    kw_status st = kw_folder_make(path, false);
    return st ? st : kw_convert_copy(j, folder, file);
}

static kw_status copy_modules(kw_convert_job *j, const char *folder)
{
    char path[PATH_BYTES], *text = NULL;
    size_t len;
    kw_json *list = NULL;
    snprintf(path, sizeof path, "%s/modules.json", kw_checkpoint_folder(j->m->ck));
    kw_status st = kw_file_read(path, MAX_BYTES, &text, &len);
    char *kept = st ? NULL : kw_arena_strdup(&j->arena, text, len);
    if (!st) st = kept ? kw_json_parse(kept, len, &j->arena, &list) : KW_ENOMEM;
    kw_free(text);
    for (const kw_json *item = st ? NULL : list->child; item && !st; item = item->next) {
        const kw_json *at = kw_json_get(item, "path");
        if (at && at->type == KW_JSON_STRING) st = copy_module(j, folder, at->string);
    }
    if (!st) st = kw_convert_copy(j, folder, "modules.json");
    if (!st) st = kw_convert_copy(j, folder, "sentence_bert_config.json");
    return st ? st : kw_convert_copy(j, folder, "config_sentence_transformers.json");
}

/* ---- from GGUF ---- */

static void put_module(kw_json_writer *w, int i, const char *type, const char *path)
{
    char number[8], name[64];
    snprintf(number, sizeof number, "%d", i);
    snprintf(name, sizeof name, "sentence_transformers.models.%s", type);
    kw_json_begin_object(w);
    kw_json_key(w, "idx");
    kw_json_put_int(w, i);
    kw_json_key(w, "name");
    kw_json_put_string(w, kw_str_of(number));
    kw_json_key(w, "path");
    kw_json_put_string(w, kw_str_of(path));
    kw_json_key(w, "type");
    kw_json_put_string(w, kw_str_of(name));
    kw_json_end_object(w);
}

typedef struct sentence {
    kw_pooling how;
    int dim;
} sentence;

static void put_modules(kw_json_writer *w, const sentence *s)
{
    kw_json_begin_array(w);
    put_module(w, 0, "Transformer", "");
    put_module(w, 1, "Pooling", "1_Pooling");
    if (s->how.normalise) put_module(w, 2, "Normalize", "2_Normalize");
    kw_json_end_array(w);
}

static void put_modes(kw_json_writer *w, const sentence *s)
{
    static const char *const flags[KW_POOL_KINDS] = {
        [KW_POOL_CLS] = "pooling_mode_cls_token",
        [KW_POOL_MEAN] = "pooling_mode_mean_tokens",
        [KW_POOL_MAX] = "pooling_mode_max_tokens",
        [KW_POOL_LAST] = "pooling_mode_lasttoken",
    };
    kw_json_begin_object(w);
    kw_json_key(w, "word_embedding_dimension");
    kw_json_put_int(w, s->dim);
    for (int i = 0; i < KW_POOL_KINDS; i++) {
        kw_json_key(w, flags[i]);
        kw_json_put_bool(w, (int)s->how.kind == i);
    }
    kw_json_end_object(w);
}

static kw_status write_json(const char *folder, const char *name,
                            void (*put)(kw_json_writer *w, const sentence *s), const sentence *s)
{
    char path[PATH_BYTES];
    kw_buf text = KW_BUF(MAX_BYTES, KW_PAY_FILE);
    kw_json_writer w = { .out = &text, .indent = 2 };
    snprintf(path, sizeof path, "%s/%s", folder, name);
    put(&w, s);
    kw_buf_byte(&text, '\n');
    kw_status st = text.status ? text.status : kw_file_replace(path, text.data, text.len);
    kw_buf_free(&text);
    return st;
}

static kw_status write_modules(const kw_convert_job *j, const char *folder)
{
    char path[PATH_BYTES];
    sentence s = { .dim = j->m->shape.dim };
    kw_status st = kw_pooling_load(j->m, &s.how);
    snprintf(path, sizeof path, "%s/1_Pooling", folder);
    if (!st) st = kw_folder_make(path, false);
    if (!st) st = write_json(folder, "1_Pooling/config.json", put_modes, &s);
    return st ? st : write_json(folder, "modules.json", put_modules, &s);
}

kw_status kw_convert_pooling(kw_convert_job *j, const char *folder)
{
    char path[PATH_BYTES];
    kw_pooling how;
    if (j->renames) {
        bool pools =
            j->m->family->is_encoder && kw_meta_of_arch(j->m->ck, j->m->arch, "pooling_type");
        return pools ? write_modules(j, folder) : KW_OK;
    }
    snprintf(path, sizeof path, "%s/modules.json", kw_checkpoint_folder(j->m->ck));
    if (kw_checkpoint_naming(j->m->ck) != KW_NAMING_HF || !kw_path_exists(path)) return KW_OK;
    kw_status st = kw_pooling_load(j->m, &how);
    if (st != KW_EUNSUPPORTED) return st ? st : copy_modules(j, folder);
    kw_log(KW_LOG_WARN, "%s: modules.json and its folders are not written", kw_error_message());
    return KW_OK;
}
