"""What the outside tests share: the program under test, the data, safetensors in plain Python, and counting.

The program is $KWAAI; data of other people lies below $KWAAI_TEST_DATA, and what needs it is skipped by name without it.
A test is a function called test_*; `main` runs those of a module and exits 1 when one failed."""
import array, json, os, struct, subprocess, sys, tempfile, time, traceback

HERE = os.path.dirname(os.path.abspath(__file__))
LOCAL = os.path.join(os.path.dirname(HERE), "data")
KWAAI = os.environ.get("KWAAI", os.path.join(HERE, "..", "..", "build", "kwaai"))
DATA = os.environ.get("KWAAI_TEST_DATA", "")
os.environ.setdefault("KWAAI_PACK_DIR", os.path.join(os.environ.get("BUILD", tempfile.gettempdir()), "packs"))
CODES = {"F32": "f", "F64": "d", "I32": "i", "I64": "q"}


def oracles():
    """The libraries that scripts/oracles fetched, behind those that Python has already."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    sys.path.append(os.path.join(cache, "kwaai", "oracles"))


class Skip(Exception):
    pass


def data(rel):
    path = os.path.join(DATA, rel)
    if not DATA: raise Skip("KWAAI_TEST_DATA is not set (%s)" % rel)
    if not os.path.exists(path): raise Skip("no %s below KWAAI_TEST_DATA" % rel)
    return path


def local(rel):
    return os.path.join(LOCAL, rel)


def smollm2():
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    path = os.path.join(cache, "kwaai", "models", "SmolLM2-135M-Instruct.Q4_1.gguf")
    if not os.path.exists(path): raise Skip("the default model is not here (scripts/get-model smollm2)")
    return path


def run(*args, stdin=b"", env=None, timeout=600):
    """(exit code, standard output, standard error) of one call; both as bytes."""
    e = dict(os.environ, **(env or {}))
    p = subprocess.run([KWAAI, *map(str, args)], input=stdin, capture_output=True, env=e, timeout=timeout)
    return p.returncode, p.stdout, p.stderr


def ok(*args, **more):
    code, out, err = run(*args, **more)
    assert code == 0, "kwaai %s: exit %d\n%s" % (" ".join(map(str, args))[:200], code, err.decode(errors="replace"))
    return out


def read_tensors(path):
    """{name: (shape, flat array)}; dtypes of CODES, others are left out."""
    with open(path, "rb") as f:
        n = struct.unpack("<Q", f.read(8))[0]
        head, out = json.loads(f.read(n)), {}
        for name, t in head.items():
            if name == "__metadata__" or t["dtype"] not in CODES: continue
            a, b = t["data_offsets"]
            f.seek(8 + n + a)
            values = array.array(CODES[t["dtype"]])
            values.frombytes(f.read(b - a))
            out[name] = (t["shape"], values)
    return out


def write_tensors(path, tensors):
    """tensors: {name: (dtype, shape, values)}"""
    head, blobs, at = {}, [], 0
    for name, (dtype, shape, values) in tensors.items():
        blob = array.array(CODES[dtype], values).tobytes()
        head[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [at, at + len(blob)]}
        at += len(blob)
        blobs.append(blob)
    text = json.dumps(head).encode()
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + b"".join(blobs))


def main(names):
    wanted, failed, passed = sys.argv[1:], 0, 0
    for name, test in list(names.items()):
        if not name.startswith("test_") or (wanted and name not in wanted): continue
        start = time.time()
        try:
            note = test()
            passed += 1
            print("ok   %s (%.1f s)%s" % (name, time.time() - start, ": " + note if note else ""), flush=True)
        except Skip as why:
            print("SKIP %s: %s" % (name, why), flush=True)
        except Exception:
            failed += 1
            print("BAD  %s\n%s" % (name, traceback.format_exc()), flush=True)
    print("%d passed, %d failed" % (passed, failed))
    sys.exit(1 if failed else 0)
