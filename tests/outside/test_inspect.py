"""inspect and verify: what is odd about a file is found by name, and a file that is whole passes."""
import array, hashlib, json, os, re, shutil, struct, tempfile
import xml.etree.ElementTree as ET
from harness import *
from test_readers import split_gguf, read_gguf, write_gguf

MHA = "golden/llama2-mha"


def copy_model(d, change=None, tail=b"", more=None):
    """llama2-mha with its tensors changed by `change` ({name: (shape, values)} in place)."""
    os.makedirs(d, exist_ok=True)
    shutil.copy(local(MHA + "/config.json"), d)
    tensors = read_tensors(local(MHA + "/model.safetensors"))
    if change: change(tensors)
    write_tensors(os.path.join(d, "model.safetensors"), {n: ("F32", s, x) for n, (s, x) in tensors.items()})
    if tail: open(os.path.join(d, "model.safetensors"), "ab").write(tail)
    return d


def findings(path):
    found = json.loads(ok("inspect", path, "--json"))["findings"]
    return {(f["kind"], f["bad"]): f["text"] for f in found}


def test_each_oddity_is_found_and_named():
    up, down = "model.layers.0.mlp.up_proj.weight", "model.layers.1.mlp.down_proj.weight"

    def put(name, at, value):
        def change(t): t[name][1][at] = value
        return change

    def zeros(t): t[up] = (t[up][0], array.array("f", bytes(4 * len(t[up][1]))))
    def constant(t):
        cols = t[up][0][1]
        for i in range(cols): t[up][1][2 * cols + i] = 0.5
    def twin(t): t["model.layers.1.mlp.up_proj.weight"] = t[up]
    def missing(t): del t[down]
    def extra(t): t["model.extra"] = ([2, 2], [1, 2, 3, 4])
    cases = [(put(up, 130, float("nan")), "nan", True, up), (put(down, 7, float("inf")), "infinite", True, down), (zeros, "zeros", False, up),
             (constant, "constant", False, "row 2"), (twin, "duplicate", False, up), (missing, "missing", True, down), (extra, "unused", False, "model.extra")]
    with tempfile.TemporaryDirectory() as d:
        assert not [k for k, bad in findings(local(MHA)) if bad or k not in ("unused", "header", "crooked", "duplicate", "constant")]
        for i, (change, kind, bad, word) in enumerate(cases):
            path = copy_model(os.path.join(d, str(i)), change)
            found = findings(path)
            assert word in found.get((kind, bad), ""), (kind, found)
            assert run("verify", path)[0] == (65 if bad else 0), kind
            assert kind.encode() in ok("inspect", path), kind
        path = copy_model(os.path.join(d, "tail"), tail=bytes(64))
        assert "64 bytes behind" in findings(path)["trailing", True] and run("verify", path)[0] == 65
        with open(os.path.join(path, "config.json"), "w") as f: f.write('{"model_type":"llama"}')
        assert ("config", True) in findings(path)


def test_inspect_lists_what_show_and_the_file_say():
    with tempfile.TemporaryDirectory() as d:
        parts = split_gguf(local("golden/gguf-tiny-llama/q4_0.gguf"), os.path.join(d, "m"), 2)
        for path in (local(MHA), local("golden/gguf-tiny-llama/q4_0.gguf"), parts[1]):
            got, shown = json.loads(ok("inspect", path, "--json")), json.loads(ok("show", path, "--json", "--tensors"))
            assert got["tensors"] == shown["tensors"] and got["metadata"] == shown["metadata"] and got["n_params"] == shown["n_params"]
            assert sum(t["bytes"] for t in got["types"]) == sum(t["bytes"] for t in got["tensors"])
            assert sum(t["tensors"] for t in got["types"]) == len(got["tensors"])
            assert all(os.path.getsize(f["path"]) == f["bytes"] for f in got["files"])
            text = ok("inspect", path).decode()
            assert all(t["name"] in text for t in got["tensors"])
        assert len(json.loads(ok("inspect", parts[0], "--json"))["files"]) == 2


def test_a_treemap_shows_every_tensor_as_large_as_it_is():
    with tempfile.TemporaryDirectory() as d:
        out = os.path.join(d, "map.svg")
        tensors = {t["name"]: t["bytes"] for t in json.loads(ok("inspect", local(MHA), "--json", "--svg", out))["tensors"]}
        tag, area = "{http://www.w3.org/2000/svg}", {}
        for rect in ET.parse(out).iter(tag + "rect"):
            title = rect.find(tag + "title")
            if title is None: continue
            x, y, w, h = (float(rect.get(k)) for k in ("x", "y", "width", "height"))
            assert x >= 7.9 and y >= 7.9 and x + w <= 1272.1 and y + h <= 756.1, title.text
            area[title.text.split()[0]] = w * h
        assert set(area) == set(tensors)
        each = sum(area.values()) / sum(tensors.values())
        assert abs(sum(area.values()) - 1264 * 748) < 1264 * 748 * 0.01
        assert all(abs(area[n] / each - b) < 0.05 * b + 64 for n, b in tensors.items()), area
        assert run("inspect", local(MHA), "--svg", os.path.join(d, "none", "x.svg"))[0] == 73
        ok("inspect", local(MHA), "--svg", out) # a picture may be replaced, and nothing else
        open(os.path.join(d, "diary"), "w").write("dear diary")
        code, _, err = run("inspect", local(MHA), "--svg", os.path.join(d, "diary"))
        assert code == 64 and b"no SVG" in err and open(os.path.join(d, "diary")).read() == "dear diary", err


def test_both_stacks_of_an_encoder_decoder_are_looked_at():
    lost = "encoder.block.1.layer.0.SelfAttention.k.weight"
    with tempfile.TemporaryDirectory() as d:
        shutil.copy(data("golden/t5-v1.1/config.json"), d)
        tensors = read_tensors(data("golden/t5-v1.1/model.safetensors"))
        path = os.path.join(d, "model.safetensors")
        for gone in (None, lost):
            write_tensors(path, {n: ("F32", s, x) for n, (s, x) in tensors.items() if n != gone})
            found = [f for f in json.loads(ok("inspect", d, "--json"))["findings"] if f["kind"] in ("unused", "missing")]
            assert not [f for f in found if f["kind"] == "unused" and "encoder.block.0" in f["text"].replace("decoder", "")], found
            assert [f["text"] for f in found if f["bad"]] == (['"%s" is missing: t5 models have it' % lost] if gone else []), found
            assert run("verify", d)[0] == (65 if gone else 0)


def test_a_tensor_without_rows_takes_no_memory_however_wide():
    with tempfile.TemporaryDirectory() as d:
        path = os.path.join(d, "wide.npy")
        head = b"{'descr': '<f4', 'fortran_order': False, 'shape': (0, 576460752303423487), }\n"
        open(path, "wb").write(b"\x93NUMPY\x01\0" + struct.pack("<H", len(head)) + head)
        assert b"nothing odd" in ok("inspect", path)


def test_one_of_a_thing_is_not_several():
    with tempfile.TemporaryDirectory() as d:
        path = os.path.join(d, "one.safetensors")
        write_tensors(path, {"x": ("F32", [2, 2], [1, 2, 3, 4])})
        assert b"1 tensor: in its place" in ok("verify", path) and b" in 1 tensor\n" in ok("show", path)
        write_tensors(path, {"x": ("F32", [2, 2], [1, 2, 3, float("nan")])})
        code, _, err = run("verify", path)
        assert code == 65 and b"1 finding\n" in err, err


def test_verify_compares_hashes():
    with tempfile.TemporaryDirectory() as d:
        path = os.path.join(d, "m.gguf")
        shutil.copy(local("golden/gguf-tiny-llama/q8_0.gguf"), path)
        want = hashlib.sha256(open(path, "rb").read()).hexdigest()
        out = json.loads(ok("verify", path, "--json", "--pack-dir", d))
        assert out["files"] == [{"path": path, "sha256": want, "compared": False}] and out["pack"] is None, out
        assert want.encode() in ok("verify", path, "--sha256", want.upper())
        code, _, err = run("verify", path, "--sha256", "0" * 64)
        assert code == 65 and want.encode() in err, err
        assert run("verify", path, "--sha256", "12")[0] == 64
        with open(path + ".sha256", "w") as f: f.write(want + "  m.gguf\n")
        assert json.loads(ok("verify", path, "--json"))["files"][0]["compared"] is True
        raw = bytearray(open(path, "rb").read())
        raw[-9] ^= 1
        open(path, "wb").write(raw)
        code, out, err = run("verify", path, "--json")
        assert code == 65 and b"not what it should be" in err and "files" in json.loads(out)
        open(path, "wb").write(raw[:-40])
        assert run("verify", path)[0] == 65
        parts = split_gguf(local("golden/gguf-tiny-llama/q4_0.gguf"), os.path.join(d, "s"), 3)
        assert len(json.loads(ok("verify", parts[1], "--json"))["files"]) == 3
        assert run("verify", parts[1], "--sha256", want)[0] == 64


if __name__ == "__main__": main(globals())
