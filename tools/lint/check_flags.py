#!/usr/bin/env python3
"""Contraction is off in every compile command: clang fuses a * b + c by default, which changes bits."""
import json, os, sys

path = "build/compile_commands.json"
if not os.path.exists(path): sys.exit("no %s: run make first" % path)
commands = json.load(open(path))
bad = [c["file"] for c in commands if "-ffp-contract=off" not in c["command"] or "-ffast-math" in c["command"] or "-march=native" in c["command"]]
print("\n".join(bad))
sys.exit(bool(bad) or not commands)
