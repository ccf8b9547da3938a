/* keys.c - a model's facts as GGUF's metadata.
 *
 * Fields of the family's table that have a GGUF key are written with it, after the family has derived what the file left
 * out. Zero, infinity and the empty word mean "not there" in these tables and are not written. */
#include "convert/convert.h"
#include "run/pooling.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct keys {
    kw_convert_job *j;
    kw_gguf_keys *k;
    const kw_field *f;
    char key[160];
} keys;

kw_status kw_convert_try_folder(kw_status st)
{
    return kw_try(st, "safetensors, which say all of it: kwaai convert MODEL FOLDER");
}

static void name_key(keys *w, const char *key)
{
    snprintf(w->key, sizeof w->key, "%s.%s", w->j->arch->gguf, key);
}

/* Types that GGUF has a word for; the others go by words of our own, which other readers pass over. */
static bool is_gguf_rope(const char *type)
{
    static const char *const types[] = { "linear", "yarn", "longrope" };
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(type, types[i]) == 0) return true;
    return false;
}

static kw_status put_rope_type(keys *w)
{
    const char *type = kw_convert_rope_type(w->j);
    if (!type[0]) return KW_OK;
    if (is_gguf_rope(type)) {
        kw_gguf_put_string(w->k, w->key, kw_str_of(type));
        return KW_OK;
    }
    if (!kw_convert_field(w->j, NULL, "rope.scaling.hf_type"))
        return kw_convert_try_folder(
            kw_fail(KW_EUNSUPPORTED, "rope type \"%s\" of this architecture has no form in GGUF",
                    type));
    name_key(w, "rope.scaling.hf_type");
    kw_gguf_put_string(w->k, w->key, kw_str_of(type));
    name_key(w, "rope.scaling.hf_factor");
    kw_gguf_put_float(w->k, w->key, KW_GGUF_F32, kw_convert_rope(w->j)->factor);
    return KW_OK;
}

/* longrope's factor of cos and sin follows from the contexts where the file does not say it; other readers do not know how. */
static kw_status put_attention(keys *w)
{
    const kw_rope_config *rope = kw_convert_rope(w->j);
    float scale, *freq = kw_arena_alloc(&w->j->arena, (size_t)rope->head_dim, sizeof *freq);
    if (!freq) return KW_ENOMEM;
    kw_rope_frequencies(rope, 0, NULL, freq, &scale);
    kw_gguf_put_float(w->k, w->key, KW_GGUF_F32, (double)scale);
    return KW_OK;
}

/* yarn's, less what readers multiply by anyway. */
static void put_yarn_scale(keys *w)
{
    const kw_rope_config *rope = kw_convert_rope(w->j);
    double usual = kw_yarn_growth(rope->factor, 1);
    if (rope->yarn_scale != usual)
        kw_gguf_put_float(w->k, w->key, KW_GGUF_F32, rope->yarn_scale / usual);
}

/* One flag a layer: does it have a window? */
static void put_pattern(keys *w)
{
    const kw_windows *win = kw_convert_windows(w->j);
    int n = w->j->m->shape.n_layers;
    if (!win || win->size == 0) return;
    kw_gguf_begin_array(w->k, w->key, KW_GGUF_BOOL, (uint64_t)n);
    for (int il = 0; il < n; il++) kw_gguf_item_int(w->k, KW_GGUF_BOOL, kw_window_of(win, il) != 0);
}

/* Keys whose value is not simply the field's. */
static bool put_derived(keys *w, kw_status *st)
{
    const char *key = w->f->gguf;
    bool is_scaling = !strncmp(key, "rope.scaling.", 13);
    const char *type = kw_convert_rope_type(w->j);
    if (!strcmp(key, "rope.scaling.type")) *st = put_rope_type(w);
    else if (!strncmp(key, "rope.scaling.hf_", 16)) return true;
    else if (!strcmp(key, "attention.sliding_window_pattern")) put_pattern(w);
    else if (!strcmp(key, "tensor_data_layout"))
        kw_gguf_put_string(w->k, w->key, KW_STR("jploski"));
    else if (!strcmp(key, "context_length") && w->j->m->shape.ctx_is_fixed)
        kw_gguf_put_int(w->k, w->key, KW_GGUF_U32, w->j->m->shape.ctx_train);
    else if (!strcmp(key, "decoder_start_token_id")) /* 0 is an id */
        kw_gguf_put_int(w->k, w->key, KW_GGUF_U32, *(const int *)kw_convert_value(w->j, w->f));
    else if (!strcmp(key, "rope.dimension_count"))
        kw_gguf_put_int(w->k, w->key, KW_GGUF_U32, 2 * w->j->m->shape.n_rope);
    else if (!strcmp(key, "rope.scaling.attn_factor") && !strcmp(type, "longrope"))
        *st = put_attention(w);
    else if (!strcmp(key, "rope.scaling.attn_factor") && !strcmp(type, "yarn")) put_yarn_scale(w);
    else if (strstr(key, "_freq_factor")) return strcmp(type, "llama3") != 0;
    else if (!strcmp(key, "rope.scaling.factor")) return !is_gguf_rope(type);
    else return is_scaling && !type[0];
    return true;
}

static void put_plain(keys *w)
{
    const void *at = kw_convert_value(w->j, w->f);
    const kw_floats *list = at;
    switch (w->f->type) {
    case KW_FIELD_INT:
        if (*(const int *)at) kw_gguf_put_int(w->k, w->key, KW_GGUF_U32, *(const int *)at);
        break;
    case KW_FIELD_FLOAT:
        if (*(const double *)at != 0 && isfinite(*(const double *)at))
            kw_gguf_put_float(w->k, w->key, KW_GGUF_F32, *(const double *)at);
        break;
    case KW_FIELD_BOOL: kw_gguf_put_int(w->k, w->key, KW_GGUF_BOOL, *(const bool *)at); break;
    case KW_FIELD_WORD:
        if (*(const char *)at) kw_gguf_put_string(w->k, w->key, kw_str_of(at));
        break;
    case KW_FIELD_FLOATS:
        if (list->n == 0) break;
        kw_gguf_begin_array(w->k, w->key, KW_GGUF_F32, (uint64_t)list->n);
        for (int i = 0; i < list->n; i++)
            kw_gguf_item_float(w->k, KW_GGUF_F32, (double)list->at[i]);
        break;
    default: break;
    }
}

static kw_status put_fields(keys *w)
{
    kw_status st = KW_OK;
    const kw_family *family = w->j->m->family;
    for (w->f = family->fields[0]; w->f && !st; w->f = kw_field_after(family, w->f)) {
        if (!w->f->gguf) continue;
        name_key(w, w->f->gguf);
        if (put_derived(w, &st)) continue;
        put_plain(w);
        if (strcmp(w->f->gguf, "attention.key_length")) continue;
        name_key(w, "attention.value_length");
        put_plain(w);
    }
    return st;
}

static kw_status fail_unsaid(const kw_convert_job *j, const char *json, const char *value)
{
    return kw_convert_try_folder(
        kw_fail(KW_EUNSUPPORTED,
                "config.json says %s is %s\nwhy: GGUF cannot say that of a %s, and whoever reads "
                "the file would compute something else",
                json, value, j->arch->gguf));
}

/* Of T5 and BERT, whose other readers know one value. */
static kw_status check_unsaid_values(const kw_convert_job *j)
{
    const kw_field *act = kw_convert_field(j, "hidden_act", NULL),
                   *proj = kw_convert_field(j, "feed_forward_proj", NULL),
                   *most = kw_convert_field(j, "relative_attention_max_distance", NULL),
                   *scales = kw_convert_field(j, "scale_decoder_outputs", NULL);
    const char *word = act ? kw_convert_value(j, act) : "";
    if (j->m->family->is_encoder && *word && strcmp(word, "gelu"))
        return fail_unsaid(j, "hidden_act", word);
    if (proj && !strcmp(kw_convert_value(j, proj), "gated-silu"))
        return fail_unsaid(j, "feed_forward_proj", "gated-silu");
    if (most && *(const int *)kw_convert_value(j, most) != 128)
        return fail_unsaid(j, "relative_attention_max_distance", "not 128");
    bool has_outputs = scales && j->m->family->encoder;
    if (has_outputs && *(const bool *)kw_convert_value(j, scales) == j->has_head)
        return fail_unsaid(j, "scale_decoder_outputs", j->has_head ? "true" : "false");
    return KW_OK;
}

/* What the config says and GGUF has no key for. */
static kw_status check_unsaid(const kw_convert_job *j)
{
    static const struct {
        const char *json;
        bool usual;
    } flags[] = { { "use_sliding_window", false },
                  { "norm_topk_prob", true },
                  { "alibi", false },
                  { "rope_scaling.truncate", true },
                  { "scale_attn_weights", true },
                  { "scale_attn_by_inverse_layer_idx", false },
                  { "use_bidirectional_attention", false } };
    const kw_windows *win = kw_convert_windows(j);
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        const kw_field *f = kw_convert_field(j, flags[i].json, NULL);
        if (!f || f->type != KW_FIELD_BOOL || f->gguf) continue;
        bool is_window = !strcmp(flags[i].json, "use_sliding_window");
        bool is_unused = is_window && (!win || win->size == 0);
        if (*(const bool *)kw_convert_value(j, f) == flags[i].usual || is_unused) continue;
        if (is_window && j->arch->gguf_interleaved) continue; /* there all windows count */
        if (!strcmp(flags[i].json, "norm_topk_prob") && !kw_convert_field(j, "num_experts", NULL))
            continue;
        return fail_unsaid(j, flags[i].json, flags[i].usual ? "false" : "true");
    }
    return check_unsaid_values(j);
}

/* Keys of our own, and keys that other readers pass over: their results differ from ours. */
static void tell_others(const kw_convert_job *j)
{
    const kw_windows *win = kw_convert_windows(j);
    const kw_field *scalar = kw_convert_field(j, "query_pre_attn_scalar", NULL);
    const kw_config *s = &j->m->shape;
    double v = scalar ? *(const double *)kw_convert_value(j, scalar) : 0;
    if (win && win->size && !kw_convert_field(j, NULL, "attention.sliding_window_pattern"))
        kw_log(
            KW_LOG_WARN,
            "other readers of GGUF pass over a %s's window of %d positions: of longer texts they "
            "compute something else",
            j->m->arch_name, win->size);
    if (scalar && v != s->head_dim && v * s->n_heads != s->dim)
        kw_log(
            KW_LOG_WARN,
            "query_pre_attn_scalar is %g, which other readers of GGUF take to be %d: they compute "
            "something else",
            v, s->head_dim);
}

/* How a text's states become one vector: beside the model in one form, a key in the other. */
static kw_status put_pooling(keys *w)
{
    static const int numbers[KW_POOL_KINDS] = {
        [KW_POOL_MEAN] = 1, [KW_POOL_CLS] = 2, [KW_POOL_LAST] = 3
    };
    kw_pooling how;
    if (!w->j->m->family->is_encoder) return KW_OK;
    kw_status st = kw_pooling_load(w->j->m, &how);
    if (st) return st;
    if (!numbers[how.kind])
        return kw_convert_try_folder(
            kw_fail(KW_EUNSUPPORTED, "the model pools by \"%s\", which GGUF has no number for",
                    kw_pooling_name(how.kind)));
    if (!how.normalise)
        kw_log(KW_LOG_WARN, "GGUF cannot say that embeddings are not of length 1: they will be");
    name_key(w, "pooling_type");
    kw_gguf_put_int(w->k, w->key, KW_GGUF_U32, numbers[how.kind]);
    if (kw_convert_field(w->j, "type_vocab_size", NULL)) /* a table that has none gets two rows */
        kw_gguf_put_int(w->k, "tokenizer.ggml.token_type_count", KW_GGUF_U32,
                        w->j->m->shape.n_types ? w->j->m->shape.n_types : 2);
    return KW_OK;
}

/* ---- divisors of rope ---- */

static kw_status add_divisors(kw_convert_job *j, const char *name, float *values, int n)
{
    kw_tensor *t = kw_arena_alloc(&j->arena, 1, sizeof *t);
    const kw_tensor **in = kw_arena_alloc(&j->arena, 1, sizeof *in);
    kw_convert_item *it = kw_convert_add(j);
    if (!t || !in || !it) return KW_ENOMEM;
    *t = (kw_tensor){ .dtype = KW_F32, .rank = 1, .shape = { n, 1, 1, 1 }, .data = values };
    *in = t;
    *it = (kw_convert_item){ .out = { kw_str_of(name), *t }, .in = in, .n_in = 1 };
    return KW_OK;
}

static kw_status add_list(kw_convert_job *j, const char *json, const char *name)
{
    const kw_field *f = kw_convert_field(j, json, NULL);
    const kw_floats *list = f ? kw_convert_value(j, f) : NULL;
    if (!list || list->n == 0) return KW_OK;
    float *values = kw_arena_alloc(&j->arena, (size_t)list->n, sizeof *values);
    if (!values) return KW_ENOMEM;
    memcpy(values, list->at, (size_t)list->n * sizeof *values);
    return add_divisors(j, name, values, list->n);
}

void kw_convert_llama3(const kw_rope_config *rope, float *divisors)
{
    float scale, *plain = divisors + rope->head_dim / 2;
    kw_rope_config usual = *rope;
    usual.type[0] = 0;
    kw_rope_frequencies(rope, 0, NULL, divisors, &scale);
    kw_rope_frequencies(&usual, 0, NULL, plain, &scale);
    for (int i = 0; i < rope->head_dim / 2; i++) divisors[i] = plain[i] / divisors[i];
}

kw_status kw_convert_divisors(kw_convert_job *j)
{
    const char *type = kw_convert_rope_type(j);
    if (!strcmp(type, "longrope")) {
        kw_status st = add_list(j, "rope_scaling.long_factor", "rope_factors_long.weight");
        return st ? st : add_list(j, "rope_scaling.short_factor", "rope_factors_short.weight");
    }
    if (strcmp(type, "llama3")) return KW_OK;
    const kw_rope_config *rope = kw_convert_rope(j);
    float *values = kw_arena_alloc(&j->arena, (size_t)rope->head_dim, sizeof *values);
    if (!values) return KW_ENOMEM;
    kw_convert_llama3(rope, values);
    return add_divisors(j, "rope_freqs.weight", values, rope->head_dim / 2);
}

/* ---- all of it ---- */

/* The number by which GGUF calls a file of mostly this dtype. */
static int file_type(const kw_convert_job *j)
{
    static const struct {
        kw_dtype dtype;
        int number;
    } types[] = { { KW_F32, 0 },  { KW_F16, 1 },  { KW_Q4_0, 2 },
                  { KW_Q4_1, 3 }, { KW_Q8_0, 7 }, { KW_BF16, 32 } };
    size_t count[KW_DTYPE_COUNT] = { 0 };
    int best = 0;
    for (size_t i = 0; i < j->n; i++)
        if (j->items[i].out.tensor.rank > 1) count[j->items[i].out.tensor.dtype]++;
    for (int i = 0; i < KW_DTYPE_COUNT; i++) best = count[i] > count[best] ? i : best;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if ((int)types[i].dtype == best) return types[i].number;
    const kw_meta *own = kw_checkpoint_meta(j->m->ck, "general.file_type");
    return own && own->type == KW_META_INT ? (int)own->integer : 1024; /* 1024: a guess */
}

static kw_status put_tokenizer(kw_convert_job *j, kw_gguf_keys *k)
{
    const kw_tokenizer *t = j->m->tokenizer;
    if (!t) return KW_OK;
    kw_gguf_keys own = KW_GGUF_KEYS;
    kw_status st = kw_tokenizer_save_gguf(t, j->m->shape.n_vocab, &own);
    if (st == KW_EUNSUPPORTED) {
        kw_log(KW_LOG_WARN, "%s: the file is written without a tokenizer", kw_error_message());
        st = KW_OK;
    } else if (!st) {
        kw_buf_bytes(&k->bytes, own.bytes.data, own.bytes.len);
        k->n += own.n;
    }
    kw_gguf_keys_free(&own);
    return st;
}

kw_status kw_convert_keys(kw_convert_job *j, kw_gguf_keys *k)
{
    static const char *const replaced[] = { "general.file_type", "tokenizer.ggml.eos_token_id",
                                            NULL };
    keys w = { .j = j, .k = k };
    if (!j->renames) { /* a tokenizer was given where the file has none: its ids go with it */
        const char *some[] = { replaced[0], j->m->tokenizer ? replaced[1] : NULL, NULL };
        kw_gguf_copy_keys(k, j->m->ck, some);
        kw_gguf_put_int(k, "general.file_type", KW_GGUF_U32, file_type(j));
        kw_status st = put_tokenizer(j, k);
        return st ? st : k->bytes.status;
    }
    kw_status st = check_unsaid(j);
    if (st) return st;
    tell_others(j);
    kw_gguf_put_string(k, "general.architecture", kw_str_of(j->arch->gguf));
    kw_gguf_put_string(k, "general.name", kw_str_of(j->m->name));
    if (!j->is_quantized) {
        kw_gguf_put_int(k, "general.file_type", KW_GGUF_U32, file_type(j));
        kw_gguf_put_int(k, "general.quantization_version", KW_GGUF_U32, 2);
    }
    st = put_fields(&w);
    if (!st) st = put_pooling(&w);
    if (!st) st = put_tokenizer(j, k);
    return st ? st : k->bytes.status;
}
