/* bert.c - BERT, and the sentence encoders and cross-encoders made of it.
 *
 * An encoder: every position sees all of its text, so there is no cache and nothing to generate. The embedding is the sum of the
 * token's, its segment's and its position's, normalised; a layer is attention, then a feed-forward network with GELU, and each
 * is added to what it read and normalised *afterwards*.
 *
 * What a whole text becomes: tanh of a projection of its first position (the pooler), and scores of that where the file has a
 * classifier, as rerankers do.
 *
 * Sources: arXiv 1810.04805; transformers modeling_bert for the order of operations. */
#include "family/bert.h"

/* clang-format off */
const kw_field kw_bert_fields[] = {
    F(dim,        INT,   true,  0,     "hidden_size|dim",              "embedding_length"),
    F(ffn_dim,    INT,   true,  0,     "intermediate_size|hidden_dim", "feed_forward_length"),
    F(n_layers,   INT,   true,  0,     "num_hidden_layers|n_layers",   "block_count"),
    F(n_heads,    INT,   true,  0,     "num_attention_heads|n_heads",  "attention.head_count"),
    F(n_vocab,    INT,   false, 0,     "vocab_size",                   "vocab_size"),
    F(n_types,    INT,   false, 0,     "type_vocab_size",              NULL),
    F(pad_id,     INT,   false, 1,     "pad_token_id",                 NULL),
    F(eps,        FLOAT, false, 1e-12, "layer_norm_eps",               "attention.layer_norm_epsilon"),
    F(activation, WORD,  false, 0,     "hidden_act|activation",        NULL),
    OWN(n_positions, INT,  true,  0,   "max_position_embeddings",      "context_length"),
    OWN(is_decoder,  BOOL, false, 0,   "is_decoder",                   "attention.causal"),
    OWN(has_cross,   BOOL, false, 0,   "add_cross_attention",          NULL),
    OWN(positions,   WORD, false, 0,   "position_embedding_type",      NULL),
    END,
};

#define EACH(name) name "|bert." name
#define POOLER(part) EACH("pooler.dense." part)
static const kw_weight_row rows[] = {
    EMBEDDINGS, SEGMENTS, POOL(POOLER), LABELS("classifier"), BERT_LAYERS, END
};

static const kw_arch archs[] = {
    { "bert", "bert", "BertModel", false, NULL },
    { 0 },
};
/* clang-format on */

kw_status kw_bert_check(kw_config *c)
{
    config *own = (config *)c;
    c->ctx_is_fixed = true;
    c->ctx_train = own->n_positions - own->skipped;
    if (own->is_decoder || own->has_cross)
        return kw_fail(KW_EUNSUPPORTED,
                       "a BERT that is used as a decoder: only its encoder is known");
    kw_status st = kw_check_config(c);
    if (!st) st = kw_check_word("positions", own->positions, "absolute");
    return st ? st
              : kw_check_word("activation", c->activation,
                              "gelu, gelu_new, gelu_fast, gelu_pytorch_tanh");
}

static kw_status check(kw_config *c)
{
    c->n_between = c->n_types > 1 ? 1 : 2;
    return kw_bert_check(c);
}

kw_val kw_bert_enter(kw_plan *p, const kw_config *c, const kw_weights *w,
                     const kw_decoder_inputs *in)
{
    const config *own = (const config *)c;
    kw_tensor at = *w->positions.t; /* the rows that texts have */
    at.shape[0] -= own->skipped;
    at.data = (const char *)at.data + (size_t)own->skipped * kw_tensor_row_bytes(&at);
    kw_val x = kw_enter_ids(p, c, w, in);
    if (w->types.t) x = kw_add(p, x, kw_embed(p, in->types, kw_bind(p, w->types)));
    x = kw_add(p, x, kw_embed(p, in->rows, kw_weight(p, w->positions.name, &at)));
    return kw_norm(p, c, x, w->norm, w->b_norm);
}

static kw_val attention(kw_plan *p, const kw_config *c, const kw_layer *w, kw_val x, kw_val places)
{
    kw_val q = kw_linear(p, x, kw_bind(p, w->q), kw_bind(p, w->b_q));
    kw_val k = kw_linear(p, x, kw_bind(p, w->k), kw_bind(p, w->b_k));
    kw_val v = kw_linear(p, x, kw_bind(p, w->v), kw_bind(p, w->b_v));
    kw_attend_args heads = kw_heads(c, 0);
    heads.bias = kw_bind(p, w->distances); /* of MPNet */
    kw_val o = kw_attend_all(p, q, k, v, places, heads);
    return kw_linear_onto(p, o, kw_bind(p, w->o), kw_bind(p, w->b_o), x);
}

kw_val kw_bert_block(kw_plan *p, const kw_config *c, const kw_layer *w, int il, kw_val x,
                     kw_val table, const kw_decoder_inputs *in)
{
    (void)table, (void)il;
    bool by_tanh = c->activation[0] && c->activation[4]; /* every name but "gelu" */
    x = kw_norm(p, c, attention(p, c, w, x, in->rows), w->attn_norm, w->b_attn_norm);
    kw_val h = kw_linear(p, x, kw_bind(p, w->up), kw_bind(p, w->b_up));
    h = by_tanh ? kw_gelu_tanh(p, h) : kw_gelu(p, h);
    h = kw_linear_onto(p, h, kw_bind(p, w->down), kw_bind(p, w->b_down), x);
    return kw_norm(p, c, h, w->norm, w->b_norm);
}

kw_val kw_bert_pool(kw_plan *p, const kw_config *c, const kw_weights *w, kw_val x, kw_val first)
{
    (void)c;
    if (!w->pool.t) return KW_NONE;
    kw_val h = kw_linear(p, kw_rows(p, x, first), kw_bind(p, w->pool), kw_bind(p, w->b_pool));
    return kw_softcap(p, h, 1); /* tanh */
}

kw_val kw_bert_head(kw_plan *p, const kw_config *c, const kw_weights *w, kw_val pooled)
{
    (void)c;
    if (!w->labels.t) return KW_NONE;
    return kw_linear(p, pooled, kw_bind(p, w->labels), kw_bind(p, w->b_labels));
}

const kw_family kw_family_bert = {
    .name = "bert",
    .is_encoder = true,
    .archs = archs,
    KW_SIZES(config, kw_layer, kw_weights),
    .fields = { kw_bert_fields },
    .weights = { rows },
    .check = check,
    .enter = kw_bert_enter,
    .block = kw_bert_block,
    .pool = kw_bert_pool,
    .head = kw_bert_head,
};
