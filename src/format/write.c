/* write.c - safetensors: the header, padded to 8 bytes; and a file written whole from memory, all or nothing. */
#include "format/internal.h"

static void put_entry(kw_json_writer *w, const kw_named_tensor *t, uint64_t from, uint64_t to)
{
    kw_json_key_str(w, t->name);
    kw_json_begin_object(w);
    kw_json_key(w, "dtype");
    kw_json_put_string(w, kw_str_of(kw_dtype_get(t->tensor.dtype)->safetensors));
    kw_json_key(w, "shape");
    kw_json_begin_array(w);
    for (int i = 0; i < t->tensor.rank; i++) kw_json_put_int(w, t->tensor.shape[i]);
    kw_json_end_array(w);
    kw_json_key(w, "data_offsets");
    kw_json_begin_array(w);
    kw_json_put_int(w, (int64_t)from);
    kw_json_put_int(w, (int64_t)to);
    kw_json_end_array(w);
    kw_json_end_object(w);
}

/* Readers of other projects ask which library's tensors these are. */
static void put_maker(kw_json_writer *w)
{
    kw_json_key(w, "__metadata__");
    kw_json_begin_object(w);
    kw_json_key(w, "format");
    kw_json_put_string(w, KW_STR("pt"));
    kw_json_end_object(w);
}

static kw_status put_text(const kw_named_tensor *tensors, size_t n, bool has_maker, kw_buf *out)
{
    kw_json_writer w = { .out = out };
    uint64_t at = 0;
    kw_json_begin_object(&w);
    if (has_maker) put_maker(&w);
    for (size_t i = 0; i < n; i++) {
        size_t bytes;
        if (!kw_dtype_get(tensors[i].tensor.dtype)->safetensors ||
            !kw_tensor_bytes(&tensors[i].tensor, &bytes))
            return kw_fail(KW_EINVAL, "tensor %.*s cannot be written as safetensors",
                           (int)tensors[i].name.n, tensors[i].name.p);
        put_entry(&w, &tensors[i], at, at + bytes);
        at += bytes;
    }
    kw_json_end_object(&w);
    while (out->len % 8 && !out->status) kw_buf_byte(out, ' ');
    return out->status;
}

static kw_status put_header(const kw_named_tensor *tensors, size_t n, bool has_maker, kw_buf *out)
{
    kw_buf text = KW_BUF((size_t)64 << 20, KW_PAY_FILE);
    kw_status st = put_text(tensors, n, has_maker, &text);
    kw_buf_number(out, text.len, 8);
    kw_buf_bytes(out, text.data, text.len);
    kw_buf_free(&text);
    return st ? st : out->status;
}

/* ---- piece by piece ---- */

static kw_status make_header(const kw_write_part *p, kw_buf *out)
{
    return put_header(p->tensors, p->n, true, out);
}

kw_status kw_safetensors_create(const char *path, const kw_named_tensor *tensors, size_t n,
                                uint64_t split_bytes, kw_tensor_writer **out)
{
    static const kw_write_format format = { ".safetensors", 1, make_header, ".index.json" };
    kw_write_part all = { .tensors = tensors, .n = n };
    *out = NULL;
    return kw_tensors_create(path, &format, all, split_bytes, out);
}

/* ---- whole ---- */

static kw_status append_all(kw_file_writer *f, const kw_buf *header, const kw_named_tensor *tensors,
                            size_t n)
{
    kw_status st = kw_file_append(f, header->data, header->len);
    for (size_t i = 0; i < n && !st; i++) {
        size_t bytes = 0;
        kw_tensor_bytes(&tensors[i].tensor, &bytes);
        st = kw_file_append(f, tensors[i].tensor.data, bytes);
    }
    return st;
}

kw_status kw_safetensors_write(const char *path, const kw_named_tensor *tensors, size_t n)
{
    kw_buf header = KW_BUF((size_t)65 << 20, KW_PAY_FILE);
    kw_file_writer *f = NULL;
    kw_status st = put_header(tensors, n, false, &header);
    if (!st) st = kw_file_create(path, &f);
    if (!st) {
        st = append_all(f, &header, tensors, n);
        if (st) kw_file_abort(f);
        else st = kw_file_commit(f);
    }
    kw_buf_free(&header);
    return st;
}
