#!/usr/bin/env python3
"""Writes src/text/unicode_tables.c: what the tokenizers need to know about Unicode.

    pip install unicodedata2==16.0.0        (or Python 3.14, whose unicodedata is 16.0.0)
    tools/gen/unicode.py > src/text/unicode_tables.c

The version is fixed: it is the one that the regular expressions of the Hugging Face tokenizers
library were measured to use, so that both split text at the same places. Three facts are kept:
the class of a character (letter, number, space), its combining class, and canonical
decompositions, from which compositions follow.
"""
import sys

try:
    import unicodedata2 as ucd
except ImportError:
    import unicodedata as ucd

VERSION = "16.0.0"
POINTS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
HANGUL = range(0xAC00, 0xD7A4)  # composed by arithmetic
OTHER, LETTER, NUMBER, SPACE = 0, 1, 2, 4
CLASS_OF = {"L": LETTER, "N": NUMBER, "Z": SPACE}
CONTROL_SPACES = {0x09, 0x0A, 0x0B, 0x0C, 0x0D, 0x85}  # White_Space, but not category Z


def class_of(c):
    return SPACE if c in CONTROL_SPACES else CLASS_OF.get(ucd.category(chr(c))[0], OTHER)


def changes(value_of):
    """Where a property changes: (first code point << 8 | value), from 0 upwards."""
    out, last = [], None
    for c in POINTS:
        value = value_of(c)
        if value != last:
            out.append(c << 8 | value)
            last = value
    return out


def decompositions():
    out = []
    for c in POINTS:
        parts = ucd.decomposition(chr(c))
        if not parts or parts.startswith("<") or c in HANGUL:
            continue
        first, second = (parts.split() + ["0"])[:2]
        out.append((c, int(first, 16), int(second, 16)))
    return out


def compositions(pairs):
    """Indexes into the decompositions, sorted by the pair, without those excluded from NFC."""
    kept = [i for i, (c, _, second) in enumerate(pairs)
            if second and ucd.normalize("NFC", chr(c)) == chr(c)]
    return sorted(kept, key=lambda i: pairs[i][1:])


def check(pairs):
    """What normal.c relies on."""
    by_point = {c: (first, second) for c, first, second in pairs}
    for c, first, second in pairs:
        assert second not in by_point, hex(c)
        depth = 0
        while c in by_point:
            c, depth = by_point[c][0], depth + 1
        assert depth <= 4


def rows(words, width=100):
    line = "   "
    for word in words:
        if len(line) + len(word) + 2 > width:
            yield line
            line = "   "
        line += " " + word + ","
    yield line


def array(declaration, words):
    print(f"\nconst {declaration} = {{")
    print("\n".join(rows(words)))
    print("};")


def main():
    if ucd.unidata_version != VERSION:
        sys.exit(f"Unicode {VERSION} is wanted, this Python has {ucd.unidata_version}")
    pairs = decompositions()
    check(pairs)
    classes, ccc = changes(class_of), changes(lambda c: ucd.combining(chr(c)))
    composed = compositions(pairs)
    print(f"""/* unicode_tables.c - facts of Unicode {VERSION}, written by tools/gen/unicode.py: do not edit.
 *
 * Classes and combining classes are lists of changes (first code point << 8 | value): a character
 * has the value of the last entry that is not above it. Decompositions are triples in order of the
 * character; compositions are indexes of those that may be undone, in order of their two parts. */
#include "text/unicode.h"

/* clang-format off */""")
    array("uint32_t kw_unicode_classes[]", [f"0x{x:X}" for x in classes])
    print(f"const int kw_unicode_n_classes = {len(classes)};")
    array("uint32_t kw_unicode_ccc[]", [f"0x{x:X}" for x in ccc])
    print(f"const int kw_unicode_n_ccc = {len(ccc)};")
    array("kw_decomposition kw_unicode_decompositions[]",
          [f"{{0x{c:X},0x{a:X},0x{b:X}}}" for c, a, b in pairs])
    print(f"const int kw_unicode_n_decompositions = {len(pairs)};")
    array("uint16_t kw_unicode_compositions[]", [str(i) for i in composed])
    print(f"const int kw_unicode_n_compositions = {len(composed)};")


main()
