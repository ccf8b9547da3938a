/* families.c - prints the families and what each knows, a row of its archs a line: name, model_type, GGUF architecture, class.
 * scripts/families makes the README's table of it. */
#include "family/family.h"
#include <stdio.h>

static const char *or_dash(const char *s) { return s ? s : "-"; }

int main(void)
{
    const kw_family *const *all = kw_families();
    for (size_t i = 0; all[i]; i++)
        for (const kw_arch *a = all[i]->archs; a->hf || a->gguf; a++)
            printf("%s\t%s\t%s\t%s\n", all[i]->name, or_dash(a->hf), or_dash(a->gguf),
                   or_dash(a->hf_class));
    return 0;
}
