/* internal.h - a tokenizer's members, for the files of text/. */
#ifndef KW_TEXT_INTERNAL_H
#define KW_TEXT_INTERNAL_H

#include "text/pattern.h"
#include "text/text.h"

/* GGUF's token types; the other formats are translated to them. */
typedef enum kw_token_type {
    KW_TOKEN_NORMAL = 1,
    KW_TOKEN_UNKNOWN,
    KW_TOKEN_CONTROL,
    KW_TOKEN_USER,
    KW_TOKEN_UNUSED,
    KW_TOKEN_BYTE
} kw_token_type;

typedef struct kw_token {
    kw_str text;  /* as stored: "Ġthe", "▁the", "<|im_end|>" */
    kw_str bytes; /* what it stands for */
    float score;
    uint8_t type;                 /* kw_token_type */
    bool is_piece;                /* merges may make it, whatever its type */
    bool is_added;                /* recognised in text before anything else is done to it */
    bool strip_left, strip_right; /* swallows white space beside it */
    bool single_word;             /* only where no letter or digit stands beside it */
    bool normalized;              /* recognised in normalized text instead of the original */
} kw_token;

/* trie.c: byte strings to ids, a byte at a time. */
typedef struct kw_trie {
    uint64_t *edges; /* from << 36 | byte << 28 | to: open addressing, a power of two; 0: empty */
    size_t n_slots, n_edges;
    uint32_t root[256]; /* the edges of node 0 */
    int32_t *ids;       /* of each node, -1: none */
    size_t n_nodes, cap;
} kw_trie;
kw_status kw_trie_add(kw_trie *t, kw_str key, int32_t id); /* the first of equal keys stays */
uint32_t kw_trie_far_step(const kw_trie *t, uint32_t node, unsigned char byte); /* node > 0 */
static inline uint32_t kw_trie_step(const kw_trie *t, uint32_t node, char byte) /* 0: no edge */
{
    return node ? kw_trie_far_step(t, node, (unsigned char)byte) : t->root[(unsigned char)byte];
}
void kw_trie_free(kw_trie *t);

/* charsmap.c: SentencePiece's compiled map of characters, borrowed. */
typedef struct kw_charsmap {
    kw_str trie, texts;
    bool plain[128]; /* keys begin with it only where something else than ASCII follows */
} kw_charsmap;
kw_status kw_charsmap_open(kw_str blob, kw_charsmap *m);
/* As the Hugging Face library reads it. */
kw_status kw_charsmap_apply(const kw_charsmap *m, kw_str text, kw_buf *out);
/* As SentencePiece reads it: the bytes used at the begin of text (n > 0), and their form. Without a map all of it. */
size_t kw_charsmap_longest(const kw_charsmap *m, kw_str text, kw_str *form);

/* normalize.c */
typedef enum kw_norm_kind {
    KW_NORM_FORM,    /* form: a kw_unicode_form */
    KW_NORM_LOWER,   /* each character by itself */
    KW_NORM_ACCENTS, /* form 0: as StripAccents; 1: as BERT */
    KW_NORM_BERT_CLEAN,
    KW_NORM_IDEOGRAPHS, /* blanks around them */
    KW_NORM_REPLACE,    /* from, or what the pattern finds; to */
    KW_NORM_COLLAPSE,   /* to; form 0: runs of white space, 1: of two blanks or more, 2: none */
    KW_NORM_PREPEND,    /* to */
    KW_NORM_STRIP,      /* form: 1 left, 2 right, 3 both */
    KW_NORM_CHARSMAP,
    KW_NORM_SENTENCEPIECE /* form 1: blanks squeezed */
} kw_norm_kind;
typedef struct kw_norm {
    kw_norm_kind kind;
    int form;
    kw_str from, to;
    kw_pattern *pattern; /* the tokenizer's own */
} kw_norm;
enum { KW_MAX_NORMS = 16 };

/* How text is cut before merging (pretok.c): one rule finds matches, and a behaviour says what becomes of them. */
typedef struct kw_rule kw_rule;
/* The end of the match that begins at text[at]; `at`: there is none. */
size_t kw_rule_match(const kw_rule *r, kw_str text, size_t at);
bool kw_rule_begins(const kw_rule *r, char ascii); /* may a match begin so? */
const kw_rule *kw_rule_of_pattern(kw_str regex);   /* a matcher written for this pattern, or NULL */
const kw_rule *kw_rule_named(const char *name);    /* "digit", "punctuation", ...; must exist */

typedef enum kw_behavior {
    KW_ISOLATED,
    KW_REMOVED,
    KW_CONTIGUOUS,
    KW_WITH_PREVIOUS,
    KW_WITH_NEXT
} kw_behavior;
typedef struct kw_cut {
    enum {
        KW_CUT_RULE,
        KW_CUT_LITERAL,
        KW_CUT_PATTERN,
        KW_CUT_METASPACE,
        KW_CUT_PREFIX_SPACE
    } kind;
    const kw_rule *rule;
    kw_pattern *pattern; /* the tokenizer's own */
    kw_str literal;      /* what is matched, or what stands for a space */
    bool begins[128];    /* ASCII that a match may begin with */
    kw_behavior behavior;
    bool invert;   /* gaps count as matches, and matches as gaps */
    bool is_whole; /* KW_CUT_METASPACE: not cut, only spaced */
    enum { KW_PREPEND_ALWAYS, KW_PREPEND_FIRST, KW_PREPEND_NEVER } prepend;
} kw_cut;
enum { KW_MAX_CUTS = 12 };

/* heap.c: what may be merged next, smallest rank first, then leftmost. */
typedef struct kw_candidate {
    uint32_t rank, left; /* the left of two nodes */
    uint32_t row;        /* the heap's own */
} kw_candidate;
typedef struct kw_place {
    uint32_t left, next;
} kw_place;
typedef struct kw_row {
    uint32_t rank, first, last; /* places; first 0: not in use */
} kw_row;
typedef struct kw_heap {
    kw_candidate *items; /* the first of each row */
    size_t n, cap;
    kw_row *rows;
    kw_place *places;
    size_t n_rows, cap_rows, n_places, cap_places;
    uint32_t free_row, free_place;
    uint32_t open[256]; /* by rank: a row that may get more, or 0 */
} kw_heap;

/* (left id, right id) -> rank and merged id. */
typedef struct kw_merge {
    uint64_t pair; /* left << 32 | right; KW_NO_PAIR: empty slot */
    uint32_t rank;
    int32_t id;
} kw_merge;
#define KW_NO_PAIR UINT64_MAX

/* What two neighbours become. */
typedef struct kw_pair {
    uint64_t not_ids; /* a table of them: the complement of left << 32 | right; 0: empty slot */
    uint32_t rank;    /* KW_NO_RANK: nothing */
    int32_t id;
} kw_pair;
#define KW_NO_RANK UINT32_MAX

enum { KW_MAX_AROUND = 8 };

/* Bytes that rules may make of n: a file may chain them without end. */
static inline size_t kw_text_most(size_t n) { return n < SIZE_MAX / 128 ? 64 * n + (1 << 20) : n; }

typedef enum kw_vocab_model {
    KW_VOCAB_BPE,
    KW_VOCAB_SPM,
    KW_VOCAB_UNIGRAM,
    KW_VOCAB_WORDPIECE
} kw_vocab_model;

struct kw_tokenizer {
    kw_arena arena;
    kw_checkpoint *owned; /* a checkpoint opened for its vocabulary alone, or NULL */
    kw_vocab_model model;
    char kind[64];
    kw_token *tokens;
    int32_t n;
    kw_map by_bytes; /* normal tokens by what they stand for; SentencePiece: rank << 32 | id */
    kw_map by_text;  /* all tokens as stored */
    kw_special_ids special;
    kw_str chat_template;

    /* What is done to text, in this order. */
    kw_trie added; /* tokens recognised in the text as it is */
    kw_norm norms[KW_MAX_NORMS];
    int n_norms;
    kw_charsmap charsmap;
    kw_trie added_normalized; /* tokens recognised in normalized text */
    kw_cut cuts[KW_MAX_CUTS];
    int n_cuts;
    int32_t before[KW_MAX_AROUND], after[KW_MAX_AROUND]; /* what KW_TEXT_ADD_SPECIAL puts around */
    int n_before, n_after;
    bool ends_once; /* no end is put behind a text that ends so by itself */

    kw_merge *merges; /* BPE: open addressing, a power of two */
    size_t n_merge_slots;
    int32_t next_merged;   /* BPE, while loading: what the next merge makes, most likely */
    bool byte_level;       /* BPE: tokens are bytes under printable names; else characters */
    bool ignore_merges;    /* BPE: a piece that is a token is taken whole */
    bool byte_fallback;    /* what is no token becomes the tokens of its bytes */
    bool fuse_unk;         /* BPE: unknown characters side by side are one token */
    kw_str suffix;         /* BPE: what ends a word ("</w>") */
    bool add_prefix_space; /* SentencePiece: the text begins with a space that is not there */
    int32_t byte_id[256];  /* the token of a single byte, or -1 */
    int32_t ascii_id[128]; /* the token of a single character, or -1 */
    int32_t blank_id;      /* that of "▁" */
    const char *space; /* SentencePiece: what stands for a space: "▁", or " " in llama2.c files */

    bool parts_words;       /* text may be cut where no token holds both sides: */
    bool joins_blank[256];  /* bytes that some token has in front of a "▁", */
    uint8_t joins[256][32]; /* and bits: in front of which other bytes */

    kw_trie pieces; /* Unigram, WordPiece */
    double *scores; /* Unigram */
    double unknown_score;
    bool single_scores;  /* Unigram: sums are rounded to f32, as SentencePiece does */
    kw_str prefix;       /* WordPiece: what begins a piece inside a word ("##") */
    uint32_t continuing; /* WordPiece: the node of that prefix */
    int max_word;

    /* How ids become text. */
    bool drops_first_space;
    bool
        specials_are_text; /* special tokens are decoded as any other: no space is dropped behind one */
    bool joins_words;      /* a space between tokens, except before one that continues a word */
    bool cleans_up;        /* no space before punctuation, contractions closed */
    bool keeps_names;      /* tokens are written as they are stored */
};

/* The state of one call: what encoders need room for. */
typedef struct kw_encoder {
    const kw_tokenizer *t;
    struct kw_node *nodes; /* merge.c's */
    size_t n_nodes, cap;
    kw_heap heap;
    kw_pair *pairs; /* what was asked before, or NULL */
    size_t n_pairs; /* a power of two */
    kw_buf scratch;
    struct kw_word *words; /* what was encoded before, or NULL */
    size_t n_words;        /* a power of two */
} kw_encoder;

kw_tokenizer *kw_tokenizer_new(void);
void kw_tokenizer_clear(kw_tokenizer *t); /* as new again */
/* Room for n tokens; at most as many as the file can hold, which the caller has checked. */
kw_status kw_tokenizer_reserve(kw_tokenizer *t, size_t n);
/* Tokens are filled in: builds the maps, byte ids and the list of specials. */
kw_status kw_tokenizer_finish(kw_tokenizer *t);
/* BPE: the bytes that a stored text stands for (GPT-2's printable stand-ins undone); a text with other letters as is. */
kw_status kw_bpe_unmap(kw_tokenizer *t, kw_str stored, kw_str *bytes);
uint32_t kw_bpe_name_of(unsigned char byte); /* the stand-in of a byte */
kw_status kw_bpe_reserve_merges(kw_tokenizer *t, size_t n);
kw_status kw_bpe_add_merge(kw_tokenizer *t, kw_str left, kw_str right, uint32_t rank);
/* The first of equal pairs stays; room was reserved. */
void kw_bpe_put_merge(kw_tokenizer *t, int32_t left, int32_t right, kw_merge m);

kw_status kw_load_gguf_vocab(kw_tokenizer *t, const kw_checkpoint *ck);
kw_status kw_parse_tokenizer_json(kw_tokenizer *t, const char *text, size_t len);
kw_status kw_load_tokenizer_json(kw_tokenizer *t, const char *path);
kw_status kw_parse_sentencepiece(kw_tokenizer *t, const char *text, size_t len);
kw_status kw_load_sentencepiece(kw_tokenizer *t, const char *path);
/* sentencepiece.bpe.model of an XLM-RoBERTa: ids as fairseq counted them. */
kw_status kw_load_fairseq(kw_tokenizer *t, const char *path);
/* What ByT5's tokenizer_config.json says of its tokens. */
kw_status kw_load_byt5(kw_tokenizer *t, const char *path);
/* A string of a JSON file in the folder of `path`; empty: there is none. */
kw_status kw_word_beside(const char *path, const char *file, const char *key, char word[64]);
/* added_tokens_decoder of tokenizer_config.json: tokens behind those of a vocabulary or over them. */
kw_status kw_tokenizer_add_listed(kw_tokenizer *t, const kw_json *added);
/* vocab_path ends in "vocab.json"; merges.txt lies beside it under the same prefix. */
kw_status kw_load_vocab_merges(kw_tokenizer *t, const char *vocab_path);
kw_status kw_load_llama2c_vocab(kw_tokenizer *t, const char *path);
/* chat_template, bos and eos of tokenizer_config.json beside it. */
kw_status kw_load_tokenizer_config(kw_tokenizer *t, const char *path);
kw_status kw_load_template_file(kw_tokenizer *t, const char *path); /* chat_template.jinja */

kw_status kw_parse_tiktoken(kw_tokenizer *t, const char *text, size_t len);
kw_status kw_load_tiktoken(kw_tokenizer *t, const char *path);
kw_status kw_parse_vocab_txt(kw_tokenizer *t, const char *text, size_t len);
kw_status kw_load_vocab_txt(kw_tokenizer *t, const char *path);

kw_status kw_tokenizer_add_norm(kw_tokenizer *t, kw_norm step);
kw_status kw_tokenizer_add_cut(kw_tokenizer *t, kw_cut step);
/* The same, with the rule or pattern of a regular expression. */
kw_status kw_tokenizer_add_cut_at(kw_tokenizer *t, kw_str regex, kw_cut step);
/* The cuts that go by a name in GGUF files; KW_EUNSUPPORTED when the name is not known. */
kw_status kw_tokenizer_add_cuts_named(kw_tokenizer *t, kw_str name);
bool kw_has_word(const char *list, kw_str wanted);    /* one of the words between blanks */
kw_str kw_tokenizer_cuts_name(const kw_tokenizer *t); /* the way back; {NULL, 0}: they have none */
kw_str kw_rule_pattern(const kw_rule *r);             /* as tokenizer.json writes it, or "" */
const char *kw_rule_name(const kw_rule *r);
/* save_gguf.c: BPE's merges by rank, as pairs of ids (kw_free). */
kw_status kw_bpe_list_merges(const kw_tokenizer *t, kw_merge **out, size_t *n);
/* A token's text with SentencePiece's letter for a space, also in llama2.c's vocabularies; borrows from t or scratch. */
kw_str kw_tokenizer_stored(const kw_tokenizer *t, int32_t id, kw_buf *scratch);
/* BERT's basic tokenizer: its normalizer and its cuts. */
typedef struct kw_bert_options {
    bool clean, ideographs, accents, lower;
} kw_bert_options;
kw_status kw_tokenizer_add_bert_norms(kw_tokenizer *t, kw_bert_options o);
kw_status kw_tokenizer_add_bert_cuts(kw_tokenizer *t);
bool kw_tokenizer_has_capitals(const kw_tokenizer *t);
kw_status kw_tokenizer_finish_bert(kw_tokenizer *t,
                                   bool is_cased); /* instead of kw_tokenizer_finish */
kw_status kw_base64_decode(kw_str text, kw_arena *arena, kw_str *out);

/* *out borrows from text or from the buffers. */
kw_status kw_normalize(const kw_tokenizer *t, kw_str text, bool is_first, kw_buf bufs[2],
                       kw_str *out);
void kw_put_replaced(kw_buf *out, kw_str s, kw_str from, kw_str to); /* each `from` as `to` */
/* special.c: text to ids, added tokens included. */
kw_status kw_encode_text(const kw_tokenizer *t, kw_str text, unsigned flags, kw_ids *out);
kw_status kw_index_added(kw_tokenizer *t);
/* cut.c: normalized text without added tokens. */
kw_status kw_cut_encode(kw_encoder *e, kw_str text, bool is_first, kw_ids *out);

/* merge.c: tokens are put down in their order, then merged and written out. */
kw_status kw_merge_put(kw_encoder *e, int32_t id,
                       size_t at); /* id -1: a character without a token */
kw_status kw_merge_all(kw_encoder *e, kw_str text, kw_ids *out);
kw_pair kw_bpe_pair(const kw_tokenizer *t, int32_t left, int32_t right, kw_str both);
kw_pair kw_spm_pair(const kw_tokenizer *t, int32_t left, int32_t right, kw_str both);
/* A token, or where there is none (-1) the tokens of the text's bytes, or the unknown one. */
kw_status kw_put_token(const kw_tokenizer *t, int32_t id, kw_str text, kw_ids *out);
bool kw_has_bytes(const kw_tokenizer *t, kw_str text); /* tokens for all of its bytes */
int64_t kw_spm_value(float score, int32_t id);         /* what by_bytes has */
static inline int32_t kw_value_id(int64_t value) { return (int32_t)(value & INT32_MAX); }
int32_t kw_char_id(const kw_tokenizer *t, kw_str c); /* the token of one character, or -1 */

/* One piece of text. */
kw_status kw_bpe_encode(kw_encoder *e, kw_str piece, kw_ids *out);
kw_status kw_spm_encode(kw_encoder *e, kw_str piece, kw_ids *out);
kw_status kw_unigram_encode(kw_encoder *e, kw_str piece, kw_ids *out);
kw_status kw_wordpiece_encode(kw_encoder *e, kw_str piece, kw_ids *out);
kw_status kw_unigram_prepare(kw_tokenizer *t); /* after the tokens are there */
kw_status kw_wordpiece_prepare(kw_tokenizer *t);
/* words.c: one piece of text by the tokenizer's model, at once or word by word. */
kw_status kw_words_encode(kw_encoder *e, kw_str piece, kw_ids *out);
void kw_words_prepare(kw_tokenizer *t); /* after the tokens are there */
/* The end of the word that begins at `at`, where parts_words: no token holds both sides of it. */
size_t kw_word_end(const kw_tokenizer *t, kw_str text, size_t at);
uint64_t kw_word_hash(kw_str word);
kw_status kw_words_begin(kw_encoder *e, size_t text_bytes);
void kw_words_release(kw_encoder *e);

/* The bytes of one token, appended. */
kw_status kw_token_bytes(const kw_tokenizer *t, int32_t id, unsigned flags, kw_buf *out);

kw_status kw_heap_push(kw_heap *h, uint32_t rank, uint32_t left);
bool kw_heap_pop(kw_heap *h, kw_candidate *c);
void kw_heap_free(kw_heap *h);

#endif
