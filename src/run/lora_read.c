/* lora_read.c - finds the pairs of matrices in an adapter's files.
 *
 *   PEFT   adapter_config.json, adapter_model.safetensors: base_model.model.<module>.lora_A.weight [r, in], lora_B [out, r]
 *   GGUF   general.type = adapter, adapter.type = lora, adapter.lora.alpha: <tensor>.lora_a [r, in], .lora_b [out, r]
 *
 * Whatever else a file holds would be lost without a word: it is refused by its name. */
#include "run/lora.h"
#include <string.h>

enum { MAX_CONFIG = 16 << 20, MAX_PATH_BYTES = 8192 };

/* ---- adapter_config.json ---- */

static bool is_on(const kw_json *v)
{
    return v && (v->type == KW_JSON_BOOL
                     ? v->boolean
                     : v->type != KW_JSON_NULL && (v->type == KW_JSON_STRING || v->n > 0));
}

/* Keys that ask for what is not done, where they are set to anything. */
static kw_status check_keys(const kw_json *root)
{
    static const char *const keys[] = { "use_dora",        "alpha_pattern",
                                        "modules_to_save", "lora_bias",
                                        "use_qalora",      "trainable_token_indices",
                                        "megatron_config" };
    const kw_json *type = kw_json_get(root, "peft_type"), *bias = kw_json_get(root, "bias");
    if (type && !(type->type == KW_JSON_STRING && kw_str_is(type->string, "LORA")))
        return kw_fail(KW_EUNSUPPORTED, "an adapter of type %.*s\nwhy: only LORA is applied",
                       type->type == KW_JSON_STRING && type->string.n < 32 ? (int)type->string.n
                                                                           : 0,
                       type->string.p ? type->string.p : "");
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (is_on(kw_json_get(root, keys[i])))
            return kw_try(kw_fail(KW_EUNSUPPORTED,
                                  "an adapter with %s\nwhy: only plain LoRA is "
                                  "applied%s",
                                  keys[i], i ? "" : ", and this one is DoRA"),
                          "merge it with PEFT (merge_and_unload) and save the model");
    if (bias && bias->type == KW_JSON_STRING && !kw_str_is(bias->string, "none"))
        return kw_fail(KW_EUNSUPPORTED, "an adapter with trained biases (bias \"%.*s\")",
                       bias->string.n < 32 ? (int)bias->string.n : 0, bias->string.p);
    return KW_OK;
}

kw_status kw_lora_read_config(kw_str text, kw_arena *arena, kw_lora_config *out)
{
    kw_json *root = NULL;
    *out = (kw_lora_config){ .base = KW_STR("") };
    kw_status st = kw_json_parse(text.p, text.n, arena, &root);
    if (st) return st;
    if (root->type != KW_JSON_OBJECT) return kw_fail(KW_EFORMAT, "not an object");
    st = check_keys(root);
    if (st) return st;
    const kw_json *alpha = kw_json_get(root, "lora_alpha"), *rs = kw_json_get(root, "use_rslora"),
                  *turned = kw_json_get(root, "fan_in_fan_out"),
                  *base = kw_json_get(root, "base_model_name_or_path");
    if (!alpha || (alpha->type != KW_JSON_INT && alpha->type != KW_JSON_FLOAT))
        return kw_fail(KW_EFORMAT, "lora_alpha is missing or no number");
    out->alpha = alpha->number;
    out->by_root = is_on(rs);
    out->turned = is_on(turned);
    if (base && base->type == KW_JSON_STRING) out->base = base->string;
    return KW_OK;
}

static kw_status load_config(kw_lora *l)
{
    kw_buf path = KW_BUF(MAX_PATH_BYTES, KW_PAY_MISC);
    char *text = NULL;
    size_t len = 0;
    kw_buf_printf(&path, "%s/adapter_config.json", kw_checkpoint_folder(l->ck));
    kw_status st = path.status;
    if (!st && !kw_path_exists(kw_buf_text(&path)))
        st = kw_fail(KW_ENOTFOUND,
                     "no adapter_config.json beside it\nwhy: it says how strong the adapter is");
    if (!st) st = kw_file_read(kw_buf_text(&path), MAX_CONFIG, &text, &len);
    if (!st) {
        char *kept = kw_arena_strdup(&l->arena, text, len);
        st = kept ? kw_lora_read_config((kw_str){ kept, len }, &l->arena, &l->config) : KW_ENOMEM;
        if (st) kw_note(st, "adapter_config.json");
    }
    kw_free(text);
    kw_buf_free(&path);
    return st;
}

/* ---- GGUF ---- */

static bool has_word(const kw_checkpoint *ck, const char *key, const char *word)
{
    const kw_meta *m = kw_checkpoint_meta(ck, key);
    return m && m->type == KW_META_STRING && kw_str_is(m->string, word);
}

static kw_status read_keys(kw_lora *l)
{
    const kw_meta *alpha = kw_checkpoint_meta(l->ck, "adapter.lora.alpha"),
                  *arch = kw_checkpoint_meta(l->ck, "general.architecture");
    if (!has_word(l->ck, "general.type", "adapter") || !has_word(l->ck, "adapter.type", "lora"))
        return kw_fail(KW_EFORMAT,
                       "no adapter\nwhy: general.type is not \"adapter\", or adapter.type "
                       "not \"lora\"");
    if (!alpha || (alpha->type != KW_META_FLOAT && alpha->type != KW_META_INT))
        return kw_fail(KW_EFORMAT, "adapter.lora.alpha is missing or no number");
    l->config.alpha = alpha->number;
    l->config.base = arch && arch->type == KW_META_STRING ? arch->string : KW_STR("");
    return KW_OK;
}

/* ---- pairs ---- */

/* How names of A end or what stands in their middle, what B has there, and whether the target is an embedding. */
static const struct {
    const char *a, *b;
    bool is_embedding;
} marks[2][2] = {
    { { ".lora_A", ".lora_B", false }, { ".lora_embedding_A", ".lora_embedding_B", true } },
    { { ".lora_a", ".lora_b", false } },
};

/* base_model.model.<module> -> <module>.weight */
static kw_status name_target(kw_lora *l, kw_str module, kw_lora_pair *pair)
{
    static const char prefix[] = "base_model.model.";
    kw_buf name = KW_BUF(MAX_PATH_BYTES, KW_PAY_MISC);
    if (!l->is_gguf && kw_str_starts(module, prefix))
        module = (kw_str){ module.p + sizeof prefix - 1, module.n - (sizeof prefix - 1) };
    kw_buf_bytes(&name, module.p, module.n);
    if (!l->is_gguf) kw_buf_str(&name, ".weight");
    char *kept = name.status ? NULL : kw_arena_strdup(&l->arena, kw_buf_text(&name), name.len);
    pair->target = (kw_str){ kept, name.len };
    kw_buf_free(&name);
    if (l->is_gguf) pair->is_embedding = kw_str_is(pair->target, "token_embd.weight");
    return kept ? KW_OK : KW_ENOMEM;
}

static kw_status check_pair(const kw_lora_pair *p, bool is_gguf)
{
    int ra = p->is_embedding && is_gguf ? 1 : 0; /* the dimension of A that is r */
    bool decodes = kw_dtype_get(p->a->dtype)->decode && kw_dtype_get(p->b->dtype)->decode;
    if (p->a->rank == 2 && p->b->rank == 2 && p->a->shape[ra] == p->b->shape[1] &&
        p->a->shape[ra] > 0 && decodes)
        return KW_OK;
    char a[96], b[96];
    return kw_fail(KW_EFORMAT, "\"%.*s\": A is %s %s, B %s %s\nwhy: they are no pair of one rank",
                   (int)p->target.n, p->target.p, kw_dtype_get(p->a->dtype)->name,
                   kw_tensor_shape_text(p->a, a), kw_dtype_get(p->b->dtype)->name,
                   kw_tensor_shape_text(p->b, b));
}

/* The pair whose A is this tensor. */
static kw_status add_pair(kw_lora *l, const kw_named_tensor *t, const char *at, size_t which)
{
    const char *a = marks[l->is_gguf][which].a;
    size_t head = (size_t)(at - t->name.p), n = strlen(a);
    kw_buf other = KW_BUF(MAX_PATH_BYTES, KW_PAY_MISC);
    kw_buf_printf(&other, "%.*s%s%.*s", (int)head, t->name.p, marks[l->is_gguf][which].b,
                  (int)(t->name.n - head - n), at + n);
    const kw_named_tensor *b = other.status ? NULL : kw_checkpoint_find(l->ck, kw_buf_text(&other));
    kw_status st = other.status;
    if (!st && !b)
        st = kw_fail(KW_EFORMAT, "tensor \"%s\" is missing, the other half of \"%.*s\"",
                     kw_buf_text(&other), (int)t->name.n, t->name.p);
    kw_buf_free(&other);
    if (st) return st;
    kw_lora_pair *p = &l->pairs[l->n++];
    *p = (kw_lora_pair){ .a = &t->tensor,
                         .b = &b->tensor,
                         .is_embedding = marks[l->is_gguf][which].is_embedding };
    st = name_target(l, (kw_str){ t->name.p, head }, p);
    return st ? st : check_pair(p, l->is_gguf);
}

static const char base_end[] = ".base_layer.weight";

/* The copy of a target that stands beside its pair. */
static void find_base(kw_lora *l, const kw_named_tensor *t)
{
    kw_lora_pair target = { 0 };
    kw_str module = { t->name.p, t->name.n - strlen(base_end) };
    if (name_target(l, module, &target)) return;
    for (size_t i = 0; i < l->n; i++)
        if (kw_str_eq(l->pairs[i].target, target.target)) l->pairs[i].base = &t->tensor;
}

static kw_status read_tensor(kw_lora *l, const kw_named_tensor *t, size_t *n_b)
{
    if (!l->is_gguf && kw_str_ends(t->name, base_end)) return KW_OK;
    for (size_t i = 0; i < 2 && marks[l->is_gguf][i].a; i++) {
        const char *a = kw_str_find(t->name, marks[l->is_gguf][i].a);
        if (a) return add_pair(l, t, a, i);
        if (!kw_str_find(t->name, marks[l->is_gguf][i].b)) continue;
        ++*n_b;
        return KW_OK;
    }
    bool is_dora = kw_str_find(t->name, "lora_magnitude_vector");
    return kw_try(kw_fail(KW_EUNSUPPORTED, "tensor \"%.*s\" is %s", (int)t->name.n, t->name.p,
                          is_dora ? "DoRA's: only plain LoRA is applied" : "no part of a LoRA"),
                  "merge it with PEFT (merge_and_unload) and save the model");
}

static kw_status read_pairs(kw_lora *l)
{
    size_t n = kw_checkpoint_count(l->ck), n_b = 0;
    kw_status st = KW_OK;
    l->pairs = kw_arena_alloc(&l->arena, n + 1, sizeof *l->pairs);
    if (!l->pairs) return KW_ENOMEM;
    for (size_t i = 0; i < n && !st; i++) st = read_tensor(l, kw_checkpoint_at(l->ck, i), &n_b);
    for (size_t i = 0; i < n && !st; i++)
        if (kw_str_ends(kw_checkpoint_at(l->ck, i)->name, base_end))
            find_base(l, kw_checkpoint_at(l->ck, i));
    if (!st && (l->n == 0 || l->n != n_b))
        st = kw_fail(KW_EFORMAT, "%zu matrices A and %zu B", l->n, n_b);
    return st;
}

kw_status kw_lora_open(const char *path, kw_lora *out)
{
    *out = (kw_lora){ .arena = KW_ARENA(KW_PAY_MODEL), .path = path };
    kw_status st = kw_checkpoint_open(path, (kw_file_options){ 0 }, &out->ck);
    if (!st) {
        out->is_gguf = kw_checkpoint_naming(out->ck) == KW_NAMING_GGUF;
        st = out->is_gguf ? read_keys(out) : load_config(out);
    }
    if (!st) st = read_pairs(out);
    return st;
}

void kw_lora_close(kw_lora *l)
{
    kw_checkpoint_close(l->ck);
    kw_arena_free(&l->arena);
}
