#!/usr/bin/env python3
"""Who may include whom (docs/layers.txt): other folders only through their door, folder/folder.h."""
import glob, os, re, sys

allowed = {}
for line in open("docs/layers.txt"):
    if ":" in line and not line.startswith("#"):
        name, rest = line.split(":", 1)
        allowed[name.strip()] = rest.split()
bad = []
for path in glob.glob("src/**/*.[chi]*", recursive=True):
    if not path.endswith((".c", ".h", ".inc", ".def")): continue
    folder = path.split(os.sep)[1]
    for n, line in enumerate(open(path), 1):
        m = re.match(r'#include "([^"/]+)/(.+)"', line)
        if not m or m[1] == folder or m[1] == "kwaai": continue
        where = "%s:%d: %s/%s" % (path, n, m[1], m[2])
        if m[1] not in allowed.get(folder, []): bad.append(where + ": %s may not see %s" % (folder, m[1]))
        elif m[2] not in (m[1] + ".h",) + tuple(allowed.get("door " + m[1], ())): bad.append(where + ": not a door")
print("\n".join(bad))
sys.exit(bool(bad))
