/* describe.c - what a model says about itself: sizes, tensors, metadata. */
#include "run/run.h"
#include <stdio.h>
#include <string.h>

/* The dtype that most weight bytes have. */
static const char *main_dtype(const kw_model *m)
{
    uint64_t bytes[KW_DTYPE_COUNT] = { 0 };
    int best = 0;
    for (size_t i = 0; i < kw_checkpoint_count(m->ck); i++) {
        const kw_tensor *t = &kw_checkpoint_at(m->ck, i)->tensor;
        bytes[t->dtype] += kw_tensor_size(t);
    }
    for (int t = 0; t < KW_DTYPE_COUNT; t++) best = bytes[t] > bytes[best] ? t : best;
    return kw_dtype_get((kw_dtype)best)->name;
}

kw_model_info kw_model_describe(const kw_model *m)
{
    kw_model_info info = {
        .family = m->family ? m->family->name : "",
        .arch = m->arch_name,
        .name = m->name,
        .format = kw_checkpoint_format(m->ck),
        .dtype = main_dtype(m),
        .file_bytes = kw_checkpoint_bytes(m->ck),
        .n_encoder_layers = m->shape.n_encoder_layers,
        .n_layers = m->shape.n_layers,
        .dim = m->shape.dim,
        .n_heads = m->shape.n_heads,
        .n_kv_heads = m->shape.n_kv_heads,
        .head_dim = m->shape.head_dim,
        .ffn_dim = m->shape.ffn_dim,
        .n_vocab = m->shape.n_vocab,
        .ctx_train = m->shape.ctx_train,
        .n_tensors = kw_checkpoint_count(m->ck),
        .n_meta = kw_checkpoint_meta_count(m->ck),
        .packed = m->packed.file.data ? "file"
                  : m->packed.bytes   ? "memory"
                                      : "none",
        .pack_path = m->packed.path ? m->packed.path : "",
        .pack_bytes = m->packed.bytes,
    };
    for (size_t i = 0; i < info.n_tensors; i++) {
        const kw_tensor *t = &kw_checkpoint_at(m->ck, i)->tensor;
        info.n_params += (uint64_t)kw_tensor_rows(t) * (uint64_t)kw_tensor_cols(t);
    }
    return info;
}

bool kw_model_tensor(const kw_model *m, size_t i, kw_tensor_info *out)
{
    if (i >= kw_checkpoint_count(m->ck)) return false;
    const kw_named_tensor *t = kw_checkpoint_at(m->ck, i);
    *out = (kw_tensor_info){
        .name = t->name.p,
        .name_len = t->name.n,
        .dtype = kw_dtype_get(t->tensor.dtype)->name,
        .rank = t->tensor.rank,
        .bytes = kw_tensor_size(&t->tensor),
    };
    memcpy(out->shape, t->tensor.shape, sizeof out->shape);
    return true;
}

static void put_item(kw_meta_walk *w, kw_meta_type type, kw_buf *out)
{
    kw_str text;
    double number;
    if (type == KW_META_STRING && kw_meta_next_string(w, &text)) {
        kw_json_writer json = { .out = out };
        kw_json_put_string(&json, text);
    } else if (type != KW_META_STRING && kw_meta_next_number(w, &number, NULL)) {
        kw_buf_printf(out, "%.9g", number);
    }
}

static void put_array(const kw_meta *v, kw_buf *out)
{
    enum { SHOWN = 6 };
    kw_meta_walk w = kw_meta_items(v);
    kw_buf_byte(out, '[');
    for (uint64_t i = 0; i < v->n_items && i < SHOWN; i++) {
        if (i) kw_buf_str(out, ", ");
        put_item(&w, v->item_type, out);
    }
    if (v->n_items > SHOWN) kw_buf_printf(out, ", ... %llu items", (unsigned long long)v->n_items);
    kw_buf_byte(out, ']');
}

static void put_meta(const kw_meta *v, kw_buf *out)
{
    switch (v->type) {
    case KW_META_INT: kw_buf_printf(out, "%lld", (long long)v->integer); break;
    case KW_META_FLOAT: kw_buf_printf(out, "%.9g", v->number); break;
    case KW_META_BOOL: kw_buf_str(out, v->integer ? "true" : "false"); break;
    case KW_META_STRING: kw_buf_bytes(out, v->string.p, v->string.n); break;
    case KW_META_ARRAY: put_array(v, out); break;
    }
}

bool kw_model_meta(const kw_model *m, size_t i, const char **key, size_t *key_len, char *value,
                   size_t cap)
{
    if (i >= kw_checkpoint_meta_count(m->ck)) return false;
    const kw_meta *v = kw_checkpoint_meta_at(m->ck, i);
    *key = v->key.p;
    *key_len = v->key.n;
    kw_buf text = KW_BUF((size_t)1 << 24, KW_PAY_MISC);
    put_meta(v, &text);
    if (cap) snprintf(value, cap, "%s", kw_buf_text(&text));
    kw_buf_free(&text);
    return true;
}
