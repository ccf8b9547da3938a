"""Files of other kinds and other times: split GGUF, GGML of before GGUF, NumPy's arrays. Every file is written here, from the formats' facts."""
import json, os, shutil, struct, tempfile, zipfile
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


# ---- GGML of before GGUF ----

OLD_NAMES = {"token_embd": "tok_embeddings", "output_norm": "norm", "output": "output", "attn_q": "attention.wq",
             "attn_k": "attention.wk", "attn_v": "attention.wv", "attn_output": "attention.wo", "attn_norm": "attention_norm",
             "ffn_gate": "feed_forward.w1", "ffn_down": "feed_forward.w2", "ffn_up": "feed_forward.w3", "ffn_norm": "ffn_norm"}


def gguf_strings(raw):
    n, at, out = struct.unpack_from("<Q", raw, 4)[0], 12, []
    for _ in range(n):
        size = struct.unpack_from("<Q", raw, at)[0]
        out.append(raw[at + 8:at + 8 + size])
        at += 8 + size
    return out


def old_block(kind, block, version):
    """A block of today's Q4_0 or Q8_0 as an older ggjt had it: scales of 4 bytes, in version 1 neighbours in a byte."""
    scale, rest = block[:2], block[2:]
    if version < 3: scale = struct.pack("<f", struct.unpack("<e", scale)[0])
    if kind == 2 and version < 2:
        values = [b & 15 for b in rest] + [b >> 4 for b in rest]
        rest = bytes(values[2 * i] | values[2 * i + 1] << 4 for i in range(16))
    return scale + rest


def write_old(path, magic, version, source, cut=0):
    keys, tensors = read_gguf(source)
    keys = {k: v for k, _, v in keys}
    number = lambda key: struct.unpack("<I", keys["llama." + key])[0]
    heads, dim, vocab = number("attention.head_count"), number("embedding_length"), gguf_strings(keys["tokenizer.ggml.tokens"])
    scores = struct.unpack_from("<%df" % len(vocab), keys["tokenizer.ggml.scores"], 12)
    out = bytearray(magic[::-1])
    if magic != b"ggml": out += struct.pack("<I", version)
    out += struct.pack("<7I", len(vocab), dim, 256, heads, number("block_count"), dim // heads, 1)
    for i, (piece, score) in enumerate(zip(vocab, scores)):
        if i == 0: piece = " \u2047 ".encode()
        elif i <= 2: piece = b""
        elif piece.startswith(b"<0x"): piece = bytes([int(piece[3:5], 16)])
        else: piece = piece.replace("\u2581".encode(), b" ")
        out += struct.pack("<I", len(piece)) + piece
        if magic != b"ggml": out += struct.pack("<f", score)
    for name, dims, kind, raw in tensors:
        parts = name.split(".")
        name = OLD_NAMES[parts[-2]] + ".weight"
        if parts[0] == "blk": name = "layers.%s.%s" % (parts[1], name)
        out += struct.pack("<3I%dI" % len(dims), len(dims), len(name), kind, *dims) + name.encode()
        if magic == b"ggjt": out += bytes(-len(out) % 32)
        size = GGML_BYTES[kind][1]
        if kind >= 2: raw = b"".join(old_block(kind, raw[i:i + size], version) for i in range(0, len(raw), size))
        out += raw
    with open(path, "wb") as f: f.write(out[:len(out) - cut])


def test_ggml_of_every_age_computes_what_the_same_gguf_does():
    text = "Hello, hello world 123"
    with tempfile.TemporaryDirectory() as d:
        old = os.path.join(d, "old.bin")
        for kind in ("f16", "q4_0", "q8_0"):
            twin = local(TINY + "/%s.gguf" % kind)
            want, ids = logits_of(d, twin), ok("tokenize", twin, text)
            for magic, version in ((b"ggml", 0), (b"ggmf", 1), (b"ggjt", 1), (b"ggjt", 2), (b"ggjt", 3)):
                write_old(old, magic, version, local(TINY + "/%s.gguf" % kind))
                if magic != b"ggjt" and kind != "f16":
                    refused(old, "blocks of this age", "tok_embeddings.weight")
                    continue
                assert logits_of(d, old) == want, (kind, magic, version)
                if magic != b"ggml": assert ok("tokenize", old, text) == ids, (magic, version)
        assert b"GGJT v3" in ok("show", old)


def test_ggml_of_before_gguf_is_written_as_gguf():
    """Its keys are our own: each has to have a type there."""
    text = "Hello, hello world 123"
    with tempfile.TemporaryDirectory() as d:
        old, new = os.path.join(d, "old.bin"), os.path.join(d, "new.gguf")
        write_old(old, b"ggjt", 3, local(TINY + "/q8_0.gguf"))
        ok("convert", old, new)
        assert logits_of(d, new) == logits_of(d, old) and ok("tokenize", new, text) == ok("tokenize", old, text)
        ok("quantize", old, new, "Q8_0", "--requantize", "--force")
        assert logits_of(d, new) == logits_of(d, old)


def test_old_ggml_gives_the_logits_of_pytorch():
    golden, notes = read_tensors(local(TINY + "/golden.safetensors")), []
    with tempfile.TemporaryDirectory() as d:
        write_tensors(os.path.join(d, "in"), {"input_ids": ("I64", *golden["input_ids"])})
        for kind in ("f16", "q4_0", "q8_0"):
            write_old(os.path.join(d, "old.bin"), b"ggjt", 3, local(TINY + "/%s.gguf" % kind))
            ok("infer", os.path.join(d, "old.bin"), os.path.join(d, "in"), os.path.join(d, "out"), "--exact")
            got, want = read_tensors(os.path.join(d, "out"))["logits"][1], golden[kind + ".logits"][1]
            worst = max(abs(a - b) for a, b in zip(got, want))
            assert len(got) == len(want) and worst < 1e-4, (kind, worst)
            notes.append("%s %.2g" % (kind, worst))
    return "worst differences: " + ", ".join(notes)


def test_old_ggml_that_is_cut_or_of_another_family_is_refused():
    with tempfile.TemporaryDirectory() as d:
        path = os.path.join(d, "old.bin")
        write_old(path, b"ggjt", 3, local(TINY + "/f16.gguf"), cut=1)
        refused(path, "output.weight", "ends behind")
        raw = bytearray(open(path, "rb").read())
        struct.pack_into("<I", raw, 4, 4)
        open(path, "wb").write(raw)
        refused(path, "version 4")
        with open(path, "wb") as f: f.write(b"lmgg" + struct.pack("<7I", 50257, 1024, 768, 12, 12, 1, 50257))
        refused(path, "another family")


# ---- NumPy ----

def npy(descr, shape, values, fortran=False, version=1, code=None):
    """The bytes of a .npy file; values in C order, written in Fortran's where asked."""
    if fortran:
        strides, order = [1] * len(shape), []
        for i in range(len(shape) - 2, -1, -1): strides[i] = strides[i + 1] * shape[i + 1]
        for at in range(len(values)):
            rest, index = at, 0
            for n, stride in zip(shape, strides): index, rest = index + rest % n * stride, rest // n
            order.append(values[index])
        values = order
    text = "{'descr': '%s', 'fortran_order': %s, 'shape': (%s), }" % (descr, fortran, "".join("%d," % n for n in shape))
    head = 10 if version == 1 else 12
    text += " " * (-(head + len(text) + 1) % 64) + "\n"
    data = struct.pack("%s%d%s" % (descr[0].replace("|", "<"), len(values), code or {"f4": "f", "f8": "d", "f2": "e", "i4": "i", "i8": "q", "i2": "h", "i1": "b", "u1": "B", "b1": "?"}[descr[1:]]), *values)
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H" if version == 1 else "<I", len(text)) + text.encode() + data


def test_arrays_of_numpy_are_infers_input_in_every_order():
    model, ids = local("golden/llama2-mha"), [(i * 37 + 11) % 90 for i in range(24)]
    with tempfile.TemporaryDirectory() as d:
        write_tensors(os.path.join(d, "in"), {"input_ids": ("I64", [4, 6], ids)})
        ok("infer", model, os.path.join(d, "in"), os.path.join(d, "want"), "--exact")
        want = open(os.path.join(d, "want"), "rb").read()
        for descr, fortran, version in (("<i8", False, 1), (">i8", False, 2), ("<i4", True, 3), (">i4", True, 1)):
            path = os.path.join(d, "input_ids.npy")
            open(path, "wb").write(npy(descr, [4, 6], ids, fortran, version))
            ok("infer", model, path, os.path.join(d, "out"), "--exact")
            assert open(os.path.join(d, "out"), "rb").read() == want, (descr, fortran, version)
        path = os.path.join(d, "in.npz")
        with zipfile.ZipFile(path, "w") as z:
            z.writestr("input_ids.npy", npy("<i8", [4, 6], ids))
            z.writestr("attention_mask.npy", npy("<i4", [4, 6], [1] * 24))
        ok("infer", model, path, os.path.join(d, "out"), "--exact")
        assert open(os.path.join(d, "out"), "rb").read() == want


def test_arrays_of_numpy_are_shown_and_bad_ones_are_refused():
    with tempfile.TemporaryDirectory() as d:
        path = os.path.join(d, "many.npz")
        with zipfile.ZipFile(path, "w") as z:
            for kind in ("f4", "f8", "f2", "i4", "i8", "i2", "i1", "u1", "b1"): z.writestr(kind + ".npy", npy("|" + kind if kind[1] == "1" else "<" + kind, [2, 3], [0, 1, 1, 0, 1, 1]))
        shown = json.loads(ok("show", path, "--json", "--tensors"))
        assert [(t["name"], t["dtype"], t["shape"]) for t in shown["tensors"]] == [(n, t, [2, 3]) for n, t in (
            ("f4", "F32"), ("f8", "F64"), ("f2", "F16"), ("i4", "I32"), ("i8", "I64"), ("i2", "I16"), ("i1", "I8"), ("u1", "U8"), ("b1", "BOOL"))]
        good = npy("<f4", [2, 3], range(6))
        path = os.path.join(d, "a.npy")
        for raw, word in ((good[:-1], "ends behind"), (good.replace(b"<f4", b"<c8"), "<c8"), (good.replace(b"'shape'", b"'sharp'"), "key"),
                          (good.replace(b"(2,3,)", b"(2,-3,)"), "shape"), (good.replace(b"False", b"Maybe"), "fortran_order"), (npy("<f4", [1] * 5, [0]), "more than 4"),
                          (good.replace(b"'<f4'", b"[('a','<f4')]"), "a record"), (good[:6] + b"\x07" + good[7:], "version 7")):
            open(path, "wb").write(raw)
            refused(path, word)
        with zipfile.ZipFile(os.path.join(d, "packed.npz"), "w", zipfile.ZIP_DEFLATED) as z: z.writestr("a.npy", good)
        refused(os.path.join(d, "packed.npz"), "compressed", "a.npy")


if __name__ == "__main__": main(globals())
