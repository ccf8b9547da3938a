/* mpnet.c - MPNet, and the sentence encoders made of it (all-mpnet-base-v2): a BERT without segments, whose positions begin
 * behind its padding id as RoBERTa's do, and which adds T5's numbers for distances to the scores of all layers.
 *
 * Sources: arXiv 2004.09297; transformers modeling_mpnet for the order of operations. */
#include "family/bert.h"

/* clang-format off */
static const kw_field fields[] = {
    F(n_buckets, INT, false, 32, "relative_attention_num_buckets", NULL),
    END,
};

#define EACH(name) name "|mpnet." name
#define POOLER(part) EACH("pooler.dense." part)
static const kw_weight_row rows[] = {
    EMBEDDINGS,
    POOL(POOLER),
    LAYER(buckets, KW_W_TABLE, EACH("encoder.relative_attention_bias.weight"), NULL, n_buckets, n_heads),
    LINEAR(q, "encoder.layer.%d.attention.attn.q", "attn_q",      dim, dim),
    LINEAR(k, "encoder.layer.%d.attention.attn.k", "attn_k",      dim, dim),
    LINEAR(v, "encoder.layer.%d.attention.attn.v", "attn_v",      dim, dim),
    LINEAR(o, "encoder.layer.%d.attention.attn.o", "attn_output", dim, dim),
    LAYER_NORM(attn_norm, "encoder.layer.%d.attention.LayerNorm", "attn_output_norm"),
    LINEAR(up,   "encoder.layer.%d.intermediate.dense", "ffn_up",   ffn_dim, dim),
    LINEAR(down, "encoder.layer.%d.output.dense",       "ffn_down", dim, ffn_dim),
    LAYER_NORM(norm, "encoder.layer.%d.output.LayerNorm", "layer_output_norm"),
    END,
};

static const kw_arch archs[] = {
    { "mpnet", NULL, "MPNetModel", false, NULL },
    { 0 },
};
/* clang-format on */

static kw_distances distances(const kw_config *c)
{
    return (kw_distances){ c->n_buckets, 128, true };
}

static kw_status check(kw_config *c)
{
    kw_status st = kw_roberta_check(c);
    c->n_between = 2;
    return st ? st : kw_check_distances(distances(c));
}

static kw_status derive(const kw_config *c, kw_weights *w, kw_arena *arena)
{
    kw_layer *layers = w->layers;
    kw_status st = KW_OK;
    for (int il = 0; il < c->n_layers && !st; il++)
        st = kw_derive_distances(distances(c), &layers[il], il ? &layers[il - 1] : NULL, arena);
    return st;
}

const kw_family kw_family_mpnet = {
    .name = "mpnet",
    .is_encoder = true,
    .archs = archs,
    KW_SIZES(config, kw_layer, kw_weights),
    .fields = { kw_bert_fields, fields },
    .weights = { rows },
    .check = check,
    .derive = derive,
    .enter = kw_bert_enter,
    .block = kw_bert_block,
    .pool = kw_bert_pool,
    .head = kw_bert_head,
};
