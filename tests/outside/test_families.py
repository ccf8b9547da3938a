"""What the members of a family add to its shape: windows, their layers, and configurations that cannot be computed.

A checkpoint of the tests is loaded under another member's name, with other settings in its config.json."""
import contextlib, json, os, tempfile
from harness import *
from test_golden import CASES, infer, same_bits, usable, VARIANTS

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
             ({**window, "layer_types": types[:1]}, "types of 1 layers (layer_types), the model has 2"),
             ({**window, "layer_types": types + types}, "types of 4 layers"),
             ({**window, "layer_types": "sliding_attention"}, "layer_types is not a list"),
             ({**window, "layer_types": [1, 2]}, "layer_types is not a list"),
             ({**window, "layer_types": ["full_attention", "linear_attention"]}, 'layer 1 has type "linear_attention"'),
             ({**window, "sliding_window": None, "layer_types": types}, "layer 0 has a sliding window"),
             ({**window, "max_window_layers": "all"}, "max_window_layers is not a number")], LLAMA)


# ---- every case that is here ----

def found():
    """Of the llamas other tests have much to say."""
    cases = [c for c in CASES if not c.startswith(("llama", "gguf"))]
    folders = [data("golden/" + c) for c in cases if os.path.isdir(os.path.join(DATA, "golden", c))]
    return [f for f in folders if os.path.exists(os.path.join(f, "config.json"))]


def test_exact_mode_gives_the_same_bits_for_every_family():
    data("golden")
    for folder in found():
        config = json.load(open(os.path.join(folder, "config.json")))
        ids = [i % config["vocab_size"] for i in IDS]
        same_bits(folder, ids, usable(VARIANTS))
    return "%d families and variants" % len(found())


def test_fast_mode_is_near_exact_mode_for_every_family():
    worst, at = 0.0, ""
    data("golden")
    for folder in found():
        config = json.load(open(os.path.join(folder, "config.json")))
        ids = [i % config["vocab_size"] for i in IDS]
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
