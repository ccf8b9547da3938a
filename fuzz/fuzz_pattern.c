/* fuzz_pattern.c - any bytes as a pattern and, behind its first newline, a text: matches lie in order and within the text. */
#include "fuzz.h"
#include "text/pattern.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t before = kw_alloc_live(KW_PAY_COUNT);
    const char *all = (const char *)data, *line = size ? memchr(all, '\n', size) : NULL;
    kw_str regex = { all, line ? (size_t)(line - all) : size };
    kw_str text = { line ? line + 1 : all, line ? size - regex.n - 1 : size };
    kw_pattern *p = NULL;
    kw_pattern_walk w;
    if (kw_pattern_new(regex, &p) == KW_OK) {
        size_t start, end, last = 0;
        bool goes_on = kw_pattern_begin(&w, p, text) == KW_OK;
        while (goes_on && kw_pattern_next(&w, &start, &end) == KW_OK && start != SIZE_MAX) {
            expect(start >= last && end >= start && end <= text.n);
            last = end;
        }
        kw_pattern_end(&w);
    }
    kw_pattern_free(p);
    expect(kw_alloc_live(KW_PAY_COUNT) == before);
    return 0;
}
