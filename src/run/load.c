/* load.c - from a path to a model: open the checkpoint, find the family, read its config, bind its weights.
 *
 * Everything a family needs is in its tables, so this code knows no family. What is decided here: which files are
 * asked, in which order, and how a failure is worded. */
#include "run/lora.h"
#include "run/pack.h"
#include <stdatomic.h>
#include <string.h>

/* Whether the class says more than the type: a T5EncoderModel has the type t5, and some types are of more than text. */
static bool says_more(const kw_json *name, const kw_json *type)
{
    const kw_arch *row;
    if (!type || type->type != KW_JSON_STRING) return true;
    if (name->type != KW_JSON_STRING) return false;
    const kw_family *by_class = kw_family_find(name->string, false, NULL, NULL, &row);
    const kw_family *by_type = kw_family_find(type->string, false, NULL, NULL, &row);
    return by_class && (!by_type || by_type->encoder == by_class);
}

/* The architecture as the file names it. */
static kw_status read_arch(kw_model *m)
{
    const kw_meta *meta = kw_checkpoint_meta(m->ck, "general.architecture");
    const kw_json *config = kw_checkpoint_config(m->ck);
    if (kw_checkpoint_naming(m->ck) == KW_NAMING_GGUF) {
        if (!meta || meta->type != KW_META_STRING)
            return kw_fail(KW_EFORMAT, "the file has no general.architecture");
        m->arch = meta->string;
        return KW_OK;
    }
    if (!config)
        return kw_try(
            kw_fail(KW_ENOTFOUND,
                    "no config.json beside the weights\nwhy: %s files do not say which model "
                    "they hold",
                    kw_checkpoint_format(m->ck)),
            "put the model's config.json into the same folder");
    const kw_json *type = kw_json_path(config, "model_type"),
                  *list = kw_json_get(config, "architectures");
    if (list && list->child && says_more(list->child, type)) type = list->child;
    if (!type || type->type != KW_JSON_STRING)
        return kw_fail(KW_EFORMAT, "config.json has no model_type");
    m->arch = type->string;
    return KW_OK;
}

static kw_status unknown_arch(const kw_model *m)
{
    kw_buf list = KW_BUF(4096, KW_PAY_MISC);
    kw_family_list(&list);
    kw_status st =
        kw_fail(KW_EUNSUPPORTED, "architecture \"%.*s\" is not known\nwhy: this build runs %s",
                (int)(m->arch.n < 64 ? m->arch.n : 64), m->arch.p, kw_buf_text(&list));
    kw_buf_free(&list);
    return st;
}

static const char *base_name(const char *path)
{
    const char *name = path;
    for (const char *p = path; *p; p++)
        if (p[0] == '/' && p[1]) name = p + 1;
    return name;
}

static kw_status name_model(kw_model *m, const char *path)
{
    const kw_meta *meta = kw_checkpoint_meta(m->ck, "general.name");
    bool named = meta && meta->type == KW_META_STRING;
    kw_str name = named ? meta->string : kw_str_of(base_name(path));
    m->name = kw_arena_strdup(&m->arena, name.p, name.n);
    m->arch_name = kw_arena_strdup(&m->arena, m->arch.p, m->arch.n);
    return m->name && m->arch_name ? KW_OK : KW_ENOMEM;
}

static kw_status load_tokenizer(kw_model *m, const char *path)
{
    bool is_own = !path || !path[0];
    kw_status st = is_own ? kw_tokenizer_of_checkpoint(m->ck, &m->tokenizer)
                          : kw_tokenizer_open(path, &m->tokenizer);
    if (is_own && st == KW_EUNSUPPORTED) { /* the model itself is fine: ids still work */
        kw_log(KW_LOG_WARN, "%s: the model is used without a tokenizer", kw_error_message());
        return KW_OK;
    }
    if (st) return st;
    if (m->tokenizer && kw_tokenizer_size(m->tokenizer) > m->shape.n_vocab)
        return kw_fail(KW_EFORMAT,
                       "the tokenizer has %d tokens, the model's embedding %d rows\nwhy: they do "
                       "not belong together",
                       kw_tokenizer_size(m->tokenizer), m->shape.n_vocab);
    return KW_OK;
}

static kw_status add_adapters(kw_model *m, const kw_model_options *o)
{
    kw_status st = KW_OK;
    for (; m->n_adapters < o->n_adapters && !st; m->n_adapters++)
        st = kw_lora_apply(m, &o->adapters[m->n_adapters]);
    return st;
}

static bool is_adapter(const kw_model *m)
{
    const kw_meta *type = kw_checkpoint_meta(m->ck, "general.type");
    if (type && type->type == KW_META_STRING) return kw_str_is(type->string, "adapter");
    return kw_checkpoint_count(m->ck) &&
           kw_str_ends(kw_checkpoint_at(m->ck, 0)->name, ".lora_A.weight");
}

static kw_status check_is_model(const kw_model *m)
{
    if (!is_adapter(m)) return KW_OK;
    return kw_try(kw_fail(KW_EUNSUPPORTED, "an adapter (LoRA), not a model\nwhy: it changes the "
                                           "weights of another one"),
                  "kwaai run MODEL --lora ADAPTER");
}

static void find_family(kw_model *m)
{
    const kw_arch *arch = NULL;
    m->family = kw_family_find(m->arch, kw_checkpoint_naming(m->ck) == KW_NAMING_GGUF,
                               kw_config_has, m, &arch);
    if (m->family) m->member = (int)(arch - m->family->archs);
}

kw_status kw_model_identify(kw_model *m)
{
    kw_status st = check_is_model(m);
    if (!st) st = read_arch(m);
    if (st) return st;
    find_family(m);
    return m->family ? kw_load_config(m) : unknown_arch(m);
}

static kw_status fill(kw_model *m, const char *path, const kw_model_options *o)
{
    kw_status st =
        kw_checkpoint_open(path, (kw_file_options){ .no_mmap = o->no_mmap, .mlock = o->mlock },
                           &m->ck);
    if (st) return st;
    st = kw_model_identify(m);
    if (!st) st = name_model(m, path);
    if (!st) st = add_adapters(m, o);
    if (!st) st = kw_load_weights(m);
    if (st) return st;
    m->shape = *m->config;
    st = load_tokenizer(m, o->tokenizer);
    if (!st) st = kw_load_end_ids(m);
    if (!st) st = kw_model_pack(m, path, o);
    return st;
}

static kw_model *new_model(kw_engine *e)
{
    kw_model *m = kw_calloc(1, sizeof *m, KW_PAY_MODEL);
    if (!m) return NULL;
    m->engine = e;
    m->arena = KW_ARENA(KW_PAY_MODEL);
    atomic_store(&m->refs, 1);
    return m;
}

static kw_status list(kw_model *m, const char *path, const kw_model_options *o)
{
    kw_status st = kw_checkpoint_open(path, (kw_file_options){ .no_mmap = o->no_mmap }, &m->ck);
    if (st) return st;
    m->arch = KW_STR("");
    if (!is_adapter(m) && read_arch(m) == KW_OK) find_family(m);
    return name_model(m, path);
}

kw_status kw_model_inspect(const char *path, const kw_model_options *o, kw_model **out)
{
    kw_model_options all = o ? *o : kw_model_defaults();
    kw_model *m = new_model(NULL);
    if (!m) return KW_ENOMEM;
    kw_status st = list(m, path, &all);
    if (st) {
        kw_because(st, "cannot open %s", path);
        kw_model_release(m);
        return st;
    }
    *out = m;
    return KW_OK;
}

kw_status kw_model_check_engine(const kw_model *m)
{
    return m->engine ? KW_OK
                     : kw_fail(KW_EINVAL, "%s was opened to look at it, not to run", m->name);
}

kw_status kw_model_check_tokenizer(const kw_model *m)
{
    if (m->tokenizer) return KW_OK;
    return kw_try(kw_fail(KW_EUNSUPPORTED, "%s has no tokenizer that is known", m->name),
                  "--tokenizer FILE");
}

kw_status kw_model_load(kw_engine *e, const char *path, const kw_model_options *o, kw_model **out)
{
    kw_model_options all = o ? *o : kw_model_defaults();
    kw_model *m = new_model(e);
    if (!m) return KW_ENOMEM;
    kw_status st = fill(m, path, &all);
    if (st) {
        kw_because(st, "cannot load %s", path);
        kw_model_release(m);
        return st;
    }
    *out = m;
    return KW_OK;
}

kw_model *kw_model_retain(kw_model *m)
{
    atomic_fetch_add_explicit(&m->refs, 1, memory_order_relaxed);
    return m;
}

void kw_model_release(kw_model *m)
{
    if (!m || atomic_fetch_sub_explicit(&m->refs, 1, memory_order_acq_rel) != 1) return;
    kw_tokenizer_close(m->tokenizer);
    kw_model_unpack(m);
    kw_checkpoint_close(m->ck);
    kw_arena_free(&m->arena);
    kw_free(m);
}

const kw_tokenizer *kw_model_tokenizer(const kw_model *m) { return m->tokenizer; }
