"""kwaai convert: a model computes the same in every form, other programs read what is written, and whatever goes wrong leaves what
was there. Where a library or another program is missing, the check is skipped by name (gguf; test_foreign.py has
more of them)."""
import array, hashlib, json, math, os, random, shutil, signal, struct, subprocess, tempfile, time
from harness import *

FOLDERS = ["llama2-mha", "llama3-gqa-tied", "llama-bf16", "llama-bias-sharded", "llama-rope-dynamic", "llama-rope-linear",
           "llama-rope-yarn", "llama-pickle", "mistral-window", "mixtral-4x2", "qwen2-bias", "qwen3-qknorm", "qwen3-moe", "phi3-window",
           "phi3-longrope", "gemma1-mqa", "gemma2-softcap", "gemma3-text", "gpt2-old", "falcon-7b-style",
           "falcon-40b-style", "falcon-11b-style", "t5-v1.0", "t5-v1.1", "bert-pooler", "bert-pickle", "xlm-roberta"]
INPUTS = ("input_ids", "attention_mask", "token_type_ids", "decoder_input_ids")
WIDTHS = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
BLOCKS = {0: (1, 4), 1: (1, 2), 30: (1, 2), 2: (32, 18), 8: (32, 34), 3: (32, 20)}  # ggml type: values, bytes


def read_gguf(path):
    """({key: value}, {name: (dims, type, bytes)}) of a GGUF v3 file, in plain Python."""
    blob = open(path, "rb").read()
    at = 24
    assert blob[:8] == b"GGUF\3\0\0\0"
    n_tensors, n_keys = struct.unpack_from("<QQ", blob, 8)

    def take(kind):
        nonlocal at
        at += struct.calcsize("<" + kind)
        return struct.unpack_from("<" + kind, blob, at - struct.calcsize("<" + kind))[0]

    def text():
        nonlocal at
        n = take("Q")
        at += n
        return blob[at - n:at]

    def value(kind):
        if kind == 8: return text()
        if kind != 9: return take(NUMBERS[kind])
        item, n = take("I"), take("Q")
        return [value(item) for _ in range(n)]

    keys = {text().decode(): value(take("I")) for _ in range(n_keys)}
    infos = []
    for _ in range(n_tensors):
        name = text().decode()
        dims = [take("Q") for _ in range(take("I"))]
        infos.append((name, dims, take("I"), take("Q")))
    start, tensors = (at + 31) // 32 * 32, {}
    for name, dims, kind, offset in infos:
        n = 1
        for d in dims: n *= d
        size = n // BLOCKS[kind][0] * BLOCKS[kind][1]
        assert offset % 32 == 0 and start + offset + size <= len(blob), name
        tensors[name] = (dims, kind, blob[start + offset:start + offset + size])
    return keys, tensors


def convert(*args, **more):
    return ok("convert", *args, **more)


def fails(args, *words, code=None):
    got, out, err = run("convert", *args)
    text = err.decode()
    assert got != 0 and (code is None or got == code), "exit %d: %s" % (got, text)
    for w in words: assert w in text, "%r is not in: %s" % (w, text)
    return text


def answer(model, inputs, folder):
    """The bytes of everything that infer computes, exactly; inputs: ids, or a golden file's tensors."""
    i, o = os.path.join(folder, "ids"), os.path.join(folder, "answer")
    inputs = inputs if isinstance(inputs, dict) else {"input_ids": inputs}
    write_tensors(i, {n: ("I64",) + t for n, t in inputs.items() if n in INPUTS})
    ok("infer", model, i, o, "--exact")
    return open(o, "rb").read()


def test_every_family_computes_the_same_bits_in_every_form():
    seen = []
    for name in FOLDERS:
        try: source = data("golden/" + name)
        except Skip:
            if not os.path.isdir(local("golden/" + name)): continue
            source = local("golden/" + name)
        ids = read_tensors(os.path.join(source, "golden.safetensors"))
        with tempfile.TemporaryDirectory() as d:
            a, b, c = (os.path.join(d, n) for n in ("a.gguf", "b", "c.gguf"))
            convert(source, a)
            convert(a, b)
            convert(b, c)
            want = answer(source, ids, d)
            for form in (a, b, c): assert answer(form, ids, d) == want, (name, form[-6:])
            first, second = read_gguf(a), read_gguf(c)
            assert first[1] == second[1], (name, [k for k in first[1] if first[1][k] != second[1].get(k)])
            drop = "general.name"
            assert {k: v for k, v in first[0].items() if k != drop} == {k: v for k, v in second[0].items() if k != drop}, \
                (name, [(k, v, second[0].get(k)) for k, v in first[0].items() if k != drop and v != second[0].get(k)],
                 [k for k in second[0] if k not in first[0]])
            assert sorted(os.listdir(d)) == ["a.gguf", "answer", "b", "c.gguf", "ids"], os.listdir(d)
            seen.append(name)
    assert seen
    return "%d cases" % len(seen)


def edited(folder, name, **config):
    """A golden model with other numbers in its config."""
    source = data("golden/" + name)
    os.mkdir(folder)
    for file in ("model.safetensors", "golden.safetensors"): os.symlink(os.path.join(source, file), os.path.join(folder, file))
    own = json.load(open(os.path.join(source, "config.json")))
    json.dump(dict(own, **config), open(os.path.join(folder, "config.json"), "w"))
    return read_tensors(os.path.join(source, "golden.safetensors"))


def same_bits(source, inputs, d):
    """The config that comes back from GGUF."""
    at = lambda n: os.path.join(d, n)
    convert(source, at("x.gguf"))
    convert(at("x.gguf"), at("out"))
    want = answer(source, inputs, d)
    assert answer(at("x.gguf"), inputs, d) == want and answer(at("out"), inputs, d) == want
    return json.load(open(at("out/config.json")))


def distilbert(folder):
    """A BERT without segments under DistilBERT's names; what to ask it."""
    source = data("golden/bert-pooler")
    os.mkdir(folder)
    names = (("encoder.layer", "transformer.layer"), ("attention.self.query", "attention.q_lin"), ("attention.self.key", "attention.k_lin"),
             ("attention.self.value", "attention.v_lin"), ("attention.output.dense", "attention.out_lin"),
             ("attention.output.LayerNorm", "sa_layer_norm"), ("intermediate.dense", "ffn.lin1"), ("output.dense", "ffn.lin2"),
             ("output.LayerNorm", "output_layer_norm"))
    config, tensors = json.load(open(os.path.join(source, "config.json"))), {}
    for name, (shape, values) in read_tensors(os.path.join(source, "model.safetensors")).items():
        if "token_type" in name or "pooler" in name: continue
        for old, new in names: name = name.replace(old, new)
        tensors["distilbert." + name] = ("F32", shape, values)
    write_tensors(os.path.join(folder, "model.safetensors"), tensors)
    json.dump({"model_type": "distilbert", "dim": config["hidden_size"], "hidden_dim": config["intermediate_size"],
               "n_layers": config["num_hidden_layers"], "n_heads": config["num_attention_heads"], "vocab_size": config["vocab_size"],
               "max_position_embeddings": config["max_position_embeddings"], "activation": "gelu"},
              open(os.path.join(folder, "config.json"), "w"))
    golden = read_tensors(os.path.join(source, "golden.safetensors"))
    return {k: golden[k] for k in ("input_ids", "attention_mask")}


def test_a_distilbert_becomes_a_bert_with_segments_of_zeros():
    with tempfile.TemporaryDirectory() as d:
        at = lambda n: os.path.join(d, n)
        config = same_bits(at("in"), distilbert(at("in")), d)
        keys, tensors = read_gguf(at("x.gguf"))
        assert not any(tensors["token_types.weight"][2]) and keys["tokenizer.ggml.token_type_count"] == 2
        assert (config["model_type"], config["type_vocab_size"]) == ("bert", 2), config


def test_a_distilbert_that_classifies_has_relu_before_its_labels():
    with tempfile.TemporaryDirectory() as d:
        at = lambda n: os.path.join(d, n)
        inputs = distilbert(at("in"))
        tensors = {n: ("F32",) + t for n, t in read_tensors(at("in/model.safetensors")).items()}
        hidden = [math.sin(i) / 3 for i in range(72 * 72)]
        labels = [math.cos(i) for i in range(2 * 72)]
        tensors.update({"pre_classifier.weight": ("F32", [72, 72], hidden), "pre_classifier.bias": ("F32", [72], labels[:72]),
                        "classifier.weight": ("F32", [2, 72], labels), "classifier.bias": ("F32", [2], [0.5, -0.5])})
        write_tensors(at("in/model.safetensors"), tensors)
        answer(at("in"), inputs, d)
        got = read_tensors(at("answer"))
        first, width = got["last_hidden_state"][1], got["last_hidden_state"][0][2]
        worst = 0
        for row in range(got["logits"][0][0]):
            at_row = row * got["last_hidden_state"][0][1] * width
            x = first[at_row:at_row + width]
            h = [max(0, math.fsum(a * b for a, b in zip(hidden[i * 72:], x)) + labels[i]) for i in range(72)]
            for i in range(2):
                want = math.fsum(a * b for a, b in zip(labels[i * 72:], h)) + (0.5, -0.5)[i]
                worst = max(worst, abs(want - got["logits"][1][row * 2 + i]))
        assert worst < 1e-4, worst
        fails([at("in"), at("x.gguf")], "pre_classifier.weight", "no name in GGUF", code=65)
        return "worst logit off by %.1e" % worst


def test_a_mixtral_with_a_window_stays_a_mixtral():
    with tempfile.TemporaryDirectory() as d:
        source = os.path.join(d, "in")
        config = same_bits(source, edited(source, "mixtral-4x2", sliding_window=7), d)
        assert (config["model_type"], config["sliding_window"]) == ("mixtral", 7), config


def test_classifiers_keep_their_labels():
    head = [math.sin(i) for i in range(5 * 72)]
    with tempfile.TemporaryDirectory() as d:
        source = os.path.join(d, "in")
        inputs = edited(source, "bert-pooler", architectures=["BertForSequenceClassification"])
        weights = {"bert." + n: ("F32",) + t for n, t in read_tensors(os.path.join(source, "model.safetensors")).items()}
        weights.update({"classifier.weight": ("F32", [5, 72], head), "classifier.bias": ("F32", [5], head[:5])})
        os.remove(os.path.join(source, "model.safetensors"))
        write_tensors(os.path.join(source, "model.safetensors"), weights)
        config = same_bits(source, inputs, d)
        assert config["architectures"] == ["BertForSequenceClassification"] and len(config["id2label"]) == 5, config
        assert "logits" in read_tensors(os.path.join(d, "answer"))


def test_what_yarn_scales_by_goes_with_it():
    rope = {"rope_type": "yarn", "rope_theta": 5000.0, "factor": 4.0, "original_max_position_embeddings": 32, "mscale": 0.7,
            "mscale_all_dim": 1.1}
    usual, scale = 0.1 * math.log(4) + 1, (0.07 * math.log(4) + 1) / (0.11 * math.log(4) + 1)
    with tempfile.TemporaryDirectory() as d:
        at = lambda n: os.path.join(d, n)
        edited(at("in"), "llama-rope-yarn", rope_parameters=rope)
        convert(at("in"), at("x.gguf"))
        convert(at("x.gguf"), at("out"))
        keys = read_gguf(at("x.gguf"))[0]
        back = json.load(open(at("out/config.json")))["rope_scaling"]
        assert abs(keys["llama.rope.scaling.attn_factor"] - scale / usual) < 1e-7, keys
        assert abs(back["attention_factor"] - scale) < 1e-7, back
        edited(at("whole"), "llama-rope-yarn", rope_parameters=dict(rope, truncate=False))
        fails([at("whole"), at("y.gguf")], "truncate is false", "GGUF", code=65)


def test_the_encoder_of_a_t5_alone():
    with tempfile.TemporaryDirectory() as d:
        source = os.path.join(d, "in")
        golden = edited(source, "t5-v1.1", architectures=["T5EncoderModel"])
        same_bits(source, {"input_ids": golden["input_ids"]}, d)


def test_positions_that_no_text_has_are_cut_off():
    with tempfile.TemporaryDirectory() as d:
        path = os.path.join(d, "x.gguf")
        convert(data("golden/xlm-roberta"), path)
        keys, tensors = read_gguf(path)
        assert keys["bert.context_length"] == 64 == tensors["position_embd.weight"][0][1] and keys["general.architecture"] == b"bert"
        assert keys["tokenizer.ggml.token_type_count"] == 1
        shape, whole = read_tensors(os.path.join(data("golden/xlm-roberta"), "model.safetensors"))["embeddings.position_embeddings.weight"]
        assert tensors["position_embd.weight"][2] == whole[2 * shape[1]:].tobytes()


def test_what_gguf_cannot_say_is_refused():
    for name, word in (("falcon-rw-alibi", ("has no name in GGUF",)), ("gpt2-prefixed", ("scale_attn_by_inverse_layer_idx",))):
        with tempfile.TemporaryDirectory() as d:
            fails([data("golden/" + name), os.path.join(d, "x.gguf")], *word, "GGUF", "kwaai convert MODEL FOLDER", code=65)
            assert os.listdir(d) == []
            convert(data("golden/" + name), os.path.join(d, "x"))


def test_dtypes_of_matrices():
    source = local("golden/llama2-mha")
    with tempfile.TemporaryDirectory() as d:
        wide = {n: x for n, (s, x) in read_tensors(os.path.join(source, "model.safetensors")).items()}
        for dtype, kind in (("f32", 0), ("F16", 1), ("bf16", 30), ("q8_0", 8), ("q4_0", 2)):
            path = os.path.join(d, dtype + ".gguf")
            convert(source, path, "--dtype", dtype)
            kinds = {n: t[1] for n, t in read_gguf(path)[1].items()}
            dims = {n: t[0] for n, t in read_gguf(path)[1].items()}
            for n, k in kinds.items():
                whole = dims[n][0] % BLOCKS[kind][0] == 0
                assert k == (0 if len(dims[n]) == 1 else kind if whole else 1), (n, k, dims[n])
            ok("show", path)
        convert(source, os.path.join(d, "half"), "--dtype", "bf16")
        convert(os.path.join(d, "half"), os.path.join(d, "again.safetensors"), "--dtype", "f32")
        got = read_tensors(os.path.join(d, "again.safetensors"))
        assert {n: len(x[1]) for n, x in got.items()} == {n: len(x) for n, x in wide.items()}
        worst = max(abs(a - b) / max(abs(b), 1e-30) for n in wide for a, b in zip(got[n][1], wide[n]))
        assert 0 < worst <= 2 ** -8, worst
        assert json.load(open(os.path.join(d, "half", "config.json")))["torch_dtype" if "torch_dtype" in
               json.load(open(os.path.join(source, "config.json"))) else "dtype"] == "bfloat16"
    return "bf16: at most %.2g of a value" % worst


def test_split_safetensors_and_split_gguf():
    source, n = local("golden/llama2-mha"), [(i * 37 + 11) % 90 for i in range(20)]
    with tempfile.TemporaryDirectory() as d:
        convert(source, os.path.join(d, "parts"), "--split-max-size", "100K")
        files = sorted(os.listdir(os.path.join(d, "parts")))
        assert "model.safetensors.index.json" in files and sum(f.endswith(".safetensors") for f in files) > 1, files
        assert answer(os.path.join(d, "parts"), ([1, 20], n), d) == answer(source, ([1, 20], n), d)
        convert(source, os.path.join(d, "m.gguf"), "--split-max-size", "100K")
        parts = sorted(f for f in os.listdir(d) if f.startswith("m-"))
        assert len(parts) > 1 and parts[0] == "m-00001-of-%05d.gguf" % len(parts) and not os.path.exists(os.path.join(d, "m.gguf"))
        whole = os.path.join(d, "whole.gguf")
        convert(source, whole)
        keys, tensors = read_gguf(whole)
        joined = {}
        for i, part in enumerate(parts):
            k, t = read_gguf(os.path.join(d, part))
            assert (k["split.no"], k["split.count"], k["split.tensors.count"]) == (i, len(parts), len(tensors))
            assert i or {x: y for x, y in k.items() if not x.startswith("split.") and x != "general.name"} == \
                {x: y for x, y in keys.items() if x != "general.name"}
            joined.update(t)
        assert joined == tensors


# ---- tokenizers ----

TEXTS = ["Hello, world! It's 12345 o'clock.", "  spaces\n\n\tand tabs  ", "h\u00e9llo \u4f60\u597d \U0001f600 na\u00efve",
         "def f(x):\n    return x ** 2  # comment\n", "I'll we've HE'S 3.14 ...", ""]


def tiny_model(folder, tokenizer, config, n_vocab):
    """A llama of one layer with as many tokens."""
    rng = random.Random(1)
    def t(*shape):
        n = 1
        for s in shape: n *= s
        return ("F32", list(shape), [rng.uniform(-1, 1) for _ in range(n)])
    os.mkdir(folder)
    p = "model.layers.0."
    write_tensors(os.path.join(folder, "model.safetensors"), {
        "model.embed_tokens.weight": t(n_vocab, 8), "model.norm.weight": t(8),
        p + "input_layernorm.weight": t(8), p + "post_attention_layernorm.weight": t(8),
        p + "self_attn.q_proj.weight": t(8, 8), p + "self_attn.k_proj.weight": t(8, 8), p + "self_attn.v_proj.weight": t(8, 8),
        p + "self_attn.o_proj.weight": t(8, 8), p + "mlp.gate_proj.weight": t(8, 8), p + "mlp.up_proj.weight": t(8, 8),
        p + "mlp.down_proj.weight": t(8, 8)})
    json.dump({"model_type": "llama", "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2,
               "num_key_value_heads": 2, "vocab_size": n_vocab, "rms_norm_eps": 1e-5, "max_position_embeddings": 64},
              open(os.path.join(folder, "config.json"), "w"))
    if tokenizer: shutil.copy(tokenizer, os.path.join(folder, "tokenizer.json"))
    if config: shutil.copy(config, os.path.join(folder, "tokenizer_config.json"))


def ids_of(model, text):
    return ok("tokenize", model, stdin=text.encode())


SCORES = "tokenizer.ggml.scores"


def order(scores):
    return sorted(range(len(scores)), key=lambda i: (-scores[i], i))


def test_tokenizers_give_the_same_ids_in_every_form():
    if os.environ.get("SANITIZE"): raise Skip("two vocabularies in four forms are minutes with a sanitizer")
    seen = []
    for name in ("llama3", "gemma3"):
        try: source, config = data("tokenizers/%s-tokenizer.json" % name), data("tokenizers/%s-tokenizer_config.json" % name)
        except Skip: continue
        model = json.load(open(source))
        n = max([*model["model"]["vocab"].values(), *(t["id"] for t in model["added_tokens"])]) + 1
        with tempfile.TemporaryDirectory() as d:
            first, a, b, c = (os.path.join(d, x) for x in ("first", "a.gguf", "b", "c.gguf"))
            tiny_model(first, source, config, n + 3)
            convert(first, a)
            convert(a, b)
            convert(b, c)
            for text in (TEXTS[0], "\n".join(TEXTS)):
                want = ids_of(first, text)
                for form in (a, b, c): assert ids_of(form, text) == want, (name, form[-6:], text, want, ids_of(form, text))
            one, two = read_gguf(a)[0], read_gguf(c)[0]
            # scores are the places of merges: a form with every way to make a token has more of them, in the same order
            if name == "gemma3": one[SCORES], two[SCORES] = order(one[SCORES]), order(two[SCORES])
            for k in one: assert k in ("general.name",) or one[k] == two.get(k), (name, k)
            seen.append(name)
    if not seen: raise Skip("no tokenizers below KWAAI_TEST_DATA")
    return ", ".join(seen)


def test_unigram_and_wordpiece_give_the_same_ids_in_every_form():
    """T5's, as SentencePiece has it: blanks at the end of a text, which its tokenizer.json may keep, are dropped. BERT's is GGUF's."""
    try: from tokenizers import Tokenizer
    except ImportError: Tokenizer = None
    sources = ["t5-small-tokenizer.json", "t5v1_1-tokenizer.json", "llama.cpp-vocab/ggml-vocab-bert-bge.gguf"]
    for name in sources:
        source = data("tokenizers/" + name)
        n = 32100
        with tempfile.TemporaryDirectory() as d:
            first, a, b, c = (os.path.join(d, x) for x in ("first", "a.gguf", "b", "c.gguf"))
            tiny_model(first, source if name.endswith(".json") else None, None, n)
            convert(first, a, *([] if name.endswith(".json") else ["--tokenizer", source]))
            convert(a, b)
            convert(b, c)
            library = Tokenizer.from_file(os.path.join(b, "tokenizer.json")) if Tokenizer else None
            for text in ("\n".join(TEXTS).strip(),):
                want = json.loads(ok("tokenize", first if name.endswith(".json") else source, "--json", stdin=text.encode()))
                for form in (a, b, c):
                    got = json.loads(ok("tokenize", form, "--json", stdin=text.encode()))
                    assert got == want, (name, form[-6:], text, got, want)
                assert not library or library.encode(text).ids == want, (name, text)
    return ", ".join(sources) + ("" if Tokenizer else "; not beside the library tokenizers")


def numbers_of_added(tokenizer):
    """As the library tokenizers gives them: the vocabulary's, or else counted on from its size; the list's are not read."""
    vocabulary, got = tokenizer["model"]["vocab"], {}
    for t in tokenizer["added_tokens"]:
        last = max(got.values(), default=-1)
        got[t["content"]] = vocabulary.get(t["content"], last + 1 if last >= len(vocabulary) else len(vocabulary))
    return got


def test_added_tokens_have_their_numbers_wherever_they_stand():
    source = json.load(open(data("tokenizers/qwen3-tokenizer.json")))
    n_plain, added = len(source["model"]["vocab"]), source["added_tokens"]
    for place in ("behind", "first", "with a hole"):
        words = dict(source["model"]["vocab"])
        tokens = [dict(t, id=n_plain + i + 5 * (i > 2 and place == "with a hole")) for i, t in enumerate(added)]
        if place == "first":
            tokens = [dict(t, id=i) for i, t in enumerate(added)]
            words = {k: v + len(added) for k, v in words.items()}
        if place != "behind": words.update((t["content"], t["id"]) for t in tokens)
        with tempfile.TemporaryDirectory() as d:
            first, a, b = (os.path.join(d, x) for x in ("first", "a.gguf", "b"))
            path = os.path.join(d, "tokenizer.json")
            json.dump(dict(source, added_tokens=tokens, model=dict(source["model"], vocab=words)), open(path, "w"))
            tiny_model(first, path, None, n_plain + len(added) + 8)
            convert(first, a)
            convert(a, b)
            got = json.load(open(os.path.join(b, "tokenizer.json")))
            assert numbers_of_added(got) == {t["content"]: t["id"] for t in tokens}, place
            for text in TEXTS: assert ids_of(b, text) == ids_of(first, text), (place, text)


# ---- other programs ----

def test_gguf_py_reads_it():
    try: from gguf import GGUFReader
    except ImportError: raise Skip("no Python package gguf")
    with tempfile.TemporaryDirectory() as d:
        path = os.path.join(d, "x.gguf")
        convert(local("golden/llama2-mha"), path, "--dtype", "f16")
        reader, (keys, tensors) = GGUFReader(path), read_gguf(path)
        assert {t.name: t.data.tobytes() for t in reader.tensors} == {n: t[2] for n, t in tensors.items()}
        assert reader.fields["general.architecture"].contents() == "llama"


# ---- what goes wrong ----

def test_how_a_sentence_encoder_pools_goes_with_it():
    with tempfile.TemporaryDirectory() as d:
        at = lambda n: os.path.join(d, n)
        shutil.copytree(data("golden/bert-pooler"), at("in"))
        path = at("in/1_Pooling/config.json")
        os.chmod(path, 0o644)
        modes = json.load(open(path))
        for mode, number in (("mean_tokens", 1), ("cls_token", 2)):
            json.dump({k: k == "pooling_mode_" + mode if type(v) is bool else v for k, v in modes.items()}, open(path, "w"))
            convert(at("in"), at("x.gguf"), "--force")
            assert read_gguf(at("x.gguf"))[0]["bert.pooling_type"] == number
        convert(at("x.gguf"), at("out"))
        assert [m["type"].split(".")[-1] for m in json.load(open(at("out/modules.json")))] == ["Transformer", "Pooling", "Normalize"]
        pooling = json.load(open(at("out/1_Pooling/config.json")))
        assert pooling["pooling_mode_cls_token"] and pooling["word_embedding_dimension"] == 72, pooling
        assert [k for k, v in pooling.items() if v is True] == ["pooling_mode_cls_token"], pooling
        convert(at("out"), at("again.gguf"))
        assert read_gguf(at("again.gguf"))[0]["bert.pooling_type"] == 2
        convert(at("in"), at("copy"))
        for f in ("modules.json", "1_Pooling/config.json"): assert open(at("copy/" + f)).read() == open(at("in/" + f)).read()
        convert(at("in"), at("copy"), "--force")
        open(at("copy/1_Pooling/diary"), "w").write("dear diary")
        fails([at("in"), at("copy"), "--force"], "1_Pooling", "no part of a model")
        json.dump({k: k == "pooling_mode_max_tokens" if type(v) is bool else v for k, v in modes.items()}, open(path, "w"))
        fails([at("in"), at("y.gguf")], '"max"')


def test_parts_of_a_split_are_not_overwritten():
    source = local("golden/llama2-mha")
    with tempfile.TemporaryDirectory() as d:
        at = lambda n: os.path.join(d, n)
        convert(source, at("a.gguf"), "--split-max-size", "100K")
        parts = sorted(os.listdir(d))
        before = [open(at(n), "rb").read() for n in parts]
        assert len(parts) > 1, parts
        for more in ([], ["--force"]):
            fails([source, at("a.gguf"), "--split-max-size", "100K", *more], parts[0], "are there already", "remove them first", code=64)
        fails([at(parts[0]), at("a.gguf"), "--force", "--split-max-size", "100K"], "is the input itself", code=64)
        fails([at(parts[0]), at(parts[1]), "--force"], "is the input itself", code=64)
        assert sorted(os.listdir(d)) == parts
        assert [open(at(n), "rb").read() for n in parts] == before
        for missing in (parts[0], parts[-1]): # a run that was killed while it renamed leaves no first one
            os.remove(at(missing))
            fails([source, at("a.gguf"), "--split-max-size", "100K"], "exists already", "--force", code=64)
            convert(source, at("a.gguf"), "--split-max-size", "100K", "--force")
            assert sorted(os.listdir(d)) == parts
            assert [open(at(n), "rb").read() for n in parts] == before


def test_the_only_gguf_of_a_folder_is_its_model():
    source = local("golden/llama2-mha")
    with tempfile.TemporaryDirectory() as d:
        for name, args in (("whole", []), ("split", ["--split-max-size", "100K"])): convert(source, os.path.join(d, name), "--to", "gguf", *args)
        os.rename(os.path.join(d, "whole", "model.gguf"), os.path.join(d, "whole", "tiny-f32.gguf"))
        ids = ([1, 4], array.array("q", [1, 5, 9, 2]))
        for name in ("whole", "split"): assert answer(os.path.join(d, name), ids, d) == answer(source, ids, d), name
        for part in os.listdir(os.path.join(d, "split")): shutil.copy(os.path.join(d, "split", part), os.path.join(d, "whole"))
        fails([os.path.join(d, "whole"), os.path.join(d, "x.gguf")], "2 GGUF files", "model-00001-of", code=66)


def test_shards_beside_an_index_are_not_overwritten():
    source = local("golden/llama2-mha")
    with tempfile.TemporaryDirectory() as d:
        out, index = os.path.join(d, "a.safetensors"), os.path.join(d, "a.safetensors.index.json")
        convert(source, out, "--split-max-size", "100K")
        before = files_of(d)
        fails([source, out, "--split-max-size", "100K", "--force"], "are there already", code=64)
        fails([source, out, "--split-max-size", "60K"], index, "exists already", "--force", code=64)
        assert files_of(d) == before
        convert(source, out, "--split-max-size", "60K", "--force")
        after = files_of(d)
        assert {n for n in before if after[n] != before[n]} == {"a.safetensors.index.json"}
        assert len(set(json.load(open(index))["weight_map"].values())) == len(after) - len(before)
        convert(source, out, "--split-max-size", "100K", "--force") # whole by their names, but the index tells of others
        assert files_of(d) == dict(after, **{"a.safetensors.index.json": before["a.safetensors.index.json"]})


def test_bad_input():
    source = local("golden/llama2-mha")
    with tempfile.TemporaryDirectory() as d:
        at = lambda n: os.path.join(d, n)
        convert(source, at("a.gguf"))
        os.symlink(at("a.gguf"), at("link.gguf"))
        os.link(at("a.gguf"), at("hard.gguf"))
        before = open(at("a.gguf"), "rb").read()
        for same in ("a.gguf", "link.gguf", "hard.gguf"):
            fails([at("a.gguf"), at(same), "--force", "--dtype", "f16"], "is the input itself", code=64)
        fails([source, source, "--force"], "is the input itself")
        fails([source, at("a.gguf")], "exists already", "--force")
        fails([source, at("x.gguf"), "--dtype", "q9"], "q9", "Q8_0", "F16")
        fails([source, at("x.safetensors"), "--dtype", "q8_0"], "q8_0", "safetensors")
        fails([source, at("x.gguf"), "--to", "onnx"], "onnx", "gguf")
        fails([source, at("x.gguf"), "--to", "safetensors"], "x.gguf")
        fails([at("missing"), at("x.gguf")], "missing", code=66)
        fails([source, at("no/such/x.gguf")], "folder does not exist", "make the folder first", code=73)
        open(at("plain"), "w").write("words")
        fails([source, at("plain"), "--to", "gguf"], "plain is a file", code=73)
        os.remove(at("plain"))
        open(at("cut.safetensors"), "wb").write(open(os.path.join(source, "model.safetensors"), "rb").read()[:300])
        fails([at("cut.safetensors"), at("x.gguf")], "ends in the header", "incomplete", code=65)
        os.remove(at("cut.safetensors"))
        fails([source], "convert takes", code=64)
        fails([source, at("x.gguf"), "--split-max-size", "many"], "many")
        os.mkdir(at("full"))
        open(at("full/diary"), "w").write("dear diary")
        fails([source, at("full")], "diary", "--force")
        fails([source, at("full"), "--force"], "diary", "no part of a model")
        assert os.listdir(at("full")) == ["diary"]
        os.rename(at("full"), at("new.tmp"))
        fails([source, at("new")], "diary", "new.tmp", code=64)
        assert os.listdir(at("new.tmp")) == ["diary"]
        shutil.rmtree(at("new.tmp"))
        convert(source, at("in.tmp"))
        fails([at("in.tmp"), at("in")], "is the input itself", code=64)
        assert os.path.exists(at("in.tmp/model.safetensors"))
        os.rename(at("in.tmp"), at("in"))
        shutil.copy(at("a.gguf"), at("b.gguf.tmp"))
        fails([at("b.gguf.tmp"), at("b.gguf")], "is the input itself", code=64)
        os.rename(at("b.gguf.tmp"), at("b.gguf"))
        os.mkdir(at("real"))
        os.symlink(at("real"), at("soft"))
        convert(source, at("soft"))
        assert os.path.islink(at("soft")) and os.path.exists(at("real/model.safetensors"))
        os.mkdir(at("bare"))
        shutil.copy(os.path.join(source, "model.safetensors"), at("bare"))
        fails([at("bare"), at("x.gguf")], "config.json")
        json.dump({"model_type": "hyena"}, open(at("bare/config.json"), "w"))
        fails([at("bare"), at("x.gguf")], "hyena", "llama")
        assert open(at("a.gguf"), "rb").read() == before
        assert not [f for f in os.listdir(d) if f.startswith("x") or "tmp" in f], os.listdir(d)


def test_two_runs_into_one_folder():
    """One of them writes it, the other says so; whichever comes first."""
    source = local("golden/llama2-mha")
    with tempfile.TemporaryDirectory() as d:
        out = os.path.join(d, "out")
        convert(source, os.path.join(d, "want"))
        runs = [subprocess.Popen([KWAAI, "convert", source, out, "--force"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
                for _ in range(6)]
        texts = [p.communicate()[1].decode() for p in runs]
        for p, text in zip(runs, texts):
            assert p.returncode == 0 or (p.returncode == 73 and "another process is writing it" in text), (p.returncode, text)
        assert any(p.returncode == 0 for p in runs)
        assert files_of(out) == files_of(os.path.join(d, "want"))
        assert sorted(os.listdir(d)) == ["out", "want"], os.listdir(d)


def test_a_part_of_a_split_that_is_missing_is_named():
    with tempfile.TemporaryDirectory() as d:
        convert(local("golden/llama2-mha"), os.path.join(d, "m.gguf"), "--split-max-size", "100K")
        parts = sorted(os.listdir(d))
        os.remove(os.path.join(d, parts[1]))
        fails([os.path.join(d, parts[0]), os.path.join(d, "out")], parts[1])
        convert(local("golden/llama2-mha"), os.path.join(d, "s"), "--split-max-size", "100K")
        part = sorted(f for f in os.listdir(os.path.join(d, "s")) if f.endswith(".safetensors"))[1]
        os.remove(os.path.join(d, "s", part))
        fails([os.path.join(d, "s"), os.path.join(d, "x.gguf")], part)
        assert not os.path.exists(os.path.join(d, "out")) and not os.path.exists(os.path.join(d, "x.gguf"))


def test_what_is_quantized_is_not_quantized_again():
    with tempfile.TemporaryDirectory() as d:
        path, out = data("golden/gguf-tiny-llama/q8_0.gguf"), os.path.join(d, "b.gguf")
        fails([path, out, "--dtype", "q4_0"], "is Q8_0 already", "quantize --requantize", code=64)
        assert not os.path.exists(out)
        convert(path, out, "--dtype", "f16")


def test_nan_is_refused_by_the_tensors_name():
    source = local("golden/llama2-mha")
    tensors = {n: ("F32", s, x) for n, (s, x) in read_tensors(os.path.join(source, "model.safetensors")).items()}
    bad = "model.layers.1.mlp.up_proj.weight"
    for value, word in ((float("nan"), "nan"), (float("inf"), "inf")):
        tensors[bad][2][5] = value
        with tempfile.TemporaryDirectory() as d:
            shutil.copy(os.path.join(source, "config.json"), d)
            write_tensors(os.path.join(d, "model.safetensors"), tensors)
            fails([d, os.path.join(d, "x.gguf")], "blk.1.ffn_up.weight", word)
            fails([d, os.path.join(d, "x")], bad, word)
            assert sorted(os.listdir(d)) == ["config.json", "model.safetensors"], os.listdir(d)
            convert(d, os.path.join(d, "x.gguf"), "--allow-nan")
    tensors[bad][2][5] = 1e6
    with tempfile.TemporaryDirectory() as d:
        shutil.copy(os.path.join(source, "config.json"), d)
        write_tensors(os.path.join(d, "model.safetensors"), tensors)
        fails([d, os.path.join(d, "x.gguf"), "--dtype", "f16"], "blk.1.ffn_up.weight", "too large for F16")


def test_a_full_disk_leaves_nothing():
    source = local("golden/llama2-mha")
    limit = lambda: __import__("resource").setrlimit(__import__("resource").RLIMIT_FSIZE, (50000, 50000))
    for out in ("x.gguf", "x.safetensors", "x"):
        with tempfile.TemporaryDirectory() as d:
            p = subprocess.run([KWAAI, "convert", source, os.path.join(d, out)], capture_output=True, preexec_fn=limit)
            text = p.stderr.decode()
            assert p.returncode == 73 and "cannot be written" in text and "MB are needed" in text, (p.returncode, text)
            assert os.listdir(d) == []


def files_of(path):
    """A fingerprint of a file, or of a folder and all in it; None: there is nothing."""
    if os.path.isfile(path): return hashlib.sha256(open(path, "rb").read()).hexdigest()
    if os.path.isdir(path): return {f: files_of(os.path.join(path, f)) for f in sorted(os.listdir(path))}
    return None


def killed_runs(source, out, old, args, n, rng):
    """Kills n runs at random moments; returns how many had come to their end."""
    times, done = [], 0
    for _ in range(3):
        start = time.time()
        convert(source, out, "--force", *args)
        times.append(time.time() - start)
    length, new = min(times), files_of(out)
    for i in range(n):
        if os.path.isdir(out): shutil.rmtree(out)
        elif os.path.exists(out): os.remove(out)
        if old: (shutil.copytree if os.path.isdir(old) else shutil.copy)(old, out)
        before = files_of(out)
        p = subprocess.Popen([KWAAI, "convert", source, out, "--force", *args], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(rng.uniform(0, 1.1 * length))
        p.kill()
        p.wait()
        after = files_of(out)
        assert after in (before, new), "killed run %d left something else at %s" % (i, out)
        done += after == new
    rest = [f for f in os.listdir(os.path.dirname(out)) if "tmp" in f or f.endswith(".old")]
    assert len(rest) <= 2, rest # a folder has a lock beside it
    convert(source, out, "--force", *args)
    rest = [f for f in os.listdir(os.path.dirname(out)) if "tmp" in f or f.endswith(".old")]
    assert files_of(out) == new and not rest, rest
    return done


def test_killed_runs_leave_the_old_or_the_new():
    """KWAAI_KILLS runs of each form: 50 take minutes, for each has 270 MB to write."""
    kills = int(os.environ.get("KWAAI_KILLS", 2))
    rng, source, notes = random.Random(7), local("golden/llama2-mha"), []
    with tempfile.TemporaryDirectory() as d:
        big = os.path.join(d, "big.gguf")
        convert(source, os.path.join(d, "old.gguf"), "--dtype", "bf16")
        convert(source, os.path.join(d, "old"), "--dtype", "f16")
        try: model = source if os.environ.get("SANITIZE") else smollm2() # a sanitizer's hundred runs would be minutes
        except Skip: model = source
        for form, old, args in (("gguf", "old.gguf", ["--dtype", "bf16"]), ("folder", "old", ["--dtype", "bf16"])):
            room = os.path.join(d, form)
            os.mkdir(room)
            out = os.path.join(room, "x.gguf" if form == "gguf" else "x")
            done = killed_runs(model, out, os.path.join(d, old), args, kills, rng)
            notes.append("%s: %d killed, %d had finished" % (form, kills, done))
    return "; ".join(notes)


def killed_split(command, room, old, length, rng):
    """Where `old` was, or nothing; (what was there, what is there now)."""
    shutil.rmtree(room, ignore_errors=True)
    shutil.copytree(old, room) if old else os.mkdir(room)
    before = files_of(room)
    p = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(rng.uniform(0, 1.1 * length))
    p.kill()
    p.wait()
    return before, files_of(room)


def test_killed_splits_leave_the_old_or_the_new():
    """A split is new from the moment that its first file is there, or its index; KWAAI_KILLS as above. Of a small model, for which
    renames are a good part of the run: into nothing, over another number of files, over the same."""
    kills, rng, notes = int(os.environ.get("KWAAI_KILLS", 2)), random.Random(8), []
    source, sizes = local("golden/llama2-mha"), ("200K", "60K")
    for ending, last in ((".gguf", "-00001-of-"), (".safetensors", ".index.json")):
        with tempfile.TemporaryDirectory() as d:
            room, other, same = (os.path.join(d, n) for n in ("room", "other", "same"))
            for folder, size in zip((other, same), sizes):
                os.mkdir(folder)
                start = time.time()
                convert(source, os.path.join(folder, "x" + ending), "--split-max-size", size)
                length = time.time() - start
            whole, done, between = files_of(same), 0, 0
            key = next(n for n in whole if last in n)
            assert len(files_of(other)) != len(whole) > 2
            args = ["convert", source, os.path.join(room, "x" + ending), "--split-max-size", sizes[1], "--force"]
            for old in [None, other, same] * kills:
                before, after = killed_split([KWAAI, *args], room, old, length, rng)
                is_new = after.get(key) == whole[key]
                want = whole if is_new else before
                assert {n: after.get(n) for n in want} == want, (old, sorted(after))
                assert is_new or key in before or key not in after, (old, sorted(after))
                done += is_new and old != same
                between += not is_new and old != same and any(n in after and n not in before for n in whole)
                if old == same: fails(args[1:], "are there already", code=64)
                elif not is_new: ok(*args)
                after = files_of(room)
                assert {n: after.get(n) for n in whole} == whole and (is_new or not [n for n in after if "tmp" in n]), sorted(after)
            notes.append("%s: %d killed, %d of them between renames, %d had finished" % (ending[1:], 2 * kills, between, done))
    return "; ".join(notes)


if __name__ == "__main__": main(globals())
