/* buf.h - a growable byte buffer that is born with its maximum.
 *
 * The first failure (no memory, ceiling reached) sticks in `status`; later appends do nothing, so a
 * writer checks once at the end. `data` is NUL-terminated whenever len > 0 or after kw_buf_text. */
#ifndef KW_BASE_BUF_H
#define KW_BASE_BUF_H

#include "base/alloc.h"
#include "base/str.h"

typedef struct kw_buf {
    char *data;
    size_t len, cap, max;
    kw_payer payer;
    kw_status status;
} kw_buf;

#define KW_BUF(max_, payer_) ((kw_buf){ .max = (max_), .payer = (payer_) })
void kw_buf_bytes(kw_buf *b, const void *data, size_t len);
void kw_buf_byte(kw_buf *b, char c);
void kw_buf_str(kw_buf *b, const char *text);              /* NUL-terminated */
void kw_buf_codepoint(kw_buf *b, uint32_t cp);             /* as UTF-8 */
void kw_buf_number(kw_buf *b, uint64_t v, size_t n_bytes); /* its low bytes, the lowest first */
void kw_buf_printf(kw_buf *b, const char *fmt, ...) KW_PRINTF(2, 3);
/* Room for len more bytes, or NULL; the caller fills it and adds to b->len. */
char *kw_buf_reserve(kw_buf *b, size_t len);
const char *kw_buf_text(kw_buf *b); /* NUL-terminated, "" when empty */
/* Moves the bytes to the caller (kw_free), NUL-terminated; NULL when the buffer has failed. */
char *kw_buf_take(kw_buf *b, size_t *len);
void kw_buf_clear(kw_buf *b); /* len = 0, no failure; keeps the memory and the maximum */
void kw_buf_free(kw_buf *b);

#endif
