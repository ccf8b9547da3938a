#!/usr/bin/env python3
"""Writes src/tensor/grid_tables.c: the codebooks of the IQ1, IQ2 and IQ3 formats.

    pip install gguf==0.19.0
    tools/gen/grids.py > src/tensor/grid_tables.c

They are facts of the format: which groups of values a code may name. Here a group becomes one number of 16 bits: eight
fields of two bits (IQ1: value + 1; IQ2: 0, 1, 2 for 8, 25, 43) or four of four bits (IQ3: place in its list of eight).
"""
import numpy as np
from gguf import quants

HEAD = """/* grid_tables.c - the codebooks of the IQ formats, written by tools/gen/grids.py: do not edit.
 *
 * A group of values is one number, its first value in the lowest bits: eight fields of two bits, or four of four bits. */
#include "tensor/decode.h"

/* clang-format off */
"""
TABLES = [("kw_grid_iq1", quants.IQ1_S, 2), ("kw_grid_iq2_xxs", quants.IQ2_XXS, 2), ("kw_grid_iq2_xs", quants.IQ2_XS, 2),
          ("kw_grid_iq2_s", quants.IQ2_S, 2), ("kw_grid_iq3_xxs", quants.IQ3_XXS, 4), ("kw_grid_iq3_s", quants.IQ3_S, 4)]


def packed(cls, bits):
    cls.init_grid()
    groups = np.asarray(cls.grid).reshape(cls.grid_shape)
    fields = [[list(cls.grid_map).index(v) for v in group] for group in groups]
    return [sum(f << (bits * i) for i, f in enumerate(group)) for group in fields]


def show(name, numbers):
    print("\nconst uint16_t %s[%d] = {" % (name, len(numbers)))
    for i in range(0, len(numbers), 16): print("    " + " ".join("0x%x," % n for n in numbers[i:i + 16]))
    print("};")


print(HEAD, end="")
for name, cls, bits in TABLES: show(name, packed(cls, bits))
print("\n/* clang-format on */")
