/* shards.c - an index in JSON, and the files it names: {"weight_map": {"tensor": "file", ...}}. */
#include "format/internal.h"
#include <string.h>

enum { MAX_INDEX = 16 << 20 }; /* bytes: models of a thousand layers have less than one */

static kw_status open_shard(kw_checkpoint *ck, kw_str file, kw_file_options o)
{
    if (file.n == 0 || memchr(file.p, '/', file.n) || memchr(file.p, '\\', file.n) ||
        file.p[0] == '.')
        return kw_fail(KW_EFORMAT,
                       "the index names the shard \"%.*s\", which is not a plain file name",
                       (int)file.n, file.p);
    kw_buf path = KW_BUF(8192, KW_PAY_FILE);
    kw_buf_printf(&path, "%s/%.*s", ck->folder, (int)file.n, file.p);
    kw_source *s = NULL;
    kw_status st = path.status ? path.status : kw_source_file(kw_buf_text(&path), o, &s);
    if (!st) st = kw_checkpoint_own(ck, s);
    if (!st) st = kw_checkpoint_read_part(ck, s);
    kw_buf_free(&path);
    return st ? kw_note(st, "shard %.*s", (int)file.n, file.p) : KW_OK;
}

static kw_status open_shards(kw_checkpoint *ck, const kw_json *map, kw_file_options o)
{
    kw_map opened = KW_MAP(KW_PAY_FILE);
    kw_status st = KW_OK;
    for (const kw_json *e = map->child; e && !st; e = e->next) {
        int64_t seen;
        if (e->type != KW_JSON_STRING)
            st = kw_fail(KW_EFORMAT, "weight_map: \"%.*s\" is not a file name", (int)e->key.n,
                         e->key.p);
        else if (!kw_map_get(&opened, e->string, &seen)) {
            st = opened.n == KW_MAX_SHARDS
                     ? kw_fail(KW_ELIMIT, "more than %d shards", KW_MAX_SHARDS)
                     : open_shard(ck, e->string, o);
            if (!st) st = kw_map_put(&opened, e->string, 1);
        }
    }
    kw_map_free(&opened);
    for (const kw_json *e = map->child; e && !st; e = e->next) {
        int64_t at;
        if (!kw_map_get(&ck->by_name, e->key, &at))
            st = kw_fail(KW_EFORMAT, "tensor \"%.*s\" is in the index but not in its shard",
                         (int)e->key.n, e->key.p);
    }
    return st;
}

kw_status kw_index_read(kw_checkpoint *ck, kw_source *index, kw_file_options o)
{
    kw_json *root = NULL;
    if (index->size > MAX_INDEX)
        return kw_fail(KW_ELIMIT, "%s has %llu bytes, at most %d are read", index->name,
                       (unsigned long long)index->size, MAX_INDEX);
    kw_status st = kw_json_parse((const char *)index->map, (size_t)index->size, &ck->arena, &root);
    if (st) return kw_note(st, "%s", index->name);
    const kw_json *map = kw_json_get(root, "weight_map");
    if (!map || map->type != KW_JSON_OBJECT)
        return kw_fail(KW_EFORMAT, "%s has no weight_map", index->name);
    if (!map->child) return kw_fail(KW_EFORMAT, "the weight_map of %s is empty", index->name);
    return open_shards(ck, map, o);
}
