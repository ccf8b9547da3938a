/* families.c - the list of families, looking an architecture up in it, and walking the tables of one. */
#include "family/family.h"
#include <string.h>

#define KW_FAMILY(name) extern const kw_family kw_family_##name;
#include "family/families.def"
#undef KW_FAMILY

static const kw_family *const families[] = {
#define KW_FAMILY(name) &kw_family_##name,
#include "family/families.def"
#undef KW_FAMILY
    NULL,
};

const kw_family *const *kw_families(void) { return families; }

const kw_field *kw_field_after(const kw_family *f, const kw_field *row)
{
    if (row[1].at != KW_TABLE_END) return row + 1;
    for (const kw_field *const *table = f->fields; *table; table++) {
        const kw_field *last = *table;
        while (last[1].at != KW_TABLE_END) last++;
        if (last == row) return table[1];
    }
    return NULL;
}

const kw_weight_row *kw_weight_after(const kw_family *f, const kw_weight_row *row)
{
    if (row[1].at != KW_TABLE_END) return row + 1;
    for (const kw_weight_row *const *table = f->weights; *table; table++) {
        const kw_weight_row *last = *table;
        while (last[1].at != KW_TABLE_END) last++;
        if (last == row) return table[1];
    }
    return NULL;
}

static bool knows(const kw_arch *a, kw_str arch, bool is_gguf)
{
    if (is_gguf) return a->gguf && kw_str_is(arch, a->gguf);
    return (a->hf && kw_str_is(arch, a->hf)) || (a->hf_class && kw_str_is(arch, a->hf_class));
}

const kw_family *kw_family_find(kw_str arch, bool is_gguf, kw_has_key has, const void *file,
                                const kw_arch **row)
{
    const kw_family *found = NULL;
    for (size_t i = 0; families[i]; i++)
        for (const kw_arch *a = families[i]->archs; a->hf || a->gguf; a++) {
            bool has_key = is_gguf && a->gguf_key;
            if (!knows(a, arch, is_gguf)) continue;
            if (has_key ? !has || !has(file, a->gguf_key) : found != NULL) continue;
            found = families[i];
            *row = a;
            if (has_key) return found;
        }
    return found;
}

void kw_family_list(kw_buf *out)
{
    const char *last = "";
    for (size_t i = 0; families[i]; i++)
        for (const kw_arch *a = families[i]->archs; a->hf || a->gguf; a++) {
            const char *name = a->hf ? a->hf : a->gguf;
            if (!strcmp(name, last)) continue; /* by the name of another class, too */
            kw_buf_printf(out, "%s%s", *last ? ", " : "", name);
            last = name;
        }
}
