/* llama2c.c - llama2.c's .bin files: seven numbers, then f32 tables one after another.
 *
 *   dim | hidden | layers | heads | kv heads | vocab (negative: the classifier is not shared) | context
 *   tok_emb, rms_att, wq, wk, wv, wo, rms_ffn, w1, w2, w3 (each for all layers), rms_final, freq_cis (2 x), [wcls]
 *
 * The tensors appear with GGUF names, because their rows of q and k are interleaved as GGUF's are. */
#include "format/internal.h"
#include <stdio.h>
#include <string.h>

enum { HEADER_BYTES = 28, MOST = 1 << 24, N_KEYS = 16 };

typedef struct header {
    int64_t dim, hidden, n_layers, n_heads, n_kv_heads, n_vocab, ctx;
    bool shared;
} header;

static bool read_header(const unsigned char *p, size_t len, header *h)
{
    int32_t v[7];
    if (len < HEADER_BYTES) return false;
    memcpy(v, p, sizeof v);
    *h = (header){ v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[5] > 0 };
    if (h->n_vocab < 0) h->n_vocab = -h->n_vocab;
    const int64_t all[] = { h->dim,        h->hidden,  h->n_layers, h->n_heads,
                            h->n_kv_heads, h->n_vocab, h->ctx };
    for (size_t i = 0; i < 7; i++)
        if (all[i] < 1 || all[i] > MOST) return false;
    return h->n_layers <= 4096 && h->dim % h->n_heads == 0 && h->n_heads % h->n_kv_heads == 0;
}

typedef struct table {
    const char *name;   /* with %d: once per layer */
    int64_t rows, cols; /* rows 0: a vector */
} table;
enum { TABLES = 13 };

/* The tables in the order of the file; a NULL name is skipped over. */
static int tables_of(const header *h, table out[TABLES])
{
    int64_t kv = h->dim / h->n_heads * h->n_kv_heads;
    const table all[TABLES] = {
        { "token_embd.weight", h->n_vocab, h->dim },
        { "blk.%d.attn_norm.weight", 0, h->dim },
        { "blk.%d.attn_q.weight", h->dim, h->dim },
        { "blk.%d.attn_k.weight", kv, h->dim },
        { "blk.%d.attn_v.weight", kv, h->dim },
        { "blk.%d.attn_output.weight", h->dim, h->dim },
        { "blk.%d.ffn_norm.weight", 0, h->dim },
        { "blk.%d.ffn_gate.weight", h->hidden, h->dim },
        { "blk.%d.ffn_down.weight", h->dim, h->hidden },
        { "blk.%d.ffn_up.weight", h->hidden, h->dim },
        { "output_norm.weight", 0, h->dim },
        { NULL, h->ctx, h->dim / h->n_heads },
        { "output.weight", h->n_vocab, h->dim },
    };
    memcpy(out, all, sizeof all);
    return h->shared ? TABLES - 1 : TABLES;
}

static int64_t cells(const table *t) { return (t->rows ? t->rows : 1) * t->cols; }

static bool per_layer(const table *t) { return t->name && strstr(t->name, "%d"); }

/* The size such a header asks for; files of other kinds do not have it. */
bool kw_llama2c_fits(const void *head, size_t len, uint64_t file_size)
{
    header h;
    table t[TABLES];
    if (!read_header(head, len, &h)) return false;
    uint64_t total = HEADER_BYTES;
    int n = tables_of(&h, t);
    for (int i = 0; i < n; i++)
        total += (uint64_t)cells(&t[i]) * 4 * (per_layer(&t[i]) ? (uint64_t)h.n_layers : 1);
    return total == file_size;
}

static kw_status add_keys(kw_checkpoint *ck, const header *h)
{
    const kw_own_number keys[] = {
        { "llama.embedding_length", (double)h->dim, false },
        { "llama.feed_forward_length", (double)h->hidden, false },
        { "llama.block_count", (double)h->n_layers, false },
        { "llama.attention.head_count", (double)h->n_heads, false },
        { "llama.attention.head_count_kv", (double)h->n_kv_heads, false },
        { "llama.vocab_size", (double)h->n_vocab, false },
        { "llama.context_length", (double)h->ctx, false },
        { "llama.attention.layer_norm_rms_epsilon", (double)1e-5f, true },
        { "llama.rope.freq_base", 10000, true },
        { "tokenizer.ggml.eos_token_id", 1, false },
    };
    kw_status st = kw_checkpoint_add_word(ck, "general.architecture", "llama", N_KEYS);
    return st ? st : kw_checkpoint_add_numbers(ck, keys, sizeof keys / sizeof *keys, N_KEYS);
}

static kw_status add_table(kw_checkpoint *ck, const table *t, int64_t layer,
                           const unsigned char *data)
{
    char name[64];
    const char *at = strstr(t->name, "%d");
    if (at)
        snprintf(name, sizeof name, "%.*s%d%s", (int)(at - t->name), t->name, (int)layer, at + 2);
    else snprintf(name, sizeof name, "%s", t->name);
    kw_tensor tensor = {
        .dtype = KW_F32, .rank = 2, .shape = { t->rows, t->cols, 1, 1 }, .data = data
    };
    if (t->rows == 0)
        tensor =
            (kw_tensor){ .dtype = KW_F32, .rank = 1, .shape = { t->cols, 1, 1, 1 }, .data = data };
    char *kept = kw_arena_strdup(&ck->arena, name, strlen(name));
    return kept ? kw_checkpoint_add(ck, kw_str_of(kept), &tensor) : KW_ENOMEM;
}

kw_status kw_llama2c_read(kw_checkpoint *ck, kw_source *s)
{
    header h;
    table t[TABLES];
    if (!read_header(s->map, (size_t)s->size, &h) ||
        !kw_llama2c_fits(s->map, (size_t)s->size, s->size))
        return kw_fail(KW_EFORMAT, "not a llama2.c file");
    ck->naming = KW_NAMING_GGUF;
    ck->format = "llama2.c";
    kw_status st = add_keys(ck, &h);
    const unsigned char *at = s->map + HEADER_BYTES;
    int n = tables_of(&h, t);
    for (int i = 0; i < n && !st; i++)
        for (int64_t il = 0; il < (per_layer(&t[i]) ? h.n_layers : 1) && !st; il++) {
            if (t[i].name) st = add_table(ck, &t[i], il, at);
            at += cells(&t[i]) * 4;
        }
    return st;
}
