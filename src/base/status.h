/* status.h - failing with a reason, inside the library.
 *
 *     if (n > max) return kw_fail(KW_ELIMIT, "%zu rows, at most %zu", n, max);
 *     st = kw_gguf_open(src, &ck);
 *     if (st) return kw_note(st, "%s", path);          -> "model.gguf: 5 rows, at most 3"
 *
 * A message may carry further lines "why: ..." and "try: ..."; the command line prints them as
 * such. */
#ifndef KW_BASE_STATUS_H
#define KW_BASE_STATUS_H

#include "kwaai/status.h"

#if defined(__GNUC__)
#define KW_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define KW_PRINTF(fmt, args)
#endif

/* Records the formatted reason for this thread (replacing the last one) and returns st. */
kw_status kw_fail(kw_status st, const char *fmt, ...) KW_PRINTF(2, 3);

/* Puts "<text>: " before the reason already recorded: context added on the way up. Returns st.
 * KW_OK passes through untouched. */
kw_status kw_note(kw_status st, const char *fmt, ...) KW_PRINTF(2, 3);

/* Makes the recorded reason the "why: " of a new first line: "<text>\nwhy: <reason>; <its why>". Returns st. */
kw_status kw_because(kw_status st, const char *fmt, ...) KW_PRINTF(2, 3);

/* Appends "\ntry: <text>" to the recorded reason. Returns st. */
kw_status kw_try(kw_status st, const char *fmt, ...) KW_PRINTF(2, 3);

#endif
