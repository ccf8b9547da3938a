"""MPNet: random models beside transformers, where it is installed, and what cannot be computed."""
import json, os, tempfile
from harness import *
from test_t5 import run_infer, transformers

CONFIG = dict(vocab_size=90, hidden_size=48, num_hidden_layers=3, num_attention_heads=4, intermediate_size=64, max_position_embeddings=220,
              relative_attention_num_buckets=32, pad_token_id=1)


def random_mpnet(torch, tf, double):
    torch.manual_seed(7)
    model = tf.MPNetModel(tf.MPNetConfig(**CONFIG)).eval()
    for name, p in model.named_parameters():
        p.data = torch.randn_like(p) * (1.5 if "relative" in name else 0.25) + (1.0 if "LayerNorm.weight" in name else 0.0)
    return model.double() if double else model


def test_random_models_give_what_transformers_gives():
    """Two texts of 200 ids, one of them padded, so that all distances come; states and what stands for a text, in parts of what is
    allowed: ten times the error of the reference in f32, or 1e-5 of the largest value."""
    torch, tf = transformers()
    single, double = random_mpnet(torch, tf, False), random_mpnet(torch, tf, True)
    ids, mask = torch.randint(3, 90, (2, 200)), torch.ones(2, 200, dtype=torch.long)
    mask[0, 150:] = 0
    ids[0, 150:] = CONFIG["pad_token_id"]
    inputs = {"input_ids": ([2, 200], ids.flatten().tolist()), "attention_mask": ([2, 200], mask.flatten().tolist())}
    with tempfile.TemporaryDirectory() as folder:
        single.save_pretrained(folder)
        got = run_infer(folder, inputs, ["hidden.0", "hidden.1", "last_hidden_state", "pooler_output"], "--exact")
        fast = run_infer(folder, inputs, ["last_hidden_state"])
    with torch.no_grad():
        near, exact = (m(input_ids=ids, attention_mask=mask, output_hidden_states=True) for m in (single, double))
    worst = 0.0
    for name, take in (("hidden.0", lambda x: x.hidden_states[0]), ("hidden.1", lambda x: x.hidden_states[1]),
                       ("last_hidden_state", lambda x: x.last_hidden_state), ("pooler_output", lambda x: x.pooler_output)):
        ref, other = take(exact), take(near).double()
        mine = torch.tensor(got[name][1], dtype=torch.double).reshape(ref.shape)
        if name != "pooler_output": mine, ref, other = mine[mask != 0], ref[mask != 0], other[mask != 0]
        allowed = max(10 * float((other - ref).abs().max()), 1e-5 * float(ref.abs().max()))
        worst = max(worst, float((mine - ref).abs().max()) / allowed)
    ref = exact.last_hidden_state[mask != 0]
    quick = (torch.tensor(fast["last_hidden_state"][1], dtype=torch.double).reshape(2, 200, 48)[mask != 0] - ref).abs().max() / ref.abs().max()
    assert worst <= 1 and quick < 0.02, (worst, float(quick))
    return "worst error %.2f of the tolerance; fast mode %.4f of the largest state" % (worst, float(quick))


def random_file(folder):
    """A checkpoint without torch: numbers do not matter here."""
    d, f = 8, 12
    layer = {"attention.attn.q": (d, d), "attention.attn.k": (d, d), "attention.attn.v": (d, d), "attention.attn.o": (d, d),
             "intermediate.dense": (f, d), "output.dense": (d, f), "attention.LayerNorm": (d,), "output.LayerNorm": (d,)}
    shapes = {"embeddings.word_embeddings.weight": (20, d), "embeddings.position_embeddings.weight": (12, d), "embeddings.LayerNorm.weight": (d,),
              "embeddings.LayerNorm.bias": (d,), "encoder.relative_attention_bias.weight": (32, 2)}
    for name, shape in layer.items():
        shapes["encoder.layer.0.%s.weight" % name], shapes["encoder.layer.0.%s.bias" % name] = shape, shape[:1]
    count = lambda s: s[0] * (s[1] if len(s) > 1 else 1)
    write_tensors(os.path.join(folder, "model.safetensors"),
                  {"mpnet." + k: ("F32", list(s), [(i * 37 % 11 - 5) / 8 for i in range(count(s))]) for k, s in shapes.items()})
    return {"model_type": "mpnet", "hidden_size": d, "intermediate_size": f, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 20,
            "max_position_embeddings": 12, "pad_token_id": 1, "layer_norm_eps": 1e-5}


def test_distances_count_and_what_cannot_be_is_refused():
    with tempfile.TemporaryDirectory() as d:
        config = random_file(d)
        def states(**more):
            json.dump({**config, **more}, open(os.path.join(d, "config.json"), "w"))
            return run_infer(d, {"input_ids": ([1, 6], [3, 4, 5, 6, 7, 8])}, ["last_hidden_state"], "--exact")["last_hidden_state"][1]
        assert list(states()) == list(states(relative_attention_num_buckets=32)), "32 is what an absent number means"
        for more, said in (({"relative_attention_num_buckets": 16}, "[32, 2], wanted [16, 2]"), ({"relative_attention_num_buckets": 0}, "buckets of distances is 0"),
                           ({"pad_token_id": 11}, "12 positions"), ({"hidden_act": "relu"}, '"relu"')):
            json.dump({**config, **more}, open(os.path.join(d, "config.json"), "w"))
            code, _, err = run("embed", d, "x")
            assert code == 65 and said in err.decode(), (more, err.decode())


if __name__ == "__main__": main(globals())
