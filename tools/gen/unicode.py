#!/usr/bin/env python3
"""Writes src/text/unicode_tables.c: what the tokenizers need to know about Unicode.

    pip install unicodedata2==16.0.0 regex tokenizers==0.23.3
    tools/gen/unicode.py > src/text/unicode_tables.c

The version is fixed: it is the one that the regular expressions of the Hugging Face tokenizers
library were measured to use, so that both split text at the same places. Kept are the class of a
character, its combining class, and canonical decompositions, from which compositions follow.

The library's other steps (normalisation forms, accents, punctuation, control characters, lower
case) rest on tables of other versions of Unicode. What it does to each single character is asked
of the library itself, because equal ids need equal answers.
"""
import sys

import regex
from tokenizers import normalizers, pre_tokenizers

try:
    import unicodedata2 as ucd
except ImportError:
    import unicodedata as ucd

VERSION = "16.0.0"
POINTS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
HANGUL = range(0xAC00, 0xD7A4)  # composed by arithmetic
OTHER, LETTER, NUMBER, SPACE, MARK, PUNCTUATION, SYMBOL, UPPER, LOWER = 0, 1, 2, 4, 8, 16, 32, 64, 128
CLASS_OF = {"L": LETTER, "N": NUMBER, "Z": SPACE, "M": MARK, "P": PUNCTUATION, "S": SYMBOL}
CASE_OF = {"Lu": UPPER, "Lt": UPPER, "Ll": LOWER}
CONTROL_SPACES = {0x09, 0x0A, 0x0B, 0x0C, 0x0D, 0x85}  # White_Space, but not category Z
CONTROL, EXTEND, PREPEND = 32, 64, 96  # how a character joins its neighbours in a grapheme


def class_of(c):
    category = ucd.category(chr(c))
    return SPACE if c in CONTROL_SPACES else CLASS_OF.get(category[0], OTHER) | CASE_OF.get(category, 0)


BERT = dict(clean_text=False, handle_chinese_chars=False, strip_accents=False, lowercase=False)
BERT_ACCENTS = normalizers.BertNormalizer(**dict(BERT, strip_accents=True))
BERT_CLEAN = normalizers.BertNormalizer(**dict(BERT, clean_text=True))
ACCENTS = normalizers.StripAccents()
NFD = normalizers.NFD()
NFKD = normalizers.NFKD()
LOWERCASE = normalizers.Lowercase()
PUNCTUATIONS = pre_tokenizers.Punctuation()
WORDS = pre_tokenizers.Whitespace()
JOINS = [(CONTROL, regex.compile(r"[\p{GCB=Control}\p{GCB=CR}\p{GCB=LF}]")),
         (EXTEND, regex.compile(r"[\p{GCB=Extend}\p{GCB=ZWJ}\p{GCB=SpacingMark}]")),
         (PREPEND, regex.compile(r"\p{GCB=Prepend}"))]


def traits_of(c):
    """What the library does to a single character, as a set."""
    s = chr(c)
    return ((BERT_ACCENTS.normalize_str(s) == "") * 1 | (ACCENTS.normalize_str(s) == "") * 2 |
            (len(PUNCTUATIONS.pre_tokenize_str("a" + s + "a")) == 3) * 4 | (BERT_CLEAN.normalize_str(s) == "") * 8 |
            (len(WORDS.pre_tokenize_str("a" + s + "a")) == 1) * 16 |
            next((value for value, pattern in JOINS if pattern.match(s) and (value == CONTROL or is_known(c))), 0))


def is_known(c):
    """Assigned in this version: the module that tells of graphemes knows newer ones."""
    return ucd.category(chr(c)) != "Cn"


def compatible():
    """(character, its compatibility form) where that is more than its canonical one."""
    forms = ((c, NFKD.normalize_str(chr(c))) for c in POINTS)
    return [(c, s) for c, s in forms if s not in (chr(c), ucd.normalize("NFD", chr(c))) and c not in HANGUL]


def lower():
    forms = ((c, LOWERCASE.normalize_str(chr(c))) for c in POINTS)
    return [(c, s) for c, s in forms if s != chr(c)]


def changes(value_of):
    """Where a property changes: (first code point << 8 | value), from 0 upwards."""
    out, last = [], None
    for c in POINTS:
        value = value_of(c)
        if value != last:
            out.append(c << 8 | value)
            last = value
    return out


def combining(c):
    """The combining class, 0 where the library does not know the mark: it stays before one of class 1."""
    value = ucd.combining(chr(c))
    return value if value < 2 or NFD.normalize_str(chr(c) + "\u0334")[0] == "\u0334" else 0


def decompositions():
    out = []
    for c in POINTS:
        parts = ucd.decomposition(chr(c))
        if not parts or parts.startswith("<") or c in HANGUL or NFD.normalize_str(chr(c)) == chr(c):
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
    classes, ccc = changes(class_of), changes(combining)
    composed = compositions(pairs)
    traits, compat, low = changes(traits_of), compatible(), lower()
    pool = "".join(s for _, s in compat)
    assert len(pool) < 1 << 16 and max(len(s) for _, s in compat) < 256
    assert [c for c, s in low if len(s) > 1] == [0x130]  # I with a dot: the only one of two
    print(f"""/* unicode_tables.c - facts of Unicode {VERSION}, written by tools/gen/unicode.py: do not edit.
 *
 * Classes and combining classes are lists of changes (first code point << 8 | value): a character
 * has the value of the last entry that is not above it; traits are what the Hugging Face library does
 * to a character. Decompositions are triples in order of the
 * character; compositions are indexes of those that may be undone, in order of their two parts.
 * Compatibility forms are slices of one pool. */
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
    array("uint32_t kw_unicode_traits[]", [f"0x{x:X}" for x in traits])
    print(f"const int kw_unicode_n_traits = {len(traits)};")
    at, entries = 0, []
    for c, form in compat:
        entries.append(f"{{0x{c:X},{at},{len(form)}}}")
        at += len(form)
    array("kw_compatible kw_unicode_compatible[]", entries)
    print(f"const int kw_unicode_n_compatible = {len(compat)};")
    array("uint32_t kw_unicode_compatible_pool[]", [f"0x{ord(x):X}" for x in pool])
    array("kw_lower kw_unicode_lower[]", [f"{{0x{c:X},0x{ord(s[0]):X}}}" for c, s in low])
    print(f"const int kw_unicode_n_lower = {len(low)};")


main()
