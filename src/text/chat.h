/* chat.h - the template language's insides, shared by chat_*.c.
 *
 * A template is cut into tokens once; expressions and statements are then evaluated straight from them, and a loop's
 * body is evaluated again from its first token. Values are JSON trees: NULL is Jinja's undefined. */
#ifndef KW_TEXT_CHAT_H
#define KW_TEXT_CHAT_H

#include "text/text.h"

typedef enum kw_tok_kind {
    KW_TOK_TEXT,
    KW_TOK_OUT,
    KW_TOK_OUT_END,
    KW_TOK_DO,
    KW_TOK_DO_END,
    KW_TOK_NAME,
    KW_TOK_STRING,
    KW_TOK_NUMBER,
    KW_TOK_OP,
    KW_TOK_END
} kw_tok_kind;

typedef struct kw_tok {
    kw_tok_kind kind;
    kw_str text; /* STRING: with escapes undone */
} kw_tok;

typedef struct kw_chat_var {
    kw_str name;
    const kw_json *value;
} kw_chat_var;

enum { KW_CHAT_DEPTH = 64, KW_CHAT_STEPS = 1000000, KW_CHAT_VARS = 256, KW_CHAT_BYTES = 64 << 20 };

typedef enum kw_chat_flow { KW_CHAT_GOES_ON, KW_CHAT_BREAK, KW_CHAT_CONTINUE } kw_chat_flow;

/* A list or object under construction. */
typedef struct kw_chat_list {
    kw_json *all, *last;
} kw_chat_list;

typedef struct kw_chat {
    kw_arena arena;
    kw_tok *toks;
    size_t n_toks, at;
    kw_buf *out;
    kw_chat_var vars[KW_CHAT_VARS];
    size_t n_vars, scope; /* variables from `scope` on belong to the innermost loop body */
    int depth;
    long steps;
    size_t bytes;      /* of values made so far */
    kw_chat_flow flow; /* the rest of the loop's body is walked over, not executed */
    kw_status status;  /* sticks */
} kw_chat;

kw_status kw_chat_cut(kw_chat *c, kw_str text); /* chat_lex.c */

/* chat_expr.c: evaluates from c->at on and leaves c->at behind. live = false walks over without evaluating. */
const kw_json *kw_chat_expression(kw_chat *c, bool live);
const kw_json *kw_chat_operand(kw_chat *c,
                               bool live); /* without "a if b else c" on its top level */
bool kw_chat_is(const kw_chat *c, kw_tok_kind kind, const char *text); /* the token at hand */
bool kw_chat_take(kw_chat *c, kw_tok_kind kind,
                  const char *text); /* ... which is passed when it is */
void kw_chat_expect(kw_chat *c, kw_tok_kind kind, const char *text);
kw_str kw_chat_name(kw_chat *c);

/* chat_ops.c */
bool kw_chat_is_number(const kw_json *v); /* booleans are numbers, as in Python */
int64_t kw_chat_integer(const kw_json *v);
double kw_chat_number(const kw_json *v);
const char *kw_chat_type_name(const kw_json *v); /* "a string", "undefined" */
const kw_json *kw_chat_real(kw_chat *c, double d);
int64_t kw_chat_wrap(char op, int64_t a, int64_t b);
const kw_json *kw_chat_arithmetic(kw_chat *c, kw_str op, const kw_json *a, const kw_json *b);
const kw_json *kw_chat_add(kw_chat *c, kw_str op, const kw_json *a, const kw_json *b);
const kw_json *kw_chat_concat(kw_chat *c, const kw_json *a, const kw_json *b);
const kw_json *kw_chat_order(kw_chat *c, kw_str op, const kw_json *a, const kw_json *b);
bool kw_chat_contains(kw_chat *c, const kw_json *all, const kw_json *one);
bool kw_chat_test(kw_chat *c, kw_str name, const kw_json *v);

/* chat.c */
void kw_chat_fail(kw_chat *c, kw_status st, const char *fmt, ...) KW_PRINTF(3, 4);
bool kw_chat_step(kw_chat *c); /* false: a limit was reached, or something failed before */

const kw_json *kw_chat_find(const kw_chat *c, kw_str name);
void kw_chat_set(kw_chat *c, kw_str name, const kw_json *value);

/* chat_value.c */
kw_json *kw_chat_new(kw_chat *c, kw_json_type type);
const kw_json *kw_chat_str(kw_chat *c, const char *p, size_t n); /* borrowed bytes */
const kw_json *kw_chat_int(kw_chat *c, int64_t v);
const kw_json *kw_chat_bool(kw_chat *c, bool v);
char *kw_chat_bytes(kw_chat *c, size_t n); /* n + 1 zeroed bytes, or NULL */
kw_chat_list kw_chat_list_new(kw_chat *c, kw_json_type type);
void kw_chat_append(kw_chat *c, kw_chat_list *list, const kw_json *item,
                    kw_str key); /* copies the item's head */
bool kw_chat_truth(const kw_json *v);
bool kw_chat_equal(const kw_json *a, const kw_json *b);
kw_str kw_chat_text(kw_chat *c, const kw_json *v); /* as print would write it */
const kw_json *kw_chat_filter(kw_chat *c, kw_str name, const kw_json *v, const kw_json *args);
const kw_json *kw_chat_method(kw_chat *c, kw_str name, const kw_json *self, const kw_json *args);

#endif
