"""What the members of a family add to its shape: windows, their layers, and configurations that cannot be computed.

A checkpoint of the tests is loaded under another member's name, with other settings in its config.json."""
import array, contextlib, json, math, os, struct, tempfile
from harness import *
from test_golden import CASES, infer, same_bits

LLAMA = local("golden/llama2-mha")
IDS = [(i * 37 + 11) % 90 for i in range(100)]


@contextlib.contextmanager
def edited(folder, **settings):
    """The same weights with other settings; None: without the key."""
    with tempfile.TemporaryDirectory() as d:
        for f in os.listdir(folder):
            if f != "config.json": os.symlink(os.path.join(folder, f), os.path.join(d, f))
        config = json.load(open(os.path.join(folder, "config.json")))
        config.update(settings)
        json.dump({k: v for k, v in config.items() if v is not None}, open(os.path.join(d, "config.json"), "w"))
        yield d


def logits(folder, ids=IDS, mode="--exact", **settings):
    with edited(folder, **settings) as d:
        out = infer(d, ([1, len(ids)], ids), ["logits"], [] if mode == "--exact" else [mode])
        return list(out["logits"][1])


def refused(table, folder):
    for settings, said in table:
        with edited(folder, **settings) as d:
            code, _, err = run("generate", d, "--ids", "1", "-n", 1)
            assert code == 65 and said in err.decode(), "%s: exit %d, %s" % (settings, code, err.decode())


# ---- windows ----

def mistral(**more): return logits(LLAMA, model_type="mistral", **more)
def qwen2(**more): return logits(LLAMA, model_type="qwen2", use_sliding_window=True, **more)


def test_a_window_as_long_as_the_text_hides_nothing():
    full = logits(LLAMA)
    assert mistral(sliding_window=100) == full and mistral(sliding_window=None) == full
    n = len(full) // 100
    narrow = mistral(sliding_window=99)
    assert narrow[:99 * n] == full[:99 * n] and narrow[99 * n:] != full[99 * n:], "position 99 alone lost one"


def test_a_window_of_one_position_sees_itself():
    ids = [5, 9, 5, 7, 5]
    rows = logits(LLAMA, ids, model_type="mistral", sliding_window=1)
    n = len(rows) // 5
    worst = max(abs(a - b) for a, b in zip(rows[:n], rows[2 * n:3 * n]))
    assert worst == 0.0, "the same id gives other logits at another place: %g" % worst


def test_qwen2_slides_from_max_window_layers_on_or_by_layer_types():
    types = ["full_attention", "sliding_attention"]
    half = qwen2(sliding_window=8, max_window_layers=1)
    assert half == qwen2(sliding_window=8, layer_types=types, max_window_layers=0)
    assert half != mistral(sliding_window=8) and half != logits(LLAMA)
    assert qwen2(sliding_window=8, max_window_layers=0) == mistral(sliding_window=8)
    assert logits(LLAMA, model_type="qwen2", sliding_window=8, max_window_layers=0) == logits(LLAMA), "not switched on"


def test_windows_that_cannot_be_are_refused_by_name():
    window, types = {"model_type": "mistral", "sliding_window": 8}, ["sliding_attention"] * 2
    refused([({**window, "sliding_window": -4}, "a sliding window of -4"),
             ({**window, "sliding_window": 2.5}, "sliding_window is 2.5"),
             ({**window, "layer_types": types[:1]}, "types of 1 layer (layer_types), the model has 2"),
             ({**window, "layer_types": types + types}, "types of 4 layers"),
             ({**window, "layer_types": "sliding_attention"}, "layer_types is not a list"),
             ({**window, "layer_types": [1, 2]}, "layer_types is not a list"),
             ({**window, "layer_types": ["full_attention", "linear_attention"]}, 'layer 1 has type "linear_attention"'),
             ({**window, "sliding_window": None, "layer_types": types}, "layer 0 has a sliding window"),
             ({**window, "model_type": "qwen2", "max_window_layers": "all"}, "max_window_layers is not a number")], LLAMA)


# ---- the same weights as GGUF ----

LAYER = [("input_layernorm", "attn_norm"), ("post_attention_layernorm", "ffn_norm"), ("self_attn.q_proj", "attn_q"),
         ("self_attn.k_proj", "attn_k"), ("self_attn.v_proj", "attn_v"), ("self_attn.o_proj", "attn_output"),
         ("self_attn.q_norm", "attn_q_norm"), ("self_attn.k_norm", "attn_k_norm"), ("mlp.gate_proj", "ffn_gate"),
         ("mlp.up_proj", "ffn_up"), ("mlp.down_proj", "ffn_down")]
OUTER = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight",
         "lm_head.weight": "output.weight"}
KEYS = [("hidden_size", "embedding_length"), ("intermediate_size", "feed_forward_length"), ("num_hidden_layers", "block_count"),
        ("num_attention_heads", "attention.head_count"), ("num_key_value_heads", "attention.head_count_kv"),
        ("head_dim", "attention.key_length"), ("vocab_size", "vocab_size"), ("max_position_embeddings", "context_length"),
        ("sliding_window", "attention.sliding_window"), ("rms_norm_eps", "attention.layer_norm_rms_epsilon"),
        ("rope_theta", "rope.freq_base")]


def gguf_name(name, layer):
    if name in OUTER: return OUTER[name]
    il, rest = name[len("model.layers."):].split(".", 1)
    part, kind = rest.rsplit(".", 1)
    return "blk.%s.%s.%s" % (il, dict(layer)[part], kind)


def gguf_value(v):
    if isinstance(v, str): return struct.pack("<IQ", 8, len(v.encode())) + v.encode()
    if isinstance(v, bool): return struct.pack("<IB", 7, v)
    if isinstance(v, list): return struct.pack("<IIQ", 9, 7, len(v)) + bytes(v)
    return struct.pack("<II", 4, v) if isinstance(v, int) else struct.pack("<If", 6, v)


def write_gguf(path, meta, tensors):
    """tensors: {name: (shape, array of f32)}"""
    head, blobs, at = b"", [], 0
    for k, v in meta.items(): head += struct.pack("<Q", len(k)) + k.encode() + gguf_value(v)
    for k, (shape, values) in tensors.items():
        head += struct.pack("<Q", len(k)) + k.encode() + struct.pack("<I", len(shape))
        head += struct.pack("<%dQ" % len(shape), *reversed(shape)) + struct.pack("<IQ", 0, at)
        blobs.append(values.tobytes() + b"\0" * (-len(values.tobytes()) % 32))
        at += len(blobs[-1])
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(meta)) + head
    with open(path, "wb") as f: f.write(head + b"\0" * (-len(head) % 32) + b"".join(blobs))


def settings_of(folder):
    """config.json, with the rope settings at the top whatever its style."""
    config = json.load(open(os.path.join(folder, "config.json")))
    return {**config, **{k: v for k, v in (config.get("rope_parameters") or {}).items() if k == "rope_theta"}}


def case_as_gguf(path, case, arch, layer=LAYER, more={}, plus_one=lambda name: False, extra={}):
    folder = data("golden/" + case)
    config = settings_of(folder)
    meta = {"general.architecture": arch, **{arch + "." + g: config[h] for h, g in KEYS if config.get(h) is not None}}
    meta.update({arch + "." + k: v for k, v in more.items()})
    tensors = {}
    for name, (shape, values) in read_tensors(os.path.join(folder, "model.safetensors")).items():
        g = gguf_name(name, layer)
        if plus_one(g): values = type(values)("f", [type(values)("f", [1 + x])[0] for x in values])
        tensors[g] = (shape, values)
    write_gguf(path, meta, {**tensors, **extra})
    return folder, [i % config["vocab_size"] for i in IDS]


def same_as_gguf(case, arch, layer=LAYER, more={}, plus_one=lambda name: False, extra={}, **settings):
    with tempfile.TemporaryDirectory() as d:
        path = os.path.join(d, "model.gguf")
        folder, ids = case_as_gguf(path, case, arch, layer, more, plus_one, extra)
        out = infer(path, ([1, len(ids)], ids), ["logits"], [])
        assert list(out["logits"][1]) == logits(folder, ids, **settings), "%s as GGUF gives other bits" % case


ENCODER = {"embeddings.word_embeddings": "token_embd", "embeddings.position_embeddings": "position_embd", "embeddings.token_type_embeddings": "token_types",
           "embeddings.LayerNorm": "token_embd_norm", "pooler.dense": "cls"}
ENCODER_LAYER = {"attention.self.query": "attn_q", "attention.self.key": "attn_k", "attention.self.value": "attn_v", "attention.output.dense": "attn_output",
                 "attention.output.LayerNorm": "attn_output_norm", "intermediate.dense": "ffn_up", "output.dense": "ffn_down", "output.LayerNorm": "layer_output_norm"}


def encoder_as_gguf(case, path, skipped, pooling):
    """RoBERTa's positions that no text has are left out, as converters do."""
    folder, tensors = data("golden/" + case), {}
    config = json.load(open(os.path.join(folder, "config.json")))
    for name, (shape, values) in read_tensors(os.path.join(folder, "model.safetensors")).items():
        part, kind = name.rsplit(".", 1)
        if part.startswith("encoder.layer."):
            il, rest = part[len("encoder.layer."):].split(".", 1)
            part = "blk.%s.%s" % (il, ENCODER_LAYER[rest])
        else: part = ENCODER[part]
        if part == "position_embd": shape, values = [shape[0] - skipped, shape[1]], values[skipped * shape[1]:]
        tensors[part + "." + kind] = (shape, values)
    meta = {"general.architecture": "bert", "bert.attention.causal": False, "bert.pooling_type": pooling,
            "bert.attention.layer_norm_epsilon": config["layer_norm_eps"]}
    for key, name in (("hidden_size", "embedding_length"), ("intermediate_size", "feed_forward_length"), ("num_hidden_layers", "block_count"),
                      ("num_attention_heads", "attention.head_count"), ("max_position_embeddings", "context_length")):
        meta["bert." + name] = config[key] - (skipped if name == "context_length" else 0)
    write_gguf(path, meta, tensors)
    return folder


def test_encoders_as_gguf_have_the_same_bits():
    want = ["hidden.0", "last_hidden_state", "pooler_output", "sentence_embedding", "cls_embedding"]
    for case, skipped in (("bert-pooler", 0), ("xlm-roberta", 2)):
        with tempfile.TemporaryDirectory() as d:
            path, ids = os.path.join(d, "model.gguf"), ([1, 24], [(7 * i + 3) % 300 for i in range(24)])
            a = infer(encoder_as_gguf(case, path, skipped, 1), ids, want, [])
            b = infer(path, ids, want, [])
            assert all(list(a[n][1]) == list(b[n][1]) for n in want), case
            encoder_as_gguf(case, path, skipped, 2)
            c = infer(path, ids, want, [])
            assert list(c["sentence_embedding"][1]) == list(c["cls_embedding"][1]) == list(a["cls_embedding"][1])


def test_qwen2_as_gguf_has_the_same_bits(): same_as_gguf("qwen2-bias", "qwen2")
def test_qwen3_as_gguf_has_the_same_bits(): same_as_gguf("qwen3-qknorm", "qwen3")


GEMMA = dict(LAYER, **{"post_attention_layernorm": "post_attention_norm", "pre_feedforward_layernorm": "ffn_norm",
                       "post_feedforward_layernorm": "post_ffw_norm"})
CAPS = {"attn_logit_softcapping": 4.0, "final_logit_softcapping": 12.0}
ROPE3 = {"rope.freq_base_swa": 10000.0, "rope.scaling.type": "linear", "rope.scaling.factor": 8.0}


def is_norm(name): return name.endswith("norm.weight")
def pattern(n): return {"attention.sliding_window_pattern": n}


def test_gemma1_as_gguf_has_the_same_bits(): same_as_gguf("gemma1-mqa", "gemma", plus_one=is_norm)


def test_gemma2_as_gguf_has_the_same_bits():
    """GGUF files do not say what scores are divided by: the root of the head's width, but for the 27B models."""
    same_as_gguf("gemma2-softcap", "gemma2", GEMMA, CAPS, is_norm, query_pre_attn_scalar=20)


def test_gemma3_as_gguf_has_the_same_bits():
    flags = [True, True, True, True, True, False, True]
    for more in (ROPE3, {**ROPE3, **pattern(6)}, {**ROPE3, **pattern(flags)}):
        same_as_gguf("gemma3-text", "gemma3", GEMMA, more, is_norm, query_pre_attn_scalar=24)


def test_gemmas_that_cannot_be_are_refused_by_name():
    refused([({"attn_logit_softcapping": 0}, "soft-caps of 0 (scores)"),
             ({"final_logit_softcapping": -30.0}, "-30 (logits)"),
             ({"final_logit_softcapping": "none"}, "final_logit_softcapping is not a number"),
             ({"query_pre_attn_scalar": -1}, "query_pre_attn_scalar is -1"),
             ({"sliding_window": -8}, "a sliding window of -8"),
             ({"layer_types": ["full_attention"]}, "types of 1 layer"),
             ({"layer_types": None, "sliding_window_pattern": 0}, "every 0-th layer"),
             ({"layer_types": None, "sliding_window_pattern": [1, 0]}, "a window pattern of 2 layers, the model has 4"),
             ({"hidden_activation": "gelu"}, 'activation "gelu"'),
             ({"attention_bias": True}, "biases"),
             ({"use_bidirectional_attention": True}, "both directions"),
             ({"rope_parameters": {"rope_type": "yarn", "rope_theta": 1e4}}, '"yarn"'),
             ({"num_key_value_heads": 3}, "4 heads over 3 kv heads"),
             ({"num_key_value_heads": 0}, "kv heads is 0"),
             ({"model_type": "gemma3_text", "sliding_window": None}, "the size of the sliding window is missing"),
             ({"model_type": "gemma3_text"}, "q_norm")], data("golden/gemma2-softcap"))


PHI3 = dict(LAYER, **{"self_attn.qkv_proj": "attn_qkv", "mlp.gate_up_proj": "ffn_up"})


def test_phi3_as_gguf_has_the_same_bits():
    same_as_gguf("phi3-window", "phi3", PHI3, {"rope.dimension_count": 16})


def test_phi3_longrope_as_gguf_has_the_same_bits():
    """GGUF files have the divisors as tensors and the factor of cos and sin as a number, which is left out too."""
    rope = json.load(open(data("golden/phi3-longrope/config.json")))["rope_parameters"]
    lists = {"rope_factors_%s.weight" % k: ([6], array.array("f", rope[k + "_factor"])) for k in ("short", "long")}
    keys = {"rope.dimension_count": 12, "rope.scaling.original_context_length": 32}
    for more in (keys, {**keys, "rope.scaling.attn_factor": (1 + math.log(4) / math.log(32)) ** 0.5}):
        same_as_gguf("phi3-longrope", "phi3", PHI3, more, extra=lists)


def test_longrope_as_gguf_is_any_familys_and_wants_its_divisors():
    rope = {"rope_type": "longrope", "rope_theta": 1e6, "original_max_position_embeddings": 32,
            "short_factor": [1 + i / 8 for i in range(12)], "long_factor": [2 + i / 4 for i in range(12)]}
    lists = {"rope_factors_%s.weight" % k: ([12], array.array("f", rope[k + "_factor"])) for k in ("short", "long")}
    keys = {"rope.scaling.type": "longrope", "rope.scaling.original_context_length": 32}
    same_as_gguf("qwen3-qknorm", "qwen3", more=keys, extra=lists, rope_parameters=rope)
    short = {k: v for k, v in lists.items() if "short" in k}
    for more, extra, said in ((keys, {}, "not both there"), (keys, short, "not both there"), ({}, lists, 'are there, the rope scaling type is ""')):
        with tempfile.TemporaryDirectory() as d:
            path = os.path.join(d, "model.gguf")
            case_as_gguf(path, "qwen3-qknorm", "qwen3", more=more, extra=extra)
            code, _, err = run("generate", path, "--ids", "1", "-n", 1)
            assert code == 65 and said in err.decode(), err.decode()


def test_shares_of_experts_are_as_they_come_where_the_file_does_not_say():
    """Qwen3's class has norm_topk_prob false by default; GGUF knows no other than true."""
    folder = data("golden/qwen3-moe")
    absent = logits(folder, norm_topk_prob=None)
    assert absent == logits(folder, norm_topk_prob=False) and absent != logits(folder, norm_topk_prob=True)


def test_longrope_has_one_list_for_short_texts_and_one_for_long():
    folder = data("golden/phi3-longrope")
    rope = json.load(open(os.path.join(folder, "config.json")))["rope_parameters"]
    other = {k: {**rope, k + "_factor": [9.0] * 6} for k in ("short", "long")}
    for n, used, unused in ((32, "short", "long"), (33, "long", "short")):
        same = logits(folder, IDS[:n])
        assert logits(folder, IDS[:n], rope_parameters=other[unused]) == same
        assert logits(folder, IDS[:n], rope_parameters=other[used]) != same


def test_phi3s_that_cannot_be_are_refused_by_name():
    folder = data("golden/phi3-longrope")
    rope = json.load(open(os.path.join(folder, "config.json")))["rope_parameters"]
    def with_rope(**more): return {"rope_parameters": {**rope, **more}}
    refused([(with_rope(long_factor=[1.0] * 5), "5 numbers in long_factor, wanted 6"),
             (with_rope(short_factor=[]), "0 numbers in short_factor, wanted 6"),
             (with_rope(short_factor=None), "0 numbers in short_factor"),
             (with_rope(short_factor="x"), "short_factor is not a list"),
             (with_rope(short_factor=[1, 2, "x", 4, 5, 6]), "short_factor is not a list"),
             (with_rope(short_factor=[1, 2, 0, 4, 5, 6]), "divisor 2 of short_factor is 0"),
             (with_rope(original_max_position_embeddings=1), "an original context of 1"),
             (with_rope(partial_rotary_factor=1.5), "rotary width"),
             (with_rope(partial_rotary_factor=0), "rotary width"),
             (with_rope(rope_type="longerrope"), "longrope"),
             ({"num_key_value_heads": 4}, "qkv_proj.weight\" is [128, 64], wanted [192, 64]"),
             ({"sliding_window": -1}, "a sliding window of -1")], folder)


# ---- every case that is here ----

def found():
    """Of the llamas other tests have much to say."""
    cases = [c for c in CASES if not c.startswith(("llama", "gguf"))]
    folders = [data("golden/" + c) for c in cases if os.path.isdir(os.path.join(DATA, "golden", c))]
    return [f for f in folders if os.path.exists(os.path.join(f, "config.json"))]


def ids_for(folder):
    """As many as fit with eight more: learned positions end."""
    config = json.load(open(os.path.join(folder, "config.json")))
    return [i % config["vocab_size"] for i in IDS[:config.get("n_positions", 1000) - 8]]


def test_exact_mode_gives_the_same_bits_for_every_family():
    data("golden")
    for folder in found():
        ids = ids_for(folder)
        same_bits(folder, ids, [["--isa", "generic"], [], ["-t", 1, "-b", 1], ["-t", 2, "-b", 7]])
    return "%d families and variants" % len(found())


def test_fast_mode_is_near_exact_mode_for_every_family():
    worst, at = 0.0, ""
    data("golden")
    for folder in found():
        ids = ids_for(folder)
        with tempfile.TemporaryDirectory() as d:
            i, got = os.path.join(d, "in.safetensors"), []
            write_tensors(i, {"input_ids": ("I64", [1, len(ids)], ids)})
            for n, extra in enumerate((["--exact"], [], ["-b", 1])):
                o = os.path.join(d, "%d.safetensors" % n)
                ok("infer", folder, i, o, "--want", "logits", *extra)
                got.append(read_tensors(o)["logits"][1])
        for fast in got[1:]:
            error = max(abs(a - b) for a, b in zip(got[0], fast)) / max(map(abs, got[0]))
            if error > worst: worst, at = error, os.path.basename(folder)
    assert worst < 0.01, "%s: %.2g of the largest logit" % (at, worst)
    return "worst %.2g of the largest logit, %s" % (worst, at)


if __name__ == "__main__": main(globals())
