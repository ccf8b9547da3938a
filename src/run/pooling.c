/* pooling.c - how the states of a text become one vector, and where a model says so.
 *
 * Sentence encoders come with modules.json: a list of steps, the second of which pools and the last of which may normalise.
 * Sums are kept in double and in order, so that exact mode has one answer. */
#include "run/pooling.h"
#include <math.h>
#include <string.h>

static const char *const names[KW_POOL_KINDS] = { "mean", "cls", "last", "max" };

const char *kw_pooling_name(kw_pooling_kind kind) { return names[kind]; }

kw_status kw_pooling_named(const char *name, kw_pooling_kind *out)
{
    for (int i = 0; i < KW_POOL_KINDS; i++)
        if (strcmp(name, names[i]) == 0) {
            *out = (kw_pooling_kind)i;
            return KW_OK;
        }
    return kw_fail(KW_EINVAL, "pooling \"%.32s\": expected mean, cls, last or max", name);
}

/* ---- the files ---- */

enum { MAX_BYTES = 1 << 20, MAX_TOKENS = 1 << 24 };

/* `name` in the model's folder, with `part` before it; *out NULL: there is none. */
static kw_status read_json(const kw_model *m, kw_str part, const char *name, kw_arena *arena,
                           kw_json **out)
{
    kw_buf path = KW_BUF(8192, KW_PAY_FILE);
    char *text = NULL;
    size_t len;
    *out = NULL;
    kw_buf_printf(&path, "%s/%.*s%s%s", kw_checkpoint_folder(m->ck), (int)part.n, part.p,
                  part.n ? "/" : "", name);
    kw_status st = path.status;
    if (!st && kw_path_exists(kw_buf_text(&path))) {
        st = kw_file_read(kw_buf_text(&path), MAX_BYTES, &text, &len);
        char *kept = st ? NULL : kw_arena_strdup(arena, text, len); /* the tree borrows from it */
        if (!st) st = kept ? kw_json_parse(kept, len, arena, out) : KW_ENOMEM;
        if (st) kw_note(st, "%s", kw_buf_text(&path));
    }
    kw_free(text);
    kw_buf_free(&path);
    return st;
}

static bool is_true(const kw_json *object, const char *key)
{
    const kw_json *v = kw_json_get(object, key);
    return v && v->type == KW_JSON_BOOL && v->boolean;
}

/* One mode of the known ones; older files have a flag for each, newer ones a word. */
static kw_status read_mode(const kw_json *config, kw_pooling *out)
{
    static const struct {
        const char *flag, *word;
        kw_pooling_kind kind;
    } modes[] = {
        { "pooling_mode_mean_tokens", "mean", KW_POOL_MEAN },
        { "pooling_mode_cls_token", "cls", KW_POOL_CLS },
        { "pooling_mode_lasttoken", "lasttoken", KW_POOL_LAST },
        { "pooling_mode_max_tokens", "max", KW_POOL_MAX },
        { "pooling_mode_mean_sqrt_len_tokens", "mean_sqrt_len_tokens", KW_POOL_KINDS },
        { "pooling_mode_weightedmean_tokens", "weightedmean", KW_POOL_KINDS },
    };
    const kw_json *word = kw_json_get(config, "pooling_mode");
    const char *unknown = NULL;
    int found = 0;
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        bool by_word =
            word && word->type == KW_JSON_STRING && kw_str_is(word->string, modes[i].word);
        if (!by_word && !is_true(config, modes[i].flag)) continue;
        if (modes[i].kind == KW_POOL_KINDS) unknown = modes[i].flag;
        out->kind = modes[i].kind;
        found++;
    }
    if (unknown || found != 1)
        return kw_fail(KW_EUNSUPPORTED,
                       "the pooling's config.json asks for %s: known are mean, cls, last or max",
                       unknown     ? unknown
                       : found > 1 ? "several poolings side by side"
                                   : "no pooling that is known");
    return KW_OK;
}

static kw_status read_pooling(const kw_model *m, kw_str path, kw_arena *arena, kw_pooling *out)
{
    kw_json *config;
    bool inside = path.n > 0 && path.n < 256 && !memchr(path.p, '/', path.n) && path.p[0] != '.';
    if (!inside)
        return kw_fail(KW_EFORMAT, "modules.json: \"%.*s\" is no folder beside it",
                       (int)(path.n < 64 ? path.n : 64), path.p);
    kw_status st = read_json(m, path, "config.json", arena, &config);
    if (!st && !config)
        st = kw_fail(KW_ENOTFOUND,
                     "modules.json names the folder %.*s, but %.*s/config.json is missing",
                     (int)path.n, path.p, (int)path.n, path.p);
    return st ? st : read_mode(config, out);
}

/* The last part of "sentence_transformers.models.Pooling". */
static kw_str last_part(kw_str type)
{
    size_t n = type.n;
    while (n > 0 && type.p[n - 1] != '.') n--;
    return (kw_str){ type.p + n, type.n - n };
}

static kw_status read_modules(const kw_model *m, const kw_json *list, kw_arena *arena,
                              kw_pooling *out)
{
    if (list->type != KW_JSON_ARRAY || list->n == 0 || list->n > 64)
        return kw_fail(KW_EFORMAT, "modules.json is not a list of 1 to 64 modules");
    out->normalise = false;
    for (const kw_json *item = list->child; item; item = item->next) {
        const kw_json *type = kw_json_get(item, "type"), *path = kw_json_get(item, "path");
        if (!type || type->type != KW_JSON_STRING)
            return kw_fail(KW_EFORMAT, "modules.json: a module without a type");
        kw_str name = last_part(type->string), none = { "", 0 };
        kw_status st = KW_OK;
        if (kw_str_is(name, "Normalize")) out->normalise = true;
        else if (kw_str_is(name, "Pooling"))
            st = read_pooling(m, path && path->type == KW_JSON_STRING ? path->string : none, arena,
                              out);
        else if (!kw_str_is(name, "Transformer"))
            st = kw_fail(KW_EUNSUPPORTED,
                         "modules.json asks for a module \"%.*s\"\nwhy: known are Transformer, "
                         "Pooling and Normalize",
                         (int)(name.n < 64 ? name.n : 64), name.p);
        if (st) return st;
    }
    return KW_OK;
}

static kw_status read_length(const kw_model *m, kw_arena *arena, kw_pooling *out)
{
    kw_json *config;
    kw_status st = read_json(m, KW_STR(""), "sentence_bert_config.json", arena, &config);
    const kw_json *v = st || !config ? NULL : kw_json_get(config, "max_seq_length");
    if (!v || v->type == KW_JSON_NULL) return st;
    if (v->type != KW_JSON_INT || v->integer < 1 || v->integer > MAX_TOKENS)
        return kw_fail(KW_EFORMAT, "sentence_bert_config.json: max_seq_length is not 1 to %d",
                       MAX_TOKENS);
    out->max_tokens = (int)v->integer;
    return KW_OK;
}

static void read_meta(const kw_model *m, kw_pooling *out)
{
    static const kw_pooling_kind kinds[] = { KW_POOL_MEAN, KW_POOL_MEAN, KW_POOL_CLS,
                                             KW_POOL_LAST };
    const kw_meta *v = kw_meta_of_arch(m->ck, m->arch, "pooling_type");
    if (v && v->type == KW_META_INT && v->integer >= 0 && v->integer < 4)
        out->kind = kinds[v->integer];
}

kw_status kw_pooling_load(const kw_model *m, kw_pooling *out)
{
    kw_arena arena = KW_ARENA(KW_PAY_SCRATCH);
    kw_json *modules = NULL;
    kw_status st = KW_OK;
    *out = (kw_pooling){ .kind = KW_POOL_MEAN, .normalise = true };
    if (kw_checkpoint_naming(m->ck) == KW_NAMING_GGUF) read_meta(m, out);
    else st = read_json(m, KW_STR(""), "modules.json", &arena, &modules);
    if (!st && modules) st = read_modules(m, modules, &arena, out);
    if (!st && modules) st = read_length(m, &arena, out);
    kw_arena_free(&arena);
    return st;
}

/* ---- the arithmetic ---- */

void kw_pool_add(kw_pool_sum *s, kw_pooling_kind kind, const float *rows, size_t n)
{
    for (size_t i = 0; i < n; i++, s->n++, rows += s->dim)
        for (size_t j = 0; j < s->dim; j++) {
            double x = (double)rows[j];
            bool replaces =
                s->n == 0 || kind == KW_POOL_LAST || (kind == KW_POOL_MAX && x > s->sums[j]);
            if (replaces) s->sums[j] = x;
            else if (kind == KW_POOL_MEAN) s->sums[j] += x;
        }
}

void kw_pool_finish(const kw_pool_sum *s, const kw_pooling *how, float *out)
{
    double length = 0, by = how->kind == KW_POOL_MEAN && s->n ? 1 / (double)s->n : 1;
    for (size_t j = 0; j < s->dim; j++) length += s->sums[j] * by * s->sums[j] * by;
    length = sqrt(length);
    if (how->normalise) by /= length > 1e-12 ? length : 1e-12;
    for (size_t j = 0; j < s->dim; j++) out[j] = (float)(s->sums[j] * by);
}
