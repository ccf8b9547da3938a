/* pickle.h - Python's pickles as data (format/ only): values without behaviour, and calls that are written down, not made.
 *
 * A pickle is a program for a stack machine whose instructions may name any function of Python and call it. This machine
 * knows the names of one table; a call of one becomes a value that says "this name, these arguments". Any other name
 * ends the reading, with the name in the message. */
#ifndef KW_FORMAT_PICKLE_H
#define KW_FORMAT_PICKLE_H

#include "format/format.h"

typedef enum kw_pickle_type {
    KW_PICKLE_NONE,
    KW_PICKLE_BOOL,   /* integer */
    KW_PICKLE_INT,    /* integer */
    KW_PICKLE_BIG,    /* string: an integer of more than 8 bytes, little endian */
    KW_PICKLE_FLOAT,  /* nothing is kept */
    KW_PICKLE_STRING, /* string: text or bytes */
    KW_PICKLE_TUPLE,  /* items */
    KW_PICKLE_LIST,   /* items */
    KW_PICKLE_DICT,   /* items: key, value, key, value... */
    KW_PICKLE_GLOBAL, /* global */
    KW_PICKLE_CALL,   /* global, items: the arguments */
    KW_PICKLE_OUTSIDE /* items: what the writer keeps outside the pickle (a storage), as a tuple */
} kw_pickle_type;

/* A name that a pickle may use; what it means is its reader's business, but for dictionaries. */
typedef struct kw_pickle_global {
    const char *module, *name;
    int kind;
    int value;
    bool makes_dict; /* a call of it is a dictionary */
} kw_pickle_global;

typedef struct kw_pickle_value {
    kw_pickle_type type;
    uint32_t n, cap; /* of items */
    union {
        int64_t integer;
        kw_str string; /* borrowed from the pickle */
        struct kw_pickle_value **items;
    };
    const kw_pickle_global *global;
    struct kw_pickle_value *next; /* OUTSIDE: the one read after it */
} kw_pickle_value;

typedef struct kw_pickle {
    const kw_pickle_value *root;
    const kw_pickle_value *outside; /* all values of this type, in the order of reading */
} kw_pickle;

/* Reads one pickle and leaves the cursor behind it. Values live in the arena. `globals` ends with a NULL module. */
kw_status kw_pickle_read(kw_cursor *c, const kw_pickle_global *globals, kw_arena *arena,
                         kw_pickle *out);

#endif
