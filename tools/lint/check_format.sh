#!/bin/sh
# Layout is clang-format's business (Debian 12's version 14).
git ls-files 'src/*.c' 'src/*.h' 'include/*.h' 'tests/*.c' 'tests/*.h' 'fuzz/*.c' 'examples/*.c' 'bench/*.c' 'bench/*.h' | grep -v unicode_tables |
    xargs clang-format --dry-run -Werror 2>&1 | grep -E 'error|warning' | head -20 | grep . && exit 1
exit 0
