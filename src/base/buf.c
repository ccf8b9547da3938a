/* buf.c - a growable byte buffer that is born with its maximum.
 *
 * Capacity doubles, never past the maximum, and always counts one byte for the final NUL, so that
 * the bytes can be handed to whoever wants a C string. The first failure sticks. */
#include "base/buf.h"
#include "base/utf8.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { FIRST_CAP = 64 };

/* Makes room for `len` more bytes and the final NUL. */
static bool grow(kw_buf *b, size_t len)
{
    size_t max = b->max < SIZE_MAX ? b->max : SIZE_MAX - 1;
    if (b->status) return false;
    if (len > max || b->len > max - len) {
        b->status = kw_fail(KW_ELIMIT, "a buffer would pass its limit of %zu bytes", b->max);
        return false;
    }
    size_t need = b->len + len;
    if (need < b->cap) return true;
    size_t cap = b->cap > SIZE_MAX / 4 ? need + 1 : 2 * b->cap;
    if (cap < FIRST_CAP) cap = FIRST_CAP;
    if (cap <= need) cap = need + 1;
    if (cap - 1 > max) cap = max + 1;
    char *data = kw_realloc(b->data, cap, b->payer);
    if (!data) {
        b->status = KW_ENOMEM;
        return false;
    }
    b->data = data;
    b->cap = cap;
    return true;
}

void kw_buf_bytes(kw_buf *b, const void *data, size_t len)
{
    if (!len || !grow(b, len)) return;
    memcpy(b->data + b->len, data, len);
    b->len += len;
    b->data[b->len] = '\0';
}

void kw_buf_byte(kw_buf *b, char c) { kw_buf_bytes(b, &c, 1); }

void kw_buf_str(kw_buf *b, const char *text) { kw_buf_bytes(b, text, strlen(text)); }

void kw_buf_codepoint(kw_buf *b, uint32_t cp)
{
    char bytes[4];
    kw_buf_bytes(b, bytes, kw_utf8_encode(cp, bytes));
}

void kw_buf_number(kw_buf *b, uint64_t v, size_t n_bytes)
{
    for (size_t i = 0; i < n_bytes; i++) kw_buf_byte(b, (char)(v >> (8 * i) & 0xff));
}

void kw_buf_printf(kw_buf *b, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (n < 0 && !b->status) b->status = kw_fail(KW_EINVAL, "text could not be formatted");
    if (n <= 0 || !grow(b, (size_t)n)) return;
    va_start(args, fmt);
    vsnprintf(b->data + b->len, (size_t)n + 1, fmt, args);
    va_end(args);
    b->len += (size_t)n;
}

char *kw_buf_reserve(kw_buf *b, size_t len) { return grow(b, len) ? b->data + b->len : NULL; }

const char *kw_buf_text(kw_buf *b)
{
    if (!b->data) return "";
    b->data[b->len] = '\0';
    return b->data;
}

char *kw_buf_take(kw_buf *b, size_t *len)
{
    if (!grow(b, 0)) return NULL;
    char *data = b->data;
    data[b->len] = '\0';
    if (len) *len = b->len;
    *b = (kw_buf){ .max = b->max, .payer = b->payer };
    return data;
}

void kw_buf_clear(kw_buf *b)
{
    b->len = 0;
    b->status = KW_OK;
    if (b->data) b->data[0] = '\0';
}

void kw_buf_free(kw_buf *b)
{
    kw_free(b->data);
    *b = (kw_buf){ .max = b->max, .payer = b->payer };
}
