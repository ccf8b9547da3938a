"""Golden cases: tiny checkpoints and what PyTorch + transformers answered for them, through `kwaai infer --exact`.

Integers must be equal; floats within max(10 x the recorded f32-vs-f64 error, 1e-5 x the largest value, 1e-6)."""
import fnmatch, json, math, os, tempfile
from harness import *

CASES = ["llama2-mha", "llama3-gqa-tied", "llama-bf16", "llama-bias-sharded", "llama-rope-dynamic", "llama-rope-linear",
         "llama-rope-yarn", "mistral-window", "qwen2-bias", "qwen3-qknorm", "gemma1-mqa", "gemma2-softcap", "gemma3-text",
         "phi3-window", "phi3-longrope",
         "gguf-tiny-llama", "gguf-kquant-llama", "gpt2-old", "gpt2-prefixed",
         "falcon-7b-style", "falcon-40b-style", "falcon-11b-style", "mixtral-4x2", "qwen3-moe"]
ENCODERS = ["bert-pooler", "bert-pickle", "xlm-roberta"]
ENCODER_DECODERS = ["t5-v1.0", "t5-v1.1"]
INPUTS = ("input_ids", "attention_mask", "token_type_ids", "decoder_input_ids")


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


def encoder(folder):
    """Rows of padding are zeros here and anything there: they are left out of what is compared."""
    meta = json.load(open(os.path.join(folder, "golden.json")))
    golden = read_tensors(os.path.join(folder, "golden.safetensors"))
    wants = {k: golden[k] for k, e in meta["entries"].items() if e["role"] == "output" and k in golden}
    return padded(folder, meta, golden, wants)


def padded(folder, meta, golden, wants):
    shape, mask = golden["attention_mask"]
    with tempfile.TemporaryDirectory() as d:
        i, o = os.path.join(d, "in.safetensors"), os.path.join(d, "out.safetensors")
        write_tensors(i, {k: ("I64",) + golden[k] for k in INPUTS if k in golden})
        ok("infer", folder, i, o, "--want", ",".join(wants), "--exact")
        got = read_tensors(o)
    for name, (s, values) in got.items():
        if s[:2] != shape or name.startswith("decoder"): continue
        width = s[2]
        for at in (k for k, real in enumerate(mask) if not real):
            assert not any(values[at * width:(at + 1) * width]), "%s: padding is not zeros" % name
            values[at * width:(at + 1) * width] = wants[name][1][at * width:(at + 1) * width]
    return max(compare(meta, n, w, got) for n, w in wants.items())


def encoder_decoder(folder):
    """States of both stacks for padded prompts, then greedy ids and beams of the first prompt without its padding."""
    meta = json.load(open(os.path.join(folder, "golden.json")))
    golden, recipe = read_tensors(os.path.join(folder, "golden.safetensors")), meta["recipe"]
    states = {k: v for k, v in golden.items() if ".hidden." in k or k == "logits"}
    worst, (shape, mask) = padded(folder, meta, golden, states), golden["attention_mask"]
    row = [i for i, real in zip(golden["input_ids"][1][:shape[1]], mask) if real]
    got = infer(folder, ([1, len(row)], row), ["greedy_ids", "greedy_logits"], ["--generate", recipe["new_tokens"]])
    worst = max([worst] + [compare(meta, n, golden[n], got) for n in ("greedy_ids", "greedy_logits")])
    for b in ("beam", "beam2"):
        o, n = recipe[b], golden[b + "_ids"][0][0]
        extra = ["--generate", o["max_new_tokens"], "--beams", n, "--length-penalty", o["length_penalty"], "--eos", recipe["eos"]]
        got = infer(folder, ([1, len(row)], row), ["beam_ids", "beam_scores"], extra + ["--early-stopping"] * o["early_stopping"])
        worst = max([worst] + [compare(meta, b + s, golden[b + s], {b + s: got["beam" + s]}) for s in ("_ids", "_scores")])
    return worst


def test_encoder_decoders_match_transformers():
    worst = [encoder_decoder(data("golden/" + name)) for name in ENCODER_DECODERS]
    return "%d cases, worst %.2f of the tolerance" % (len(worst), max(worst))


def test_encoder_decoders_give_the_same_bits_on_every_row_thread_count_and_chunk():
    forced = ("I64", [1, 90], [0] + [(k * 31 + 7) % 90 for k in range(89)])
    with tempfile.TemporaryDirectory() as d:
        for name in ENCODER_DECODERS:
            i, o, first = os.path.join(d, "in.safetensors"), os.path.join(d, "out.safetensors"), None
            write_tensors(i, {"input_ids": ("I64", [1, 70], [(k * 37 + 11) % 90 for k in range(70)]), "decoder_input_ids": forced})
            for extra in usable(VARIANTS):
                ok("infer", data("golden/" + name), i, o, "--want", "encoder.hidden.final,logits,greedy_logits,beam_ids,beam_scores",
                   "--generate", 8, "--beams", 3, "--exact", *extra)
                now = open(o, "rb").read()
                assert first in (None, now), "%s gives other bits" % (extra,)
                first = now


def test_encoders_match_transformers():
    worst = [encoder(data("golden/" + name)) for name in ENCODERS]
    return "%d cases, worst %.2f of the tolerance" % (len(worst), max(worst))


def same_encoder_bits(model, variants):
    with tempfile.TemporaryDirectory() as d:
        i, o, first = os.path.join(d, "in.safetensors"), os.path.join(d, "out.safetensors"), None
        write_tensors(i, {"input_ids": ("I64", [1, 30], [(k * 37 + 11) % 90 for k in range(30)])})
        for extra in variants:
            ok("infer", model, i, o, "--want", "hidden.1,pooler_output,sentence_embedding", "--exact", *extra)
            now = open(o, "rb").read()
            assert first in (None, now), "%s gives other bits" % (extra,)
            first = now


def test_encoders_give_the_same_bits_on_every_row_and_thread_count():
    for name in ENCODERS: same_encoder_bits(data("golden/" + name), usable(VARIANTS))


def test_segments_that_cannot_be_are_refused():
    folder = data("golden/bert-pooler")
    for types, word in (([0, 2, 0], b"2 kinds"), ([0, 0], b"does not have"), ([0, -1, 0], b"is -1")):
        with tempfile.TemporaryDirectory() as d:
            i, o = os.path.join(d, "in.safetensors"), os.path.join(d, "out.safetensors")
            write_tensors(i, {"input_ids": ("I64", [1, 3], [1, 2, 3]), "token_type_ids": ("I64", [1, len(types)], types)})
            code, _, err = run("infer", folder, i, o)
            assert code == 65 and b"token_type_ids" in err and word in err, err


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


def test_other_families_give_the_same_bits_too():
    ids = [(i * 37 + 11) % 90 for i in range(70)]
    for name in ("gpt2-old", "falcon-40b-style", "falcon-rw-alibi", "mixtral-4x2"):
        same_bits(data("golden/" + name), ids, usable(VARIANTS))


def test_a_text_behind_the_learned_positions_is_refused():
    model = data("golden/gpt2-old")
    with tempfile.TemporaryDirectory() as d:
        i, o = os.path.join(d, "in.safetensors"), os.path.join(d, "out.safetensors")
        write_tensors(i, {"input_ids": ("I64", [1, 81], list(range(81)))})
        code, _, err = run("infer", model, i, o)
        assert code not in (0, -6, -11) and b"81 tokens" in err and b"80" in err, err
    code, _, err = run("bench", model, "-c", 500)
    assert code not in (0, -6, -11) and b"500" in err and b"80 positions" in err, err


def test_experts_that_cannot_be_are_refused_with_the_numbers():
    folder = data("golden/mixtral-4x2")
    config = json.load(open(os.path.join(folder, "config.json")))
    for change in ({"num_local_experts": 0}, {"num_local_experts": 10 ** 9}, {"num_experts_per_tok": 0},
                   {"num_experts_per_tok": 5}, {"num_local_experts": 5}, {"num_local_experts": 3}):
        with tempfile.TemporaryDirectory() as d:
            i, o = os.path.join(d, "in.safetensors"), os.path.join(d, "out.safetensors")
            write_tensors(i, {"input_ids": ("I64", [1, 3], [1, 2, 3])})
            os.symlink(os.path.join(folder, "model.safetensors"), os.path.join(d, "model.safetensors"))
            with open(os.path.join(d, "config.json"), "w") as f: json.dump(dict(config, **change), f)
            code, _, err = run("infer", d, i, o)
            value = str(list(change.values())[0]).encode()
            assert code == 65 and value in err and (b"experts" in err or b"moe.gate" in err), err


def matrix(t):
    (rows, cols), v = t
    return [v[i * cols:(i + 1) * cols] for i in range(rows)]


def falcon_rw_layer(x, w, times):
    """Layer 0 of the alibi checkpoint in doubles: 6 heads of width 12, alibi added `times` times."""
    heads, width, n = 6, 12, len(x)
    slopes = [2.0 ** -2, 2.0 ** -4, 2.0 ** -6, 2.0 ** -8, 2.0 ** -1, 2.0 ** -3]
    get = lambda name: w["transformer.h.0." + name]
    dot = lambda a, b: sum(p * q for p, q in zip(a, b))
    plus = lambda a, b: [[p + q for p, q in zip(*rows)] for rows in zip(a, b)]

    def norm(rows, name):
        gain, bias, out = get(name + ".weight")[1], get(name + ".bias")[1], []
        for r in rows:
            mean = sum(r) / len(r)
            scale = (sum((v - mean) ** 2 for v in r) / len(r) + 1e-5) ** -0.5
            out.append([(v - mean) * scale * g + b for v, g, b in zip(r, gain, bias)])
        return out

    def linear(rows, name):
        m, bias = matrix(get(name + ".weight")), get(name + ".bias")[1]
        return [[dot(r, line) + b for line, b in zip(m, bias)] for r in rows]

    qkv, mixed = linear(norm(x, "input_layernorm"), "self_attention.query_key_value"), [[] for _ in x]
    for h in range(heads):
        q, k, v = ([r[(3 * h + part) * width:][:width] for r in qkv] for part in range(3))
        for i in range(n):
            s = [(dot(q[i], k[t]) + times * slopes[h] * t) / width ** 0.5 for t in range(i + 1)]
            e = [math.exp(a - max(s)) for a in s]
            mixed[i] += [sum(a * v[t][d] for t, a in enumerate(e)) / sum(e) for d in range(width)]
    x = plus(x, linear(mixed, "self_attention.dense"))
    up = linear(norm(x, "post_attention_layernorm"), "mlp.dense_h_to_4h")
    up = [[a * 0.5 * math.erfc(-a / 2 ** 0.5) for a in r] for r in up]
    return plus(x, linear(up, "mlp.dense_4h_to_h"))


def test_alibi_is_added_once():
    """The recorded answer comes from transformers' eager attention, which adds alibi in the mask and again to the scores; its
    default attention, and the code that Falcon-RW was trained with, add it once. The arithmetic above meets the record when it
    adds twice, so it can be trusted to say what once gives."""
    folder = data("golden/falcon-rw-alibi")
    golden, weights = (read_tensors(os.path.join(folder, f)) for f in ("golden.safetensors", "model.safetensors"))
    got = infer(folder, golden["input_ids"], ["hidden.0", "hidden.1"], [])
    assert got["hidden.0"][1] == golden["hidden.0"][1]
    x = matrix((golden["hidden.0"][0][1:], golden["hidden.0"][1]))
    far = lambda rows, flat: max(abs(a - b) for a, b in zip((v for r in rows for v in r), flat))
    recorded = far(falcon_rw_layer(x, weights, 2), golden["hidden.1"][1])
    ours = far(falcon_rw_layer(x, weights, 1), got["hidden.1"][1])
    assert recorded < 2e-5 and ours < 2e-5, (recorded, ours)
    return "error %.1e; the record against twice %.1e" % (ours, recorded)


if __name__ == "__main__": main(globals())
