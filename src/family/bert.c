/* bert.c - BERT, RoBERTa, XLM-RoBERTa, DistilBERT, and the sentence encoders and cross-encoders made of them.
 *
 * An encoder: every position sees all of its text, so there is no cache and nothing to generate. The embedding is the sum of the
 * token's, its position's and its segment's, normalised; a layer is attention, then a feed-forward network with GELU, and each
 * is added to what it read and normalised *afterwards*.
 *
 * RoBERTa's positions begin behind its padding id: the rows of the table up to there are skipped. GGUF files leave them out.
 * DistilBERT has no segments. What a whole text becomes: tanh of a projection of its first position (the pooler, or the hidden
 * layer of RoBERTa's classifier), and scores of that where the file has a classifier, as rerankers do.
 *
 * Sources: transformers modeling_bert, modeling_xlm_roberta and modeling_distilbert for the order of operations. */
#include "family/tables.h"
#include <math.h>
#include <string.h>

enum { BERT, ROBERTA, XLM_ROBERTA, DISTILBERT }; /* rows of archs */

typedef struct config {
    int member, dim, ffn, n_layers, n_heads, n_vocab, n_positions, n_types, n_labels;
    int one, pad_id, skipped; /* positions that no text has */
    double eps;
    bool is_decoder, cross;
    char activation[KW_WORD_MAX], positions[KW_WORD_MAX];
} config;

typedef struct layer {
    kw_weight_ref q, bq, k, bk, v, bv, o, bo, attn_norm, b_attn_norm, up, b_up, down, b_down, norm,
        b_norm;
} layer;

typedef struct weights {
    kw_weight_ref embed, positions, types, norm, b_norm, pool, b_pool, labels, b_labels;
    layer *layers;
} weights;

/* clang-format off */
static const kw_field fields[] = {
    F(member,      MEMBER, false, 0,     NULL,                            NULL),
    F(dim,         INT,    true,  0,     "hidden_size|dim",               "embedding_length"),
    F(ffn,         INT,    true,  0,     "intermediate_size|hidden_dim",  "feed_forward_length"),
    F(n_layers,    INT,    true,  0,     "num_hidden_layers|n_layers",    "block_count"),
    F(n_heads,     INT,    true,  0,     "num_attention_heads|n_heads",   "attention.head_count"),
    F(n_vocab,     INT,    false, 0,     "vocab_size",                    "vocab_size"),
    F(n_positions, INT,    true,  0,     "max_position_embeddings",       "context_length"),
    F(n_types,     INT,    false, 0,     "type_vocab_size",               NULL),
    F(pad_id,      INT,    false, 1,     "pad_token_id",                  NULL),
    F(eps,         FLOAT,  false, 1e-12, "layer_norm_eps",                "attention.layer_norm_epsilon"),
    F(is_decoder,  BOOL,   false, 0,     "is_decoder",                    "attention.causal"),
    F(cross,       BOOL,   false, 0,     "add_cross_attention",           NULL),
    F(activation,  WORD,   false, 0,     "hidden_act|activation",         NULL),
    F(positions,   WORD,   false, 0,     "position_embedding_type",       NULL),
    { .at = KW_TABLE_END },
};

#define EACH(name) name "|bert." name "|roberta." name "|distilbert." name
#define E(m, flags, hf, gguf, d0, d1) T(m, flags, EACH(hf), gguf, d0, d1)
/* A matrix and its bias, or a norm's two vectors; own: BERT's name, distil: DistilBERT's. */
#define L(m, flags, own, distil, gguf, d0, d1) \
    { offsetof(layer, m), (flags) | KW_W_LAYER, EACH("encoder.layer.%d." own) "|" EACH("transformer.layer.%d." distil), \
      "blk.%d." gguf, { C(d0), C(d1) } }
#define PAIR(m, own, distil, gguf, d0, d1) \
    L(m, 0, own ".weight", distil ".weight", gguf ".weight", d0, d1), \
    L(b##m, KW_W_F32, own ".bias", distil ".bias", gguf ".bias", one, d0)
#define NORM(m, own, distil, gguf) \
    L(m, KW_W_F32, own ".weight", distil ".weight", gguf ".weight", one, dim), \
    L(b_##m, KW_W_F32, own ".bias", distil ".bias", gguf ".bias", one, dim)
#define MAYBE KW_W_OPTIONAL
static const kw_weight_row rows[] = {
    E(embed,     KW_W_TABLE,         "embeddings.word_embeddings.weight",       "token_embd.weight",      n_vocab,     dim),
    E(positions, KW_W_TABLE,         "embeddings.position_embeddings.weight",   "position_embd.weight",   n_positions, dim),
    E(types,     KW_W_TABLE | MAYBE, "embeddings.token_type_embeddings.weight", "token_types.weight",     n_types,     dim),
    E(norm,      KW_W_F32,           "embeddings.LayerNorm.weight",             "token_embd_norm.weight", one,         dim),
    E(b_norm,    KW_W_F32,           "embeddings.LayerNorm.bias",               "token_embd_norm.bias",   one,         dim),
    T(pool,      MAYBE, EACH("pooler.dense.weight") "|classifier.dense.weight", "cls.weight",             dim,         dim),
    T(b_pool,    MAYBE | KW_W_F32, EACH("pooler.dense.bias") "|classifier.dense.bias", "cls.bias",        one,         dim),
    T(labels,    MAYBE,            "classifier.weight|classifier.out_proj.weight",     "cls.output.weight", n_labels, dim),
    T(b_labels,  MAYBE | KW_W_F32, "classifier.bias|classifier.out_proj.bias",         "cls.output.bias",   one,      n_labels),
    PAIR(q, "attention.self.query", "attention.q_lin", "attn_q", dim, dim),
    PAIR(k, "attention.self.key",   "attention.k_lin", "attn_k", dim, dim),
    PAIR(v, "attention.self.value", "attention.v_lin", "attn_v", dim, dim),
    PAIR(o, "attention.output.dense", "attention.out_lin", "attn_output", dim, dim),
    NORM(attn_norm, "attention.output.LayerNorm", "sa_layer_norm", "attn_output_norm"),
    L(up,     0,        "intermediate.dense.weight", "ffn.lin1.weight", "ffn_up.weight",   ffn, dim),
    L(b_up,   KW_W_F32, "intermediate.dense.bias",   "ffn.lin1.bias",   "ffn_up.bias",     one, ffn),
    L(down,   0,        "output.dense.weight",       "ffn.lin2.weight", "ffn_down.weight", dim, ffn),
    L(b_down, KW_W_F32, "output.dense.bias",         "ffn.lin2.bias",   "ffn_down.bias",   one, dim),
    NORM(norm, "output.LayerNorm", "output_layer_norm", "layer_output_norm"),
    { .at = KW_TABLE_END },
};

static const kw_arch archs[] = {
    [BERT]        = { "bert",        "bert", "BertModel",       false },
    [ROBERTA]     = { "roberta",     NULL,   "RobertaModel",    false },
    [XLM_ROBERTA] = { "xlm-roberta", NULL,   "XLMRobertaModel", false },
    [DISTILBERT]  = { "distilbert",  NULL,   "DistilBertModel", false },
    { NULL, NULL, NULL, false },
};
/* clang-format on */

static kw_status check_variant(const config *c)
{
    static const char *const known[] = { "", "gelu", "gelu_new", "gelu_fast", "gelu_pytorch_tanh" };
    size_t i = 0;
    while (i < sizeof known / sizeof *known && strcmp(known[i], c->activation) != 0) i++;
    if (i == sizeof known / sizeof *known)
        return kw_fail(KW_EUNSUPPORTED,
                       "activation \"%s\" in a BERT: known are gelu and its tanh form",
                       c->activation);
    if (*c->positions && strcmp(c->positions, "absolute") != 0)
        return kw_fail(KW_EUNSUPPORTED, "positions \"%s\" in a BERT: known are absolute ones",
                       c->positions);
    if (c->is_decoder || c->cross)
        return kw_fail(KW_EUNSUPPORTED,
                       "a BERT that is used as a decoder: only its encoder is known");
    if (!(c->eps >= 0)) return kw_fail(KW_EFORMAT, "epsilon of the norms is %g", c->eps);
    return KW_OK;
}

static kw_status check(void *config_, bool interleaved)
{
    config *c = config_;
    bool skips = c->member == ROBERTA || c->member == XLM_ROBERTA;
    (void)interleaved;
    const kw_size sizes[] = {
        { "width", c->dim, 1 << 20 },
        { "feed-forward width", c->ffn, 1 << 22 },
        { "layers", c->n_layers, 4096 },
        { "heads", c->n_heads, 65536 },
        { "positions", c->n_positions, 1 << 24 },
    };
    kw_status st = kw_check_sizes(sizes, sizeof sizes / sizeof *sizes);
    if (st) return st;
    if (c->dim % c->n_heads)
        return kw_fail(KW_EFORMAT, "%d heads do not divide width %d", c->n_heads, c->dim);
    c->one = 1;
    if (skips && (c->pad_id < 0 || c->pad_id >= c->n_positions - 1))
        return kw_fail(KW_EFORMAT,
                       "%d positions, of which those up to the padding id %d are unused",
                       c->n_positions, c->pad_id);
    c->skipped = skips ? c->pad_id + 1 : 0;
    return check_variant(c);
}

static kw_decoder_shape shape(const void *config_)
{
    const config *c = config_;
    return (kw_decoder_shape){
        .n_layers = c->n_layers,
        .dim = c->dim,
        .n_heads = c->n_heads,
        .n_kv_heads = c->n_heads,
        .head_dim = c->dim / c->n_heads,
        .ffn_dim = c->ffn,
        .n_vocab = c->n_vocab,
        .ctx_train = c->n_positions - c->skipped,
        .ctx_is_fixed = true,
        .n_types = c->n_types,
        .n_labels = c->n_labels,
        .n_between = c->member == DISTILBERT || c->n_types > 1 ? 1 : 2,
    };
}

static kw_val norm(kw_plan *p, const config *c, kw_val x, kw_weight_ref w, kw_weight_ref bias)
{
    return kw_layer_norm(p, x, kw_bind(p, w), kw_bind(p, bias), (float)c->eps);
}

static kw_val enter(kw_plan *p, const void *config_, const void *weights_,
                    const kw_decoder_inputs *in)
{
    const config *c = config_;
    const weights *w = weights_;
    kw_tensor at = *w->positions.t; /* the rows that texts have */
    at.shape[0] -= c->skipped;
    at.data = (const char *)at.data + (size_t)c->skipped * kw_tensor_row_bytes(&at);
    kw_val x = kw_embed(p, in->ids, kw_bind(p, w->embed));
    if (w->types.t) x = kw_add(p, x, kw_embed(p, in->types, kw_bind(p, w->types)));
    x = kw_add(p, x, kw_embed(p, in->rows, kw_weight(p, w->positions.name, &at)));
    return norm(p, c, x, w->norm, w->b_norm);
}

static kw_val attention(kw_plan *p, const config *c, const layer *w, kw_val x, kw_val rows_in)
{
    int head_dim = c->dim / c->n_heads;
    kw_attend_args attend = {
        .n_heads = c->n_heads,
        .n_kv_heads = c->n_heads,
        .head_dim = head_dim,
        .scale = 1.0f / sqrtf((float)head_dim),
    };
    kw_val q = kw_linear(p, x, kw_bind(p, w->q), kw_bind(p, w->bq));
    kw_val k = kw_linear(p, x, kw_bind(p, w->k), kw_bind(p, w->bk));
    kw_val v = kw_linear(p, x, kw_bind(p, w->v), kw_bind(p, w->bv));
    kw_val o = kw_attend_all(p, q, k, v, rows_in, attend);
    return kw_linear_onto(p, o, kw_bind(p, w->o), kw_bind(p, w->bo), x);
}

static kw_val block(kw_plan *p, const void *config_, const void *layer_, int il, kw_val x,
                    kw_val shared, const kw_decoder_inputs *in)
{
    const config *c = config_;
    const layer *w = layer_;
    (void)shared, (void)il;
    bool by_tanh = *c->activation && strcmp(c->activation, "gelu") != 0;
    x = norm(p, c, attention(p, c, w, x, in->rows), w->attn_norm, w->b_attn_norm);
    kw_val h = kw_linear(p, x, kw_bind(p, w->up), kw_bind(p, w->b_up));
    h = by_tanh ? kw_gelu_tanh(p, h) : kw_gelu(p, h);
    h = kw_linear_onto(p, h, kw_bind(p, w->down), kw_bind(p, w->b_down), x);
    return norm(p, c, h, w->norm, w->b_norm);
}

static kw_val pool(kw_plan *p, const void *config_, const void *weights_, kw_val x, kw_val first)
{
    const weights *w = weights_;
    (void)config_;
    if (!w->pool.t) return KW_NONE;
    kw_val h = kw_linear(p, kw_rows(p, x, first), kw_bind(p, w->pool), kw_bind(p, w->b_pool));
    return kw_softcap(p, h, 1); /* tanh */
}

static kw_val head(kw_plan *p, const void *config_, const void *weights_, kw_val pooled)
{
    const weights *w = weights_;
    (void)config_;
    if (!w->labels.t) return KW_NONE;
    return kw_linear(p, pooled, kw_bind(p, w->labels), kw_bind(p, w->b_labels));
}

const kw_family kw_family_bert = {
    .name = "bert",
    .is_encoder = true,
    .archs = archs,
    KW_LAYOUT(layers, n_layers),
    .fields = fields,
    .weights = rows,
    .check = check,
    .shape = shape,
    .enter = enter,
    .begin = kw_begin_nothing,
    .block = block,
    .pool = pool,
    .head = head,
};
