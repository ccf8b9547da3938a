/* chat.h - the template language's insides, shared by chat_*.c.
 *
 *     text --chat_lex--> tokens --chat_parse--> nodes --chat_run, chat_eval--> text
 *
 * Values behave as Python's. All of a rendering lives in one arena. A function that fails records it in c->status,
 * which sticks, and returns the undefined value; so nobody gets NULL, and loops ask kw_chat_spend whether to go on. */
#ifndef KW_TEXT_CHAT_H
#define KW_TEXT_CHAT_H

#include "text/text.h"

enum {
    KW_CHAT_NESTING = 200,     /* of the template's text: brackets, blocks, operators */
    KW_CHAT_DEPTH = 600,       /* of what runs: about 100 calls of macros inside each other */
    KW_CHAT_STEPS = 10000000,  /* nodes evaluated, items and 64 bytes walked */
    KW_CHAT_RANGE = 100000,    /* numbers of one range(), as Jinja's sandbox has it */
    KW_CHAT_BYTES = 256 << 20, /* of values made */
    KW_CHAT_PRINTED = 64 << 20 /* of one string */
};

/* ---- values ---- */
typedef enum kw_obj_type {
    KW_OBJ_UNDEFINED,
    KW_OBJ_NONE,
    KW_OBJ_BOOL,
    KW_OBJ_INT,
    KW_OBJ_FLOAT,
    KW_OBJ_STRING,
    KW_OBJ_LIST,
    KW_OBJ_TUPLE,
    KW_OBJ_GENERATOR, /* walked once: what map, select and their kin give */
    KW_OBJ_KEYS,
    KW_OBJ_VALUES,
    KW_OBJ_ITEMS,
    KW_OBJ_RANGE,
    KW_OBJ_DICT,
    KW_OBJ_NAMESPACE,
    KW_OBJ_MACRO,
    KW_OBJ_FUNCTION,
    KW_OBJ_LOOP,
    KW_OBJ_CYCLER,
    KW_OBJ_JOINER
} kw_obj_type;

typedef struct kw_chat kw_chat;
typedef struct kw_obj kw_obj;
typedef struct kw_node kw_node;

typedef struct kw_pair {
    kw_obj *key, *value;
} kw_pair;

/* What a filter, test, method or function is called with. After binding, args has one entry for each parameter, NULL
 * where it was left out, and `named` is empty; a builtin whose parameters are "*" gets everything as it was written. */
typedef struct kw_call {
    kw_obj *self;
    kw_obj **args;
    size_t n;
    kw_pair *named;
    size_t n_named;
} kw_call;

typedef struct kw_builtin {
    const char *name;
    kw_obj *(*run)(kw_chat *c, const kw_call *call);
    const char *params; /* "old,new,?count": ? may be left out; "*": anything */
} kw_builtin;

typedef struct kw_chat_var {
    kw_str name;
    kw_obj *value;
} kw_chat_var;

/* The variables of one scope. */
typedef struct kw_frame {
    struct kw_frame *up;
    kw_chat_var *vars;
    size_t n, cap;
    bool is_kept; /* a macro made here may look at it later */
} kw_frame;

typedef struct kw_loop {
    const kw_node *node;   /* the statement, for loop(...) of a recursive one */
    const kw_node *filter; /* its condition; NULL: there is none, or the items have passed it */
    kw_frame *frame;       /* around the loop */
    kw_obj **items;
    size_t at, n;               /* the next item to be looked at, and all */
    kw_obj *last, *now, *ahead; /* items of the body; NULL: none, or not looked for */
    int64_t index;              /* of `now`, from 0 */
    int depth;
    bool is_through; /* a body came to its end */
    kw_obj *changed; /* what loop.changed() was last asked about */
} kw_loop;

struct kw_obj {
    kw_obj_type type;
    union {
        bool boolean;
        int64_t integer;
        double number;
        kw_str text; /* a string; or why the value is undefined */
        struct {
            kw_obj **items;
            size_t n, at; /* at: where a cycler stands, whether a joiner was asked before */
        } list;
        struct {
            kw_pair *pairs;
            size_t n, cap;
        } dict;
        struct {
            int64_t from, to, by;
        } range;
        struct {
            const kw_node *node;
            kw_frame *frame;
        } macro;
        struct {
            const kw_builtin *builtin;
            kw_obj *self;
        } function;
        kw_loop *loop;
    };
};

/* ---- the template ---- */
typedef enum kw_tok_kind {
    KW_TOK_TEXT,
    KW_TOK_OUT,
    KW_TOK_OUT_END,
    KW_TOK_DO,
    KW_TOK_DO_END,
    KW_TOK_NAME,
    KW_TOK_STRING,
    KW_TOK_INT,
    KW_TOK_FLOAT,
    KW_TOK_OP,
    KW_TOK_END
} kw_tok_kind;

typedef struct kw_tok {
    kw_tok_kind kind;
    int line;
    kw_str text; /* STRING: with escapes undone */
} kw_tok;

typedef enum kw_node_kind {
    /* expressions; children in brackets */
    KW_NODE_CONST,  /* value */
    KW_NODE_NAME,   /* name */
    KW_NODE_LIST,   /* [list] */
    KW_NODE_TUPLE,  /* [list] */
    KW_NODE_DICT,   /* [list]: key, value, key, value */
    KW_NODE_ATTR,   /* [a] name */
    KW_NODE_ITEM,   /* [a, b] */
    KW_NODE_SLICE,  /* [list]: value, from, to, step; ABSENT where left out */
    KW_NODE_ABSENT, /* undefined without a word */
    KW_NODE_CALL,   /* [a, list]: what is called, arguments */
    KW_NODE_FILTER, /* [a, list] name */
    KW_NODE_TEST,   /* [a, list] name */
    KW_NODE_NOT,
    KW_NODE_NEGATIVE,
    KW_NODE_POSITIVE,
    KW_NODE_BINARY,  /* [a, b] name: the operator */
    KW_NODE_CONCAT,  /* [list] */
    KW_NODE_COMPARE, /* [a, list]: operands, each of which has an operator as its name */
    KW_NODE_AND,
    KW_NODE_OR,
    KW_NODE_CHOICE, /* [a, b, c]: condition, value, other */
    /* arguments */
    KW_NODE_ARGUMENT,     /* [a] */
    KW_NODE_KEYWORD,      /* [a] name */
    KW_NODE_SPREAD,       /* [a]: *a */
    KW_NODE_SPREAD_NAMED, /* [a]: **a */
    /* statements; the statements of a body are its list */
    KW_NODE_TEXT,
    KW_NODE_OUTPUT,  /* [a] */
    KW_NODE_IF,      /* [a, list, b]: condition, body, IF or BODY */
    KW_NODE_BODY,    /* [list] */
    KW_NODE_FOR,     /* [a, b, c, list, other]: target, items, condition, body, else */
    KW_NODE_SET,     /* [a, b]: target, value */
    KW_NODE_CAPTURE, /* [a, b, list]: target or NULL, filters around a CONST, body */
    KW_NODE_MEMBER,  /* name, member: the target "ns.x" */
    KW_NODE_WITH,    /* [other, list]: SETs, body */
    KW_NODE_MACRO,   /* [other, list] name: parameters (NAME [a]: default), body */
    KW_NODE_CALLING, /* [a, other, list]: call, parameters, body */
    KW_NODE_BREAK,
    KW_NODE_CONTINUE
} kw_node_kind;

struct kw_node {
    kw_node_kind kind;
    int line, height;
    bool is_recursive;                          /* FOR */
    bool takes_args, takes_named, takes_caller; /* MACRO: varargs, kwargs, caller occur in it */
    kw_str name, member;
    kw_obj *value;
    kw_node *a, *b, *c, *list, *other, *next;
};

/* ---- a rendering ---- */
typedef enum kw_chat_flow { KW_CHAT_GOES_ON, KW_CHAT_BREAK, KW_CHAT_CONTINUE } kw_chat_flow;

struct kw_chat {
    kw_arena arena;
    kw_tok *toks;
    size_t n_toks, at;
    kw_node spare;  /* given out after a failure, never read */
    kw_node *macro; /* the one being read */
    int loops;      /* around the statement being read */
    kw_buf *out;
    kw_frame *frame;
    kw_obj constants[5], *nothing[1];            /* what the next line points to */
    kw_obj *undefined, *none, *yes, *no, *empty; /* empty: a list */
    char *tail;                                  /* where the last joined text may grow */
    size_t tail_room;                            /* bytes left there */
    int depth, line;
    bool parsed;
    size_t steps, max_steps; /* left, and at first */
    size_t bytes;
    int64_t now_s; /* seconds since 1970 */
    kw_chat_flow flow;
    kw_status status; /* sticks */
};

/* chat.c */
void kw_chat_fail(kw_chat *c, kw_status st, const char *fmt, ...) KW_PRINTF(3, 4);
kw_obj *kw_chat_wrong(kw_chat *c, const char *fmt, ...) KW_PRINTF(2, 3); /* KW_EINVAL; undefined */
bool kw_chat_spend(kw_chat *c, size_t steps); /* false: too many, or something failed before */
bool kw_chat_walk(kw_chat *c, kw_str s);      /* spends for a walk through s; chat_string.c */
bool kw_chat_enter(kw_chat *c);               /* one level deeper; false: too deep */
void kw_chat_leave(kw_chat *c);

kw_status kw_chat_cut(kw_chat *c, kw_str text); /* chat_lex.c */

/* chat_parse.c: the template as a BODY. chat_syntax.c: its expressions. chat_primary.c: what both need. */
kw_node *kw_chat_parse(kw_chat *c);
kw_node *kw_chat_node(kw_chat *c, kw_node_kind kind);
kw_node *kw_chat_node_of(kw_chat *c, kw_node_kind kind, kw_node *a, kw_node *b);
/* Appends to n's list; *last is its last one. */
void kw_chat_append(kw_chat *c, kw_node *n, kw_node **last, kw_node *child);
kw_node *kw_chat_number(kw_chat *c);
kw_node *kw_chat_word(kw_chat *c);                               /* a name, or true, false, none */
void kw_chat_grow(kw_chat *c, kw_node *n, const kw_node *child); /* n's height */
bool kw_chat_is(const kw_chat *c, kw_tok_kind kind, const char *text); /* the token at hand */
bool kw_chat_take(kw_chat *c, kw_tok_kind kind, const char *text);     /* passed when it is */
void kw_chat_expect(kw_chat *c, kw_tok_kind kind, const char *text);
void kw_chat_unexpected(kw_chat *c, const char *wanted);
kw_str kw_chat_name(kw_chat *c);
kw_node *kw_chat_expression(kw_chat *c, bool with_if); /* false: without "a if b else c" */
kw_node *kw_chat_tuple(kw_chat *c, bool with_if);      /* "a" or "a, b" */
kw_node *kw_chat_target(kw_chat *c, bool with_members);
kw_node *kw_chat_primary(kw_chat *c);
kw_node *kw_chat_postfix(kw_chat *c, kw_node *n);
kw_node *kw_chat_filters(kw_chat *c, kw_node *n, bool is_at_name); /* "| f(x)" and "is t" */

/* chat_run.c, chat_loop.c */
void kw_chat_run(kw_chat *c, const kw_node *list);
kw_obj *kw_chat_captured(kw_chat *c, const kw_node *list); /* what running it prints */
void kw_chat_run_for(kw_chat *c, const kw_node *n);
kw_obj *kw_chat_loop_again(kw_chat *c, kw_loop *loop, kw_obj *items); /* what it prints */
kw_obj *kw_chat_loop_attr(kw_chat *c, kw_obj *self, kw_str name);     /* NULL: it has none such */
int64_t kw_chat_loop_length(kw_chat *c, kw_loop *loop);
kw_obj *kw_chat_macro_call(kw_chat *c, kw_obj *macro, const kw_call *call);
kw_frame *kw_chat_frame_new(kw_chat *c, kw_frame *up);
kw_obj *kw_chat_find(kw_chat *c, kw_str name);
void kw_chat_set(kw_chat *c, kw_str name, kw_obj *value); /* in the innermost frame */
void kw_chat_assign(kw_chat *c, const kw_node *target, kw_obj *value);

/* chat_eval.c */
kw_obj *kw_chat_eval(kw_chat *c, const kw_node *n);
kw_obj *kw_chat_call(kw_chat *c, kw_obj *callee, kw_call *call);
kw_call kw_chat_args(kw_chat *c, const kw_node *args, kw_obj *self); /* evaluated */

/* chat_access.c */
kw_obj *kw_chat_attr(kw_chat *c, kw_obj *v, kw_str name);
kw_obj *kw_chat_own_attr(kw_chat *c, kw_obj *v, kw_str name); /* without keys; NULL: none */
kw_obj *kw_chat_item(kw_chat *c, kw_obj *v, kw_obj *key);
kw_obj *kw_chat_slice(kw_chat *c, kw_obj *v, kw_obj *const bounds[3]);

/* chat_call.c: builtins by name, and their arguments by position */
const kw_builtin *kw_chat_builtin_named(const kw_builtin *table, kw_str name);
kw_obj *kw_chat_builtin_call(kw_chat *c, const kw_builtin *b, const kw_call *call);
/* chat_filters_list.c: v.a.b for "a.b" */
kw_obj *kw_chat_path(kw_chat *c, kw_obj *v, const kw_obj *path, kw_obj *otherwise);
kw_obj *kw_chat_filter(kw_chat *c, kw_str name, const kw_call *call);
bool kw_chat_test(kw_chat *c, kw_str name, const kw_call *call);
bool kw_chat_has_filter(kw_str name);
kw_obj *kw_chat_no_filter(kw_chat *c, kw_str name); /* fails */
bool kw_chat_no_test(kw_chat *c, kw_str name);      /* fails */
bool kw_chat_flag(const kw_call *call, size_t i, bool otherwise);
int64_t kw_chat_count(kw_chat *c, const kw_call *call, size_t i, int64_t otherwise);
kw_str kw_chat_string(kw_chat *c, const kw_call *call, size_t i, const char *otherwise);

/* The tables; each ends with a row without a name. */
extern const kw_builtin kw_chat_filters_list[], kw_chat_filters_text[], kw_chat_filters_number[];
extern const kw_builtin kw_chat_filters_pick[];
extern const kw_builtin kw_chat_tests[], kw_chat_functions[];
extern const kw_builtin kw_chat_string_methods[], kw_chat_string_methods_is[];
extern const kw_builtin kw_chat_string_methods_cut[];
extern const kw_builtin kw_chat_dict_methods[], kw_chat_list_methods[], kw_chat_cycler_methods[];

/* chat_ops.c */
bool kw_obj_is_number(const kw_obj *v); /* booleans are numbers, as in Python */
bool kw_obj_is_integer(const kw_obj *v);
int64_t kw_obj_integer(const kw_obj *v);
double kw_obj_number(const kw_obj *v);
kw_obj *kw_chat_binary(kw_chat *c, kw_str op, kw_obj *a, kw_obj *b);
kw_obj *kw_chat_negative(kw_chat *c, kw_obj *v);
kw_obj *kw_chat_joined(kw_chat *c, kw_str a, kw_str b);
bool kw_chat_compare(kw_chat *c, kw_str op, kw_obj *a, kw_obj *b);
int kw_chat_order(kw_chat *c, const char *op, const kw_obj *a, const kw_obj *b);
void kw_chat_sort(kw_chat *c, kw_pair *pairs, size_t n, bool falls); /* by key, stable */
bool kw_chat_contains(kw_chat *c, kw_obj *all, kw_obj *one);
bool kw_chat_equal(kw_chat *c, const kw_obj *a, const kw_obj *b);

/* chat_value.c */
kw_obj *kw_chat_new(kw_chat *c, kw_obj_type type);
void *kw_chat_alloc(kw_chat *c, size_t count, size_t size); /* zeroed; NULL: status says why */
kw_obj *kw_chat_str(kw_chat *c, kw_str s);                  /* borrowed bytes */
kw_obj *kw_chat_text_of(kw_chat *c, const char *literal);
kw_obj *kw_chat_int(kw_chat *c, int64_t v);
kw_obj *kw_chat_real(kw_chat *c, double v);
kw_obj *kw_chat_bool(kw_chat *c, bool v);
kw_obj *kw_chat_list(kw_chat *c, kw_obj_type type, size_t n); /* n items, all undefined */
kw_obj *kw_chat_pair(kw_chat *c, kw_obj *a, kw_obj *b);       /* a tuple */
kw_obj *kw_chat_missing(kw_chat *c, const char *fmt, ...) KW_PRINTF(2, 3); /* undefined, and why */
kw_obj *kw_chat_of_json(kw_chat *c, const kw_json *v);
kw_obj *kw_chat_kept(kw_chat *c, kw_buf *b); /* its bytes as a string; frees it */
void kw_dict_put(kw_chat *c, kw_obj *dict, kw_obj *key, kw_obj *value);
kw_obj *kw_dict_get(kw_chat *c, const kw_obj *dict, const kw_obj *key); /* NULL: not there */
kw_obj *kw_dict_named(const kw_obj *dict, kw_str key);                  /* the same by text */
bool kw_obj_truth(const kw_obj *v);
bool kw_obj_is_list(const kw_obj *v);          /* has list.items */
const char *kw_obj_type_name(const kw_obj *v); /* "str", "NoneType" */
/* Whatever can be walked, as a list; fails on others. A generator is empty afterwards. */
kw_obj *kw_chat_iterate(kw_chat *c, kw_obj *v);
int64_t kw_chat_length(kw_chat *c, const kw_obj *v); /* fails where Python's len does */
size_t kw_text_count(kw_str s);                      /* characters */
size_t kw_text_offset(kw_str s, size_t character);   /* its byte, or s.n */

/* chat_print.c */
kw_str kw_chat_text(kw_chat *c, kw_obj *v); /* as str() */
void kw_chat_print(kw_chat *c, const kw_obj *v, kw_buf *out);
void kw_chat_repr(kw_chat *c, const kw_obj *v, kw_buf *out);
void kw_chat_put_real(kw_buf *out, double d);
/* chat_json.c */
kw_obj *kw_chat_tojson(kw_chat *c, const kw_call *call);
/* chat_format.c, chat_time.c */
kw_obj *kw_chat_percent(kw_chat *c, kw_str format, kw_obj *args);
kw_obj *kw_chat_format(kw_chat *c, const kw_call *call);
kw_obj *kw_chat_strftime(kw_chat *c, const kw_call *call);
/* chat_string.c, chat_case.c */
typedef uint32_t (*kw_case_fn)(uint32_t cp);
uint32_t kw_case_upper(uint32_t cp);
uint32_t kw_case_lower(uint32_t cp);
const char *kw_case_long_upper(uint32_t cp); /* "SS" for ß; NULL: one character is enough */
bool kw_text_is_space(uint32_t cp);          /* as Python's str.isspace */
kw_str kw_text_stripped(kw_str s, const kw_str *chars, bool left,
                        bool right); /* chars NULL: white space */
kw_obj *kw_chat_cased(kw_chat *c, kw_str s, kw_case_fn first, kw_case_fn rest);
kw_obj *kw_chat_replaced(kw_chat *c, kw_str s, kw_str old, kw_str new, int64_t most);
kw_obj *kw_chat_stripped(kw_chat *c, kw_str s, const kw_str *chars, bool left, bool right);
kw_obj *kw_chat_lines(kw_chat *c, kw_str s, bool with_ends);
kw_obj *kw_chat_padded(kw_chat *c, kw_str s, int64_t width, char align, kw_str fill);
size_t kw_text_find(kw_str s, kw_str part, size_t from); /* a byte, or SIZE_MAX */
size_t kw_text_find_last(kw_str s, kw_str part);

#endif
