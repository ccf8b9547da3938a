#!/usr/bin/env python3
"""The library does not allocate behind base/alloc.c, exit, print, or read the environment; nobody uses unbounded string calls."""
import glob, re, sys

LIBRARY = {r"(?<!->)(?<!\.)\b(malloc|calloc|realloc|free|strdup|strndup)\s*\(": {"src/base/alloc.c"},
           r"\b(printf|fprintf|puts|putchar|perror)\s*\(": set(), r"\b(exit|_exit|abort|quick_exit)\s*\(": set(),
           r"\b(getenv|setenv|system|popen)\s*\(": set()}
EVERYWHERE = r"\b(strcpy|strcat|sprintf|vsprintf|gets|atoi|atol|atof|tmpnam|strncpy)\s*\("


def code_of(path):
    text = open(path).read()
    blank = lambda m: re.sub(r"[^\n]", " ", m[0])
    return re.sub(r'/\*.*?\*/|"(\\.|[^"\\\n])*"', blank, text, flags=re.S)


bad = []
for path in sorted(glob.glob("src/**/*.[ch]", recursive=True) + glob.glob("src/**/*.inc", recursive=True) + glob.glob("examples/*.c")):
    for n, line in enumerate(code_of(path).splitlines(), 1):
        hits = [EVERYWHERE] if re.search(EVERYWHERE, line) else []
        if path.startswith("src/") and not path.startswith("src/cli/"):
            hits += [p for p, homes in LIBRARY.items() if path not in homes and re.search(p, line)]
        if "//" in line: hits.append("// comment")
        bad += ["%s:%d: %s" % (path, n, line.strip()) for _ in hits[:1]]
print("\n".join(bad))
sys.exit(bool(bad))
