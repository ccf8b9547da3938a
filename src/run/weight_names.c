/* weight_names.c - from a row of a family's table to the name that a file gives the tensor. */
#include "run/run.h"
#include <stdio.h>
#include <string.h>

void kw_weight_name(char out[KW_NAME_MAX], const char *pattern, int il, int expert)
{
    const int numbers[2] = { il, expert };
    size_t at = 0, which = 0, n = strcspn(pattern, "|");
    for (size_t i = 0; i < n && at + 16 < KW_NAME_MAX; i++) {
        out[at++] = pattern[i];
        if (pattern[i] != '%' || which == 2) continue;
        at += (size_t)snprintf(out + at - 1, 12, "%d", numbers[which++]) - 1;
        i++; /* the d */
    }
    out[at] = 0;
}

const char *kw_weight_next(const char *pattern)
{
    const char *bar = strchr(pattern, '|');
    return bar ? bar + 1 : NULL;
}

const kw_named_tensor *kw_weight_find(const kw_model *m, const kw_weight_row *row, int il,
                                      int expert, char name[KW_NAME_MAX])
{
    bool is_gguf = kw_checkpoint_naming(m->ck) == KW_NAMING_GGUF;
    for (const char *p = is_gguf ? row->gguf : row->hf; p; p = kw_weight_next(p)) {
        kw_weight_name(name, p, il, expert);
        const kw_named_tensor *found = kw_checkpoint_find(m->ck, name);
        if (found) return found;
    }
    return NULL;
}
