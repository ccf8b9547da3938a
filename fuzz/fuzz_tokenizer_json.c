/* fuzz_tokenizer_json.c - any bytes as a tokenizer.json: read it, encode with it, decode what came out. */
#include "fuzz.h"
#include "text/internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t before = kw_alloc_live(KW_PAY_COUNT);
    kw_tokenizer *t = kw_tokenizer_new();
    kw_ids ids = { NULL, 0, 0 };
    kw_buf back = KW_BUF((size_t)1 << 20, KW_PAY_TEXT);
    expect(t != NULL);
    if (kw_parse_tokenizer_json(t, (const char *)data, size) == KW_OK) {
        kw_tokenizer_encode(t, KW_STR("the cat's e\xcc\x81 123\n\n  <s>\xff"),
                            KW_TEXT_PARSE_SPECIAL, &ids);
        kw_tokenizer_decode(t, ids.ids, ids.n, 0, &back);
    }
    kw_ids_free(&ids);
    kw_buf_free(&back);
    kw_tokenizer_close(t);
    expect(kw_alloc_live(KW_PAY_COUNT) == before);
    return 0;
}
