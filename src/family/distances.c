/* distances.c - what the distance from a query to a key adds to their score, as T5 has it.
 *
 * Each head has a number for each of some buckets of distances: half of them are of one distance each, the others grow by the
 * logarithm, the last holds what is farther than `most`. An encoder spends half of the buckets on each direction, a decoder
 * all on what lies behind. The attention kernels know tables of distances only; a layer's is made here, once, when the
 * model is loaded. */
#include "family/blocks.h"

/* In f32, as PyTorch has it: some powers of two lie on a boundary. */
int kw_distance_bucket(int distance, int n, int most)
{
    int exact = n / 2;
    if (distance < exact) return distance;
    float share = (float)kw_log_e((double)((float)distance / (float)exact));
    share = share / (float)kw_log_e((double)most / exact) * (float)(n - exact);
    return share < (float)(n - exact) ? exact + (int)share : n - 1;
}

/* The bucket of a key that lies `ahead` of its query (behind: less than 0). */
static int bucket_of(kw_distances d, int ahead)
{
    int n = d.n_buckets / 2, distance = ahead < 0 ? -ahead : ahead;
    if (!d.both_ways) return kw_distance_bucket(distance, d.n_buckets, d.most);
    return (ahead > 0 ? n : 0) + kw_distance_bucket(distance, n, d.most);
}

/* [heads, distances] of [buckets, heads]; NULL: no memory. */
static const kw_tensor *expand(kw_distances d, const kw_tensor *buckets, kw_arena *arena)
{
    size_t heads = (size_t)buckets->shape[1];
    int n = d.both_ways ? 2 * d.most + 1 : d.most + 1;
    kw_tensor *t = kw_arena_alloc(arena, 1, sizeof *t);
    float *table = kw_arena_alloc(arena, (size_t)n * heads, sizeof *table);
    float *row = kw_arena_alloc(arena, heads, sizeof *row);
    if (!t || !table || !row) return NULL;
    for (int i = 0; i < n; i++) {
        int b = bucket_of(d, d.both_ways ? i - d.most : -i);
        kw_dtype_get(buckets->dtype)->decode(kw_tensor_row(buckets, b), row, heads);
        for (size_t h = 0; h < heads; h++) table[h * (size_t)n + (size_t)i] = row[h];
    }
    *t = (kw_tensor){
        .dtype = KW_F32, .rank = 2, .shape = { buckets->shape[1], n, 1, 1 }, .data = table
    };
    return t;
}

kw_status kw_derive_distances(kw_distances d, kw_layer *layer, const kw_layer *before,
                              kw_arena *arena)
{
    if (!layer->buckets.t && !before)
        return kw_fail(KW_EFORMAT, "the first layer has no relative_attention_bias");
    if (!layer->buckets.t) layer->buckets = before->buckets;
    layer->distances = layer->buckets; /* the name */
    layer->distances.t = before && layer->buckets.t == before->buckets.t
                             ? before->distances.t
                             : expand(d, layer->buckets.t, arena);
    return layer->distances.t ? KW_OK : KW_ENOMEM;
}

kw_status kw_check_distances(kw_distances d)
{
    const kw_size sizes[] = {
        { "buckets of distances", d.n_buckets, 4096 },
        { "longest distance with a bucket", d.most, 16384 },
    };
    kw_status st = kw_check_sizes(sizes, sizeof sizes / sizeof *sizes);
    if (!st && (d.n_buckets < 4 || d.most <= d.n_buckets / 2))
        return kw_fail(KW_EFORMAT,
                       "%d buckets for distances up to %d: expected 4 or more, and more "
                       "distances than half of them",
                       d.n_buckets, d.most);
    return st;
}
