/* fingerprint.c - which weights these are, and whether their files are still what they were.
 *
 * Two questions with two answers. The identity is made of content alone, so that a model that was moved or copied is
 * recognised; it samples, so a small difference may escape it. The stamp is made of what the system keeps about the files:
 * time of change (which no program can set), time of writing, inode and size. A stamp that is known vouches for every
 * byte; one that is not says nothing, and the bytes have to be read. */
#include "format/internal.h"
#include <string.h>

typedef struct facts {
    uint64_t dtype, rank, bytes, name, sample;
    int64_t shape[4];
} facts;

_Static_assert(KW_MAX_RANK == 4, "all of a shape is among the facts");

static facts facts_of(const kw_named_tensor *t, uint64_t seed)
{
    enum { SAMPLE = 64 };
    size_t bytes = 0;
    (void)kw_tensor_bytes(&t->tensor, &bytes);
    size_t n = bytes < SAMPLE ? bytes : SAMPLE, at = (bytes - n) / 2;
    facts f = { .dtype = (uint64_t)t->tensor.dtype,
                .rank = (uint64_t)t->tensor.rank,
                .bytes = bytes,
                .name = kw_hash64(t->name.p, t->name.n, seed),
                .sample = kw_hash64((const char *)t->tensor.data + at, n, seed) };
    for (int i = 0; i < t->tensor.rank; i++) f.shape[i] = t->tensor.shape[i];
    return f;
}

static uint64_t identity_word(const kw_checkpoint *ck, uint64_t seed)
{
    uint64_t h = seed;
    for (size_t i = 0; i < ck->n_tensors; i++) {
        facts f = facts_of(&ck->tensors[i], seed);
        h = kw_hash64(&f, sizeof f, h);
    }
    return h;
}

kw_identity kw_checkpoint_identity(const kw_checkpoint *ck)
{
    uint64_t bytes = kw_checkpoint_bytes(ck);
    return (kw_identity){ { identity_word(ck, bytes), identity_word(ck, ~bytes) } };
}

uint64_t kw_checkpoint_stamp(const kw_checkpoint *ck)
{
    uint64_t h = 1;
    for (size_t i = 0; i < ck->n_sources; i++) {
        const kw_source *s = ck->sources[i];
        if (!s->stamp) return 0;
        h = kw_hash64(&s->stamp, sizeof s->stamp, h);
    }
    return h;
}

bool kw_checkpoint_is_mapped(const kw_checkpoint *ck)
{
    for (size_t i = 0; i < ck->n_sources; i++)
        if (!ck->sources[i]->is_mapped) return false;
    return true;
}
