#!/usr/bin/env python3
"""Every line of a .def list is used: its name appears somewhere else in the source."""
import glob, re, sys

sources = {p: open(p).read() for p in glob.glob("src/**/*.*", recursive=True) if p.endswith((".c", ".h", ".inc"))}
everything = "\n".join(sources.values())
bad = []
for path in glob.glob("src/**/*.def", recursive=True) + glob.glob("include/**/*.def", recursive=True):
    for n, line in enumerate(open(path), 1):
        m = re.match(r"[A-Z_0-9]+\((?:[A-Z]+,\s*)?\"?([A-Za-z_0-9]+)\"?,", line)
        if m and not re.search(r"\b\w*%s\b" % re.escape(m[1]), everything, re.I): bad.append("%s:%d: %s is used nowhere" % (path, n, m[1]))
print("\n".join(bad))
sys.exit(bool(bad))
