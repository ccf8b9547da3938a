/* t5_encoder.c - the encoder of a T5: the first half of t5.c's, and alone the T5EncoderModel that FLUX and SD3 read texts with.
 *
 * Pre-norm blocks with RMS norms and no biases. Scores are not divided by sqrt(d): instead each head adds a number for the
 * distance from query to key, learned for 32 buckets of distances, of each stack's first layer and used in all of them. The
 * encoder spends half of the buckets on each direction, the decoder all on what lies behind. The buckets become a table of
 * distances when the model is loaded.
 *
 * Version 1.0 has a plain network with relu, later ones a gated one. GGUF files do not name it: one without gates is 1.0.
 *
 * Source: transformers modeling_t5 for the order of operations; "attention.relative_buckets_count" as llama.cpp writes it. */
#include "family/t5.h"
#include <string.h>

/* clang-format off */
const kw_field kw_t5_fields[] = {
    F(dim,        INT,   true,  0,    "d_model",               "embedding_length"),
    F(ffn_dim,    INT,   true,  0,    "d_ff",                  "feed_forward_length"),
    OWN(n_encoder, INT,  true,  0,    "num_layers",            "block_count"),
    F(n_heads,    INT,   true,  0,    "num_heads",             "attention.head_count"),
    F(head_dim,   INT,   true,  0,    "d_kv",                  "attention.key_length"),
    F(n_vocab,    INT,   false, 0,    "vocab_size",            "vocab_size"),
    F(ctx_train,  INT,   false, 512,  "n_positions",           "context_length"),
    F(eps,        FLOAT, false, 1e-6, "layer_norm_epsilon",    "attention.layer_norm_epsilon"),
    OWN(rms_eps,  FLOAT, false, 0,    NULL,                    "attention.layer_norm_rms_epsilon"),
    F(activation, WORD,  false, 0,    "feed_forward_proj",     NULL),
    OWN(n_buckets, INT,  false, 32,   "relative_attention_num_buckets", "attention.relative_buckets_count"),
    OWN(most,     INT,   false, 128,  "relative_attention_max_distance", NULL),
    END,
};

static const kw_weight_row rows[] = {
    T5_EMBED,
    T5_T(encoder_norm,    VECTOR,     "encoder.final_layer_norm.weight", "enc.output_norm.weight", C(one), C(dim)),
    T5_T(encoder_buckets, KW_W_TABLE, T5_BUCKETS("encoder"),             "enc.blk.0.attn_rel_b.weight",
         offsetof(config, n_buckets), C(n_heads)),
    T5_ATTENTION("encoder.block.%d.layer.0", "enc.blk.%d"),
    T5_FFN("encoder.block.%d.layer.1", "enc.blk.%d"),
    END,
};

static const kw_arch archs[] = {
    { NULL, "t5encoder", "T5EncoderModel", false, NULL },
    { 0 },
};

/* What stands between the two products of the feed-forward network. */
static const struct {
    const char *name;
    kw_val (*plain)(kw_plan *p, kw_val x);
    kw_val (*gated)(kw_plan *p, kw_val gate, kw_val up);
} activations[] = {
    { "relu",       kw_relu, NULL },
    { "gated-gelu", NULL,    kw_geglu },
    { "gated-silu", NULL,    kw_swiglu },
};
/* clang-format on */
enum { N_ACTIVATIONS = sizeof activations / sizeof *activations };

static int activation_of(const kw_config *c, bool has_gate)
{
    for (int i = 0; i < N_ACTIVATIONS; i++)
        if (strcmp(c->activation, activations[i].name) == 0) return i;
    return has_gate;
}

kw_status kw_t5_check(kw_config *c)
{
    config *own = (config *)c;
    if (own->rms_eps == 0) own->rms_eps = c->eps;
    const kw_size sizes[] = {
        { "layers of the encoder", own->n_encoder, 4096 },
        { "layers of the decoder", c->n_layers, 4096 },
        { "heads", c->n_heads, 1024 },
        { "width of a head", c->head_dim, 16384 },
        { "buckets of distances", own->n_buckets, 4096 },
        { "longest distance with a bucket", own->most, 16384 },
    };
    kw_status st = kw_check_sizes(sizes, sizeof sizes / sizeof *sizes);
    if (!st) st = kw_check_config(c);
    if (!st)
        st = kw_check_word("feed-forward network", c->activation, "relu, gated-gelu, gated-silu");
    if (!st && (own->n_buckets < 4 || own->most <= own->n_buckets / 2))
        return kw_fail(KW_EFORMAT,
                       "%d buckets for distances up to %d: expected 4 or more, and more "
                       "distances than half of them",
                       own->n_buckets, own->most);
    return st;
}

static kw_status check(kw_config *c)
{
    c->n_layers = ((const config *)c)->n_encoder;
    return kw_t5_check(c);
}

/* ---- distances ---- */

/* The bucket of a key that lies `ahead` of its query (behind: less than 0). */
static int bucket_of(const config *own, bool is_encoder, int ahead)
{
    int n = own->n_buckets / 2, distance = ahead < 0 ? -ahead : ahead;
    if (!is_encoder) return kw_distance_bucket(distance, own->n_buckets, own->most);
    return (ahead > 0 ? n : 0) + kw_distance_bucket(distance, n, own->most);
}

/* A stack's table [heads, distances] of its [buckets, heads]; NULL: no memory. */
static const kw_tensor *expand(const kw_config *c, kw_weight_ref buckets, bool is_encoder,
                               kw_arena *arena)
{
    const config *own = (const config *)c;
    int n = is_encoder ? 2 * own->most + 1 : own->most + 1, heads = c->n_heads;
    kw_tensor *t = kw_arena_alloc(arena, 1, sizeof *t);
    float *table = kw_arena_alloc(arena, (size_t)n * (size_t)heads, sizeof *table);
    float *row = kw_arena_alloc(arena, (size_t)heads, sizeof *row);
    if (!t || !table || !row) return NULL;
    for (int i = 0; i < n; i++) {
        int b = bucket_of(own, is_encoder, is_encoder ? i - own->most : -i);
        kw_dtype_get(buckets.t->dtype)->decode(kw_tensor_row(buckets.t, b), row, (size_t)heads);
        for (int h = 0; h < heads; h++) table[(size_t)h * (size_t)n + (size_t)i] = row[h];
    }
    *t = (kw_tensor){ .dtype = KW_F32, .rank = 2, .shape = { heads, n, 1, 1 }, .data = table };
    return t;
}

kw_status kw_t5_derive_stack(const kw_config *c, kw_weight_ref buckets, bool is_encoder,
                             kw_arena *arena, layer *layers)
{
    int n = is_encoder ? ((const config *)c)->n_encoder : c->n_layers;
    bool has_gates = layers[0].base.gate.t, wants = activations[activation_of(c, has_gates)].gated;
    const kw_tensor *table = expand(c, buckets, is_encoder, arena);
    if (!table) return KW_ENOMEM;
    for (int il = 0; il < n; il++) {
        bool has_gate = layers[il].base.gate.t;
        layers[il].distances = (kw_weight_ref){ table, buckets.name };
        if (has_gate != wants)
            return kw_fail(KW_EFORMAT,
                           "layer %d has %s gate in its feed-forward network, \"%s\" wants "
                           "%s",
                           il, has_gate ? "a" : "no", c->activation, has_gate ? "none" : "one");
    }
    return KW_OK;
}

kw_status kw_t5_derive_encoder(const kw_config *c, kw_weights *w_, kw_arena *arena)
{
    weights *w = (weights *)w_;
    return kw_t5_derive_stack(c, w->encoder_buckets, true, arena, w->encoder);
}

/* ---- the mathematics ---- */

kw_attend_args kw_t5_heads(const kw_config *c, int il)
{
    kw_attend_args heads = kw_heads(c, il);
    heads.scale = 1;
    return heads;
}

kw_val kw_t5_attention(kw_plan *p, const kw_config *c, const layer *w, int il, kw_val x,
                       kw_val places)
{
    kw_val h = kw_rms_norm(p, x, kw_bind(p, w->base.attn_norm), (float)c->eps);
    kw_val q = kw_linear(p, h, kw_bind(p, w->base.q), KW_NONE);
    kw_val k = kw_linear(p, h, kw_bind(p, w->base.k), KW_NONE);
    kw_val v = kw_linear(p, h, kw_bind(p, w->base.v), KW_NONE);
    kw_attend_args heads = kw_t5_heads(c, il);
    heads.bias = kw_bind(p, w->distances);
    h = w->cross_q.t ? kw_attend(p, q, k, v, places, heads)
                     : kw_attend_all(p, q, k, v, places, heads);
    return kw_linear_onto(p, h, kw_bind(p, w->base.o), KW_NONE, x);
}

kw_val kw_t5_ffn(kw_plan *p, const kw_config *c, const kw_layer *w, kw_val x)
{
    int act = activation_of(c, w->gate.t);
    kw_val h = kw_rms_norm(p, x, kw_bind(p, w->ffn_norm), (float)c->eps), gate = KW_NONE;
    if (w->gate.t) gate = kw_linear(p, h, kw_bind(p, w->gate), KW_NONE);
    kw_val up = kw_linear(p, h, kw_bind(p, w->up), KW_NONE);
    h = w->gate.t ? activations[act].gated(p, gate, up) : activations[act].plain(p, up);
    return kw_linear_onto(p, h, kw_bind(p, w->down), KW_NONE, x);
}

static kw_val block(kw_plan *p, const kw_config *c, const kw_layer *w, int il, kw_val x,
                    kw_val table, const kw_decoder_inputs *in)
{
    (void)table;
    x = kw_t5_attention(p, c, (const layer *)w, il, x, in->rows);
    return kw_t5_ffn(p, c, w, x);
}

static kw_val leave(kw_plan *p, const kw_config *c, const kw_weights *w, kw_val x)
{
    const weights *own = (const weights *)w;
    return kw_rms_norm(p, x, kw_bind(p, own->encoder_norm), (float)c->eps);
}

const kw_family kw_family_t5_encoder = {
    .name = "t5_encoder",
    .is_encoder = true,
    .archs = archs,
    KW_SIZES(config, layer, weights),
    .layers_at = offsetof(weights, encoder),
    .n_layers_at = offsetof(config, n_encoder),
    .fields = { kw_t5_fields },
    .weights = { rows },
    .check = check,
    .derive = kw_t5_derive_encoder,
    .enter = kw_enter_ids,
    .block = block,
    .leave = leave,
};
