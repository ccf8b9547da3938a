/* base64.c - the one reader of base64: tiktoken's tokens, and the character map in tokenizer.json. */
#include "text/internal.h"

static int value_of(char c)
{
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

kw_status kw_base64_decode(kw_str text, kw_arena *arena, kw_str *out)
{
    while (text.n && text.p[text.n - 1] == '=') text.n--;
    char *bytes = kw_arena_alloc(arena, text.n / 4 * 3 + 4, 1);
    size_t n = 0;
    uint32_t held = 0;
    int n_bits = 0;
    if (!bytes) return KW_ENOMEM;
    for (size_t i = 0; i < text.n; i++) {
        int v = value_of(text.p[i]);
        if (v < 0)
            return kw_fail(KW_EFORMAT, "byte %zu (0x%02x) is not base64", i,
                           (unsigned char)text.p[i]);
        held = held << 6 | (uint32_t)v;
        n_bits += 6;
        if (n_bits < 8) continue;
        n_bits -= 8;
        bytes[n++] = (char)(held >> n_bits);
    }
    *out = (kw_str){ bytes, n };
    return KW_OK;
}
