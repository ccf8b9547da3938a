/* quant_mix.c - which tensor gets which format: tables of what years of measuring by llama.cpp's authors have found.
 *
 * Some matrices do more harm than others when they are coarse: the head, what attention takes values from, and the second
 * matrix of a feed-forward, most of all in the first and last layers. A mix names the format of most matrices, and rules name
 * the exceptions; the first that holds counts. Files of a name are so the same mix here and there.
 *
 * Vectors, norms, routers and the like stay as they are. */
#include "convert/quant_mix.h"
#include <string.h>

enum { F32, F16, BF16, Q8_0, Q6_K, Q5_1, Q5_0, Q5_K_M, Q5_K_S, Q4_1, Q4_K_M, Q4_K_S, Q4_0 };
enum { IQ4_NL = Q4_0 + 1, IQ4_XS, Q3_K_L, Q3_K_M, Q3_K_S, Q2_K, N_MIXES };

static const kw_recipe mixes[N_MIXES + 1] = {
    [F32] = { "F32", KW_F32, 0, true },           [F16] = { "F16", KW_F16, 1, true },
    [BF16] = { "BF16", KW_BF16, 32, true },       [Q8_0] = { "Q8_0", KW_Q8_0, 7, true },
    [Q6_K] = { "Q6_K", KW_Q6_K, 18, true },       [Q5_1] = { "Q5_1", KW_Q5_1, 9, false },
    [Q5_0] = { "Q5_0", KW_Q5_0, 8, false },       [Q5_K_M] = { "Q5_K_M", KW_Q5_K, 17, true },
    [Q5_K_S] = { "Q5_K_S", KW_Q5_K, 16, true },   [Q4_1] = { "Q4_1", KW_Q4_1, 3, false },
    [Q4_K_M] = { "Q4_K_M", KW_Q4_K, 15, true },   [Q4_K_S] = { "Q4_K_S", KW_Q4_K, 14, true },
    [Q4_0] = { "Q4_0", KW_Q4_0, 2, false },       [IQ4_NL] = { "IQ4_NL", KW_IQ4_NL, 25, false },
    [IQ4_XS] = { "IQ4_XS", KW_IQ4_XS, 30, true }, [Q3_K_L] = { "Q3_K_L", KW_Q3_K, 13, true },
    [Q3_K_M] = { "Q3_K_M", KW_Q3_K, 12, true },   [Q3_K_S] = { "Q3_K_S", KW_Q3_K, 11, true },
    [Q2_K] = { "Q2_K", KW_Q2_K, 10, true },
};

const kw_recipe *kw_recipe_at(int i) { return i >= 0 && i < N_MIXES ? &mixes[i] : NULL; }

bool kw_recipe_suits(const kw_recipe *mix, kw_dtype of)
{
    const kw_dtype_info *to = kw_dtype_get(mix->dtype), *from = kw_dtype_get(of);
    size_t bits_to = to->bytes * from->block, bits_from = from->bytes * to->block;
    bool is_other_float = to->block == 1 && bits_to == bits_from && mix->dtype != of;
    return mix == &mixes[Q2_K] || (mix->fits && bits_to <= bits_from && !is_other_float);
}

/* Short names mean the middle of their kind. */
static const struct {
    const char *name;
    int mix;
} aliases[] = { { "Q3_K", Q3_K_M }, { "Q4_K", Q4_K_M }, { "Q5_K", Q5_K_M } };

static bool same_word(const char *a, const char *b)
{
    for (; *a && *b; a++, b++) {
        char upper = *a >= 'a' && *a <= 'z' ? (char)(*a - 32) : *a;
        if (upper != *b) return false;
    }
    return *a == *b;
}

const kw_recipe *kw_recipe_find(const char *name)
{
    for (int i = 0; i < N_MIXES; i++)
        if (same_word(name, mixes[i].name)) return &mixes[i];
    for (size_t i = 0; i < sizeof aliases / sizeof *aliases; i++)
        if (same_word(name, aliases[i].name)) return &mixes[aliases[i].mix];
    return NULL;
}

kw_status kw_recipe_unknown(const char *name)
{
    kw_buf list = KW_BUF(1024, KW_PAY_MISC);
    for (int i = 0; i < N_MIXES; i++) kw_buf_printf(&list, "%s%s", i ? " " : "", mixes[i].name);
    kw_status st = kw_fail(KW_EINVAL, "\"%.40s\" is no type to quantize to\ntry: %s", name,
                           kw_buf_text(&list));
    kw_buf_free(&list);
    return st;
}

/* ---- what a tensor is for ---- */

typedef enum role { OTHER, OUTPUT, EMBEDDING, V, K, DOWN, ATTN_OUT } role;

static role role_of(kw_str name)
{
    static const struct {
        const char *part;
        role role;
    } roles[] = { { "token_embd.weight", EMBEDDING },
                  { "attn_qkv.weight", V },
                  { "attn_kv_b.weight", V },
                  { "attn_v.weight", V },
                  { "attn_k.weight", K },
                  { "attn_output.weight", ATTN_OUT },
                  { "ffn_down", DOWN } };
    if (kw_str_is(name, "output.weight")) return OUTPUT;
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++)
        if (kw_str_find(name, roles[i].part)) return roles[i].role;
    return OTHER;
}

static bool is_kept(const kw_named_tensor *t)
{
    static const char *const kept[] = { "_norm.weight",        "ffn_gate_inp", "position_embd",
                                        "token_types",         "ssm_conv1d",   "shortconv.conv",
                                        "attn_rel_b",          "pos_embd",     ".patch_embd",
                                        "time_mix_",           "altup",        "laurel",
                                        "per_layer_model_proj" };
    if (t->tensor.rank < 2 || !kw_str_ends(t->name, "weight")) return true;
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        if (kw_str_find(t->name, kept[i])) return true;
    return !kw_dtype_get(t->tensor.dtype)->decode;
}

/* N of "blk.N."; -1 outside of layers. */
static int layer_of(kw_str name)
{
    int n = 0;
    if (!kw_str_starts(name, "blk.")) return -1;
    for (size_t i = 4; i < name.n && name.p[i] >= '0' && name.p[i] <= '9' && n < 100000; i++)
        n = 10 * n + (name.p[i] - '0');
    return n;
}

/* ---- rules ---- */

/* The first and last eighth of the layers, and every third between them. */
static bool more_bits(int il, int n)
{
    return il < n / 8 || il >= 7 * n / 8 || (il - n / 8) % 3 == 2;
}

typedef enum when {
    ALWAYS,
    MORE,         /* more_bits */
    FIRST_EIGHTH, /* of the layers */
    FIRST_16TH,
    FIRST_TWO,
    FIRST_FOUR,
    WIDE_GROUPS,  /* four or more query heads share a key */
    EIGHT,        /* experts */
    BLIND_EIGHTH, /* the first eighth, with no importance known */
    KNOWN_EIGHTH  /* and with it */
} when;

static bool applies(when w, const kw_recipe_facts *f, int il)
{
    int n = f->n_layers;
    switch (w) {
    case ALWAYS: return true;
    case MORE: return more_bits(il, n);
    case FIRST_EIGHTH: return il < n / 8;
    case FIRST_16TH: return il < n / 16;
    case FIRST_TWO: return il < 2;
    case FIRST_FOUR: return il < 4;
    case WIDE_GROUPS: return f->n_kv_heads > 0 && f->n_heads / f->n_kv_heads >= 4;
    case EIGHT: return f->n_experts == 8;
    case BLIND_EIGHTH: return il < n / 8 && !f->has_importance;
    case KNOWN_EIGHTH: return il < n / 8 && f->has_importance;
    }
    return false;
}

#define IN(mix) (1u << (mix))
typedef struct rule {
    uint32_t mixes;
    role role;
    when when;
    kw_dtype dtype;
} rule;

/* clang-format off */
static const rule rules[] = {
    { ~0u,                        V,        EIGHT,        KW_Q8_0 },
    { ~0u,                        K,        EIGHT,        KW_Q8_0 },
    { IN(Q2_K),                   V,        WIDE_GROUPS,  KW_Q4_K },
    { IN(Q2_K),                   V,        ALWAYS,       KW_Q3_K },
    { IN(Q3_K_M),                 V,        FIRST_TWO,    KW_Q5_K },
    { IN(Q3_K_M),                 V,        ALWAYS,       KW_Q4_K },
    { IN(Q3_K_L),                 V,        ALWAYS,       KW_Q5_K },
    { IN(IQ4_NL) | IN(IQ4_XS),    V,        WIDE_GROUPS,  KW_Q5_K },
    { IN(Q4_K_M) | IN(Q5_K_M),    V,        MORE,         KW_Q6_K },
    { IN(Q4_K_S),                 V,        FIRST_FOUR,   KW_Q5_K },
    { IN(Q2_K),                   DOWN,     ALWAYS,       KW_Q3_K },
    { IN(Q3_K_M),                 DOWN,     FIRST_16TH,   KW_Q5_K },
    { IN(Q3_K_M),                 DOWN,     ALWAYS,       KW_Q4_K },
    { IN(Q3_K_L),                 DOWN,     ALWAYS,       KW_Q5_K },
    { IN(Q4_K_M) | IN(Q5_K_M),    DOWN,     MORE,         KW_Q6_K },
    { IN(Q4_K_S),                 DOWN,     FIRST_EIGHTH, KW_Q5_K },
    { IN(IQ4_NL) | IN(IQ4_XS),    DOWN,     BLIND_EIGHTH, KW_Q5_K },
    { IN(Q4_0),                   DOWN,     KNOWN_EIGHTH, KW_Q4_1 },
    { IN(Q5_0),                   DOWN,     KNOWN_EIGHTH, KW_Q5_1 },
    { IN(Q2_K) | IN(Q3_K_S) | IN(Q3_K_M) | IN(IQ4_NL) | IN(IQ4_XS) | IN(Q4_K_S) | IN(Q4_K_M), ATTN_OUT, EIGHT, KW_Q5_K },
    { IN(Q2_K),                   ATTN_OUT, ALWAYS,       KW_Q3_K },
    { IN(Q3_K_M),                 ATTN_OUT, ALWAYS,       KW_Q4_K },
    { IN(Q3_K_L),                 ATTN_OUT, ALWAYS,       KW_Q5_K },
};
/* Falcon's, in place of those above for the same role. */
static const rule falcon_rules[] = {
    { IN(Q3_K_M),                 DOWN,     FIRST_16TH,   KW_Q5_K },
    { IN(Q3_K_M),                 DOWN,     MORE,         KW_Q4_K },
    { IN(Q3_K_L),                 DOWN,     ALWAYS,       KW_Q4_K },
    { IN(Q4_K_M),                 DOWN,     FIRST_16TH,   KW_Q6_K },
    { IN(Q4_K_M),                 DOWN,     MORE,         KW_Q5_K },
    { IN(Q5_K_M),                 DOWN,     MORE,         KW_Q6_K },
    { IN(Q2_K),                   DOWN,     ALWAYS,       KW_Q3_K },
    { IN(Q3_K_L),                 ATTN_OUT, ALWAYS,       KW_Q4_K },
};
/* clang-format on */

static kw_dtype by_rules(const kw_recipe *mix, const kw_recipe_facts *f, role r, int il)
{
    bool own = f->is_falcon && (r == DOWN || r == ATTN_OUT);
    const rule *at = own ? falcon_rules : rules,
               *end = own ? falcon_rules + sizeof falcon_rules / sizeof *falcon_rules
                          : rules + sizeof rules / sizeof *rules;
    while (at < end &&
           !((at->mixes & IN(mix - mixes)) && at->role == r && applies(at->when, f, il)))
        at++;
    kw_dtype to = at < end ? at->dtype : mix->dtype;
    bool is_70b = f->n_layers == 80 && f->n_heads != f->n_kv_heads && r == V;
    return is_70b && (to == KW_Q3_K || to == KW_Q4_K) ? KW_Q5_K : to;
}

kw_dtype kw_recipe_fit(kw_dtype t, int64_t cols)
{
    static const kw_dtype smaller[KW_DTYPE_COUNT] = {
        [KW_Q2_K] = KW_Q4_0, [KW_Q3_K] = KW_Q4_0, [KW_Q4_K] = KW_Q5_0,
        [KW_Q5_K] = KW_Q5_1, [KW_Q6_K] = KW_Q8_0, [KW_IQ4_XS] = KW_IQ4_NL,
    };
    if (cols % kw_dtype_get(t)->block && smaller[t]) t = smaller[t];
    return cols % kw_dtype_get(t)->block ? KW_F16 : t;
}

kw_dtype kw_recipe_choose(const kw_recipe *mix, const kw_recipe_facts *f, const kw_named_tensor *t,
                          bool *is_fallback)
{
    role r = role_of(t->name);
    int64_t cols = kw_tensor_cols(&t->tensor);
    kw_dtype want = mix->dtype;
    *is_fallback = false;
    if (is_kept(t)) return t->tensor.dtype;
    if (kw_dtype_get(want)->block == 1) return want;
    if (r == OUTPUT || (r == EMBEDDING && !f->has_output)) {
        bool fits = cols % kw_dtype_get(want)->block == 0;
        want = f->is_falcon || !fits || want == KW_Q8_0 ? KW_Q8_0 : KW_Q6_K;
    } else want = by_rules(mix, f, r, layer_of(t->name));
    kw_dtype to = kw_recipe_fit(want, cols);
    *is_fallback = to != want;
    return to;
}

/* ---- the model ---- */

static int number(const kw_checkpoint *ck, kw_str arch, const char *key)
{
    const kw_meta *m = kw_meta_of_arch(ck, arch, key);
    double v = 0;
    if (m && m->type == KW_META_INT) v = (double)m->integer;
    if (m && m->type == KW_META_ARRAY) {
        kw_meta_walk w = kw_meta_items(m);
        kw_meta_next_number(&w, &v, NULL);
    }
    return v > 0 && v < 1e6 ? (int)v : 0;
}

static void ask_metadata(const kw_checkpoint *ck, kw_recipe_facts *f)
{
    const kw_meta *arch = kw_checkpoint_meta(ck, "general.architecture");
    kw_str name = arch && arch->type == KW_META_STRING ? arch->string : KW_STR("");
    f->n_layers = number(ck, name, "block_count");
    f->n_heads = number(ck, name, "attention.head_count");
    f->n_kv_heads = number(ck, name, "attention.head_count_kv");
    f->n_experts = number(ck, name, "expert_count");
    f->is_falcon = kw_str_is(name, "falcon");
}

void kw_recipe_ask(const kw_convert_job *input, kw_recipe_facts *f)
{
    if (input->renames) {
        f->n_layers = input->m->shape.n_layers;
        f->n_heads = input->m->shape.n_heads;
        f->n_kv_heads = input->m->shape.n_kv_heads;
        f->is_falcon = !strcmp(input->arch->gguf, "falcon");
    } else ask_metadata(input->m->ck, f);
    for (size_t i = 0; i < input->n; i++) {
        const kw_named_tensor *t = &input->items[i].out;
        f->has_output = f->has_output || kw_str_is(t->name, "output.weight");
        if (input->renames && t->tensor.rank == 3) f->n_experts = (int)t->tensor.shape[0];
    }
    if (!f->n_kv_heads) f->n_kv_heads = f->n_heads;
}

bool kw_glob(const char *p, kw_str name)
{
    const char *star = NULL;
    size_t i = 0, from = 0;
    while (i < name.n) {
        if (*p == '*') {
            star = ++p;
            from = i;
        } else if (*p && (*p == '?' || *p == name.p[i])) {
            p++;
            i++;
        } else if (star) {
            p = star;
            i = ++from;
        } else return false;
    }
    while (*p == '*') p++;
    return *p == 0;
}
