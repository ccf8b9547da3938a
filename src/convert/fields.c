/* fields.c - what a family's config says, asked by either of its names. */
#include "convert/convert.h"
#include <stddef.h>
#include <string.h>

static bool has_name(const char *list, const char *name)
{
    size_t n = strlen(name);
    for (; list; list = strchr(list, '|') ? strchr(list, '|') + 1 : NULL)
        if (strcspn(list, "|") == n && memcmp(list, name, n) == 0) return true;
    return false;
}

const kw_field *kw_convert_field(const kw_convert_job *j, const char *json, const char *gguf)
{
    const kw_family *family = j->m->family;
    for (const kw_field *f = family->fields[0]; f; f = kw_field_after(family, f))
        if ((json && has_name(f->json, json)) || (gguf && has_name(f->gguf, gguf))) return f;
    return NULL;
}

const void *kw_convert_value(const kw_convert_job *j, const kw_field *f)
{
    return (const char *)j->m->config + f->at;
}

/* The struct that has this field's value as its member at `offset`. */
static const void *holder(const kw_convert_job *j, const char *gguf, size_t offset)
{
    const kw_field *f = kw_convert_field(j, NULL, gguf);
    return f ? (const char *)j->m->config + f->at - offset : NULL;
}

const kw_rope_config *kw_convert_rope(const kw_convert_job *j)
{
    return holder(j, "rope.scaling.type", offsetof(kw_rope_config, type));
}

const char *kw_convert_rope_type(const kw_convert_job *j)
{
    static const char *const none[] = { "default", "none" };
    const kw_rope_config *rope = kw_convert_rope(j);
    for (size_t i = 0; rope && i < 2; i++)
        if (strcmp(rope->type, none[i]) == 0) return "";
    return rope ? rope->type : "";
}

const kw_windows *kw_convert_windows(const kw_convert_job *j)
{
    return holder(j, "attention.sliding_window", offsetof(kw_windows, size));
}
