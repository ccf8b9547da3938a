"""Files of other kinds and other times: split GGUF. Every file is written here, from the formats' facts."""
import array, os, shutil, struct, tempfile
from harness import *

TINY = "golden/gguf-tiny-llama"
SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "B", 10: "Q", 11: "q", 12: "d"}
GGML_BYTES = {0: (1, 4), 1: (1, 2), 2: (32, 18), 8: (32, 34)}  # type: values and bytes of a block


def read_gguf(path):
    """([(key, type, raw value)], [(name, dims fastest first, type, bytes)]) of a GGUF v3 file."""
    raw, at = open(path, "rb").read(), 24
    n_tensors, n_keys = struct.unpack_from("<QQ", raw, 8)

    def text():
        nonlocal at
        n = struct.unpack_from("<Q", raw, at)[0]
        at += 8 + n
        return raw[at - n:at].decode()

    def skip(kind):
        nonlocal at
        if kind == 8: text()
        elif kind == 9:
            item, n = struct.unpack_from("<IQ", raw, at)
            at += 12
            for _ in range(n): skip(item)
        else: at += struct.calcsize(SCALARS[kind])

    keys, infos = [], []
    for _ in range(n_keys):
        key, kind = text(), struct.unpack_from("<I", raw, at)[0]
        at += 4
        start = at
        skip(kind)
        keys.append((key, kind, raw[start:at]))
    for _ in range(n_tensors):
        name, n = text(), struct.unpack_from("<I", raw, at)[0]
        dims = struct.unpack_from("<%dQ" % n, raw, at + 4)
        kind, offset = struct.unpack_from("<IQ", raw, at + 4 + 8 * n)
        at += 16 + 8 * n
        infos.append((name, dims, kind, offset))
    data, tensors = (at + 31) // 32 * 32, []
    for name, dims, kind, offset in infos:
        n, (block, size) = 1, GGML_BYTES[kind]
        for d in dims: n *= d
        tensors.append((name, dims, kind, raw[data + offset:data + offset + n // block * size]))
    return keys, tensors


def write_gguf(path, keys, tensors, order="<"):
    string = lambda s: struct.pack(order + "Q", len(s.encode())) + s.encode()
    head = b"GGUF" + struct.pack(order + "IQQ", 3, len(tensors), len(keys))
    for key, kind, value in keys: head += string(key) + struct.pack(order + "I", kind) + value
    at, blob = 0, b""
    for name, dims, kind, values in tensors:
        head += string(name) + struct.pack(order + "I%dQIQ" % len(dims), len(dims), *dims, kind, at)
        blob += values + bytes(-len(values) % 32)
        at = len(blob)
    with open(path, "wb") as f: f.write(head + bytes(-len(head) % 32) + blob)


def split_gguf(source, stem, n):
    """The parts that a splitter writes: all keys in the first, and in each which it is."""
    keys, tensors = read_gguf(source)
    paths = []
    for i in range(n):
        split = [("split.no", 2, struct.pack("<H", i)), ("split.count", 2, struct.pack("<H", n)),
                 ("split.tensors.count", 5, struct.pack("<i", len(tensors)))]
        paths.append("%s-%05d-of-%05d.gguf" % (stem, i + 1, n))
        write_gguf(paths[-1], (keys if i == 0 else []) + split, tensors[i * len(tensors) // n:(i + 1) * len(tensors) // n])
    return paths


def logits_of(d, model, *more):
    """The bytes of what infer --exact answers for 20 ids."""
    ids = [(i * 37 + 11) % 90 for i in range(20)]
    write_tensors(os.path.join(d, "in"), {"input_ids": ("I64", [1, len(ids)], ids)})
    ok("infer", model, os.path.join(d, "in"), os.path.join(d, "out"), "--exact", *more)
    return open(os.path.join(d, "out"), "rb").read()


def refused(path, *words):
    code, out, err = run("show", path)
    assert code in (65, 66), (code, out, err)
    for word in words: assert word.encode() in err, (word, err.decode())


def test_any_part_of_a_split_gguf_opens_all():
    whole = local(TINY + "/q8_0.gguf")
    with tempfile.TemporaryDirectory() as d:
        parts = split_gguf(whole, os.path.join(d, "m"), 3)
        want = logits_of(d, whole)
        for path in parts: assert logits_of(d, path) == want, path
        text = b"tokenizer.ggml.model"
        assert text in ok("show", parts[2]) and b"split.no = 0" in ok("show", parts[2])
        assert b"packed" in ok("show", parts[1], "--no-mmap")


def test_parts_that_are_missing_renamed_or_of_another_model_are_named():
    with tempfile.TemporaryDirectory() as d:
        parts = split_gguf(local(TINY + "/q8_0.gguf"), os.path.join(d, "m"), 3)
        os.rename(parts[1], os.path.join(d, "away"))
        for path in (parts[0], parts[2]): refused(path, "part 2 of 3", "m-00002-of-00003.gguf")
        refused(os.path.join(d, "away"), "part 2 of 3", "-00002-of-00003.gguf")
        shutil.copy(parts[2], parts[1])
        refused(parts[0], "part 3 of 3", "m-00002-of-00003.gguf")
        shutil.copy(os.path.join(d, "away"), parts[1])
        keys, tensors = read_gguf(parts[2])
        write_gguf(parts[2], keys, tensors[1:])
        refused(parts[0], "split.tensors.count")


def test_gguf_of_another_byte_order_and_bad_alignments_are_refused():
    with tempfile.TemporaryDirectory() as d:
        path = os.path.join(d, "big.gguf")
        write_gguf(path, [], [], order=">")
        refused(path, "big-endian", "gguf_convert_endian.py")
        keys, tensors = read_gguf(local(TINY + "/q8_0.gguf"))
        for value in (0, 1, 2, 3, 24, 1 << 21):
            write_gguf(path, keys + [("general.alignment", 4, struct.pack("<I", value))], tensors)
            refused(path, "general.alignment is %d" % value)


if __name__ == "__main__": main(globals())
