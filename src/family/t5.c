/* t5.c - T5 1.0, T5 1.1 with Flan-T5, mT5, umT5, MADLAD and UL2: an encoder that reads the whole text (t5_encoder.c), and a
 * decoder that looks at what it made of it.
 *
 * A layer of the decoder is the encoder's with attention to what lies behind, and with a middle part: attention to the
 * encoder's result, whose k and v are made once a text. That one adds nothing for distances; old files have numbers for it
 * all the same.
 *
 * Version 1.0 has the embedding as head, to which x * d^-0.5 is given; later versions have a head of their own. GGUF files do
 * not say which it is: one with its own head is later.
 *
 * Sources: arXiv 1910.10683; transformers modeling_t5 for the order of operations. */
#include "family/t5.h"
#include <math.h>
#include <string.h>

/* clang-format off */
static const kw_field fields[] = {
    F(n_layers,  INT,  false, 0,  "num_decoder_layers",     "decoder_block_count"),
    F(start_id,  INT,  false, -1, "decoder_start_token_id", "decoder_start_token_id"),
    F(pad_id,    INT,  false, 0,  "pad_token_id",           NULL),
    OWN(scales,  BOOL, false, 1,  "scale_decoder_outputs|tie_word_embeddings", NULL),
    OWN(type,    WORD, false, 0,  "model_type",             NULL),
    END,
};

#define CROSS(m, flags, hf, gguf, d0, d1) \
    { offsetof(layer, m), { C(d0), C(d1) }, (flags) | KW_W_LAYER, "decoder.block.%d.layer.1." hf, "dec.blk.%d." gguf }
static const kw_weight_row rows[] = {
    T5_EMBED,
    T(norm, VECTOR,    "decoder.final_layer_norm.weight", "dec.output_norm.weight", one,     dim),
    T(head, KW_W_TIED, "lm_head.weight",                  "output.weight",          n_vocab, dim),
    T5_ATTENTION("decoder.block.%d.layer.0", "dec.blk.%d"),
    CROSS(cross_norm, VECTOR, "layer_norm.weight",        "cross_attn_norm.weight", one, dim),
    CROSS(cross_q,    0,      "EncDecAttention.q.weight", "cross_attn_q.weight",   q_dim, dim),
    CROSS(cross_k,    0,      "EncDecAttention.k.weight", "cross_attn_k.weight",   q_dim, dim),
    CROSS(cross_v,    0,      "EncDecAttention.v.weight", "cross_attn_v.weight",   q_dim, dim),
    CROSS(cross_o,    0,      "EncDecAttention.o.weight", "cross_attn_o.weight",   dim, q_dim),
    T5_FFN("decoder.block.%d.layer.2", "dec.blk.%d"),
    END,
};

static const kw_arch archs[] = {
    { "t5",   "t5", "T5ForConditionalGeneration",    false, NULL },
    { "mt5",  NULL, "MT5ForConditionalGeneration",   false, NULL },
    { "umt5", NULL, "UMT5ForConditionalGeneration", false, NULL },
    { 0 },
};
/* clang-format on */

/* An mT5 never scales: newer files call its head tied whatever it is. */
static kw_status check(kw_config *c)
{
    config *own = (config *)c;
    if (!strcmp(own->type, "mt5")) own->scales = false;
    c->n_encoder_layers = own->n_encoder;
    if (c->n_layers == 0) c->n_layers = c->n_encoder_layers;
    if (c->start_id < 0) c->start_id = c->pad_id;
    return kw_t5_check(c);
}

static kw_status derive(const kw_config *c, kw_weights *w, kw_arena *arena)
{
    if (c->start_id < 0 || c->start_id >= c->n_vocab)
        return kw_fail(KW_EFORMAT, "the decoder starts with id %d, the vocabulary has %d",
                       c->start_id, c->n_vocab);
    kw_status st = kw_t5_derive_encoder(c, w, arena);
    return st ? st : kw_t5_derive_stack(c, w->layers, false, arena);
}

/* Attention to the memory: k and v of the encoder's result. */
static kw_val cross(kw_plan *p, const kw_config *c, const layer *w, int il, kw_val x,
                    const kw_decoder_inputs *in)
{
    kw_attend_args heads = kw_t5_heads(c, il);
    heads.k_rows = in->memory_rows;
    kw_val h = kw_rms_norm(p, x, kw_bind(p, w->cross_norm), (float)c->eps);
    kw_val q = kw_linear(p, h, kw_bind(p, w->cross_q), KW_NONE);
    kw_val o = kw_attend_all(p, q, in->memory[0], in->memory[1], in->memory_of, heads);
    return kw_linear_onto(p, o, kw_bind(p, w->cross_o), KW_NONE, x);
}

static kw_val block(kw_plan *p, const kw_config *c, const kw_layer *w, int il, kw_val x,
                    kw_val table, const kw_decoder_inputs *in)
{
    const layer *own = (const layer *)w;
    (void)table;
    x = kw_t5_attention(p, c, own, il, x, in->rows);
    x = cross(p, c, own, il, x, in);
    return kw_t5_ffn(p, c, w, x);
}

static void memory(kw_plan *p, const kw_layer *w, kw_val encoded, kw_val kv[2])
{
    const layer *own = (const layer *)w;
    kv[0] = kw_linear(p, encoded, kw_bind(p, own->cross_k), KW_NONE);
    kv[1] = kw_linear(p, encoded, kw_bind(p, own->cross_v), KW_NONE);
}

static kw_val head(kw_plan *p, const kw_config *c, const kw_weights *w, kw_val x)
{
    bool is_tied = w->head.t == w->embed.t;
    bool scales = c->from_gguf ? is_tied : ((const config *)c)->scales;
    return kw_head(p, c, w, scales ? kw_scale(p, x, 1.0f / sqrtf((float)c->dim)) : x);
}

const kw_family kw_family_t5 = {
    .name = "t5",
    .archs = archs,
    KW_SIZES(config, layer, weights),
    .encoder = &kw_family_t5_encoder,
    .fields = { kw_t5_fields, fields },
    .weights = { rows },
    .check = check,
    .derive = derive,
    .enter = kw_enter_ids,
    .block = block,
    .leave = kw_leave_rms,
    .head = head,
    .memory = memory,
};
