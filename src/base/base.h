/* base.h - the door of base/: portable C that has never heard of models.
 *
 * Other folders include this header only. Nothing in base/ aborts, exits, prints or reads the
 * environment; what can fail returns a kw_status and leaves its reason with kw_fail. */
#ifndef KW_BASE_H
#define KW_BASE_H

#include "base/alloc.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/log.h"
#include "base/map.h"
#include "base/math.h"
#include "base/rng.h"
#include "base/sha256.h"
#include "base/status.h"
#include "base/str.h"
#include "base/thread.h"
#include "base/utf8.h"

#endif
