/* roberta.c - RoBERTa and XLM-RoBERTa: a BERT whose positions begin behind its padding id, so that the rows of their table up
 * to there are skipped, and whose classifier brings a hidden layer of its own in place of the pooler.
 *
 * Sources: arXiv 1907.11692, 1911.02116; transformers modeling_roberta, modeling_xlm_roberta for the order of operations. */
#include "family/bert.h"

/* clang-format off */
#define EACH(name) name "|roberta." name
#define POOLER(part) EACH("pooler.dense." part) "|classifier.dense." part
static const kw_weight_row rows[] = {
    EMBEDDINGS, SEGMENTS, POOL(POOLER), LABELS("classifier.out_proj"), BERT_LAYERS, END
};

/* GGUF files leave the skipped positions out and call it a bert, which it then is. */
static const kw_arch archs[] = {
    { "roberta",     NULL, "RobertaModel",    false, NULL },
    { "xlm-roberta", NULL, "XLMRobertaModel", false, NULL },
    { 0 },
};
/* clang-format on */

kw_status kw_roberta_check(kw_config *c)
{
    config *own = (config *)c;
    if (c->pad_id < 0 || c->pad_id >= own->n_positions - 1)
        return kw_fail(KW_EFORMAT,
                       "%d positions, of which those up to the padding id %d are unused",
                       own->n_positions, c->pad_id);
    own->skipped = c->pad_id + 1;
    c->n_between = c->n_types > 1 ? 1 : 2;
    return kw_bert_check(c);
}

const kw_family kw_family_roberta = {
    .name = "roberta",
    .is_encoder = true,
    .archs = archs,
    KW_SIZES(config, kw_layer, kw_weights),
    .fields = { kw_bert_fields },
    .weights = { rows },
    .check = kw_roberta_check,
    .enter = kw_bert_enter,
    .block = kw_bert_block,
    .pool = kw_bert_pool,
    .head = kw_bert_head,
};
