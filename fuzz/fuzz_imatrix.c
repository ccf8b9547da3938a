/* fuzz_imatrix.c - any bytes as an importance file, of either kind. */
#include "fuzz.h"
#include "format/format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t before = kw_alloc_live(KW_PAY_COUNT);
    kw_source *s = NULL;
    kw_imatrix *m = NULL;
    expect(kw_source_memory(data, size, "fuzz", &s) == KW_OK);
    if (kw_imatrix_read(s, &m) == KW_OK) {
        for (size_t i = 0; i < m->n; i++) {
            const kw_imatrix_row *r = &m->rows[i];
            expect(kw_imatrix_find(m, r->name) != NULL);
            for (size_t j = 0; j < r->cols * r->mats; j++) expect(r->mean[j] >= 0);
        }
    }
    kw_imatrix_close(m);
    expect(kw_alloc_live(KW_PAY_COUNT) == before);
    return 0;
}
