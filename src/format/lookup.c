/* lookup.c - what a checkpoint answers once it is open. */
#include "format/internal.h"
#include <stdio.h>

bool kw_source_holds(const kw_source *s, const void *data)
{
    const unsigned char *p = data;
    return p >= s->map && p < s->map + s->size;
}

kw_naming kw_checkpoint_naming(const kw_checkpoint *ck) { return ck->naming; }

const char *kw_checkpoint_format(const kw_checkpoint *ck) { return ck->format; }

const char *kw_checkpoint_folder(const kw_checkpoint *ck) { return ck->folder; }

uint64_t kw_checkpoint_bytes(const kw_checkpoint *ck)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < ck->n_sources; i++) bytes += ck->sources[i]->size;
    return bytes;
}

const kw_source *kw_checkpoint_source(const kw_checkpoint *ck, size_t i)
{
    return i < ck->n_sources ? ck->sources[i] : NULL;
}

bool kw_checkpoint_is_at(const kw_checkpoint *ck, const char *path)
{
    char temporary[4096];
    snprintf(temporary, sizeof temporary, "%s.tmp", path);
    for (size_t i = 0; i < ck->n_sources; i++)
        if (kw_path_is_same(ck->sources[i]->name, path) ||
            kw_path_is_same(ck->sources[i]->name, temporary))
            return true;
    return false;
}

size_t kw_checkpoint_count(const kw_checkpoint *ck) { return ck->n_tensors; }

const kw_named_tensor *kw_checkpoint_at(const kw_checkpoint *ck, size_t i)
{
    return &ck->tensors[i];
}

const kw_named_tensor *kw_checkpoint_find(const kw_checkpoint *ck, const char *name)
{
    int64_t at;
    return kw_map_get(&ck->by_name, kw_str_of(name), &at) ? &ck->tensors[at] : NULL;
}

const char *kw_checkpoint_nearest(const kw_checkpoint *ck, const char *name)
{
    enum { LIMIT = 16 };
    static _Thread_local char near[256];
    int best = LIMIT;
    size_t found = ck->n_tensors;
    for (size_t i = 0; i < ck->n_tensors; i++) {
        int d = kw_str_distance(kw_str_of(name), ck->tensors[i].name, best);
        if (d < best) {
            best = d;
            found = i;
        }
    }
    if (found == ck->n_tensors) return NULL;
    kw_str s = ck->tensors[found].name;
    size_t len = s.n < sizeof near - 1 ? s.n : sizeof near - 1;
    for (size_t i = 0; i < len; i++) near[i] = s.p[i];
    near[len] = 0;
    return near;
}

const kw_meta *kw_checkpoint_meta(const kw_checkpoint *ck, const char *key)
{
    int64_t at;
    return kw_map_get(&ck->by_key, kw_str_of(key), &at) ? &ck->metas[at] : NULL;
}

size_t kw_checkpoint_meta_count(const kw_checkpoint *ck) { return ck->n_metas; }

const kw_meta *kw_checkpoint_meta_at(const kw_checkpoint *ck, size_t i) { return &ck->metas[i]; }

const kw_json *kw_checkpoint_config(const kw_checkpoint *ck) { return ck->config; }

const kw_json *kw_checkpoint_generation_config(const kw_checkpoint *ck)
{
    return ck->generation_config;
}

kw_status kw_checkpoint_check(const kw_checkpoint *ck)
{
    kw_status st = KW_OK;
    for (size_t i = 0; i < ck->n_sources && !st; i++) st = ck->sources[i]->check(ck->sources[i]);
    return st;
}

void kw_checkpoint_forget(const kw_checkpoint *ck, const kw_named_tensor *t)
{
    size_t bytes;
    if (!kw_tensor_bytes(&t->tensor, &bytes)) return;
    for (size_t i = 0; i < ck->n_sources; i++) {
        kw_source *s = ck->sources[i];
        if (s->forget && kw_source_holds(s, t->tensor.data))
            s->forget(s, (uint64_t)((const unsigned char *)t->tensor.data - s->map), bytes);
    }
}

static const kw_source *source_of(const kw_checkpoint *ck, const void *data)
{
    for (size_t i = 0; i < ck->n_sources; i++)
        if (kw_source_holds(ck->sources[i], data)) return ck->sources[i];
    return NULL;
}

bool kw_checkpoint_owns(const kw_checkpoint *ck, const void *data)
{
    const kw_source *s = source_of(ck, data);
    return !s || s->is_own; /* of no file: a copy that the checkpoint or the model made */
}

void *kw_checkpoint_edit(kw_checkpoint *ck, const kw_named_tensor *t, kw_dtype dtype)
{
    kw_tensor wanted = t->tensor;
    size_t bytes;
    wanted.dtype = dtype;
    if (dtype == t->tensor.dtype && !source_of(ck, t->tensor.data))
        return (void *)(uintptr_t)t->tensor.data;
    if (!kw_tensor_bytes(&wanted, &bytes)) return NULL;
    return kw_arena_alloc(&ck->arena, bytes, 1);
}

void kw_checkpoint_set(kw_checkpoint *ck, const kw_named_tensor *t, kw_dtype dtype,
                       const void *data)
{
    kw_tensor *own = &ck->tensors[t - ck->tensors].tensor;
    own->dtype = dtype;
    own->data = data;
}
