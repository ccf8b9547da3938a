"""Packed weights with whole processes: two at once, killed at it, a full disk; the answer is always that of packing in memory."""
import glob, json, os, random, shutil, signal, subprocess, tempfile, time
from harness import *


def ids(model, folder, *extra, **more):
    out = ok("generate", model, "--ids", "1,2,3,4,5,6,7", "-n", 12, "--ignore-eos", "--json", "--pack-dir", folder, *extra, **more)
    return json.loads(out)["ids"]


def packs(folder, end=".pack"):
    return glob.glob(os.path.join(folder, "*" + end))


def needs_packing(model):
    with tempfile.TemporaryDirectory() as d:
        ids(model, d)
        if not packs(d): raise Skip("this machine's kernels pack nothing")


def tiny():
    return local("golden/gguf-tiny-llama/q4_0.gguf")


def test_commands_make_find_verify_and_prune_packs():
    needs_packing(tiny())
    with tempfile.TemporaryDirectory() as d:
        model, folder = os.path.join(d, "m.gguf"), os.path.join(d, "packs")
        shutil.copy(tiny(), model)
        assert b"no packed weights" in ok("verify", model, "--pack-dir", folder)
        made = json.loads(ok("pack", model, "--pack-dir", folder, "--json"))
        assert packs(folder) == [made["path"]] and os.path.getsize(made["path"]) >= made["bytes"] > 0
        assert made["path"].encode() in ok("show", model, "--pack-dir", folder)
        assert json.loads(ok("show", model, "--pack-dir", folder, "--json"))["pack"]["path"] == made["path"]
        doctor = json.loads(ok("doctor", "--pack-dir", folder, "--json"))
        assert (doctor["packs"], doctor["n_packs"]) == (folder, 1)
        assert b"every byte" in ok("verify", made["path"]) and b"the model is what was packed" in ok("verify", model, "--pack-dir", folder)
        assert json.loads(ok("pack", "--prune", "--pack-dir", folder, "--json")) == {"removed": 0, "kept": 1}
        data = bytearray(open(made["path"], "rb").read())
        data[-5] ^= 1
        open(made["path"], "wb").write(data)
        assert run("verify", made["path"])[0] == 65 and run("verify", model, "--pack-dir", folder)[0] == 65
        open(os.path.join(folder, "half.pack.tmp"), "wb").write(b"x")
        open(os.path.join(folder, "notes.txt"), "wb").write(b"kept")
        os.remove(model)
        assert json.loads(ok("pack", "--prune", "--pack-dir", folder, "--json"))["removed"] == 2
        assert os.listdir(folder) == ["notes.txt"]


def test_experts_are_packed_wherever_they_lie():
    sys.path.insert(0, os.path.join(HERE, "..", "..", "bench"))
    import synth
    needs_packing(tiny())
    for shape in ("tiny-moe", "tiny-moe-apart"):
        for kind in ("q4_0", "q8_0"):
            with tempfile.TemporaryDirectory() as d:
                model, folder = os.path.join(d, "m.gguf"), os.path.join(d, "packs")
                synth.make(shape, kind, model)
                said = ids(model, folder)
                pack, = packs(folder)
                assert said == ids(model, folder) == ids(model, folder, "--pack", "memory")
                experts = 2 * 3 * 4 * 256 * 256 * {"q4_0": 18, "q8_0": 34}[kind] // 32
                assert os.path.getsize(pack) > experts
                assert b"the model is what was packed" in ok("verify", model, "--pack-dir", folder)
                data = bytearray(open(model, "rb").read())
                name = "blk.1.ffn_down.3.weight" if "apart" in shape else "blk.1.ffn_down_exps.weight"
                at = len(data) - end_of(synth, shape, kind, name)
                data[at - 5] ^= 1  # near the end of the last expert
                open(model, "wb").write(data)
                assert run("verify", model, "--pack-dir", folder)[0] == 65


def end_of(synth, shape, kind, name):
    """How far before the file's end a tensor ends."""
    size = lambda cols, rows, experts, form: cols * max(rows, 1) * max(experts, 1) // synth.FORMATS[form][1] * synth.FORMATS[form][2]
    ends = {n: at + size(*rest) for n, *rest, at in synth.layout(synth.SHAPES[shape], kind)}
    return max(map(synth.padded, ends.values())) - ends[name]


def test_exact_mode_and_packing_off_make_no_pack():
    with tempfile.TemporaryDirectory() as d:
        for extra in (["--exact"], ["--pack", "off"], ["--pack", "memory"]): ids(tiny(), d, *extra)
        ok("show", tiny(), "--pack-dir", d), ok("plan", tiny(), "--pack-dir", d)
        assert os.listdir(d) == []
    code, _, err = run("generate", tiny(), "--ids", "1", "-n", 1, "--pack", "sideways")
    assert code == 64 and b"expected auto, file, memory or off" in err, err


def test_two_processes_at_once_say_the_same():
    model = smollm2()
    needs_packing(tiny())
    for round in range(3):
        with tempfile.TemporaryDirectory() as d:
            want = ids(model, d, "--pack", "memory")
            command = [KWAAI, "generate", model, "--ids", "1,2,3,4,5,6,7", "-n", "12", "--ignore-eos", "--json", "--pack-dir", d]
            both = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(2)]
            for p in both:
                out = p.communicate(timeout=300)[0]
                assert p.returncode == 0 and json.loads(out)["ids"] == want
            assert len(packs(d)) == 1 and not packs(d, ".tmp")
            assert ids(model, d) == want
            ok("verify", packs(d)[0])


def test_a_process_killed_while_it_packs_leaves_nothing_that_harms():
    model, chance, at_work = smollm2(), random.Random(5), 0
    needs_packing(tiny())
    with tempfile.TemporaryDirectory() as d:
        want = ids(model, d, "--pack", "memory")
        for round in range(20):
            p = subprocess.Popen([KWAAI, "pack", model, "--pack-dir", d], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(0.05 + chance.random() * 0.5)
            at_work += p.poll() is None
            p.send_signal(signal.SIGKILL)
            p.wait()
            assert len(packs(d, ".tmp")) <= 1
            for pack in packs(d):
                ok("verify", pack)
                os.remove(pack)
        assert ids(model, d) == want and len(packs(d)) == 1 and not packs(d, ".tmp")
        ok("verify", packs(d)[0])
    return "%d of 20 killed at work" % at_work


def test_a_full_disk_means_packing_in_memory():
    model = smollm2()
    needs_packing(tiny())
    if subprocess.run(["unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True).returncode:
        raise Skip("no file system can be mounted here")
    with tempfile.TemporaryDirectory() as d:
        want, small = ids(model, d, "--pack", "memory"), os.path.join(d, "small")
        os.mkdir(small)
        script = 'mount -t tmpfs -o size=40m none "$1" || exit 99; "$0" generate "$2" --ids 1,2,3,4,5,6,7 -n 12 --ignore-eos --json -v --pack-dir "$1"; code=$?; ls -A "$1" >&2; exit $code'
        p = subprocess.run(["unshare", "--mount", "sh", "-c", script, KWAAI, small, model], capture_output=True, timeout=300)
        assert p.returncode == 0 and json.loads(p.stdout)["ids"] == want, p.stderr
        assert b"No space left" in p.stderr and b"packed in memory" in p.stderr and b".pack" not in p.stderr.split(b"\n")[-2], p.stderr


def peak_kb(*args):
    p = subprocess.Popen([KWAAI, *map(str, args)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    use = os.wait4(p.pid, 0)[2]
    return use.ru_maxrss


def test_both_copies_are_never_in_memory():
    if os.environ.get("SANITIZE"): raise Skip("the sanitizers' own memory would be counted")
    model = smollm2()
    needs_packing(tiny())
    with tempfile.TemporaryDirectory() as d:
        args = ["generate", model, "-p", "x", "-n", 8, "-c", 256, "--pack-dir", d]
        kv = 2 * 30 * 3 * 64 * 2 * 256 / 1024
        most = 1.1 * os.path.getsize(model) / 1024 + kv + 24 * 1024
        got = [peak_kb(*args), peak_kb(*args), peak_kb(*args, "--pack", "memory"), peak_kb(*args, "--pack", "off")]
        assert max(got) <= most, (got, most)
    return "first %d, then %d, memory %d, plain %d KB; at most %d" % (*got, most)


if __name__ == "__main__": main(globals())
