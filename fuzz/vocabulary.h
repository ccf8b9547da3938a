/* vocabulary.h - what targets of tokenizer files share: read any bytes, encode with what came of them, decode again. */
#ifndef KW_FUZZ_VOCABULARY_H
#define KW_FUZZ_VOCABULARY_H

#include "fuzz.h"
#include "text/internal.h"

typedef kw_status (*parse_fn)(kw_tokenizer *t, const char *text, size_t len);

static inline int read_and_use(parse_fn parse, const uint8_t *data, size_t size)
{
    size_t before = kw_alloc_live(KW_PAY_COUNT);
    kw_tokenizer *t = kw_tokenizer_new();
    kw_ids ids = { NULL, 0, 0 };
    kw_buf back = KW_BUF((size_t)1 << 20, KW_PAY_TEXT);
    expect(t != NULL);
    if (parse(t, (const char *)data, size) == KW_OK) {
        kw_tokenizer_encode(t,
                            KW_STR("the cat's E\xcc\x81 123\n\n  <s>\xff \xe2\x91\xa0\xef\xac\x81 "
                                   "[CLS] \xe2\x96\x81 don't."),
                            KW_TEXT_PARSE_SPECIAL | KW_TEXT_ADD_SPECIAL, &ids);
        kw_tokenizer_decode(t, ids.ids, ids.n, 0, &back);
    }
    kw_ids_free(&ids);
    kw_buf_free(&back);
    kw_tokenizer_close(t);
    expect(kw_alloc_live(KW_PAY_COUNT) == before);
    return 0;
}

#endif
