/* lifetime.c - places a plan's temporaries in one scratch memory.
 *
 * Largest value first, each at the lowest gap that nothing alive at the same time covers. On our decoders this
 * meets the lower bound (the largest sum of values alive together); placing in order of birth costs 8 % more.
 *
 *   op:    0    1    2    3          scratch: [ ffn ............ | x ]
 *   q      *----*                             [ q | k ]  reused: dead before ffn is born
 *   ffn              *----*
 *
 * Offsets are multiples of 64 bytes, so rows start on cache lines. */
#include "plan/internal.h"
#include <stdlib.h>

enum { ALIGN = 64 };

static int by_bytes(const void *a_, const void *b_)
{
    const kw_value *a = *(kw_value *const *)a_, *b = *(kw_value *const *)b_;
    if (a->bytes != b->bytes) return a->bytes < b->bytes ? 1 : -1;
    return a->first - b->first; /* a total order: the same layout everywhere */
}

static int by_offset(const void *a_, const void *b_)
{
    const kw_value *a = *(kw_value *const *)a_, *b = *(kw_value *const *)b_;
    return (a->offset > b->offset) - (a->offset < b->offset);
}

static bool alive_together(const kw_value *a, const kw_value *b)
{
    return a->first <= b->last && b->first <= a->last;
}

/* The lowest gap of v->bytes between the placed values that live at the same time as v. */
static size_t lowest_gap(const kw_value *v, kw_value **placed, size_t n_placed, kw_value **near)
{
    size_t n = 0, at = 0;
    for (size_t i = 0; i < n_placed; i++)
        if (alive_together(v, placed[i])) near[n++] = placed[i];
    qsort(near, n, sizeof *near, by_offset);
    for (size_t i = 0; i < n; i++) {
        if (at + v->bytes <= near[i]->offset) break;
        size_t end = near[i]->offset + near[i]->bytes;
        at = end > at ? end : at;
    }
    return at;
}

static kw_status measure(kw_value *v)
{
    size_t cells, bytes;
    if (!kw_mul_size((size_t)kw_tensor_rows(&v->t), (size_t)kw_tensor_cols(&v->t), &cells) ||
        !kw_dtype_size(v->t.dtype, cells, &bytes) || !kw_add_size(bytes, ALIGN - 1, &bytes))
        return kw_fail(KW_ELIMIT, "a value of %lld x %lld does not fit in memory",
                       (long long)kw_tensor_rows(&v->t), (long long)kw_tensor_cols(&v->t));
    v->bytes = bytes & ~(size_t)(ALIGN - 1);
    return KW_OK;
}

kw_status kw_plan_place(kw_plan *p)
{
    kw_value **temp = kw_calloc(p->n_values, 2 * sizeof *temp, KW_PAY_PLAN);
    if (!temp) return KW_ENOMEM;
    kw_value **near = temp + p->n_values;
    kw_status st = KW_OK;
    size_t n = 0;
    for (uint32_t i = 1; i < p->n_values && !st; i++) {
        if (p->value[i].kind != KW_TEMP) continue;
        st = measure(&p->value[i]);
        temp[n++] = &p->value[i];
    }
    if (!st) qsort(temp, n, sizeof *temp, by_bytes);
    p->scratch_bytes = 0;
    for (size_t i = 0; i < n && !st; i++) {
        temp[i]->offset = lowest_gap(temp[i], temp, i, near);
        if (!kw_add_size(temp[i]->offset, temp[i]->bytes, &temp[i]->bytes))
            st = kw_fail(KW_ELIMIT, "scratch memory");
        size_t end = temp[i]->bytes;
        temp[i]->bytes = end - temp[i]->offset;
        if (end > p->scratch_bytes) p->scratch_bytes = end;
    }
    kw_free(temp);
    return st;
}
