/* distilbert.c - DistilBERT: a BERT of half the layers, without segments and without a pooler, by other names.
 *
 * Sources: arXiv 1910.01108; transformers modeling_distilbert for the order of operations. */
#include "family/bert.h"

/* clang-format off */
#define EACH(name) name "|distilbert." name
static const kw_weight_row rows[] = {
    EMBEDDINGS,
    SEGMENTS, /* of zeros, in our GGUF files */
    /* its projection ends with ReLU, GGUF's with tanh */
    T(pool,   MAYBE,          "pre_classifier.weight", NULL, dim, dim),
    T(b_pool, MAYBE | VECTOR, "pre_classifier.bias",   NULL, one, dim),
    LABELS("classifier"),
    LINEAR(q, "transformer.layer.%d.attention.q_lin",   "attn_q",      dim, dim),
    LINEAR(k, "transformer.layer.%d.attention.k_lin",   "attn_k",      dim, dim),
    LINEAR(v, "transformer.layer.%d.attention.v_lin",   "attn_v",      dim, dim),
    LINEAR(o, "transformer.layer.%d.attention.out_lin", "attn_output", dim, dim),
    LAYER_NORM(attn_norm, "transformer.layer.%d.sa_layer_norm", "attn_output_norm"),
    LINEAR(up,   "transformer.layer.%d.ffn.lin1", "ffn_up",   ffn_dim, dim),
    LINEAR(down, "transformer.layer.%d.ffn.lin2", "ffn_down", dim, ffn_dim),
    LAYER_NORM(norm, "transformer.layer.%d.output_layer_norm", "layer_output_norm"),
    END,
};

static const kw_arch archs[] = {
    { "distilbert", NULL, "DistilBertModel", false, NULL },
    { 0 },
};
/* clang-format on */

static kw_status check(kw_config *c)
{
    c->n_between = 1;
    return kw_bert_check(c);
}

static kw_val pool(kw_plan *p, const kw_config *c, const kw_weights *w, kw_val x, kw_val first)
{
    (void)c;
    if (!w->pool.t) return KW_NONE;
    kw_val h = kw_linear(p, kw_rows(p, x, first), kw_bind(p, w->pool), kw_bind(p, w->b_pool));
    return kw_relu(p, h);
}

const kw_family kw_family_distilbert = {
    .name = "distilbert",
    .is_encoder = true,
    .archs = archs,
    KW_SIZES(config, kw_layer, kw_weights),
    .fields = { kw_bert_fields },
    .weights = { rows },
    .check = check,
    .enter = kw_bert_enter,
    .block = kw_bert_block,
    .pool = pool,
    .head = kw_bert_head,
};
