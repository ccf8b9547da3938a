/* gguf_write.c - GGUF version 3, little endian: the metadata, and the header of a file (gguf.c draws the layout).
 *
 * Of a split's files the first has all the metadata, the others only their place in the split. */
#include "format/internal.h"
#include <string.h>

enum { ALIGNMENT = 32 };

/* ---- values ---- */

static void put_text(kw_buf *b, kw_str s)
{
    kw_buf_number(b, s.n, 8);
    kw_buf_bytes(b, s.p, s.n);
}

static void begin(kw_gguf_keys *k, kw_str key, kw_gguf_type type)
{
    put_text(&k->bytes, key);
    kw_buf_number(&k->bytes, type, 4);
    k->n++;
}

void kw_gguf_item_int(kw_gguf_keys *k, kw_gguf_type type, int64_t v)
{
    kw_buf_number(&k->bytes, (uint64_t)v, kw_gguf_width(type));
}

void kw_gguf_item_float(kw_gguf_keys *k, kw_gguf_type type, double v)
{
    float narrow = (float)v;
    uint32_t bits;
    uint64_t wide;
    memcpy(&bits, &narrow, sizeof bits);
    memcpy(&wide, &v, sizeof wide);
    kw_buf_number(&k->bytes, type == KW_GGUF_F32 ? bits : wide, kw_gguf_width(type));
}

void kw_gguf_item_string(kw_gguf_keys *k, kw_str v) { put_text(&k->bytes, v); }

void kw_gguf_put_int(kw_gguf_keys *k, const char *key, kw_gguf_type type, int64_t v)
{
    begin(k, kw_str_of(key), type);
    kw_gguf_item_int(k, type, v);
}

void kw_gguf_put_float(kw_gguf_keys *k, const char *key, kw_gguf_type type, double v)
{
    begin(k, kw_str_of(key), type);
    kw_gguf_item_float(k, type, v);
}

void kw_gguf_put_string(kw_gguf_keys *k, const char *key, kw_str v)
{
    begin(k, kw_str_of(key), KW_GGUF_STRING);
    put_text(&k->bytes, v);
}

void kw_gguf_begin_array(kw_gguf_keys *k, const char *key, kw_gguf_type item, uint64_t n)
{
    begin(k, kw_str_of(key), KW_GGUF_ARRAY);
    kw_buf_number(&k->bytes, item, 4);
    kw_buf_number(&k->bytes, n, 8);
}

/* ---- copies ---- */

static void copy_array(kw_gguf_keys *k, const kw_meta *m)
{
    kw_meta_walk w = kw_meta_items(m);
    kw_str text;
    kw_buf_number(&k->bytes, m->item_ggml & 0xff, 4);
    kw_buf_number(&k->bytes, m->n_items, 8);
    if (m->item_type != KW_META_STRING) kw_buf_bytes(&k->bytes, m->items.p, m->items.n);
    else
        while (kw_meta_next_string(&w, &text)) put_text(&k->bytes, text);
}

static void put_meta(kw_gguf_keys *k, const kw_meta *m)
{
    kw_gguf_type type = (kw_gguf_type)m->ggml;
    begin(k, m->key, type);
    if (m->type == KW_META_ARRAY) copy_array(k, m);
    else if (m->type == KW_META_STRING) put_text(&k->bytes, m->string);
    else if (m->type == KW_META_FLOAT) kw_gguf_item_float(k, type, m->number);
    else kw_gguf_item_int(k, type, m->integer);
}

void kw_gguf_copy_keys(kw_gguf_keys *k, const kw_checkpoint *ck, const char *const *except)
{
    for (size_t i = 0; i < kw_checkpoint_meta_count(ck); i++) {
        const kw_meta *m = kw_checkpoint_meta_at(ck, i);
        bool skip = kw_str_is(m->key, "general.alignment") || kw_str_starts(m->key, "split.");
        for (const char *const *e = except; e && *e && !skip; e++) skip = kw_str_is(m->key, *e);
        if (!skip) put_meta(k, m);
    }
}

void kw_gguf_keys_free(kw_gguf_keys *k) { kw_buf_free(&k->bytes); }

/* ---- the header ---- */

static void put_info(kw_buf *b, const kw_named_tensor *t, uint64_t offset)
{
    put_text(b, t->name);
    kw_buf_number(b, t->tensor.rank ? (uint64_t)t->tensor.rank : 1, 4);
    if (t->tensor.rank == 0) kw_buf_number(b, 1, 8);
    for (int i = t->tensor.rank; i-- > 0;) kw_buf_number(b, (uint64_t)t->tensor.shape[i], 8);
    kw_buf_number(b, (uint64_t)kw_dtype_get(t->tensor.dtype)->ggml_type, 4);
    kw_buf_number(b, offset, 8);
}

static kw_status put_infos(kw_buf *b, const kw_write_part *p)
{
    uint64_t offset = 0;
    for (size_t i = 0; i < p->n; i++) {
        const kw_tensor *t = &p->tensors[i].tensor;
        size_t bytes = 0;
        if (kw_dtype_get(t->dtype)->ggml_type < 0)
            return kw_fail(KW_EINVAL, "tensor \"%.*s\" is %s, which GGUF does not have",
                           (int)p->tensors[i].name.n, p->tensors[i].name.p,
                           kw_dtype_get(t->dtype)->name);
        put_info(b, &p->tensors[i], offset);
        kw_tensor_bytes(t, &bytes);
        offset += (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    }
    return b->status;
}

static kw_status make_header(const kw_write_part *p, kw_buf *out)
{
    const kw_gguf_keys *keys = p->user;
    kw_gguf_keys place = KW_GGUF_KEYS;
    if (p->n_parts > 1) {
        kw_gguf_put_int(&place, "split.no", KW_GGUF_U16, (int64_t)p->index);
        kw_gguf_put_int(&place, "split.count", KW_GGUF_U16, (int64_t)p->n_parts);
        kw_gguf_put_int(&place, "split.tensors.count", KW_GGUF_I32, (int64_t)p->n_all);
    }
    bool has_keys = p->index == 0;
    kw_buf_bytes(out, "GGUF", 4);
    kw_buf_number(out, 3, 4);
    kw_buf_number(out, p->n, 8);
    kw_buf_number(out, place.n + (has_keys ? keys->n : 0), 8);
    if (has_keys) kw_buf_bytes(out, keys->bytes.data, keys->bytes.len);
    kw_buf_bytes(out, place.bytes.data, place.bytes.len);
    kw_status st = place.bytes.status ? place.bytes.status : put_infos(out, p);
    kw_gguf_keys_free(&place);
    return st;
}

kw_status kw_gguf_create(const char *path, const kw_gguf_keys *keys, const kw_named_tensor *tensors,
                         size_t n, uint64_t split_bytes, kw_tensor_writer **out)
{
    static const kw_write_format format = { ".gguf", ALIGNMENT, make_header, NULL };
    kw_write_part all = { .tensors = tensors, .n = n, .user = keys };
    *out = NULL;
    if (keys->bytes.status) return keys->bytes.status;
    return kw_tensors_create(path, &format, all, split_bytes, out);
}
