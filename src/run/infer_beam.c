/* infer_beam.c - beam search for infer: each row's best texts, whole, as matrices of ids and scores.
 *
 * Rows of ids end in the padding id, or, where that is 0, in the end id: as transformers fills them. */
#include "run/infer.h"
#include <string.h>

kw_status kw_infer_check_beams(infer *f)
{
    if (f->beam.beams == 0) return KW_OK;
    if (!f->generate)
        return kw_try(kw_fail(KW_EINVAL, "beams without a number of ids to generate"),
                      "--generate N");
    f->beam.max_tokens = f->generate;
    if (!f->beam.end_ids) f->beam.end_ids = kw_model_end_ids(f->m, &f->beam.n_end_ids);
    f->found = kw_arena_alloc(&f->arena, f->b, sizeof *f->found);
    return f->found ? KW_OK : KW_ENOMEM;
}

static kw_status keep(infer *f, const kw_beams *beams, kw_beams *out)
{
    size_t n = 0;
    const int32_t *ids = kw_session_ids(f->s, &n);
    kw_hypothesis *at = kw_arena_alloc(&f->arena, beams->n, sizeof *at);
    *out = (kw_beams){ at, beams->n };
    for (size_t i = 0; at && i < beams->n; i++) {
        const kw_hypothesis *h = &beams->at[i];
        int32_t *whole = kw_arena_alloc(&f->arena, n + h->n, sizeof *whole);
        if (!whole) return KW_ENOMEM;
        memcpy(whole, ids, n * sizeof *ids);
        memcpy(whole + n, h->ids, h->n * sizeof *ids);
        at[i] = (kw_hypothesis){ whole, n + h->n, h->score };
    }
    return at ? KW_OK : KW_ENOMEM;
}

kw_status kw_infer_search(infer *f, size_t row)
{
    kw_beams *beams = NULL;
    if (f->beam.beams == 0) return KW_OK;
    kw_status st = kw_session_sync(f->s, f->text.real_ids, f->text.n_real);
    if (!st) st = kw_session_search(f->s, &f->beam, &beams);
    if (!st) st = keep(f, beams, &f->found[row]);
    kw_beams_free(beams);
    return st;
}

static int64_t fill_id(const infer *f)
{
    int32_t pad = f->m->shape.pad_id;
    if (!f->m->family->encoder && f->m->tokenizer) pad = kw_tokenizer_special(f->m->tokenizer).pad;
    if (pad > 0) return pad;
    return f->beam.n_end_ids ? f->beam.end_ids[0] : 0;
}

static void put_row(const infer *f, size_t row, size_t n, int64_t *ids, float *scores)
{
    size_t beams = (size_t)f->beam.beams;
    for (size_t i = 0; i < beams; i++) {
        static const kw_hypothesis none = { NULL, 0, -1e9 };
        const kw_hypothesis *h = i < f->found[row].n ? &f->found[row].at[i] : &none;
        for (size_t j = 0; j < n; j++) ids[i * n + j] = j < h->n ? h->ids[j] : fill_id(f);
        scores[i] = (float)h->score;
    }
}

kw_status kw_infer_put_beams(infer *f)
{
    size_t beams = (size_t)f->beam.beams, n = 1;
    if (beams == 0) return KW_OK;
    for (size_t row = 0; row < f->b; row++)
        for (size_t i = 0; i < f->found[row].n; i++)
            n = f->found[row].at[i].n > n ? f->found[row].at[i].n : n;
    int64_t *ids = kw_arena_alloc(&f->arena, f->b * beams, n * sizeof *ids);
    float *scores = kw_arena_alloc(&f->arena, f->b * beams, sizeof *scores);
    if (!ids || !scores) return KW_ENOMEM;
    for (size_t row = 0; row < f->b; row++)
        put_row(f, row, n, ids + row * beams * n, scores + row * beams);
    int64_t b = (int64_t)f->b, k = (int64_t)beams, width = (int64_t)n;
    bool alone = b == 1;
    kw_tensor all = { .dtype = KW_I64, .rank = 3, .shape = { b, k, width, 1 }, .data = ids };
    kw_tensor one = { .dtype = KW_I64, .rank = 2, .shape = { k, width, 1, 1 }, .data = ids };
    kw_tensor each = { .dtype = KW_F32, .rank = 2, .shape = { b, k, 1, 1 }, .data = scores };
    kw_tensor list = { .dtype = KW_F32, .rank = 1, .shape = { k, 1, 1, 1 }, .data = scores };
    for (size_t i = 0; i < f->n_want; i++) {
        want *w = &f->want[i];
        if (w->kind == WANT_BEAM_IDS) w->out.tensor = alone ? one : all;
        if (w->kind == WANT_BEAM_SCORES) w->out.tensor = alone ? list : each;
    }
    return KW_OK;
}
