"""Real models end to end: stories260K against llama2.c's own output, SmolLM2 against PyTorch + transformers."""
import json, os, tempfile
from harness import *


def stories(*extra):
    model, tokenizer = data("weights/llama/stories260K.bin"), data("weights/llama/tok512.bin")
    return ok("generate", model, "--tokenizer", tokenizer, "-p", "", "-n", 200, *extra)


def test_stories_are_byte_equal_in_both_modes_on_every_row():
    want = open(data("weights/llama/stories260K_t0_n200_expected.txt"), "rb").read()
    rows = [r for r in json.loads(ok("doctor", "--json"))["isa_rows"].split() if r[0] not in "(["]
    for row in rows:
        assert stories("--isa", row) == want, "fast mode on " + row
        assert stories("--isa", row, "--exact") == want, "exact mode on " + row
    return "rows " + ", ".join(rows)


def test_a_continued_text_keeps_its_space():
    """SentencePiece drops the space before a text's first word, but not before a continuation's."""
    model, tokenizer = data("weights/llama/stories260K.bin"), data("weights/llama/tok512.bin")
    want = open(data("weights/llama/stories260K_t0_n200_expected.txt"), "rb").read()
    at = want.index(b" time")
    got = ok("generate", model, "--tokenizer", tokenizer, "-p", want[:at].decode(), "-n", 20, "--exact")
    assert want[at:].startswith(got[:-1]) and len(got) > 20, got


def golden():
    return json.load(open(data("golden/smollm2-135m/golden.json")))


def greedy(case, *extra):
    ids = ",".join(map(str, case["ids"]))
    out = ok("generate", smollm2(), "--ids", ids, "-n", len(case["greedy_ids"]), "--ignore-eos", "--json", *extra)
    return json.loads(out)["ids"]


def agreement(a, b):
    return next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))


def test_smollm2_greedy_ids_are_those_of_transformers():
    cases = golden()["cases"]
    for case in cases:
        same = agreement(greedy(case, "--exact"), case["greedy_ids"])
        assert same >= case["stable_until"], "%d ids agree, %d are stable" % (same, case["stable_until"])
    return "%d prompts" % len(cases)


def test_smollm2_says_the_same_with_guesses():
    """Greedy ids of every golden prompt, and of one that repeats itself, with and without --lookup."""
    drafted = accepted = 0
    repeated = json.loads(ok("tokenize", smollm2(), "--json", "The fox saw the river. The river saw the fox. " * 8))
    for ids in [case["ids"] for case in golden()["cases"]] + [repeated]:
        for extra in ([], ["--exact"]) if ids is repeated else ([],):
            args = ("generate", smollm2(), "--ids", ",".join(map(str, ids)), "-n", 32, "--ignore-eos", "--json", *extra)
            plain, guessed = json.loads(ok(*args)), json.loads(ok(*args, "--lookup"))
            assert guessed["ids"] == plain["ids"], (ids[:8], extra)
            assert plain["timings"]["drafted"] == 0
            drafted, accepted = drafted + guessed["timings"]["drafted"], accepted + guessed["timings"]["accepted"]
    assert accepted > 20, accepted
    return "%d of %d guesses right" % (accepted, drafted)


def test_smollm2_prompts_have_the_ids_of_transformers():
    model, n = smollm2(), 0
    for case in golden()["cases"]:
        got = json.loads(ok("tokenize", model, "--json", "--no-special", case["rendered"]))
        assert got == case["ids"], case["rendered"]
        if not case["messages"]: continue
        with tempfile.TemporaryDirectory() as d:
            path = os.path.join(d, "messages.json")
            json.dump(case["messages"], open(path, "w"))
            assert ok("template", model, path).decode() == case["rendered"]
        n += 1
    return "%d conversations" % n


def perplexity(case, *extra):
    if not os.path.exists(case["file"]): raise Skip("no " + case["file"])
    out = json.loads(ok("perplexity", smollm2(), case["file"], "-c", case["window"], "--tokens", case["tokens"], "--json", *extra))
    assert (out["tokens"], out["scored"]) == (case["tokens"], case["counted"])
    return out["perplexity"]


def test_smollm2_perplexity_exact():
    notes = []
    for case in golden()["perplexity"]:
        p = perplexity(case, "--exact")
        assert abs(p / case["perplexity"] - 1) < 5e-4, (p, case["perplexity"])
        notes.append("%.4f (%+.5f %%)" % (p, 100 * (p / case["perplexity"] - 1)))
    return ", ".join(notes)


def test_smollm2_perplexity_fast_with_chunks_of_1_4_and_512():
    case, notes = golden()["perplexity"][1], []
    for batch in (1, 4, 512):
        p = perplexity(case, "-b", batch)
        assert abs(p / case["perplexity"] - 1) < 5e-3, (batch, p)
        notes.append("%d: %+.4f %%" % (batch, 100 * (p / case["perplexity"] - 1)))
    return ", ".join(notes)


def logits(model, ids, *extra):
    with tempfile.TemporaryDirectory() as d:
        i, o = os.path.join(d, "in.safetensors"), os.path.join(d, "out.safetensors")
        write_tensors(i, {"input_ids": ("I64", [1, len(ids)], ids)})
        ok("infer", model, i, o, "--want", "logits", *extra)
        return read_tensors(o)["logits"][1]


def test_fast_mode_stays_close_to_exact():
    model, ids = smollm2(), golden()["cases"][0]["ids"]
    exact = logits(model, ids, "--exact")
    worst = max(abs(a - b) for a, b in zip(exact, logits(model, ids)))
    assert worst < 0.05, worst
    return "worst logit error %.4f" % worst


def test_the_default_model_knows_the_capital_of_france():
    model = smollm2()
    out = ok("run", "smollm2" if "kwaai/models" in model else model, "--temp", 0, "What is the capital of France?")
    assert b"Paris" in out, out


def test_prompt_and_standard_input_are_joined():
    a = ok("run", smollm2(), "--temp", 0, "-n", 8, "Say hello.\n\nPlease.")
    b = ok("run", smollm2(), "--temp", 0, "-n", 8, "Say hello.", stdin=b"Please.\n")
    assert a == b, (a, b)


def test_the_same_seed_gives_the_same_text_for_every_thread_count():
    texts = {ok("generate", smollm2(), "-p", "Once", "-n", 16, "--temp", 1, "--seed", 7, "-t", t) for t in (1, 2, 3)}
    assert len(texts) == 1, texts
    other = ok("generate", smollm2(), "-p", "Once", "-n", 16, "--temp", 1, "--seed", 8)
    assert other not in texts


if __name__ == "__main__": main(globals())
