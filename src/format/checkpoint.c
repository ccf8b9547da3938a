/* checkpoint.c - a model's files behind one face: finds them, sniffs them, lets the right reader fill the tables.
 *
 * What a file is comes from its bytes, never from its name; names only say where to look in a folder. */
#include "format/internal.h"
#include <stdlib.h>
#include <string.h>

enum { SNIFF_BYTES = 512, MAX_CONFIG = 64 << 20 };

/* ---- filling ---- */

static bool grow(void **items, size_t *cap, size_t n, size_t bytes)
{
    if (n < *cap) return true;
    size_t more = *cap ? *cap * 2 : 16;
    void *bigger = kw_realloc(*items, more * bytes, KW_PAY_MODEL);
    if (!bigger) return false;
    *items = bigger;
    *cap = more;
    return true;
}

kw_status kw_checkpoint_own(kw_checkpoint *ck, kw_source *s)
{
    void *items = ck->sources;
    bool ok = grow(&items, &ck->cap_sources, ck->n_sources, sizeof(kw_source *));
    ck->sources = items;
    if (!ok) {
        kw_source_close(s);
        return KW_ENOMEM;
    }
    ck->sources[ck->n_sources++] = s;
    return KW_OK;
}

kw_status kw_checkpoint_add(kw_checkpoint *ck, kw_str name, const kw_tensor *t)
{
    int64_t twice;
    if (kw_map_get(&ck->by_name, name, &twice))
        return kw_fail(KW_EFORMAT, "two tensors are called \"%.*s\"", (int)name.n, name.p);
    void *items = ck->tensors;
    bool ok = grow(&items, &ck->cap_tensors, ck->n_tensors, sizeof *ck->tensors);
    ck->tensors = items;
    if (!ok) return KW_ENOMEM;
    ck->tensors[ck->n_tensors] = (kw_named_tensor){ name, *t };
    return kw_map_put(&ck->by_name, name, (int64_t)ck->n_tensors++);
}

kw_status kw_checkpoint_add_meta(kw_checkpoint *ck, const kw_meta *m, size_t cap)
{
    int64_t twice;
    if (kw_map_get(&ck->by_key, m->key, &twice))
        return kw_fail(KW_EFORMAT, "the key \"%.*s\" comes twice", (int)m->key.n, m->key.p);
    if (!ck->metas) ck->metas = kw_arena_alloc(&ck->arena, cap, sizeof *ck->metas);
    if (!ck->metas) return KW_ENOMEM;
    ck->metas[ck->n_metas] = *m;
    return kw_map_put(&ck->by_key, m->key, (int64_t)ck->n_metas++);
}

kw_status kw_checkpoint_add_numbers(kw_checkpoint *ck, const kw_own_number *all, size_t n,
                                    size_t cap)
{
    kw_status st = KW_OK;
    for (size_t i = 0; i < n && !st; i++) {
        kw_meta m = { .key = kw_str_of(all[i].key),
                      .type = all[i].is_float ? KW_META_FLOAT : KW_META_INT,
                      .ggml = all[i].is_float ? KW_GGUF_F32 : KW_GGUF_U32,
                      .number = all[i].value,
                      .integer = (int64_t)all[i].value };
        st = kw_checkpoint_add_meta(ck, &m, cap);
    }
    return st;
}

kw_status kw_checkpoint_add_word(kw_checkpoint *ck, const char *key, const char *word, size_t cap)
{
    kw_meta m = { .key = kw_str_of(key),
                  .type = KW_META_STRING,
                  .ggml = KW_GGUF_STRING,
                  .string = kw_str_of(word) };
    return kw_checkpoint_add_meta(ck, &m, cap);
}

bool kw_tensor_bytes(const kw_tensor *t, size_t *bytes)
{
    size_t rows = 1;
    for (int i = 0; i + 1 < t->rank; i++)
        if (!kw_mul_size(rows, (size_t)t->shape[i], &rows)) return false;
    size_t row;
    return kw_dtype_size(t->dtype, (size_t)kw_tensor_cols(t), &row) &&
           kw_mul_size(rows, row, bytes) && *bytes <= SIZE_MAX / 16;
}

static int by_address(const void *a_, const void *b_)
{
    const kw_named_tensor *a = *(kw_named_tensor *const *)a_, *b = *(kw_named_tensor *const *)b_;
    return (a->tensor.data > b->tensor.data) - (a->tensor.data < b->tensor.data);
}

kw_status kw_checkpoint_check_overlap(const kw_checkpoint *ck, size_t first)
{
    size_t n = ck->n_tensors - first;
    const kw_named_tensor **sorted = kw_calloc(n + 1, sizeof *sorted, KW_PAY_FILE);
    kw_status st = sorted ? KW_OK : KW_ENOMEM;
    for (size_t i = 0; i < n && !st; i++) sorted[i] = &ck->tensors[first + i];
    if (!st) qsort(sorted, n, sizeof *sorted, by_address);
    for (size_t i = 0; i + 1 < n && !st; i++) {
        size_t bytes = 0;
        kw_tensor_bytes(&sorted[i]->tensor, &bytes);
        if ((const char *)sorted[i]->tensor.data + bytes > (const char *)sorted[i + 1]->tensor.data)
            st = kw_fail(KW_EFORMAT, "tensors \"%.*s\" and \"%.*s\" share bytes",
                         (int)sorted[i]->name.n, sorted[i]->name.p, (int)sorted[i + 1]->name.n,
                         sorted[i + 1]->name.p);
    }
    kw_free(sorted);
    return st;
}

/* After the check for overlap, so that what is copied is never more than the file. */
kw_status kw_checkpoint_align(kw_checkpoint *ck, size_t first)
{
    for (size_t i = first; i < ck->n_tensors; i++) {
        kw_tensor *t = &ck->tensors[i].tensor;
        size_t bytes = 0;
        kw_tensor_bytes(t, &bytes);
        if (!bytes || (uintptr_t)t->data % kw_dtype_get(t->dtype)->bytes == 0) continue;
        void *copy = kw_arena_alloc(&ck->arena, bytes, 1);
        if (!copy) return KW_ENOMEM;
        memcpy(copy, t->data, bytes);
        t->data = copy;
    }
    return KW_OK;
}

/* ---- sniffing ---- */

static const char *const kind_names[] = {
    "an unknown kind of file", "GGUF",          "safetensors",
    "a safetensors index",     "llama2.c",      "a Python pickle",
    "a zip archive",           "JSON",          "a SentencePiece model",
    "a llama2.c tokenizer",    "a tar archive", "a GGML file",
    "a NumPy array",
};

const char *kw_file_kind_name(kw_file_kind k) { return kind_names[k]; }

static bool is_safetensors(const unsigned char *p, size_t n, uint64_t size)
{
    uint64_t len = 0;
    if (n < 10) return false;
    for (int i = 8; i-- > 0;) len = len << 8 | p[i];
    return len >= 2 && len <= size - 8 && p[8] == '{';
}

static bool is_cut_safetensors(const kw_source *s)
{
    size_t head = s->size < SNIFF_BYTES ? (size_t)s->size : SNIFF_BYTES;
    return is_safetensors(s->map, head, (uint64_t)MAX_CONFIG + 8);
}

static bool is_llama2c_tokenizer(const unsigned char *p, size_t n)
{
    uint32_t max_len, len;
    if (n < 13) return false;
    memcpy(&max_len, p, 4);
    memcpy(&len, p + 8, 4);
    return max_len >= 1 && max_len <= 1024 && len >= 1 && len <= max_len;
}

kw_file_kind kw_file_sniff(const void *head, size_t head_len, uint64_t file_size)
{
    const unsigned char *p = head;
    size_t n = head_len, at = 0;
    while (at < n && (p[at] == ' ' || p[at] == '\n' || p[at] == '\r' || p[at] == '\t')) at++;
    if (n >= 4 && memcmp(p, "GGUF", 4) == 0) return KW_FILE_GGUF;
    if (kw_ggml_fits(p, n)) return KW_FILE_GGML;
    if (kw_npy_fits(p, n)) return KW_FILE_NPY;
    if (n >= 4 && memcmp(p, "PK\3\4", 4) == 0) return KW_FILE_ZIP;
    if (n >= 2 && p[0] == 0x80 && p[1] <= 5) return KW_FILE_PICKLE;
    if (is_safetensors(p, n, file_size)) return KW_FILE_SAFETENSORS;
    if (kw_llama2c_fits(p, n, file_size)) return KW_FILE_LLAMA2C;
    if (at < n && (p[at] == '{' || p[at] == '[')) return KW_FILE_JSON;
    if (n >= 4 && p[0] == 0x0a && p[2] == 0x0a) return KW_FILE_SENTENCEPIECE;
    if (n >= 262 && memcmp(p + 257, "ustar", 5) == 0) return KW_FILE_TAR;
    if (is_llama2c_tokenizer(p, n)) return KW_FILE_LLAMA2C_TOKENIZER;
    return KW_FILE_UNKNOWN;
}

/* ---- opening ---- */

static kw_status not_a_model(const kw_source *s, kw_file_kind kind)
{
    if (s->size == 0) return kw_fail(KW_EFORMAT, "%s is empty", s->name);
    if (kind == KW_FILE_TAR)
        return kw_try(kw_fail(KW_EUNSUPPORTED,
                              "%s is a tar archive: PyTorch files of before 0.2 are not read",
                              s->name),
                      "load it in PyTorch and save it again");
    if (kind == KW_FILE_UNKNOWN && is_cut_safetensors(s))
        return kw_try(
            kw_fail(KW_EFORMAT,
                    "%s begins like safetensors, but ends in the header: it has %llu bytes",
                    s->name, (unsigned long long)s->size),
            "the download may be incomplete: fetch the file again");
    return kw_fail(KW_EFORMAT,
                   "%s is %s\nwhy: what is read are GGUF, safetensors, PyTorch, llama2.c, old GGML "
                   "and NumPy files, and folders with one",
                   s->name, kw_file_kind_name(kind));
}

static kw_file_kind kind_of(const kw_source *s)
{
    size_t head = s->size < SNIFF_BYTES ? (size_t)s->size : SNIFF_BYTES;
    return s->size ? kw_file_sniff(s->map, head, s->size) : KW_FILE_UNKNOWN;
}

kw_status kw_checkpoint_read_part(kw_checkpoint *ck, kw_source *s)
{
    kw_file_kind kind = kind_of(s);
    if (kind == KW_FILE_SAFETENSORS) return kw_safetensors_read(ck, s);
    if (kind == KW_FILE_ZIP || kind == KW_FILE_PICKLE) return kw_torch_read(ck, s);
    return kind == KW_FILE_NPY ? kw_npy_read(ck, s) : not_a_model(s, kind);
}

static kw_status read_source(kw_checkpoint *ck, kw_source *s, kw_file_options o)
{
    kw_file_kind kind = kind_of(s);
    if (kind == KW_FILE_GGUF) return kw_gguf_read(ck, s, o);
    if (kind == KW_FILE_GGML) return kw_ggml_read(ck, s);
    if (kind == KW_FILE_LLAMA2C) return kw_llama2c_read(ck, s);
    if (kind == KW_FILE_JSON) return kw_index_read(ck, s, o);
    return kw_checkpoint_read_part(ck, s);
}

static kw_status join(const kw_checkpoint *ck, const char *name, kw_buf *path)
{
    kw_buf_clear(path);
    kw_buf_printf(path, "%s/%s", ck->folder, name);
    return path->status;
}

/* A JSON file of the folder, or NULL when there is none. */
static kw_status read_json(kw_checkpoint *ck, const char *name, const kw_json **out)
{
    kw_buf path = KW_BUF(8192, KW_PAY_FILE);
    kw_json *root = NULL;
    kw_status st = join(ck, name, &path);
    if (!st) st = kw_json_read_file(kw_buf_text(&path), MAX_CONFIG, &ck->arena, &root);
    kw_buf_free(&path);
    *out = root;
    return st;
}

static kw_status set_folder(kw_checkpoint *ck, const char *path, bool is_dir)
{
    const char *slash = strrchr(path, '/');
    size_t len = is_dir ? strlen(path) : slash ? (size_t)(slash - path) : 0;
    if (slash == path && !is_dir) len = 1;
    ck->folder = len ? kw_arena_strdup(&ck->arena, path, len) : kw_arena_strdup(&ck->arena, ".", 1);
    return ck->folder ? KW_OK : KW_ENOMEM;
}

typedef struct ggufs {
    char first[256]; /* or the only one */
    size_t n;
} ggufs;

/* Parts of a split but the first go with it. */
static bool note_gguf(void *user, const char *name)
{
    ggufs *g = user;
    kw_str part = kw_str_of(name);
    size_t n = strlen("-00001-of-00001.gguf");
    bool is_part = part.n > n && !memcmp(name + part.n - n + 6, "-of-", 4);
    bool is_later = is_part && memcmp(name + part.n - n, "-00001-", 7) != 0;
    if (!kw_str_ends(part, ".gguf") || is_later || part.n >= sizeof g->first) return true;
    if (!g->n++ || strcmp(name, g->first) < 0) memcpy(g->first, name, part.n + 1);
    return true;
}

/* A folder's only GGUF file, whatever it is called. */
static kw_status find_gguf(const kw_checkpoint *ck, kw_buf *path)
{
    ggufs g = { 0 };
    kw_status st = kw_folder_list(ck->folder, note_gguf, &g);
    if (st) return st;
    if (g.n == 1) return join(ck, g.first, path);
    if (g.n)
        return kw_try(kw_fail(KW_ENOTFOUND, "the folder %s holds %zu GGUF files", ck->folder, g.n),
                      "one of them: %s/%s", ck->folder, g.first);
    return kw_fail(
        KW_ENOTFOUND,
        "the folder %s holds no model\nwhy: looked for model.safetensors, a GGUF file and "
        "pytorch_model.bin, and for an index of shards",
        ck->folder);
}

/* The weights file of a folder. */
static kw_status find_weights(kw_checkpoint *ck, kw_buf *path)
{
    static const char *const names[] = { "model.safetensors.index.json",
                                         "model.safetensors",
                                         "model.gguf",
                                         "pytorch_model.bin.index.json",
                                         "pytorch_model.bin",
                                         "adapter_model.safetensors",
                                         "adapter_model.bin" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        kw_status st = join(ck, names[i], path);
        if (st) return st;
        if (kw_path_exists(kw_buf_text(path))) return KW_OK;
    }
    return find_gguf(ck, path);
}

/* A GGUF file that does not say what it holds has a checkpoint's own names, when the checkpoint's config lies beside it: so
 * candle's tools write them. */
static kw_status adopt_config(kw_checkpoint *ck)
{
    if (ck->naming != KW_NAMING_GGUF || kw_checkpoint_meta(ck, "general.architecture"))
        return KW_OK;
    kw_status st = read_json(ck, "config.json", &ck->config);
    if (ck->config) ck->naming = KW_NAMING_HF;
    return st;
}

static kw_status fill(kw_checkpoint *ck, const char *path, kw_file_options o)
{
    bool is_dir = kw_path_is_dir(path);
    kw_buf found = KW_BUF(8192, KW_PAY_FILE);
    kw_source *s = NULL;
    kw_status st = set_folder(ck, path, is_dir);
    if (!st && is_dir) st = find_weights(ck, &found);
    if (!st) st = kw_source_file(is_dir ? kw_buf_text(&found) : path, o, &s);
    kw_buf_free(&found);
    if (!st) st = kw_checkpoint_own(ck, s);
    if (!st) st = read_source(ck, s, o);
    if (!st) st = adopt_config(ck);
    if (!st && ck->naming == KW_NAMING_HF && !ck->config)
        st = read_json(ck, "config.json", &ck->config);
    if (!st && ck->naming == KW_NAMING_HF)
        st = read_json(ck, "generation_config.json", &ck->generation_config);
    return st;
}

static kw_checkpoint *new_checkpoint(void)
{
    kw_checkpoint *ck = kw_calloc(1, sizeof *ck, KW_PAY_MODEL);
    if (!ck) return NULL;
    ck->arena = KW_ARENA(KW_PAY_MODEL);
    ck->by_name = ck->by_key = KW_MAP(KW_PAY_MODEL);
    return ck;
}

kw_status kw_checkpoint_open(const char *path, kw_file_options o, kw_checkpoint **out)
{
    kw_checkpoint *ck = new_checkpoint();
    if (!ck) return KW_ENOMEM;
    kw_status st = fill(ck, path, o);
    if (st) kw_checkpoint_close(ck);
    else *out = ck;
    return st;
}

kw_status kw_checkpoint_from_source(kw_source *weights, kw_str config_json, kw_checkpoint **out)
{
    kw_checkpoint *ck = new_checkpoint();
    if (!ck) {
        kw_source_close(weights);
        return KW_ENOMEM;
    }
    kw_status st = kw_checkpoint_own(ck, weights);
    ck->folder = kw_arena_strdup(&ck->arena, "", 0);
    if (!st && !ck->folder) st = KW_ENOMEM;
    if (!st) st = read_source(ck, weights, (kw_file_options){ 0 });
    if (!st && config_json.n) {
        kw_json *root = NULL;
        st = kw_json_parse(config_json.p, config_json.n, &ck->arena, &root);
        ck->config = root;
    }
    if (st) kw_checkpoint_close(ck);
    else *out = ck;
    return st;
}

void kw_checkpoint_close(kw_checkpoint *ck)
{
    if (!ck) return;
    for (size_t i = 0; i < ck->n_sources; i++) kw_source_close(ck->sources[i]);
    kw_free(ck->sources);
    kw_free(ck->tensors);
    kw_map_free(&ck->by_name);
    kw_map_free(&ck->by_key);
    kw_arena_free(&ck->arena);
    kw_free(ck);
}
