/* pickle.c - the stack machine of pickles, protocols 2 to 5, without the part that calls anything.
 *
 * One small function an instruction, in a table by opcode. The stack holds pointers, so a value may be in many places and
 * even in itself: whoever walks the result bounds depth and steps. What an instruction can make is bounded by
 * MAX_THINGS (values and the places that hold them) and MAX_STACK, however the pickle repeats itself. */
#include "format/pickle.h"
#include <string.h>

enum { MAX_THINGS = 1 << 22, MAX_STACK = 1 << 20, MAX_PROTOCOL = 5 };

typedef kw_pickle_value value;

typedef struct pointers {
    value **at;
    size_t n, cap;
} pointers;

typedef struct machine {
    kw_cursor *c;
    const kw_pickle_global *globals;
    kw_arena *arena;
    pointers stack, memo;
    size_t things;
    value *first, *last; /* outside */
    kw_status status;    /* the first failure; the machine stops */
    bool is_done;
} machine;

/* ---- failing, and getting memory ---- */

static void stop(machine *m, kw_status st)
{
    if (!m->status) m->status = st;
}

static void bad(machine *m, const char *what)
{
    if (!m->status)
        stop(m, kw_fail(KW_EFORMAT, "the pickle is damaged at byte %zu: %s", kw_cursor_pos(m->c),
                        what));
}

static bool count(machine *m, size_t n)
{
    m->things += n;
    if (m->things <= MAX_THINGS) return true;
    stop(m, kw_fail(KW_ELIMIT, "a pickle of more than %d values", MAX_THINGS));
    return false;
}

static bool room(machine *m, pointers *p, size_t n)
{
    if (n <= p->cap) return true;
    size_t cap = p->cap ? p->cap : 64;
    while (cap < n) cap *= 2;
    value **bigger = kw_realloc(p->at, cap * sizeof *bigger, KW_PAY_FILE);
    if (!bigger) {
        stop(m, KW_ENOMEM);
        return false;
    }
    for (size_t i = p->cap; i < cap; i++) bigger[i] = NULL;
    p->at = bigger;
    p->cap = cap;
    return true;
}

static void push_any(machine *m, value *v)
{
    if (m->status) return;
    if (m->stack.n == MAX_STACK) {
        stop(m, kw_fail(KW_ELIMIT, "a pickle with more than %d values on its stack", MAX_STACK));
        return;
    }
    if (room(m, &m->stack, m->stack.n + 1)) m->stack.at[m->stack.n++] = v;
}

static void push(machine *m, value *v)
{
    if (v) push_any(m, v);
}

/* What may be taken lies above the last mark. */
static value *pop(machine *m)
{
    value *v = m->stack.n ? m->stack.at[m->stack.n - 1] : NULL;
    if (v) m->stack.n--;
    else bad(m, "nothing is left on the stack");
    return v;
}

static value *top(machine *m)
{
    value *v = pop(m);
    if (v) m->stack.n++;
    return v;
}

static value *make(machine *m, kw_pickle_type type)
{
    if (!count(m, 1)) return NULL;
    value *v = kw_arena_alloc(m->arena, 1, sizeof *v);
    if (!v) stop(m, KW_ENOMEM);
    else v->type = type;
    return v;
}

/* Room for n more items; grown by doubling, the smaller arrays stay behind in the arena. */
static bool grow(machine *m, value *v, size_t n)
{
    if (!count(m, n)) return false;
    if (v->n + n <= v->cap) return true;
    size_t cap = v->cap ? 2 * (size_t)v->cap : n;
    while (cap < v->n + n) cap *= 2;
    value **items = kw_arena_alloc(m->arena, cap, sizeof *items);
    if (!items) {
        stop(m, KW_ENOMEM);
        return false;
    }
    if (v->n) memcpy(items, v->items, v->n * sizeof *items);
    v->items = items;
    v->cap = (uint32_t)cap;
    return true;
}

static void append(machine *m, value *v, value *const *items, size_t n)
{
    if (!n || !grow(m, v, n)) return;
    memcpy(v->items + v->n, items, n * sizeof *items);
    v->n += (uint32_t)n;
}

/* ---- marks: a place without a value ---- */

static void op_mark(machine *m) { push_any(m, NULL); }

/* The values above the last mark, which goes; they stay readable until the next push. */
static bool above_mark(machine *m, value ***items, size_t *n)
{
    size_t from = m->stack.n;
    while (from && m->stack.at[from - 1]) from--;
    if (!from) {
        bad(m, "no mark");
        return false;
    }
    *items = m->stack.at + from;
    *n = m->stack.n - from;
    m->stack.n = from - 1;
    return true;
}

static void op_pop(machine *m)
{
    if (m->stack.n) m->stack.n--;
    else bad(m, "nothing is left on the stack");
}

/* ---- numbers and text ---- */

static void push_int(machine *m, kw_pickle_type type, int64_t integer)
{
    value *v = make(m, type);
    if (v) v->integer = integer;
    push(m, v);
}

static void op_constant(machine *m, int type_and_value)
{
    push_int(m, (kw_pickle_type)(type_and_value >> 1), type_and_value & 1);
}

static bool number(machine *m, int bytes, uint64_t *out)
{
    kw_str s;
    if (!kw_cursor_bytes(m->c, (uint64_t)bytes, &s)) {
        stop(m, kw_cursor_fail(m->c));
        return false;
    }
    *out = 0;
    for (int i = bytes; i-- > 0;) *out = *out << 8 | (unsigned char)s.p[i];
    return true;
}

static void op_int(machine *m, int bytes)
{
    uint64_t v;
    if (number(m, bytes, &v)) push_int(m, KW_PICKLE_INT, bytes == 4 ? (int32_t)v : (int64_t)v);
}

static void op_float(machine *m)
{
    uint64_t v;
    if (number(m, 8, &v)) push_int(m, KW_PICKLE_FLOAT, 0);
}

static bool counted(machine *m, int bytes, kw_str *out)
{
    uint64_t len;
    if (!number(m, bytes, &len)) return false;
    if (kw_cursor_bytes(m->c, len, out)) return true;
    stop(m, kw_cursor_fail(m->c));
    return false;
}

static void push_text(machine *m, kw_pickle_type type, kw_str text)
{
    value *v = make(m, type);
    if (v) v->string = text;
    push(m, v);
}

static void op_string(machine *m, int bytes)
{
    kw_str s;
    if (counted(m, bytes, &s)) push_text(m, KW_PICKLE_STRING, s);
}

/* Two's complement, little endian, of any length. */
static void op_long(machine *m, int bytes)
{
    kw_str s;
    uint64_t v = 0;
    if (!counted(m, bytes, &s)) return;
    if (s.n > 8) {
        push_text(m, KW_PICKLE_BIG, s);
        return;
    }
    for (size_t i = s.n; i-- > 0;) v = v << 8 | (unsigned char)s.p[i];
    if (s.n && s.n < 8 && (signed char)s.p[s.n - 1] < 0) v |= ~(uint64_t)0 << (8 * s.n);
    push_int(m, KW_PICKLE_INT, (int64_t)v);
}

/* ---- containers ---- */

static void op_empty(machine *m, int type) { push(m, make(m, (kw_pickle_type)type)); }

static void op_collect(machine *m, int type)
{
    size_t n;
    value **items, *v;
    if (!above_mark(m, &items, &n) || !(v = make(m, (kw_pickle_type)type))) return;
    if (type == KW_PICKLE_DICT && n % 2) bad(m, "a key without a value");
    append(m, v, items, n);
    push(m, v);
}

static void op_tuple(machine *m, int n)
{
    value *items[3], *v = make(m, KW_PICKLE_TUPLE);
    for (int i = n; i-- > 0;) items[i] = pop(m);
    if (m->status) return;
    append(m, v, items, (size_t)n);
    push(m, v);
}

static void extend(machine *m, value **items, size_t n, kw_pickle_type type)
{
    value *v = top(m);
    if (!v) return;
    if (v->type != type || (type == KW_PICKLE_DICT && n % 2))
        bad(m, "items for what does not take them");
    else append(m, v, items, n);
}

static void op_append(machine *m)
{
    value *item = pop(m);
    if (item) extend(m, &item, 1, KW_PICKLE_LIST);
}

static void op_set_item(machine *m)
{
    value *pair[2];
    pair[1] = pop(m);
    pair[0] = pop(m);
    if (!m->status) extend(m, pair, 2, KW_PICKLE_DICT);
}

static void op_extend(machine *m, int type)
{
    size_t n;
    value **items;
    if (above_mark(m, &items, &n)) extend(m, items, n, (kw_pickle_type)type);
}

/* ---- memo ---- */

static void put(machine *m, uint64_t at)
{
    value *v = top(m);
    if (!v) return;
    size_t size = kw_cursor_pos(m->c) + kw_cursor_left(m->c);
    if (at >= size || at >= MAX_THINGS) { /* a number costs its writer at least a byte */
        bad(m, "a memo number beyond all sense");
        return;
    }
    if (!room(m, &m->memo, (size_t)at + 1)) return;
    m->memo.at[at] = v;
    if (at >= m->memo.n) m->memo.n = (size_t)at + 1;
}

static void get(machine *m, uint64_t at)
{
    if (at < m->memo.n && m->memo.at[at]) push(m, m->memo.at[at]);
    else bad(m, "a memo number that was never given");
}

static void op_put(machine *m, int bytes)
{
    uint64_t at;
    if (number(m, bytes, &at)) put(m, at);
}

static void op_get(machine *m, int bytes)
{
    uint64_t at;
    if (number(m, bytes, &at)) get(m, at);
}

static void op_memoize(machine *m) { put(m, m->memo.n); }

/* ---- names and calls ---- */

static void name(machine *m, kw_str module, kw_str word)
{
    for (const kw_pickle_global *g = m->globals; g->module; g++)
        if (kw_str_is(module, g->module) && kw_str_is(word, g->name)) {
            value *v = make(m, KW_PICKLE_GLOBAL);
            if (v) v->global = g;
            push(m, v);
            return;
        }
    stop(m, kw_try(kw_fail(KW_EUNSUPPORTED,
                           "the pickle names %.*s.%.*s, which is not on the list of what is read"
                           "\nwhy: a pickle can call anything; here nothing of it is executed",
                           (int)(module.n < 64 ? module.n : 64), module.p,
                           (int)(word.n < 64 ? word.n : 64), word.p),
                   "save the weights alone: torch.save(model.state_dict(), ...) or safetensors"));
}

/* Names of the older protocols: text up to the end of a line. */
static bool line(machine *m, kw_str *out)
{
    const char *from = (const char *)m->c->at,
               *end = kw_cursor_left(m->c) ? memchr(from, '\n', kw_cursor_left(m->c)) : NULL;
    if (!end) {
        bad(m, "a line without an end");
        return false;
    }
    *out = (kw_str){ from, (size_t)(end - from) };
    return kw_cursor_skip(m->c, out->n + 1);
}

static void op_global(machine *m)
{
    kw_str module, word;
    if (line(m, &module) && line(m, &word)) name(m, module, word);
}

static void op_stack_global(machine *m)
{
    value *word = pop(m), *module = pop(m);
    if (!word || !module) return;
    if (word->type != KW_PICKLE_STRING || module->type != KW_PICKLE_STRING)
        bad(m, "a name that is no text");
    else name(m, module->string, word->string);
}

/* dict() or dict([(key, value), ...]) */
static void fill_dict(machine *m, value *dict, const value *args)
{
    const value *pairs = args->n ? args->items[0] : NULL;
    if (args->n > 1 || (pairs && pairs->type != KW_PICKLE_LIST)) {
        bad(m, "a dictionary of something else than pairs");
        return;
    }
    for (size_t i = 0; pairs && i < pairs->n && !m->status; i++) {
        const value *pair = pairs->items[i];
        bool fits = (pair->type == KW_PICKLE_LIST || pair->type == KW_PICKLE_TUPLE) && pair->n == 2;
        if (fits) append(m, dict, pair->items, 2);
        else bad(m, "a dictionary of something else than pairs");
    }
}

static void op_call(machine *m)
{
    value *args = pop(m), *callee = pop(m);
    if (!args || !callee) return;
    if (callee->type != KW_PICKLE_GLOBAL || args->type != KW_PICKLE_TUPLE) {
        bad(m, "a call of what is no name");
        return;
    }
    bool is_dict = callee->global->makes_dict;
    value *v = make(m, is_dict ? KW_PICKLE_DICT : KW_PICKLE_CALL);
    if (!v) return;
    if (is_dict) fill_dict(m, v, args);
    else {
        v->global = callee->global;
        v->items = args->items;
        v->n = args->n;
    }
    push(m, v);
}

/* State of an object (a dictionary's attributes): nothing that is read here has any that matters. */
static void op_build(machine *m)
{
    pop(m);
    top(m);
}

static void op_outside(machine *m)
{
    value *id = pop(m), *v;
    if (!id) return;
    if (id->type != KW_PICKLE_TUPLE) {
        bad(m, "a reference to outside that is no tuple");
        return;
    }
    if (!(v = make(m, KW_PICKLE_OUTSIDE))) return;
    v->items = id->items;
    v->n = id->n;
    if (m->last) m->last->next = v;
    else m->first = v;
    m->last = v;
    push(m, v);
}

/* ---- the rest ---- */

static void op_protocol(machine *m)
{
    uint64_t v;
    if (number(m, 1, &v) && v > MAX_PROTOCOL)
        stop(m, kw_fail(KW_EUNSUPPORTED, "pickle protocol %llu: known are 2 to %d",
                        (unsigned long long)v, MAX_PROTOCOL));
}

static void op_frame(machine *m)
{
    uint64_t len;
    if (number(m, 8, &len) && len > kw_cursor_left(m->c)) stop(m, kw_cursor_fail(m->c));
}

static void op_stop(machine *m) { m->is_done = true; }

/* clang-format off */
#define PLAIN(f) { .run = f }
#define WITH(f, a) { .take = f, .arg = a }
static const struct { void (*run)(machine *m); void (*take)(machine *m, int arg); int arg; } ops[256] = {
    ['('] = PLAIN(op_mark),   ['0'] = PLAIN(op_pop), 
    ['N'] = WITH(op_constant, KW_PICKLE_NONE << 1),        [0x88] = WITH(op_constant, KW_PICKLE_BOOL << 1 | 1),
    [0x89] = WITH(op_constant, KW_PICKLE_BOOL << 1),
    ['K'] = WITH(op_int, 1),     ['M'] = WITH(op_int, 2),     ['J'] = WITH(op_int, 4),     ['G'] = PLAIN(op_float),
    [0x8a] = WITH(op_long, 1),   [0x8b] = WITH(op_long, 4),
    ['U'] = WITH(op_string, 1),  ['T'] = WITH(op_string, 4),  ['X'] = WITH(op_string, 4),  [0x8c] = WITH(op_string, 1),
    [0x8d] = WITH(op_string, 8), ['B'] = WITH(op_string, 4),  ['C'] = WITH(op_string, 1),  [0x8e] = WITH(op_string, 8),
    [0x96] = WITH(op_string, 8),
    [')'] = WITH(op_empty, KW_PICKLE_TUPLE),   [']'] = WITH(op_empty, KW_PICKLE_LIST),  ['}'] = WITH(op_empty, KW_PICKLE_DICT),
    [0x8f] = WITH(op_empty, KW_PICKLE_LIST),   ['t'] = WITH(op_collect, KW_PICKLE_TUPLE),
    ['l'] = WITH(op_collect, KW_PICKLE_LIST),  ['d'] = WITH(op_collect, KW_PICKLE_DICT),
    [0x91] = WITH(op_collect, KW_PICKLE_LIST),
    [0x85] = WITH(op_tuple, 1),  [0x86] = WITH(op_tuple, 2),  [0x87] = WITH(op_tuple, 3),
    ['a'] = PLAIN(op_append),    ['s'] = PLAIN(op_set_item),  ['e'] = WITH(op_extend, KW_PICKLE_LIST),
    ['u'] = WITH(op_extend, KW_PICKLE_DICT),   [0x90] = WITH(op_extend, KW_PICKLE_LIST),
    ['q'] = WITH(op_put, 1),     ['r'] = WITH(op_put, 4),     ['h'] = WITH(op_get, 1),     ['j'] = WITH(op_get, 4),
    [0x94] = PLAIN(op_memoize),
    ['c'] = PLAIN(op_global),    [0x93] = PLAIN(op_stack_global),
    ['R'] = PLAIN(op_call),      [0x81] = PLAIN(op_call),     ['b'] = PLAIN(op_build),     ['Q'] = PLAIN(op_outside),
    [0x80] = PLAIN(op_protocol), [0x95] = PLAIN(op_frame),    ['.'] = PLAIN(op_stop),
};
#undef PLAIN
#undef WITH
/* clang-format on */

static void run(machine *m)
{
    uint8_t op;
    while (!m->is_done && !m->status) {
        if (!kw_cursor_u8(m->c, &op)) stop(m, kw_cursor_fail(m->c));
        else if (ops[op].run) ops[op].run(m);
        else if (ops[op].take) ops[op].take(m, ops[op].arg);
        else
            stop(m, kw_fail(KW_EUNSUPPORTED,
                            "the pickle has the instruction 0x%02x at byte %zu, which is not read",
                            op, kw_cursor_pos(m->c) - 1));
    }
}

kw_status kw_pickle_read(kw_cursor *c, const kw_pickle_global *globals, kw_arena *arena,
                         kw_pickle *out)
{
    machine m = { .c = c, .globals = globals, .arena = arena };
    run(&m);
    value *root = m.status ? NULL : pop(&m);
    if (root) *out = (kw_pickle){ .root = root, .outside = m.first };
    kw_free(m.stack.at);
    kw_free(m.memo.at);
    return m.status;
}
