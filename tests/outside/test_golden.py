"""Golden cases: tiny checkpoints and what PyTorch + transformers answered for them, through `kwaai infer --exact`.

Integers must be equal; floats within max(10 x the recorded f32-vs-f64 error, 1e-5 x the largest value, 1e-6)."""
import fnmatch, json, os, tempfile
from harness import *

CASES = ["llama2-mha", "llama3-gqa-tied", "llama-bf16", "llama-bias-sharded", "llama-rope-dynamic", "llama-rope-linear",
         "llama-rope-yarn", "qwen2-bias", "gguf-tiny-llama", "gguf-kquant-llama"]


def tolerance(meta, name, values):
    errors = meta.get("f32_vs_f64_max_abs") or {}
    hits = [v for k, v in errors.items() if fnmatch.fnmatch(name, k)]
    recorded = errors.get(name, max(hits) if hits else meta.get("f32_vs_f64_worst") or 0.0)
    return max(10 * recorded, 1e-5 * max(map(abs, values)), 1e-6)


def compare(meta, name, want, got):
    assert name in got, "%s is missing" % name
    assert want[0] == got[name][0] or len(want[1]) == len(got[name][1]), "%s: %s, not %s" % (name, got[name][0], want[0])
    if want[1].typecode in "iq":
        assert list(want[1]) == list(got[name][1]), "%s differs" % name
        return 0.0
    worst = max(abs(a - b) for a, b in zip(want[1], got[name][1]))
    limit = tolerance(meta, name, want[1])
    assert worst <= limit, "%s: error %.3g, at most %.3g" % (name, worst, limit)
    return worst / limit


def infer(model, ids, want, extra):
    with tempfile.TemporaryDirectory() as d:
        i, o = os.path.join(d, "in.safetensors"), os.path.join(d, "out.safetensors")
        write_tensors(i, {"input_ids": ("I64",) + ids})
        ok("infer", model, i, o, "--want", ",".join(want), "--exact", *extra)
        return read_tensors(o)


def check(folder, model, meta, golden, wants):
    forward = {k: v for k, v in wants.items() if not k.startswith("greedy")}
    greedy = {k: v for k, v in wants.items() if k.startswith("greedy")}
    worst = 0.0
    if forward:
        got = infer(model, golden["input_ids"], forward, [])
        worst = max(compare(meta, n, w, got) for n, w in forward.items())
    if greedy:
        shape, ids = golden["input_ids"]
        row = ([1, shape[-1]], ids[:shape[-1]])
        got = infer(model, row, greedy, ["--generate", len(greedy["greedy_ids"][1])])
        worst = max([worst] + [compare(meta, n, w, got) for n, w in greedy.items()])
    return worst


def case(folder):
    meta = json.load(open(os.path.join(folder, "golden.json")))
    golden = read_tensors(os.path.join(folder, "golden.safetensors"))
    wants = {k: golden[k] for k, e in meta["entries"].items() if e["role"] == "output" and k in golden}
    files = sorted(f for f in os.listdir(folder) if f.endswith(".gguf"))
    if not files:
        masked = "attention_mask" in golden
        wants = {k: v for k, v in wants.items() if not k.startswith("batch") and not (masked and k.startswith("greedy"))}
        if masked: return None
        return check(folder, folder, meta, golden, wants)
    worst = 0.0
    for f in files:
        own = {k[len(f) - 4:]: v for k, v in wants.items() if k.startswith(f[:-4])}
        if own: worst = max(worst, check(folder, os.path.join(folder, f), meta, golden, own))
    return worst


def all_of(root):
    seen, worst = 0, 0.0
    for name in CASES:
        folder = os.path.join(root, name)
        if not os.path.isdir(folder): continue
        w = case(folder)
        seen, worst = seen + (w is not None), max(worst, w or 0.0)
    assert seen > 0
    return "%d cases, worst %.2f of the tolerance" % (seen, worst)


def test_the_copied_cases_match_transformers():
    return all_of(local("golden"))


def test_all_cases_match_transformers():
    return all_of(data("golden"))


def same_bits(model, ids, variants):
    """The file that infer writes is byte for byte the same for every variant of the command line."""
    with tempfile.TemporaryDirectory() as d:
        i, o, first = os.path.join(d, "in.safetensors"), os.path.join(d, "out.safetensors"), None
        write_tensors(i, {"input_ids": ("I64", [1, len(ids)], ids)})
        for extra in variants:
            ok("infer", model, i, o, "--want", "logits,greedy_ids,greedy_logits", "--generate", 8, "--exact", *extra)
            now = open(o, "rb").read()
            assert first in (None, now), "%s gives other bits" % (extra,)
            first = now


VARIANTS = [["--isa", "generic"], ["--isa", "avx2"], ["--isa", "avx512"], [], ["-t", 1], ["-t", 2], ["-t", 4],
            ["-b", 1], ["-b", 7], ["-b", 64], ["-b", 3, "-t", 4]]


def usable(variants):
    rows = json.loads(ok("doctor", "--json"))["isa_rows"].split()
    return [v for v in variants if "--isa" not in v or v[v.index("--isa") + 1] in rows]


def test_exact_mode_gives_the_same_bits_on_every_row_thread_count_and_chunk():
    ids = [(i * 37 + 11) % 90 for i in range(100)]
    for name in ("llama2-mha", "gguf-tiny-llama/q8_0.gguf"):
        same_bits(local("golden/" + name), ids, usable(VARIANTS))




if __name__ == "__main__": main(globals())
