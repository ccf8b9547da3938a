/* map.c - a hash map from byte strings to 64-bit values.
 *
 *     slots:   [ . 3 . . 1 2 . . ]      half the hash and index + 1 into entries, linear probing, at most half full
 *     entries: [ a, b, c ]              in order of insertion, each with its hash
 *
 * Keys may come from a hostile file, so the hash is SipHash-1-3 under a key that each map draws at
 * random: nobody can prepare names that collide. The order of the entries never depends on it.
 * Nothing is ever removed. */
#include "base/map.h"
#include "base/clock.h"
#include <string.h>

enum { FIRST_CAP = 16 };

static const size_t max_entries = (size_t)1 << 30;

static uint64_t rotate_left(uint64_t x, int n) { return x << n | x >> (64 - n); }

static inline void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[2] += v[3];
    v[1] = rotate_left(v[1], 13) ^ v[0];
    v[3] = rotate_left(v[3], 16) ^ v[2];
    v[0] = rotate_left(v[0], 32) + v[3];
    v[2] += v[1];
    v[1] = rotate_left(v[1], 17) ^ v[2];
    v[3] = rotate_left(v[3], 21) ^ v[0];
    v[2] = rotate_left(v[2], 32);
}

static inline void sip_word(uint64_t v[4], uint64_t word)
{
    v[3] ^= word;
    sip_round(v);
    v[0] ^= word;
}

static uint64_t hash_of(kw_str key, uint64_t seed)
{
    uint64_t v[4] = { seed ^ UINT64_C(0x736F6D6570736575), ~seed ^ UINT64_C(0x646F72616E646F6D),
                      seed ^ UINT64_C(0x6C7967656E657261), ~seed ^ UINT64_C(0x7465646279746573) };
    uint64_t word, last = (uint64_t)key.n << 56;
    size_t i = 0;
    for (; key.n - i >= 8; i += 8) {
        memcpy(&word, key.p + i, 8);
        sip_word(v, word);
    }
    for (int shift = 0; i < key.n; i++, shift += 8)
        last |= (uint64_t)(unsigned char)key.p[i] << shift;
    sip_word(v, last);
    v[2] ^= 0xFF;
    for (int round = 0; round < 3; round++) sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static kw_map_entry *entry_in(const kw_map *m, size_t slot)
{
    return &m->entries[(uint32_t)m->slots[slot] - 1];
}

/* The slot that holds `key`, or the empty one where it would go. */
static size_t find_slot(const kw_map *m, kw_str key, uint64_t hash)
{
    size_t mask = m->n_slots - 1, at = (size_t)hash & mask;
    for (; m->slots[at]; at = (at + 1) & mask) {
        if ((m->slots[at] ^ hash) >> 32) continue; /* without a look at the entry: it is far away */
        const kw_map_entry *e = entry_in(m, at);
        if (e->hash == hash && kw_str_eq(e->key, key)) break;
    }
    return at;
}

static uint64_t slot_of(uint64_t hash, size_t entry)
{
    return (hash & ~(uint64_t)UINT32_MAX) | (uint32_t)(entry + 1);
}

static kw_status rebuild_slots(kw_map *m, size_t n_slots)
{
    uint64_t *slots = kw_calloc(n_slots, sizeof *slots, m->payer);
    if (!slots) return KW_ENOMEM;
    kw_free(m->slots);
    m->slots = slots;
    m->n_slots = n_slots;
    for (size_t i = 0; i < m->n; i++)
        m->slots[find_slot(m, m->entries[i].key, m->entries[i].hash)] =
            slot_of(m->entries[i].hash, i);
    return KW_OK;
}

kw_status kw_map_reserve(kw_map *m, size_t n)
{
    if (n > max_entries) return kw_fail(KW_ELIMIT, "a map of %zu names is too large", n);
    if (n <= m->cap && m->n_slots) return KW_OK;
    if (!m->n_slots) m->seed = kw_random_seed();
    size_t n_slots = FIRST_CAP;
    while (n_slots < 2 * n) n_slots *= 2;
    size_t bytes;
    if (!kw_mul_size(n_slots / 2, sizeof(kw_map_entry), &bytes)) bytes = SIZE_MAX;
    kw_map_entry *entries = kw_realloc(m->entries, bytes, m->payer);
    if (!entries) return KW_ENOMEM;
    m->entries = entries;
    kw_status st = rebuild_slots(m, n_slots);
    if (!st) m->cap = n_slots / 2;
    return st;
}

static kw_status make_room(kw_map *m)
{
    return m->n == m->cap ? kw_map_reserve(m, m->n + 1) : KW_OK;
}

/* The key's entry, a new one with this value when there was none; there is room for it. */
static kw_map_entry *find_or_add(kw_map *m, kw_str key, uint64_t hash, int64_t value)
{
    size_t at = find_slot(m, key, hash);
    if (!m->slots[at]) {
        m->entries[m->n] = (kw_map_entry){ .key = key, .hash = hash, .value = value };
        m->slots[at] = slot_of(hash, m->n++);
    }
    return entry_in(m, at);
}

kw_status kw_map_put(kw_map *m, kw_str key, int64_t value)
{
    kw_status st = make_room(m);
    if (!st) find_or_add(m, key, hash_of(key, m->seed), value)->value = value;
    return st;
}

kw_status kw_map_add(kw_map *m, kw_str key, int64_t value)
{
    kw_status st = make_room(m);
    if (!st) find_or_add(m, key, hash_of(key, m->seed), value);
    return st;
}

kw_status kw_map_add_hashed(kw_map *m, kw_str key, uint64_t hash, int64_t value)
{
    kw_status st = make_room(m);
    if (!st) find_or_add(m, key, hash, value);
    return st;
}

uint64_t kw_map_ahead(const kw_map *m, kw_str key)
{
    uint64_t hash = hash_of(key, m->seed);
    if (m->n_slots) __builtin_prefetch(&m->slots[(size_t)hash & (m->n_slots - 1)]);
    return hash;
}

bool kw_map_get(const kw_map *m, kw_str key, int64_t *value)
{
    return kw_map_get_hashed(m, key, hash_of(key, m->seed), value);
}

bool kw_map_get_hashed(const kw_map *m, kw_str key, uint64_t hash, int64_t *value)
{
    if (!m->n_slots) return false;
    size_t at = find_slot(m, key, hash);
    if (!m->slots[at]) return false;
    if (value) *value = entry_in(m, at)->value;
    return true;
}

void kw_map_free(kw_map *m)
{
    kw_free(m->entries);
    kw_free(m->slots);
    *m = (kw_map){ .payer = m->payer };
}
