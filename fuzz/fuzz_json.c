/* fuzz_json.c - any bytes through both JSON readers and back through the writer.
 *
 * What must hold, besides that nothing is touched that is not ours:
 *   - what the tree accepts, the pull reader accepts (not the other way round: a number beyond the
 *     range of doubles is skipped without being looked at);
 *   - what was written is accepted, and writing it again gives the same text;
 *   - all memory comes back. */
#include "fuzz.h"
#include <string.h>

static bool skips(const char *text, size_t len)
{
    kw_json_reader r;
    kw_json_open(&r, text, len);
    bool ok = kw_json_skip(&r) && kw_json_end(&r);
    expect(ok == (r.status == KW_OK));
    kw_json_close(&r);
    return ok;
}

static void write_tree(kw_json_writer *w, const kw_json *v);

static void write_children(kw_json_writer *w, const kw_json *v)
{
    for (const kw_json *c = v->child; c; c = c->next) {
        bool has_nul = c->key.n && memchr(c->key.p, 0, c->key.n);
        if (v->type == KW_JSON_OBJECT) kw_json_key(w, has_nul ? "nul" : c->key.p);
        write_tree(w, c);
    }
}

static void write_tree(kw_json_writer *w, const kw_json *v)
{
    switch (v->type) {
    case KW_JSON_NULL: kw_json_put_null(w); break;
    case KW_JSON_BOOL: kw_json_put_bool(w, v->boolean); break;
    case KW_JSON_INT: kw_json_put_int(w, v->integer); break;
    case KW_JSON_FLOAT: kw_json_put_float(w, v->number); break;
    case KW_JSON_STRING: kw_json_put_string(w, v->string); break;
    case KW_JSON_ARRAY:
        kw_json_begin_array(w);
        write_children(w, v);
        kw_json_end_array(w);
        break;
    case KW_JSON_OBJECT:
        kw_json_begin_object(w);
        write_children(w, v);
        kw_json_end_object(w);
        break;
    }
}

/* The text of the tree that `text` parses to; false when it does not. */
static bool rewrite(const char *text, size_t len, int indent, kw_buf *out)
{
    kw_arena arena = KW_ARENA(KW_PAY_TEXT);
    kw_json *tree = NULL;
    bool ok = kw_json_parse(text, len, &arena, &tree) == KW_OK;
    expect(ok == (tree != NULL));
    if (ok) {
        kw_json_writer w = { .out = out, .indent = indent };
        write_tree(&w, tree);
        expect(out->status == KW_OK);
    }
    kw_arena_free(&arena);
    return ok;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    kw_buf once = KW_BUF((size_t)1 << 30, KW_PAY_TEXT),
           again = KW_BUF((size_t)1 << 30, KW_PAY_TEXT);
    bool is_json = skips(text, size);
    if (rewrite(text, size, 0, &once)) {
        expect(is_json && skips(once.data, once.len));
        expect(rewrite(once.data, once.len, 0, &again));
        expect(again.len == once.len && memcmp(again.data, once.data, once.len) == 0);
        kw_buf_clear(&again);
        expect(rewrite(text, size, (int)(size % 5), &again) && skips(again.data, again.len));
    }
    kw_buf_free(&once);
    kw_buf_free(&again);
    expect(kw_alloc_live(KW_PAY_TEXT) == 0);
    return 0;
}
