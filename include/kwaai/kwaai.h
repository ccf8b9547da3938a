/* kwaai.h - the whole public API. Start with session.h for text in and out. */
#ifndef KWAAI_H
#define KWAAI_H

#include "kwaai/batch.h"
#include "kwaai/beam.h"
#include "kwaai/convert.h"
#include "kwaai/embed.h"
#include "kwaai/engine.h"
#include "kwaai/inspect.h"
#include "kwaai/log.h"
#include "kwaai/model.h"
#include "kwaai/options.h"
#include "kwaai/pack.h"
#include "kwaai/quantize.h"
#include "kwaai/session.h"
#include "kwaai/speculate.h"
#include "kwaai/status.h"
#include "kwaai/text.h"

#endif
