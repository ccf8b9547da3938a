/* load_byt5.c - ByT5's tokenizer: BPE over bytes without a vocabulary, a merge or a cut.
 *
 *   ids: 0 <pad>  1 </s>  2 <unk>  3 .. 258 the bytes  259 .. "<extra_id_0>" and its like
 *
 * Its class in tokenizer_config.json is all there is to know it by; that file also says how many extra ids there are, or names
 * them, and whether special tokens swallow the blanks beside them. */
#include "text/internal.h"
#include <stdio.h>
#include <string.h>

enum {
    MAX_FILE = 64 << 20,
    FIRST_BYTE = 3,
    FIRST_EXTRA = FIRST_BYTE + 256,
    MAX_IDS = 1 << 16,
    N_EXTRA = 125
};

static const struct {
    const char *name, *key;
    kw_token_type type;
} specials[FIRST_BYTE] = {
    { "<pad>", "pad_token", KW_TOKEN_CONTROL },
    { "</s>", "eos_token", KW_TOKEN_CONTROL },
    { "<unk>", "unk_token", KW_TOKEN_UNKNOWN },
};

static const kw_json *member(const kw_json *root, const char *key, kw_json_type type)
{
    const kw_json *v = kw_json_get(root, key);
    return v && v->type == type ? v : NULL;
}

/* Names of extra ids, if they are listed. */
static const kw_json *extra_names(const kw_json *root)
{
    const kw_json *list = member(root, "additional_special_tokens", KW_JSON_ARRAY);
    if (!list) list = member(root, "extra_special_tokens", KW_JSON_ARRAY);
    return list ? list->child : NULL;
}

static kw_status count_ids(const kw_json *root, int64_t *n)
{
    const kw_json *added = member(root, "added_tokens_decoder", KW_JSON_OBJECT);
    const kw_json *count = member(root, "extra_ids", KW_JSON_INT);
    int64_t id;
    *n = FIRST_EXTRA;
    for (const kw_json *e = extra_names(root); e; e = e->next) ++*n;
    if (*n == FIRST_EXTRA && !added) {
        int64_t extra = count ? count->integer : N_EXTRA;
        if (extra < 0 || extra > MAX_IDS - FIRST_EXTRA)
            return kw_fail(KW_EFORMAT, "extra_ids is %lld, expected 0 to %d", (long long)extra,
                           MAX_IDS - FIRST_EXTRA);
        *n += extra;
    }
    for (const kw_json *e = added ? added->child : NULL; e; e = e->next)
        if (kw_str_i64(e->key, &id) && id >= *n) *n = id < MAX_IDS ? id + 1 : id;
    return *n >= FIRST_EXTRA && *n <= MAX_IDS
               ? KW_OK
               : kw_fail(KW_EFORMAT, "ids up to %lld of a tokenizer of bytes, expected %d to %d",
                         (long long)*n, FIRST_EXTRA, MAX_IDS);
}

static kw_status name_token(kw_tokenizer *t, int32_t id, kw_str name, kw_token_type type)
{
    kw_token *k = &t->tokens[id];
    *k = (kw_token){ .type = (uint8_t)type, .text = { NULL, name.n } };
    k->text.p = kw_arena_strdup(&t->arena, name.p, name.n);
    return k->text.p ? KW_OK : KW_ENOMEM;
}

/* A special token that is text swallows the blanks on both sides; one that is an object says what it does. */
static kw_status name_special(kw_tokenizer *t, const kw_json *root, int32_t id)
{
    const kw_json *v = kw_json_get(root, specials[id].key), *flags = v, *name = v;
    if (v && v->type == KW_JSON_OBJECT) name = member(v, "content", KW_JSON_STRING);
    else flags = NULL;
    bool is_text = name && name->type == KW_JSON_STRING;
    kw_status st =
        name_token(t, id, is_text ? name->string : kw_str_of(specials[id].name), specials[id].type);
    const kw_json *left = member(flags, "lstrip", KW_JSON_BOOL),
                  *right = member(flags, "rstrip", KW_JSON_BOOL);
    t->tokens[id].strip_left = flags ? left && left->boolean : true;
    t->tokens[id].strip_right = flags ? right && right->boolean : true;
    return st;
}

static kw_status name_byte(kw_tokenizer *t, int byte)
{
    char name[4];
    uint32_t cp = kw_bpe_name_of((unsigned char)byte);
    return name_token(t, FIRST_BYTE + byte, (kw_str){ name, kw_utf8_encode(cp, name) },
                      KW_TOKEN_NORMAL);
}

static kw_status name_extra(kw_tokenizer *t, const kw_json *listed)
{
    char made[32];
    kw_status st = KW_OK;
    for (int32_t id = FIRST_EXTRA; id < t->n && !st; id++) {
        int n = snprintf(made, sizeof made, "<extra_id_%d>", id - FIRST_EXTRA);
        kw_str name = { made, (size_t)n };
        const kw_json *v =
            listed && listed->type == KW_JSON_OBJECT ? kw_json_get(listed, "content") : listed;
        if (v && v->type == KW_JSON_STRING) name = v->string;
        st = name_token(t, id, name, KW_TOKEN_CONTROL);
        if (listed) listed = listed->next;
    }
    return st;
}

static kw_status read_config(kw_tokenizer *t, const kw_json *root)
{
    int64_t n;
    kw_status st = count_ids(root, &n);
    if (!st) st = kw_tokenizer_reserve(t, (size_t)n);
    for (int32_t id = 0; id < FIRST_BYTE && !st; id++) st = name_special(t, root, id);
    for (int byte = 0; byte < 256 && !st; byte++) st = name_byte(t, byte);
    if (!st) st = name_extra(t, extra_names(root));
    if (!st) st = kw_tokenizer_add_listed(t, kw_json_get(root, "added_tokens_decoder"));
    for (int id = 0; id < FIRST_BYTE && !st; id++) t->tokens[id].type = (uint8_t)specials[id].type;
    return st;
}

kw_status kw_load_byt5(kw_tokenizer *t, const char *path)
{
    kw_arena trees = KW_ARENA(KW_PAY_TEXT);
    kw_json *root = NULL;
    t->model = KW_VOCAB_BPE;
    t->byte_level = t->ends_once = true;
    t->special = (kw_special_ids){ .bos = -1, .eos = 1, .pad = 0, .unk = 2, .adds_eos = true };
    snprintf(t->kind, sizeof t->kind, "bytes (ByT5)");
    kw_status st = kw_json_read_file(path, MAX_FILE, &trees, &root);
    if (!st) st = kw_note(read_config(t, root), "%s", path);
    kw_arena_free(&trees);
    return st ? st : kw_tokenizer_finish(t);
}
