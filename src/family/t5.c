/* t5.c - T5 1.0, T5 1.1 with Flan-T5, MADLAD and UL2: an encoder that reads the whole text, and a decoder that looks at what
 * it made of it. T5EncoderModel (the text encoder of FLUX and SD3) is the first half alone.
 *
 * Pre-norm blocks with RMS norms and no biases. Scores are not divided by sqrt(d): instead each head adds a number for the
 * distance from query to key, learned for 32 buckets of distances, of each stack's first layer and used in all of them. The
 * encoder spends half of the buckets on each direction, the decoder all on what lies behind. The buckets become a table of
 * distances when the model is loaded. Attention to the encoder adds nothing; old files have numbers for it all the same.
 *
 * Version 1.0 has a plain network with relu and the embedding as head, to which x * d^-0.5 is given; later versions have a
 * gated one and a head of their own. GGUF files say neither: a file without gates is 1.0, one with its own head is later.
 *
 * Source: transformers modeling_t5 for the order of operations; "attention.relative_buckets_count" as llama.cpp writes it. */
#include "family/tables.h"
#include <math.h>
#include <string.h>

typedef struct config {
    int dim, ffn, n_encoder, n_decoder, n_heads, head_dim, n_vocab, ctx;
    int n_buckets, most, inner, one, start, pad, gguf_layers;
    double eps;
    bool scales; /* what the head sees by d^-0.5; older files say so by a tied head */
    char activation[KW_WORD_MAX];
} config;

typedef struct layer {
    kw_weight_ref attn_norm, q, k, v, o;
    kw_weight_ref cross_norm, cross_q, cross_k, cross_v, cross_o; /* of decoders */
    kw_weight_ref ffn_norm, gate, up, down;
    kw_weight_ref distances; /* [heads, 2D + 1] or [heads, D]: its stack's */
} layer;

typedef struct weights {
    kw_weight_ref embed, encoder_norm, encoder_buckets, norm, buckets, head;
    layer *encoder, *decoder;
} weights;

/* clang-format off */
static const kw_field fields[] = {
    F(dim,         INT,   true,  0,    "d_model",               "embedding_length"),
    F(ffn,         INT,   true,  0,    "d_ff",                  "feed_forward_length"),
    F(n_encoder,   INT,   true,  0,    "num_layers",            "block_count"),
    F(n_decoder,   INT,   false, 0,    "num_decoder_layers",    "decoder_block_count"),
    F(n_heads,     INT,   true,  0,    "num_heads",             "attention.head_count"),
    F(head_dim,    INT,   true,  0,    "d_kv",                  "attention.key_length"),
    F(n_vocab,     INT,   false, 0,    "vocab_size",            "vocab_size"),
    F(ctx,         INT,   false, 512,  "n_positions",           "context_length"),
    F(n_buckets,   INT,   false, 32,   "relative_attention_num_buckets", "attention.relative_buckets_count"),
    F(most,        INT,   false, 128,  "relative_attention_max_distance", NULL),
    F(eps,         FLOAT, false, 1e-6, "layer_norm_epsilon",    "attention.layer_norm_epsilon"),
    F(scales,      BOOL,  false, 1,    "scale_decoder_outputs|tie_word_embeddings", NULL),
    F(activation,  WORD,  false, 0,    "feed_forward_proj",     NULL),
    F(start,       INT,   false, -1,   "decoder_start_token_id", "decoder_start_token_id"),
    F(pad,         INT,   false, 0,    "pad_token_id",          NULL),
    F(gguf_layers, INT,   false, 0,    NULL,                    "block_count"),
    { .at = KW_TABLE_END },
};

#define L(m, flags, hf, gguf, d0, d1) { offsetof(layer, m), (flags) | KW_W_LAYER, hf, gguf, { C(d0), C(d1) } }
#define BUCKETS(stack) stack ".block.0.layer.0.SelfAttention.relative_attention_bias.weight"
#define SELF(s, g) \
    L(attn_norm, VECTOR, s ".block.%d.layer.0.layer_norm.weight",      g ".blk.%d.attn_norm.weight", one, dim), \
    L(q, 0,              s ".block.%d.layer.0.SelfAttention.q.weight", g ".blk.%d.attn_q.weight", inner, dim), \
    L(k, 0,              s ".block.%d.layer.0.SelfAttention.k.weight", g ".blk.%d.attn_k.weight", inner, dim), \
    L(v, 0,              s ".block.%d.layer.0.SelfAttention.v.weight", g ".blk.%d.attn_v.weight", inner, dim), \
    L(o, 0,              s ".block.%d.layer.0.SelfAttention.o.weight", g ".blk.%d.attn_o.weight", dim, inner)
#define FFN(s, g) \
    L(ffn_norm, VECTOR,     s ".layer_norm.weight",          g ".blk.%d.ffn_norm.weight", one, dim), \
    L(gate, KW_W_OPTIONAL,  s ".DenseReluDense.wi_0.weight", g ".blk.%d.ffn_gate.weight", ffn, dim), \
    L(up, 0,                s ".DenseReluDense.wi_1.weight|" s ".DenseReluDense.wi.weight", g ".blk.%d.ffn_up.weight", ffn, dim), \
    L(down, 0,              s ".DenseReluDense.wo.weight",   g ".blk.%d.ffn_down.weight", dim, ffn)
#define CROSS "decoder.block.%d.layer.1."
#define EMBED T(embed, KW_W_TABLE, "shared.weight|encoder.embed_tokens.weight|decoder.embed_tokens.weight", \
                "token_embd.weight", n_vocab, dim)
#define VECTOR KW_W_F32
static const kw_weight_row encoder_rows[] = {
    EMBED,
    T(encoder_norm,    VECTOR,     "encoder.final_layer_norm.weight", "enc.output_norm.weight",      one,       dim),
    T(encoder_buckets, KW_W_TABLE, BUCKETS("encoder"),                "enc.blk.0.attn_rel_b.weight", n_buckets, n_heads),
    SELF("encoder", "enc"),
    FFN("encoder.block.%d.layer.1", "enc"),
    { .at = KW_TABLE_END },
};
static const kw_weight_row decoder_rows[] = {
    EMBED,
    T(norm,    VECTOR,     "decoder.final_layer_norm.weight", "dec.output_norm.weight",      one,       dim),
    T(buckets, KW_W_TABLE, BUCKETS("decoder"),                "dec.blk.0.attn_rel_b.weight", n_buckets, n_heads),
    T(head,    KW_W_TIED,  "lm_head.weight",                  "output.weight",               n_vocab,   dim),
    SELF("decoder", "dec"),
    L(cross_norm, VECTOR,  CROSS "layer_norm.weight",         "dec.blk.%d.cross_attn_norm.weight", one, dim),
    L(cross_q, 0,          CROSS "EncDecAttention.q.weight",  "dec.blk.%d.cross_attn_q.weight", inner, dim),
    L(cross_k, 0,          CROSS "EncDecAttention.k.weight",  "dec.blk.%d.cross_attn_k.weight", inner, dim),
    L(cross_v, 0,          CROSS "EncDecAttention.v.weight",  "dec.blk.%d.cross_attn_v.weight", inner, dim),
    L(cross_o, 0,          CROSS "EncDecAttention.o.weight",  "dec.blk.%d.cross_attn_o.weight", dim, inner),
    FFN("decoder.block.%d.layer.2", "dec"),
    { .at = KW_TABLE_END },
};

static const kw_arch archs[] = {
    { "t5",  "t5", "T5ForConditionalGeneration",  false },
    { "mt5", NULL, "MT5ForConditionalGeneration", false },
    { NULL, NULL, NULL, false },
};
static const kw_arch encoder_archs[] = {
    { NULL, "t5encoder", "T5EncoderModel", false },
    { NULL, NULL, NULL, false },
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

/* GGUF files do not name it. */
static int activation_of(const config *c, bool has_gate)
{
    for (int i = 0; i < N_ACTIVATIONS; i++)
        if (strcmp(c->activation, activations[i].name) == 0) return i;
    return has_gate;
}

static kw_status check(void *config_, bool interleaved)
{
    config *c = config_;
    (void)interleaved;
    if (c->n_decoder == 0) c->n_decoder = c->n_encoder;
    if (c->start < 0) c->start = c->pad;
    const kw_size sizes[] = {
        { "width", c->dim, 1 << 20 },
        { "feed-forward width", c->ffn, 1 << 22 },
        { "layers of the encoder", c->n_encoder, 4096 },
        { "layers of the decoder", c->n_decoder, 4096 },
        { "heads", c->n_heads, 1024 },
        { "width of a head", c->head_dim, 16384 },
        { "context", c->ctx, 1 << 30 },
        { "buckets of distances", c->n_buckets, 4096 },
        { "longest distance with a bucket", c->most, 16384 },
    };
    kw_status st = kw_check_sizes(sizes, sizeof sizes / sizeof *sizes);
    if (st) return st;
    if (c->n_buckets < 4 || c->most <= c->n_buckets / 2)
        return kw_fail(KW_EFORMAT,
                       "%d buckets for distances up to %d: expected 4 or more, and more "
                       "distances than half of them",
                       c->n_buckets, c->most);
    if (c->activation[0] && strcmp(activations[activation_of(c, false)].name, c->activation) != 0)
        return kw_fail(KW_EUNSUPPORTED,
                       "feed-forward network \"%s\" in a T5\nwhy: known are relu, "
                       "gated-gelu, gated-silu",
                       c->activation);
    if (!(c->eps >= 0)) return kw_fail(KW_EFORMAT, "epsilon of the norms is %g", c->eps);
    c->inner = c->n_heads * c->head_dim;
    c->one = 1;
    return KW_OK;
}

static kw_decoder_shape encoder_shape(const void *config_)
{
    const config *c = config_;
    return (kw_decoder_shape){
        .n_layers = c->n_encoder,
        .dim = c->dim,
        .n_heads = c->n_heads,
        .n_kv_heads = c->n_heads,
        .head_dim = c->head_dim,
        .ffn_dim = c->ffn,
        .n_vocab = c->n_vocab,
        .ctx_train = c->ctx,
    };
}

static kw_decoder_shape shape(const void *config_)
{
    const config *c = config_;
    kw_decoder_shape s = encoder_shape(c);
    s.n_layers = c->n_decoder;
    s.n_encoder_layers = c->n_encoder;
    s.start_id = c->start;
    s.pad_id = c->pad;
    return s;
}

/* ---- distances ---- */

/* The bucket of a key that lies `ahead` of its query (behind: less than 0). */
static int bucket_of(const config *c, bool is_encoder, int ahead)
{
    int n = c->n_buckets / 2, distance = ahead < 0 ? -ahead : ahead;
    if (!is_encoder) return kw_distance_bucket(distance, c->n_buckets, c->most);
    return (ahead > 0 ? n : 0) + kw_distance_bucket(distance, n, c->most);
}

/* A stack's table [heads, distances] of its [buckets, heads], for all of its layers. */
static kw_status expand(const config *c, kw_weight_ref buckets, bool is_encoder, kw_arena *arena,
                        layer *layers)
{
    int n = is_encoder ? 2 * c->most + 1 : c->most + 1, heads = c->n_heads;
    kw_tensor *t = kw_arena_alloc(arena, 1, sizeof *t);
    float *table = kw_arena_alloc(arena, (size_t)n * (size_t)heads, sizeof *table);
    float *row = kw_arena_alloc(arena, (size_t)heads, sizeof *row);
    if (!t || !table || !row) return KW_ENOMEM;
    for (int i = 0; i < n; i++) {
        int b = bucket_of(c, is_encoder, is_encoder ? i - c->most : -i);
        kw_dtype_get(buckets.t->dtype)->decode(kw_tensor_row(buckets.t, b), row, (size_t)heads);
        for (int h = 0; h < heads; h++) table[(size_t)h * (size_t)n + (size_t)i] = row[h];
    }
    *t = (kw_tensor){ .dtype = KW_F32, .rank = 2, .shape = { heads, n, 1, 1 }, .data = table };
    for (int il = 0; il < (is_encoder ? c->n_encoder : c->n_decoder); il++)
        layers[il].distances = (kw_weight_ref){ t, buckets.name };
    return KW_OK;
}

/* Every layer has a gate, or none has one, as the activation wants it. */
static kw_status check_gates(const config *c, const layer *l, int n)
{
    for (int il = 0; il < n; il++)
        if (!l[il].gate.t != !activations[activation_of(c, l[0].gate.t)].gated)
            return kw_fail(KW_EFORMAT,
                           "layer %d has %s gate in its feed-forward network, \"%s\" wants "
                           "%s",
                           il, l[il].gate.t ? "a" : "no", c->activation,
                           l[il].gate.t ? "none" : "one");
    return KW_OK;
}

static kw_status derive_encoder(const void *config_, void *weights_, kw_arena *arena)
{
    const config *c = config_;
    weights *w = weights_;
    kw_status st = check_gates(c, w->encoder, c->n_encoder);
    return st ? st : expand(c, w->encoder_buckets, true, arena, w->encoder);
}

static kw_status derive(const void *config_, void *weights_, kw_arena *arena)
{
    const config *c = config_;
    weights *w = weights_;
    kw_status st = check_gates(c, w->decoder, c->n_decoder);
    if (!st && (c->start < 0 || c->start >= c->n_vocab))
        st = kw_fail(KW_EFORMAT, "the decoder starts with id %d, the vocabulary has %d", c->start,
                     c->n_vocab);
    if (!st) st = derive_encoder(c, w, arena);
    return st ? st : expand(c, w->buckets, false, arena, w->decoder);
}

/* ---- the mathematics ---- */

static kw_val enter(kw_plan *p, const void *config_, const void *weights_,
                    const kw_decoder_inputs *in)
{
    (void)config_;
    const weights *w = weights_;
    return kw_embed(p, in->ids, kw_bind(p, w->embed));
}

static kw_val norm(kw_plan *p, const config *c, kw_val x, kw_weight_ref w)
{
    return kw_rms_norm(p, x, kw_bind(p, w), (float)c->eps);
}

static kw_attend_args heads(const config *c, int il)
{
    return (kw_attend_args){ .layer = il,
                             .n_heads = c->n_heads,
                             .n_kv_heads = c->n_heads,
                             .head_dim = c->head_dim,
                             .scale = 1 };
}

/* Each part of a layer returns the stream x with its result added. */
static kw_val attention(kw_plan *p, const config *c, const layer *w, int il, kw_val x, kw_val rows)
{
    kw_val h = norm(p, c, x, w->attn_norm);
    kw_val q = kw_linear(p, h, kw_bind(p, w->q), KW_NONE),
           k = kw_linear(p, h, kw_bind(p, w->k), KW_NONE);
    kw_val v = kw_linear(p, h, kw_bind(p, w->v), KW_NONE);
    kw_attend_args a = heads(c, il);
    a.bias = kw_bind(p, w->distances);
    h = w->cross_q.t ? kw_attend(p, q, k, v, rows, a) : kw_attend_all(p, q, k, v, rows, a);
    return kw_linear_onto(p, h, kw_bind(p, w->o), KW_NONE, x);
}

/* Attention to the memory: k and v of the encoder's result, made once a text. */
static kw_val cross(kw_plan *p, const config *c, const layer *w, int il, kw_val x,
                    const kw_decoder_inputs *in)
{
    kw_attend_args a = heads(c, il);
    a.k_rows = in->memory_rows;
    kw_val q = kw_linear(p, norm(p, c, x, w->cross_norm), kw_bind(p, w->cross_q), KW_NONE);
    kw_val o = kw_attend_all(p, q, in->memory[0], in->memory[1], in->memory_of, a);
    return kw_linear_onto(p, o, kw_bind(p, w->cross_o), KW_NONE, x);
}

static kw_val feed_forward(kw_plan *p, const config *c, const layer *w, kw_val x)
{
    int act = activation_of(c, w->gate.t);
    kw_val h = norm(p, c, x, w->ffn_norm), gate = KW_NONE;
    if (w->gate.t) gate = kw_linear(p, h, kw_bind(p, w->gate), KW_NONE);
    kw_val up = kw_linear(p, h, kw_bind(p, w->up), KW_NONE);
    h = w->gate.t ? activations[act].gated(p, gate, up) : activations[act].plain(p, up);
    return kw_linear_onto(p, h, kw_bind(p, w->down), KW_NONE, x);
}

/* A layer of either stack: only the decoder's has the middle part. */
static kw_val block(kw_plan *p, const void *config_, const void *layer_, int il, kw_val x,
                    kw_val shared, const kw_decoder_inputs *in)
{
    const layer *w = layer_;
    (void)shared;
    x = attention(p, config_, w, il, x, in->rows);
    if (w->cross_q.t) x = cross(p, config_, w, il, x, in);
    return feed_forward(p, config_, w, x);
}

static void memory(kw_plan *p, const void *layer_, kw_val encoded, kw_val kv[2])
{
    const layer *w = layer_;
    kv[0] = kw_linear(p, encoded, kw_bind(p, w->cross_k), KW_NONE);
    kv[1] = kw_linear(p, encoded, kw_bind(p, w->cross_v), KW_NONE);
}

static kw_val leave_encoder(kw_plan *p, const void *config_, const void *weights_, kw_val x)
{
    const weights *w = weights_;
    return norm(p, config_, x, w->encoder_norm);
}

static kw_val leave(kw_plan *p, const void *config_, const void *weights_, kw_val x)
{
    const weights *w = weights_;
    return norm(p, config_, x, w->norm);
}

static kw_val head(kw_plan *p, const void *config_, const void *weights_, kw_val x)
{
    const config *c = config_;
    const weights *w = weights_;
    bool scales = c->gguf_layers ? w->head.t == w->embed.t : c->scales;
    if (scales) x = kw_scale(p, x, 1.0f / sqrtf((float)c->dim));
    return kw_linear(p, x, kw_bind(p, w->head), KW_NONE);
}

const kw_family kw_family_t5_encoder = {
    .name = "t5",
    .is_encoder = true,
    .archs = encoder_archs,
    KW_LAYOUT(encoder, n_encoder),
    .fields = fields,
    .weights = encoder_rows,
    .check = check,
    .derive = derive_encoder,
    .shape = encoder_shape,
    .enter = enter,
    .begin = kw_begin_nothing,
    .block = block,
    .leave = leave_encoder,
};

const kw_family kw_family_t5 = {
    .name = "t5",
    .archs = archs,
    KW_LAYOUT(decoder, n_decoder),
    .encoder = &kw_family_t5_encoder,
    .fields = fields,
    .weights = decoder_rows,
    .check = check,
    .derive = derive,
    .shape = shape,
    .enter = enter,
    .begin = kw_begin_nothing,
    .block = block,
    .leave = leave,
    .head = head,
    .memory = memory,
};
