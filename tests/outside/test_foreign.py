"""Other programs read what kwaai convert writes, family by family: llama.cpp generates the ids that we do, transformers computes the
golden logits. $LLAMA_COMPLETION names llama.cpp's llama-completion; Python's torch and transformers are found where they are
installed. Where one is missing, its check is skipped by name.

The golden models have no tokenizers. Here they get one whose tokens are numbers in brackets, so that a text is a list of ids."""
import json, os, re, shutil, subprocess, tempfile
from harness import *

DECODERS = ["llama2-mha", "llama3-gqa-tied", "llama-bf16", "llama-bias-sharded", "llama-rope-linear", "llama-rope-yarn",
            "llama-pickle", "mixtral-4x2", "qwen2-bias", "qwen3-qknorm", "gemma1-mqa", "gpt2-old", "falcon-7b-style",
            "falcon-40b-style", "falcon-11b-style", "t5-v1.0", "t5-v1.1"]
OTHERS = ["llama-rope-dynamic", "mistral-window", "qwen3-moe", "phi3-window", "phi3-longrope", "gemma2-softcap", "gemma3-text",
          "bert-pooler", "bert-pickle", "gpt2-prefixed", "falcon-rw-alibi", "xlm-roberta"]
# What llama.cpp cannot say or passes over, replaced by what it does; then its ids are compared with ours alone.
CHANGED = {"mistral-window": {"sliding_window": None}, "phi3-window": {"sliding_window": None},
           "gemma2-softcap": {"query_pre_attn_scalar": 20}, "gemma3-text": {"query_pre_attn_scalar": 24},
           "gpt2-prefixed": {"scale_attn_by_inverse_layer_idx": False}, "qwen3-moe": {"mlp_only_layers": [], "num_hidden_layers": 2}}


def numbered(folder, n, end):
    """tokenizer.json: token i is "<i>"."""
    text = lambda i: "<%d>" % i
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    added = [{"id": i, "content": text(i), "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
              "special": False} for i in range(n)]
    model = {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None, "end_of_word_suffix": None,
             "fuse_unk": False, "byte_fallback": False, "vocab": {text(i): i for i in range(n)}, "merges": []}
    json.dump({"version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": None,
               "pre_tokenizer": level, "post_processor": None, "decoder": level, "model": model},
              open(os.path.join(folder, "tokenizer.json"), "w"))
    json.dump({"eos_token": text(end), "add_bos_token": False, "add_eos_token": False, "tokenizer_class": "PreTrainedTokenizerFast"},
              open(os.path.join(folder, "tokenizer_config.json"), "w"))


def without_layer_0(source, folder):
    """Its weights, the others counted from 0 again."""
    def renamed(name):
        at = re.match(r"model\.layers\.(\d+)\.", name)
        return name if not at else "model.layers.%d.%s" % (int(at.group(1)) - 1, name[at.end():])
    tensors = {renamed(n): ("F32",) + t for n, t in read_tensors(os.path.join(source, "model.safetensors")).items()}
    write_tensors(os.path.join(folder, "model.safetensors"), {n: t for n, t in tensors.items() if ".-1." not in n})


def prompt_of(golden):
    shape, ids = golden["input_ids"]
    n = sum(golden["attention_mask"][1][:shape[1]]) if "attention_mask" in golden else shape[1]
    return list(ids[:min(n, 60)]), list(golden["greedy_ids"][1]) if n <= 60 and "greedy_ids" in golden else None


def dressed(name, folder):
    """A golden model with a tokenizer, whose end is a token that nobody says; returns (prompt, answer or None)."""
    source = data("golden/" + name)
    config = json.load(open(os.path.join(source, "config.json")))
    prompt, answer = prompt_of(read_tensors(os.path.join(source, "golden.safetensors")))
    used = set(prompt + (answer or []))
    end = next(i for i in range(config["vocab_size"] - 1, -1, -1) if i not in used)
    config.update(CHANGED.get(name, {}))
    config["eos_token_id"] = end
    json.dump(config, open(os.path.join(folder, "config.json"), "w"))
    numbered(folder, config["vocab_size"], end)
    if name == "qwen3-moe": without_layer_0(source, folder)
    else:
        for f in os.listdir(source):
            if f.endswith((".bin", ".safetensors", ".index.json")) and f != "golden.safetensors":
                os.symlink(os.path.join(source, f), os.path.join(folder, f))
    return prompt, None if name in CHANGED else answer


def ids_in(text): return [int(i) for i in re.findall(r"<(\d+)>", text)]


def llama_cpp(program, path, text, n, most):
    """The first n ids of its answer. It leaves before all is printed: more are asked for, and again if too few came."""
    for _ in range(5):
        got = subprocess.run([program, "-m", path, "-p", text, "-n", str(min(3 * n, most)), "--temp", "0", "-no-cnv", "--no-display-prompt",
                              "--ignore-eos", "-t", "1", "-ctk", "f32", "-ctv", "f32", "-fa", "off"],
                             capture_output=True, text=True, errors="replace", timeout=120)
        assert got.returncode == 0, got.stderr[-500:]
        ids = ids_in(got.stdout)
        if len(ids) >= n: break
    return ids[:n]


def test_llama_cpp_generates_the_ids_that_we_do():
    program = os.environ.get("LLAMA_COMPLETION")
    if not program: raise Skip("LLAMA_COMPLETION names no llama-completion")
    seen, total = [], 0
    for name in DECODERS + list(CHANGED):
        with tempfile.TemporaryDirectory() as d:
            folder, path = os.path.join(d, "m"), os.path.join(d, "m.gguf")
            os.mkdir(folder)
            prompt, answer = dressed(name, folder)
            ok("convert", folder, path)
            text, n = "".join("<%d>" % i for i in prompt), len(answer or range(24))
            ours = ids_in(ok("generate", path, "-p", text, "-n", n, "--temp", 0, "--exact").decode())
            assert answer is None or ours == answer, (name, ours, answer)
            places = json.load(open(os.path.join(folder, "config.json"))).get("n_positions", 4096)
            got = llama_cpp(program, path, text, n, places - len(prompt))
            assert got == ours, (name, got, ours)
            seen.append(name + ("*" if name in CHANGED else ""))
            total += n
    return "%d ids of %s (*: with other settings)" % (total, ", ".join(seen))


def test_llama_cpp_says_what_we_say_of_our_file():
    program = os.environ.get("LLAMA_COMPLETION")
    if not program: raise Skip("LLAMA_COMPLETION names no llama-completion")
    with tempfile.TemporaryDirectory() as d:
        prompt = "The capital of France is"
        ok("convert", smollm2(), d + "/hf", "--dtype", "f16")
        ok("convert", d + "/hf", d + "/m.gguf")
        ours = ok("generate", d + "/m.gguf", "-p", prompt, "-n", 12, "--temp", 0, "--exact").decode().strip()
        got = subprocess.run([program, "-m", d + "/m.gguf", "-p", prompt, "-n", "12", "--temp", "0", "-no-cnv", "--no-display-prompt"],
                             capture_output=True, text=True, timeout=120)
        assert got.returncode == 0 and got.stdout.strip() == ours, (got.stdout, ours)


def test_transformers_computes_the_golden_numbers_from_our_folders():
    try: import torch, transformers
    except ImportError: raise Skip("no Python packages torch and transformers")
    transformers.logging.set_verbosity_error()
    seen, worst = [], 0.0
    for name in DECODERS + OTHERS:
        golden = read_tensors(os.path.join(data("golden/" + name), "golden.safetensors"))
        inputs = {k: torch.tensor(list(v[1])).reshape(v[0]) for k, v in golden.items()
                  if k in ("input_ids", "attention_mask", "token_type_ids", "decoder_input_ids")}
        kind = "T5ForConditionalGeneration" if "decoder_input_ids" in inputs else \
            "AutoModelForCausalLM" if "logits" in golden else "AutoModel"
        with tempfile.TemporaryDirectory() as d:
            at = lambda n: os.path.join(d, n)
            ok("convert", data("golden/" + name), at("direct"))
            forms = ["direct"]
            if name not in ("gpt2-prefixed", "falcon-rw-alibi"): # these have no form in GGUF
                ok("convert", data("golden/" + name), at("m.gguf"))
                ok("convert", at("m.gguf"), at("through GGUF"))
                forms.append("through GGUF")
            for form in forms:
                model, info = getattr(transformers, kind).from_pretrained(
                    at(form), dtype=torch.float32, attn_implementation="eager", output_loading_info=True)
                assert not info["missing_keys"] and not info["mismatched_keys"], (name, form, info)
                with torch.no_grad(): got = model.eval()(**inputs)
                want = golden.get("logits") or golden["last_hidden_state"]
                want = torch.tensor(list(want[1])).reshape(want[0])
                got = got.logits if "logits" in golden else got.last_hidden_state
                if kind == "AutoModel": # what stands on padding is nobody's business
                    want, got = want[inputs["attention_mask"] > 0], got[inputs["attention_mask"] > 0]
                error = float((got - want).abs().max() / want.abs().max())
                assert error < 1e-5, (name, form, error)
                worst = max(worst, error)
        seen.append(name)
    return "%d models in two forms each, worst error %.1e of the largest number" % (len(seen), worst)


if __name__ == "__main__": main(globals())
