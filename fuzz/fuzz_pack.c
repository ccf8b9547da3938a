/* fuzz_pack.c - any bytes as a file of packed weights, as they are and with checksums that match. */
#include "format/pack.h"
#include "fuzz.h"
#include <string.h>

static void put(unsigned char *at, uint64_t x)
{
    for (int i = 0; i < 8; i++) at[i] = (unsigned char)(x >> (8 * i));
}

static void use(const unsigned char *data, size_t size)
{
    kw_pack p;
    volatile unsigned sum = 0;
    if (kw_pack_read(data, size, &p)) return;
    size_t end = 256;
    for (size_t i = 0; i < p.n; i++) {
        kw_pack_entry e = kw_pack_at(&p, i);
        expect(e.at >= end && e.bytes && e.at + e.bytes <= size && e.dtype < KW_DTYPE_COUNT);
        end = (size_t)(e.at + e.bytes);
        sum += data[e.at] + data[end - 1];
        for (size_t k = 0; k < e.name.n; k++) sum += (unsigned char)e.name.p[k];
    }
    for (size_t k = 0; k < p.source.n; k++) sum += (unsigned char)p.source.p[k];
    kw_pack_stamp s = kw_pack_new_stamp(&p, 1 + sum);
    expect(s.at >= 128 && s.at + sizeof s.bytes <= 256);
    expect(!kw_pack_knows(&p, 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    use(data, size);
    if (size < 256) return 0;
    uint64_t index = 0;
    for (int i = 8; i-- > 0;) index = index << 8 | data[48 + i];
    unsigned char *copy = kw_malloc(size, KW_PAY_MISC);
    memcpy(copy, data, size);
    put(copy + 40, size);
    if (index <= size - 256) put(copy + 64, kw_hash64(copy + 256, (size_t)index, 0));
    put(copy + 120, kw_hash64(copy, 120, KW_PACK_FORM));
    use(copy, size);
    kw_free(copy);
    return 0;
}
