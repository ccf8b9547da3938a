#!/usr/bin/env python3
"""Relative links of the documentation lead somewhere."""
import glob, os, re, sys

bad = []
for path in glob.glob("*.md") + glob.glob("docs/**/*.md", recursive=True):
    for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", open(path).read()):
        if not os.path.exists(os.path.join(os.path.dirname(path), target)): bad.append("%s: %s" % (path, target))
print("\n".join(bad))
sys.exit(bool(bad))
