"""kwaai quantize and kwaai imatrix with whole processes: every type, bad input, a kill at any moment, a full disk.

gguf-py, where it is installed with numpy, decodes what was written (a decoder that is not ours) and encodes as a yardstick."""
import array, json, math, os, random, resource, signal, struct, subprocess, tempfile, time
from harness import *

TYPES = "F32 F16 BF16 Q8_0 Q6_K Q5_1 Q5_0 Q5_K_M Q5_K_S Q4_1 Q4_K_M Q4_K_S Q4_0 IQ4_NL IQ4_XS Q3_K_L Q3_K_M Q3_K_S Q2_K".split()
KINDS = {"F32": 0, "F16": 1, "Q4_0": 2, "Q4_1": 3, "Q5_0": 6, "Q5_1": 7, "Q8_0": 8, "Q2_K": 10, "Q3_K": 11, "Q4_K": 12, "Q5_K": 13,
         "Q6_K": 14, "IQ4_NL": 20, "IQ4_XS": 23, "BF16": 30}
# relative rms error of gaussian values, with some room for a small sample
WORST = {"F32": 0, "F16": 3e-4, "BF16": 2e-3, "Q8_0": .006, "Q6_K": .018, "Q5_K": .037, "Q5_0": .045, "Q5_1": .0385,
         "Q4_K": .074, "Q4_0": .089, "Q4_1": .080, "IQ4_NL": .077, "IQ4_XS": .077, "Q3_K": .151, "Q2_K": .285}


def text(s):
    return struct.pack("<Q", len(s)) + s.encode()


def write_gguf(path, tensors, layers=4):
    """tensors: {name: (type, dims fastest first, bytes)}"""
    keys = [text("general.architecture") + struct.pack("<I", 8) + text("llama")]
    for key, v in (("block_count", layers), ("attention.head_count", 8), ("attention.head_count_kv", 2)):
        keys.append(text("llama." + key) + struct.pack("<II", 4, v))
    head, at = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(keys)) + b"".join(keys), 0
    for name, (kind, dims, data) in tensors.items():
        head += text(name) + struct.pack("<I", len(dims)) + struct.pack("<%dQ" % len(dims), *dims) + struct.pack("<IQ", kind, at)
        at += (len(data) + 31) // 32 * 32
    with open(path, "wb") as f:
        f.write(head + b"\0" * (-len(head) % 32))
        for _, _, data in tensors.values(): f.write(data + b"\0" * (-len(data) % 32))


def read_gguf(path):
    """Metadata, {name: (dims, values)} of its floats, {name: type's number}."""
    b = open(path, "rb").read()
    def string(at):
        n, = struct.unpack_from("<Q", b, at)
        return b[at + 8:at + 8 + n].decode(), at + 8 + n
    def value(kind, at):
        if kind == 8: return string(at)
        if kind == 9:
            item, n = struct.unpack_from("<IQ", b, at)
            at += 12
            for _ in range(n): _, at = value(item, at)
            return None, at
        size = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}[kind]
        return int.from_bytes(b[at:at + size], "little"), at + size
    n, n_keys = struct.unpack_from("<QQ", b, 8)
    at, infos, keys = 24, [], {}
    for _ in range(n_keys):
        key, at = string(at)
        kind, = struct.unpack_from("<I", b, at)
        keys[key], at = value(kind, at + 4)
    for _ in range(n):
        name, at = string(at)
        rank, = struct.unpack_from("<I", b, at)
        dims = struct.unpack_from("<%dQ" % rank, b, at + 4)
        kind, offset = struct.unpack_from("<IQ", b, at + 4 + 8 * rank)
        at += 16 + 8 * rank
        infos.append((name, dims, kind, offset))
    start, out = (at + 31) // 32 * 32, {}
    for name, dims, kind, offset in infos:
        if kind in (0, 1):
            values = struct.unpack_from("<%d%s" % (math.prod(dims), "fe"[kind]), b, start + offset)
            out[name] = (dims, values)
    return keys, out, {name: kind for name, _, kind, _ in infos}


def gauss(n, seed):
    r = random.Random(seed)
    return array.array("f", (r.gauss(0, .02) for _ in range(n)))


def model(path, cols=512, rows=64, layers=4, poison=None):
    """A file with the names of a Llama; values is what its matrices hold."""
    values = {"token_embd.weight": gauss(cols * rows, 1), "output.weight": gauss(cols * rows, 2)}
    for il in range(layers):
        for i, part in enumerate(("attn_q", "attn_v", "attn_output", "ffn_down", "ffn_up")):
            values["blk.%d.%s.weight" % (il, part)] = gauss(cols * rows, 10 * il + i)
    if poison: values[poison[0]][poison[1]] = poison[2]
    tensors = {name: (0, (cols, rows), v.tobytes()) for name, v in values.items()}
    tensors["output_norm.weight"] = (0, (cols,), gauss(cols, 3).tobytes())
    write_gguf(path, tensors, layers)
    return values


def quantize(*args):
    return json.loads(ok("quantize", *args, "--force", "--report", "--json"))


def test_every_type_is_written_with_the_error_it_should_have():
    with tempfile.TemporaryDirectory() as d:
        source, out, sizes = os.path.join(d, "m.gguf"), os.path.join(d, "q.gguf"), {}
        model(source)
        for kind in TYPES:
            r = quantize(source, out, kind)
            assert r["type"] == kind and r["bytes"] == os.path.getsize(out) and r["fallbacks"] == 0, r
            for t in r["report"]:
                most = 0 if t["name"] == "output_norm.weight" else WORST[t["to"]]
                assert t["rms"] <= most, (kind, t)
            keys, _, kinds = read_gguf(out)
            assert keys["general.quantization_version"] == 2 and keys["llama.block_count"] == 4, keys
            assert kinds == {t["name"]: KINDS[t["to"]] for t in r["report"]}
            sizes[kind] = r["bytes"]
        candidates = [k for k in TYPES if k not in "BF16 Q5_1 Q5_0 Q4_1 Q4_0 IQ4_NL".split()]  # the others are larger than one that is as good
        for limit in {n + more for n in sizes.values() for more in (-1, 0)}:
            fitting = [k for k in candidates if sizes[k] <= limit]
            code, shown, err = run("quantize", source, out, "--fit", limit, "--force", "--json")
            assert code == (0 if fitting else 65), (limit, code, err)
            if not fitting: assert b"the least is %.1f MB" % (min(sizes.values()) / 1e6) in err, err
            else:
                got = json.loads(shown)
                assert (got["type"], got["bytes"]) == (fitting[0], sizes[fitting[0]]) and os.path.getsize(out) == got["bytes"] <= limit, (limit, got)
        code, _, err = run("quantize", source, out, "Q8_0", "--fit", sizes["Q8_0"] - 1, "--force")
        assert code == 65 and b"no TYPE" in err, err


def test_what_fits_has_no_more_bits_than_the_input():
    with tempfile.TemporaryDirectory() as d:
        source, out = os.path.join(d, "m.gguf"), os.path.join(d, "q.gguf")
        fit = lambda path, *more: json.loads(ok("quantize", path, out, "--fit", *more, "--force", "--json"))
        model(source)
        for kind, better, next_best in (("F16", "F16", "Q8_0"), ("BF16", "BF16", "Q8_0"), ("Q8_0", "Q8_0", "Q6_K"), ("Q4_K_M", "Q4_K_M", "Q4_K_S"),
                                        ("Q4_0", "Q4_K_M", "Q4_K_S"), ("Q2_K", "Q2_K", None)):
            path = os.path.join(d, kind + ".gguf")
            quantize(source, path, kind, "--tensor", "output.weight=" + kind)
            got = fit(path, "1GB", "--requantize")
            assert got["type"] == better, (kind, got)
            if kind == better and kind[-2:] == "16": assert open(out, "rb").read() == open(path, "rb").read(), kind
            if next_best: assert fit(path, got["bytes"] - 1, "--requantize")["type"] == next_best, kind
        assert fit(source, "1GB")["type"] == "F32"


def test_a_foreign_decoder_finds_the_errors_that_are_reported():
    try: import numpy, gguf
    except ImportError as e: raise Skip("gguf-py is not installed (%s)" % e)
    worst = 0
    with tempfile.TemporaryDirectory() as d:
        source, out = os.path.join(d, "m.gguf"), os.path.join(d, "q.gguf")
        values = model(source)
        for kind in TYPES:
            r = {t["name"]: t for t in quantize(source, out, kind)["report"]}
            for t in gguf.GGUFReader(out).tensors:
                if t.name not in values: continue
                x = numpy.array(values[t.name], "f4").reshape(64, 512)
                y = gguf.quants.dequantize(t.data, t.tensor_type).reshape(x.shape)
                rms = float(numpy.sqrt(((y - x).astype("f8") ** 2).sum() / (x.astype("f8") ** 2).sum()))
                assert abs(rms - r[t.name]["rms"]) <= 1e-6 + 1e-4 * rms, (kind, t.name, rms, r[t.name])
                try: theirs = gguf.quants.dequantize(gguf.quants.quantize(x, t.tensor_type), t.tensor_type)
                except NotImplementedError: continue
                bar = float(numpy.sqrt(((theirs - x).astype("f8") ** 2).sum() / (x.astype("f8") ** 2).sum()))
                assert rms <= 1.02 * bar, (kind, t.name, rms, bar)
                worst = max(worst, rms / bar if bar else 0)
    return "at most %.4f of gguf-py's error" % worst


def test_a_mix_gives_more_bits_to_what_needs_them():
    with tempfile.TemporaryDirectory() as d:
        source, out = os.path.join(d, "m.gguf"), os.path.join(d, "q.gguf")
        model(source, layers=8)
        to = {t["name"]: t["to"] for t in quantize(source, out, "q4_k_m")["report"]}
        assert to["output.weight"] == "Q6_K" and to["token_embd.weight"] == "Q4_K" and to["output_norm.weight"] == "F32"
        for part in ("attn_v", "ffn_down"):  # the first and last eighth, and every third between
            assert [to["blk.%d.%s.weight" % (i, part)] for i in range(8)] == ["Q6_K", "Q4_K", "Q4_K", "Q6_K", "Q4_K", "Q4_K", "Q6_K", "Q6_K"], to
        assert all(to["blk.%d.attn_q.weight" % i] == "Q4_K" for i in range(8))
        to = {t["name"]: t["to"] for t in quantize(source, out, "Q4_K_S", "--tensor", "blk.?.attn_*=Q8_0", "--tensor", "*.ffn_up.*=F16")["report"]}
        assert to["blk.3.attn_q.weight"] == "Q8_0" and to["blk.3.ffn_up.weight"] == "F16" and to["blk.0.ffn_down.weight"] == "Q5_K", to
        model(source, cols=96)
        r = quantize(source, out, "Q4_K_M")
        assert {t["to"] for t in r["report"] if t["fallback"]} == {"Q5_0", "Q8_0"} and r["fallbacks"] == 21, r


def test_threads_do_not_change_a_byte():
    with tempfile.TemporaryDirectory() as d:
        source, outs = os.path.join(d, "m.gguf"), []
        model(source, cols=768, rows=100)
        for threads in (1, 2, 5):
            ok("quantize", source, os.path.join(d, "q.gguf"), "Q3_K_M", "--force", "-t", threads)
            outs.append(open(os.path.join(d, "q.gguf"), "rb").read())
        assert outs[0] == outs[1] == outs[2]


def test_bad_input_is_refused_by_name_and_leaves_nothing():
    nan, inf = float("nan"), float("inf")
    with tempfile.TemporaryDirectory() as d:
        source, out, bad = (os.path.join(d, n) for n in ("m.gguf", "q.gguf", "bad.gguf"))
        model(source)
        dat, npy = os.path.join(d, "other.dat"), os.path.join(d, "a.npy")
        open(npy, "wb").write(b"\x93NUMPY\x01\x00\x76\x00" + b"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), }".ljust(117) + b"\n" + bytes(16))
        name = b"blk.1.attn_v.weight"
        open(dat, "wb").write(struct.pack("<ii", 1, len(name)) + name + struct.pack("<ii2f", 1, 2, 1, 2) + struct.pack("<ii", 1, 0))
        cases = [((source, out, "Q9"), 64, b"Q4_K_M"), ((source, source, "Q4_0"), 64, b"over itself"), ((source, out), 64, b"--fit"),
                 ((source, os.path.join(d, "q.safetensors"), "Q4_0"), 64, b"ends in .gguf"), ((source, d, "Q4_0", "--force"), 64, b"is a folder"),
                 ((source, os.path.join(d, "no", "q.gguf"), "Q4_0"), 73, b"q.gguf"), ((os.path.join(d, "none.gguf"), out, "Q4_0"), 66, b"none.gguf"),
                 ((source, out, "Q4_0", "--tensor", "nothing*=Q8_0"), 64, b"nothing*"), ((source, out, "Q4_0", "--tensor", "Q8_0"), 64, b"PATTERN=TYPE"),
                 ((source, out, "Q4_0", "--tensor", "*=Q7"), 64, b"Q7"), ((source, out, "--fit", "1KB"), 65, b"no type makes"),
                 ((source, out, "--fit", "much"), 64, b"a size"), ((source, out, "Q4_0", "--imatrix", dat), 65, b"another model"),
                 ((npy, out, "Q4_0"), 66, b"cannot quantize"), ((npy, out, "Q4_0"), 66, b"config.json"),
                 ((source, out, "Q4_0", "--imatrix", source), 65, b"general.type"), ((source, out, "Q4_0", "--imatrix", __file__), 65, b"mportance")]
        for poison, word in ((("blk.1.attn_v.weight", 700, nan), b"row 1, column 188"), (("output.weight", 5, -inf), b"row 0, column 5"),
                             (("blk.0.ffn_up.weight", 0, 1e6), b"too large for Q4_0")):
            path = os.path.join(d, "p%d.gguf" % poison[1])
            model(path, poison=poison)
            cases.append(((path, out, "Q4_0", "--tensor", "output.weight=Q4_0"), 65, poison[0].encode()))
            cases.append(((path, out, "Q4_0", "--tensor", "output.weight=Q4_0"), 65, word))
        for args, want, word in cases:
            code, _, err = run("quantize", *args)
            assert code == want and word in err, (args, code, err)
            assert not os.path.exists(out) and not os.path.exists(out + ".tmp"), args
        kept, again, left = (os.path.join(d, n) for n in ("hard.gguf", "t.gguf", "t.gguf.tmp"))
        os.link(source, kept)
        os.link(source, left)
        before = open(source, "rb").read()
        for args in ((source, kept), (left, again)):
            code, _, err = run("quantize", *args, "Q4_0", "--requantize")
            assert code == 64 and b"over itself" in err, (args, code, err)
        assert open(source, "rb").read() == before == open(left, "rb").read()
        ok("quantize", os.path.join(d, "p700.gguf"), out, "Q4_0", "--allow-nan")
        before = open(out, "rb").read()
        code, _, err = run("quantize", source, out, "Q8_0")
        assert code == 64 and b"exists already" in err and b"--force" in err and open(out, "rb").read() == before, err
        code, _, err = run("quantize", out, bad, "Q8_0")
        assert code == 64 and b"--requantize" in err and not os.path.exists(bad), err
        code, _, err = run("quantize", out, bad, "Q8_0", "--requantize")
        assert code == 0 and b"quantized already" in err, err


def test_a_kill_at_any_moment_leaves_the_old_file_or_the_new_one():
    with tempfile.TemporaryDirectory() as d:
        source, out = os.path.join(d, "m.gguf"), os.path.join(d, "q.gguf")
        model(source, cols=1024, rows=256, layers=4)
        start = time.time()
        ok("quantize", source, out, "Q5_K_M", "--force")
        whole, new = time.time() - start, open(out, "rb").read()
        old, kinds = b"the old file", set()
        r = random.Random(5)
        for _ in range(50):
            open(out, "wb").write(old)
            p = subprocess.Popen([KWAAI, "quantize", source, out, "Q5_K_M", "--force"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(r.random() * whole * 1.1)
            p.send_signal(signal.SIGKILL)
            p.wait()
            got = open(out, "rb").read()
            assert got in (old, new), len(got)
            kinds.add(got == new)
        ok("quantize", source, out, "Q5_K_M", "--force")
        assert open(out, "rb").read() == new and sorted(os.listdir(d)) == ["m.gguf", "q.gguf"]
        return "ends seen: %s" % ", ".join("new" if k else "old" for k in sorted(kinds))


def test_no_room_for_the_output_is_said_and_nothing_is_left():
    def small():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100000, 100000))
    with tempfile.TemporaryDirectory() as d:
        source, out = os.path.join(d, "m.gguf"), os.path.join(d, "q.gguf")
        model(source)
        p = subprocess.run([KWAAI, "quantize", source, out, "Q8_0"], capture_output=True, preexec_fn=small, restore_signals=False)
        assert p.returncode == 73 and b"q.gguf" in p.stderr, (p.returncode, p.stderr)
        assert os.listdir(d) == ["m.gguf"], os.listdir(d)


# ---- importances ----

def test_importances_are_the_sums_of_squares_of_what_goes_in():
    path = local("golden/gguf-tiny-llama/f16.gguf")
    with tempfile.TemporaryDirectory() as d:
        words, im, dat = os.path.join(d, "t.txt"), os.path.join(d, "im.gguf"), os.path.join(d, "im.dat")
        open(words, "w").write("The quick brown fox jumps over the lazy dog. " * 3)
        ids = json.loads(ok("tokenize", path, "-f", words, "--no-special", "--json"))
        n = len(ids) // 31 * 31  # a window is BOS and 31 tokens, as this tokenizer begins a text with BOS
        assert json.loads(ok("tokenize", path, "x", "--json"))[0] == 1
        ids = [i for at in range(0, n, 31) for i in [1] + ids[at:at + 31]]
        n = len(ids)
        for own, word in ((path, b"model itself"), (words, b"text itself")):
            before = open(own, "rb").read()
            code, _, err = run("imatrix", path, "-f", words, "-o", own)
            assert code == 64 and b"exists already" in err and b"--force" in err, err
            code, _, err = run("imatrix", path, "-f", words, "-o", own, "-c", 32, "--force")
            assert code == 64 and word in err and open(own, "rb").read() == before, err
        ok("imatrix", path, "-f", words, "-o", im, "-c", 32, "--exact")
        keys, got, _ = read_gguf(im)
        assert keys["general.type"] == "imatrix" and keys["imatrix.chunk_count"] == n // 32, keys
        _, weights, _ = read_gguf(path)
        emb, norm = weights["token_embd.weight"][1], weights["blk.0.attn_norm.weight"][1]
        want = [0.0] * 64
        for i in ids:
            row = emb[64 * i:64 * i + 64]
            scale = 1 / math.sqrt(sum(v * v for v in row) / 64 + 1e-5)
            for j in range(64): want[j] += (row[j] * scale * norm[j]) ** 2
        names = sorted(k[:-8] for k in got if k.endswith(".in_sum2"))
        assert names == sorted("blk.%d.%s.weight" % (il, p) for il in range(2) for p in
                               ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")), names
        worst = max(abs(a - b) / b for a, b in zip(got["blk.0.attn_v.weight.in_sum2"][1], want))
        assert worst < 1e-5, worst
        assert all(got[k + ".counts"][1] == (float(n),) for k in names)
        ok("imatrix", path, "-f", words, "-o", dat, "-c", 32, "--exact")
        outs = []
        for file in (im, dat):
            outs.append(quantize(path, os.path.join(d, "q.gguf"), "Q4_0", "--imatrix", file)["report"])
        assert [t["rms"] for t in outs[0]] == [t["rms"] for t in outs[1]]
        assert sum(t["importance"] for t in outs[0]) == 14, outs[0]
        return "worst difference %.1e" % worst


def with_bytes(source, folder):
    """The model of a folder with a tokenizer whose ids are bytes."""
    shown = [b for b in range(256) if 33 <= b <= 126 or 161 <= b <= 172 or b >= 174]
    chars = {b: chr(b) for b in shown}
    chars.update({b: chr(256 + i) for i, b in enumerate(b for b in range(256) if b not in shown)})
    bpe = {"type": "BPE", "vocab": {chars[b]: b for b in range(256)}, "merges": []}
    step = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    os.mkdir(folder)
    for name in ("config.json", "model.safetensors"): os.symlink(os.path.join(source, name), os.path.join(folder, name))
    json.dump({"model": bpe, "pre_tokenizer": step, "decoder": step, "added_tokens": []}, open(os.path.join(folder, "tokenizer.json"), "w"))
    return folder


class Alone:
    """A Llama with experts that reads each id alone, in plain Python: a row sees itself only, so attention gives its own value."""

    def __init__(self, path, config):
        _, self.w, _ = read_gguf(path)
        self.c, self.sums, self.counts = config, {}, {}

    def times(self, name, x, e=0):
        dims, v = self.w[name]
        key = name if len(dims) == 2 else (name, e)
        self.counts[key] = self.counts.get(key, 0) + 1
        self.sums[key] = [a + b * b for a, b in zip(self.sums.get(key, [0.0] * len(x)), x)]
        n, first = dims[0], e * dims[0] * dims[1]
        return [sum(a * b for a, b in zip(v[i:i + n], x)) for i in range(first, first + n * dims[1], n)]

    def norm(self, name, x):
        scale = 1 / math.sqrt(sum(v * v for v in x) / len(x) + self.c["rms_norm_eps"])
        return [v * scale * g for v, g in zip(x, self.w[name][1])]

    def ffn(self, at, part, x, e=0):
        gate, up = (self.times(at + "ffn_%s%s.weight" % (p, part), x, e) for p in ("gate", "up"))
        return self.times(at + "ffn_down%s.weight" % part, [g / (1 + math.exp(-g)) * u for g, u in zip(gate, up)], e)

    def experts(self, at, x):
        scores = [math.exp(v) for v in self.times(at + "ffn_gate_inp.weight", x)]
        best = sorted(range(len(scores)), key=lambda i: -scores[i])[:self.c["num_experts_per_tok"]]
        outs = [self.ffn(at, "_exps", x, e) for e in best]  # their shares add up to 1
        return [sum(scores[e] * o[i] for e, o in zip(best, outs)) / sum(scores[e] for e in best) for i in range(len(x))]

    def read(self, i):
        heads, kv, dim = self.c["num_attention_heads"], self.c["num_key_value_heads"], self.c["hidden_size"]
        x = self.w["token_embd.weight"][1][dim * i:dim * i + dim]
        for il in range(self.c["num_hidden_layers"]):
            at = "blk.%d." % il
            a = self.norm(at + "attn_norm.weight", x)
            q, k, v = (self.times(at + "attn_%s.weight" % p, a) for p in "qkv")
            size = len(v) // kv
            own = [n for h in range(heads) for n in v[h * kv // heads * size:][:size]]
            x = [n + m for n, m in zip(x, self.times(at + "attn_output.weight", own))]
            f = self.norm(at + "ffn_norm.weight", x)
            more = self.experts(at, f) if at + "ffn_gate_inp.weight" in self.w else self.ffn(at, "", f)
            x = [n + m for n, m in zip(x, more)]


def test_importances_of_experts_are_of_the_rows_they_got():
    """And quantizing uses each expert's own."""
    worst, words = 0, "Of experts, few are asked."
    for name in ("mixtral-4x2", "qwen3-moe"):
        source = data("golden/" + name)
        with tempfile.TemporaryDirectory() as d:
            folder, model, im, text = (os.path.join(d, n) for n in ("in", "m.gguf", "im.gguf", "t.txt"))
            open(text, "w").write(words)
            ok("convert", with_bytes(source, folder), model)
            ok("imatrix", model, "-f", text, "-o", im, "-c", 1, "--exact")
            want, (_, got, _) = Alone(model, json.load(open(os.path.join(source, "config.json")))), read_gguf(im)
            for i in words.encode(): want.read(i)
            for key, sums in want.sums.items():
                tensor, e = key if isinstance(key, tuple) else (key, 0)
                n, counts = len(sums), got[tensor + ".counts"][1]
                assert counts[e] == want.counts[key], (key, counts[e], want.counts[key])
                worst = max([worst] + [abs(a - b) / b for a, b in zip(got[tensor + ".in_sum2"][1][n * e:n * e + n], sums)])
            asked = {k[0] for k in want.sums if isinstance(k, tuple)}
            assert asked and all(sum(got[t + ".counts"][1]) == 2 * len(words) for t in asked), asked
            r = {t["name"]: t for t in quantize(model, os.path.join(d, "q.gguf"), "Q4_0", "--imatrix", im)["report"]}
            assert all(r[t]["importance"] for t in asked), r
    assert worst < 1e-4, worst
    return "worst difference %.1e" % worst


def test_importances_of_a_folder_are_those_of_its_conversion():
    """Names, columns that were rows, parts of a fused matrix, stacks of experts."""
    seen = {}
    for name in ("mixtral-4x2", "qwen3-moe", "gpt2-old", "falcon-7b-style", "falcon-40b-style", "phi3-window", "gemma2-softcap"):
        source = data("golden/" + name)
        with tempfile.TemporaryDirectory() as d:
            folder, model, text, one, two = (os.path.join(d, n) for n in ("in", "m.gguf", "t.txt", "1.gguf", "2.gguf"))
            open(text, "w").write("In any form the same is multiplied.")
            ok("convert", with_bytes(source, folder), model)
            for path, im in ((model, one), (folder, two)): ok("imatrix", path, "-f", text, "-o", im, "-c", 8, "--exact")
            assert open(one, "rb").read() == open(two, "rb").read(), name
            seen[name] = len(read_gguf(two)[1]) // 2
            report = quantize(folder, os.path.join(d, "q.gguf"), "Q8_0", "--imatrix", two)["report"]
            assert sum(t["importance"] for t in report) == seen[name] > 3, (name, report)
    return ", ".join("%s %d" % i for i in seen.items())


def test_a_folder_becomes_the_file_that_its_conversion_would():
    """Names, rows in another order (rope, stacks of experts, columns that are rows, grouped heads) and metadata."""
    for name in ("mixtral-4x2", "llama3-gqa-tied", "gpt2-old", "falcon-7b-style", "gemma2-softcap", "qwen2-bias"):
        source = data("golden/" + name)
        with tempfile.TemporaryDirectory() as d:
            model, one, two = (os.path.join(d, n) for n in ("m.gguf", "1.gguf", "2.gguf"))
            ok("convert", source, model)
            for kind in ("Q8_0", "BF16"):
                reports = [quantize(path, out, kind) for path, out in ((model, one), (source, two))]
                assert [(t["name"], t["to"], t["rms"]) for t in reports[0]["report"]] == [(t["name"], t["to"], t["rms"]) for t in reports[1]["report"]], (name, reports)
                assert open(one, "rb").read() == open(two, "rb").read(), (name, kind)


def test_the_default_model_speaks_as_well_as_from_llama_quantize():
    """17.7178 is what the file that llama-quantize (ggml 0.25.3) makes of the same one has, scored by the same command; its own is 16.10."""
    source, words = smollm2(), os.path.join(HERE, "..", "..", "LICENSE")
    with tempfile.TemporaryDirectory() as d:
        out = os.path.join(d, "q.gguf")
        ok("quantize", source, out, "Q4_K_M", "--requantize")
        got = json.loads(ok("perplexity", out, words, "-c", 512, "--tokens", 1024, "--pack", "off", "--json"))["perplexity"]
        assert got <= 1.01 * 17.7178, got
        return "perplexity %.4f, llama-quantize's 17.7178" % got


if __name__ == "__main__":
    main(globals())
