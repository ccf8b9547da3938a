"""T5: the golden checkpoints in other files, what cannot be computed, and random models beside transformers where it is installed."""
import json, os, struct, tempfile
from harness import *
from test_golden import compare
from test_families import edited

T5 = {"t5-v1.0": "plain", "t5-v1.1": "gated"}
NAMES = (("shared.weight", "token_embd.weight"), ("lm_head.weight", "output.weight"), ("final_layer_norm", "output_norm"),
         (".block.0.layer.0.SelfAttention.relative_attention_bias", ".blk.0.attn_rel_b"), (".block.", ".blk."),
         ("layer.0.layer_norm", "attn_norm"), ("layer.0.SelfAttention.", "attn_"), ("layer.1.EncDecAttention.", "cross_attn_"))


def run_infer(model, inputs, want, *extra):
    with tempfile.TemporaryDirectory() as d:
        i, o = os.path.join(d, "in.safetensors"), os.path.join(d, "out.safetensors")
        write_tensors(i, {k: ("I64",) + v for k, v in inputs.items()})
        ok("infer", model, i, o, "--want", ",".join(want), *extra)
        return read_tensors(o)


def fails(code, words, model, inputs, *extra):
    with tempfile.TemporaryDirectory() as d:
        i, o = os.path.join(d, "in.safetensors"), os.path.join(d, "out.safetensors")
        write_tensors(i, {k: ("I64",) + v for k, v in inputs.items()})
        got, _, err = run("infer", model, i, o, *extra)
    text = err.decode()
    assert got == code and all(w in text for w in words), "exit %d: %s" % (got, text)


def ids(n, seed=0): return ([1, n], [3 + (i * 37 + seed) % 130 for i in range(n)])


# ---- GGUF, with llama.cpp's names or with those of the checkpoint ----

def string(text): return struct.pack("<Q", len(text)) + text.encode()
def number(key, value): return string(key) + struct.pack("<II", 4, value)
def real(key, value): return string(key) + struct.pack("<If", 6, value)


def write_gguf(path, meta, tensors):
    head, data = struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(meta)) + b"".join(meta), b""
    for name, (shape, values) in tensors.items():
        head += string(name) + struct.pack("<I", len(shape))
        head += b"".join(struct.pack("<Q", n) for n in reversed(shape)) + struct.pack("<IQ", 0, len(data))
        data += values.tobytes() + b"\0" * (-4 * len(values) % 32)
    with open(path, "wb") as f: f.write(head + b"\0" * (-len(head) % 32) + data)


def gguf_name(name):
    if name.endswith("EncDecAttention.relative_attention_bias.weight") or ".embed_tokens." in name: return None
    for old, new in NAMES: name = name.replace(old, new)
    name = name.replace("encoder.", "enc.").replace("decoder.", "dec.")
    if "DenseReluDense" in name or name.startswith("enc.blk") or name.startswith("dec.blk"):
        norm = {"enc": "layer.1.layer_norm", "dec": "layer.2.layer_norm"}[name[:3]]
        name = name.replace(norm, "ffn_norm").replace("layer.1.layer_norm", "cross_attn_norm")
        for old, new in (("wi_0", "ffn_gate"), ("wi_1", "ffn_up"), ("wi", "ffn_up"), ("wo", "ffn_down")):
            for k in (1, 2): name = name.replace("layer.%d.DenseReluDense.%s." % (k, old), new + ".")
    return name


def gguf_meta(config, arch):
    key = lambda k: "%s.%s" % (arch, k)
    return [string("general.architecture") + struct.pack("<I", 8) + string(arch),
            number(key("embedding_length"), config["d_model"]), number(key("feed_forward_length"), config["d_ff"]),
            number(key("block_count"), config["num_layers"]), number(key("decoder_block_count"), config["num_decoder_layers"]),
            number(key("attention.head_count"), config["num_heads"]), number(key("attention.key_length"), config["d_kv"]),
            number(key("attention.value_length"), config["d_kv"]), number(key("context_length"), 512),
            real(key("attention.layer_norm_epsilon"), 1e-6), number(key("attention.relative_buckets_count"), 32),
            number(key("decoder_start_token_id"), 0)]


def as_gguf(folder, d, arch="t5"):
    config = json.load(open(os.path.join(folder, "config.json")))
    tensors = {gguf_name(k): v for k, v in read_tensors(os.path.join(folder, "model.safetensors")).items() if gguf_name(k)}
    if arch == "t5encoder": tensors = {k: v for k, v in tensors.items() if not k.startswith("dec.") and k != "output.weight"}
    path = os.path.join(d, "model.gguf")
    write_gguf(path, gguf_meta(config, arch), tensors)
    return path


def question(): return {"input_ids": ids(21), "decoder_input_ids": ([1, 5], [0, 9, 8, 7, 6])}


def test_gguf_has_the_bits_of_the_checkpoint():
    want = ["encoder.hidden.final", "decoder.hidden.final", "logits", "beam_ids", "beam_scores"]
    for name in T5:
        folder, more = data("golden/" + name), ("--generate", 9, "--beams", 3, "--exact", "--eos", 9)
        with tempfile.TemporaryDirectory() as d:
            assert run_infer(folder, question(), want, *more) == run_infer(as_gguf(folder, d), question(), want, *more)


def test_convert_writes_both_stacks_with_the_same_bits():
    want = ["encoder.hidden.final", "decoder.hidden.final", "logits", "beam_ids", "beam_scores"]
    for name in T5:
        folder, more = data("golden/" + name), ("--generate", 9, "--beams", 3, "--exact", "--eos", 9)
        with tempfile.TemporaryDirectory() as d:
            path = os.path.join(d, "x.gguf")
            code, _, err = run("convert", folder, path)
            assert code == 0, err
            assert run_infer(folder, question(), want, *more) == run_infer(path, question(), want, *more)
            ok("convert", path, os.path.join(d, "x"))
            assert run_infer(folder, question(), want, *more) == run_infer(os.path.join(d, "x"), question(), want, *more)
            with edited(folder, relative_attention_max_distance=100) as e:
                code, _, err = run("convert", e, path, "--force")
                assert code == 65 and b"relative_attention_max_distance" in err, err


def test_gguf_with_the_names_of_the_checkpoint_and_its_config_beside_it():
    folder = data("golden/t5-v1.1")
    with tempfile.TemporaryDirectory() as d:
        path = os.path.join(d, "model.gguf")
        write_gguf(path, [], read_tensors(os.path.join(folder, "model.safetensors")))
        os.symlink(os.path.join(folder, "config.json"), os.path.join(d, "config.json"))
        assert run_infer(path, question(), ["logits"]) == run_infer(folder, question(), ["logits"])


# ---- the encoder alone ----

def test_an_encoder_alone_reads_and_does_not_write():
    folder, want = data("golden/t5-v1.1"), ["encoder.hidden.0", "encoder.hidden.2", "encoder.hidden.final"]
    whole = run_infer(folder, {"input_ids": ids(21)}, want, "--exact")
    with edited(folder, architectures=["T5EncoderModel"]) as d, tempfile.TemporaryDirectory() as e:
        for model in (d, as_gguf(folder, e, "t5encoder")):
            assert run_infer(model, {"input_ids": ids(21)}, want, "--exact") == whole
            got = run_infer(model, {"input_ids": ids(21)}, ["last_hidden_state"], "--exact")
            assert got["last_hidden_state"] == whole["encoder.hidden.final"]
            code, _, err = run("generate", model, "--ids", "5,6", "-n", 2)
            assert code == 64 and b"is an encoder" in err and b"embed" in err, err
            fails(64, ["is an encoder"], model, {"input_ids": ids(4)}, "--generate", 2)


# ---- what cannot be ----

def test_configurations_that_cannot_be_are_refused_with_the_values():
    folder = data("golden/t5-v1.1")
    table = [({"relative_attention_num_buckets": 0}, "buckets of distances is 0"),
             ({"relative_attention_num_buckets": 10 ** 9}, "buckets of distances is 1000000000"),
             ({"relative_attention_num_buckets": 64}, "[32, 5], wanted [64, 5]"),
             ({"relative_attention_max_distance": 10 ** 9}, "longest distance with a bucket is 1000000000"),
             ({"relative_attention_max_distance": 16}, "32 buckets for distances up to 16"),
             ({"num_layers": 0}, "layers of the encoder is 0"), ({"num_layers": 10 ** 9}, "layers of the encoder is 1000000000"),
             ({"num_decoder_layers": -1}, "layers of the decoder is -1"), ({"num_decoder_layers": 10 ** 9}, "1000000000"),
             ({"num_decoder_layers": 3}, "decoder.block.2."), ({"num_heads": 0}, "heads is 0"), ({"d_kv": 10 ** 9}, "1000000000"),
             ({"decoder_start_token_id": 5000}, "5000"), ({"decoder_start_token_id": -1, "pad_token_id": -1}, "starts with id -1"),
             ({"feed_forward_proj": "gated-tanh"}, "gated-tanh"),
             ({"feed_forward_proj": "relu"}, "gate"), ({"vocab_size": 10}, "wanted [10, 48]")]
    for settings, said in table:
        with edited(folder, **settings) as d:
            code, _, err = run("generate", d, "--ids", "5", "-n", 1)
            assert code == 65 and said in err.decode(), "%s: exit %d, %s" % (settings, code, err.decode())


def test_an_mt5_does_not_scale_what_its_head_sees():
    folder = data("golden/t5-v1.0")
    root = json.load(open(os.path.join(folder, "config.json")))["d_model"] ** 0.5
    scaled = run_infer(folder, question(), ["logits"], "--exact")["logits"][1]
    with edited(folder, model_type="mt5", architectures=["MT5ForConditionalGeneration"]) as d:
        plain = run_infer(d, question(), ["logits"], "--exact")["logits"][1]
        code, _, err = run("convert", d, d + ".gguf")
    assert code == 65 and b"scale_decoder_outputs is false" in err, err
    assert max(abs(a * root - b) for a, b in zip(scaled, plain)) < 1e-5 * max(map(abs, plain))


def test_the_start_id_is_the_padding_id_where_none_is_named():
    folder = data("golden/t5-v1.1")
    with edited(folder, pad_token_id=7) as d:
        os.remove(os.path.join(d, "generation_config.json"))
        beams = run_infer(d, {"input_ids": ids(9)}, ["beam_ids"], "--generate", 3, "--beams", 2, "--eos", 1)
    assert beams["beam_ids"][1][0] == 7


def test_inputs_that_cannot_be_are_refused_by_name():
    model, text = data("golden/t5-v1.1"), ids(9)
    fails(65, ['"decoder_input_ids" is missing'], model, {"input_ids": text}, "--want", "logits")
    fails(65, ["decoder_input_ids[0][1] is 235", "235"], model, {"input_ids": text, "decoder_input_ids": ([1, 2], [0, 235])})
    fails(65, ["decoder_input_ids[0][0] is -1"], model, {"input_ids": text, "decoder_input_ids": ([1, 2], [-1, 0])})
    fails(65, ["decoder_input_ids", "[1, 2]", "a row for each"], model, {"input_ids": text, "decoder_input_ids": ([2, 2], [0, 1, 0, 1])})
    fails(65, ["decoder_input_ids", "empty"], model, {"input_ids": text, "decoder_input_ids": ([1, 0], [])})
    fails(64, ["encoder.hidden.0 to encoder.hidden.2", "decoder.hidden.2"], model, {"input_ids": text}, "--want", "hidden.0")
    fails(64, ["from 0 to 64"], model, {"input_ids": text}, "--generate", 4, "--beams", 1000000)
    fails(64, ["end id 235", "235"], model, {"input_ids": text}, "--generate", 4, "--beams", 2, "--eos", 235)
    fails(64, ["beams without a number of ids"], model, {"input_ids": text}, "--beams", 2)
    fails(64, ["unknown name"], model, {"input_ids": text}, "--generate", 4, "--want", "beam_ids")
    long = {"input_ids": ids(600)}
    fails(65, ["600 tokens", "512", "-c"], model, long, "--generate", 1)
    run_infer(model, long, ["greedy_ids"], "--generate", 1, "-c", 600)
    code, _, err = run("perplexity", model, os.path.join(model, "config.json"))
    assert code not in (0, -6, -11), err


# ---- beams of the program ----

def test_generate_beams_prints_the_best_and_json_all():
    model = local("golden/llama2-mha")
    out = json.loads(ok("generate", model, "--ids", "5,6,7", "-n", 6, "--beams", 3, "--json", "--exact", "--eos", 1))["beams"]
    got = run_infer(model, {"input_ids": ([1, 3], [5, 6, 7])}, ["beam_ids", "beam_scores"], "--generate", 6, "--beams", 3, "--exact",
                    "--eos", 1)
    shape, flat = got["beam_ids"]
    assert shape == [3, 9] and [b["ids"] for b in out] == [list(flat[i * 9 + 3:(i + 1) * 9]) for i in range(3)]
    assert max(abs(b["score"] - s) for b, s in zip(out, got["beam_scores"][1])) < 1e-6
    text = ok("generate", model, "--ids", "5,6,7", "-n", 6, "--beams", 3, "--exact", "--eos", 1).decode().strip()
    assert text == ",".join(map(str, out[0]["ids"])), text


# ---- beside transformers ----

def transformers():
    try:
        import torch, transformers
    except ImportError as e:
        raise Skip("torch and transformers are not installed (%s)" % e)
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(1)
    return torch, transformers


MODELS = [dict(feed_forward_proj="relu"), dict(feed_forward_proj="gated-gelu", tie_word_embeddings=False),
          dict(feed_forward_proj="gated-silu", num_layers=1, num_decoder_layers=4),
          dict(feed_forward_proj="relu", num_layers=4, num_decoder_layers=1, d_kv=20, relative_attention_num_buckets=20,
               relative_attention_max_distance=60),
          dict(feed_forward_proj="gated-gelu", num_heads=1, d_kv=24, decoder_start_token_id=3, pad_token_id=2),
          dict(kind="MT5", feed_forward_proj="gated-gelu"),
          dict(kind="UMT5", feed_forward_proj="gated-gelu", num_layers=3, tie_word_embeddings=False)]
# Beams, length penalty, early stopping, new ids at least, ids of which no row comes twice. Of the last list each model has one.
SEARCHES = [(1, 1.0, False, 0, 0), (2, 1.0, False, 0, 0), (3, 0.0, False, 0, 0), (4, 2.0, True, 0, 0), (5, -0.7, False, 0, 0),
            (5, 1.3, True, 0, 0), (4, 0.5, False, 0, 0)]
FORBIDDEN = [(3, 1.0, False, 0, 1), (4, 2.0, True, 12, 3), (1, 1.0, False, 0, 2), (2, 0.7, False, 25, 2), (3, 1.0, False, 7, 0)]


def random_t5(torch, tf, seed, more):
    torch.manual_seed(seed)
    base = dict(vocab_size=101, d_model=32, d_kv=8, d_ff=48, num_layers=2, num_decoder_layers=2, num_heads=3, eos_token_id=1,
                pad_token_id=0, decoder_start_token_id=0, dropout_rate=0.0)
    settings = {**base, **more}
    kind = settings.pop("kind", "T5")
    model = getattr(tf, kind + "ForConditionalGeneration")(getattr(tf, kind + "Config")(**settings)).eval()
    for name, p in model.named_parameters():
        scale = 1.0 if "norm" in name else 2.5 if "relative" in name else 0.28
        p.data = torch.randn_like(p) * scale * (0.2 if "norm" in name else 1) + (1.0 if "norm" in name else 0.0)
    return model


def forward_error(torch, model, double, folder, mask):
    """Two rows of 70 ids, one of them padded on the left or the right; 90 forced ids, so that all distances come. The error in
    parts of what is allowed: ten times that of the reference in f32, or 1e-5 of the largest value."""
    b, n, m = 2, 70, 90
    text, forced = torch.randint(3, 101, (b, n)), torch.randint(3, 101, (b, m))
    with torch.no_grad():
        single, exact = (x(input_ids=text, attention_mask=mask, decoder_input_ids=forced, output_hidden_states=True)
                         for x in (model, double))
    inputs = {"input_ids": ([b, n], text.flatten().tolist()), "attention_mask": ([b, n], mask.flatten().tolist()),
              "decoder_input_ids": ([b, m], forced.flatten().tolist())}
    got = run_infer(folder, inputs, ["encoder.hidden.final", "decoder.hidden.1", "decoder.hidden.final", "logits"], "--exact")
    of = {"encoder.hidden.final": lambda x: x.encoder_last_hidden_state, "decoder.hidden.final": lambda x: x.decoder_hidden_states[-1],
          "logits": lambda x: x.logits}
    if len(exact.decoder_hidden_states) > 2: of["decoder.hidden.1"] = lambda x: x.decoder_hidden_states[1]
    worst = 0.0
    for name, take in of.items():
        ref, near = take(exact), take(single).double()
        mine = torch.tensor(got[name][1], dtype=torch.double).reshape(ref.shape)
        if name.startswith("encoder"): mine, ref, near = mine[mask != 0], ref[mask != 0], near[mask != 0]
        allowed = max(10 * float((near - ref).abs().max()), 1e-5 * float(ref.abs().max()))
        worst = max(worst, float((mine - ref).abs().max()) / allowed)
    return worst


def beam_error(torch, double, folder, end, search):
    beams, penalty, early, least, ngram = search
    text = torch.randint(3, 101, (1, 23))
    with torch.no_grad():
        ref = double.generate(text, num_beams=beams, num_return_sequences=beams, length_penalty=penalty, early_stopping=early,
                              max_new_tokens=25, eos_token_id=end, do_sample=False, output_scores=True, return_dict_in_generate=True,
                              use_cache=False, min_new_tokens=least or None, no_repeat_ngram_size=ngram)
    extra = ["--generate", 25, "--beams", beams, "--length-penalty", penalty, "--eos", end, "--exact", "--min-tokens", least,
             "--no-repeat-ngram", ngram] + ["--early-stopping"] * early
    got = run_infer(folder, {"input_ids": ([1, 23], text.flatten().tolist())}, ["beam_ids", "beam_scores"], *extra)
    mine = torch.tensor(got["beam_ids"][1]).reshape(got["beam_ids"][0])
    if beams == 1:
        assert mine[0].tolist()[:ref.sequences.shape[1]] == ref.sequences[0].tolist(), "greedy: %s, not %s" % (mine, ref.sequences)
        return 0.0
    assert mine.tolist() == ref.sequences.tolist(), "%s:\n%s\n%s\n%s" % (search, mine, ref.sequences, ref.sequences_scores)
    worst = (torch.tensor(got["beam_scores"][1]) - ref.sequences_scores).abs().max()
    return float(worst / ref.sequences_scores.abs().max()) # with a penalty below 0 scores are hundreds


def test_random_models_give_what_transformers_gives():
    torch, tf = transformers()
    worst, beams, n = 0.0, 0.0, 0
    for seed, more in enumerate(MODELS):
        model, double = random_t5(torch, tf, seed, more), random_t5(torch, tf, seed, more).double()
        with tempfile.TemporaryDirectory() as folder:
            model.save_pretrained(folder)
            for side in ("left", "right"):
                mask = torch.ones(2, 70, dtype=torch.long)
                if side == "left": mask[0, :19] = 0
                else: mask[0, 40:] = 0
                worst = max(worst, forward_error(torch, model, double, folder, mask))
            for end in (1, 40):
                for search in SEARCHES: beams, n = max(beams, beam_error(torch, double, folder, end, search)), n + 1
            beams, n = max(beams, beam_error(torch, double, folder, 1, FORBIDDEN[seed % len(FORBIDDEN)])), n + 1
    assert worst <= 1 and beams < 1e-5, (worst, beams)
    return "%d models, %d searches: worst error %.2f of the tolerance, %.1e of the largest score" % (len(MODELS), n, worst, beams)


if __name__ == "__main__": main(globals())
