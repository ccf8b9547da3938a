/* json.h - reading and writing JSON.
 *
 * Two readers share one tokenizer. The pull reader walks a document once and allocates nothing, for
 * big files (tokenizer.json, safetensors headers):
 *
 *     kw_json_reader r;
 *     kw_json_open(&r, text, len);
 *     kw_json_enter_object(&r);
 *     while (kw_json_next_key(&r, &key))
 *         if (kw_str_is(key, "vocab")) read_vocab(&r); else kw_json_skip(&r);
 *     if (r.status) return r.status;
 *
 * The tree (kw_json) is for small documents that are asked about in any order (config.json, chat
 * messages). Both refuse invalid UTF-8, depth over 512, trailing bytes and stray commas with line
 * and column. */
#ifndef KW_BASE_JSON_H
#define KW_BASE_JSON_H

#include "base/buf.h"

enum { KW_JSON_MAX_DEPTH = 512 };

typedef enum kw_json_type {
    KW_JSON_NULL,
    KW_JSON_BOOL,
    KW_JSON_INT,
    KW_JSON_FLOAT,
    KW_JSON_STRING,
    KW_JSON_ARRAY,
    KW_JSON_OBJECT
} kw_json_type;

/* ---- pull reader: the first failure sticks in `status`, after it every call returns false ---- */
typedef struct kw_json_reader {
    const char *at, *end, *start;
    kw_buf text; /* unescaped bytes of the last string that had escapes */
    kw_status status;
    int depth;
    bool comma; /* the container had a member: the next one needs a comma */
} kw_json_reader;

void kw_json_open(kw_json_reader *r, const char *text, size_t len);
void kw_json_close(kw_json_reader *r); /* frees the unescape buffer */
/* The type of the next value, which is not read; KW_JSON_NULL on failure too. */
kw_json_type kw_json_peek(kw_json_reader *r);
/* The next_ functions are false when the container ended (it was left then) or on failure. After
 * true, the value must be read or skipped. */
bool kw_json_enter_object(kw_json_reader *r);
bool kw_json_next_key(kw_json_reader *r, kw_str *key);
bool kw_json_enter_array(kw_json_reader *r);
bool kw_json_next_item(kw_json_reader *r);
/* Strings are borrowed: from the document when they have no escapes, else from the reader until its
 * next string or key. \u escapes of lone surrogates become U+FFFD. */
bool kw_json_string(kw_json_reader *r, kw_str *out);
/* Floats pass as integers when their fraction is zero ("1e3", "5.0"). */
bool kw_json_int(kw_json_reader *r, int64_t *out);
bool kw_json_float(kw_json_reader *r, double *out);
bool kw_json_bool(kw_json_reader *r, bool *out);
/* True when the next value is null, which is read then; false is no failure. */
bool kw_json_null(kw_json_reader *r);
bool kw_json_skip(kw_json_reader *r); /* any value */
bool kw_json_end(kw_json_reader *r);  /* nothing but space follows */
/* Fails the reader with line and column: for what is JSON but not what it should be. */
kw_status kw_json_error(kw_json_reader *r, const char *what);

/* ---- tree ---- */
typedef struct kw_json {
    kw_json_type type;
    bool boolean;
    int64_t integer;       /* KW_JSON_INT */
    double number;         /* KW_JSON_INT and KW_JSON_FLOAT */
    kw_str string;         /* KW_JSON_STRING */
    kw_str key;            /* this value's name inside an object */
    struct kw_json *child; /* first of an array or object, in document order */
    struct kw_json *next;  /* sibling */
    size_t n;              /* children */
} kw_json;

/* Everything lives in `arena`. Repeated keys: the last one wins on lookup. */
kw_status kw_json_parse(const char *text, size_t len, kw_arena *arena, kw_json **out);
/* A file of at most `max` bytes; *out = NULL with KW_OK when there is none. */
kw_status kw_json_read_file(const char *path, size_t max, kw_arena *arena, kw_json **out);
/* The same value read from a pull reader's current position. */
kw_status kw_json_read_tree(kw_json_reader *r, kw_arena *arena, kw_json **out);
/* NULL when there is no such key or `object` is NULL or no object. */
const kw_json *kw_json_get(const kw_json *object, const char *key);
/* A dotted path, alternatives separated by '|': "rope_parameters.rope_theta|rope_theta". null
 * counts as absent. */
const kw_json *kw_json_path(const kw_json *object, const char *path);

/* ---- writer: appends to a kw_buf; commas and indentation are its business ---- */
typedef struct kw_json_writer {
    kw_buf *out;
    int depth;
    int indent; /* spaces a level, 0 = one line */
    bool comma, after_key;
} kw_json_writer;

void kw_json_begin_object(kw_json_writer *w);
void kw_json_end_object(kw_json_writer *w);
void kw_json_begin_array(kw_json_writer *w);
void kw_json_end_array(kw_json_writer *w);
void kw_json_key(kw_json_writer *w, const char *key);
void kw_json_key_str(kw_json_writer *w, kw_str key);
void kw_json_put_string(kw_json_writer *w, kw_str s); /* invalid UTF-8 becomes U+FFFD */
void kw_json_put_int(kw_json_writer *w, int64_t v);
/* The shortest text that reads back as the same float ("1.0", never "1"); NaN and infinities have
 * no spelling in JSON and become null. */
void kw_json_put_float(kw_json_writer *w, double v);
void kw_json_put_bool(kw_json_writer *w, bool v);
void kw_json_put_null(kw_json_writer *w);
void kw_json_put_tree(kw_json_writer *w, const kw_json *v); /* at most as deep as the reader goes */

#endif
