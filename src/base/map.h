/* map.h - a hash map from byte strings to 64-bit values. Keys are borrowed, never copied.
 *
 * Open addressing with stored hashes; built once, read often (vocabularies, tensor names). Each map
 * draws a random seed against prepared collisions; the order of entries is that of insertion. */
#ifndef KW_BASE_MAP_H
#define KW_BASE_MAP_H

#include "base/alloc.h"
#include "base/str.h"

typedef struct kw_map_entry {
    kw_str key;
    uint64_t hash;
    int64_t value;
} kw_map_entry;

typedef struct kw_map {
    kw_map_entry *entries; /* insertion order */
    uint64_t *slots;       /* upper half of the hash | index + 1 into entries; 0 = empty */
    size_t n, cap, n_slots;
    uint64_t seed; /* drawn with the first slots */
    kw_payer payer;
} kw_map;

#define KW_MAP(payer_) ((kw_map){ .payer = (payer_) })
kw_status kw_map_reserve(kw_map *m, size_t n);
kw_status kw_map_put(kw_map *m, kw_str key, int64_t value); /* replaces the value of an equal key */
kw_status kw_map_add(kw_map *m, kw_str key, int64_t value); /* leaves the value of an equal key */
bool kw_map_get(const kw_map *m, kw_str key, int64_t *value);
/* The same in two steps, so that several can wait for memory together: asks for the key's slot and returns its hash,
 * which holds from the map's first kw_map_reserve on. */
uint64_t kw_map_ahead(const kw_map *m, kw_str key);
kw_status kw_map_add_hashed(kw_map *m, kw_str key, uint64_t hash, int64_t value);
bool kw_map_get_hashed(const kw_map *m, kw_str key, uint64_t hash, int64_t *value);
void kw_map_free(kw_map *m);

#endif
