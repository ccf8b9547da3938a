"""Adapters (LoRA): merged as they are loaded gives what a checkpoint merged here gives, to the bit.

The oracle is W + s (B A) in plain Python: every product and sum rounded to f32, in the order of the rank."""
import array, json, os, random, shutil, struct, tempfile
from harness import *
from test_readers import logits_of, read_gguf, write_gguf

MHA = "golden/llama2-mha"
round_f32 = struct.Struct("<f")


def f32(x): return round_f32.unpack(round_f32.pack(x))[0]


def half(x): return struct.unpack("<e", struct.pack("<e", x))[0]


def add(w, a, b, rows, cols, scale, turned=False):
    """w [rows, cols] + scale B A; turned: the transpose of B A."""
    r, out, scale = len(a) // (rows if turned else cols), array.array("f", w), f32(scale)
    for i in range(rows):
        for j in range(cols):
            s = 0.0
            for k in range(r):
                left, right = (a[k * rows + i], b[j * r + k]) if turned else (b[i * r + k], a[k * cols + j])
                s = f32(s + f32(left * right))
            out[i * cols + j] = f32(w[i * cols + j] + f32(scale * s))
    return out


def matrix(rng, n): return array.array("f", [rng.uniform(-0.2, 0.2) for _ in range(n)])


class Adapter:
    """Pairs for some tensors of a Hugging Face model, as a PEFT folder; and the merged model."""

    def __init__(self, tensors, targets, r=4, alpha=6, seed=1, **config):
        rng = random.Random(seed)
        self.r, self.config = r, dict({"peft_type": "LORA", "r": r, "lora_alpha": alpha, "base_model_name_or_path": "somebody/tiny",
                                       "use_dora": False, "use_rslora": False, "fan_in_fan_out": False, "bias": "none"}, **config)
        self.scale = alpha / (r ** 0.5 if self.config["use_rslora"] else r)
        self.pairs = {}
        for name in targets:
            rows, cols = tensors[name][0]
            turned = self.config["fan_in_fan_out"] or "embed" in name
            n_in, n_out = (rows, cols) if turned else (cols, rows)
            self.pairs[name] = (matrix(rng, r * n_in), matrix(rng, n_out * r), n_in, n_out, turned)

    def write(self, folder, prefix="base_model.model.", **more):
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, "adapter_config.json"), "w") as f: json.dump(dict(self.config, **more), f)
        out = {}
        for name, (a, b, n_in, n_out, _) in self.pairs.items():
            stem = prefix + name[:-len(".weight")]
            ends = (".lora_embedding_A", ".lora_embedding_B") if "embed" in name else (".lora_A.weight", ".lora_B.weight")
            out[stem + ends[0]] = ("F32", [self.r, n_in], a)
            out[stem + ends[1]] = ("F32", [n_out, self.r], b)
        write_tensors(os.path.join(folder, "adapter_model.safetensors"), out)
        return folder

    def merged(self, tensors, times=1.0):
        out = dict(tensors)
        for name, (a, b, _, _, turned) in self.pairs.items():
            shape, w = tensors[name]
            out[name] = (shape, add(w, a, b, *shape, times * self.scale, turned))
        return out


def write_model(folder, source, tensors):
    os.makedirs(folder, exist_ok=True)
    shutil.copy(os.path.join(source, "config.json"), folder)
    write_tensors(os.path.join(folder, "model.safetensors"), {n: ("F32", s, x) for n, (s, x) in tensors.items()})
    return folder


def tiny():
    return {n: t for n, t in read_tensors(local(MHA + "/model.safetensors")).items() if "rotary" not in n}


TARGETS = ["model.layers.0.self_attn.q_proj.weight", "model.layers.1.self_attn.k_proj.weight", "model.layers.1.mlp.down_proj.weight"]


def test_a_peft_adapter_gives_the_bits_of_the_merged_model():
    base = tiny()
    with tempfile.TemporaryDirectory() as d:
        for config in ({}, {"use_rslora": True}):
            one, two = Adapter(base, TARGETS, **config), Adapter(base, TARGETS[1:], r=2, seed=2)
            first, second = one.write(os.path.join(d, "a:1")), two.write(os.path.join(d, "b"))
            merged = write_model(os.path.join(d, "m"), local(MHA), two.merged(one.merged(base, 0.5)))
            want = logits_of(d, merged)
            assert logits_of(d, local(MHA), "--lora", first + ":0.5", "--lora", second + "/adapter_model.safetensors") == want
            assert logits_of(d, local(MHA)) != want and logits_of(d, local(MHA), "-t", "1", "--lora", first + ":0.5", "--lora", second + ":1") == want
            assert logits_of(d, local(MHA), "--lora", first + ":0") == logits_of(d, local(MHA))
        ids = ["generate", "--ids", "1,2,3", "-n", "8", "--json"]
        both = [json.loads(ok(ids[0], m, *ids[1:], *more)) for m, more in ((merged, []), (local(MHA), ["--lora", first + ":0.5", "--lora", second]))]
        assert both[0]["ids"] == both[1]["ids"], both


def test_an_adapter_of_the_embedding():
    base = tiny()
    with tempfile.TemporaryDirectory() as d:
        a = Adapter(base, ["model.embed_tokens.weight"])
        want = logits_of(d, write_model(os.path.join(d, "m"), local(MHA), a.merged(base)))
        assert logits_of(d, local(MHA), "--lora", a.write(os.path.join(d, "a"))) == want
        path = os.path.join(d, "a", "adapter_model.safetensors") # PEFT keeps the embedding as it was beside the pair
        pair = {n: ("F32",) + t for n, t in read_tensors(path).items()}
        shape, values = base["model.embed_tokens.weight"]
        for own in (values, array.array("f", [x + 1 for x in values])):
            write_tensors(path, dict(pair, **{"base_model.model.model.embed_tokens.base_layer.weight": ("F32", shape, own)}))
            if own is values: assert logits_of(d, local(MHA), "--lora", os.path.join(d, "a")) == want
        code, _, err = run("generate", local(MHA), "--ids", "1", "-n", "1", "--lora", os.path.join(d, "a"))
        assert code == 65 and b"trained with another" in err and b"embed_tokens" in err, err


def test_an_adapter_of_weights_that_lie_turned():
    with tempfile.TemporaryDirectory() as d:
        source = data("golden/gpt2-prefixed")
        base = read_tensors(os.path.join(source, "model.safetensors"))
        name = next(n for n in base if n.endswith("h.0.attn.c_attn.weight"))
        a = Adapter(base, [name], fan_in_fan_out=True)
        want = logits_of(d, write_model(os.path.join(d, "g"), source, a.merged(base)))
        assert logits_of(d, source, "--lora", a.write(os.path.join(d, "b"))) == want
        stem = name[len("transformer."):] if name.startswith("transformer.") else "transformer." + name
        a.pairs = {stem: a.pairs[name]}
        assert logits_of(d, source, "--lora", a.write(os.path.join(d, "c"))) == want


# ---- GGUF ----

GGUF_NAMES = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output", "self_attn.q_proj": "attn_q",
              "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate",
              "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm"}


def gguf_name(name):
    stem = name[:-len(".weight")]
    if not stem.startswith("model.layers."): return GGUF_NAMES[stem] + ".weight"
    _, _, il, rest = stem.split(".", 3)
    return "blk.%s.%s.weight" % (il, GGUF_NAMES[rest])


def paired(x, rows, width, d):
    """Rows of q or k as GGUF keeps them: the two halves of a head of d rows in turns."""
    out = array.array("f")
    for i in range(rows):
        at = i // d * d + i % 2 * (d // 2) + i % d // 2
        out += x[at * width:(at + 1) * width]
    return out


def number(key, v): return (key, 4, struct.pack("<I", v))


def text(key, v): return (key, 8, struct.pack("<Q", len(v)) + v.encode())


def write_twin(path, source, tensors):
    """A Hugging Face llama as GGUF in F32, by the format's facts."""
    c = json.load(open(os.path.join(source, "config.json")))
    heads, d = c["num_attention_heads"], c["hidden_size"] // c["num_attention_heads"]
    keys = [text("general.architecture", "llama"), number("llama.block_count", c["num_hidden_layers"]), number("llama.embedding_length", c["hidden_size"]),
            number("llama.feed_forward_length", c["intermediate_size"]), number("llama.attention.head_count", heads),
            number("llama.attention.head_count_kv", c.get("num_key_value_heads", heads)), number("llama.context_length", c["max_position_embeddings"]),
            ("llama.attention.layer_norm_rms_epsilon", 6, struct.pack("<f", c["rms_norm_eps"]))]
    out = []
    for name, (shape, x) in tensors.items():
        if name.endswith(("q_proj.weight", "k_proj.weight")): x = paired(x, shape[0], shape[1], d)
        out.append((gguf_name(name), shape[::-1], 0, x.tobytes()))
    write_gguf(path, keys, out)
    return path


def write_gguf_adapter(path, adapter, d, alpha=6.0, arch="llama"):
    out = []
    for name, (a, b, n_in, n_out, _) in adapter.pairs.items():
        r = adapter.r
        if name.endswith(("q_proj.weight", "k_proj.weight")): b = paired(b, n_out, r, d)
        if "embed" in name: a = array.array("f", [a[k * n_in + i] for i in range(n_in) for k in range(r)])
        out.append((gguf_name(name) + ".lora_a", (r, n_in) if "embed" in name else (n_in, r), 0, a.tobytes()))
        out.append((gguf_name(name) + ".lora_b", (r, n_out), 0, b.tobytes()))
    write_gguf(path, [text("general.type", "adapter"), text("adapter.type", "lora"), text("general.architecture", arch),
                      ("adapter.lora.alpha", 6, struct.pack("<f", alpha))], out)
    return path


def test_adapters_and_models_of_either_naming_fit_each_other():
    base = tiny()
    c = json.load(open(local(MHA + "/config.json")))
    d_head = c["hidden_size"] // c["num_attention_heads"]
    with tempfile.TemporaryDirectory() as d:
        a = Adapter(base, TARGETS + ["model.embed_tokens.weight"])
        peft, gguf = a.write(os.path.join(d, "peft")), write_gguf_adapter(os.path.join(d, "lora.gguf"), a, d_head)
        hf_want = logits_of(d, write_model(os.path.join(d, "m"), local(MHA), a.merged(base)))
        twin, twin_want = write_twin(os.path.join(d, "t.gguf"), local(MHA), base), None
        twin_want = logits_of(d, write_twin(os.path.join(d, "tm.gguf"), local(MHA), a.merged(base)))
        for adapter in (peft, gguf):
            assert logits_of(d, local(MHA), "--lora", adapter) == hf_want, adapter
            assert logits_of(d, twin, "--lora", adapter) == twin_want, adapter


def test_on_halves_and_on_blocks_the_sum_is_a_half():
    with tempfile.TemporaryDirectory() as d:
        for kind in ("f16", "q8_0"):
            path = local("golden/gguf-tiny-llama/%s.gguf" % kind)
            keys, tensors = read_gguf(path)
            name, dims, code, raw = next(t for t in tensors if t[0] == "blk.1.ffn_up.weight")
            cols, rows, rng, r = dims[0], dims[1], random.Random(3), 4
            a, b = matrix(rng, r * cols), matrix(rng, rows * r)
            if kind == "f16": w = struct.unpack("<%de" % (rows * cols), raw)
            else: w = [f32(half_of(raw, i) * q) for i in range(0, len(raw), 34) for q in struct.unpack_from("<32b", raw, i + 2)]
            values = add(w, a, b, rows, cols, 0.75 * 8 / r)
            merged = [(n, dm, 1, struct.pack("<%de" % (rows * cols), *values)) if n == name else (n, dm, k, x) for n, dm, k, x in tensors]
            write_gguf(os.path.join(d, "m.gguf"), keys, merged)
            write_gguf(os.path.join(d, "a.gguf"), [text("general.type", "adapter"), text("adapter.type", "lora"), text("general.architecture", "llama"),
                       ("adapter.lora.alpha", 6, struct.pack("<f", 8))], [(name + ".lora_a", (cols, r), 0, a.tobytes()), (name + ".lora_b", (r, rows), 0, b.tobytes())])
            assert logits_of(d, path, "--lora", os.path.join(d, "a.gguf:0.75")) == logits_of(d, os.path.join(d, "m.gguf")), kind


def half_of(raw, at): return struct.unpack_from("<e", raw, at)[0]


def test_adapters_that_do_not_fit_are_refused_with_both_names():
    base = tiny()

    def refused(model, adapter, *words):
        code, _, err = run("generate", model, "--ids", "1", "-n", "1", "--lora", adapter)
        assert code in (64, 65, 66), (code, err)
        for word in words: assert word.encode() in err, (word, err.decode())

    with tempfile.TemporaryDirectory() as d:
        a = Adapter(base, TARGETS)
        path = a.write(os.path.join(d, "a"))
        refused(local("golden/llama3-gqa-tied"), path, "another model", "somebody/tiny", "llama3-gqa-tied", "q_proj", "[")
        refused(local("golden/gguf-tiny-llama/q8_0.gguf"), path, "another model", "somebody/tiny", "kwaai golden")
        for more, word in (({"use_dora": True}, "DoRA"), ({"modules_to_save": ["lm_head"]}, "modules_to_save"), ({"alpha_pattern": {"x": 1}}, "alpha_pattern"),
                           ({"peft_type": "IA3"}, "IA3"), ({"bias": "all"}, "biases"), ({"lora_alpha": None}, "lora_alpha")):
            refused(local(MHA), a.write(os.path.join(d, "b"), **more), word, "adapter ")
        refused(local(MHA), path + ":x", "no number")
        refused(local(MHA), os.path.join(d, "none"), "none")
        c = Adapter(base, TARGETS)
        c.pairs["model.layers.7.self_attn.q_proj.weight"] = c.pairs[TARGETS[0]]
        refused(local(MHA), c.write(os.path.join(d, "c")), "model.layers.7.self_attn.q_proj.weight", "does not have")
        tensors = {"base_model.model.lm_head.weight": ("F32", [2], [1, 2])}
        write_tensors(os.path.join(d, "c", "adapter_model.safetensors"), tensors)
        refused(local(MHA), os.path.join(d, "c"), "lm_head.weight", "no part of a LoRA")
        write_tensors(os.path.join(d, "c", "adapter_model.safetensors"), {"x.lora_A.weight": ("F32", [2, 2], [1, 2, 3, 4])})
        refused(local(MHA), os.path.join(d, "c"), "x.lora_B.weight", "missing")
        gguf = write_gguf_adapter(os.path.join(d, "l.gguf"), a, 16, arch="qwen2")
        refused(local("golden/gguf-tiny-llama/q8_0.gguf"), gguf, "another model", "qwen2", "llama")
        os.remove(os.path.join(path, "adapter_config.json"))
        refused(local(MHA), path, "adapter_config.json")
        code, _, err = run("generate", path, "--ids", "1")
        assert code == 65 and b"not a model" in err and b"--lora" in err, err


# ---- merged by convert ----

def convert(*args): return ok("convert", *args)


def test_convert_writes_the_merged_model():
    base = tiny()
    with tempfile.TemporaryDirectory() as d:
        one, two = Adapter(base, TARGETS + ["model.embed_tokens.weight"]), Adapter(base, TARGETS[1:], r=2, seed=2)
        first, second = one.write(os.path.join(d, "a")), two.write(os.path.join(d, "b"))
        more = ["--lora", first + ":0.5", "--lora", second]
        want, loaded = two.merged(one.merged(base, 0.5)), logits_of(d, local(MHA), *more)
        assert loaded == logits_of(d, write_model(os.path.join(d, "m"), local(MHA), want))
        convert(local(MHA), os.path.join(d, "x"), *more)
        got = read_tensors(os.path.join(d, "x", "model.safetensors"))
        assert all(got[name] == t for name, t in want.items())
        convert(local(MHA), os.path.join(d, "x.gguf"), *more)
        convert(local(MHA), os.path.join(d, "split.gguf"), "--split-max-size", "100K", *more)
        split = sorted(f for f in os.listdir(d) if f.startswith("split-"))
        assert len(split) > 2, split
        for out in ("x", "x.gguf", split[1]): assert logits_of(d, os.path.join(d, out)) == loaded, out
        d_head = json.load(open(local(MHA + "/config.json")))["hidden_size"] // json.load(open(local(MHA + "/config.json")))["num_attention_heads"]
        gguf, twin = write_gguf_adapter(os.path.join(d, "l.gguf"), one, d_head), write_twin(os.path.join(d, "t.gguf"), local(MHA), base)
        for model in (local(MHA), twin):
            loaded = logits_of(d, model, "--lora", gguf + ":0.3")
            for out in ("x", "x.gguf"):
                convert(model, os.path.join(d, out), "--force", "--lora", gguf + ":0.3")
                assert logits_of(d, os.path.join(d, out)) == loaded, (model, out)


def test_convert_merges_in_every_type_as_loading_does():
    with tempfile.TemporaryDirectory() as d:
        a = Adapter(tiny(), TARGETS)
        path = a.write(os.path.join(d, "a"))
        for dtype in ("f16", "bf16"):
            half = os.path.join(d, dtype)
            convert(local(MHA), half, "--dtype", dtype)
            loaded = logits_of(d, half, "--lora", path)
            assert loaded != logits_of(d, half)
            for out in ("o", "o.gguf", "f32"):
                convert(half, os.path.join(d, out), "--force", "--lora", path, *(["--dtype", "f32"] if out == "f32" else []))
                assert logits_of(d, os.path.join(d, out)) == loaded, (dtype, out)
        blocks = local("golden/gguf-tiny-llama/q8_0.gguf")
        name, dims, code, _ = next(t for t in read_gguf(blocks)[1] if t[0] == "blk.1.ffn_up.weight")
        path, rng = os.path.join(d, "a.gguf"), random.Random(3)
        write_gguf(path, [text("general.type", "adapter"), text("adapter.type", "lora"), text("general.architecture", "llama"),
                          ("adapter.lora.alpha", 6, struct.pack("<f", 8))],
                   [(name + ".lora_a", (dims[0], 4), 0, matrix(rng, 4 * dims[0]).tobytes()), (name + ".lora_b", (4, dims[1]), 0, matrix(rng, 4 * dims[1]).tobytes())])
        loaded = logits_of(d, blocks, "--lora", path)
        for more in ([], ["--dtype", "q8_0"]):
            code, _, err = run("convert", blocks, os.path.join(d, "n.gguf"), "--lora", path, *more)
            assert code == 64 and b"quantized again" in err and b"--dtype f16" in err and b"Q8_0" in err and not os.path.exists(os.path.join(d, "n.gguf")), err
        convert(blocks, os.path.join(d, "n"), "--lora", path)
        assert logits_of(d, os.path.join(d, "n")) == loaded
        convert(blocks, os.path.join(d, "n.gguf"), "--lora", path, "--dtype", "f16")
        f16 = os.path.join(d, "f16.gguf")
        convert(blocks, f16, "--dtype", "f16")
        assert logits_of(d, os.path.join(d, "n.gguf")) != logits_of(d, f16)
        model = local("golden/gguf-tiny-llama/f16.gguf") # it has not been quantized yet
        first, merged, second = (os.path.join(d, x) for x in ("1.gguf", "m.gguf", "2.gguf"))
        convert(model, first, "--dtype", "q8_0", "--lora", path)
        convert(model, merged, "--lora", path)
        convert(merged, second, "--dtype", "q8_0")
        assert open(first, "rb").read() == open(second, "rb").read()


def test_rows_that_lie_otherwise_in_gguf_take_the_adapter_with_them():
    with tempfile.TemporaryDirectory() as d:
        for source, ending, config in (("falcon-40b-style", "query_key_value.weight", {}), ("falcon-7b-style", "query_key_value.weight", {}),
                                       ("gpt2-prefixed", "attn.c_proj.weight", {"fan_in_fan_out": True}), ("qwen3-qknorm", "k_proj.weight", {})):
            model = os.path.join(d, source + "-model")
            shutil.copytree(data("golden/" + source), model)
            path = os.path.join(model, "config.json")
            config_of = json.load(open(path))
            config_of.pop("scale_attn_by_inverse_layer_idx", None) # GGUF cannot say it
            json.dump(config_of, open(path, "w"))
            base = read_tensors(os.path.join(model, "model.safetensors"))
            names = [n for n in base if n.endswith(ending)]
            assert names, source
            path = Adapter(base, names, **config).write(os.path.join(d, source))
            loaded = logits_of(d, model, "--lora", path)
            plain, merged = os.path.join(d, source + ".gguf"), os.path.join(d, "m.gguf")
            convert(model, plain)
            assert logits_of(d, plain) == logits_of(d, model) != loaded
            convert(model, merged, "--lora", path, "--force")
            assert logits_of(d, merged) == loaded, source
            assert logits_of(d, plain, "--lora", path) == loaded, source


def test_what_convert_cannot_merge_is_refused_and_nothing_is_written():
    base = tiny()
    with tempfile.TemporaryDirectory() as d:
        a, out = Adapter(base, TARGETS), os.path.join(d, "out")
        path = a.write(os.path.join(d, "a"))

        def refused(expected, words, model, *args):
            code, _, err = run(*args)
            assert code == expected, (code, err)
            for word in words: assert word.encode() in err, (word, err.decode())
            assert not os.path.exists(out) and not os.path.exists(out + ".tmp")

        refused(65, ["another model", "somebody/tiny", "llama3-gqa-tied", "adapter " + path], 0, "convert", local("golden/llama3-gqa-tied"), out, "--lora", path)
        refused(66, ["nothing-there"], 0, "convert", local(MHA), out, "--lora", os.path.join(d, "nothing-there"))
        refused(64, ["no number"], 0, "convert", local(MHA), out, "--lora", path + ":much")
        refused(64, ["input itself"], 0, "convert", local(MHA), path, "--force", "--lora", path)
        for alpha, scale in ((1e40, ""), (6, ":inf"), (6, ":nan"), (1e30, ":1e30")):
            for kind in ("f32", "bf16", "f16"):
                model = os.path.join(d, kind)
                if not os.path.exists(model): convert(local(MHA), model, "--dtype", kind)
                strong = a.write(os.path.join(d, "s"), lora_alpha=alpha)
                for args in (["convert", model, out, "--lora", strong + scale], ["generate", model, "--ids", "1", "-n", "1", "--lora", strong + scale]):
                    refused(64, ["scale of", "rank 4", "adapter " + strong], model, *args)
        a.pairs = {name: (array.array("f", [1e6 * x for x in p[0]]),) + p[1:] for name, p in a.pairs.items()}
        strong = a.write(os.path.join(d, "s"), lora_alpha=1e39) # a scale that can be said, and sums that cannot
        for kind in ("f32", "bf16", "f16"):
            for args in (["convert", os.path.join(d, kind), out], ["generate", os.path.join(d, kind), "--ids", "1", "-n", "1"]):
                refused(65, ["does not fit " + kind.upper(), "_proj", "adapter " + strong], 0, *args, "--lora", strong)


def peft():
    try:
        import torch, transformers, peft
    except ImportError as e:
        raise Skip("torch, transformers and peft are not installed (%s)" % e)
    transformers.utils.logging.set_verbosity_error()
    torch.set_num_threads(1)
    return torch, transformers, peft


def test_the_merged_model_is_that_of_peft():
    torch, tf, p = peft()
    worst, wide = 0.0, 0.0
    with tempfile.TemporaryDirectory() as d:
        for seed, (source, targets, more) in enumerate((("llama2-mha", ["q_proj", "k_proj", "down_proj", "embed_tokens"], {}),
                                                        ("llama2-mha", ["v_proj", "up_proj"], {"use_rslora": True}),
                                                        ("gpt2-prefixed", ["c_attn", "c_proj"], {"fan_in_fan_out": True}))):
            folder = local(MHA) if source == "llama2-mha" else data("golden/" + source)
            model = tf.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
            torch.manual_seed(seed)
            m = p.get_peft_model(model, p.LoraConfig(r=5, lora_alpha=7, target_modules=targets, task_type="CAUSAL_LM", init_lora_weights=False, **more))
            adapter, out = os.path.join(d, "a%d" % seed), os.path.join(d, "m%d" % seed)
            m.save_pretrained(adapter)
            want = m.merge_and_unload()
            convert(folder, out, "--lora", adapter)
            got = tf.AutoModelForCausalLM.from_pretrained(out, dtype=torch.float32).state_dict()
            for name, w in want.state_dict().items():
                worst = max(worst, float((got[name] - w).abs().max() / w.abs().max()))
            ids = torch.tensor([[(i * 37 + 11) % 90 for i in range(20)]])
            with torch.no_grad(): ref, exact = want(ids).logits, want.double()(ids).logits
            have = torch.tensor(run_logits(d, out)).reshape(ref.shape)
            wide = max(wide, float((have - exact).abs().max() / max(10 * float((ref - exact).abs().max()), 1e-5 * float(exact.abs().max()))))
    assert worst < 1e-6 and wide <= 1, (worst, wide)
    return "weights: worst error %.1e of the largest; logits: %.2f of the tolerance" % (worst, wide)


def run_logits(d, model):
    logits_of(d, model, "--want", "logits")
    return read_tensors(os.path.join(d, "out"))["logits"][1]


def test_packed_weights_are_never_those_of_a_model_with_an_adapter():
    base = tiny()
    with tempfile.TemporaryDirectory() as d:
        a, packs = Adapter(base, TARGETS), os.path.join(d, "packs")
        path = a.write(os.path.join(d, "a"))
        for more in ([], ["--pack", "file"]):
            ok("generate", local(MHA), "--ids", "1,2", "-n", "2", "--lora", path, "--pack-dir", packs, *more)
            assert not os.path.exists(packs) or not os.listdir(packs)
        fast = lambda model, *more: (logits_of(d, model, "--no-exact", "--pack-dir", packs, *more))
        plain = fast(local(MHA))
        assert fast(local(MHA), "--lora", path) == fast(write_model(os.path.join(d, "m"), local(MHA), a.merged(base))) != plain
        assert fast(local(MHA)) == plain


if __name__ == "__main__": main(globals())
