/* checkpoint.h - any bytes as a weights file: open it, touch every tensor, read its vocabulary, use it. */
#ifndef KW_FUZZ_CHECKPOINT_H
#define KW_FUZZ_CHECKPOINT_H

#include "fuzz.h"
#include "text/text.h"

static inline void fuzz_use_vocabulary(const kw_checkpoint *ck)
{
    kw_tokenizer *t = NULL;
    kw_ids ids = { NULL, 0, 0 };
    kw_buf back = KW_BUF((size_t)1 << 20, KW_PAY_TEXT);
    if (kw_tokenizer_of_checkpoint(ck, &t) == KW_OK && t) {
        kw_tokenizer_encode(t, KW_STR("Hi \xe4\xb8\x96 <|im_end|>\xff 123"), KW_TEXT_ADD_SPECIAL,
                            &ids);
        kw_tokenizer_decode(t, ids.ids, ids.n, 0, &back);
    }
    kw_ids_free(&ids);
    kw_buf_free(&back);
    kw_tokenizer_close(t);
}

static inline void fuzz_touch(const kw_checkpoint *ck)
{
    volatile unsigned sum = 0;
    for (size_t i = 0; i < kw_checkpoint_count(ck); i++) {
        const kw_tensor *t = &kw_checkpoint_at(ck, i)->tensor;
        const unsigned char *bytes = t->data;
        size_t n = (size_t)kw_tensor_rows(t) * kw_tensor_row_bytes(t);
        if (n) sum += bytes[0] + bytes[n - 1];
    }
}

static inline int fuzz_checkpoint(const uint8_t *data, size_t size)
{
    size_t before = kw_alloc_live(KW_PAY_COUNT);
    kw_source *s = NULL;
    kw_checkpoint *ck = NULL;
    expect(kw_source_memory(data, size, "fuzz", &s) == KW_OK);
    if (kw_checkpoint_from_source(s, (kw_str){ "", 0 }, &ck) == KW_OK) {
        fuzz_touch(ck);
        fuzz_use_vocabulary(ck);
    }
    kw_checkpoint_close(ck);
    expect(kw_alloc_live(KW_PAY_COUNT) == before);
    return 0;
}

#endif
