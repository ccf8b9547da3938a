/* log.h - lines for whoever runs the library; it never prints by itself. */
#ifndef KW_BASE_LOG_H
#define KW_BASE_LOG_H

#include "base/status.h"
#include "kwaai/log.h"

void kw_log(kw_log_level level, const char *fmt, ...) KW_PRINTF(2, 3);

#endif
