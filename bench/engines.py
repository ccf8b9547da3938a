"""engines.py - how each program is run and what it says, behind one face.

An engine measures by running its program once: `speed(task)` gives {"pp": tokens a second, "tg": tokens a second}, and so on.
One process a sample is what lets engines take turns (A B A B): a machine that is slow for a minute is slow for all of
them. Every program warms up inside its own process and reports one run after that.

A peer that is not here says why (`missing`): its comparisons are then not measured, and nothing else is lost.
"""
import collections
import functools
import json
import os
import subprocess
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.environ.get("KWAAI_BUILD", os.path.join(ROOT, "build"))
PEERS = os.path.join(BUILD, "bench", "peers")

# What to measure: a model's name, tokens of prompt, tokens to decode, tokens already in the context, threads, an instruction
# set to stay within, sequences side by side, cores to be confined to (0: all).
Task = collections.namedtuple("Task", "model pp tg depth threads isa batch cores", defaults=("", 0, 0, 0, 2, None, 1, 0))
Ran = collections.namedtuple("Ran", "out err code wall cpu peak_mb")


class Failed(Exception):
    pass


def run(command, env=None, cores=0):
    """A program to its end: what it printed, wall and processor seconds, its peak resident memory."""
    if cores:
        chosen = sorted(os.sched_getaffinity(0))[:cores]
        command = ["taskset", "-c", ",".join(map(str, chosen))] + command
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        start = time.perf_counter()
        p = subprocess.Popen(command, stdout=out, stderr=err, stdin=subprocess.DEVNULL, env=dict(os.environ, **(env or {})))
        try:
            pid, status, used = os.wait4(p.pid, 0)
        except BaseException:
            p.kill()
            raise
        wall = time.perf_counter() - start
        p.returncode = os.waitstatus_to_exitcode(status)
        text = []
        for f in (out, err):
            f.seek(0)
            text.append(f.read().decode(errors="replace"))
    return Ran(text[0], text[1], p.returncode, wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def must(command, **how):
    try:
        r = run(command, **how)
    except OSError as e:
        raise Failed("%s: %s" % (command[0], e.strerror))
    if r.code:
        lines = [line for line in (r.out + "\n" + r.err).splitlines() if line.strip()]
        raise Failed("%s: %s" % (os.path.basename(command[0]), " ".join(lines[-2:])[:200] or "exit status %d" % r.code))
    return r


def read_json(r):
    """The JSON in a program's output, whatever else it printed around it."""
    for at, c in enumerate(r.out):
        if c in "[{":
            try:
                return json.JSONDecoder().raw_decode(r.out[at:])[0]
            except ValueError:
                continue
    raise Failed("no JSON in %r" % r.out[-200:])


def processor_flags():
    try:
        return set(next(line for line in open("/proc/cpuinfo") if line.startswith(("flags", "Features"))).split())
    except (OSError, StopIteration):
        return set()


class Engine:
    name = None

    def missing(self, task):
        return None if os.path.exists(self.program) else "%s is not here (bench/peers/get builds it)" % self.name


class Kwaai(Engine):
    def __init__(self, models, name="kwaai"):
        self.name, self.models, self.program = name, models, os.environ.get("KWAAI", os.path.join(BUILD, "kwaai"))
        self.ops = os.path.join(BUILD, "bench", "bench-ops")

    @functools.cached_property
    def commands(self):
        return must([self.program, "help"]).out

    @functools.cached_property
    def doctor(self):
        return read_json(must([self.program, "doctor", "--json"]))

    def speed(self, t):
        command = [self.program, "bench", self.models.path(t.model), "-p", str(t.pp), "-n", str(t.tg), "-d", str(t.depth),
                   "-t", str(t.threads), "-r", "1", "-o", "json"]
        command += ["--isa", t.isa] if t.isa else []
        command += ["--batch", str(t.batch)] if t.batch > 1 else []
        out = {}
        for r in read_json(must(command, cores=t.cores)):
            out[r["test"][:2]] = r["tok_s"]
            if r["test"].startswith("tg"):
                out.update(share=r["share"], bandwidth=r["bandwidth_gb_s"])
        return out

    def pack(self, t):
        """Writes the pack file ahead, where the program can."""
        if "\n  pack" in self.commands:
            must([self.program, "pack", self.models.path(t.model)])

    def start(self, t):
        """Seconds from start to exit with one token made, beyond what a running process takes to compute the same prompt."""
        r = must([self.program, "generate", self.models.path(t.model), "-p", "The", "-n", "1", "-c", "512",
                  "-t", str(t.threads), "--json"])
        n = read_json(r)["timings"]["prompt_tokens"]
        return {"wall": r.wall, "over": r.wall - n / self.speed(t._replace(pp=n, tg=0))["pp"]}

    def peak(self, t):
        r = must([self.program, "generate", self.models.path(t.model), "-p", "The " * 64, "-n", "16", "-c", "512",
                  "-t", str(t.threads), "--json"])
        return {"peak": r.peak_mb}

    def perplexity(self, t, chunk, mode, tokens):
        """Of a text that comes with the project, in windows of 512; mode: exact, fast, or int8 for its cache."""
        command = [self.program, "perplexity", self.models.path(t.model), os.path.join(ROOT, "docs", "ARCHITECTURE.md"), "-c", "512",
                   "--tokens", str(tokens), "-b", str(chunk), "-t", str(t.threads), "--json"]
        more = {"exact": ["--exact"], "int8": ["--kv-type", "int8"], "fast": []}[mode]
        return {"perplexity": read_json(must(command + more))["perplexity"]}

    def op(self, t, *options):
        return read_json(must([self.ops, "-t", str(t.threads), "--json"] + list(options)))[0]


class LlamaCpp(Engine):
    """llama-bench of llama.cpp or of a fork that kept its options."""

    def __init__(self, models, name="llama.cpp", variable="LLAMA_BENCH", folder="llama", extra=()):
        self.name, self.models, self.extra = name, models, list(extra)
        self.program = os.environ.get(variable) or os.path.join(PEERS, folder, "bin", "llama-bench")

    def beside(self, name):
        return os.path.join(os.path.dirname(self.program), name)

    def speed(self, t):
        if t.batch > 1:
            return self.batched(t)
        command = [self.program, "-m", self.models.path(t.model), "-p", str(t.pp), "-n", str(t.tg), "-t", str(t.threads),
                   "-r", "1", "-o", "json"] + (["-d", str(t.depth)] if t.depth else []) + self.extra
        rows = read_json(must(command, cores=t.cores))
        return {"pp" if r["n_gen"] == 0 else "tg": r["avg_ts"] for r in rows}

    def batched(self, t):
        r = must([self.beside("llama-batched-bench"), "-m", self.models.path(t.model), "-c", "2048", "-npp", str(max(t.depth, 1)),
                  "-ntg", str(t.tg), "-npl", str(t.batch), "-t", str(t.threads), "--output-format", "jsonl"])
        return {"tg": read_json(r)["speed_tg"]}

    def start(self, t):
        r = must([self.beside("llama-completion"), "-m", self.models.path(t.model), "-p", "The", "-n", "1", "-c", "512",
                  "-t", str(t.threads), "-no-cnv"])
        return {"wall": r.wall}

    def peak(self, t):
        r = must([self.beside("llama-completion"), "-m", self.models.path(t.model), "-p", "The " * 64, "-n", "16", "-c", "512",
                  "-t", str(t.threads), "-no-cnv"])
        return {"peak": r.peak_mb}


class IkLlama(LlamaCpp):
    """A fork of llama.cpp; -rtr 1 packs its weights when they are loaded, as its users do. In place of a depth it takes -gp: a prompt
    that is computed first, and not counted."""

    def __init__(self, models):
        super().__init__(models, "ik_llama.cpp", "IK_LLAMA_BENCH", "ik", ("-rtr", "1"))

    def missing(self, task):
        return None if os.path.exists(self.program) else "ik_llama.cpp is not here (IK_LLAMA_BENCH names its llama-bench)"

    def speed(self, t):
        if not t.depth:
            return super().speed(t)
        r = read_json(must([self.program, "-m", self.models.path(t.model), "-p", "0", "-n", "0", "-gp", "%d,%d" % (t.depth, t.tg),
                            "-t", str(t.threads), "-r", "1", "-o", "json"] + self.extra))
        return {"tg": r[-1]["avg_ts"]}


class Candle(Engine):
    name = "candle"

    def __init__(self, models):
        self.models = models
        self.program = os.environ.get("CANDLE_PEER") or os.path.join(PEERS, "candle", "target", "release", "candle-peer")

    def speed(self, t):
        r = read_json(must([self.program, self.models.path(t.model), str(t.pp), str(t.tg), "1"],
                           env={"RAYON_NUM_THREADS": str(t.threads)}))
        return {k: r[k][0] for k in ("pp", "tg") if r[k]}


class Torch(Engine):
    def __init__(self, dtype):
        self.name, self.dtype = "PyTorch " + dtype, dtype
        self.program = os.environ.get("TORCH_PYTHON") or os.path.join(PEERS, "venv", "bin", "python")

    def missing(self, task):
        if not os.path.exists(self.program) or run([self.program, "-c", "import torch"]).code:
            return "PyTorch is not here (bench/peers/get torch)"
        gb = {"llama-1b": 4, "llama-7b": 20}.get(task.model.rsplit("-", 1)[0], 0) * (1 if self.dtype == "bf16" else 2)
        free = int(next(x for x in open("/proc/meminfo") if x.startswith("MemAvailable")).split()[1]) / 1e6
        return None if free > gb else "it takes %d GB of memory and %.0f are free" % (gb, free)

    def speed(self, t):
        shape = "smollm2" if t.model == "smollm2" else t.model.rsplit("-", 1)[0]
        r = read_json(must([self.program, os.path.join(ROOT, "bench", "peers", "torch_llama.py"), "--shape", shape, "--dtype",
                            self.dtype, "--prompt", str(t.pp), "--new", str(t.tg), "--runs", "1", "--threads", str(t.threads)]))
        return {k: r[k][0] for k in ("pp", "tg") if r[k]}


class OneDnn(Engine):
    name = "oneDNN"

    def __init__(self):
        self.program = os.environ.get("ONEDNN_GEMM") or os.path.join(PEERS, "onednn_gemm")

    def gemm(self, t, dtype, m, n, k):
        r = run([self.program, dtype, str(m), str(n), str(k), "5"], env={"OMP_NUM_THREADS": str(t.threads)})
        j = read_json(r)
        if "error" in j:
            raise Failed("%s has no %s matmul for this processor: %s" % (self.name, dtype, j["error"]))
        if not j["right"]:
            raise Failed("%s computes something else" % self.name)
        return {"gflop_s": sorted(j["gflop_s"])[len(j["gflop_s"]) // 2], "peer": j["peer"]}
