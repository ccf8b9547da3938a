/* session.c - one text in motion.
 *
 * The caller hands over whole texts; what the cache already holds of them is kept. The newest id is computed lazily: a
 * step first evaluates the id that the last step chose, then chooses the next, so the first id of an answer is out as
 * soon as the prompt is done. */
#include "run/session.h"
#include <math.h>
#include <string.h>

static kw_status check_options(const kw_model *m, kw_session_options *o)
{
    if (o->ctx < 0) return kw_fail(KW_EINVAL, "a context of %d tokens", o->ctx);
    if (o->batch < 1 || o->batch > 65536)
        return kw_fail(KW_EINVAL, "chunks of %d tokens: expected 1 to 65536", o->batch);
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
    if (!(m->engine->backend->kv_dtypes >> *out & 1))
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
    s->pages = (kw_pages){ .engine = m->engine,
                           .layout = { .dtype = dtype,
                                       .n_layers = m->shape.n_layers,
                                       .n_kv_heads = m->shape.n_kv_heads,
                                       .head_dim = m->shape.head_dim,
                                       .page_rows = KW_PAGE_ROWS } };
    st = kw_eval_open(m, &s->options, &s->eval);
    return st ? st : kw_session_set_sampling(s, NULL);
}

kw_status kw_session_open(kw_model *m, const kw_session_options *o, kw_session **out)
{
    kw_session_options all = o ? *o : kw_session_defaults();
    kw_session *s = kw_calloc(1, sizeof *s, KW_PAY_KV);
    if (!s) return KW_ENOMEM;
    kw_status st = fill(s, m, &all);
    if (st) kw_session_close(s);
    else *out = s;
    return st;
}

void kw_session_close(kw_session *s)
{
    if (!s) return;
    kw_eval_close(&s->eval);
    kw_pages_cut(&s->pages, 0);
    kw_ids_free(&s->ids);
    kw_sample_scratch_free(&s->scratch);
    kw_free(s->bias);
    kw_model_release(s->m);
    kw_free(s);
}

kw_status kw_session_fork(kw_session *s, kw_session **out)
{
    kw_session *f = NULL;
    kw_status st = kw_session_open(s->m, &s->options, &f);
    if (!st) st = kw_pages_fork(&s->pages, &f->pages);
    for (size_t i = 0; i < s->ids.n && !st; i++) st = kw_ids_push(&f->ids, s->ids.ids[i]);
    if (!st) st = kw_session_set_sampling(f, &s->sampling);
    if (st) {
        kw_session_close(f);
        return st;
    }
    kw_eval_set_length(&f->eval, s->eval.length);
    f->n_done =
        s->n_done > 0 ? s->n_done - 1 : 0; /* the last row again: its logits are not shared */
    *out = f;
    return KW_OK;
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
    kw_rng_seed(&s->rng, all.seed ? all.seed : kw_random_seed());
    return KW_OK;
}

void kw_session_cancel(kw_session *s)
{
    atomic_store_explicit(&s->canceled, true, memory_order_relaxed);
}

static kw_status take_cancel(kw_session *s)
{
    if (!atomic_exchange_explicit(&s->canceled, false, memory_order_relaxed)) return KW_OK;
    s->finish = KW_FINISH_CANCELED;
    return kw_fail(KW_ECANCELED, "canceled after %zu of %zu tokens", s->n_done, s->ids.n);
}

/* Computes what is not in the cache yet, chunk by chunk. */
static kw_status catch_up(kw_session *s)
{
    while (s->n_done < s->ids.n) {
        kw_status st = take_cancel(s);
        if (st) return st;
        size_t left = s->ids.n - s->n_done, batch = (size_t)s->options.batch;
        size_t n = left < batch ? left : batch;
        st = kw_eval_chunk(&s->eval, KW_EVAL_LAST, &s->pages, s->ids.ids, s->n_done, n);
        if (st) return st;
        s->n_done += n;
    }
    return KW_OK;
}

static kw_status check_ids(const kw_session *s, const int32_t *ids, size_t n)
{
    if (n == 0) return kw_fail(KW_EINVAL, "an empty text: there is nothing to continue");
    if (n > (size_t)s->options.ctx)
        return kw_try(kw_fail(KW_ELIMIT, "the text has %zu tokens, the context holds %d", n,
                              s->options.ctx),
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

kw_status kw_session_replace(kw_session *s, const int32_t *ids, size_t n)
{
    kw_status st = check_ids(s, ids, n);
    if (st) return st;
    size_t keep = common_prefix(s, ids, n);
    if (kw_eval_set_length(&s->eval, (int64_t)n))
        keep = 0;                /* cached keys were rotated for another length */
    if (keep == n) keep = n - 1; /* the last row gives the logits */
    s->n_done = s->ids.n = keep;
    s->finish = KW_FINISH_NONE;
    kw_pages_cut(&s->pages, keep);
    for (size_t i = keep; i < n && !st; i++) st = kw_ids_push(&s->ids, ids[i]);
    return st;
}

kw_status kw_session_sync(kw_session *s, const int32_t *ids, size_t n)
{
    kw_status st = kw_session_replace(s, ids, n);
    return st ? st : catch_up(s);
}

static bool is_end(const kw_session *s, int32_t id)
{
    for (size_t i = 0; i < s->m->n_end_ids; i++)
        if (s->m->end_ids[i] == id) return true;
    return false;
}

kw_status kw_session_step(kw_session *s, int32_t *id)
{
    *id = -1;
    if (s->ids.n == 0) return kw_fail(KW_EINVAL, "a step before the first sync");
    kw_status st = take_cancel(s);
    if (!st) st = catch_up(s);
    if (st) return st;
    if (s->ids.n >= (size_t)s->options.ctx) {
        s->finish = KW_FINISH_LENGTH;
        return KW_DONE;
    }
    kw_sample_args args = {
        .p = &s->sampling,
        .logits = s->eval.out[KW_EVAL_LAST].at[0],
        .n_vocab = (size_t)s->m->shape.n_vocab,
        .recent = s->ids.ids,
        .n_recent = s->ids.n,
        .rng = &s->rng,
    };
    st = kw_sample(&args, &s->scratch, id);
    if (st) return st;
    if (!s->sampling.ignore_eos && is_end(s, *id)) {
        s->finish = KW_FINISH_STOP;
        return KW_DONE;
    }
    return kw_ids_push(&s->ids, *id);
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
    return s->n_done && s->eval.out[KW_EVAL_LAST].at ? s->eval.out[KW_EVAL_LAST].at[0] : NULL;
}

kw_status kw_session_top(kw_session *s, int k, kw_logprob *out, int *n)
{
    size_t n_vocab;
    const float *logits = kw_session_logits(s, &n_vocab);
    if (!logits) return kw_fail(KW_EINVAL, "no logits before the first sync");
    return kw_top_logprobs(logits, n_vocab, k, out, n);
}

double kw_logprob_of(const float *logits, size_t n, int32_t id)
{
    double sum = 0, max = -INFINITY;
    for (size_t i = 0; i < n; i++) max = logits[i] > max ? logits[i] : max;
    for (size_t i = 0; i < n; i++) sum += kw_exp(logits[i] - max);
    return logits[id] - max - kw_log_e(sum);
}

/* Scores rows from..from+n, whose final states were just computed. */
static kw_status score_chunk(kw_session *s, size_t from, size_t n, double *logprob)
{
    size_t dim = (size_t)s->m->shape.dim, n_vocab = (size_t)s->m->shape.n_vocab;
    for (size_t at = 0; at < n; at += KW_HEAD_ROWS) {
        size_t rows = n - at < KW_HEAD_ROWS ? n - at : KW_HEAD_ROWS;
        const float *logits;
        kw_status st =
            kw_eval_head(&s->eval, s->eval.out[KW_EVAL_ALL].at[0] + at * dim, rows, &logits);
        if (st) return st;
        for (size_t i = 0; i < rows && from + at + i + 1 < s->ids.n; i++)
            logprob[from + at + i] =
                kw_logprob_of(logits + i * n_vocab, n_vocab, s->ids.ids[from + at + i + 1]);
    }
    return KW_OK;
}

kw_status kw_session_score(kw_session *s, const int32_t *ids, size_t n, double *logprob)
{
    if (n < 2) return kw_fail(KW_EINVAL, "scoring needs at least 2 tokens, not %zu", n);
    s->n_done = 0;
    kw_status st = kw_session_replace(s, ids, n);
    while (!st && s->n_done < n) {
        st = take_cancel(s);
        size_t left = n - s->n_done, batch = (size_t)s->options.batch,
               rows = left < batch ? left : batch;
        if (!st) st = kw_eval_chunk(&s->eval, KW_EVAL_ALL, &s->pages, s->ids.ids, s->n_done, rows);
        if (!st) st = score_chunk(s, s->n_done, rows, logprob);
        if (!st) s->n_done += rows;
    }
    if (s->n_done) s->n_done--; /* a later step computes the last row again, for its logits */
    return st;
}
