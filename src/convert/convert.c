/* convert.c - kw_convert: what is asked, whether it can be done, and where it goes.
 *
 *     NAME.gguf, NAME.safetensors    written as NAME.tmp and renamed
 *     FOLDER                         made as FOLDER.tmp with all its files, and put in FOLDER's place
 *
 * A folder that is replaced may hold nothing but a model's files: others would be lost. */
#include "convert/convert.h"
#include <stdio.h>
#include <string.h>

enum { PATH_BYTES = 4096 };
typedef enum kind { AS_GGUF, AS_TENSORS, AS_FOLDER } kind;

typedef struct target {
    kind kind;
    char path[PATH_BYTES];   /* of the file, or of the folder */
    char folder[PATH_BYTES]; /* where its files are made */
} target;

/* ---- what is asked ---- */

static bool is_set(const char *text) { return text && *text; }

static kw_status find_dtype(const kw_convert_options *o, bool to_gguf, kw_dtype *out)
{
    kw_buf known = KW_BUF(1024, KW_PAY_MISC);
    *out = KW_DTYPE_COUNT;
    if (!is_set(o->dtype)) return KW_OK;
    for (int i = 0; i < KW_DTYPE_COUNT; i++) {
        const kw_dtype_info *d = kw_dtype_get((kw_dtype)i);
        bool fits = d->encode && (to_gguf ? d->ggml_type >= 0 : d->safetensors != NULL);
        if (fits && kw_str_same_word(o->dtype, d->name)) *out = (kw_dtype)i;
        if (fits) kw_buf_printf(&known, "%s%s", known.len ? ", " : "", d->name);
    }
    kw_status st = KW_OK;
    if (*out == KW_DTYPE_COUNT)
        st = kw_fail(KW_EINVAL, "dtype \"%s\" is not written in %s\nwhy: known are %s", o->dtype,
                     to_gguf ? "GGUF" : "safetensors", kw_buf_text(&known));
    kw_buf_free(&known);
    return st;
}

/* ".", "..", "a/..": a folder, but not by its name. */
static bool is_dots(const char *path)
{
    const char *last = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
    return !strcmp(last, ".") || !strcmp(last, "..");
}

/* A folder's place, without links: what they lead to is replaced, and they stay. */
static kw_status find_folder(target *t)
{
    char full[PATH_BYTES] = "";
    if (is_dots(t->path))
        return kw_try(kw_fail(KW_EINVAL, "the folder %s cannot be replaced from inside", t->path),
                      "its name, from outside");
    if (kw_path_is_dir(t->path)) kw_path_full(t->path, full, sizeof full);
    if (full[0]) memcpy(t->path, full, sizeof full);
    size_t n = strlen(t->path);
    if (n + 32 > PATH_BYTES) return kw_fail(KW_EINVAL, "a path of %zu bytes", n);
    snprintf(t->folder, sizeof t->folder, "%.*s.tmp", (int)n, t->path);
    return KW_OK;
}

static kw_status find_target(const char *out, const kw_convert_options *o, target *t)
{
    kw_str name = kw_str_of(out);
    size_t n = strlen(out);
    while (n > 1 && out[n - 1] == '/') n--;
    bool says_gguf = kw_str_ends(name, ".gguf"), says_tensors = kw_str_ends(name, ".safetensors");
    bool asks = is_set(o->to), asks_gguf = asks && kw_str_same_word(o->to, "gguf");
    if (n == 0 || n + 32 > PATH_BYTES) return kw_fail(KW_EINVAL, "a path of %zu bytes", n);
    if (asks && !asks_gguf && !kw_str_same_word(o->to, "safetensors"))
        return kw_fail(KW_EINVAL, "--to %s: known are gguf and safetensors", o->to);
    if (asks && (asks_gguf ? says_tensors : says_gguf))
        return kw_fail(KW_EINVAL, "--to %s, but the output is called %s", o->to, out);
    memcpy(t->path, out, n);
    t->kind = says_gguf ? AS_GGUF : says_tensors ? AS_TENSORS : AS_FOLDER;
    if (asks_gguf && t->kind == AS_FOLDER) {
        kw_status st = kw_folder_make(t->path, false);
        if (st) return st;
        memcpy(t->path + n, "/model.gguf", sizeof "/model.gguf");
        t->kind = AS_GGUF;
    }
    return t->kind == AS_FOLDER ? find_folder(t) : KW_OK;
}

/* ---- may it be written there ---- */

typedef struct visit {
    const char *folder;
    char foreign[256]; /* the first name that is no part of a model */
} visit;

static bool note_foreign(void *visit_, const char *name)
{
    static const char *const ours[] = { ".safetensors", ".json",  ".jinja", "vocab.txt",
                                        "merges.txt",   ".model", ".tmp" };
    static const char *const modules[] = { "_Transformer", "_Pooling", "_Normalize" };
    visit *v = visit_;
    char path[PATH_BYTES];
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        if (kw_str_ends(kw_str_of(name), ours[i])) return true;
    visit inner = { .folder = path };
    snprintf(path, sizeof path, "%s/%s", v->folder, name);
    for (size_t i = 0; i < sizeof modules / sizeof *modules && kw_path_is_dir(path); i++)
        if (kw_str_ends(kw_str_of(name), modules[i]) &&
            kw_folder_list(path, note_foreign, &inner) == KW_OK && !inner.foreign[0])
            return true;
    snprintf(v->foreign, sizeof v->foreign, "%s", name);
    return false;
}

static bool note_any(void *user, const char *name)
{
    snprintf(user, 256, "%s", name);
    return false;
}

static kw_status check_folder(const target *t, const kw_convert_options *o)
{
    char any[256] = "";
    visit v = { .folder = t->path };
    if (!kw_path_exists(t->path)) return KW_OK;
    if (!kw_path_is_dir(t->path))
        return kw_try(kw_fail(KW_EINVAL, "%s is a file, and a folder is to be written", t->path),
                      "a name that ends in .gguf or .safetensors");
    kw_status st = kw_folder_list(t->path, note_any, any);
    if (!st) st = kw_folder_list(t->path, note_foreign, &v);
    if (st || !any[0]) return st;
    if (!o->force)
        return kw_try(kw_fail(KW_EINVAL, "the folder %s holds files already (%s)", t->path, any),
                      "another name, or --force to replace it");
    if (v.foreign[0])
        return kw_fail(KW_EINVAL,
                       "the folder %s holds %s\nwhy: that is no part of a model, and replacing "
                       "the folder would remove it",
                       t->path, v.foreign);
    return KW_OK;
}

/* FOLDER.tmp is emptied: it may only be what a killed run left there. */
static kw_status check_left(const target *t, kw_status st)
{
    visit v = { .folder = t->folder };
    if (st || !kw_path_exists(t->folder)) return st;
    if (kw_path_is_dir(t->folder)) st = kw_folder_list(t->folder, note_foreign, &v);
    else snprintf(v.foreign, sizeof v.foreign, "a file of that name");
    if (st || !v.foreign[0]) return st;
    return kw_try(kw_fail(KW_EINVAL,
                          "%s is there already (%s)\nwhy: the folder is made under that name and "
                          "then renamed, and this is no part of a model",
                          t->folder, v.foreign),
                  "another name for the output");
}

static bool is_input(const char *in, const kw_checkpoint *ck, const target *t)
{
    const char *const taken[] = { t->path, t->folder };
    bool same = kw_checkpoint_is_at(ck, t->path);
    for (int i = 0; i < 2 && t->kind == AS_FOLDER; i++)
        same = same || kw_path_is_same(in, taken[i]) ||
               kw_path_is_same(kw_checkpoint_folder(ck), taken[i]);
    return same;
}

static kw_status check_target(const char *in, const kw_convert_job *j, const target *t)
{
    const kw_convert_options *o = j->o;
    bool same = is_input(in, j->m->ck, t);
    for (size_t i = 0; i < j->n_adapters && !same; i++)
        same = is_input(o->adapters[i].path, j->adapters[i].ck, t);
    if (same) return kw_try(kw_fail(KW_EINVAL, "%s is the input itself", t->path), "another name");
    if (t->kind == AS_FOLDER) return check_left(t, check_folder(t, o));
    if (kw_path_exists(t->path) && !kw_path_is_dir(t->path) && !o->force)
        return kw_try(kw_fail(KW_EINVAL, "%s exists already", t->path),
                      "another name, or --force to replace it");
    return KW_OK;
}

/* ---- what is known of the model ---- */

/* The sizes of tables (of the vocabulary, of a text's parts), where the configuration does not say them. */
static void find_rows(kw_convert_job *j)
{
    char name[KW_NAME_MAX];
    const kw_family *f = j->m->family;
    for (const kw_weight_row *row = f->weights[0]; row; row = kw_weight_after(f, row)) {
        int *n = (int *)(void *)((char *)j->m->config + row->dim[0]);
        if (!(row->flags & KW_W_TABLE) || *n) continue;
        const kw_named_tensor *t = kw_weight_find(j->m, row, -1, -1, name);
        if (t && t->tensor.shape[0] <= INT32_MAX) *n = (int)t->tensor.shape[0];
    }
}

static kw_status load_tokenizer(kw_convert_job *j)
{
    kw_model *m = j->m;
    bool is_given = is_set(j->o->tokenizer);
    kw_status st = is_given ? kw_tokenizer_open(j->o->tokenizer, &m->tokenizer)
                            : kw_tokenizer_of_checkpoint(m->ck, &m->tokenizer);
    if (st == KW_EUNSUPPORTED && !is_given) {
        kw_log(KW_LOG_WARN, "%s: the model is written without a tokenizer", kw_error_message());
        st = KW_OK;
    }
    return st ? st : kw_load_end_ids(m);
}

static const kw_arch *output_arch(kw_convert_job *j)
{
    const kw_family *f = j->m->family;
    const kw_arch *own = &f->archs[j->m->member];
    if (!j->to_gguf || own->gguf) return own;
    for (const kw_family *const *other = kw_families(); *other && !f->archs[0].gguf; other++)
        if ((*other)->fields[0] == f->fields[0] && (*other)->archs[0].gguf) f = *other;
    return &f->archs[0]; /* or its relative's, which has the same numbers */
}

static kw_status learn(kw_convert_job *j)
{
    kw_model *m = j->m;
    kw_status st = kw_model_identify(m);
    if (st) return st;
    find_rows(j);
    m->shape = *m->config;
    j->arch = output_arch(j);
    if (!(j->to_gguf ? j->arch->gguf : j->arch->hf_class))
        return kw_fail(KW_EUNSUPPORTED, "architecture \"%s\" has no name in %s", m->arch_name,
                       j->to_gguf ? "GGUF" : "config.json");
    j->heads = kw_model_heads(m);
    return load_tokenizer(j);
}

/* ---- the work ---- */

static kw_named_tensor *list_outputs(kw_convert_job *j)
{
    kw_named_tensor *list = kw_arena_alloc(&j->arena, j->n + 1, sizeof *list);
    for (size_t i = 0; list && i < j->n; i++) list[i] = j->items[i].out;
    return list;
}

/* Where the files of a split go is known only now; none of them has been replaced yet. */
static kw_status check_parts(const kw_convert_job *j, const kw_tensor_writer *w)
{
    const char *path;
    for (size_t i = 0; (path = kw_tensors_file(w, i)); i++)
        if (kw_checkpoint_is_at(j->m->ck, path))
            return kw_try(kw_fail(KW_EINVAL, "%s is the input itself", path), "another name");
    if (kw_tensors_is_taken(w))
        return kw_try(
            kw_fail(KW_EINVAL,
                    "%s and the others of its split are there already\nwhy: several files "
                    "cannot be replaced at one moment, and a run that is killed between "
                    "two of them would leave neither model",
                    kw_tensors_file(w, 0)),
            "another name, or remove them first");
    for (size_t i = 0; !j->o->force && (path = kw_tensors_file(w, i)); i++)
        if (kw_path_exists(path))
            return kw_try(kw_fail(KW_EINVAL, "%s exists already", path),
                          "another name, or --force to replace it");
    return KW_OK;
}

static kw_status create(kw_convert_job *j, const target *t, kw_tensor_writer **w)
{
    char path[PATH_BYTES + 32];
    kw_gguf_keys keys = KW_GGUF_KEYS;
    kw_named_tensor *list = list_outputs(j);
    kw_status st = list ? KW_OK : KW_ENOMEM;
    snprintf(path, sizeof path, "%s", t->path);
    if (t->kind == AS_FOLDER) snprintf(path, sizeof path, "%s/model.safetensors", t->folder);
    if (!st && t->kind == AS_GGUF) st = kw_convert_keys(j, &keys);
    if (!st)
        st = t->kind == AS_GGUF ? kw_gguf_create(path, &keys, list, j->n, j->o->split_bytes, w)
                                : kw_safetensors_create(path, list, j->n, j->o->split_bytes, w);
    kw_gguf_keys_free(&keys);
    return st || t->kind == AS_FOLDER ? st : check_parts(j, *w);
}

static kw_status write_tensors(kw_convert_job *j, const target *t)
{
    kw_tensor_writer *w = NULL;
    kw_status st = create(j, t, &w);
    if (!st) st = kw_convert_rows(j, w);
    if (!st) return kw_tensors_commit(w);
    kw_tensors_abort(w);
    return st;
}

static kw_status write_folder(kw_convert_job *j, const target *t)
{
    kw_folder_remove(t->folder); /* what a killed run left */
    kw_status st = kw_folder_make(t->folder, false);
    if (!st) st = kw_convert_folder(j, t->folder);
    if (!st) st = write_tensors(j, t);
    if (!st) st = kw_folder_replace(t->folder, t->path);
    if (st) kw_folder_remove(t->folder);
    return st;
}

/* FOLDER.tmp has one name for all runs, so that the next one finds what a killed one left: FOLDER.lock.tmp says whose it is, and
 * the system takes it back from the dead. */
static kw_status write_all(kw_convert_job *j, const target *t)
{
    char path[PATH_BYTES + 32];
    kw_file_writer *lock = NULL;
    kw_status st = KW_OK;
    if (t->kind != AS_FOLDER) return write_tensors(j, t);
    snprintf(path, sizeof path, "%s", t->path);
    char *slash = strrchr(path, '/');
    if (slash) *slash = 0;
    if (slash && slash != path) st = kw_folder_make(path, false);
    snprintf(path, sizeof path, "%s.lock", t->path);
    if (!st) st = kw_file_claim(path, &lock);
    if (st) return st;
    st = write_folder(j, t);
    kw_file_abort(lock);
    return st;
}

kw_status kw_convert_plan(kw_convert_job *j)
{
    j->renames = j->to_gguf != (kw_checkpoint_naming(j->m->ck) == KW_NAMING_GGUF);
    bool has_vocabulary = kw_checkpoint_meta(j->m->ck, "tokenizer.ggml.model");
    kw_status st = KW_OK;
    if (j->renames) st = learn(j);
    else if (j->n_adapters) st = kw_model_identify(j->m);
    if (!st && !j->renames && is_set(j->o->tokenizer) && j->to_gguf && !has_vocabulary)
        st = load_tokenizer(j);
    if (!st) st = kw_convert_pair(j);
    if (!st) st = kw_convert_find_changes(j);
    if (!st && j->renames && j->to_gguf) st = kw_convert_divisors(j);
    return st;
}

static kw_status run(kw_convert_job *j, const char *in, const char *out)
{
    target t = { 0 };
    kw_status st = find_target(out, j->o, &t);
    j->to_gguf = t.kind == AS_GGUF;
    if (!st) st = find_dtype(j->o, j->to_gguf, &j->dtype);
    if (!st) st = kw_model_inspect(in, NULL, &j->m);
    if (!st) st = kw_convert_open_adapters(j);
    if (!st) st = check_target(in, j, &t);
    if (!st) st = kw_convert_plan(j);
    return st ? st : write_all(j, &t);
}

kw_status kw_convert(const char *in, const char *out, const kw_convert_options *o)
{
    kw_convert_options none = { 0 };
    kw_convert_job j = { .o = o ? o : &none, .arena = KW_ARENA(KW_PAY_FILE) };
    kw_status st = run(&j, in, out);
    kw_convert_close_adapters(&j);
    kw_model_release(j.m);
    kw_arena_free(&j.arena);
    kw_free(j.items);
    return st ? kw_because(st, "cannot convert %s", in) : KW_OK;
}
