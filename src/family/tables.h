/* tables.h - short words for the tables of a family's file, whose structs are called config, layer and weights. */
#ifndef KW_FAMILY_TABLES_H
#define KW_FAMILY_TABLES_H

#include "family/family.h"

/* clang-format off */
/* A number of the config. */
#define F(m, type, required, dflt, json, gguf) { offsetof(config, m), KW_FIELD_##type, required, dflt, json, gguf }
/* A size that a weight has. */
#define C(m) offsetof(config, m)
/* A tensor that is there once, with that many rows and columns. */
#define T(m, flags, hf, gguf, d0, d1) { offsetof(weights, m), flags, hf, gguf, { C(d0), C(d1) } }
/* clang-format on */

/* Of kw_family: the structs' sizes, where weights has its layers, and where config has their number. */
#define KW_LAYOUT(layers, n_layers)                                                                \
    .config_size = sizeof(config), .layer_size = sizeof(layer), .weights_size = sizeof(weights),   \
    .layers_at = offsetof(weights, layers), .n_layers_at = offsetof(config, n_layers)

#endif
