/* session.c - one text in motion: its options, its ids and its part of the cache.
 *
 * The caller hands over whole texts; what the cache already holds of them is kept. Nothing is computed here: step.c
 * advances a text, score.c judges one. */
#include "kwaai/batch.h"
#include "kwaai/speculate.h"
#include "run/session.h"
#include <string.h>

static kw_status check_options(const kw_model *m, kw_session_options *o)
{
    if (o->ctx < 0) return kw_fail(KW_EINVAL, "a context of %d tokens", o->ctx);
    if (o->batch < 1 || o->batch > 65536)
        return kw_fail(KW_EINVAL, "chunks of %d tokens: expected 1 to 65536", o->batch);
    if (o->ctx > m->shape.ctx_train && m->shape.ctx_is_fixed)
        return kw_fail(KW_EINVAL,
                       "a context of %d tokens: this model has learned %d positions and has no "
                       "others",
                       o->ctx, m->shape.ctx_train);
    if (o->ctx > m->shape.ctx_train && !m->shape.rope_by_length)
        kw_log(KW_LOG_WARN,
               "a context of %d tokens, but the model was trained for %d: behind that it "
               "may write nonsense",
               o->ctx, m->shape.ctx_train);
    if (o->ctx == 0) o->ctx = m->shape.rope_by_length ? 1 << 20 : m->shape.ctx_train;
    if (o->batch > o->ctx) o->batch = o->ctx;
    return KW_OK;
}

static kw_status cache_dtype(const kw_model *m, const kw_session_options *o, kw_dtype *out)
{
    static const struct {
        const char *name;
        kw_dtype dtype;
    } types[] = { { "f32", KW_F32 }, { "f16", KW_F16 }, { "bf16", KW_BF16 }, { "int8", KW_I8 } };
    kw_str name = kw_str_of(o->kv_type ? o->kv_type : "");
    size_t i = 0, n = sizeof types / sizeof *types;
    *out = o->exact ? KW_F32 : KW_F16;
    if (name.n == 0) return KW_OK;
    while (i < n && !kw_str_is(name, types[i].name)) i++;
    if (i == n)
        return kw_fail(KW_EINVAL, "cache rows of type \"%.32s\": expected f32, f16, bf16 or int8",
                       o->kv_type);
    *out = types[i].dtype;
    if (o->exact && *out != KW_F32)
        return kw_fail(KW_EINVAL, "exact mode keeps f32 cache rows, not %s", o->kv_type);
    bool has = m->engine->backend->kv_dtypes >> *out & 1;
    if (!has || (*out == KW_I8 && !kw_cpu_tiles_cache(m->engine->device)))
        return kw_try(kw_fail(KW_EUNSUPPORTED, "cache rows of type %s: the backend \"%s\" has none",
                              o->kv_type, m->engine->backend->name),
                      "--kv-type f16");
    return KW_OK;
}

static kw_status fill(kw_session *s, kw_model *m, const kw_session_options *o)
{
    kw_dtype dtype;
    s->options = *o;
    kw_status st = check_options(m, &s->options);
    if (!st) st = cache_dtype(m, &s->options, &dtype);
    if (st) return st;
    s->m = kw_model_retain(m);
    s->pages =
        (kw_pages){ .engine = m->engine,
                    .window = m->shape.window,
                    .layout = { .dtype = dtype,
                                .n_layers = m->shape.n_layers,
                                .n_kv_heads = m->shape.n_kv_heads,
                                .head_dim = m->shape.head_dim,
                                .page_rows = KW_PAGE_ROWS,
                                .tiled = !o->exact && kw_cpu_tiles_cache(m->engine->device) } };
    kw_speculation_open(&s->speculation, s->options.lookup);
    st = kw_angles_open(m, &s->angles);
    if (!st) st = kw_eval_open(m, &s->options, &s->eval);
    return st ? st : kw_session_set_sampling(s, NULL);
}

kw_status kw_session_open(kw_model *m, const kw_session_options *o, kw_session **out)
{
    kw_session_options all = o ? *o : kw_session_defaults();
    kw_status st = kw_model_check_engine(m);
    if (!st) st = kw_model_check_writes(m);
    if (st) return st;
    kw_session *s = kw_calloc(1, sizeof *s, KW_PAY_KV);
    if (!s) return KW_ENOMEM;
    st = fill(s, m, &all);
    if (st) kw_session_close(s);
    else *out = s;
    return st;
}

void kw_session_close(kw_session *s)
{
    if (!s) return;
    if (s->batch) kw_batch_remove(s->batch, s);
    kw_eval_close(&s->eval);
    kw_speculation_close(&s->speculation);
    kw_angles_close(&s->angles);
    kw_free(s->window.own);
    kw_pages_cut(&s->pages, 0);
    kw_ids_free(&s->ids);
    kw_ids_free(&s->source);
    kw_encoded_release(s->memory);
    kw_sample_scratch_free(&s->scratch);
    kw_free(s->bias);
    kw_model_release(s->m);
    kw_free(s);
}

/* What the other text and its cache hold, and its draft model's. */
static kw_status copy_text(kw_session *to, kw_session *from)
{
    kw_status st = kw_pages_fork(&from->pages, &to->pages);
    for (size_t i = 0; i < from->ids.n && !st; i++) st = kw_ids_push(&to->ids, from->ids.ids[i]);
    for (size_t i = 0; i < from->source.n && !st; i++)
        st = kw_ids_push(&to->source, from->source.ids[i]);
    to->memory = kw_encoded_retain(from->memory);
    if (!st) st = kw_session_set_sampling(to, &from->sampling);
    if (!st && from->speculation.draft)
        st = kw_session_fork(from->speculation.draft, &to->speculation.draft);
    if (st) return st;
    kw_speculation_resume(&to->speculation, &from->speculation);
    kw_angles_set(to->m, &to->angles, from->angles.length);
    to->n_done = from->n_done > 0 ? from->n_done - 1 : 0; /* its last logits are not shared */
    return KW_OK;
}

kw_status kw_session_fork(kw_session *s, kw_session **out)
{
    kw_session *f = NULL;
    kw_status st = kw_session_open(s->m, &s->options, &f);
    if (!st) st = copy_text(f, s);
    if (st) kw_session_close(f);
    else *out = f;
    return st;
}

kw_status kw_session_set_sampling(kw_session *s, const kw_sampling *p)
{
    kw_sampling all = p ? *p : kw_sampling_defaults();
    kw_status st = kw_sampling_check(&all, s->m->shape.n_vocab);
    if (st) return st;
    kw_logit_bias *bias = NULL;
    if (all.n_logit_bias) {
        bias = kw_calloc(all.n_logit_bias, sizeof *bias, KW_PAY_MISC);
        if (!bias) return KW_ENOMEM;
        memcpy(bias, all.logit_bias, all.n_logit_bias * sizeof *bias);
    }
    kw_free(s->bias);
    s->bias = bias;
    s->sampling = all;
    s->sampling.logit_bias = bias;
    uint64_t seed = all.seed ? all.seed : kw_random_seed();
    kw_rng_seed(&s->rng, seed);
    kw_rng_seed(&s->speculation.rng, ~seed); /* draws of their own: the text's stay as they are */
    return KW_OK;
}

static kw_status check_ids(const kw_session *s, const int32_t *ids, size_t n)
{
    if (n == 0) return kw_fail(KW_EINVAL, "an empty text: there is nothing to continue");
    if (n > (size_t)s->options.ctx)
        return kw_try(kw_fail(KW_ELIMIT, "the text has %zu token%s, the context holds %d", n,
                              kw_s(n), s->options.ctx),
                      "a shorter text, or a larger context with -c (the model was trained for %d)",
                      s->m->shape.ctx_train);
    for (size_t i = 0; i < n; i++)
        if (ids[i] < 0 || ids[i] >= s->m->shape.n_vocab)
            return kw_fail(KW_EINVAL, "id %d at position %zu: the vocabulary has %d", ids[i], i,
                           s->m->shape.n_vocab);
    return KW_OK;
}

static size_t common_prefix(const kw_session *s, const int32_t *ids, size_t n)
{
    size_t most = s->n_done < n ? s->n_done : n, i = 0;
    while (i < most && s->ids.ids[i] == ids[i]) i++;
    return i;
}

kw_status kw_session_replace_text(kw_session *s, const int32_t *ids, size_t n)
{
    kw_status st = check_ids(s, ids, n);
    if (st) return st;
    size_t keep = common_prefix(s, ids, n);
    if (kw_angles_set(s->m, &s->angles, (int64_t)n))
        keep = 0;                /* cached keys were rotated for another length */
    if (keep == n) keep = n - 1; /* the last row gives the logits */
    if (!kw_pages_hold(&s->pages, keep)) keep = 0;
    kw_session_forget(s);
    s->n_done = s->ids.n = keep;
    s->finish = KW_FINISH_NONE;
    kw_pages_cut(&s->pages, keep);
    for (size_t i = keep; i < n && !st; i++) st = kw_ids_push(&s->ids, ids[i]);
    return st;
}

static bool is_source(const kw_session *s, const int32_t *ids, size_t n)
{
    if (s->source.n != n) return false;
    return memcmp(s->source.ids, ids, n * sizeof *ids) == 0;
}

/* A text for the encoder; what the decoder has computed beside another one is worth nothing. */
static kw_status replace_source(kw_session *s, const int32_t *ids, size_t n)
{
    kw_status st = check_ids(s, ids, n);
    if (st || is_source(s, ids, n)) return st;
    kw_encoded_release(s->memory);
    s->memory = NULL;
    s->n_done = s->source.n = 0;
    for (size_t i = 0; i < n && !st; i++) st = kw_ids_push(&s->source, ids[i]);
    return st;
}

kw_status kw_session_replace(kw_session *s, const int32_t *ids, size_t n)
{
    if (!s->m->family->encoder) return kw_session_replace_text(s, ids, n);
    kw_status st = replace_source(s, ids, n);
    int32_t start = s->m->shape.start_id;
    return st ? st : kw_session_replace_text(s, &start, 1);
}

bool kw_session_ends_with(const kw_session *s, int32_t id)
{
    for (size_t i = 0; i < s->m->n_end_ids; i++)
        if (s->m->end_ids[i] == id) return !s->sampling.ignore_eos;
    return false;
}

kw_status kw_session_poll(kw_session *s)
{
    (void)s;
    return KW_OK; /* nothing local is ever outstanding */
}

kw_finish kw_session_finish(const kw_session *s) { return s->finish; }

const char *kw_finish_name(kw_finish f)
{
    static const char *const names[] = { "", "stop", "length", "canceled" };
    return names[f];
}

const int32_t *kw_session_ids(const kw_session *s, size_t *n)
{
    *n = s->ids.n;
    return s->ids.ids;
}

size_t kw_session_context(const kw_session *s) { return (size_t)s->options.ctx; }

kw_cache_use kw_session_cache(const kw_session *s) { return kw_pages_use(&s->pages); }

const float *kw_session_logits(kw_session *s, size_t *n_vocab)
{
    *n_vocab = (size_t)s->m->shape.n_vocab;
    return s->logits;
}

kw_status kw_session_top(kw_session *s, int k, kw_logprob *out, int *n)
{
    size_t n_vocab;
    const float *logits = kw_session_logits(s, &n_vocab);
    if (!logits) return kw_fail(KW_EINVAL, "no logits before the first sync");
    return kw_top_logprobs(logits, n_vocab, k, out, n);
}

kw_guess_counts kw_session_guesses(const kw_session *s)
{
    return (kw_guess_counts){ .runs = s->n_runs,
                              .drafted = s->speculation.n_drafted,
                              .accepted = s->speculation.n_accepted };
}
