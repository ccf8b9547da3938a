/* families.c - the list of families, and looking an architecture up in it. */
#include "family/family.h"

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

static bool knows(const kw_arch *a, kw_str arch, bool is_gguf)
{
    if (is_gguf) return a->gguf && kw_str_is(arch, a->gguf);
    return (a->hf && kw_str_is(arch, a->hf)) || (a->hf_class && kw_str_is(arch, a->hf_class));
}

const kw_family *kw_family_find(kw_str arch, bool is_gguf, const kw_arch **row)
{
    for (size_t i = 0; families[i]; i++)
        for (const kw_arch *a = families[i]->archs; a->hf || a->gguf; a++)
            if (knows(a, arch, is_gguf)) {
                *row = a;
                return families[i];
            }
    return NULL;
}

void kw_family_list(kw_buf *out)
{
    const char *comma = "";
    for (size_t i = 0; families[i]; i++)
        for (const kw_arch *a = families[i]->archs; a->hf || a->gguf; a++) {
            kw_buf_printf(out, "%s%s", comma, a->hf ? a->hf : a->gguf);
            comma = ", ";
        }
}
