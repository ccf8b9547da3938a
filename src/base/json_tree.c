/* json_tree.c - small documents as a tree that can be asked in any order.
 *
 * Built on the pull reader without recursion: the open containers are a list on the stack, bounded
 * by the reader's depth limit. Strings are copied, so the tree lives as long as its arena and needs
 * nothing else. Lookup is linear: configurations have dozens of keys, not thousands. */
#include "base/json.h"
#include "base/file.h"
#include <string.h>

typedef struct level {
    kw_json *node;
    kw_json **tail; /* where the next child is hung */
} level;

static bool copy_text(kw_json_reader *r, kw_arena *arena, kw_str text, kw_str *out)
{
    char *copy = kw_arena_strdup(arena, text.p, text.n);
    *out = (kw_str){ copy, text.n };
    if (!copy) r->status = KW_ENOMEM;
    return copy != NULL;
}

static bool read_text(kw_json_reader *r, kw_arena *arena, kw_str *out)
{
    kw_str text;
    return kw_json_string(r, &text) && copy_text(r, arena, text, out);
}

static bool read_number(kw_json_reader *r, kw_json *node)
{
    if (node->type == KW_JSON_FLOAT) return kw_json_float(r, &node->number);
    if (!kw_json_int(r, &node->integer)) return false;
    node->number = (double)node->integer;
    return true;
}

/* Reads a scalar whole; enters a container. */
static bool read_value(kw_json_reader *r, kw_arena *arena, kw_json *node)
{
    node->type = kw_json_peek(r);
    switch (node->type) {
    case KW_JSON_NULL: return kw_json_null(r) || kw_json_skip(r);
    case KW_JSON_BOOL: return kw_json_bool(r, &node->boolean);
    case KW_JSON_INT:
    case KW_JSON_FLOAT: return read_number(r, node);
    case KW_JSON_STRING: return read_text(r, arena, &node->string);
    case KW_JSON_ARRAY: return kw_json_enter_array(r);
    case KW_JSON_OBJECT: return kw_json_enter_object(r);
    }
    return false;
}

/* The next value of the container `parent` (NULL: the root), or NULL when it ended or on failure.
 */
static kw_json *read_node(kw_json_reader *r, kw_arena *arena, const kw_json *parent)
{
    kw_str key = { NULL, 0 }, kept = { NULL, 0 };
    if (parent && parent->type == KW_JSON_ARRAY && !kw_json_next_item(r)) return NULL;
    if (parent && parent->type == KW_JSON_OBJECT &&
        !(kw_json_next_key(r, &key) && copy_text(r, arena, key, &kept)))
        return NULL;
    kw_json *node = kw_arena_alloc(arena, 1, sizeof *node);
    if (!node) {
        r->status = KW_ENOMEM;
        return NULL;
    }
    node->key = kept;
    return read_value(r, arena, node) ? node : NULL;
}

static bool is_container(const kw_json *node)
{
    return node->type == KW_JSON_ARRAY || node->type == KW_JSON_OBJECT;
}

kw_status kw_json_read_tree(kw_json_reader *r, kw_arena *arena, kw_json **out)
{
    level open[KW_JSON_MAX_DEPTH];
    int n_open = 0;
    *out = NULL;
    kw_json *root = read_node(r, arena, NULL);
    if (root && is_container(root)) open[n_open++] = (level){ root, &root->child };
    while (n_open && !r->status) {
        level *l = &open[n_open - 1];
        kw_json *child = read_node(r, arena, l->node);
        if (!child) {
            n_open--;
            continue;
        }
        *l->tail = child;
        l->tail = &child->next;
        l->node->n++;
        if (is_container(child)) open[n_open++] = (level){ child, &child->child };
    }
    if (!r->status) *out = root;
    return r->status;
}

kw_status kw_json_parse(const char *text, size_t len, kw_arena *arena, kw_json **out)
{
    kw_json_reader r;
    kw_json_open(&r, text, len);
    kw_status st = kw_json_read_tree(&r, arena, out);
    if (!st && !kw_json_end(&r)) st = r.status;
    if (st) *out = NULL;
    kw_json_close(&r);
    return st;
}

kw_status kw_json_read_file(const char *path, size_t max, kw_arena *arena, kw_json **out)
{
    char *text = NULL;
    size_t len;
    *out = NULL;
    if (!kw_path_exists(path)) return KW_OK;
    kw_status st = kw_file_read(path, max, &text, &len);
    if (!st) st = kw_json_parse(text, len, arena, out);
    kw_free(text);
    return st ? kw_note(st, "%s", path) : KW_OK;
}

static const kw_json *find(const kw_json *object, kw_str key)
{
    const kw_json *found = NULL;
    if (!object || object->type != KW_JSON_OBJECT) return NULL;
    for (const kw_json *c = object->child; c; c = c->next)
        if (kw_str_eq(c->key, key)) found = c;
    return found;
}

const kw_json *kw_json_get(const kw_json *object, const char *key)
{
    return find(object, kw_str_of(key));
}

const kw_json *kw_json_path(const kw_json *object, const char *path)
{
    const kw_json *at = object;
    for (;;) {
        size_t n = strcspn(path, ".|");
        at = find(at, (kw_str){ path, n });
        path += n;
        if (*path == '.') {
            path++;
            continue;
        }
        if (at && at->type != KW_JSON_NULL) return at;
        if (!*path) return NULL;
        path++; /* the next alternative */
        at = object;
    }
}
