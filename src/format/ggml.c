/* ggml.c - LLaMA files of before GGUF (2023): "ggml" without a version, "ggmf" version 1, "ggjt" versions 1 to 3.
 *
 *   magic u32 | version u32 (not ggml) | vocab, width, multiple, heads, layers, rotated, type: 7 x u32
 *   vocabulary:  length u32, bytes, score f32 (not ggml)
 *   tensor:      n_dims, name length, type: u32 each | dims u32 (fastest first) | name | ggjt: padding to 32 | data
 *
 * They appear with GGUF names and keys. What the files leave out is LLaMA 2's: a norm's epsilon of 1e-5 (LLaMA 1
 * had 1e-6), and a context of 2048. Blocks changed twice. Until ggjt 2 neighbours shared a byte of nibbles, since then values 16
 * apart; until ggjt 3 the scales of Q4_0, Q4_1 and Q8_0 were f32. Older blocks are rewritten as they are read, scales rounded to
 * f16, which gives what quantizing to version 3 gave. In ggml and ggmf files blocks had yet other forms: refused. */
#include "format/internal.h"
#include <stdio.h>
#include <string.h>

enum { N_NUMBERS = 7, MAX_TOKEN = 4096, MAX_LAYERS = 4096, MOST = 1 << 24, N_KEYS = 16 };
enum { PAD = 32, QUANTIZED_FROM = 2 /* types of ggml */, K_QUANTS_FROM = 10 };

typedef struct reader {
    kw_checkpoint *ck;
    kw_source *s;
    kw_cursor c;
    bool has_scores, is_padded;
    uint32_t version; /* of ggjt; 0: before it */
    int64_t n_vocab, dim, n_heads, n_layers, n_rot;
    int64_t ffn, kv_dim; /* learned from tensors */
} reader;

static const struct {
    const char *magic;
    uint32_t versions; /* 0: has none */
    bool has_scores, is_padded;
    const char *format[3];
} forms[] = {
    { "lmgg", 0, false, false, { "GGML" } },
    { "fmgg", 1, true, false, { "GGMF v1" } },
    { "tjgg", 3, true, true, { "GGJT v1", "GGJT v2", "GGJT v3" } },
};
enum { N_FORMS = sizeof forms / sizeof *forms };

bool kw_ggml_fits(const void *head, size_t len)
{
    for (size_t i = 0; i < N_FORMS && len >= 4; i++)
        if (memcmp(head, forms[i].magic, 4) == 0) return true;
    return false;
}

static kw_status read_form(reader *r)
{
    kw_str magic;
    uint32_t version = 1;
    size_t i = 0;
    if (!kw_cursor_bytes(&r->c, 4, &magic)) return kw_cursor_fail(&r->c);
    while (i + 1 < N_FORMS && memcmp(magic.p, forms[i].magic, 4)) i++;
    if (forms[i].versions && !kw_cursor_u32(&r->c, &version)) return kw_cursor_fail(&r->c);
    if (version < 1 || (forms[i].versions && version > forms[i].versions))
        return kw_fail(KW_EUNSUPPORTED, "version %u of an old GGML file: known are 1 to %u",
                       version, forms[i].versions);
    r->has_scores = forms[i].has_scores;
    r->is_padded = forms[i].is_padded;
    r->version = r->is_padded ? version : 0;
    r->ck->format = forms[i].format[version - 1];
    return KW_OK;
}

static kw_status read_numbers(reader *r)
{
    uint32_t v[N_NUMBERS];
    for (int i = 0; i < N_NUMBERS; i++)
        if (!kw_cursor_u32(&r->c, &v[i])) return kw_cursor_fail(&r->c);
    r->n_vocab = v[0];
    r->dim = v[1];
    r->n_heads = v[3];
    r->n_layers = v[4];
    r->n_rot = v[5];
    bool is_llama = v[0] && v[0] <= MOST && v[1] && v[1] <= MOST && v[3] && v[1] % v[3] == 0 &&
                    v[4] && v[4] <= MAX_LAYERS && v[5] == v[1] / v[3];
    return is_llama ? KW_OK
                    : kw_try(kw_fail(KW_EUNSUPPORTED,
                                     "an old GGML file of another family than LLaMA, or a damaged "
                                     "one\nwhy: its numbers are %u, %u, %u, %u, %u, %u, %u",
                                     v[0], v[1], v[2], v[3], v[4], v[5], v[6]),
                             "the model as GGUF, safetensors or PyTorch");
}

/* ---- vocabulary ---- */

typedef struct vocabulary {
    kw_buf texts, scores, types; /* as GGUF packs them */
} vocabulary;

/* The piece as SentencePiece has it, and its kind in GGUF's numbers: files hold what it stands for. */
static int put_piece(kw_buf *b, int64_t id, kw_str text)
{
    static const char *const first[] = { "<unk>", "<s>", "</s>" };
    enum { NORMAL = 1, UNKNOWN, CONTROL, BYTE = 6 };
    char byte[8];
    bool is_byte = id > 2 && id < 259 && text.n == 1;
    if (is_byte) snprintf(byte, sizeof byte, "<0x%02X>", (unsigned)(unsigned char)text.p[0]);
    if (id <= 2 || is_byte) {
        kw_str piece = kw_str_of(is_byte ? byte : first[id]);
        kw_buf_number(b, piece.n, 8);
        kw_buf_bytes(b, piece.p, piece.n);
        return is_byte ? BYTE : id == 0 ? UNKNOWN : CONTROL;
    }
    size_t n_spaces = 0;
    for (size_t i = 0; i < text.n; i++) n_spaces += text.p[i] == ' ';
    kw_buf_number(b, text.n + 2 * n_spaces, 8);
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] == ' ') kw_buf_str(b, "\xe2\x96\x81");
        else kw_buf_byte(b, text.p[i]);
    return text.n ? NORMAL : CONTROL;
}

static kw_status read_pieces(reader *r, vocabulary *v)
{
    for (int64_t id = 0; id < r->n_vocab; id++) {
        uint32_t len, score = 0;
        kw_str text;
        float order = -(float)id; /* LLaMA's pieces stand in the order of their scores */
        if (!kw_cursor_u32(&r->c, &len)) return kw_cursor_fail(&r->c);
        if (len > MAX_TOKEN)
            return kw_fail(KW_EFORMAT, "token %lld has %u bytes, at most %d", (long long)id, len,
                           MAX_TOKEN);
        memcpy(&score, &order, sizeof score);
        if (!kw_cursor_bytes(&r->c, len, &text) || (r->has_scores && !kw_cursor_u32(&r->c, &score)))
            return kw_cursor_fail(&r->c);
        kw_buf_number(&v->types, (uint64_t)put_piece(&v->texts, id, text), 4);
        kw_buf_number(&v->scores, score, 4);
    }
    return KW_OK;
}

static kw_status add_array(reader *r, const char *key, kw_meta_type type, kw_gguf_type item,
                           const kw_buf *items)
{
    char *kept = items->status ? NULL : kw_arena_strdup(&r->ck->arena, items->data, items->len);
    kw_meta m = { .key = kw_str_of(key),
                  .type = KW_META_ARRAY,
                  .ggml = KW_GGUF_ARRAY,
                  .item_type = type,
                  .item_ggml = item,
                  .n_items = (uint64_t)r->n_vocab,
                  .items = { kept, items->len } };
    return kept ? kw_checkpoint_add_meta(r->ck, &m, N_KEYS) : KW_ENOMEM;
}

static kw_status read_vocabulary(reader *r)
{
    size_t most = (size_t)r->s->size < SIZE_MAX / 8 ? 8 * (size_t)r->s->size + 4096 : SIZE_MAX / 2;
    if ((uint64_t)r->n_vocab > kw_cursor_left(&r->c) / 4)
        return kw_fail(KW_EFORMAT, "%lld tokens do not fit into the %zu bytes that are left",
                       (long long)r->n_vocab, kw_cursor_left(&r->c));
    vocabulary v = { KW_BUF(most, KW_PAY_FILE), KW_BUF(most, KW_PAY_FILE),
                     KW_BUF(most, KW_PAY_FILE) };
    kw_status st = read_pieces(r, &v);
    if (!st) st = add_array(r, "tokenizer.ggml.tokens", KW_META_STRING, KW_GGUF_STRING, &v.texts);
    if (!st) st = add_array(r, "tokenizer.ggml.scores", KW_META_FLOAT, KW_GGUF_F32, &v.scores);
    if (!st) st = add_array(r, "tokenizer.ggml.token_type", KW_META_INT, KW_GGUF_I32, &v.types);
    kw_buf_free(&v.texts);
    kw_buf_free(&v.scores);
    kw_buf_free(&v.types);
    return st;
}

/* ---- blocks ---- */

typedef struct block_form {
    kw_dtype dtype;
    int n_scales;     /* at the block's start */
    bool was_wide;    /* f32 before version 3 */
    int high, values; /* bytes of fifth bits, of values */
    bool was_paired;  /* two neighbours a byte in version 1 */
} block_form;

static const block_form *find_block(kw_dtype dtype)
{
    static const block_form all[] = {
        { KW_Q4_0, 1, true, 0, 16, true },  { KW_Q4_1, 2, true, 0, 16, true },
        { KW_Q5_0, 1, false, 4, 16, true }, { KW_Q5_1, 2, false, 4, 16, true },
        { KW_Q8_0, 1, true, 0, 32, false },
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i].dtype == dtype) return &all[i];
    return NULL;
}

static size_t old_bytes(const reader *r, const block_form *f)
{
    return (size_t)(f->n_scales * (f->was_wide && r->version < 3 ? 4 : 2) + f->high + f->values);
}

static bool is_rewritten(const reader *r, const block_form *f)
{
    return (f->was_wide && r->version < 3) || (f->was_paired && r->version < 2);
}

/* Nibbles of neighbours to nibbles 16 apart. */
static void unpair(const unsigned char *src, unsigned char *dst)
{
    for (int j = 0; j < 16; j++) {
        int low = src[j / 2] >> (j % 2 * 4) & 15, high = src[8 + j / 2] >> (j % 2 * 4) & 15;
        dst[j] = (unsigned char)(low | high << 4);
    }
}

/* One block to its form of today; false where a scale does not fit. */
static bool rewrite_block(const reader *r, const block_form *f, const unsigned char *src,
                          unsigned char *dst)
{
    bool is_wide = f->was_wide && r->version < 3;
    for (int i = 0; i < f->n_scales; i++, dst += 2, src += is_wide ? 4 : 2) {
        uint16_t half;
        float wide;
        memcpy(&half, src, 2);
        if (is_wide) {
            memcpy(&wide, src, 4);
            half = kw_f32_to_f16(wide);
            if ((half & 0x7c00) == 0x7c00) return false;
        }
        memcpy(dst, &half, 2);
    }
    memcpy(dst, src, (size_t)f->high);
    src += f->high;
    dst += f->high;
    if (f->was_paired && r->version < 2) unpair(src, dst);
    else memcpy(dst, src, (size_t)f->values);
    return true;
}

static kw_status rewrite(reader *r, const block_form *f, kw_str name, const unsigned char *src,
                         kw_tensor *t)
{
    size_t bytes = 0, old = old_bytes(r, f), now = kw_dtype_get(f->dtype)->bytes;
    kw_tensor_bytes(t, &bytes);
    unsigned char *dst = kw_arena_alloc(&r->ck->arena, bytes, 1);
    if (!dst) return KW_ENOMEM;
    for (size_t i = 0; i < bytes / now; i++)
        if (!rewrite_block(r, f, src + i * old, dst + i * now))
            return kw_fail(KW_EFORMAT, "tensor \"%.*s\": the scale of block %zu does not fit f16",
                           (int)name.n, name.p, i);
    t->data = dst;
    return KW_OK;
}

/* ---- tensors ---- */

/* A name of LLaMA's own as GGUF has it; others stay. */
static kw_status translate(reader *r, kw_str name, kw_str *out)
{
    static const char *const names[][2] = {
        { "tok_embeddings.weight", "token_embd.weight" },
        { "norm.weight", "output_norm.weight" },
        { "attention.wq.weight", "attn_q.weight" },
        { "attention.wk.weight", "attn_k.weight" },
        { "attention.wv.weight", "attn_v.weight" },
        { "attention.wo.weight", "attn_output.weight" },
        { "attention_norm.weight", "attn_norm.weight" },
        { "feed_forward.w1.weight", "ffn_gate.weight" },
        { "feed_forward.w2.weight", "ffn_down.weight" },
        { "feed_forward.w3.weight", "ffn_up.weight" },
        { "ffn_norm.weight", "ffn_norm.weight" },
    };
    enum { LAYERS = 7 /* letters of "layers." */ };
    const char *dot =
        kw_str_starts(name, "layers.") ? memchr(name.p + LAYERS, '.', name.n - LAYERS) : NULL;
    size_t head = dot ? (size_t)(dot + 1 - name.p) : 0;
    kw_str rest = { name.p + head, name.n - head };
    *out = name;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (!kw_str_is(rest, names[i][0])) continue;
        kw_buf text = KW_BUF(MAX_TOKEN, KW_PAY_FILE);
        if (head) kw_buf_printf(&text, "blk.%.*s.", (int)(head - LAYERS - 1), name.p + LAYERS);
        kw_buf_str(&text, names[i][1]);
        char *kept =
            text.status ? NULL : kw_arena_strdup(&r->ck->arena, kw_buf_text(&text), text.len);
        *out = (kw_str){ kept, text.len };
        kw_buf_free(&text);
        return kept ? KW_OK : KW_ENOMEM;
    }
    return KW_OK;
}

static kw_status read_dims(reader *r, uint32_t n_dims, kw_tensor *t)
{
    uint32_t dims[KW_MAX_RANK];
    if (n_dims < 1 || n_dims > 2)
        return kw_fail(KW_EFORMAT, "a tensor of %u dimensions at byte %zu", n_dims,
                       kw_cursor_pos(&r->c));
    for (uint32_t i = 0; i < n_dims; i++)
        if (!kw_cursor_u32(&r->c, &dims[i])) return kw_cursor_fail(&r->c);
    t->rank = (int)n_dims;
    for (int i = 0; i < KW_MAX_RANK; i++)
        t->shape[i] = i < t->rank ? (int64_t)dims[t->rank - 1 - i] : 1;
    return KW_OK;
}

static kw_status check_type(const reader *r, kw_str name, uint32_t type)
{
    bool is_new = type >= K_QUANTS_FROM && r->version < 3;
    if (type < QUANTIZED_FROM || (r->version && !is_new)) return KW_OK;
    return kw_try(kw_fail(KW_EUNSUPPORTED,
                          "tensor \"%.*s\" has type %u in a file of %s\nwhy: blocks of this age "
                          "had forms that are not read",
                          (int)name.n, name.p, type, r->ck->format),
                  "quantize the f16 file of the model again, or take the model as GGUF");
}

static kw_status place(reader *r, kw_str name, kw_tensor *t)
{
    const block_form *f = find_block(t->dtype);
    const kw_dtype_info *type = kw_dtype_get(t->dtype);
    size_t bytes, pad = r->is_padded ? (PAD - kw_cursor_pos(&r->c) % PAD) % PAD : 0;
    char shape[96];
    kw_str data;
    bool fits = kw_tensor_bytes(t, &bytes);
    if (fits && f) fits = kw_mul_size(bytes / type->bytes, old_bytes(r, f), &bytes);
    if (!fits)
        return kw_fail(KW_EFORMAT, "tensor \"%.*s\": shape %s does not fit %s", (int)name.n, name.p,
                       kw_tensor_shape_text(t, shape), type->name);
    if (!kw_cursor_skip(&r->c, pad) || !kw_cursor_bytes(&r->c, bytes, &data))
        return kw_try(kw_fail(KW_EFORMAT, "tensor \"%.*s\" %s ends behind the file's %llu bytes",
                              (int)name.n, name.p, kw_tensor_shape_text(t, shape),
                              (unsigned long long)r->s->size),
                      "fetch the file again; files in several parts (.bin.1) are not read");
    t->data = data.p;
    kw_status st =
        f && is_rewritten(r, f) ? rewrite(r, f, name, (const unsigned char *)data.p, t) : KW_OK;
    if (kw_str_is(name, "blk.0.ffn_gate.weight")) r->ffn = t->shape[0];
    if (kw_str_is(name, "blk.0.attn_k.weight")) r->kv_dim = t->shape[0];
    return st ? st : kw_checkpoint_add(r->ck, name, t);
}

static kw_status read_tensor(reader *r)
{
    uint32_t n_dims, name_len, type;
    kw_tensor t = { 0 };
    kw_str name;
    if (!kw_cursor_u32(&r->c, &n_dims) || !kw_cursor_u32(&r->c, &name_len) ||
        !kw_cursor_u32(&r->c, &type))
        return kw_cursor_fail(&r->c);
    kw_status st = read_dims(r, n_dims, &t);
    if (st) return st;
    if (name_len > MAX_TOKEN || !kw_cursor_bytes(&r->c, name_len, &name))
        return kw_fail(KW_EFORMAT, "a tensor's name of %u bytes at byte %zu", name_len,
                       kw_cursor_pos(&r->c));
    st = check_type(r, name, type);
    if (st) return st;
    if (!kw_dtype_from_ggml(type, &t.dtype))
        return kw_fail(KW_EUNSUPPORTED, "tensor \"%.*s\" has type %u, which is not supported",
                       (int)name.n, name.p, type);
    st = translate(r, name, &name);
    return st ? st : place(r, name, &t);
}

/* ---- keys ---- */

static kw_status add_keys(reader *r)
{
    const int64_t head = r->dim / r->n_heads;
    const kw_own_number keys[] = {
        { "llama.embedding_length", (double)r->dim, false },
        { "llama.feed_forward_length", (double)r->ffn, false },
        { "llama.block_count", (double)r->n_layers, false },
        { "llama.attention.head_count", (double)r->n_heads, false },
        { "llama.attention.head_count_kv", (double)(r->kv_dim / head), false },
        { "llama.rope.dimension_count", (double)r->n_rot, false },
        { "llama.vocab_size", (double)r->n_vocab, false },
        { "llama.context_length", 2048, false },
        { "llama.attention.layer_norm_rms_epsilon", (double)1e-5f, true },
    };
    kw_status st = kw_checkpoint_add_numbers(r->ck, keys, sizeof keys / sizeof *keys, N_KEYS);
    if (!st) st = kw_checkpoint_add_word(r->ck, "general.architecture", "llama", N_KEYS);
    return st ? st : kw_checkpoint_add_word(r->ck, "tokenizer.ggml.model", "llama", N_KEYS);
}

kw_status kw_ggml_read(kw_checkpoint *ck, kw_source *s)
{
    reader r = { .ck = ck, .s = s, .c = kw_cursor_of(s->map, (size_t)s->size, "the GGML file") };
    size_t first = ck->n_tensors;
    ck->naming = KW_NAMING_GGUF;
    kw_status st = read_form(&r);
    if (!st) st = read_numbers(&r);
    if (!st) st = read_vocabulary(&r);
    while (!st && kw_cursor_left(&r.c)) st = read_tensor(&r);
    if (!st && (r.ffn < 1 || r.kv_dim < 1))
        st = kw_fail(KW_EFORMAT, "the file has no layers.0.feed_forward.w1 or attention.wk");
    if (!st) st = kw_checkpoint_align(ck, first);
    return st ? st : add_keys(&r);
}
