/* json_write.c - appends JSON to a buffer; commas and indentation look after themselves.
 *
 * The writer only remembers whether a comma is due and how deep it is: a sequence of calls that
 * makes no document (two roots, a key in an array) is the caller's mistake and not looked for.
 * Failures stick in the buffer. Output is always valid UTF-8, whatever the strings contain. */
#include "base/decimal.h"
#include "base/json.h"
#include "base/utf8.h"
#include <assert.h>

static void new_line(kw_json_writer *w)
{
    if (!w->indent) return;
    kw_buf_byte(w->out, '\n');
    for (int i = 0; i < w->depth * w->indent; i++) kw_buf_byte(w->out, ' ');
}

/* What stands before a value or a key. */
static void lead_in(kw_json_writer *w)
{
    if (!w->after_key) {
        if (w->comma) kw_buf_byte(w->out, ',');
        if (w->depth) new_line(w);
    }
    w->after_key = false;
    w->comma = true;
}

static void begin(kw_json_writer *w, char opener)
{
    lead_in(w);
    kw_buf_byte(w->out, opener);
    w->depth++;
    w->comma = false;
}

static void end(kw_json_writer *w, char closer)
{
    assert(w->depth > 0 && !w->after_key);
    w->depth--;
    if (w->comma) new_line(w);
    kw_buf_byte(w->out, closer);
    w->comma = true;
}

void kw_json_begin_object(kw_json_writer *w) { begin(w, '{'); }

void kw_json_end_object(kw_json_writer *w) { end(w, '}'); }

void kw_json_begin_array(kw_json_writer *w) { begin(w, '['); }

void kw_json_end_array(kw_json_writer *w) { end(w, ']'); }

static void put_codepoint(kw_buf *out, uint32_t cp)
{
    static const char letters[32] = {
        ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'
    };
    if (cp == '"' || cp == '\\') kw_buf_printf(out, "\\%c", (char)cp);
    else if (cp >= 0x20) kw_buf_codepoint(out, cp);
    else if (letters[cp]) kw_buf_printf(out, "\\%c", letters[cp]);
    else kw_buf_printf(out, "\\u%04x", (unsigned)cp);
}

static void put_quoted(kw_buf *out, kw_str s)
{
    kw_buf_byte(out, '"');
    for (size_t i = 0; i < s.n;) {
        uint32_t cp;
        i += kw_utf8_decode(s.p + i, s.n - i, &cp, NULL);
        put_codepoint(out, cp);
    }
    kw_buf_byte(out, '"');
}

void kw_json_key(kw_json_writer *w, const char *key) { kw_json_key_str(w, kw_str_of(key)); }

void kw_json_key_str(kw_json_writer *w, kw_str key)
{
    lead_in(w);
    put_quoted(w->out, key);
    kw_buf_str(w->out, w->indent ? ": " : ":");
    w->after_key = true;
}

void kw_json_put_string(kw_json_writer *w, kw_str s)
{
    lead_in(w);
    put_quoted(w->out, s);
}

void kw_json_put_int(kw_json_writer *w, int64_t v)
{
    lead_in(w);
    kw_buf_printf(w->out, "%lld", (long long)v);
}

void kw_json_put_float(kw_json_writer *w, double v)
{
    char text[KW_DECIMAL_BYTES];
    lead_in(w);
    if (v - v != 0) /* infinities and NaN have no spelling in JSON */
        kw_buf_str(w->out, "null");
    else kw_buf_bytes(w->out, text, kw_decimal_write(v, text));
}

void kw_json_put_bool(kw_json_writer *w, bool v)
{
    lead_in(w);
    kw_buf_str(w->out, v ? "true" : "false");
}

void kw_json_put_null(kw_json_writer *w)
{
    lead_in(w);
    kw_buf_str(w->out, "null");
}

void kw_json_put_tree(kw_json_writer *w, const kw_json *v)
{
    switch (v->type) {
    case KW_JSON_STRING: kw_json_put_string(w, v->string); break;
    case KW_JSON_INT: kw_json_put_int(w, v->integer); break;
    case KW_JSON_FLOAT: kw_json_put_float(w, v->number); break;
    case KW_JSON_BOOL: kw_json_put_bool(w, v->boolean); break;
    case KW_JSON_ARRAY:
        kw_json_begin_array(w);
        for (const kw_json *e = v->child; e; e = e->next) kw_json_put_tree(w, e);
        kw_json_end_array(w);
        break;
    case KW_JSON_OBJECT:
        kw_json_begin_object(w);
        for (const kw_json *e = v->child; e; e = e->next) {
            kw_json_key_str(w, e->key);
            kw_json_put_tree(w, e);
        }
        kw_json_end_object(w);
        break;
    default: kw_json_put_null(w);
    }
}
