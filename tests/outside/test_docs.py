"""What the documentation says of families is what the tree has: the README's table, and the diff of docs/howto/add-model.md."""
import re
from harness import *

ROOT = os.path.join(HERE, "..", "..")


def test_the_table_of_families_is_what_the_library_knows():
    p = subprocess.run([sys.executable, os.path.join(ROOT, "scripts", "families"), "--check"], capture_output=True, text=True)
    assert p.returncode == 0, p.stderr


def test_lines_that_the_howto_adds_are_in_the_tree():
    """A hunk of its diff quotes lines of a file, in their order; "..." stands for those it leaves out."""
    text = open(os.path.join(ROOT, "docs", "howto", "add-model.md")).read()
    hunks = re.findall(r"^\+\+\+ b/(\S+)\n(.*?)(?=^--- |^```)", text, re.S | re.M)
    assert len(hunks) >= 4, "%d hunks" % len(hunks)
    n = 0
    for path, body in hunks:
        lines, at = open(os.path.join(ROOT, path)).read().split("\n"), 0
        for line in body.split("\n"):
            if not line.startswith("+") or line[1:].strip() in ("", "..."): continue
            wanted = line[1:].strip()
            rest = [i for i in range(at, len(lines)) if lines[i].strip() == wanted or (wanted.endswith("...") and lines[i].strip().startswith(wanted[:-3].strip()))]
            assert rest, "%s has no line (behind line %d)\n%s" % (path, at, wanted)
            at, n = rest[0] + 1, n + 1
    return "%d lines of %d files" % (n, len(hunks))


if __name__ == "__main__": main(globals())
