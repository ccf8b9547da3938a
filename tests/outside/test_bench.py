"""The benchmark: its models are valid and have the weights they claim, its rows are judged right, its op bench runs every op."""
import json, math, statistics, subprocess, tempfile
from harness import *

sys.path.insert(0, os.path.join(HERE, "..", "..", "bench"))
import report, rows, synth
from engines import Task

BUILD = os.environ.get("BUILD", os.path.join(HERE, "..", "..", "build"))


def test_synthetic_models_load_and_their_weights_have_mean_0_and_the_stated_deviation():
    worst = 0
    with tempfile.TemporaryDirectory() as d:
        for kind in synth.FILE_TYPES:
            path = os.path.join(d, kind + ".gguf")
            synth.make("tiny", kind, path)
            out = json.loads(ok("perplexity", path, os.path.join(HERE, "harness.py"), "--tokens", "64", "--exact", "--json"))
            assert 100 < out["perplexity"] < 1e5, out
            again = os.path.join(d, "again.gguf")
            synth.make("tiny", kind, again)
            assert open(path, "rb").read() == open(again, "rb").read()
        for kind in synth.DRAW:
            values = decoded(kind, d)
            deviation, mean = statistics.pstdev(values), statistics.fmean(values)
            off = max(abs(deviation * 16 - 1), abs(mean) * 16)
            worst = max(worst, off)
            assert off < 0.05, (kind, deviation, mean)
    return "worst deviation and mean off by %.1f %%" % (100 * worst)


def decoded(kind, folder):
    """A tensor of 256 columns as kwaai decodes it: an embedding is looked up and comes out of a plan of its own, so the formulas are
    written down here instead, from the formats' definitions."""
    number, values, size = synth.FORMATS[kind]
    raw = b"".join(bytes(p) for p in synth.Source(1).pieces(kind, 256, 128))
    half = lambda b: struct.unpack("<e", b)[0]
    out = []
    for at in range(0, len(raw), size):
        b = raw[at:at + size]
        if kind == "F32": out += struct.unpack("<f", b)
        elif kind == "F16": out.append(half(b))
        elif kind == "Q4_0": out += [half(b[:2]) * ((b[2 + j % 16] >> (4 * (j // 16)) & 15) - 8) for j in range(32)]
        elif kind == "Q8_0": out += [half(b[:2]) * v for v in struct.unpack("<32b", b[2:])]
        elif kind == "Q4_K": out += [half(b[:2]) * scale(b[4:16], j // 32)[0] * (b[16 + j // 64 * 32 + j % 32] >> (4 * (j // 32 % 2)) & 15) -
                                     half(b[2:4]) * scale(b[4:16], j // 32)[1] for j in range(256)]
        else: out += [half(b[208:]) * struct.unpack("<b", b[192 + j // 16:193 + j // 16])[0] * (six_bits(b, j) - 32) for j in range(256)]
    return out


def scale(s, j):
    if j < 4: return s[j] & 63, s[j + 4] & 63
    return s[j + 4] & 15 | s[j - 4] >> 6 << 4, s[j + 4] >> 4 | s[j] >> 6 << 4


def six_bits(b, j):
    part, r = j // 128, j % 128
    low = b[part * 64 + r % 64] >> (4 * (r // 64)) & 15
    return low | (b[128 + part * 32 + r % 32] >> (2 * (r // 32)) & 3) << 4


def judged(kind, value, ours, theirs, field="tg"):
    t, s = Task("m", tg=1), rows.Samples()
    row = rows.Row("r", "g", "what", rows.Call("kwaai", "speed", t), field, [rows.Bar(kind, value, [rows.Call(p, "speed", t) for p in theirs])])
    s.got[rows.key(row.ours)] = [{field: x} for x in ours]
    for p, values in theirs.items():
        if values is None: s.why[rows.key(rows.Call(p, "speed", t))] = p + " is not here"
        else: s.got[rows.key(rows.Call(p, "speed", t))] = [{field: x} for x in values]
    return rows.judge(row, row.bars[0], s, lambda row, bar: bar.value)


def test_a_bar_is_held_against_the_fastest_peer_round_by_round():
    x = judged("at least", 1.2, [24, 12, 26], {"a": [20, 10, 20], "b": [10, 5, 10]})
    assert x["holds"] and x["peer"]["name"] == "a" and x["ratio"] == {"median": 1.2, "min": 1.2, "max": 1.3, "n": 3}, x
    assert judged("at least", 1.25, [24, 12, 26], {"a": [20, 10, 20]})["holds"] is False
    assert judged("at most", 1.35, [13, 14], {"a": [10, 10]}, "us")["holds"] is True
    assert judged("at most", 1.35, [14, 14], {"a": [10, 10]}, "us")["holds"] is False
    assert judged("near", 0.003, [10.02], {"a": [10]}, "perplexity")["holds"] is True
    assert judged("near", 0.003, [9.96], {"a": [10]}, "perplexity")["holds"] is False
    assert judged("limit", 0.1, [0.09, 0.2, 0.08], {}, "over")["holds"] is True


def test_what_cannot_be_measured_says_why_and_holds_nothing():
    x = judged("at least", 1.2, [24], {"a": None})
    assert x["holds"] is None and x["note"] == "a is not here", x
    x = judged("at least", 1.2, [24], {"a": None, "b": [10]})
    assert x["holds"] is True and "a is not here" in x["note"], x
    assert judged("at least", 1.2, [], {"a": [10]})["holds"] is None
    text = report.markdown([judged("at least", 1.2, [24], {"a": None})], {})
    assert "not measured | a is not here" in text and "0 hold, 0 do not, 1 were not measured" in text, text


def test_every_row_has_its_own_name_and_the_picture_is_xml():
    names = [r.name for r in rows.all_rows()]
    assert len(names) == len(set(names)) and len(names) > 35, names
    models = [rows.model_of(n) for n in names if n.startswith("decode-")]
    assert "llama-1b-f16" in models and "gpt2-q8_0" in models
    assert all(m.rsplit("-", 1)[0] in synth.SHAPES for m in models), models
    import xml.dom.minidom
    svg = report.plot([("1b <q4>", 20.0, [("kwaai", 18.0), ("llama.cpp", 12.0)])], 16)
    assert len(xml.dom.minidom.parseString(svg).getElementsByTagName("rect")) == 5


def test_the_op_bench_measures_every_op():
    built = subprocess.run(["cmake", "--build", BUILD, "--target", "bench-ops"], capture_output=True, timeout=600)
    assert built.returncode == 0, built.stdout[-2000:]
    program = os.path.join(BUILD, "bench", "bench-ops")
    p = subprocess.run([program, "--rows", "2", "--shape", "512x256", "--ms", "1", "--json", "-t", "2"], capture_output=True, timeout=600)
    assert p.returncode == 0, p.stderr
    got = json.loads(p.stdout)
    ops = [l.split("(")[1].split(",")[0] for l in open(os.path.join(HERE, "..", "..", "src", "plan", "ops.def")) if l.startswith("KW_OP(")]
    assert {r["op"] for r in got} == set(ops) and all(r["us"] > 0 and math.isfinite(r["us"]) for r in got)
    for bad in (["--op", "NOSUCH"], ["--rows", "0"], ["--shape", "1x"], ["--what"], ["--dtype", "Q4_0", "--shape", "64x33"]):
        assert subprocess.run([program, *bad], capture_output=True, timeout=60).returncode in (1, 64), bad


if __name__ == "__main__": main(globals())
