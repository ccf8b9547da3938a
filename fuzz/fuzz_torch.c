/* fuzz_torch.c - see checkpoint.h; the corpus makes it PyTorch. A zip's directory is found from its end, which mutations seldom
 * leave whole: so the bytes also stand in an archive made here, as the pickle of one. */
#include "checkpoint.h"
#include <string.h>

enum { STORAGE = 64 };

static void put(kw_buf *b, uint64_t v, int bytes)
{
    for (int i = 0; i < bytes; i++) kw_buf_byte(b, (char)(i < 8 ? v >> (8 * i) : 0));
}

/* Both headers of a member are alike but for what stands between. */
static void put_header(kw_buf *b, const char *name, size_t size, size_t at, bool is_entry)
{
    put(b, is_entry ? 0x02014b50 : 0x04034b50, 4);
    put(b, 0, is_entry ? 16 : 14);
    put(b, size, 4);
    put(b, size, 4);
    put(b, strlen(name), 2);
    put(b, 0, is_entry ? 16 - 4 : 2);
    if (is_entry) put(b, at, 4);
    kw_buf_str(b, name);
}

static void archive(kw_buf *b, const uint8_t *data, size_t size)
{
    static const unsigned char storage[STORAGE];
    put_header(b, "m/data.pkl", size, 0, false);
    kw_buf_bytes(b, data, size);
    size_t second = b->len;
    put_header(b, "m/data/0", STORAGE, 0, false);
    kw_buf_bytes(b, storage, STORAGE);
    size_t directory = b->len;
    put_header(b, "m/data.pkl", size, 0, true);
    put_header(b, "m/data/0", STORAGE, second, true);
    size_t end = b->len;
    put(b, 0x06054b50, 8);
    put(b, 2, 2);
    put(b, 2, 2);
    put(b, end - directory, 4);
    put(b, directory, 4);
    put(b, 0, 2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    kw_buf b = KW_BUF((size_t)64 << 20, KW_PAY_MISC);
    fuzz_checkpoint(data, size);
    archive(&b, data, size);
    expect(b.status == KW_OK);
    fuzz_checkpoint((const uint8_t *)b.data, b.len);
    kw_buf_free(&b);
    return 0;
}
