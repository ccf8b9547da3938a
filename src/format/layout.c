/* layout.c - how tensors lie in their files: bytes between and behind them, and tensors that had to be copied.
 *
 * Readers refuse what cannot be read (overlap, tensors outside the file). This looks at what can be, but should not be. Only
 * formats that are tensors one behind the other are asked: in archives other things lie between them. */
#include "format/internal.h"
#include <stdlib.h>
#include <string.h>

typedef struct extent {
    const unsigned char *at;
    size_t bytes, index;
} extent;

static int by_place(const void *a_, const void *b_)
{
    const extent *a = a_, *b = b_;
    return (a->at > b->at) - (a->at < b->at);
}

/* What may lie between tensors: padding. */
static size_t padding_of(const kw_checkpoint *ck)
{
    const kw_meta *m = kw_checkpoint_meta(ck, "general.alignment");
    if (ck->naming == KW_NAMING_HF) return 0;
    return (m && m->type == KW_META_INT ? (size_t)m->integer : 32) - 1;
}

static void look_at(const kw_checkpoint *ck, const kw_source *s, extent *e, size_t n,
                    const kw_layout_sink *sink)
{
    size_t padding = padding_of(ck);
    qsort(e, n, sizeof *e, by_place);
    for (size_t i = 0; i + 1 < n; i++) {
        size_t gap = (size_t)(e[i + 1].at - e[i].at) - e[i].bytes;
        if (gap > padding) sink->fn(sink->user, "gap", s, e[i].index, gap);
    }
    if (n == 0) return;
    size_t rest = (size_t)(s->map + s->size - e[n - 1].at) - e[n - 1].bytes;
    if (rest > padding) sink->fn(sink->user, "trailing", s, e[n - 1].index, rest);
}

static void look_at_header(const kw_checkpoint *ck, const kw_source *s, const extent *e, size_t n,
                           const kw_layout_sink *sink)
{
    size_t head = 0;
    if (ck->naming != KW_NAMING_HF || n == 0) return;
    for (int i = 8; i-- > 0;) head = head << 8 | s->map[i];
    if (head % 8 || e[0].at != s->map + 8 + head)
        sink->fn(sink->user, "header", s, e[0].index, head);
}

/* Tensors of this source, with bytes, into e; returns how many. Those of a lone source that lie elsewhere were copied. */
static size_t extents_of(const kw_checkpoint *ck, const kw_source *s, extent *e, size_t *n_copied,
                         const kw_layout_sink *sink)
{
    size_t n = 0;
    *n_copied = 0;
    for (size_t i = 0; i < ck->n_tensors; i++) {
        const kw_tensor *t = &ck->tensors[i].tensor;
        size_t bytes = 0;
        kw_tensor_bytes(t, &bytes);
        if (bytes && kw_source_holds(s, t->data)) e[n++] = (extent){ t->data, bytes, i };
        else if (bytes && ck->n_sources == 1) {
            sink->fn(sink->user, "crooked", s, i, bytes);
            ++*n_copied;
        }
    }
    return n;
}

kw_status kw_checkpoint_layout(const kw_checkpoint *ck, const kw_layout_sink *sink)
{
    bool is_plain = !strncmp(ck->format, "GGUF", 4) || !strcmp(ck->format, "safetensors");
    extent *e = kw_calloc(ck->n_tensors + 1, sizeof *e, KW_PAY_MISC);
    if (!e) return KW_ENOMEM;
    for (size_t k = 0; is_plain && k < ck->n_sources; k++) {
        size_t n_copied, n = extents_of(ck, ck->sources[k], e, &n_copied, sink);
        if (n_copied) continue; /* what was copied would seem a gap */
        look_at(ck, ck->sources[k], e, n, sink);
        look_at_header(ck, ck->sources[k], e, n, sink);
    }
    kw_free(e);
    return KW_OK;
}
