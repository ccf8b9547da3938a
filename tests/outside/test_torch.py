"""PyTorch's files: the tensors that PyTorch would load, and no call of anything.

tests/data/torch and, where PyTorch is installed, files made at random are compared tensor by tensor with their twins
(tools/gen/torch_files.py). BERT's golden files are compared with what Python's own unpickler finds in them."""
import collections, io, json, os, pickle, shutil, struct, subprocess, sys, tempfile, zipfile
from harness import *

TENSORS = os.path.join(os.environ.get("BUILD", os.path.dirname(KWAAI)), "tests", "tensors")
ROOT = os.path.dirname(os.path.dirname(HERE))


def raw_tensors(path):
    """{name: (dtype, shape, bytes)}"""
    with open(path, "rb") as f:
        n = struct.unpack("<Q", f.read(8))[0]
        head, body = json.loads(f.read(n)), f.read()
    return {k: (t["dtype"], t["shape"], body[t["data_offsets"][0]:t["data_offsets"][1]]) for k, t in head.items() if k != "__metadata__"}


def dump(path):
    with tempfile.TemporaryDirectory() as d:
        out = os.path.join(d, "out")
        p = subprocess.run([TENSORS, path, out], capture_output=True)
        assert p.returncode == 0, "%s: %s" % (path, p.stderr.decode())
        return raw_tensors(out)


def same_as_twins(folder):
    files = sorted(f for f in os.listdir(folder) if f.endswith(".pt"))
    n = 0
    for f in files:
        got, want = dump(os.path.join(folder, f)), raw_tensors(os.path.join(folder, f[:-3] + ".safetensors"))
        assert got == want, "%s: %s, not %s" % (f, got, want)
        n += len(want)
    assert files
    return "%d files, %d tensors equal" % (len(files), n)


def test_the_kept_files_hold_what_pytorch_saved():
    return same_as_twins(local("torch"))


def test_files_made_at_random_hold_what_pytorch_saved():
    python = os.environ.get("KWAAI_TORCH_PYTHON", sys.executable)
    if subprocess.run([python, "-c", "import torch"], capture_output=True).returncode: raise Skip("PyTorch is not installed (KWAAI_TORCH_PYTHON)")
    with tempfile.TemporaryDirectory() as d:
        seed, count = os.environ.get("SEED", "1"), os.environ.get("COUNT", "300")
        subprocess.run([python, os.path.join(ROOT, "tools", "gen", "torch_files.py"), d, seed, count], check=True, capture_output=True)
        return same_as_twins(d)


# ---- what Python itself finds in a file ----

SIZES = {"FloatStorage": 4, "LongStorage": 8}


def python_reads(path):
    """{name: (shape, bytes)} of a file whose tensors lie in order, by Python's pickle and zipfile."""
    refs = {}

    class Reader(pickle.Unpickler):
        def find_class(self, module, name):
            if name.endswith("Storage"): return name
            if name == "OrderedDict": return collections.OrderedDict
            return lambda storage, at, shape, strides, *rest: (storage, at, shape, strides)

        def persistent_load(self, pid):
            refs[pid[2]] = SIZES[pid[1]]
            return pid[2]

    if zipfile.is_zipfile(path):
        z = zipfile.ZipFile(path)
        top = [n for n in z.namelist() if n.endswith("/data.pkl")][0][:-8]
        root = Reader(io.BytesIO(z.read(top + "data.pkl"))).load()
        storages = {k: z.read(top + "data/" + k) for k in refs}
    else:
        f, storages = open(path, "rb"), {}
        for _ in range(3): pickle.load(f)
        root = Reader(f).load()
        for k in pickle.load(f): storages[k] = f.read(struct.unpack("<q", f.read(8))[0] * refs[k])
    out = {}
    for name, (key, at, shape, strides) in root.items():
        n = refs[key]
        for s in shape: n *= s
        out[name] = (list(shape), storages[key][at * refs[key]:at * refs[key] + n])
    return out


def test_a_bert_in_both_containers_is_what_python_finds():
    for name in ("pytorch_model.bin", "pytorch_model.legacy.bin"):
        path = data("golden/bert-pickle/" + name)
        got, want = dump(path), python_reads(path)
        assert {k: v[1:] for k, v in got.items()} == want and len(want) > 20, name
    return "%d tensors equal" % len(want)


# ---- models ----

def test_llama_in_both_containers_and_as_shards():
    source = data("golden/llama-pickle")
    with tempfile.TemporaryDirectory() as d:
        write_tensors(os.path.join(d, "in"), {"input_ids": ("I64", [1, 9], [1, 5, 9, 80, 33, 7, 2, 60, 41])})
        outs = []
        for name in ("pytorch_model.bin", "pytorch_model.legacy.bin", "index"):
            m = os.path.join(d, name)
            os.mkdir(m)
            shutil.copy(os.path.join(source, "config.json"), m)
            file = "part.bin" if name == "index" else "pytorch_model.bin"
            shutil.copy(os.path.join(source, "pytorch_model.bin" if name == "index" else name), os.path.join(m, file))
            if name == "index":
                names = {k: file for k in dump(os.path.join(m, file))}
                json.dump({"weight_map": names}, open(os.path.join(m, "pytorch_model.bin.index.json"), "w"))
            ok("infer", m, os.path.join(d, "in"), os.path.join(d, "out"), "--exact", "--generate", 8)
            outs.append(open(os.path.join(d, "out"), "rb").read())
            assert json.loads(ok("show", m, "--json"))["format"].startswith("PyTorch")
        assert outs[0] == outs[1] == outs[2]


# ---- files that lie ----

def refused(content, *parts):
    with tempfile.TemporaryDirectory() as d:
        path = os.path.join(d, "model.bin")
        with open(path, "wb") as f: f.write(content)
        p = subprocess.run([TENSORS, path, os.path.join(d, "out")], capture_output=True, timeout=20)
        assert p.returncode == 1, p
        for part in parts: assert part in p.stderr.decode(errors="replace"), p.stderr.decode(errors="replace")


def archive(pickled, members=(), compression=zipfile.ZIP_STORED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as z:
        z.writestr("m/data.pkl", pickled)
        for name, content in members: z.writestr(name, content)
    return out.getvalue()


def test_a_pickle_that_calls_something_is_refused_by_name_and_does_nothing():
    with tempfile.TemporaryDirectory() as d:
        trace = os.path.join(d, "trace")

        class Evil:
            def __reduce__(self): return (os.system, ("touch " + trace,))

        for protocol in range(2, 6):
            refused(archive(pickle.dumps({"w": Evil()}, protocol)), "posix.system", "nothing of it is executed")
        refused(archive(b"cbuiltins\neval\n."), "builtins.eval")
        refused(archive(b"\x80\x02c__builtin__\nexec\n(tR."), "__builtin__.exec")
        refused(archive(b"\x80\x04\x8c\x02os\x8c\x06system\x93."), "os.system")
        refused(archive(b"\x80\x02(i__main__\nf\n."), "0x69")
        assert not os.path.exists(trace)


def tensor(storage="FloatStorage", n=4, at=0, shape=b"K\x04\x85", strides=b"K\x01\x85"):
    number = lambda v: b"J" + struct.pack("<i", v)
    return (b"\x80\x02}X\x01\0\0\0wctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storagectorch\n%s\nX\x01\0\0\x000X\x03\0\0\0cpu%stQ%s%s%s\x89"
            b"Ntr\0\0\0\0Rs." % (storage.encode(), number(n), number(at), shape, strides)).replace(b"Ntr\0\0\0\0", b"Nt")


def test_views_outside_of_their_storage_are_refused():
    four = [("m/data/0", struct.pack("<4f", 1, 2, 3, 4))]
    with tempfile.TemporaryDirectory() as d:
        path = os.path.join(d, "ok.pt")
        open(path, "wb").write(archive(tensor(), four))
        assert dump(path) == {"w": ("F32", [4], four[0][1])}
    refused(archive(tensor(n=5), four), "16 bytes", "20")
    refused(archive(tensor(at=1), four), "w", "not inside")
    refused(archive(tensor(at=-1), four), "w")
    refused(archive(tensor(strides=b"K\x02\x85"), four), "not inside")
    refused(archive(tensor(shape=b"J\xff\xff\xff\xff\x85"), four), "w")
    refused(archive(tensor(shape=b"J\xff\xff\xff\x7fJ\xff\xff\xff\x7f\x86", strides=b"K\0K\0\x86"), four), "w")
    refused(archive(tensor(shape=b"J\xff\xff\xff\x7f\x85", strides=b"K\0\x85"), four), "w", "copy")
    refused(archive(tensor(shape=b"(K\1K\1K\1K\1K\1t", strides=b"(K\1K\1K\1K\1K\1t"), four), "w")
    refused(archive(tensor(storage="ComplexFloatStorage"), four), "torch.ComplexFloatStorage")
    refused(archive(tensor()), "no member m/data/0")
    refused(archive(tensor(), four + [("m/byteorder", b"big")]), "big-endian")
    refused(archive(tensor(), four + [("m/constants.pkl", b"")]), "TorchScript")


def test_archives_that_lie_are_refused():
    four = [("m/data/0", struct.pack("<4f", 1, 2, 3, 4))]
    good = archive(tensor(), four)
    refused(archive(tensor(), four, zipfile.ZIP_DEFLATED), "compressed")
    refused(archive(b"\0" * (50 << 20), [], zipfile.ZIP_DEFLATED), "compressed")
    refused(good[:-1], "truncated")
    refused(good[:len(good) // 2], "truncated")
    refused(b"PK\3\4", "truncated")
    two = archive(tensor(), four + [("m/data/1", b"x" * 16)])
    place = two.rindex(b"PK\1\2") + 42                     # the second storage says it begins where the first one does
    first = two.index(b"PK\1\2", two.index(b"PK\1\2") + 1) + 42
    refused(two[:place] + two[first:first + 4] + two[place + 4:], "another name")
    head = two[two.rindex(b"PK\3\4"):two.index(b"PK\1\2")]    # a whole member within another's bytes
    inner = archive(tensor(), [("m/data/0", head)] + [("m/data/1", b"x" * 16)])
    place = inner.rindex(b"PK\1\2") + 42
    refused(inner[:place] + struct.pack("<I", inner.index(head)) + inner[place + 4:], "share bytes")
    end = good.rindex(b"PK\1\2") + 20                      # and one that reaches over what follows
    refused(good[:end] + struct.pack("<II", 1 << 20, 1 << 20) + good[end + 8:], "ends behind")
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as z: z.writestr("readme.txt", "hello")
    refused(out.getvalue(), "without data.pkl")


def test_pickles_that_repeat_themselves_end_soon():
    refused(archive(b"\x80\x02" + b"]q\0h\0" * 400000 + b"."), "no tensors")
    refused(archive(b"\x80\x02]" + b"(" + b"N" * 900000 + b"e" + b"(" + b"N" * 5000000), "values")
    bomb = b"\x80\x02]q\0" + b"".join(b"](" + b"h" + bytes([i]) + b"h" + bytes([i]) + b"eq" + bytes([i + 1]) for i in range(60)) + b"."
    refused(archive(bomb), "nested")
    itself = b"\x80\x02]q\0h\0a."
    refused(archive(itself), "nested")
    refused(archive(b"\x80\x02" + b"(" * (2 << 20) + b"."), "stack")
    refused(archive(b"\x80\x02" + b"]" * 1000), "ends at byte")
    refused(archive(b"\x80\x02}r\xff\xff\xff\xff."), "memo")
    refused(archive(b"\x80\x09}."), "protocol 9")
    refused(pickle.dumps({"w": 1}, 2), "not one of PyTorch")
    refused(archive(pickle.dumps({"w": 1}, 2)), "no tensors")




if __name__ == "__main__": main(globals())
