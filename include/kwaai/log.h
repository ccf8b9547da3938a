/* log.h - one callback that receives the library's remarks (warnings, progress). */
#ifndef KWAAI_LOG_H
#define KWAAI_LOG_H

#include "kwaai/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum kw_log_level { KW_LOG_DEBUG, KW_LOG_INFO, KW_LOG_WARN } kw_log_level;

/* `line` has no newline and is borrowed for the call. May be called from any thread, never under a lock. */
typedef void (*kw_log_fn)(void *user, kw_log_level level, const char *line);

/* Sets the process-wide callback; NULL (the start) drops every line. Set it before other calls are made. */
KW_API void kw_log_to(kw_log_fn fn, void *user);

#ifdef __cplusplus
}
#endif
#endif
