/* config.c - what lies beside safetensors in a Hugging Face folder: config.json, generation_config.json, the tokenizer.
 *
 * From such a folder the files are copied, and only the dtype in config.json is set anew. From GGUF they are written: fields of
 * the family's table under all their names that stand at the top of config.json, and rope's scaling as the object that
 * transformers has read in all its versions. */
#include "convert/convert.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MAX_TEXT = 256 << 20 };

typedef struct texts {
    kw_convert_job *j;
    const char *folder;
    kw_json_writer w;
} texts;

/* The shortest number that is the same in f32: GGUF's numbers are. */
static double shortest(double v)
{
    char text[40];
    double found;
    for (int digits = 1; digits < 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, v);
        if (kw_str_f64(kw_str_of(text), &found) && (float)found == (float)v) return found;
    }
    return v;
}

static void put_number(kw_json_writer *w, double v)
{
    if (isfinite(v)) kw_json_put_float(w, shortest(v));
    else kw_json_put_null(w); /* absent is a default, null is none */
}

/* ---- fields ---- */

/* Zero is "not there", but not of an id; what is known at the end is written there. */
static bool is_written(const kw_convert_job *j, const kw_field *f, kw_str name)
{
    const void *at = kw_convert_value(j, f);
    if (kw_str_is(name, "pad_token_id") || kw_str_is(name, "tie_word_embeddings")) return false;
    if (kw_str_is(name, "decoder_start_token_id") || kw_str_is(name, "feed_forward_proj"))
        return true;
    if (kw_str_is(name, "original_max_position_embeddings"))
        return !strcmp(kw_convert_rope_type(j), "longrope");
    if (f->type == KW_FIELD_INT) return *(const int *)at != 0;
    if (f->type == KW_FIELD_WORD) return *(const char *)at;
    return f->type == KW_FIELD_FLOAT || f->type == KW_FIELD_BOOL;
}

static double rotary_share(const kw_convert_job *j)
{
    const kw_config *s = &j->m->shape;
    return s->head_dim ? 2.0 * s->n_rope / s->head_dim : 1;
}

static bool has_tensor(const kw_convert_job *j, const char *ending)
{
    for (size_t i = 0; i < j->n; i++)
        if (kw_str_ends(j->items[i].out.name, ending)) return true;
    return false;
}

/* What GGUF leaves to be seen from the tensors, or transformers wants in a form of its own. */
static bool put_derived(texts *t, const kw_field *f, kw_str name)
{
    const void *at = kw_convert_value(t->j, f);
    if (kw_str_is(name, "feed_forward_proj") && !*(const char *)at) {
        bool is_gated = has_tensor(t->j, ".wi_0.weight");
        kw_json_put_string(&t->w, is_gated ? KW_STR("gated-gelu") : KW_STR("relu"));
    } else if (kw_str_is(name, "scale_decoder_outputs")) kw_json_put_bool(&t->w, !t->j->has_head);
    else if (kw_str_is(name, "partial_rotary_factor")) put_number(&t->w, rotary_share(t->j));
    else if (kw_str_is(name, "query_pre_attn_scalar") &&
             *(const double *)at == floor(*(const double *)at))
        kw_json_put_int(&t->w, (int64_t) * (const double *)at);
    else return false;
    return true;
}

static void put_value(texts *t, const kw_field *f, kw_str name)
{
    const void *at = kw_convert_value(t->j, f);
    if (!is_written(t->j, f, name)) return;
    kw_json_key_str(&t->w, name);
    if (put_derived(t, f, name)) return;
    if (f->type == KW_FIELD_INT) kw_json_put_int(&t->w, *(const int *)at);
    else if (f->type == KW_FIELD_BOOL) kw_json_put_bool(&t->w, *(const bool *)at);
    else if (f->type == KW_FIELD_WORD) kw_json_put_string(&t->w, kw_str_of(at));
    else put_number(&t->w, *(const double *)at);
}

static void put_fields(texts *t)
{
    const kw_family *family = t->j->m->family;
    for (const kw_field *f = family->fields[0]; f; f = kw_field_after(family, f))
        for (const char *next = f->json; next;) {
            kw_str name = { next, strcspn(next, "|") };
            bool is_deep = memchr(name.p, '.', name.n) || name.p[0] == '_';
            if (!is_deep) put_value(t, f, name);
            next = next[name.n] ? next + name.n + 1 : NULL;
        }
}

static void put_windows(texts *t)
{
    const kw_windows *win = kw_convert_windows(t->j);
    if (!win || !win->size || !kw_convert_field(t->j, NULL, "attention.sliding_window_pattern"))
        return;
    kw_json_key(&t->w, "layer_types");
    kw_json_begin_array(&t->w);
    for (int il = 0; il < t->j->m->shape.n_layers; il++)
        kw_json_put_string(&t->w, kw_window_of(win, il) ? KW_STR("sliding_attention")
                                                        : KW_STR("full_attention"));
    kw_json_end_array(&t->w);
}

/* Layers of a mixture that have no router. */
static void put_dense_layers(texts *t)
{
    char name[KW_NAME_MAX];
    bool is_any = false;
    if (!has_tensor(t->j, ".mlp.gate.weight")) return;
    for (int il = 0; il < t->j->m->shape.n_layers; il++) {
        snprintf(name, sizeof name, "layers.%d.mlp.gate.weight", il);
        if (has_tensor(t->j, name)) continue;
        if (!is_any) kw_json_key(&t->w, "mlp_only_layers");
        if (!is_any) kw_json_begin_array(&t->w);
        is_any = true;
        kw_json_put_int(&t->w, il);
    }
    if (is_any) kw_json_end_array(&t->w);
}

/* Flags of config.json that only the tensors show. */
static void put_seen(texts *t)
{
    static const struct {
        const char *key, *tensor;
    } flags[] = { { "attention_bias", ".self_attn.o_proj.bias" },
                  { "mlp_bias", ".mlp.gate_proj.bias" } };
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        if (!has_tensor(t->j, flags[i].tensor)) continue;
        kw_json_key(&t->w, flags[i].key);
        kw_json_put_bool(&t->w, true);
    }
    const kw_field *grouped = kw_convert_field(t->j, "new_decoder_architecture", NULL);
    if (grouped && *(const bool *)kw_convert_value(t->j, grouped) &&
        !has_tensor(t->j, ".ln_attn.weight")) {
        kw_json_key(&t->w, "num_ln_in_parallel_attn");
        kw_json_put_int(&t->w, 1);
    }
    put_dense_layers(t);
}

/* ---- rope ---- */

static kw_status put_factors(texts *t, const char *key, const char *name)
{
    const kw_named_tensor *found = kw_checkpoint_find(t->j->m->ck, name);
    if (!found || !kw_dtype_get(found->tensor.dtype)->decode)
        return kw_fail(KW_EFORMAT, "longrope without the tensor \"%s\"", name);
    size_t n = (size_t)kw_tensor_cols(&found->tensor);
    float *values = kw_arena_alloc(&t->j->arena, n + 1, sizeof *values);
    if (!values) return KW_ENOMEM;
    kw_dtype_get(found->tensor.dtype)->decode(found->tensor.data, values, n);
    kw_json_key(&t->w, key);
    kw_json_begin_array(&t->w);
    for (size_t i = 0; i < n; i++) kw_json_put_float(&t->w, shortest((double)values[i]));
    kw_json_end_array(&t->w);
    return KW_OK;
}

static void put_float(texts *t, const char *key, double v)
{
    kw_json_key(&t->w, key);
    put_number(&t->w, v);
}

static kw_status put_scaling(texts *t, const kw_rope_config *rope, const char *type)
{
    bool is_llama3 = !strcmp(type, "llama3"), is_yarn = !strcmp(type, "yarn");
    bool is_long = !strcmp(type, "longrope");
    kw_json_key(&t->w, "rope_scaling");
    kw_json_begin_object(&t->w);
    kw_json_key(&t->w, is_long ? "type" : "rope_type"); /* older readers of longrope want no more */
    kw_json_put_string(&t->w, kw_str_of(type));
    if (!is_long) put_float(t, "factor", rope->factor);
    if (is_llama3) put_float(t, "low_freq_factor", rope->low);
    if (is_llama3) put_float(t, "high_freq_factor", rope->high);
    if (is_yarn) put_float(t, "beta_fast", rope->beta_fast);
    if (is_yarn) put_float(t, "beta_slow", rope->beta_slow);
    if (is_yarn && rope->yarn_scale != kw_yarn_growth(rope->factor, 1))
        put_float(t, "attention_factor", rope->yarn_scale);
    if (is_llama3 || is_yarn) {
        kw_json_key(&t->w, "original_max_position_embeddings");
        kw_json_put_int(&t->w, rope->original_ctx);
    }
    kw_status st = is_long ? put_factors(t, "short_factor", "rope_factors_short.weight") : KW_OK;
    if (!st && is_long) st = put_factors(t, "long_factor", "rope_factors_long.weight");
    kw_json_end_object(&t->w);
    return st;
}

/* Files of other writers hold Llama 3's divisors alone: whose they are is found by making them. */
static kw_status find_llama3(kw_convert_job *j, kw_rope_config *guess, bool *found)
{
    const kw_named_tensor *t = kw_checkpoint_find(j->m->ck, "rope_freqs.weight");
    size_t n = (size_t)guess->head_dim / 2;
    *found = t;
    if (!t) return KW_OK;
    float *own = kw_arena_alloc(&j->arena, 4 * n + 1, sizeof *own), *theirs = own + 2 * n;
    if (!own) return KW_ENOMEM;
    if (t->tensor.dtype == KW_F32 && kw_tensor_cols(&t->tensor) == (int64_t)n)
        memcpy(theirs, t->tensor.data, n * sizeof *theirs);
    memcpy(guess->type, "llama3", sizeof "llama3");
    guess->factor = 1;
    guess->low = 1;
    guess->high = 4;
    guess->original_ctx = 8192;
    for (size_t i = 0; i < n; i++)
        if ((double)theirs[i] > guess->factor) guess->factor = (double)theirs[i];
    kw_convert_llama3(guess, own);
    for (size_t i = 0; i < n; i++)
        if (!(fabsf(own[i] - theirs[i]) <= 1e-3f * theirs[i]))
            return kw_fail(KW_EUNSUPPORTED,
                           "the divisors of rope (rope_freqs.weight) are not those "
                           "of a Llama 3: config.json cannot say them");
    *found = guess->factor != 1;
    return KW_OK;
}

static kw_status put_rope(texts *t)
{
    const kw_rope_config *rope = kw_convert_rope(t->j);
    const char *type = kw_convert_rope_type(t->j);
    if (!rope) return KW_OK;
    if (type[0]) return put_scaling(t, rope, type);
    kw_rope_config guess = *rope;
    bool found;
    kw_status st = find_llama3(t->j, &guess, &found);
    return st || !found ? st : put_scaling(t, &guess, "llama3");
}

/* ---- config.json ---- */

static const char *torch_name(const kw_convert_job *j)
{
    kw_dtype t = j->n ? j->items[0].out.tensor.dtype : KW_F32;
    return t == KW_F16 ? "float16" : t == KW_BF16 ? "bfloat16" : "float32";
}

/* Absent would be the class's own default, which may lie outside of the vocabulary. */
static void put_pad(texts *t)
{
    const kw_tokenizer *tokenizer = t->j->m->tokenizer;
    int32_t pad = tokenizer ? kw_tokenizer_special(tokenizer).pad : -1;
    const kw_field *own = kw_convert_field(t->j, "pad_token_id", NULL);
    bool has_start = kw_convert_field(t->j, "decoder_start_token_id", NULL);
    if (pad < 0 && own && has_start) pad = *(const int *)kw_convert_value(t->j, own);
    kw_json_key(&t->w, "pad_token_id");
    if (pad >= 0) kw_json_put_int(&t->w, pad);
    else kw_json_put_null(&t->w);
}

static void put_ids(texts *t)
{
    const kw_tokenizer *tokenizer = t->j->m->tokenizer;
    int32_t bos = tokenizer ? kw_tokenizer_special(tokenizer).bos : -1;
    if (bos >= 0) {
        kw_json_key(&t->w, "bos_token_id");
        kw_json_put_int(&t->w, bos);
    }
    if (t->j->m->n_end_ids == 0) return;
    kw_json_key(&t->w, "eos_token_id");
    if (t->j->m->n_end_ids > 1) kw_json_begin_array(&t->w);
    for (size_t i = 0; i < t->j->m->n_end_ids; i++) kw_json_put_int(&t->w, t->j->m->end_ids[i]);
    if (t->j->m->n_end_ids > 1) kw_json_end_array(&t->w);
}

/* BertModel, or BertForSequenceClassification where the weights score texts. */
static void put_class(texts *t)
{
    char name[KW_NAME_MAX];
    kw_str base = kw_str_of(t->j->arch->hf_class);
    bool scores = t->j->m->config->n_labels > 0 && kw_str_ends(base, "Model");
    snprintf(name, sizeof name, "%.*s%s", (int)base.n - (scores ? 5 : 0), base.p,
             scores ? "ForSequenceClassification" : "");
    kw_json_key(&t->w, "architectures");
    kw_json_begin_array(&t->w);
    kw_json_put_string(&t->w, kw_str_of(name));
    kw_json_end_array(&t->w);
}

/* How many labels there are is told by their names. */
static void put_labels(texts *t)
{
    int n = t->j->m->config->n_labels;
    if (n <= 0) return;
    kw_json_key(&t->w, "id2label");
    kw_json_begin_object(&t->w);
    for (int i = 0; i < n; i++) {
        char id[16], name[24];
        snprintf(id, sizeof id, "%d", i);
        snprintf(name, sizeof name, "LABEL_%d", i);
        kw_json_key(&t->w, id);
        kw_json_put_string(&t->w, kw_str_of(name));
    }
    kw_json_end_object(&t->w);
}

static kw_status make_config(texts *t)
{
    kw_json_begin_object(&t->w);
    put_class(t);
    kw_json_key(&t->w, "model_type");
    kw_json_put_string(&t->w, kw_str_of(t->j->arch->hf ? t->j->arch->hf : t->j->m->family->name));
    put_fields(t);
    put_windows(t);
    put_seen(t);
    kw_status st = put_rope(t);
    put_labels(t);
    put_pad(t);
    put_ids(t);
    kw_json_key(&t->w, "tie_word_embeddings");
    kw_json_put_bool(&t->w, !t->j->has_head);
    kw_json_key(&t->w, "torch_dtype");
    kw_json_put_string(&t->w, kw_str_of(torch_name(t->j)));
    kw_json_end_object(&t->w);
    return st;
}

/* The input's own, with another dtype. */
static void copy_config(texts *t, const kw_json *config)
{
    kw_json_begin_object(&t->w);
    for (const kw_json *e = config->child; e; e = e->next) {
        bool is_dtype = kw_str_is(e->key, "torch_dtype") || kw_str_is(e->key, "dtype");
        kw_json_key_str(&t->w, e->key);
        if (is_dtype) kw_json_put_string(&t->w, kw_str_of(torch_name(t->j)));
        else kw_json_put_tree(&t->w, e);
    }
    kw_json_end_object(&t->w);
}

/* ---- files ---- */

static kw_status write_text(const texts *t, const char *name, const void *data, size_t len)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", t->folder, name);
    return kw_file_replace(path, data, len);
}

static kw_status write_config(texts *t)
{
    kw_buf text = KW_BUF(MAX_TEXT, KW_PAY_FILE);
    const kw_json *own = kw_checkpoint_config(t->j->m->ck);
    kw_status st = KW_OK;
    t->w = (kw_json_writer){ .out = &text, .indent = 2 };
    if (t->j->renames) st = make_config(t);
    else if (own) copy_config(t, own);
    kw_buf_byte(&text, '\n');
    if (!st) st = text.status;
    if (!st && text.len > 1) st = write_text(t, "config.json", text.data, text.len);
    kw_buf_free(&text);
    return st;
}

static kw_status write_generation(texts *t)
{
    kw_buf text = KW_BUF(MAX_TEXT, KW_PAY_FILE);
    t->w = (kw_json_writer){ .out = &text, .indent = 2 };
    kw_json_begin_object(&t->w);
    const kw_field *start = kw_convert_field(t->j, "decoder_start_token_id", NULL);
    if (start) put_value(t, start, KW_STR("decoder_start_token_id"));
    put_ids(t);
    kw_json_end_object(&t->w);
    kw_buf_byte(&text, '\n');
    kw_status st =
        text.status ? text.status : write_text(t, "generation_config.json", text.data, text.len);
    kw_buf_free(&text);
    return st;
}

static kw_status write_tokenizer(const texts *t, const char *name,
                                 kw_status (*save)(const kw_tokenizer *t, kw_buf *out))
{
    kw_buf text = KW_BUF((size_t)1 << 30, KW_PAY_TEXT);
    kw_status st = save(t->j->m->tokenizer, &text);
    if (!st) st = write_text(t, name, text.data, text.len);
    kw_buf_free(&text);
    return st;
}

static kw_status write_tokenizers(const texts *t)
{
    if (!t->j->m->tokenizer) return KW_OK;
    kw_status st = write_tokenizer(t, "tokenizer.json", kw_tokenizer_save_json);
    if (!st) return write_tokenizer(t, "tokenizer_config.json", kw_tokenizer_save_config);
    if (st != KW_EUNSUPPORTED) return st;
    kw_log(KW_LOG_WARN, "%s: the folder is written without a tokenizer", kw_error_message());
    return KW_OK;
}

kw_status kw_convert_folder(kw_convert_job *j, const char *folder)
{
    static const char *const copied[] = {
        "generation_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "tokenizer.model",
        "spiece.model",
        "special_tokens_map.json",
        "added_tokens.json",
        "chat_template.jinja",
        "vocab.json",
        "merges.txt",
        "vocab.txt",
    };
    texts t = { .j = j, .folder = folder };
    kw_status st = write_config(&t);
    if (!st) st = kw_convert_pooling(j, folder);
    if (j->renames) {
        if (!st && j->m->tokenizer) st = write_generation(&t);
        return st ? st : write_tokenizers(&t);
    }
    for (size_t i = 0; i < sizeof copied / sizeof *copied && !st; i++)
        st = kw_convert_copy(j, folder, copied[i]);
    return st;
}
