/* quant_plan.c - everything that is decided before a weight is coded: which tensor becomes what, how large the file will be to
 * the byte, which columns count more, and what speaks against it. */
#include "convert/quantize.h"
#include <string.h>

enum { ALIGNMENT = 32 };

static kw_status check_output(const kw_quant_job *j, const char *in, const char *out)
{
    bool is_known = j->o->imatrix && j->o->imatrix[0] && kw_path_is_same(j->o->imatrix, out);
    if (is_known || kw_checkpoint_is_at(j->input.m->ck, out))
        return kw_try(kw_fail(KW_EINVAL, "%s would be written over itself",
                              is_known ? j->o->imatrix : in),
                      "another name for the output");
    if (kw_str_ends(kw_str_of(out), ".safetensors"))
        return kw_try(kw_fail(KW_EINVAL, "%s would be a GGUF file: safetensors have no such types",
                              out),
                      "a name that ends in .gguf");
    if (kw_path_is_dir(out))
        return kw_try(kw_fail(KW_EINVAL, "%s is a folder, and a file is to be written", out),
                      "%s/model.gguf", out);
    if (!j->o->force && kw_path_exists(out))
        return kw_try(kw_fail(KW_EINVAL, "%s exists already", out),
                      "another name, or --force to replace it");
    return KW_OK;
}

static kw_status open_input(kw_quant_job *j, const char *in, const char *out)
{
    j->input.to_gguf = j->input.is_quantized = true;
    j->input.dtype = KW_DTYPE_COUNT;
    kw_status st = kw_model_inspect(in, NULL, &j->input.m);
    if (!st) st = check_output(j, in, out);
    if (st) return st;
    st = kw_convert_plan(&j->input);
    if (st) return kw_because(st, "cannot quantize %s", in);
    kw_recipe_ask(&j->input, &j->facts);
    return KW_OK;
}

static kw_status split_override(const char *text, char *pattern, size_t cap, kw_dtype *t)
{
    const char *equals = strrchr(text, '=');
    if (!equals || equals == text || (size_t)(equals - text) >= cap)
        return kw_fail(KW_EINVAL, "\"%.80s\" is no override\ntry: --tensor 'PATTERN=TYPE'", text);
    memcpy(pattern, text, (size_t)(equals - text));
    pattern[equals - text] = 0;
    const kw_recipe *mix = kw_recipe_find(equals + 1);
    if (!mix) return kw_recipe_unknown(equals + 1);
    *t = mix->dtype;
    return KW_OK;
}

/* Every override must be well-formed and fit something. */
static kw_status check_overrides(const kw_quant_job *j)
{
    for (size_t i = 0; i < j->o->n_overrides; i++) {
        char pattern[512];
        kw_dtype t;
        size_t k = 0;
        kw_status st = split_override(j->o->overrides[i], pattern, sizeof pattern, &t);
        if (st) return st;
        while (k < j->input.n && !kw_glob(pattern, j->input.items[k].out.name)) k++;
        if (k == j->input.n)
            return kw_try(kw_fail(KW_EINVAL, "no tensor is called \"%s\"", pattern),
                          "kwaai show MODEL --tensors, for their names; * stands for anything");
    }
    return KW_OK;
}

static bool overridden(const kw_quant_job *j, const kw_named_tensor *t, kw_dtype *to)
{
    for (size_t i = 0; i < j->o->n_overrides; i++) {
        char pattern[512];
        if (split_override(j->o->overrides[i], pattern, sizeof pattern, to)) continue;
        if (kw_glob(pattern, t->name)) return true;
    }
    return false;
}

static void choose(const kw_quant_job *j, const kw_recipe *mix, size_t i, kw_quant_item *it)
{
    kw_dtype want;
    const kw_named_tensor *t = &j->input.items[i].out;
    *it = (kw_quant_item){ .from = &j->input.items[i] };
    it->to = kw_recipe_choose(mix, &j->facts, t, &it->is_fallback);
    if (!overridden(j, t, &want) || !kw_dtype_get(t->tensor.dtype)->decode) return;
    it->to = kw_recipe_fit(want, kw_tensor_cols(&t->tensor));
    it->is_fallback = it->to != want;
}

uint64_t kw_quant_bytes(const kw_quant_item *it)
{
    kw_tensor t = it->from->out.tensor;
    t.dtype = it->to;
    return kw_tensor_size(&t);
}

static uint64_t aligned(uint64_t n) { return (n + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT; }

/* Of the output, as it will be. */
static uint64_t file_size(const kw_quant_job *j, const kw_recipe *mix)
{
    uint64_t header = 24 + j->keys.bytes.len, data = 0;
    for (size_t i = 0; i < j->input.n; i++) {
        kw_quant_item it;
        const kw_named_tensor *t = &j->input.items[i].out;
        choose(j, mix, i, &it);
        size_t rank = t->tensor.rank ? (size_t)t->tensor.rank : 1;
        header += 8 + t->name.n + 4 + 8 * rank + 4 + 8;
        data += aligned(kw_quant_bytes(&it));
    }
    return aligned(header) + data;
}

/* What most of the input's weights are. */
static kw_dtype dtype_of_input(const kw_quant_job *j)
{
    double values[KW_DTYPE_COUNT] = { 0 };
    int most = KW_F32;
    for (size_t i = 0; i < j->input.n; i++) {
        const kw_convert_item *it = &j->input.items[i];
        int t = (int)it->in[0]->dtype;
        values[t] +=
            (double)kw_tensor_rows(&it->out.tensor) * (double)kw_tensor_cols(&it->out.tensor);
        if (values[t] > values[most]) most = t;
    }
    return (kw_dtype)most;
}

static kw_status find_fit(kw_quant_job *j)
{
    uint64_t least = UINT64_MAX;
    kw_dtype of = dtype_of_input(j);
    for (int i = 0; kw_recipe_at(i); i++) {
        if (!kw_recipe_suits(kw_recipe_at(i), of)) continue;
        uint64_t bytes = file_size(j, kw_recipe_at(i));
        least = bytes < least ? bytes : least;
        if (bytes > j->o->fit_bytes) continue;
        j->mix = kw_recipe_at(i);
        return KW_OK;
    }
    return kw_try(kw_fail(KW_ELIMIT,
                          "no type makes the file as small as %.1f MB: the least is %.1f MB",
                          (double)j->o->fit_bytes / 1e6, (double)least / 1e6),
                  "a smaller model, or coarser tensors with --tensor");
}

static void put_type(kw_quant_job *j)
{
    kw_gguf_put_int(&j->keys, "general.file_type", KW_GGUF_U32, j->mix ? j->mix->file_type : 0);
}

/* All but the type. */
static kw_status put_keys(kw_quant_job *j)
{
    static const char *const ours[] = { "general.quantization_version",
                                        "general.file_type",
                                        "quantize.imatrix.file",
                                        "quantize.imatrix.dataset",
                                        "quantize.imatrix.entries_count",
                                        "quantize.imatrix.chunks_count",
                                        NULL };
    kw_status st = KW_OK;
    if (j->input.renames) st = kw_convert_keys(&j->input, &j->keys);
    else kw_gguf_copy_keys(&j->keys, j->input.m->ck, ours);
    kw_gguf_put_int(&j->keys, "general.quantization_version", KW_GGUF_U32, 2);
    if (st || !j->imatrix) return st;
    kw_gguf_put_string(&j->keys, "quantize.imatrix.file", kw_str_of(j->o->imatrix));
    kw_gguf_put_int(&j->keys, "quantize.imatrix.entries_count", KW_GGUF_I32,
                    (int64_t)j->imatrix->n);
    kw_gguf_put_int(&j->keys, "quantize.imatrix.chunks_count", KW_GGUF_I32, j->imatrix->n_chunks);
    return KW_OK;
}

/* The type, or the best that fits; the length of the keys counts, and is the same for all. */
static kw_status find_mix(kw_quant_job *j, const char *type)
{
    kw_gguf_keys others = j->keys;
    put_type(j);
    if (type[0] && (!j->o->fit_bytes || file_size(j, j->mix) <= j->o->fit_bytes)) return KW_OK;
    if (type[0])
        return kw_try(kw_fail(KW_ELIMIT, "as %s the file has %.1f MB, more than %.1f MB", type,
                              (double)file_size(j, j->mix) / 1e6, (double)j->o->fit_bytes / 1e6),
                      "no TYPE: then the best that fits is taken");
    kw_status st = find_fit(j);
    j->keys.bytes.len = others.bytes.len;
    j->keys.n = others.n;
    put_type(j);
    return st;
}

static kw_status choose_mix(kw_quant_job *j)
{
    const char *type = j->o->type ? j->o->type : "", *imatrix = j->o->imatrix;
    if (!type[0] && !j->o->fit_bytes) return kw_recipe_unknown("");
    if (type[0]) {
        j->mix = kw_recipe_find(type);
        if (!j->mix) return kw_recipe_unknown(type);
    }
    bool knows = imatrix && imatrix[0];
    kw_status st = knows ? kw_imatrix_open(imatrix, &j->imatrix) : KW_OK;
    j->facts.has_importance = knows;
    if (!st) st = check_overrides(j);
    if (!st) st = put_keys(j);
    return st ? st : find_mix(j, type);
}

static kw_status find_importance(const kw_quant_job *j, kw_quant_item *it)
{
    const kw_named_tensor *t = &it->from->out;
    size_t cols = (size_t)kw_tensor_cols(&t->tensor), rows = (size_t)kw_tensor_rows(&t->tensor);
    const kw_imatrix_row *r = j->imatrix ? kw_imatrix_find(j->imatrix, t->name) : NULL;
    if (!r) return KW_OK;
    size_t n = r->cols * r->mats, mats = t->tensor.rank == 3 ? (size_t)t->tensor.shape[0] : 1;
    if (n != cols && n != cols * mats)
        return kw_fail(
            KW_ESHAPE,
            "%.*s has %zu rows of %zu columns, the importance file %zu values for it\nwhy: "
            "it is of another model",
            (int)t->name.n, t->name.p, rows, cols, n);
    it->importance = r;
    return KW_OK;
}

static kw_status check_requantizing(const kw_quant_job *j)
{
    for (size_t i = 0; i < j->input.n; i++) {
        const kw_quant_item *it = &j->items[i];
        const kw_dtype_info *from = kw_dtype_get(it->from->in[0]->dtype);
        kw_str name = it->from->out.name;
        if (from->block == 1 || it->to == it->from->in[0]->dtype) continue;
        if (j->o->requantize) {
            kw_log(KW_LOG_WARN,
                   "the input is quantized already (%.*s is %s): its errors are kept "
                   "and new ones added",
                   (int)name.n, name.p, from->name);
            return KW_OK;
        }
        return kw_try(kw_fail(KW_EINVAL,
                              "%.*s is %s already\nwhy: quantizing what is quantized adds "
                              "its errors to those that are there",
                              (int)name.n, name.p, from->name),
                      "the unquantized model, or --requantize");
    }
    return KW_OK;
}

kw_status kw_quant_decide(kw_quant_job *j, const char *in, const char *out)
{
    kw_status st = open_input(j, in, out);
    if (!st) st = choose_mix(j);
    if (!st && !(j->items = kw_calloc(j->input.n + 1, sizeof *j->items, KW_PAY_FILE)))
        st = KW_ENOMEM;
    for (size_t i = 0; i < j->input.n && !st; i++) {
        choose(j, j->mix, i, &j->items[i]);
        st = find_importance(j, &j->items[i]);
        j->total += kw_tensor_size(&j->items[i].from->out.tensor);
        j->n_fallbacks += j->items[i].is_fallback;
    }
    return st ? st : check_requantizing(j);
}
