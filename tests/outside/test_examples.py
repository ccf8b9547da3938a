"""The examples of examples/ do what their first line says."""
import os, subprocess
from harness import *

BUILD = os.environ.get("BUILD", os.path.join(HERE, "..", "..", "build"))


def example(name, *args):
    p = subprocess.run([os.path.join(BUILD, "example_" + name), *map(str, args)], capture_output=True, timeout=300)
    assert p.returncode == 0, p.stderr
    return p.stdout


def test_complete_says_what_generate_says():
    model, prompt = smollm2(), "The capital of France is"
    assert prompt + example("complete", model, prompt, 8).decode() == prompt + ok("generate", model, "-p", prompt, "-n", 8).decode()


def test_chat_knows_the_capital_of_france():
    assert b"Paris" in example("chat", smollm2(), "What is the capital of France?")


def test_batch_says_what_generate_says():
    model, prompts = smollm2(), ["Once upon a time", "Two and two"]    # 7 ids: the bits of each alone
    want = "".join(p + ok("generate", model, "-p", p, "-n", 16).decode() for p in prompts)
    assert example("batch", model, *prompts).decode() == want


def test_logits_are_sorted():
    lines = example("logits", local("golden/llama2-mha"), "1,2,3").decode().splitlines()
    values = [float(l.split()[1]) for l in lines]
    assert len(values) == 5 and values == sorted(values, reverse=True)


def test_examples_are_short():
    folder = os.path.join(HERE, "..", "..", "examples")
    for f in os.listdir(folder): assert len(open(os.path.join(folder, f)).readlines()) <= 60, f


if __name__ == "__main__": main(globals())
