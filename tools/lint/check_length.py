#!/usr/bin/env python3
"""Functions up to 60 lines, files up to 500, lines up to 132 columns; generated tables excepted."""
import glob, re, sys

GENERATED = {"src/text/unicode_tables.c"}
LONG_FILES = {}      # path: lines; may only shrink
bad = []
for path in sorted(glob.glob("src/**/*.[ch]", recursive=True) + glob.glob("src/**/*.inc", recursive=True) + glob.glob("tests/**/*.[ch]", recursive=True) + glob.glob("bench/**/*.[ch]", recursive=True)):
    if path in GENERATED: continue
    lines, start = open(path).read().split("\n"), 0
    if len(lines) > LONG_FILES.get(path, 500): bad.append("%s: %d lines" % (path, len(lines)))
    for n, line in enumerate(lines, 1):
        if line == "{": start = n
        if line == "}" and start:
            if n - start - 1 > 60: bad.append("%s:%d: a function of %d lines" % (path, start, n - start - 1))
            start = 0
        if len(line) > 132: bad.append("%s:%d: %d columns" % (path, n, len(line)))
print("\n".join(bad))
sys.exit(bool(bad))
