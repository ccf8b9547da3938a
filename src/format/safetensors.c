/* safetensors.c - a JSON header that names tensors, then their bytes.
 *
 *   header length u64 | {"name": {"dtype": "F32", "shape": [2,3], "data_offsets": [from, to]}, ...} | data
 *
 * Old writers did not pad the header, so a tensor may lie at an odd address; such tensors are copied once, because
 * kernels read floats where floats can lie. */
#include "format/internal.h"
#include <string.h>

static const uint64_t max_header = (uint64_t)100 << 20;

typedef struct reader {
    kw_checkpoint *ck;
    kw_source *s;
    kw_json_reader json;
    uint64_t data_at;
} reader;

static kw_status read_shape(reader *r, kw_str name, kw_tensor *t)
{
    int64_t dim;
    kw_json_enter_array(&r->json);
    while (kw_json_next_item(&r->json)) {
        if (!kw_json_int(&r->json, &dim)) break;
        if (t->rank == KW_MAX_RANK || dim < 0)
            return kw_fail(KW_EUNSUPPORTED,
                           "tensor \"%.*s\" has more than %d or negative dimensions", (int)name.n,
                           name.p, KW_MAX_RANK);
        t->shape[t->rank++] = dim;
    }
    return r->json.status;
}

static kw_status read_offsets(reader *r, kw_str name, uint64_t offsets[2])
{
    int64_t v;
    int n = 0;
    kw_json_enter_array(&r->json);
    while (kw_json_next_item(&r->json)) {
        if (!kw_json_int(&r->json, &v)) break;
        if (n == 2 || v < 0)
            return kw_fail(KW_EFORMAT, "tensor \"%.*s\": bad data_offsets", (int)name.n, name.p);
        offsets[n++] = (uint64_t)v;
    }
    if (r->json.status) return r->json.status;
    return n == 2 ? KW_OK
                  : kw_fail(KW_EFORMAT, "tensor \"%.*s\": data_offsets of %d numbers", (int)name.n,
                            name.p, n);
}

/* The bytes where they lie, or a copy where floats cannot lie there. */
static kw_status place(reader *r, kw_str name, kw_tensor *t, const uint64_t offsets[2])
{
    size_t bytes;
    char shape[96];
    uint64_t room = r->s->size - r->data_at;
    if (!kw_tensor_bytes(t, &bytes) || offsets[1] < offsets[0] || offsets[1] - offsets[0] != bytes)
        return kw_fail(KW_EFORMAT,
                       "tensor \"%.*s\" %s %s does not have the size of its data_offsets",
                       (int)name.n, name.p, kw_dtype_get(t->dtype)->name,
                       kw_tensor_shape_text(t, shape));
    if (offsets[1] > room)
        return kw_try(kw_fail(KW_EFORMAT,
                              "tensor \"%.*s\" ends at byte %llu, but the file has %llu",
                              (int)name.n, name.p, (unsigned long long)(r->data_at + offsets[1]),
                              (unsigned long long)r->s->size),
                      "the download may be incomplete: fetch the file again");
    t->data = r->s->map + r->data_at + offsets[0];
    return kw_checkpoint_add(r->ck, name, t);
}

static kw_status read_tensor(reader *r, kw_str name)
{
    kw_tensor t = { .shape = { 1, 1, 1, 1 } };
    kw_str key, dtype = { 0 };
    uint64_t offsets[2] = { 0 };
    bool known = false, has_offsets = false;
    kw_json_enter_object(&r->json);
    while (kw_json_next_key(&r->json, &key)) {
        kw_status st = KW_OK;
        if (kw_str_is(key, "dtype")) {
            if (kw_json_string(&r->json, &dtype))
                known = kw_dtype_from_safetensors(dtype, &t.dtype);
            if (!r->json.status && !known)
                return kw_fail(KW_EUNSUPPORTED,
                               "tensor \"%.*s\" has dtype %.*s, which is not supported",
                               (int)name.n, name.p, (int)(dtype.n < 32 ? dtype.n : 32), dtype.p);
        } else if (kw_str_is(key, "shape")) st = read_shape(r, name, &t);
        else if (kw_str_is(key, "data_offsets")) {
            st = read_offsets(r, name, offsets);
            has_offsets = true;
        } else kw_json_skip(&r->json);
        if (st) return st;
    }
    if (r->json.status) return r->json.status;
    if (!known || !has_offsets)
        return kw_fail(KW_EFORMAT, "tensor \"%.*s\" lacks dtype or data_offsets", (int)name.n,
                       name.p);
    return place(r, name, &t, offsets);
}

static kw_status read_tensors(reader *r)
{
    kw_str key;
    kw_json_enter_object(&r->json);
    while (kw_json_next_key(&r->json, &key)) {
        if (kw_str_is(key, "__metadata__")) {
            kw_json_skip(&r->json);
            continue;
        }
        char *name = kw_arena_strdup(&r->ck->arena, key.p, key.n);
        kw_status st = name ? read_tensor(r, (kw_str){ name, key.n }) : KW_ENOMEM;
        if (st) return st;
    }
    return r->json.status;
}

kw_status kw_safetensors_read(kw_checkpoint *ck, kw_source *s)
{
    uint64_t len;
    kw_cursor c = kw_cursor_of(s->map, (size_t)s->size, "the safetensors header");
    if (!kw_cursor_u64(&c, &len)) return kw_cursor_fail(&c);
    if (len > max_header || len > kw_cursor_left(&c))
        return kw_fail(
            KW_EFORMAT,
            "a header of %llu bytes in a file of %llu\nwhy: the file is truncated or damaged",
            (unsigned long long)len, (unsigned long long)s->size);
    reader r = { .ck = ck, .s = s, .data_at = 8 + len };
    size_t first = ck->n_tensors;
    kw_json_open(&r.json, (const char *)c.at, (size_t)len);
    kw_status st = read_tensors(&r);
    kw_json_close(&r.json);
    if (st) return kw_note(st, "safetensors header");
    ck->naming = KW_NAMING_HF;
    ck->format = "safetensors";
    st = kw_checkpoint_check_overlap(ck, first);
    return st ? st : kw_checkpoint_align(ck, first); /* old writers did not pad the header */
}

/* ---- a bag of tensors: infer's input ---- */

kw_status kw_tensors_open(kw_source *s, kw_tensor_file **out)
{
    kw_checkpoint *ck = kw_calloc(1, sizeof *ck, KW_PAY_FILE);
    if (!ck) {
        kw_source_close(s);
        return KW_ENOMEM;
    }
    ck->arena = KW_ARENA(KW_PAY_FILE);
    ck->by_name = ck->by_key = KW_MAP(KW_PAY_FILE);
    kw_status st = kw_checkpoint_own(ck, s);
    if (!st) st = kw_checkpoint_read_part(ck, s);
    if (st) kw_checkpoint_close(ck);
    else *out = (kw_tensor_file *)(void *)ck;
    return st;
}

void kw_safetensors_close(kw_tensor_file *f) { kw_checkpoint_close((kw_checkpoint *)(void *)f); }

size_t kw_safetensors_count(const kw_tensor_file *f)
{
    return kw_checkpoint_count((const kw_checkpoint *)(const void *)f);
}

const kw_named_tensor *kw_safetensors_at(const kw_tensor_file *f, size_t i)
{
    return kw_checkpoint_at((const kw_checkpoint *)(const void *)f, i);
}

const kw_named_tensor *kw_safetensors_find(const kw_tensor_file *f, const char *name)
{
    return kw_checkpoint_find((const kw_checkpoint *)(const void *)f, name);
}
