/* t5_encoder.c - the encoder of a T5: the first half of t5.c's, and alone the T5EncoderModel that FLUX and SD3 read texts with.
 *
 * Pre-norm blocks with RMS norms and no biases. Scores are not divided by sqrt(d): instead each head adds a number for the
 * distance from query to key, learned for 32 buckets of distances (distances.c), which a stack's first layer has for all of
 * them; those of umT5 have each its own.
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
    OWN(n_encoder, INT, true,  0,    "num_layers",            "block_count"),
    F(n_heads,    INT,   true,  0,    "num_heads",             "attention.head_count"),
    F(head_dim,   INT,   true,  0,    "d_kv",                  "attention.key_length"),
    F(n_vocab,    INT,   false, 0,    "vocab_size",            "vocab_size"),
    F(ctx_train,  INT,   false, 512,  "n_positions",           "context_length"),
    F(eps,        FLOAT, false, 1e-6, "layer_norm_epsilon",    "attention.layer_norm_epsilon"),
    OWN(rms_eps,  FLOAT, false, 0,    NULL,                    "attention.layer_norm_rms_epsilon"),
    F(activation, WORD,  false, 0,    "feed_forward_proj",     NULL),
    F(n_buckets,  INT,   false, 32,   "relative_attention_num_buckets", "attention.relative_buckets_count"),
    OWN(most,     INT,   false, 128,  "relative_attention_max_distance", NULL),
    END,
};

static const kw_weight_row rows[] = {
    T5_EMBED,
    { offsetof(weights, encoder_norm), { C(one), C(dim) }, VECTOR, "encoder.final_layer_norm.weight", "enc.output_norm.weight" },
    T5_ATTENTION("encoder.block.%d.layer.0", "enc.blk.%d"),
    T5_FFN("encoder.block.%d.layer.1", "enc.blk.%d"),
    END,
};

static const kw_arch archs[] = {
    { NULL, "t5encoder", "T5EncoderModel",   false, NULL },
    { NULL, "t5encoder", "MT5EncoderModel",  false, NULL },
    { NULL, "t5encoder", "UMT5EncoderModel", false, NULL },
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
    };
    kw_status st = kw_check_sizes(sizes, sizeof sizes / sizeof *sizes);
    if (!st) st = kw_check_config(c);
    if (!st)
        st = kw_check_word("feed-forward network", c->activation, "relu, gated-gelu, gated-silu");
    if (!st) st = kw_check_distances((kw_distances){ c->n_buckets, own->most, false });
    return st;
}

static kw_status check(kw_config *c)
{
    c->n_layers = ((const config *)c)->n_encoder;
    return kw_t5_check(c);
}

kw_status kw_t5_derive_stack(const kw_config *c, layer *layers, bool is_encoder, kw_arena *arena)
{
    const config *own = (const config *)c;
    const kw_distances distances = { c->n_buckets, own->most, is_encoder };
    bool wants = activations[activation_of(c, layers[0].base.gate.t)].gated;
    for (int il = 0; il < (is_encoder ? own->n_encoder : c->n_layers); il++) {
        bool has_gate = layers[il].base.gate.t;
        if (has_gate != wants)
            return kw_fail(KW_EFORMAT,
                           "layer %d has %s gate in its feed-forward network, \"%s\" wants "
                           "%s",
                           il, has_gate ? "a" : "no", c->activation, has_gate ? "none" : "one");
        kw_status st = kw_derive_distances(distances, &layers[il].base,
                                           il ? &layers[il - 1].base : NULL, arena);
        if (st) return st;
    }
    return KW_OK;
}

kw_status kw_t5_derive_encoder(const kw_config *c, kw_weights *w, kw_arena *arena)
{
    return kw_t5_derive_stack(c, ((const weights *)w)->encoder, true, arena);
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
    heads.bias = kw_bind(p, w->base.distances);
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
