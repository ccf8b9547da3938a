/* fuzz_lora.c - any bytes as adapter_config.json and as the adapter beside it. */
#define _GNU_SOURCE
#include "files.h"
#include "run/lora.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t cut = fuzz_cut(&data, &size), before = kw_alloc_live(KW_PAY_COUNT);
    kw_arena arena = KW_ARENA(KW_PAY_MISC);
    kw_lora_config config;
    kw_lora l = { 0 };
    kw_lora_read_config((kw_str){ (const char *)data, cut }, &arena, &config);
    fuzz_file("adapter_config.json", data, cut);
    const char *path = fuzz_file("adapter", data + cut, size - cut);
    if (kw_lora_open(path, &l) == KW_OK) expect(l.n > 0);
    kw_lora_close(&l);
    kw_arena_free(&arena);
    expect(kw_alloc_live(KW_PAY_COUNT) == before);
    return 0;
}
