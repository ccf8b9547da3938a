/* torch.c - PyTorch's own files: a pickle that describes tensors, and storages of bytes that they are views of.
 *
 *   zip     NAME/data.pkl | NAME/data/KEY, a storage each            since PyTorch 1.6
 *   legacy  magic | version | machine | pickle | list of keys | (number of values u64 | storage)...
 *
 * What a tensor is, torch_view.c knows; how a pickle is read without executing it, pickle.c.
 *
 * Which part of the pickle is the model: its dictionary of tensors; or else that of a wrapper that trainers put around it; or
 * else everything, the names joined by dots. What is no tensor is left out. */
#include "format/internal.h"
#include "format/torch.h"
#include "format/zip.h"
#include <stdio.h>
#include <string.h>

enum {
    MAX_PICKLE = 64 << 20,
    MAX_DEPTH = 16,
    MAX_VISITS = 1 << 20,
    MAX_TENSORS = 1 << 17,
    MAX_NAME = 512,
    COPY_SPARE = 16 << 20,
};

typedef kw_pickle_value value;

typedef struct reader {
    kw_checkpoint *ck;
    kw_source *s;
    kw_arena arena; /* values of the pickle */
    kw_zip zip;     /* empty for legacy files */
    kw_str prefix;  /* of members: "NAME/" */
    kw_pickle pickle;
    kw_torch_storage *storages; /* legacy */
    kw_map by_key;              /* legacy: key -> index of storages */
    kw_buf path;                /* the name of what is visited */
    size_t n_visits, n_found;
    kw_torch_home home;
} reader;

static kw_status find_storage(void *who, const kw_torch_reference *ref, kw_torch_storage *out)
{
    const reader *r = who;
    int64_t at;
    char name[512];
    if (r->zip.n) {
        snprintf(name, sizeof name, "%.*sdata/%.*s", (int)r->prefix.n, r->prefix.p, (int)ref->key.n,
                 ref->key.p);
        const kw_zip_member *m = kw_zip_find(&r->zip, kw_str_of(name));
        if (!m) return kw_fail(KW_EFORMAT, "the archive has no member %s", name);
        *out = (kw_torch_storage){ m->data, m->bytes };
    } else if (kw_map_get(&r->by_key, ref->key, &at)) *out = r->storages[at];
    else
        return kw_fail(KW_EFORMAT, "the file has no storage \"%.*s\"", (int)ref->key.n, ref->key.p);
    if (ref->bytes <= out->bytes) return KW_OK;
    return kw_fail(KW_EFORMAT, "storage \"%.*s\" has %zu bytes, the pickle says %zu",
                   (int)ref->key.n, ref->key.p, out->bytes, ref->bytes);
}

static kw_status add_tensor(reader *r, const value *call)
{
    kw_tensor t;
    const char *name = r->path.len ? kw_buf_text(&r->path) : "tensor";
    if (++r->n_found > MAX_TENSORS) return kw_fail(KW_ELIMIT, "more than %d tensors", MAX_TENSORS);
    kw_status st = kw_torch_read_tensor(&r->home, call, &t);
    if (st) return kw_note(st, "tensor \"%s\"", name);
    const char *kept = kw_arena_strdup(&r->ck->arena, name, strlen(name));
    return kept ? kw_checkpoint_add(r->ck, kw_str_of(kept), &t) : KW_ENOMEM;
}

/* ---- finding them ---- */

/* A parameter is a tensor with a word about training. */
static const value *tensor_of(const value *v)
{
    for (int i = 0; i < MAX_DEPTH && kw_torch_is_call(v, KW_TORCH_PARAMETER) && v->n; i++)
        v = v->items[0];
    return kw_torch_is_call(v, KW_TORCH_TENSOR) ? v : NULL;
}

static kw_status visit(reader *r, const value *v, int depth);

/* Visits an item under its own name, behind those of what it is in. */
static kw_status visit_item(reader *r, kw_str name, const value *v, int depth)
{
    size_t before = r->path.len;
    if (memchr(name.p, 0, name.n)) return kw_fail(KW_EFORMAT, "a name with a zero byte");
    if (before) kw_buf_byte(&r->path, '.');
    kw_buf_bytes(&r->path, name.p, name.n);
    if (r->path.status == KW_ENOMEM) return KW_ENOMEM;
    if (r->path.status)
        return kw_fail(KW_ELIMIT, "a name of more than %d bytes: \"%.*s...\"", MAX_NAME,
                       (int)(name.n < 40 ? name.n : 40), name.p);
    kw_status st = visit(r, v, depth + 1);
    r->path.len = before;
    return st;
}

static kw_status visit(reader *r, const value *v, int depth)
{
    kw_status st = KW_OK;
    char index[16];
    if (++r->n_visits > MAX_VISITS)
        return kw_fail(KW_ELIMIT, "more than %d values behind one another", MAX_VISITS);
    if (tensor_of(v)) return add_tensor(r, tensor_of(v));
    if (depth > MAX_DEPTH) return kw_fail(KW_ELIMIT, "nested more than %d deep", MAX_DEPTH);
    for (uint32_t i = 0;
         (v->type == KW_PICKLE_TUPLE || v->type == KW_PICKLE_LIST) && i < v->n && !st; i++) {
        snprintf(index, sizeof index, "%u", i);
        st = visit_item(r, kw_str_of(index), v->items[i], depth);
    }
    if (v->type == KW_PICKLE_DICT) r->n_visits += v->n / 2; /* pairs without a name cost, too */
    for (uint32_t i = 0; v->type == KW_PICKLE_DICT && i + 1 < v->n && !st; i += 2)
        if (v->items[i]->type == KW_PICKLE_STRING)
            st = visit_item(r, v->items[i]->string, v->items[i + 1], depth);
    return st;
}

static bool has_tensors(const value *v)
{
    for (uint32_t i = 1; v->type == KW_PICKLE_DICT && i < v->n; i += 2)
        if (tensor_of(v->items[i])) return true;
    return false;
}

/* The dictionary of the model within what trainers save with it. */
static const value *model_of(const value *root)
{
    static const char *const wrappers[] = { "state_dict", "model_state_dict", "model", "module" };
    for (int depth = 0; depth < 4 && root->type == KW_PICKLE_DICT && !has_tensors(root); depth++) {
        const value *found = NULL;
        for (size_t w = 0; w < sizeof wrappers / sizeof *wrappers && !found; w++)
            for (uint32_t i = 0; i + 1 < root->n && !found; i += 2)
                if (root->items[i]->type == KW_PICKLE_STRING &&
                    kw_str_is(root->items[i]->string, wrappers[w]) &&
                    root->items[i + 1]->type == KW_PICKLE_DICT)
                    found = root->items[i + 1];
        if (!found) return root;
        root = found;
    }
    return root;
}

static kw_status add_tensors(reader *r, const char *format)
{
    r->path = KW_BUF(MAX_NAME, KW_PAY_FILE);
    kw_status st = visit(r, model_of(r->pickle.root), 0);
    kw_buf_free(&r->path);
    if (!st && !r->n_found)
        st = kw_try(kw_fail(KW_EFORMAT, "%s holds no tensors", r->s->name),
                    "save the weights: torch.save(model.state_dict(), ...)");
    r->ck->naming = KW_NAMING_HF;
    r->ck->format = format;
    return st;
}

static kw_status too_long(size_t bytes)
{
    return kw_fail(KW_ELIMIT, "a pickle of %zu bytes, at most %d", bytes, MAX_PICKLE);
}

/* ---- zip ---- */

/* The member NAME/data.pkl gives the name that all others begin with. */
static kw_status find_pickle(reader *r, const kw_zip_member **out)
{
    for (size_t i = 0; i < r->zip.n; i++) {
        kw_str name = r->zip.members[i].name;
        if (!kw_str_ends(name, "/data.pkl")) continue;
        if (memchr(name.p, '/', name.n - strlen("/data.pkl"))) continue;
        *out = &r->zip.members[i];
        r->prefix = (kw_str){ name.p, name.n - strlen("data.pkl") };
        return r->prefix.n < 256 ? KW_OK : kw_fail(KW_ELIMIT, "a member name of 256 bytes or more");
    }
    return kw_fail(KW_EFORMAT,
                   "%s is a zip archive without data.pkl\nwhy: PyTorch's files describe their "
                   "tensors in a member of this name",
                   r->s->name);
}

static const kw_zip_member *member(const reader *r, const char *rest)
{
    char name[512];
    snprintf(name, sizeof name, "%.*s%s", (int)r->prefix.n, r->prefix.p, rest);
    return kw_zip_find(&r->zip, kw_str_of(name));
}

static kw_status check_archive(const reader *r)
{
    const kw_zip_member *order = member(r, "byteorder");
    if (member(r, "constants.pkl"))
        return kw_try(kw_fail(KW_EUNSUPPORTED,
                              "%s is a TorchScript archive\nwhy: it holds a program", r->s->name),
                      "save the weights alone: torch.save(model.state_dict(), ...)");
    if (order && order->bytes == 3 && memcmp(order->data, "big", 3) == 0)
        return kw_fail(KW_EUNSUPPORTED, "a PyTorch file of a big-endian machine");
    return KW_OK;
}

/* NumPy's archives of arrays look the same until their members are listed. */
static kw_status read_zip(reader *r)
{
    const kw_zip_member *pickle = NULL;
    kw_status st = kw_zip_open(r->s, &r->zip);
    if (!st && kw_npz_fits(&r->zip)) return kw_npz_read(r->ck, &r->zip);
    if (!st) st = find_pickle(r, &pickle);
    if (!st) st = check_archive(r);
    if (st) return st;
    if (pickle->bytes > MAX_PICKLE) return too_long(pickle->bytes);
    kw_cursor c = kw_cursor_of(pickle->data, pickle->bytes, "data.pkl");
    st = kw_pickle_read(&c, kw_torch_names, &r->arena, &r->pickle);
    return st ? st : add_tensors(r, "PyTorch");
}

/* ---- legacy ---- */

static const kw_str legacy_magic = { "\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", 10 };

/* The first three pickles: magic, version, and what the machine was. */
static kw_status read_preamble(reader *r, kw_cursor *c)
{
    kw_pickle p;
    kw_status st = kw_pickle_read(c, kw_torch_names, &r->arena, &p);
    if (st) return st;
    if (p.root->type != KW_PICKLE_BIG || !kw_str_eq(p.root->string, legacy_magic))
        return kw_fail(KW_EFORMAT,
                       "%s is a pickle, but not one of PyTorch\nwhy: it does not begin with "
                       "PyTorch's number",
                       r->s->name);
    st = kw_pickle_read(c, kw_torch_names, &r->arena, &p);
    if (st) return st;
    if (p.root->type != KW_PICKLE_INT || p.root->integer != 1001)
        return kw_fail(KW_EUNSUPPORTED, "a PyTorch file of another version than 1001");
    st = kw_pickle_read(c, kw_torch_names, &r->arena, &p);
    if (st) return st;
    for (uint32_t i = 0; p.root->type == KW_PICKLE_DICT && i + 1 < p.root->n; i += 2)
        if (p.root->items[i]->type == KW_PICKLE_STRING &&
            kw_str_is(p.root->items[i]->string, "little_endian") &&
            p.root->items[i + 1]->type == KW_PICKLE_BOOL && !p.root->items[i + 1]->integer)
            return kw_fail(KW_EUNSUPPORTED, "a PyTorch file of a big-endian machine");
    return KW_OK;
}

/* Every storage that the pickle refers to gets a place, and for now the bytes that a value of it has. */
static kw_status list_storages(reader *r)
{
    size_t n = 0;
    kw_status st = KW_OK;
    for (const value *v = r->pickle.outside; v; v = v->next) n++;
    r->storages = kw_calloc(n + 1, sizeof *r->storages, KW_PAY_FILE);
    if (!r->storages) return KW_ENOMEM;
    n = 0;
    for (const value *v = r->pickle.outside; v && !st; v = v->next) {
        kw_torch_reference ref;
        int64_t known;
        st = kw_torch_read_reference(v, &ref);
        if (st || kw_map_get(&r->by_key, ref.key, &known)) continue;
        r->storages[n] = (kw_torch_storage){ NULL, kw_dtype_get(ref.dtype)->bytes };
        st = kw_map_put(&r->by_key, ref.key, (int64_t)n++);
    }
    return st;
}

/* One storage: the number of its values, then they. */
static kw_status read_storage(reader *r, kw_cursor *c, const value *key)
{
    int64_t at;
    uint64_t n;
    size_t bytes;
    kw_str data;
    if (key->type != KW_PICKLE_STRING || !kw_map_get(&r->by_key, key->string, &at) ||
        r->storages[at].data)
        return kw_fail(KW_EFORMAT, "the list of storages has one that nothing refers to, or twice");
    if (!kw_cursor_u64(c, &n)) return kw_cursor_fail(c);
    if (n > SIZE_MAX || !kw_mul_size((size_t)n, r->storages[at].bytes, &bytes) ||
        !kw_cursor_bytes(c, bytes, &data))
        return kw_try(kw_fail(KW_EFORMAT, "storage \"%.*s\" of %llu values ends behind the file",
                              (int)key->string.n, key->string.p, (unsigned long long)n),
                      "the download may be incomplete: fetch the file again");
    r->storages[at] = (kw_torch_storage){ (const unsigned char *)data.p, bytes };
    return KW_OK;
}

static kw_status read_storages(reader *r, kw_cursor *c)
{
    kw_pickle keys;
    kw_status st = list_storages(r);
    if (!st) st = kw_pickle_read(c, kw_torch_names, &r->arena, &keys);
    if (st) return st;
    if (keys.root->type != KW_PICKLE_LIST)
        return kw_fail(KW_EFORMAT, "no list of storages behind the pickle");
    for (uint32_t i = 0; i < keys.root->n && !st; i++) st = read_storage(r, c, keys.root->items[i]);
    for (size_t i = 0; i < r->by_key.n; i++)
        if (!st && !r->storages[i].data)
            st = kw_fail(KW_EFORMAT, "storage \"%.*s\" is not in the list of storages",
                         (int)r->by_key.entries[i].key.n, r->by_key.entries[i].key.p);
    return st;
}

static kw_status read_legacy(reader *r)
{
    kw_cursor c = kw_cursor_of(r->s->map, (size_t)r->s->size, "the pickle");
    kw_status st = read_preamble(r, &c);
    size_t from = kw_cursor_pos(&c);
    if (!st) st = kw_pickle_read(&c, kw_torch_names, &r->arena, &r->pickle);
    if (!st && kw_cursor_pos(&c) - from > MAX_PICKLE) st = too_long(kw_cursor_pos(&c) - from);
    if (!st) st = read_storages(r, &c);
    return st ? st : add_tensors(r, "PyTorch (before 1.6)");
}

kw_status kw_torch_read(kw_checkpoint *ck, kw_source *s)
{
    size_t most = (size_t)s->size < SIZE_MAX / 4 ? 2 * (size_t)s->size + COPY_SPARE : SIZE_MAX / 2;
    reader r = { .ck = ck,
                 .s = s,
                 .arena = KW_ARENA(KW_PAY_FILE),
                 .by_key = KW_MAP(KW_PAY_FILE),
                 .home = { .find = find_storage, .arena = &ck->arena, .most_copied = most } };
    r.home.who = &r;
    bool is_zip = s->size && s->map[0] == 'P';
    kw_status st = is_zip ? read_zip(&r) : read_legacy(&r);
    kw_zip_close(&r.zip);
    kw_free(r.storages);
    kw_map_free(&r.by_key);
    kw_arena_free(&r.arena);
    return st;
}
